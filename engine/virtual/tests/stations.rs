//! Services that are reached without a network.

mod common;

use std::time::Duration;

use common::{all_of, secs, world};
use sp_link::{Distribution, LinkOptions};
use sp_virtual::{Choice, CrowdId, CrowdPlan, Fault, Load, Phase, StationPlan, WhenFull, World};

#[test]
fn a_paced_crowd_queues_as_it_must() {
    let (mut world, crowd) = here(plan(1, 1, 0.15), Load::Trace([0.0, 0.1, 0.2, 1.0].into()), |crowd| crowd);
    world.advance(secs(2.0));
    let tally = world.crowd_meter(crowd).unwrap().phase(Phase::Before);
    // They take 150, 200, 250 and 150 ms.
    assert_eq!((tally.sent, tally.answered, tally.latency_sum), (4, 4, 750_000_000));
    world.audit().unwrap();
}

#[test]
fn a_full_queue_does_as_it_was_told() {
    for (when_full, lost, longest) in
        [(WhenFull::DropNew, 2, 199), (WhenFull::DropOld, 2, 197), (WhenFull::Block, 0, 397)]
    {
        let station = StationPlan { queue: 1, when_full, ..plan(1, 1, 0.1) };
        let (mut world, crowd) = here(station, Load::Trace([0.0, 0.001, 0.002, 0.003].into()), |crowd| crowd);
        world.advance(secs(2.0));
        world.audit().unwrap();
        let tally = world.crowd_meter(crowd).unwrap().phase(Phase::Before);
        assert_eq!((tally.lost, tally.dropped, tally.answered), (lost, lost, 4 - lost), "{when_full:?}");
        assert_eq!(tally.latency_max, longest * 1_000_000);
    }
}

#[test]
fn a_survey_is_answered_when_everybody_has() {
    let surveys = |crowd| CrowdPlan { surveys: true, timeout: Duration::from_millis(500), ..crowd };
    let station = StationPlan { time: Distribution::Exponential { mean: 0.1 }, ..plan(10, 1_000, 0.0) };
    let (mut world, crowd) = here(station, Load::Paced { rate: 10.0 }, surveys);
    world.advance(secs(1_000.0));
    world.audit().unwrap();
    let meter = world.crowd_meter(crowd).unwrap();
    let tally = meter.phase(Phase::Before);
    let complete = tally.answered as f64 / (tally.answered + tally.lost) as f64;
    let theory = (1.0 - (-5.0_f64).exp()).powi(10);
    assert!((complete - theory).abs() < 0.01, "{complete} of the surveys are complete instead of {theory}");
    let in_time = tally.replies as f64 / (tally.replies + tally.late) as f64;
    assert!((in_time - (1.0 - (-5.0_f64).exp())).abs() < 0.003, "{in_time}");
    world.audit().unwrap();
}

#[test]
fn who_is_overdue_is_lost_and_counted_once() {
    let impatient = |crowd| CrowdPlan { timeout: Duration::from_millis(250), ..crowd };
    let (mut world, crowd) = here(plan(1, 1, 0.2), Load::Trace([0.0, 0.0, 0.0].into()), impatient);
    world.advance(secs(0.3));
    let tally = world.crowd_meter(crowd).unwrap().phase(Phase::Before);
    assert_eq!((tally.answered, tally.lost, tally.in_flight()), (1, 2, 0));
    world.audit().unwrap();
    world.advance(secs(2.0));
    let tally = world.crowd_meter(crowd).unwrap().phase(Phase::Before);
    assert_eq!((tally.answered, tally.lost), (1, 2));
    world.audit().unwrap();
}

#[test]
fn a_host_that_dies_takes_its_requests_along_and_is_avoided() {
    for choice in [Choice::InTurn, Choice::Random, Choice::LeastOutstanding, Choice::PowerOf(2), Choice::Sticky] {
        let (mut world, crowd) =
            here(plan(4, 1, 0.01), Load::Closed { outstanding: 8, think: Distribution::ZERO }, |crowd| CrowdPlan {
                choice,
                ..crowd
            });
        let first = world.advance(secs(1.0));
        assert_eq!(first, None);
        for host in 0..3 {
            world.strike(Fault::Kill(sp_virtual::HostId::from_number(host))).unwrap();
        }
        world.advance(secs(2.0));
        let lost = world.crowd_meter(crowd).unwrap().phase(Phase::Before).lost;
        assert!(lost <= 8, "{choice:?}: {lost}");
        world.strike(Fault::Restore(sp_virtual::HostId::from_number(1))).unwrap();
        world.advance(secs(3.0));
        world.audit().unwrap();
        assert_eq!(world.crowd_meter(crowd).unwrap().phase(Phase::Before).lost, lost, "{choice:?}");
    }
}

fn plan(instances: u32, workers: u32, time: f64) -> StationPlan {
    StationPlan {
        name: "queue".into(),
        hosts: (0..instances).map(sp_virtual::HostId::from_number).collect(),
        workers,
        time: Distribution::Constant(time),
        queue: 1_000_000,
        when_full: WhenFull::DropNew,
    }
}

fn here(station: StationPlan, load: Load, change: impl Fn(CrowdPlan) -> CrowdPlan) -> (World, CrowdId) {
    let mut world = world(5);
    let site = world.add_site("here", LinkOptions::default()).unwrap();
    for host in &station.hosts {
        world.add_host(&format!("server{}", host.number()), site).unwrap();
    }
    let asker = world.add_host("asker", site).unwrap();
    let targets = (0..station.hosts.len() as u32).map(|place| (place, 1)).collect();
    let crowd = change(CrowdPlan {
        name: "users".into(),
        clients: vec![(asker, targets)],
        load,
        choice: Choice::InTurn,
        surveys: false,
        timeout: Duration::from_secs(5),
        meter: all_of(&world),
    });
    let station = world.add_station(station).unwrap();
    let crowd = world.add_crowd(station, crowd).unwrap();
    (world, crowd)
}
