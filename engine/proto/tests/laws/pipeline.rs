//! Work handed out and taken in.

use super::*;

#[test]
fn messages_that_arrived_outlive_their_pipe() {
    let (mut world, [pull, one, two]) = one_with_two(Kind::Pull);
    for (node, body) in [(one, "a1"), (two, "b1"), (one, "a2"), (two, "b2"), (one, "a3")] {
        world.try_send(node, ContextId::DEFAULT, body).unwrap();
    }
    world.close(one);
    assert_eq!(world.nodes[pull].socket.pipe_count(), 2, "it counts until its last message is received");
    assert_eq!(world.recv_all(pull), ["a1", "b1", "a2", "b2", "a3"]);
    assert_eq!(world.nodes[pull].socket.pipe_count(), 1);
    assert_eq!(world.nodes[pull].socket.stats().dropped_received, 0);
}

#[test]
fn a_pipe_that_is_gone_is_not_read_from_again() {
    let mut pull = Socket::new(Kind::Pull, Options { recv_queue: 1, ..Options::default() }, 1).unwrap();
    let attachment = Attachment { peer: Kind::Push.id(), endpoint: EndpointOptions::default() };
    for gone in [false, true] {
        let pipe = pull.attach(Time::ZERO, attachment).unwrap();
        pull.handle_message(Time::ZERO, pipe, Bytes::from("m"));
        assert!(!pull.admits(pipe));
        assert_eq!(pull.try_recv(Time::ZERO, ContextId::DEFAULT), Ok(Bytes::from("m")));
        if gone {
            pull.detach(Time::ZERO, pipe, DownReason::Lost);
        }
        assert_eq!(pull.poll_resumed(), (!gone).then_some(pipe));
    }
}

#[test]
fn a_pipe_that_comes_back_is_another_one() {
    let mut world = World::pair(Kind::Pull, &Options::default());
    let mut pipes = BTreeSet::new();
    for round in 0..5 {
        world.try_send(1, ContextId::DEFAULT, format!("{round}")).unwrap();
        world.break_off(round);
        world.connect(0, 1);
    }
    for (_, happening) in &world.story {
        if let Happening::Event { node: 0, event: Event::PipeUp { pipe, .. }, .. } = happening {
            assert!(pipes.insert(*pipe));
            assert_eq!(PipeId::from_word(pipe.word()), *pipe);
            assert_eq!(pipe.word() >> 31, 0);
        }
    }
    assert_eq!((world.recv_all(0).len(), pipes.len()), (5, 6));
}

#[test]
fn senders_of_one_priority_are_heard_in_turn() {
    let mut world = World::new(1);
    let pull = world.add(Kind::Pull, &Options::default());
    for name in ["a", "b", "c"] {
        let push = world.add(Kind::Push, &Options::default());
        world.connect(pull, push);
        for number in 0..3 {
            world.try_send(push, ContextId::DEFAULT, format!("{name}{number}")).unwrap();
        }
    }
    assert_eq!(world.recv_all(pull), ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]);
}

#[test]
fn whoever_waited_longest_sends_first() {
    let (mut world, push) = alone(Kind::Push);
    for _ in 0..4 {
        submit(&mut world, push, None);
    }
    let pull = world.add(Kind::Pull, &Options::default());
    world.connect(push, pull);
    assert_eq!(world.recv_all(pull), ["body 0", "body 1", "body 2", "body 3"]);
}

