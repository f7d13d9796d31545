//! The protocols: which there are, who talks to whom, and what each must be able to do.

pub(crate) mod bus;
pub(crate) mod pair;
pub(crate) mod pipeline;
pub(crate) mod pubsub;
pub(crate) mod raw;
pub(crate) mod reqrep;
pub(crate) mod survey;
pub(crate) mod ways;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use smallvec::SmallVec;

use crate::context::ContextId;
use crate::error::{OpError, PeerFault};
use crate::event::DownReason;
use crate::footprint::{Visit, visit_value};
use crate::message::Message;
use crate::options::{Options, WhenFull};
use crate::pipe::{PipeId, Pipes};
use crate::stats::Stats;
use crate::time::Time;

/// One end of a pattern. The numbers are the endpoint ids of sp-protocol-ids-01: protocol × 16 + role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum Kind {
    /// Speaks with one peer.
    Pair = 0x10,
    /// The same with a count of hops; another protocol, which version 0 does not understand.
    Pair1 = 0x11,
    /// Publishes to all of its peers.
    Pub = 0x20,
    /// Receives of what is published what it has subscribed to.
    Sub = 0x21,
    /// Asks, and gets one reply for each request.
    Req = 0x30,
    /// Replies to requests.
    Rep = 0x31,
    /// Hands messages out, each to one of its peers.
    Push = 0x50,
    /// Takes messages in, fairly from all of its peers.
    Pull = 0x51,
    /// Asks all of its peers, and gets the answers that come in time.
    Surveyor = 0x62,
    /// Answers surveys.
    Respondent = 0x63,
    /// Sends to all of its peers and receives from all.
    Bus = 0x70,
}

impl Kind {
    /// Every kind there is.
    pub const ALL: [Kind; 11] = [
        Kind::Pair,
        Kind::Pair1,
        Kind::Pub,
        Kind::Sub,
        Kind::Req,
        Kind::Rep,
        Kind::Push,
        Kind::Pull,
        Kind::Surveyor,
        Kind::Respondent,
        Kind::Bus,
    ];

    /// The endpoint id, as it stands in the greeting.
    pub const fn id(self) -> u16 {
        self as u16
    }

