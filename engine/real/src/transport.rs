//! Transports: how connections are made, and what they are made of.
//!
//! A transport is what carries bytes (one file here, one arm in each `match` below), what secures them ([`tls`], if its
//! [`Transport::is_secure`]) and what they mean (its [`Codec`]). To add one: its scheme in `sp_proto::Transport`, a file
//! with a listener and a way to dial, its arms here and in `codec.rs`, and a line in `tests/conformance.rs`.

pub(crate) mod carrier;
pub(crate) mod inproc;
pub(crate) mod ipc;
pub(crate) mod tcp;
pub(crate) mod tls;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use sp_proto::{Address, Kind, Transport};

use crate::bell::Bell;
use crate::codec::Codec;
use carrier::Carrier;

/// A connection's way to the other side.
#[derive(Debug)]
pub(crate) enum Stream {
    Bytes(Carrier),
    Inproc(inproc::Stream),
}

/// What is spoken over a connection that carries bytes, and the channel in which it is spoken.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) tls: Option<Box<tls::Session>>,
    pub(crate) codec: Codec,
}

/// Something that accepts connections.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(tcp::Listener),
    Ipc(ipc::Listener),
    Inproc(inproc::Listener),
}

/// The end of a socket that other sockets of this process ring at, and what it wants of its connections.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) kind: Kind,
    pub(crate) bell: Arc<Bell>,
    /// Bounds what is buffered below the queues; 0 does not.
    pub(crate) buffer: usize,
}

/// What can be connected to without asking anybody.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Network(SocketAddr),
    File(String),
    Name(String),
}

/// The place an address stands for; none if it has to be looked up, which may take long.
pub(crate) fn literal(address: &Address) -> Option<Place> {
    match address.transport {
        Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => tcp::literal(address).map(Place::Network),
        Transport::Ipc => Some(Place::File(address.rest.clone())),
        Transport::Inproc => Some(Place::Name(address.rest.clone())),
    }
}

impl Listener {
    /// May take long, if the address has to be looked up.
    pub(crate) fn bind(address: &Address, door: &Door) -> io::Result<Listener> {
        match address.transport {
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
                tcp::Listener::bind(address, door.buffer).map(Listener::Tcp)
            }
            Transport::Ipc => ipc::Listener::bind(address).map(Listener::Ipc),
            Transport::Inproc => inproc::Listener::bind(address, door).map(Listener::Inproc),
        }
    }

    /// The address it listens on, its port known.
    pub(crate) fn address(&self) -> &Address {
        match self {
            Listener::Tcp(listener) => listener.address(),
            Listener::Ipc(listener) => listener.address(),
            Listener::Inproc(listener) => listener.address(),
        }
    }

    /// The next connection, if one is there.
    pub(crate) fn accept(&self) -> io::Result<Option<Stream>> {
        match self {
            Listener::Tcp(listener) => Ok(listener.accept()?.map(Stream::Bytes)),
            Listener::Ipc(listener) => Ok(listener.accept()?.map(Stream::Bytes)),
            Listener::Inproc(listener) => Ok(listener.accept().map(Stream::Inproc)),
        }
    }

    /// What to poll; none if the socket's bell is rung instead.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Listener::Tcp(listener) => Some(listener.as_fd()),
            Listener::Ipc(listener) => Some(listener.as_fd()),
            Listener::Inproc(_) => None,
        }
    }
}

impl Stream {
    /// Begins to connect.
    pub(crate) fn dial(place: &Place, door: &Door) -> io::Result<Stream> {
        match place {
            Place::Network(target) => tcp::dial(*target, door.buffer).map(Stream::Bytes),
            Place::File(path) => ipc::dial(path).map(Stream::Bytes),
            Place::Name(name) => inproc::Stream::dial(name, door).map(Stream::Inproc),
        }
    }

    /// Bounds what is buffered below the queues, where anything is.
    pub(crate) fn limit(&mut self, buffer: usize) {
        if let Stream::Bytes(carrier) = self {
            carrier.limit(buffer);
        }
    }
}
