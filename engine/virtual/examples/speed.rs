//! How many events a second: `cargo run --release -p sp-virtual --example speed`.
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::time::Duration;

use sp_link::{Distribution, LinkOptions};
use sp_proto::{EndpointOptions, Kind, Options, Priority, Time};
use sp_virtual::{
    Choice, ClientPlan, InstancePlan, Load, MeterPlan, Phase, ServicePlan, WorkloadPlan, World, WorldOptions,
};

fn main() {
    run("open, 2 sites, round robin", Load::Poisson { rate: 500.0 }, false);
    run("open, 2 sites, priority", Load::Poisson { rate: 500.0 }, true);
    run("closed 4, 2 sites", Load::Closed { outstanding: 4, think: Distribution::ZERO }, true);
}

fn run(name: &str, load: Load, priority: bool) {
    let mut world = World::new(WorldOptions::default());
    let sites = ["new-york", "london"].map(|site| world.add_site(site, LinkOptions::default()).unwrap());
    let ocean = LinkOptions {
        delay: Duration::from_millis(38),
        jitter: Distribution::Exponential { mean: 0.0005 },
        ..LinkOptions::default()
    };
    world.link(sites[0], sites[1], ocean).unwrap();
    let instances = (0..4).map(|number| {
        let address = format!("foo{number}");
        InstancePlan { host: world.add_host(&address, sites[number % 2]).unwrap(), address, slowness: 1.0 }
    });
    let instances: Vec<InstancePlan> = instances.collect();
    let addresses: Vec<String> = instances.iter().map(|instance| instance.address.clone()).collect();
    let service = ServicePlan {
        name: "foo".into(),
        kind: Kind::Rep,
        instances,
        workers: 4,
        time: Distribution::Exponential { mean: 0.002 },
        reply: 64,
        patience: None,
        forward: None,
        options: Options::default(),
    };
    world.add_service(service).unwrap();
    let clients = (0..8).map(|number| ClientPlan {
        host: world.add_host(&format!("client{number}"), sites[number % 2]).unwrap(),
        targets: addresses
            .iter()
            .enumerate()
            .map(|(place, address)| {
                let level = if priority && place % 2 != number % 2 { 2 } else { 1 };
                let send_priority = Priority::new(level).unwrap();
                (address.clone(), EndpointOptions { send_priority, ..EndpointOptions::default() })
            })
            .collect(),
    });
    let workload = WorkloadPlan {
        name: "users".into(),
        kind: Kind::Req,
        clients: clients.collect(),
        load,
        choice: Choice::InTurn,
        size: 64,
        timeout: Duration::from_secs(5),
        deadline: None,
        receivers: None,
        options: Options::default(),
        meter: MeterPlan {
            sites: world.sites().to_vec(),
            from: Time::ZERO,
            to: Time::NEVER,
            fault: None,
            restore: None,
            guard: Duration::ZERO,
            settle: Duration::ZERO,
            struck: None,
            bin: Duration::from_secs(1),
        },
    };
    let users = world.add_workload(workload).unwrap();
    let begin = busy_nanos();
    world.advance(Time::from_nanos(200_000_000_000));
    let took = (busy_nanos() - begin) as f64 / 1e9;
    world.audit().unwrap();
    let events = world.events();
    let meter = world.meter(users).unwrap();
    let tally = meter.phase(Phase::Before);
    println!(
        "{name}: {:.2} M events/s, {:.2} M requests/s ({events} events in {took:.2} s; {} requests, mean {:.3} ms, cross {:.3})",
        events as f64 / took / 1e6,
        tally.answered as f64 / took / 1e6,
        tally.answered,
        tally.latency_sum as f64 / tally.answered as f64 / 1e6,
        tally.cross as f64 / tally.answered as f64,
    );
}

/// Nanoseconds of processor time that this process has had.
fn busy_nanos() -> u64 {
    let seen = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    seen.split_whitespace().next().unwrap().parse().unwrap()
}
