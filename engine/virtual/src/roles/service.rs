//! Services: who answers, and how long that takes.

use std::mem::offset_of;
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;
use sp_link::{Distribution, Stream};
use sp_proto::{
    Answer, Ascending, ContextId, EndpointOptions, Kind, OpError, Options, Ticket, Time, Visit, visit_body,
};

use super::Receipt;
use super::body::{date_of, reply, sequence_of};
use crate::error::WorldError;
use crate::host::Owner;
use crate::ids::{HostId, SiteId, SocketId};
use crate::stage::{Due, Stage};

/// A service, as declared. Its queue is its sockets' `recv_queue`.
#[derive(Clone, Debug)]
pub struct ServicePlan {
    /// Its name.
    pub name: String,
    /// REP or RESPONDENT to reply to requests, PULL to collect messages, SUB to receive all that is published.
    pub kind: Kind,
    /// Where it is served.
    pub instances: Vec<InstancePlan>,
    /// Requests that each instance works on at a time, 1 or more.
    pub workers: u32,
    /// How long a worker works on one.
    pub time: Distribution,
    /// Bytes of a reply's body; at least the twelve that say what it answers and who wrote it are sent.
    pub reply: usize,
    /// SUB: who receives something older than this gives up and dies, as zguide's suicidal snail does.
    pub patience: Option<Duration>,
    /// The options of each instance's socket.
    pub options: Options,
    /// Whom each message is handed on to when it is worked on; PULL and SUB only.
    pub forward: Option<ForwardPlan>,
}

/// Where the instances of a service hand messages on to. A worker whose message is not taken waits: that is how the
/// next stage of a pipeline holds this one back.
#[derive(Clone, Debug)]
pub struct ForwardPlan {
    /// PUSH, so that one of the targets gets each message, or PUB, so that all do.
    pub kind: Kind,
    /// Whom each instance dials; who dials nobody hands nothing on.
    pub targets: Vec<Vec<(String, EndpointOptions)>>,
    /// What a worker takes for each that it hands on to, on top of its work.
    pub each: Duration,
    /// Does a message count as received where it passes through? In a tree it does, in a pipeline at the end only.
    pub receives: bool,
    /// The options of each instance's sending socket.
    pub options: Options,
}

/// One instance, as declared.
#[derive(Clone, Debug)]
pub struct InstancePlan {
    /// Where it lives.
    pub host: HostId,
    /// Under which name it listens.
    pub address: String,
    /// How many times as long as declared it takes: 1, or something else for a straggler.
    pub slowness: f64,
}

/// An instance at work.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Instance {
    pub(crate) host: HostId,
    pub(crate) site: SiteId,
    /// The service it belongs to.
    pub(crate) service: usize,
    number: u32,
    /// How often it was started; cues for an earlier life are void.
    life: u32,
    /// How many it has served.
    pub(crate) served: u64,
    /// How long its workers have been busy, all together; what one has in hand counts whole.
    pub(crate) busy: Duration,
    slowness: f64,
    pub(crate) socket: Option<SocketId>,
    /// Through which it hands on.
    out: Option<SocketId>,
    /// Which worker waits for a ticket, to receive, to reply or to hand on.
    waiting: Ascending<(SocketId, Ticket), u32>,
    workers: SmallVec<[Worker; 1]>,
    /// When it has given up.
    pub(crate) gave_up: Option<Time>,
    address: String,
    /// Its place in the plan.
    place: usize,
}

/// REP and RESPONDENT give each worker a conversation of its own; on PULL they all share the one there is.
#[derive(Debug)]
struct Worker {
    context: ContextId,
    /// Draws how long its work takes.
    luck: Stream,
    /// What it works on.
    request: Bytes,
}

