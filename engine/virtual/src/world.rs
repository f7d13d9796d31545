//! The world: the front door.

use std::time::Duration;

use bytes::Bytes;
use sp_link::{LinkOptions, Luck, Stream};
use sp_proto::{Answer, ContextId, EndpointOptions, Kind, OpError, Options, Stats, Time};

use crate::error::WorldError;
use crate::glance::Glance;
use crate::host::Owner;
use crate::ids::{CrowdId, HostId, OutsideTicket, SiteId, SocketId, StationId};
use crate::meters::Meter;
use crate::processor::Handling;
use crate::roles::faults::Fault;
use crate::roles::service::ServicePlan;
use crate::roles::stations::{CrowdPlan, StationPlan};
use crate::roles::workload::WorkloadPlan;
use crate::roles::{InstanceId, Roles, ServiceId, WorkloadId};
use crate::stage::{Due, Stage};
use crate::story::Story;

/// A world in virtual time. How it is used stands at the top of this crate.
#[derive(Debug)]
pub struct World {
    stage: Stage,
    roles: Roles,
    faults: Vec<Fault>,
    events: u64,
    glance: Glance,
    /// Until which draw of the agenda it has looked ahead.
    seen: u64,
}

/// How a world begins.
#[derive(Clone, Debug)]
pub struct WorldOptions {
    /// All its luck comes from this.
    pub seed: u64,
    /// Which replication it is: other luck under the same seed.
    pub replication: u64,
    /// Bytes, frames included, that may be sent on a connection in each direction and not be consumed; one message may
    /// always be. It stands for what the buffers of a transport hold. Default 256 KiB.
    pub window: usize,
    /// What it costs a site's program to handle messages; none if it costs nothing and hosts of a site do not get in each
    /// other's way. Default none.
    pub handling: Option<Handling>,
    /// Keep a story of so many lines; none for no story. Default none.
    pub story: Option<usize>,
}

/// What comes of a world for someone outside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A ticket is answered.
    Answered(OutsideTicket, Answer),
    /// A watched host was killed.
    Killed(HostId),
    /// A watched host was restored.
    Restored(HostId),
}

/// Why the world stopped advancing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is as far as it should go, or nothing is left to happen.
    Arrived,
    /// There are outcomes to be polled.
    Outcome,
    /// It has done as many events as it was allowed.
    Paused,
}

/// # Built and asked about
impl World {
    /// An empty world at the beginning of its time.
    pub fn new(options: WorldOptions) -> World {
        let luck = Luck::new(options.seed, options.replication);
        World {
            stage: Stage::new(luck, options.window, options.handling, options.story.map(Story::new)),
            roles: Roles::default(),
            faults: Vec::new(),
            events: 0,
            glance: Glance::default(),
            seen: 0,
        }
    }

    /// What time it is there.
    pub fn now(&self) -> Time {
        self.stage.now
    }

    /// How many events there have been: things that arrived, came due or were answered by a clock.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The story so far, if one is kept.
    pub fn story(&self) -> Option<&Story> {
        self.stage.story.as_ref()
    }

    /// A stream of the world's luck that belongs to a host: its name is `host/name`, and `host#2/name` after the first
    /// restore, and so on, so that no luck is had twice.
    pub fn stream(&self, host: HostId, name: &str) -> Result<Stream, WorldError> {
        self.stage.host(host)?;
        Ok(self.stage.stream(host, name))
    }

    /// Adds a site; `within` is the link between hosts of it.
    pub fn add_site(&mut self, name: &str, within: LinkOptions) -> Result<SiteId, WorldError> {
        self.stage.add_site(name, within)
    }

    /// Lays a link between two sites, alike in both directions.
    pub fn link(&mut self, a: SiteId, b: SiteId, options: LinkOptions) -> Result<(), WorldError> {
        self.stage.link(a, b, options)
    }

    /// The sites' names, by number.
    pub fn sites(&self) -> &[String] {
        self.stage.network.site_names()
    }

