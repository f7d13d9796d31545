//! What every socket promises, whatever its kind, and what each protocol promises beyond that.
//!
//! The first part is functions over a kind, run for each: a new protocol has only to be named in [`KINDS`] and in
//! `for_every_kind`. The world itself checks after every deed that no ticket is answered twice, that no bound is
//! exceeded and that messages are conserved (`common/mod.rs`).

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use common::{Happening, World, recv_first, send_first, text};
use proptest::prelude::*;
use sp_proto::{
    Answer, Attachment, ContextId, EndpointOptions, Event, Kind, OpError, Options, PeerFault, PipeId, Refused, Socket,
    Ticket, Time,
};

macro_rules! for_kind {
    ($module:ident, $kind:expr, [$($law:ident),* $(,)?]) => {
        mod $module {
            use super::Kind;
            $(#[test] fn $law() { super::$law($kind) })*
        }
    };
}

macro_rules! for_every_kind {
    ($laws:tt) => {
        for_kind!(req, Kind::Req, $laws);
        for_kind!(rep, Kind::Rep, $laws);
        for_kind!(push, Kind::Push, $laws);
        for_kind!(pull, Kind::Pull, $laws);
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
    each_pipe_keeps_its_order,
    any_story_conserves_messages_and_answers_every_ticket,
    the_same_commands_and_the_same_seed_tell_the_same_story,
]);

/// The kinds that `for_every_kind` runs.
const KINDS: [Kind; 4] = [Kind::Req, Kind::Rep, Kind::Push, Kind::Pull];

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
    assert_eq!(world.nodes[node].socket.poll_timeout(), None);

    let now = world.now;
    let over = submit(&mut world, node, Some(now));
    assert_eq!(world.answer(node, over), Some(&Answer::Failed(OpError::TimedOut)));
    assert_eq!(world.nodes[node].socket.stats().timeouts, 3);
}

fn what_is_answered_leaves_no_deadline_behind(kind: Kind) {
    let (mut world, node) = alone(kind);
    let deadline = world.now + Duration::from_secs(1);
    let tickets = [0, 1].map(|_| submit(&mut world, node, Some(deadline)));
    world.cancel(node, tickets[0]);
    assert_eq!(world.nodes[node].socket.poll_timeout(), Some(deadline), "the other one waits");
    world.cancel(node, tickets[1]);
    assert_eq!(world.nodes[node].socket.poll_timeout(), None);
}

