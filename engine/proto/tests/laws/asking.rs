//! Requests.

use super::*;

#[test]
fn only_the_reply_to_the_outstanding_request_is_heard() {
    let mut world = World::pair(Kind::Req, &Options::default());
    world.try_send(0, ContextId::DEFAULT, "q").unwrap();
    let id = last_id(&world, 0, 1);
    let wrong = [id ^ 1, id.wrapping_add(1) | 1 << 31, id & !(1 << 31), 0, u32::MAX];
    for word in wrong {
        world.inject(0, 0, &[word], b"wrong");
    }
    // An id that is not the first word is no id.
    world.inject(0, 0, &[1, id], b"wrong");
    assert_eq!(world.try_recv(0, ContextId::DEFAULT), Err(OpError::WouldBlock));
    world.inject(0, 0, &[id], b"right");
    world.inject(0, 0, &[id], b"once more");
    assert_eq!(world.recv_all(0), ["right"]);
    assert_eq!(world.nodes[0].socket.stats().dropped_replies, 7);
    assert_eq!(world.up(), [0], "nobody loses a connection for it");
}

#[test]
fn a_reply_without_room_for_an_id_is_counted() {
    let mut world = World::pair(Kind::Req, &Options::default());
    world.try_send(0, ContextId::DEFAULT, "q").unwrap();
    for len in 0..4 {
        world.inject(0, 0, &[], &[255; 4][..len]);
    }
    assert_eq!(world.nodes[0].socket.stats().dropped_malformed, 4);
    assert_eq!(world.up(), [0]);
}

#[test]
fn a_reply_may_take_another_way_home() {
    let (mut world, [req, _, _]) = one_with_two(Kind::Req);
    world.try_send(req, ContextId::DEFAULT, "q").unwrap();
    let id = last_id(&world, 0, 1);
    world.inject(1, 0, &[id], b"from elsewhere");
    assert_eq!(world.recv_all(req), ["from elsewhere"]);
}

#[test]
fn ids_have_the_highest_bit_and_count_up_from_where_the_seed_says() {
    let ids = |seed| {
        let mut world = World::new(seed);
        let (req, rep) = (world.add(Kind::Req, &Options::default()), world.add(Kind::Rep, &Options::default()));
        world.connect(req, rep);
        [0; 5].map(|_| {
            world.try_send(req, ContextId::DEFAULT, "q").unwrap();
            last_id(&world, 0, 1)
        })
    };
    let first = ids(1);
    assert!(first.iter().all(|id| id >> 31 == 1));
    assert!(first.windows(2).all(|pair| pair[1] == pair[0] + 1), "{first:x?}");
    assert_ne!(first, ids(100));
}

#[test]
fn a_second_request_cancels_the_first() {
    let mut world = World::pair(Kind::Req, &Options::default());
    world.try_send(0, ContextId::DEFAULT, "first").unwrap();
    let ticket = world.submit_recv(0, ContextId::DEFAULT, None);
    let old = last_id(&world, 0, 1);
    world.try_send(0, ContextId::DEFAULT, "second").unwrap();
    assert!(matches!(world.answer(0, ticket), Some(Answer::Failed(OpError::Cancelled(_)))));

    let new = last_id(&world, 0, 1);
    world.inject(0, 0, &[old], b"late");
    assert_eq!(world.try_recv(0, ContextId::DEFAULT), Err(OpError::WouldBlock));
    world.inject(0, 0, &[new], b"in time");
    assert_eq!(world.recv_all(0), ["in time"]);
    assert_eq!(world.nodes[0].socket.stats().dropped_replies, 1);
}

#[test]
fn a_second_request_is_not_answered_with_what_was_given_back() {
    let mut world = World::pair(Kind::Req, &Options::default());
    world.try_send(0, ContextId::DEFAULT, "first").unwrap();
    answer(&mut world, 1);
    let reply = world.try_recv(0, ContextId::DEFAULT).unwrap();
    world.put_back(0, ContextId::DEFAULT, reply.clone());
    world.try_send(0, ContextId::DEFAULT, "second").unwrap();
    // Given back too late: it answers nothing any more.
    world.put_back(0, ContextId::DEFAULT, reply);
    assert_eq!(world.try_recv(0, ContextId::DEFAULT), Err(OpError::WouldBlock));
    answer(&mut world, 1);
    assert_eq!(world.recv_all(0), ["re: second"]);
    assert_eq!(world.nodes[0].socket.stats().dropped_replies, 2);
}

#[test]
fn a_reply_that_nobody_fetched_is_counted_when_it_is_forgotten() {
    let mut world = World::pair(Kind::Req, &Options::default());
    let context = world.open(0).unwrap();
    for context in [ContextId::DEFAULT, context] {
        world.try_send(0, context, "q").unwrap();
        answer(&mut world, 1);
    }
    world.try_send(0, ContextId::DEFAULT, "another").unwrap();
    assert_eq!(world.nodes[0].socket.stats().dropped_replies, 1);
    world.end(0, context);
    assert_eq!(world.nodes[0].socket.stats().dropped_replies, 2);
}

