//! Connections: bytes in, messages out, and the other way round.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use sp_proto::wire::{self, Input};
use sp_proto::{Address, DownReason, Message, PeerFault, PipeId, Socket, Time};

use crate::bell::Bell;
use crate::poller::Interest;
use crate::transport::carrier::{Carrier, Credentials};
use crate::transport::{Session, Stream, inproc};

/// One connection of a socket, from the attempt to make it until it is gone.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The endpoint that made it.
    pub(crate) endpoint: usize,
    pub(crate) phase: Phase,
    /// When it must have greeted.
    pub(crate) deadline: Time,
    /// What its descriptor is polled for now.
    pub(crate) polled: Interest,
    /// Tells it apart from every other one of its socket, earlier ones too.
    pub(crate) serial: u64,
    /// Something is encoded for the next write.
    pub(crate) held: bool,
    way: Way,
    /// The machine's queue is full; nothing is read.
    paused: bool,
    /// It ends as if the process had been killed.
    aborted: bool,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Connecting,
    Greeting,
    /// The peer has greeted with this endpoint id, and the program is asked whether to admit it.
    Knocking(u16),
    Up(PipeId),
}

/// A peer, for whoever wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its pipe, once it is up.
    pub pipe: Option<u32>,
    /// Where it is: scheme, host and port on a network, the path of an ipc socket, or the name of an inproc one.
    pub address: String,
    /// The address of the endpoint that made the connection.
    pub endpoint: Address,
    /// Who it is; only for ipc.
    pub credentials: Option<Credentials>,
    /// Its certificate in DER, if it has shown one; only with TLS.
    pub certificate: Option<Vec<u8>>,
}

/// What reading found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The peer has greeted with this endpoint id; attach it and read again.
    Greeting(u16),
    /// Nothing more for now.
    Nothing,
}

#[derive(Debug)]
enum Way {
    Bytes(ByteWay),
    Inproc(inproc::Stream),
}

/// A carrier with what is spoken over it.
#[derive(Debug)]
struct ByteWay {
    carrier: Carrier,
    session: Session,
    input: BytesMut,
    /// The most that has been in `input` while large messages came.
    largest: usize,
    /// Bytes of the last message.
    last: usize,
    output: BytesMut,
    /// A large body that follows `output`.
    body: Bytes,
    /// How much of the front of `output` and `body` is no message, or the rest of one whose beginning is written.
    begun: usize,
    /// Messages have been read that the machine has not been told of: the program can take them as they are.
    ripe: bool,
    /// Messages in what is sealed but not written.
    sealed: usize,
    /// The kernel's buffer is full; nothing is written.
    blocked: bool,
}

impl Connection {
    /// `session` makes what a connection that carries bytes needs.
    pub(crate) fn new(
        stream: Stream,
        endpoint: usize,
        phase: Phase,
        deadline: Time,
        serial: u64,
        session: impl FnOnce() -> Result<Session, PeerFault>,
    ) -> Result<Connection, PeerFault> {
        let way = match stream {
            Stream::Bytes(carrier) => Way::Bytes(ByteWay::new(carrier, session()?)),
            Stream::Inproc(stream) => Way::Inproc(stream),
        };
        let polled = Interest::NONE;
        Ok(Connection { endpoint, phase, deadline, polled, serial, held: false, way, paused: false, aborted: false })
    }

    pub(crate) fn is_inproc(&self) -> bool {
        matches!(self.way, Way::Inproc(_))
    }

    /// What its descriptor should be polled for.
    pub(crate) fn interest(&self) -> Interest {
        let blocked = self.is_blocked();
        match self.phase {
            Phase::Connecting => Interest::WRITE,
            Phase::Knocking(_) => Interest { read: false, write: blocked, once: false },
            Phase::Greeting | Phase::Up(_) => Interest { read: !self.paused, write: blocked, once: false },
        }
    }

