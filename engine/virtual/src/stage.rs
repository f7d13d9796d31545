//! The stage: everything that roles and outsiders act on. Hosts, sockets, the network, and what is due.

mod wire;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use sp_link::{LinkOptions, Luck, Stream};
use sp_proto::{Answer, Dialer, DownReason, EndpointOptions, Kind, OpError, Options, Socket, Ticket, Time, Visit};

use crate::agenda::Agenda;
use crate::connection::{ConnectionId, Parcel, Side};
use crate::error::WorldError;
use crate::host::{Dialing, Host, LiveSocket, Owner};
use crate::ids::{HostId, OutsideTicket, SiteId, SocketId};
use crate::network::{Listening, Network};
use crate::processor::{Handling, Processor};
use crate::story::{Scene, Story};
use crate::world::Outcome;

/// The world without its roles. Whoever touches a socket here leaves it to be settled: [`next_touched`](Stage::next_touched)
/// names it, [`settle`](Stage::settle) does what the socket wants from the world.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) now: Time,
    pub(crate) agenda: Agenda<Due>,
    pub(crate) network: Network,
    pub(crate) luck: Luck,
    pub(crate) story: Option<Story>,
    pub(crate) outcomes: VecDeque<Outcome>,
    /// Bytes of the stream that may be under way unconsumed on a connection, in each direction.
    window: usize,
    handling: Option<Handling>,
    /// By site, if handling costs anything.
    processors: Vec<Processor>,
    hosts: Vec<Host>,
    /// Where each host is. Apart from the hosts, for every answer asks for it and for nothing else.
    sites: Vec<SiteId>,
    host_names: HashSet<String>,
    sockets: Vec<Option<Box<LiveSocket>>>,
    touched: VecDeque<SocketId>,
    /// Those of the latest socket, which the next will mostly share.
    options: Option<Arc<Options>>,
}

/// What can be due.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Due {
    /// Something that this side sent arrives.
    Arrival { connection: ConnectionId, sender: Side },
    /// This side hears that its peer has consumed something.
    Credit { connection: ConnectionId, sender: Side },
    /// This side notices that its peer is gone.
    Noticed { connection: ConnectionId, side: Side },
    /// The dialer gives up.
    Handshake { connection: ConnectionId },
    /// A dialer may try again.
    Dial { socket: SocketId, dialer: u32 },
    /// A socket's own time-out.
    Timer { socket: SocketId },
    /// A client asks.
    Ask { client: u32, place: u32, life: u32 },
    /// A worker has done its work.
    Served { instance: u32, worker: u32, life: u32 },
    /// The program of its site comes to know that.
    Resumed { instance: u32, worker: u32, life: u32 },
    /// The program of a site takes up what has arrived there.
    Taken { site: SiteId },
    /// A visitor asks at a station.
    Come { visitor: u32, place: u32, life: u32 },
    /// An instance kills its host.
    GiveUp { host: HostId },
    /// A worker of a station is done.
    Leave { server: u32, worker: u32, life: u32 },
    /// A fault of the schedule.
    Fault { number: u32 },
}

/// # Hosts
impl Stage {
    pub(crate) fn new(luck: Luck, window: usize, handling: Option<Handling>, story: Option<Story>) -> Stage {
        Stage {
            now: Time::ZERO,
            agenda: Agenda::new(),
            network: Network::new(luck),
            luck,
            story,
            outcomes: VecDeque::new(),
            window,
            handling,
            processors: Vec::new(),
            hosts: Vec::new(),
            sites: Vec::new(),
            host_names: HashSet::new(),
            sockets: Vec::new(),
            touched: VecDeque::new(),
            options: None,
        }
    }

    pub(crate) fn add_site(&mut self, name: &str, within: LinkOptions) -> Result<SiteId, WorldError> {
        let site = self.network.add_site(name, within)?;
        self.processors.extend(self.handling.map(Processor::new));
        Ok(site)
    }

