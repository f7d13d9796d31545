//! A radix tree of prefixes, laid out for few bytes: nodes of sixteen bytes in one vector, labels in another.
//!
//! A node stands for everything on the way to it: the first byte of its edge, which is kept in the node, and the rest of
//! the edge, its label. The children of a node lie side by side, ordered by first byte, in a block whose size follows from
//! their number. Blocks that are given up are used again; when more than a third of either vector is of no use, both are
//! written anew.

use super::{Kin, Topics};

/// Prefixes with what they have in common kept once. Finding out whether a message is wanted takes one look at each node
/// on its way down, however many prefixes there are. Made for up to 1 GiB of prefixes.
#[derive(Clone, Debug)]
pub struct RadixTree {
    /// The root is the first, once there is anything.
    nodes: Vec<Node>,
    labels: Vec<u8>,
    /// The first free block of each size; each names the next.
    free: [u32; SIZES.len()],
    /// Nodes in free blocks.
    free_nodes: usize,
    /// Bytes of the labels of all nodes.
    live_labels: usize,
    len: usize,
    prefix_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    label_at: u32,
    /// How often the prefix that ends here is subscribed to.
    count: u32,
    /// The block of its children.
    block: u32,
    label_len: u16,
    first: u8,
    /// How many children it has; with a block, 0 stands for 256.
    children: u8,
}

/// A leaf without a label.
const BARE: Node = Node { label_at: 0, count: 0, block: NONE, label_len: 0, first: 0, children: 0 };
const NONE: u32 = u32::MAX;
const ROOT: u32 = 0;
/// How many children there is room for in a block.
const SIZES: [usize; 16] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256];

impl Topics for RadixTree {
    fn add(&mut self, prefix: &[u8]) -> u32 {
        if self.nodes.is_empty() {
            self.nodes.push(BARE);
        }
        let (mut at, mut rest) = (ROOT, prefix);
        while let Some((first, tail)) = rest.split_first() {
            match self.find(at, *first) {
                Ok(child) => {
                    let label = self.label(child);
                    let common = label.iter().zip(tail).take_while(|(one, two)| one == two).count();
                    if common < label.len() {
                        self.split(child, common);
                    }
                    (at, rest) = (child, &tail[common..]);
                }
                Err(place) => {
                    let (label, behind) = tail.split_at(tail.len().min(u16::MAX.into()));
                    let node = Node { label_at: self.labels.len() as u32, first: *first, ..BARE };
                    let node = Node { label_len: label.len() as u16, ..node };
                    reserve(&mut self.labels, label.len());
                    self.labels.extend_from_slice(label);
                    self.live_labels += label.len();
                    (at, rest) = (self.insert(at, place, node), behind);
                }
            }
        }
        let node = &mut self.nodes[at as usize];
        node.count = node.count.saturating_add(1);
        let count = node.count;
        if count == 1 {
            self.len += 1;
            self.prefix_bytes += prefix.len();
            self.tidy();
        }
        count
    }

    fn remove(&mut self, prefix: &[u8]) -> Option<u32> {
        let mut way = self.way(prefix)?;
        let node = &mut self.nodes[*way.last()? as usize];
        node.count = node.count.checked_sub(1)?;
        let left = node.count;
        if left == 0 {
            self.len -= 1;
            self.prefix_bytes -= prefix.len();
            while let Some(at) = way.pop()
                && let Some(parent) = way.last()
                && self.prune(*parent, at)
            {}
            self.tidy();
        }
        Some(left)
    }

    fn contains(&self, prefix: &[u8]) -> bool {
        self.way(prefix).is_some_and(|way| way.last().is_some_and(|at| self.nodes[*at as usize].count > 0))
    }

    fn matches(&self, body: &[u8]) -> bool {
        if self.len == 0 {
            return false;
        }
        let (mut at, mut rest) = (ROOT, body);
        loop {
            if self.nodes[at as usize].count > 0 {
                return true;
            }
            let Some((first, tail)) = rest.split_first() else { return false };
            let Ok(child) = self.find(at, *first) else { return false };
            let Some(behind) = tail.strip_prefix(self.label(child)) else { return false };
            (at, rest) = (child, behind);
        }
    }

    fn len(&self) -> usize {
        self.len
    }

