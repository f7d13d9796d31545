//! REQ/REP: one reply for each request.
//!
//! A request is a stack of 32-bit words and a body. The words are routing ids of the devices it has crossed, highest bit
//! clear, and at the bottom the request's own id, highest bit set (sp-request-reply-01). The reply carries the stack
//! home. A request whose pipe dies is sent again at once, to another pipe; one that is not answered within `resend` is
//! sent again to the next pipe, because a silent peer is likelier dead than slow. A request that brings down one
//! connection after another, perhaps because nobody accepts its size, is given time in between.

use std::mem::offset_of;

use bytes::Bytes;
use rand::RngExt;

use super::ways::{Inbox, Outbox, put, received};
use super::{Io, Protocol, too_many_contexts};
use crate::ascending::Ascending;
use crate::context::{ContextId, Contexts};
use crate::error::OpError;
use crate::few::Few;
use crate::footprint::{Visit, visit_body};
use crate::message::{Header, Message};
use crate::options::Options;
use crate::pipe::PipeId;
use crate::seed::rng_from;
use crate::time::Time;
use crate::timers::Timers;

/// Asks. Each context has at most one request outstanding; a new one cancels the old.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Req {
    /// Which context a reply belongs to.
    outstanding: Ascending<u32, ContextId>,
    /// Contexts whose request waits for a pipe that can take it.
    parked: Few<ContextId>,
    outbox: Outbox,
    resends: Timers<ContextId>,
    next_id: u32,
    contexts: Contexts<Asking>,
}

#[derive(Debug, Default)]
enum Asking {
    #[default]
    Idle,
    Waiting {
        id: u32,
        body: Bytes,
        /// The pipe that carries it; none while it is parked.
        on: Option<PipeId>,
        /// When it is sent again; not set while it is parked.
        resend_at: Option<Time>,
        /// How many pipes have died with it.
        deaths: u32,
    },
    Answered {
        body: Bytes,
        /// It has been received once, and was given back.
        returned: bool,
    },
}

impl Req {
    /// Ids start at random so that a reply to an earlier program's request is not taken for ours.
    pub(crate) fn new(options: &Options, seed: u64) -> Req {
        Req {
            contexts: Contexts::new(options.max_contexts),
            outstanding: Ascending::default(),
            parked: Few::new(),
            outbox: Outbox::default(),
            resends: Timers::default(),
            next_id: rng_from(seed).random::<u32>(),
        }
    }

    /// Sends the request of `context`, or parks it until a pipe can take it.
    fn dispatch(&mut self, io: &mut Io<'_>, context: ContextId) {
        let Some(Asking::Waiting { id, body, on, resend_at, .. }) = self.contexts.get_mut(context) else {
            return;
        };
        if let Some(at) = resend_at.take() {
            self.resends.cancel(at, context);
        }
        *on = self.outbox.turn();
        match *on {
            Some(pipe) => {
                let message = Message { header: Header::from_slice(&[*id]), body: body.clone() };
                let at = io.now + io.options.resend;
                *resend_at = Some(at);
                self.resends.set(at, context);
                self.outbox.transmit(io, pipe, message);
            }
            None => self.parked.push_back(context),
        }
    }

    fn resend(&mut self, io: &mut Io<'_>, context: ContextId) {
        io.stats.resends += 1;
        self.dispatch(io, context);
    }

    /// The pipe of a request is gone. The first few times it is sent again at once; then it waits as long as a dialer
    /// would.
    fn strand(&mut self, io: &mut Io<'_>, context: ContextId) {
        let Some(Asking::Waiting { on, resend_at, deaths, .. }) = self.contexts.get_mut(context) else {
            return;
        };
        *deaths = deaths.saturating_add(1);
        if *deaths <= io.options.instant_resends {
            return self.resend(io, context);
        }
        let doublings = (*deaths - io.options.instant_resends - 1).min(31);
        let pause = io.options.reconnect_min.saturating_mul(1 << doublings).min(io.options.reconnect_max);
        *on = None;
        if let Some(before) = resend_at.replace(io.now + pause) {
            self.resends.cancel(before, context);
        }
        self.resends.set(io.now + pause, context);
        io.stats.resends_delayed += 1;
    }

