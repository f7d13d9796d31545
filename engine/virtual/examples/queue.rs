//! How fast a single queue is: `cargo run --release -p sp-virtual --example queue`.
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::time::Duration;

use sp_link::{Distribution, LinkOptions};
use sp_proto::Time;
use sp_virtual::{Choice, CrowdPlan, Load, MeterPlan, Phase, StationPlan, WhenFull, World, WorldOptions};

fn main() {
    for _ in 0..3 {
        run();
    }
}

fn run() {
    let mut world = World::new(WorldOptions::default());
    let site = world.add_site("here", LinkOptions::default()).unwrap();
    let hosts = ["server", "asker"].map(|name| world.add_host(name, site).unwrap());
    let station = world
        .add_station(StationPlan {
            name: "queue".into(),
            hosts: vec![hosts[0]],
            workers: 1,
            time: Distribution::Exponential { mean: 0.9 },
            queue: 1_000_000,
            when_full: WhenFull::Block,
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
        bin: Duration::from_secs(10_000),
    };
    let crowd = CrowdPlan {
        name: "users".into(),
        clients: vec![(hosts[1], vec![(0, 1)])],
        load: Load::Poisson { rate: 1.0 },
        choice: Choice::InTurn,
        surveys: false,
        timeout: Duration::from_secs(1_000_000),
        meter,
    };
    let crowd = world.add_crowd(station, crowd).unwrap();
    let begin = busy_nanos();
    world.advance(Time::from_nanos(1_000_000_000_000_000));
    let took = (busy_nanos() - begin) as f64 / 1e9;
    world.audit().unwrap();
    let events = world.events();
    let tally = world.crowd_meter(crowd).unwrap().phase(Phase::Before);
    println!(
        "M/M/1 at 0.9: {:.2} M events/s, {:.2} M requests/s, mean {:.3} s",
        events as f64 / took / 1e6,
        tally.answered as f64 / took / 1e6,
        tally.latency_sum as f64 / tally.answered as f64 / 1e9,
    );
}

/// Nanoseconds of processor time that this process has had.
fn busy_nanos() -> u64 {
    let seen = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    seen.split_whitespace().next().unwrap().parse().unwrap()
}
