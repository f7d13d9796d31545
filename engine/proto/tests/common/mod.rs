//! A small world in virtual time: sockets joined machine to machine, and no clock but a `now` that is moved by hand.
//!
//! What one socket transmits travels as the bytes of `wire`, and arrives chopped at places that only the seed knows.
//! After every deed the world checks what holds always: no ticket is answered twice, no queue exceeds its bound, and
//! every message is received, dropped and counted, or still somewhere.

#![allow(dead_code, reason = "each test uses the part of the world it needs")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rand::RngExt;
use sp_proto::websocket::{Limits, Session};
use sp_proto::wire::{Input, Reader, greeting, put_frame, put_typed_frame};
use sp_proto::{
    Answer, Attachment, ContextId, Device, DeviceError, DownReason, EndpointOptions, Event, Kind, Message, OpError,
    Options, PeerFault, PipeId, Priority, Refused, Socket, Ticket, Time, rng_from,
};

/// Sockets and the connections between them.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) nodes: Vec<Node>,
    pub(crate) connections: Vec<Connection>,
    pub(crate) devices: Vec<Relay>,
    /// What happened, and when.
    pub(crate) story: Vec<(Time, Happening)>,
    /// Each new SUB subscribes to everything.
    pub(crate) curious: bool,
    /// How far bytes move after each deed, and in which pieces they are written; if nothing is said, all the way.
    pub(crate) pace: Option<usize>,
    /// What is broken on purpose.
    pub(crate) defect: Option<Defect>,
    luck: rand_pcg::Pcg64Mcg,
    seed: u64,
}

/// A socket and what its program knows.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) socket: Socket,
    pub(crate) issued: BTreeSet<Ticket>,
    pub(crate) answers: BTreeMap<Ticket, Answer>,
    /// Messages that were taken from it to be transmitted.
    pub(crate) transmitted: u64,
    /// Messages that it was told of.
    pub(crate) handled: u64,
    /// Messages that its program gave back.
    pub(crate) given_back: u64,
    /// It has had other conversations than the default one.
    pub(crate) has_contexts: bool,
    /// Its process is stopped: it notices nothing, not even the time.
    pub(crate) asleep: bool,
}

/// A device and the sockets it is made of; the second is missing if it is a bus.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) device: Device,
    pub(crate) first: usize,
    pub(crate) second: Option<usize>,
}

/// A connection; each end is where bytes arrive at a socket.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) ends: [End; 2],
    /// Nothing goes over it any more, whether its ends have noticed or not.
    broken: bool,
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) node: usize,
    /// None before the other side has greeted.
    pub(crate) pipe: Option<PipeId>,
    /// It has not been closed, and has not noticed that the other one was.
    pub(crate) alive: bool,
    /// Its connection takes nothing from the socket, as if the kernel's buffer were full.
    pub(crate) held: bool,
    /// Nothing arrives here, and nobody knows.
    pub(crate) silent: bool,
    /// Every message that was put on the wire here.
    pub(crate) written: Vec<Bytes>,
    /// Bytes in them.
    written_bytes: u64,
    /// Every message that arrived, as it stood on the wire.
    pub(crate) arrived: Vec<Bytes>,
    /// When it did.
    pub(crate) arrived_at: Vec<Time>,
    endpoint: EndpointOptions,
    codec: Codec,
    /// Written, but not yet taken by the connection.
    output: BytesMut,
    /// Under way towards this end.
    wire: BytesMut,
    /// Arrived, but not a whole message yet.
    input: BytesMut,
    /// The socket has no room for the next message.
    paused: bool,
    /// The socket has named the pipe: it has something to transmit.
    announced: bool,
}

/// How the bytes of a connection are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mapping {
    Tcp,
    Ipc,
    WebSocket,
}

#[derive(Debug)]
enum Codec {
    Stream { reader: Reader, typed: bool },
    WebSocket(Box<Session>),
}

/// What can be broken on purpose, now and then, to see that somebody notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    /// A message is lost between socket and wire.
    Lose,
    /// A message is transmitted twice.
    Double,
    /// Two messages of a pipe change places.
    Swap,
    /// A byte of a message is another one.
    Alter,
    /// A message comes back to its sender.
    Echo,
    /// A reply is the one before.
    Stale,
    /// A socket is not told that a connection is gone.
    ForgetDetach,
    /// A ticket is not answered.
    ForgetAnswer,
    /// A ticket is answered twice.
    AnswerTwice,
    /// Messages are read that the socket has no room for.
    Overrun,
    /// A SUB gets what it has not subscribed to.
    Eavesdrop,
    /// Messages that arrive are told with an earlier time.
    SlowClock,
}

