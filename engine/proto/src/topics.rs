//! Topics: which messages are wanted. A message is wanted if it begins with a prefix that was subscribed to; there is no
//! separator, and the empty prefix is the beginning of everything.

pub mod layout;
mod list;
mod radix;
mod trie;

pub use list::PrefixList;
pub use radix::RadixTree;
pub use trie::Trie;

/// A set of prefixes, each subscribed to once or several times.
pub trait Topics {
    /// Subscribes once more; says how often that is now.
    fn add(&mut self, prefix: &[u8]) -> u32;

    /// Takes one subscription back; says how many are left, or that there was none.
    fn remove(&mut self, prefix: &[u8]) -> Option<u32>;

    /// Is this very prefix subscribed to?
    fn contains(&self, prefix: &[u8]) -> bool;

    /// Does a message with this body begin with any of the prefixes?
    fn matches(&self, body: &[u8]) -> bool;

    /// How many different prefixes there are.
    fn len(&self) -> usize;

    /// Are there none?
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all different prefixes together.
    fn prefix_bytes(&self) -> usize;

    /// Bytes of memory it holds, itself included, without what the allocator adds.
    fn bytes(&self) -> usize;

    /// Tells of every node, the root first; the parts of a list are nodes without children.
    fn kin(&self, tell: &mut dyn FnMut(Kin));
}

/// A node and its family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kin {
    /// Bytes on the edge from its parent to it.
    pub label: usize,
    /// How many children it has.
    pub children: usize,
    /// From the least first byte of a child to the greatest, both included.
    pub span: usize,
}
