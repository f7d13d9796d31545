//! Stations: services that are reached without a network, and the crowds that go there.
//!
//! There are no sockets here and no links: a request is at once where it goes to, and whoever sends it knows how many are
//! there. It is what queueing theory speaks of, and as fast as an agenda allows.

use std::collections::VecDeque;
use std::time::Duration;

use sp_link::{Distribution, Stream};
use sp_proto::Time;

use super::rhythm::{Load, Rhythm};
use super::router::{Choice, Router};
use crate::error::WorldError;
use crate::ids::{HostId, SiteId};
use crate::meters::{Meter, MeterPlan};
use crate::stage::{Due, Stage};
use crate::story::Scene;

/// A service that is reached without a network.
#[derive(Clone, Debug)]
pub struct StationPlan {
    /// Its name.
    pub name: String,
    /// Where its instances live.
    pub hosts: Vec<HostId>,
    /// Requests that each instance works on at a time, 1 or more.
    pub workers: u32,
    /// How long a worker works on one.
    pub time: Distribution,
    /// Requests that may wait in an instance, beside those that are worked on.
    pub queue: usize,
    /// What becomes of a request when they do.
    pub when_full: WhenFull,
}

/// What a full queue does with one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It waits all the same, at its sender: the queue is without bound.
    Block,
    /// It is lost.
    DropNew,
    /// The one that has waited longest is lost.
    DropOld,
}

/// A workload that goes to a station.
#[derive(Clone, Debug)]
pub struct CrowdPlan {
    /// Its name.
    pub name: String,
    /// Who takes part: a host, and to which instances of the station it goes, by their place, with the level of each, 1
    /// the best.
    pub clients: Vec<(HostId, Vec<(u32, u8)>)>,
    /// How each of them asks.
    pub load: Load,
    /// Which instance it goes to.
    pub choice: Choice,
    /// Each request goes to all instances at once, and is answered when all of them have.
    pub surveys: bool,
    /// What is not answered after that is lost. It is served all the same, and who waits for it waits.
    pub timeout: Duration,
    /// What to count.
    pub meter: MeterPlan,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Stations {
    stations: Vec<Station>,
    servers: Vec<Server>,
    crowds: Vec<Crowd>,
    visitors: Vec<Visitor>,
    surveys: Surveys,
}

#[derive(Debug)]
struct Station {
    plan: StationPlan,
    /// The number of its first instance.
    first: usize,
}

#[derive(Debug)]
struct Server {
    host: HostId,
    site: SiteId,
    station: usize,
    alive: bool,
    /// Cues for an earlier life are void.
    life: u32,
    queue: VecDeque<Job>,
    /// What is worked on, by worker; of an idle one, what it has done last.
    hands: Vec<Job>,
    idle: Vec<u32>,
    served: u64,
}

/// A request, or one of the many that a survey is.
#[derive(Clone, Copy, Debug)]
struct Job {
    sent_at: Time,
    /// How long it takes, in nanoseconds. It is drawn when the request is made: whoever serves it, that is its luck.
    work: u64,
    visitor: u32,
    /// The place of a closed load, or the number of a survey.
    place: u32,
    sequence: u64,
}

#[derive(Debug)]
struct Crowd {
    plan: CrowdPlan,
    station: usize,
    meter: Meter,
}

#[derive(Debug)]
struct Visitor {
    host: HostId,
    home: SiteId,
    crowd: usize,
    alive: bool,
    life: u32,
    rhythm: Rhythm,
    router: Router,
    /// The instances it goes to, by their number among all.
    targets: Vec<u32>,
    work: Stream,
    asked: u64,
}

/// Surveys under way.
#[derive(Debug, Default)]
struct Surveys {
    open: Vec<Survey>,
    free: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Survey {
    left: u32,
    /// The place of a closed load.
    place: u32,
    /// Some will never answer.
    spoiled: bool,
    counted: bool,
}

impl StationPlan {
    fn check(&self, stage: &Stage) -> Result<(), WorldError> {
        self.time.check()?;
        let problem = match self.workers {
            _ if self.hosts.is_empty() => Some("has instances"),
            1..=MOST_WORKERS => None,
            _ => Some("has 1 to 10,000 workers"),
        };
        if let Some(rule) = problem {
            return Err(WorldError::Plan(format!("station {}: it {rule}", self.name)));
        }
        self.hosts.iter().try_for_each(|host| stage.host(*host).map(|_| ()))
    }
}

impl CrowdPlan {
    fn check(&self, stage: &Stage, station: &Station) -> Result<(), WorldError> {
        let there = station.plan.hosts.len();
        let goes_nowhere = |(_, targets): &(HostId, Vec<(u32, u8)>)| {
            targets.is_empty() || targets.iter().any(|t| t.0 as usize >= there)
        };
        let problem = match self.load {
            Load::Flood => Some("does not flood: there is no socket to be full"),
            Load::Closed { outstanding: 0, .. } => Some("has at least one request outstanding"),
            _ if self.clients.is_empty() => Some("has clients"),
            _ if self.clients.iter().any(goes_nowhere) => Some("goes to instances of its station"),
            _ if self.timeout.is_zero() => Some("has a timeout of more than zero"),
            _ if self.meter.bin.is_zero() => Some("has bins of more than zero"),
            _ if self.choice == Choice::PowerOf(0) => Some("draws one instance at least"),
            _ => self.load.problem(),
        };
        if let Some(rule) = problem {
            return Err(WorldError::Plan(format!("crowd {}: it {rule}", self.name)));
        }
        if let Load::Closed { think, .. } = &self.load {
            think.check()?;
        }
        self.clients.iter().try_for_each(|(host, _)| stage.host(*host).map(|_| ()))
    }
}

/// # Cast
impl Stations {
    pub(crate) fn add_station(&mut self, stage: &Stage, plan: StationPlan) -> Result<usize, WorldError> {
        plan.check(stage)?;
        let number = self.stations.len();
        let first = self.servers.len();
        for host in &plan.hosts {
            let site = stage.site_of(*host)?;
            let idle = (0..plan.workers).rev().collect();
            self.servers.push(Server {
                host: *host,
                site,
                station: number,
                alive: true,
                life: 0,
                queue: VecDeque::new(),
                hands: vec![Job::NONE; plan.workers as usize],
                idle,
                served: 0,
            });
        }
        self.stations.push(Station { plan, first });
        Ok(number)
    }

