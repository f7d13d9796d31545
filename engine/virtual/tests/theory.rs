//! The simulator against queueing theory. Replications are independent, so their spread gives the standard error, and a
//! simulator that is right is within 3.5 of them.

mod common;

use common::{secs, service, workload};
use sp_link::{Distribution, LinkOptions};
use sp_virtual::{Load, MeterPlan, Phase, World, WorldOptions};

#[test]
fn a_single_worker_is_m_m_1() {
    for load in [0.5, 0.8] {
        expect(&format!("M/M/1 at {load}"), 1, load, EXPONENTIAL, 1.0 / (1.0 - load));
    }
}

/// Waiting times from Erlang's C: 0.357212 and 0.745541 service times for four workers.
#[test]
fn four_workers_are_m_m_4() {
    expect("M/M/4 at 0.7", 4, 0.7, EXPONENTIAL, 1.357_212);
    expect("M/M/4 at 0.8", 4, 0.8, EXPONENTIAL, 1.745_541);
}

/// Pollaczek and Khinchine: waiting is ρ(1 + cv²) / 2(1 − ρ) service times.
#[test]
fn other_service_times_are_m_g_1() {
    let waiting = |load: f64, variation: f64| load * (1.0 + variation * variation) / (2.0 * (1.0 - load));
    expect("M/D/1 at 0.8", 1, 0.8, Distribution::Constant(SERVICE), 1.0 + waiting(0.8, 0.0));
    let lognormal = Distribution::Lognormal { mean: SERVICE, variation: 1.5 };
    expect("M/G/1 at 0.6", 1, 0.6, lognormal, 1.0 + waiting(0.6, 1.5));
}

/// The mean time in the system, in service times, of the requests between the warm-up and the end.
fn expect(what: &str, workers: u32, load: f64, time: Distribution, theory: f64) {
    let means: Vec<f64> =
        (0..REPLICATIONS).map(|replication| mean_sojourn(workers, load, time.clone(), replication)).collect();
    let count = means.len() as f64;
    let mean = means.iter().sum::<f64>() / count;
    let variance = means.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let z = (mean - theory) / (variance / count).sqrt();
    assert!(z.abs() <= 3.5, "{what}: {mean:.4} instead of {theory:.4}, z = {z:.2}");
    assert!((mean / theory - 1.0).abs() < 0.05, "{what}: {mean:.4} instead of {theory:.4}");
}

fn mean_sojourn(workers: u32, load: f64, time: Distribution, replication: u64) -> f64 {
    let mut world = World::new(WorldOptions { seed: 2026, replication, ..WorldOptions::default() });
    let delay = std::time::Duration::from_nanos(100);
    let site = world.add_site("here", LinkOptions { delay, ..LinkOptions::default() }).unwrap();
    let (host, asker) = (world.add_host("host", site).unwrap(), world.add_host("asker", site).unwrap());
    let mut served = service("queue", &[(host, "queue")], workers, time);
    served.options.recv_queue = 1_000_000;
    world.add_service(served).unwrap();
    let rate = load * f64::from(workers) / SERVICE;
    let mut plan = workload(&world, "users", asker, &[("queue", 1)], Load::Poisson { rate });
    plan.timeout = std::time::Duration::from_secs(3_600);
    plan.options.send_queue = 1_000_000;
    let span = CUSTOMERS / rate;
    plan.meter = MeterPlan { from: secs(span / 10.0), to: secs(span), ..plan.meter };
    let users = world.add_workload(plan).unwrap();
    world.advance(secs(span * 1.1));
    world.audit().unwrap();
    let tally = world.meter(users).unwrap().phase(Phase::Before);
    assert_eq!(tally.in_flight(), 0, "nobody who is measured is still in the queue");
    tally.latency_sum as f64 / tally.answered as f64 / 1e9 / SERVICE
}

const SERVICE: f64 = 0.001;
const EXPONENTIAL: Distribution = Distribution::Exponential { mean: SERVICE };
const CUSTOMERS: f64 = 20_000.0;
const REPLICATIONS: u64 = 20;
