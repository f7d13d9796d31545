//! Passing: a message that passes a socket without being queued is counted and ordered as if it had been.

use bytes::Bytes;
use proptest::prelude::*;
use sp_proto::{
    Answer, Attachment, ContextId, DownReason, EndpointOptions, Kind, OpError, Options, PipeId, Priority, Socket, Time,
};

const CONTEXT: ContextId = ContextId::DEFAULT;
const NOW: Time = Time::ZERO;

#[derive(Clone, Debug)]
enum Deed {
    Attach(u8),
    Detach(usize),
    /// A program sends, or a peer; whether the pipe's connection takes it.
    Message(usize, bool),
    /// A message leaves: is transmitted, or received.
    Take(usize),
    /// Somebody waits to send or receive.
    Wait,
    /// What was received last is given back.
    GiveBack,
    Close,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        1 => Just(Deed::Close),
        2 => (1..=16_u8).prop_map(Deed::Attach),
        1 => any::<usize>().prop_map(Deed::Detach),
        12 => (any::<usize>(), any::<bool>()).prop_map(|(place, takes)| Deed::Message(place, takes)),
        8 => any::<usize>().prop_map(Deed::Take),
        1 => Just(Deed::Wait),
        2 => Just(Deed::GiveBack),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn what_passes_out_might_as_well_have_been_queued(deeds in prop::collection::vec(deed(), 1..60)) {
        let (mut plain, mut passing) = (socket(Kind::Push), socket(Kind::Push));
        let mut pipes: Vec<PipeId> = vec![];
        for (number, deed) in deeds.into_iter().enumerate() {
            match deed {
                Deed::Attach(priority) if !plain.is_closed() => pipes.push(attach_both(&mut plain, &mut passing, priority)),
                Deed::Detach(place) if !pipes.is_empty() => {
                    let pipe = pipes.swap_remove(place % pipes.len());
                    plain.detach(NOW, pipe, DownReason::Lost);
                    passing.detach(NOW, pipe, DownReason::Lost);
                }
                Deed::Message(len, takes) => {
                    let body = Bytes::from(vec![number as u8; len % 20]);
                    match passing.pass_out(NOW, body.len(), |_| takes) {
                        Some(pipe) => {
                            prop_assert!(takes);
                            prop_assert_eq!(plain.try_send(NOW, CONTEXT, body.clone()), Ok(()));
                            prop_assert_eq!(plain.poll_transmit(NOW, pipe).map(|message| message.body), Some(body));
                        }
                        None => prop_assert_eq!(plain.try_send(NOW, CONTEXT, body.clone()), passing.try_send(NOW, CONTEXT, body)),
                    }
                }
                Deed::Take(place) if !pipes.is_empty() => {
                    let pipe = pipes[place % pipes.len()];
                    prop_assert_eq!(plain.poll_transmit(NOW, pipe), passing.poll_transmit(NOW, pipe));
                }
                Deed::Wait => {
                    let body = Bytes::from(vec![number as u8]);
                    plain.submit_send(NOW, CONTEXT, body.clone(), None);
                    passing.submit_send(NOW, CONTEXT, body, None);
                }
                Deed::Close => { plain.close(); passing.close(); }
                Deed::Attach(_) | Deed::Detach(_) | Deed::Take(_) | Deed::GiveBack => {}
            }
            compare(&plain, &passing, &pipes)?;
        }
        for pipe in pipes {
            while let Some(message) = plain.poll_transmit(NOW, pipe) {
                prop_assert_eq!(Some(message), passing.poll_transmit(NOW, pipe));
            }
            prop_assert_eq!(passing.poll_transmit(NOW, pipe), None);
        }
    }

