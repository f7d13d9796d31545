//! What the same set of prefixes takes as other libraries lay it out, to the byte.
//!
//! The shapes are those of our own structures, which branch where theirs do; only the sizes of nodes are theirs. The sizes
//! are those of 64-bit machines: libzmq's `trie.cpp` and `radix_tree.cpp` (4.3), nanomsg's `trie.c` (1.2).

use super::{RadixTree, Topics, Trie};

/// How a library keeps prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// libzmq's trie: a node of 24 bytes for each byte, and a table of pointers from the least to the greatest child where
    /// there is more than one.
    ZeromqTrie,
    /// libzmq's radix tree: 12 bytes, the prefix, and 9 bytes for each child, in one piece.
    ZeromqRadix,
    /// nanomsg's Patricia trie: nodes of 24 bytes with up to ten bytes of prefix; pointers to the children, and from nine
    /// children on a table of them from the least to the greatest.
    Nanomsg,
}

/// What prefixes take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Nodes, the root included.
    pub nodes: usize,
    /// Bytes, with what glibc's allocator adds to each piece.
    pub bytes: usize,
}

impl Layout {
    /// What the prefixes in this trie take; of [`Layout::ZeromqTrie`] only.
    pub fn of_trie(trie: &Trie) -> Room {
        let mut room = Room::default();
        trie.kin(&mut |node| {
            room.nodes += 1;
            room.bytes += chunk(24) + if node.children > 1 { chunk(pointer_table(node.span)) } else { 0 };
        });
        room
    }

    /// What the prefixes in this tree take; `None` of a trie, which has nodes where a tree has none.
    pub fn of_tree(self, tree: &RadixTree) -> Option<Room> {
        let mut room = Room::default();
        match self {
            Layout::ZeromqTrie => return None,
            Layout::ZeromqRadix => tree.kin(&mut |node| {
                room.nodes += 1;
                room.bytes += chunk(12 + node.label + 9 * node.children);
            }),
            Layout::Nanomsg => tree.kin(&mut |node| {
                // A long label takes a chain of nodes; each edge has its first byte with the parent.
                let chain = node.label.div_ceil(11).max(1) - 1;
                let children = if node.children <= 8 { 8 * node.children } else { pointer_table(node.span) };
                room.nodes += chain + 1;
                room.bytes += chain * chunk(24 + 8) + chunk(24 + children);
            }),
        }
        Some(room)
    }
}

/// Bytes of a table of pointers.
pub fn pointer_table(span: usize) -> usize {
    span * 8
}

/// What glibc takes for so many bytes: eight more, in steps of sixteen, 32 at least.
fn chunk(bytes: usize) -> usize {
    (bytes + 8).next_multiple_of(16).max(32)
}
