//! Workloads: who asks, how often, and what comes of it.

use std::mem::offset_of;
use std::time::Duration;

use smallvec::SmallVec;
use sp_proto::{Answer, EndpointOptions, Kind, Options, Ticket, Time, Visit};

use super::asking::Asking;
use super::body::sequence_for;
use super::pushing::Pushing;
use super::rhythm::{Load, Rhythm};
use super::router::{Choice, Router};
use super::surveying::Surveying;
use crate::error::WorldError;
use crate::host::Owner;
use crate::ids::{HostId, SiteId, SocketId};
use crate::meters::{Meter, MeterPlan};
use crate::stage::{Due, Stage};

/// A workload, as declared.
#[derive(Clone, Debug)]
pub struct WorkloadPlan {
    /// Its name.
    pub name: String,
    /// REQ for requests that are answered, SURVEYOR for those that all targets answer, PUSH for messages that are collected, PUB for those that all targets receive.
    pub kind: Kind,
    /// Who takes part; each client is a host of its own, with one socket.
    pub clients: Vec<ClientPlan>,
    /// How each of them asks.
    pub load: Load,
    /// Whom it asks. All in turn, within the best priority: that is the rule of its socket, which dials all of them. For
    /// every other choice it has a socket for each target and decides itself; REQ only.
    pub choice: Choice,
    /// Bytes of a request's body; at least the eight of its sequence number are sent.
    pub size: usize,
    /// What is not answered after that is lost.
    pub timeout: Duration,
    /// SURVEYOR: what is not complete after that is lost; who answers later, before the survey of the socket ends, is
    /// heard all the same. `None`: when the survey of the socket ends.
    pub deadline: Option<Duration>,
    /// How many receive each message in the end; `None`: all targets of a PUB or SURVEYOR socket, else one.
    pub receivers: Option<u32>,
    /// The options of each client's socket.
    pub options: Options,
    /// What to count.
    pub meter: MeterPlan,
}

/// One client, as declared.
#[derive(Clone, Debug)]
pub struct ClientPlan {
    /// Where it lives.
    pub host: HostId,
    /// Whom it dials.
    pub targets: Vec<(String, EndpointOptions)>,
}

/// A workload at work.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) plan: WorkloadPlan,
    pub(crate) meter: Meter,
}

/// A client at work.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Client {
    pub(crate) host: HostId,
    home: SiteId,
    /// The workload it takes part in.
    pub(crate) workload: usize,
    /// Its place in the plan.
    place: usize,
    /// Its number among all clients of the world.
    number: u32,
    /// How often it was started; cues for an earlier life are void.
    life: u32,
    /// Decides among several sockets.
    router: Option<Box<Router>>,
    asked: u64,
    /// Its sockets: one, or one for each target. None while the host is dead.
    lines: SmallVec<[Line; 1]>,
    rhythm: Rhythm,
}

/// A socket of a client, and what it waits for there.
#[derive(Debug)]
struct Line {
    socket: SocketId,
    repeats_seen: u64,
    manner: Manner,
}

#[derive(Debug)]
enum Manner {
    Asking(Asking),
    Pushing(Pushing),
    Surveying(Surveying),
}

/// What a client's manner works with while it acts.
pub(super) struct Act<'a> {
    pub(super) stage: &'a mut Stage,
    pub(super) meter: &'a mut Meter,
    pub(super) plan: &'a WorkloadPlan,
    pub(super) host: HostId,
    pub(super) home: SiteId,
    pub(super) socket: SocketId,
    /// How many sequence numbers have been used.
    pub(super) asked: &'a mut u64,
    /// Its place in the plan.
    place: usize,
}

