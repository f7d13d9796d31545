//! Random small worlds, each drawn from a seed: sockets, devices, programs, and whatever can go wrong between them.
//!
//! The world checks after every deed what holds for every socket (`common/mod.rs`), the programs what their pattern
//! promises (`program.rs`), and in the end, with all faults over, that everything comes up again, that something new gets
//! through, and that nothing is left of what is over (`sim.rs`).
//!
//! `SEEDS=n` runs that many worlds, `FROM=n` begins at another seed, `SEED=n` runs one.

#[path = "../common/mod.rs"]
mod common;

mod program;
mod sim;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use common::Defect;
use sim::Sim;
use sp_proto::Stats;

#[test]
fn whatever_happens_the_promises_are_kept() {
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let from = number("FROM").unwrap_or(0);
            from..from + number("SEEDS").unwrap_or(2_000)
        }
    };
    let mut met: BTreeMap<&str, u64> = BTreeMap::new();
    let is_enough = seeds.end - seeds.start >= 2_000;
    for seed in seeds {
        let story = catch_unwind(|| Sim::run(seed, None)).unwrap_or_else(|problem| {
            eprintln!("\nThis world breaks a promise. To see it again:\n  {}\n", command(seed));
            resume_unwind(problem)
        });
        if seed % 16 == 0 {
            assert_eq!(story, Sim::run(seed, None), "the same seed tells another story: {}", command(seed));
        }
        for (name, count) in story.1.iter().flat_map(Stats::rows) {
            *met.entry(name).or_default() += count;
        }
    }
    // Worlds in which something never happens say nothing about it. Malformed messages only a peer of another make sends.
    met.remove("dropped_malformed");
    assert!(!is_enough || met.values().all(|count| *count > 20), "what hardly ever happened: {met:?}");
}

/// A check that cannot fail is none: whatever is broken on purpose is found within a few worlds.
#[test]
fn what_is_broken_on_purpose_is_found() {
    for defect in Defect::ALL {
        let found = |seed| catch_unwind(AssertUnwindSafe(|| Sim::run(seed, Some(defect)))).is_err();
        assert!((0..5_000).any(found), "{defect:?} goes unnoticed");
    }
}

fn command(seed: u64) -> String {
    format!("SEED={seed} cargo test --manifest-path engine/Cargo.toml -p sp-proto --test simulation promises")
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text:?} is not a number; for example {name}=7")))
}
