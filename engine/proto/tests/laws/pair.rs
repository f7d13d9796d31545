//! Two that speak with each other.

use super::*;

for_kind!(
    pair,
    Kind::Pair,
    [
        a_second_peer_is_refused_and_the_first_one_not_disturbed,
        when_the_peer_has_gone_another_may_come,
        sending_waits_for_a_peer_and_for_room,
        what_arrived_outlives_the_peer,
    ]
);
for_kind!(
    pair1,
    Kind::Pair1,
    [
        a_second_peer_is_refused_and_the_first_one_not_disturbed,
        when_the_peer_has_gone_another_may_come,
        sending_waits_for_a_peer_and_for_room,
        what_arrived_outlives_the_peer,
    ]
);

fn a_second_peer_is_refused_and_the_first_one_not_disturbed(kind: Kind) {
    let mut world = World::pair(kind, &Options::default());
    world.try_send(1, ContextId::DEFAULT, "before").unwrap();
    let intruder = world.add(kind, &Options::default());
    world.connect(0, intruder);
    assert_eq!(world.up(), [0]);
    let refused = Happening::Refused { node: 0, peer: intruder, refused: Refused::Occupied };
    assert!(world.story.iter().any(|(_, happening)| *happening == refused));
    assert_eq!(world.nodes[0].socket.stats().refused_pipes, 1);
    world.try_send(1, ContextId::DEFAULT, "after").unwrap();
    assert_eq!(world.recv_all(0), ["before", "after"]);
}

fn when_the_peer_has_gone_another_may_come(kind: Kind) {
    let mut world = World::pair(kind, &Options::default());
    world.break_off(0);
    let next = world.add(kind, &Options::default());
    let connection = world.connect(0, next);
    assert_eq!(world.up(), [connection]);
    world.try_send(0, ContextId::DEFAULT, "welcome").unwrap();
    assert_eq!(world.recv_all(next), ["welcome"]);
}

fn sending_waits_for_a_peer_and_for_room(kind: Kind) {
    let mut world = World::new(1);
    let node = world.add(kind, &Options { send_queue: 1, ..Options::default() });
    let [first, second] = ["1", "2"].map(|body| world.submit_send(node, ContextId::DEFAULT, body, None));
    assert_eq!(world.answer(node, first), None);
    let peer = world.add(kind, &Options::default());
    // A slow connection: it takes nothing at all.
    let connection = world.connect(node, peer);
    assert_eq!(world.recv_all(peer), ["1", "2"]);
    assert!([first, second].iter().all(|ticket| world.answer(node, *ticket) == Some(&Answer::Sent)));
    world.hold(connection, 0, true);
    world.try_send(node, ContextId::DEFAULT, "3").unwrap();
    assert_eq!(world.try_send(node, ContextId::DEFAULT, "4"), Err(OpError::WouldBlock));
    world.hold(connection, 0, false);
    assert_eq!(world.try_send(node, ContextId::DEFAULT, "4"), Ok(()));
    assert_eq!(world.recv_all(peer), ["3", "4"]);
}

fn what_arrived_outlives_the_peer(kind: Kind) {
    let mut world = World::pair(kind, &Options::default());
    world.try_send(1, ContextId::DEFAULT, "farewell").unwrap();
    world.close(1);
    assert_eq!(world.recv_all(0), ["farewell"]);
}

#[test]
fn the_two_versions_do_not_understand_each_other() {
    let mut world = World::new(1);
    let (old, new) = (world.add(Kind::Pair, &Options::default()), world.add(Kind::Pair1, &Options::default()));
    world.connect(old, new);
    assert!(world.up().is_empty());
}

#[test]
fn version_1_counts_hops_on_the_wire() {
    let mut world = World::pair(Kind::Pair1, &Options::default());
    world.try_send(0, ContextId::DEFAULT, "hi").unwrap();
    assert_eq!(world.connections[0].ends[1].arrived[0][..], *b"\x00\x00\x00\x01hi");
}

#[test]
fn a_message_crosses_as_many_hops_as_allowed_and_no_more() {
    for ttl in [1, 2, 8, 254, 255] {
        let mut world = World::pair(Kind::Pair1, &Options { ttl, ..Options::default() });
        world.inject(0, 0, &[ttl.into()], b"far");
        assert_eq!(world.recv_all(0), ["far"]);
        if ttl < 255 {
            world.inject(0, 0, &[u32::from(ttl) + 1], b"too far");
            assert_eq!(world.recv_all(0), [""; 0]);
            assert_eq!(world.nodes[0].socket.stats().dropped_malformed, 1);
        }
        assert_eq!(world.up(), [0], "the connection stays");
    }
}

#[test]
fn a_header_that_makes_no_sense_costs_the_connection() {
    for wire in [&b""[..], b"abc", b"\x00\x00\x01\x00hi", b"\x80\x00\x00\x01hi"] {
        let mut world = World::pair(Kind::Pair1, &Options::default());
        world.inject(0, 0, &[], wire);
        assert!(world.up().is_empty());
        let down = |happening: &Happening| match happening {
            Happening::Event { node: 0, event: Event::PipeDown { reason, .. }, .. } => Some(reason.clone()),
            _ => None,
        };
        let reasons: Vec<DownReason> = world.story.iter().filter_map(|(_, happening)| down(happening)).collect();
        assert_eq!(reasons, [DownReason::Fault(PeerFault::Header)]);
        assert_eq!((world.nodes[0].socket.stats().peer_faults, world.nodes[0].socket.pipe_count()), (1, 0));
        world.connect(0, 1);
        world.try_send(1, ContextId::DEFAULT, "again").unwrap();
        assert_eq!(world.recv_all(0), ["again"]);
    }
}

/// The world may notice that the connection is gone before it is told to close it.
#[test]
fn a_pipe_that_was_given_up_keeps_its_place_until_its_connection_is_gone() {
    let attachment = Attachment { peer: Kind::Pair1.id(), endpoint: EndpointOptions::default() };
    for told in [true, false] {
        let mut socket = Socket::new(Kind::Pair1, Options::default(), 1).unwrap();
        let first = socket.attach(Time::ZERO, attachment).unwrap();
        socket.handle_message(Time::ZERO, first, Bytes::from("what?"));
        assert!(socket.has_disconnects() && !socket.admits(first));
        socket.handle_message(Time::ZERO, first, Bytes::from("and what?"));
        assert_eq!(socket.stats().peer_faults, 1, "it is not listened to any more");
        let second = socket.attach(Time::ZERO, attachment).unwrap();
        assert_ne!(first.slot(), second.slot());
        if told {
            assert_eq!(socket.poll_disconnect(), Some((first, DownReason::Fault(PeerFault::Header))));
        }
        socket.detach(Time::ZERO, first, DownReason::Lost);
        assert_eq!((socket.poll_disconnect(), socket.pipe_count()), (None, 1));
        assert_eq!((socket.stats().pipes_up, socket.stats().pipes_down), (2, 1), "it is down once");
        socket.detach(Time::ZERO, second, DownReason::Lost);
        assert_eq!(socket.attach(Time::ZERO, attachment).map(PipeId::slot), Ok(first.slot()));
    }
}