    /// The kind with this endpoint id.
    pub fn from_id(id: u16) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.id() == id)
    }

    /// The kind it talks to.
    pub const fn partner(self) -> Kind {
        match self {
            Kind::Pair => Kind::Pair,
            Kind::Pair1 => Kind::Pair1,
            Kind::Pub => Kind::Sub,
            Kind::Sub => Kind::Pub,
            Kind::Req => Kind::Rep,
            Kind::Rep => Kind::Req,
            Kind::Push => Kind::Pull,
            Kind::Pull => Kind::Push,
            Kind::Surveyor => Kind::Respondent,
            Kind::Respondent => Kind::Surveyor,
            Kind::Bus => Kind::Bus,
        }
    }

    /// Does it talk to a peer with this endpoint id?
    pub fn accepts(self, peer: u16) -> Result<(), PeerFault> {
        if peer == self.partner().id() { Ok(()) } else { Err(PeerFault::Protocol { ours: self.id(), theirs: peer }) }
    }

    /// Its name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Pair => "pair",
            Kind::Pair1 => "pair1",
            Kind::Pub => "pub",
            Kind::Sub => "sub",
            Kind::Req => "req",
            Kind::Rep => "rep",
            Kind::Push => "push",
            Kind::Pull => "pull",
            Kind::Surveyor => "surveyor",
            Kind::Respondent => "respondent",
            Kind::Bus => "bus",
        }
    }

    /// The most bytes of header that its messages may have in front of a body of `max_message` bytes on the wire.
    pub const fn header_room(self) -> usize {
        match self {
            Kind::Pair | Kind::Pub | Kind::Sub | Kind::Push | Kind::Pull | Kind::Bus => 0,
            Kind::Pair1 => 4,
            Kind::Req | Kind::Rep | Kind::Surveyor | Kind::Respondent => 4 * u8::MAX as usize,
        }
    }

    /// The most words of header that a message may have which a raw socket is given.
    pub(crate) const fn header_words(self) -> usize {
        match self {
            Kind::Pair | Kind::Pub | Kind::Sub | Kind::Push | Kind::Pull => 0,
            Kind::Pair1 | Kind::Bus => 1,
            // Those on the wire, and the pipe that it came from.
            Kind::Req | Kind::Rep | Kind::Surveyor | Kind::Respondent => u8::MAX as usize + 1,
        }
    }

    /// What it does when a pipe's queue is full and neither endpoint nor socket says anything else. PUSH and REQ, which
    /// choose among their pipes, and PAIR wait whatever is said; SUB and PULL send nothing.
    pub const fn when_full(self) -> WhenFull {
        match self {
            Kind::Pub | Kind::Surveyor | Kind::Respondent | Kind::Bus => WhenFull::DropNew,
            Kind::Pair | Kind::Pair1 | Kind::Sub | Kind::Req | Kind::Rep | Kind::Push | Kind::Pull => WhenFull::Block,
        }
    }

    /// Does its machine heed the time? Of the others, sending and receiving mean the same at any time.
    pub const fn heeds_time(self) -> bool {
        matches!(self, Kind::Req | Kind::Surveyor)
    }

    /// Has it one peer at most?
    pub(crate) const fn is_exclusive(self) -> bool {
        matches!(self, Kind::Pair | Kind::Pair1)
    }

    pub(crate) fn machine(self, options: &Options, seed: u64) -> Box<dyn Protocol> {
        match self {
            Kind::Pair => Box::new(pair::Pair::new(pair::Hops::None)),
            Kind::Pair1 => Box::new(pair::Pair::new(pair::Hops::Cooked)),
            Kind::Pub => Box::new(pubsub::Pub::default()),
            Kind::Sub => Box::new(pubsub::Sub::new(options)),
            Kind::Req => Box::new(reqrep::Req::new(options, seed)),
            Kind::Rep => Box::new(reqrep::Rep::new(options)),
            Kind::Push => Box::new(pipeline::Push::default()),
            Kind::Pull => Box::new(pipeline::Pull::new()),
            Kind::Surveyor => Box::new(survey::Surveyor::new(options, seed)),
            Kind::Respondent => Box::new(reqrep::Rep::respondent(options)),
            Kind::Bus => Box::new(bus::Bus::new(false)),
        }
    }

    /// The machine of a device's socket.
    pub(crate) fn raw_machine(self) -> Box<dyn Protocol> {
        match self {
            Kind::Pair => Box::new(pair::Pair::new(pair::Hops::None)),
            Kind::Pair1 => Box::new(pair::Pair::new(pair::Hops::Raw)),
            Kind::Pub => Box::new(pubsub::Pub::default()),
            Kind::Sub => Box::new(pipeline::Pull::that_says(pubsub::SUB_RECEIVES)),
            Kind::Req => Box::new(raw::Asker::of_one()),
            Kind::Rep | Kind::Respondent => Box::new(raw::Answerer::default()),
            Kind::Push => Box::new(pipeline::Push::default()),
            Kind::Pull => Box::new(pipeline::Pull::new()),
            Kind::Surveyor => Box::new(raw::Asker::of_all()),
            Kind::Bus => Box::new(bus::Bus::new(true)),
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
        Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let names = Kind::ALL.map(Kind::name).join(", ");
            format!("unknown kind of socket {name:?}; there are {names}")
        })
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

    /// May a message from the wire, which is nothing but a body, be received without being queued?
    fn passes_in(&self, _io: &Io<'_>, _pipe: PipeId) -> bool {
        false
    }

    /// Lets a message of `len` bytes of body, and no header, be transmitted without being queued; on which pipe.
    fn pass_out(&mut self, _io: &mut Io<'_>, _len: usize, _takes: &mut dyn FnMut(PipeId) -> bool) -> Option<PipeId> {
        None
    }

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
        Err(OpError::State("only req, rep, sub, surveyor and respondent sockets hold more than one conversation"))
    }

    /// Ends a conversation.
    fn close_context(&mut self, _io: &mut Io<'_>, _context: ContextId) {}

    /// Subscribes to what begins with `prefix`.
    fn subscribe(&mut self, _io: &mut Io<'_>, _context: ContextId, _prefix: &[u8]) -> Result<(), OpError> {
        Err(OpError::State(ONLY_SUB))
    }

    /// Takes one subscription back.
    fn unsubscribe(&mut self, _io: &mut Io<'_>, _context: ContextId, _prefix: &[u8]) -> Result<(), OpError> {
        Err(OpError::State(ONLY_SUB))
    }

    /// Says how long the surveys of a context run.
    fn set_survey_deadline(&mut self, _context: ContextId, _span: Duration) -> Result<(), OpError> {
        Err(OpError::State("only a surveyor socket has a survey deadline"))
    }

    /// Does each waiting sender wait for a pipe of its own? If not, the others need not be tried when the first can not
    /// go on.
    fn senders_wait_apart(&self) -> bool {
        false
    }

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

    /// The pipe that it will probably transmit on next.
    fn likely_pipe(&self) -> Option<PipeId> {
        None
    }

    /// Visits the machine itself, as far as messages touch it.
    fn footprint_here(&self, visit: Visit) {
        visit_value(self, visit);
    }

    /// Visits what the next call will look at outside the machine.
    fn footprint(&self, _visit: Visit) {}

    /// Visits the bodies that it keeps.
    fn footprint_of_bodies(&self, _visit: Visit) {}
}

