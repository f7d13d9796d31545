//! Dialers: what keeps a connection to one address up.

use std::time::Duration;

use rand::RngExt;
use rand_pcg::Pcg64Mcg;

use crate::options::Options;
use crate::seed::rng_from;
use crate::time::Time;

/// Decides when to connect. The world connects when [`poll_connect`](Dialer::poll_connect) says so and reports how it
/// went; between failures the dialer waits longer and longer, with luck in it so that a thousand dialers do not all
/// come back at once.
///
/// The wait doubles from `reconnect_min` to `reconnect_max`, and each time a uniformly drawn half to whole of it is
/// taken. It starts anew only after a connection that lasted as long as `reconnect_max`: a peer that accepts and hangs
/// up again is not hammered.
#[derive(Debug)]
pub struct Dialer {
    state: DialerState,
    wait: Duration,
    min: Duration,
    max: Duration,
    rng: Pcg64Mcg,
}

/// What a dialer is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialerState {
    /// Waiting until it may try.
    Waiting {
        /// When that is.
        until: Time,
    },
    /// Asked the world to connect and waits to hear.
    Connecting,
    /// The pipe is up.
    Up {
        /// Since when.
        since: Time,
    },
    /// Closed for good.
    Closed,
}

impl Dialer {
    /// A dialer that wants to connect at once.
    pub fn new(now: Time, options: &Options, seed: u64) -> Dialer {
        Dialer {
            state: DialerState::Waiting { until: now },
            wait: options.reconnect_min,
            min: options.reconnect_min,
            max: options.reconnect_max,
            rng: rng_from(seed),
        }
    }

    /// What it is doing.
    pub fn state(&self) -> DialerState {
        self.state
    }

    /// Is it time to connect? If so, the world must connect and report.
    pub fn poll_connect(&mut self, now: Time) -> bool {
        match self.state {
            DialerState::Waiting { until } if until <= now => {
                self.state = DialerState::Connecting;
                true
            }
            _ => false,
        }
    }

    /// When to ask again.
    pub fn poll_timeout(&self) -> Option<Time> {
        match self.state {
            DialerState::Waiting { until } => Some(until),
            _ => None,
        }
    }

    /// The pipe is up: connected, and both sides have greeted.
    pub fn handle_up(&mut self, now: Time) {
        if self.state != DialerState::Closed {
            self.state = DialerState::Up { since: now };
        }
    }

    /// The attempt failed, or the pipe that was up went down.
    pub fn handle_down(&mut self, now: Time) {
        match self.state {
            DialerState::Closed => return,
            DialerState::Up { since } if now - since >= self.max => self.wait = self.min,
            _ => {}
        }
        let whole = self.wait;
        let drawn = whole.mul_f64(self.rng.random_range(0.5..1.0));
        self.wait = (whole * 2).min(self.max);
        self.state = DialerState::Waiting { until: now + drawn };
    }

    /// Never connect again.
    pub fn close(&mut self) {
        self.state = DialerState::Closed;
    }
}
