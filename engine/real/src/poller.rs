//! One epoll instance: which descriptors are ready.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use crate::bell::Bell;

/// Watches descriptors, level-triggered: what is not dealt with is reported again. Only bells are not.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
}

/// What to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interest {
    pub(crate) read: bool,
    pub(crate) write: bool,
    /// Once, and then not until asked again.
    pub(crate) once: bool,
}

/// A descriptor that is ready.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) token: u64,
    pub(crate) read: bool,
    pub(crate) write: bool,
}

impl Interest {
    pub(crate) const NONE: Interest = Interest { read: false, write: false, once: false };
    pub(crate) const READ: Interest = Interest { read: true, write: false, once: false };
    pub(crate) const WRITE: Interest = Interest { read: false, write: true, once: false };
    pub(crate) const READ_ONCE: Interest = Interest { read: true, write: false, once: true };

    fn flags(self) -> epoll::EventFlags {
        let mut flags = epoll::EventFlags::empty();
        flags.set(epoll::EventFlags::IN, self.read);
        flags.set(epoll::EventFlags::RDHUP, self.read);
        flags.set(epoll::EventFlags::OUT, self.write);
        flags.set(epoll::EventFlags::ONESHOT, self.once);
        flags
    }
}

impl Poller {
    pub(crate) fn new() -> io::Result<Poller> {
        Ok(Poller { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)? })
    }

    pub(crate) fn add(&self, source: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, source, epoll::EventData::new_u64(token), interest.flags())?)
    }

    /// A bell is reported once for each time it sounds, so that nobody has to read it.
    pub(crate) fn add_bell(&self, bell: &Bell, token: u64) -> io::Result<()> {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        Ok(epoll::add(&self.epoll, bell.as_fd(), epoll::EventData::new_u64(token), flags)?)
    }

    pub(crate) fn modify(&self, source: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, source, epoll::EventData::new_u64(token), interest.flags())?)
    }

    pub(crate) fn remove(&self, source: impl AsFd) {
        // It fails only if the descriptor is not there, which is what was wanted.
        let _ = epoll::delete(&self.epoll, source);
    }

    /// Waits until something is ready, `timeout` has passed (`None`: for ever) or a signal came (an error of kind
    /// `Interrupted`). `ready` is cleared first.
    pub(crate) fn wait(&self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        ready.clear();
        let mut events: Vec<epoll::Event> = Vec::with_capacity(EVENTS_AT_ONCE);
        let timeout = timeout.map(|span| Timespec {
            tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: span.subsec_nanos().into(),
        });
        epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref())?;
        ready.extend(events.iter().map(|event| {
            let flags = event.flags;
            let gone = flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP);
            Ready {
                token: event.data.u64(),
                read: gone || flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::RDHUP),
                write: gone || flags.contains(epoll::EventFlags::OUT),
            }
        }));
        Ok(())
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl AsRawFd for Poller {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }
}

const EVENTS_AT_ONCE: usize = 64;
