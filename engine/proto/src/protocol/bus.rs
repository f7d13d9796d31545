//! BUS: everyone to everyone they are connected to. Nothing but the body is on the wire, and nothing is handed on:
//! that is what a device is for.

use super::ways::{Fanout, Inbox};
use super::{Io, Protocol};
use crate::context::ContextId;
use crate::error::OpError;
use crate::message::{Header, Message};
use crate::pipe::PipeId;

/// Sends to all, receives from all.
#[derive(Debug)]
pub(crate) struct Bus {
    fanout: Fanout,
    inbox: Inbox,
    /// The program, a device, gets one word in front, the pipe it came from, and what it hands on does not go back there.
    raw: bool,
}

impl Bus {
    pub(crate) fn new(raw: bool) -> Bus {
        Bus { fanout: Fanout::default(), inbox: Inbox::default(), raw }
    }
}

impl Protocol for Bus {
    fn attach(&mut self, _io: &mut Io<'_>, pipe: PipeId) {
        self.fanout.attach(pipe);
    }

    fn detach(&mut self, io: &mut Io<'_>, pipe: PipeId) {
        self.fanout.detach(io, pipe);
    }

    fn outlives_pipe(&self) -> bool {
        true
    }

    fn writable(&mut self, io: &mut Io<'_>, pipe: PipeId) {
        self.fanout.writable(io, pipe);
    }

    fn handle_message(&mut self, io: &mut Io<'_>, pipe: PipeId, mut message: Message) {
        if self.raw {
            message.header.push(pipe.word());
        }
        self.inbox.enqueue(io, pipe, message);
    }

    fn send(&mut self, io: &mut Io<'_>, _context: ContextId, message: Message) -> Result<(), (OpError, Message)> {
        let origin = match message.header[..] {
            [] => None,
            [word] => Some(PipeId::from_word(word)),
            _ => return Err((OpError::State("a header of bus is one word, the pipe it came from"), message)),
        };
        let Message { header, body } = message;
        self.fanout
            .send(io, Message { header: Header::new(), body }, origin)
            .map_err(|(error, Message { body, .. })| (error, Message { header, body }))
    }

    fn recv(&mut self, io: &mut Io<'_>, _context: ContextId) -> Result<Message, OpError> {
        self.inbox.recv(io)
    }

    fn put_back(&mut self, _io: &mut Io<'_>, _context: ContextId, message: Message) {
        self.inbox.put_back(message);
    }
}
