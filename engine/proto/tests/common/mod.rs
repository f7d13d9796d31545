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
use sp_proto::wire::{Input, Reader, greeting, put_frame};
use sp_proto::{
    Answer, Attachment, ContextId, Device, DeviceError, DownReason, EndpointOptions, Event, Kind, OpError, Options,
    PipeId, Priority, Refused, Socket, Ticket, Time, rng_from,
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
}

/// A device and the sockets it is made of; the second is missing if it is a bus.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) device: Device,
    first: usize,
    second: Option<usize>,
}

/// A connection; each end is where bytes arrive at a socket.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) ends: [End; 2],
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
    /// Every message that arrived, as it stood on the wire.
    pub(crate) arrived: Vec<Bytes>,
    endpoint: EndpointOptions,
    reader: Reader,
    /// Under way towards this end.
    wire: BytesMut,
    /// Arrived, but not a whole message yet.
    input: BytesMut,
    /// The socket has no room for the next message.
    paused: bool,
    /// The socket has named the pipe: it has something to transmit.
    announced: bool,
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

    /// The same with what each one's endpoint says.
    pub(crate) fn connect_with(&mut self, nodes: [usize; 2], endpoints: [EndpointOptions; 2]) -> usize {
        let end = |side: usize| {
            let socket = &self.nodes[nodes[side]].socket;
            let wire = BytesMut::from(&greeting(self.nodes[nodes[1 - side]].socket.kind())[..]);
            End {
                node: nodes[side],
                pipe: None,
                alive: true,
                held: false,
                arrived: vec![],
                endpoint: endpoints[side],
                reader: Reader::new(socket.kind(), socket.options().max_message),
                wire,
                input: BytesMut::new(),
                paused: false,
                announced: false,
            }
        };
        self.connections.push(Connection { ends: [end(0), end(1)] });
        self.settle();
        self.connections.len() - 1
    }

    /// Breaks a connection: both ends notice, and what is under way is lost.
    pub(crate) fn break_off(&mut self, connection: usize) {
        for side in [0, 1] {
            self.lose(connection, side, DownReason::Lost);
        }
        self.settle();
    }

    /// One side closes; what it has transmitted still arrives before the other side notices.
    pub(crate) fn hang_up(&mut self, connection: usize, side: usize) {
        self.lose(connection, side, DownReason::Closed);
        self.settle();
    }

    /// From now on the connection takes nothing from this side's socket, or takes again what it has.
    pub(crate) fn hold(&mut self, connection: usize, side: usize, held: bool) {
        self.connections[connection].ends[side].held = held;
        self.settle();
    }

    /// The socket's process is killed and started again: another socket with other ids, and every connection broken.
    pub(crate) fn restart(&mut self, node: usize) {
        self.seed += 1;
        let (kind, options) = (self.nodes[node].socket.kind(), self.nodes[node].socket.options().clone());
        self.nodes[node] = Node::new(kind, &options, self.seed, self.curious);
        for connection in 0..self.connections.len() {
            for side in [0, 1] {
                if self.connections[connection].ends[side].node == node {
                    self.connections[connection].ends[side].alive = false;
                    self.lose(connection, 1 - side, DownReason::Lost);
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
        let message = sp_proto::Message { header: words.into(), body: Bytes::copy_from_slice(body) };
        put_frame(&message, &mut self.connections[connection].ends[side].wire);
        self.settle();
    }
}

/// # Time
impl World {
    /// Lets time pass; every timeout on the way is told at its moment.
    pub(crate) fn advance(&mut self, span: Duration) {
        let end = self.now + span;
        let due = |node: &Node| node.socket.poll_timeout();
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

    /// Moves bytes until nothing moves any more, and checks what holds always.
    pub(crate) fn settle(&mut self) {
        loop {
            for node in 0..self.nodes.len() {
                self.collect(node);
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
        while let Some((ticket, answer)) = self.nodes[node].socket.poll_answer() {
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
        let [end, other] = self.sides(connection, side);
        let Some(pipe) = end.pipe.filter(|_| end.alive && end.announced && !end.held && other.alive) else {
            return false;
        };
        if other.wire.len() >= WINDOW {
            return false;
        }
        let (from, to) = (end.node, other.node);
        let Some(message) = self.nodes[from].socket.poll_transmit(self.now, pipe) else {
            self.sides(connection, side)[0].announced = false;
            return false;
        };
        self.nodes[from].transmitted += 1;
        let mut wire = BytesMut::new();
        message.put(&mut wire);
        put_frame(&message, &mut self.sides(connection, side)[1].wire);
        self.story.push((self.now, Happening::Message { from, to, wire: wire.freeze() }));
        true
    }

    /// Lets some bytes arrive, and tells the socket of what is whole.
    fn deliver(&mut self, connection: usize, side: usize) -> bool {
        if self.parse(connection, side) {
            return true;
        }
        let [end, other] = self.sides(connection, side);
        if !end.alive || end.paused {
            return false;
        }
        if end.wire.is_empty() {
            let ends = !other.alive;
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
        let end = &mut self.connections[connection].ends[side];
        if !end.alive || end.paused {
            return false;
        }
        let node = &mut self.nodes[end.node];
        if let Some(pipe) = end.pipe
            && end.reader.missing(&end.input) == 0
            && !node.socket.admits(pipe)
        {
            end.paused = true;
            return false;
        }
        match (end.reader.next(&mut end.input), end.pipe) {
            (Ok(None), _) => false,
            (Ok(Some(Input::Message(wire))), Some(pipe)) => {
                node.handled += 1;
                end.arrived.push(wire.clone());
                node.socket.handle_message(self.now, pipe, wire);
                true
            }
            (Ok(Some(Input::Message(_))), None) => panic!("a message came before the greeting"),
            (Ok(Some(Input::Closed)), _) => panic!("frames know no farewell"),
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
        let end = &mut self.connections[connection].ends[side];
        if std::mem::take(&mut end.alive)
            && let Some(pipe) = end.pipe
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