    pub(crate) fn add_crowd(
        &mut self,
        stage: &mut Stage,
        station: usize,
        plan: CrowdPlan,
    ) -> Result<usize, WorldError> {
        let there =
            self.stations.get(station).ok_or(WorldError::Unknown { what: "station", number: station as u32 })?;
        plan.check(stage, there)?;
        let crowd = self.crowds.len();
        let clients = plan.clients.clone();
        let first = self.visitors.len();
        for (host, targets) in &clients {
            let asker = stage.host(*host)?;
            let (home, name) = (stage.site_of(*host)?, asker.name.clone());
            let numbers: Vec<u32> = targets.iter().map(|(place, _)| there.first as u32 + place).collect();
            let names: Vec<&str> = numbers
                .iter()
                .map(|number| stage.host(self.servers[*number as usize].host).map(|host| host.name.as_str()))
                .collect::<Result<_, _>>()?;
            let levels = targets.iter().map(|(_, level)| *level).collect();
            let router = Router::new(plan.choice, levels, stage.stream(*host, "routing"), &name, &names);
            self.visitors.push(Visitor {
                host: *host,
                home,
                crowd,
                alive: true,
                life: 0,
                rhythm: Rhythm::default(),
                router,
                targets: numbers,
                work: stage.stream(*host, "work"),
                asked: 0,
            });
        }
        self.crowds.push(Crowd { meter: Meter::new(plan.meter.clone()), plan, station });
        for visitor in first..self.visitors.len() {
            self.begin(stage, visitor);
        }
        Ok(crowd)
    }

    /// What was counted of a crowd; what is overdue is counted as lost.
    pub(crate) fn meter(&mut self, stage: &Stage, crowd: usize) -> Result<&Meter, WorldError> {
        if crowd >= self.crowds.len() {
            return Err(WorldError::Unknown { what: "crowd", number: crowd as u32 });
        }
        self.expire(stage.now);
        Ok(&self.crowds[crowd].meter)
    }

