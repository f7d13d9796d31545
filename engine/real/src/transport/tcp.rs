//! TCP. Nagle's algorithm is off: what is written together is decided here, not in the kernel.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use sp_proto::Address;

/// A connection, perhaps still being made.
#[derive(Debug)]
pub(crate) struct Stream {
    stream: TcpStream,
}

/// A listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: TcpListener,
    address: Address,
}

impl Listener {
    /// May take long, if the host is a name.
    pub(crate) fn bind(address: &Address) -> io::Result<Listener> {
        let target = *look_up(address)?.first().ok_or_else(|| unknown(address))?;
        let socket = open(&target)?;
        // A restarted program gets its port back while old connections linger.
        socket.set_reuse_address(true)?;
        socket.bind(&SockAddr::from(target))?;
        socket.listen(BACKLOG)?;
        let listener: TcpListener = socket.into();
        let bound = listener.local_addr()?;
        let host = address.rest.rsplit_once(':').map_or("", |(host, _)| host);
        let address = Address { transport: address.transport, rest: format!("{host}:{}", bound.port()) };
        Ok(Listener { listener, address })
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) fn accept(&self) -> io::Result<Option<Stream>> {
        match self.listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                Ok(Some(Stream { stream }))
            }
            Err(error) if is_passing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Stream {
    /// Begins to connect.
    pub(crate) fn dial(target: SocketAddr) -> io::Result<Stream> {
        let socket = open(&target)?;
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&SockAddr::from(target)) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
        Ok(Stream { stream: socket.into() })
    }

    /// How the attempt to connect went; ask when the descriptor is writable.
    pub(crate) fn connected(&self) -> io::Result<()> {
        match self.stream.take_error()? {
            Some(error) => Err(error),
            // Where nobody listens, the kernel may choose the port that is dialled as our own: two ends in one.
            None if self.stream.local_addr()? == self.stream.peer_addr()? => {
                Err(io::Error::new(ErrorKind::ConnectionRefused, "nobody listens there"))
            }
            None => Ok(()),
        }
    }

    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.stream.peer_addr().ok()
    }

    /// Reads what is there; `None` if nothing is. Zero bytes mean that the other side has closed.
    pub(crate) fn read(&self, into: &mut [u8]) -> io::Result<Option<usize>> {
        none_if_later((&self.stream).read(into))
    }

    /// Writes as much as the kernel takes; `None` if it takes nothing now.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<Option<usize>> {
        none_if_later((&self.stream).write(bytes))
    }

    /// Nothing more is written; what was is delivered.
    pub(crate) fn hang_up(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Closes such that the other side notices at once and nothing more is delivered, as when a process is killed.
    pub(crate) fn abort(&self) {
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(std::time::Duration::ZERO));
    }
}

impl From<Stream> for TcpStream {
    fn from(stream: Stream) -> TcpStream {
        stream.stream
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn open(target: &SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(*target), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    Ok(socket)
}

/// The place that an address names by number; none if its host is a name that has to be looked up.
pub(crate) fn literal(address: &Address) -> Option<SocketAddr> {
    let (host, port) = address.host_and_port()?;
    let host: IpAddr = if host == "*" { Ipv4Addr::UNSPECIFIED.into() } else { host.parse().ok()? };
    Some(SocketAddr::from((host, port)))
}

/// Every place that an address stands for, one or more. Asking the system about a name may take it many seconds.
pub(crate) fn look_up(address: &Address) -> io::Result<Vec<SocketAddr>> {
    if let Some(place) = literal(address) {
        return Ok(vec![place]);
    }
    let (host, port) =
        address.host_and_port().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "host and port are missing"))?;
    let places: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    if places.is_empty() { Err(unknown(address)) } else { Ok(places) }
}

fn unknown(address: &Address) -> io::Error {
    let host = address.host_and_port().map_or("", |(host, _)| host);
    io::Error::new(ErrorKind::NotFound, format!("the name {host} has no address"))
}

fn none_if_later(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error),
    }
}

/// An accept that failed for the one connection, not for the listener (accept(2)).
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted)
}

const BACKLOG: i32 = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_to_itself_is_none() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let socket = open(&any).unwrap();
        socket.bind(&SockAddr::from(any)).unwrap();
        let own = socket.local_addr().unwrap();
        // It connects to the port it is bound to, as happens by chance.
        socket.set_nonblocking(false).unwrap();
        socket.connect(&own).unwrap();
        let stream = Stream { stream: socket.into() };
        assert_eq!(stream.connected().unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
}