    /// Checks that no message has been made up or forgotten, and that every window is counted right.
    pub(crate) fn audit(&self) -> Result<(), String> {
        let inboxes = self.processors.iter().flat_map(|processor| &processor.inbox);
        let arrived: Vec<(ConnectionId, Side, usize)> = inboxes
            .filter(|(_, _, parcel)| matches!(parcel, Parcel::Message(_)))
            .map(|(id, side, parcel)| (*id, *side, parcel.size()))
            .collect();
        self.network.audit(&arrived)
    }

    /// Work of a site has become due; says when its program takes it up, if that takes time.
    pub(crate) fn resume(&mut self, site: SiteId) -> Option<Time> {
        let now = self.now;
        self.processors.get_mut(site.index()).map(|processor| processor.resume(now))
    }

    pub(crate) fn add_host(&mut self, name: &str, site: SiteId) -> Result<HostId, WorldError> {
        self.network.site_name(site)?;
        if !self.host_names.insert(name.to_owned()) {
            return Err(WorldError::Taken { what: "host", name: name.to_owned() });
        }
        self.hosts.push(Host::new(name));
        self.sites.push(site);
        Ok(HostId(self.hosts.len() as u32 - 1))
    }

    pub(crate) fn host(&self, id: HostId) -> Result<&Host, WorldError> {
        self.hosts.get(id.index()).ok_or(WorldError::Unknown { what: "host", number: id.0 })
    }

    pub(crate) fn site_of(&self, id: HostId) -> Result<SiteId, WorldError> {
        self.sites.get(id.index()).copied().ok_or(WorldError::Unknown { what: "host", number: id.0 })
    }

    pub(crate) fn stream(&self, host: HostId, name: &str) -> Stream {
        let host = &self.hosts[host.index()];
        match host.life {
            1 => self.luck.stream(&format!("{}/{name}", host.name)),
            life => self.luck.stream(&format!("{}#{life}/{name}", host.name)),
        }
    }

    pub(crate) fn watch(&mut self, id: HostId) -> Result<(), WorldError> {
        self.host(id)?;
        self.hosts[id.index()].watched = true;
        Ok(())
    }

    /// Its sockets are gone at once and without a word but a reset; false if it was dead already.
    pub(crate) fn kill(&mut self, id: HostId) -> Result<bool, WorldError> {
        self.end(id, || Some(Parcel::Reset))
    }

    /// Its sockets are gone at once and without a word; their peers notice after a while.
    pub(crate) fn vanish(&mut self, id: HostId, unnoticed: Duration) -> Result<bool, WorldError> {
        let sockets = self.host(id)?.sockets.clone();
        let lives = sockets.into_iter().filter_map(|socket| self.sockets[socket.index()].as_deref());
        let connections: Vec<(ConnectionId, Side)> = lives.flat_map(|live| live.connections.iter().copied()).collect();
        for (connection, side) in connections {
            self.agenda.enter(self.now + unnoticed, Due::Noticed { connection, side: side.other() });
        }
        self.end(id, || None)
    }

    fn end(&mut self, id: HostId, farewell: impl Fn() -> Option<Parcel>) -> Result<bool, WorldError> {
        if !self.host(id)?.alive {
            return Ok(false);
        }
        let host = &mut self.hosts[id.index()];
        host.alive = false;
        let watched = host.watched;
        self.tell(id, Scene::Killed);
        for socket in std::mem::take(&mut self.hosts[id.index()].sockets) {
            self.remove_socket(socket, &farewell);
        }
        if watched {
            self.outcomes.push_back(Outcome::Killed(id));
        }
        Ok(true)
    }

    /// It can have sockets again; false if it was not dead.
    pub(crate) fn restore(&mut self, id: HostId) -> Result<bool, WorldError> {
        if self.host(id)?.alive {
            return Ok(false);
        }
        let host = &mut self.hosts[id.index()];
        host.alive = true;
        host.life += 1;
        if host.watched {
            self.outcomes.push_back(Outcome::Restored(id));
        }
        self.tell(id, Scene::Restored);
        Ok(true)
    }
}

