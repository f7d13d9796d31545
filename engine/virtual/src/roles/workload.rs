//! Workloads: who asks, how often, and what comes of it.

use std::time::Duration;

use sp_proto::{Answer, EndpointOptions, Kind, Options, Ticket, Time};

use super::asking::Asking;
use super::body::sequence_for;
use super::pushing::Pushing;
use super::rhythm::{Load, Rhythm};
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
    /// REQ for requests that are answered, PUSH for messages that are collected.
    pub kind: Kind,
    /// Who takes part; each client is a host of its own, with one socket.
    pub clients: Vec<ClientPlan>,
    /// How each of them asks.
    pub load: Load,
    /// Bytes of a request's body; at least the eight of its sequence number are sent.
    pub size: usize,
    /// What is not answered after that is lost.
    pub timeout: Duration,
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
pub(crate) struct Client {
    pub(crate) host: HostId,
    /// The workload it takes part in.
    pub(crate) workload: usize,
    /// Its place in the plan.
    place: usize,
    /// Its number among all clients of the world.
    number: u32,
    home: SiteId,
    /// How often it was started; cues for an earlier life are void.
    life: u32,
    socket: Option<SocketId>,
    rhythm: Rhythm,
    asked: u64,
    repeats_seen: u64,
    manner: Manner,
}

#[derive(Debug)]
enum Manner {
    Asking(Asking),
    Pushing(Pushing),
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
}

impl WorkloadPlan {
    pub(crate) fn check(&self, stage: &Stage) -> Result<(), WorldError> {
        self.options.check()?;
        let problem = match self.load {
            _ if !matches!(self.kind, Kind::Req | Kind::Push) => Some("asks through a req or a push socket"),
            Load::Closed { .. } if self.kind != Kind::Req => Some("is a closed load, and nobody answers a push socket"),
            Load::Closed { outstanding, .. } if !(1..self.options.max_contexts).contains(&(outstanding as usize)) => {
                Some("has 1 to max_contexts - 1 requests outstanding")
            }
            Load::Flood if self.kind != Kind::Push => Some("floods through a push socket only"),
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
            home: stage.host(host)?.site,
            life: 0,
            socket: None,
            rhythm: Rhythm::default(),
            asked: 0,
            repeats_seen: 0,
            manner: match plan.kind {
                Kind::Push => Manner::Pushing(Pushing::default()),
                _ => Manner::Asking(Asking::default()),
            },
        })
    }

    /// Opens the socket, dials, and begins to ask.
    pub(crate) fn start(&mut self, stage: &mut Stage, workload: &mut Workload) -> Result<(), WorldError> {
        let plan = &workload.plan;
        let owner = Owner::Client(self.number);
        let socket = stage.open_socket(self.host, plan.kind, plan.options.clone(), owner)?;
        for (address, endpoint) in &plan.clients[self.place].targets {
            stage.dial(socket, address, *endpoint)?;
        }
        self.socket = Some(socket);
        self.life += 1;
        self.repeats_seen = 0;
        let host = self.host;
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

    /// The host is about to lose its socket; who waited for an answer will not get one.
    pub(crate) fn stop(&mut self, stage: &mut Stage, workload: &mut Workload) {
        self.look(stage, workload);
        self.life += 1;
        if let Some((manner, mut act)) = self.act(stage, workload) {
            match manner {
                Manner::Asking(asking) => asking.abandon(&mut act),
                Manner::Pushing(pushing) => pushing.abandon(&mut act),
            }
        }
        self.socket = None;
    }

    /// It is time to ask, if this is still the life in which that was decided. `place` tells the requests of a closed
    /// load apart.
    pub(crate) fn handle_ask(&mut self, stage: &mut Stage, workload: &mut Workload, place: u32, life: u32) {
        if life == self.life {
            self.ask_next(stage, &workload.plan.load);
            self.ask(stage, workload, place);
        }
    }

    pub(crate) fn handle_answer(&mut self, stage: &mut Stage, workload: &mut Workload, ticket: Ticket, answer: Answer) {
        let Some((manner, mut act)) = self.act(stage, workload) else { return };
        let (settled, turn) = match manner {
            Manner::Asking(asking) => (asking.handle_answer(&mut act, ticket, answer), None),
            Manner::Pushing(pushing) => (None, pushing.handle_answer(&mut act, ticket, &answer)),
        };
        if let Some(turn) = turn {
            self.ask_at(stage, turn, 0);
        }
        self.look(stage, workload);
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
        if let Manner::Pushing(pushing) = &mut self.manner {
            pushing.handle_receipt(stage, workload, self.host, self.home, count, site);
        }
    }

    /// Takes in what is not told but seen: requests sent again, and messages that are overdue.
    pub(crate) fn look(&mut self, stage: &Stage, workload: &mut Workload) {
        if let Some(socket) = self.socket
            && let Ok(live) = stage.socket(socket)
        {
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

    /// When each of the requests was sent that it still waits for.
    pub(crate) fn waiting(&self) -> Vec<Time> {
        match &self.manner {
            Manner::Asking(asking) => asking.waiting().collect(),
            Manner::Pushing(pushing) => pushing.waiting().collect(),
        }
    }

    fn ask(&mut self, stage: &mut Stage, workload: &mut Workload, place: u32) {
        let Some((manner, mut act)) = self.act(stage, workload) else { return };
        let turn = match manner {
            Manner::Asking(asking) => {
                asking.ask(&mut act, place);
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

    fn act<'a>(&'a mut self, stage: &'a mut Stage, workload: &'a mut Workload) -> Option<(&'a mut Manner, Act<'a>)> {
        let Workload { plan, meter } = workload;
        let act =
            Act { stage, meter, plan, host: self.host, home: self.home, socket: self.socket?, asked: &mut self.asked };
        Some((&mut self.manner, act))
    }
}

impl Act<'_> {
    pub(super) fn now(&self) -> Time {
        self.stage.now
    }

    /// The next sequence number, which nobody else in this world uses.
    pub(super) fn next_sequence(&mut self) -> u64 {
        let sequence = sequence_for(self.host, *self.asked);
        *self.asked += 1;
        sequence
    }
}
