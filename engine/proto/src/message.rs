//! Messages: a header of routing words, and a body.

use bytes::{Buf, BufMut, Bytes};
use smallvec::SmallVec;

/// The routing words in front of a body, each 32 bits. Up to three, the usual number, take no allocation.
pub type Header = SmallVec<[u32; 3]>;

/// One message. The protocols read and write the header; the body belongs to the program and is never looked at.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Routing words, the first one on the wire first.
    pub header: Header,
    /// What the program sent.
    pub body: Bytes,
}

impl Message {
    /// A message without a header.
    pub fn new(body: impl Into<Bytes>) -> Message {
        Message { header: Header::new(), body: body.into() }
    }

    /// Bytes on the wire, header and body together, without the frame around them.
    pub fn len(&self) -> usize {
        4 * self.header.len() + self.body.len()
    }

    /// Is there neither header nor body? Such messages are legal.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends header and body as they stand on the wire.
    pub fn put(&self, out: &mut impl BufMut) {
        self.put_header(out);
        out.put_slice(&self.body);
    }

    /// Takes the first word: of the header, or if that is empty of the body. `None` if there is none, or no whole one.
    pub(crate) fn take_word(&mut self) -> Option<u32> {
        if !self.header.is_empty() {
            Some(self.header.remove(0))
        } else if self.body.len() >= 4 {
            Some(self.body.get_u32())
        } else {
            None
        }
    }

    /// Appends the header as it stands on the wire.
    pub fn put_header(&self, out: &mut impl BufMut) {
        for word in &self.header {
            out.put_u32(*word);
        }
    }
}

impl Clone for Message {
    /// Shares the body. Most messages have no header, and there a general copy costs more than all the rest.
    fn clone(&self) -> Message {
        let header = if self.header.is_empty() { Header::new() } else { self.header.clone() };
        Message { header, body: self.body.clone() }
    }
}
