//! Roles: what a scenario can declare, played in native code.
//!
//! A role uses its sockets as a program would, through `sp-proto` alone: it opens contexts, tries, and waits with tickets.
//! Every role draws from streams named after its host, so that changing one policy leaves the luck of all others as it was.

mod asking;
pub(crate) mod body;
pub(crate) mod faults;
mod pushing;
pub(crate) mod rhythm;
pub(crate) mod router;
pub(crate) mod service;
pub(crate) mod stations;
mod surveying;
pub(crate) mod workload;

use std::collections::BTreeMap;
use std::time::Duration;

use sp_proto::{Answer, Ticket, Time, Visit};

pub use self::body::{home_of, sequence_for};
use self::service::{Instance, ServicePlan};
use self::stations::Stations;
use self::workload::{Client, Workload, WorkloadPlan};
use crate::error::WorldError;
use crate::host::Owner;
use crate::ids::{HostId, SiteId, SocketId};
use crate::meters::Meter;
use crate::stage::Stage;

/// A workload of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadId(u32);

/// A service of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(u32);

/// One instance of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(u32);

/// All roles of a world. Clients and instances are numbered through, whatever they belong to.
#[derive(Debug, Default)]
pub(crate) struct Roles {
    workloads: Vec<Workload>,
    clients: Vec<Client>,
    services: Vec<ServicePlan>,
    instances: Vec<Instance>,
    /// Whose messages come from which host.
    homes: BTreeMap<HostId, u32>,
    /// What collecting services have just received.
    receipts: Vec<Receipt>,
    pub(crate) stations: Stations,
}

/// A message that a collecting service has received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receipt {
    pub(crate) sequence: u64,
    pub(crate) site: SiteId,
}

impl WorkloadId {
    /// Its number, from 0 in the order of adding.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The one with this number.
    pub fn from_number(number: u32) -> WorkloadId {
        WorkloadId(number)
    }
}

impl ServiceId {
    /// Its number, from 0 in the order of adding.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The one with this number.
    pub fn from_number(number: u32) -> ServiceId {
        ServiceId(number)
    }
}

/// # Cast
impl Roles {
    pub(crate) fn add_service(&mut self, stage: &mut Stage, plan: ServicePlan) -> Result<ServiceId, WorldError> {
        plan.check(stage)?;
        if self.services.iter().any(|service| service.name == plan.name) {
            return Err(WorldError::Taken { what: "service", name: plan.name });
        }
        let service = self.services.len();
        for place in 0..plan.instances.len() {
            let number = self.instances.len() as u32;
            let mut instance = Instance::new(stage, &plan, service, place, number)?;
            instance.start(stage, &plan, &mut self.receipts)?;
            self.instances.push(instance);
        }
        self.services.push(plan);
        Ok(ServiceId(service as u32))
    }

    pub(crate) fn add_workload(&mut self, stage: &mut Stage, plan: WorkloadPlan) -> Result<WorkloadId, WorldError> {
        plan.check(stage)?;
        if self.workloads.iter().any(|workload| workload.plan.name == plan.name) {
            return Err(WorldError::Taken { what: "workload", name: plan.name });
        }
        if let Some(client) = plan.clients.iter().find(|client| self.homes.contains_key(&client.host)) {
            let name = stage.host(client.host)?.name.clone();
            return Err(WorldError::Plan(format!("host {name} is the client of two workloads")));
        }
        let number = self.workloads.len();
        let clients = 0..plan.clients.len();
        let mut workload = Workload::new(plan);
        for place in clients {
            let number_of_client = self.clients.len() as u32;
            let mut client = Client::new(stage, &workload.plan, number, place, number_of_client)?;
            client.start(stage, &mut workload)?;
            if self.homes.insert(client.host, number_of_client).is_some() {
                let name = stage.host(client.host)?.name.clone();
                return Err(WorldError::Plan(format!("host {name} is a client twice")));
            }
            self.clients.push(client);
        }
        self.workloads.push(workload);
        Ok(WorkloadId(number as u32))
    }

    pub(crate) fn meter(&mut self, stage: &Stage, id: WorkloadId) -> Result<&Meter, WorldError> {
        let workload =
            self.workloads.get_mut(id.0 as usize).ok_or(WorldError::Unknown { what: "workload", number: id.0 })?;
        for client in self.clients.iter_mut().filter(|client| client.workload == id.0 as usize) {
            client.look(stage, workload);
        }
        Ok(&workload.meter)
    }

    pub(crate) fn served(&self, id: InstanceId) -> Result<u64, WorldError> {
        let instance = self.instances.get(id.0 as usize);
        instance.map(|instance| instance.served).ok_or(WorldError::Unknown { what: "instance", number: id.0 })
    }

    pub(crate) fn busy(&self, id: InstanceId) -> Result<Duration, WorldError> {
        let instance = self.instances.get(id.0 as usize);
        instance.map(|instance| instance.busy).ok_or(WorldError::Unknown { what: "instance", number: id.0 })
    }

    pub(crate) fn site_of(&self, instance: u32) -> SiteId {
        self.instances[instance as usize].site
    }

    pub(crate) fn gave_up(&self, id: InstanceId) -> Result<Option<Time>, WorldError> {
        let instance = self.instances.get(id.0 as usize);
        instance.map(|instance| instance.gave_up).ok_or(WorldError::Unknown { what: "instance", number: id.0 })
    }