impl WorkloadPlan {
    pub(crate) fn check(&self, stage: &Stage) -> Result<(), WorldError> {
        self.options.check()?;
        let problem = match self.load {
            _ if !matches!(self.kind, Kind::Req | Kind::Push | Kind::Pub | Kind::Surveyor) => {
                Some("asks through a req, a surveyor, a push or a pub socket")
            }
            Load::Closed { .. } if !matches!(self.kind, Kind::Req | Kind::Surveyor) => {
                Some("is a closed load, and nobody answers a push or a pub socket")
            }
            Load::Closed { outstanding, .. } if !(1..self.options.max_contexts).contains(&(outstanding as usize)) => {
                Some("has 1 to max_contexts - 1 requests outstanding")
            }
            Load::Flood if matches!(self.kind, Kind::Req | Kind::Surveyor) => {
                Some("floods through a push or a pub socket only")
            }
            _ if self.choice != Choice::InTurn && self.kind != Kind::Req => Some("chooses for itself on req only"),
            _ if self.choice == Choice::PowerOf(0) => Some("draws one target at least"),
            _ if self.clients.is_empty() => Some("has clients"),
            _ if self.clients.iter().any(|client| client.targets.is_empty()) => Some("has something to dial"),
            _ if self.size > self.options.max_message => Some("has messages of max_message at most"),
            _ if self.timeout.is_zero() => Some("has a timeout of more than zero"),
            _ if self.meter.bin.is_zero() => Some("has bins of more than zero"),
            _ => self.load.problem(),
        };
        if let Some(rule) = problem {
            return Err(WorldError::Plan(format!("workload {}: it {rule}", self.name)));
        }
        if let Load::Closed { think, .. } = &self.load {
            think.check()?;
        }
        self.clients.iter().try_for_each(|client| stage.host(client.host).map(|_| ()))
    }
}

impl Workload {
    pub(crate) fn new(plan: WorkloadPlan) -> Workload {
        Workload { meter: Meter::new(plan.meter.clone()), plan }
    }
}

impl Client {
    pub(crate) fn new(
        stage: &Stage,
        plan: &WorkloadPlan,
        workload: usize,
        place: usize,
        number: u32,
    ) -> Result<Client, WorldError> {
        let host = plan.clients[place].host;
        Ok(Client {
            host,
            workload,
            place,
            number,
            home: stage.site_of(host)?,
            life: 0,
            lines: SmallVec::new(),
            router: None,
            rhythm: Rhythm::default(),
            asked: 0,
        })
    }

    /// Opens its sockets, dials, and begins to ask.
    pub(crate) fn start(&mut self, stage: &mut Stage, workload: &mut Workload) -> Result<(), WorldError> {
        let plan = &workload.plan;
        let owner = Owner::Client(self.number);
        let targets = &plan.clients[self.place].targets;
        let mut earlier = std::mem::take(&mut self.lines).into_iter();
        let each = if plan.choice == Choice::InTurn { targets.len() } else { 1 };
        for of_socket in targets.chunks(each) {
            let socket = stage.open_socket(self.host, plan.kind, plan.options.clone(), owner)?;
            for (address, endpoint) in of_socket {
                stage.dial(socket, address, *endpoint)?;
            }
            let line = Line::new(socket, plan.kind);
            self.lines.push(earlier.next().map_or(line, |earlier| Line { socket, repeats_seen: 0, ..earlier }));
        }
        self.life += 1;
        let host = self.host;
        self.router = (plan.choice != Choice::InTurn).then(|| {
            let names: Vec<&str> = targets.iter().map(|(address, _)| address.as_str()).collect();
            let levels = targets.iter().map(|(_, endpoint)| endpoint.send_priority.level()).collect();
            let asker = stage.host(host).map_or_else(|_| String::new(), |host| host.name.clone());
            Box::new(Router::new(plan.choice, levels, stage.stream(host, "routing"), &asker, &names))
        });
        self.rhythm = Rhythm::begin(&workload.plan.load, stage.now, |name| stage.stream(host, name));
        match workload.plan.load {
            Load::Closed { outstanding, .. } => {
                (0..outstanding).for_each(|place| self.ask_at(stage, stage.now, place));
            }
            Load::Flood => self.ask_at(stage, stage.now, 0),
            _ => self.ask_next(stage, &workload.plan.load),
        }
        Ok(())
    }

