//! Connections: bytes in, messages out, and the other way round.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use bytes::{Buf, BytesMut};
use sp_proto::wire::{self, Input, Reader};
use sp_proto::{DownReason, Message, PeerFault, PipeId, Socket, Time};

use crate::poller::Interest;
use crate::transport::Stream;

/// One connection of a socket, from the attempt to make it until it is gone.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    /// The endpoint that made it.
    pub(crate) endpoint: usize,
    pub(crate) phase: Phase,
    /// When it must have greeted.
    pub(crate) deadline: Time,
    /// What its descriptor is polled for now.
    pub(crate) polled: Interest,
    reader: Reader,
    input: BytesMut,
    output: BytesMut,
    /// How much of the front of `output` is the rest of something whose beginning is written.
    begun: usize,
    /// The machine's queue is full; nothing is read.
    paused: bool,
    /// The kernel's buffer is full; nothing is written.
    blocked: bool,
    /// It ends as if the process had been killed.
    aborted: bool,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Connecting,
    Greeting,
    Up(PipeId),
}

/// A peer, for whoever wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its pipe.
    pub pipe: u32,
    /// Its address, or `inproc`.
    pub address: String,
}

/// What reading found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The peer has greeted with this endpoint id; attach it and read again.
    Greeting(u16),
    /// Nothing more for now.
    Nothing,
}

impl Connection {
    pub(crate) fn new(stream: Stream, endpoint: usize, phase: Phase, socket: &Socket, deadline: Time) -> Connection {
        let mut connection = Connection {
            stream,
            endpoint,
            phase,
            deadline,
            polled: Interest::NONE,
            reader: Reader::new(socket.kind(), socket.options().max_message),
            input: BytesMut::new(),
            output: BytesMut::new(),
            begun: 0,
            paused: false,
            blocked: false,
            aborted: false,
        };
        if matches!(connection.stream, Stream::Tcp(_)) {
            connection.output.extend_from_slice(&wire::greeting(socket.kind()));
            // It is no message, and not to be looked at as one.
            connection.begun = wire::GREETING_LEN;
        }
        connection
    }

    /// What its descriptor should be polled for.
    pub(crate) fn interest(&self) -> Interest {
        match self.phase {
            Phase::Connecting => Interest::WRITE,
            Phase::Greeting | Phase::Up(_) => Interest { read: !self.paused, write: self.blocked, once: false },
        }
    }

