//! Surveys.

use super::*;

#[test]
fn everyone_is_asked_and_every_answer_in_time_is_received() {
    let (mut world, [surveyor, one, two]) = one_with_two(Kind::Surveyor);
    world.try_send(surveyor, ContextId::DEFAULT, "who?").unwrap();
    for node in [one, two] {
        assert_eq!(world.try_recv(node, ContextId::DEFAULT), Ok(Bytes::from("who?")));
        world.try_send(node, ContextId::DEFAULT, format!("{node}")).unwrap();
    }
    assert_eq!(world.recv_all(surveyor), ["1", "2"]);
    assert_eq!(world.try_recv(surveyor, ContextId::DEFAULT), Err(OpError::WouldBlock), "there may be more");
}

#[test]
fn the_deadline_passes_at_its_nanosecond() {
    for (after, in_time) in [(999_999_999, true), (1_000_000_000, false), (1_000_000_001, false)] {
        let mut world = World::pair(Kind::Surveyor, &Options::default());
        world.try_send(0, ContextId::DEFAULT, "who?").unwrap();
        assert_eq!(world.nodes[0].socket.poll_timeout(), Some(Time::from_nanos(1_000_000_000)));
        world.try_recv(1, ContextId::DEFAULT).unwrap();
        world.advance(Duration::from_nanos(after));
        world.try_send(1, ContextId::DEFAULT, "me").unwrap();
        assert_eq!(world.recv_all(0).len(), usize::from(in_time), "after {after} ns");
        assert_eq!(world.nodes[0].socket.stats().dropped_replies, u64::from(!in_time));
    }
}

#[test]
fn the_deadline_needs_no_timeout_to_be_told() {
    let mut world = World::pair(Kind::Surveyor, &Options::default());
    world.try_send(0, ContextId::DEFAULT, "who?").unwrap();
    let id = last_id(&world, 0, 1);
    let waits = world.submit_recv(0, ContextId::DEFAULT, None);
    // The world is late: the answer comes before it says what time it is.
    world.now = Time::from_nanos(1_000_000_000);
    world.inject(0, 0, &[id], b"late");
    assert_eq!(world.answer(0, waits), Some(&Answer::Failed(OpError::TimedOut)));
    assert!(matches!(world.try_recv(0, ContextId::DEFAULT), Err(OpError::State(_))));
}

#[test]
fn whoever_waits_when_it_is_over_hears_so_and_then_there_is_nothing_to_receive() {
    let mut world = World::pair(Kind::Surveyor, &Options::default());
    assert!(matches!(world.try_recv(0, ContextId::DEFAULT), Err(OpError::State(_))));
    world.try_send(0, ContextId::DEFAULT, "who?").unwrap();
    let tickets = [0; 2].map(|_| world.submit_recv(0, ContextId::DEFAULT, None));
    world.advance(Duration::from_nanos(999_999_999));
    assert_eq!(tickets.map(|ticket| world.answer(0, ticket).is_some()), [false; 2]);
    world.advance(Duration::from_nanos(1));
    for ticket in tickets {
        assert_eq!(world.answer(0, ticket), Some(&Answer::Failed(OpError::TimedOut)));
    }
    assert!(matches!(world.try_recv(0, ContextId::DEFAULT), Err(OpError::State(_))));
    assert_eq!(world.nodes[0].socket.poll_timeout(), None);
}

#[test]
fn an_answer_that_came_in_time_can_be_received_later() {
    let mut world = World::pair(Kind::Surveyor, &Options::default());
    world.try_send(0, ContextId::DEFAULT, "who?").unwrap();
    answer(&mut world, 1);
    world.advance(Duration::from_secs(5));
    assert_eq!(world.recv_all(0), ["re: who?"]);
    assert!(matches!(world.try_recv(0, ContextId::DEFAULT), Err(OpError::State(_))));
}

