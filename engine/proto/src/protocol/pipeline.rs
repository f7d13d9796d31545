//! PIPELINE: work handed out by PUSH, each message to one PULL. Nothing but the body is on the wire.

use super::ways::{Inbox, Outbox};
use super::{Io, Protocol};
use crate::context::ContextId;
use crate::error::OpError;
use crate::message::Message;
use crate::pipe::PipeId;

/// Sends each message to the next writable pipe of the best priority; waits when there is none.
#[derive(Debug, Default)]
pub(crate) struct Push {
    outbox: Outbox,
}

impl Protocol for Push {
    fn attach(&mut self, io: &mut Io<'_>, pipe: PipeId) {
        self.writable(io, pipe);
    }

    fn detach(&mut self, io: &mut Io<'_>, pipe: PipeId) {
        self.outbox.withdraw(io, pipe);
    }

    fn writable(&mut self, io: &mut Io<'_>, pipe: PipeId) {
        self.outbox.offer(io, pipe);
        io.wake.senders = true;
    }

    /// A PULL has nothing to say; whatever comes is counted and thrown away.
    fn handle_message(&mut self, io: &mut Io<'_>, pipe: PipeId, _message: Message) {
        io.drop_received(pipe);
    }

    fn send(&mut self, io: &mut Io<'_>, _context: ContextId, message: Message) -> Result<(), (OpError, Message)> {
        self.outbox.send(io, message)
    }

    fn pass_out(&mut self, io: &mut Io<'_>, len: usize, takes: &mut dyn FnMut(PipeId) -> bool) -> Option<PipeId> {
        self.outbox.pass(io, len, takes)
    }

    fn recv(&mut self, _io: &mut Io<'_>, _context: ContextId) -> Result<Message, OpError> {
        Err(OpError::State("a push socket only sends; the other end, pull, receives"))
    }

    fn put_back(&mut self, io: &mut Io<'_>, _context: ContextId, _message: Message) {
        io.stats.dropped_received += 1;
    }
}

/// Receives from all pipes in turn, the best priority first.
#[derive(Debug)]
pub(crate) struct Pull {
    inbox: Inbox,
    /// What it says to those who want to send.
    refusal: &'static str,
}

impl Pull {
    pub(crate) fn new() -> Pull {
        Pull::that_says("a pull socket only receives; the other end, push, sends")
    }

    /// The same for another protocol whose end only receives.
    pub(crate) fn that_says(refusal: &'static str) -> Pull {
        Pull { inbox: Inbox::default(), refusal }
    }
}

impl Protocol for Pull {
    fn attach(&mut self, _io: &mut Io<'_>, _pipe: PipeId) {}

    fn detach(&mut self, _io: &mut Io<'_>, _pipe: PipeId) {}

    /// A pusher that sends its last message and leaves has still sent it.
    fn outlives_pipe(&self) -> bool {
        true
    }

    fn writable(&mut self, _io: &mut Io<'_>, _pipe: PipeId) {}

    fn handle_message(&mut self, io: &mut Io<'_>, pipe: PipeId, message: Message) {
        self.inbox.enqueue(io, pipe, message);
    }

    fn send(&mut self, _io: &mut Io<'_>, _context: ContextId, message: Message) -> Result<(), (OpError, Message)> {
        Err((OpError::State(self.refusal), message))
    }

    fn recv(&mut self, io: &mut Io<'_>, _context: ContextId) -> Result<Message, OpError> {
        self.inbox.recv(io)
    }

    fn passes_in(&self, io: &Io<'_>, pipe: PipeId) -> bool {
        self.inbox.passes(io, pipe)
    }

    fn put_back(&mut self, _io: &mut Io<'_>, _context: ContextId, message: Message) {
        self.inbox.put_back(message);
    }
}
