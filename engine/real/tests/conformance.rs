//! What every transport promises: functions over an address, run for each. A new transport has only to be named in
//! `for_every_transport`.

mod common;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Barrier, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{
    PATIENCE, close, dial, listen, quick, recv, recv_in, recv_within, send, send_in, send_within, settings, socket,
    socket_with, soon, stats, until,
};
use sp_proto::wire::greeting;
use sp_proto::{Answer, ContextId, EndpointOptions, Kind, OpError, Options, PeerFault, Priority};
use sp_real::{EndpointError, EndpointSettings, Interrupted, Socket, What, now};
use tempfile::TempDir;

/// Where a test can listen; each call gives another place.
type Place = fn() -> String;

macro_rules! for_transport {
    ($module:ident, $place:expr, [$($promise:ident),* $(,)?]) => {
        mod $module {
            $(#[test] fn $promise() { super::$promise($place) })*
        }
    };
}

macro_rules! for_every_transport {
    ($promises:tt) => {
        for_transport!(tcp, || "tcp://127.0.0.1:0".to_owned(), $promises);
        for_transport!(tls, || "tls+tcp://127.0.0.1:0".to_owned(), $promises);
        for_transport!(ws, || "ws://127.0.0.1:0/conformance".to_owned(), $promises);
        for_transport!(wss, || "wss://127.0.0.1:0".to_owned(), $promises);
        for_transport!(ipc, super::new_path, $promises);
        for_transport!(inproc, super::new_name, $promises);
    };
}

for_every_transport!([
    requests_are_replied_to,
    a_hundred_thousand_messages_keep_their_order,
    a_flood_keeps_its_order_however_it_is_received,
    a_sender_that_asks_for_messages_still_sends,
    large_and_empty_messages_arrive_whole,
    what_was_sent_before_closing_arrives,
    closing_says_how_many_messages_will_not_arrive,
    a_dialer_comes_before_its_listener,
    a_dialer_comes_back_when_its_listener_does,
    an_address_in_use_is_refused_and_free_again_afterwards,
    work_goes_home_first,
    one_socket_serves_four_threads,
    conversations_of_four_threads_do_not_mix,
    whoever_follows_gets_its_answer,
    threads_and_an_event_loop_share_a_socket,
    a_deadline_is_kept_and_never_early,
    closing_wakes_everyone_who_waits,
    a_closed_socket_takes_nothing_more,
    a_wrong_peer_loses_its_own_connection_only,
    a_message_that_is_too_large_costs_its_sender_the_connection,
    aborting_breaks_the_connection,
    a_pusher_is_held_back_and_goes_on,
    a_cancelled_receiver_loses_nothing,
    an_interrupted_call_loses_nothing,
]);

/// # Messages
fn requests_are_replied_to(place: Place) {
    let (rep, req) = (socket(Kind::Rep), socket(Kind::Req));
    dial(&req, &listen(&rep, &place()));
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..1_000 {
                let request = recv(&rep);
                send(&rep, [b"re: ", &request[..]].concat());
            }
        });
        for number in 0..1_000 {
            send(&req, format!("{number}"));
            assert_eq!(recv(&req), format!("re: {number}"));
        }
    });
}

fn a_hundred_thousand_messages_keep_their_order(place: Place) {
    let (pull, push) = (socket(Kind::Pull), socket(Kind::Push));
    dial(&push, &listen(&pull, &place()));
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..100_000_u32 {
                let body = Bytes::copy_from_slice(&number.to_be_bytes());
                // As programs do: at once if it can be, and by waiting if not.
                if let Err((error, body)) = push.try_send(ContextId::DEFAULT, body) {
                    assert_eq!(error, OpError::WouldBlock);
                    send(&push, body);
                }
            }
        });
        for number in 0..100_000_u32 {
            assert_eq!(recv(&pull)[..], number.to_be_bytes());
        }
    });
    assert_eq!(stats(&pull).received, 100_000);
}

