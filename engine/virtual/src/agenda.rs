//! The agenda: what happens when, in virtual time.

use std::collections::VecDeque;

use sp_proto::Time;

/// Entries in the order of their time; at the same moment, in the order in which they were made. In a steady state it
/// allocates nothing.
///
/// What is due up to the horizon is in a short list, in order. What comes later is in buckets, by the highest bit in which
/// its time differs from the horizon, and is drawn into the list some entries at a time. So an entry costs as much among a
/// million others as among a hundred, and whoever works through the agenda can look at what comes next before it comes.
#[derive(Debug)]
pub struct Agenda<E> {
    /// The next is the last.
    near: Vec<Entry<E>>,
    /// What is due just at the horizon and was entered when the list was no longer short, the next first. It comes after
    /// the list.
    herd: VecDeque<Entry<E>>,
    horizon: Time,
    far: [Vec<Entry<E>>; BUCKETS],
    /// A bit for each bucket that has entries.
    occupied: u64,
    /// Entries in the buckets.
    later: usize,
    /// With more entries than this the list is thinned out.
    crowd: usize,
    /// How often entries have been drawn into the list.
    draws: u64,
    made: u64,
    /// The present generation of each alarm slot; an entry of an older one is void.
    generations: Vec<u32>,
    free: Vec<u32>,
    void: usize,
}

/// The receipt for an entry that can be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alarm {
    slot: u32,
    generation: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry<E> {
    at: Time,
    made: u64,
    /// [`Alarm::NONE`] for what is entered for good.
    alarm: Alarm,
    event: E,
}

impl Alarm {
    const NONE: Alarm = Alarm { slot: u32::MAX, generation: 0 };
}

impl<E: Copy> Agenda<E> {
    /// An empty one.
    pub fn new() -> Agenda<E> {
        Agenda {
            near: Vec::new(),
            herd: VecDeque::new(),
            horizon: Time::ZERO,
            far: [const { Vec::new() }; BUCKETS],
            occupied: 0,
            later: 0,
            crowd: CROWD,
            draws: 0,
            made: 0,
            generations: Vec::new(),
            free: Vec::new(),
            void: 0,
        }
    }

    /// Enters `event` for good.
    pub fn enter(&mut self, at: Time, event: E) {
        self.push(at, Alarm::NONE, event);
    }

