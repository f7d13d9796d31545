//! Bells: how one thread makes another one's poller return.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};

/// A descriptor that becomes readable when it is rung, until it is silenced. Ringing twice costs one system call.
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
        if !self.ringing.swap(true, Ordering::AcqRel) {
            // The counter cannot overflow: it is written only after it was read.
            let _ = rustix::io::write(&self.fd, &1u64.to_ne_bytes());
        }
    }

    /// Call before looking at what the bell was rung for: whatever comes later rings again.
    pub(crate) fn silence(&self) {
        if self.ringing.load(Ordering::Acquire) {
            let _ = rustix::io::read(&self.fd, &mut [0; 8]);
            self.ringing.store(false, Ordering::Release);
        }
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