fn a_flood_keeps_its_order_however_it_is_received(place: Place) {
    const COUNT: u32 = 3_000;
    for queue in [1, 3, 128] {
        let options = Options { send_queue: queue, recv_queue: queue, ..quick() };
        let (push, pull) = (socket_with(Kind::Push, options.clone()), socket_with(Kind::Pull, options));
        dial(&push, &listen(&pull, &place()));
        thread::scope(|scope| {
            scope.spawn(move || {
                for number in 0..COUNT {
                    let filling = if number % 500 == 99 { 40_000 } else { number as usize % 50 };
                    let body = [&number.to_be_bytes()[..], &vec![0; filling]].concat();
                    if let Err((error, body)) = push.try_send(ContextId::DEFAULT, &body[..]) {
                        assert_eq!(error, OpError::WouldBlock);
                        send(&push, body);
                    }
                }
                assert_eq!(close(&push, PATIENCE), 0);
            });
            let number_of = |body: &[u8]| u32::from_be_bytes(*body.first_chunk().unwrap());
            let next = Cell::new(0);
            let expect = |number| assert_eq!(number, next.replace(number + 1));
            for way in (0..6).cycle().take_while(|_| next.get() < COUNT) {
                match way {
                    0 => expect(number_of(&recv(&pull))),
                    1 => {
                        let _ = pull.take_with(ContextId::DEFAULT, number_of).map(expect);
                    }
                    2 => {
                        let numbers = pull.try_recv_all(ContextId::DEFAULT, 40, number_of);
                        numbers.into_iter().flatten().for_each(expect);
                    }
                    3 => {
                        if let Ok(body) = pull.take(ContextId::DEFAULT) {
                            pull.put_back(ContextId::DEFAULT, body);
                        }
                    }
                    4 => {
                        let ticket = pull.submit_recv(ContextId::DEFAULT, None);
                        match pull.cancel(ticket) {
                            Some(Answer::Received(message)) => expect(number_of(&message.body)),
                            other => assert_eq!(other, None),
                        }
                    }
                    // It looks at the descriptors while messages are left where they were read.
                    _ => assert!(pull.peers().len() <= 1),
                }
            }
        });
    }
}

/// It asks in vain, but what it has held back to be written together must not be forgotten over it.
fn a_sender_that_asks_for_messages_still_sends(place: Place) {
    let (push, pull) = (socket(Kind::Push), socket(Kind::Pull));
    dial(&push, &listen(&pull, &place()));
    for burst in 1..100 {
        for _ in 0..burst {
            if push.try_send(ContextId::DEFAULT, &b"one of many"[..]).is_err() {
                send(&push, "one of many");
            }
        }
        assert!(push.take(ContextId::DEFAULT).is_err());
        (0..burst).for_each(|_| assert_eq!(recv(&pull), "one of many"));
    }
}

fn large_and_empty_messages_arrive_whole(place: Place) {
    let (pull, push) = (socket(Kind::Pull), socket(Kind::Push));
    dial(&push, &listen(&pull, &place()));
    let bodies: Vec<Vec<u8>> = [0, 1, 0, 7, 65_535, 65_536, 65_537, 3 << 20, 0, 16 << 20]
        .into_iter()
        .map(|len| (0..len).map(|place: u32| (place * 7 + len) as u8).collect())
        .collect();
    thread::scope(|scope| {
        scope.spawn(|| bodies.iter().for_each(|body| send(&push, body.clone())));
        for body in &bodies {
            assert!(recv(&pull) == body, "{} bytes", body.len());
        }
    });
}

/// # Beginning and end
fn what_was_sent_before_closing_arrives(place: Place) {
    let pull = socket(Kind::Pull);
    let address = listen(&pull, &place());
    thread::scope(|scope| {
        scope.spawn(|| {
            let push = socket(Kind::Push);
            dial(&push, &address);
            (0..10_000).for_each(|number| send(&push, format!("{number}")));
            assert_eq!(close(&push, PATIENCE), 0);
        });
        for number in 0..10_000 {
            assert_eq!(recv(&pull), format!("{number}"));
        }
    });
    until("the pipe is gone", || pull.peers().is_empty());
}

