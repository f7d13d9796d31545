//! Bells: how one thread makes another one's poller return.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};

/// A descriptor that a poller reports when it is rung. Ringing twice before it is silenced costs one system call, and
/// none while somebody watches it.
#[derive(Debug)]
pub(crate) struct Bell {
    fd: OwnedFd,
    ringing: AtomicBool,
    watched: AtomicBool,
    /// It sounded while somebody watched.
    seen: AtomicBool,
}

impl Bell {
    pub(crate) fn new() -> io::Result<Bell> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let off = AtomicBool::default;
        Ok(Bell { fd, ringing: off(), watched: off(), seen: off() })
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
        if self.watched.load(Ordering::SeqCst) {
            self.seen.store(true, Ordering::Release);
        } else if self.is_pulled() {
            // The counter does not overflow within the life of any program, and nobody reads it.
            let _ = rustix::io::write(&self.fd, &1u64.to_ne_bytes());
        }
    }

    /// Begins a watch: whoever watches looks whether the bell has sounded, and does not need to be woken. Says whether it
    /// was pulled before, and may have sounded.
    pub(crate) fn watch(&self) -> bool {
        self.seen.store(false, Ordering::Relaxed);
        self.watched.store(true, Ordering::SeqCst);
        self.is_pulled()
    }

    /// Ends the watch, and says whether the bell was pulled: who did that may have relied on the watch.
    pub(crate) fn end_watch(&self) -> bool {
        self.watched.store(false, Ordering::SeqCst);
        self.is_pulled()
    }

    /// It sounded since the watch began.
    pub(crate) fn is_seen(&self) -> bool {
        self.seen.load(Ordering::Acquire)
    }

    fn is_pulled(&self) -> bool {
        self.ringing.load(Ordering::SeqCst)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poller::Poller;
    use std::time::Duration;

    /// A bell, and whether its poller reports it.
    fn hung() -> (Bell, impl Fn() -> bool) {
        let (bell, poller) = (Bell::new().unwrap(), Poller::new().unwrap());
        poller.add_bell(&bell, 0).unwrap();
        let reports = move || {
            let mut ready = Vec::new();
            poller.wait(&mut ready, Some(Duration::ZERO)).unwrap();
            !ready.is_empty()
        };
        (bell, reports)
    }

    #[test]
    fn it_is_reported_once_for_each_time_it_sounds() {
        let (bell, reports) = hung();
        bell.ring();
        bell.ring();
        assert!(reports() && !reports());
        bell.silence();
        bell.ring();
        assert!(reports());
    }

    #[test]
    fn who_watches_sees_it_sound_and_is_not_woken() {
        let (bell, reports) = hung();
        assert!(!bell.watch());
        assert!(bell.pull());
        assert!(!bell.is_seen());
        bell.sound();
        assert!(bell.is_seen() && bell.end_watch());
        assert!(!reports());
    }

    #[test]
    fn between_its_halves_it_is_lost_neither_at_the_beginning_of_a_watch_nor_at_its_end() {
        let (bell, reports) = hung();
        assert!(bell.pull());
        assert!(bell.watch(), "it was pulled before, and may have sounded");
        assert!(bell.end_watch(), "what it was pulled for is to be looked at");
        bell.sound();
        assert!(reports(), "nobody watches any more");
        // Whoever silences it looks afterwards; then there is nothing to be woken for.
        bell.silence();
        assert!(bell.pull());
        bell.silence();
        bell.sound();
        assert!(!reports());
    }
}
