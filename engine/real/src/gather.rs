//! Gathering: how long a burst of messages may wait to be written together.
//!
//! One write per message caps a stream at a few hundred thousand messages a second. A fixed gap between writes would
//! ruin lone messages and request/reply. So the gap is zero after a pause, a receive or a wait, and grows only while
//! messages keep coming faster than a write takes. A write to many peers takes long; the gap may be as long then.

use std::time::Duration;

use sp_proto::Time;

/// The gap between writes of one socket.
#[derive(Debug)]
pub(crate) struct Gather {
    limit: Duration,
    gap: Duration,
    last_send: Time,
    last_write: Time,
    /// How long it took.
    cost: Duration,
    /// Messages since the last write.
    held: u32,
    /// Messages in a row that came close behind the one before.
    run: u32,
    /// When they began.
    burst: Time,
    /// They come so fast that the clock is not looked at for each.
    rapid: bool,
    /// Messages since it was.
    unclocked: u32,
}

impl Gather {
    /// How soon the tail of a burst is looked at.
    pub(crate) const FIRST_LOOK: Duration = Duration::from_micros(60);
    /// The longest time that the tail of a long burst waits for a look.
    pub(crate) const LAST_LOOK: Duration = Duration::from_micros(500);

    /// `limit` is the longest gap; zero turns gathering off.
    pub(crate) fn new(limit: Duration) -> Gather {
        Gather {
            limit,
            gap: Duration::ZERO,
            last_send: Time::ZERO,
            last_write: Time::ZERO,
            cost: Duration::ZERO,
            held: 0,
            run: 0,
            burst: Time::ZERO,
            rapid: false,
            unclocked: 0,
        }
    }

    /// The time of the next message, if the clock need not be looked at: of a flood it is enough to know when some came.
    pub(crate) fn assumed_time(&mut self) -> Option<Time> {
        self.unclocked += 1;
        if self.rapid && self.unclocked < UNCLOCKED {
            return Some(self.last_send);
        }
        self.unclocked = 0;
        None
    }

    /// So many messages were queued. Must they be written now, with all that was held back?
    pub(crate) fn must_write(&mut self, now: Time, count: u32) -> bool {
        let pause = now - self.last_send;
        self.last_send = now;
        // After much work it takes longer to come back to.
        if pause > PAUSE.max(self.cost / 4) {
            self.doubt(pause);
            return true;
        }
        if self.run == 0 {
            self.burst = now;
        }
        self.run = self.run.saturating_add(count).min(LONGEST_RUN);
        if self.run < RUN || self.limit.is_zero() {
            return true;
        }
        self.held = self.held.saturating_add(count);
        now - self.last_write >= self.gap
    }

    /// The call that queued them has taken until now, which is no pause.
    pub(crate) fn queued(&mut self, now: Time) {
        self.last_send = now;
    }

    /// Everything held back has been written. The time that took, a good deal if it woke somebody up or if there are
    /// many peers, is no pause, and as much again can as well be spent on gathering.
    pub(crate) fn wrote(&mut self, began: Time, now: Time) {
        self.last_send = self.last_send.max(now);
        self.cost = now - began;
        if self.run >= RUN {
            self.rapid = self.held >= RAPID;
            let cost = self.cost.clamp(FIRST_GAP, LONGEST_GAP);
            // A gap that gathered many messages may grow; one that gathered few was too long.
            self.gap = if self.held >= WORTHWHILE {
                (self.gap * 2).clamp(cost, self.limit.max(cost))
            } else if self.held <= 1 && !self.gap.is_zero() {
                self.gap / 2
            } else {
                self.gap.max(cost)
            };
        }
        self.held = 0;
        self.last_write = now;
    }

    /// The thread received or waited: the next message is written at once, and what is held back is due.
    pub(crate) fn reset(&mut self) {
        self.gap = Duration::ZERO;
        self.run = 0;
        self.rapid = false;
    }

    /// There was a pause. One may be the doing of the scheduler, which must not end a long burst; several end it.
    fn doubt(&mut self, pause: Duration) {
        self.run /= 2;
        self.gap /= 2;
        if self.run < RUN || pause > RECENT {
            self.reset();
        }
    }

