//! Transports: how connections are made. One file each, and one arm in each `match` here.

pub(crate) mod inproc;
pub(crate) mod tcp;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use sp_proto::{Address, Kind, Transport};

use crate::bell::Bell;

/// A connection's way to the other side.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(tcp::Stream),
    Inproc(inproc::Stream),
}

/// Something that accepts connections.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(tcp::Listener),
    Inproc(inproc::Listener),
}

/// The end of a socket that other sockets of this process ring at.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) kind: Kind,
    pub(crate) bell: Arc<Bell>,
}

/// What can be connected to without asking anybody.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Tcp(SocketAddr),
    Inproc(String),
}

/// The place an address stands for; none if it has to be looked up, which may take long.
pub(crate) fn literal(address: &Address) -> Option<Place> {
    match address.transport {
        Transport::Tcp => tcp::literal(address).map(Place::Tcp),
        Transport::Inproc => Some(Place::Inproc(address.rest.clone())),
    }
}

impl Listener {
    /// May take long, if the address has to be looked up.
    pub(crate) fn bind(address: &Address, door: &Door) -> io::Result<Listener> {
        match address.transport {
            Transport::Tcp => tcp::Listener::bind(address).map(Listener::Tcp),
            Transport::Inproc => inproc::Listener::bind(address, door).map(Listener::Inproc),
        }
    }

    /// The address it listens on, its port known.
    pub(crate) fn address(&self) -> &Address {
        match self {
            Listener::Tcp(listener) => listener.address(),
            Listener::Inproc(listener) => listener.address(),
        }
    }

    /// The next connection, if one is there.
    pub(crate) fn accept(&self) -> io::Result<Option<Stream>> {
        match self {
            Listener::Tcp(listener) => Ok(listener.accept()?.map(Stream::Tcp)),
            Listener::Inproc(listener) => Ok(listener.accept().map(Stream::Inproc)),
        }
    }

    /// What to poll; none if the socket's bell is rung instead.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Listener::Tcp(listener) => Some(listener.as_fd()),
            Listener::Inproc(_) => None,
        }
    }
}

impl Stream {
    /// Begins to connect.
    pub(crate) fn dial(place: Place, door: &Door) -> io::Result<Stream> {
        match place {
            Place::Tcp(target) => tcp::Stream::dial(target).map(Stream::Tcp),
            Place::Inproc(name) => inproc::Stream::dial(&name, door).map(Stream::Inproc),
        }
    }
}