    /// Forgets what `context` has asked, or the reply that nobody has fetched.
    fn forget(&mut self, io: &mut Io<'_>, context: ContextId) {
        let Some(state) = self.contexts.get_mut(context) else {
            return;
        };
        match std::mem::take(state) {
            Asking::Idle => {}
            Asking::Answered { .. } => io.stats.dropped_replies += 1,
            Asking::Waiting { id, on, resend_at, .. } => {
                self.outstanding.remove(&id);
                if let Some(at) = resend_at {
                    self.resends.cancel(at, context);
                }
                if on.is_none() {
                    self.parked.retain(|parked| *parked != context);
                }
            }
        }
    }
}

impl Protocol for Req {
    fn attach(&mut self, io: &mut Io<'_>, pipe: PipeId) {
        self.writable(io, pipe);
    }

    fn detach(&mut self, io: &mut Io<'_>, pipe: PipeId) {
        self.outbox.withdraw(io, pipe);
        let stranded: Vec<ContextId> = self
            .contexts
            .iter_mut()
            .filter(|(_, state)| matches!(state, Asking::Waiting { on: Some(carrier), .. } if *carrier == pipe))
            .map(|(context, _)| context)
            .collect();
        for context in stranded {
            self.strand(io, context);
        }
    }

    fn writable(&mut self, io: &mut Io<'_>, pipe: PipeId) {
        self.outbox.offer(io, pipe);
        while self.outbox.has_room()
            && let Some(context) = self.parked.pop_front()
        {
            self.dispatch(io, context);
        }
    }

    fn handle_message(&mut self, io: &mut Io<'_>, pipe: PipeId, mut message: Message) {
        let Some(id) = message.take_word() else {
            return io.drop_malformed(pipe);
        };
        if !io.fits(pipe, &message) {
            return;
        }
        let Some(context) = self.outstanding.get(&id).copied() else {
            return io.drop_reply(pipe);
        };
        self.forget(io, context);
        if let Some(state) = self.contexts.get_mut(context) {
            *state = Asking::Answered { body: message.body, returned: false };
            io.wake.lane(self.lane(context));
        }
    }

    fn send(&mut self, io: &mut Io<'_>, context: ContextId, message: Message) -> Result<(), (OpError, Message)> {
        let Some(state) = self.contexts.get_mut(context) else {
            return Err((OpError::ContextClosed, message));
        };
        if matches!(state, Asking::Waiting { .. }) {
            let error = OpError::Cancelled("a new request took the place of the one being waited for");
            io.wake.abandon_receivers(context, error);
        }
        self.forget(io, context);
        let id = self.next_id | REQUEST;
        self.next_id = self.next_id.wrapping_add(1);
        self.outstanding.insert(id, context);
        if let Some(state) = self.contexts.get_mut(context) {
            *state = Asking::Waiting { id, body: message.body, on: None, resend_at: None, deaths: 0 };
        }
        self.dispatch(io, context);
        Ok(())
    }

    fn recv(&mut self, io: &mut Io<'_>, context: ContextId) -> Result<Message, OpError> {
        let state = self.contexts.get_mut(context).ok_or(OpError::ContextClosed)?;
        match state {
            Asking::Idle => Err(OpError::State("there is no request to receive a reply for; send one first")),
            Asking::Waiting { .. } => Err(OpError::WouldBlock),
            Asking::Answered { body, returned } => {
                let (message, returned) = (Message::new(std::mem::take(body)), *returned);
                *state = Asking::Idle;
                Ok(if returned { message } else { received(io, message) })
            }
        }
    }

    /// A reply is of use until something else is asked.
    fn put_back(&mut self, io: &mut Io<'_>, context: ContextId, message: Message) {
        match self.contexts.get_mut(context) {
            Some(state @ Asking::Idle) => *state = Asking::Answered { body: message.body, returned: true },
            Some(Asking::Waiting { .. } | Asking::Answered { .. }) | None => io.stats.dropped_replies += 1,
        }
    }

