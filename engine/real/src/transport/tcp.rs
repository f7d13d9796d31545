//! TCP. Nagle's algorithm is off: what is written together is decided here, not in the kernel.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use rustix::net::SocketFlags;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use sp_proto::Address;

use super::carrier::Carrier;

/// A listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Socket,
    address: Address,
}

impl Listener {
    /// May take long, if the host is a name.
    pub(crate) fn bind(address: &Address, buffer: usize) -> io::Result<Listener> {
        let target = *look_up(address)?.first().ok_or_else(|| unknown(address))?;
        let socket = open(&target, buffer)?;
        // A restarted program gets its port back while old connections linger.
        socket.set_reuse_address(true)?;
        socket.bind(&SockAddr::from(target))?;
        socket.listen(BACKLOG)?;
        let port = socket.local_addr()?.as_socket().map_or(0, |place| place.port());
        Ok(Listener { socket, address: address.with_port(port) })
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) fn accept(&self) -> io::Result<Option<Carrier>> {
        match accept(&self.socket)? {
            Some(socket) => {
                socket.set_tcp_nodelay(true)?;
                Ok(Some(Carrier::new(socket)))
            }
            None => Ok(None),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Begins to connect. `buffer` bounds the kernel's buffers; 0 leaves them to it.
pub(crate) fn dial(target: SocketAddr, buffer: usize) -> io::Result<Carrier> {
    let socket = open(&target, buffer)?;
    socket.set_tcp_nodelay(true)?;
    connect(&socket, &SockAddr::from(target))?;
    Ok(Carrier::new(socket))
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

/// The next connection of a listening socket, if one is there.
pub(super) fn accept(listening: &Socket) -> io::Result<Option<Socket>> {
    match rustix::net::accept_with(listening, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
        Ok(descriptor) => Ok(Some(descriptor.into())),
        // It failed for the one connection, not for the listener (accept(2)).
        Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Begins to connect.
pub(super) fn connect(socket: &Socket, target: &SockAddr) -> io::Result<()> {
    match socket.connect(target) {
        Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => Ok(()),
        result => result,
    }
}

fn open(target: &SocketAddr, buffer: usize) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(*target), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    limit(&socket, buffer);
    Ok(socket)
}

/// Bounds the kernel's buffers; 0 leaves them to it. It must be done before there is a connection (one that is accepted
/// has its listener's): segments are made half as large as the largest window that was ever offered, and one that is
/// larger than the window waits for a timer of 200 ms.
pub(crate) fn limit(socket: &impl AsFd, buffer: usize) {
    if buffer > 0 {
        let kernel = SockRef::from(socket);
        // A kernel that refuses keeps what it has.
        let _ = kernel.set_send_buffer_size(buffer);
        let _ = kernel.set_recv_buffer_size(buffer);
    }
}

fn unknown(address: &Address) -> io::Error {
    let host = address.host_and_port().map_or("", |(host, _)| host);
    io::Error::new(ErrorKind::NotFound, format!("the name {host} has no address"))
}

pub(super) const BACKLOG: i32 = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_to_itself_is_none() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let socket = open(&any, 0).unwrap();
        socket.bind(&SockAddr::from(any)).unwrap();
        let own = socket.local_addr().unwrap();
        // It connects to the port it is bound to, as happens by chance.
        socket.set_nonblocking(false).unwrap();
        socket.connect(&own).unwrap();
        let carrier = Carrier::new(socket);
        assert_eq!(carrier.connected().unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
}