    /// The host is about to lose its sockets; who waited for an answer will not get one.
    pub(crate) fn stop(&mut self, stage: &mut Stage, workload: &mut Workload) {
        self.look(stage, workload);
        self.life += 1;
        for line in 0..self.lines.len() {
            let (manner, mut act) = self.act(line, stage, workload);
            match manner {
                Manner::Asking(asking) => asking.abandon(&mut act),
                Manner::Pushing(pushing) => pushing.abandon(&mut act),
                Manner::Surveying(surveying) => surveying.abandon(&mut act),
            }
        }
        // What was pushed before may still arrive, in this life or the next.
        self.lines.retain(|line| matches!(line.manner, Manner::Pushing(_)));
    }

    /// It is time to ask, if this is still the life in which that was decided. `place` tells the requests of a closed
    /// load apart.
    pub(crate) fn handle_ask(&mut self, stage: &mut Stage, workload: &mut Workload, place: u32, life: u32) {
        if life == self.life {
            self.ask_next(stage, &workload.plan.load);
            self.ask(stage, workload, place);
        }
    }

    pub(crate) fn handle_answer(
        &mut self,
        stage: &mut Stage,
        workload: &mut Workload,
        socket: SocketId,
        ticket: Ticket,
        answer: Answer,
    ) {
        let Some(line) = self.lines.iter().position(|line| line.socket == socket) else { return };
        let (manner, mut act) = self.act(line, stage, workload);
        let (settled, turn) = match manner {
            Manner::Asking(asking) => (asking.handle_answer(&mut act, ticket, answer), None),
            Manner::Pushing(pushing) => (None, pushing.handle_answer(&mut act, ticket, &answer)),
            Manner::Surveying(surveying) => (surveying.handle_answer(&mut act, ticket, answer), None),
        };
        if let Some(turn) = turn {
            self.ask_at(stage, turn, 0);
        }
        self.lines[line].look(stage, workload);
        if let Some(place) = settled
            && let Some(thought) = self.rhythm.think(&workload.plan.load, place)
        {
            match thought {
                Duration::ZERO => self.ask(stage, workload, place),
                thought => self.ask_at(stage, stage.now + thought, place),
            }
        }
    }

    /// A collecting service has received the message number `count` of this client.
    pub(crate) fn handle_receipt(&mut self, stage: &mut Stage, workload: &mut Workload, count: u64, site: SiteId) {
        for line in &mut self.lines {
            if let Manner::Pushing(pushing) = &mut line.manner {
                pushing.handle_receipt(stage, workload, self.host, self.home, count, site);
            }
        }
    }

    /// Takes in what is not told but seen: requests sent again, and messages that are overdue.
    pub(crate) fn look(&mut self, stage: &Stage, workload: &mut Workload) {
        self.lines.iter_mut().for_each(|line| line.look(stage, workload));
    }

    /// Visits it, all that asking touches or only what answers do.
    pub(crate) fn footprint_here(&self, asks: bool, visit: Visit) {
        let touched = if asks { size_of::<Client>() } else { offset_of!(Client, rhythm) };
        visit(std::ptr::from_ref(self).cast(), touched);
    }

    /// Visits its first line, unless it lies here, and what is under way there.
    pub(crate) fn footprint(&self, visit: Visit) {
        if self.lines.spilled() {
            visit(self.lines.as_ptr().cast(), size_of::<Line>());
        } else if let Some(Line { manner: Manner::Asking(asking), .. }) = self.lines.first() {
            asking.footprint(visit);
        }
    }

    /// Its first socket.
    pub(crate) fn first_socket(&self) -> Option<SocketId> {
        self.lines.first().map(|line| line.socket)
    }

    /// When each of the requests was sent that it still waits for.
    pub(crate) fn waiting(&self) -> Vec<Time> {
        let of_line = |line: &Line| -> Vec<Time> {
            match &line.manner {
                Manner::Asking(asking) => asking.waiting().collect(),
                Manner::Pushing(pushing) => pushing.waiting().collect(),
                Manner::Surveying(surveying) => surveying.waiting().collect(),
            }
        };
        self.lines.iter().flat_map(of_line).collect()
    }

