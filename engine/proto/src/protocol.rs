//! The protocols: which there are, who talks to whom, and what each must be able to do.

pub(crate) mod pipeline;
pub(crate) mod reqrep;

use std::fmt;
use std::str::FromStr;

use crate::context::ContextId;
use crate::error::{OpError, PeerFault};
use crate::message::Message;
use crate::options::Options;
use crate::pipe::{PipeId, Pipes};
use crate::stats::Stats;
use crate::time::Time;

/// One end of a pattern. The numbers are the endpoint ids of sp-protocol-ids-01: protocol × 16 + role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum Kind {
    /// Asks, and gets one reply for each request.
    Req = 0x30,
    /// Replies to requests.
    Rep = 0x31,
    /// Hands messages out, each to one of its peers.
    Push = 0x50,
    /// Takes messages in, fairly from all of its peers.
    Pull = 0x51,
}

impl Kind {
    /// Every kind there is.
    pub const ALL: [Kind; 4] = [Kind::Req, Kind::Rep, Kind::Push, Kind::Pull];

    /// The endpoint id, as it stands in the greeting.
    pub const fn id(self) -> u16 {
        self as u16
    }

    /// The kind it talks to.
    pub const fn partner(self) -> Kind {
        match self {
            Kind::Req => Kind::Rep,
            Kind::Rep => Kind::Req,
            Kind::Push => Kind::Pull,
            Kind::Pull => Kind::Push,
        }
    }

    /// Does it talk to a peer with this endpoint id?
    pub fn accepts(self, peer: u16) -> Result<(), PeerFault> {
        if peer == self.partner().id() { Ok(()) } else { Err(PeerFault::Protocol { ours: self.id(), theirs: peer }) }
    }

    /// Its name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Req => "req",
            Kind::Rep => "rep",
            Kind::Push => "push",
            Kind::Pull => "pull",
        }
    }

    pub(crate) fn machine(self, options: &Options, seed: u64) -> Box<dyn Protocol> {
        match self {
            Kind::Req => Box::new(reqrep::Req::new(options, seed)),
            Kind::Rep => Box::new(reqrep::Rep::new(options)),
            Kind::Push => Box::new(pipeline::Push::default()),
            Kind::Pull => Box::new(pipeline::Pull::default()),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Kind, String> {
        Kind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| format!("unknown kind of socket {name:?}; there are req, rep, push and pull"))
    }
}

/// What a protocol is told and asked. It sees pipes, messages and contexts; addresses, bytes and waiting are not its
/// business. Whatever makes a waiting operation possible it says through [`Io::wake`].
pub(crate) trait Protocol: fmt::Debug + Send {
    /// A pipe is up.
    fn attach(&mut self, io: &mut Io<'_>, pipe: PipeId);

    /// A pipe is about to go; its queues are still there.
    fn detach(&mut self, io: &mut Io<'_>, pipe: PipeId);

    /// The pipe's outbound queue was full and has room again.
    fn writable(&mut self, io: &mut Io<'_>, pipe: PipeId);

    /// A message came from the wire. The pipe's inbound queue has room for it.
    fn handle_message(&mut self, io: &mut Io<'_>, pipe: PipeId, message: Message);

    /// Sends, or returns the message: `WouldBlock` if it could be sent later, another error if not.
    fn send(&mut self, io: &mut Io<'_>, context: ContextId, message: Message) -> Result<(), (OpError, Message)>;

    /// Receives, or says why not.
    fn recv(&mut self, io: &mut Io<'_>, context: ContextId) -> Result<Message, OpError>;

    /// A message that was received in `context` comes back, to be received there next; what has become pointless is
    /// counted.
    fn put_back(&mut self, io: &mut Io<'_>, context: ContextId, message: Message);

    /// May messages that have arrived be received after their pipe's end? Not where a reply has to find its way back.
    fn outlives_pipe(&self) -> bool {
        false
    }

    /// Opens another conversation.
    fn open_context(&mut self, _io: &mut Io<'_>) -> Result<ContextId, OpError> {
        Err(OpError::State("only req and rep sockets hold more than one conversation"))
    }

    /// Ends a conversation.
    fn close_context(&mut self, _io: &mut Io<'_>, _context: ContextId) {}

    /// In which lane a receiver of this context waits.
    fn lane(&self, _context: ContextId) -> usize {
        0
    }

    /// Time has come to [`next_timeout`](Protocol::next_timeout).
    fn handle_timeout(&mut self, _io: &mut Io<'_>) {}

    /// When to be told of the time.
    fn next_timeout(&self) -> Option<Time> {
        None
    }
}

/// What a protocol works with while it is told something.
pub(crate) struct Io<'a> {
    pub(crate) now: Time,
    pub(crate) pipes: &'a mut Pipes,
    pub(crate) options: &'a Options,
    pub(crate) stats: &'a mut Stats,
    pub(crate) wake: &'a mut Wake,
}

/// Who may be able to go on.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    pub(crate) senders: bool,
    pub(crate) lanes: Vec<usize>,
    /// Contexts whose waiting receivers have nothing to wait for any more.
    pub(crate) abandoned_receivers: Vec<(ContextId, OpError)>,
    /// Contexts whose waiting senders have nothing to wait for any more.
    pub(crate) abandoned_senders: Vec<(ContextId, OpError)>,
}

impl Wake {
    /// Is nobody to be looked at?
    pub(crate) fn is_empty(&self) -> bool {
        !self.senders
            && self.lanes.is_empty()
            && self.abandoned_receivers.is_empty()
            && self.abandoned_senders.is_empty()
    }

    pub(crate) fn lane(&mut self, lane: usize) {
        if self.lanes.last() != Some(&lane) {
            self.lanes.push(lane);
        }
    }
}
