//! Publishing and subscribing.

use super::*;

#[test]
fn without_a_subscription_nothing_is_received() {
    let mut world = audience(&[&[]]);
    world.try_send(0, ContextId::DEFAULT, "news").unwrap();
    assert_eq!(world.recv_all(1), [""; 0]);
    assert_eq!(world.nodes[1].socket.stats().filtered, 1);
}

#[test]
fn what_begins_with_a_subscription_is_received() {
    let mut world = audience(&[&["news", "a"], &[""], &["news/sport"]]);
    for body in ["news", "news/sport", "new", "weather", "abc", ""] {
        world.try_send(0, ContextId::DEFAULT, body).unwrap();
    }
    assert_eq!(world.recv_all(1), ["news", "news/sport", "abc"]);
    assert_eq!(world.recv_all(2).len(), 6);
    assert_eq!(world.recv_all(3), ["news/sport"]);
}

#[test]
fn a_subscription_ends_when_it_was_taken_back_as_often_as_it_was_made() {
    let mut world = audience(&[&["a", "a"]]);
    for left in [1, 0] {
        world.unsubscribe(1, ContextId::DEFAULT, b"a").unwrap();
        world.try_send(0, ContextId::DEFAULT, "abc").unwrap();
        assert_eq!(world.recv_all(1).len(), left);
    }
    assert!(matches!(world.unsubscribe(1, ContextId::DEFAULT, b"a"), Err(OpError::State(_))));
}

#[test]
fn a_subscriber_transmits_nothing_whatever_it_does() {
    let mut world = audience(&[&["a"]]);
    let context = world.open(1).unwrap();
    world.subscribe(1, context, b"b").unwrap();
    assert!(matches!(world.try_send(1, ContextId::DEFAULT, "psst"), Err(OpError::State(_))));
    world.unsubscribe(1, ContextId::DEFAULT, b"a").unwrap();
    world.end(1, context);
    world.close(1);
    assert_eq!(world.nodes[1].transmitted, 0);
    assert!(world.connections[0].ends[0].arrived.is_empty());
}

#[test]
fn what_a_subscriber_says_is_counted_and_thrown_away() {
    let mut world = World::pair(Kind::Pub, &Options::default());
    world.inject(0, 0, &[], b"\x01topic");
    assert_eq!((world.nodes[0].socket.stats().dropped_received, world.up()), (1, vec![0]));
    let pipe = world.connections[0].ends[0].pipe.unwrap();
    assert_eq!(world.nodes[0].socket.pipe_stats(pipe).unwrap().dropped_received, 1);
}

#[test]
fn the_queue_of_a_context_keeps_to_its_bytes_whatever_comes() {
    let options = Options { queue_bytes: 100, ..Options::default() };
    let mut world = World::pair(Kind::Pub, &options);
    let context = world.open(1).unwrap();
    world.subscribe(1, context, b"").unwrap();
    for size in [1; 99].into_iter().chain([90; 50]) {
        world.try_send(0, ContextId::DEFAULT, vec![7; size]).unwrap();
    }
    let sizes: Vec<usize> = std::iter::from_fn(|| world.try_recv(1, context).ok()).map(|body| body.len()).collect();
    assert_eq!(sizes, [90, 90], "it is full with the second, which may be larger than what is left");
}

#[test]
fn alone_the_default_context_holds_its_publisher_back() {
    let options = Options { recv_queue: 2, ..Options::default() };
    let mut world = World::new(1);
    let (publisher, subscriber) = (world.add(Kind::Pub, &Options::default()), world.add(Kind::Sub, &options));
    world.connect(publisher, subscriber);
    for number in 0..20 {
        world.try_send(publisher, ContextId::DEFAULT, format!("{number}")).unwrap();
    }
    assert!(world.nodes[subscriber].socket.stats().recv_queue_full > 0);
    assert_eq!(world.recv_all(subscriber).len(), 20, "nothing is lost");
}

#[test]
fn publishers_are_heard_by_their_priority() {
    let mut world = World::new(1);
    let [subscriber, low, high] = [Kind::Sub, Kind::Pub, Kind::Pub].map(|kind| world.add(kind, &Options::default()));
    world.connect_with([subscriber, low], [recv_first(9), EndpointOptions::default()]);
    world.connect_with([subscriber, high], [recv_first(1), EndpointOptions::default()]);
    for sender in [low, low, high] {
        world.try_send(sender, ContextId::DEFAULT, format!("from {sender}")).unwrap();
    }
    assert_eq!(world.recv_all(subscriber), ["from 2", "from 1", "from 1"]);
}

#[test]
fn each_context_receives_what_it_has_subscribed_to() {
    let mut world = audience(&[&["a"]]);
    let [one, two] = [0; 2].map(|_| world.open(1).unwrap());
    world.subscribe(1, one, b"b").unwrap();
    world.subscribe(1, two, b"").unwrap();
    let waits = world.submit_recv(1, one, None);
    for body in ["a1", "b1", "c1"] {
        world.try_send(0, ContextId::DEFAULT, body).unwrap();
    }
    assert_eq!(received(&world, 1, waits), "b1");
    assert_eq!(all_in(&mut world, ContextId::DEFAULT), ["a1"]);
    assert_eq!(all_in(&mut world, one), [""; 0]);
    assert_eq!(all_in(&mut world, two), ["a1", "b1", "c1"]);
}