    #[test]
    fn what_passes_in_might_as_well_have_been_queued(deeds in prop::collection::vec(deed(), 1..60)) {
        let (mut plain, mut passing) = (socket(Kind::Pull), socket(Kind::Pull));
        let mut pipes: Vec<PipeId> = vec![];
        let mut last = None;
        for (number, deed) in deeds.into_iter().enumerate() {
            match deed {
                // Two peers are rarer than one, with whom alone anything passes.
                Deed::Attach(priority) if !plain.is_closed() && pipes.len() < 1 + usize::from(number % 5 == 0) => {
                    pipes.push(attach_both(&mut plain, &mut passing, priority));
                }
                Deed::Detach(place) if !pipes.is_empty() => {
                    let pipe = pipes.swap_remove(place % pipes.len());
                    plain.detach(NOW, pipe, DownReason::Lost);
                    passing.detach(NOW, pipe, DownReason::Lost);
                }
                Deed::Message(place, asks) if !pipes.is_empty() => {
                    let pipe = pipes[place % pipes.len()];
                    let body = Bytes::from(vec![number as u8; place % 20]);
                    prop_assert_eq!(plain.admits(pipe), passing.admits(pipe));
                    if !plain.admits(pipe) | !passing.admits(pipe) {
                        continue;
                    }
                    let passes = passing.passes_in(NOW, pipe);
                    plain.handle_message(NOW, pipe, body.clone());
                    if asks && passing.pass_in(NOW, pipe, body.len()) {
                        prop_assert!(passes);
                        prop_assert_eq!(plain.try_recv(NOW, CONTEXT), Ok(body.clone()));
                        last = Some(body);
                    } else {
                        prop_assert!(!(asks && passes));
                        passing.handle_message(NOW, pipe, body);
                    }
                }
                Deed::Take(_) => {
                    let found = plain.try_recv(NOW, CONTEXT);
                    prop_assert_eq!(&found, &passing.try_recv(NOW, CONTEXT));
                    last = found.ok();
                }
                Deed::Wait => {
                    let (one, other) = (plain.submit_recv(NOW, CONTEXT, None), passing.submit_recv(NOW, CONTEXT, None));
                    let answers = (plain.take_answer(one), passing.take_answer(other));
                    prop_assert_eq!(&answers.0, &answers.1);
                    if let Some(Answer::Received(message)) = answers.0 {
                        last = Some(message.body);
                    }
                }
                Deed::GiveBack => if let Some(body) = last.take() {
                    plain.put_back(NOW, CONTEXT, body.clone());
                    passing.put_back(NOW, CONTEXT, body);
                },
                Deed::Close => { plain.close(); passing.close(); }
                Deed::Attach(_) | Deed::Detach(_) | Deed::Message(..) => {}
            }
            compare(&plain, &passing, &pipes)?;
        }
        loop {
            let found = plain.try_recv(NOW, CONTEXT);
            prop_assert_eq!(&found, &passing.try_recv(NOW, CONTEXT));
            if matches!(found, Err(OpError::WouldBlock | OpError::Closed)) {
                break;
            }
        }
    }
}

#[test]
fn a_flood_to_one_peer_passes_wholly() {
    let (mut push, mut pull) = (socket(Kind::Push), socket(Kind::Pull));
    let pipe = attach(&mut push, 8);
    assert_eq!(push.pass_out(NOW, 16, |_| true), Some(pipe));
    let pipe = attach(&mut pull, 8);
    assert!(pull.pass_in(NOW, pipe, 16));
}

#[test]
fn nothing_passes_that_has_a_header_or_another_rule() {
    for kind in Kind::ALL {
        for mut socket in [Socket::new(kind, options(), 7), Socket::new_raw(kind, options(), 7)].into_iter().flatten() {
            let pipe = attach(&mut socket, 8);
            let out = socket.pass_out(NOW, 1, |_| true).is_some();
            assert_eq!(out, kind == Kind::Push && !socket.is_raw(), "{kind}");
            assert_eq!(socket.pass_in(NOW, pipe, 1), kind == Kind::Pull && !socket.is_raw(), "{kind}");
        }
    }
}

fn options() -> Options {
    Options { send_queue: 3, recv_queue: 3, max_message: 16, ..Options::default() }
}

fn socket(kind: Kind) -> Socket {
    Socket::new(kind, options(), 7).unwrap()
}

fn attach(socket: &mut Socket, priority: u8) -> PipeId {
    let priority = Priority::new(priority.into()).unwrap();
    let endpoint = EndpointOptions { send_priority: priority, recv_priority: priority, ..EndpointOptions::default() };
    socket.attach(NOW, Attachment { peer: socket.kind().partner().id(), endpoint }).unwrap()
}

fn attach_both(one: &mut Socket, other: &mut Socket, priority: u8) -> PipeId {
    let pipe = attach(one, priority);
    assert_eq!(pipe, attach(other, priority));
    pipe
}

fn compare(one: &Socket, other: &Socket, pipes: &[PipeId]) -> Result<(), TestCaseError> {
    prop_assert_eq!(one.stats(), other.stats());
    for pipe in pipes {
        prop_assert_eq!(one.pipe_stats(*pipe), other.pipe_stats(*pipe));
    }
    Ok(())
}
