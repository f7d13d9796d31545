//! Processors: what it takes a site's program to handle messages.
//!
//! Without a [`Handling`] a site is as many machines as it has hosts, and none of them is ever busy but with what its
//! roles say. With one, a site is what the real world plays: one program with one thread, which takes up one thing at a
//! time, and sleeps when there is nothing to do.

use std::collections::VecDeque;
use std::time::Duration;

use sp_proto::Time;

use crate::connection::{ConnectionId, Parcel, Side};

/// What it costs a program to handle a message, as it is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handling {
    /// Until a program that slept is awake. One that is busy need not be woken.
    pub wake: Duration,
    /// To take up a message that has arrived, or work that has become due, and do what comes of it.
    pub step: Duration,
    /// For each KiB of a message, at either end.
    pub kib: Duration,
}

/// The program of one site.
#[derive(Debug)]
pub(crate) struct Processor {
    handling: Handling,
    /// It has something to do until then.
    free_at: Time,
    /// What has arrived and will be taken up, in this order; each is announced in the agenda.
    pub(crate) inbox: VecDeque<(ConnectionId, Side, Parcel)>,
}

impl Processor {
    pub(crate) fn new(handling: Handling) -> Processor {
        Processor { handling, free_at: Time::ZERO, inbox: VecDeque::new() }
    }

    /// Work has become due; says when it is taken up.
    pub(crate) fn resume(&mut self, now: Time) -> Time {
        self.work(now, self.handling.step)
    }

    /// A message of so many bytes has arrived; says when the program has it.
    pub(crate) fn receive(&mut self, now: Time, size: usize) -> Time {
        self.work(now, self.handling.step + self.copying(size))
    }

    /// A message of so many bytes is to be sent; says when it leaves.
    pub(crate) fn send(&mut self, now: Time, size: usize) -> Time {
        self.work(now, self.copying(size))
    }

    /// When all that has come before is done.
    pub(crate) fn after_all(&self, now: Time) -> Time {
        self.free_at.max(now)
    }

    fn work(&mut self, now: Time, takes: Duration) -> Time {
        // It looks once more before it goes to sleep, and that takes a step.
        let slept = self.free_at + self.handling.step < now;
        let begins = if slept { now + self.handling.wake } else { self.free_at.max(now) };
        self.free_at = begins + takes;
        self.free_at
    }

    fn copying(&self, size: usize) -> Duration {
        Duration::from_nanos((self.handling.kib.as_nanos() as u64).saturating_mul(size as u64) >> 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sleeps_is_woken_and_who_is_busy_is_not() {
        let [wake, step, kib] = [40, 20, 1].map(Duration::from_micros);
        let mut processor = Processor::new(Handling { wake, step, kib });
        assert_eq!(processor.receive(at(100), 0), at(160));
        // Behind the first, and then with what the first makes it do.
        assert_eq!(processor.receive(at(130), 2_048), at(182));
        assert_eq!(processor.send(at(182), 6_144), at(188));
        assert_eq!(processor.after_all(at(150)), at(188));
        // It has not gone to sleep yet; then it has.
        assert_eq!(processor.resume(at(208)), at(228));
        assert_eq!(processor.resume(at(500)), at(560));
        assert_eq!(processor.after_all(at(600)), at(600));
    }

    fn at(micros: u64) -> Time {
        Time::from_nanos(micros * 1_000)
    }
}
