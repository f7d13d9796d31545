//! Carriers: connections that carry bytes, whatever the kernel calls them.

use std::io::{self, ErrorKind, IoSlice, Read};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use bytes::BytesMut;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};
use socket2::{Domain, Socket};

/// A connection, perhaps still being made. Nothing it does waits.
#[derive(Debug)]
pub(crate) struct Carrier {
    socket: Socket,
    /// Bytes that are written at once, if there is much to write.
    pub(crate) at_once: usize,
}

/// The process at the other end, as the kernel knows it; only on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Its process id, when it connected or began to listen.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

impl Carrier {
    /// `socket` does not wait.
    pub(crate) fn new(socket: Socket) -> Carrier {
        Carrier { socket, at_once: AT_ONCE }
    }

    /// Bounds what is buffered below the queues, unless by 0; see
    /// [`SocketOptions::buffer`](crate::SocketOptions::buffer).
    pub(crate) fn limit(&mut self, buffer: usize) {
        if buffer > 0 {
            super::tcp::limit(&self.socket, buffer);
            self.at_once = buffer.min(AT_ONCE);
        }
    }

    /// How the attempt to connect went; ask when the descriptor is writable.
    pub(crate) fn connected(&self) -> io::Result<()> {
        match self.socket.take_error()? {
            Some(error) => Err(error),
            // Where nobody listens, the kernel may choose the port that is dialled as our own: two ends in one.
            None if self.is_local() => Ok(()),
            None if self.socket.local_addr()?.as_socket() == self.socket.peer_addr()?.as_socket() => {
                Err(io::Error::new(ErrorKind::ConnectionRefused, "nobody listens there"))
            }
            None => Ok(()),
        }
    }

    /// The other end's host and port, if it is on a network.
    pub(crate) fn peer(&self) -> Option<String> {
        self.socket.peer_addr().ok()?.as_socket().map(|place| place.to_string())
    }

    /// Who is at the other end, if that is known.
    pub(crate) fn credentials(&self) -> Option<Credentials> {
        if !self.is_local() {
            return None;
        }
        let found = rustix::net::sockopt::socket_peercred(&self.socket).ok()?;
        Some(Credentials { pid: found.pid.as_raw_nonzero().get(), uid: found.uid.as_raw(), gid: found.gid.as_raw() })
    }

    /// Reads what is there; `None` if nothing is. Zero bytes mean that the other side has closed.
    pub(crate) fn read(&self, into: &mut [u8]) -> io::Result<Option<usize>> {
        none_if_later((&self.socket).read(into))
    }

    /// The same, up to `limit` bytes, into the room that `into` has.
    pub(crate) fn read_more(&self, into: &mut BytesMut, limit: usize) -> io::Result<Option<usize>> {
        let room = into.spare_capacity_mut();
        let limit = limit.min(room.len());
        let received = rustix::net::recv(&self.socket, &mut room[..limit], RecvFlags::empty());
        let count = none_if_later(received.map(|((filled, _), _)| filled.len()).map_err(io::Error::from))?;
        if let Some(count) = count {
            let len = into.len() + count;
            // SAFETY: recv(2) has filled the first `count` bytes of the spare capacity, as the slice that it gave back
            // says, and the spare capacity begins at the old length. Measured with messages of 64 KiB: clearing the room
            // first, or reading elsewhere and copying, costs a tenth of the throughput and more.
            #[expect(unsafe_code, reason = "room that is about to be filled need not be cleared")]
            unsafe {
                into.set_len(len);
            }
        }
        Ok(count)
    }

    /// Writes as much as the kernel takes; `None` if it takes nothing now.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<Option<usize>> {
        none_if_later(rustix::net::send(&self.socket, bytes, SendFlags::NOSIGNAL).map_err(io::Error::from))
    }

    /// The same for two pieces, one after the other.
    pub(crate) fn write_both(&self, first: &[u8], second: &[u8]) -> io::Result<Option<usize>> {
        let pieces = [IoSlice::new(first), IoSlice::new(second)];
        let mut nothing = SendAncillaryBuffer::default();
        let sent = rustix::net::sendmsg(&self.socket, &pieces, &mut nothing, SendFlags::NOSIGNAL);
        none_if_later(sent.map_err(io::Error::from))
    }

    /// Nothing more is written; what was is delivered.
    pub(crate) fn hang_up(&self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Throws away what has come. True if nothing more will: the other side has closed.
    pub(crate) fn drain(&self, scratch: &mut [u8]) -> bool {
        for _ in 0..DRAINS_AT_ONCE {
            match self.read(scratch) {
                Ok(None) => return false,
                Ok(Some(0)) | Err(_) => return true,
                Ok(Some(_)) => {}
            }
        }
        false
    }

    /// Closes such that the other side notices at once and nothing more is delivered, as when a process is killed.
    pub(crate) fn abort(&self) {
        let _ = self.socket.set_linger(Some(Duration::ZERO));
    }

    fn is_local(&self) -> bool {
        self.socket.domain().is_ok_and(|domain| domain == Domain::UNIX)
    }
}

impl From<Carrier> for Socket {
    fn from(carrier: Carrier) -> Socket {
        carrier.socket
    }
}

impl AsFd for Carrier {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn none_if_later(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error),
    }
}

const DRAINS_AT_ONCE: usize = 16;
/// Enough to fill the kernel's buffer in few calls.
const AT_ONCE: usize = 256 << 10;
