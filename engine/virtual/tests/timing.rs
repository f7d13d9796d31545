//! Exact times, worked out by hand.

mod common;

use bytes::Bytes;
use common::{millis, two_sites, world};
use sp_link::LinkOptions;
use sp_proto::{Answer, ContextId, EndpointOptions, Kind, Message, OpError, Options, Time};
use sp_virtual::{Outcome, SocketId, World, WorldOptions};

/// A round trip is 76 ms. SYN and SYN-ACK take one, the dialer's greeting half of one, the listener's the other half;
/// then the request and the reply.
#[test]
fn a_ping_pong_takes_the_round_trips_it_takes_on_tcp() {
    let mut world = world(1);
    let (asker, replier) = pair(&mut world, Kind::Req, Kind::Rep);
    world.submit_send(asker, ContextId::DEFAULT, "ping".into(), None).unwrap();
    let pong = world.submit_recv(asker, ContextId::DEFAULT, None).unwrap();
    let ping = world.submit_recv(replier, ContextId::DEFAULT, None).unwrap();
    assert!(matches!(world.poll_outcome(), Some(Outcome::Answered(_, Answer::Sent))));

    // The dialer's pipe is up after two round trips; the request that was waiting takes another half.
    assert_eq!(world.advance(Time::NEVER), Some(millis(2 * 76 + 38)));
    assert_eq!(world.poll_outcome(), Some(Outcome::Answered(ping, received("ping"))));
    world.submit_send(replier, ContextId::DEFAULT, "pong".into(), None).unwrap();
    assert!(matches!(world.poll_outcome(), Some(Outcome::Answered(_, Answer::Sent))));
    assert_eq!(world.advance(Time::NEVER), Some(millis(2 * 76 + 76)));
    assert_eq!(world.poll_outcome(), Some(Outcome::Answered(pong, received("pong"))));

    let story: Vec<&str> = world.story().unwrap().lines().collect();
    assert_eq!(
        story,
        [
            "114000000 b pipe up a",
            "152000000 a pipe up b",
            "152000000 a sent 8 to b",
            "190000000 b received 8 from a",
            "190000000 b sent 8 to a",
            "228000000 a received 8 from b",
        ]
    );
    world.audit().unwrap();
}

#[test]
fn a_refusal_is_back_after_one_round_trip_and_the_dialer_tries_again() {
    let mut world = world(1);
    let [new_york, london] = two_sites(&mut world);
    let (a, b) = (world.add_host("a", new_york).unwrap(), world.add_host("b", london).unwrap());
    let listener = world.open_socket(b, Kind::Pull, Options::default()).unwrap();
    world.listen(listener, "b", EndpointOptions::default()).unwrap();
    world.close_socket(listener).unwrap();
    let dialer = world.open_socket(a, Kind::Push, Options::default()).unwrap();
    world.dial(dialer, "b", EndpointOptions::default()).unwrap();
    world.advance(millis(75));
    let listener = world.open_socket(b, Kind::Pull, Options::default()).unwrap();
    world.listen(listener, "b", EndpointOptions::default()).unwrap();
    // Refused at 76 ms; after 5 to 10 ms of back-off, two more round trips.
    world.advance(millis(76 + 5 + 152 - 1));
    assert_eq!(world.pipe_count(dialer).unwrap(), 0);
    world.advance(millis(76 + 10 + 152));
    assert_eq!(world.pipe_count(dialer).unwrap(), 1);
}

#[test]
fn over_a_cut_link_the_dialer_gives_up_after_its_handshake_timeout() {
    let mut world = world(1);
    let [new_york, london] = two_sites(&mut world);
    world.cut(new_york, london).unwrap();
    let (a, b) = (world.add_host("a", new_york).unwrap(), world.add_host("b", london).unwrap());
    let listener = world.open_socket(b, Kind::Pull, Options::default()).unwrap();
    world.listen(listener, "b", EndpointOptions::default()).unwrap();
    let dialer = world.open_socket(a, Kind::Push, Options::default()).unwrap();
    world.dial(dialer, "b", EndpointOptions::default()).unwrap();
    world.advance(millis(5_100));
    world.heal(new_york, london).unwrap();
    // The second attempt was under way at the heal: its SYN, held up, arrives half a round trip after it.
    world.advance(millis(5_100 + 151));
    assert_eq!(world.pipe_count(dialer).unwrap(), 0);
    world.advance(millis(5_100 + 152));
    assert_eq!(world.pipe_count(dialer).unwrap(), 1);
    assert_eq!(world.stats(listener).unwrap().pipes_up, 1, "the first attempt never greeted");
    world.audit().unwrap();
}

