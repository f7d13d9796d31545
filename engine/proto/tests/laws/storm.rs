//! Storms: whatever programs and the world may do, in any order, to two sockets of a kind and two of its partner.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use sp_proto::{Answer, ContextId, Kind, Options, Ticket, Time, WhenFull};

use super::common::World;

/// Something that happens in a storm. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
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

pub(crate) fn deed_of_a_program() -> impl Strategy<Value = Deed> {
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

pub(crate) fn deed_of_a_calm_world() -> impl Strategy<Value = Deed> {
    prop_oneof![
        2 => (0..2_usize, 0..2_usize).prop_map(|(a, b)| Deed::Connect { a, b }),
        2 => (any::<usize>(), 0..2_usize, any::<bool>()).prop_map(|(connection, side, held)| Deed::Hold { connection, side, held }),
        2 => (0_u64..80).prop_map(|millis| Deed::Wait { millis }),
    ]
}

pub(crate) fn deed_of_a_rough_world() -> impl Strategy<Value = Deed> {
    prop_oneof![
        2 => any::<usize>().prop_map(|connection| Deed::Break { connection }),
        2 => (any::<usize>(), 0..2_usize).prop_map(|(connection, side)| Deed::HangUp { connection, side }),
        1 => (0..4_usize).prop_map(|node| Deed::Restart { node }),
        2 => (0..4_usize, 0..9_usize).prop_map(|(node, context)| Deed::PutBack { node, context }),
        1 => (0..4_usize, 0..9_usize).prop_map(|(node, context)| Deed::End { node, context }),
    ]
}

/// Small bounds, and requests that are sent again soon.
pub(crate) fn bounds() -> impl Strategy<Value = Options> {
    let bound = || prop::sample::select(vec![1_usize, 2, 7]);
    let when_full = prop::option::of(prop::sample::select(WhenFull::ALL.to_vec()));
    let bytes = prop::sample::select(vec![1_usize, 2, 7, 1 << 20]);
    (bound(), bound(), bytes, 1_u64..60, 1..5_usize, when_full).prop_map(
        |(send_queue, recv_queue, queue_bytes, resend, max_contexts, when_full)| Options {
            send_queue,
            recv_queue,
            queue_bytes,
            max_contexts,
            max_pipes: 3,
            resend: Duration::from_millis(resend),
            survey_deadline: Duration::from_millis(resend),
            when_full,
            ..Options::default()
        },
    )
}

/// Two sockets of a kind, two of its partner, and programs that know what they may expect: a reply says which request it
/// answers, and nothing is received that was not sent.
#[derive(Debug)]
pub(crate) struct Storm {
    pub(crate) world: World,
    contexts: Vec<Vec<ContextId>>,
    /// What each program has received, in order.
    pub(crate) taken: Vec<Vec<Bytes>>,
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
    pub(crate) fn play(kind: Kind, options: &Options, seed: u64, deeds: &[Deed]) -> Storm {
        let mut world = World::new(seed);
        let mut options = options.clone();
        if kind == Kind::Surveyor || kind == Kind::Respondent {
            // A survey that waits to be sent would make it hard to know which one runs.
            options.when_full = options.when_full.filter(|when_full| *when_full != WhenFull::Block);
        }
        for kind in [kind, kind, kind.partner(), kind.partner()] {
            world.add(kind, &options);
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
            // What is sent to all would come twice over two connections.
            Deed::Connect { a, b } if connections < 12 && !(self.sends_to_all() && self.is_connected(a, 2 + b)) => {
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
    pub(crate) fn subside(&mut self) {
        for connection in 0..self.world.connections.len() {
            self.world.hold(connection, 0, false);
            self.world.hold(connection, 1, false);
        }
        self.hear();
        for node in 0..4 {
            let kind = self.world.nodes[node].socket.kind();
            if matches!(kind, Kind::Pull | Kind::Pair | Kind::Pair1 | Kind::Bus) {
                while let Ok(body) = self.world.try_recv(node, ContextId::DEFAULT) {
                    self.has_received(node, ContextId::DEFAULT, body);
                }
                let (node, stats) = (&self.world.nodes[node], *self.world.nodes[node].socket.stats());
                assert_eq!(node.handled, stats.received, "what arrives is received, and counted once");
            }
        }
        (0..4).for_each(|node| self.world.close(node));
    }

    /// What to send next. A REP answers the last request of the conversation, as often as it is asked to.
    fn body(&mut self, node: usize, context: ContextId) -> Bytes {
        self.count += 1;
        match (self.world.nodes[node].socket.kind(), self.open[node].get(&context)) {
            (Kind::Rep | Kind::Respondent, Some(request)) => reply_to(request),
            (Kind::Rep | Kind::Respondent, None) => Bytes::from("a reply to nothing"),
            _ => format!("{}{}", self.count, "·".repeat(self.count % 4)).into(),
        }
    }

    fn has_sent(&mut self, node: usize, context: ContextId, body: Bytes, sent: bool) {
        if sent && matches!(self.world.nodes[node].socket.kind(), Kind::Req | Kind::Surveyor) {
            self.open[node].insert(context, body.clone());
        }
        self.sent.insert(body);
    }

    fn has_received(&mut self, node: usize, context: ContextId, body: Bytes) {
        assert!(self.sent.contains(&body), "{body:?} was never sent");
        match self.world.nodes[node].socket.kind() {
            Kind::Rep | Kind::Respondent => {
                assert!(!self.waits_to_reply(node, context), "a reply waits that would now go to another asker");
                self.open[node].insert(context, body.clone());
            }
            Kind::Req => {
                let request = self.open[node].remove(&context).expect("there is one reply to one request");
                assert_eq!(body, reply_to(&request), "it answers what was asked");
                self.heard[node].insert(context, (request, body.clone()));
            }
            Kind::Surveyor => {
                let survey = self.open[node][&context].clone();
                assert_eq!(body, reply_to(&survey), "it answers what was asked");
                self.heard[node].insert(context, (survey, body.clone()));
            }
            Kind::Pull | Kind::Pair | Kind::Pair1 => {
                assert!(!self.taken.iter().flatten().any(|taken| *taken == body), "{body:?} came twice");
            }
            Kind::Bus => assert!(!self.taken[node].contains(&body), "{body:?} came twice"),
            Kind::Sub if self.world.nodes[node].has_contexts => {}
            Kind::Sub => assert!(!self.taken[node].contains(&body), "{body:?} came twice"),
            kind @ (Kind::Push | Kind::Pub) => panic!("a {kind} socket has received something"),
        }
        self.taken[node].push(body);
    }

    /// Gives back what was received last.
    fn put_back(&mut self, node: usize, context: usize) {
        let context = self.context(node, context);
        let body = match self.world.nodes[node].socket.kind() {
            Kind::Sub if self.world.nodes[node].has_contexts => None,
            Kind::Pull | Kind::Pair | Kind::Pair1 | Kind::Bus | Kind::Sub => self.taken[node].pop(),
            Kind::Rep | Kind::Respondent if self.waits_to_reply(node, context) => None,
            Kind::Rep | Kind::Respondent => self.open[node].remove(&context),
            Kind::Req => self.heard[node].remove(&context).map(|(request, reply)| {
                // It is of use only if nothing else was asked since.
                self.open[node].entry(context).or_insert(request);
                reply
            }),
            Kind::Surveyor => {
                let heard = self.heard[node].remove(&context);
                heard.filter(|(survey, _)| self.open[node].get(&context) == Some(survey)).map(|(_, answer)| answer)
            }
            Kind::Push | Kind::Pub => None,
        };
        if let Some(body) = body {
            self.world.put_back(node, context, body);
        }
    }

    fn sends_to_all(&self) -> bool {
        let kind = self.world.nodes[0].socket.kind();
        matches!(kind, Kind::Pub | Kind::Sub | Kind::Surveyor | Kind::Respondent | Kind::Bus)
    }

    fn is_connected(&self, a: usize, b: usize) -> bool {
        self.world.connections.iter().any(|connection| {
            let [one, two] = &connection.ends;
            [one.node, two.node] == [a, b] && (one.alive || two.alive)
        })
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
