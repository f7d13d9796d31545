//! Prefixes one behind the other: plain, and what the tree is measured by.

use super::Topics;

/// Looks at one prefix after the other.
#[derive(Clone, Debug, Default)]
pub struct PrefixList {
    prefixes: Vec<(Box<[u8]>, u32)>,
}

impl PrefixList {
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
}
