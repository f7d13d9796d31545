//! PAIR: two sockets that speak with each other and with nobody else. The socket itself refuses a second peer.
//!
//! Version 0 has nothing but the body on the wire. Version 1, which NNG added under an endpoint id of its own, puts one
//! word in front: how many times the message has been sent, by its sender and by devices.

use super::ways::{Inbox, Outbox};
use super::{Io, Protocol};
use crate::context::ContextId;
use crate::error::{OpError, PeerFault};
use crate::event::DownReason;
use crate::message::{Header, Message};
use crate::pipe::PipeId;

/// Sends to its peer, and waits when there is none or its queue is full.
#[derive(Debug)]
pub(crate) struct Pair {
    outbox: Outbox,
    inbox: Inbox,
    hops: Hops,
}

/// What is done about the count of hops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hops {
    /// There is none: version 0.
    None,
    /// It is put on and taken off.
    Cooked,
    /// The program, a device, gets it and hands it on; sending counts one more.
    Raw,
}

impl Pair {
    pub(crate) fn new(hops: Hops) -> Pair {
        Pair { outbox: Outbox::default(), inbox: Inbox::default(), hops }
    }
}

impl Protocol for Pair {
    fn attach(&mut self, io: &mut Io<'_>, pipe: PipeId) {
        self.writable(io, pipe);
    }

    fn detach(&mut self, io: &mut Io<'_>, pipe: PipeId) {
        self.outbox.withdraw(io, pipe);
    }

    fn outlives_pipe(&self) -> bool {
        true
    }

    fn writable(&mut self, io: &mut Io<'_>, pipe: PipeId) {
        self.outbox.offer(io, pipe);
        io.wake.senders = true;
    }

    fn handle_message(&mut self, io: &mut Io<'_>, pipe: PipeId, mut message: Message) {
        if self.hops != Hops::None {
            let hops = message.take_word().unwrap_or(u32::MAX);
            if hops > MOST_HOPS {
                return io.condemn(pipe, DownReason::Fault(PeerFault::Header));
            }
            if hops > u32::from(io.options.ttl) {
                return io.drop_malformed(pipe);
            }
            if !io.fits(pipe, &message) {
                return;
            }
            if self.hops == Hops::Raw {
                message.header.push(hops);
            }
        }
        self.inbox.enqueue(io, pipe, message);
    }

    fn send(&mut self, io: &mut Io<'_>, _context: ContextId, message: Message) -> Result<(), (OpError, Message)> {
        if self.hops == Hops::None {
            return self.outbox.send(io, message);
        }
        let hops = match message.header[..] {
            [] => 1,
            [before] if before < MOST_HOPS => before + 1,
            _ => return Err((OpError::State("a header of pair1 is one word, a count of hops up to 254"), message)),
        };
        let Message { header, body } = message;
        self.outbox
            .send(io, Message { header: Header::from_slice(&[hops]), body })
            .map_err(|(error, Message { body, .. })| (error, Message { header, body }))
    }

    fn recv(&mut self, io: &mut Io<'_>, _context: ContextId) -> Result<Message, OpError> {
        self.inbox.recv(io)
    }

    fn put_back(&mut self, _io: &mut Io<'_>, _context: ContextId, message: Message) {
        self.inbox.put_back(message);
    }
}

/// The count stands in the lowest byte of its word.
const MOST_HOPS: u32 = 255;
