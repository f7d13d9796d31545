//! Outbound priorities, which PUSH and REQ share.

use super::*;

for_kind!(
    push,
    Kind::Push,
    [
        the_best_is_served_alone,
        the_next_best_takes_over_and_gives_back_at_once,
        equals_take_turns,
        a_newcomer_joins_the_turns_of_its_level,
        under_back_pressure_the_next_best_helps_out,
        a_sender_with_two_receivers_prefers_one_and_fails_over,
        a_pipe_that_is_gone_is_not_sent_to,
    ]
);
for_kind!(
    req,
    Kind::Req,
    [
        the_best_is_served_alone,
        the_next_best_takes_over_and_gives_back_at_once,
        equals_take_turns,
        a_newcomer_joins_the_turns_of_its_level,
        under_back_pressure_the_next_best_helps_out,
        a_sender_with_two_receivers_prefers_one_and_fails_over,
        a_pipe_that_is_gone_is_not_sent_to,
    ]
);

fn the_best_is_served_alone(kind: Kind) {
    for best in 1..16 {
        let mut world = fan(kind, &[16, best, best + 1]);
        assert_eq!(send(&mut world, 4), [2, 2, 2, 2], "priority {best}");
    }
}

fn the_next_best_takes_over_and_gives_back_at_once(kind: Kind) {
    let mut world = fan(kind, &[1, 8, 16]);
    assert_eq!(send(&mut world, 2), [1, 1]);
    world.break_off(0);
    let before = takers(&world, 0).len();
    assert_eq!(send(&mut world, 2), [2, 2]);
    world.break_off(1);
    assert_eq!(send(&mut world, 2), [3, 3]);
    world.connect_with([0, 1], [send_first(1), EndpointOptions::default()]);
    assert_eq!(send(&mut world, 2), [1, 1]);
    // A request that was under way has followed, too; a message has not.
    let moved = takers(&world, 0).len() - before - 6;
    assert_eq!(moved, if kind == Kind::Req { 1 } else { 0 });
}

fn equals_take_turns(kind: Kind) {
    let mut world = fan(kind, &[5, 5, 9, 5]);
    assert_eq!(send(&mut world, 7), [1, 2, 4, 1, 2, 4, 1]);
    world.break_off(1);
    assert_eq!(send(&mut world, 4), [4, 1, 4, 1]);
}

fn a_newcomer_joins_the_turns_of_its_level(kind: Kind) {
    let mut world = fan(kind, &[5, 5]);
    assert_eq!(send(&mut world, 1), [1]);
    let newcomer = world.add(kind.partner(), &Options::default());
    world.connect_with([0, newcomer], [send_first(5), EndpointOptions::default()]);
    let round: BTreeSet<usize> = send(&mut world, 3).into_iter().collect();
    assert_eq!(round, [1, 2, 3].into());
}

fn under_back_pressure_the_next_best_helps_out(kind: Kind) {
    let mut world = World::new(1);
    let sender = world.add(kind, &Options { send_queue: 2, ..Options::default() });
    for level in [1, 2] {
        let taker = world.add(kind.partner(), &Options::default());
        world.connect_with([sender, taker], [send_first(level), EndpointOptions::default()]);
    }
    world.hold(0, 0, true);
    for _ in 0..5 {
        let context = another(&mut world);
        world.try_send(sender, context, "m").unwrap();
    }
    assert_eq!((takers(&world, sender), world.nodes[sender].socket.unsent()), (vec![2, 2, 2], 2));
    world.hold(0, 0, false);
    assert_eq!(takers(&world, sender), [2, 2, 2, 1, 1]);
    let context = another(&mut world);
    world.try_send(sender, context, "m").unwrap();
    assert_eq!(takers(&world, sender).last(), Some(&1));
}

/// Two receivers listen, one sender dials both, the first at 1 and the second at 2. Everything goes to the first,
/// until it is closed; then to the second.
fn a_sender_with_two_receivers_prefers_one_and_fails_over(kind: Kind) {
    let mut world = fan(kind, &[1, 2]);
    assert_eq!(send(&mut world, 2), [1, 1]);
    world.close(1);
    assert_eq!(send(&mut world, 1), [2]);
}

/// One receiver comes and goes. While it is away nothing can be sent; when it is back, everything can.
fn a_pipe_that_is_gone_is_not_sent_to(kind: Kind) {
    let mut world = fan(kind, &[8]);
    assert_eq!(send(&mut world, 1), [1]);
    world.restart(1);
    let patience = Some(world.now + Duration::from_millis(100));
    let ticket = if kind == Kind::Push {
        world.submit_send(0, ContextId::DEFAULT, "m", patience)
    } else {
        // Asking never waits; hearing does.
        world.try_send(0, ContextId::DEFAULT, "m").unwrap();
        world.submit_recv(0, ContextId::DEFAULT, patience)
    };
    world.advance(Duration::from_millis(100));
    assert_eq!(world.answer(0, ticket), Some(&Answer::Failed(OpError::TimedOut)));
    assert_eq!(takers(&world, 0), [1]);
    world.connect(0, 1);
    assert_eq!(send(&mut world, 1), [1]);
}

/// Two senders listen, one receiver dials them, the first at 2 and the second at 1. Both send, and the second one's
/// message is received first.
#[test]
fn a_receiver_with_two_senders_hears_the_better_one_first() {
    let mut world = World::new(1);
    let [pull, low, high] = [Kind::Pull, Kind::Push, Kind::Push].map(|kind| world.add(kind, &Options::default()));
    world.connect_with([pull, low], [recv_first(2), EndpointOptions::default()]);
    world.connect_with([pull, high], [recv_first(1), EndpointOptions::default()]);
    for (node, body) in [(low, "low 1"), (low, "low 2"), (high, "high 1"), (high, "high 2")] {
        world.try_send(node, ContextId::DEFAULT, body).unwrap();
    }
    assert_eq!(world.recv_all(pull), ["high 1", "high 2", "low 1", "low 2"]);
}

/// A sender, node 0, and a receiver for each priority.
fn fan(kind: Kind, levels: &[i64]) -> World {
    let mut world = World::new(1);
    let sender = world.add(kind, &Options::default());
    for level in levels {
        let taker = world.add(kind.partner(), &Options::default());
        world.connect_with([sender, taker], [send_first(*level), EndpointOptions::default()]);
    }
    world
}

/// Sends one message after the other; says who got each.
fn send(world: &mut World, count: usize) -> Vec<usize> {
    (0..count)
        .map(|_| {
            let before = takers(world, 0).len();
            world.try_send(0, ContextId::DEFAULT, "m").unwrap();
            let takers = takers(world, 0);
            assert_eq!(takers.len(), before + 1, "it went to one");
            takers[before]
        })
        .collect()
}

/// A conversation in which nothing is under way.
fn another(world: &mut World) -> ContextId {
    world.open(0).unwrap_or(ContextId::DEFAULT)
}
