//! Who is next: sixteen priorities, and turns within each.
//!
//! The rule is nanomsg's (`utils/priolist.c`, restated): the best priority that has a candidate is served, and the
//! candidates of one priority take turns. There is no hysteresis in either direction: a better candidate is preferred
//! from the moment it appears (fail-back), and the next priority from the moment the better one is empty (fail-over).

use smallvec::SmallVec;

use crate::few::Few;
use crate::footprint::Visit;
use crate::pipe::PipeId;
use crate::priority::Priority;

/// The candidates for the next turn: pipes that can be written to, or pipes that have something to read.
#[derive(Debug, Default)]
pub struct Rotation {
    /// The best first. One that has had candidates stays, for it will have some again.
    levels: SmallVec<[Level; 1]>,
}

#[derive(Debug)]
struct Level {
    priority: Priority,
    candidates: Few<PipeId>,
}

impl Rotation {
    /// Adds a candidate behind the others of its priority. It must not be in the rotation already.
    pub fn add(&mut self, pipe: PipeId, priority: Priority) {
        let place = self.levels.iter().position(|level| level.priority >= priority).unwrap_or(self.levels.len());
        if self.levels.get(place).is_none_or(|level| level.priority != priority) {
            self.levels.insert(place, Level { priority, candidates: Few::new() });
        }
        let candidates = &mut self.levels[place].candidates;
        debug_assert!(!candidates.iter().any(|candidate| *candidate == pipe), "{pipe:?} is in the rotation twice");
        candidates.push_back(pipe);
    }

    /// Takes a candidate out, wherever it stands in its priority.
    pub fn remove(&mut self, pipe: PipeId, priority: Priority) {
        if let Some(level) = self.levels.iter_mut().find(|level| level.priority == priority) {
            level.candidates.retain(|candidate| *candidate != pipe);
        }
    }

    /// Whose turn it is. The turn then passes to the next of the same priority.
    pub fn turn(&mut self) -> Option<PipeId> {
        let candidates = &mut self.levels.iter_mut().find(|level| !level.candidates.is_empty())?.candidates;
        candidates.rotate();
        candidates.back().copied()
    }

    /// Whose turn it is, without passing it on.
    pub fn next(&self) -> Option<PipeId> {
        self.best().and_then(|level| level.candidates.front().copied())
    }

    /// The priority that the next turn goes to.
    pub fn current(&self) -> Option<Priority> {
        self.best().map(|level| level.priority)
    }

    pub(crate) fn footprint(&self, visit: Visit) {
        self.levels.iter().for_each(|level| level.candidates.footprint(visit));
    }

    fn best(&self) -> Option<&Level> {
        self.levels.iter().find(|level| !level.candidates.is_empty())
    }
}
