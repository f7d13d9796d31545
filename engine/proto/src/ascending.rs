//! A map whose keys mostly come in ascending order.

use std::collections::{BTreeMap, VecDeque};

use crate::footprint::{Visit, visit_queue};

/// A map for keys that are mostly inserted in ascending order and removed in about the order in which they came: an entry
/// is written once and found by halving, and what is removed is dropped when it is the first, or when the removed ones
/// are the majority. So its size stays within twice what it holds, and a few; and in a steady state it allocates nothing.
/// An entry that is alone lies in the map itself, as in [`Few`](crate::Few).
#[derive(Debug)]
pub struct Ascending<K, V> {
    /// One that came when there was none.
    alone: Option<(K, V)>,
    /// How many entries are in `rest`: whoever finds none need not look there.
    more: u32,
    rest: Option<Box<Rest<K, V>>>,
}

#[derive(Debug)]
struct Rest<K, V> {
    entries: VecDeque<(K, Option<V>)>,
    held: usize,
    /// Those that came out of order.
    others: BTreeMap<K, V>,
}

impl<K: Copy + Ord, V> Ascending<K, V> {
    /// Inserts an entry; gives back the value that was there under this key.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let least = match &mut self.alone {
            Some((alone, held)) if *alone == key => return Some(std::mem::replace(held, value)),
            Some((alone, _)) => Some(*alone),
            None if self.more == 0 => {
                self.alone = Some((key, value));
                return None;
            }
            None => None,
        };
        let before = self.rest.get_or_insert_default().insert(key, value, least);
        self.more += u32::from(before.is_none());
        before
    }

    /// What is there under this key.
    pub fn get(&self, key: &K) -> Option<&V> {
        match &self.alone {
            Some((alone, value)) if alone == key => Some(value),
            _ => self.rest()?.get(key),
        }
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match &mut self.alone {
            Some((alone, value)) if alone == key => Some(value),
            _ if self.more > 0 => self.rest.as_mut()?.get_mut(key),
            _ => None,
        }
    }

    /// Takes out what is there under this key.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        if self.alone.as_ref().is_some_and(|(alone, _)| alone == key) {
            return self.alone.take().map(|(_, value)| value);
        }
        if self.more == 0 {
            return None;
        }
        let removed = self.rest.as_mut()?.remove(key);
        self.more -= u32::from(removed.is_some());
        removed
    }

    /// The entry with the least key.
    pub fn first(&self) -> Option<(K, &V)> {
        let alone = self.alone.as_ref().map(|(key, value)| (*key, value));
        match self.rest() {
            None => alone,
            Some(rest) => lesser(alone, rest.first()),
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        usize::from(self.alone.is_some()) + self.more as usize
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.alone.is_none() && self.more == 0
    }

    /// The keys: first those that came in order, ascending, then the others, ascending.
    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.alone.iter().map(|(key, _)| *key).chain(self.rest().into_iter().flat_map(Rest::keys))
    }

    /// The values, in the order of [`keys`](Ascending::keys).
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.alone.iter().map(|(_, value)| value).chain(self.rest().into_iter().flat_map(Rest::values))
    }

    /// Takes all of them out, in the order of [`keys`](Ascending::keys).
    pub fn drain(&mut self) -> impl Iterator<Item = V> + use<K, V> {
        let Ascending { alone, rest, .. } = std::mem::take(self);
        alone.into_iter().map(|(_, value)| value).chain(
            rest.into_iter().flat_map(|rest| {
                rest.entries.into_iter().filter_map(|(_, value)| value).chain(rest.others.into_values())
            }),
        )
    }

    /// Visits the first entries that lie outside; see [`Socket::footprint`](crate::Socket::footprint).
    pub fn footprint(&self, visit: Visit) {
        if let Some(rest) = self.rest() {
            visit_queue(&rest.entries, visit);
        }
    }

    fn rest(&self) -> Option<&Rest<K, V>> {
        if self.more == 0 { None } else { self.rest.as_deref() }
    }
}

impl<K: Copy + Ord, V> Rest<K, V> {
    /// `least`: only what is greater is in order.
    fn insert(&mut self, key: K, value: V, least: Option<K>) -> Option<V> {
        if self.entries.back().map(|(last, _)| *last).max(least).is_none_or(|last| last < key) {
            self.entries.push_back((key, Some(value)));
            self.held += 1;
            return self.remove_other(&key);
        }
        match self.get_mut(&key) {
            Some(held) => Some(std::mem::replace(held, value)),
            None => self.others.insert(key, value),
        }
    }