    /// Its descriptor, if it has one.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.way {
            Way::Bytes(way) => Some(way.carrier.as_fd()),
            Way::Inproc(_) => None,
        }
    }

    /// Who is at the other end. `endpoint` is the address of the endpoint that made the connection.
    pub(crate) fn peer(&self, endpoint: &Address) -> Peer {
        let (address, credentials, certificate) = match &self.way {
            Way::Bytes(way) => {
                let certificate = way.session.tls.as_ref().and_then(|tls| tls.peer_certificate());
                let address = way.carrier.peer().map(|place| format!("{}://{place}", endpoint.transport));
                (address, way.carrier.credentials(), certificate)
            }
            Way::Inproc(_) => (None, None, None),
        };
        Peer {
            pipe: if let Phase::Up(pipe) = self.phase { Some(pipe.word()) } else { None },
            address: address.unwrap_or_else(|| endpoint.to_string()),
            endpoint: endpoint.clone(),
            credentials,
            certificate,
        }
    }

    /// The attempt to connect has ended, well or not.
    pub(crate) fn finish_connecting(&mut self) -> io::Result<()> {
        if let Way::Bytes(way) = &self.way {
            way.carrier.connected()?;
        }
        self.phase = Phase::Greeting;
        Ok(())
    }

    /// The machine has room again.
    pub(crate) fn resume(&mut self) {
        self.paused = false;
    }

    /// Nothing more is delivered, as when the process is killed.
    pub(crate) fn abort(&mut self) {
        self.aborted = true;
        match &self.way {
            Way::Bytes(way) => way.carrier.abort(),
            Way::Inproc(stream) => stream.abort(),
        }
    }

    /// Says goodbye to the peer, in words if there are some and by the end of the stream, which it would not notice while
    /// a forked process holds the same descriptor.
    pub(crate) fn hang_up(&mut self) {
        if let Way::Bytes(way) = &mut self.way
            && !self.aborted
        {
            if matches!(self.phase, Phase::Up(_)) {
                way.say_goodbye();
            }
            way.carrier.hang_up();
        }
    }

    /// What is left when we have hung up and the peer has not; nothing if it was aborted.
    pub(crate) fn into_carrier(self) -> Option<Carrier> {
        match self.way {
            Way::Bytes(way) if !self.aborted => Some(way.carrier),
            Way::Bytes(_) | Way::Inproc(_) => None,
        }
    }

    /// Is everything written that was taken from the machine?
    pub(crate) fn is_flushed(&self) -> bool {
        match &self.way {
            Way::Bytes(way) => way.is_flushed(),
            Way::Inproc(_) => true,
        }
    }

    /// Messages that were taken from the machine and are not wholly written.
    pub(crate) fn unsent(&self) -> usize {
        match (&self.way, self.phase) {
            (Way::Bytes(way), Phase::Up(_)) => way.unsent(),
            _ => 0,
        }
    }

    /// Reads what is there and tells the machine, until there is nothing, the machine has no room or the peer greets.
    pub(crate) fn read(&mut self, now: Time, socket: &mut Socket, scratch: &mut [u8]) -> Result<Found, DownReason> {
        let way = match &mut self.way {
            Way::Bytes(way) => way,
            Way::Inproc(_) => return self.take(now, socket),
        };
        let result = way.read(now, socket, self.phase, &mut self.paused, scratch);
        if !way.is_flushed() && !way.blocked {
            // An answer to what was read, or why the connection ends.
            let written = way.write();
            if result.is_ok() {
                written?;
            }
        }
        result
    }

    /// Writes what the machine has to transmit, as far as the kernel takes it. What is added to `bells` has to sound.
    pub(crate) fn write(
        &mut self,
        now: Time,
        socket: &mut Socket,
        bells: &mut Vec<Arc<Bell>>,
    ) -> Result<(), DownReason> {
        match (&mut self.way, self.phase) {
            (Way::Bytes(way), Phase::Up(pipe)) => way.transmit(now, socket, pipe),
            (Way::Bytes(way), _) => way.write(),
            (Way::Inproc(stream), Phase::Up(pipe)) => {
                while stream.has_room() {
                    let Some(message) = socket.poll_transmit(now, pipe) else {
                        return Ok(());
                    };
                    bells.extend(stream.put(message));
                }
                Ok(())
            }
            (Way::Inproc(_), _) => Ok(()),
        }
    }

    /// May a small message be added to what will be written next?
    pub(crate) fn takes(&self) -> bool {
        matches!(&self.way, Way::Bytes(way)
            if !way.blocked && way.body.is_empty() && way.output.len() < HELD_AT_ONCE)
    }

    /// Adds one to what will be written with the next [`write`](Connection::write).
    pub(crate) fn hold(&mut self, body: &[u8]) {
        if let Way::Bytes(way) = &mut self.way {
            way.session.codec.put_body(body, &mut way.output);
        }
    }

    /// Lends the next message that has been read, if the machine lets it pass to the program.
    pub(crate) fn lend<R, T: FnOnce(&[u8]) -> R>(&mut self, now: Time, socket: &mut Socket, take: T) -> Result<R, T> {
        let (Way::Bytes(way), Phase::Up(pipe)) = (&mut self.way, self.phase) else {
            return Err(take);
        };
        let codec = &mut way.session.codec;
        match codec.peek() {
            Some(body) if socket.pass_in(now, pipe, body.len()) => {
                let taken = take(body);
                codec.skip();
                Ok(taken)
            }
            _ => Err(take),
        }
    }

    /// Takes that message.
    pub(crate) fn pass(&mut self, now: Time, socket: &mut Socket) -> Option<Bytes> {
        let (Way::Bytes(way), Phase::Up(pipe)) = (&mut self.way, self.phase) else {
            return None;
        };
        let codec = &mut way.session.codec;
        let len = codec.peek()?.len();
        if socket.pass_in(now, pipe, len) { codec.ready() } else { None }
    }

    /// Has it messages that were read and are left for the program to take?
    pub(crate) fn is_ripe(&self) -> bool {
        matches!(&self.way, Way::Bytes(way) if way.ripe)
    }

    /// Tells the machine of those messages after all.
    pub(crate) fn digest(&mut self, now: Time, socket: &mut Socket) -> Result<(), DownReason> {
        if let Way::Bytes(way) = &mut self.way {
            way.parse(now, socket, self.phase, &mut self.paused, false)?;
        }
        Ok(())
    }

    /// Takes from the machine what will be written with the next [`write`](Connection::write). Says whether that should be
    /// soon, because it is much.
    pub(crate) fn encode(&mut self, now: Time, socket: &mut Socket) -> bool {
        match (&mut self.way, self.phase) {
            (Way::Bytes(way), Phase::Up(pipe)) if !way.blocked => way.encode(now, socket, pipe, HELD_AT_ONCE),
            _ => true,
        }
    }

    /// The descriptor is writable again.
    pub(crate) fn unblock(&mut self) {
        if let Way::Bytes(way) = &mut self.way {
            way.blocked = false;
        }
    }

    /// Is it waiting for the kernel's buffer to drain?
    pub(crate) fn is_blocked(&self) -> bool {
        matches!(&self.way, Way::Bytes(way) if way.blocked)
    }

    /// The same as reading, for a connection within the process.
    fn take(&mut self, now: Time, socket: &mut Socket) -> Result<Found, DownReason> {
        let Way::Inproc(stream) = &self.way else {
            return Ok(Found::Nothing);
        };
        let pipe = match self.phase {
            Phase::Up(pipe) => pipe,
            Phase::Knocking(_) => return Ok(Found::Nothing),
            Phase::Connecting | Phase::Greeting => return Ok(Found::Greeting(stream.peer().id())),
        };
        loop {
            if !socket.admits(pipe) {
                self.paused = true;
                return Ok(Found::Nothing);
            }
            match stream.take() {
                Ok(Some(message)) if message.len() > wire::most_bytes(socket.kind(), socket.options().max_message) => {
                    let limit = socket.options().max_message;
                    return Err(DownReason::Fault(PeerFault::TooLarge { size: message.len() as u64, limit }));
                }
                Ok(Some(message)) => socket.handle_message(now, pipe, flatten(message)),
                Ok(None) => return Ok(Found::Nothing),
                Err(_) => return Err(DownReason::Lost),
            }
        }
    }
}