fn what_can_be_done_at_once_is_done_even_at_the_deadline(kind: Kind) {
    let mut world = World::pair(kind, &Options::default());
    world.advance(Duration::from_secs(1));
    if kind != Kind::Push {
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
    let peer = world.add(kind.partner(), &Options::default());
    world.connect(node, peer);
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
    if kind == Kind::Push {
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
}

/// # Bounds
fn what_waits_to_be_transmitted_is_bounded(kind: Kind) {
    for bound in BOUNDS {
        let by_number = fill(kind, &Options { send_queue: bound, ..Options::default() });
        // Bodies have three bytes; with the four bytes of its id a request or a reply has seven.
        let size = if matches!(kind, Kind::Req | Kind::Rep) { 7 } else { 3 };
        let by_bytes = fill(kind, &Options { queue_bytes: bound, ..Options::default() });
        let (messages, bytes) = if kind == Kind::Pull { (0, 0) } else { (bound, bound.div_ceil(size)) };
        assert_eq!((by_number, by_bytes), (messages, bytes), "bound {bound}");
    }
}

fn what_waits_to_be_received_is_bounded(kind: Kind) {
    for bound in BOUNDS {
        let by_number = flood(kind, &Options { recv_queue: bound, ..Options::default() });
        let by_bytes = flood(kind, &Options { queue_bytes: bound, ..Options::default() });
        // The words of a header are set apart from the body, and counted.
        let size = if kind == Kind::Rep { 7 } else { 3 };
        let (messages, bytes) = if kind == Kind::Push { (0, 0) } else { (bound, bound.div_ceil(size)) };
        if kind == Kind::Req {
            // There is one place for one reply, and none for what was not asked for.
            assert_eq!((by_number, by_bytes), (1, 1));
        } else {
            assert_eq!((by_number, by_bytes), (messages, bytes), "bound {bound}");
        }
    }
}

/// Sends while the connection takes nothing; says how many messages wait.
fn fill(kind: Kind, options: &Options) -> usize {
    let mut world = World::new(1);
    // The partner's own bounds must not hold anything up.
    let (node, peer) = (world.add(kind, options), world.add(kind.partner(), &Options::default()));
    let connection = world.connect(node, peer);
    world.hold(connection, 0, true);
    let contexts: Vec<ContextId> = match kind {
        Kind::Req | Kind::Rep => (0..20).map(|_| world.open(node).unwrap()).collect(),
        Kind::Push | Kind::Pull => vec![ContextId::DEFAULT; 20],
    };
    for context in contexts {
        if kind == Kind::Rep {
            let asker = world.open(peer).unwrap();
            world.try_send(peer, asker, "abc").unwrap();
            assert_eq!(world.try_recv(node, context), Ok(Bytes::from("abc")));
        }
        let result = world.try_send(node, context, "abc");
        let full = world.nodes[node].socket.unsent() > 0 && result == Err(OpError::WouldBlock);
        // A request that finds no room is parked: sending it never waits.
        assert!(result.is_ok() || full || kind == Kind::Pull, "{result:?}");
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
    if kind == Kind::Req {
        world.try_send(node, ContextId::DEFAULT, "abc").unwrap();
    }
    let words: Vec<u32> = match kind {
        Kind::Req => vec![last_id(&world, connection, 1)],
        Kind::Rep => vec![1 << 31],
        Kind::Push | Kind::Pull => vec![],
    };
    (0..20).for_each(|_| world.inject(connection, 0, &words, b"abc"));
    let stats = *world.nodes[node].socket.stats();
    let held = world.nodes[node].handled - stats.dropped_received - stats.dropped_replies;
    if matches!(kind, Kind::Rep | Kind::Pull) {
        assert!(stats.recv_queue_full > 0, "it is counted");
        // What was held back comes when there is room.
        assert_eq!(world.recv_all(node).len(), 20);
    }
    held as usize
}

/// # Pipes
fn only_its_partner_is_let_in(kind: Kind) {
    let mut socket = Socket::new(kind, Options::default(), 1).unwrap();
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
    assert_eq!(world.nodes[0].socket.stats().peer_faults, 3);
}

fn there_are_never_more_pipes_than_allowed(kind: Kind) {
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
        let options = Options { resend: Duration::from_secs(1_000_000), ..small };
        let storm = Storm::play(kind, &options, seed, &deeds);
        for connection in &storm.world.connections {
            for end in &connection.ends {
                let body = |wire: &Bytes| match storm.world.nodes[end.node].socket.kind() {
                    Kind::Req | Kind::Rep => wire.slice(4..),
                    Kind::Push | Kind::Pull => wire.clone(),
                };
                let arrived: Vec<Bytes> = end.arrived.iter().map(body).collect();
                let place = |body: &Bytes| arrived.iter().position(|other| other == body);
                let places: Vec<usize> = storm.taken[end.node].iter().filter_map(place).collect();
                // Several conversations are answered in an order of their own; several requests are not.
                if storm.world.nodes[end.node].socket.kind() != Kind::Req {
                    prop_assert!(places.is_sorted(), "{places:?}");
                }
            }
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

/// Something that happens in a storm. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Deed {
    TrySend { node: usize, context: usize },
    Send { node: usize, context: usize, patience: Option<u64> },
    TryRecv { node: usize, context: usize },
    Recv { node: usize, context: usize, patience: Option<u64> },
    Cancel { node: usize, ticket: usize },
    PutBack { node: usize, context: usize },
    Open { node: usize },
    End { node: usize, context: usize },
    Connect { a: usize, b: usize },
    Hold { connection: usize, side: usize, held: bool },
    Wait { millis: u64 },
    Break { connection: usize },
    HangUp { connection: usize, side: usize },
    Restart { node: usize },
}

fn deed_of_a_program() -> impl Strategy<Value = Deed> {
    let patience = || prop::option::of(0_u64..50);
    prop_oneof![
        6 => (0..4_usize, 0..9_usize).prop_map(|(node, context)| Deed::TrySend { node, context }),
        3 => (0..4_usize, 0..9_usize, patience()).prop_map(|(node, context, patience)| Deed::Send { node, context, patience }),
        6 => (0..4_usize, 0..9_usize).prop_map(|(node, context)| Deed::TryRecv { node, context }),
        3 => (0..4_usize, 0..9_usize, patience()).prop_map(|(node, context, patience)| Deed::Recv { node, context, patience }),
        2 => (0..4_usize, any::<usize>()).prop_map(|(node, ticket)| Deed::Cancel { node, ticket }),
        1 => (0..4_usize).prop_map(|node| Deed::Open { node }),
    ]
}

fn deed_of_a_calm_world() -> impl Strategy<Value = Deed> {
    prop_oneof![
        2 => (0..2_usize, 0..2_usize).prop_map(|(a, b)| Deed::Connect { a, b }),
        2 => (any::<usize>(), 0..2_usize, any::<bool>()).prop_map(|(connection, side, held)| Deed::Hold { connection, side, held }),
        2 => (0_u64..80).prop_map(|millis| Deed::Wait { millis }),
    ]
}

fn deed_of_a_rough_world() -> impl Strategy<Value = Deed> {
    prop_oneof![
        2 => any::<usize>().prop_map(|connection| Deed::Break { connection }),
        2 => (any::<usize>(), 0..2_usize).prop_map(|(connection, side)| Deed::HangUp { connection, side }),
        1 => (0..4_usize).prop_map(|node| Deed::Restart { node }),
        2 => (0..4_usize, 0..9_usize).prop_map(|(node, context)| Deed::PutBack { node, context }),
        1 => (0..4_usize, 0..9_usize).prop_map(|(node, context)| Deed::End { node, context }),
    ]
}

/// Small bounds, and requests that are sent again soon.
fn bounds() -> impl Strategy<Value = Options> {
    let bound = || prop::sample::select(vec![1_usize, 2, 7]);
    (bound(), bound(), prop::sample::select(vec![1_usize, 2, 7, 1 << 20]), 1_u64..60, 1..5_usize).prop_map(
        |(send_queue, recv_queue, queue_bytes, resend, max_contexts)| Options {
            send_queue,
            recv_queue,
            queue_bytes,
            max_contexts,
            max_pipes: 3,
            resend: Duration::from_millis(resend),
            ..Options::default()
        },
    )
}

/// Two sockets of a kind, two of its partner, and programs that know what they may expect: a reply says which request it
/// answers, and nothing is received that was not sent.
#[derive(Debug)]
struct Storm {
    world: World,
    contexts: Vec<Vec<ContextId>>,
    /// What each program has received, in order.
    taken: Vec<Vec<Bytes>>,
    /// Tickets that wait, and what for.
    waiting: Vec<BTreeMap<Ticket, (ContextId, bool)>>,
    /// REQ: what was asked and not answered. REP: what was received last.
    open: Vec<BTreeMap<ContextId, Bytes>>,
    /// The reply that was received last, and the request it answered.
    heard: Vec<BTreeMap<ContextId, (Bytes, Bytes)>>,
    sent: BTreeSet<Bytes>,
    count: usize,
}

impl Storm {
    fn play(kind: Kind, options: &Options, seed: u64, deeds: &[Deed]) -> Storm {
        let mut world = World::new(seed);
        for kind in [kind, kind, kind.partner(), kind.partner()] {
            world.add(kind, options);
        }
        let mut storm = Storm {
            world,
            contexts: vec![vec![ContextId::DEFAULT]; 4],
            taken: vec![vec![]; 4],
            waiting: vec![BTreeMap::new(); 4],
            open: vec![BTreeMap::new(); 4],
            heard: vec![BTreeMap::new(); 4],
            sent: BTreeSet::new(),
            count: 0,
        };
        storm.world.connect(0, 2);
        for deed in deeds {
            storm.act(deed);
            storm.hear();
        }
        storm
    }

    fn act(&mut self, deed: &Deed) {
        let connections = self.world.connections.len();
        match *deed {
            Deed::TrySend { node, context } => {
                let context = self.context(node, context);
                let body = self.body(node, context);
                let result = self.world.try_send(node, context, body.clone());
                self.has_sent(node, context, body, result.is_ok());
            }
            Deed::Send { node, context, patience } => {
                let context = self.context(node, context);
                let body = self.body(node, context);
                let deadline = self.deadline(patience);
                self.has_sent(node, context, body.clone(), true);
                let ticket = self.world.submit_send(node, context, body, deadline);
                self.waiting[node].insert(ticket, (context, true));
            }
            Deed::TryRecv { node, context } => {
                let context = self.context(node, context);
                if let Ok(body) = self.world.try_recv(node, context) {
                    self.has_received(node, context, body);
                }
            }
            Deed::Recv { node, context, patience } => {
                let context = self.context(node, context);
                let deadline = self.deadline(patience);
                let ticket = self.world.submit_recv(node, context, deadline);
                self.waiting[node].insert(ticket, (context, false));
            }
            Deed::Cancel { node, ticket } => {
                let issued: Vec<Ticket> = self.world.nodes[node].issued.iter().copied().collect();
                if !issued.is_empty() {
                    let ticket = issued[ticket % issued.len()];
                    let waits = self.world.answer(node, ticket).is_none();
                    assert_eq!(self.world.cancel(node, ticket), waits);
                }
            }
            Deed::PutBack { node, context } => self.put_back(node, context),
            Deed::Open { node } => {
                if let Ok(context) = self.world.open(node) {
                    self.contexts[node].push(context);
                }
            }
            Deed::End { node, context } => {
                let context = self.context(node, context);
                if context != ContextId::DEFAULT {
                    self.world.end(node, context);
                    self.hear();
                    self.contexts[node].retain(|other| *other != context);
                    self.open[node].remove(&context);
                    self.heard[node].remove(&context);
                }
            }
            Deed::Connect { a, b } if connections < 12 => {
                self.world.connect(a, 2 + b);
            }
            Deed::Connect { .. } => {}
            Deed::Hold { connection, side, held } => self.world.hold(connection % connections, side, held),
            Deed::Wait { millis } => self.world.advance(Duration::from_millis(millis)),
            Deed::Break { connection } => self.world.break_off(connection % connections),
            Deed::HangUp { connection, side } => self.world.hang_up(connection % connections, side),
            Deed::Restart { node } => {
                self.world.restart(node);
                self.contexts[node] = vec![ContextId::DEFAULT];
                self.waiting[node].clear();
                self.open[node].clear();
                self.heard[node].clear();
            }
        }
    }

    /// Collects what tickets were answered with.
    fn hear(&mut self) {
        for node in 0..4 {
            let answered: Vec<Ticket> = self.waiting[node]
                .keys()
                .copied()
                .filter(|ticket| self.world.answer(node, *ticket).is_some())
                .collect();
            for ticket in answered {
                let (context, _) = self.waiting[node].remove(&ticket).unwrap();
                if let Some(Answer::Received(message)) = self.world.answer(node, ticket) {
                    let body = message.body.clone();
                    self.has_received(node, context, body);
                }
            }
        }
    }

    /// The storm is over: everything held is let go, everything received that can be, and every socket closed.
    fn subside(&mut self) {
        for connection in 0..self.world.connections.len() {
            self.world.hold(connection, 0, false);
            self.world.hold(connection, 1, false);
        }
        self.hear();
        for node in 0..4 {
            if self.world.nodes[node].socket.kind() == Kind::Pull {
                while let Ok(body) = self.world.try_recv(node, ContextId::DEFAULT) {
                    self.has_received(node, ContextId::DEFAULT, body);
                }
                let (node, stats) = (&self.world.nodes[node], *self.world.nodes[node].socket.stats());
                assert_eq!(node.handled + node.given_back, stats.received, "what arrives at a PULL is received");
            }
        }
        (0..4).for_each(|node| self.world.close(node));
    }

    /// What to send next. A REP answers the last request of the conversation, as often as it is asked to.
    fn body(&mut self, node: usize, context: ContextId) -> Bytes {
        self.count += 1;
        match (self.world.nodes[node].socket.kind(), self.open[node].get(&context)) {
            (Kind::Rep, Some(request)) => reply_to(request),
            (Kind::Rep, None) => Bytes::from("a reply to nothing"),
            (Kind::Req | Kind::Push | Kind::Pull, _) => format!("{}{}", self.count, "·".repeat(self.count % 4)).into(),
        }
    }

    fn has_sent(&mut self, node: usize, context: ContextId, body: Bytes, sent: bool) {
        if sent && self.world.nodes[node].socket.kind() == Kind::Req {
            self.open[node].insert(context, body.clone());
        }
        self.sent.insert(body);
    }

    fn has_received(&mut self, node: usize, context: ContextId, body: Bytes) {
        assert!(self.sent.contains(&body), "{body:?} was never sent");
        match self.world.nodes[node].socket.kind() {
            Kind::Rep => {
                assert!(!self.waits_to_reply(node, context), "a reply waits that would now go to another asker");
                self.open[node].insert(context, body.clone());
            }
            Kind::Req => {
                let request = self.open[node].remove(&context).expect("there is one reply to one request");
                assert_eq!(body, reply_to(&request), "it answers what was asked");
                self.heard[node].insert(context, (request, body.clone()));
            }
            Kind::Pull => assert!(!self.taken.iter().flatten().any(|taken| *taken == body), "{body:?} came twice"),
            Kind::Push => panic!("a push socket has received something"),
        }
        self.taken[node].push(body);
    }

    /// Gives back what was received last.
    fn put_back(&mut self, node: usize, context: usize) {
        let context = self.context(node, context);
        let body = match self.world.nodes[node].socket.kind() {
            Kind::Pull => self.taken[node].pop(),
            Kind::Rep if self.waits_to_reply(node, context) => None,
            Kind::Rep => self.open[node].remove(&context),
            Kind::Req => self.heard[node].remove(&context).map(|(request, reply)| {
                // It is of use only if nothing else was asked since.
                self.open[node].entry(context).or_insert(request);
                reply
            }),
            Kind::Push => None,
        };
        if let Some(body) = body {
            self.world.put_back(node, context, body);
        }
    }

    fn waits_to_reply(&self, node: usize, context: ContextId) -> bool {
        let waits = |ticket: &Ticket| self.world.answer(node, *ticket).is_none();
        self.waiting[node].iter().any(|(ticket, (other, sends))| *sends && *other == context && waits(ticket))
    }

    fn context(&self, node: usize, number: usize) -> ContextId {
        self.contexts[node][number % self.contexts[node].len()]
    }

    fn deadline(&self, patience: Option<u64>) -> Option<Time> {
        patience.map(|millis| self.world.now + Duration::from_millis(millis))
    }
}

fn reply_to(request: &Bytes) -> Bytes {
    Bytes::from([b"re: ", &request[..]].concat())
}

/// A socket without peers, in a state in which it can wait.
fn alone(kind: Kind) -> (World, usize) {
    let mut world = World::new(1);
    let node = world.add(kind, &Options::default());
    if kind == Kind::Req {
        world.try_send(node, ContextId::DEFAULT, "a question").unwrap();
    }
    (world, node)
}

/// An operation that a socket of its kind can wait for.
fn submit(world: &mut World, node: usize, deadline: Option<Time>) -> Ticket {
    match world.nodes[node].socket.kind() {
        Kind::Push => {
            let body = format!("body {}", world.nodes[node].issued.len());
            world.submit_send(node, ContextId::DEFAULT, body, deadline)
        }
        Kind::Req | Kind::Rep | Kind::Pull => world.submit_recv(node, ContextId::DEFAULT, deadline),
    }
}

/// The second socket gives the first one something to receive.
fn supply(world: &mut World, body: &'static str) {
    match world.nodes[0].socket.kind() {
        Kind::Push => panic!("a push socket receives nothing"),
        Kind::Pull | Kind::Rep => world.try_send(1, ContextId::DEFAULT, body).unwrap(),
        Kind::Req => {
            if world.nodes[0].transmitted == 0 {
                world.try_send(0, ContextId::DEFAULT, "a question").unwrap();
            }
            world.try_recv(1, ContextId::DEFAULT).unwrap();
            world.try_send(1, ContextId::DEFAULT, body).unwrap();
        }
    }
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

/// Requests.
mod asking {
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
        assert_eq!(world.try_send(0, ContextId::from_number(9), "q"), Err(OpError::Closed));
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
        assert_eq!(world.answer(0, goes), Some(&Answer::Failed(OpError::Closed)));
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
}

/// Replies.
mod answering {
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
}

/// Outbound priorities, which PUSH and REQ share.
mod priorities {
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
}

/// Work handed out and taken in.
mod pipeline {
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
    fn a_pipe_that_comes_back_is_another_one() {
        let mut world = World::pair(Kind::Pull, &Options::default());
        let mut pipes = BTreeSet::new();
        for round in 0..5 {
            world.try_send(1, ContextId::DEFAULT, format!("{round}")).unwrap();
            world.break_off(round);
            world.connect(0, 1);
        }
        for (_, happening) in &world.story {
            if let Happening::Event { node: 0, event: Event::PipeUp { pipe }, .. } = happening {
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

    #[test]
    fn a_message_as_large_as_allowed_is_sent_and_a_larger_one_refused() {
        let options = Options { max_message: 100, ..Options::default() };
        for (kind, most) in [(Kind::Push, 100), (Kind::Req, 96)] {
            let mut world = World::pair(kind, &options);
            assert_eq!(world.try_send(0, ContextId::DEFAULT, vec![b'x'; most]), Ok(()));
            assert_eq!(world.recv_all(1).len(), 1);
            let refused = world.try_send(0, ContextId::DEFAULT, vec![b'x'; most + 1]);
            assert_eq!(refused, Err(OpError::TooLarge { size: 101, limit: 100 }));
        }
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
}

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
