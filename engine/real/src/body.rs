//! Bodies that a program sends: its own bytes, or shared ones.

use bytes::Bytes;

/// What is sent. A small body may go into a connection's buffer as it is; otherwise borrowed bytes are copied.
#[derive(Debug)]
pub enum Body<'a> {
    /// Bytes that the program keeps.
    Borrowed(&'a [u8]),
    /// Bytes that are kept for as long as they are needed.
    Shared(Bytes),
}

impl Body<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Body::Borrowed(bytes) => bytes,
            Body::Shared(bytes) => bytes,
        }
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            Body::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Body::Shared(bytes) => bytes,
        }
    }
}

impl From<Bytes> for Body<'_> {
    fn from(bytes: Bytes) -> Self {
        Body::Shared(bytes)
    }
}

impl<'a> From<&'a [u8]> for Body<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Body::Borrowed(bytes)
    }
}
