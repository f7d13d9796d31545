//! Deadlines that can be cancelled.

use std::collections::BTreeSet;

use crate::ascending::Ascending;
use crate::time::Time;

/// A set of deadlines, each under a key. Setting, cancelling and asking for the next are logarithmic and exact: nothing
/// stale is left behind to wake anybody in vain.
#[derive(Debug)]
pub struct Timers<K> {
    /// Mostly a deadline is set later than all others: those are here …
    in_order: Ascending<(Time, K), ()>,
    /// … and the others here.
    others: BTreeSet<(Time, K)>,
}

impl<K: Copy + Ord> Timers<K> {
    /// Sets a deadline for `key`; one key may have several deadlines, so cancel the old one first if it is to move.
    pub fn set(&mut self, at: Time, key: K) {
        if self.in_order.insert((at, key), ()).is_err() && self.in_order.get(&(at, key)).is_none() {
            self.others.insert((at, key));
        }
    }

    /// Cancels exactly the deadline that was set for `key` at `at`; says whether it was still there.
    pub fn cancel(&mut self, at: Time, key: K) -> bool {
        self.in_order.remove(&(at, key)).is_some() || self.others.remove(&(at, key))
    }

    /// When the next deadline is due.
    pub fn next(&self) -> Option<Time> {
        self.first().map(|(at, _)| at)
    }

    /// Takes the next deadline that is due at or before `now`, ties by key.
    pub fn pop(&mut self, now: Time) -> Option<(Time, K)> {
        let (at, key) = self.first().filter(|(at, _)| *at <= now)?;
        self.cancel(at, key);
        Some((at, key))
    }

    fn first(&self) -> Option<(Time, K)> {
        let in_order = self.in_order.first().map(|(due, ())| due);
        match (in_order, self.others.first().copied()) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }
}

impl<K> Default for Timers<K> {
    fn default() -> Timers<K> {
        Timers { in_order: Ascending::default(), others: BTreeSet::new() }
    }
}