    fn get(&self, key: &K) -> Option<&V> {
        match self.place(key) {
            Some(place) => self.entries[place].1.as_ref().or_else(|| self.others.get(key)),
            None => self.others.get(key),
        }
    }

    fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self.place(key) {
            Some(place) if self.entries[place].1.is_some() => self.entries[place].1.as_mut(),
            _ => self.others.get_mut(key),
        }
    }

    fn remove(&mut self, key: &K) -> Option<V> {
        let Some(value) = self.place(key).and_then(|place| self.entries[place].1.take()) else {
            return self.remove_other(key);
        };
        self.held -= 1;
        if self.held == 0 {
            // From now on the first place is used again, which is still near.
            self.entries.clear();
        }
        while self.entries.front().is_some_and(|(_, value)| value.is_none()) {
            self.entries.pop_front();
        }
        if self.entries.len() > 32 && self.entries.len() > 2 * self.held {
            self.entries.retain(|(_, value)| value.is_some());
        }
        Some(value)
    }

    fn first(&self) -> Option<(K, &V)> {
        // Nothing removed stays in front.
        let in_order = self.entries.front().and_then(|(key, value)| Some((*key, value.as_ref()?)));
        if self.others.is_empty() {
            return in_order;
        }
        lesser(in_order, self.others.first_key_value().map(|(key, value)| (*key, value)))
    }

    fn keys(&self) -> impl Iterator<Item = K> {
        let in_order = self.entries.iter().filter(|(_, value)| value.is_some()).map(|(key, _)| *key);
        in_order.chain(self.others.keys().copied())
    }

    fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.iter().filter_map(|(_, value)| value.as_ref()).chain(self.others.values())
    }

    fn place(&self, key: &K) -> Option<usize> {
        // Mostly it is the first or among the first.
        if self.entries.front().is_some_and(|(first, _)| first == key) {
            return Some(0);
        }
        self.entries.binary_search_by_key(key, |(key, _)| *key).ok()
    }

    fn remove_other(&mut self, key: &K) -> Option<V> {
        if self.others.is_empty() { None } else { self.others.remove(key) }
    }
}

/// The one of two entries with the lesser key.
fn lesser<'a, K: Ord, V>(one: Option<(K, &'a V)>, other: Option<(K, &'a V)>) -> Option<(K, &'a V)> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if one.0 < other.0 { one } else { other }),
        (one, other) => one.or(other),
    }
}

impl<K, V> Default for Ascending<K, V> {
    fn default() -> Ascending<K, V> {
        Ascending { alone: None, more: 0, rest: None }
    }
}

impl<K, V> Default for Rest<K, V> {
    fn default() -> Rest<K, V> {
        Rest { entries: VecDeque::new(), held: 0, others: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_does_what_a_tree_does(steps in prop::collection::vec((0_u8..10, 0_u32..40), 0..400)) {
            let mut map = Ascending::default();
            let mut tree = BTreeMap::new();
            let mut last = 0;
            for (step, number) in steps {
                match step {
                    0..5 => {
                        last += number;
                        prop_assert_eq!(map.insert(last, number), tree.insert(last, number));
                    }
                    5 => prop_assert_eq!(map.insert(number, step.into()), tree.insert(number, step.into())),
                    _ => {
                        let key = tree.keys().nth(number as usize % tree.len().max(1)).copied().unwrap_or(number);
                        prop_assert_eq!(map.get(&key), tree.get(&key));
                        prop_assert_eq!(map.get_mut(&key), tree.get_mut(&key));
                        prop_assert_eq!(map.remove(&key), tree.remove(&key));
                    }
                }
                prop_assert_eq!(map.first().map(|(key, value)| (key, *value)), tree.first_key_value().map(|(k, v)| (*k, *v)));
                prop_assert_eq!(map.is_empty(), tree.is_empty());
                let entries = map.rest.as_ref().map_or(0, |rest| rest.entries.len());
                prop_assert!(entries <= 32 + 2 * tree.len());
                prop_assert_eq!(map.len(), tree.len());
            }
            prop_assert_eq!(map.keys().collect::<BTreeSet<u32>>(), tree.keys().copied().collect::<BTreeSet<u32>>());
        }
    }
}
