//! What a steady state takes from the allocator: nothing but the bodies of messages.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use common::{all_of, secs, service, two_sites, workload};
use sp_link::{Distribution, LinkOptions};
use sp_virtual::{Choice, CrowdPlan, Load, MeterPlan, Phase, StationPlan, WhenFull, World, WorldOptions};

/// Counts what each thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "an allocator is unsafe by its nature")]
// SAFETY: everything is handed to the system's allocator as it comes.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn a_queue_without_a_network_allocates_nothing() {
    let mut world = World::new(WorldOptions::default());
    let site = world.add_site("here", LinkOptions::default()).unwrap();
    let (desk, user) = (world.add_host("desk", site).unwrap(), world.add_host("user", site).unwrap());
    let meter = coarse(&world);
    let station = world.add_station(StationPlan {
        name: "desk".into(),
        hosts: vec![desk],
        workers: 1,
        time: Distribution::Exponential { mean: 0.001 },
        queue: 1_000_000,
        when_full: WhenFull::Block,
    });
    let crowd = world
        .add_crowd(
            station.unwrap(),
            CrowdPlan {
                name: "users".into(),
                clients: vec![(user, vec![(0, 1)])],
                load: Load::Poisson { rate: 800.0 },
                choice: Choice::InTurn,
                surveys: false,
                timeout: Duration::from_secs(1_000),
                meter,
            },
        )
        .unwrap();
    let before = world.crowd_meter(crowd).unwrap().phase(Phase::Before).answered;
    assert_eq!(before, 0);
    world.advance(secs(200.0));
    let allocated = ALLOCATIONS.get();
    world.advance(secs(400.0));
    // What waits may be more than ever before once or twice, and its queue grows.
    assert!(ALLOCATIONS.get() - allocated <= 4, "{} allocations", ALLOCATIONS.get() - allocated);
    assert!(world.crowd_meter(crowd).unwrap().phase(Phase::Before).answered > 300_000);
}

#[test]
fn a_request_over_sockets_allocates_its_body_and_that_of_its_reply() {
    let mut world = World::new(WorldOptions::default());
    let [new_york, london] = two_sites(&mut world);
    let (server, client) = (world.add_host("server", london).unwrap(), world.add_host("client", new_york).unwrap());
    world.add_service(service("foo", &[(server, "foo")], 4, Distribution::Exponential { mean: 0.002 })).unwrap();
    let mut users = workload(&world, "users", client, &[("foo", 8)], Load::Poisson { rate: 500.0 });
    users.meter = coarse(&world);
    let users = world.add_workload(users).unwrap();
    world.advance(secs(60.0));
    let (answered, allocated) = (world.meter(users).unwrap().phase(Phase::Before).answered, ALLOCATIONS.get());
    world.advance(secs(120.0));
    let allocated = ALLOCATIONS.get() - allocated;
    let answered = world.meter(users).unwrap().phase(Phase::Before).answered - answered;
    assert!(answered > 29_000);
    assert!(allocated as f64 / answered as f64 <= 2.01, "{allocated} allocations for {answered} requests");
}

/// With bins so wide that the timeline does not grow.
fn coarse(world: &World) -> MeterPlan {
    MeterPlan { bin: Duration::from_secs(10_000), ..all_of(world) }
}