    pub(crate) fn instances(&self, id: ServiceId) -> Result<Vec<InstanceId>, WorldError> {
        self.services.get(id.0 as usize).ok_or(WorldError::Unknown { what: "service", number: id.0 })?;
        let of = |number: &usize| self.instances[*number].service == id.0 as usize;
        Ok((0..self.instances.len()).filter(of).map(|number| InstanceId(number as u32)).collect())
    }

    /// Every request sent is answered, lost, or one that a client still waits for.
    pub(crate) fn audit(&self) -> Result<(), String> {
        for (number, workload) in self.workloads.iter().enumerate() {
            let clients = self.clients.iter().filter(|client| client.workload == number);
            let waiting: Vec<Time> = clients.flat_map(Client::waiting).collect();
            balance(&workload.plan.name, &workload.meter, &waiting)?;
        }
        self.stations.audit()
    }
}

/// The books of one workload: every request is answered, lost or still there, and Little's law is kept. `waiting` is when
/// those were sent that are still there.
fn balance(name: &str, meter: &Meter, waiting: &[Time]) -> Result<(), String> {
    let (metered, there) = (meter.in_flight(), waiting.len() as u64);
    if metered != there {
        return Err(format!("{name}: {metered} requests are in flight by the meter, and {there} by who sent them"));
    }
    let came = waiting.iter().map(|at| u128::from(at.as_nanos())).sum();
    match meter.residual(came) {
        0 => Ok(()),
        residual => Err(format!("{name}: Little's law is broken: {residual} ns too much time was spent waiting")),
    }
}

/// # Looked ahead at
impl Roles {
    /// Visits who owns a socket, and `acts` there or is told something.
    pub(crate) fn footprint(&self, owner: Owner, acts: bool, visit: Visit) {
        match owner {
            Owner::Client(number) => self.clients[number as usize].footprint_here(acts, visit),
            Owner::Instance(number) => self.instances[number as usize].footprint_here(visit),
            Owner::Outside => {}
        }
    }

    /// Visits what it points to.
    pub(crate) fn footprint_within(&self, owner: Owner, visit: Visit) {
        match owner {
            Owner::Client(number) => self.clients[number as usize].footprint(visit),
            Owner::Instance(number) => self.instances[number as usize].footprint(visit),
            Owner::Outside => {}
        }
    }

    /// The socket that it will act on, mostly.
    pub(crate) fn first_socket(&self, owner: Owner) -> Option<SocketId> {
        match owner {
            Owner::Client(number) => self.clients[number as usize].first_socket(),
            Owner::Instance(number) => self.instances[number as usize].socket,
            Owner::Outside => None,
        }
    }
}

/// # Cues
impl Roles {
    pub(crate) fn handle_ask(&mut self, stage: &mut Stage, client: u32, place: u32, life: u32) {
        let client = &mut self.clients[client as usize];
        client.handle_ask(stage, &mut self.workloads[client.workload], place, life);
    }

    pub(crate) fn handle_client_answer(
        &mut self,
        stage: &mut Stage,
        client: u32,
        socket: SocketId,
        ticket: Ticket,
        answer: Answer,
    ) {
        let client = &mut self.clients[client as usize];
        client.handle_answer(stage, &mut self.workloads[client.workload], socket, ticket, answer);
    }

    pub(crate) fn handle_served(&mut self, stage: &mut Stage, instance: u32, worker: u32, life: u32) {
        let instance = &mut self.instances[instance as usize];
        instance.handle_served(stage, &self.services[instance.service], worker, life, &mut self.receipts);
        self.hand_in_receipts(stage);
    }

    pub(crate) fn handle_instance_answer(
        &mut self,
        stage: &mut Stage,
        instance: u32,
        socket: SocketId,
        ticket: Ticket,
        answer: Answer,
    ) {
        let instance = &mut self.instances[instance as usize];
        let plan = &self.services[instance.service];
        instance.handle_answer(stage, plan, (socket, ticket), answer, &mut self.receipts);
        self.hand_in_receipts(stage);
    }

    /// The host is about to lose its sockets.
    pub(crate) fn handle_kill(&mut self, stage: &mut Stage, host: HostId) {
        for client in self.clients.iter_mut().filter(|client| client.host == host) {
            client.stop(stage, &mut self.workloads[client.workload]);
        }
        for instance in self.instances.iter_mut().filter(|instance| instance.host == host) {
            instance.stop();
        }
        self.stations.handle_kill(stage, host);
    }

    /// The host can have sockets again. Services begin first, so that the host's own clients find them.
    pub(crate) fn handle_restore(&mut self, stage: &mut Stage, host: HostId) -> Result<(), WorldError> {
        for instance in self.instances.iter_mut().filter(|instance| instance.host == host) {
            instance.start(stage, &self.services[instance.service], &mut self.receipts)?;
        }
        for client in self.clients.iter_mut().filter(|client| client.host == host) {
            client.start(stage, &mut self.workloads[client.workload])?;
        }
        self.stations.handle_restore(stage, host);
        Ok(())
    }

    /// A collecting service answers nobody; that its messages have arrived, the meters learn here.
    fn hand_in_receipts(&mut self, stage: &mut Stage) {
        for Receipt { sequence, site } in self.receipts.drain(..) {
            let (host, count) = home_of(sequence);
            if let Some(number) = self.homes.get(&host) {
                let client = &mut self.clients[*number as usize];
                client.handle_receipt(stage, &mut self.workloads[client.workload], count, site);
            }
        }
    }
}
