//! New York, London, and a service in both.

mod common;

use std::time::Duration;

use common::{millis, secs, service, two_sites, workload, world};
use sp_link::Distribution;
use sp_proto::{Kind, Options, Time};
use sp_virtual::{Fault, HostId, Load, MeterPlan, Phase, WorkloadId, WorkloadPlan, World};

#[test]
fn priority_keeps_requests_at_home_fails_over_and_comes_back() {
    let mut world = world(7);
    let (users, [new_york, _]) = cast(&mut world, &[1, 2], true);
    world.schedule(secs(20.0), Fault::Kill(new_york)).unwrap();
    world.schedule(secs(40.0), Fault::Restore(new_york)).unwrap();
    world.advance(secs(60.0));
    world.audit().unwrap();

    let meter = world.meter(users).unwrap();
    assert_eq!(meter.phase(Phase::Before).cross, 0);
    assert_eq!(meter.phase(Phase::During).answered, meter.phase(Phase::During).cross);
    assert_eq!(meter.bins()[42..].iter().map(|bin| bin.cross).sum::<u64>(), 0);
    assert!(Phase::ALL.iter().all(|phase| meter.phase(*phase).lost == 0));
    // The reset is there after 50 µs; the answer comes after one round trip and the service.
    let failover = meter.failover().unwrap();
    assert!(failover > Duration::from_millis(76) && failover < Duration::from_millis(100), "{failover:?}");
    // Back-off is at most a second; connecting at home takes 0.2 ms.
    assert!(meter.failback().unwrap() < Duration::from_millis(1_050), "{:?}", meter.failback());
}

#[test]
fn round_robin_sends_every_second_request_over_the_ocean() {
    let mut world = world(7);
    let (users, _) = cast(&mut world, &[1, 1], false);
    world.advance(secs(60.0));
    world.audit().unwrap();
    let tally = world.meter(users).unwrap().phase(Phase::Before);
    let cross = tally.cross as f64 / tally.answered as f64;
    assert!((cross - 0.5).abs() < 0.01, "{cross}");
}

/// The whole story, as seen from outside: home, away after the kill, home again after the restore.
#[test]
fn a_scripted_fail_over_reads_like_this() {
    let mut world = world(1);
    let [new_york, london] = two_sites(&mut world);
    let (home, away) = (world.add_host("home", new_york).unwrap(), world.add_host("away", london).unwrap());
    let asker = world.add_host("asker", new_york).unwrap();
    world.add_service(service("foo", &[(home, "home"), (away, "away")], 1, Distribution::Constant(0.001))).unwrap();
    let mut plan = workload(&world, "users", asker, &[("home", 1), ("away", 2)], Load::Paced { rate: 1.0 });
    plan.options = Options {
        reconnect_min: Duration::from_millis(10),
        reconnect_max: Duration::from_millis(10),
        ..Options::default()
    };
    world.add_workload(plan).unwrap();
    world.schedule(secs(2.0), Fault::Kill(home)).unwrap();
    world.schedule(secs(4.0), Fault::Restore(home)).unwrap();
    world.advance(secs(6.0));
    let told: Vec<String> = world
        .story()
        .unwrap()
        .lines()
        .filter_map(|line| {
            let (at, rest) = line.split_once(' ')?;
            let second = at.parse::<u64>().ok()? / 1_000_000_000;
            (rest.starts_with("asker sent") || rest.starts_with("home") && !rest.contains("72"))
                .then(|| format!("{second} {rest}"))
        })
        .collect();
    assert_eq!(
        told,
        [
            "0 home pipe up asker",
            "0 asker sent 68 to home",
            "0 home received 68 from asker",
            "0 home sent 68 to asker",
            "1 asker sent 68 to home",
            "1 home received 68 from asker",
            "1 home sent 68 to asker",
            "2 home killed",
            "2 home pipe down asker",
            "2 asker sent 68 to away",
            "3 asker sent 68 to away",
            "4 home restored",
            "4 home pipe up asker",
            "4 asker sent 68 to home",
            "4 home received 68 from asker",
            "4 home sent 68 to asker",
            "5 asker sent 68 to home",
            "5 home received 68 from asker",
            "5 home sent 68 to asker",
        ]
    );
}

#[test]
fn what_a_host_has_in_hand_when_it_dies_is_sent_again_elsewhere() {
    let mut world = world(1);
    let [new_york, london] = two_sites(&mut world);
    let (home, away) = (world.add_host("home", new_york).unwrap(), world.add_host("away", london).unwrap());
    let asker = world.add_host("asker", new_york).unwrap();
    world.add_service(service("foo", &[(home, "home"), (away, "away")], 3, Distribution::Constant(0.5))).unwrap();
    let load = Load::Closed { outstanding: 3, think: Distribution::Constant(1_000.0) };
    let plan = workload(&world, "users", asker, &[("home", 1), ("away", 2)], load);
    let users = world.add_workload(plan).unwrap();
    world.schedule(millis(300), Fault::Kill(home)).unwrap();
    world.advance(secs(2.0));
    world.audit().unwrap();
    let meter = world.meter(users).unwrap();
    let tally = meter.phase(Phase::Before);
    assert_eq!((tally.sent, tally.answered, tally.cross, tally.repeated), (3, 3, 3, 3));
    // Killed at 300 ms, heard of 50 µs later; then a round trip and the service.
    assert_eq!(tally.latency_max, 300_050_000 + 76_000_000 + 500_000_000);
}

