//! The background thread: it looks after sockets that nobody is waiting on.
//!
//! One thread serves every socket of the process: it accepts and reconnects, reads ahead as far as the queues allow,
//! fires timers and writes the tails of bursts. It keeps out of the way of calls: while a socket is in use it only looks
//! in now and then, and begins to poll the socket's descriptors when it has been left alone for [`LEFT_ALONE`].

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use sp_proto::{Time, Timers};

use crate::bell::Bell;
use crate::clock::now;
use crate::core::{Care, Core};
use crate::farewell::{Farewell, Farewells};
use crate::gather::Gather;
use crate::poller::{Interest, Poller, Ready};
use crate::socket::{LONGEST_WAIT, Shared};

/// A new socket. Fails if it is the first and the process cannot have one more thread or descriptor.
pub(crate) fn register(shared: &Arc<Shared>) -> io::Result<()> {
    let reactor = start()?;
    let mut notices = reactor.notices.lock();
    notices.sockets.insert(shared.id, Arc::downgrade(shared));
    notices.warm.push(shared.id);
    drop(notices);
    reactor.bell.ring();
    Ok(())
}

/// A socket that is gone.
pub(crate) fn forget(id: u64) {
    if let Some(reactor) = *REACTOR.lock() {
        reactor.notices.lock().sockets.remove(&id);
    }
}

/// A call has left a socket: it needs looking in (`warm`), its burst has a tail (`burst`), or it has an earlier timeout.
pub(crate) fn notice(id: u64, warm: bool, burst: bool, due: Option<Time>) {
    let Some(reactor) = *REACTOR.lock() else {
        return;
    };
    let mut notices = reactor.notices.lock();
    if warm {
        notices.warm.push(id);
    }
    if burst {
        notices.bursts.push(id);
    }
    if let Some(due) = due {
        notices.due.push((due, id));
    }
    drop(notices);
    reactor.bell.ring();
}

/// A connection that we have closed, and whose peer has not.
pub(crate) fn see_off(farewell: Farewell) {
    if let Some(reactor) = *REACTOR.lock() {
        reactor.notices.lock().farewells.push(farewell);
        reactor.bell.ring();
    }
}

/// What calls leave behind for the thread.
#[derive(Default)]
struct Notices {
    sockets: BTreeMap<u64, Weak<Shared>>,
    warm: Vec<u64>,
    bursts: Vec<u64>,
    due: Vec<(Time, u64)>,
    farewells: Vec<Farewell>,
}

pub(crate) struct Reactor {
    notices: Mutex<Notices>,
    poller: Poller,
    bell: Bell,
}

/// What only the thread itself knows.
struct Rounds {
    warm: Vec<u64>,
    /// How often warm sockets are looked at: less and less often while they stay in use, because each look takes a turn
    /// on somebody's core.
    tick: Duration,
    next_tick: Time,
    /// When to look at the tails of which bursts.
    tails: Timers<u64>,
    /// Sockets that a leader looks after; one that waits long is nudged.
    led: Vec<u64>,
    next_nudge: Time,
    due: Timers<u64>,
    farewells: Farewells,
    /// Where goes what nobody wants.
    scratch: Vec<u8>,
}

/// The thread of this process, if it has one yet.
static REACTOR: Mutex<Option<&'static Reactor>> = Mutex::new(None);

/// The place of the thread, held; for a process that is about to fork.
pub(crate) fn hold() -> MutexGuard<'static, Option<&'static Reactor>> {
    REACTOR.lock()
}

/// Starts the thread with the first socket.
fn start() -> io::Result<&'static Reactor> {
    let mut place = REACTOR.lock();
    if let Some(reactor) = *place {
        return Ok(reactor);
    }
    let poller = Poller::new()?;
    let bell = Bell::new()?;
    poller.add_bell(&bell, BELL)?;
    let reactor: &'static Reactor = Box::leak(Box::new(Reactor { notices: Mutex::default(), poller, bell }));
    thread::Builder::new().name("sp-background".into()).spawn(|| run(reactor))?;
    Ok(place.insert(reactor))
}