    /// How many requests each instance of a station has served.
    pub(crate) fn served(&self, station: usize) -> Result<Vec<u64>, WorldError> {
        let there =
            self.stations.get(station).ok_or(WorldError::Unknown { what: "station", number: station as u32 })?;
        let servers = &self.servers[there.first..there.first + there.plan.hosts.len()];
        Ok(servers.iter().map(|server| server.served).collect())
    }

    /// Every request sent is answered, lost, or in a queue or in hand.
    pub(crate) fn audit(&self) -> Result<(), String> {
        for (number, crowd) in self.crowds.iter().enumerate() {
            let of_crowd = |job: &&Job| self.visitors[job.visitor as usize].crowd == number;
            let mut there: Vec<&Job> = self.jobs().filter(of_crowd).collect();
            if crowd.plan.surveys {
                there.retain(|job| !self.surveys.open[job.place as usize].counted);
                there.sort_by_key(|job| job.place);
                there.dedup_by_key(|job| job.place);
            } else {
                there.retain(|job| job.is_open());
            }
            let waiting: Vec<Time> = there.iter().map(|job| job.sent_at).collect();
            super::balance(&crowd.plan.name, &crowd.meter, &waiting)?;
        }
        Ok(())
    }

    fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.servers.iter().flat_map(|server| {
            let busy = server.hands.iter().enumerate().filter(|(worker, _)| !server.idle.contains(&(*worker as u32)));
            server.queue.iter().chain(busy.map(|(_, job)| job))
        })
    }
}

/// # Cues
impl Stations {
    /// A visitor asks, if this is still the life in which that was decided.
    pub(crate) fn handle_come(&mut self, stage: &mut Stage, visitor: u32, place: u32, life: u32) {
        let client = &mut self.visitors[visitor as usize];
        if client.life != life {
            return;
        }
        let crowd = &mut self.crowds[client.crowd];
        if let Some(at) = client.rhythm.next(&crowd.plan.load) {
            stage.agenda.enter(at, Due::Come { visitor, place: 0, life });
        }
        let now = stage.now;
        crowd.meter.sent(now);
        let sequence = super::sequence_for(client.host, client.asked);
        client.asked += 1;
        stage.tell(client.host, Scene::Asked(sequence));
        if crowd.plan.surveys {
            self.survey(stage, visitor, place, sequence);
            return;
        }
        let (servers, targets) = (&self.servers, &client.targets);
        let work = self.stations[crowd.station].plan.time.sample_nanos(&mut client.work);
        let server_at = |place: usize| &servers[targets[place] as usize];
        let chosen = client.router.choose(|place| server_at(place).alive, |place| server_at(place).outstanding());
        let job = Job { sent_at: now, work, visitor, place, sequence };
        match chosen.map(|place| targets[place]) {
            Some(server) => self.admit(stage, server, job),
            None => self.lose(stage, job),
        }
    }

    /// A worker is done.
    pub(crate) fn handle_leave(&mut self, stage: &mut Stage, server: u32, worker: u32, life: u32) {
        let place = server as usize;
        if self.servers[place].life != life {
            return;
        }
        let there = &mut self.servers[place];
        there.served += 1;
        let done = there.hands[worker as usize];
        match there.queue.pop_front() {
            Some(next) => there.work(stage, server, worker, next),
            None => there.idle.push(worker),
        }
        self.finish(stage, done, self.servers[place].site);
    }

    /// The host dies: what is in its queues and hands is lost.
    pub(crate) fn handle_kill(&mut self, stage: &mut Stage, host: HostId) {
        for number in 0..self.servers.len() {
            let server = &mut self.servers[number];
            if server.host == host && server.alive {
                server.alive = false;
                server.life += 1;
                let mut lost: Vec<Job> = server.queue.drain(..).collect();
                for worker in 0..server.hands.len() as u32 {
                    if !server.idle.contains(&worker) {
                        lost.push(server.hands[worker as usize]);
                    }
                }
                server.idle = (0..server.hands.len() as u32).rev().collect();
                lost.into_iter().for_each(|job| self.lose(stage, job));
            }
        }
        for visitor in self.visitors.iter_mut().filter(|visitor| visitor.host == host) {
            visitor.alive = false;
            visitor.life += 1;
        }
    }