#[test]
fn whoever_waits_for_room_is_told_and_has_sent_nothing() {
    let (start, later) = (Time::ZERO, Time::from_nanos(5));
    let mut push = Socket::new(Kind::Push, Options { send_queue: 1, ..Options::default() }, 1).unwrap();
    let wait = |push: &mut Socket, deadline| push.send_or_wait(start, ContextId::DEFAULT, "m".into(), deadline);
    let patient = wait(&mut push, None).unwrap().expect("nobody is there");
    assert!(patient.sends());
    assert!(
        !Socket::new(Kind::Pull, Options::default(), 1).unwrap().submit_recv(start, ContextId::DEFAULT, None).sends()
    );
    let hasty = wait(&mut push, Some(later)).unwrap().expect("nobody is there");
    let fickle = wait(&mut push, None).unwrap().expect("nobody is there");
    assert_eq!(wait(&mut push, Some(start)), Err(OpError::TimedOut), "it may not wait at all");
    push.handle_timeout(later);
    assert_eq!(push.take_answer(hasty), Some(Answer::Failed(OpError::TimedOut)));
    assert!(push.cancel(fickle));
    assert!(matches!(push.take_answer(fickle), Some(Answer::Failed(OpError::Cancelled(_)))));
    assert_eq!(push.poll_timeout(), None);

    let partner = Attachment { peer: Kind::Pull.id(), endpoint: EndpointOptions::default() };
    assert!(!push.is_answered(patient));
    let pipe = push.attach(start, partner).unwrap();
    assert!(push.is_answered(patient));
    assert_eq!(push.take_answer(patient), Some(Answer::Room));
    assert!(!push.is_answered(patient));
    assert_eq!((push.stats().sent, push.stats().send_waits, push.stats().timeouts), (0, 3, 2));
    assert_eq!(wait(&mut push, None), Ok(None), "now it is sent");

    // It does not stand in the way of one behind it.
    let first = wait(&mut push, None).unwrap().expect("the queue is full");
    let second = push.submit_send(start, ContextId::DEFAULT, "s".into(), None);
    assert!(push.poll_transmit(start, pipe).is_some_and(|message| message.body == "m"));
    assert_eq!(push.poll_answer(), Some((first, Answer::Room)));
    assert_eq!(push.poll_answer(), Some((second, Answer::Sent)));
    assert!(push.poll_transmit(start, pipe).is_some_and(|message| message.body == "s"));

    wait(&mut push, None).unwrap();
    let last = wait(&mut push, None).unwrap().expect("the queue is full");
    assert!(!push.is_closed());
    push.close();
    assert!(push.is_closed());
    assert_eq!(push.take_answer(last), Some(Answer::Failed(OpError::Closed)));
    assert_eq!(wait(&mut push, None), Err(OpError::Closed));
}

#[test]
fn what_a_pull_says_is_counted_and_thrown_away() {
    let mut world = World::pair(Kind::Push, &Options::default());
    (0..3).for_each(|_| world.inject(0, 0, &[], b"what?"));
    assert_eq!(world.nodes[0].socket.stats().dropped_received, 3);
    assert_eq!(world.up(), [0]);
}

#[test]
fn what_is_given_back_comes_first_and_the_last_of_it_foremost() {
    let mut world = World::pair(Kind::Pull, &Options::default());
    for number in 0..4 {
        world.try_send(1, ContextId::DEFAULT, format!("{number}")).unwrap();
    }
    let taken = [0; 3].map(|_| world.try_recv(0, ContextId::DEFAULT).unwrap());
    taken.into_iter().rev().for_each(|body| world.put_back(0, ContextId::DEFAULT, body));
    assert_eq!(world.recv_all(0), ["0", "1", "2", "3"]);
}

#[test]
fn each_end_says_what_the_other_is_for() {
    let mut world = World::pair(Kind::Push, &Options::default());
    assert!(matches!(world.try_recv(0, ContextId::DEFAULT), Err(OpError::State(_))));
    assert!(matches!(world.try_send(1, ContextId::DEFAULT, "m"), Err(OpError::State(_))));
    assert!(matches!(world.open(0), Err(OpError::State(_))));
}

proptest! {
    #![proptest_config(config(128))]

    /// Receivers come, are cancelled, and give back what they got; every message is received once in the end.
    #[test]
    fn cancelled_receivers_lose_nothing(deeds in prop::collection::vec(0..5_u8, 1..200), seed: u64) {
        let mut world = World::new(seed);
        let (push, pull) = (world.add(Kind::Push, &Options::default()), world.add(Kind::Pull, &Options::default()));
        world.connect(push, pull);
        let (mut sent, mut waiting, mut kept) = (0, vec![], vec![]);
        for deed in deeds {
            match deed {
                0 | 1 => {
                    world.try_send(push, ContextId::DEFAULT, format!("{sent}")).unwrap();
                    sent += 1;
                }
                2 => waiting.push(world.submit_recv(pull, ContextId::DEFAULT, None)),
                // As a program does whose task was cancelled: an answer that is there is given back.
                3 if !waiting.is_empty() => {
                    let ticket = waiting.remove(0);
                    if !world.cancel(pull, ticket) {
                        let body = received(&world, pull, ticket);
                        world.put_back(pull, ContextId::DEFAULT, body.into());
                    }
                }
                _ if !waiting.is_empty() && world.answer(pull, waiting[0]).is_some() => {
                    kept.push(received(&world, pull, waiting.remove(0)));
                }
                _ => {}
            }
        }
        for ticket in waiting {
            if !world.cancel(pull, ticket) {
                kept.push(received(&world, pull, ticket));
            }
        }
        kept.extend(world.recv_all(pull));
        kept.sort_unstable_by_key(|body| body.parse::<usize>().unwrap());
        prop_assert_eq!(kept, (0..sent).map(|number| number.to_string()).collect::<Vec<_>>());
    }
}