impl ServicePlan {
    pub(crate) fn check(&self, stage: &Stage) -> Result<(), WorldError> {
        self.options.check()?;
        self.time.check()?;
        let problem = match self.kind {
            kind if !matches!(kind, Kind::Rep | Kind::Respondent | Kind::Pull | Kind::Sub) => {
                Some("serves through a rep, a respondent, a pull or a sub socket")
            }
            _ if self.instances.is_empty() => Some("has instances"),
            _ if self.instances.iter().any(|instance| !instance.slowness.is_finite() || instance.slowness < 0.0) => {
                Some("has instances of no less than no slowness")
            }
            _ if !(1..=self.options.max_contexts).contains(&(self.workers as usize)) => {
                Some("has 1 to max_contexts workers")
            }
            _ if self.reply > self.options.max_message => Some("has replies of max_message at most"),
            _ if self.forward.is_some() && !matches!(self.kind, Kind::Pull | Kind::Sub) => {
                Some("hands on what it has collected or subscribed to, not requests")
            }
            _ => self.forward.as_ref().and_then(|forward| forward.problem(self.instances.len())),
        };
        if let Some(rule) = problem {
            return Err(WorldError::Plan(format!("service {}: it {rule}", self.name)));
        }
        if let Some(forward) = &self.forward {
            forward.options.check()?;
        }
        self.instances.iter().try_for_each(|instance| stage.host(instance.host).map(|_| ()))
    }
}

impl ForwardPlan {
    fn problem(&self, instances: usize) -> Option<&'static str> {
        match self.kind {
            kind if !matches!(kind, Kind::Push | Kind::Pub) => Some("hands on through a push or a pub socket"),
            _ if self.targets.len() != instances => Some("has targets for each of its instances"),
            _ => None,
        }
    }
}

impl Instance {
    pub(crate) fn new(
        stage: &Stage,
        plan: &ServicePlan,
        service: usize,
        place: usize,
        number: u32,
    ) -> Result<Instance, WorldError> {
        let InstancePlan { host, address, slowness } = plan.instances[place].clone();
        Ok(Instance {
            host,
            service,
            served: 0,
            busy: Duration::ZERO,
            gave_up: None,
            site: stage.site_of(host)?,
            address,
            slowness,
            number,
            place,
            life: 0,
            socket: None,
            out: None,
            workers: SmallVec::new(),
            waiting: Ascending::default(),
        })
    }

    /// Listens, and lets every worker wait for work.
    pub(crate) fn start(
        &mut self,
        stage: &mut Stage,
        plan: &ServicePlan,
        receipts: &mut Vec<Receipt>,
    ) -> Result<(), WorldError> {
        let now = stage.now;
        let socket = stage.open_socket(self.host, plan.kind, plan.options.clone(), Owner::Instance(self.number))?;
        stage.listen(socket, &self.address, EndpointOptions::default())?;
        if plan.kind == Kind::Sub
            && let Some(machine) = stage.touch(socket)
        {
            machine.subscribe(now, ContextId::DEFAULT, b"")?;
        }
        self.socket = Some(socket);
        if let Some(forward) = &plan.forward
            && !forward.targets[self.place].is_empty()
        {
            let out =
                stage.open_socket(self.host, forward.kind, forward.options.clone(), Owner::Instance(self.number))?;
            for (address, endpoint) in &forward.targets[self.place] {
                stage.dial(out, address, *endpoint)?;
            }
            self.out = Some(out);
        }
        self.life += 1;
        for worker in 0..plan.workers {
            let context = match (worker, plan.kind, stage.touch(socket)) {
                (1.., Kind::Rep | Kind::Respondent, Some(machine)) => machine.open_context(now)?,
                _ => ContextId::DEFAULT,
            };
            let luck = stage.stream(self.host, &format!("worker/{worker}"));
            self.workers.push(Worker { context, luck, request: Bytes::new() });
            self.work(stage, plan, worker, receipts);
        }
        Ok(())
    }

    /// Visits it, as far as messages touch it.
    pub(crate) fn footprint_here(&self, visit: Visit) {
        visit(std::ptr::from_ref(self).cast(), offset_of!(Instance, gave_up));
    }

    /// Visits its workers, and who of them waits.
    pub(crate) fn footprint(&self, visit: Visit) {
        self.waiting.footprint(visit);
        if self.workers.spilled() {
            visit(self.workers.as_ptr().cast(), size_of::<Worker>());
        } else if let Some(worker) = self.workers.first() {
            visit_body(&worker.request, visit);
        }
    }

    /// The host is about to lose its sockets.
    pub(crate) fn stop(&mut self) {
        (self.socket, self.out) = (None, None);
        self.life += 1;
        self.workers.clear();
        self.waiting = Ascending::default();
    }

