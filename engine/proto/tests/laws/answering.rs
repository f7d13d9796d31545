//! Replies.

use super::*;

#[test]
fn a_reply_goes_home_and_nowhere_else() {
    let (mut world, [rep, one, two]) = one_with_two(Kind::Rep);
    for asker in [one, two, one] {
        world.try_send(asker, ContextId::DEFAULT, format!("from {asker}")).unwrap();
        answer(&mut world, rep);
        assert_eq!(world.recv_all(asker), [format!("re: from {asker}")]);
    }
    assert_eq!(takers(&world, rep), [one, two, one]);
}

#[test]
fn routing_words_go_home_as_they_came() {
    let mut world = World::pair(Kind::Rep, &Options::default());
    world.inject(0, 0, &[0x1234_5678, 0, 0x8000_0001], b"hello");
    assert_eq!(answer(&mut world, 0), "hello");
    let home = world.connections[0].ends[1].arrived.last().unwrap();
    assert_eq!(home[..], *b"\x12\x34\x56\x78\x00\x00\x00\x00\x80\x00\x00\x01re: hello");
}

#[test]
fn a_request_crosses_as_many_devices_as_allowed_and_no_more() {
    for ttl in [1, 2, 8, 15, 255] {
        let mut world = World::pair(Kind::Rep, &Options { ttl, ..Options::default() });
        let mut words: Vec<u32> = (1..ttl.into()).collect();
        words.push(1 << 31);
        world.inject(0, 0, &words, b"far");
        assert_eq!(world.recv_all(0), ["far"], "{ttl} words");
        words.insert(0, 7);
        world.inject(0, 0, &words, b"too far");
        assert_eq!(world.recv_all(0), [""; 0], "{} words", words.len());
        assert_eq!(world.nodes[0].socket.stats().dropped_malformed, 1);
        assert_eq!(world.up(), [0], "the connection stays");
    }
}

#[test]
fn a_header_that_does_not_end_is_counted() {
    let mut world = World::pair(Kind::Rep, &Options::default());
    for len in 0..8 {
        world.inject(0, 0, &[], &[0x7f; 8][..len]);
    }
    world.inject(0, 0, &[1; 400], b"");
    assert_eq!(world.nodes[0].socket.stats().dropped_malformed, 9);
    assert_eq!(world.up(), [0]);
    world.inject(0, 0, &[1 << 31], b"");
    assert_eq!(world.recv_all(0), [""], "a request may be empty");
}

#[test]
fn a_reply_whose_asker_is_gone_is_counted() {
    let (mut world, [rep, one, two]) = one_with_two(Kind::Rep);
    world.try_send(one, ContextId::DEFAULT, "q").unwrap();
    let request = world.try_recv(rep, ContextId::DEFAULT).unwrap();
    world.break_off(0);
    // Another pipe in the old one's place is somebody else's.
    world.connect(rep, two);
    assert_eq!(world.try_send(rep, ContextId::DEFAULT, request), Ok(()));
    assert_eq!(world.nodes[rep].socket.stats().dropped_orphans, 1);
    assert_eq!(takers(&world, rep), [0; 0]);
}

#[test]
fn a_request_whose_asker_is_gone_is_not_worth_answering() {
    let (mut world, [rep, one, two]) = one_with_two(Kind::Rep);
    for asker in [one, two] {
        world.try_send(asker, ContextId::DEFAULT, format!("from {asker}")).unwrap();
    }
    world.break_off(0);
    assert_eq!(world.recv_all(rep), [format!("from {two}")]);
    assert_eq!(world.nodes[rep].socket.stats().dropped_received, 1);
}

#[test]
fn there_is_one_reply_to_one_request() {
    let mut world = World::pair(Kind::Rep, &Options::default());
    assert!(matches!(world.try_send(0, ContextId::DEFAULT, "unasked"), Err(OpError::State(_))));
    world.try_send(1, ContextId::DEFAULT, "q").unwrap();
    answer(&mut world, 0);
    assert!(matches!(world.try_send(0, ContextId::DEFAULT, "again"), Err(OpError::State(_))));
}