fn closing_says_how_many_messages_will_not_arrive(place: Place) {
    let pull = socket_with(Kind::Pull, Options { recv_queue: 1, ..quick() });
    let push = socket_with(Kind::Push, Options { send_queue: 50, ..quick() });
    dial(&push, &listen(&pull, &place()));
    send(&push, "hello");
    assert_eq!(recv(&pull), "hello");
    // Nobody receives. What the queues and the kernel take is not known; that no message goes astray is.
    let mut sent = 0;
    while send_within(&push, vec![sent as u8; 10_000], Duration::from_millis(50)).is_ok() {
        sent += 1;
    }
    let unsent = close(&push, Duration::from_millis(20));
    assert!((1..=sent).contains(&unsent), "{unsent} of {sent} not sent");
    for number in 0..sent - unsent {
        assert!(recv(&pull) == vec![number as u8; 10_000], "{number} of {sent}, {unsent} of which were not sent");
    }
    until("the pipe is gone", || pull.peers().is_empty());
    assert_eq!(pull.try_recv(ContextId::DEFAULT), Err(OpError::WouldBlock));
}

fn a_dialer_comes_before_its_listener(place: Place) {
    // A free address: one that somebody had.
    let pull = socket(Kind::Pull);
    let address = listen(&pull, &place());
    close(&pull, Duration::ZERO);
    let (pull, push) = (socket(Kind::Pull), socket(Kind::Push));
    dial(&push, &address);
    until("it has been refused", || push.last_dial_error().is_some());
    assert!(push.last_dial_error().unwrap().contains(&address));
    assert_eq!(push.try_send(ContextId::DEFAULT, Bytes::from("m")), Err((OpError::WouldBlock, "m".into())));
    listen(&pull, &address);
    send(&push, "at last");
    assert_eq!(recv(&pull), "at last");
}

fn a_dialer_comes_back_when_its_listener_does(place: Place) {
    let rep = socket(Kind::Rep);
    let address = listen(&rep, &place());
    let req = socket(Kind::Req);
    dial(&req, &address);
    let mut rep = Some(rep);
    for round in 0..5 {
        let service = rep.take().unwrap_or_else(|| {
            let service = socket(Kind::Rep);
            listen(&service, &address);
            service
        });
        send(&req, format!("{round}"));
        assert_eq!(recv(&service), format!("{round}"));
        // Killed with the request in hand: it is sent again to whoever comes.
        service.abort();
        let service = socket(Kind::Rep);
        listen(&service, &address);
        assert_eq!(recv(&service), format!("{round}"));
        send(&service, format!("re: {round}"));
        assert_eq!(recv(&req), format!("re: {round}"));
        close(&service, PATIENCE);
    }
    assert!(stats(&req).resends >= 5);
}

fn an_address_in_use_is_refused_and_free_again_afterwards(place: Place) {
    let (first, second) = (socket(Kind::Pull), socket(Kind::Pull));
    let address = listen(&first, &place());
    match second.listen(&address, &settings(EndpointOptions::default())) {
        Err(EndpointError::System { address: where_to, error }) => {
            assert_eq!((where_to.to_string(), error.kind()), (address.clone(), ErrorKind::AddrInUse));
        }
        other => panic!("{other:?}"),
    }
    close(&first, Duration::ZERO);
    assert_eq!(listen(&second, &address), address);
    assert!(matches!(
        second.listen("carrier-pigeon://loft", &EndpointSettings::default()),
        Err(EndpointError::Address(_))
    ));
}