impl Defect {
    pub(crate) const ALL: [Defect; 12] = [
        Defect::Lose,
        Defect::Double,
        Defect::Swap,
        Defect::Alter,
        Defect::Echo,
        Defect::Stale,
        Defect::ForgetDetach,
        Defect::ForgetAnswer,
        Defect::AnswerTwice,
        Defect::Overrun,
        Defect::Eavesdrop,
        Defect::SlowClock,
    ];
}

/// Something that can be told afterwards.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Happening {
    /// A socket's pipe came or went.
    Event { node: usize, peer: usize, event: Event },
    /// A ticket was answered.
    Answer { node: usize, ticket: Ticket, answer: Answer },
    /// A message was put on the wire.
    Message { from: usize, to: usize, wire: Bytes },
    /// A connection was refused.
    Refused { node: usize, peer: usize, refused: Refused },
}

/// # Sockets and connections
impl World {
    /// Nobody yet. The seed decides the ids of the sockets and where bytes are chopped.
    pub(crate) fn new(seed: u64) -> World {
        World {
            now: Time::ZERO,
            nodes: vec![],
            connections: vec![],
            devices: vec![],
            story: vec![],
            curious: true,
            pace: None,
            defect: None,
            luck: rng_from(seed),
            seed,
        }
    }

    /// A socket of this kind, and a connected partner with the same options.
    pub(crate) fn pair(kind: Kind, options: &Options) -> World {
        let mut world = World::new(1);
        let (ours, theirs) = (world.add(kind, options), world.add(kind.partner(), options));
        world.connect(ours, theirs);
        world
    }

    /// Another socket.
    pub(crate) fn add(&mut self, kind: Kind, options: &Options) -> usize {
        self.seed += 1;
        self.nodes.push(Node::new(kind, options, self.seed, self.curious));
        self.nodes.len() - 1
    }

    /// A raw socket.
    pub(crate) fn add_raw(&mut self, kind: Kind, options: &Options) -> usize {
        self.seed += 1;
        let socket = Socket::new_raw(kind, options.clone(), self.seed).unwrap();
        self.nodes.push(Node::of(socket));
        self.nodes.len() - 1
    }

    /// Makes a device of raw sockets.
    pub(crate) fn relay(&mut self, first: usize, second: Option<usize>) -> Result<(), DeviceError> {
        let socket = |node: usize| &self.nodes[node].socket;
        let device = match second {
            Some(second) => Device::between(socket(first), socket(second)),
            None => Device::among_peers(socket(first)),
        };
        self.devices.push(Relay { device: device?, first, second });
        Ok(())
    }

    /// Joins two sockets; both greet.
    pub(crate) fn connect(&mut self, a: usize, b: usize) -> usize {
        self.connect_with([a, b], [EndpointOptions::default(); 2])
    }

    /// Joins two sockets over UNIX sockets or WebSocket; the first one dials.
    pub(crate) fn connect_over(
        &mut self,
        mapping: Mapping,
        nodes: [usize; 2],
        endpoints: [EndpointOptions; 2],
    ) -> usize {
        self.connections.push(self.connection(mapping, nodes, endpoints));
        let connection = self.connections.len() - 1;
        for side in [0, 1] {
            self.flush(connection, side);
        }
        self.settle();
        connection
    }

    /// The same with what each one's endpoint says.
    pub(crate) fn connect_with(&mut self, nodes: [usize; 2], endpoints: [EndpointOptions; 2]) -> usize {
        self.connect_over(Mapping::Tcp, nodes, endpoints)
    }

    fn connection(&self, mapping: Mapping, nodes: [usize; 2], endpoints: [EndpointOptions; 2]) -> Connection {
        let end = |side: usize| {
            let socket = &self.nodes[nodes[side]].socket;
            let mut output = BytesMut::new();
            let codec = Codec::new(mapping, side, socket, self.seed + self.connections.len() as u64, &mut output);
            End {
                node: nodes[side],
                pipe: None,
                alive: true,
                held: false,
                silent: false,
                written: vec![],
                written_bytes: 0,
                arrived: vec![],
                arrived_at: vec![],
                endpoint: endpoints[side],
                codec,
                output,
                wire: BytesMut::new(),
                input: BytesMut::new(),
                paused: false,
                announced: false,
            }
        };
        Connection { ends: [end(0), end(1)], broken: false }
    }

