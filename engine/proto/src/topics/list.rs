//! Prefixes one behind the other: plain, and what the tree is measured by.

use super::{Kin, Topics};

/// Looks at one prefix after the other.
#[derive(Clone, Debug, Default)]
pub struct PrefixList {
    prefixes: Vec<(Box<[u8]>, u32)>,
}

impl PrefixList {
    /// A list of prefixes that are all different, which is not looked after.
    pub fn of_distinct<'a>(prefixes: impl Iterator<Item = &'a [u8]>) -> PrefixList {
        PrefixList { prefixes: prefixes.map(|prefix| (prefix.into(), 1)).collect() }
    }

    /// The prefixes, in no order.
    pub fn prefixes(&self) -> impl Iterator<Item = &[u8]> {
        self.prefixes.iter().map(|(prefix, _)| &**prefix)
    }

    fn place(&self, prefix: &[u8]) -> Option<usize> {
        self.prefixes.iter().position(|(other, _)| **other == *prefix)
    }
}

impl Topics for PrefixList {
    fn add(&mut self, prefix: &[u8]) -> u32 {
        let place = self.place(prefix).unwrap_or_else(|| {
            self.prefixes.push((prefix.into(), 0));
            self.prefixes.len() - 1
        });
        let (_, count) = &mut self.prefixes[place];
        *count += 1;
        *count
    }

    fn remove(&mut self, prefix: &[u8]) -> Option<u32> {
        let place = self.place(prefix)?;
        let (_, count) = &mut self.prefixes[place];
        *count -= 1;
        let left = *count;
        if left == 0 {
            self.prefixes.swap_remove(place);
        }
        Some(left)
    }

    fn contains(&self, prefix: &[u8]) -> bool {
        self.place(prefix).is_some()
    }

    fn matches(&self, body: &[u8]) -> bool {
        self.prefixes.iter().any(|(prefix, _)| body.starts_with(prefix))
    }

    fn len(&self) -> usize {
        self.prefixes.len()
    }

    fn prefix_bytes(&self) -> usize {
        self.prefixes.iter().map(|(prefix, _)| prefix.len()).sum()
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.prefixes.capacity() * size_of::<(Box<[u8]>, u32)>() + self.prefix_bytes()
    }

    fn kin(&self, tell: &mut dyn FnMut(Kin)) {
        self.prefixes.iter().for_each(|(prefix, _)| tell(Kin { label: prefix.len(), children: 0, span: 0 }));
    }
}