fn work_goes_home_first(place: Place) {
    let (home, away, push) = (socket(Kind::Pull), socket(Kind::Pull), socket(Kind::Push));
    let prefer = |level| {
        settings(EndpointOptions { send_priority: Priority::new(level).unwrap(), ..EndpointOptions::default() })
    };
    push.dial(&listen(&away, &place()), &prefer(2)).unwrap();
    let address = listen(&home, &place());
    push.dial(&address, &prefer(1)).unwrap();
    until("both are there", || push.peers().len() == 2);
    for number in 0..10 {
        send(&push, format!("{number}"));
        assert_eq!(recv(&home), format!("{number}"));
    }
    home.abort();
    until("home is gone", || push.peers().len() == 1);
    send(&push, "away");
    assert_eq!(recv(&away), "away");
    let home = socket(Kind::Pull);
    listen(&home, &address);
    until("home is back", || push.peers().len() == 2);
    send(&push, "home");
    assert_eq!(recv(&home), "home");
}

/// # Threads
fn one_socket_serves_four_threads(place: Place) {
    let (pull, push) = (socket(Kind::Pull), socket(Kind::Push));
    dial(&push, &listen(&pull, &place()));
    let received: Vec<Vec<Bytes>> = thread::scope(|scope| {
        for thread in 0..4 {
            let push = push.clone();
            scope.spawn(move || (0..5_000).for_each(|number| send(&push, format!("{thread} {number}"))));
        }
        let takers: Vec<_> = (0..4)
            .map(|_| {
                let pull = pull.clone();
                scope.spawn(move || (0..5_000).map(|_| recv(&pull)).collect())
            })
            .collect();
        takers.into_iter().map(|taker| taker.join().unwrap()).collect()
    });
    let all: BTreeSet<Bytes> = received.iter().flatten().cloned().collect();
    let sent = (0..4).flat_map(|thread| (0..5_000).map(move |number| Bytes::from(format!("{thread} {number}"))));
    assert!(all == sent.collect(), "each message once, to one of them");
}

fn conversations_of_four_threads_do_not_mix(place: Place) {
    let (rep, req) = (socket(Kind::Rep), socket(Kind::Req));
    dial(&req, &listen(&rep, &place()));
    thread::scope(|scope| {
        for _ in 0..4 {
            let (rep, context) = (rep.clone(), rep.open_context().unwrap());
            scope.spawn(move || {
                for _ in 0..500 {
                    let request = recv_in(&rep, context);
                    send_in(&rep, context, [b"re: ", &request[..]].concat());
                }
            });
            let (req, context) = (req.clone(), req.open_context().unwrap());
            scope.spawn(move || {
                for number in 0..500 {
                    send_in(&req, context, format!("{context} {number}"));
                    assert_eq!(recv_in(&req, context), format!("re: {context} {number}"));
                }
            });
        }
    });
}

fn whoever_follows_gets_its_answer(place: Place) {
    let (rep, req) = (socket(Kind::Rep), socket(Kind::Req));
    dial(&req, &listen(&rep, &place()));
    for _ in 0..20 {
        let asking: Vec<ContextId> = (0..4).map(|_| req.open_context().unwrap()).collect();
        let answering: Vec<ContextId> = (0..4).map(|_| rep.open_context().unwrap()).collect();
        for (number, (there, here)) in asking.iter().zip(&answering).enumerate() {
            send_in(&req, *there, format!("{number}"));
            assert_eq!(recv_in(&rep, *here), format!("{number}"));
        }
        thread::scope(|scope| {
            let waiting: Vec<_> = asking.iter().map(|context| scope.spawn(|| recv_in(&req, *context))).collect();
            // The last one first: whoever leads works for the others.
            for (number, context) in answering.iter().enumerate().rev() {
                send_in(&rep, *context, format!("re: {number}"));
            }
            for (number, thread) in waiting.into_iter().enumerate() {
                assert_eq!(thread.join().unwrap(), format!("re: {number}"));
            }
        });
        asking.into_iter().for_each(|context| req.close_context(context));
        answering.into_iter().for_each(|context| rep.close_context(context));
    }
}

