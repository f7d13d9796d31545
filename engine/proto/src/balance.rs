//! Who is next: sixteen priorities, and turns within each.
//!
//! The rule is nanomsg's (`utils/priolist.c`, restated): the best priority that has a candidate is served, and the
//! candidates of one priority take turns. There is no hysteresis in either direction: a better candidate is preferred
//! from the moment it appears (fail-back), and the next priority from the moment the better one is empty (fail-over).

use std::collections::VecDeque;

use crate::pipe::PipeId;
use crate::priority::{Priority, WORST_PRIORITY};

/// The candidates for the next turn: pipes that can be written to, or pipes that have something to read.
#[derive(Debug, Default)]
pub struct Rotation {
    slots: [VecDeque<PipeId>; WORST_PRIORITY as usize],
    occupied: u16,
}

impl Rotation {
    /// Adds a candidate behind the others of its priority. It must not be in the rotation already.
    pub fn add(&mut self, pipe: PipeId, priority: Priority) {
        debug_assert!(!self.slots[priority.slot()].contains(&pipe), "{pipe:?} is in the rotation twice");
        self.slots[priority.slot()].push_back(pipe);
        self.occupied |= 1 << priority.slot();
    }

    /// Takes a candidate out, wherever it stands in its priority.
    pub fn remove(&mut self, pipe: PipeId, priority: Priority) {
        let slot = &mut self.slots[priority.slot()];
        slot.retain(|candidate| *candidate != pipe);
        if slot.is_empty() {
            self.occupied &= !(1 << priority.slot());
        }
    }

    /// Whose turn it is. The turn then passes to the next of the same priority.
    pub fn turn(&mut self) -> Option<PipeId> {
        let slot = &mut self.slots[self.best()?];
        if slot.len() > 1 {
            slot.rotate_left(1);
        }
        slot.back().copied()
    }

    /// Whose turn it is, without passing it on.
    pub fn next(&self) -> Option<PipeId> {
        self.slots[self.best()?].front().copied()
    }

    /// The priority that the next turn goes to.
    pub fn current(&self) -> Option<Priority> {
        self.best().map(Priority::of_slot)
    }

    fn best(&self) -> Option<usize> {
        match self.occupied {
            0 => None,
            mask => Some(mask.trailing_zeros() as usize),
        }
    }
}
