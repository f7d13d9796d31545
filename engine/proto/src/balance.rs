//! Who is next: sixteen priorities, and turns within each.
//!
//! The rule is nanomsg's (`utils/priolist.c`, restated): the best priority that has a candidate is served, and the
//! candidates of one priority take turns. There is no hysteresis in either direction: a better candidate is preferred
//! from the moment it appears (fail-back), and the next priority from the moment the better one is empty (fail-over).

use std::collections::VecDeque;
use std::fmt;

use thiserror::Error;

use crate::pipe::PipeId;

/// The priority that is served first.
pub const BEST_PRIORITY: u8 = 1;
/// What an endpoint has when nothing else is said.
pub const DEFAULT_PRIORITY: u8 = 8;
/// The priority that is served last.
pub const WORST_PRIORITY: u8 = 16;

/// A priority from 1, served first, to 16, served last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u8);

/// A number outside 1 to 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("priority {0} is out of range: 1 (served first) to 16 (served last)")]
pub struct PriorityError(pub i64);

impl Priority {
    /// Checks the range.
    pub fn new(level: i64) -> Result<Priority, PriorityError> {
        match u8::try_from(level) {
            Ok(small) if (BEST_PRIORITY..=WORST_PRIORITY).contains(&small) => Ok(Priority(small)),
            _ => Err(PriorityError(level)),
        }
    }

    /// The number, 1 to 16.
    pub const fn level(self) -> u8 {
        self.0
    }

    fn slot(self) -> usize {
        usize::from(self.0 - BEST_PRIORITY)
    }
}

impl Default for Priority {
    fn default() -> Priority {
        Priority(DEFAULT_PRIORITY)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

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
        slot.rotate_left(1);
        slot.back().copied()
    }

    /// The priority that the next turn goes to.
    pub fn current(&self) -> Option<Priority> {
        self.best().map(|slot| Priority(slot as u8 + BEST_PRIORITY))
    }

    fn best(&self) -> Option<usize> {
        match self.occupied {
            0 => None,
            mask => Some(mask.trailing_zeros() as usize),
        }
    }
}