    /// A worker is done with what it had in hand.
    pub(crate) fn handle_served(
        &mut self,
        stage: &mut Stage,
        plan: &ServicePlan,
        worker: u32,
        life: u32,
        receipts: &mut Vec<Receipt>,
    ) {
        if life == self.life && self.finish(stage, plan, worker) {
            self.work(stage, plan, worker, receipts);
        }
    }

    pub(crate) fn handle_answer(
        &mut self,
        stage: &mut Stage,
        plan: &ServicePlan,
        (socket, ticket): (SocketId, Ticket),
        answer: Answer,
        receipts: &mut Vec<Receipt>,
    ) {
        let Some(worker) = self.waiting.remove(&(socket, ticket)) else { return };
        let free = match answer {
            Answer::Received(message) => {
                self.begin(stage, plan, worker, message.body, receipts) && self.finish(stage, plan, worker)
            }
            Answer::Sent | Answer::Room => true,
            // Only its own end answers a worker like this.
            Answer::Failed(_) => false,
        };
        if free {
            self.work(stage, plan, worker, receipts);
        }
    }

    /// Takes up work until there is none, or until it takes time.
    fn work(&mut self, stage: &mut Stage, plan: &ServicePlan, worker: u32, receipts: &mut Vec<Receipt>) {
        let now = stage.now;
        let context = self.workers[worker as usize].context;
        loop {
            let Some(socket) = self.socket else { return };
            let Some(machine) = stage.touch(socket) else { return };
            match machine.try_recv(now, context) {
                Ok(request) => {
                    if !self.begin(stage, plan, worker, request, receipts) || !self.finish(stage, plan, worker) {
                        return;
                    }
                }
                Err(OpError::WouldBlock) => {
                    self.waiting.insert((socket, machine.submit_recv(now, context, None)), worker);
                    return;
                }
                Err(_) => return,
            }
        }
    }

    /// Takes a request in hand; true if it takes no time.
    fn begin(
        &mut self,
        stage: &mut Stage,
        plan: &ServicePlan,
        worker: u32,
        request: Bytes,
        receipts: &mut Vec<Receipt>,
    ) -> bool {
        if let Some(sequence) = sequence_of(&request)
            && matches!(plan.kind, Kind::Pull | Kind::Sub)
            && plan.forward.as_ref().is_none_or(|forward| forward.receives)
        {
            receipts.push(Receipt { sequence, site: self.site });
        }
        if let Some(patience) = plan.patience
            && date_of(&request).is_some_and(|date| stage.now - date > patience)
        {
            self.gave_up.get_or_insert(stage.now);
            stage.agenda.enter(stage.now, Due::GiveUp { host: self.host });
            return false;
        }
        let hands = &mut self.workers[worker as usize];
        hands.request = request;
        let mut time = plan.time.sample_nanos(&mut hands.luck);
        if self.slowness != 1.0 {
            time = (time as f64 * self.slowness).round() as u64;
        }
        if let Some(forward) = &plan.forward {
            time += forward.each.as_nanos() as u64 * forward.targets[self.place].len() as u64;
        }
        self.busy += Duration::from_nanos(time);
        if time > 0 {
            let due = Due::Served { instance: self.number, worker, life: self.life };
            stage.agenda.enter(stage.now + Duration::from_nanos(time), due);
        }
        time == 0
    }

    /// Replies or hands on, where that is done; false if that must wait.
    fn finish(&mut self, stage: &mut Stage, plan: &ServicePlan, worker: u32) -> bool {
        let now = stage.now;
        let Worker { context, request, .. } = &mut self.workers[worker as usize];
        let request = std::mem::take(request);
        self.served += 1;
        let (socket, context, body) = match (plan.kind, &plan.forward) {
            (_, Some(_)) if self.out.is_some() => (self.out, ContextId::DEFAULT, request),
            (Kind::Pull | Kind::Sub, _) => return true,
            _ => (self.socket, *context, reply(&request, self.host, plan.reply)),
        };
        let Some(socket) = socket else { return false };
        let Some(machine) = stage.touch(socket) else { return false };
        match machine.try_send(now, context, body) {
            Err((OpError::WouldBlock, body)) => {
                self.waiting.insert((socket, machine.submit_send(now, context, body, None)), worker);
                false
            }
            Ok(()) | Err(_) => true,
        }
    }
}