/// # Links
impl Stage {
    pub(crate) fn link(&mut self, a: SiteId, b: SiteId, options: LinkOptions) -> Result<(), WorldError> {
        self.network.link(a, b, options)
    }

    pub(crate) fn cut(&mut self, a: SiteId, b: SiteId) -> Result<(), WorldError> {
        for link in self.network.link_between(a, b)? {
            self.network.links[link].cut(self.now.as_nanos());
        }
        self.tell_of_link(a, b, |other| Scene::Cut(other));
        Ok(())
    }

    pub(crate) fn heal(&mut self, a: SiteId, b: SiteId) -> Result<(), WorldError> {
        let links = self.network.link_between(a, b)?;
        self.heal_links(&links);
        self.tell_of_link(a, b, |other| Scene::Healed(other));
        Ok(())
    }

    /// A cut of one direction.
    pub(crate) fn mute(&mut self, from: SiteId, to: SiteId) -> Result<(), WorldError> {
        let [there, _] = self.network.link_between(from, to)?;
        self.network.links[there].cut(self.now.as_nanos());
        self.tell_of_link(from, to, |other| Scene::Muted(other));
        Ok(())
    }

    pub(crate) fn unmute(&mut self, from: SiteId, to: SiteId) -> Result<(), WorldError> {
        let [there, _] = self.network.link_between(from, to)?;
        self.heal_links(&[there]);
        self.tell_of_link(from, to, |other| Scene::Unmuted(other));
        Ok(())
    }

    fn heal_links(&mut self, links: &[usize]) {
        for link in links {
            self.network.links[*link].heal(self.now.as_nanos());
        }
        for connection in self.network.over(links) {
            self.arm(connection, Side::Dialer);
            self.arm(connection, Side::Listener);
        }
    }

    /// Both ends of every connection over the link learn at once that it is broken.
    pub(crate) fn sever(&mut self, a: SiteId, b: SiteId) -> Result<(), WorldError> {
        let links = self.network.link_between(a, b)?;
        self.tell_of_link(a, b, |other| Scene::Broken(other));
        for connection in self.network.over(&links) {
            self.leave(connection, Side::Dialer, DownReason::Lost, None);
            self.leave(connection, Side::Listener, DownReason::Lost, None);
        }
        Ok(())
    }
}

/// # Sockets
impl Stage {
    pub(crate) fn open_socket(
        &mut self,
        host: HostId,
        kind: Kind,
        options: Options,
        owner: Owner,
    ) -> Result<SocketId, WorldError> {
        let Host { name, alive, opened, .. } = self.host(host)?;
        if !alive {
            return Err(WorldError::Down(name.clone()));
        }
        let seed = self.luck.seed(&format!("socket/{name}/{opened}"));
        let options = match &self.options {
            Some(latest) if **latest == options => latest.clone(),
            _ => self.options.insert(Arc::new(options)).clone(),
        };
        let machine = Socket::new(kind, options, seed)?;
        let id = SocketId(self.sockets.len() as u32);
        self.sockets.push(Some(Box::new(LiveSocket::new(host, owner, machine))));
        let host = &mut self.hosts[host.index()];
        host.opened += 1;
        host.sockets.insert(id);
        Ok(id)
    }

    pub(crate) fn socket(&self, id: SocketId) -> Result<&LiveSocket, WorldError> {
        self.sockets
            .get(id.index())
            .ok_or(WorldError::Unknown { what: "socket", number: id.0 })?
            .as_deref()
            .ok_or(WorldError::Socket(OpError::Closed))
    }

    /// A socket, if it is still there.
    pub(crate) fn find(&self, id: SocketId) -> Option<&LiveSocket> {
        self.sockets.get(id.index())?.as_deref()
    }