#[test]
fn a_new_conversation_begins_with_nothing() {
    let mut world = World::pair(Kind::Req, &Options::default());
    let context = world.open(0).unwrap();
    world.try_send(0, context, "q").unwrap();
    answer(&mut world, 1);
    let reply = world.try_recv(0, context).unwrap();
    world.end(0, context);
    world.put_back(0, context, reply);
    assert_eq!(world.open(0), Ok(context), "the number is used again");
    assert!(matches!(world.try_recv(0, context), Err(OpError::State(_))));
}

#[test]
fn a_request_whose_pipe_dies_is_sent_again_at_once() {
    let (mut world, [req, one, two]) = one_with_two(Kind::Req);
    world.try_send(req, ContextId::DEFAULT, "q").unwrap();
    let id = last_id(&world, 0, 1);
    world.break_off(0);
    assert_eq!((takers(&world, req), last_id(&world, 1, 1)), (vec![one, two], id), "it is the same request");
    assert_eq!((world.now, world.nodes[req].socket.stats().resends), (Time::ZERO, 1));

    // Nobody is left: it waits for somebody to come.
    world.break_off(1);
    world.advance(Duration::from_secs(3_600));
    assert_eq!(takers(&world, req).len(), 2);
    let last = world.connect(req, one);
    assert_eq!((takers(&world, req), last_id(&world, last, 1)), (vec![one, two, one], id));
    answer(&mut world, one);
    assert_eq!(world.recv_all(req), ["re: q"]);
}

#[test]
fn a_request_whose_pipe_lives_is_not_sent_again_when_another_dies() {
    let (mut world, [req, one, _]) = one_with_two(Kind::Req);
    world.try_send(req, ContextId::DEFAULT, "q").unwrap();
    world.break_off(1);
    assert_eq!(takers(&world, req), [one]);
}

#[test]
fn a_request_is_sent_again_to_the_next_when_its_time_is_over_and_not_before() {
    let (mut world, [req, one, two]) = one_with_two(Kind::Req);
    world.try_send(req, ContextId::DEFAULT, "q").unwrap();
    world.advance(Duration::from_secs(60) - Duration::from_nanos(1));
    assert_eq!(takers(&world, req), [one]);
    world.advance(Duration::from_nanos(1));
    assert_eq!(takers(&world, req), [one, two]);
    // The time counts from when it was sent last.
    world.advance(Duration::from_secs(60) - Duration::from_nanos(1));
    assert_eq!(takers(&world, req).len(), 2);
    world.advance(Duration::from_nanos(1));
    assert_eq!(takers(&world, req), [one, two, one]);
    assert_eq!(world.nodes[req].socket.stats().resends, 2);

    // Whoever answers first is heard; then there is nothing left to send.
    answer(&mut world, two);
    assert_eq!(world.recv_all(req), ["re: q"]);
    assert_eq!(world.nodes[req].socket.poll_timeout(), None);
    answer(&mut world, one);
    assert_eq!(world.nodes[req].socket.stats().dropped_replies, 1);
}

/// A request that kills one connection after the other: three times it is sent again at once, then it waits, even though
/// others could take it.
#[test]
fn a_request_that_brings_down_pipe_after_pipe_is_given_time() {
    let options = Options { reconnect_min: Duration::from_millis(10), ..Options::default() };
    let mut world = World::new(1);
    let req = world.add(Kind::Req, &options);
    for _ in 0..6 {
        let rep = world.add(Kind::Rep, &Options::default());
        world.connect(req, rep);
    }
    world.try_send(req, ContextId::DEFAULT, "deadly").unwrap();
    (0..4).for_each(|connection| world.break_off(connection));
    assert_eq!(takers(&world, req), [1, 2, 3, 4]);
    world.advance(Duration::from_nanos(9_999_999));
    assert_eq!(takers(&world, req).len(), 4);
    world.advance(Duration::from_nanos(1));
    assert_eq!(takers(&world, req), [1, 2, 3, 4, 5]);
    world.break_off(4);
    world.advance(Duration::from_nanos(19_999_999));
    assert_eq!(takers(&world, req).len(), 5);
    world.advance(Duration::from_nanos(1));
    assert_eq!(takers(&world, req), [1, 2, 3, 4, 5, 6]);
    let stats = world.nodes[req].socket.stats();
    assert_eq!((stats.resends, stats.resends_delayed), (5, 2));
    answer(&mut world, 6);
    assert_eq!(world.recv_all(req), ["re: deadly"]);

    // The next request begins anew.
    world.try_send(req, ContextId::DEFAULT, "harmless").unwrap();
    assert_eq!(takers(&world, req).len(), 7);
}

