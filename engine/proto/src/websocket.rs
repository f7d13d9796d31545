//! The scalability protocols over WebSocket (sp-websocket-mapping-01, RFC 6455): bytes in, bytes out.
//!
//! There is no greeting; the two sides agree on a sub-protocol, `<role>.sp.nanomsg.org`, where the role is that of the
//! *server*: a REQ that dials asks for `rep.sp.nanomsg.org`. Each message is one binary message, header words in front
//! of its body, with no length of its own; large ones are sent in fragments of 1 MiB, because NNG refuses larger frames.
//! Extensions are never agreed to.
//!
//! The frames are read and written here and not by a library because the libraries bound neither the fragments of a
//! message nor what is answered to a flood, and draw the masks themselves.

mod frames;
mod handshake;

use bytes::{BufMut, BytesMut};
use rand::RngExt;
use rand_pcg::Pcg64Mcg;

use crate::error::PeerFault;
use crate::message::Message;
use crate::protocol::Kind;
use crate::seed::rng_from;
use crate::wire::{Input, most_bytes};
use frames::{Frame, Opcode};
use handshake::Handshake;

pub use handshake::subprotocol;

/// Bounds of what a peer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a message's body, 1 or more.
    pub max_message: usize,
    /// Frames that a message may be cut into, 1 or more. Default 1,024.
    pub max_fragments: usize,
    /// Bytes of a request or a response, 256 or more. Default 16 KiB.
    pub max_header: usize,
    /// Header lines in it, up to 64. Default 64.
    pub max_header_lines: usize,
}

/// One side of a connection.
#[derive(Debug)]
pub struct Session {
    kind: Kind,
    limits: Limits,
    handshake: Handshake,
    stage: Stage,
    masks: Option<Pcg64Mcg>,
    /// The fragments of a message that is not whole yet.
    partial: Option<Partial>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Handshake,
    Open,
    Closed,
}

#[derive(Debug, Default)]
struct Partial {
    body: BytesMut,
    fragments: usize,
}

impl Session {
    /// The side that listens, at `path`.
    pub fn server(kind: Kind, path: &str, limits: Limits) -> Session {
        Session::new(kind, limits, Handshake::server(path), None)
    }

    /// The side that dials `host` (with its port, if it is not the usual one). The seed decides its key and its masks.
    pub fn client(kind: Kind, host: &str, path: &str, limits: Limits, seed: u64) -> Session {
        let mut luck = rng_from(seed);
        let handshake = Handshake::client(host, path, luck.random());
        Session::new(kind, limits, handshake, Some(luck))
    }

    fn new(kind: Kind, limits: Limits, handshake: Handshake, masks: Option<Pcg64Mcg>) -> Session {
        Session { kind, limits, handshake, stage: Stage::Handshake, masks, partial: None }
    }

    /// What is said before anything is heard: a client's request.
    pub fn open(&mut self, out: &mut BytesMut) {
        self.handshake.request(self.kind, out);
    }