#[test]
fn a_second_survey_cancels_the_first() {
    let mut world = World::pair(Kind::Surveyor, &Options::default());
    world.try_send(0, ContextId::DEFAULT, "first").unwrap();
    let old = last_id(&world, 0, 1);
    let waits = world.submit_recv(0, ContextId::DEFAULT, None);
    world.advance(Duration::from_millis(900));
    world.try_send(0, ContextId::DEFAULT, "second").unwrap();
    assert!(matches!(world.answer(0, waits), Some(Answer::Failed(OpError::Cancelled(_)))));
    assert_eq!(last_id(&world, 0, 1), old.wrapping_add(1) | 1 << 31);
    world.inject(0, 0, &[old], b"late");
    assert_eq!(world.try_recv(0, ContextId::DEFAULT), Err(OpError::WouldBlock));
    assert_eq!(world.nodes[0].socket.stats().dropped_replies, 1);
    world.advance(Duration::from_millis(999));
    answer(&mut world, 1);
    answer(&mut world, 1);
    assert_eq!(world.recv_all(0), ["re: second"], "its time counts from when it was sent");
}

#[test]
fn surveys_of_several_contexts_run_side_by_side_each_for_its_own_time() {
    let mut world = World::pair(Kind::Surveyor, &Options::default());
    let other = world.open(0).unwrap();
    world.nodes[0].socket.set_survey_deadline(other, Duration::from_millis(10)).unwrap();
    for (context, body) in [(ContextId::DEFAULT, "long"), (other, "short")] {
        world.try_send(0, context, body).unwrap();
    }
    let [long, short] = [ContextId::DEFAULT, other].map(|context| world.submit_recv(0, context, None));
    world.advance(Duration::from_millis(10));
    assert_eq!(world.answer(0, short), Some(&Answer::Failed(OpError::TimedOut)));
    answer(&mut world, 1);
    answer(&mut world, 1);
    assert_eq!(received(&world, 0, long), "re: long");
    assert_eq!(world.nodes[0].socket.stats().dropped_replies, 1);
}

#[test]
fn a_survey_deadline_is_more_than_nothing_and_only_for_surveyors() {
    for kind in Kind::ALL {
        let mut socket = Socket::new(kind, Options::default(), 1).unwrap();
        let set = socket.set_survey_deadline(ContextId::DEFAULT, Duration::from_millis(1));
        assert_eq!(set.is_ok(), kind == Kind::Surveyor);
        assert!(socket.set_survey_deadline(ContextId::DEFAULT, Duration::ZERO).is_err());
    }
    let zero = Options { survey_deadline: Duration::ZERO, ..Options::default() };
    assert!(Socket::new(Kind::Surveyor, zero, 1).is_err());
}

#[test]
fn answers_that_nobody_receives_are_bounded_and_counted() {
    let mut world = World::new(1);
    let surveyor = world.add(Kind::Surveyor, &Options { recv_queue: 2, ..Options::default() });
    for _ in 0..5 {
        let respondent = world.add(Kind::Respondent, &Options::default());
        world.connect(surveyor, respondent);
    }
    world.try_send(surveyor, ContextId::DEFAULT, "who?").unwrap();
    (1..=5).for_each(|respondent| drop(answer(&mut world, respondent)));
    assert_eq!(world.recv_all(surveyor).len(), 2);
    assert_eq!(world.nodes[surveyor].socket.stats().dropped_full_recv, 3);
}

#[test]
fn what_was_given_back_is_received_next_unless_something_else_was_asked() {
    let (mut world, [surveyor, one, two]) = one_with_two(Kind::Surveyor);
    world.try_send(surveyor, ContextId::DEFAULT, "who?").unwrap();
    for node in [one, two] {
        answer(&mut world, node);
    }
    let first = world.try_recv(surveyor, ContextId::DEFAULT).unwrap();
    world.put_back(surveyor, ContextId::DEFAULT, first.clone());
    assert_eq!(world.recv_all(surveyor).len(), 2);
    world.try_send(surveyor, ContextId::DEFAULT, "and now?").unwrap();
    world.put_back(surveyor, ContextId::DEFAULT, first);
    assert_eq!(world.try_recv(surveyor, ContextId::DEFAULT), Err(OpError::WouldBlock));
    assert_eq!(world.nodes[surveyor].socket.stats().dropped_replies, 1);
}