    fn open_context(&mut self, io: &mut Io<'_>) -> Result<ContextId, OpError> {
        self.contexts.open().ok_or_else(|| too_many_contexts(io))
    }

    fn close_context(&mut self, io: &mut Io<'_>, context: ContextId) {
        self.forget(io, context);
        self.contexts.close(context);
    }

    fn lane(&self, context: ContextId) -> usize {
        context.index()
    }

    fn handle_timeout(&mut self, io: &mut Io<'_>) {
        while let Some((_, context)) = self.resends.pop(io.now) {
            if let Some(Asking::Waiting { resend_at, .. }) = self.contexts.get_mut(context) {
                *resend_at = None;
                self.resend(io, context);
            }
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        self.resends.next()
    }

    fn footprint_here(&self, visit: Visit) {
        visit(std::ptr::from_ref(self).cast(), offset_of!(Req, contexts) + 2 * size_of::<usize>());
    }

    fn likely_pipe(&self) -> Option<PipeId> {
        self.outbox.next()
    }

    fn footprint(&self, visit: Visit) {
        self.contexts.footprint(visit);
        self.outstanding.footprint(visit);
        self.outbox.footprint(visit);
        self.resends.footprint(visit);
    }

    fn footprint_of_bodies(&self, visit: Visit) {
        let waiting = self.contexts.states().find(|state| !matches!(state, Asking::Idle));
        if let Some(Asking::Waiting { body, .. }) = waiting {
            visit_body(body, visit);
        }
    }
}

/// Replies. Each context holds at most one request in hand; receiving another one abandons it. A RESPONDENT is the same
/// machine; in other words, and with another answer to a full queue.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Rep {
    inbox: Inbox,
    contexts: Contexts<Replying>,
    wording: &'static Wording,
}

/// What it says to its program.
#[derive(Debug)]
struct Wording {
    nothing_in_hand: &'static str,
    abandoned: &'static str,
}

#[derive(Debug, Default)]
enum Replying {
    #[default]
    Idle,
    /// The way home: the pipe the request came from, then the words of its header.
    InHand { pipe: PipeId, stack: Header },
    /// It was given back; the next to receive gets it again.
    Returned { pipe: PipeId, stack: Header, body: Bytes },
}

impl Rep {
    pub(crate) fn new(options: &Options) -> Rep {
        Rep { contexts: Contexts::new(options.max_contexts), inbox: Inbox::default(), wording: &REPLIES }
    }

    /// One that answers surveys.
    pub(crate) fn respondent(options: &Options) -> Rep {
        Rep { wording: &ANSWERS, ..Rep::new(options) }
    }
}