    /// How many sockets there have been.
    pub(crate) fn socket_count(&self) -> usize {
        self.sockets.len()
    }

    /// Visits the place of a socket.
    pub(crate) fn footprint(&self, id: SocketId, visit: Visit) {
        if let Some(place) = self.sockets.get(id.index()) {
            visit(std::ptr::from_ref(place).cast(), 1);
        }
    }

    pub(crate) fn listen(&mut self, id: SocketId, address: &str, endpoint: EndpointOptions) -> Result<(), WorldError> {
        let host = self.socket(id)?.host;
        if let Some(Listening { socket: Some(_), .. }) = self.network.listeners.get(address) {
            return Err(WorldError::Taken { what: "listener", name: address.to_owned() });
        }
        self.network.listeners.insert(address.to_owned(), Listening { host, socket: Some(id), endpoint });
        if let Some(live) = self.live(id) {
            live.addresses.push(address.to_owned());
        }
        Ok(())
    }

    pub(crate) fn dial(&mut self, id: SocketId, address: &str, endpoint: EndpointOptions) -> Result<(), WorldError> {
        let now = self.now;
        let live = self.socket(id)?;
        let host = &self.hosts[live.host.index()];
        if let Some(there) = self.network.listeners.get(address) {
            self.network.link_between(self.sites[live.host.index()], self.sites[there.host.index()])?;
        }
        let seed = self.luck.seed(&format!("dialer/{}/{}/{}", host.name, host.opened, live.dialers.len()));
        let machine = Dialer::new(now, live.machine.options(), seed);
        let Some(live) = self.live(id) else { return Ok(()) };
        live.dialers.push(Dialing { machine, address: address.to_owned(), endpoint });
        let dialer = live.dialers.len() as u32 - 1;
        self.agenda.enter(now, Due::Dial { socket: id, dialer });
        Ok(())
    }

    /// The machine of a socket that is still there, to be commanded; it is settled afterwards.
    pub(crate) fn touch(&mut self, id: SocketId) -> Option<&mut Socket> {
        let live = self.sockets.get_mut(id.index())?.as_deref_mut()?;
        if !std::mem::replace(&mut live.touched, true) {
            self.touched.push_back(id);
        }
        Some(&mut live.machine)
    }

    /// Closes a socket in order: what it has promised to send is sent, then every connection ends.
    pub(crate) fn close_socket(&mut self, id: SocketId) -> Result<(), WorldError> {
        let host = self.socket(id)?.host;
        self.settle(id);
        self.flush(id);
        self.hosts[host.index()].sockets.remove(&id);
        self.remove_socket(id, || Some(Parcel::Fin));
        Ok(())
    }

    /// The next socket that waits to be settled.
    pub(crate) fn next_touched(&mut self) -> Option<SocketId> {
        let id = self.touched.pop_front()?;
        if let Some(live) = self.live(id) {
            live.touched = false;
        }
        Some(id)
    }

    /// Does what a socket wants from the world: transmits, reads on, and remembers when it wants to be told of the time.
    pub(crate) fn settle(&mut self, id: SocketId) {
        while let Some(live) = self.live(id) {
            if let Some(pipe) = live.machine.poll_output() {
                if let Some((connection, side)) = live.line(pipe) {
                    self.pump(connection, side);
                }
            } else if let Some(pipe) = live.machine.poll_resumed() {
                if let Some((connection, side)) = live.line(pipe) {
                    self.admit(connection, side);
                }
            } else if let Some((pipe, reason)) = live.machine.poll_disconnect() {
                if let Some((connection, side)) = live.line(pipe) {
                    self.leave(connection, side, reason, Some(Parcel::Reset));
                }
            } else {
                break;
            }
        }
        self.set_timer(id);
    }

