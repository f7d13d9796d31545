//! Forks: a child has none of its parent's threads, and shares its parent's descriptors.
//!
//! A socket belongs to the process that made it. In a child it is of no use: its connections are the parent's, and its
//! lock may have been held by a thread that the child does not have. The child can make new ones.
//!
//! Whoever forks calls [`prepare`] before, in the same thread, and after it [`parent`] or [`child`].

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::MutexGuard;

use crate::reactor::{self, Reactor};
use crate::resolver::Desk;
use crate::transport::inproc::{self, Names};

/// Call before a fork: from here on nobody holds a lock that all sockets share.
pub fn prepare() {
    HELD.set(Some(Held { reactor: reactor::hold(), desk: Desk::hold(), names: inproc::hold() }));
}

/// Call in the parent after a fork, whether it succeeded or not.
pub fn parent() {
    HELD.take();
}

/// Call in the child after a fork.
pub fn child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    if let Some(mut held) = HELD.take() {
        *held.reactor = None;
        held.desk.clear();
        held.names.clear();
    }
}

/// Tells the processes apart; the first is 0, a child of generation n is n + 1.
pub(crate) fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

struct Held {
    reactor: MutexGuard<'static, Option<&'static Reactor>>,
    desk: MutexGuard<'static, Desk>,
    names: MutexGuard<'static, Names>,
}

static GENERATION: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static HELD: RefCell<Option<Held>> = const { RefCell::new(None) };
}