#[test]
fn receiving_another_request_abandons_the_one_in_hand() {
    let (mut world, [rep, one, two]) = one_with_two(Kind::Rep);
    world.try_send(one, ContextId::DEFAULT, "first").unwrap();
    world.try_recv(rep, ContextId::DEFAULT).unwrap();
    assert_eq!(world.try_recv(rep, ContextId::DEFAULT), Err(OpError::WouldBlock), "it is still in hand");
    world.try_send(two, ContextId::DEFAULT, "second").unwrap();
    world.try_recv(rep, ContextId::DEFAULT).unwrap();
    world.try_send(rep, ContextId::DEFAULT, "re").unwrap();
    assert_eq!(takers(&world, rep), [two]);
}

#[test]
fn a_reply_that_waits_is_not_given_to_the_next_asker() {
    let options = Options { send_queue: 1, ..Options::default() };
    let mut world = World::new(1);
    let rep = world.add(Kind::Rep, &options);
    let [one, two] = [0, 1].map(|_| world.add(Kind::Req, &options));
    let slow = world.connect(rep, one);
    world.connect(rep, two);
    world.hold(slow, 0, true);
    let other = world.open(one).unwrap();
    world.try_send(one, other, "fills the queue").unwrap();
    answer(&mut world, rep);

    world.try_send(one, ContextId::DEFAULT, "from one").unwrap();
    world.try_recv(rep, ContextId::DEFAULT).unwrap();
    let waits = world.submit_send(rep, ContextId::DEFAULT, "to one", None);
    assert_eq!(world.answer(rep, waits), None);
    world.try_send(two, ContextId::DEFAULT, "from two").unwrap();
    world.try_recv(rep, ContextId::DEFAULT).unwrap();
    assert!(matches!(world.answer(rep, waits), Some(Answer::Failed(OpError::Cancelled(_)))));
    world.hold(slow, 0, false);
    assert!(world.recv_all(two).is_empty());
}

#[test]
fn a_reply_that_waits_does_not_hold_up_those_to_others() {
    let options = Options { send_queue: 1, ..Options::default() };
    let mut world = World::new(1);
    let rep = world.add(Kind::Rep, &options);
    let [slow, quick] = [0, 1].map(|_| world.add(Kind::Req, &options));
    let connections = [slow, quick].map(|asker| world.connect(rep, asker));
    connections.iter().for_each(|connection| world.hold(*connection, 0, true));
    let mut tickets = vec![];
    for asker in [slow, slow, quick, quick] {
        let (there, here) = (world.open(asker).unwrap(), world.open(rep).unwrap());
        world.try_send(asker, there, "q").unwrap();
        world.try_recv(rep, here).unwrap();
        tickets.push(world.submit_send(rep, here, "re", None));
    }
    let answered =
        |world: &World| tickets.iter().map(|ticket| world.answer(rep, *ticket).is_some()).collect::<Vec<_>>();
    assert_eq!(answered(&world), [true, false, true, false]);
    world.hold(connections[1], 0, false);
    assert_eq!(answered(&world), [true, false, true, true]);
    world.break_off(connections[0]);
    assert_eq!(answered(&world), [true; 4], "with nobody there it need not wait");
    assert_eq!(world.nodes[rep].socket.stats().dropped_orphans, 1);
}

#[test]
fn what_one_conversation_gives_back_does_not_wait_for_another() {
    let mut world = World::pair(Kind::Rep, &Options::default());
    let (a, b) = (ContextId::DEFAULT, world.open(0).unwrap());
    let first = world.submit_recv(0, b, None);
    let longer = world.submit_recv(0, a, None);
    let second = world.submit_recv(0, b, None);
    world.try_send(1, ContextId::DEFAULT, "q").unwrap();
    assert_eq!(received(&world, 0, first), "q");
    world.put_back(0, b, Bytes::from("q"));
    assert_eq!(world.answer(0, longer), None, "it has been waiting longer, but in another conversation");
    assert_eq!(received(&world, 0, second), "q");
    assert_eq!(world.try_send(0, b, "re"), Ok(()));
    assert_eq!(world.recv_all(1), ["re"]);
}

#[test]
fn a_request_that_was_given_back_to_a_conversation_that_ends_is_counted() {
    let mut world = World::pair(Kind::Rep, &Options::default());
    let context = world.open(0).unwrap();
    world.try_send(1, ContextId::DEFAULT, "ask").unwrap();
    let request = world.try_recv(0, context).unwrap();
    world.put_back(0, context, request);
    world.end(0, context);
    assert_eq!(world.nodes[0].socket.stats().dropped_received, 1);
}
