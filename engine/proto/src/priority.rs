//! Priorities: sixteen levels, as in nanomsg.

use std::fmt;

use thiserror::Error;

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