impl Protocol for Rep {
    fn attach(&mut self, _io: &mut Io<'_>, _pipe: PipeId) {}

    /// A request whose asker is gone is not worth answering.
    fn detach(&mut self, io: &mut Io<'_>, pipe: PipeId) {
        self.inbox.unqueue(io, pipe);
        io.wake.senders = true;
    }

    fn writable(&mut self, io: &mut Io<'_>, _pipe: PipeId) {
        io.wake.senders = true;
    }

    fn handle_message(&mut self, io: &mut Io<'_>, pipe: PipeId, message: Message) {
        match split_stack(message, io.options.ttl) {
            Some(request) if io.fits(pipe, &request) => self.inbox.enqueue(io, pipe, request),
            Some(_) => {}
            None => io.drop_malformed(pipe),
        }
    }

    fn send(&mut self, io: &mut Io<'_>, context: ContextId, message: Message) -> Result<(), (OpError, Message)> {
        let Some(state) = self.contexts.get_mut(context) else {
            return Err((OpError::ContextClosed, message));
        };
        let Replying::InHand { pipe, stack } = state else {
            return Err((OpError::State(self.wording.nothing_in_hand), message));
        };
        if io.pipes.up(*pipe).is_none() {
            io.stats.dropped_orphans += 1;
        } else if let Err(Message { header, body }) =
            put(io, *pipe, Message { header: std::mem::take(stack), body: message.body })
        {
            *stack = header;
            return Err((OpError::WouldBlock, Message::new(body)));
        }
        *state = Replying::Idle;
        Ok(())
    }

    fn recv(&mut self, io: &mut Io<'_>, context: ContextId) -> Result<Message, OpError> {
        let state = self.contexts.get_mut(context).ok_or(OpError::ContextClosed)?;
        if let Replying::Returned { pipe, stack, body } = state {
            let (pipe, stack, body) = (*pipe, std::mem::take(stack), std::mem::take(body));
            *state = Replying::InHand { pipe, stack };
            return Ok(Message::new(body));
        }
        let (pipe, request) = self.inbox.dequeue(io).ok_or(OpError::WouldBlock)?;
        let before = std::mem::replace(state, Replying::InHand { pipe, stack: request.header });
        if matches!(before, Replying::InHand { .. }) {
            // A reply to it that still waits must not go to the next asker.
            io.wake.abandon_senders(context, OpError::Cancelled(self.wording.abandoned));
        }
        Ok(received(io, Message::new(request.body)))
    }

    /// A request can be received again until it is answered.
    fn put_back(&mut self, io: &mut Io<'_>, context: ContextId, message: Message) {
        match self.contexts.get_mut(context) {
            Some(state @ Replying::InHand { .. }) => {
                if let Replying::InHand { pipe, stack } = std::mem::take(state) {
                    *state = Replying::Returned { pipe, stack, body: message.body };
                }
            }
            Some(Replying::Idle | Replying::Returned { .. }) | None => io.stats.dropped_received += 1,
        }
    }

    fn open_context(&mut self, io: &mut Io<'_>) -> Result<ContextId, OpError> {
        self.contexts.open().ok_or_else(|| too_many_contexts(io))
    }

    fn close_context(&mut self, io: &mut Io<'_>, context: ContextId) {
        if let Some(Replying::Returned { .. }) = self.contexts.close(context) {
            io.stats.dropped_received += 1;
        }
    }

    /// Each reply waits for its own pipe.
    fn senders_wait_apart(&self) -> bool {
        true
    }

    fn footprint_here(&self, visit: Visit) {
        // Mostly nothing was returned, and there is the default context alone.
        let begin = offset_of!(Rep, inbox) + Inbox::RARE;
        let end = offset_of!(Rep, contexts) + Contexts::<Replying>::FIRST;
        visit(std::ptr::from_ref(self).wrapping_byte_add(begin).cast(), end - begin);
    }

    fn likely_pipe(&self) -> Option<PipeId> {
        self.contexts.states().find_map(|state| match state {
            Replying::InHand { pipe, .. } => Some(*pipe),
            Replying::Idle | Replying::Returned { .. } => None,
        })
    }

    fn footprint(&self, visit: Visit) {
        self.inbox.footprint(visit);
    }
}

/// Takes the routing words from the front of a request, down to and including its id. `None` if they do not end, or if
/// there are more than `ttl` of them (counted as nanomsg's `xrep.c` does, the id included).
pub(crate) fn split_stack(mut message: Message, ttl: u8) -> Option<Message> {
    let mut header = Header::new();
    while header.len() < usize::from(ttl)
        && let Some(word) = message.take_word()
    {
        header.push(word);
        if word & REQUEST != 0 {
            return Some(Message { header, body: message.body });
        }
    }
    None
}

/// Marks the word that ends a header.
pub(crate) const REQUEST: u32 = 1 << 31;

const REPLIES: Wording = Wording {
    nothing_in_hand: "there is no request in hand to reply to; receive one first",
    abandoned: "a new request was received before the reply could be sent",
};

const ANSWERS: Wording = Wording {
    nothing_in_hand: "there is no survey in hand to answer; receive one first",
    abandoned: "a new survey was received before the answer could be sent",
};
