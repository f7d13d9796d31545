//! Programs: what each socket's program knows, and so what it may expect.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sp_proto::{Answer, ContextId, Kind, Ticket, Time};

use super::common::World;

/// The program of one socket.
#[derive(Debug)]
pub(crate) struct Program {
    node: usize,
    pub(crate) kind: Kind,
    /// Who breaks off and dials a device anew may get back what was under way.
    pub(crate) behind_device: bool,
    pub(crate) contexts: Vec<ContextId>,
    /// Tickets that wait: in which conversation, and what they are to send.
    pub(crate) waiting: BTreeMap<Ticket, (ContextId, Option<Bytes>)>,
    /// What is to be answered: to us if we ask, by us if we answer.
    pub(crate) asked: BTreeMap<ContextId, Asked>,
    pub(crate) topics: BTreeMap<ContextId, Vec<&'static str>>,
    /// Messages that arrived and may be received, by conversation if it is a SUB, and how often.
    due: BTreeMap<(ContextId, Bytes), usize>,
    /// Where each message arrived that came once: a connection, one of its ends, and its place there.
    places: BTreeMap<Bytes, Option<[usize; 3]>>,
    /// The place of the last message that was received from each end.
    last: BTreeMap<[usize; 2], usize>,
    /// When each answer to a survey arrived.
    arrived: BTreeMap<Bytes, Time>,
    pub(crate) received: BTreeSet<Bytes>,
    /// What was received last, unless it was given back.
    pub(crate) newest: Option<Bytes>,
    pub(crate) gives_back: bool,
    /// Messages that began with nothing that was subscribed to.
    unwanted: u64,
}

/// What was asked, and for how long an answer is of use.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) body: Bytes,
    pub(crate) until: Time,
}

/// Who has sent what: every body is another one.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) senders: BTreeMap<Bytes, (usize, Kind)>,
    /// What PUSH and PAIR have transmitted.
    transmitted: BTreeSet<Bytes>,
    serials: BTreeMap<Bytes, u64>,
    /// The last message on each way of a connection.
    last: BTreeMap<[usize; 2], u64>,
    next: u64,
}

impl Program {
    pub(crate) fn new(node: usize, kind: Kind, behind_device: bool) -> Program {
        Program {
            node,
            kind,
            behind_device,
            contexts: vec![ContextId::DEFAULT],
            waiting: BTreeMap::new(),
            asked: BTreeMap::new(),
            topics: BTreeMap::new(),
            due: BTreeMap::new(),
            places: BTreeMap::new(),
            last: BTreeMap::new(),
            arrived: BTreeMap::new(),
            received: BTreeSet::new(),
            newest: None,
            gives_back: false,
            unwanted: 0,
        }
    }

    /// A message has arrived at the socket.
    pub(crate) fn has_arrived(&mut self, body: &Bytes, place: [usize; 3], at: Time) {
        if self.kind == Kind::Sub {
            let wants = |context: &ContextId| {
                self.topics
                    .get(context)
                    .is_some_and(|topics| topics.iter().any(|topic| body.starts_with(topic.as_bytes())))
            };
            let wanting: Vec<ContextId> = self.contexts.iter().copied().filter(wants).collect();
            self.unwanted += u64::from(wanting.is_empty());
            for context in wanting {
                *self.due.entry((context, body.clone())).or_default() += 1;
            }
        } else {
            *self.due.entry((ContextId::DEFAULT, body.clone())).or_default() += 1;
        }
        self.places.entry(body.clone()).and_modify(|place| *place = None).or_insert(Some(place));
        self.arrived.insert(body.clone(), at);
    }

    /// The program has received a message.
    pub(crate) fn has_received(&mut self, ledger: &Ledger, context: ContextId, body: Bytes) {
        let (sender, kind) = ledger.senders.get(&body).unwrap_or_else(|| panic!("{body:?} was never sent"));
        assert_eq!(*kind, self.kind.partner(), "{body:?} came to the wrong kind of socket");
        assert!(self.behind_device || *sender != self.node, "{body:?} came back to its sender");
        let due = if self.kind == Kind::Sub { context } else { ContextId::DEFAULT };
        let due = self.due.get_mut(&(due, body.clone())).filter(|due| **due > 0);
        *due.unwrap_or_else(|| panic!("node {}: {body:?} is received more often than it came", self.node)) -= 1;
        match self.kind {
            Kind::Rep | Kind::Respondent => {
                self.asked.insert(context, Asked { body: body.clone(), until: Time::NEVER });
            }
            Kind::Req => {
                let asked = self.asked.remove(&context).expect("there is one reply to one request");
                assert_eq!(question(&body), &asked.body[..], "it answers what was asked");
            }
            Kind::Surveyor => {
                let asked = &self.asked[&context];
                assert_eq!(question(&body), &asked.body[..], "it answers what was asked");
                assert!(self.arrived[&body] < asked.until, "{body:?} came too late");
            }
            Kind::Push | Kind::Pub => panic!("a {} socket has received something", self.kind),
            Kind::Pair | Kind::Pair1 | Kind::Pull | Kind::Sub | Kind::Bus => self.check_order(&body),
        }
        self.received.insert(body.clone());
        self.newest = Some(body);
    }