    /// Breaks a connection: both ends notice, and what is under way is lost.
    pub(crate) fn break_off(&mut self, connection: usize) {
        self.connections[connection].broken = true;
        for side in [0, 1] {
            let end = &mut self.connections[connection].ends[side];
            end.output.clear();
            end.wire.clear();
            if self.nodes[end.node].asleep {
                // It will find that there is nobody at the other end.
                continue;
            }
            self.lose(connection, side, DownReason::Lost);
        }
        self.settle();
    }

    /// One side closes; what it has transmitted still arrives before the other side notices.
    pub(crate) fn hang_up(&mut self, connection: usize, side: usize) {
        let end = &mut self.connections[connection].ends[side];
        if let (true, Codec::WebSocket(session)) = (end.alive, &mut end.codec) {
            session.put_close(&mut end.output);
        }
        self.lose(connection, side, DownReason::Closed);
        self.settle();
    }

    /// From now on the connection takes nothing from this side's socket, or takes again what it has.
    pub(crate) fn hold(&mut self, connection: usize, side: usize, held: bool) {
        self.connections[connection].ends[side].held = held;
        self.settle();
    }

    /// From now on nothing arrives at this end, or again what was under way.
    pub(crate) fn silence(&mut self, connection: usize, side: usize, silent: bool) {
        self.connections[connection].ends[side].silent = silent;
        self.settle();
    }

    /// The last bytes that one side has written never get to the other one.
    pub(crate) fn cut(&mut self, connection: usize, side: usize, bytes: usize) {
        let [end, other] = self.sides(connection, side);
        let left = bytes.saturating_sub(end.output.len());
        end.output.truncate(end.output.len().saturating_sub(bytes));
        other.wire.truncate(other.wire.len().saturating_sub(left));
        self.lose(connection, side, DownReason::Closed);
        self.settle();
    }

    /// Stops a process, or lets it go on.
    pub(crate) fn sleep(&mut self, node: usize, asleep: bool) {
        self.nodes[node].asleep = asleep;
        if self.luck.random() {
            // It reads first, and looks at the clock then.
            self.settle();
        }
        if !asleep && self.nodes[node].socket.poll_timeout().is_some_and(|due| due <= self.now) {
            self.nodes[node].socket.handle_timeout(self.now);
        }
        self.settle();
    }

    /// The socket's process is killed and started again: another socket with other ids, and every connection broken.
    pub(crate) fn restart(&mut self, node: usize) {
        self.seed += 1;
        let (kind, options) = (self.nodes[node].socket.kind(), self.nodes[node].socket.options().clone());
        self.nodes[node] = if self.nodes[node].socket.is_raw() {
            Node::of(Socket::new_raw(kind, options, self.seed).unwrap())
        } else {
            Node::new(kind, &options, self.seed, self.curious)
        };
        for connection in 0..self.connections.len() {
            for side in [0, 1] {
                if self.connections[connection].ends[side].node == node {
                    self.connections[connection].ends[side].alive = false;
                    if !self.nodes[self.connections[connection].ends[1 - side].node].asleep {
                        self.lose(connection, 1 - side, DownReason::Lost);
                    }
                }
            }
        }
        self.settle();
    }

    /// Closes a socket; what its connections take is still delivered.
    pub(crate) fn close(&mut self, node: usize) {
        self.nodes[node].socket.close();
        self.settle();
        for connection in 0..self.connections.len() {
            for side in [0, 1] {
                if self.connections[connection].ends[side].node == node {
                    self.lose(connection, side, DownReason::Closed);
                }
            }
        }
        self.settle();
    }

    /// The connections that are up at both ends.
    pub(crate) fn up(&self) -> Vec<usize> {
        let is_up = |connection: &Connection| connection.ends.iter().all(|end| end.alive && end.pipe.is_some());
        (0..self.connections.len()).filter(|number| is_up(&self.connections[*number])).collect()
    }
}

/// # What programs do
impl World {
    pub(crate) fn try_send(&mut self, node: usize, context: ContextId, body: impl Into<Bytes>) -> Result<(), OpError> {
        let result = self.nodes[node].socket.try_send(self.now, context, body.into()).map_err(|(error, _)| error);
        self.settle();
        result
    }