    /// Adds a host to a site.
    pub fn add_host(&mut self, name: &str, site: SiteId) -> Result<HostId, WorldError> {
        self.stage.add_host(name, site)
    }

    /// Is the host alive?
    pub fn is_alive(&self, host: HostId) -> Result<bool, WorldError> {
        Ok(self.stage.host(host)?.alive)
    }

    /// From now on, outcomes tell of this host's death and return.
    pub fn watch(&mut self, host: HostId) -> Result<(), WorldError> {
        self.stage.watch(host)
    }
}

/// # Sockets
impl World {
    /// Opens a socket on a host that is alive.
    pub fn open_socket(&mut self, host: HostId, kind: Kind, options: Options) -> Result<SocketId, WorldError> {
        self.stage.open_socket(host, kind, options, Owner::Outside)
    }

    /// Listens under a name; any text will do.
    pub fn listen(&mut self, socket: SocketId, address: &str, endpoint: EndpointOptions) -> Result<(), WorldError> {
        self.stage.listen(socket, address, endpoint)
    }

    /// Keeps a connection to a name up. It begins at the next [`advance`](World::advance), so whoever listens by then
    /// at the same moment is heard.
    pub fn dial(&mut self, socket: SocketId, address: &str, endpoint: EndpointOptions) -> Result<(), WorldError> {
        self.stage.dial(socket, address, endpoint)
    }

    /// Opens another conversation.
    pub fn open_context(&mut self, socket: SocketId) -> Result<ContextId, WorldError> {
        self.command(socket, |machine, now| machine.open_context(now))?.map_err(WorldError::from)
    }

    /// Ends a conversation; whoever waits in it is answered.
    pub fn close_context(&mut self, socket: SocketId, context: ContextId) -> Result<(), WorldError> {
        self.command(socket, |machine, now| machine.close_context(now, context))
    }

    /// Subscribes to messages that begin with `prefix`; SUB only.
    pub fn subscribe(&mut self, socket: SocketId, context: ContextId, prefix: &[u8]) -> Result<(), WorldError> {
        self.command(socket, |machine, now| machine.subscribe(now, context, prefix))?.map_err(WorldError::from)
    }

    /// Takes one subscription back.
    pub fn unsubscribe(&mut self, socket: SocketId, context: ContextId, prefix: &[u8]) -> Result<(), WorldError> {
        self.command(socket, |machine, now| machine.unsubscribe(now, context, prefix))?.map_err(WorldError::from)
    }

    /// Says how long the next surveys of this context run; SURVEYOR only.
    pub fn set_survey_deadline(
        &mut self,
        socket: SocketId,
        context: ContextId,
        span: Duration,
    ) -> Result<(), WorldError> {
        self.command(socket, |machine, _| machine.set_survey_deadline(context, span))?.map_err(WorldError::from)
    }

    /// Sends, now or later. The answer comes as an [`Outcome`], perhaps at once.
    pub fn submit_send(
        &mut self,
        socket: SocketId,
        context: ContextId,
        body: Bytes,
        deadline: Option<Time>,
    ) -> Result<OutsideTicket, WorldError> {
        let ticket = self.command(socket, |machine, now| machine.submit_send(now, context, body, deadline))?;
        Ok(OutsideTicket { socket, ticket })
    }

    /// Receives, now or later. The answer comes as an [`Outcome`], perhaps at once.
    pub fn submit_recv(
        &mut self,
        socket: SocketId,
        context: ContextId,
        deadline: Option<Time>,
    ) -> Result<OutsideTicket, WorldError> {
        let ticket = self.command(socket, |machine, now| machine.submit_recv(now, context, deadline))?;
        Ok(OutsideTicket { socket, ticket })
    }

    /// Takes an operation back; false if it has been answered, and then the answer stands.
    pub fn cancel(&mut self, ticket: OutsideTicket) -> bool {
        self.command(ticket.socket, |machine, _| machine.cancel(ticket.ticket)).unwrap_or(false)
    }

