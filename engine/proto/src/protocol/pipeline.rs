//! PIPELINE: work handed out by PUSH, each message to one PULL. Nothing but the body is on the wire.

use std::collections::VecDeque;

use super::{Io, Protocol};
use crate::balance::Rotation;
use crate::context::ContextId;
use crate::error::OpError;
use crate::message::Message;
use crate::pipe::PipeId;

/// Sends each message to the next writable pipe of the best priority; waits when there is none.
#[derive(Debug, Default)]
pub(crate) struct Push {
    writable: Rotation,
}

impl Protocol for Push {
    fn attach(&mut self, io: &mut Io<'_>, pipe: PipeId) {
        self.writable(io, pipe);
    }

    fn detach(&mut self, io: &mut Io<'_>, pipe: PipeId) {
        withdraw(&mut self.writable, io, pipe);
    }

    fn writable(&mut self, io: &mut Io<'_>, pipe: PipeId) {
        offer(&mut self.writable, io, pipe);
        io.wake.senders = true;
    }

    /// A PULL has nothing to say; whatever comes is counted and thrown away.
    fn handle_message(&mut self, io: &mut Io<'_>, _pipe: PipeId, _message: Message) {
        io.stats.dropped_received += 1;
    }

    fn send(&mut self, io: &mut Io<'_>, _context: ContextId, message: Message) -> Result<(), (OpError, Message)> {
        match self.writable.turn() {
            Some(pipe) => {
                transmit(&mut self.writable, io, pipe, message);
                Ok(())
            }
            None => Err((OpError::WouldBlock, message)),
        }
    }

    fn recv(&mut self, _io: &mut Io<'_>, _context: ContextId) -> Result<Message, OpError> {
        Err(OpError::State("a push socket only sends; the other end, pull, receives"))
    }

    fn put_back(&mut self, io: &mut Io<'_>, _context: ContextId, _message: Message) {
        io.stats.dropped_received += 1;
    }
}

/// Receives from all pipes in turn, the best priority first.
#[derive(Debug, Default)]
pub(crate) struct Pull {
    readable: Rotation,
    /// Given back; received before anything else.
    returned: VecDeque<Message>,
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
        enqueue(&mut self.readable, io, pipe, message);
    }

    fn send(&mut self, _io: &mut Io<'_>, _context: ContextId, message: Message) -> Result<(), (OpError, Message)> {
        Err((OpError::State("a pull socket only receives; the other end, push, sends"), message))
    }

    fn recv(&mut self, io: &mut Io<'_>, _context: ContextId) -> Result<Message, OpError> {
        if let Some(message) = self.returned.pop_front() {
            return Ok(received(io, message));
        }
        dequeue(&mut self.readable, io).map(|(_, message)| message).ok_or(OpError::WouldBlock)
    }

    fn put_back(&mut self, _io: &mut Io<'_>, _context: ContextId, message: Message) {
        self.returned.push_front(message);
    }
}

/// Puts a pipe into the rotation of those that can be written to, unless it is there.
pub(crate) fn offer(writable: &mut Rotation, io: &mut Io<'_>, id: PipeId) {
    if let Some(pipe) = io.pipes.get_mut(id)
        && !std::mem::replace(&mut pipe.offered, true)
    {
        writable.add(id, pipe.send_priority);
    }
}

/// Takes a pipe out of the rotation of those that can be written to, if it is there.
pub(crate) fn withdraw(writable: &mut Rotation, io: &mut Io<'_>, id: PipeId) {
    if let Some(pipe) = io.pipes.get_mut(id)
        && std::mem::replace(&mut pipe.offered, false)
    {
        writable.remove(id, pipe.send_priority);
    }
}

/// Hands a message to a pipe that can be written to.
pub(crate) fn transmit(writable: &mut Rotation, io: &mut Io<'_>, pipe: PipeId, message: Message) {
    io.stats.sent += 1;
    io.stats.sent_bytes += message.body.len() as u64;
    if !io.pipes.push_out(pipe, message) {
        withdraw(writable, io, pipe);
    }
}

/// Keeps a message that came from a pipe until its turn.
pub(crate) fn enqueue(readable: &mut Rotation, io: &mut Io<'_>, id: PipeId, message: Message) {
    if io.pipes.push_in(id, message)
        && let Some(pipe) = io.pipes.get_mut(id)
    {
        readable.add(id, pipe.recv_priority);
    }
    io.wake.lane(0);
}

/// Takes the message whose turn it is.
pub(crate) fn dequeue(readable: &mut Rotation, io: &mut Io<'_>) -> Option<(PipeId, Message)> {
    let id = readable.turn()?;
    let (message, emptied) = io.pipes.pop_in(id)?;
    if let Some(priority) = emptied {
        readable.remove(id, priority);
    }
    Some((id, received(io, message)))
}

/// Counts a message that the program gets.
pub(crate) fn received(io: &mut Io<'_>, message: Message) -> Message {
    io.stats.received += 1;
    io.stats.received_bytes += message.body.len() as u64;
    message
}

/// Forgets the messages of a pipe that is going.
pub(crate) fn unqueue(readable: &mut Rotation, io: &mut Io<'_>, id: PipeId) {
    if let Some(pipe) = io.pipes.get_mut(id)
        && !pipe.inbound.is_empty()
    {
        readable.remove(id, pipe.recv_priority);
    }
}
