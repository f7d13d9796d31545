//! Frames of WebSocket (RFC 6455, 5.2).

use bytes::{Buf, BufMut, BytesMut};

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Binary,
    Close,
    Ping,
    Pong,
}

/// The front of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) opcode: Opcode,
    pub(super) is_last: bool,
    pub(super) mask: Option<[u8; 4]>,
    /// Bytes of payload.
    pub(super) len: u64,
    /// Bytes of the header itself.
    size: usize,
}

/// A whole frame, its mask taken off.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) opcode: Opcode,
    pub(super) is_last: bool,
    pub(super) payload: BytesMut,
}

/// A rule that a frame breaks.
pub(super) type Broken = &'static str;

/// What is wrong with text.
pub(super) const TEXT: Broken = "a text message; the scalability protocols are binary";

/// Reads the header at the front, if it is all there. What is wrong is seen at the first byte that says so.
pub(super) fn peek(input: &[u8]) -> Result<Option<Header>, Broken> {
    let Some(&first) = input.first() else {
        return Ok(None);
    };
    if first & 0x70 != 0 {
        return Err("a reserved bit that is set, and no extension was agreed on");
    }
    let opcode = match first & 0x0f {
        0 => Opcode::Continuation,
        1 => return Err(TEXT),
        2 => Opcode::Binary,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        _ => return Err("an opcode that does not exist"),
    };
    let is_last = first & 0x80 != 0;
    let is_control = first & 0x08 != 0;
    if is_control && !is_last {
        return Err("a control frame in fragments");
    }
    let Some(&second) = input.get(1) else {
        return Ok(None);
    };
    let short = second & 0x7f;
    if is_control && short > 125 {
        return Err("a control frame of more than 125 bytes");
    }
    let (len, after) = match short {
        126 => match input.get(2..4) {
            Some(bytes) => (u64::from(u16::from_be_bytes([bytes[0], bytes[1]])), 4),
            None => return Ok(None),
        },
        127 => match input.get(2..10).and_then(|bytes| bytes.try_into().ok()) {
            Some(bytes) => (u64::from_be_bytes(bytes), 10),
            None => return Ok(None),
        },
        _ => (u64::from(short), 2),
    };
    if (short == 126 && len < 126) || (short == 127 && len < 1 << 16) {
        return Err("a length in more bytes than it needs");
    }
    if len >> 63 != 0 {
        return Err("a length with its highest bit set");
    }
    let (mask, size) = if second & 0x80 == 0 {
        (None, after)
    } else {
        match input.get(after..after + 4).and_then(|bytes| bytes.try_into().ok()) {
            Some(mask) => (Some(mask), after + 4),
            None => return Ok(None),
        }
    };
    Ok(Some(Header { opcode, is_last, mask, len, size }))
}

/// Takes the frame from the front, if it is all there.
pub(super) fn take(header: &Header, input: &mut BytesMut) -> Option<Frame> {
    let len = usize::try_from(header.len).ok()?;
    if input.len() < header.size.checked_add(len)? {
        return None;
    }
    input.advance(header.size);
    let mut payload = input.split_to(len);
    apply(header.mask, &mut payload);
    Some(Frame { opcode: header.opcode, is_last: header.is_last, payload })
}

/// Bytes of the whole frame at the front, if its header says so.
pub(super) fn whole_len(bytes: &[u8]) -> Option<usize> {
    let header = peek(bytes).ok()??;
    header.size.checked_add(usize::try_from(header.len).ok()?)
}

/// Is the frame at the front the last of its message?
pub(super) fn is_last(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| first & 0x80 != 0)
}

/// Adds the header of a frame.
pub(super) fn put_header(opcode: Opcode, is_last: bool, len: usize, mask: Option<[u8; 4]>, out: &mut BytesMut) {
    let code = match opcode {
        Opcode::Continuation => 0,
        Opcode::Binary => 2,
        Opcode::Close => 8,
        Opcode::Ping => 9,
        Opcode::Pong => 10,
    };
    out.reserve(14 + len);
    out.put_u8(if is_last { 0x80 | code } else { code });
    let masked = if mask.is_some() { 0x80 } else { 0 };
    match len {
        0..=125 => out.put_u8(masked | len as u8),
        126..=0xffff => {
            out.put_u8(masked | 126);
            out.put_u16(len as u16);
        }
        _ => {
            out.put_u8(masked | 127);
            out.put_u64(len as u64);
        }
    }
    if let Some(mask) = mask {
        out.put_slice(&mask);
    }
}

/// Puts a mask on, or takes it off.
pub(super) fn apply(mask: Option<[u8; 4]>, payload: &mut [u8]) {
    let Some([a, b, c, d]) = mask else {
        return;
    };
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut chunks = payload.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let bytes = [chunk[0], chunk[1], chunk[2], chunk[3], chunk[4], chunk[5], chunk[6], chunk[7]];
        chunk.copy_from_slice(&(u64::from_ne_bytes(bytes) ^ wide).to_ne_bytes());
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip([a, b, c, d].into_iter().cycle()) {
        *byte ^= key;
    }
}