    /// How long somebody else who looks after the tail of the burst may wait until the next look; none if the burst is
    /// over. Each look costs the sender a turn on its core, so what a tail waits is in proportion to its burst.
    pub(crate) fn next_look(&mut self, now: Time) -> Option<Duration> {
        self.rapid &= now - self.last_send <= PAUSE;
        let goes_on = self.held > 0 || now - self.last_send < RECENT;
        goes_on.then(|| ((self.last_send - self.burst) / 8).clamp(Gather::FIRST_LOOK, Gather::LAST_LOOK))
    }

    /// Is something held back, and since when is it due?
    pub(crate) fn due(&self) -> Option<Time> {
        (self.held > 0).then(|| self.last_write + self.gap)
    }
}

/// A silence after which a message is written at once.
const PAUSE: Duration = Duration::from_micros(20);
/// Messages close behind each other that make a burst.
const RUN: u32 = 16;
/// Messages beyond which a run is not counted: it takes six pauses to end it.
const LONGEST_RUN: u32 = 1_024;
/// Messages in one write that make a longer gap worth trying.
const WORTHWHILE: u32 = 8;
/// Messages in one write that are a flood, of which one in so many is clocked.
const RAPID: u32 = 64;
const UNCLOCKED: u32 = 4;
/// The longest gap where writing takes longer than the limit: to thousands of peers.
const LONGEST_GAP: Duration = Duration::from_millis(10);
/// Within such a time a burst may go on.
const RECENT: Duration = Duration::from_millis(1);
const FIRST_GAP: Duration = Duration::from_micros(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(gather: &mut Gather, interval_ns: u64, messages: u64) -> u64 {
        let mut writes = 0;
        let start = gather.last_send.as_nanos();
        for n in 1..=messages {
            let now = Time::from_nanos(start + n * interval_ns);
            if gather.must_write(now, 1) {
                gather.wrote(now, now);
                writes += 1;
            }
        }
        writes
    }

    #[test]
    fn lone_messages_are_written_at_once() {
        let mut gather = Gather::new(Duration::from_micros(50));
        assert_eq!(feed(&mut gather, 25_000, 1_000), 1_000);
    }

    #[test]
    fn a_burst_is_gathered() {
        let mut gather = Gather::new(Duration::from_micros(50));
        let writes = feed(&mut gather, 150, 100_000);
        assert!(writes < 1_000, "{writes} writes for 100,000 messages");
    }

    #[test]
    fn after_a_pause_the_first_message_goes_at_once() {
        let mut gather = Gather::new(Duration::from_micros(50));
        feed(&mut gather, 150, 10_000);
        assert!(gather.must_write(gather.last_send + Duration::from_millis(1), 1));
    }

    #[test]
    fn what_is_held_back_is_due() {
        let mut gather = Gather::new(Duration::from_micros(50));
        feed(&mut gather, 150, 10_000);
        while gather.due().is_none() {
            feed(&mut gather, 150, 1);
        }
        let due = gather.due().unwrap();
        assert!(due <= gather.last_send + Duration::from_micros(50));
    }

    #[test]
    fn what_is_held_back_stays_due_when_the_thread_receives() {
        let mut gather = Gather::new(Duration::from_micros(50));
        while gather.due().is_none() {
            feed(&mut gather, 150, 1);
        }
        gather.reset();
        assert_eq!(gather.due(), Some(gather.last_write));
        let later = gather.last_send + Duration::from_millis(10);
        assert!(gather.next_look(later).is_some(), "somebody has to write it");
    }

    #[test]
    fn after_a_flood_the_clock_is_looked_at_again() {
        let mut gather = Gather::new(Duration::from_micros(50));
        feed(&mut gather, 150, 100_000);
        let assumed = (0..100).filter(|_| gather.assumed_time().is_some()).count();
        assert_eq!(assumed, 75);
        let later = gather.last_send + Duration::from_micros(200);
        assert!(gather.next_look(later).is_some(), "the burst may go on");
        assert_eq!(gather.assumed_time(), None);
    }
}
