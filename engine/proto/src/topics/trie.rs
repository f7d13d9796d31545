//! Prefixes in a trie with a node for each byte, as ZeroMQ keeps them: what the tree is compared with.
//!
//! A node has a table of its children from the least first byte to the greatest, gaps included. Nodes lie in one vector and
//! name each other by number.

use super::{Kin, Topics};

/// One node for each byte of each prefix, shared where prefixes begin alike. Finding out whether a message is wanted looks
/// at a node for each of its bytes.
#[derive(Clone, Debug)]
pub struct Trie {
    /// The root is the first.
    nodes: Vec<Node>,
    /// Nodes that are out of use.
    free: Vec<u32>,
    len: usize,
    prefix_bytes: usize,
    /// Entries of all tables.
    entries: usize,
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// The children by first byte, from `least` on.
    table: Box<[u32]>,
    /// How often the prefix that ends here is subscribed to.
    count: u32,
    children: u16,
    least: u8,
}

const NONE: u32 = u32::MAX;
const ROOT: u32 = 0;

impl Topics for Trie {
    fn add(&mut self, prefix: &[u8]) -> u32 {
        let mut at = ROOT;
        for byte in prefix {
            at = match self.child(at, *byte) {
                Some(child) => child,
                None => self.grow(at, *byte),
            };
        }
        let node = &mut self.nodes[at as usize];
        node.count = node.count.saturating_add(1);
        if node.count == 1 {
            self.len += 1;
            self.prefix_bytes += prefix.len();
        }
        self.nodes[at as usize].count
    }

    fn remove(&mut self, prefix: &[u8]) -> Option<u32> {
        let mut way = vec![ROOT];
        for byte in prefix {
            way.push(self.child(way[way.len() - 1], *byte)?);
        }
        let node = &mut self.nodes[way[prefix.len()] as usize];
        node.count = node.count.checked_sub(1)?;
        let left = node.count;
        if left == 0 {
            self.len -= 1;
            self.prefix_bytes -= prefix.len();
            for (parent, (byte, child)) in way.iter().zip(prefix.iter().zip(&way[1..])).rev() {
                let Node { count: 0, children: 0, .. } = self.nodes[*child as usize] else { break };
                self.shrink(*parent, *byte);
                self.free.push(*child);
            }
        }
        Some(left)
    }

    fn contains(&self, prefix: &[u8]) -> bool {
        let end = prefix.iter().try_fold(ROOT, |at, byte| self.child(at, *byte));
        end.is_some_and(|at| self.nodes[at as usize].count > 0)
    }

    fn matches(&self, body: &[u8]) -> bool {
        let mut at = ROOT;
        let mut rest = body.iter();
        loop {
            if self.nodes[at as usize].count > 0 {
                return true;
            }
            let Some(child) = rest.next().and_then(|byte| self.child(at, *byte)) else { return false };
            at = child;
        }
    }

    fn len(&self) -> usize {
        self.len
    }

    fn prefix_bytes(&self) -> usize {
        self.prefix_bytes
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.nodes.capacity() * size_of::<Node>()
            + self.free.capacity() * size_of::<u32>()
            + self.entries * size_of::<u32>()
    }

    fn kin(&self, tell: &mut dyn FnMut(Kin)) {
        let mut unfinished = vec![(ROOT, 0)];
        while let Some((at, label)) = unfinished.pop() {
            let node = &self.nodes[at as usize];
            tell(Kin { label, children: node.children.into(), span: node.table.len() });
            unfinished.extend(node.table.iter().filter(|child| **child != NONE).map(|child| (*child, 1)));
        }
    }
}

impl Default for Trie {
    fn default() -> Trie {
        Trie { nodes: vec![Node::default()], free: Vec::new(), len: 0, prefix_bytes: 0, entries: 0 }
    }
}

impl Trie {
    fn child(&self, at: u32, byte: u8) -> Option<u32> {
        let node = &self.nodes[at as usize];
        let place = byte.checked_sub(node.least)?;
        node.table.get(usize::from(place)).copied().filter(|child| *child != NONE)
    }

    /// A new child; the table grows to where its byte is.
    fn grow(&mut self, at: u32, byte: u8) -> u32 {
        let child = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(Node::default());
            self.nodes.len() as u32 - 1
        });
        let node = &mut self.nodes[at as usize];
        node.children += 1;
        if node.table.is_empty() {
            node.least = byte;
        }
        self.fit(at, byte, byte);
        let node = &mut self.nodes[at as usize];
        node.table[usize::from(byte - node.least)] = child;
        child
    }

    /// One child less; the table keeps no empty ends.
    fn shrink(&mut self, at: u32, byte: u8) {
        let node = &mut self.nodes[at as usize];
        node.children -= 1;
        node.table[usize::from(byte - node.least)] = NONE;
        let is_child = |child: &u32| *child != NONE;
        let (first, last) = (node.table.iter().position(is_child), node.table.iter().rposition(is_child));
        match (first, last) {
            (Some(0), Some(last)) if last + 1 == node.table.len() => {}
            (Some(first), Some(last)) => {
                self.entries -= node.table.len() - (last + 1 - first);
                node.table = node.table[first..=last].into();
                node.least += first as u8;
            }
            _ => {
                self.entries -= node.table.len();
                node.table = Box::default();
            }
        }
    }

    /// Makes the table reach over these bytes, too.
    fn fit(&mut self, at: u32, low: u8, high: u8) {
        let node = &mut self.nodes[at as usize];
        let end = usize::from(node.least) + node.table.len();
        let (least, end) = (node.least.min(low), end.max(usize::from(high) + 1));
        let width = end - usize::from(least);
        if width == node.table.len() {
            return;
        }
        let mut table = vec![NONE; width].into_boxed_slice();
        let shift = usize::from(node.least - least);
        table[shift..shift + node.table.len()].copy_from_slice(&node.table);
        self.entries += width - node.table.len();
        (node.table, node.least) = (table, least);
    }
}
