//! Tickets: how an operation waits, and how it is answered exactly once.

use std::collections::VecDeque;

use crate::ascending::Ascending;
use crate::context::ContextId;
use crate::error::OpError;
use crate::footprint::{Visit, visit_queue, visit_slice};
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

#[derive(Debug)]
struct Entry {
    want: Want,
    deadline: Option<Time>,
}

/// The tickets that wait, the answers not yet collected, and the deadlines. Receivers wait in lanes, first come first
/// served; which lane a context waits in is the protocol's business.
#[derive(Debug, Default)]
pub(crate) struct WaitingRoom {
    next: u64,
    entries: Ascending<Ticket, Entry>,
    senders: VecDeque<Ticket>,
    lanes: Vec<VecDeque<Ticket>>,
    deadlines: Timers<Ticket>,
    answers: VecDeque<(Ticket, Answer)>,
}

impl WaitingRoom {
    pub(crate) fn admit(&mut self, want: Want, deadline: Option<Time>) -> Ticket {
        let ticket = self.issue(!matches!(want, Want::Recv { .. }));
        match want {
            Want::Send { .. } | Want::Room { .. } => self.senders.push_back(ticket),
            Want::Recv { lane, .. } => {
                if self.lanes.len() <= lane {
                    self.lanes.resize_with(lane + 1, VecDeque::new);
                }
                self.lanes[lane].push_back(ticket);
            }
        }
        if let Some(at) = deadline {
            self.deadlines.set(at, ticket);
        }
        self.entries.insert(ticket, Entry { want, deadline });
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
        self.entries.is_empty()
    }

    /// The first receiver in `lane`, and its context.
    pub(crate) fn first_receiver(&self, lane: usize) -> Option<(Ticket, ContextId)> {
        let ticket = *self.lanes.get(lane)?.front()?;
        match self.entries.get(&ticket)?.want {
            Want::Recv { context, .. } => Some((ticket, context)),
            Want::Send { .. } | Want::Room { .. } => None,
        }
    }

    /// The first receiver of `context` in `lane`.
    pub(crate) fn first_receiver_of(&self, lane: usize, context: ContextId) -> Option<Ticket> {
        let wants = |ticket: &Ticket| match self.entries.get(ticket).map(|entry| &entry.want) {
            Some(Want::Recv { context: other, .. }) => *other == context,
            Some(Want::Send { .. } | Want::Room { .. }) | None => false,
        };
        self.lanes.get(lane)?.iter().copied().find(wants)
    }

    /// Takes the message out of the hands of the sender at `place` in the line, to try it;
    /// [`put_back`](WaitingRoom::put_back) if it cannot be sent yet. Those before it who wait for room only are told.
    pub(crate) fn lend_sender(&mut self, place: usize) -> Option<(Ticket, ContextId, Message)> {
        loop {
            let ticket = *self.senders.get(place)?;
            match &mut self.entries.get_mut(&ticket)?.want {
                Want::Send { context, message } => return Some((ticket, *context, std::mem::take(message))),
                Want::Room { .. } => self.answer(ticket, Answer::Room),
                Want::Recv { .. } => return None,
            };
        }
    }

    pub(crate) fn put_back(&mut self, ticket: Ticket, returned: Message) {
        if let Some(Entry { want: Want::Send { message, .. }, .. }) = self.entries.get_mut(&ticket) {
            *message = returned;
        }
    }

    /// Answers a ticket that waits; false if it does not (any more).
    pub(crate) fn answer(&mut self, ticket: Ticket, answer: Answer) -> bool {
        let Some(entry) = self.entries.remove(&ticket) else {
            return false;
        };
        let line = match entry.want {
            Want::Send { .. } | Want::Room { .. } => &mut self.senders,
            Want::Recv { lane, .. } => &mut self.lanes[lane],
        };
        // Almost always the first in its line.
        if let Some(place) = line.iter().position(|waiting| *waiting == ticket) {
            line.remove(place);
        }
        if let Some(at) = entry.deadline {
            self.deadlines.cancel(at, ticket);
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
        let is_of = |ticket: &Ticket| match self.entries.get(ticket).map(|entry| &entry.want) {
            Some(Want::Send { context, .. } | Want::Room { context }) => *context == gone,
            Some(Want::Recv { .. }) | None => false,
        };
        let tickets: Vec<Ticket> = self.senders.iter().copied().filter(is_of).collect();
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
        let tickets: Vec<Ticket> = self.entries.keys().collect();
        self.fail(tickets, error);
    }

    fn fail(&mut self, tickets: Vec<Ticket>, error: &OpError) {
        for ticket in tickets {
            self.answer(ticket, Answer::Failed(error.clone()));
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.deadlines.next()
    }

    /// Answers every ticket whose deadline is at or before `now`; says how many.
    pub(crate) fn expire(&mut self, now: Time) -> u64 {
        let mut expired = 0;
        while let Some((_, ticket)) = self.deadlines.pop(now) {
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

    pub(crate) fn footprint(&self, visit: Visit<'_>) {
        self.entries.footprint(visit);
        self.deadlines.footprint(visit);
        visit_slice(&self.lanes, visit);
        visit_queue(&self.answers, visit);
    }

    pub(crate) fn footprint_of_lanes(&self, visit: Visit<'_>) {
        self.lanes.iter().take(2).for_each(|lane| visit_queue(lane, visit));
    }

    fn issue(&mut self, sends: bool) -> Ticket {
        self.next += 2;
        Ticket(self.next | u64::from(sends))
    }
}