    pub(crate) fn try_recv(&mut self, node: usize, context: ContextId) -> Result<Bytes, OpError> {
        let result = self.nodes[node].socket.try_recv(self.now, context);
        self.settle();
        result
    }

    pub(crate) fn submit_send(
        &mut self,
        node: usize,
        context: ContextId,
        body: impl Into<Bytes>,
        deadline: Option<Time>,
    ) -> Ticket {
        let ticket = self.nodes[node].socket.submit_send(self.now, context, body.into(), deadline);
        self.issue(node, ticket)
    }

    pub(crate) fn submit_recv(&mut self, node: usize, context: ContextId, deadline: Option<Time>) -> Ticket {
        let ticket = self.nodes[node].socket.submit_recv(self.now, context, deadline);
        self.issue(node, ticket)
    }

    pub(crate) fn put_back(&mut self, node: usize, context: ContextId, body: Bytes) {
        self.nodes[node].given_back += 1;
        self.nodes[node].socket.put_back(self.now, context, body);
        self.settle();
    }

    pub(crate) fn cancel(&mut self, node: usize, ticket: Ticket) -> bool {
        let cancelled = self.nodes[node].socket.cancel(ticket);
        self.settle();
        cancelled
    }

    pub(crate) fn open(&mut self, node: usize) -> Result<ContextId, OpError> {
        let result = self.nodes[node].socket.open_context(self.now);
        self.nodes[node].has_contexts |= result.is_ok();
        self.settle();
        result
    }

    pub(crate) fn end(&mut self, node: usize, context: ContextId) {
        self.nodes[node].socket.close_context(self.now, context);
        self.settle();
    }

    pub(crate) fn subscribe(&mut self, node: usize, context: ContextId, prefix: &[u8]) -> Result<(), OpError> {
        let result = self.nodes[node].socket.subscribe(self.now, context, prefix);
        self.settle();
        result
    }

    pub(crate) fn unsubscribe(&mut self, node: usize, context: ContextId, prefix: &[u8]) -> Result<(), OpError> {
        let result = self.nodes[node].socket.unsubscribe(self.now, context, prefix);
        self.settle();
        result
    }

    /// How a ticket was answered, if it was.
    pub(crate) fn answer(&self, node: usize, ticket: Ticket) -> Option<&Answer> {
        self.nodes[node].answers.get(&ticket)
    }

    /// Everything that can be received now, as text.
    pub(crate) fn recv_all(&mut self, node: usize) -> Vec<String> {
        std::iter::from_fn(|| self.try_recv(node, ContextId::DEFAULT).ok().map(|body| text(&body))).collect()
    }

    /// A message arrives as if the peer of this connection's end had sent it: header words, then a body.
    pub(crate) fn inject(&mut self, connection: usize, side: usize, words: &[u32], body: &[u8]) {
        let message = Message { header: words.into(), body: Bytes::copy_from_slice(body) };
        self.connections[connection].ends[1 - side].written.push(flat(&message));
        put_frame(&message, &mut self.connections[connection].ends[side].wire);
        self.settle();
    }
}

/// # Time
impl World {
    /// Lets time pass; every timeout on the way is told at its moment.
    pub(crate) fn advance(&mut self, span: Duration) {
        let end = self.now + span;
        let due = |node: &Node| node.socket.poll_timeout().filter(|_| !node.asleep);
        while let Some(next) = self.nodes.iter().filter_map(due).min().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            for number in 0..self.nodes.len() {
                if due(&self.nodes[number]).is_some_and(|due| due <= self.now) {
                    self.nodes[number].socket.handle_timeout(self.now);
                    let later = due(&self.nodes[number]);
                    assert!(
                        later.is_none_or(|due| due > self.now),
                        "a timeout that was handled is still due: {later:?}"
                    );
                }
            }
            self.settle();
        }
        self.now = end;
        self.settle();
    }

    /// Moves bytes until nothing moves any more, or as far as the pace goes, and checks what holds always.
    pub(crate) fn settle(&mut self) {
        let limit = self.pace.map_or(MOST_MOVES, |pace| self.luck.random_range(0..=pace));
        let mut moves = 0;
        loop {
            for node in 0..self.nodes.len() {
                self.collect(node);
            }
            if self.pace.is_some() && moves == limit {
                break;
            }
            let mut moved = self.run_devices();
            for connection in 0..self.connections.len() {
                for side in [0, 1] {
                    moved |= self.transmit(connection, side) | self.deliver(connection, side);
                }
            }
            if !moved {
                break;
            }
            moves += 1;
            assert!(moves < MOST_MOVES, "there is no end to it at {:?}", self.now);
        }
        for node in 0..self.nodes.len() {
            self.check(node);
        }
    }
}

