//! The ways of messages over the pipes of a socket: each to one of them, each to all of them, and fairly from all.

use std::mem::offset_of;

use super::Io;
use crate::balance::Rotation;
use crate::error::OpError;
use crate::event::DownReason;
use crate::few::Few;
use crate::footprint::Visit;
use crate::message::Message;
use crate::options::WhenFull;
use crate::pipe::PipeId;

/// Each message to one pipe: the next that can be written to, of the best priority.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    writable: Rotation,
}

impl Outbox {
    /// A pipe can be written to (again).
    pub(crate) fn offer(&mut self, io: &mut Io<'_>, id: PipeId) {
        if let Some(pipe) = io.pipes.get_mut(id)
            && !std::mem::replace(&mut pipe.offered, true)
        {
            self.writable.add(id, pipe.send_priority);
        }
    }

    /// A pipe can not be written to, for now or for ever.
    pub(crate) fn withdraw(&mut self, io: &mut Io<'_>, id: PipeId) {
        if let Some(pipe) = io.pipes.get_mut(id)
            && std::mem::replace(&mut pipe.offered, false)
        {
            self.writable.remove(id, pipe.send_priority);
        }
    }

    /// Is there a pipe that can be written to?
    pub(crate) fn has_room(&self) -> bool {
        self.writable.current().is_some()
    }

    /// Whose turn it is to be written to; [`transmit`](Outbox::transmit) must follow.
    pub(crate) fn turn(&mut self) -> Option<PipeId> {
        self.writable.turn()
    }

    /// Whose turn it will be.
    pub(crate) fn next(&self) -> Option<PipeId> {
        self.writable.next()
    }

    pub(crate) fn footprint(&self, visit: Visit) {
        self.writable.footprint(visit);
    }

    /// Hands a message to a pipe that can be written to.
    pub(crate) fn transmit(&mut self, io: &mut Io<'_>, pipe: PipeId, message: Message) {
        if !hand(io, pipe, message) {
            self.withdraw(io, pipe);
        }
    }

    /// Lets a message pass to the next, if its queue is empty and its connection takes it.
    pub(crate) fn pass(
        &mut self,
        io: &mut Io<'_>,
        len: usize,
        takes: &mut dyn FnMut(PipeId) -> bool,
    ) -> Option<PipeId> {
        let pipe = self.writable.next()?;
        if !(io.pipes.is_idle(pipe) && takes(pipe)) {
            return None;
        }
        self.writable.turn();
        io.stats.sent += 1;
        io.stats.sent_bytes += len as u64;
        io.pipes.pass_out(pipe, len);
        Some(pipe)
    }

    /// Sends to the next, if there is one.
    pub(crate) fn send(&mut self, io: &mut Io<'_>, message: Message) -> Result<(), (OpError, Message)> {
        match self.turn() {
            Some(pipe) => {
                self.transmit(io, pipe, message);
                Ok(())
            }
            None => Err((OpError::WouldBlock, message)),
        }
    }
}

/// Each message to every pipe. What happens to one whose queue is full, its endpoint says.
#[derive(Debug, Default)]
pub(crate) struct Fanout {
    members: Vec<PipeId>,
    /// Full, and everyone is to wait for them.
    clogged: Vec<PipeId>,
}

impl Fanout {
    pub(crate) fn attach(&mut self, pipe: PipeId) {
        self.members.push(pipe);
    }

    pub(crate) fn detach(&mut self, io: &mut Io<'_>, pipe: PipeId) {
        self.members.retain(|member| *member != pipe);
        self.writable(io, pipe);
    }

    /// A pipe has room again, or is gone.
    pub(crate) fn writable(&mut self, io: &mut Io<'_>, pipe: PipeId) {
        if let Some(place) = self.clogged.iter().position(|clogged| *clogged == pipe) {
            self.clogged.swap_remove(place);
            io.wake.senders = true;
        }
    }

    /// Must a message from `origin` wait?
    pub(crate) fn is_clogged(&self, origin: Option<PipeId>) -> bool {
        self.clogged.iter().any(|pipe| Some(*pipe) != origin)
    }