#[test]
fn by_default_an_answer_does_not_wait_for_a_slow_surveyor() {
    for (when_full, results) in [
        (None, [Ok(()), Ok(()), Ok(())]),
        (Some(WhenFull::Block), [Ok(()), Err(OpError::WouldBlock), Err(OpError::WouldBlock)]),
        (Some(WhenFull::DropOld), [Ok(()), Ok(()), Ok(())]),
        (Some(WhenFull::Disconnect), [Ok(()), Ok(()), Ok(())]),
    ] {
        let mut world = World::new(1);
        let respondent = world.add(Kind::Respondent, &Options { send_queue: 1, when_full, ..Options::default() });
        let surveyor = world.add(Kind::Surveyor, &Options::default());
        let connection = world.connect(respondent, surveyor);
        world.hold(connection, 0, true);
        let given = [0; 3].map(|_| {
            let (there, here) = (world.open(surveyor).unwrap(), world.open(respondent).unwrap());
            world.try_send(surveyor, there, "who?").unwrap();
            world.try_recv(respondent, here).map_or(Ok(()), |_| world.try_send(respondent, here, "me"))
        });
        assert_eq!(given, results, "{when_full:?}");
        let stats = *world.nodes[respondent].socket.stats();
        let counted = (stats.dropped_full_new, stats.dropped_full_old, stats.disconnected_slow);
        let expected = match when_full {
            None | Some(WhenFull::DropNew) => (2, 0, 0),
            Some(WhenFull::Block) => (0, 0, 0),
            Some(WhenFull::DropOld) => (0, 2, 0),
            Some(WhenFull::Disconnect) => (0, 0, 1),
        };
        assert_eq!(counted, expected, "{when_full:?}");
    }
}

#[test]
fn an_answer_without_room_for_an_id_is_counted() {
    let mut world = World::pair(Kind::Surveyor, &Options::default());
    world.inject(0, 0, &[], b"abc");
    assert_eq!((world.nodes[0].socket.stats().dropped_malformed, world.up()), (1, vec![0]));
}

#[test]
fn a_survey_and_its_answer_may_be_empty() {
    let mut world = World::pair(Kind::Surveyor, &Options::default());
    world.try_send(0, ContextId::DEFAULT, "").unwrap();
    assert_eq!(world.try_recv(1, ContextId::DEFAULT).unwrap(), "");
    world.try_send(1, ContextId::DEFAULT, "").unwrap();
    assert_eq!(world.recv_all(0), [""]);
}

#[test]
fn who_waits_in_a_conversation_of_its_own_hears_its_answer() {
    let mut world = World::pair(Kind::Surveyor, &Options::default());
    let context = world.open(0).unwrap();
    world.try_send(0, context, "ask").unwrap();
    let ticket = world.submit_recv(0, context, None);
    answer(&mut world, 1);
    assert_eq!(received(&world, 0, ticket), "re: ask");
}

#[test]
fn no_more_answers_are_given_back_than_were_taken() {
    let mut world = World::pair(Kind::Surveyor, &Options::default());
    world.try_send(0, ContextId::DEFAULT, "ask").unwrap();
    answer(&mut world, 1);
    let taken = world.try_recv(0, ContextId::DEFAULT).unwrap();
    world.put_back(0, ContextId::DEFAULT, taken.clone());
    world.put_back(0, ContextId::DEFAULT, taken);
    assert_eq!(world.nodes[0].socket.stats().dropped_replies, 1);
    assert_eq!(world.recv_all(0), ["re: ask"]);
}

#[test]
fn one_peer_gives_so_many_answers_from_one_survey_to_the_next() {
    let mut world = World::pair(Kind::Surveyor, &Options { max_answers: 3, ..Options::default() });
    for survey in 1..=2 {
        world.try_send(0, ContextId::DEFAULT, "who?").unwrap();
        let id = last_id(&world, 0, 1);
        for number in 0..5 {
            world.inject(0, 0, &[id], format!("{number}").as_bytes());
        }
        assert_eq!(world.recv_all(0), ["0", "1", "2"], "in survey {survey}");
        assert_eq!(world.nodes[0].socket.stats().dropped_replies, 2 * survey);
    }
    // Answers to nothing take nothing away.
    world.try_send(0, ContextId::DEFAULT, "who?").unwrap();
    let id = last_id(&world, 0, 1);
    for _ in 0..9 {
        world.inject(0, 0, &[id ^ 1], b"invented");
    }
    world.inject(0, 0, &[id], b"right");
    assert_eq!(world.recv_all(0), ["right"]);
    assert!(Socket::new(Kind::Surveyor, Options { max_answers: 0, ..Options::default() }, 1).is_err());
}