impl Node {
    fn new(kind: Kind, options: &Options, seed: u64, curious: bool) -> Node {
        let mut socket = Socket::new(kind, options.clone(), seed).unwrap();
        if curious && kind == Kind::Sub {
            socket.subscribe(Time::ZERO, ContextId::DEFAULT, b"").unwrap();
        }
        Node::of(socket)
    }

    fn of(socket: Socket) -> Node {
        Node {
            socket,
            issued: BTreeSet::new(),
            answers: BTreeMap::new(),
            transmitted: 0,
            handled: 0,
            given_back: 0,
            has_contexts: false,
            asleep: false,
        }
    }
}

impl Codec {
    /// What it says first goes into `output`.
    fn new(mapping: Mapping, side: usize, socket: &Socket, seed: u64, output: &mut BytesMut) -> Codec {
        let (kind, limit) = (socket.kind(), socket.options().max_message);
        if mapping == Mapping::WebSocket {
            let limits = Limits::with_max_message(limit);
            let mut session = match side {
                0 => Session::client(kind, "host:1", "/x", limits, seed),
                _ => Session::server(kind, "/x", limits),
            };
            session.open(output);
            return Codec::WebSocket(Box::new(session));
        }
        output.extend_from_slice(&greeting(kind));
        let (reader, typed) = (Reader::new(kind, limit), mapping == Mapping::Ipc);
        Codec::Stream { reader: if typed { reader.typed() } else { reader }, typed }
    }

    fn put(&mut self, message: &Message, output: &mut BytesMut) {
        match self {
            Codec::Stream { typed: false, .. } => put_frame(message, output),
            Codec::Stream { typed: true, .. } => put_typed_frame(message, output),
            Codec::WebSocket(session) => session.put(message, output),
        }
    }

    fn missing(&self, input: &BytesMut) -> usize {
        match self {
            Codec::Stream { reader, .. } => reader.missing(input),
            Codec::WebSocket(session) => session.missing(input),
        }
    }

    fn next(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Result<Option<Input>, PeerFault> {
        match self {
            Codec::Stream { reader, .. } => reader.next(input),
            Codec::WebSocket(session) => session.next(input, output),
        }
    }
}

impl World {
    fn issue(&mut self, node: usize, ticket: Ticket) -> Ticket {
        assert!(self.nodes[node].issued.insert(ticket), "{ticket:?} was issued twice");
        self.settle();
        ticket
    }

    /// Asks a socket for all but messages.
    fn collect(&mut self, node: usize) {
        if self.nodes[node].asleep {
            return;
        }
        while let Some((ticket, answer)) = self.nodes[node].socket.poll_answer() {
            if self.suffers(Defect::ForgetAnswer) {
                continue;
            }
            if self.suffers(Defect::AnswerTwice) {
                self.nodes[node].answers.insert(ticket, answer.clone());
            }
            assert!(self.nodes[node].issued.contains(&ticket), "{ticket:?} was answered but not issued");
            let before = self.nodes[node].answers.insert(ticket, answer.clone());
            assert_eq!(before, None, "{ticket:?} was answered twice");
            self.story.push((self.now, Happening::Answer { node, ticket, answer }));
        }
        while let Some(pipe) = self.nodes[node].socket.poll_output() {
            self.end_of(node, pipe).expect("a pipe with something to transmit has a connection").announced = true;
        }
        while let Some(pipe) = self.nodes[node].socket.poll_resumed() {
            let end = self.end_of(node, pipe).expect("a pipe to read from again has a connection");
            assert!(std::mem::take(&mut end.paused), "{pipe:?} was resumed but had not been paused");
        }
        while let Some(event) = self.nodes[node].socket.poll_event() {
            let (Event::PipeUp { pipe, .. } | Event::PipeDown { pipe, .. }) = event;
            let peer = self.peer_of(node, pipe);
            self.story.push((self.now, Happening::Event { node, peer, event }));
        }
        while let Some((pipe, reason)) = self.nodes[node].socket.poll_disconnect() {
            let (connection, side) = self.place_of(node, pipe).expect("a pipe that was given up has a connection");
            self.lose(connection, side, reason);
        }
    }

