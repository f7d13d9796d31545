//! Glances: asking for the memory of what comes next while there is something else to do.
//!
//! A world of many hosts does not fit into the processor's caches, and its hosts take turns: whatever an event looks at
//! is mostly far away, and waiting for it would cost ten times what there is to do. But the agenda knows some events ahead
//! whom they will happen to. What they point to is fetched step by step, one step for each of the next few events whenever
//! one happens: so the memory comes while there is something else to do, and not so early that it is gone again. Nothing
//! happens differently for that, only sooner.

use sp_proto::{PipeId, visit_body};

use crate::connection::{Connection, ConnectionId, EndState, Parcel, Side};
use crate::host::{LiveSocket, Owner};
use crate::ids::SocketId;
use crate::roles::Roles;
use crate::stage::{Due, Stage};

/// Looks at what comes next, again and again.
#[derive(Debug, Default)]
pub(crate) struct Glance {
    /// At what happens now and at what the agenda knows to come, in this order.
    looks: Vec<Look>,
    /// How many of them have made their first step.
    begun: usize,
}

/// A look at one event: how far it has been followed.
#[derive(Clone, Copy, Debug)]
struct Look {
    owner: Owner,
    socket: Option<SocketId>,
    connection: Option<ConnectionId>,
    /// The end of the connection that it happens to.
    side: Side,
    pipe: Option<PipeId>,
    /// Something arrives.
    arrives: bool,
    /// An owner acts, and the connection is the one that it sends on.
    sends: bool,
}

impl Glance {
    /// Begins anew with what happens now and what the agenda knows to come, if that pays.
    pub(crate) fn over(&mut self, stage: &Stage, roles: &Roles, now: Due) {
        self.looks.clear();
        self.begun = 0;
        if stage.socket_count() >= WORTHWHILE {
            self.looks.push(Look::at(now));
            self.looks.extend(stage.agenda.upcoming().map(Look::at));
            (0..Look::STEPS.len()).for_each(|_| self.step(stage, roles));
        }
    }

    /// One event is about to happen: a step for each of those that come soon after.
    pub(crate) fn step(&mut self, stage: &Stage, roles: &Roles) {
        if self.begun >= self.looks.len() + Look::STEPS.len() {
            return;
        }
        for (behind, step) in Look::STEPS.into_iter().enumerate() {
            if let Some(place) = self.begun.checked_sub(behind)
                && let Some(look) = self.looks.get_mut(place)
            {
                step(look, stage, roles);
            }
        }
        self.begun += 1;
    }
}

impl Look {
    /// Each follows the pointers that the step before has fetched.
    const STEPS: [fn(&mut Look, &Stage, &Roles); 7] = [
        Look::at_beginning,
        Look::behind_beginning,
        Look::at_middle,
        Look::behind_middle,
        Look::at_protocol,
        Look::behind_protocol,
        Look::at_bodies,
    ];

    fn at(due: Due) -> Look {
        let nothing = Look {
            owner: Owner::Outside,
            socket: None,
            connection: None,
            side: Side::Dialer,
            pipe: None,
            arrives: false,
            sends: false,
        };
        match due {
            Due::Arrival { connection, sender } => {
                Look { connection: Some(connection), side: sender.other(), arrives: true, ..nothing }
            }
            Due::Credit { connection, sender } => Look { connection: Some(connection), side: sender, ..nothing },
            Due::Timer { socket } => Look { socket: Some(socket), ..nothing },
            Due::Ask { client, .. } => Look { owner: Owner::Client(client), ..nothing },
            Due::Served { instance, .. } => Look { owner: Owner::Instance(instance), ..nothing },
            _ => nothing,
        }
    }

    /// The owner, or the place of the connection.
    fn at_beginning(&mut self, stage: &Stage, roles: &Roles) {
        roles.footprint(self.owner, true, fetch);
        if let Some(id) = self.connection {
            stage.network.connections.footprint(id, fetch);
        }
    }

    /// The connection, or the place of the owner's socket.
    fn behind_beginning(&mut self, stage: &Stage, roles: &Roles) {
        if let Some(connection) = self.connection(stage) {
            connection.footprint(self.way(), fetch);
            return;
        }
        roles.footprint_within(self.owner, fetch);
        self.socket = self.socket.or_else(|| roles.first_socket(self.owner));
        if let Some(socket) = self.socket {
            stage.footprint(socket, fetch);
        }
    }

