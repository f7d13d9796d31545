//! Deadlines that can be cancelled.

use crate::ascending::Ascending;
use crate::footprint::Visit;
use crate::time::Time;

/// A set of deadlines, each under a key. Setting, cancelling and asking for the next are logarithmic and exact: nothing
/// stale is left behind to wake anybody in vain.
#[derive(Debug)]
pub struct Timers<K> {
    /// Mostly a deadline is set later than all others.
    deadlines: Ascending<(Time, K), ()>,
}

impl<K: Copy + Ord> Timers<K> {
    /// Sets a deadline for `key`; one key may have several deadlines, so cancel the old one first if it is to move.
    pub fn set(&mut self, at: Time, key: K) {
        self.deadlines.insert((at, key), ());
    }

    /// Cancels exactly the deadline that was set for `key` at `at`; says whether it was still there.
    pub fn cancel(&mut self, at: Time, key: K) -> bool {
        self.deadlines.remove(&(at, key)).is_some()
    }

    /// When the next deadline is due.
    pub fn next(&self) -> Option<Time> {
        self.first().map(|(at, _)| at)
    }

    /// The next deadline and its key; ties by key.
    pub fn first(&self) -> Option<(Time, K)> {
        self.deadlines.first().map(|(deadline, ())| deadline)
    }

    /// Takes the next deadline that is due at or before `now`, ties by key.
    pub fn pop(&mut self, now: Time) -> Option<(Time, K)> {
        let ((at, key), ()) = self.deadlines.first().filter(|((at, _), ())| *at <= now)?;
        self.cancel(at, key);
        Some((at, key))
    }

    pub(crate) fn footprint(&self, visit: Visit) {
        self.deadlines.footprint(visit);
    }
}

impl<K> Default for Timers<K> {
    fn default() -> Timers<K> {
        Timers { deadlines: Ascending::default() }
    }
}
