//! Tickets: how an operation waits, and how it is answered exactly once.

use std::collections::VecDeque;

use crate::ascending::Ascending;
use crate::context::ContextId;
use crate::error::OpError;
use crate::few::Few;
use crate::footprint::{Visit, visit_value};
use crate::message::Message;
use crate::time::Time;
use crate::timers::Timers;

/// The receipt for an operation that must wait. It is answered once: with its result, its deadline, a cancellation or
/// the socket's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

impl Ticket {
    /// A number that no other ticket of this socket has had.
    pub fn number(self) -> u64 {
        self.0
    }

    /// Is it for sending? Otherwise it is for receiving.
    pub fn sends(self) -> bool {
        self.0 & 1 == 1
    }

    /// The ticket with this number.
    pub fn from_number(number: u64) -> Ticket {
        Ticket(number)
    }
}

/// How a ticket was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The message was handed to a pipe.
    Sent,
    /// A message was received.
    Received(Message),
    /// Something can be sent now, perhaps; nothing was.
    Room,
    /// It was not to be.
    Failed(OpError),
}

/// What a waiting ticket wants.
#[derive(Debug)]
pub(crate) enum Want {
    Send {
        context: ContextId,
        message: Message,
    },
    /// To be told when it is worth trying to send again.
    Room {
        context: ContextId,
    },
    Recv {
        context: ContextId,
        lane: usize,
    },
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    line: Line,
    context: ContextId,
    deadline: Option<Time>,
}

/// Where a ticket waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Among the senders, with a message or only for room.
    Send,
    Room,
    /// In this lane.
    Recv(u32),
}

/// The tickets that wait, and the answers not yet collected. Receivers wait in lanes, first come first served; which lane a
/// context waits in is the protocol's business.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct WaitingRoom {
    next: u64,
    /// Who came when nobody waited; before all others.
    alone: Option<(Ticket, Entry)>,
    /// How many are in the crowd: whoever finds none need not look there.
    others: u32,
    crowd: Option<Box<Crowd>>,
    answers: Few<(Ticket, Answer)>,
    /// With what they want to send; nothing for who waits for room only.
    senders: VecDeque<(Ticket, Message)>,
}

/// Those who came when others waited already.
#[derive(Debug, Default)]
struct Crowd {
    entries: Ascending<Ticket, Entry>,
    lanes: Vec<Few<Ticket>>,
    deadlines: Timers<Ticket>,
}

impl WaitingRoom {
    pub(crate) fn admit(&mut self, want: Want, deadline: Option<Time>) -> Ticket {
        let ticket = self.issue(!matches!(want, Want::Recv { .. }));
        let (line, context) = match want {
            Want::Send { context, message } => {
                self.senders.push_back((ticket, message));
                (Line::Send, context)
            }
            Want::Room { context } => {
                self.senders.push_back((ticket, Message::default()));
                (Line::Room, context)
            }
            Want::Recv { context, lane } => (Line::Recv(lane as u32), context),
        };
        let entry = Entry { line, context, deadline };
        if self.is_empty() {
            self.alone = Some((ticket, entry));
        } else {
            self.others += 1;
            self.crowd.get_or_insert_default().admit(ticket, entry);
        }
        ticket
    }

    /// A ticket, to send or not, that is answered already.
    pub(crate) fn admit_answered(&mut self, sends: bool, answer: Answer) -> Ticket {
        let ticket = self.issue(sends);
        self.answers.push_back((ticket, answer));
        ticket
    }

    /// Does nobody wait?
    pub(crate) fn is_empty(&self) -> bool {
        self.alone.is_none() && self.others == 0
    }

    /// The first receiver in `lane`, and its context.
    pub(crate) fn first_receiver(&self, lane: usize) -> Option<(Ticket, ContextId)> {
        match &self.alone {
            Some((ticket, Entry { line: Line::Recv(other), context, .. })) if *other as usize == lane => {
                Some((*ticket, *context))
            }
            _ => {
                let ticket = *self.crowd()?.lanes.get(lane)?.front()?;
                self.entry(ticket).map(|entry| (ticket, entry.context))
            }
        }
    }

    /// The first receiver of `context` in `lane`.
    pub(crate) fn first_receiver_of(&self, lane: usize, context: ContextId) -> Option<Ticket> {
        match &self.alone {
            Some((ticket, Entry { line: Line::Recv(_), context: other, .. })) if *other == context => Some(*ticket),
            _ => self.crowd()?.lanes.get(lane)?.iter().copied().find(|ticket| self.is_of(*ticket, context)),
        }
    }

    /// Takes the message out of the hands of the sender at `place` in the line, to try it;
    /// [`put_back`](WaitingRoom::put_back) if it cannot be sent yet. Those before it who wait for room only are told.
    pub(crate) fn lend_sender(&mut self, place: usize) -> Option<(Ticket, ContextId, Message)> {
        loop {
            let (ticket, _) = *self.senders.get(place)?;
            let Entry { line, context, .. } = self.entry(ticket)?;
            if line == Line::Send {
                let (_, message) = self.senders.get_mut(place)?;
                return Some((ticket, context, std::mem::take(message)));
            }
            self.answer(ticket, Answer::Room);
        }
    }

    pub(crate) fn put_back(&mut self, ticket: Ticket, returned: Message) {
        if let Some((_, message)) = self.senders.iter_mut().find(|(waiting, _)| *waiting == ticket) {
            *message = returned;
        }
    }

