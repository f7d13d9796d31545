//! Services: who answers, and how long that takes.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use sp_link::{Distribution, Stream};
use sp_proto::{Answer, ContextId, EndpointOptions, Kind, OpError, Options, Ticket, Time};

use super::Receipt;
use super::body::{date_of, reply, sequence_of};
use crate::error::WorldError;
use crate::host::{Host, Owner};
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
}

/// One instance, as declared.
#[derive(Clone, Debug)]
pub struct InstancePlan {
    /// Where it lives.
    pub host: HostId,
    /// Under which name it listens.
    pub address: String,
}

/// An instance at work.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) host: HostId,
    /// The service it belongs to.
    pub(crate) service: usize,
    /// How many it has served.
    pub(crate) served: u64,
    /// When it has given up.
    pub(crate) gave_up: Option<Time>,
    site: SiteId,
    address: String,
    number: u32,
    /// How often it was started; cues for an earlier life are void.
    life: u32,
    socket: Option<SocketId>,
    workers: Vec<Worker>,
    /// Which worker waits for a ticket, to receive or to reply.
    waiting: BTreeMap<Ticket, u32>,
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
            _ if !(1..=self.options.max_contexts).contains(&(self.workers as usize)) => {
                Some("has 1 to max_contexts workers")
            }
            _ if self.reply > self.options.max_message => Some("has replies of max_message at most"),
            _ => None,
        };
        if let Some(rule) = problem {
            return Err(WorldError::Plan(format!("service {}: it {rule}", self.name)));
        }
        self.instances.iter().try_for_each(|instance| stage.host(instance.host).map(|_| ()))
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
        let InstancePlan { host, address } = plan.instances[place].clone();
        let Host { site, .. } = stage.host(host)?;
        Ok(Instance {
            host,
            service,
            served: 0,
            gave_up: None,
            site: *site,
            address,
            number,
            life: 0,
            socket: None,
            workers: Vec::new(),
            waiting: BTreeMap::new(),
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

    /// The host is about to lose its socket.
    pub(crate) fn stop(&mut self) {
        self.socket = None;
        self.life += 1;
        self.workers.clear();
        self.waiting.clear();
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
        ticket: Ticket,
        answer: Answer,
        receipts: &mut Vec<Receipt>,
    ) {
        let Some(worker) = self.waiting.remove(&ticket) else { return };
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
            let Some(machine) = self.socket.and_then(|socket| stage.touch(socket)) else { return };
            match machine.try_recv(now, context) {
                Ok(request) => {
                    if !self.begin(stage, plan, worker, request, receipts) || !self.finish(stage, plan, worker) {
                        return;
                    }
                }
                Err(OpError::WouldBlock) => {
                    self.waiting.insert(machine.submit_recv(now, context, None), worker);
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
        let time = plan.time.sample_nanos(&mut hands.luck);
        if time > 0 {
            let due = Due::Served { instance: self.number, worker, life: self.life };
            stage.agenda.enter(stage.now + Duration::from_nanos(time), due);
        }
        time == 0
    }

    /// Replies, where that is done; false if the reply must wait.
    fn finish(&mut self, stage: &mut Stage, plan: &ServicePlan, worker: u32) -> bool {
        let now = stage.now;
        let Worker { context, request, .. } = &mut self.workers[worker as usize];
        let request = std::mem::take(request);
        self.served += 1;
        if matches!(plan.kind, Kind::Pull | Kind::Sub) {
            return true;
        }
        let Some(machine) = self.socket.and_then(|socket| stage.touch(socket)) else { return false };
        match machine.try_send(now, *context, reply(&request, self.host, plan.reply)) {
            Err((OpError::WouldBlock, body)) => {
                self.waiting.insert(machine.submit_send(now, *context, body, None), worker);
                false
            }
            Ok(()) | Err(_) => true,
        }
    }
}
