//! Glances: asking for the memory of what comes next while there is something else to do.
//!
//! A world of many hosts does not fit into the processor's caches, and its hosts take turns: whatever an event looks at
//! is mostly far away, and waiting for it would cost ten times what there is to do. But the agenda knows some events ahead
//! whom they will happen to. What they point to is fetched step by step, for all of them at a time, so that the waits
//! overlap. Nothing happens differently for that, only sooner.

use sp_proto::{PipeId, visit_body};

use crate::connection::{ConnectionId, EndState, Parcel, Side};
use crate::host::{LiveSocket, Owner};
use crate::ids::SocketId;
use crate::roles::Roles;
use crate::stage::{Due, Stage};

/// Looks at what comes next, again and again.
#[derive(Debug, Default)]
pub(crate) struct Glance {
    looks: Vec<Look>,
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
    arrives: bool,
}

impl Glance {
    /// Fetches what these events will look at, as far as that pays.
    pub(crate) fn over(&mut self, stage: &Stage, roles: &Roles, upcoming: impl Iterator<Item = Due>) {
        if stage.socket_count() < WORTHWHILE {
            return;
        }
        self.looks.clear();
        self.looks.extend(upcoming.filter_map(Look::at));
        for step in Look::STEPS {
            for look in &mut self.looks {
                step(look, stage, roles);
            }
        }
    }
}

impl Look {
    /// Each follows the pointers that the step before has fetched.
    const STEPS: [fn(&mut Look, &Stage, &Roles); 9] = [
        Look::at_beginning,
        Look::at_owner,
        Look::at_place,
        Look::at_socket,
        Look::behind_socket,
        Look::behind_protocol,
        Look::at_way_out,
        Look::at_connection_out,
        Look::behind_connection_out,
    ];

    fn at(due: Due) -> Option<Look> {
        let nothing = Look {
            owner: Owner::Outside,
            socket: None,
            connection: None,
            side: Side::Dialer,
            pipe: None,
            arrives: false,
        };
        match due {
            Due::Arrival { connection, sender } => {
                Some(Look { connection: Some(connection), side: sender.other(), arrives: true, ..nothing })
            }
            Due::Credit { connection, sender } => Some(Look { connection: Some(connection), side: sender, ..nothing }),
            Due::Timer { socket } => Some(Look { socket: Some(socket), ..nothing }),
            Due::Ask { client, .. } => Some(Look { owner: Owner::Client(client), ..nothing }),
            Due::Served { instance, .. } => Some(Look { owner: Owner::Instance(instance), ..nothing }),
            _ => None,
        }
    }

    fn at_beginning(&mut self, stage: &Stage, roles: &Roles) {
        roles.footprint(self.owner, &mut fetch);
        if let Some(id) = self.connection {
            stage.network.connections.footprint(id, &mut fetch);
        }
    }

    fn at_owner(&mut self, stage: &Stage, roles: &Roles) {
        roles.footprint_within(self.owner, &mut fetch);
        if let Some(connection) = self.connection.and_then(|id| stage.network.connections.get(id)) {
            fetch_value(connection);
        }
    }

    fn at_place(&mut self, stage: &Stage, roles: &Roles) {
        if let Some(connection) = self.connection.and_then(|id| stage.network.connections.get(id)) {
            let end = connection.end(self.side);
            self.socket = Some(end.socket);
            if let EndState::Up(pipe) = end.state {
                self.pipe = Some(pipe);
            }
            connection.way(self.side.other()).footprint(&mut fetch);
        }
        self.socket = self.socket.or_else(|| roles.first_socket(self.owner));
        if let Some(socket) = self.socket {
            stage.footprint(socket, &mut fetch);
        }
    }

    fn at_socket(&mut self, stage: &Stage, _roles: &Roles) {
        if let Some(live) = self.live(stage) {
            fetch_value(live);
        }
        if self.arrives
            && let Some(connection) = self.connection.and_then(|id| stage.network.connections.get(id))
            && let Some(Parcel::Message(message)) = connection.way(self.side.other()).channel.iter().next()
        {
            visit_body(&message.body, &mut fetch);
        }
    }

    fn behind_socket(&mut self, stage: &Stage, roles: &Roles) {
        let Some(live) = self.live(stage) else { return };
        live.machine.footprint(0, self.pipe, &mut fetch);
        live.footprint(&mut fetch);
        if self.owner == Owner::Outside {
            self.owner = live.owner;
            roles.footprint(self.owner, &mut fetch);
        }
    }

    fn behind_protocol(&mut self, stage: &Stage, roles: &Roles) {
        let Some(live) = self.live(stage) else { return };
        live.machine.footprint(1, self.pipe, &mut fetch);
        roles.footprint_within(self.owner, &mut fetch);
    }

    fn at_way_out(&mut self, stage: &Stage, roles: &Roles) {
        roles.footprint_of_work(self.owner, &mut fetch);
        let Some(live) = self.live(stage) else { return };
        live.machine.footprint(2, self.pipe, &mut fetch);
        if self.connection.is_none()
            && let Some(pipe) = live.machine.likely_pipe()
            && let Some((connection, side)) = live.line(pipe)
        {
            (self.connection, self.side, self.pipe) = (Some(connection), side, Some(pipe));
            stage.network.connections.footprint(connection, &mut fetch);
            live.machine.footprint(3, self.pipe, &mut fetch);
        }
    }

    fn at_connection_out(&mut self, stage: &Stage, _roles: &Roles) {
        if !self.arrives
            && let Some(connection) = self.connection.and_then(|id| stage.network.connections.get(id))
        {
            fetch_value(connection);
            if let Some(live) = self.live(stage) {
                live.machine.footprint(1, self.pipe, &mut fetch);
            }
        }
    }

    fn behind_connection_out(&mut self, stage: &Stage, _roles: &Roles) {
        if let Some(connection) = self.connection.and_then(|id| stage.network.connections.get(id)) {
            connection.way(self.side).footprint(&mut fetch);
        }
    }

    fn live<'a>(&self, stage: &'a Stage) -> Option<&'a LiveSocket> {
        stage.socket(self.socket?).ok()
    }
}

fn fetch_value<T>(value: &T) {
    fetch(std::ptr::from_ref(value).cast(), size_of::<T>());
}

/// Asks for the cache lines of a piece of memory, and does not wait for them.
#[cfg(target_arch = "x86_64")]
fn fetch(begin: *const u8, size: usize) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    let within = begin.addr() % LINE;
    for offset in (0..within + size).step_by(LINE) {
        #[expect(unsafe_code, reason = "a prefetch reads nothing, whatever it is pointed at")]
        // SAFETY: prefetching an address has no effect that a program could see, be the address valid or not.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(begin.wrapping_sub(within).wrapping_add(offset).cast());
        }
    }
}

/// Elsewhere nothing is fetched ahead.
#[cfg(not(target_arch = "x86_64"))]
fn fetch(_begin: *const u8, _size: usize) {}

/// Bytes of a cache line.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// With fewer sockets a world fits into the caches, and looking ahead would only cost.
const WORTHWHILE: usize = 512;