    /// The place of the connection's socket and the body that arrives, or the owner's socket.
    fn at_middle(&mut self, stage: &Stage, _roles: &Roles) {
        let Some(connection) = self.connection(stage) else {
            if let Some(live) = self.live(stage) {
                live.footprint(fetch);
            }
            return;
        };
        let end = connection.end(self.side);
        if let EndState::Up(pipe) = end.state {
            self.pipe = Some(pipe);
        }
        let way = connection.way(self.way());
        way.footprint(fetch);
        if self.arrives
            && let Some(Parcel::Message(message)) = way.parcels().next()
        {
            visit_body(&message.body, fetch);
        }
        self.socket = Some(end.socket);
        stage.footprint(end.socket, fetch);
    }

    /// The connection's socket, or what is behind the owner's.
    fn behind_middle(&mut self, stage: &Stage, _roles: &Roles) {
        let Some(live) = self.live(stage) else { return };
        if self.connection.is_some() {
            live.footprint(fetch);
        } else {
            live.footprint_within(fetch);
            live.machine.footprint(0, None, fetch);
        }
    }

    /// What is behind the connection's socket; or what its protocol keeps, and the place of the connection that is sent on.
    fn at_protocol(&mut self, stage: &Stage, roles: &Roles) {
        let Some(live) = self.live(stage) else { return };
        if self.connection.is_some() {
            live.machine.footprint(0, self.pipe, fetch);
            self.owner = live.owner;
            roles.footprint(self.owner, false, fetch);
            return;
        }
        live.machine.footprint(1, None, fetch);
        if let Some(pipe) = live.machine.likely_pipe()
            && let Some((connection, side)) = live.line(pipe)
        {
            self.sends = true;
            (self.connection, self.side, self.pipe) = (Some(connection), side, Some(pipe));
            stage.network.connections.footprint(connection, fetch);
            live.machine.footprint(3, self.pipe, fetch);
        }
    }

    /// What the protocol keeps and what the owner has, or the connection that is sent on.
    fn behind_protocol(&mut self, stage: &Stage, roles: &Roles) {
        if self.sends {
            if let Some(connection) = self.connection(stage) {
                connection.footprint(self.side, fetch);
            }
            return;
        }
        let Some(live) = self.live(stage) else { return };
        live.machine.footprint(1, self.pipe, fetch);
        roles.footprint_within(self.owner, fetch);
    }

    /// The bodies that its protocol keeps.
    fn at_bodies(&mut self, stage: &Stage, _roles: &Roles) {
        if let Some(live) = self.live(stage) {
            live.machine.footprint(2, self.pipe, fetch);
        }
    }

    /// Who sends on the way that matters.
    fn way(&self) -> Side {
        if self.arrives { self.side.other() } else { self.side }
    }

    fn connection<'a>(&self, stage: &'a Stage) -> Option<&'a Connection> {
        stage.network.connections.get(self.connection?)
    }

    fn live<'a>(&self, stage: &'a Stage) -> Option<&'a LiveSocket> {
        stage.find(self.socket?)
    }
}

/// Asks for the cache lines of a piece of memory, and does not wait for them.
#[cfg(target_arch = "x86_64")]
fn fetch(begin: *const u8, size: usize) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    let mut line = begin.wrapping_sub(begin.addr() % LINE);
    let end = begin.wrapping_add(size);
    while line < end {
        #[expect(unsafe_code, reason = "a prefetch reads nothing, whatever it is pointed at")]
        // SAFETY: prefetching an address has no effect that a program could see, be the address valid or not.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(line.cast());
        }
        line = line.wrapping_add(LINE);
    }
}

/// Elsewhere nothing is fetched ahead.
#[cfg(not(target_arch = "x86_64"))]
fn fetch(_begin: *const u8, _size: usize) {}

/// Bytes of a cache line.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// With fewer sockets a world fits into the caches, and looking ahead would only cost.
const WORTHWHILE: usize = 4_096;