/// Some wait in calls, another one collects answers as an event loop does: each gets its own.
fn threads_and_an_event_loop_share_a_socket(place: Place) {
    let (pull, push) = (socket(Kind::Pull), socket(Kind::Push));
    dial(&push, &listen(&pull, &place()));
    let received = thread::scope(|scope| {
        let waiting: Vec<_> =
            (0..3).map(|_| scope.spawn(|| (0..500).map(|_| recv(&pull)).collect::<Vec<_>>())).collect();
        let event_loop = scope.spawn(|| {
            let (mut taken, end) = (vec![], soon());
            pull.attach(true);
            let mut ticket = pull.submit_recv(ContextId::DEFAULT, Some(end));
            while taken.len() < 500 {
                for (answered, answer) in pull.poll_answers() {
                    assert_eq!(answered, ticket, "it is nobody else's");
                    match answer {
                        Answer::Received(message) => taken.push(message.body),
                        other => panic!("{other:?}"),
                    }
                    if taken.len() < 500 {
                        ticket = pull.submit_recv(ContextId::DEFAULT, Some(end));
                    }
                }
            }
            pull.attach(false);
            taken
        });
        (0..2_000).for_each(|number| send(&push, format!("{number}")));
        let mut received = event_loop.join().unwrap();
        waiting.into_iter().for_each(|thread| received.extend(thread.join().unwrap()));
        received
    });
    let all: BTreeSet<Bytes> = received.into_iter().collect();
    assert_eq!(all.len(), 2_000);
}

fn a_deadline_is_kept_and_never_early(place: Place) {
    let (pull, push, req) = (socket(Kind::Pull), socket(Kind::Push), socket(Kind::Req));
    let address = listen(&pull, &place());
    for span in [Duration::ZERO, Duration::from_micros(100), Duration::from_millis(20)] {
        let deadline = now() + span;
        assert_eq!(pull.recv(ContextId::DEFAULT, Some(deadline), || false).unwrap(), Err(OpError::TimedOut));
        assert!(now() >= deadline);
        let deadline = now() + span;
        assert_eq!(
            push.send(ContextId::DEFAULT, "m".into(), Some(deadline), || false).unwrap(),
            Err(OpError::TimedOut)
        );
        assert!(now() >= deadline);
        send(&req, "anybody?");
        let deadline = now() + span;
        assert_eq!(req.recv(ContextId::DEFAULT, Some(deadline), || false).unwrap(), Err(OpError::TimedOut));
        assert!(now() >= deadline);
    }
    // What was taken back is not sent later.
    dial(&push, &address);
    send(&push, "the only one");
    assert_eq!(recv(&pull), "the only one");
}

fn closing_wakes_everyone_who_waits(place: Place) {
    let (pull, push) = (socket(Kind::Pull), socket(Kind::Push));
    dial(&push, &listen(&pull, &place()));
    let barrier = Barrier::new(5);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                recv(&pull);
                barrier.wait();
                let result = pull.recv(ContextId::DEFAULT, Some(soon()), || false).unwrap();
                assert_eq!(result, Err(OpError::Closed));
            });
        }
        (0..4).for_each(|_| send(&push, "m"));
        barrier.wait();
        assert_eq!(close(&pull, PATIENCE), 0);
    });
    // A sender hears of it, too.
    let lonely = socket(Kind::Push);
    thread::scope(|scope| {
        scope.spawn(|| {
            until("somebody waits", || stats(&lonely).send_waits > 0);
            close(&lonely, Duration::ZERO);
        });
        let result = lonely.send(ContextId::DEFAULT, "m".into(), Some(soon()), || false).unwrap();
        assert_eq!(result, Err(OpError::Closed));
    });
}

fn a_closed_socket_takes_nothing_more(place: Place) {
    let pull = socket(Kind::Pull);
    let address = listen(&pull, &place());
    assert_eq!((close(&pull, PATIENCE), close(&pull, PATIENCE)), (0, 0));
    assert!(pull.is_closed());
    assert_eq!(recv_within(&pull, PATIENCE), Err(OpError::Closed));
    assert_eq!(pull.try_recv(ContextId::DEFAULT), Err(OpError::Closed));
    assert!(matches!(pull.listen(&address, &settings(EndpointOptions::default())), Err(EndpointError::Closed)));
    assert!(matches!(pull.dial(&address, &settings(EndpointOptions::default())), Err(EndpointError::Closed)));
}