/// A reply sent over the silent direction waits for its end, and then takes half a round trip; requests still get there.
#[test]
fn what_is_muted_is_silent_in_one_direction_only() {
    let mut world = world(1);
    let [new_york, london] = two_sites(&mut world);
    let (a, b) = (world.add_host("a", new_york).unwrap(), world.add_host("b", london).unwrap());
    let (asker, replier) = connect(&mut world, a, b, Kind::Req, Kind::Rep);
    world.advance(millis(200));
    world.mute(london, new_york).unwrap();
    world.submit_send(asker, ContextId::DEFAULT, "ping".into(), None).unwrap();
    world.submit_recv(replier, ContextId::DEFAULT, None).unwrap();
    let pong = world.submit_recv(asker, ContextId::DEFAULT, None).unwrap();
    assert!(matches!(world.poll_outcome(), Some(Outcome::Answered(_, Answer::Sent))));
    assert_eq!(world.advance(millis(1_000)), Some(millis(238)));
    while world.poll_outcome().is_some() {}
    world.submit_send(replier, ContextId::DEFAULT, "pong".into(), None).unwrap();
    while world.poll_outcome().is_some() {}
    assert_eq!(world.advance(millis(500)), None);
    world.unmute(london, new_york).unwrap();
    assert_eq!(world.advance(Time::NEVER), Some(millis(538)));
    assert_eq!(world.poll_outcome(), Some(Outcome::Answered(pong, received("pong"))));
    world.audit().unwrap();
}

#[test]
fn a_transmitter_of_8_mbit_takes_a_microsecond_for_each_byte() {
    let mut world = world(1);
    let link = LinkOptions { rate: Some(8_000_000), delay: common::HALF_RTT, ..LinkOptions::default() };
    let site = world.add_site("here", link).unwrap();
    let (a, b) = (world.add_host("a", site).unwrap(), world.add_host("b", site).unwrap());
    let (push, pull) = connect(&mut world, a, b, Kind::Push, Kind::Pull);
    // Greetings of 8 bytes: up at 2·76 ms + 16 µs.
    for _ in 0..3 {
        world.submit_send(push, ContextId::DEFAULT, Bytes::from(vec![0; 992]), None).unwrap();
        world.submit_recv(pull, ContextId::DEFAULT, None).unwrap();
    }
    let mut arrivals = Vec::new();
    while let Some(at) = world.advance(Time::NEVER) {
        while let Some(outcome) = world.poll_outcome() {
            if matches!(outcome, Outcome::Answered(_, Answer::Received(_))) {
                arrivals.push(at.as_nanos());
            }
        }
    }
    let up = 152_016_000;
    assert_eq!(arrivals, [up + 39_000_000, up + 40_000_000, up + 41_000_000]);
}

/// With a window of one byte there is always exactly one message under way, and the next leaves when the sender hears
/// that it was consumed: one in a round trip.
#[test]
fn a_window_of_one_lets_one_message_through_in_a_round_trip() {
    let mut world = World::new(WorldOptions { window: 1, ..WorldOptions::default() });
    let (push, pull) = pair(&mut world, Kind::Push, Kind::Pull);
    for number in 0..4_u8 {
        world.submit_send(push, ContextId::DEFAULT, Bytes::from(vec![number]), None).unwrap();
        world.submit_recv(pull, ContextId::DEFAULT, None).unwrap();
    }
    let mut arrivals = Vec::new();
    while let Some(at) = world.advance(Time::NEVER) {
        while let Some(outcome) = world.poll_outcome() {
            if let Outcome::Answered(_, Answer::Received(message)) = outcome {
                arrivals.push((at, message.body[0]));
            }
        }
        world.audit().unwrap();
    }
    assert_eq!(arrivals, [0, 1, 2, 3].map(|number| (millis(190 + 76 * u64::from(number)), number)));
}

