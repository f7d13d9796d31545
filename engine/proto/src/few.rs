//! A queue that mostly holds one thing, or nothing.

use std::collections::VecDeque;
use std::mem::offset_of;

use crate::footprint::{Visit, visit_queue};

/// First in, first out. What is put into an empty one lies in the queue itself and costs neither an allocation nor a look
/// elsewhere in memory; only what comes on top lies outside, in room that is kept once it has been needed.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Few<T> {
    /// How many there are in all.
    len: u32,
    #[expect(clippy::box_collection, reason = "what is rarely there should be small while it is not")]
    rest: Option<Box<VecDeque<T>>>,
    /// Older than all the rest, if it is there.
    first: Option<T>,
}

impl<T> Few<T> {
    /// Bytes in front of the place for one: what says whether there is any.
    pub(crate) const BEFORE: usize = offset_of!(Few<T>, first);

    /// An empty one.
    pub const fn new() -> Few<T> {
        Few { len: 0, rest: None, first: None }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds one behind all others.
    pub fn push_back(&mut self, item: T) {
        if self.len == 0 {
            self.first = Some(item);
        } else {
            self.rest.get_or_insert_default().push_back(item);
        }
        self.len += 1;
    }

    /// Adds one in front of all others.
    pub fn push_front(&mut self, item: T) {
        if let Some(second) = self.first.replace(item) {
            self.rest.get_or_insert_default().push_front(second);
        }
        self.len += 1;
    }

    /// Takes the first.
    pub fn pop_front(&mut self) -> Option<T> {
        if self.len == 0 {
            return None;
        }
        self.len -= 1;
        if self.first.is_some() { self.first.take() } else { self.rest.as_mut()?.pop_front() }
    }

    /// The first.
    pub fn front(&self) -> Option<&T> {
        self.get(0)
    }

    /// The last.
    pub fn back(&self) -> Option<&T> {
        self.get(self.len().checked_sub(1)?)
    }

    /// The one at this place, counted from the front.
    pub fn get(&self, place: usize) -> Option<&T> {
        if place >= self.len() {
            return None;
        }
        match &self.first {
            Some(first) if place == 0 => Some(first),
            first => self.rest.as_ref()?.get(place - usize::from(first.is_some())),
        }
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        if place >= self.len() {
            return None;
        }
        match (&mut self.first, place) {
            (Some(first), 0) => Some(first),
            (first, _) => self.rest.as_mut()?.get_mut(place - usize::from(first.is_some())),
        }
    }

    /// Takes out the one at this place.
    pub fn remove(&mut self, place: usize) -> Option<T> {
        if place == 0 {
            return self.pop_front();
        }
        if place >= self.len() {
            return None;
        }
        self.len -= 1;
        self.rest.as_mut()?.remove(place - usize::from(self.first.is_some()))
    }

    /// Keeps those that fulfil this.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        if self.first.take_if(|first| !keep(first)).is_some() {
            self.len -= 1;
        }
        let first = u32::from(self.first.is_some());
        if self.len > first
            && let Some(rest) = &mut self.rest
        {
            rest.retain(keep);
            self.len = first + rest.len() as u32;
        }
    }

    /// Puts the first behind all others.
    pub fn rotate(&mut self) {
        if self.len > 1
            && let Some(first) = self.pop_front()
        {
            self.push_back(first);
        }
    }

    /// Throws all of them away.
    pub fn clear(&mut self) {
        self.retain(|_| false);
    }

    /// From the first to the last.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(self.rest().into_iter().flatten())
    }

    /// Visits what lies outside; see [`Socket::footprint`](crate::Socket::footprint).
    pub fn footprint(&self, visit: Visit) {
        if let Some(rest) = self.rest() {
            visit_queue(rest, visit);
        }
    }

    /// What lies outside, if anything does.
    fn rest(&self) -> Option<&VecDeque<T>> {
        if self.len > u32::from(self.first.is_some()) { self.rest.as_deref() } else { None }
    }
}

impl<T> Default for Few<T> {
    fn default() -> Few<T> {
        Few::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_does_what_a_queue_does(steps in prop::collection::vec((0_u8..10, 0_usize..5), 0..200)) {
            let (mut few, mut queue) = (Few::new(), VecDeque::new());
            for (number, (step, place)) in steps.into_iter().enumerate() {
                match step {
                    0..3 => {
                        few.push_back(number);
                        queue.push_back(number);
                    }
                    3 => {
                        few.push_front(number);
                        queue.push_front(number);
                    }
                    4 => prop_assert_eq!(few.remove(place), queue.remove(place)),
                    5 => {
                        few.rotate();
                        queue.rotate_left(usize::from(!queue.is_empty()));
                    }
                    6 => {
                        few.retain(|item| item % 5 != place);
                        queue.retain(|item| item % 5 != place);
                    }
                    7 if place == 0 => {
                        few.clear();
                        queue.clear();
                    }
                    _ => prop_assert_eq!(few.pop_front(), queue.pop_front()),
                }
                prop_assert!(few.iter().eq(queue.iter()));
                prop_assert_eq!((few.len(), few.is_empty()), (queue.len(), queue.is_empty()));
                prop_assert_eq!((few.front(), few.back()), (queue.front(), queue.back()));
                prop_assert_eq!(few.get(place), queue.get(place));
                prop_assert_eq!(few.get_mut(place), queue.get_mut(place));
            }
        }
    }
}