    /// Its descriptor, if it has one.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.stream {
            Stream::Tcp(stream) => Some(stream.as_fd()),
            Stream::Inproc(_) => None,
        }
    }

    pub(crate) fn peer(&self) -> String {
        match &self.stream {
            Stream::Tcp(stream) => stream.peer().map_or_else(|| "tcp".into(), |peer| format!("tcp://{peer}")),
            Stream::Inproc(_) => "inproc".into(),
        }
    }

    /// The attempt to connect has ended, well or not.
    pub(crate) fn finish_connecting(&mut self) -> io::Result<()> {
        if let Stream::Tcp(stream) = &self.stream {
            stream.connected()?;
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
        match &self.stream {
            Stream::Tcp(stream) => stream.abort(),
            Stream::Inproc(stream) => stream.abort(),
        }
    }

    /// Says goodbye to the peer, which would not hear it while a forked process holds the same descriptor.
    pub(crate) fn hang_up(&self) {
        match &self.stream {
            Stream::Tcp(stream) if !self.aborted => stream.hang_up(),
            Stream::Tcp(_) | Stream::Inproc(_) => {}
        }
    }

    /// Is everything written that was taken from the machine?
    pub(crate) fn is_flushed(&self) -> bool {
        self.output.is_empty()
    }

    /// Messages that were taken from the machine and are not wholly written.
    pub(crate) fn unsent(&self) -> usize {
        let Phase::Up(_) = self.phase else {
            return 0;
        };
        let mut count = usize::from(self.begun > 0);
        let mut place = self.begun;
        while place < self.output.len() {
            place += frame_len(&self.output[place..]);
            count += 1;
        }
        count
    }

    /// Reads what is there and tells the machine, until there is nothing, the machine has no room or the peer greets.
    pub(crate) fn read(&mut self, now: Time, socket: &mut Socket, scratch: &mut [u8]) -> Result<Found, DownReason> {
        if matches!(self.stream, Stream::Inproc(_)) {
            return self.take(now, socket);
        }
        // A peer that never stops must not keep the others from being read.
        for _ in 0..READS_AT_ONCE {
            if let Some(peer) = self.parse(now, socket)? {
                return Ok(Found::Greeting(peer));
            }
            if self.paused {
                return Ok(Found::Nothing);
            }
            let Stream::Tcp(stream) = &self.stream else {
                return Ok(Found::Nothing);
            };
            let Some(count) = stream.read(scratch).map_err(|_| DownReason::Lost)? else {
                return Ok(Found::Nothing);
            };
            if count == 0 {
                return Err(DownReason::Lost);
            }
            self.input.extend_from_slice(&scratch[..count]);
            if count < scratch.len() {
                return Ok(self.parse(now, socket)?.map_or(Found::Nothing, Found::Greeting));
            }
        }
        Ok(self.parse(now, socket)?.map_or(Found::Nothing, Found::Greeting))
    }

    /// Writes what the machine has to transmit, as far as the kernel takes it.
    pub(crate) fn write(&mut self, now: Time, socket: &mut Socket) -> Result<(), DownReason> {
        let Phase::Up(pipe) = self.phase else {
            return self.write_output();
        };
        if let Stream::Inproc(stream) = &self.stream {
            while stream.has_room() {
                let Some(message) = socket.poll_transmit(now, pipe) else {
                    return Ok(());
                };
                stream.put(std::iter::once(message));
            }
            return Ok(());
        }
        loop {
            while self.output.len() < OUTPUT_AT_ONCE
                && let Some(message) = socket.poll_transmit(now, pipe)
            {
                wire::put_frame(&message, &mut self.output);
            }
            if self.output.is_empty() {
                return Ok(());
            }
            self.write_output()?;
            if self.blocked {
                return Ok(());
            }
        }
    }

    /// The descriptor is writable again.
    pub(crate) fn unblock(&mut self) {
        self.blocked = false;
    }

    /// Is it waiting for the kernel's buffer to drain?
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    fn write_output(&mut self) -> Result<(), DownReason> {
        let Stream::Tcp(stream) = &self.stream else {
            return Ok(());
        };
        while !self.output.is_empty() {
            match stream.write(&self.output).map_err(|_| DownReason::Lost)? {
                Some(count) if count == self.output.len() => break,
                Some(count) => {
                    while self.begun < count {
                        self.begun += frame_len(&self.output[self.begun..]);
                    }
                    self.begun -= count;
                    self.output.advance(count);
                }
                None => {
                    self.blocked = true;
                    return Ok(());
                }
            }
        }
        // Also because advancing has eaten the front of the allocation: start at its beginning again.
        self.output.clear();
        self.begun = 0;
        Ok(())
    }

    /// Tells the machine of every whole message in the buffer it has room for; returns the peer's id if it greeted.
    fn parse(&mut self, now: Time, socket: &mut Socket) -> Result<Option<u16>, DownReason> {
        loop {
            if let Phase::Up(pipe) = self.phase {
                if self.reader.missing(&self.input) > 0 {
                    return self.reader.next(&mut self.input).map(|_| None).map_err(DownReason::Fault);
                }
                if !socket.admits(pipe) {
                    self.paused = true;
                    return Ok(None);
                }
                match self.reader.next(&mut self.input).map_err(DownReason::Fault)? {
                    Some(Input::Message(wire)) => socket.handle_message(now, pipe, wire),
                    Some(Input::Greeting { .. }) | None => return Ok(None),
                }
            } else {
                return match self.reader.next(&mut self.input).map_err(DownReason::Fault)? {
                    Some(Input::Greeting { peer }) => Ok(Some(peer)),
                    Some(Input::Message(_)) | None => Ok(None),
                };
            }
        }
    }

    /// The same for a connection within the process.
    fn take(&mut self, now: Time, socket: &mut Socket) -> Result<Found, DownReason> {
        let Stream::Inproc(stream) = &self.stream else {
            return Ok(Found::Nothing);
        };
        let Phase::Up(pipe) = self.phase else {
            return Ok(Found::Greeting(stream.peer().id()));
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

/// Bytes of the frame at the front.
fn frame_len(mut output: &[u8]) -> usize {
    wire::FRAME_HEADER_LEN + output.get_u64() as usize
}

/// What the machine expects from the wire: header words in front of the body.
fn flatten(message: Message) -> bytes::Bytes {
    if message.header.is_empty() {
        return message.body;
    }
    let mut whole = BytesMut::with_capacity(message.len());
    message.put(&mut whole);
    whole.freeze()
}

const READS_AT_ONCE: usize = 16;
/// Bytes that are encoded before they are written: enough to fill the kernel's buffer in few calls.
const OUTPUT_AT_ONCE: usize = 256 << 10;