    fn prefix_bytes(&self) -> usize {
        self.prefix_bytes
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.nodes.capacity() * size_of::<Node>() + self.labels.capacity()
    }

    fn kin(&self, tell: &mut dyn FnMut(Kin)) {
        let mut unfinished = if self.nodes.is_empty() { Vec::new() } else { vec![ROOT] };
        while let Some(at) = unfinished.pop() {
            let (node, children) = (&self.nodes[at as usize], self.children(at));
            let span = children.last().map_or(0, |last| usize::from(last.first - children[0].first) + 1);
            let label = if at == ROOT { 0 } else { 1 + usize::from(node.label_len) };
            tell(Kin { label, children: children.len(), span });
            unfinished.extend(node.block..node.block.wrapping_add(children.len() as u32));
        }
    }
}

impl Default for RadixTree {
    fn default() -> RadixTree {
        RadixTree {
            nodes: Vec::new(),
            labels: Vec::new(),
            free: [NONE; SIZES.len()],
            free_nodes: 0,
            live_labels: 0,
            len: 0,
            prefix_bytes: 0,
        }
    }
}

impl RadixTree {
    fn label(&self, at: u32) -> &[u8] {
        let node = &self.nodes[at as usize];
        &self.labels[node.label_at as usize..][..node.label_len.into()]
    }

    fn children(&self, at: u32) -> &[Node] {
        let node = &self.nodes[at as usize];
        if node.block == NONE { &[] } else { &self.nodes[node.block as usize..][..node.fan()] }
    }

    /// The child whose edge begins with `first`, or the place where it would be.
    fn find(&self, at: u32, first: u8) -> Result<u32, usize> {
        let place = self.children(at).binary_search_by_key(&first, |child| child.first)?;
        Ok(self.nodes[at as usize].block + place as u32)
    }

    /// The nodes on the way to where `prefix` ends, if it ends at one.
    fn way(&self, prefix: &[u8]) -> Option<Vec<u32>> {
        if self.nodes.is_empty() {
            return None;
        }
        let (mut way, mut at, mut rest) = (vec![ROOT], ROOT, prefix);
        while let Some((first, tail)) = rest.split_first() {
            at = self.find(at, *first).ok()?;
            rest = tail.strip_prefix(self.label(at))?;
            way.push(at);
        }
        Some(way)
    }

    /// Gives the edge of a node an end behind `common` bytes of its label; what comes behind becomes its only child.
    fn split(&mut self, at: u32, common: usize) {
        let block = self.allocate(1);
        let upper = self.nodes[at as usize];
        let cut = upper.label_at as usize + common;
        self.nodes[block as usize] = Node {
            label_at: cut as u32 + 1,
            label_len: upper.label_len - common as u16 - 1,
            first: self.labels[cut],
            ..upper
        };
        self.nodes[at as usize] = Node { label_len: common as u16, count: 0, block, children: 1, ..upper };
        self.live_labels -= 1;
    }

    /// Takes a node out of use, if it is of none; says whether its parent may be of none now.
    fn prune(&mut self, parent: u32, at: u32) -> bool {
        let node = self.nodes[at as usize];
        match (node.count, self.children(at)) {
            (0, []) => {
                self.live_labels -= usize::from(node.label_len);
                self.cut(parent, at);
                true
            }
            (0, [child]) => {
                let child = *child;
                self.join(at, child);
                false
            }
            _ => false,
        }
    }

    /// Makes one node of a node and its only child, unless the label would be too long.
    fn join(&mut self, at: u32, child: Node) {
        let node = self.nodes[at as usize];
        let Ok(label_len) = u16::try_from(usize::from(node.label_len) + 1 + usize::from(child.label_len)) else {
            return;
        };
        let mut label_at = node.label_at;
        let end = node.label_at + u32::from(node.label_len);
        // What was split may still lie together.
        if child.label_at != end + 1 || self.labels.get(end as usize) != Some(&child.first) {
            label_at = self.labels.len() as u32;
            reserve(&mut self.labels, label_len.into());
            let part = |node: Node| node.label_at as usize..node.label_at as usize + usize::from(node.label_len);
            self.labels.extend_from_within(part(node));
            self.labels.push(child.first);
            self.labels.extend_from_within(part(child));
        }
        self.live_labels += 1;
        self.release(node.block, 1);
        self.nodes[at as usize] = Node { label_at, label_len, first: node.first, ..child };
    }

