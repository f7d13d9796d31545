//! How many bytes a subscription takes and how long a match: `topics [KEYS]`, random keys of twenty bytes.

#![expect(clippy::print_stdout, reason = "it says what it measured")]
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "the clock is the example's, not the crate's")]

use std::hint::black_box;
use std::time::Instant;

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use sp_proto::topics::{RadixTree, Topics};

fn main() {
    let count: usize = std::env::args().nth(1).map_or(1_000_000, |text| text.parse().expect("a number of keys"));
    let mut luck = Pcg64Mcg::seed_from_u64(7);
    let mut keys = vec![[0_u8; 20]; count];
    keys.iter_mut().for_each(|key| luck.fill_bytes(key));
    let mut tree = RadixTree::default();
    let began = Instant::now();
    for key in &keys {
        tree.add(key);
    }
    let added = began.elapsed();
    let began = Instant::now();
    // In another order than they were added in.
    let step = 7_919;
    let found = (0..count).filter(|n| tree.matches(black_box(&keys[n * step % count]))).count();
    let matched = began.elapsed();
    println!(
        "{} of {count} keys found; {:.1} bytes a key; add {:.0} ns, match {:.0} ns",
        found,
        tree.bytes() as f64 / count as f64,
        added.as_nanos() as f64 / count as f64,
        matched.as_nanos() as f64 / count as f64,
    );
}
