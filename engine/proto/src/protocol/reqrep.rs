//! REQ/REP: one reply for each request.
//!
//! A request is a stack of 32-bit words and a body. The words are routing ids of the devices it has crossed, highest bit
//! clear, and at the bottom the request's own id, highest bit set (sp-request-reply-01). The reply carries the stack
//! home. A request whose pipe dies is sent again at once, to another pipe; one that is not answered within `resend` is
//! sent again to the next pipe, because a silent peer is likelier dead than slow.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Buf, Bytes};
use rand::RngExt;

use super::pipeline::{dequeue, enqueue, offer, received, transmit, unqueue, withdraw};
use super::{Io, Protocol};
use crate::balance::Rotation;
use crate::context::{ContextId, Contexts};
use crate::error::OpError;
use crate::message::{Header, Message};
use crate::options::Options;
use crate::pipe::PipeId;
use crate::seed::rng_from;
use crate::time::Time;
use crate::timers::Timers;

/// Asks. Each context has at most one request outstanding; a new one cancels the old.
#[derive(Debug)]
pub(crate) struct Req {
    contexts: Contexts<Asking>,
    /// Which context a reply belongs to.
    outstanding: BTreeMap<u32, ContextId>,
    /// Contexts whose request waits for a pipe that can take it.
    parked: VecDeque<ContextId>,
    writable: Rotation,
    resends: Timers<ContextId>,
    next_id: u32,
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
    },
    Answered(Bytes),
}

impl Req {
    /// Ids start at random so that a reply to an earlier program's request is not taken for ours.
    pub(crate) fn new(options: &Options, seed: u64) -> Req {
        Req {
            contexts: Contexts::new(options.max_contexts),
            outstanding: BTreeMap::new(),
            parked: VecDeque::new(),
            writable: Rotation::default(),
            resends: Timers::default(),
            next_id: rng_from(seed).random::<u32>(),
        }
    }

    /// Sends the request of `context`, or parks it until a pipe can take it.
    fn dispatch(&mut self, io: &mut Io<'_>, context: ContextId) {
        let Some(Asking::Waiting { id, body, on, resend_at }) = self.contexts.get_mut(context) else {
            return;
        };
        if let Some(at) = resend_at.take() {
            self.resends.cancel(at, context);
        }
        *on = self.writable.turn();
        match *on {
            Some(pipe) => {
                let message = Message { header: Header::from_slice(&[*id]), body: body.clone() };
                let at = io.now + io.options.resend;
                *resend_at = Some(at);
                self.resends.set(at, context);
                transmit(&mut self.writable, io, pipe, message);
            }
            None => self.parked.push_back(context),
        }
    }

    fn resend(&mut self, io: &mut Io<'_>, context: ContextId) {
        io.stats.resends += 1;
        self.dispatch(io, context);
    }

