//! Farewells: connections that we have closed and whose peers have not yet.
//!
//! The kernel resets a connection that is closed while something is unread, or that hears more after it, and a reset takes
//! with it what was written and is still under way. So what comes is read and thrown away until the peer has closed, too,
//! or [`PATIENCE`] is over.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use slab::Slab;
use sp_proto::{Time, Timers};

use crate::poller::{Interest, Poller};
use crate::transport::carrier::Carrier;

/// Those that are under way.
#[derive(Default)]
pub(crate) struct Farewells {
    waiting: Slab<Waiting>,
    ends: Timers<usize>,
}

/// One connection; nothing more is written to it.
pub(crate) struct Farewell {
    pub(crate) carrier: Carrier,
    /// Counts those that are cut.
    pub(crate) cut: Arc<AtomicU64>,
}

struct Waiting {
    farewell: Farewell,
    end: Time,
}

impl Farewells {
    /// Waits for one more peer to close; its readiness is reported with `token` and its key. If there are too many, the
    /// one that has waited longest is cut.
    pub(crate) fn add(&mut self, now: Time, farewell: Farewell, poller: &Poller, token: u64) {
        if self.waiting.len() >= MOST
            && let Some(first) = self.ends.next()
        {
            self.settle(first);
        }
        let entry = self.waiting.vacant_entry();
        if poller.add(farewell.carrier.as_fd(), token | entry.key() as u64, Interest::READ).is_ok() {
            let end = now + PATIENCE;
            self.ends.set(end, entry.key());
            entry.insert(Waiting { farewell, end });
        }
    }

    /// The peer has said something, or has closed.
    pub(crate) fn handle_ready(&mut self, key: usize, scratch: &mut [u8]) {
        if self.waiting.get(key).is_some_and(|waiting| waiting.farewell.carrier.drain(scratch)) {
            let waiting = self.waiting.remove(key);
            self.ends.cancel(waiting.end, key);
        }
    }

    /// Cuts those whose time is over.
    pub(crate) fn settle(&mut self, now: Time) {
        while let Some((_, key)) = self.ends.pop(now) {
            if let Some(waiting) = self.waiting.try_remove(key) {
                waiting.farewell.cut.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// When [`settle`](Farewells::settle) is due.
    pub(crate) fn next(&self) -> Option<Time> {
        self.ends.next()
    }
}

/// How long a peer may take to close after us.
const PATIENCE: Duration = Duration::from_secs(1);
/// Farewells at once, in the whole process.
const MOST: usize = 256;