    /// Enters `event` so that it can be cancelled.
    pub fn set_alarm(&mut self, at: Time, event: E) -> Alarm {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.generations.push(0);
            self.generations.len() as u32 - 1
        });
        let alarm = Alarm { slot, generation: self.generations[slot as usize] };
        self.push(at, alarm, event);
        alarm
    }

    /// Cancels an alarm; false if it has rung or was cancelled before.
    ///
    /// The entry stays where it is as void until its time, unless the void ones become the majority: then all of them go.
    pub fn cancel(&mut self, alarm: Alarm) -> bool {
        if !self.release(alarm) {
            return false;
        }
        self.void += 1;
        if self.void > 64 && self.void > self.len() / 2 {
            self.sweep();
        }
        true
    }

    /// Takes the next entry that is due at or before `until`.
    pub fn pop(&mut self, until: Time) -> Option<(Time, E)> {
        loop {
            if self.near.is_empty() && self.herd.is_empty() && !self.draw() {
                return None;
            }
            let next = self.near.last().or_else(|| self.herd.front());
            if next.is_none_or(|entry| entry.at > until) {
                return None;
            }
            let entry = self.near.pop().or_else(|| self.herd.pop_front())?;
            if entry.alarm == Alarm::NONE || self.release(entry.alarm) {
                return Some((entry.at, entry.event));
            }
            self.void -= 1;
        }
    }

    /// Is there nothing to come?
    pub fn is_empty(&self) -> bool {
        self.len() == self.void
    }

    /// How often entries have been drawn from what comes later: each time, [`upcoming`](Agenda::upcoming) is anew.
    pub fn draws(&self) -> u64 {
        self.draws
    }

    /// What comes next: a few entries in their order, some of them perhaps void.
    pub fn upcoming(&self) -> impl Iterator<Item = E> {
        self.near.iter().rev().map(|entry| entry.event)
    }

    fn len(&self) -> usize {
        self.near.len() + self.herd.len() + self.later
    }

    fn push(&mut self, at: Time, alarm: Alarm, event: E) {
        self.made += 1;
        let entry = Entry { at, made: self.made, alarm, event };
        // While there are few, the list holds all of them.
        if self.later == 0 && self.near.len() < BATCH {
            self.horizon = self.horizon.max(at);
        }
        if at > self.horizon {
            return self.put_off(entry);
        }
        // It was made last, so it comes after those of the same moment.
        if at == self.horizon && (self.near.len() >= BATCH || !self.herd.is_empty()) {
            return self.herd.push_back(entry);
        }
        let place = self.near.partition_point(|other| other.at > at);
        self.near.insert(place, entry);
        if self.near.len() > self.crowd {
            self.thin_out();
        }
    }

    /// Puts an entry into its bucket.
    fn put_off(&mut self, entry: Entry<E>) {
        let bucket = highest_bit(entry.at, self.horizon);
        self.far[bucket].push(entry);
        self.occupied |= 1 << bucket;
        self.later += 1;
    }

    /// Empties a bucket; what was in it finds its place anew. The list is in no order afterwards.
    fn place_anew(&mut self, bucket: usize) {
        // Taken and put back, for its memory.
        let mut entries = std::mem::take(&mut self.far[bucket]);
        self.occupied &= !(1 << bucket);
        self.later -= entries.len();
        for entry in entries.drain(..) {
            if !is_valid(&self.generations, entry.alarm) {
                self.void -= 1;
            } else if entry.at <= self.horizon {
                self.near.push(entry);
            } else {
                self.put_off(entry);
            }
        }
        self.far[bucket] = entries;
    }

    /// Brings what comes next into the list, when all that was due is done; false if nothing comes.
    fn draw(&mut self) -> bool {
        while self.occupied != 0 {
            let bucket = self.occupied.trailing_zeros() as usize;
            let entries = &self.far[bucket];
            let times = entries.iter().map(|entry| entry.at);
            // All of the lowest bucket come before all of the others.
            let horizon = match self.near.len() + entries.len() {
                ..=BATCH => times.max(),
                _ if self.near.is_empty() => times.min(),
                _ => break,
            };
            self.horizon = horizon.unwrap_or(self.horizon);
            self.place_anew(bucket);
        }
        sort(&mut self.near);
        self.draws += 1;
        self.crowd = CROWD;
        !self.near.is_empty()
    }

    /// Moves the horizon nearer, so that about a batch stays in the list.
    fn thin_out(&mut self) {
        // Those of one moment stay together, however many they are.
        let horizon = self.near[self.near.len() - BATCH].at;
        let stay = self.near.partition_point(|entry| entry.at > horizon);
        let before = std::mem::replace(&mut self.horizon, horizon);
        if horizon < before {
            let mut entries: Vec<Entry<E>> = self.near.drain(..stay).chain(self.herd.drain(..)).collect();
            // Only so far up does the place of an entry depend on what has changed of the horizon.
            for bucket in 0..=highest_bit(before, horizon) {
                self.later -= self.far[bucket].len();
                self.occupied &= !(1 << bucket);
                entries.append(&mut self.far[bucket]);
            }
            entries.into_iter().for_each(|entry| self.put_off(entry));
        }
        self.crowd = CROWD.max(2 * self.near.len());
    }

    /// Takes out what is void.
    fn sweep(&mut self) {
        let generations = &self.generations;
        let is_valid = |entry: &Entry<E>| is_valid(generations, entry.alarm);
        self.near.retain(is_valid);
        self.herd.retain(is_valid);
        self.far.iter_mut().for_each(|entries| entries.retain(is_valid));
        self.later = self.far.iter().map(Vec::len).sum();
        self.occupied = (0..BUCKETS).filter(|bucket| !self.far[*bucket].is_empty()).map(|bucket| 1 << bucket).sum();
        self.void = 0;
    }

    /// Makes an alarm void and its slot free.
    fn release(&mut self, alarm: Alarm) -> bool {
        let valid = is_valid(&self.generations, alarm);
        if valid {
            let generation = &mut self.generations[alarm.slot as usize];
            *generation = generation.wrapping_add(1);
            self.free.push(alarm.slot);
        }
        valid
    }
}

impl<E: Copy> Default for Agenda<E> {
    fn default() -> Agenda<E> {
        Agenda::new()
    }
}

fn is_valid(generations: &[u32], alarm: Alarm) -> bool {
    alarm == Alarm::NONE || generations[alarm.slot as usize] == alarm.generation
}