    /// Forgets what `context` has asked, or the reply that nobody has fetched.
    fn forget(&mut self, io: &mut Io<'_>, context: ContextId) {
        let Some(state) = self.contexts.get_mut(context) else {
            return;
        };
        match std::mem::take(state) {
            Asking::Idle => {}
            Asking::Answered(_) => io.stats.dropped_replies += 1,
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
        withdraw(&mut self.writable, io, pipe);
        let stranded: Vec<ContextId> = self
            .contexts
            .iter_mut()
            .filter(|(_, state)| matches!(state, Asking::Waiting { on: Some(carrier), .. } if *carrier == pipe))
            .map(|(context, _)| context)
            .collect();
        for context in stranded {
            self.resend(io, context);
        }
    }

    fn writable(&mut self, io: &mut Io<'_>, pipe: PipeId) {
        offer(&mut self.writable, io, pipe);
        while self.writable.current().is_some()
            && let Some(context) = self.parked.pop_front()
        {
            self.dispatch(io, context);
        }
    }

    fn handle_message(&mut self, io: &mut Io<'_>, _pipe: PipeId, mut message: Message) {
        if message.body.len() < 4 {
            io.stats.dropped_malformed += 1;
            return;
        }
        let id = message.body.get_u32();
        let Some(context) = self.outstanding.get(&id).copied() else {
            io.stats.dropped_replies += 1;
            return;
        };
        self.forget(io, context);
        if let Some(state) = self.contexts.get_mut(context) {
            *state = Asking::Answered(message.body);
            io.wake.lane(self.lane(context));
        }
    }

    fn send(&mut self, io: &mut Io<'_>, context: ContextId, message: Message) -> Result<(), (OpError, Message)> {
        if self.contexts.get_mut(context).is_none() {
            return Err((OpError::Closed, message));
        }
        self.forget(io, context);
        io.wake
            .abandoned_receivers
            .push((context, OpError::Cancelled("a new request took the place of the one being waited for")));
        let id = self.next_id | REQUEST;
        self.next_id = self.next_id.wrapping_add(1);
        self.outstanding.insert(id, context);
        if let Some(state) = self.contexts.get_mut(context) {
            *state = Asking::Waiting { id, body: message.body, on: None, resend_at: None };
        }
        self.dispatch(io, context);
        Ok(())
    }

    fn recv(&mut self, io: &mut Io<'_>, context: ContextId) -> Result<Message, OpError> {
        let state = self.contexts.get_mut(context).ok_or(OpError::Closed)?;
        match state {
            Asking::Idle => Err(OpError::State("there is no request to receive a reply for; send one first")),
            Asking::Waiting { .. } => Err(OpError::WouldBlock),
            Asking::Answered(body) => {
                let body = std::mem::take(body);
                *state = Asking::Idle;
                Ok(received(io, Message::new(body)))
            }
        }
    }

    /// A reply is of use until something else is asked.
    fn put_back(&mut self, io: &mut Io<'_>, context: ContextId, message: Message) {
        match self.contexts.get_mut(context) {
            Some(state @ Asking::Idle) => *state = Asking::Answered(message.body),
            Some(Asking::Waiting { .. } | Asking::Answered(_)) | None => io.stats.dropped_replies += 1,
        }
    }

    fn open_context(&mut self, io: &mut Io<'_>) -> Result<ContextId, OpError> {
        self.contexts.open().ok_or_else(|| too_many(io))
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
}

/// Replies. Each context holds at most one request in hand; receiving another one abandons it.
#[derive(Debug)]
pub(crate) struct Rep {
    contexts: Contexts<Replying>,
    readable: Rotation,
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
        Rep { contexts: Contexts::new(options.max_contexts), readable: Rotation::default() }
    }
}

impl Protocol for Rep {
    fn attach(&mut self, _io: &mut Io<'_>, _pipe: PipeId) {}

    /// A request whose asker is gone is not worth answering.
    fn detach(&mut self, io: &mut Io<'_>, pipe: PipeId) {
        unqueue(&mut self.readable, io, pipe);
        io.wake.senders = true;
    }

    fn writable(&mut self, io: &mut Io<'_>, _pipe: PipeId) {
        io.wake.senders = true;
    }

    fn handle_message(&mut self, io: &mut Io<'_>, pipe: PipeId, message: Message) {
        match split_stack(message.body, io.options.ttl) {
            Some(request) => enqueue(&mut self.readable, io, pipe, request),
            None => io.stats.dropped_malformed += 1,
        }
    }

    fn send(&mut self, io: &mut Io<'_>, context: ContextId, message: Message) -> Result<(), (OpError, Message)> {
        let Some(state) = self.contexts.get_mut(context) else {
            return Err((OpError::Closed, message));
        };
        let Replying::InHand { pipe, stack } = state else {
            return Err((OpError::State("there is no request in hand to reply to; receive one first"), message));
        };
        match io.pipes.get(*pipe) {
            Some(carrier) if carrier.outbound.is_full() => return Err((OpError::WouldBlock, message)),
            Some(_) => {
                io.stats.sent += 1;
                io.stats.sent_bytes += message.body.len() as u64;
                io.pipes.push_out(*pipe, Message { header: std::mem::take(stack), body: message.body });
            }
            None => io.stats.dropped_orphans += 1,
        }
        *state = Replying::Idle;
        Ok(())
    }

    fn recv(&mut self, io: &mut Io<'_>, context: ContextId) -> Result<Message, OpError> {
        let state = self.contexts.get_mut(context).ok_or(OpError::Closed)?;
        if let Replying::Returned { pipe, stack, body } = state {
            let (pipe, stack, body) = (*pipe, std::mem::take(stack), std::mem::take(body));
            *state = Replying::InHand { pipe, stack };
            return Ok(received(io, Message::new(body)));
        }
        let (pipe, request) = dequeue(&mut self.readable, io).ok_or(OpError::WouldBlock)?;
        let before = std::mem::replace(state, Replying::InHand { pipe, stack: request.header });
        if matches!(before, Replying::InHand { .. }) {
            // A reply to it that still waits must not go to the next asker.
            io.wake
                .abandoned_senders
                .push((context, OpError::Cancelled("a new request was received before the reply could be sent")));
        }
        Ok(Message::new(request.body))
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
        self.contexts.open().ok_or_else(|| too_many(io))
    }

    fn close_context(&mut self, io: &mut Io<'_>, context: ContextId) {
        if let Some(Replying::Returned { .. }) = self.contexts.close(context) {
            io.stats.dropped_received += 1;
        }
    }
}

/// Takes the routing words from the front of a request, down to and including its id. `None` if they do not end, or if
/// there are more than `ttl` of them (counted as nanomsg's `xrep.c` does, the id included).
fn split_stack(mut body: Bytes, ttl: u8) -> Option<Message> {
    let mut header = Header::new();
    while header.len() < usize::from(ttl) && body.len() >= 4 {
        let word = body.get_u32();
        header.push(word);
        if word & REQUEST != 0 {
            return Some(Message { header, body });
        }
    }
    None
}

fn too_many(io: &Io<'_>) -> OpError {
    OpError::Full { what: "contexts", limit: io.options.max_contexts, option: "max_contexts" }
}

/// Marks the word that ends a header.
const REQUEST: u32 = 1 << 31;
