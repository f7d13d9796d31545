//! The virtual world: the engine's own state machines under another clock and over another wire.
//!
//! Nothing of the protocols is modelled here. The sockets are `sp-proto`'s, told the agenda's time instead of the
//! system's; the wire is `sp-link`'s. What this crate adds is an [`Agenda`], a network of sites and hosts with connections
//! over their links, and *roles*: workloads, services and faults that run without leaving native code. It knows nothing of
//! Python, scenarios or results.
//!
//! A [`World`] is used like every machine here: it is commanded (add a site, open a socket, submit a receive), told how far
//! to go ([`World::advance`]), and asked what came of it ([`World::poll_outcome`]). The same seed and the same commands
//! give the same story, to the last nanosecond.

mod agenda;
mod connection;
mod error;
mod glance;
mod host;
mod ids;
mod meters;
mod network;
mod processor;
mod roles;
mod stage;
mod story;
mod world;

pub use agenda::{Agenda, Alarm};
pub use error::WorldError;
pub use ids::{CrowdId, HostId, OutsideTicket, SiteId, SocketId, StationId};
pub use meters::{Bin, Meter, MeterPlan, Phase, Series, Tally};
pub use processor::Handling;
pub use roles::faults::Fault;
pub use roles::rhythm::Load;
pub use roles::router::Choice;
pub use roles::service::{ForwardPlan, InstancePlan, ServicePlan};
pub use roles::stations::{CrowdPlan, StationPlan, WhenFull};
pub use roles::workload::{ClientPlan, WorkloadPlan};
pub use roles::{InstanceId, ServiceId, WorkloadId, home_of, sequence_for};
pub use story::{Scene, Story};
pub use world::{Outcome, Progress, World, WorldOptions};