    /// It begins anew.
    pub(crate) fn handle_restore(&mut self, stage: &mut Stage, host: HostId) {
        for server in self.servers.iter_mut().filter(|server| server.host == host) {
            server.alive = true;
        }
        for visitor in 0..self.visitors.len() {
            if self.visitors[visitor].host == host {
                self.visitors[visitor].alive = true;
                self.begin(stage, visitor);
            }
        }
    }

    fn begin(&mut self, stage: &mut Stage, visitor: usize) {
        let client = &mut self.visitors[visitor];
        let load = &self.crowds[client.crowd].plan.load;
        let host = client.host;
        client.rhythm = Rhythm::begin(load, stage.now, |name| stage.stream(host, name));
        let (visitor, life) = (visitor as u32, client.life);
        if let Load::Closed { outstanding, .. } = *load {
            for place in 0..outstanding {
                stage.agenda.enter(stage.now, Due::Come { visitor, place, life });
            }
        } else if let Some(at) = client.rhythm.next(load) {
            stage.agenda.enter(at, Due::Come { visitor, place: 0, life });
        }
    }

    /// To everybody at once.
    fn survey(&mut self, stage: &mut Stage, visitor: u32, place: u32, sequence: u64) {
        let client = &mut self.visitors[visitor as usize];
        let time = &self.stations[self.crowds[client.crowd].station].plan.time;
        let targets: Vec<(u32, u64)> =
            client.targets.iter().map(|target| (*target, time.sample_nanos(&mut client.work))).collect();
        let survey = self.surveys.add(Survey { left: targets.len() as u32, place, spoiled: false, counted: false });
        for (server, work) in targets {
            let job = Job { sent_at: stage.now, work, visitor, place: survey, sequence };
            match self.servers[server as usize].alive {
                true => self.admit(stage, server, job),
                false => self.lose(stage, job),
            }
        }
    }

    fn admit(&mut self, stage: &mut Stage, server: u32, job: Job) {
        let there = &mut self.servers[server as usize];
        if let Some(worker) = there.idle.pop() {
            there.work(stage, server, worker, job);
            return;
        }
        let plan = &self.stations[there.station].plan;
        let mut dropped = None;
        if plan.when_full == WhenFull::Block || there.queue.len() < plan.queue {
            there.queue.push_back(job);
        } else if plan.when_full == WhenFull::DropOld && plan.queue > 0 {
            dropped = there.queue.pop_front();
            there.queue.push_back(job);
        } else {
            dropped = Some(job);
        }
        if let Some(job) = dropped {
            self.drop(stage, job);
        }
    }

    fn finish(&mut self, stage: &mut Stage, job: Job, site: SiteId) {
        let visitor = &self.visitors[job.visitor as usize];
        let crowd = &mut self.crowds[visitor.crowd];
        let now = stage.now;
        let in_time = now.as_nanos() - job.sent_at.as_nanos() <= crowd.plan.timeout.as_nanos() as u64;
        if crowd.plan.surveys {
            crowd.meter.replied(job.sent_at, now, in_time);
            self.answer(stage, job, true);
            return;
        }
        if !job.is_open() {
        } else if in_time {
            crowd.meter.answered(job.sent_at, now, visitor.home.index(), Some(site.index()));
            stage.tell(visitor.host, Scene::Answered(job.sequence));
        } else {
            crowd.meter.lost(job.sent_at, job.sent_at + crowd.plan.timeout);
            stage.tell(visitor.host, Scene::Lost(job.sequence));
        }
        self.go_on(stage, job.visitor, job.place);
    }

    fn drop(&mut self, stage: &mut Stage, job: Job) {
        let visitor = &self.visitors[job.visitor as usize];
        let crowd = &mut self.crowds[visitor.crowd];
        if crowd.plan.surveys {
            self.answer(stage, job, false);
            return;
        }
        if job.is_open() {
            crowd.meter.dropped(job.sent_at, stage.now);
            stage.tell(visitor.host, Scene::Lost(job.sequence));
        }
        self.go_on(stage, job.visitor, job.place);
    }

    fn lose(&mut self, stage: &mut Stage, job: Job) {
        let visitor = &self.visitors[job.visitor as usize];
        let crowd = &mut self.crowds[visitor.crowd];
        if crowd.plan.surveys {
            self.answer(stage, job, false);
            return;
        }
        if job.is_open() {
            crowd.meter.lost(job.sent_at, stage.now);
            stage.tell(visitor.host, Scene::Lost(job.sequence));
        }
        // A closed load that finds nobody thinks before it tries again; without a thought it would try for ever.
        self.go_on_after(stage, job.visitor, job.place, RETRY);
    }

