//! Everyone to everyone.

use super::*;

#[test]
fn nobody_hears_themselves_and_nothing_is_handed_on() {
    // A chain: 0 — 1 — 2.
    let mut world = World::new(1);
    let [a, b, c] = [0; 3].map(|_| world.add(Kind::Bus, &Options::default()));
    world.connect(a, b);
    world.connect(b, c);
    world.try_send(a, ContextId::DEFAULT, "from a").unwrap();
    assert_eq!([a, b, c].map(|node| world.recv_all(node)), [vec![], vec!["from a".to_owned()], vec![]]);
    world.try_send(b, ContextId::DEFAULT, "from b").unwrap();
    assert_eq!([a, b, c].map(|node| world.recv_all(node).len()), [1, 0, 1]);
}

#[test]
fn peers_are_heard_by_their_priority() {
    let mut world = World::new(1);
    let [node, low, high] = [0; 3].map(|_| world.add(Kind::Bus, &Options::default()));
    world.connect_with([node, low], [recv_first(9), EndpointOptions::default()]);
    world.connect_with([node, high], [recv_first(1), EndpointOptions::default()]);
    for sender in [low, low, high] {
        world.try_send(sender, ContextId::DEFAULT, format!("from {sender}")).unwrap();
    }
    assert_eq!(world.recv_all(node), ["from 2", "from 1", "from 1"]);
}