    /// Gives back what was received last, if that makes sense; says what.
    pub(crate) fn gives_back(&mut self) -> Option<Bytes> {
        if !matches!(self.kind, Kind::Pair | Kind::Pair1 | Kind::Pull | Kind::Bus) {
            return None;
        }
        let body = self.newest.take()?;
        self.gives_back = true;
        self.received.remove(&body);
        *self.due.get_mut(&(ContextId::DEFAULT, body.clone()))? += 1;
        Some(body)
    }

    /// A ticket was answered.
    pub(crate) fn has_heard(
        &mut self,
        ledger: &Ledger,
        at: Time,
        span: std::time::Duration,
        ticket: Ticket,
        answer: &Answer,
    ) {
        let Some((context, sends)) = self.waiting.remove(&ticket) else {
            return;
        };
        match (answer, sends) {
            (Answer::Sent, Some(body)) => self.has_sent(at, span, context, &body),
            (Answer::Received(message), None) => self.has_received(ledger, context, message.body.clone()),
            (Answer::Failed(_) | Answer::Room, _) => {}
            (answer, sends) => panic!("a ticket to send {sends:?} was answered with {answer:?}"),
        }
    }

    /// A message is on its way.
    pub(crate) fn has_sent(&mut self, at: Time, span: std::time::Duration, context: ContextId, body: &Bytes) {
        match self.kind {
            Kind::Req => {
                self.asked.insert(context, Asked { body: body.clone(), until: Time::NEVER });
            }
            Kind::Surveyor => {
                self.asked.insert(context, Asked { body: body.clone(), until: at + span });
            }
            Kind::Rep | Kind::Respondent
                if self.asked.get(&context).is_some_and(|asked| asked.body == question(body)) =>
            {
                self.asked.remove(&context);
            }
            _ => {}
        }
    }

    /// Forgets a conversation.
    pub(crate) fn has_ended(&mut self, context: ContextId) {
        self.contexts.retain(|other| *other != context);
        self.asked.remove(&context);
        self.topics.remove(&context);
        self.due.retain(|(other, _), _| *other != context);
    }

    /// What its socket counts is what happened.
    pub(crate) fn check(&self, world: &World) {
        let node = &world.nodes[self.node];
        if self.kind == Kind::Sub {
            assert_eq!(
                node.socket.stats().filtered,
                self.unwanted,
                "node {}: what nobody wants is thrown away",
                self.node
            );
        }
        assert!(node.socket.is_closed() || self.waiting.keys().all(|ticket| !node.answers.contains_key(ticket)));
    }

    /// What came over one connection is received in the order in which it came.
    fn check_order(&mut self, body: &Bytes) {
        if self.gives_back || self.contexts.len() > 1 {
            return;
        }
        if let Some(Some([connection, side, place])) = self.places.get(body) {
            let before = self.last.insert([*connection, *side], *place);
            assert!(before.is_none_or(|before| before < *place), "node {}: {body:?} is out of order", self.node);
        }
    }
}

impl Ledger {
    /// A body that nobody has sent before, of about this size.
    pub(crate) fn write(
        &mut self,
        node: usize,
        kind: Kind,
        topic: &str,
        size: usize,
        answers: Option<&Bytes>,
    ) -> Bytes {
        self.next += 1;
        let mut body = match answers {
            Some(asked) => [format!("{} re ", self.next).as_bytes(), asked].concat(),
            None => format!("{topic}{}#", self.next).into_bytes(),
        };
        if answers.is_none() {
            let len = body.len().max(size);
            body.resize(len, b'a' + (self.next % 26) as u8);
        }
        let body = Bytes::from(body);
        self.senders.insert(body.clone(), (node, kind));
        self.serials.insert(body.clone(), self.next);
        body
    }

    /// A message was put on the wire by a socket whose messages keep their order.
    pub(crate) fn has_transmitted(&mut self, kind: Kind, body: &Bytes, way: [usize; 2]) {
        let serial = self.serials.get(body).unwrap_or_else(|| panic!("{body:?} was never sent"));
        if matches!(kind, Kind::Push | Kind::Pair | Kind::Pair1 | Kind::Pub | Kind::Bus) {
            let before = self.last.insert(way, *serial);
            assert!(before.is_none_or(|before| before < *serial), "{body:?} is transmitted out of order, or again");
        }
        if matches!(kind, Kind::Push | Kind::Pair | Kind::Pair1 | Kind::Rep | Kind::Respondent) {
            assert!(self.transmitted.insert(body.clone()), "{body:?} is transmitted twice");
        }
    }
}

/// What an answer says it answers.
fn question(answer: &[u8]) -> &[u8] {
    let start = answer.windows(4).position(|four| four == b" re ").map_or(answer.len(), |place| place + 4);
    &answer[start..]
}

/// The body of a message on the wire.
pub(crate) fn body_of(kind: Kind, wire: &Bytes) -> Bytes {
    match kind {
        Kind::Pair1 => wire.slice(4..),
        Kind::Req | Kind::Rep | Kind::Surveyor | Kind::Respondent => {
            let words = wire.chunks_exact(4).position(|word| word[0] & 0x80 != 0).expect("a header ends");
            wire.slice(4 * (words + 1)..)
        }
        _ => wire.clone(),
    }
}