#[test]
fn a_request_that_is_given_time_can_be_answered_and_replaced() {
    let mut world = World::pair(Kind::Req, &Options { instant_resends: 0, ..Options::default() });
    world.try_send(0, ContextId::DEFAULT, "first").unwrap();
    let id = last_id(&world, 0, 1);
    world.break_off(0);
    let connection = world.connect(0, 1);
    assert_eq!(takers(&world, 0), [1], "it waits");
    world.inject(connection, 0, &[id], b"after all");
    assert_eq!(world.recv_all(0), ["after all"]);
    assert_eq!(world.nodes[0].socket.poll_timeout(), None);

    world.try_send(0, ContextId::DEFAULT, "second").unwrap();
    world.break_off(connection);
    world.connect(0, 1);
    world.try_send(0, ContextId::DEFAULT, "third").unwrap();
    world.advance(Duration::from_secs(1));
    assert_eq!(takers(&world, 0), [1, 1, 1]);
    assert_eq!(world.nodes[0].socket.stats().resends, 0);
}

#[test]
fn a_request_that_is_given_time_is_not_sent_by_its_old_clock() {
    let options = Options { instant_resends: 0, reconnect_min: Duration::from_millis(10), ..Options::default() };
    let mut world = World::new(1);
    let req = world.add(Kind::Req, &options);
    for _ in 0..2 {
        let rep = world.add(Kind::Rep, &Options::default());
        world.connect(req, rep);
    }
    world.try_send(req, ContextId::DEFAULT, "q").unwrap();
    world.advance(Duration::from_millis(59_995));
    world.break_off(0);
    world.advance(Duration::from_millis(9));
    assert_eq!(takers(&world, req), [1]);
    world.advance(Duration::from_millis(1));
    assert_eq!(takers(&world, req), [1, 2]);
}

#[test]
fn there_is_nothing_to_receive_before_something_was_asked() {
    let mut world = World::pair(Kind::Req, &Options::default());
    assert!(matches!(world.try_recv(0, ContextId::DEFAULT), Err(OpError::State(_))));
    let ticket = world.submit_recv(0, ContextId::DEFAULT, None);
    assert!(matches!(world.answer(0, ticket), Some(Answer::Failed(OpError::State(_)))));
}

#[test]
fn conversations_are_bounded_and_their_numbers_used_again() {
    let mut world = World::pair(Kind::Req, &Options { max_contexts: 3, ..Options::default() });
    let opened = [world.open(0), world.open(0)];
    assert!(matches!(world.open(0), Err(OpError::Full { limit: 3, option: "max_contexts", .. })));
    world.end(0, *opened[0].as_ref().unwrap());
    assert_eq!(world.open(0), opened[0]);
    world.end(0, ContextId::DEFAULT);
    assert_eq!(world.try_send(0, ContextId::DEFAULT, "the first one cannot be ended"), Ok(()));
    assert_eq!(world.try_send(0, ContextId::from_number(9), "q"), Err(OpError::ContextClosed));
}

#[test]
fn whoever_waits_in_a_conversation_hears_of_its_end() {
    let mut world = World::pair(Kind::Req, &Options::default());
    let context = world.open(0).unwrap();
    for context in [ContextId::DEFAULT, context] {
        world.try_send(0, context, "q").unwrap();
    }
    let [stays, goes] = [ContextId::DEFAULT, context].map(|context| world.submit_recv(0, context, None));
    world.end(0, context);
    assert_eq!(world.answer(0, goes), Some(&Answer::Failed(OpError::ContextClosed)));
    assert_eq!(world.answer(0, stays), None);
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn every_conversation_gets_its_own_reply(order in Just((0..20).collect::<Vec<usize>>()).prop_shuffle(), seed: u64) {
        let mut world = World::new(seed);
        let (req, rep) = (world.add(Kind::Req, &Options::default()), world.add(Kind::Rep, &Options::default()));
        world.connect(req, rep);
        let asking: Vec<ContextId> = (0..20).map(|_| world.open(req).unwrap()).collect();
        let answering: Vec<ContextId> = (0..20).map(|_| world.open(rep).unwrap()).collect();
        for (number, context) in asking.iter().enumerate() {
            world.try_send(req, *context, format!("{number}")).unwrap();
            prop_assert_eq!(world.try_recv(rep, answering[number]), Ok(Bytes::from(format!("{number}"))));
        }
        for number in order {
            world.try_send(rep, answering[number], format!("re: {number}")).unwrap();
        }
        for (number, context) in asking.iter().enumerate() {
            prop_assert_eq!(world.try_recv(req, *context), Ok(Bytes::from(format!("re: {number}"))));
        }
    }
}
