//! Channels: what is under way on one flow, in order.

use std::collections::VecDeque;

use crate::Nanos;
use crate::link::{Flow, Link, Passage};

/// A queue of things that travel over a [`Link`] in one flow. It holds whatever it is offered: how much may be under way
/// is for its owner to bound.
///
/// All calls of one channel name the same link. `now` never goes back.
#[derive(Clone, Debug)]
pub struct Channel<T> {
    flow: Flow,
    under_way: VecDeque<(Passage, T)>,
}

impl<T> Channel<T> {
    /// A channel with nothing under way.
    pub fn new() -> Channel<T> {
        Channel { flow: Flow::default(), under_way: VecDeque::new() }
    }

    /// Sends `item`, which takes `size` bytes on the line.
    pub fn offer(&mut self, link: &mut Link, now: Nanos, size: usize, item: T) {
        let arrival = link.offer(&mut self.flow, now, size);
        self.under_way.push_back((link.passage(arrival), item));
    }

    /// The next thing that has arrived by `now`.
    pub fn poll(&mut self, link: &Link, now: Nanos) -> Option<T> {
        let (passage, _) = self.under_way.front()?;
        if link.due(*passage)? > now {
            return None;
        }
        self.under_way.pop_front().map(|(_, item)| item)
    }

    /// When [`poll`](Channel::poll) has something next; `None` if nothing is under way, or while the link is cut.
    pub fn poll_timeout(&self, link: &Link) -> Option<Nanos> {
        link.due(self.under_way.front()?.0)
    }

    /// How many things are under way.
    pub fn len(&self) -> usize {
        self.under_way.len()
    }

    /// Is nothing under way?
    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Where in memory the next to arrive is, or the room for it, and how many bytes may be of interest there.
    pub fn footprint(&self) -> (*const u8, usize) {
        let room = self.under_way.capacity() * size_of::<(Passage, T)>();
        (self.under_way.as_slices().0.as_ptr().cast(), room.min(128))
    }

    /// What is under way, the next to arrive first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.under_way.iter().map(|(_, item)| item)
    }
}

impl<T> Default for Channel<T> {
    fn default() -> Channel<T> {
        Channel::new()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::link::LinkOptions;
    use crate::stream::Stream;

    #[test]
    fn a_cut_holds_what_is_under_way_and_what_is_offered_until_one_delay_after_the_heal() {
        let mut link = link();
        let mut channel = Channel::new();
        channel.offer(&mut link, 0, 1, "arrives");
        channel.offer(&mut link, 5 * MS, 1, "under way");
        link.cut(10 * MS);
        channel.offer(&mut link, 12 * MS, 1, "offered");
        assert_eq!(channel.poll(&link, 50 * MS), Some("arrives"));
        assert_eq!(channel.poll(&link, 50 * MS), None);
        assert_eq!(channel.poll_timeout(&link), None);
        link.heal(100 * MS);
        channel.offer(&mut link, 100 * MS, 1, "after");
        assert_eq!(channel.poll_timeout(&link), Some(110 * MS));
        assert_eq!(channel.poll(&link, 110 * MS - 1), None);
        let all: Vec<&str> = std::iter::from_fn(|| channel.poll(&link, 110 * MS)).collect();
        assert_eq!(all, ["under way", "offered", "after"]);
    }

    #[test]
    fn a_cut_shorter_than_the_delay_still_costs_a_delay() {
        let mut link = link();
        let mut channel = Channel::new();
        channel.offer(&mut link, 0, 1, ());
        link.cut(2 * MS);
        link.heal(4 * MS);
        assert_eq!(channel.poll_timeout(&link), Some(14 * MS));
    }

    #[test]
    fn a_second_cut_holds_what_the_first_has_let_go() {
        let mut link = link();
        let mut channel = Channel::new();
        channel.offer(&mut link, 0, 1, ());
        link.cut(2 * MS);
        link.heal(4 * MS);
        // Without the first cut it would have arrived before the second.
        link.cut(12 * MS);
        assert_eq!(channel.poll_timeout(&link), None);
        link.heal(20 * MS);
        assert_eq!(channel.poll_timeout(&link), Some(30 * MS));
    }

    fn link() -> Link {
        let options = LinkOptions { delay: Duration::from_millis(10), ..LinkOptions::default() };
        Link::new(options, Stream::named(1, "link")).unwrap()
    }

    const MS: u64 = 1_000_000;
}