    fn end_of(&mut self, node: usize, pipe: PipeId) -> Option<&mut End> {
        let (connection, side) = self.place_of(node, pipe)?;
        Some(&mut self.connections[connection].ends[side])
    }

    /// The connection behind a pipe, and which of its ends is the socket's.
    pub(crate) fn place_of(&self, node: usize, pipe: PipeId) -> Option<(usize, usize)> {
        let places = (0..self.connections.len()).rev().flat_map(|connection| [(connection, 0), (connection, 1)]);
        let is_it = |end: &End| end.node == node && end.alive && end.pipe == Some(pipe);
        places.into_iter().find(|(connection, side)| is_it(&self.connections[*connection].ends[*side]))
    }

    fn peer_of(&self, node: usize, pipe: PipeId) -> usize {
        let sides = self.connections.iter().rev().flat_map(|connection| {
            let [a, b] = &connection.ends;
            [(a, b), (b, a)]
        });
        sides
            .into_iter()
            .find(|(end, _)| end.node == node && end.pipe == Some(pipe))
            .map(|(_, other)| other.node)
            .expect("every pipe has a connection")
    }

    fn run_devices(&mut self) -> bool {
        let mut moved = false;
        for Relay { device, first, second } in &mut self.devices {
            let asleep = |node: usize| self.nodes[node].asleep;
            if asleep(*first) || second.is_some_and(asleep) {
                continue;
            }
            moved |= match *second {
                None => device.reflect(self.now, &mut self.nodes[*first].socket),
                Some(second) => {
                    let [low, high] = [(*first).min(second), (*first).max(second)];
                    let (below, above) = self.nodes.split_at_mut(high);
                    let (one, two) = (&mut below[low].socket, &mut above[0].socket);
                    let (one, two) = if low == *first { (one, two) } else { (two, one) };
                    device.forward(self.now, one, two)
                }
            };
        }
        moved
    }

    /// Takes one message from a socket and puts it on the wire.
    fn transmit(&mut self, connection: usize, side: usize) -> bool {
        if self.flush(connection, side) {
            return true;
        }
        let [end, other] = self.sides(connection, side);
        let Some(pipe) = end.pipe.filter(|_| end.alive && end.announced && !end.held && other.alive) else {
            return false;
        };
        if end.output.len() + other.wire.len() >= WINDOW {
            return false;
        }
        let (from, to) = (end.node, other.node);
        if self.nodes[from].asleep {
            return false;
        }
        let Some(message) = self.nodes[from].socket.poll_transmit(self.now, pipe) else {
            self.sides(connection, side)[0].announced = false;
            return false;
        };
        if self.suffers(Defect::Lose) {
            return true;
        }
        let mut messages = vec![message];
        if self.suffers(Defect::Swap) {
            let next = self.nodes[from].socket.poll_transmit(self.now, pipe);
            messages.splice(0..0, next);
        }
        self.nodes[from].transmitted += messages.len() as u64;
        if self.suffers(Defect::Double) {
            messages.push(messages[0].clone());
        }
        for mut message in messages {
            if self.suffers(Defect::Alter) && !message.body.is_empty() {
                let mut body = message.body.to_vec();
                *body.last_mut().unwrap() ^= 1;
                message.body = body.into();
            }
            let echoes = self.suffers(Defect::Echo)
                && self.nodes[from].socket.kind().partner() == self.nodes[from].socket.kind();
            let [end, other] = self.sides(connection, side);
            end.written.push(flat(&message));
            end.written_bytes += message.len() as u64;
            end.codec.put(&message, &mut end.output);
            if echoes {
                other.written.push(flat(&message));
                other.codec.put(&message, &mut other.output);
            }
            self.story.push((self.now, Happening::Message { from, to, wire: flat(&message) }));
        }
        if self.pace.is_none() {
            self.flush(connection, side);
        }
        true
    }

    /// Lets the connection take what was written, or, if there is a pace, some of it.
    fn flush(&mut self, connection: usize, side: usize) -> bool {
        let in_pieces = self.pace.is_some();
        let broken = self.connections[connection].broken;
        let [end, other] = self.sides(connection, side);
        if broken || !other.alive {
            end.output.clear();
        }
        if end.output.is_empty() || (end.alive && end.held) {
            return false;
        }
        let whole = end.output.len();
        let some = if in_pieces { self.luck.random_range(1..=whole) } else { whole };
        let [end, other] = self.sides(connection, side);
        let piece = end.output.split_to(some);
        other.wire.extend_from_slice(&piece);
        true
    }

