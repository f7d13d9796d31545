//! Bells: how one thread makes another one's poller return.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};

/// A descriptor that a poller reports when it is rung. Ringing twice before it is silenced costs one system call.
#[derive(Debug)]
pub(crate) struct Bell {
    fd: OwnedFd,
    ringing: AtomicBool,
}

impl Bell {
    pub(crate) fn new() -> io::Result<Bell> {
        Ok(Bell { fd: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?, ringing: AtomicBool::new(false) })
    }

    pub(crate) fn ring(&self) {
        if self.pull() {
            self.sound();
        }
    }

    /// The first half of ringing, which wakes nobody; says whether the second is needed.
    pub(crate) fn pull(&self) -> bool {
        !self.ringing.swap(true, Ordering::SeqCst)
    }

    /// The second half of ringing.
    pub(crate) fn sound(&self) {
        // The counter does not overflow within the life of any program, and nobody reads it.
        let _ = rustix::io::write(&self.fd, &1u64.to_ne_bytes());
    }

    /// Call before looking at what the bell was rung for: whatever comes later rings again.
    pub(crate) fn silence(&self) {
        self.ringing.store(false, Ordering::SeqCst);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
