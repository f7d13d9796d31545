//! Conversations on a socket.

use std::collections::BTreeSet;
use std::fmt;

use smallvec::{SmallVec, smallvec};

use crate::footprint::{Visit, visit_slice};

/// One conversation: a request and its reply, a survey and its answers, or a set of subscriptions. Every socket has [`ContextId::DEFAULT`]; the protocols that can hold many
/// conversations at once open more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContextId(pub(crate) u32);

impl ContextId {
    /// The conversation a socket has from the beginning.
    pub const DEFAULT: ContextId = ContextId(0);

    /// Its number.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The conversation with this number; whether it is open, the socket knows.
    pub fn from_number(number: u32) -> ContextId {
        ContextId(number)
    }

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ContextId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The contexts of a socket with the protocol's state for each. Closed numbers are used again, the lowest first, so
/// that the same commands always give the same numbers.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Contexts<S> {
    /// Three or fewer lie here: most sockets hold one conversation at a time, the default one or another.
    states: SmallVec<[Option<S>; 3]>,
    free: BTreeSet<u32>,
    limit: usize,
}

impl<S: Default> Contexts<S> {
    /// Bytes at its beginning up to the end of the default context's state, if there are few.
    pub(crate) const FIRST: usize = 2 * size_of::<usize>() + size_of::<Option<S>>();

    pub(crate) fn new(limit: usize) -> Contexts<S> {
        Contexts { states: smallvec![Some(S::default())], free: BTreeSet::new(), limit }
    }

    /// Opens one more, unless there are as many as allowed.
    pub(crate) fn open(&mut self) -> Option<ContextId> {
        if let Some(number) = self.free.pop_first() {
            self.states[number as usize] = Some(S::default());
            return Some(ContextId(number));
        }
        if self.states.len() >= self.limit {
            return None;
        }
        self.states.push(Some(S::default()));
        Some(ContextId(self.states.len() as u32 - 1))
    }

    /// Closes one; the default context stays. Returns its last state.
    pub(crate) fn close(&mut self, context: ContextId) -> Option<S> {
        if context == ContextId::DEFAULT {
            return None;
        }
        let state = self.states.get_mut(context.index())?.take()?;
        self.free.insert(context.0);
        Some(state)
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.states.len() - self.free.len()
    }

    pub(crate) fn get_mut(&mut self, context: ContextId) -> Option<&mut S> {
        self.states.get_mut(context.index())?.as_mut()
    }

    /// The states of the open contexts, the lowest number first.
    pub(crate) fn states(&self) -> impl Iterator<Item = &S> {
        self.states.iter().flatten()
    }

    /// Visits the states.
    pub(crate) fn footprint(&self, visit: Visit) {
        visit_slice(&self.states, visit);
    }

    /// All open contexts, the lowest number first.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (ContextId, &mut S)> {
        self.states
            .iter_mut()
            .enumerate()
            .filter_map(|(number, state)| Some((ContextId(number as u32), state.as_mut()?)))
    }
}
