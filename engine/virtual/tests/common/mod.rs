//! Small worlds for the tests.
#![allow(dead_code, reason = "not every test uses every helper")]

use std::time::Duration;

use sp_link::{Distribution, LinkOptions};
use sp_proto::{EndpointOptions, Kind, Options, Priority, Time};
use sp_virtual::{
    Choice, ClientPlan, HostId, InstancePlan, Load, MeterPlan, ServicePlan, SiteId, WorkloadPlan, World, WorldOptions,
};

pub(crate) const HALF_RTT: Duration = Duration::from_millis(38);

pub(crate) fn world(seed: u64) -> World {
    World::new(WorldOptions { seed, story: Some(100_000), ..WorldOptions::default() })
}

/// New York and London, 76 ms apart.
pub(crate) fn two_sites(world: &mut World) -> [SiteId; 2] {
    let within = LinkOptions::default();
    let sites = ["new-york", "london"].map(|name| world.add_site(name, within.clone()).unwrap());
    world.link(sites[0], sites[1], LinkOptions { delay: HALF_RTT, ..LinkOptions::default() }).unwrap();
    sites
}

pub(crate) fn at_priority(level: i64) -> EndpointOptions {
    EndpointOptions { send_priority: Priority::new(level).unwrap(), ..EndpointOptions::default() }
}

pub(crate) fn service(name: &str, instances: &[(HostId, &str)], workers: u32, time: Distribution) -> ServicePlan {
    ServicePlan {
        name: name.to_owned(),
        kind: Kind::Rep,
        instances: instances
            .iter()
            .map(|(host, address)| InstancePlan { host: *host, address: (*address).to_owned(), slowness: 1.0 })
            .collect(),
        workers,
        time,
        reply: 64,
        patience: None,
        forward: None,
        options: Options::default(),
    }
}

pub(crate) fn workload(world: &World, name: &str, host: HostId, targets: &[(&str, i64)], load: Load) -> WorkloadPlan {
    WorkloadPlan {
        name: name.to_owned(),
        kind: Kind::Req,
        clients: vec![ClientPlan {
            host,
            targets: targets.iter().map(|(address, level)| ((*address).to_owned(), at_priority(*level))).collect(),
        }],
        load,
        choice: Choice::InTurn,
        size: 64,
        timeout: Duration::from_secs(5),
        deadline: None,
        receivers: None,
        options: Options::default(),
        meter: all_of(world),
    }
}

/// Measures everything, and knows of no fault.
pub(crate) fn all_of(world: &World) -> MeterPlan {
    MeterPlan {
        sites: world.sites().to_vec(),
        from: Time::ZERO,
        to: Time::NEVER,
        fault: None,
        restore: None,
        guard: Duration::ZERO,
        settle: Duration::ZERO,
        struck: None,
        bin: Duration::from_secs(1),
    }
}

pub(crate) fn secs(seconds: f64) -> Time {
    Time::from_nanos((seconds * 1e9).round() as u64)
}

pub(crate) fn millis(millis: u64) -> Time {
    Time::from_nanos(millis * 1_000_000)
}