    /// Gives a message back that was received but that nobody took; whoever receives there next gets it.
    pub fn put_back(&mut self, socket: SocketId, context: ContextId, body: Bytes) -> Result<(), WorldError> {
        self.command(socket, |machine, now| machine.put_back(now, context, body))
    }

    /// A socket's counters.
    pub fn stats(&self, socket: SocketId) -> Result<Stats, WorldError> {
        Ok(*self.stage.socket(socket)?.machine.stats())
    }

    /// How many pipes a socket has.
    pub fn pipe_count(&self, socket: SocketId) -> Result<usize, WorldError> {
        Ok(self.stage.socket(socket)?.machine.pipe_count())
    }

    /// Closes a socket in order: what it has accepted to send still travels. Who waits is answered.
    pub fn close_socket(&mut self, socket: SocketId) -> Result<(), WorldError> {
        self.stage.close_socket(socket)?;
        self.quiesce();
        Ok(())
    }

    fn command<R>(
        &mut self,
        socket: SocketId,
        act: impl FnOnce(&mut sp_proto::Socket, Time) -> R,
    ) -> Result<R, WorldError> {
        let now = self.stage.now;
        self.stage.socket(socket)?;
        let machine = self.stage.touch(socket).ok_or(WorldError::Socket(OpError::Closed))?;
        let result = act(machine, now);
        self.quiesce();
        Ok(result)
    }
}

/// # Roles
impl World {
    /// Starts a service: each instance listens now, and again after each restore of its host.
    pub fn add_service(&mut self, plan: ServicePlan) -> Result<ServiceId, WorldError> {
        let id = self.roles.add_service(&mut self.stage, plan)?;
        self.quiesce();
        Ok(id)
    }

    /// Starts a workload: each client dials now, and again after each restore of its host.
    pub fn add_workload(&mut self, plan: WorkloadPlan) -> Result<WorkloadId, WorldError> {
        let id = self.roles.add_workload(&mut self.stage, plan)?;
        self.quiesce();
        Ok(id)
    }

    /// Opens a station: a service that is reached without a network.
    pub fn add_station(&mut self, plan: StationPlan) -> Result<StationId, WorldError> {
        self.roles.stations.add_station(&self.stage, plan).map(|number| StationId(number as u32))
    }

    /// Lets a crowd go to a station.
    pub fn add_crowd(&mut self, station: StationId, plan: CrowdPlan) -> Result<CrowdId, WorldError> {
        let number = self.roles.stations.add_crowd(&mut self.stage, station.index(), plan)?;
        Ok(CrowdId(number as u32))
    }

    /// What has been measured of a crowd until now.
    pub fn crowd_meter(&mut self, crowd: CrowdId) -> Result<&Meter, WorldError> {
        self.roles.stations.meter(&self.stage, crowd.index())
    }

    /// How many requests each instance of a station has served.
    pub fn served_at(&self, station: StationId) -> Result<Vec<u64>, WorldError> {
        self.roles.stations.served(station.index())
    }

    /// Puts a fault on the agenda. One whose moment has passed happens at the next [`advance`](World::advance).
    pub fn schedule(&mut self, at: Time, fault: Fault) -> Result<(), WorldError> {
        match fault {
            Fault::Kill(host) | Fault::Vanish(host, _) | Fault::Restore(host) => {
                self.stage.host(host)?;
            }
            Fault::Cut(a, b) | Fault::Heal(a, b) | Fault::Mute(a, b) | Fault::Unmute(a, b) | Fault::Break(a, b) => {
                self.stage.network.link_between(a, b)?;
            }
        }
        self.faults.push(fault);
        let number = self.faults.len() as u32 - 1;
        self.stage.agenda.enter(at.max(self.stage.now), Due::Fault { number });
        Ok(())
    }

    /// What has been measured of a workload until now.
    pub fn meter(&mut self, workload: WorkloadId) -> Result<&Meter, WorldError> {
        self.roles.meter(&self.stage, workload)
    }

