//! What every link promises, whatever it is like and whatever happens on it.

use std::time::Duration;

use proptest::prelude::*;
use sp_link::{Channel, Distribution, Link, LinkOptions, Luck, Nanos};

proptest! {
    #[test]
    fn order_is_kept_nothing_is_early_and_nothing_is_lost(options in options(), deeds in deeds(), seed: u64) {
        let story = play(&options, &deeds, seed);
        let offered: Vec<usize> = (0..story.offered.len()).collect();
        for flow in 0..FLOWS {
            let sent: Vec<usize> = offered.iter().copied().filter(|id| story.offered[*id].flow == flow).collect();
            let got: Vec<usize> =
                story.arrived.iter().map(|(_, id)| *id).filter(|id| story.offered[*id].flow == flow).collect();
            prop_assert_eq!(sent, got);
        }
        let delay = options.delay.as_nanos() as Nanos;
        for (at, id) in &story.arrived {
            prop_assert!(*at >= story.offered[*id].at + delay);
        }
    }

    #[test]
    fn the_same_seed_has_the_same_fate(options in options(), deeds in deeds(), seed: u64) {
        prop_assert_eq!(play(&options, &deeds, seed).arrived, play(&options, &deeds, seed).arrived);
    }

    /// Over any run of things that left one after the other, no more bits than the rate allows: with nothing but a rate
    /// and a delay, arrivals are departures.
    #[test]
    fn the_rate_is_never_exceeded(rate in 1_000_u64..10_000_000_000, deeds in deeds(), seed: u64) {
        let options = LinkOptions { rate: Some(rate), ..LinkOptions::default() };
        let deeds: Vec<Deed> = deeds.into_iter().filter(|deed| matches!(deed, Deed::Offer { .. } | Deed::Wait(_))).collect();
        let mut story = play(&options, &deeds, seed);
        // What takes no bytes arrives at the moment of what left before it, on whichever flow.
        story.arrived.sort_unstable();
        for first in 0..story.arrived.len() {
            let mut bits = 0;
            for (at, id) in &story.arrived[first + 1..] {
                bits += 8 * story.offered[*id].size as u128;
                let span = u128::from(at - story.arrived[first].0);
                prop_assert!(bits * 1_000_000_000 <= u128::from(rate) * span, "{bits} bits in {span} ns");
            }
        }
    }

    #[test]
    fn nothing_arrives_during_a_cut_or_sooner_than_a_delay_after_it(options in options(), deeds in deeds(), seed: u64) {
        let story = play(&options, &deeds, seed);
        let delay = options.delay.as_nanos() as Nanos;
        for (at, _) in &story.arrived {
            for (cut, heal) in &story.cuts {
                prop_assert!(!(cut < at && *at < heal + delay), "cut {cut}..{heal}, arrival {at}");
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Deed {
    Offer { flow: usize, size: usize },
    Wait(Nanos),
    Cut,
    Heal,
}

#[derive(Debug, Default)]
struct Story {
    offered: Vec<Offered>,
    arrived: Vec<(Nanos, usize)>,
    cuts: Vec<(Nanos, Nanos)>,
}

#[derive(Debug)]
struct Offered {
    at: Nanos,
    flow: usize,
    size: usize,
}

/// Does the deeds one after the other, polling at every moment the channels name, then heals and waits for the rest.
fn play(options: &LinkOptions, deeds: &[Deed], seed: u64) -> Story {
    let mut link = Link::new(options.clone(), Luck::new(seed, 0).stream("link")).unwrap();
    let mut channels = vec![Channel::new(); FLOWS];
    let mut story = Story::default();
    let (mut now, mut cut_at) = (0, None);
    for deed in deeds.iter().chain([&Deed::Heal]) {
        match deed {
            Deed::Offer { flow, size } => {
                channels[*flow].offer(&mut link, now, *size, story.offered.len());
                story.offered.push(Offered { at: now, flow: *flow, size: *size });
            }
            Deed::Wait(span) => {
                collect(&mut channels, &link, now + span, &mut story);
                now += span;
            }
            Deed::Cut => {
                collect(&mut channels, &link, now, &mut story);
                link.cut(now);
                cut_at.get_or_insert(now);
            }
            Deed::Heal => {
                link.heal(now);
                story.cuts.extend(cut_at.take().map(|cut| (cut, now)));
            }
        }
    }
    collect(&mut channels, &link, Nanos::MAX, &mut story);
    story
}

/// Polls everything that is due until `until`, in the order of time.
fn collect(channels: &mut [Channel<usize>], link: &Link, until: Nanos, story: &mut Story) {
    let next = |channels: &[Channel<usize>]| {
        (0..FLOWS).filter_map(|flow| Some((channels[flow].poll_timeout(link)?, flow))).min()
    };
    while let Some((at, flow)) = next(channels).filter(|(at, _)| *at <= until) {
        assert_eq!(channels[flow].poll(link, at - 1), None, "it came before its time");
        let id = channels[flow].poll(link, at).expect("it is due");
        story.arrived.push((at, id));
    }
}

fn options() -> impl Strategy<Value = LinkOptions> {
    let jitter = prop_oneof![
        Just(Distribution::ZERO),
        (0.0..0.1).prop_map(|mean| Distribution::Exponential { mean }),
        (0.0..0.1).prop_map(|high| Distribution::Uniform { low: 0.0, high }),
        (0.001..0.1).prop_map(|mean| Distribution::Lognormal { mean, variation: 1.0 }),
    ];
    let rate = prop_oneof![Just(None), (1_000_u64..10_000_000_000).prop_map(Some)];
    (1_u64..200_000_000, jitter, rate, prop_oneof![Just(0.0), 0.0..0.5])
        .prop_map(|(delay, jitter, rate, loss)| LinkOptions { delay: Duration::from_nanos(delay), jitter, rate, loss })
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        6 => (0..FLOWS, 0_usize..20_000).prop_map(|(flow, size)| Deed::Offer { flow, size }),
        4 => (0_u64..300_000_000).prop_map(Deed::Wait),
        1 => Just(Deed::Cut),
        1 => Just(Deed::Heal),
    ];
    prop::collection::vec(deed, 0..60)
}

const FLOWS: usize = 3;