/// # Peers
fn a_wrong_peer_loses_its_own_connection_only(place: Place) {
    let (pull, push, req) = (socket(Kind::Pull), socket(Kind::Push), socket(Kind::Req));
    let address = listen(&pull, &place());
    dial(&push, &address);
    send(&push, "before");
    dial(&req, &address);
    until("it is counted", || stats(&pull).peer_faults > 0 && stats(&req).peer_faults > 0);
    send(&push, "after");
    assert_eq!([recv(&pull), recv(&pull)], ["before", "after"]);
    assert_eq!((pull.peers().len(), req.peers().len()), (1, 0));
    assert_eq!((stats(&pull).pipes_up, stats(&pull).pipes_down), (1, 0));
}

fn a_message_that_is_too_large_costs_its_sender_the_connection(place: Place) {
    let pull = socket_with(Kind::Pull, Options { max_message: 1_000, ..quick() });
    let (push, other) = (socket(Kind::Push), socket(Kind::Push));
    let address = listen(&pull, &place());
    dial(&push, &address);
    dial(&other, &address);
    send(&push, vec![1; 1_000]);
    assert_eq!(recv(&pull).len(), 1_000);
    send(&other, "hello");
    assert_eq!(recv(&pull), "hello");
    send(&push, vec![2; 1_001]);
    until("it is counted", || stats(&pull).peer_faults == 1);
    let fault = PeerFault::TooLarge { size: 1_001, limit: 1_000 };
    assert!(happened(&pull, What::Down, &fault.to_string()));
    send(&other, "still here");
    assert_eq!(recv(&pull), "still here");
    assert_eq!(stats(&other).pipes_down, 0);
}

fn aborting_breaks_the_connection(place: Place) {
    let (pull, push) = (socket(Kind::Pull), socket(Kind::Push));
    let address = listen(&pull, &place());
    dial(&push, &address);
    send(&push, "hello");
    assert_eq!(recv(&pull), "hello");
    push.abort();
    assert!(push.is_closed());
    assert_eq!(send_within(&push, "m", PATIENCE), Err(OpError::Closed));
    until("the other side has noticed", || stats(&pull).pipes_down == 1);
    assert!(happened(&pull, What::Down, "the connection was lost"));
    // The listener goes on.
    let push = socket(Kind::Push);
    dial(&push, &address);
    send(&push, "another");
    assert_eq!(recv(&pull), "another");
}

/// # Holding back
fn a_pusher_is_held_back_and_goes_on(place: Place) {
    let pull = socket_with(Kind::Pull, Options { recv_queue: 2, ..quick() });
    let push = socket_with(Kind::Push, Options { send_queue: 2, ..quick() });
    dial(&push, &listen(&pull, &place()));
    let body = |number: u32| [&number.to_be_bytes()[..], &[0; 60_000]].concat();
    let mut sent = 0;
    let refused = loop {
        match send_within(&push, body(sent), Duration::from_millis(100)) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, OpError::TimedOut);
    assert!(stats(&push).send_waits > 0);
    thread::scope(|scope| {
        // Now it waits until there is room, and nothing is lost or out of order.
        scope.spawn(|| (sent..sent + 100).for_each(|number| send(&push, body(number))));
        for number in 0..sent + 100 {
            assert!(recv(&pull) == body(number), "{number}");
        }
    });
    assert!(stats(&pull).recv_queue_full > 0);
}

fn a_cancelled_receiver_loses_nothing(place: Place) {
    let (pull, push) = (socket(Kind::Pull), socket(Kind::Push));
    dial(&push, &listen(&pull, &place()));
    for round in 0..200 {
        let ticket = pull.submit_recv(ContextId::DEFAULT, None);
        send(&push, format!("{round}"));
        // It may have been answered by now, or not.
        match pull.cancel(ticket) {
            Some(Answer::Received(message)) => pull.put_back(ContextId::DEFAULT, message.body),
            None => {}
            Some(other) => panic!("{other:?}"),
        }
        assert_eq!(recv(&pull), format!("{round}"));
    }
}