/// The highest bit in which two moments differ.
fn highest_bit(one: Time, other: Time) -> usize {
    (one.as_nanos() ^ other.as_nanos()).ilog2() as usize
}

/// The earliest last; of one moment, what was made first.
fn sort<E>(entries: &mut [Entry<E>]) {
    entries.sort_unstable_by_key(|entry| std::cmp::Reverse((entry.at, entry.made)));
}

/// One for each bit of a time.
const BUCKETS: usize = 64;
/// How many entries are drawn at a time, at most.
const BATCH: usize = 256;
/// With so many in the list it pays to thin it out.
const CROWD: usize = 2 * BATCH;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn entries_come_by_time_and_then_by_the_order_of_making() {
        let mut agenda = Agenda::new();
        for (at, event) in [(20, 'c'), (10, 'a'), (20, 'd'), (10, 'b'), (30, 'e')] {
            agenda.enter(Time::from_nanos(at), event);
        }
        assert_eq!(drain(&mut agenda, 20), "abcd");
        assert_eq!(drain(&mut agenda, 29), "");
        assert_eq!(drain(&mut agenda, 30), "e");
        assert!(agenda.is_empty());
    }

    #[test]
    fn a_cancelled_alarm_does_not_ring_and_its_slot_serves_again() {
        let mut agenda = Agenda::new();
        let alarm = agenda.set_alarm(Time::from_nanos(10), 'x');
        assert!(agenda.cancel(alarm));
        assert!(!agenda.cancel(alarm));
        assert!(agenda.is_empty());
        let next = agenda.set_alarm(Time::from_nanos(20), 'y');
        assert!(!agenda.cancel(alarm), "the old receipt does not cancel the new alarm");
        assert_eq!(drain(&mut agenda, 100), "y");
        assert!(!agenda.cancel(next), "it has rung");
    }

    #[test]
    fn cancelled_alarms_do_not_pile_up() {
        let mut agenda = Agenda::new();
        for number in 0..100_000 {
            let alarm = agenda.set_alarm(Time::from_nanos(1_000_000 + number), 'x');
            agenda.cancel(alarm);
        }
        assert!(agenda.len() <= 130, "{} entries", agenda.len());
        agenda.enter(Time::from_nanos(1), 'a');
        assert_eq!(drain(&mut agenda, u64::MAX), "a");
        assert!(agenda.is_empty());
    }

    proptest! {
        #[test]
        fn it_does_what_a_sorted_list_does(steps in prop::collection::vec((0_u32..10, 0_u32..40, any::<u64>()), 0..2_000)) {
            let (mut agenda, mut list, mut now) = (Agenda::new(), Vec::new(), 0);
            for (number, (step, bits, value)) in steps.into_iter().enumerate() {
                // Near and far, and many at the same moment.
                let at = now + (value & ((1 << bits) - 1));
                match step {
                    0..5 => {
                        agenda.enter(Time::from_nanos(at), number);
                        list.push((at, number, None));
                    }
                    5 => {
                        let alarm = agenda.set_alarm(Time::from_nanos(at), number);
                        list.push((at, number, Some(alarm)));
                    }
                    6 => {
                        let place = list.iter().position(|(_, _, alarm)| alarm.is_some());
                        if let Some((_, _, Some(alarm))) = place.map(|place| list.remove(place)) {
                            prop_assert!(agenda.cancel(alarm));
                        }
                    }
                    _ => {
                        let next = list.iter().map(|(at, number, _)| (*at, *number)).min().filter(|(due, _)| *due <= at);
                        let popped = agenda.pop(Time::from_nanos(at)).map(|(at, number)| (at.as_nanos(), number));
                        prop_assert_eq!(popped, next);
                        list.retain(|(_, number, _)| next.is_none_or(|(_, taken)| taken != *number));
                        now = next.map_or(at, |(due, _)| due);
                    }
                }
                prop_assert_eq!(agenda.is_empty(), list.is_empty());
            }
            list.sort_unstable_by_key(|(at, number, _)| (*at, *number));
            for (at, number, _) in list {
                prop_assert_eq!(agenda.pop(Time::NEVER), Some((Time::from_nanos(at), number)));
            }
            prop_assert_eq!(agenda.pop(Time::NEVER), None);
        }
    }

    fn drain(agenda: &mut Agenda<char>, until: u64) -> String {
        std::iter::from_fn(|| agenda.pop(Time::from_nanos(until))).map(|(_, event)| event).collect()
    }
}
