//! The two ends of REQ/REP and SURVEY for devices: the program gets the header with each message, and hands it on.

use super::reqrep::{REQUEST, split_stack};
use super::ways::{Fanout, Inbox, Outbox, put};
use super::{Io, Protocol};
use crate::context::ContextId;
use crate::error::OpError;
use crate::message::Message;
use crate::pipe::PipeId;

/// A raw REQ or SURVEYOR: sends what is asked, whoever asks, and receives what is answered.
#[derive(Debug)]
pub(crate) struct Asker {
    way: Way,
    inbox: Inbox,
}

#[derive(Debug)]
enum Way {
    /// Each request to one.
    Turns(Box<Outbox>),
    /// Each survey to all.
    Fanout(Fanout),
}

impl Asker {
    pub(crate) fn of_one() -> Asker {
        Asker { way: Way::Turns(Box::default()), inbox: Inbox::default() }
    }

    pub(crate) fn of_all() -> Asker {
        Asker { way: Way::Fanout(Fanout::default()), inbox: Inbox::default() }
    }
}

impl Protocol for Asker {
    fn attach(&mut self, io: &mut Io<'_>, pipe: PipeId) {
        if let Way::Fanout(fanout) = &mut self.way {
            fanout.attach(pipe);
        }
        self.writable(io, pipe);
    }

    fn detach(&mut self, io: &mut Io<'_>, pipe: PipeId) {
        match &mut self.way {
            Way::Turns(outbox) => outbox.withdraw(io, pipe),
            Way::Fanout(fanout) => fanout.detach(io, pipe),
        }
    }

    fn outlives_pipe(&self) -> bool {
        true
    }

    fn writable(&mut self, io: &mut Io<'_>, pipe: PipeId) {
        match &mut self.way {
            Way::Turns(outbox) => {
                outbox.offer(io, pipe);
                io.wake.senders = true;
            }
            Way::Fanout(fanout) => fanout.writable(io, pipe),
        }
    }

    /// Hops were counted on the way there.
    fn handle_message(&mut self, io: &mut Io<'_>, pipe: PipeId, message: Message) {
        match split_stack(message, u8::MAX) {
            Some(answer) if io.fits(pipe, &answer) => self.inbox.enqueue(io, pipe, answer),
            Some(_) => {}
            None => io.drop_malformed(pipe),
        }
    }

    fn send(&mut self, io: &mut Io<'_>, _context: ContextId, message: Message) -> Result<(), (OpError, Message)> {
        if message.header.last().is_none_or(|word| word & REQUEST == 0) {
            return Err((OpError::State("a raw socket sends a header that ends with the id of a request"), message));
        }
        match &mut self.way {
            Way::Turns(outbox) => outbox.send(io, message),
            Way::Fanout(fanout) => fanout.send(io, message, None),
        }
    }

    fn recv(&mut self, io: &mut Io<'_>, _context: ContextId) -> Result<Message, OpError> {
        self.inbox.recv(io)
    }

    fn put_back(&mut self, _io: &mut Io<'_>, _context: ContextId, message: Message) {
        self.inbox.put_back(message);
    }
}

/// A raw REP or RESPONDENT: puts the pipe that something came from on top of its header, and sends what comes back to the
/// pipe that it finds there.
#[derive(Debug, Default)]
pub(crate) struct Answerer {
    inbox: Inbox,
}

impl Protocol for Answerer {
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
            Some(mut request) if io.fits(pipe, &request) => {
                request.header.insert(0, pipe.word());
                self.inbox.enqueue(io, pipe, request);
            }
            Some(_) => {}
            None => io.drop_malformed(pipe),
        }
    }

    fn send(&mut self, io: &mut Io<'_>, _context: ContextId, mut message: Message) -> Result<(), (OpError, Message)> {
        let pipe = match message.header[..] {
            [pipe, .., id] if pipe & REQUEST == 0 && id & REQUEST != 0 => PipeId::from_word(pipe),
            _ => {
                let rule = "a raw socket sends a header that begins with a pipe and ends with the id of a request";
                return Err((OpError::State(rule), message));
            }
        };
        if io.pipes.up(pipe).is_none() {
            io.stats.dropped_orphans += 1;
            return Ok(());
        }
        message.header.remove(0);
        put(io, pipe, message).map(drop).map_err(|mut message| {
            message.header.insert(0, pipe.word());
            (OpError::WouldBlock, message)
        })
    }

    fn recv(&mut self, io: &mut Io<'_>, _context: ContextId) -> Result<Message, OpError> {
        self.inbox.recv(io)
    }

    fn put_back(&mut self, _io: &mut Io<'_>, _context: ContextId, message: Message) {
        self.inbox.put_back(message);
    }

    /// Each answer waits for its own pipe.
    fn senders_wait_apart(&self) -> bool {
        true
    }
}
