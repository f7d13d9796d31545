//! Codecs: how messages are written as bytes, and read from them, on each transport.

use bytes::{Buf, Bytes, BytesMut};
use sp_proto::wire::{self, Input, Reader};
use sp_proto::{Address, Kind, Message, PeerFault, Transport, websocket};

/// What speaks the language of one connection: first a greeting, then messages.
#[derive(Debug)]
pub(crate) enum Codec {
    /// A greeting of eight bytes and frames.
    Frames { kind: Kind, reader: Reader },
    /// The same, and each frame begins with its type.
    TypedFrames { kind: Kind, reader: Reader },
    /// HTTP, and then messages of WebSocket.
    Web(Box<websocket::Session>),
}

impl Codec {
    /// What is spoken at an address by whoever listens there, or dials it. The seed is for masks.
    pub(crate) fn for_address(address: &Address, dials: bool, kind: Kind, max_message: usize, seed: u64) -> Codec {
        let reader = Reader::new(kind, max_message);
        let limits = websocket::Limits::with_max_message(max_message);
        match address.transport {
            Transport::Ipc => Codec::TypedFrames { kind, reader: reader.typed() },
            Transport::Tcp | Transport::Tls => Codec::Frames { kind, reader },
            Transport::Inproc => Codec::Frames { kind, reader: reader.without_greeting() },
            Transport::Ws | Transport::Wss if dials => {
                let (host, path) = (address.authority(), address.path());
                Codec::Web(Box::new(websocket::Session::client(kind, host, path, limits, seed)))
            }
            Transport::Ws | Transport::Wss => {
                Codec::Web(Box::new(websocket::Session::server(kind, address.path(), limits)))
            }
        }
    }

    /// What is said before anything is heard.
    pub(crate) fn open(&mut self, out: &mut BytesMut) {
        match self {
            Codec::Frames { kind, .. } | Codec::TypedFrames { kind, .. } => {
                out.extend_from_slice(&wire::greeting(*kind));
            }
            Codec::Web(session) => session.open(out),
        }
    }

    /// Takes the next whole thing from the front of `input`; what has to be answered is added to `out`, also with an
    /// error.
    pub(crate) fn next(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<Option<Input>, PeerFault> {
        match self {
            Codec::Frames { reader, .. } | Codec::TypedFrames { reader, .. } => reader.next(input),
            Codec::Web(session) => session.next(input, out),
        }
    }

    /// The first half of [`next`](Codec::next), where it has halves: finds whole messages, but takes none.
    pub(crate) fn cut(&mut self, input: &mut BytesMut) -> Result<(), PeerFault> {
        match self {
            Codec::Frames { reader, .. } | Codec::TypedFrames { reader, .. } => reader.cut(input),
            Codec::Web(_) => Ok(()),
        }
    }

    /// The next message, if it has been found already.
    pub(crate) fn ready(&mut self) -> Option<Bytes> {
        match self {
            Codec::Frames { reader, .. } | Codec::TypedFrames { reader, .. } => reader.ready(),
            Codec::Web(_) => None,
        }
    }

    /// Looks at the message that [`ready`](Codec::ready) would take.
    pub(crate) fn peek(&self) -> Option<&[u8]> {
        match self {
            Codec::Frames { reader, .. } | Codec::TypedFrames { reader, .. } => reader.peek(),
            Codec::Web(_) => None,
        }
    }

    /// Takes it without keeping it.
    pub(crate) fn skip(&mut self) {
        match self {
            Codec::Frames { reader, .. } | Codec::TypedFrames { reader, .. } => reader.skip(),
            Codec::Web(_) => {}
        }
    }

    /// Is nothing left of what came, in `input` or taken from it?
    pub(crate) fn is_drained(&self, input: &BytesMut) -> bool {
        match self {
            Codec::Frames { reader, .. } | Codec::TypedFrames { reader, .. } => reader.is_drained(input),
            Codec::Web(_) => input.is_empty(),
        }
    }

    /// How many bytes are missing from the thing at the front of `input`, as far as is known.
    pub(crate) fn missing(&self, input: &BytesMut) -> usize {
        match self {
            Codec::Frames { reader, .. } | Codec::TypedFrames { reader, .. } => reader.missing(input),
            Codec::Web(session) => session.missing(input),
        }
    }

    /// Adds a message.
    pub(crate) fn put(&mut self, message: &Message, out: &mut BytesMut) {
        match self {
            Codec::Frames { .. } => wire::put_frame(message, out),
            Codec::TypedFrames { .. } => wire::put_typed_frame(message, out),
            Codec::Web(session) => session.put(message, out),
        }
    }

    /// Adds a message that is nothing but a body.
    pub(crate) fn put_body(&mut self, body: &[u8], out: &mut BytesMut) {
        match self {
            Codec::Frames { .. } => wire::put_body_frame(body, out),
            Codec::TypedFrames { .. } => wire::put_typed_body_frame(body, out),
            Codec::Web(session) => session.put(&Message::new(Bytes::copy_from_slice(body)), out),
        }
    }

    /// Adds a message without its body, which must follow; gives the body back if that is possible.
    pub(crate) fn put_head(&mut self, message: Message, out: &mut BytesMut) -> Option<Bytes> {
        match self {
            Codec::Frames { .. } => wire::put_frame_head(&message, out),
            Codec::TypedFrames { .. } => wire::put_typed_frame_head(&message, out),
            Codec::Web(session) => {
                session.put(&message, out);
                return None;
            }
        }
        Some(message.body)
    }

    /// Adds what is said last.
    pub(crate) fn close(&mut self, out: &mut BytesMut) {
        match self {
            Codec::Frames { .. } | Codec::TypedFrames { .. } => {}
            Codec::Web(session) => session.put_close(out),
        }
    }

    /// Bytes of the frame at the front of what was put.
    pub(crate) fn frame_len(&self, mut output: &[u8]) -> usize {
        match self {
            Codec::Frames { .. } => wire::FRAME_HEADER_LEN + output.get_u64() as usize,
            Codec::TypedFrames { .. } => {
                output.advance(1);
                1 + wire::FRAME_HEADER_LEN + output.get_u64() as usize
            }
            Codec::Web(session) => session.frame_len(output),
        }
    }
}
