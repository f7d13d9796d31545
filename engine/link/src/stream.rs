//! Streams of random numbers, each with a name.

use rand::{Rng, SeedableRng};
use rand_distr::{Distribution as _, StandardNormal};
use rand_pcg::Pcg64Mcg;

/// The luck of one run: a seed and the number of the replication. Every component draws from a stream of its own name,
/// so two runs that differ in one policy share all the luck the policy does not touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Luck {
    root: u64,
}

impl Luck {
    /// The luck of replication `replication` under `seed`. Replication 0 of a seed is the seed's own luck.
    pub fn new(seed: u64, replication: u64) -> Luck {
        let root = if replication == 0 { seed } else { mix(seed ^ mix(replication)) };
        Luck { root }
    }

    /// The stream of this name.
    pub fn stream(self, name: &str) -> Stream {
        Stream::named(self.root, name)
    }

    /// A seed of this name, for a machine that draws for itself.
    pub fn seed(self, name: &str) -> u64 {
        seed_for(self.root, name)
    }
}

/// A seeded stream of random numbers. The same seed and name draw the same numbers on every machine.
#[derive(Clone, Debug)]
pub struct Stream {
    generator: Pcg64Mcg,
}

impl Stream {
    /// The stream of this name under `seed`. Names that differ in one letter, and seeds that differ by one, give
    /// unrelated streams.
    pub fn named(seed: u64, name: &str) -> Stream {
        Stream { generator: Pcg64Mcg::seed_from_u64(seed_for(seed, name)) }
    }

    /// Uniform in [0, 1), in steps of 2⁻⁵³.
    pub fn uniform(&mut self) -> f64 {
        (self.generator.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Exponential with this mean. Drawn by inversion, one number for each draw: streams that differ only in their mean
    /// keep step.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * libm::log1p(-self.uniform())
    }

    /// Normal with this mean (0 or more) and standard deviation, given that it is not negative: negative draws are
    /// drawn again, which raises the mean a little when the deviation is not small against it.
    pub fn normal(&mut self, mean: f64, deviation: f64) -> f64 {
        loop {
            let drawn = mean + deviation * self.standard_normal();
            if drawn >= 0.0 {
                return drawn;
            }
        }
    }

    /// Lognormal with this mean (more than 0) and coefficient of variation.
    pub fn lognormal(&mut self, mean: f64, variation: f64) -> f64 {
        let variance = libm::log1p(variation * variation);
        mean * libm::exp(variance.sqrt() * self.standard_normal() - variance / 2.0)
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// One of `0..count`, each equally likely; `count` is 1 or more.
    pub fn choose(&mut self, count: usize) -> usize {
        ((u128::from(self.generator.next_u64()) * count as u128) >> 64) as usize
    }

    fn standard_normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.generator)
    }
}

/// FNV-1a over the name, then stirred together with the seed.
fn seed_for(seed: u64, name: &str) -> u64 {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    mix(mix(seed) ^ hash)
}

/// The finaliser of splitmix64: every bit of the input moves every bit of the output.
fn mix(input: u64) -> u64 {
    let mut state = input.wrapping_add(0x9e37_79b9_7f4a_7c15);
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_seed_make_a_stream_of_their_own() {
        let first = |seed, name| Stream::named(seed, name).uniform();
        assert_eq!(first(1, "a"), first(1, "a"));
        assert_ne!(first(1, "a"), first(1, "b"));
        assert_ne!(first(1, "a"), first(2, "a"));
        assert_ne!(Luck::new(1, 1).seed("a"), Luck::new(2, 0).seed("a"));
        assert_eq!(Luck::new(3, 0).seed("a"), seed_for(3, "a"));
    }

    /// If this changes, every stored result changes its meaning.
    #[test]
    fn the_first_numbers_are_these_on_every_machine() {
        let mut stream = Stream::named(7, "workload/users/0/arrivals");
        let drawn = [stream.uniform(), stream.exponential(1.0), stream.normal(5.0, 1.0), stream.lognormal(2.0, 0.5)];
        assert_eq!(drawn.map(f64::to_bits), PINNED);
        assert_eq!(stream.choose(1_000), 855);
    }

    #[test]
    fn moments_are_as_asked_for() {
        let mut stream = Stream::named(11, "moments");
        let mut mean =
            |draw: &mut dyn FnMut(&mut Stream) -> f64| (0..200_000).map(|_| draw(&mut stream)).sum::<f64>() / 200_000.0;
        assert!((mean(&mut |s| s.uniform()) - 0.5).abs() < 0.003);
        assert!((mean(&mut |s| s.exponential(2.0)) - 2.0).abs() < 0.02);
        assert!((mean(&mut |s| s.normal(10.0, 2.0)) - 10.0).abs() < 0.02);
        assert!((mean(&mut |s| s.lognormal(2.0, 0.5)) - 2.0).abs() < 0.012);
        assert!((mean(&mut |s| s.choose(11) as f64) - 5.0).abs() < 0.03);
        assert!((mean(&mut |s| f64::from(u8::from(s.chance(0.25)))) - 0.25).abs() < 0.004);
    }

    const PINNED: [u64; 4] = [4605471191301935632, 4597700929804520076, 4618641229105470806, 4608633493857829136];
}
