//! The tree of prefixes means what a plain list of them means, and takes little room.

use proptest::prelude::*;
use rand::RngExt;
use sp_proto::rng_from;
use sp_proto::topics::{PrefixList, RadixTree, Topics};

use super::config;

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn the_tree_agrees_with_the_list(deeds in prop::collection::vec((0..5_u8, topic()), 1..200)) {
        let (mut tree, mut list) = (RadixTree::default(), PrefixList::default());
        for (deed, topic) in deeds {
            match deed {
                0 | 1 => prop_assert_eq!(tree.add(&topic), list.add(&topic)),
                2 => prop_assert_eq!(tree.remove(&topic), list.remove(&topic)),
                3 => prop_assert_eq!(tree.matches(&topic), list.matches(&topic), "{:?}", topic),
                _ => prop_assert_eq!(tree.contains(&topic), list.contains(&topic), "{:?}", topic),
            }
            prop_assert_eq!((tree.len(), tree.prefix_bytes()), (list.len(), list.prefix_bytes()));
            prop_assert!(list.bytes() >= list.prefix_bytes(), "it counts what it holds");
            prop_assert_eq!(tree.is_empty(), list.is_empty());
        }
    }

    #[test]
    fn what_was_added_and_removed_leaves_nothing_behind(topics in prop::collection::vec(topic(), 1..200), seed: u64) {
        let mut tree = RadixTree::default();
        topics.iter().for_each(|topic| { tree.add(topic); });
        let mut order: Vec<usize> = (0..topics.len()).collect();
        order.sort_by_key(|place| (*place as u64).wrapping_mul(seed | 1));
        for place in order {
            prop_assert!(tree.remove(&topics[place]).is_some());
        }
        prop_assert_eq!((tree.len(), tree.prefix_bytes()), (0, 0));
        prop_assert!(!tree.matches(b"abab"));
    }
}

#[test]
fn every_prefix_of_a_long_topic_can_be_subscribed_to() {
    let topic: Vec<u8> = (0..65_536_u32).map(|place| (place % 251) as u8).collect();
    let mut tree = RadixTree::default();
    assert_eq!(tree.add(&topic), 1);
    assert!(tree.matches(&topic) && !tree.matches(&topic[..65_535]));
    for len in (0..65_536).step_by(97) {
        assert_eq!(tree.add(&topic[..len]), 1);
    }
    assert!(tree.matches(b"") && tree.matches(&topic));
    for len in (0..65_536).step_by(97) {
        assert_eq!(tree.remove(&topic[..len]), Some(0));
    }
    assert!(tree.matches(&topic) && !tree.matches(&topic[..65_535]));
    assert_eq!(tree.remove(&topic), Some(0));
    assert!(tree.is_empty());
}

#[test]
fn longer_topics_than_a_label_holds_are_kept_in_several() {
    let topic = vec![7; 200_000];
    let mut tree = RadixTree::default();
    tree.add(&topic);
    tree.add(&topic[..70_000]);
    assert!(tree.contains(&topic) && !tree.contains(&topic[..65_536]));
    assert_eq!(tree.remove(&topic[..70_000]), Some(0));
    assert!(tree.matches(&topic) && !tree.matches(&topic[..199_999]));
    assert_eq!(tree.remove(&topic), Some(0));
    assert!(!tree.matches(&topic));
}

#[test]
fn a_node_may_have_every_child_there_can_be() {
    let mut tree = RadixTree::default();
    for first in 0..=u8::MAX {
        tree.add(&[1, first]);
    }
    assert!((0..=u8::MAX).all(|first| tree.matches(&[1, first, 9])));
    for first in (0..=u8::MAX).rev() {
        assert_eq!(tree.remove(&[1, first]), Some(0));
        assert!(!tree.matches(&[1, first]));
    }
    assert!(tree.is_empty());
}

#[test]
fn what_is_in_common_is_kept_once() {
    let mut tree = RadixTree::default();
    let topics: Vec<String> = (0..65_536).map(|number| format!("prices/europe/london/{number:05}")).collect();
    topics.iter().for_each(|topic| {
        tree.add(topic.as_bytes());
    });
    let each = tree.bytes() / topics.len();
    assert!(each <= 32, "{each} bytes for each of {} prefixes of 26 bytes", topics.len());
    assert!(topics.iter().all(|topic| tree.matches(topic.as_bytes())));
}

#[test]
fn what_is_taken_back_gives_its_room_back() {
    let mut tree = RadixTree::default();
    let topic = |number: usize| format!("{number:05}/a topic of which nothing is in common with others").into_bytes();
    for number in 0..10_000 {
        tree.add(&topic(number));
    }
    let full = tree.bytes();
    for number in (0..10_000).filter(|number| number % 10 != 0) {
        tree.remove(&topic(number));
    }
    assert!(tree.bytes() < full / 4, "{} bytes of {full}", tree.bytes());
    assert!((0..10_000).all(|number| tree.matches(&topic(number)) == (number % 10 == 0)));

    // Coming and going does not make it grow.
    let before = tree.bytes();
    for number in 10_000..50_000 {
        tree.add(&topic(number));
        tree.remove(&topic(number));
    }
    assert!(tree.bytes() < 3 * before, "{} bytes, {before} before", tree.bytes());
    for number in (0..10_000).step_by(10) {
        tree.remove(&topic(number));
    }
    assert!(tree.bytes() < 50_000 && tree.is_empty());
}

#[test]
fn what_was_split_is_joined_again() {
    let topic: Vec<u8> = (0..5_000_u32).map(|place| (place % 251) as u8).collect();
    let mut tree = RadixTree::default();
    tree.add(&topic);
    for len in 1..5_000 {
        tree.add(&topic[..len]);
    }
    let split = tree.bytes();
    for len in 1..5_000 {
        tree.remove(&topic[..len]);
    }
    assert!(split > 80_000 && tree.bytes() < 20_000, "{} bytes, {split} before", tree.bytes());
    assert!(tree.matches(&topic));
}

/// All nodes grow side by side, and leave blocks behind that nobody has use for.
#[test]
fn topics_with_nothing_in_common_take_little_more_than_themselves() {
    let mut tree = RadixTree::default();
    let mut luck = rng_from(1);
    for _ in 0..65_536 {
        tree.add(&luck.random::<[u8; 16]>());
    }
    let each = tree.bytes() / tree.len();
    assert!(each <= 64, "{each} bytes for each of {} prefixes of 16 bytes", tree.len());
}

/// Topics with much in common.
fn topic() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(prop::sample::select(b"ab".to_vec()), 0..8),
        2 => prop::collection::vec(any::<u8>(), 0..3),
        1 => (0..40_usize, any::<u8>()).prop_map(|(len, last)| [vec![b'a'; len], vec![last]].concat()),
    ]
}
