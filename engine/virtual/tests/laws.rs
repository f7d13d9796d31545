//! What holds in every world, whatever happens in it.

mod common;

use std::time::Duration;

use common::{secs, service, workload};
use proptest::prelude::*;
use sp_link::{Distribution, LinkOptions};
use sp_proto::{Kind, Options};
use sp_virtual::{Fault, Handling, HostId, Load, Phase, SiteId, WorkloadId, World, WorldOptions};

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_made_up_and_nothing_forgotten(play in play()) {
        let (mut world, workloads) = play.stage();
        for second in 1..=20 {
            world.advance(secs(f64::from(second)));
            if let Err(problem) = world.audit() {
                prop_assert!(false, "at {second} s: {problem}");
            }
        }
        for workload in workloads {
            let meter = world.meter(workload).unwrap();
            let sums = Phase::ALL.map(|phase| meter.phase(phase)).iter().fold((0, 0, 0), |sums, tally| {
                (sums.0 + tally.sent, sums.1 + tally.answered, sums.2 + tally.lost)
            });
            prop_assert_eq!(sums.0, sums.1 + sums.2 + meter.in_flight());
            for phase in Phase::ALL {
                let tally = meter.phase(phase);
                prop_assert_eq!(tally.latencies().map(|(_, count)| count).sum::<u64>(), tally.answered);
            }
            let answered: u64 = meter.bins().iter().flat_map(|bin| &bin.answered).sum();
            prop_assert_eq!(answered, sums.1);
        }
    }

    #[test]
    fn the_same_seed_tells_the_same_story(play in play()) {
        let tell = || {
            let (mut world, _) = play.stage();
            world.advance(secs(8.0));
            (world.story().unwrap().told(), world.story().unwrap().digest(), world.events())
        };
        prop_assert_eq!(tell(), tell());
    }

    #[test]
    fn it_does_not_matter_in_which_steps_time_goes(play in play(), steps in prop::collection::vec(1_u64..2_000, 1..30)) {
        let (mut whole, _) = play.stage();
        whole.advance(secs(6.0));
        let (mut pieces, _) = play.stage();
        let mut at = 0;
        for step in steps {
            at += step * 1_000_000;
            pieces.advance(sp_proto::Time::from_nanos(at.min(6_000_000_000)));
        }
        while pieces.advance_by(secs(6.0), 100) == sp_virtual::Progress::Paused {}
        prop_assert_eq!(whole.story().unwrap().digest(), pieces.story().unwrap().digest());
    }
}

/// A policy is changed; the luck of everything else is not.
#[test]
fn arrivals_are_the_same_under_another_policy() {
    let asked = |level| {
        let mut world = common::world(9);
        let [new_york, london] = common::two_sites(&mut world);
        let hosts = [world.add_host("a", new_york).unwrap(), world.add_host("b", london).unwrap()];
        let asker = world.add_host("asker", new_york).unwrap();
        world.add_service(service("foo", &[(hosts[0], "a"), (hosts[1], "b")], 1, Distribution::ZERO)).unwrap();
        let plan = workload(&world, "users", asker, &[("a", 1), ("b", level)], Load::Poisson { rate: 100.0 });
        world.add_workload(plan).unwrap();
        world.advance(secs(10.0));
        let asked = |line: &&str| line.contains("asked");
        let asked: Vec<String> = world.story().unwrap().lines().filter(asked).map(str::to_owned).collect();
        (asked, world.story().unwrap().digest())
    };
    let (round_robin, priority) = (asked(1), asked(2));
    assert!(round_robin.0.len() > 900);
    assert_eq!(round_robin.0, priority.0);
    assert_ne!(round_robin.1, priority.1);
}

#[test]
fn another_replication_has_other_luck() {
    let told = |seed, replication| {
        let mut world = World::new(WorldOptions { seed, replication, story: Some(0), ..WorldOptions::default() });
        let [new_york, _] = common::two_sites(&mut world);
        let (host, asker) = (world.add_host("a", new_york).unwrap(), world.add_host("asker", new_york).unwrap());
        world.add_service(service("foo", &[(host, "a")], 1, Distribution::ZERO)).unwrap();
        let plan = workload(&world, "users", asker, &[("a", 1)], Load::Poisson { rate: 100.0 });
        world.add_workload(plan).unwrap();
        world.advance(secs(1.0));
        world.story().unwrap().digest()
    };
    assert_ne!(told(1, 0), told(1, 1));
    assert_ne!(told(1, 0), told(2, 0));
    assert_eq!(told(1, 1), told(1, 1));
}

/// A random cast on three sites, and random faults.
#[derive(Clone, Debug)]
struct Play {
    seed: u64,
    window: usize,
    handling: Option<Handling>,
    queue: usize,
    jitter: f64,
    loss: f64,
    load: Load,
    resend: Duration,
    faults: Vec<(u64, u8, u8, u8)>,
}

