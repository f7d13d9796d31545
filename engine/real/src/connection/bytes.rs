//! A connection that carries bytes: what is read becomes messages, and what is sent becomes bytes.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use sp_proto::wire::{self, Input};
use sp_proto::{DownReason, PipeId, Socket, Time};

use super::{Found, HELD_AT_ONCE, Phase};
use crate::transport::Session;
use crate::transport::carrier::Carrier;

/// A carrier with what is spoken over it.
#[derive(Debug)]
pub(super) struct ByteWay {
    pub(super) carrier: Carrier,
    pub(super) session: Session,
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
    pub(super) ripe: bool,
    /// What is sealed but not written: the bytes of each record, and how many messages end in it.
    records: VecDeque<(usize, usize)>,
    /// The kernel's buffer is full; nothing is written.
    pub(super) blocked: bool,
}

impl ByteWay {
    pub(super) fn new(carrier: Carrier, mut session: Session) -> ByteWay {
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
            records: VecDeque::new(),
            blocked: false,
        }
    }

    /// May a small message be added to what will be written next?
    pub(super) fn takes(&self) -> bool {
        !self.blocked && self.body.is_empty() && self.output.len() < HELD_AT_ONCE
    }

    /// Adds one.
    pub(super) fn hold(&mut self, body: &[u8]) {
        self.session.codec.put_body(body, &mut self.output);
    }

    /// Takes from the machine what will be written next. Says whether that should be soon, because it is much.
    pub(super) fn gather(&mut self, now: Time, socket: &mut Socket, pipe: PipeId) -> bool {
        self.blocked || self.encode(now, socket, pipe, HELD_AT_ONCE)
    }

    pub(super) fn is_flushed(&self) -> bool {
        self.output.is_empty()
            && self.body.is_empty()
            && self.session.tls.as_ref().is_none_or(|tls| tls.sealed.is_empty())
    }

    pub(super) fn unsent(&self) -> usize {
        let sealed: usize = self.records.iter().map(|(_, messages)| messages).sum();
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

    pub(super) fn read(
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
    pub(super) fn parse(
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
                    codec.cut(&mut self.input).map_err(DownReason::Fault)?;
                    if fresh && codec.peek().is_some() && socket.passes_in(now, pipe) {
                        self.ripe = true;
                        return Ok(None);
                    }
                    if !socket.admits(pipe) {
                        *paused = true;
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

    pub(super) fn transmit(&mut self, now: Time, socket: &mut Socket, pipe: PipeId) -> Result<(), DownReason> {
        loop {
            self.encode(now, socket, pipe, self.carrier.at_once);
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
    pub(super) fn write(&mut self) -> Result<(), DownReason> {
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
            self.seal();
            let Some(tls) = self.session.tls.as_mut().filter(|tls| !tls.sealed.is_empty()) else {
                return Ok(());
            };
            match self.carrier.write(&tls.sealed).map_err(|_| DownReason::Lost)? {
                Some(count) if count == tls.sealed.len() => {
                    tls.sealed.clear();
                    self.records.clear();
                }
                Some(count) => {
                    tls.sealed.advance(count);
                    self.leave_records(count);
                }
                None => {
                    self.blocked = true;
                    return Ok(());
                }
            }
        }
    }

    /// Seals what there is to write, if all that was sealed before is written. A peer can read a record only whole, so it
    /// is known of each which messages it completes.
    fn seal(&mut self) {
        let Some(tls) = self.session.tls.as_mut().filter(|tls| tls.sealed.is_empty() && tls.is_open()) else {
            return;
        };
        let mut message = self.begun;
        let mut place = 0;
        for record in self.output.chunks(RECORD) {
            place += record.len();
            let mut messages = 0;
            while message < place {
                let end = message + self.session.codec.frame_len(&self.output[message..]);
                if end > place {
                    break;
                }
                message = end;
                messages += 1;
            }
            let before = tls.sealed.len();
            tls.write(record);
            self.records.push_back((tls.sealed.len() - before, messages));
        }
        self.output.clear();
        self.begun = 0;
    }

    /// So many sealed bytes have been written.
    fn leave_records(&mut self, mut count: usize) {
        while let Some((size, _)) = self.records.front_mut() {
            if *size > count {
                *size -= count;
                return;
            }
            count -= *size;
            self.records.pop_front();
        }
    }

    /// Tells the peer that this is the end, if that can be done without waiting.
    pub(super) fn say_goodbye(&mut self) {
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

const READ_AT_ONCE: usize = 1 << 20;
/// The most that a record of TLS carries.
const RECORD: usize = 16 << 10;
/// Room for large messages, at least.
const BULK: usize = 256 << 10;
/// Bytes from which on a message is large: it is written from where it is, and read into where it stays.
const LARGE: usize = 16 << 10;