    /// Sends to all but the pipe that it came from. The body is shared.
    pub(crate) fn send(
        &mut self,
        io: &mut Io<'_>,
        message: Message,
        origin: Option<PipeId>,
    ) -> Result<(), (OpError, Message)> {
        if self.is_clogged(origin) {
            return Err((OpError::WouldBlock, message));
        }
        let mut heard = false;
        for pipe in self.members.iter().copied().filter(|pipe| Some(*pipe) != origin) {
            heard = true;
            if let Ok(false) = put(io, pipe, message.clone())
                && io.pipes.up(pipe).is_some_and(|pipe| pipe.when_full == WhenFull::Block)
            {
                self.clogged.push(pipe);
            }
        }
        io.stats.dropped_no_peer += u64::from(!heard);
        Ok(())
    }
}

/// Fairly from all pipes, the best priority first. What was given back comes before everything else.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Inbox {
    returned: Few<Message>,
    readable: Rotation,
}

impl Inbox {
    /// Bytes at its beginning that are rarely touched.
    pub(crate) const RARE: usize = offset_of!(Inbox, readable);

    /// Keeps a message that came from a pipe until its turn.
    pub(crate) fn enqueue(&mut self, io: &mut Io<'_>, id: PipeId, message: Message) {
        if io.pipes.push_in(id, message)
            && let Some(pipe) = io.pipes.get_mut(id)
        {
            self.readable.add(id, pipe.recv_priority);
        }
        io.wake.lane(0);
    }

    /// Takes the message whose turn it is.
    pub(crate) fn dequeue(&mut self, io: &mut Io<'_>) -> Option<(PipeId, Message)> {
        let id = self.readable.turn()?;
        let (message, emptied) = io.pipes.pop_in(id)?;
        if let Some(priority) = emptied {
            self.readable.remove(id, priority);
        }
        Some((id, message))
    }

    /// May a message from a pipe be received without being queued? If nothing comes before it and there are no other
    /// pipes to be fair to.
    pub(crate) fn passes(&self, io: &Io<'_>, pipe: PipeId) -> bool {
        self.returned.is_empty() && self.readable.next().is_none() && io.pipes.is_alone(pipe)
    }

    pub(crate) fn footprint(&self, visit: Visit) {
        self.readable.footprint(visit);
    }

    /// What the program gets next.
    pub(crate) fn recv(&mut self, io: &mut Io<'_>) -> Result<Message, OpError> {
        if let Some(message) = self.returned.pop_front() {
            return Ok(message);
        }
        let (_, message) = self.dequeue(io).ok_or(OpError::WouldBlock)?;
        Ok(received(io, message))
    }

    /// Keeps a message that was given back, to be received next.
    pub(crate) fn put_back(&mut self, message: Message) {
        self.returned.push_front(message);
    }

    /// Forgets the messages of a pipe that is going.
    pub(crate) fn unqueue(&mut self, io: &mut Io<'_>, id: PipeId) {
        if let Some(pipe) = io.pipes.get_mut(id)
            && !pipe.inbound.is_empty()
        {
            self.readable.remove(id, pipe.recv_priority);
        }
    }
}

/// Hands a message to a pipe whose queue has room; says whether there is room for another.
pub(crate) fn hand(io: &mut Io<'_>, pipe: PipeId, message: Message) -> bool {
    io.stats.sent += 1;
    io.stats.sent_bytes += message.body.len() as u64;
    io.pipes.push_out(pipe, message)
}

/// Hands a message to a pipe, or does what its endpoint says if the queue is full; says whether there is room for
/// another. The message comes back if it has to wait.
pub(crate) fn put(io: &mut Io<'_>, id: PipeId, message: Message) -> Result<bool, Message> {
    let Some(pipe) = io.pipes.up_mut(id) else {
        return Ok(false);
    };
    if pipe.outbound.is_full() {
        match pipe.when_full {
            WhenFull::Block => return Err(message),
            WhenFull::DropNew => {
                pipe.stats.dropped_full_new += 1;
                io.stats.dropped_full_new += 1;
                return Ok(false);
            }
            WhenFull::DropOld => {
                while pipe.outbound.is_full() && pipe.outbound.pop().is_some() {
                    pipe.stats.dropped_full_old += 1;
                    io.stats.dropped_full_old += 1;
                }
            }
            WhenFull::Disconnect => {
                io.stats.disconnected_slow += 1;
                io.condemn(id, DownReason::Slow);
                return Ok(false);
            }
        }
    }
    Ok(hand(io, id, message))
}

/// Counts a message that the program gets.
pub(crate) fn received(io: &mut Io<'_>, message: Message) -> Message {
    io.stats.received += 1;
    io.stats.received_bytes += message.body.len() as u64;
    message
}