    fn ask(&mut self, stage: &mut Stage, workload: &mut Workload, place: u32) {
        if self.lines.is_empty() {
            return;
        }
        let line = self.choose(stage);
        let (manner, mut act) = self.act(line, stage, workload);
        let turn = match manner {
            Manner::Asking(asking) => {
                asking.ask(&mut act, place);
                None
            }
            Manner::Surveying(surveying) => {
                surveying.ask(&mut act, place);
                None
            }
            Manner::Pushing(pushing) if act.plan.load == Load::Flood => pushing.take_turn(&mut act),
            Manner::Pushing(pushing) => {
                pushing.push(&mut act);
                None
            }
        };
        if let Some(turn) = turn {
            self.ask_at(stage, turn, 0);
        }
    }

    /// An open load asks on, whatever became of the requests before.
    fn ask_next(&mut self, stage: &mut Stage, load: &Load) {
        if let Some(at) = self.rhythm.next(load) {
            self.ask_at(stage, at, 0);
        }
    }

    fn ask_at(&self, stage: &mut Stage, at: Time, place: u32) {
        stage.agenda.enter(at.max(stage.now), Due::Ask { client: self.number, place, life: self.life });
    }

    /// On which of its sockets the next request goes. Where nobody is connected it waits at the first.
    fn choose(&mut self, stage: &Stage) -> usize {
        let Client { lines, router: Some(router), .. } = self else { return 0 };
        let is_up = |place: usize| stage.socket(lines[place].socket).is_ok_and(|live| live.machine.pipe_count() > 0);
        router.choose(is_up, |place| lines[place].outstanding()).unwrap_or(0)
    }

    fn act<'a>(
        &'a mut self,
        line: usize,
        stage: &'a mut Stage,
        workload: &'a mut Workload,
    ) -> (&'a mut Manner, Act<'a>) {
        let Workload { plan, meter } = workload;
        let Line { socket, ref mut manner, .. } = self.lines[line];
        (
            manner,
            Act {
                stage,
                meter,
                plan,
                host: self.host,
                home: self.home,
                socket,
                asked: &mut self.asked,
                place: self.place,
            },
        )
    }
}

impl Line {
    fn new(socket: SocketId, kind: Kind) -> Line {
        let manner = match kind {
            Kind::Push | Kind::Pub => Manner::Pushing(Pushing::default()),
            Kind::Surveyor => Manner::Surveying(Surveying::default()),
            _ => Manner::Asking(Asking::default()),
        };
        Line { socket, repeats_seen: 0, manner }
    }

    fn look(&mut self, stage: &Stage, workload: &mut Workload) {
        if let Some(live) = stage.find(self.socket) {
            let resends = live.machine.stats().resends;
            if resends != self.repeats_seen {
                workload.meter.repeated(resends - self.repeats_seen, stage.now);
                self.repeats_seen = resends;
            }
        }
        if let Manner::Pushing(pushing) = &mut self.manner {
            pushing.expire(stage.now, &mut workload.meter, workload.plan.timeout);
        }
    }

    fn outstanding(&self) -> u64 {
        match &self.manner {
            Manner::Asking(asking) => asking.count(),
            Manner::Pushing(_) | Manner::Surveying(_) => 0,
        }
    }
}

impl Act<'_> {
    pub(super) fn now(&self) -> Time {
        self.stage.now
    }

    /// How many are to receive each message.
    pub(super) fn readers(&self) -> u32 {
        if let Some(receivers) = self.plan.receivers {
            return receivers;
        }
        match self.plan.kind {
            Kind::Pub | Kind::Surveyor => self.plan.clients[self.place].targets.len() as u32,
            _ => 1,
        }
    }

    /// The next sequence number, which nobody else in this world uses.
    pub(super) fn next_sequence(&mut self) -> u64 {
        let sequence = sequence_for(self.host, *self.asked);
        *self.asked += 1;
        sequence
    }
}