    /// One of the answers to a survey, or none from there.
    fn answer(&mut self, stage: &mut Stage, job: Job, came: bool) {
        let visitor = &self.visitors[job.visitor as usize];
        let (host, home) = (visitor.host, visitor.home);
        let crowd = &mut self.crowds[visitor.crowd];
        let survey = &mut self.surveys.open[job.place as usize];
        survey.left -= 1;
        survey.spoiled |= !came;
        if !came {
            crowd.meter.missed(job.sent_at, 1);
        }
        if survey.left > 0 {
            return;
        }
        let Survey { place, spoiled, counted, .. } = *survey;
        self.surveys.free.push(job.place);
        let deadline = job.sent_at + crowd.plan.timeout;
        if counted {
        } else if spoiled || stage.now > deadline {
            crowd.meter.lost(job.sent_at, stage.now.min(deadline));
            stage.tell(host, Scene::Lost(job.sequence));
        } else {
            crowd.meter.answered(job.sent_at, stage.now, home.index(), None);
            stage.tell(host, Scene::Answered(job.sequence));
        }
        self.go_on(stage, job.visitor, place);
    }

    fn go_on(&mut self, stage: &mut Stage, visitor: u32, place: u32) {
        self.go_on_after(stage, visitor, place, Duration::ZERO);
    }

    fn go_on_after(&mut self, stage: &mut Stage, visitor: u32, place: u32, at_least: Duration) {
        let client = &mut self.visitors[visitor as usize];
        if !client.alive {
            return;
        }
        if let Some(thought) = client.rhythm.think(&self.crowds[client.crowd].plan.load, place) {
            let due = Due::Come { visitor, place, life: client.life };
            stage.agenda.enter(stage.now + thought.max(at_least), due);
        }
    }

    /// Counts what is overdue as lost; it stays where it is.
    fn expire(&mut self, now: Time) {
        let Stations { servers, crowds, visitors, surveys, .. } = self;
        for server in servers {
            let idle = &server.idle;
            let busy = server.hands.iter_mut().enumerate().filter(|(worker, _)| !idle.contains(&(*worker as u32)));
            for job in server.queue.iter_mut().chain(busy.map(|(_, job)| job)) {
                let crowd = &mut crowds[visitors[job.visitor as usize].crowd];
                let deadline = job.sent_at + crowd.plan.timeout;
                if now <= deadline {
                    continue;
                }
                let counted = match crowd.plan.surveys {
                    true => std::mem::replace(&mut surveys.open[job.place as usize].counted, true),
                    false => !std::mem::replace(job, job.closed()).is_open(),
                };
                if !counted {
                    crowd.meter.lost(job.sent_at, deadline);
                }
            }
        }
    }
}

impl Server {
    fn work(&mut self, stage: &mut Stage, number: u32, worker: u32, job: Job) {
        self.hands[worker as usize] = job;
        let at = Time::from_nanos(stage.now.as_nanos() + job.work);
        stage.agenda.enter(at, Due::Leave { server: number, worker, life: self.life });
    }

    fn outstanding(&self) -> u64 {
        (self.queue.len() + self.hands.len() - self.idle.len()) as u64
    }
}

impl Job {
    const NONE: Job = Job { sent_at: Time::ZERO, work: 0, visitor: 0, place: 0, sequence: u64::MAX };

    /// Has it not been given up?
    fn is_open(&self) -> bool {
        self.sequence != u64::MAX
    }

    fn closed(self) -> Job {
        Job { sequence: u64::MAX, ..self }
    }
}

impl Surveys {
    fn add(&mut self, survey: Survey) -> u32 {
        match self.free.pop() {
            Some(place) => {
                self.open[place as usize] = survey;
                place
            }
            None => {
                self.open.push(survey);
                self.open.len() as u32 - 1
            }
        }
    }
}

const MOST_WORKERS: u32 = 10_000;
/// What a closed load waits at least when there is nobody to ask.
const RETRY: Duration = Duration::from_millis(10);
