//! Deadlines that can be cancelled.

use std::collections::BTreeSet;

use crate::time::Time;

/// A set of deadlines, each under a key. Setting, cancelling and asking for the next are logarithmic and exact: nothing
/// stale is left behind to wake anybody in vain.
#[derive(Debug)]
pub struct Timers<K> {
    due: BTreeSet<(Time, K)>,
}

impl<K: Copy + Ord> Timers<K> {
    /// Sets a deadline for `key`; one key may have several deadlines, so cancel the old one first if it is to move.
    pub fn set(&mut self, at: Time, key: K) {
        self.due.insert((at, key));
    }

    /// Cancels exactly the deadline that was set for `key` at `at`; says whether it was still there.
    pub fn cancel(&mut self, at: Time, key: K) -> bool {
        self.due.remove(&(at, key))
    }

    /// When the next deadline is due.
    pub fn next(&self) -> Option<Time> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes the next deadline that is due at or before `now`, ties by key.
    pub fn pop(&mut self, now: Time) -> Option<(Time, K)> {
        match self.due.first() {
            Some((at, _)) if *at <= now => self.due.pop_first(),
            _ => None,
        }
    }
}

impl<K> Default for Timers<K> {
    fn default() -> Timers<K> {
        Timers { due: BTreeSet::new() }
    }
}