impl ByteWay {
    fn new(carrier: Carrier, mut session: Session) -> ByteWay {
        let mut output = BytesMut::new();
        session.codec.open(&mut output);
        let begun = output.len();
        ByteWay {
            carrier,
            session,
            input: BytesMut::new(),
            largest: 0,
            last: 0,
            output,
            body: Bytes::new(),
            begun,
            ripe: false,
            sealed: 0,
            blocked: false,
        }
    }

    fn is_flushed(&self) -> bool {
        self.output.is_empty()
            && self.body.is_empty()
            && self.session.tls.as_ref().is_none_or(|tls| tls.sealed.is_empty())
    }

    fn unsent(&self) -> usize {
        let sealed = if self.session.tls.as_ref().is_some_and(|tls| !tls.sealed.is_empty()) { self.sealed } else { 0 };
        sealed + usize::from(self.begun > 0) + self.whole_messages()
    }

    /// Messages of which nothing is written.
    fn whole_messages(&self) -> usize {
        let (mut count, mut place) = (0, self.begun);
        while place < self.output.len() {
            place += self.session.codec.frame_len(&self.output[place..]);
            count += 1;
        }
        count
    }

    fn read(
        &mut self,
        now: Time,
        socket: &mut Socket,
        phase: Phase,
        paused: &mut bool,
        scratch: &mut [u8],
    ) -> Result<Found, DownReason> {
        // A peer that never stops must not keep the others from being read.
        let mut left = READ_AT_ONCE;
        let mut found = self.parse(now, socket, phase, paused, false)?;
        while found.is_none() && left > 0 && !*paused && !self.ripe && !matches!(phase, Phase::Knocking(_)) {
            let Some(count) = self.receive(scratch)? else {
                break;
            };
            left = if count < scratch.len() { 0 } else { left.saturating_sub(count) };
            found = self.parse(now, socket, phase, paused, true)?;
        }
        Ok(found.map_or(Found::Nothing, Found::Greeting))
    }

