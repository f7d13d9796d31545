//! Hosts, and the sockets that live on them.

use std::collections::BTreeSet;
use std::mem::offset_of;

use smallvec::SmallVec;
use sp_proto::{Dialer, EndpointOptions, PipeId, Socket, Time, Visit};

use crate::agenda::Alarm;
use crate::connection::{ConnectionId, Side};
use crate::ids::{HostId, SocketId};

/// A machine at a site. It can be killed, and restored; its name and number stay.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) alive: bool,
    /// How often it has begun.
    pub(crate) life: u32,
    /// Someone outside wants to be told when it is killed or restored.
    pub(crate) watched: bool,
    /// Sockets ever opened on it, so that each has luck of its own.
    pub(crate) opened: u64,
    pub(crate) sockets: BTreeSet<SocketId>,
}

/// A socket with what surrounds it.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct LiveSocket {
    pub(crate) timer: Option<(Time, Alarm)>,
    /// Which connection stands behind each pipe, by the pipe's slot.
    lines: SmallVec<[Option<Line>; 1]>,
    pub(crate) owner: Owner,
    pub(crate) host: HostId,
    /// It waits to be settled.
    pub(crate) touched: bool,
    pub(crate) machine: Socket,
    pub(crate) dialers: Vec<Dialing>,
    pub(crate) addresses: Vec<String>,
    /// Every connection it takes part in, also those that are not pipes yet.
    pub(crate) connections: BTreeSet<(ConnectionId, Side)>,
}

/// Who commands a socket and hears its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A behaviour outside the world.
    Outside,
    /// A client of a workload, by number.
    Client(u32),
    /// An instance of a service, by number.
    Instance(u32),
}

/// A dialer at work.
#[derive(Debug)]
pub(crate) struct Dialing {
    pub(crate) machine: Dialer,
    pub(crate) address: String,
    pub(crate) endpoint: EndpointOptions,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    pipe: PipeId,
    connection: ConnectionId,
    side: Side,
}

impl Host {
    pub(crate) fn new(name: &str) -> Host {
        Host { name: name.to_owned(), alive: true, life: 1, watched: false, opened: 0, sockets: BTreeSet::new() }
    }
}

impl LiveSocket {
    pub(crate) fn new(host: HostId, owner: Owner, machine: Socket) -> LiveSocket {
        LiveSocket {
            host,
            owner,
            machine,
            dialers: Vec::new(),
            addresses: Vec::new(),
            connections: BTreeSet::new(),
            lines: SmallVec::new(),
            timer: None,
            touched: false,
        }
    }

    /// Puts a connection behind a pipe.
    pub(crate) fn join(&mut self, pipe: PipeId, connection: ConnectionId, side: Side) {
        if self.lines.len() <= pipe.slot() {
            self.lines.resize(pipe.slot() + 1, None);
        }
        self.lines[pipe.slot()] = Some(Line { pipe, connection, side });
    }

    /// Takes it away.
    pub(crate) fn part(&mut self, pipe: PipeId) {
        if self.line(pipe).is_some() {
            self.lines[pipe.slot()] = None;
        }
    }

    /// Visits what every message touches.
    pub(crate) fn footprint(&self, visit: Visit) {
        visit(std::ptr::from_ref(self).cast(), offset_of!(LiveSocket, machine) + Socket::TOUCHED);
    }

    /// Visits what says which connections are behind its pipes.
    pub(crate) fn footprint_within(&self, visit: Visit) {
        if self.lines.spilled() {
            visit(self.lines.as_ptr().cast(), 1);
        }
    }

    /// The connection behind a pipe.
    pub(crate) fn line(&self, pipe: PipeId) -> Option<(ConnectionId, Side)> {
        let line = self.lines.get(pipe.slot()).copied().flatten()?;
        (line.pipe == pipe).then_some((line.connection, line.side))
    }
}