fn run(reactor: &Reactor) {
    // Tails of bursts are due within tens of microseconds; the default slack would double that.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1_000));
    let mut rounds = Rounds {
        warm: Vec::new(),
        tick: LEFT_ALONE,
        next_tick: Time::ZERO,
        tails: Timers::default(),
        led: Vec::new(),
        next_nudge: Time::ZERO,
        due: Timers::default(),
        farewells: Farewells::default(),
        scratch: vec![0; SCRATCH_LEN],
    };
    let mut ready = Vec::new();
    loop {
        let timeout = rounds.next_look(now());
        // A signal is for the main thread.
        let _ = reactor.poller.wait(&mut ready, timeout);
        reactor.bell.silence();
        rounds.collect(&mut reactor.notices.lock(), &reactor.poller);
        for event in &ready {
            if event.token & FAREWELL != 0 {
                rounds.farewells.handle_ready((event.token & !FAREWELL) as usize, &mut rounds.scratch);
            } else if event.token != BELL {
                rounds.handle_ready(reactor, event);
            }
        }
        rounds.farewells.settle(now());
        rounds.look_in(reactor);
    }
}

impl Rounds {
    /// How long to sleep.
    fn next_look(&self, now: Time) -> Option<Duration> {
        let due = [self.due.next(), self.tails.next(), self.farewells.next()]
            .into_iter()
            .flatten()
            .min()
            .map(|due| due - now);
        let tick = (!self.warm.is_empty()).then(|| self.next_tick - now);
        let nudge = (!self.led.is_empty()).then(|| self.next_nudge - now);
        [tick, nudge, due].into_iter().flatten().min()
    }

    fn collect(&mut self, notices: &mut Notices, poller: &Poller) {
        if !notices.warm.is_empty() {
            self.warm_up(notices.warm.drain(..));
        }
        for id in notices.bursts.drain(..) {
            self.tails.set(now() + Gather::FIRST_LOOK, id);
        }
        for (due, id) in notices.due.drain(..) {
            self.due.set(due, id);
        }
        for farewell in notices.farewells.drain(..) {
            self.farewells.add(now(), farewell, poller, FAREWELL);
        }
    }

    /// Sockets to look in at, soon at first.
    fn warm_up(&mut self, ids: impl IntoIterator<Item = u64>) {
        self.warm.extend(ids);
        self.warm.sort_unstable();
        self.warm.dedup();
        self.tick = LEFT_ALONE;
        self.next_tick = now() + LEFT_ALONE;
    }

    /// A watched socket has something to do.
    fn handle_ready(&mut self, reactor: &Reactor, event: &Ready) {
        let Some(shared) = find(reactor, event.token) else {
            return;
        };
        let Some(mut core) = shared.core.try_lock() else {
            // Somebody is in a call and sees to it. It has to be watched again later.
            self.warm_up([event.token]);
            return;
        };
        if core.leader || core.attached {
            self.leave_to_leader(event.token, &mut core);
        } else if now() - core.last_turn < LEFT_ALONE {
            core.care = Care::Warm;
            self.warm_up([event.token]);
        } else {
            shared.tend(&mut core);
            self.tended(reactor, &shared, &mut core);
        }
    }

    fn look_in(&mut self, reactor: &Reactor) {
        let now = now();
        while let Some((_, id)) = self.tails.pop(now) {
            if let Some(pause) = self.look_at_tail(reactor, id, now) {
                self.tails.set(now + pause, id);
            }
        }
        while let Some((_, id)) = self.due.pop(now) {
            let Some(shared) = find(reactor, id) else {
                continue;
            };
            let mut core = shared.core.lock();
            core.known_due = None;
            if !core.leader {
                core.settle(now);
                shared.notify(&mut core);
            }
            self.note_due(id, &mut core);
        }
        if !self.led.is_empty() && now >= self.next_nudge {
            self.nudge_leaders(reactor, now);
        }
        if now >= self.next_tick {
            self.look_at_warm(reactor, now);
            self.next_tick = now + self.tick;
        }
    }