    /// Is it time for this defect to show?
    fn suffers(&mut self, defect: Defect) -> bool {
        self.defect == Some(defect) && self.luck.random_ratio(1, 4)
    }

    /// Lets some bytes arrive, and tells the socket of what is whole.
    fn deliver(&mut self, connection: usize, side: usize) -> bool {
        if self.parse(connection, side) {
            return true;
        }
        let asleep = self.nodes[self.connections[connection].ends[side].node].asleep;
        let broken = self.connections[connection].broken;
        let [end, other] = self.sides(connection, side);
        if !end.alive || end.silent || asleep {
            return false;
        }
        if end.paused {
            // Who does not read notices all the same, by writing.
            let notices = end.announced && !end.held && !other.alive;
            if notices {
                self.lose(connection, side, DownReason::Lost);
            }
            return notices;
        }
        if end.wire.is_empty() {
            let ends = broken || (!other.alive && other.output.is_empty());
            if ends {
                self.lose(connection, side, DownReason::Lost);
            }
            return ends;
        }
        let whole = end.wire.len();
        let some = self.luck.random_range(1..=whole);
        let end = &mut self.connections[connection].ends[side];
        let piece = end.wire.split_to(some);
        end.input.extend_from_slice(&piece);
        true
    }

    /// Tells the socket of the next whole thing.
    fn parse(&mut self, connection: usize, side: usize) -> bool {
        let peer = self.connections[connection].ends[1 - side].node;
        let number = self.connections[connection].ends[side].node;
        let overruns = self.suffers(Defect::Overrun);
        let (stale, slow) = (self.suffers(Defect::Stale), self.suffers(Defect::SlowClock));
        let now = if slow { Time::from_nanos(self.now.as_nanos() / 2) } else { self.now };
        if self.suffers(Defect::Eavesdrop) && self.nodes[number].socket.kind() == Kind::Sub {
            let _ = self.nodes[number].socket.subscribe(self.now, ContextId::DEFAULT, b"");
        }
        let [end, other] = self.sides(connection, side);
        let written = other.written.get(end.arrived.len()).cloned();
        let end = &mut self.connections[connection].ends[side];
        let node = &mut self.nodes[number];
        if !end.alive || end.paused || node.asleep {
            return false;
        }
        if let Some(pipe) = end.pipe
            && end.codec.missing(&end.input) == 0
            && !node.socket.admits(pipe)
            && !overruns
        {
            end.paused = true;
            return false;
        }
        match (end.codec.next(&mut end.input, &mut end.output), end.pipe) {
            (Ok(None), _) => false,
            (Ok(Some(Input::Message(wire))), Some(pipe)) => {
                assert_eq!(Some(&wire), written.as_ref(), "what arrives is what was written, in this order");
                node.handled += 1;
                let told = match end.arrived.last().filter(|_| stale && node.socket.kind() == Kind::Req) {
                    Some(before) => [&wire[..4], &before[4..]].concat().into(),
                    None => wire.clone(),
                };
                end.arrived.push(wire);
                end.arrived_at.push(self.now);
                node.socket.handle_message(now, pipe, told);
                true
            }
            (Ok(Some(Input::Message(_))), None) => panic!("a message came before the greeting"),
            (Ok(Some(Input::Closed)), _) => {
                self.lose(connection, side, DownReason::Lost);
                true
            }
            (Ok(Some(Input::Greeting { peer: id })), _) => {
                match node.socket.attach(self.now, Attachment { peer: id, endpoint: end.endpoint }) {
                    Ok(pipe) => end.pipe = Some(pipe),
                    Err(refused) => {
                        end.alive = false;
                        self.story.push((self.now, Happening::Refused { node: end.node, peer, refused }));
                    }
                }
                true
            }
            (Err(fault), None) => {
                end.alive = false;
                node.socket.handle_fault(fault);
                let refused = Refused::Peer(fault);
                self.story.push((self.now, Happening::Refused { node: end.node, peer, refused }));
                true
            }
            (Err(fault), Some(_)) => {
                self.lose(connection, side, DownReason::Fault(fault));
                true
            }
        }
    }