    /// How many requests, or messages, an instance of a service has served.
    pub fn served(&self, instance: InstanceId) -> Result<u64, WorldError> {
        self.roles.served(instance)
    }

    /// How long the workers of an instance have been busy, all together; what one has in hand counts whole.
    pub fn busy(&self, instance: InstanceId) -> Result<Duration, WorldError> {
        self.roles.busy(instance)
    }

    /// When an instance of a service has given up for lack of patience.
    pub fn gave_up(&self, instance: InstanceId) -> Result<Option<Time>, WorldError> {
        self.roles.gave_up(instance)
    }

    /// The instances of a service, in the order of its plan.
    pub fn instances(&self, service: ServiceId) -> Result<Vec<InstanceId>, WorldError> {
        self.roles.instances(service)
    }
}

/// # Faults
impl World {
    /// Carries out a fault now.
    pub fn strike(&mut self, fault: Fault) -> Result<(), WorldError> {
        match fault {
            Fault::Kill(host) => self.kill(host),
            Fault::Vanish(host, unnoticed) => self.vanish(host, unnoticed),
            Fault::Restore(host) => self.restore(host),
            Fault::Cut(a, b) => self.cut(a, b),
            Fault::Heal(a, b) => self.heal(a, b),
            Fault::Mute(a, b) => self.mute(a, b),
            Fault::Unmute(a, b) => self.unmute(a, b),
            Fault::Break(a, b) => self.break_(a, b),
        }
    }

    /// Kills a host: its sockets are gone, and a reset is all that its peers get. Killing a dead host changes nothing.
    pub fn kill(&mut self, host: HostId) -> Result<(), WorldError> {
        if self.stage.host(host)?.alive {
            self.roles.handle_kill(&mut self.stage, host);
            self.stage.kill(host)?;
            self.quiesce();
        }
        Ok(())
    }

    /// Kills a host so that nobody is told: what is sent to it is lost, and its peers notice that it is gone only after a
    /// while, as when a machine loses its power. Who connects anew is refused at once.
    pub fn vanish(&mut self, host: HostId, unnoticed: Duration) -> Result<(), WorldError> {
        if self.stage.host(host)?.alive {
            self.roles.handle_kill(&mut self.stage, host);
            self.stage.vanish(host, unnoticed)?;
            self.quiesce();
        }
        Ok(())
    }

    /// Restores a host that was killed; its roles begin anew.
    pub fn restore(&mut self, host: HostId) -> Result<(), WorldError> {
        if self.stage.restore(host)? {
            self.roles.handle_restore(&mut self.stage, host)?;
            self.quiesce();
        }
        Ok(())
    }

    /// Silence between two sites, or within one if they are the same.
    pub fn cut(&mut self, a: SiteId, b: SiteId) -> Result<(), WorldError> {
        self.stage.cut(a, b)
    }

    /// The end of a cut: what was held up arrives one delay from now.
    pub fn heal(&mut self, a: SiteId, b: SiteId) -> Result<(), WorldError> {
        self.stage.heal(a, b)
    }

    /// Silence in one direction: what `from` sends does not arrive at `to`.
    pub fn mute(&mut self, from: SiteId, to: SiteId) -> Result<(), WorldError> {
        self.stage.mute(from, to)
    }

    /// The end of silence in one direction.
    pub fn unmute(&mut self, from: SiteId, to: SiteId) -> Result<(), WorldError> {
        self.stage.unmute(from, to)
    }

    /// Breaks every connection between two sites; both ends know at once, and may connect again.
    pub fn break_(&mut self, a: SiteId, b: SiteId) -> Result<(), WorldError> {
        self.stage.sever(a, b)?;
        self.quiesce();
        Ok(())
    }
}

/// # Time
impl World {
    /// Goes on up to and including `until`, or until there is an outcome: then it stops right there and says when that
    /// is. Going on until [`Time::NEVER`] ends when nothing is left to happen, and time stays where it was.
    pub fn advance(&mut self, until: Time) -> Option<Time> {
        match self.advance_by(until, u64::MAX) {
            Progress::Outcome => Some(self.stage.now),
            Progress::Arrived | Progress::Paused => None,
        }
    }