    /// Receives some bytes into `input`; none if there are none now. Small messages are better off in a piece of memory of
    /// the size of what came with them; large ones are not copied.
    fn receive(&mut self, scratch: &mut [u8]) -> Result<Option<usize>, DownReason> {
        let missing = self.session.codec.missing(&self.input);
        let in_place = self.session.tls.is_none() && missing.max(self.last) >= LARGE;
        let received = if in_place {
            let limit = missing.max(scratch.len());
            if self.input.capacity() - self.input.len() < scratch.len() {
                // Whatever is announced: no more than came before, or three times what is here. And room for two more,
                // so that memory is used again, and what the allocator learns to keep is more than a message.
                let trusted = self.largest.max(3 * self.input.len());
                self.input.reserve(3 * limit.min(trusted).max(BULK));
            }
            self.carrier.read_more(&mut self.input, limit)
        } else {
            self.carrier.read(scratch)
        };
        let received = received.map_err(|_| DownReason::Lost)?;
        match (received, &mut self.session.tls) {
            (Some(0), _) => return Err(DownReason::Lost),
            (None, _) if self.session.codec.is_drained(&self.input) => self.input = BytesMut::new(),
            (None, _) => {}
            (Some(_), _) if in_place => self.largest = self.largest.max(self.input.len()),
            (Some(count), Some(tls)) => tls.read(&scratch[..count], &mut self.input).map_err(DownReason::Fault)?,
            (Some(count), None) => self.input.extend_from_slice(&scratch[..count]),
        }
        Ok(received)
    }

    /// Tells the machine of every whole message in the buffer it has room for; returns the peer's id if it greeted. Messages
    /// that have just been read and that nobody waits for may be left where they are.
    fn parse(
        &mut self,
        now: Time,
        socket: &mut Socket,
        phase: Phase,
        paused: &mut bool,
        fresh: bool,
    ) -> Result<Option<u16>, DownReason> {
        self.ripe = false;
        let codec = &mut self.session.codec;
        loop {
            match phase {
                Phase::Up(pipe) => {
                    if codec.is_drained(&self.input) {
                        return Ok(None);
                    }
                    if !socket.admits(pipe) {
                        *paused = true;
                        return Ok(None);
                    }
                    if fresh && codec.peek().is_some() && socket.passes_in(now, pipe) {
                        self.ripe = true;
                        return Ok(None);
                    }
                    if let Some(wire) = codec.ready() {
                        self.last = wire.len();
                        socket.handle_message(now, pipe, wire);
                        continue;
                    }
                    match codec.next(&mut self.input, &mut self.output).map_err(DownReason::Fault)? {
                        Some(Input::Message(wire)) => {
                            self.last = wire.len();
                            socket.handle_message(now, pipe, wire);
                        }
                        Some(Input::Closed) => return Err(DownReason::Lost),
                        Some(Input::Greeting { .. }) | None => return Ok(None),
                    }
                }
                Phase::Knocking(_) => return Ok(None),
                Phase::Connecting | Phase::Greeting => {
                    let found = codec.next(&mut self.input, &mut self.output);
                    self.begun = self.output.len();
                    return match found.map_err(DownReason::Fault)? {
                        Some(Input::Greeting { peer }) => {
                            if self.input.is_empty() {
                                // Many peers say nothing more for a long time.
                                self.input = BytesMut::new();
                            }
                            Ok(Some(peer))
                        }
                        Some(Input::Closed) => Err(DownReason::Lost),
                        Some(Input::Message(_)) | None => Ok(None),
                    };
                }
            }
        }
    }

