//! Tree and trie of prefixes mean what a plain list of them means, and take the room that they should.

use proptest::prelude::*;
use rand::RngExt;
use sp_proto::rng_from;
use sp_proto::topics::layout::{Layout, Room, pointer_table};
use sp_proto::topics::{PrefixList, RadixTree, Topics, Trie};

use super::config;

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn the_tree_agrees_with_the_list(deeds in prop::collection::vec((0..5_u8, topic()), 1..200)) {
        agree(&mut RadixTree::default(), deeds)?;
    }

    #[test]
    fn the_trie_agrees_with_the_list(deeds in prop::collection::vec((0..5_u8, topic()), 1..200)) {
        let mut trie = Trie::default();
        agree(&mut trie, deeds.clone())?;
        // A node for each byte that differs, and tables without empty ends.
        let mut nodes = 0;
        trie.kin(&mut |node| nodes += usize::from(node.label <= 1 && node.span >= node.children));
        let mut list = PrefixList::default();
        for (deed, topic) in deeds {
            match deed { 0 | 1 => { list.add(&topic); } 2 => { list.remove(&topic); } _ => {} }
        }
        let mut beginnings = std::collections::BTreeSet::from([Vec::new()]);
        list.prefixes().for_each(|prefix| beginnings.extend((0..=prefix.len()).map(|end| prefix[..end].to_vec())));
        prop_assert_eq!(nodes, beginnings.len());
    }

    #[test]
    fn the_tree_branches_where_the_trie_does(topics in prop::collection::vec(topic(), 1..60)) {
        let (mut tree, mut trie) = (RadixTree::default(), Trie::default());
        topics.iter().for_each(|topic| { tree.add(topic); trie.add(topic); });
        let (mut of_tree, mut of_trie) = (Vec::new(), Vec::new());
        let mut labels = 0;
        tree.kin(&mut |node| { labels += node.label; if node.children > 1 { of_tree.push((node.children, node.span)) } });
        let mut nodes = 0;
        trie.kin(&mut |node| { nodes += 1; if node.children > 1 { of_trie.push((node.children, node.span)) } });
        of_tree.sort_unstable();
        of_trie.sort_unstable();
        prop_assert_eq!(of_tree, of_trie);
        prop_assert_eq!(labels + 1, nodes, "a byte of a label is a node of the trie");
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

/// ZeroMQ has a pointer for every byte from "A" to "z", nanomsg one for each of the two.
#[test]
fn a_table_from_the_least_to_the_greatest_child_is_mostly_holes() {
    let mut tree = RadixTree::default();
    let mut trie = Trie::default();
    for topic in [b"A", b"z"] {
        tree.add(topic);
        trie.add(topic);
    }
    let (mut table, mut pointers) = (0, 0);
    trie.kin(&mut |node| table += pointer_table(node.span));
    tree.kin(&mut |node| pointers += pointer_table(node.children));
    assert_eq!((table, pointers), (464, 16));
}

/// The keys of libzmq's own benchmark of its two structures, laid out as libzmq and nanomsg lay them out: the radix tree
/// takes the tenth of the trie that was reported when it was made (libzmq pull request 3286).
#[test]
fn a_radix_tree_takes_a_tenth_of_a_trie() {
    for (count, trie_nodes, radix_nodes, ratio) in
        [(1_000, 18_725, 1_276, 0.097), (10_000, 180_281, 12_279, 0.098), (100_000, 1_739_304, 133_252, 0.103)]
    {
        let (trie, tree) = both(benchmark_keys(count));
        let of_trie = Layout::of_trie(&trie);
        let radix = Layout::ZeromqRadix.of_tree(&tree).unwrap();
        let patricia = Layout::Nanomsg.of_tree(&tree).unwrap();
        assert_eq!((of_trie.nodes, radix.nodes), (trie_nodes, radix_nodes), "{count} keys");
        assert_eq!(patricia.nodes, radix_nodes + count, "a key takes two nodes of ten bytes");
        assert_within(radix, of_trie, ratio);
        assert_within(patricia, of_trie, if count == 100_000 { 0.160 } else { 0.169 });
        assert!(tree.bytes() < radix.bytes, "ours takes {} bytes, {} of libzmq's", tree.bytes(), radix.bytes);
    }
}

/// Where topics have a hierarchy the trie shares more, and the radix tree takes a fifth, not a tenth.
#[test]
fn of_a_hierarchy_it_takes_a_fifth() {
    let mut topics = Vec::new();
    for place in 0..3_000 {
        let (site, rack, host) = (place % 3, place / 3 % 10, place / 30);
        for metric in ["latency", "errors", "bytes-out"] {
            topics.push(format!("dc{site}/rack{rack:02}/host{host:03}/{metric}").into_bytes());
        }
    }
    let (trie, tree) = both(topics);
    let (of_trie, radix) = (Layout::of_trie(&trie), Layout::ZeromqRadix.of_tree(&tree).unwrap());
    assert_within(radix, of_trie, 0.193);
}

fn assert_within(one: Room, other: Room, ratio: f64) {
    let found = one.bytes as f64 / other.bytes as f64;
    assert!((found / ratio - 1.0).abs() <= 0.02, "{found:.4}, not {ratio}: {one:?} and {other:?}");
}

fn both(topics: Vec<Vec<u8>>) -> (Trie, RadixTree) {
    let (mut trie, mut tree) = (Trie::default(), RadixTree::default());
    for topic in topics {
        trie.add(&topic);
        tree.add(&topic);
    }
    (trie, tree)
}

/// As `perf/benchmark_radix_tree.cpp` makes them: twenty of 36 characters each, by C++'s `minstd_rand`.
fn benchmark_keys(count: usize) -> Vec<Vec<u8>> {
    let mut state = 123_456_789_u64;
    let mut next = || {
        state = state * 48_271 % 2_147_483_647;
        state as usize
    };
    let characters = b"abcdefghijklmnopqrstuvwxyz0123456789";
    (0..count).map(|_| (0..20).map(|_| characters[next() % characters.len()]).collect()).collect()
}

fn agree(topics: &mut impl Topics, deeds: Vec<(u8, Vec<u8>)>) -> Result<(), TestCaseError> {
    let mut list = PrefixList::default();
    for (deed, topic) in deeds {
        match deed {
            0 | 1 => prop_assert_eq!(topics.add(&topic), list.add(&topic)),
            2 => prop_assert_eq!(topics.remove(&topic), list.remove(&topic)),
            3 => prop_assert_eq!(topics.matches(&topic), list.matches(&topic), "{:?}", topic),
            _ => prop_assert_eq!(topics.contains(&topic), list.contains(&topic), "{:?}", topic),
        }
        prop_assert_eq!((topics.len(), topics.prefix_bytes()), (list.len(), list.prefix_bytes()));
        prop_assert!(list.bytes() >= list.prefix_bytes(), "it counts what it holds");
        prop_assert_eq!(topics.is_empty(), list.is_empty());
    }
    Ok(())
}

/// Topics with much in common.
fn topic() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(prop::sample::select(b"ab".to_vec()), 0..8),
        2 => prop::collection::vec(any::<u8>(), 0..3),
        1 => (0..40_usize, any::<u8>()).prop_map(|(len, last)| [vec![b'a'; len], vec![last]].concat()),
    ]
}