    /// Answers a ticket that waits; false if it does not (any more).
    pub(crate) fn answer(&mut self, ticket: Ticket, answer: Answer) -> bool {
        let entry = match &self.alone {
            Some((alone, _)) if *alone == ticket => self.alone.take().map(|(_, entry)| entry),
            _ if self.others == 0 => None,
            _ => self.crowd.as_mut().and_then(|crowd| crowd.dismiss(ticket)).inspect(|_| self.others -= 1),
        };
        let Some(entry) = entry else {
            return false;
        };
        // Almost always the first in its line.
        if entry.line == Line::Send || entry.line == Line::Room {
            let place = self.senders.iter().position(|(waiting, _)| *waiting == ticket);
            place.and_then(|place| self.senders.remove(place));
        }
        self.answers.push_back((ticket, answer));
        true
    }

    /// Answers everyone who waits in `context`, whose receivers wait in `lane`.
    pub(crate) fn answer_context(&mut self, gone: ContextId, lane: usize, error: &OpError) {
        self.answer_senders(gone, error);
        self.answer_receivers(gone, lane, error);
    }

    /// Answers everyone who waits to send in `context`.
    pub(crate) fn answer_senders(&mut self, gone: ContextId, error: &OpError) {
        let tickets = self.senders.iter().map(|(ticket, _)| *ticket);
        let tickets: Vec<Ticket> = tickets.filter(|ticket| self.is_of(*ticket, gone)).collect();
        self.fail(tickets, error);
    }

    /// Answers everyone who waits to receive in `context`; they wait in `lane`, perhaps among others.
    pub(crate) fn answer_receivers(&mut self, gone: ContextId, lane: usize, error: &OpError) {
        while let Some(ticket) = self.first_receiver_of(lane, gone) {
            self.answer(ticket, Answer::Failed(error.clone()));
        }
    }

    /// Answers everyone who waits.
    pub(crate) fn answer_all(&mut self, error: &OpError) {
        let alone = self.alone.iter().map(|(ticket, _)| *ticket);
        let tickets: Vec<Ticket> =
            alone.chain(self.crowd().into_iter().flat_map(|crowd| crowd.entries.keys())).collect();
        self.fail(tickets, error);
    }

    fn fail(&mut self, tickets: Vec<Ticket>, error: &OpError) {
        for ticket in tickets {
            self.answer(ticket, Answer::Failed(error.clone()));
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Time> {
        let alone = self.alone.as_ref().and_then(|(_, entry)| entry.deadline);
        match self.crowd().and_then(|crowd| crowd.deadlines.next()) {
            Some(other) => Some(alone.map_or(other, |at| at.min(other))),
            None => alone,
        }
    }

    /// Answers every ticket whose deadline is at or before `now`; says how many.
    pub(crate) fn expire(&mut self, now: Time) -> u64 {
        let mut expired = 0;
        while let Some((_, ticket)) = self.next_due().filter(|(at, _)| *at <= now) {
            expired += u64::from(self.answer(ticket, Answer::Failed(OpError::TimedOut)));
        }
        expired
    }

    pub(crate) fn poll_answer(&mut self) -> Option<(Ticket, Answer)> {
        self.answers.pop_front()
    }

    /// The answer for one ticket, out of turn, if it is there.
    pub(crate) fn take_answer(&mut self, ticket: Ticket) -> Option<Answer> {
        let place = self.answers.iter().position(|(answered, _)| *answered == ticket)?;
        self.answers.remove(place).map(|(_, answer)| answer)
    }

    pub(crate) fn is_answered(&self, ticket: Ticket) -> bool {
        self.answers.iter().any(|(answered, _)| *answered == ticket)
    }

    pub(crate) fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    pub(crate) fn footprint(&self, visit: Visit) {
        if let Some(crowd) = self.crowd() {
            visit_value(crowd, visit);
        }
    }

    /// The crowd, if there is one.
    fn crowd(&self) -> Option<&Crowd> {
        if self.others == 0 { None } else { self.crowd.as_deref() }
    }

    fn entry(&self, ticket: Ticket) -> Option<Entry> {
        match &self.alone {
            Some((alone, entry)) if *alone == ticket => Some(*entry),
            _ => self.crowd()?.entries.get(&ticket).copied(),
        }
    }

    fn is_of(&self, ticket: Ticket, context: ContextId) -> bool {
        self.entry(ticket).is_some_and(|entry| entry.context == context)
    }

    /// Who is the next to have waited in vain, and when.
    fn next_due(&self) -> Option<(Time, Ticket)> {
        let alone = self.alone.as_ref().and_then(|(ticket, entry)| Some((entry.deadline?, *ticket)));
        let other = self.crowd().and_then(|crowd| crowd.deadlines.first());
        [alone, other].into_iter().flatten().min()
    }

    fn issue(&mut self, sends: bool) -> Ticket {
        self.next += 2;
        Ticket(self.next | u64::from(sends))
    }
}

impl Crowd {
    fn admit(&mut self, ticket: Ticket, entry: Entry) {
        if let Line::Recv(lane) = entry.line {
            let lane = lane as usize;
            if self.lanes.len() <= lane {
                self.lanes.resize_with(lane + 1, Few::new);
            }
            self.lanes[lane].push_back(ticket);
        }
        if let Some(at) = entry.deadline {
            self.deadlines.set(at, ticket);
        }
        self.entries.insert(ticket, entry);
    }

    fn dismiss(&mut self, ticket: Ticket) -> Option<Entry> {
        let entry = self.entries.remove(&ticket)?;
        if let Line::Recv(lane) = entry.line {
            let line = &mut self.lanes[lane as usize];
            let place = line.iter().position(|waiting| *waiting == ticket);
            place.and_then(|place| line.remove(place));
        }
        if let Some(at) = entry.deadline {
            self.deadlines.cancel(at, ticket);
        }
        Some(entry)
    }
}