impl Play {
    fn stage(&self) -> (World, Vec<WorkloadId>) {
        let mut world = World::new(WorldOptions {
            seed: self.seed,
            replication: 0,
            window: self.window,
            handling: self.handling,
            story: Some(50),
        });
        let link = |delay| LinkOptions {
            delay: Duration::from_millis(delay),
            jitter: Distribution::Exponential { mean: self.jitter },
            loss: self.loss,
            rate: Some(10_000_000),
        };
        let sites = ["x", "y", "z"].map(|name| world.add_site(name, LinkOptions::default()).unwrap());
        for (a, b, delay) in [(0, 1, 5), (1, 2, 20), (0, 2, 40)] {
            world.link(sites[a], sites[b], link(delay)).unwrap();
        }
        let options = Options {
            recv_queue: self.queue,
            send_queue: self.queue,
            resend: self.resend,
            handshake_timeout: Duration::from_secs(1),
            ..Options::default()
        };
        let hosts: Vec<HostId> =
            (0..3).map(|number| world.add_host(&format!("s{number}"), sites[number]).unwrap()).collect();
        let mut reply =
            service("reply", &[(hosts[0], "r0"), (hosts[1], "r1")], 2, Distribution::Exponential { mean: 0.004 });
        reply.options = options.clone();
        world.add_service(reply).unwrap();
        let mut collect = service("collect", &[(hosts[2], "c2")], 1, Distribution::Exponential { mean: 0.002 });
        (collect.kind, collect.options) = (Kind::Pull, options.clone());
        world.add_service(collect).unwrap();
        let askers = ["asker", "pusher", "flooder"].map(|name| world.add_host(name, sites[0]).unwrap());
        let mut asks = workload(&world, "asks", askers[0], &[("r0", 1), ("r1", 2)], self.load.clone());
        let mut pushes = workload(&world, "pushes", askers[1], &[("c2", 1)], Load::Poisson { rate: 100.0 });
        let mut floods = workload(&world, "floods", askers[2], &[("c2", 1)], Load::Flood);
        (pushes.kind, floods.kind) = (Kind::Push, Kind::Push);
        let workloads = [&mut asks, &mut pushes, &mut floods].map(|plan| {
            plan.timeout = Duration::from_secs(2);
            plan.options = options.clone();
            (plan.meter.from, plan.meter.to) = (secs(1.0), secs(15.0));
            (plan.meter.fault, plan.meter.restore) = (Some(secs(3.0)), Some(secs(9.0)));
            world.add_workload(plan.clone()).unwrap()
        });
        for (at, deed, first, second) in &self.faults {
            world
                .schedule(sp_proto::Time::from_nanos(at * 1_000_000), self.fault(&sites, *deed, *first, *second))
                .unwrap();
        }
        (world, workloads.to_vec())
    }

    fn fault(&self, sites: &[SiteId; 3], deed: u8, first: u8, second: u8) -> Fault {
        let host = HostId::from_number(u32::from(first) % 6);
        let (a, b) = (sites[usize::from(first) % 3], sites[usize::from(second) % 3]);
        match deed {
            0 => Fault::Kill(host),
            1 => Fault::Restore(host),
            2 => Fault::Cut(a, b),
            3 => Fault::Heal(a, b),
            4 => Fault::Mute(a, b),
            5 => Fault::Unmute(a, b),
            _ => Fault::Break(a, b),
        }
    }
}

fn play() -> impl Strategy<Value = Play> {
    let load = prop_oneof![
        (1.0..300.0).prop_map(|rate| Load::Poisson { rate }),
        (1.0..300.0).prop_map(|rate| Load::Paced { rate }),
        (1_u32..20).prop_map(|outstanding| Load::Closed { outstanding, think: Distribution::ZERO }),
        (1_u32..20)
            .prop_map(|outstanding| Load::Closed { outstanding, think: Distribution::Exponential { mean: 0.01 } }),
    ];
    let faults = prop::collection::vec((0_u64..18_000, 0_u8..7, any::<u8>(), any::<u8>()), 0..40);
    let window = prop_oneof![Just(1_usize), Just(500), Just(256 << 10)];
    let resend = prop_oneof![Just(Duration::from_millis(300)), Just(Duration::from_secs(60))];
    let loss = prop_oneof![Just(0.0), 0.0..0.05];
    let micros = || (0_u64..200).prop_map(Duration::from_micros);
    let handling = (micros(), micros(), micros()).prop_map(|(wake, step, kib)| Handling { wake, step, kib });
    let handling = prop::option::of(handling);
    (any::<u64>(), window, handling, 1_usize..50, 0.0..0.01, loss, load, resend, faults).prop_map(
        |(seed, window, handling, queue, jitter, loss, load, resend, faults)| Play {
            seed,
            window,
            handling,
            queue,
            jitter,
            loss,
            load,
            resend,
            faults,
        },
    )
}