/// What a protocol works with while it is told something.
pub(crate) struct Io<'a> {
    pub(crate) now: Time,
    pub(crate) pipes: &'a mut Pipes,
    pub(crate) options: &'a Options,
    pub(crate) stats: &'a mut Stats,
    pub(crate) wake: &'a mut Wake,
}

impl Io<'_> {
    /// Gives a pipe up: the socket parts with it, and the world is told to close its connection.
    pub(crate) fn condemn(&mut self, pipe: PipeId, reason: DownReason) {
        if self.pipes.condemn(pipe) {
            self.wake.partings().condemned.push((pipe, reason));
        }
    }

    /// Is the body as small as it must be? If not, it costs the peer its connection. Only the header in front kept
    /// whoever read it from seeing this.
    pub(crate) fn fits(&mut self, pipe: PipeId, message: &Message) -> bool {
        let (size, limit) = (message.body.len(), self.options.max_message);
        if size > limit {
            self.condemn(pipe, DownReason::Fault(PeerFault::TooLarge { size: size as u64, limit }));
        }
        size <= limit
    }

    /// Counts a message with a header that makes no sense.
    pub(crate) fn drop_malformed(&mut self, pipe: PipeId) {
        self.stats.dropped_malformed += 1;
        self.drop_arrived(pipe);
    }

    /// Counts a message that came in the wrong direction.
    pub(crate) fn drop_received(&mut self, pipe: PipeId) {
        self.stats.dropped_received += 1;
        self.drop_arrived(pipe);
    }

    /// Counts a reply that answers nothing.
    pub(crate) fn drop_reply(&mut self, pipe: PipeId) {
        self.stats.dropped_replies += 1;
        self.drop_arrived(pipe);
    }

    fn drop_arrived(&mut self, pipe: PipeId) {
        if let Some(pipe) = self.pipes.get_mut(pipe) {
            pipe.stats.dropped_received += 1;
        }
    }
}

/// What a socket says that has as many contexts as it may.
pub(crate) fn too_many_contexts(io: &Io<'_>) -> OpError {
    OpError::Full { what: "contexts", limit: io.options.max_contexts, option: "max_contexts" }
}

/// Who may be able to go on, and who has to go.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Wake {
    pub(crate) senders: bool,
    /// There may be partings.
    pub(crate) parts: bool,
    pub(crate) lanes: SmallVec<[u32; 2]>,
    pub(crate) partings: Option<Box<Partings>>,
}

/// What comes to an end: rarely anything.
#[derive(Debug, Default)]
pub(crate) struct Partings {
    /// Contexts whose waiting receivers have nothing to wait for any more.
    pub(crate) receivers: Vec<(ContextId, OpError)>,
    /// Contexts whose waiting senders have nothing to wait for any more.
    pub(crate) senders: Vec<(ContextId, OpError)>,
    /// Pipes that have been given up.
    pub(crate) condemned: Vec<(PipeId, DownReason)>,
}

impl Wake {
    /// Is nobody to be looked at?
    pub(crate) fn is_empty(&self) -> bool {
        !self.senders && !self.parts && self.lanes.is_empty()
    }

    /// Has no pipe been given up?
    pub(crate) fn spares_all(&self) -> bool {
        self.partings.as_ref().is_none_or(|partings| partings.condemned.is_empty())
    }

    /// Nobody waits who could go on.
    pub(crate) fn clear(&mut self) {
        self.senders = false;
        self.lanes.clear();
        if let Some(partings) = self.partings.as_mut().filter(|_| self.parts) {
            partings.receivers.clear();
            partings.senders.clear();
            self.parts = !partings.condemned.is_empty();
        }
    }

    pub(crate) fn lane(&mut self, lane: usize) {
        let lane = lane as u32;
        if self.lanes.last() != Some(&lane) {
            self.lanes.push(lane);
        }
    }

    /// The receivers who wait in a context have nothing to wait for any more.
    pub(crate) fn abandon_receivers(&mut self, context: ContextId, error: OpError) {
        self.partings().receivers.push((context, error));
    }

    /// The senders who wait in a context have nothing to wait for any more.
    pub(crate) fn abandon_senders(&mut self, context: ContextId, error: OpError) {
        self.partings().senders.push((context, error));
    }

    fn partings(&mut self) -> &mut Partings {
        self.parts = true;
        self.partings.get_or_insert_default()
    }
}

const ONLY_SUB: &str = "only a sub socket subscribes; a raw one gets everything";
