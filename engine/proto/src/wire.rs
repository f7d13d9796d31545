//! The bytes of the scalability protocols on a stream: a greeting of eight bytes, then frames.
//!
//! Source: the SP-over-TCP mapping (sp-tcp-mapping-01) and what nanomsg 1.2 and NNG 1.11 do. Both sides send the greeting
//! at once, without waiting: `00 'S' 'P' 00`, the endpoint id as 16 bits big-endian, two reserved bytes. A frame is the
//! length of the message, header words included, as 64 bits big-endian, and then the message. Over a UNIX socket a byte
//! that is 1 stands in front of the length (sp-ipc-mapping-01).

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::error::PeerFault;
use crate::message::Message;
use crate::protocol::Kind;

/// Bytes of a greeting.
pub const GREETING_LEN: usize = 8;
/// Bytes in front of each message.
pub const FRAME_HEADER_LEN: usize = 8;

/// The greeting that a socket of this kind sends.
pub fn greeting(kind: Kind) -> [u8; GREETING_LEN] {
    let [high, low] = kind.id().to_be_bytes();
    [0, b'S', b'P', 0, high, low, 0, 0]
}

/// Appends `message` with its frame.
pub fn put_frame(message: &Message, out: &mut BytesMut) {
    out.reserve(FRAME_HEADER_LEN + message.len());
    put_frame_head(message, out);
    out.put_slice(&message.body);
}

/// Appends a message that is nothing but a body, with its frame.
pub fn put_body_frame(body: &[u8], out: &mut BytesMut) {
    out.reserve(FRAME_HEADER_LEN + body.len());
    out.put_u64(body.len() as u64);
    out.put_slice(body);
}

/// The same without the body, which must follow.
pub fn put_frame_head(message: &Message, out: &mut BytesMut) {
    out.put_u64(message.len() as u64);
    message.put_header(out);
}

/// Appends `message` with its frame, as it is over a UNIX socket.
pub fn put_typed_frame(message: &Message, out: &mut BytesMut) {
    out.put_u8(MESSAGE);
    put_frame(message, out);
}

/// The same with a message that is nothing but a body.
pub fn put_typed_body_frame(body: &[u8], out: &mut BytesMut) {
    out.put_u8(MESSAGE);
    put_body_frame(body, out);
}

/// The same without the body, which must follow.
pub fn put_typed_frame_head(message: &Message, out: &mut BytesMut) {
    out.put_u8(MESSAGE);
    put_frame_head(message, out);
}

/// Reads what a peer sends, from whatever pieces it arrives in: first the greeting, then messages.
///
/// It never asks for memory because a peer has declared a size; the caller's buffer grows with what has arrived.
#[derive(Debug)]
pub struct Reader {
    kind: Kind,
    max_message: usize,
    greeted: bool,
    /// Bytes in front of each length.
    type_len: usize,
    /// Whole frames that were found good at one look and taken from the buffer in one piece, of which messages are cut.
    whole: Bytes,
}

/// What a [`Reader`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The peer has greeted; its endpoint id fits ours.
    Greeting {
        /// The peer's endpoint id.
        peer: u16,
    },
    /// A whole message; header words, if there are any, are still in its body.
    Message(Bytes),
    /// The peer has said farewell; nothing more will come. Only WebSocket has farewells.
    Closed,
}

impl Reader {
    /// A reader for a connection of a socket of this kind, which accepts bodies of up to `max_message` bytes. Where the
    /// header ends only the machine knows; it looks at the body again.
    pub fn new(kind: Kind, max_message: usize) -> Reader {
        Reader { kind, max_message, greeted: false, type_len: 0, whole: Bytes::new() }
    }

    /// The same for a connection over a UNIX socket.
    pub fn typed(self) -> Reader {
        Reader { type_len: 1, ..self }
    }

    /// The same where the peer need not greet, because it is known.
    pub fn without_greeting(self) -> Reader {
        Reader { greeted: true, ..self }
    }

    /// Has the peer greeted?
    pub fn greeted(&self) -> bool {
        self.greeted
    }

