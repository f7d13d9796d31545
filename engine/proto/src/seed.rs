//! Randomness by seed: the same seed draws the same luck on every machine.

use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

/// A generator for `seed`. Two different seeds, even neighbours, give unrelated streams.
pub fn rng_from(seed: u64) -> Pcg64Mcg {
    Pcg64Mcg::seed_from_u64(seed)
}
