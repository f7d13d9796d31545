//! One message to everyone, which PUB, BUS and SURVEYOR share.

use super::*;

for_kind!(
    publishing,
    Kind::Pub,
    [
        everyone_gets_it_and_the_body_is_shared,
        nobody_there_is_no_reason_to_wait,
        by_default_a_slow_peer_misses_what_is_new,
        drop_old_keeps_what_is_new,
        drop_old_makes_room_for_bytes,
        block_waits_for_the_slowest_that_says_so,
        disconnect_parts_with_the_slow_one_alone,
        a_blocking_peer_that_goes_sets_the_others_free,
    ]
);
for_kind!(
    bus,
    Kind::Bus,
    [
        everyone_gets_it_and_the_body_is_shared,
        nobody_there_is_no_reason_to_wait,
        by_default_a_slow_peer_misses_what_is_new,
        drop_old_keeps_what_is_new,
        drop_old_makes_room_for_bytes,
        block_waits_for_the_slowest_that_says_so,
        disconnect_parts_with_the_slow_one_alone,
        a_blocking_peer_that_goes_sets_the_others_free,
    ]
);
for_kind!(
    surveying,
    Kind::Surveyor,
    [
        everyone_gets_it_and_the_body_is_shared,
        nobody_there_is_no_reason_to_wait,
        by_default_a_slow_peer_misses_what_is_new,
        drop_old_keeps_what_is_new,
        drop_old_makes_room_for_bytes,
        block_waits_for_the_slowest_that_says_so,
        disconnect_parts_with_the_slow_one_alone,
        a_blocking_peer_that_goes_sets_the_others_free,
    ]
);

fn everyone_gets_it_and_the_body_is_shared(kind: Kind) {
    let mut world = crowd(kind, [None; 2]);
    let body = Bytes::from(vec![b'x'; 1_000]);
    let now = world.now;
    world.nodes[0].socket.try_send(now, ContextId::DEFAULT, body.clone()).unwrap();
    let pipes: Vec<PipeId> = std::iter::from_fn(|| world.nodes[0].socket.poll_output()).collect();
    assert_eq!(pipes.len(), 2);
    for pipe in pipes {
        let message = world.nodes[0].socket.poll_transmit(now, pipe).unwrap();
        world.nodes[0].transmitted += 1;
        assert_eq!(message.body.as_ptr(), body.as_ptr());
        assert_eq!(message.header.len() * 4, header_len(kind));
    }
    assert_eq!(world.nodes[0].socket.stats().sent, 2);
}

fn nobody_there_is_no_reason_to_wait(kind: Kind) {
    for when_full in WhenFull::ALL {
        let mut world = World::new(1);
        let node = world.add(kind, &Options { when_full: Some(when_full), ..Options::default() });
        assert_eq!(world.try_send(node, ContextId::DEFAULT, "hello?"), Ok(()));
        assert_eq!(world.nodes[node].socket.stats().dropped_no_peer, 1);
    }
}

fn by_default_a_slow_peer_misses_what_is_new(kind: Kind) {
    for when_full in [None, Some(WhenFull::DropNew)] {
        let mut world = crowd(kind, [when_full, None]);
        assert_eq!(send_while_the_first_is_held(&mut world, 5), 5);
        assert_eq!(heard(&world, 1), ["1", "2"]);
        assert_eq!(heard(&world, 2), ["1", "2", "3", "4", "5"]);
        let stats = world.nodes[0].socket.stats();
        assert_eq!((stats.dropped_full_new, stats.dropped_full_old, stats.sent), (3, 0, 7));
        let dropped = pipes(&world).map(|pipe| pipe.dropped_full_new);
        assert_eq!(dropped, [3, 0]);
    }
}

fn drop_old_keeps_what_is_new(kind: Kind) {
    let mut world = crowd(kind, [Some(WhenFull::DropOld), None]);
    assert_eq!(send_while_the_first_is_held(&mut world, 5), 5);
    assert_eq!(heard(&world, 1), ["4", "5"]);
    assert_eq!(heard(&world, 2), ["1", "2", "3", "4", "5"]);
    assert_eq!(world.nodes[0].socket.stats().dropped_full_old, 3);
    assert_eq!(pipes(&world).map(|pipe| pipe.dropped_full_old), [3, 0]);
}

