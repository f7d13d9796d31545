//! Spinning: looking a little longer before going to sleep.
//!
//! Waking a thread on another core costs about 30 µs on a virtual machine, six times a wake-up on the same core; an
//! answer that comes within that time is met sooner by a thread that is still looking. Where looking does not pay (the
//! peer is far, nothing comes) it is given up quickly.
//!
//! If both ends share a core, looking keeps the other end from answering. Then the looker lets others go first between
//! two looks, which spares both the way through the kernel's sleep. It is only done where that way is long, and given up
//! for long if somebody else took the core and did not soon give it back.

use std::thread;
use std::time::Duration;

/// How to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Keeping the core.
    Spin,
    /// Letting others have it between two looks.
    Yield,
}

/// How a look went that lasted longer than a glance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Paid,
    Failed,
    /// Others kept the core for longer than the look was to last.
    Robbed,
}

/// Decides whether to look, and how, from how it went lately.
#[derive(Debug)]
pub(crate) struct Spin {
    budget: Duration,
    spinning: Trust,
    yielding: Trust,
    /// How often it paid, and how often not.
    pub(crate) paid: u64,
    pub(crate) failed: u64,
}

/// Whether one way to look is worth a try.
#[derive(Debug, Default)]
struct Trust {
    /// Waits to let pass before the next try.
    skip: u32,
    /// What `skip` was set to after the last failure.
    penalty: u32,
}

impl Spin {
    /// `budget` is how long to look; zero turns it off. It is off, too, on a machine with a single core.
    pub(crate) fn new(budget: Duration) -> Spin {
        let cores = thread::available_parallelism().map_or(1, usize::from).max(online_cores());
        let budget = if cores > 1 { budget } else { Duration::ZERO };
        Spin { budget, spinning: Trust::default(), yielding: Trust::default(), paid: 0, failed: 0 }
    }

    /// How long to look.
    pub(crate) fn budget(&self) -> Duration {
        self.budget
    }

    /// How to look before this wait, if at all.
    pub(crate) fn next(&mut self, may_yield: bool) -> Option<Look> {
        if self.budget.is_zero() {
            None
        } else if self.spinning.is_due() {
            Some(Look::Spin)
        } else {
            (may_yield && self.yielding.is_due()).then_some(Look::Yield)
        }
    }

    pub(crate) fn learn(&mut self, look: Look, outcome: Outcome) {
        let trust = match look {
            Look::Spin => &mut self.spinning,
            Look::Yield => &mut self.yielding,
        };
        match outcome {
            Outcome::Paid => {
                self.paid += 1;
                trust.penalty /= 2;
            }
            Outcome::Robbed if look == Look::Yield => {
                self.failed += 1;
                trust.skip = ROBBED;
            }
            Outcome::Failed | Outcome::Robbed => {
                self.failed += 1;
                trust.penalty = (2 * trust.penalty + 1).min(MAX_PENALTY);
                trust.skip = trust.penalty;
            }
        }
    }
}

impl Trust {
    fn is_due(&mut self) -> bool {
        let due = self.skip == 0;
        self.skip = self.skip.saturating_sub(1);
        due
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
/// Waits after a look that took as long as somebody else's turn, some milliseconds: at most 0.3 µs each.
const ROBBED: u32 = 16_384;

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

    fn spin() -> Spin {
        let trust = Trust::default;
        Spin { budget: Duration::from_micros(50), spinning: trust(), yielding: trust(), paid: 0, failed: 0 }
    }

    #[test]
    fn what_does_not_pay_is_given_up_and_tried_again() {
        let mut spin = spin();
        let mut looks = 0;
        for _ in 0..10_000 {
            if let Some(look) = spin.next(false) {
                looks += 1;
                spin.learn(look, Outcome::Failed);
            }
        }
        assert!((10..40).contains(&looks), "{looks} looks in 10,000 waits");
        spin.spinning.skip = 0;
        (0..10).for_each(|_| spin.learn(Look::Spin, Outcome::Paid));
        assert!((0..100).all(|_| spin.next(false) == Some(Look::Spin)));
    }

    #[test]
    fn where_spinning_fails_others_go_first_unless_they_do_not_come_back() {
        let mut spin = spin();
        let mut went = |waits: usize, yields: Outcome| {
            let mut counts = [0, 0];
            for _ in 0..waits {
                match spin.next(true) {
                    Some(Look::Spin) => {
                        counts[0] += 1;
                        spin.learn(Look::Spin, Outcome::Failed);
                    }
                    Some(Look::Yield) => {
                        counts[1] += 1;
                        spin.learn(Look::Yield, yields);
                    }
                    None => {}
                }
            }
            counts
        };
        let [spins, yields] = went(10_000, Outcome::Paid);
        assert!(spins < 40 && spins + yields == 10_000, "{spins} spins and {yields} yields");
        assert!(went(100_000, Outcome::Robbed)[1] <= 7);
    }
}