    /// Puts a new child at its place; says where it now is.
    fn insert(&mut self, at: u32, place: usize, child: Node) -> u32 {
        let (old, fan) = (self.nodes[at as usize].block, self.children(at).len());
        let block = self.resize(old, fan, fan + 1);
        let start = block as usize;
        self.nodes.copy_within(start + place..start + fan, start + place + 1);
        self.nodes[start + place] = child;
        self.nodes[at as usize].adopt(block, fan + 1);
        block + place as u32
    }

    /// Takes a child out.
    fn cut(&mut self, parent: u32, child: u32) {
        let (old, fan) = (self.nodes[parent as usize].block, self.children(parent).len());
        self.nodes.copy_within(child as usize + 1..old as usize + fan, child as usize);
        let block = self.resize(old, fan, fan - 1);
        self.nodes[parent as usize].adopt(block, fan - 1);
    }

    /// Moves children to a block of the right size, if theirs is not.
    fn resize(&mut self, old: u32, before: usize, after: usize) -> u32 {
        if before > 0 && after > 0 && class(before) == class(after) {
            return old;
        }
        let block = if after == 0 { NONE } else { self.allocate(after) };
        if before > 0 {
            if after > 0 {
                let kept = old as usize..old as usize + before.min(after);
                self.nodes.copy_within(kept, block as usize);
            }
            self.release(old, before);
        }
        block
    }

    /// A block for so many children.
    fn allocate(&mut self, fan: usize) -> u32 {
        let (class, size) = class(fan);
        let block = self.free[class];
        if block == NONE {
            let block = self.nodes.len();
            reserve(&mut self.nodes, size);
            self.nodes.resize(block + size, BARE);
            return block as u32;
        }
        self.free[class] = self.nodes[block as usize].block;
        self.free_nodes -= size;
        block
    }

    fn release(&mut self, block: u32, fan: usize) {
        let (class, size) = class(fan);
        self.nodes[block as usize].block = self.free[class];
        self.free[class] = block;
        self.free_nodes += size;
    }

    /// Writes both vectors anew if more than a third of either is of no use.
    fn tidy(&mut self) {
        let useful = self.nodes.len() - self.free_nodes;
        // Two labels may share a byte, if it happens to be the right one.
        let wasted_labels = self.labels.len().saturating_sub(self.live_labels);
        if self.free_nodes <= useful / 2 + SMALL && wasted_labels <= self.live_labels / 2 + SMALL {
            return;
        }
        let old = std::mem::take(self);
        if old.len == 0 {
            return;
        }
        self.nodes.reserve_exact(useful);
        self.labels.reserve_exact(old.live_labels);
        self.nodes.push(old.nodes[ROOT as usize]);
        let mut unfinished = vec![ROOT];
        while let Some(at) = unfinished.pop() {
            let node = self.nodes[at as usize];
            self.nodes[at as usize].label_at = self.labels.len() as u32;
            self.labels.extend_from_slice(&old.labels[node.label_at as usize..][..node.label_len.into()]);
            if node.block != NONE {
                let block = self.allocate(node.fan());
                let children = &old.nodes[node.block as usize..][..node.fan()];
                self.nodes[block as usize..][..children.len()].copy_from_slice(children);
                self.nodes[at as usize].block = block;
                unfinished.extend(block..block + children.len() as u32);
            }
        }
        (self.live_labels, self.len, self.prefix_bytes) = (old.live_labels, old.len, old.prefix_bytes);
    }
}

impl Node {
    fn fan(&self) -> usize {
        match self.children {
            0 => 256,
            few => few.into(),
        }
    }

    fn adopt(&mut self, block: u32, fan: usize) {
        (self.block, self.children) = (block, fan as u8);
    }
}

/// Which size of block so many children take, 1 to 256.
fn class(fan: usize) -> (usize, usize) {
    let class = SIZES.partition_point(|size| *size < fan);
    (class, SIZES[class])
}

/// Makes room, but not twice of what there is.
fn reserve<T>(items: &mut Vec<T>, more: usize) {
    if items.len() + more > items.capacity() {
        items.reserve_exact(more.max(items.len() / 4));
    }
}

/// Waste that is not worth tidying up.
const SMALL: usize = 256;