    /// The next answered ticket of a socket, and who waits for it.
    pub(crate) fn poll_answer(&mut self, id: SocketId) -> Option<(Owner, Ticket, Answer)> {
        let live = self.live(id)?;
        let (ticket, answer) = live.machine.poll_answer()?;
        Some((live.owner, ticket, answer))
    }

    /// Something of the stage's own is due; the rest is the roles' business.
    pub(crate) fn handle(&mut self, due: Due) {
        match due {
            Due::Arrival { connection, sender } => self.arrive(connection, sender),
            Due::Taken { site } => self.take_up(site),
            Due::Credit { connection, sender } => self.credit(connection, sender),
            Due::Noticed { connection, side } => self.leave(connection, side, DownReason::Lost, None),
            Due::Handshake { connection } => self.give_up(connection),
            Due::Dial { socket, dialer } => self.connect(socket, dialer as usize),
            Due::Timer { socket } => self.handle_timer(socket),
            Due::Ask { .. }
            | Due::Served { .. }
            | Due::Resumed { .. }
            | Due::Come { .. }
            | Due::Leave { .. }
            | Due::GiveUp { .. }
            | Due::Fault { .. } => {}
        }
    }

    fn handle_timer(&mut self, id: SocketId) {
        let now = self.now;
        if let Some(live) = self.live(id) {
            live.timer = None;
        }
        if let Some(machine) = self.touch(id) {
            machine.handle_timeout(now);
        }
    }

    fn live(&mut self, id: SocketId) -> Option<&mut LiveSocket> {
        self.sockets.get_mut(id.index())?.as_deref_mut()
    }

    /// An alarm that rings too early is let ring: it costs one look, where moving it costs one for each message.
    fn set_timer(&mut self, id: SocketId) {
        let Some(live) = self.sockets.get_mut(id.index()).and_then(Option::as_deref_mut) else { return };
        let Some(due) = live.machine.poll_timeout() else { return };
        match live.timer {
            Some((at, _)) if at <= due => return,
            Some((_, alarm)) => {
                self.agenda.cancel(alarm);
            }
            None => {}
        }
        live.timer = Some((due, self.agenda.set_alarm(due, Due::Timer { socket: id })));
    }

    /// Takes a socket away, answers whoever waits outside, and ends its connections with this word.
    fn remove_socket(&mut self, id: SocketId, farewell: impl Fn() -> Option<Parcel>) {
        let Some(mut live) = self.sockets.get_mut(id.index()).and_then(Option::take) else { return };
        live.machine.close();
        while let Some((ticket, answer)) = live.machine.poll_answer() {
            if live.owner == Owner::Outside {
                self.outcomes.push_back(Outcome::Answered(OutsideTicket { socket: id, ticket }, answer));
            }
        }
        if let Some((_, alarm)) = live.timer {
            self.agenda.cancel(alarm);
        }
        for address in &live.addresses {
            if let Some(listening) = self.network.listeners.get_mut(address) {
                listening.socket = None;
            }
        }
        for (connection, side) in live.connections {
            self.leave(connection, side, DownReason::Closed, farewell());
        }
    }
}

/// # The story
impl Stage {
    pub(crate) fn tell(&mut self, host: HostId, scene: Scene<'_>) {
        if let Some(story) = &mut self.story {
            story.tell(self.now, &self.hosts[host.index()].name, scene);
        }
    }

    fn tell_of_peer(&mut self, host: HostId, peer: HostId, scene: impl for<'a> FnOnce(&'a str) -> Scene<'a>) {
        if let Some(story) = &mut self.story {
            story.tell(self.now, &self.hosts[host.index()].name, scene(&self.hosts[peer.index()].name));
        }
    }

    fn tell_of_link(&mut self, a: SiteId, b: SiteId, scene: impl for<'a> FnOnce(&'a str) -> Scene<'a>) {
        if let Some(story) = &mut self.story
            && let (Ok(a), Ok(b)) = (self.network.site_name(a), self.network.site_name(b))
        {
            story.tell(self.now, a, scene(b));
        }
    }
}