    /// Like [`advance`](World::advance), and stops also after this many events, for whoever has to look around in
    /// between.
    pub fn advance_by(&mut self, until: Time, events: u64) -> Progress {
        self.quiesce();
        let mut left = events;
        while self.stage.outcomes.is_empty() {
            if left == 0 {
                return Progress::Paused;
            }
            let Some((at, due)) = self.stage.agenda.pop(until) else {
                if until != Time::NEVER {
                    self.stage.now = self.stage.now.max(until);
                }
                return Progress::Arrived;
            };
            debug_assert!(at >= self.stage.now, "{due:?} is due at {at:?}, before {:?}", self.stage.now);
            self.stage.now = at;
            self.events += 1;
            left -= 1;
            if self.seen != self.stage.agenda.draws() {
                self.seen = self.stage.agenda.draws();
                self.glance.over(&self.stage, &self.roles, due);
            }
            self.glance.step(&self.stage, &self.roles);
            self.handle(due);
            self.quiesce();
        }
        Progress::Outcome
    }

    /// The next thing that someone outside should know.
    pub fn poll_outcome(&mut self) -> Option<Outcome> {
        self.stage.outcomes.pop_front()
    }

    /// Are there outcomes?
    pub fn has_outcomes(&self) -> bool {
        !self.stage.outcomes.is_empty()
    }

    /// Is nothing left to happen?
    pub fn is_idle(&self) -> bool {
        self.stage.agenda.is_empty()
    }

    /// Checks that nothing has been made up and nothing forgotten: every message sent is delivered, discarded or under
    /// way, every window is counted right, and every request sent is answered, lost or in flight.
    pub fn audit(&self) -> Result<(), String> {
        self.stage.audit()?;
        self.roles.audit()
    }

    fn handle(&mut self, due: Due) {
        match due {
            Due::Ask { client, place, life } => self.roles.handle_ask(&mut self.stage, client, place, life),
            Due::Served { instance, worker, life } => match self.stage.resume(self.roles.site_of(instance)) {
                Some(at) => self.stage.agenda.enter(at, Due::Resumed { instance, worker, life }),
                None => self.roles.handle_served(&mut self.stage, instance, worker, life),
            },
            Due::Resumed { instance, worker, life } => {
                self.roles.handle_served(&mut self.stage, instance, worker, life);
            }
            Due::Come { visitor, place, life } => {
                self.roles.stations.handle_come(&mut self.stage, visitor, place, life);
            }
            Due::Leave { server, worker, life } => {
                self.roles.stations.handle_leave(&mut self.stage, server, worker, life);
            }
            Due::GiveUp { host } => self.kill(host).expect("it has lived on this host"),
            Due::Fault { number } => {
                let fault = self.faults[number as usize];
                self.strike(fault).expect("a scheduled fault was checked when it was scheduled");
            }
            other => self.stage.handle(other),
        }
    }

    /// Lets every touched socket have its way until all is quiet.
    fn quiesce(&mut self) {
        while let Some(socket) = self.stage.next_touched() {
            self.stage.settle(socket);
            while let Some((owner, ticket, answer)) = self.stage.poll_answer(socket) {
                match owner {
                    Owner::Outside => {
                        self.stage.outcomes.push_back(Outcome::Answered(OutsideTicket { socket, ticket }, answer));
                    }
                    Owner::Client(client) => {
                        self.roles.handle_client_answer(&mut self.stage, client, socket, ticket, answer);
                    }
                    Owner::Instance(instance) => {
                        self.roles.handle_instance_answer(&mut self.stage, instance, socket, ticket, answer);
                    }
                }
            }
        }
    }
}

impl Default for WorldOptions {
    fn default() -> WorldOptions {
        WorldOptions { seed: 1, replication: 0, window: 256 << 10, handling: None, story: None }
    }
}
