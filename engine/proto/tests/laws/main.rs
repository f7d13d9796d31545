//! What every socket promises, whatever its kind, and what each protocol promises beyond that.
//!
//! The first part is functions over a kind, run for each: a new protocol has only to be named in [`KINDS`] and in
//! `for_every_kind`. The world itself checks after every deed that no ticket is answered twice, that no bound is
//! exceeded and that messages are conserved (`common/mod.rs`).

#[path = "../common/mod.rs"]
mod common;

mod answering;
mod asking;
mod bus;
mod device;
mod fanout;
mod pair;
mod pipeline;
mod priorities;
mod pubsub;
mod storm;
mod survey;
mod topics;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use common::{Happening, World, recv_first, send_first, text};
use proptest::prelude::*;
use sp_proto::{
    Answer, Attachment, ContextId, DownReason, EndpointOptions, Event, Kind, OpError, Options, PeerFault, PipeId,
    PipeStats, Refused, Socket, Ticket, Time, WhenFull,
};
use storm::{Storm, bounds, deed_of_a_calm_world, deed_of_a_program, deed_of_a_rough_world};

macro_rules! for_kind {
    ($module:ident, $kind:expr, [$($law:ident),* $(,)?]) => {
        mod $module {
            use super::Kind;
            $(#[test] fn $law() { super::$law($kind) })*
        }
    };
}

pub(crate) use for_kind;

macro_rules! for_every_kind {
    ($laws:tt) => {
        for_kind!(any_pair, Kind::Pair, $laws);
        for_kind!(any_pair1, Kind::Pair1, $laws);
        for_kind!(any_pub, Kind::Pub, $laws);
        for_kind!(any_sub, Kind::Sub, $laws);
        for_kind!(any_req, Kind::Req, $laws);
        for_kind!(any_rep, Kind::Rep, $laws);
        for_kind!(any_push, Kind::Push, $laws);
        for_kind!(any_pull, Kind::Pull, $laws);
        for_kind!(any_surveyor, Kind::Surveyor, $laws);
        for_kind!(any_respondent, Kind::Respondent, $laws);
        for_kind!(any_bus, Kind::Bus, $laws);
    };
}

for_every_kind!([
    a_closed_socket_answers_every_ticket_exactly_once,
    a_closed_socket_takes_nothing_more,
    a_deadline_passes_at_its_nanosecond_and_not_before,
    what_is_answered_leaves_no_deadline_behind,
    what_can_be_done_at_once_is_done_even_at_the_deadline,
    a_cancelled_ticket_takes_no_message_with_it,
    a_message_that_is_given_back_is_received_once_more,
    what_waits_to_be_transmitted_is_bounded,
    what_waits_to_be_received_is_bounded,
    only_its_partner_is_let_in,
    there_are_never_more_pipes_than_allowed,
    what_we_send_our_own_peer_accepts_and_one_byte_more_nobody_does,
    an_operation_in_a_closed_context_says_so,
    a_pipe_counts_what_goes_over_it,
    each_pipe_keeps_its_order,
    whatever_a_peer_sends_is_survived_and_accounted_for,
    any_story_conserves_messages_and_answers_every_ticket,
    the_same_commands_and_the_same_seed_tell_the_same_story,
]);

/// The kinds that `for_every_kind` runs.
const KINDS: [Kind; 11] = [
    Kind::Pair,
    Kind::Pair1,
    Kind::Pub,
    Kind::Sub,
    Kind::Req,
    Kind::Rep,
    Kind::Push,
    Kind::Pull,
    Kind::Surveyor,
    Kind::Respondent,
    Kind::Bus,
];

/// Kinds that receive nothing.
fn only_sends(kind: Kind) -> bool {
    matches!(kind, Kind::Push | Kind::Pub)
}

/// Kinds that send nothing.
fn only_receives(kind: Kind) -> bool {
    matches!(kind, Kind::Pull | Kind::Sub)
}

/// Bytes of the header that its messages have when they come straight from their sender.
fn header_len(kind: Kind) -> usize {
    match kind {
        Kind::Req | Kind::Rep | Kind::Surveyor | Kind::Respondent | Kind::Pair1 => 4,
        _ => 0,
    }
}

#[test]
fn times_are_nanoseconds_and_told_in_seconds() {
    let time = Time::from_nanos(1_500_000_000);
    assert_eq!((time.as_nanos(), time.as_secs_f64()), (1_500_000_000, 1.5));
}

#[test]
fn no_kind_is_forgotten() {
    let all: BTreeSet<Kind> = Kind::ALL.into();
    assert_eq!(all, KINDS.into());
}

/// # Tickets
fn a_closed_socket_answers_every_ticket_exactly_once(kind: Kind) {
    let (mut world, node) = alone(kind);
    let tickets: Vec<Ticket> = (0..5).map(|_| submit(&mut world, node, None)).collect();
    let timed = submit(&mut world, node, Some(Time::from_nanos(10)));
    world.cancel(node, tickets[1]);
    world.advance(Duration::from_nanos(10));
    world.close(node);
    world.advance(Duration::from_secs(600));

    let told = |ticket: Ticket| world.answer(node, ticket).cloned();
    assert!(matches!(told(tickets[1]), Some(Answer::Failed(OpError::Cancelled(_)))));
    assert_eq!(told(timed), Some(Answer::Failed(OpError::TimedOut)));
    for ticket in [0, 2, 3, 4] {
        assert_eq!(told(tickets[ticket]), Some(Answer::Failed(OpError::Closed)));
    }
    assert_all_answered(&world);
}

fn a_closed_socket_takes_nothing_more(kind: Kind) {
    let mut world = World::pair(kind, &Options::default());
    world.close(0);
    world.close(0);
    assert!(world.up().is_empty());
    assert_eq!(world.try_send(0, ContextId::DEFAULT, "late"), Err(OpError::Closed));
    assert_eq!(world.try_recv(0, ContextId::DEFAULT), Err(OpError::Closed));
    assert_eq!(world.open(0), Err(OpError::Closed));
    for ticket in
        [world.submit_send(0, ContextId::DEFAULT, "late", None), world.submit_recv(0, ContextId::DEFAULT, None)]
    {
        assert_eq!(world.answer(0, ticket), Some(&Answer::Failed(OpError::Closed)));
        assert!(!world.cancel(0, ticket));
    }
    let attachment = Attachment { peer: kind.partner().id(), endpoint: EndpointOptions::default() };
    let now = world.now;
    assert_eq!(world.nodes[0].socket.attach(now, attachment), Err(Refused::Closed));
}

fn a_deadline_passes_at_its_nanosecond_and_not_before(kind: Kind) {
    let (mut world, node) = alone(kind);
    let own = world.nodes[node].socket.poll_timeout();
    world.advance(Duration::from_millis(7));
    let deadline = world.now + Duration::from_nanos(1_000_003);
    let later = submit(&mut world, node, Some(deadline + Duration::from_nanos(1)));
    let ticket = submit(&mut world, node, Some(deadline));
    assert_eq!(world.nodes[node].socket.poll_timeout(), Some(deadline));

    world.advance(Duration::from_nanos(1_000_002));
    let now = world.now;
    world.nodes[node].socket.handle_timeout(now);
    world.settle();
    assert_eq!(world.answer(node, ticket), None);

    world.advance(Duration::from_nanos(1));
    assert_eq!(world.answer(node, ticket), Some(&Answer::Failed(OpError::TimedOut)));
    assert_eq!(world.answer(node, later), None);
    world.advance(Duration::from_nanos(1));
    assert_eq!(world.answer(node, later), Some(&Answer::Failed(OpError::TimedOut)));
    assert_eq!(world.nodes[node].socket.poll_timeout(), own);

    let now = world.now;
    let over = submit(&mut world, node, Some(now));
    assert_eq!(world.answer(node, over), Some(&Answer::Failed(OpError::TimedOut)));
    assert_eq!(world.nodes[node].socket.stats().timeouts, 3);
}

fn what_is_answered_leaves_no_deadline_behind(kind: Kind) {
    let (mut world, node) = alone(kind);
    let own = world.nodes[node].socket.poll_timeout();
    let deadline = world.now + Duration::from_secs(1);
    let tickets = [0, 1].map(|_| submit(&mut world, node, Some(deadline)));
    world.cancel(node, tickets[0]);
    assert_eq!(world.nodes[node].socket.poll_timeout(), Some(deadline), "the other one waits");
    world.cancel(node, tickets[1]);
    assert_eq!(world.nodes[node].socket.poll_timeout(), own);
}

fn what_can_be_done_at_once_is_done_even_at_the_deadline(kind: Kind) {
    let mut world = World::pair(kind, &Options::default());
    world.advance(Duration::from_secs(1));
    if !only_sends(kind) {
        supply(&mut world, "m");
    }
    let now = world.now;
    let ticket = submit(&mut world, 0, Some(now));
    assert!(!matches!(world.answer(0, ticket), None | Some(Answer::Failed(_))), "{:?}", world.answer(0, ticket));
}

fn a_cancelled_ticket_takes_no_message_with_it(kind: Kind) {
    let (mut world, node) = alone(kind);
    let [first, second] = [0, 1].map(|_| submit(&mut world, node, None));
    assert!(world.cancel(node, first));
    assert!(!world.cancel(node, first), "it has been answered");
    if kind == Kind::Pub {
        world.hold(0, 0, false);
        assert_eq!(world.recv_all(1), ["first", "body 1"]);
        assert_eq!(world.answer(node, second), Some(&Answer::Sent));
        return;
    }
    let peer = if kind == Kind::Surveyor { 1 } else { world.add(kind.partner(), &Options::default()) };
    if kind != Kind::Surveyor {
        world.connect(node, peer);
    }
    if kind == Kind::Push {
        assert_eq!(world.recv_all(peer), ["body 1"]);
        assert_eq!(world.answer(node, second), Some(&Answer::Sent));
    } else {
        supply(&mut world, "m");
        assert_eq!(received(&world, node, second), "m");
    }
    assert!(!world.cancel(node, second), "an answer stands");
    assert_all_answered(&world);
}

fn a_message_that_is_given_back_is_received_once_more(kind: Kind) {
    if only_sends(kind) {
        return;
    }
    let mut world = World::pair(kind, &Options::default());
    supply(&mut world, "m");
    let body = world.try_recv(0, ContextId::DEFAULT).unwrap();
    world.put_back(0, ContextId::DEFAULT, body.clone());
    assert_eq!(world.try_recv(0, ContextId::DEFAULT), Ok(body.clone()));
    assert!(world.try_recv(0, ContextId::DEFAULT).is_err());

    // Whoever waits already gets it at once.
    if kind == Kind::Req {
        world.put_back(0, ContextId::DEFAULT, body.clone());
    }
    let [first, second] = [0, 1].map(|_| submit(&mut world, 0, None));
    if kind != Kind::Req {
        world.put_back(0, ContextId::DEFAULT, body);
    }
    assert_eq!(received(&world, 0, first), "m");
    assert!(!matches!(world.answer(0, second), Some(Answer::Received(_))));
    assert_eq!(world.nodes[0].socket.stats().received, 1, "it is counted once");
}

/// # Bounds
fn what_waits_to_be_transmitted_is_bounded(kind: Kind) {
    for bound in BOUNDS {
        let by_number = fill(kind, &Options { send_queue: bound, ..Options::default() });
        // Bodies have three bytes; with a header, such as the id of a request, there are seven.
        let size = 3 + header_len(kind);
        let by_bytes = fill(kind, &Options { queue_bytes: bound, ..Options::default() });
        let (messages, bytes) = if only_receives(kind) { (0, 0) } else { (bound, bound.div_ceil(size)) };
        assert_eq!((by_number, by_bytes), (messages, bytes), "bound {bound}");
    }
}

fn what_waits_to_be_received_is_bounded(kind: Kind) {
    for bound in BOUNDS {
        let by_number = flood(kind, &Options { recv_queue: bound, ..Options::default() });
        let by_bytes = flood(kind, &Options { queue_bytes: bound, ..Options::default() });
        // The words of a header are set apart from the body, and counted.
        let size = if matches!(kind, Kind::Rep | Kind::Respondent) { 7 } else { 3 };
        let (messages, bytes) = if only_sends(kind) { (0, 0) } else { (bound, bound.div_ceil(size)) };
        if kind == Kind::Req {
            // There is one place for one reply, and none for what was not asked for.
            assert_eq!((by_number, by_bytes), (1, 1));
        } else {
            assert_eq!((by_number, by_bytes), (messages, bytes), "bound {bound}");
        }
    }
}

fn what_we_send_our_own_peer_accepts_and_one_byte_more_nobody_does(kind: Kind) {
    let options = Options { max_message: 100, ..Options::default() };
    let mut world = World::pair(kind, &options);
    if only_receives(kind) {
        return;
    }
    if matches!(kind, Kind::Rep | Kind::Respondent) {
        world.try_send(1, ContextId::DEFAULT, "q").unwrap();
        world.try_recv(0, ContextId::DEFAULT).unwrap();
    }
    let refused = world.try_send(0, ContextId::DEFAULT, vec![b'x'; 101]);
    assert_eq!(refused, Err(OpError::TooLarge { size: 101, limit: 100 }));
    assert_eq!(world.try_send(0, ContextId::DEFAULT, vec![b'x'; 100]), Ok(()));
    assert_eq!(world.recv_all(1)[0].len(), 100);
    assert_eq!(world.up(), [0]);

    // Sent by somebody who does not keep to it: it costs the connection, whatever the header.
    let words = match (header_len(kind), kind) {
        (0, _) => vec![],
        (_, Kind::Pair1) => vec![1],
        (_, _) => vec![1 << 31],
    };
    world.inject(0, 1, &words, &[b'x'; 101]);
    assert!(world.up().is_empty());
    assert_eq!(world.nodes[1].socket.stats().peer_faults, 1);
}

fn an_operation_in_a_closed_context_says_so(kind: Kind) {
    let mut world = World::pair(kind, &Options::default());
    let Ok(context) = world.open(0) else {
        return;
    };
    if matches!(kind, Kind::Req | Kind::Surveyor) {
        world.try_send(0, context, "q").unwrap();
    }
    let waits = world.submit_recv(0, context, None);
    world.end(0, context);
    assert_eq!(world.answer(0, waits), Some(&Answer::Failed(OpError::ContextClosed)));
    assert_eq!(world.try_recv(0, context), Err(OpError::ContextClosed));
    if !only_receives(kind) {
        assert_eq!(world.try_send(0, context, "m"), Err(OpError::ContextClosed));
    }
    assert_eq!(OpError::ContextClosed.to_string(), "the context is closed");
}

fn a_pipe_counts_what_goes_over_it(kind: Kind) {
    let mut world = World::pair(kind, &Options::default());
    let from = if only_receives(kind) { 1 } else { 0 };
    if matches!(kind, Kind::Rep | Kind::Respondent) {
        world.try_send(1, ContextId::DEFAULT, "question").unwrap();
        world.try_recv(0, ContextId::DEFAULT).unwrap();
    }
    world.try_send(from, ContextId::DEFAULT, "abc").unwrap();
    let [sender, receiver] = [from, 1 - from].map(|node| {
        let end = world.connections[0].ends.iter().find(|end| end.node == node).unwrap();
        world.nodes[node].socket.pipe_stats(end.pipe.unwrap()).unwrap()
    });
    assert_eq!((sender.sent, sender.sent_bytes), (1, 3));
    assert_eq!((receiver.received, receiver.received_bytes), (1, 3 + header_len(kind) as u64));
}

/// Sends while the connection takes nothing; says how many messages wait.
fn fill(kind: Kind, options: &Options) -> usize {
    let mut world = World::new(1);
    // The partner's own bounds must not hold anything up.
    let (node, peer) = (world.add(kind, options), world.add(kind.partner(), &Options::default()));
    let connection = world.connect(node, peer);
    world.hold(connection, 0, true);
    let contexts: Vec<ContextId> = match kind {
        Kind::Req | Kind::Rep | Kind::Surveyor | Kind::Respondent => {
            (0..20).map(|_| world.open(node).unwrap()).collect()
        }
        _ => vec![ContextId::DEFAULT; 20],
    };
    for context in contexts {
        if matches!(kind, Kind::Rep | Kind::Respondent) {
            let asker = world.open(peer).unwrap();
            world.try_send(peer, asker, "abc").unwrap();
            assert_eq!(world.try_recv(node, context), Ok(Bytes::from("abc")));
        }
        let result = world.try_send(node, context, "abc");
        let full = world.nodes[node].socket.unsent() > 0 && result == Err(OpError::WouldBlock);
        // A request that finds no room is parked: sending it never waits.
        assert!(result.is_ok() || full || only_receives(kind), "{result:?}");
    }
    let most = world.nodes[node].socket.unsent();
    world.hold(connection, 0, false);
    assert_eq!(world.nodes[node].socket.unsent(), 0);
    most
}

/// Lets messages arrive that nobody receives; says how many the socket takes.
fn flood(kind: Kind, options: &Options) -> usize {
    let mut world = World::new(1);
    let (node, peer) = (world.add(kind, options), world.add(kind.partner(), &Options::default()));
    let connection = world.connect(node, peer);
    if matches!(kind, Kind::Req | Kind::Surveyor) {
        world.try_send(node, ContextId::DEFAULT, "abc").unwrap();
    }
    let words: Vec<u32> = match kind {
        Kind::Req | Kind::Surveyor => vec![last_id(&world, connection, 1)],
        Kind::Rep | Kind::Respondent => vec![1 << 31],
        Kind::Pair1 => vec![1],
        _ => vec![],
    };
    (0..20).for_each(|_| world.inject(connection, 0, &words, b"abc"));
    let stats = *world.nodes[node].socket.stats();
    let dropped = stats.dropped_received + stats.dropped_replies + stats.dropped_full_recv;
    let held = world.nodes[node].handled - dropped;
    if !only_sends(kind) && !matches!(kind, Kind::Req | Kind::Surveyor) {
        assert!(stats.recv_queue_full > 0, "it is counted");
        // What was held back comes when there is room.
        assert_eq!(world.recv_all(node).len(), 20);
    }
    held as usize
}

/// # Pipes
fn only_its_partner_is_let_in(kind: Kind) {
    let mut socket = Socket::new(kind, Options::default(), 1).unwrap();
    assert_eq!(kind.partner().partner(), kind);
    for peer in 0..=u16::MAX {
        let result = socket.attach(Time::ZERO, Attachment { peer, endpoint: EndpointOptions::default() });
        if peer != kind.partner().id() {
            assert_eq!(result, Err(Refused::Peer(PeerFault::Protocol { ours: kind.id(), theirs: peer })));
        }
    }
    assert_eq!((socket.pipe_count(), socket.stats().peer_faults), (1, 65_535));

    // On the wire: a stranger loses its own connection and nobody else's.
    let mut world = World::pair(kind, &Options::default());
    for (other, stranger) in Kind::ALL.into_iter().filter(|other| *other != kind.partner()).zip(2..) {
        world.add(other, &Options::default());
        world.connect(0, stranger);
    }
    assert_eq!(world.up(), [0]);
    assert_eq!(world.nodes[0].socket.stats().peer_faults, Kind::ALL.len() as u64 - 1);
}

fn there_are_never_more_pipes_than_allowed(kind: Kind) {
    if matches!(kind, Kind::Pair | Kind::Pair1) {
        // One is all they may have.
        return;
    }
    let mut world = World::new(1);
    let node = world.add(kind, &Options { max_pipes: 2, ..Options::default() });
    for _ in 0..4 {
        let peer = world.add(kind.partner(), &Options::default());
        world.connect(node, peer);
    }
    assert_eq!(world.up(), [0, 1]);
    assert_eq!(world.nodes[node].socket.stats().refused_pipes, 2);
    let refused = Happening::Refused { node, peer: 4, refused: Refused::TooManyPipes(2) };
    assert!(world.story.iter().any(|(_, happening)| *happening == refused));

    world.break_off(0);
    let newcomer = world.connect(node, 3);
    assert_eq!(world.up(), [1, newcomer]);
}

fn each_pipe_keeps_its_order(kind: Kind) {
    let calm = prop_oneof![4 => deed_of_a_program(), 1 => deed_of_a_calm_world()];
    proptest!(config(64), |(deeds in prop::collection::vec(calm, 1..120), small in bounds(), seed: u64)| {
        // A calm world: nothing is sent again, and nobody is disconnected.
        let when_full = small.when_full.filter(|when_full| *when_full != WhenFull::Disconnect);
        let options = Options { resend: Duration::from_secs(1_000_000), when_full, ..small };
        let storm = Storm::play(kind, &options, seed, &deeds);
        for connection in &storm.world.connections {
            for end in &connection.ends {
                let node = &storm.world.nodes[end.node];
                let body = |wire: &Bytes| wire.slice(header_len(node.socket.kind())..);
                let arrived: Vec<Bytes> = end.arrived.iter().map(body).collect();
                let place = |body: &Bytes| arrived.iter().position(|other| other == body);
                let places: Vec<usize> = storm.taken[end.node].iter().filter_map(place).collect();
                // Several conversations are answered in an order of their own; several requests are not.
                let asks = matches!(node.socket.kind(), Kind::Req | Kind::Surveyor);
                if !(asks || node.socket.kind() == Kind::Sub && node.has_contexts) {
                    prop_assert!(places.is_sorted(), "{places:?}");
                }
            }
        }
    });
}

/// Cooked and raw; the world checks after every message that each is received, dropped and counted, or kept.
fn whatever_a_peer_sends_is_survived_and_accounted_for(kind: Kind) {
    let word = prop_oneof![0..4_u32, Just(255), Just(256), Just(1 << 31), Just(u32::MAX), any::<u32>()];
    let message = (prop::collection::vec(word, 0..12), prop::collection::vec(any::<u8>(), 0..6), 0..4_u8);
    let messages = prop::collection::vec(message, 1..60);
    proptest!(config(64), |(messages in messages, raw: bool, seed: u64)| {
        let mut world = World::new(seed);
        let options = Options { recv_queue: 4, max_message: 30, ..Options::default() };
        let node = if raw { world.add_raw(kind, &options) } else { world.add(kind, &options) };
        let peer = world.add_raw(kind.partner(), &Options::default());
        for (mut words, body, deed) in messages {
            match deed {
                0 => drop(world.try_send(node, ContextId::DEFAULT, "m")),
                1 => drop(world.try_recv(node, ContextId::DEFAULT)),
                2 => world.advance(Duration::from_millis(300)),
                _ => {}
            }
            if world.up().is_empty() {
                world.connect(node, peer);
            }
            let connection = world.up()[0];
            // Now and then it answers what was asked.
            let asked = world.connections[connection].ends[1].arrived.last().filter(|wire| wire.len() >= 4);
            if let (3, Some(wire)) = (deed, asked) {
                words = vec![u32::from_be_bytes(wire[..4].try_into().unwrap())];
            }
            world.inject(connection, 0, &words, &body);
        }
    });
}

/// # Stories
fn any_story_conserves_messages_and_answers_every_ticket(kind: Kind) {
    let deed = prop_oneof![6 => deed_of_a_program(), 2 => deed_of_a_calm_world(), 1 => deed_of_a_rough_world()];
    proptest!(config(256), |(deeds in prop::collection::vec(deed, 1..120), options in bounds(), seed: u64)| {
        let mut storm = Storm::play(kind, &options, seed, &deeds);
        storm.subside();
        assert_all_answered(&storm.world);
    });
}

fn the_same_commands_and_the_same_seed_tell_the_same_story(kind: Kind) {
    let deed = prop_oneof![6 => deed_of_a_program(), 2 => deed_of_a_calm_world(), 1 => deed_of_a_rough_world()];
    proptest!(config(32), |(deeds in prop::collection::vec(deed, 1..80), options in bounds(), seed: u64)| {
        let [one, two] = [0, 1].map(|_| Storm::play(kind, &options, seed, &deeds).world);
        prop_assert_eq!(one.story, two.story);
        for (one, two) in one.nodes.iter().zip(&two.nodes) {
            prop_assert_eq!(one.socket.stats(), two.socket.stats());
        }
    });
}

/// A socket without peers, or with one that does not help, in a state in which it can wait.
fn alone(kind: Kind) -> (World, usize) {
    let mut world = World::new(1);
    match kind {
        Kind::Pub => {
            // It waits for a peer that is full, if it is told to.
            let options = Options { send_queue: 1, when_full: Some(WhenFull::Block), ..Options::default() };
            let (node, peer) = (world.add(kind, &options), world.add(Kind::Sub, &Options::default()));
            let connection = world.connect(node, peer);
            world.hold(connection, 0, true);
            world.try_send(node, ContextId::DEFAULT, "first").unwrap();
        }
        Kind::Surveyor => {
            let options = Options { survey_deadline: Duration::from_secs(1_000_000), ..Options::default() };
            let (node, peer) = (world.add(kind, &options), world.add(Kind::Respondent, &Options::default()));
            world.connect(node, peer);
            world.try_send(node, ContextId::DEFAULT, "a question").unwrap();
        }
        _ => {
            let node = world.add(kind, &Options::default());
            if kind == Kind::Req {
                world.try_send(node, ContextId::DEFAULT, "a question").unwrap();
            }
        }
    }
    (world, 0)
}

/// An operation that a socket of its kind can wait for.
fn submit(world: &mut World, node: usize, deadline: Option<Time>) -> Ticket {
    if only_sends(world.nodes[node].socket.kind()) {
        let body = format!("body {}", world.nodes[node].issued.len());
        world.submit_send(node, ContextId::DEFAULT, body, deadline)
    } else {
        world.submit_recv(node, ContextId::DEFAULT, deadline)
    }
}

/// The second socket gives the first one something to receive.
fn supply(world: &mut World, body: &'static str) {
    if matches!(world.nodes[0].socket.kind(), Kind::Req | Kind::Surveyor) {
        if world.nodes[0].transmitted == 0 {
            world.try_send(0, ContextId::DEFAULT, "a question").unwrap();
        }
        world.try_recv(1, ContextId::DEFAULT).unwrap();
    }
    world.try_send(1, ContextId::DEFAULT, body).unwrap();
}

fn received(world: &World, node: usize, ticket: Ticket) -> String {
    match world.answer(node, ticket) {
        Some(Answer::Received(message)) => text(&message.body),
        other => panic!("{ticket:?} was answered with {other:?}"),
    }
}

fn assert_all_answered(world: &World) {
    for node in world.nodes.iter().filter(|node| node.socket.is_closed()) {
        let answered: BTreeSet<Ticket> = node.answers.keys().copied().collect();
        assert_eq!(answered, node.issued);
    }
}

/// The id of the last request that arrived at this end.
fn last_id(world: &World, connection: usize, side: usize) -> u32 {
    let wire = world.connections[connection].ends[side].arrived.last().expect("a request has arrived");
    u32::from_be_bytes(wire[..4].try_into().unwrap())
}

/// Cases, or as many as the environment asks for.
fn config(cases: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(cases);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

const BOUNDS: [usize; 3] = [1, 2, 7];

/// A socket of this kind, node 0, with two partners.
fn one_with_two(kind: Kind) -> (World, [usize; 3]) {
    let mut world = World::new(1);
    let nodes = [kind, kind.partner(), kind.partner()].map(|kind| world.add(kind, &Options::default()));
    world.connect(nodes[0], nodes[1]);
    world.connect(nodes[0], nodes[2]);
    (world, nodes)
}

/// A REP answers the next request; returns what it was.
fn answer(world: &mut World, rep: usize) -> String {
    let request = text(&world.try_recv(rep, ContextId::DEFAULT).unwrap());
    world.try_send(rep, ContextId::DEFAULT, format!("re: {request}")).unwrap();
    request
}

/// To whom a socket has transmitted, in order.
fn takers(world: &World, sender: usize) -> Vec<usize> {
    let taker = |(_, happening): &(Time, Happening)| match happening {
        Happening::Message { from, to, .. } if *from == sender => Some(*to),
        _ => None,
    };
    world.story.iter().filter_map(taker).collect()
}