    /// Takes the next whole thing from the front of `input`; `None` if more bytes are needed. What has to be answered is
    /// added to `out`, also with an error: then it is the refusal, and the connection is of no further use.
    pub fn next(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<Option<Input>, PeerFault> {
        match self.stage {
            Stage::Closed => Ok(None),
            Stage::Handshake => match self.handshake.next(self.kind, &self.limits, input, out) {
                Ok(false) => Ok(None),
                Ok(true) => {
                    self.stage = Stage::Open;
                    Ok(Some(Input::Greeting { peer: self.kind.partner().id() }))
                }
                Err(fault) => {
                    self.stage = Stage::Closed;
                    Err(fault)
                }
            },
            Stage::Open => {
                let mut ping = None;
                let result = self.next_message(input, out, &mut ping);
                if let Some(payload) = ping
                    && out.len() < ROOM_FOR_PONGS
                {
                    self.put_frame(Opcode::Pong, true, &payload, out);
                }
                result.map_err(|breach| {
                    self.close_with(breach.code, out);
                    breach.fault
                })
            }
        }
    }

    /// Adds a message.
    pub fn put(&mut self, message: &Message, out: &mut BytesMut) {
        if message.len() <= LARGEST_FRAME {
            let mask = self.mask();
            frames::put_header(Opcode::Binary, true, message.len(), mask, out);
            let start = out.len();
            message.put(out);
            frames::apply(mask, &mut out[start..]);
        } else {
            let mut whole = BytesMut::with_capacity(message.len());
            message.put(&mut whole);
            let last = whole.len().div_ceil(LARGEST_FRAME) - 1;
            for (number, piece) in whole.chunks(LARGEST_FRAME).enumerate() {
                let opcode = if number == 0 { Opcode::Binary } else { Opcode::Continuation };
                self.put_frame(opcode, number == last, piece, out);
            }
        }
    }

    /// Adds a farewell, if there has been none.
    pub fn put_close(&mut self, out: &mut BytesMut) {
        if self.stage == Stage::Open {
            self.close_with(NORMAL, out);
        }
    }

    /// Bytes of the message at the front of what was put.
    pub fn frame_len(&self, output: &[u8]) -> usize {
        let mut len = 0;
        while let Some(frame) = output.get(len..)
            && let Some(size) = frames::whole_len(frame)
        {
            len += size;
            if frames::is_last(frame) {
                return len;
            }
        }
        output.len()
    }

    /// How many bytes are missing from the frame at the front of `input`, as far as is known.
    pub fn missing(&self, input: &BytesMut) -> usize {
        match frames::whole_len(input) {
            Some(len) => len.saturating_sub(input.len()),
            None => 1,
        }
    }

    /// Takes frames until a message is whole. Of several pings the last is to be answered (RFC 6455, 5.5.3).
    fn next_message(
        &mut self,
        input: &mut BytesMut,
        out: &mut BytesMut,
        ping: &mut Option<BytesMut>,
    ) -> Result<Option<Input>, Breach> {
        while let Some(frame) = self.next_frame(input)? {
            match frame.opcode {
                Opcode::Ping => *ping = Some(frame.payload),
                Opcode::Pong => {}
                Opcode::Close => {
                    let code = farewell(&frame.payload)?;
                    self.close_with(code, out);
                    return Ok(Some(Input::Closed));
                }
                Opcode::Binary if frame.is_last => return Ok(Some(Input::Message(frame.payload.freeze()))),
                Opcode::Binary | Opcode::Continuation => {
                    let partial = self.partial.get_or_insert_default();
                    partial.body.extend_from_slice(&frame.payload);
                    partial.fragments += 1;
                    if frame.is_last
                        && let Some(whole) = self.partial.take()
                    {
                        return Ok(Some(Input::Message(whole.body.freeze())));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Takes a frame; everything that can be wrong with it is seen before its payload is there.
    fn next_frame(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, Breach> {
        let Some(header) = frames::peek(input).map_err(Breach::rule)? else {
            return Ok(None);
        };
        let is_server = self.masks.is_none();
        if header.mask.is_some() != is_server {
            return Err(Breach::rule(if is_server {
                "a frame without a mask, and a client's must have one"
            } else {
                "a frame with a mask, and a server's must have none"
            }));
        }
        match (header.opcode, &self.partial) {
            (Opcode::Continuation, None) => return Err(Breach::rule("a continuation of nothing")),
            (Opcode::Binary, Some(_)) => return Err(Breach::rule("a new message in the middle of another")),
            (Opcode::Binary | Opcode::Continuation, partial) => {
                let (begun, fragments) = partial.as_ref().map_or((0, 0), |part| (part.body.len(), part.fragments));
                let size = header.len.saturating_add(begun as u64);
                if size > most_bytes(self.kind, self.limits.max_message) as u64 {
                    let fault = PeerFault::TooLarge { size, limit: self.limits.max_message };
                    return Err(Breach { code: TOO_LARGE, fault });
                }
                if fragments >= self.limits.max_fragments {
                    return Err(Breach { code: POLICY, fault: PeerFault::Frame("a message in too many fragments") });
                }
            }
            (Opcode::Ping | Opcode::Pong | Opcode::Close, _) => {}
        }
        Ok(frames::take(&header, input))
    }

    fn put_frame(&mut self, opcode: Opcode, is_last: bool, payload: &[u8], out: &mut BytesMut) {
        let mask = self.mask();
        frames::put_header(opcode, is_last, payload.len(), mask, out);
        let start = out.len();
        out.put_slice(payload);
        frames::apply(mask, &mut out[start..]);
    }

    fn close_with(&mut self, code: u16, out: &mut BytesMut) {
        self.stage = Stage::Closed;
        self.put_frame(Opcode::Close, true, &code.to_be_bytes(), out);
    }

    fn mask(&mut self) -> Option<[u8; 4]> {
        self.masks.as_mut().map(|luck| luck.random::<u32>().to_be_bytes())
    }
}

impl Limits {
    /// The usual bounds, with this one on messages.
    pub fn with_max_message(max_message: usize) -> Limits {
        Limits { max_message, max_fragments: 1_024, max_header: 16 << 10, max_header_lines: handshake::MOST_LINES }
    }
}

/// A rule that was broken, and how the connection is closed for it.
#[derive(Debug)]
struct Breach {
    code: u16,
    fault: PeerFault,
}

impl Breach {
    fn rule(what: frames::Broken) -> Breach {
        let code = if what == frames::TEXT { UNSUPPORTED } else { PROTOCOL_ERROR };
        Breach { code, fault: PeerFault::Frame(what) }
    }
}

/// The code to answer a farewell with (RFC 6455, 5.5.1 and 7.4).
fn farewell(payload: &[u8]) -> Result<u16, Breach> {
    match payload {
        [] => Ok(NORMAL),
        [_] => Err(Breach::rule("half a status code")),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(Breach::rule("a status code that does not exist"));
            }
            if std::str::from_utf8(reason).is_err() {
                return Err(Breach { code: NOT_UTF8, fault: PeerFault::Frame("a reason that is not UTF-8") });
            }
            Ok(code)
        }
    }
}

const NORMAL: u16 = 1000;
const PROTOCOL_ERROR: u16 = 1002;
const UNSUPPORTED: u16 = 1003;
const NOT_UTF8: u16 = 1007;
const POLICY: u16 = 1008;
const TOO_LARGE: u16 = 1009;
/// The largest payload of a frame that NNG accepts if nothing else is said.
const LARGEST_FRAME: usize = 1 << 20;
/// More than this is not added to what a peer does not read, only because it pings.
const ROOM_FOR_PONGS: usize = 16 << 10;