fn an_interrupted_call_loses_nothing(place: Place) {
    let (pull, push) = (socket(Kind::Pull), socket(Kind::Push));
    dial(&push, &listen(&pull, &place()));
    thread::scope(|scope| {
        // One leads; the other one looks for signals while it waits.
        let leader = scope.spawn(|| recv(&pull));
        let follower = scope.spawn(|| {
            let mut asked = 0;
            let interrupted = || {
                asked += 1;
                asked > 1
            };
            pull.recv(ContextId::DEFAULT, Some(now() + Duration::from_millis(200)), interrupted)
        });
        let outcome = follower.join().unwrap();
        send(&push, "1");
        send(&push, "2");
        let mut received = vec![leader.join().unwrap(), recv(&pull)];
        received.sort();
        assert_eq!(received, ["1", "2"], "{outcome:?}");
    });
}

/// A file that no other test has.
fn new_path() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().unwrap());
    format!("ipc://{}/{}", FOLDER.path().display(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Is there news of this, for this reason?
fn happened(socket: &Socket, what: What, reason: &str) -> bool {
    std::iter::from_fn(|| socket.event())
        .any(|event| event.what == what && event.reason.is_some_and(|found| found.contains(reason)))
}

/// A name that no other test has.
fn new_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("inproc://test-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

#[test]
fn whoever_waits_long_is_asked_about_signals_that_interrupted_nothing() {
    let pull = socket(Kind::Pull);
    for _ in 0..2 {
        assert_eq!(pull.recv(ContextId::DEFAULT, Some(soon()), || true), Err(Interrupted));
        // Then the background thread has taken over, and waits for what is not coming.
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_an_aborted_socket_had_under_way_within_the_process_is_lost() {
    let pull = socket_with(Kind::Pull, Options { recv_queue: 1, ..quick() });
    let push = socket(Kind::Push);
    dial(&push, &listen(&pull, &new_name()));
    (0..10).for_each(|number| send(&push, format!("{number}")));
    until("one has arrived, and the next one is not let in", || stats(&pull).recv_queue_full > 0);
    push.abort();
    assert_eq!(recv(&pull), "0");
    until("the pipe is gone", || stats(&pull).pipes_down == 1);
    assert_eq!(pull.try_recv(ContextId::DEFAULT), Err(OpError::WouldBlock));
}

/// Bytes that no socket of ours would send: over tcp, from a bare connection.
mod strangers {
    use super::*;

    #[test]
    fn whoever_does_not_speak_the_protocols_is_hung_up_on() {
        let house = House::new();
        let wrong_role = greeting(Kind::Pull);
        let reserved = [0, b'S', b'P', 0, 0, 0x50, 0, 1];
        let strangers = [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x02\x00", &[255; 64], &wrong_role, &reserved];
        for (count, words) in (1..).zip(strangers) {
            let mut stranger = house.visit();
            stranger.write_all(words).unwrap();
            assert_hung_up(&mut stranger);
            until("it is counted", || stats(&house.pull).peer_faults == count);
            house.assert_undisturbed();
        }
    }

    #[test]
    fn a_declared_length_beyond_the_limit_is_hung_up_on_at_once() {
        let house = House::new();
        for (count, length) in (1..).zip([(16 << 20) + 1, 1 << 32, 1 << 63, u64::MAX]) {
            let mut stranger = house.visit();
            stranger.write_all(&greeting(Kind::Push)).unwrap();
            stranger.write_all(&length.to_be_bytes()).unwrap();
            assert_hung_up(&mut stranger);
            until("it is counted", || stats(&house.pull).peer_faults == count);
            house.assert_undisturbed();
        }
    }

    #[test]
    fn whoever_does_not_greet_in_time_is_hung_up_on() {
        let timeout = Duration::from_millis(100);
        let house = House::with(Options { handshake_timeout: timeout, ..quick() });
        for (count, words) in [(1, &b""[..]), (2, b"\0"), (3, b"\0SP\0\0\x50\0")] {
            let start = Instant::now();
            let mut stranger = house.visit();
            stranger.write_all(words).unwrap();
            assert_hung_up(&mut stranger);
            assert!(start.elapsed() >= timeout, "it had its time");
            until("it is counted", || stats(&house.pull).peer_faults == count);
            house.assert_undisturbed();
        }
    }

    #[test]
    fn the_time_to_greet_is_not_begun_anew_with_each_byte() {
        let timeout = Duration::from_millis(100);
        let house = House::with(Options { handshake_timeout: timeout, ..quick() });
        let mut stranger = house.visit();
        stranger.set_read_timeout(Some(timeout * 9 / 10)).unwrap();
        for byte in greeting(Kind::Push) {
            if is_hung_up(&mut stranger) || stranger.write_all(&[byte]).is_err() {
                break;
            }
        }
        until("it is counted", || stats(&house.pull).peer_faults == 1);
        house.assert_undisturbed();
    }

    #[test]
    fn whoever_leaves_before_or_within_a_message_is_no_offender() {
        let house = House::new();
        let session = [&greeting(Kind::Push)[..], &5_u64.to_be_bytes(), b"hello"].concat();
        for end in 0..session.len() {
            let mut stranger = house.visit();
            stranger.write_all(&session[..end]).unwrap();
        }
        house.assert_undisturbed();
        until("all are gone", || house.pull.peers().len() == 1);
        assert_eq!(stats(&house.pull).peer_faults, 0);

        let mut stranger = house.visit();
        for byte in &session {
            stranger.write_all(&[*byte]).unwrap();
        }
        assert_eq!(recv(&house.pull), "hello", "one byte at a time is fine");
    }

    #[test]
    fn a_greeting_is_sent_without_waiting_for_the_other_one() {
        let house = House::new();
        let mut stranger = house.visit();
        stranger.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut heard = [0; 8];
        stranger.read_exact(&mut heard).unwrap();
        assert_eq!(heard, greeting(Kind::Pull));
    }

    #[test]
    fn an_aborted_connection_is_reset() {
        let house = House::new();
        let mut stranger = house.visit();
        stranger.write_all(&greeting(Kind::Push)).unwrap();
        until("it is let in", || house.pull.peers().len() == 2);
        house.pull.abort();
        stranger.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut heard = vec![];
        let error = stranger.read_to_end(&mut heard).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }

    /// A PULL that listens, with a PUSH that nothing may happen to.
    struct House {
        pull: Socket,
        push: Socket,
        port: u16,
    }

    impl House {
        fn new() -> House {
            House::with(quick())
        }

        fn with(options: Options) -> House {
            let (pull, push) = (socket_with(Kind::Pull, options), socket(Kind::Push));
            let address = pull.listen("tcp://127.0.0.1:0", &EndpointSettings::default()).unwrap();
            dial(&push, &address.to_string());
            let house = House { pull, push, port: address.host_and_port().unwrap().1 };
            house.assert_undisturbed();
            house
        }

        fn visit(&self) -> TcpStream {
            TcpStream::connect(("127.0.0.1", self.port)).unwrap()
        }

        fn assert_undisturbed(&self) {
            send(&self.push, "undisturbed");
            assert_eq!(recv(&self.pull), "undisturbed");
            assert_eq!(stats(&self.push).pipes_down, 0);
        }
    }

    /// Reads until the other side closes; all it may have said is its greeting.
    fn assert_hung_up(stranger: &mut TcpStream) {
        stranger.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut heard = vec![];
        match stranger.read_to_end(&mut heard) {
            Ok(_) => assert!(greeting(Kind::Pull).starts_with(&heard)),
            // It had not read all we said.
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }

    /// Reads until there is nothing for the read time-out; true if the other side hangs up before.
    fn is_hung_up(stranger: &mut TcpStream) -> bool {
        loop {
            match stranger.read(&mut [0; 64]) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() != ErrorKind::WouldBlock,
            }
        }
    }
}