    fn look_at_warm(&mut self, reactor: &Reactor, now: Time) {
        let warm = std::mem::take(&mut self.warm);
        let count = warm.len();
        for id in warm {
            let Some(shared) = find(reactor, id) else {
                continue;
            };
            let Some(mut core) = shared.core.try_lock() else {
                self.warm.push(id);
                continue;
            };
            if now - core.last_turn < LEFT_ALONE {
                core.care = Care::Warm;
                self.warm.push(id);
            } else if core.leader || core.attached {
                self.leave_to_leader(id, &mut core);
            } else {
                shared.tend(&mut core);
                self.tended(reactor, &shared, &mut core);
            }
        }
        self.tick = if self.warm.len() == count { (2 * self.tick).min(LONGEST_TICK) } else { LEFT_ALONE };
    }

    fn leave_to_leader(&mut self, id: u64, core: &mut Core) {
        core.care = Care::Led;
        if self.led.is_empty() {
            self.next_nudge = now() + LONGEST_WAIT;
        }
        self.led.push(id);
    }

    /// Nudges the leaders that have been in one wait for long, and looks in for event loops.
    fn nudge_leaders(&mut self, reactor: &Reactor, now: Time) {
        let mut led = std::mem::take(&mut self.led);
        led.sort_unstable();
        led.dedup();
        led.retain(|id| {
            let Some(shared) = find(reactor, *id) else {
                return false;
            };
            let Some(mut core) = shared.core.try_lock() else {
                return true;
            };
            if now - core.last_turn >= LONGEST_WAIT {
                if core.leader {
                    shared.nudge();
                } else if core.attached {
                    // Its event loop is busy with something else, or has nothing to do.
                    shared.tend(&mut core);
                }
            }
            core.care == Care::Led
        });
        self.led = led;
        self.next_nudge = now + LONGEST_WAIT;
    }

    /// Writes the tail of a burst when it is due; says when to look again, if the burst goes on.
    fn look_at_tail(&mut self, reactor: &Reactor, id: u64, now: Time) -> Option<Duration> {
        let shared = find(reactor, id)?;
        // Whoever holds the lock is sending, and writes.
        let Some(mut core) = shared.core.try_lock() else {
            return Some(Gather::LAST_LOOK);
        };
        if core.gather.due().is_some_and(|due| due <= now) {
            core.settle(now);
            shared.notify(&mut core);
        }
        let pause = core.gather.next_look(now);
        core.bursting = pause.is_some();
        pause
    }

    /// The socket was looked after and is now watched.
    fn tended(&mut self, reactor: &Reactor, shared: &Shared, core: &mut Core) {
        let watched = reactor
            .poller
            .modify(shared.poller.as_fd(), shared.id, Interest::READ_ONCE)
            .or_else(|_| reactor.poller.add(shared.poller.as_fd(), shared.id, Interest::READ_ONCE));
        core.care = if watched.is_ok() { Care::Watched } else { Care::Warm };
        if watched.is_err() {
            self.warm_up([shared.id]);
        }
        self.note_due(shared.id, core);
    }

    fn note_due(&mut self, id: u64, core: &mut Core) {
        let due = core.next_timeout();
        if let Some(due) = due
            && core.known_due.is_none_or(|known| due < known)
        {
            core.known_due = Some(due);
            self.due.set(due, id);
        }
    }
}

fn find(reactor: &Reactor, id: u64) -> Option<Arc<Shared>> {
    reactor.notices.lock().sockets.get(&id).and_then(Weak::upgrade)
}

/// How long a socket is not looked at before the background thread takes over, and how soon it first looks in.
const LEFT_ALONE: Duration = Duration::from_millis(2);
const LONGEST_TICK: Duration = Duration::from_millis(16);
const BELL: u64 = 0;
/// Set in the tokens of farewells; no socket has so large an id.
const FAREWELL: u64 = 1 << 63;
const SCRATCH_LEN: usize = 64 << 10;