/// Three places hold what nobody receives: the receiver's queue, the window, the sender's queue. Then sending waits.
#[test]
fn back_pressure_reaches_the_sender() {
    let mut world = World::new(WorldOptions { window: 100, ..WorldOptions::default() });
    let [new_york, london] = two_sites(&mut world);
    let (a, b) = (world.add_host("a", new_york).unwrap(), world.add_host("b", london).unwrap());
    let pull = world.open_socket(b, Kind::Pull, Options { recv_queue: 5, ..Options::default() }).unwrap();
    world.listen(pull, "b", EndpointOptions::default()).unwrap();
    let push = world.open_socket(a, Kind::Push, Options { send_queue: 3, ..Options::default() }).unwrap();
    world.dial(push, "b", EndpointOptions::default()).unwrap();
    world.advance(millis(200));
    let mut taken = 0;
    for _ in 0..100 {
        world
            .submit_send(push, ContextId::DEFAULT, Bytes::from(vec![7; 12]), Some(world.now() + common::HALF_RTT * 2))
            .unwrap();
        while let Some(at) = world.advance(Time::NEVER) {
            assert!(at < millis(100_000));
            let Some(Outcome::Answered(_, answer)) = world.poll_outcome() else { panic!("an answer") };
            match answer {
                Answer::Sent => taken += 1,
                Answer::Room => panic!("nobody waits for room"),
                Answer::Failed(error) => assert_eq!(error, OpError::TimedOut),
                Answer::Received(_) => panic!("nobody receives"),
            }
        }
    }
    // Frames of 20 bytes: five fill the window of 100.
    assert_eq!(taken, 5 + 5 + 3);
    world.audit().unwrap();
    let mut received = 0;
    loop {
        let ticket = world.submit_recv(pull, ContextId::DEFAULT, Some(world.now() + common::HALF_RTT * 4)).unwrap();
        while world.poll_outcome().is_none() {
            world.advance(Time::NEVER);
        }
        if world.cancel(ticket) || world.stats(pull).unwrap().received == received {
            break;
        }
        received += 1;
    }
    assert_eq!(received, taken);
    world.audit().unwrap();
}

#[test]
fn closing_sends_what_was_accepted_and_killing_does_not() {
    for (kill, expected) in [(false, 3), (true, 0)] {
        let mut world = World::new(WorldOptions { window: 1, ..WorldOptions::default() });
        let [new_york, london] = two_sites(&mut world);
        let (a, b) = (world.add_host("a", new_york).unwrap(), world.add_host("b", london).unwrap());
        let (push, pull) = connect(&mut world, a, b, Kind::Push, Kind::Pull);
        world.advance(millis(152));
        for _ in 0..4 {
            world.submit_send(push, ContextId::DEFAULT, "x".into(), None).unwrap();
        }
        world.advance(millis(153));
        if kill {
            world.kill(a).unwrap();
        } else {
            world.close_socket(push).unwrap();
        }
        while world.advance(millis(1_000)).is_some() {
            while world.poll_outcome().is_some() {}
        }
        let mut received = 0;
        world.submit_recv(pull, ContextId::DEFAULT, Some(world.now())).unwrap();
        while let Some(Outcome::Answered(_, Answer::Received(_))) = world.poll_outcome() {
            received += 1;
            world.submit_recv(pull, ContextId::DEFAULT, Some(world.now())).unwrap();
        }
        // The first was on the wire before either.
        assert_eq!(received, 1 + expected);
        assert_eq!(world.pipe_count(pull).unwrap(), 0);
        world.audit().unwrap();
    }
}

#[test]
fn sockets_that_do_not_fit_part_after_their_greetings() {
    let mut world = world(1);
    let (push, rep) = pair(&mut world, Kind::Push, Kind::Rep);
    world.advance(millis(1_000));
    assert_eq!((world.pipe_count(push).unwrap(), world.pipe_count(rep).unwrap()), (0, 0));
    assert!(world.stats(rep).unwrap().peer_faults > 1, "the dialer keeps trying");
}

fn pair(world: &mut World, dials: Kind, listens: Kind) -> (SocketId, SocketId) {
    let [new_york, london] = two_sites(world);
    let (a, b) = (world.add_host("a", new_york).unwrap(), world.add_host("b", london).unwrap());
    connect(world, a, b, dials, listens)
}

fn connect(
    world: &mut World,
    a: sp_virtual::HostId,
    b: sp_virtual::HostId,
    dials: Kind,
    listens: Kind,
) -> (SocketId, SocketId) {
    let dialer = world.open_socket(a, dials, Options::default()).unwrap();
    let listener = world.open_socket(b, listens, Options::default()).unwrap();
    world.dial(dialer, "b", EndpointOptions::default()).unwrap();
    world.listen(listener, "b", EndpointOptions::default()).unwrap();
    (dialer, listener)
}

fn received(body: &'static str) -> Answer {
    Answer::Received(Message::new(body))
}
