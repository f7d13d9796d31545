//! What roles write into bodies, all numbers big-endian: in a request its sequence number (64 bits), in a reply that
//! number again and one more than the number of the host that answered (32 bits); zero, as in the echo of a request, names
//! nobody. Zero bytes fill the rest.

use bytes::{BufMut, Bytes, BytesMut};
use sp_proto::Time;

use crate::ids::HostId;

/// The smallest request.
pub(crate) const REQUEST_LEN: usize = 8;
/// The smallest message that is published.
const DATED_LEN: usize = 16;
/// The smallest reply.
pub(crate) const REPLY_LEN: usize = 12;

/// The sequence number of a host's request number `count`: the host is in the upper 24 bits, so that whoever receives it
/// knows whose it is.
pub fn sequence_for(host: HostId, count: u64) -> u64 {
    u64::from(host.number()) << COUNT_BITS | count & COUNT_MASK
}

/// The host that a sequence number comes from, and which of its requests it is.
pub fn home_of(sequence: u64) -> (HostId, u64) {
    (HostId::from_number((sequence >> COUNT_BITS) as u32), sequence & COUNT_MASK)
}

pub(crate) fn request(sequence: u64, size: usize) -> Bytes {
    filled([sequence.to_be_bytes()].as_flattened(), size)
}

/// A message that says when it was meant to be sent, in nanoseconds (64 bits) behind its sequence number.
pub(crate) fn dated(sequence: u64, at: Time, size: usize) -> Bytes {
    filled([sequence, at.as_nanos()].map(u64::to_be_bytes).as_flattened(), size)
}

/// When a message was meant to be sent that says so.
pub(crate) fn date_of(body: &[u8]) -> Option<Time> {
    let bytes = body.get(REQUEST_LEN..DATED_LEN)?;
    Some(Time::from_nanos(u64::from_be_bytes(bytes.try_into().ok()?)))
}

pub(crate) fn reply(request: &[u8], host: HostId, size: usize) -> Bytes {
    let mut words = [0; REPLY_LEN];
    words[..REQUEST_LEN].copy_from_slice(&sequence_of(request).unwrap_or(0).to_be_bytes());
    words[REQUEST_LEN..].copy_from_slice(&host.number().wrapping_add(1).to_be_bytes());
    filled(&words, size)
}

pub(crate) fn sequence_of(body: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*body.first_chunk()?))
}

/// The host that wrote a reply, unless it is of another make.
pub(crate) fn replier_of(body: &[u8]) -> Option<HostId> {
    let bytes = body.get(REQUEST_LEN..REPLY_LEN)?;
    u32::from_be_bytes(bytes.try_into().ok()?).checked_sub(1).map(HostId::from_number)
}

/// A small body is one allocation together with the count of those who share it.
fn filled(words: &[u8], size: usize) -> Bytes {
    let size = size.max(words.len());
    if size <= SMALL {
        let mut block = [0; SMALL];
        block[..words.len()].copy_from_slice(words);
        let mut body = Bytes::from_owner(block);
        body.truncate(size);
        return body;
    }
    let mut body = BytesMut::with_capacity(size);
    body.put_slice(words);
    body.put_bytes(0, size - words.len());
    body.freeze()
}

const SMALL: usize = 64;
const COUNT_BITS: u32 = 40;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_says_what_it_answers_and_who_wrote_it() {
        let sequence = sequence_for(HostId(3), 77);
        assert_eq!(home_of(sequence), (HostId(3), 77));
        let question = request(sequence, 64);
        assert_eq!((question.len(), sequence_of(&question)), (64, Some(sequence)));
        let answer = reply(&question, HostId(9), 0);
        assert_eq!((answer.len(), sequence_of(&answer), replier_of(&answer)), (12, Some(sequence), Some(HostId(9))));
        assert_eq!(replier_of(b"short"), None);
        assert_eq!(replier_of(&question), None, "an echo names nobody");
    }
}
