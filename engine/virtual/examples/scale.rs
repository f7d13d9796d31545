//! What many hosts cost: `cargo run --release -p sp-virtual --example scale`.
//!
//! First 100,000 hosts with an idle socket each: bytes for each, and how long they take to build. Then worlds of 100 to
//! 100,000 hosts, a tenth of them servers: nanoseconds for an event.
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::time::Duration;

use sp_link::{Distribution, LinkOptions};
use sp_proto::{EndpointOptions, Kind, Options, Time};
use sp_virtual::{Choice, ClientPlan, InstancePlan, Load, MeterPlan, ServicePlan, WorkloadPlan, World, WorldOptions};

fn main() {
    let asked: Vec<usize> = std::env::args().skip(1).filter_map(|hosts| hosts.parse().ok()).collect();
    if asked.is_empty() {
        idle(100_000);
    }
    let sizes = if asked.is_empty() { vec![100, 1_000, 10_000, 100_000] } else { asked };
    sizes.into_iter().for_each(busy);
}

fn idle(hosts: usize) {
    let before = resident();
    let begin = busy_nanos();
    let mut world = World::new(WorldOptions::default());
    let site = world.add_site("here", LinkOptions::default()).unwrap();
    for number in 0..hosts {
        let host = world.add_host(&format!("host{number}"), site).unwrap();
        let kind = if number % 2 == 0 { Kind::Rep } else { Kind::Req };
        world.open_socket(host, kind, Options::default()).unwrap();
    }
    let took = (busy_nanos() - begin) as f64 / 1e9;
    let each = (resident() - before) / hosts;
    println!("{hosts} idle hosts with a socket: {each} bytes each, built in {took:.2} s");
}

fn busy(hosts: usize) {
    let mut world = World::new(WorldOptions::default());
    let site =
        world.add_site("here", LinkOptions { delay: Duration::from_millis(1), ..LinkOptions::default() }).unwrap();
    let servers = hosts / 10;
    let instances: Vec<InstancePlan> = (0..servers)
        .map(|number| {
            let address = format!("server{number}");
            InstancePlan { host: world.add_host(&address, site).unwrap(), address, slowness: 1.0 }
        })
        .collect();
    let clients = (servers..hosts)
        .map(|number| ClientPlan {
            host: world.add_host(&format!("client{number}"), site).unwrap(),
            targets: vec![(format!("server{}", number % servers), EndpointOptions::default())],
        })
        .collect();
    world
        .add_service(ServicePlan {
            name: "foo".into(),
            kind: Kind::Rep,
            instances,
            workers: 1,
            time: Distribution::Exponential { mean: 0.001 },
            reply: 64,
            patience: None,
            forward: None,
            options: Options::default(),
        })
        .unwrap();
    let meter = MeterPlan {
        sites: world.sites().to_vec(),
        from: Time::ZERO,
        to: Time::NEVER,
        fault: None,
        restore: None,
        guard: Duration::ZERO,
        settle: Duration::ZERO,
        struck: None,
        bin: Duration::from_secs(1),
    };
    world
        .add_workload(WorkloadPlan {
            name: "users".into(),
            kind: Kind::Req,
            clients,
            load: Load::Poisson { rate: 20.0 },
            choice: Choice::InTurn,
            size: 64,
            timeout: Duration::from_secs(5),
            deadline: None,
            receivers: None,
            options: Options::default(),
            meter,
        })
        .unwrap();
    // Until everybody is connected and has asked some nine times: what grows at first has grown by then.
    world.advance(Time::from_nanos(500_000_000));
    let (begin, before) = (busy_nanos(), world.events());
    while world.events() - before < 1_000_000 {
        let next = Time::from_nanos(world.now().as_nanos() + 10_000_000);
        world.advance(next);
    }
    let events = world.events() - before;
    println!("{hosts} hosts: {:.0} ns for an event", (busy_nanos() - begin) as f64 / events as f64);
}

/// Bytes of memory in use by this process.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    4_096 * pages.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
}

/// Nanoseconds of processor time that this process has had.
fn busy_nanos() -> u64 {
    let seen = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    seen.split_whitespace().next().unwrap().parse().unwrap()
}