    /// Takes the next whole thing from the front of `buffer`; `None` if more bytes are needed. After an error the
    /// connection is of no further use.
    ///
    /// What does not begin like a greeting is found at its first wrong byte. The reserved bytes must be zero, as in NNG; nanomsg always
    /// sends them so.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Input>, PeerFault> {
        if !self.greeted {
            return self.next_greeting(buffer);
        }
        self.cut(buffer)?;
        Ok(self.ready().map(Input::Message))
    }

    /// The first half of [`next`](Reader::next) once the peer has greeted: finds whole messages, but takes none.
    pub fn cut(&mut self, buffer: &mut BytesMut) -> Result<(), PeerFault> {
        if self.greeted && self.whole.is_empty() {
            let len = self.whole_frames(buffer)?;
            if len > 0 {
                self.whole = buffer.split_to(len).freeze();
            }
        }
        Ok(())
    }

    /// The next message, if [`next`](Reader::next) has found it already, as it mostly has: that finds many at once.
    pub fn ready(&mut self) -> Option<Bytes> {
        if self.whole.is_empty() {
            return None;
        }
        self.whole.advance(self.type_len);
        let len = self.whole.get_u64() as usize;
        Some(self.whole.split_to(len))
    }

    /// Looks at the message that [`ready`](Reader::ready) would take.
    pub fn peek(&self) -> Option<&[u8]> {
        let (head, rest) = self.whole.get(self.type_len..)?.split_first_chunk()?;
        rest.get(..u64::from_be_bytes(*head) as usize)
    }

    /// Takes it without keeping it.
    pub fn skip(&mut self) {
        if let Some(len) = self.peek().map(<[u8]>::len) {
            self.whole.advance(self.header_len() + len);
        }
    }

    /// Is nothing left of what it was given, in `buffer` or taken from it?
    pub fn is_drained(&self, buffer: &BytesMut) -> bool {
        buffer.is_empty() && self.whole.is_empty()
    }

    /// How many bytes are still missing from the message at the front of `buffer`, as far as is known.
    pub fn missing(&self, buffer: &BytesMut) -> usize {
        if !self.whole.is_empty() {
            return 0;
        }
        match self.peek_len(buffer) {
            Some(declared) if self.greeted => {
                let len = declared.min(self.most_bytes() as u64) as usize;
                self.header_len().saturating_add(len).saturating_sub(buffer.len())
            }
            _ if self.greeted => self.header_len().saturating_sub(buffer.len()),
            _ => GREETING_LEN.saturating_sub(buffer.len()),
        }
    }

    /// Bytes of the whole frames at the front of `buffer`. A frame that breaks a rule is an error once it is the first.
    fn whole_frames(&self, buffer: &[u8]) -> Result<usize, PeerFault> {
        let mut place = 0;
        loop {
            match self.frame_len(&buffer[place..]) {
                Ok(Some(len)) => place += len,
                Err(fault) if place == 0 => return Err(fault),
                Ok(None) | Err(_) => return Ok(place),
            }
        }
    }

    /// Bytes of the frame at the front of `bytes`, if it is whole.
    fn frame_len(&self, bytes: &[u8]) -> Result<Option<usize>, PeerFault> {
        if self.type_len > 0
            && let Some(found) = bytes.first()
            && *found != MESSAGE
        {
            return Err(PeerFault::FrameType(*found));
        }
        let Some(declared) = self.peek_len(bytes) else {
            return Ok(None);
        };
        if declared > self.most_bytes() as u64 {
            return Err(PeerFault::TooLarge { size: declared, limit: self.max_message });
        }
        // Without a limit the sum may be more than there are numbers, but never what has arrived.
        let len = self.header_len().saturating_add(declared as usize);
        Ok((len <= bytes.len()).then_some(len))
    }

    fn header_len(&self) -> usize {
        self.type_len + FRAME_HEADER_LEN
    }

    fn peek_len(&self, bytes: &[u8]) -> Option<u64> {
        let bytes = bytes.get(self.type_len..self.header_len())?;
        Some(u64::from_be_bytes(bytes.try_into().ok()?))
    }

    fn most_bytes(&self) -> usize {
        most_bytes(self.kind, self.max_message)
    }

    fn next_greeting(&mut self, buffer: &mut BytesMut) -> Result<Option<Input>, PeerFault> {
        let expected = [0, b'S', b'P', 0];
        let known = buffer.len().min(expected.len());
        if buffer[..known] != expected[..known] {
            return Err(PeerFault::Greeting);
        }
        if buffer.len() < GREETING_LEN {
            return Ok(None);
        }
        if buffer[6..8] != [0, 0] {
            return Err(PeerFault::Greeting);
        }
        let peer = u16::from_be_bytes([buffer[4], buffer[5]]);
        self.kind.accepts(peer)?;
        buffer.advance(GREETING_LEN);
        self.greeted = true;
        Ok(Some(Input::Greeting { peer }))
    }
}

/// The most bytes that a message may have on the wire for a socket that accepts bodies of up to `max_message` bytes.
pub fn most_bytes(kind: Kind, max_message: usize) -> usize {
    max_message.saturating_add(kind.header_room())
}

/// The type of a frame that is a message; there are no others.
const MESSAGE: u8 = 1;
