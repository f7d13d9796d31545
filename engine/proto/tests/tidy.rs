//! Tidying: memory goes back after a crowd, and nobody notices.

use std::collections::BTreeSet;

use proptest::prelude::*;
use sp_proto::{Attachment, DownReason, EndpointOptions, Kind, Options, PipeId, Socket, Time};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Crowds come, some stay, the rest goes: an id comes again only after all of its place's generations.
    #[test]
    fn no_id_is_used_again_soon(crowds in prop::collection::vec((1_usize..100, prop::collection::vec(any::<bool>(), 100)), 1..8)) {
        let mut socket = Socket::new(Kind::Pull, Options::default(), 7).unwrap();
        let mut used: BTreeSet<PipeId> = BTreeSet::new();
        let mut there: Vec<PipeId> = vec![];
        for (count, stay) in crowds {
            for _ in 0..count {
                let pipe = attach(&mut socket);
                prop_assert!(used.insert(pipe), "{pipe:?} was used before");
                there.push(pipe);
            }
            let (left, gone): (Vec<_>, Vec<_>) = there.iter().zip(stay.iter().cycle()).partition(|(_, stays)| **stays);
            for (pipe, _) in gone {
                socket.detach(Time::ZERO, *pipe, DownReason::Lost);
            }
            there = left.into_iter().map(|(pipe, _)| *pipe).collect();
            socket.tidy();
            prop_assert_eq!(socket.pipe_count(), there.len());
        }
        for pipe in there {
            socket.detach(Time::ZERO, pipe, DownReason::Lost);
        }
        prop_assert_eq!(socket.pipe_count(), 0);
    }
}

fn attach(socket: &mut Socket) -> PipeId {
    let attachment = Attachment { peer: Kind::Push.id(), endpoint: EndpointOptions::default() };
    socket.attach(Time::ZERO, attachment).unwrap()
}