    /// Encodes what the machine has to transmit, until there are so many bytes or a large body follows them. Says whether
    /// that is so.
    fn encode(&mut self, now: Time, socket: &mut Socket, pipe: PipeId, limit: usize) -> bool {
        while self.output.len() < limit && self.body.is_empty() {
            let Some(message) = socket.poll_transmit(now, pipe) else {
                return false;
            };
            if message.body.len() < LARGE || self.session.tls.is_some() {
                self.session.codec.put(&message, &mut self.output);
            } else if let Some(body) = self.session.codec.put_head(message, &mut self.output) {
                self.body = body;
            }
        }
        true
    }

    fn transmit(&mut self, now: Time, socket: &mut Socket, pipe: PipeId) -> Result<(), DownReason> {
        loop {
            self.encode(now, socket, pipe, OUTPUT_AT_ONCE);
            if self.is_flushed() {
                return Ok(());
            }
            self.write()?;
            if self.blocked {
                return Ok(());
            }
        }
    }

    /// Writes what is there, as far as the kernel takes it.
    fn write(&mut self) -> Result<(), DownReason> {
        if self.session.tls.is_some() {
            return self.write_sealed();
        }
        while !self.is_flushed() {
            let written = if self.body.is_empty() {
                self.carrier.write(&self.output)
            } else {
                self.carrier.write_both(&self.output, &self.body)
            };
            match written.map_err(|_| DownReason::Lost)? {
                Some(count) if count == self.output.len() + self.body.len() => break,
                Some(count) => {
                    while self.begun < count {
                        self.begun += self.session.codec.frame_len(&self.output[self.begun..]);
                    }
                    self.begun -= count;
                    let first = count.min(self.output.len());
                    self.output.advance(first);
                    self.body.advance(count - first);
                }
                None => {
                    self.blocked = true;
                    return Ok(());
                }
            }
        }
        if self.output.capacity() <= wire::GREETING_LEN {
            self.output = BytesMut::new();
        } else {
            // Also because advancing has eaten the front of the allocation: start at its beginning again.
            self.output.clear();
        }
        self.body = Bytes::new();
        self.begun = 0;
        Ok(())
    }

    /// The same through a secure channel.
    fn write_sealed(&mut self) -> Result<(), DownReason> {
        loop {
            let is_idle = self.session.tls.as_ref().is_some_and(|tls| tls.sealed.is_empty());
            let messages = if is_idle { self.whole_messages() } else { 0 };
            let Some(tls) = &mut self.session.tls else {
                return Ok(());
            };
            if is_idle {
                if self.output.is_empty() || !tls.is_open() {
                    return Ok(());
                }
                tls.write(&self.output);
                self.sealed = messages;
                self.output.clear();
                self.begun = 0;
            }
            match self.carrier.write(&tls.sealed).map_err(|_| DownReason::Lost)? {
                Some(count) if count == tls.sealed.len() => tls.sealed.clear(),
                Some(count) => tls.sealed.advance(count),
                None => {
                    self.blocked = true;
                    return Ok(());
                }
            }
        }
    }

    /// Tells the peer that this is the end, if that can be done without waiting.
    fn say_goodbye(&mut self) {
        if self.blocked || !self.is_flushed() {
            return;
        }
        self.session.codec.close(&mut self.output);
        self.begun = self.output.len();
        let _ = self.write();
        if let Some(tls) = &mut self.session.tls {
            tls.close();
            let _ = self.write();
        }
    }
}

/// What the machine expects from the wire: header words in front of the body.
fn flatten(message: Message) -> Bytes {
    if message.header.is_empty() {
        return message.body;
    }
    let mut whole = BytesMut::with_capacity(message.len());
    message.put(&mut whole);
    whole.freeze()
}

const READ_AT_ONCE: usize = 1 << 20;
/// Room for large messages, at least.
const BULK: usize = 256 << 10;
/// Bytes from which on a message is large: it is written from where it is, and read into where it stays.
const LARGE: usize = 16 << 10;
/// Bytes of a burst that are encoded and held back.
const HELD_AT_ONCE: usize = 64 << 10;
/// Bytes that are encoded before they are written: enough to fill the kernel's buffer in few calls.
const OUTPUT_AT_ONCE: usize = 256 << 10;