fn drop_old_makes_room_for_bytes(kind: Kind) {
    let mut world = World::new(1);
    let options = Options { queue_bytes: 30, when_full: Some(WhenFull::DropOld), ..Options::default() };
    let (sender, peer) = (world.add(kind, &options), world.add(kind.partner(), &Options::default()));
    let connection = world.connect(sender, peer);
    world.hold(connection, 0, true);
    for body in ["a", "b", &"c".repeat(100), "d"] {
        world.try_send(sender, ContextId::DEFAULT, body.to_owned()).unwrap();
    }
    world.hold(connection, 0, false);
    assert_eq!(heard(&world, peer), ["d"], "the large one had to go as well");
    assert_eq!(world.nodes[sender].socket.stats().dropped_full_old, 3);
}

fn block_waits_for_the_slowest_that_says_so(kind: Kind) {
    let mut world = crowd(kind, [Some(WhenFull::Block), Some(WhenFull::DropNew)]);
    assert_eq!(send_while_the_first_is_held(&mut world, 5), 2);
    assert_eq!([heard(&world, 1), heard(&world, 2)], [["1", "2"], ["1", "2"]]);

    world.hold(0, 0, true);
    for body in ["3", "4"] {
        world.try_send(0, ContextId::DEFAULT, body).unwrap();
    }
    let waits = world.submit_send(0, ContextId::DEFAULT, "5", None);
    assert_eq!(world.answer(0, waits), None);
    world.hold(0, 0, false);
    assert_eq!(world.answer(0, waits), Some(&Answer::Sent));
    assert_eq!([heard(&world, 1), heard(&world, 2)], [["1", "2", "3", "4", "5"], ["1", "2", "3", "4", "5"]]);
}

fn disconnect_parts_with_the_slow_one_alone(kind: Kind) {
    let mut world = crowd(kind, [Some(WhenFull::Disconnect), None]);
    assert_eq!(send_while_the_first_is_held(&mut world, 5), 5);
    assert_eq!(world.up(), [1]);
    assert_eq!(heard(&world, 2), ["1", "2", "3", "4", "5"]);
    let stats = world.nodes[0].socket.stats();
    assert_eq!((stats.disconnected_slow, stats.dropped_unsent, stats.pipes_down), (1, 2, 1));
    let told = world.story.iter().any(|(_, happening)| {
        matches!(happening, Happening::Event { node: 0, event: Event::PipeDown { reason: DownReason::Slow, stats, .. }, .. }
            if (stats.sent, stats.dropped_unsent) == (2, 2))
    });
    assert!(told);
    // It may come back.
    world.connect(0, 1);
    world.try_send(0, ContextId::DEFAULT, "6").unwrap();
    assert_eq!(heard(&world, 1), ["6"]);
}

fn a_blocking_peer_that_goes_sets_the_others_free(kind: Kind) {
    let mut world = crowd(kind, [Some(WhenFull::Block), None]);
    world.hold(0, 0, true);
    for body in ["1", "2"] {
        world.try_send(0, ContextId::DEFAULT, body).unwrap();
    }
    let waits = world.submit_send(0, ContextId::DEFAULT, "3", None);
    assert_eq!(world.answer(0, waits), None);
    world.break_off(0);
    assert_eq!(world.answer(0, waits), Some(&Answer::Sent));
    assert_eq!(heard(&world, 2), ["1", "2", "3"]);
}

/// A sender, node 0, with a queue of two messages for each of its two peers, of which this becomes when it is full.
fn crowd(kind: Kind, when_full: [Option<WhenFull>; 2]) -> World {
    let mut world = World::new(1);
    let sender = world.add(kind, &Options { send_queue: 2, ..Options::default() });
    for when_full in when_full {
        let peer = world.add(kind.partner(), &Options::default());
        let endpoint = EndpointOptions { when_full, ..EndpointOptions::default() };
        world.connect_with([sender, peer], [endpoint, EndpointOptions::default()]);
    }
    world
}

/// Sends until it would have to wait; says how many were sent.
fn send_while_the_first_is_held(world: &mut World, count: usize) -> usize {
    world.hold(0, 0, true);
    let sent = (1..=count).take_while(|number| world.try_send(0, ContextId::DEFAULT, format!("{number}")).is_ok());
    let sent = sent.count();
    world.hold(0, 0, false);
    sent
}

/// What has arrived at a peer, over all of its connections.
fn heard(world: &World, peer: usize) -> Vec<String> {
    let ends = world.connections.iter().flat_map(|connection| &connection.ends).filter(|end| end.node == peer);
    let header = header_len(world.nodes[0].socket.kind());
    ends.flat_map(|end| &end.arrived).map(|wire| text(&wire[header..])).collect()
}

/// The counters of the sender's two pipes.
fn pipes(world: &World) -> [PipeStats; 2] {
    [0, 1].map(|connection: usize| {
        let pipe = world.connections[connection].ends[0].pipe.unwrap();
        world.nodes[0].socket.pipe_stats(pipe).unwrap()
    })
}