#[test]
fn requests_that_nobody_answers_are_lost_at_their_timeout() {
    let mut world = world(3);
    let [new_york, _] = two_sites(&mut world);
    let (host, asker) = (world.add_host("foo", new_york).unwrap(), world.add_host("asker", new_york).unwrap());
    world.add_service(service("foo", &[(host, "foo")], 1, Distribution::Constant(3_600.0))).unwrap();
    let mut plan = workload(&world, "users", asker, &[("foo", 1)], Load::Paced { rate: 10.0 });
    plan.timeout = Duration::from_secs(2);
    let users = world.add_workload(plan).unwrap();
    world.advance(secs(10.0));
    world.audit().unwrap();
    let tally = world.meter(users).unwrap().phase(Phase::Before).clone();
    assert_eq!((tally.sent, tally.answered, tally.lost, tally.in_flight()), (100, 0, 80, 20));
}

#[test]
fn a_killed_client_loses_what_it_waits_for_and_asks_again_when_it_is_back() {
    let mut world = world(3);
    let (users, _) = cast(&mut world, &[1, 1], false);
    let asker = HostId::from_number(2);
    world.schedule(secs(5.01), Fault::Kill(asker)).unwrap();
    world.schedule(secs(6.0), Fault::Restore(asker)).unwrap();
    world.advance(secs(5.5));
    world.audit().unwrap();
    let counts = |world: &mut World| {
        let tally = world.meter(users).unwrap().phase(Phase::Before);
        (tally.sent, tally.answered, tally.lost, tally.in_flight())
    };
    let (sent, answered, lost, in_flight) = counts(&mut world);
    assert!(lost > 0 && in_flight == 0 && sent == answered + lost);
    world.advance(secs(10.0));
    world.audit().unwrap();
    assert!(counts(&mut world).0 > sent + 500);
}

#[test]
fn a_flood_goes_as_fast_as_its_collector_works() {
    let mut world = world(5);
    let [new_york, _] = two_sites(&mut world);
    let (sink, source) = (world.add_host("sink", new_york).unwrap(), world.add_host("source", new_york).unwrap());
    let mut collect = service("log", &[(sink, "log")], 2, Distribution::Constant(0.001));
    collect.kind = Kind::Pull;
    collect.options.recv_queue = 10;
    let log = world.add_service(collect).unwrap();
    let flood = WorkloadPlan {
        kind: Kind::Push,
        timeout: Duration::from_secs(60),
        ..workload(&world, "flood", source, &[("log", 1)], Load::Flood)
    };
    let flood = world.add_workload(flood).unwrap();
    world.advance(secs(10.0));
    world.audit().unwrap();
    let tally = world.meter(flood).unwrap().phase(Phase::Before).clone();
    // Two workers, a millisecond each: 2,000 a second, and the first after the handshake.
    assert!((19_990..=20_002).contains(&tally.answered), "{}", tally.answered);
    let served = world.served(world.instances(log).unwrap()[0]).unwrap();
    assert!(tally.answered - served <= 2, "{served} of {}", tally.answered);
    // In the window (256 KiB of 72 bytes), both queues, and the hands of the two workers.
    let held = (256 << 10) / 72 + 1 + 10 + 1_000;
    assert!(tally.in_flight().abs_diff(held) <= 15, "{} in flight, not {held}", tally.in_flight());
}

#[test]
fn what_is_pushed_at_a_dead_collector_is_lost_in_time() {
    let mut world = world(5);
    let [new_york, _] = two_sites(&mut world);
    let (sink, source) = (world.add_host("sink", new_york).unwrap(), world.add_host("source", new_york).unwrap());
    let mut collect = service("log", &[(sink, "log")], 1, Distribution::ZERO);
    collect.kind = Kind::Pull;
    world.add_service(collect).unwrap();
    let push = WorkloadPlan {
        kind: Kind::Push,
        timeout: Duration::from_secs(1),
        ..workload(&world, "push", source, &[("log", 1)], Load::Paced { rate: 100.0 })
    };
    let push = world.add_workload(push).unwrap();
    world.schedule(secs(2.0), Fault::Kill(sink)).unwrap();
    world.schedule(secs(5.0), Fault::Restore(sink)).unwrap();
    world.advance(secs(10.0));
    world.audit().unwrap();
    let tally = world.meter(push).unwrap().phase(Phase::Before).clone();
    assert_eq!(tally.sent, 1_000);
    // Those of the last second before the restore are still in time, but for the back-off.
    assert!((200..=300).contains(&tally.lost), "{}", tally.lost);
    assert!(tally.in_flight() <= 1);
}

/// One service in each city and one client in New York, 200 requests a second.
fn cast(world: &mut World, levels: &[i64; 2], faults: bool) -> (WorkloadId, [HostId; 2]) {
    let sites = two_sites(world);
    let hosts = ["foo.new-york", "foo.london"].map(|name| name.to_owned());
    let [a, b] = [0, 1].map(|place| world.add_host(&hosts[place], sites[place]).unwrap());
    let asker = world.add_host("asker", sites[0]).unwrap();
    let time = Distribution::Exponential { mean: 0.002 };
    world.add_service(service("foo", &[(a, "ny"), (b, "ldn")], 4, time)).unwrap();
    let mut plan =
        workload(world, "users", asker, &[("ny", levels[0]), ("ldn", levels[1])], Load::Poisson { rate: 200.0 });
    if faults {
        plan.meter = MeterPlan {
            from: millis(1_000),
            to: Time::from_nanos(60_000_000_000),
            fault: Some(secs(20.0)),
            restore: Some(secs(40.0)),
            guard: Duration::from_millis(500),
            settle: Duration::ZERO,
            struck: None,
            ..plan.meter
        };
    }
    (world.add_workload(plan).unwrap(), [a, b])
}
