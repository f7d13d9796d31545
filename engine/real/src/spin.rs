//! Spinning: looking a little longer before going to sleep.
//!
//! Waking a thread on another core costs about 30 µs on a virtual machine, six times a wake-up on the same core; an
//! answer that comes within that time is met sooner by a thread that is still looking. Where looking does not pay (both
//! ends share a core, the peer is far, nothing comes) it is given up quickly.

use std::thread;
use std::time::Duration;

/// Decides whether to spin, from how it went lately.
#[derive(Debug)]
pub(crate) struct Spin {
    budget: Duration,
    /// Waits to let pass before the next try.
    skip: u32,
    /// What `skip` was set to after the last failure.
    penalty: u32,
    /// How often it paid, and how often not.
    pub(crate) paid: u64,
    pub(crate) failed: u64,
}

impl Spin {
    /// `budget` is how long to look; zero turns it off. It is off, too, on a machine with a single core.
    pub(crate) fn new(budget: Duration) -> Spin {
        let cores = thread::available_parallelism().map_or(1, usize::from).max(online_cores());
        let budget = if cores > 1 { budget } else { Duration::ZERO };
        Spin { budget, skip: 0, penalty: 0, paid: 0, failed: 0 }
    }

    /// How long to look before this wait; zero for not at all.
    pub(crate) fn next(&mut self) -> Duration {
        if self.skip > 0 {
            self.skip -= 1;
            return Duration::ZERO;
        }
        self.budget
    }

    /// How a look went that lasted longer than a glance.
    pub(crate) fn learn(&mut self, paid: bool) {
        if paid {
            self.paid += 1;
            self.penalty /= 2;
        } else {
            self.failed += 1;
            self.penalty = (2 * self.penalty + 1).min(MAX_PENALTY);
            self.skip = self.penalty;
        }
    }
}

/// Cores of the machine, whether or not this thread may run on them: two ends pinned to a core each gain most.
fn online_cores() -> usize {
    std::fs::read_to_string("/sys/devices/system/cpu/online").map_or(1, |text| count_range(text.trim()))
}

/// Counts a list such as `0-3,8`.
fn count_range(text: &str) -> usize {
    text.split(',')
        .filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(last.parse::<usize>().ok()?.checked_sub(first.parse().ok()?)? + 1)
        })
        .sum()
}

/// A thousand waits: at most 5 % of a microsecond each for the failed look.
const MAX_PENALTY: u32 = 1_023;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_counted_in_ranges_and_lists() {
        assert_eq!(count_range("0"), 1);
        assert_eq!(count_range("0-3"), 4);
        assert_eq!(count_range("0-1,4,6-7"), 5);
        assert_eq!(count_range("nonsense"), 0);
    }

    #[test]
    fn what_does_not_pay_is_given_up_and_tried_again() {
        let mut spin = Spin { budget: Duration::from_micros(50), skip: 0, penalty: 0, paid: 0, failed: 0 };
        let mut looks = 0;
        for _ in 0..10_000 {
            if !spin.next().is_zero() {
                looks += 1;
                spin.learn(false);
            }
        }
        assert!((10..40).contains(&looks), "{looks} looks in 10,000 waits");
        spin.skip = 0;
        (0..10).for_each(|_| spin.learn(true));
        assert!((0..100).all(|_| !spin.next().is_zero()));
    }
}