    /// An end is closed, or notices that the other one was.
    fn lose(&mut self, connection: usize, side: usize, reason: DownReason) {
        let forgets = self.suffers(Defect::ForgetDetach);
        let end = &mut self.connections[connection].ends[side];
        if std::mem::take(&mut end.alive)
            && let Some(pipe) = end.pipe
            && !forgets
        {
            self.nodes[end.node].socket.detach(self.now, pipe, reason);
        }
    }

    fn sides(&mut self, connection: usize, side: usize) -> [&mut End; 2] {
        let [a, b] = &mut self.connections[connection].ends;
        if side == 0 { [a, b] } else { [b, a] }
    }

    /// What holds always.
    fn check(&self, number: usize) {
        let node = &self.nodes[number];
        let (stats, options) = (node.socket.stats(), node.socket.options());
        let unsent = node.socket.unsent() as u64;
        assert_eq!(
            stats.sent,
            unsent + stats.dropped_unsent + stats.dropped_full_old + node.transmitted,
            "sent = unsent + dropped + transmitted, node {number}: {stats:?}"
        );
        let up = stats.pipes_up - stats.pipes_down;
        let alive = self.connections.iter().flat_map(|connection| &connection.ends);
        let alive = alive.filter(|end| end.node == number && end.alive && end.pipe.is_some()).count();
        assert_eq!(up, alive as u64, "pipes up, node {number}");
        assert!(node.socket.pipe_count() <= options.max_pipes);
        assert!(unsent <= up * options.send_queue as u64, "{unsent} messages wait for {up} pipes");
        for end in self.connections.iter().flat_map(|connection| &connection.ends) {
            let pipe =
                end.pipe.filter(|_| end.node == number && end.alive).and_then(|pipe| node.socket.pipe_stats(pipe));
            if let Some(pipe) = pipe {
                let gone = end.written.len() as u64 + pipe.dropped_full_old;
                assert!(pipe.sent <= gone + options.send_queue as u64, "a queue is too long, node {number}: {pipe:?}");
                // One message may be larger than what its queue holds.
                let bound = end.written_bytes + options.queue_bytes as u64 + options.max_message as u64;
                assert!(
                    pipe.dropped_full_old > 0 || pipe.sent_bytes <= bound,
                    "a queue holds too much, node {number}: {pipe:?}"
                );
            }
        }

        if matches!(node.socket.kind(), Kind::Sub | Kind::Pull) {
            assert_eq!(node.transmitted, 0, "node {number} has nothing to say");
        }
        if node.socket.kind() == Kind::Sub && node.has_contexts {
            // A message may be received in several of them.
            return;
        }
        let dropped = stats.dropped_received
            + stats.dropped_replies
            + stats.dropped_malformed
            + stats.dropped_full_recv
            + stats.filtered;
        let done = stats.received + dropped;
        assert!(node.handled + node.given_back >= done, "more came out than went in, node {number}: {stats:?}");
        if node.given_back == 0 {
            let kept = node.handled - done;
            let bound = match node.socket.kind() {
                Kind::Push | Kind::Pub => 0,
                Kind::Req if !node.socket.is_raw() => options.max_contexts,
                Kind::Surveyor if !node.socket.is_raw() => options.max_contexts * options.recv_queue,
                _ => options.recv_queue * node.socket.pipe_count(),
            };
            // What costs a peer its connection is not counted as dropped.
            assert!(
                kept <= bound as u64 + stats.peer_faults,
                "{kept} messages are kept, {bound} may be, node {number}: {stats:?}"
            );
        }
    }
}

/// A message as it stands on the wire, without a frame around it.
fn flat(message: &Message) -> Bytes {
    let mut wire = BytesMut::new();
    message.put(&mut wire);
    wire.freeze()
}

/// A body as text.
pub(crate) fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}

/// Endpoint options with a priority for sending.
pub(crate) fn send_first(level: i64) -> EndpointOptions {
    EndpointOptions { send_priority: Priority::new(level).unwrap(), ..EndpointOptions::default() }
}

/// Endpoint options with a priority for receiving.
pub(crate) fn recv_first(level: i64) -> EndpointOptions {
    EndpointOptions { recv_priority: Priority::new(level).unwrap(), ..EndpointOptions::default() }
}

/// Bytes under way towards one end beyond which its connection takes no more.
const WINDOW: usize = 64;
/// Rounds after which a world that still moves at one instant is taken to move for ever.
const MOST_MOVES: usize = 100_000;
