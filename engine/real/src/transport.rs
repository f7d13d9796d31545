//! Transports: how connections are made. One file each, and one arm in each `match` here.

pub(crate) mod inproc;
pub(crate) mod tcp;

use std::io;
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

impl Listener {
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
    pub(crate) fn dial(address: &Address, door: &Door) -> io::Result<Stream> {
        match address.transport {
            Transport::Tcp => tcp::Stream::dial(address).map(Stream::Tcp),
            Transport::Inproc => inproc::Stream::dial(address, door).map(Stream::Inproc),
        }
    }
}
