//! The agenda: what happens when, in virtual time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use sp_proto::Time;

/// Entries in the order of their time; at the same moment, in the order in which they were made. In a steady state it
/// allocates nothing.
#[derive(Debug)]
pub struct Agenda<E> {
    heap: BinaryHeap<Entry<E>>,
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
        Agenda { heap: BinaryHeap::new(), made: 0, generations: Vec::new(), free: Vec::new(), void: 0 }
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
    /// The entry stays in the heap as void until its time, unless the void ones become the majority: then all of them go.
    pub fn cancel(&mut self, alarm: Alarm) -> bool {
        if !self.release(alarm) {
            return false;
        }
        self.void += 1;
        if self.void > 64 && self.void > self.heap.len() / 2 {
            let generations = &self.generations;
            self.heap.retain(|entry| is_valid(generations, entry.alarm));
            self.void = 0;
        }
        true
    }

    /// Takes the next entry that is due at or before `until`.
    pub fn pop(&mut self, until: Time) -> Option<(Time, E)> {
        while self.heap.peek().is_some_and(|entry| entry.at <= until) {
            let entry = self.heap.pop()?;
            if entry.alarm == Alarm::NONE || self.release(entry.alarm) {
                return Some((entry.at, entry.event));
            }
            self.void -= 1;
        }
        None
    }

    /// Is there nothing to come?
    pub fn is_empty(&self) -> bool {
        self.heap.len() == self.void
    }

    fn push(&mut self, at: Time, alarm: Alarm, event: E) {
        self.made += 1;
        self.heap.push(Entry { at, made: self.made, alarm, event });
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

/// The greatest is the earliest: the heap of the standard library gives the greatest first.
impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Entry<E>) -> Ordering {
        (other.at, other.made).cmp(&(self.at, self.made))
    }
}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Entry<E>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Entry<E>) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Entry<E> {}

#[cfg(test)]
mod tests {
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
        assert!(agenda.heap.len() <= 130, "{} entries", agenda.heap.len());
        agenda.enter(Time::from_nanos(1), 'a');
        assert_eq!(drain(&mut agenda, u64::MAX), "a");
        assert!(agenda.is_empty());
    }

    fn drain(agenda: &mut Agenda<char>, until: u64) -> String {
        std::iter::from_fn(|| agenda.pop(Time::from_nanos(until))).map(|(_, event)| event).collect()
    }
}
