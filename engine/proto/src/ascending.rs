//! A map whose keys come in ascending order.

use std::collections::VecDeque;

/// A map for keys that are mostly inserted in ascending order and removed in about the order in which they came: an entry
/// is written once and found by halving, and what is removed is dropped when it is the first, or when the removed ones
/// are the majority. So its size stays within twice what it holds, and a few.
#[derive(Debug)]
pub(crate) struct Ascending<K, V> {
    entries: VecDeque<(K, Option<V>)>,
    held: usize,
}

impl<K: Copy + Ord, V> Ascending<K, V> {
    /// Inserts an entry whose key is greater than that of any before; otherwise gives the value back.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Result<(), V> {
        if self.entries.back().is_some_and(|(last, _)| *last >= key) {
            return Err(value);
        }
        self.entries.push_back((key, Some(value)));
        self.held += 1;
        Ok(())
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let place = self.place(key)?;
        self.entries[place].1.as_ref()
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let place = self.place(key)?;
        self.entries[place].1.as_mut()
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let place = self.place(key)?;
        let value = self.entries[place].1.take()?;
        self.held -= 1;
        while self.entries.front().is_some_and(|(_, value)| value.is_none()) {
            self.entries.pop_front();
        }
        if self.entries.len() > 32 && self.entries.len() > 2 * self.held {
            self.entries.retain(|(_, value)| value.is_some());
        }
        Some(value)
    }

    /// The entry with the least key.
    pub(crate) fn first(&self) -> Option<(K, &V)> {
        // Nothing removed stays in front.
        self.entries.front().and_then(|(key, value)| Some((*key, value.as_ref()?)))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// The keys, ascending.
    pub(crate) fn keys(&self) -> impl Iterator<Item = K> {
        self.entries.iter().filter(|(_, value)| value.is_some()).map(|(key, _)| *key)
    }

    fn place(&self, key: &K) -> Option<usize> {
        // Mostly it is the first or among the first.
        if self.entries.front().is_some_and(|(first, _)| first == key) {
            return Some(0);
        }
        self.entries.binary_search_by_key(key, |(key, _)| *key).ok()
    }
}

impl<K, V> Default for Ascending<K, V> {
    fn default() -> Ascending<K, V> {
        Ascending { entries: VecDeque::new(), held: 0 }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_does_what_a_tree_does(steps in prop::collection::vec((any::<bool>(), 0_u32..40), 0..400)) {
            let mut map = Ascending::default();
            let mut tree = BTreeMap::new();
            let mut last = 0;
            for (inserts, number) in steps {
                if inserts {
                    last += number;
                    let fresh = tree.keys().next_back().is_none_or(|key| *key < last) && map.insert(last, number).is_ok();
                    if fresh {
                        tree.insert(last, number);
                    }
                } else {
                    let key = tree.keys().nth(number as usize % tree.len().max(1)).copied().unwrap_or(number);
                    prop_assert_eq!(map.get(&key), tree.get(&key));
                    prop_assert_eq!(map.remove(&key), tree.remove(&key));
                }
                prop_assert_eq!(map.first().map(|(key, value)| (key, *value)), tree.first_key_value().map(|(k, v)| (*k, *v)));
                prop_assert!(map.entries.len() <= 32 + 2 * tree.len());
            }
            prop_assert!(map.keys().eq(tree.keys().copied()));
        }

        #[test]
        fn what_is_not_ascending_is_given_back(key in 0_u32..10) {
            let mut map = Ascending::default();
            prop_assert!(map.insert(5, ()).is_ok());
            prop_assert_eq!(map.insert(key, ()).is_ok(), key > 5);
        }
    }
}