#[test]
fn a_slow_context_holds_nobody_up() {
    for (when_full, slow_gets) in [(None, ["4", "5"]), (Some(WhenFull::DropNew), ["1", "2"])] {
        let mut world = World::new(1);
        let publisher = world.add(Kind::Pub, &Options::default());
        let subscriber = world.add(Kind::Sub, &Options { recv_queue: 2, when_full, ..Options::default() });
        world.connect(publisher, subscriber);
        let quick = world.open(subscriber).unwrap();
        world.subscribe(subscriber, quick, b"").unwrap();
        for number in 1..=5 {
            world.try_send(publisher, ContextId::DEFAULT, format!("{number}")).unwrap();
            assert_eq!(world.try_recv(subscriber, quick), Ok(Bytes::from(format!("{number}"))));
        }
        assert_eq!(world.recv_all(subscriber), slow_gets);
        let stats = world.nodes[subscriber].socket.stats();
        assert_eq!((stats.dropped_full_recv, stats.recv_queue_full), (3, 0));
    }
}

#[test]
fn what_waited_before_other_contexts_came_is_received_first_and_frees_the_pipe() {
    let mut world = World::new(1);
    let publisher = world.add(Kind::Pub, &Options::default());
    let subscriber = world.add(Kind::Sub, &Options { recv_queue: 2, ..Options::default() });
    world.connect(publisher, subscriber);
    let publish = |world: &mut World, number: usize| {
        world.try_send(publisher, ContextId::DEFAULT, format!("{number}")).unwrap();
    };
    (1..=4).for_each(|number| publish(&mut world, number));
    let other = world.open(subscriber).unwrap();
    world.subscribe(subscriber, other, b"").unwrap();
    assert_eq!(world.try_recv(subscriber, other), Err(OpError::WouldBlock), "what came before is not for it");
    assert_eq!(world.try_recv(subscriber, ContextId::DEFAULT), Ok(Bytes::from("3")));
    publish(&mut world, 5);
    world.end(subscriber, other);
    publish(&mut world, 6);
    assert_eq!(world.recv_all(subscriber), ["4", "5", "6"]);
}

#[test]
fn what_a_context_gives_back_it_receives_next() {
    let mut world = audience(&[&["a"]]);
    let context = world.open(1).unwrap();
    world.subscribe(1, context, b"a").unwrap();
    for body in ["a1", "a2"] {
        world.try_send(0, ContextId::DEFAULT, body).unwrap();
    }
    let first = world.try_recv(1, context).unwrap();
    world.put_back(1, context, first);
    assert_eq!(all_in(&mut world, context), ["a1", "a2"]);
    assert_eq!(all_in(&mut world, ContextId::DEFAULT), ["a1", "a2"]);
    let last = Bytes::from("a2");
    world.put_back(1, context, last.clone());
    world.end(1, context);
    assert_eq!(world.nodes[1].socket.stats().dropped_received, 1);
    world.put_back(1, context, last);
    assert_eq!(world.nodes[1].socket.stats().dropped_received, 2, "it has ended");
}

#[test]
fn subscriptions_are_bounded() {
    let mut world = World::new(1);
    world.curious = false;
    let node = world.add(Kind::Sub, &Options { max_subscriptions: 2, max_subscription_bytes: 5, ..Options::default() });
    let other = world.open(node).unwrap();
    world.subscribe(node, ContextId::DEFAULT, b"abc").unwrap();
    let too_long = world.subscribe(node, other, b"abc");
    assert!(matches!(too_long, Err(OpError::Full { limit: 5, option: "max_subscription_bytes", .. })));
    world.subscribe(node, other, b"de").unwrap();
    let too_many = world.subscribe(node, other, b"x");
    assert!(matches!(too_many, Err(OpError::Full { limit: 2, option: "max_subscriptions", .. })));
    // Once more of the same takes no room; what a context had is free when it ends.
    world.subscribe(node, ContextId::DEFAULT, b"abc").unwrap();
    world.end(node, other);
    world.subscribe(node, ContextId::DEFAULT, b"fg").unwrap();
    assert_eq!(world.subscribe(node, other, b""), Err(OpError::ContextClosed));
}

#[test]
fn only_a_sub_subscribes() {
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Sub) {
        let mut world = World::pair(kind, &Options::default());
        assert!(matches!(world.subscribe(0, ContextId::DEFAULT, b"a"), Err(OpError::State(_))));
        assert!(matches!(world.unsubscribe(0, ContextId::DEFAULT, b"a"), Err(OpError::State(_))));
    }
}

/// A publisher, node 0, and subscribers with these subscriptions.
fn audience(subscriptions: &[&[&str]]) -> World {
    let mut world = World::new(1);
    world.curious = false;
    let publisher = world.add(Kind::Pub, &Options::default());
    for prefixes in subscriptions {
        let subscriber = world.add(Kind::Sub, &Options::default());
        for prefix in *prefixes {
            world.subscribe(subscriber, ContextId::DEFAULT, prefix.as_bytes()).unwrap();
        }
        world.connect(publisher, subscriber);
    }
    world
}

/// Everything that can be received in a context of the first subscriber.
fn all_in(world: &mut World, context: ContextId) -> Vec<String> {
    std::iter::from_fn(|| world.try_recv(1, context).ok().map(|body| text(&body))).collect()
}
