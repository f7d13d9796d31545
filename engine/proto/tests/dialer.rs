//! When a dialer tries again.

use std::time::Duration;

use sp_proto::{Dialer, DialerState, Options, Time};

const MIN: Duration = Duration::from_millis(10);
const MAX: Duration = Duration::from_millis(160);

#[test]
fn it_tries_at_once_and_once() {
    let mut dialer = dialer(1);
    assert_eq!(dialer.poll_timeout(), Some(Time::ZERO));
    assert!(dialer.poll_connect(Time::ZERO));
    assert_eq!(dialer.state(), DialerState::Connecting);
    assert!(!dialer.poll_connect(Time::ZERO), "it has asked already");
    assert_eq!(dialer.poll_timeout(), None);
}

#[test]
fn it_waits_longer_and_longer_up_to_a_bound_and_to_the_nanosecond() {
    for seed in 0..50 {
        let (mut dialer, mut now) = (dialer(seed), Time::ZERO);
        for whole in [10, 20, 40, 80, 160, 160, 160].map(Duration::from_millis) {
            let pause = fail(&mut dialer, &mut now);
            assert!(whole / 2 <= pause && pause <= whole, "{pause:?} of {whole:?}");
        }
    }
}

#[test]
fn many_that_lose_their_connection_at_once_come_back_at_different_times() {
    let mut pauses: Vec<_> = (0..100).map(|seed| fail(&mut dialer(seed), &mut { Time::ZERO })).collect();
    pauses.sort_unstable();
    pauses.dedup();
    assert!(pauses.len() > 95, "{} different pauses", pauses.len());
    assert!(pauses[95] - pauses[4] > MIN / 4, "they are spread over half of the wait");
}

#[test]
fn only_a_connection_that_lasted_lets_it_begin_anew() {
    for (lasted, anew) in [(MAX, true), (MAX - Duration::from_nanos(1), false), (Duration::ZERO, false)] {
        let (mut dialer, mut now) = (dialer(3), Time::ZERO);
        for _ in 0..5 {
            fail(&mut dialer, &mut now);
        }
        assert!(dialer.poll_connect(now));
        dialer.handle_up(now);
        assert_eq!(dialer.state(), DialerState::Up { since: now });
        assert_eq!(dialer.poll_timeout(), None);
        now = now + lasted;
        dialer.handle_down(now);
        let pause = dialer.poll_timeout().unwrap() - now;
        assert_eq!(pause <= MIN, anew, "{pause:?} after {lasted:?}");
    }
}

#[test]
fn once_closed_it_never_tries_again() {
    let mut dialer = dialer(1);
    dialer.close();
    dialer.handle_up(Time::ZERO);
    dialer.handle_down(Time::ZERO);
    assert_eq!((dialer.state(), dialer.poll_timeout()), (DialerState::Closed, None));
    assert!(!dialer.poll_connect(Time::ZERO + MAX));
}

/// One attempt that fails at once; how long it waits for the next, `now` being moved there.
fn fail(dialer: &mut Dialer, now: &mut Time) -> Duration {
    assert!(dialer.poll_connect(*now));
    dialer.handle_down(*now);
    let due = dialer.poll_timeout().unwrap();
    let pause = due - *now;
    assert!(!dialer.poll_connect(*now + (pause - Duration::from_nanos(1))), "a nanosecond too early");
    *now = due;
    pause
}

fn dialer(seed: u64) -> Dialer {
    Dialer::new(Time::ZERO, &Options { reconnect_min: MIN, reconnect_max: MAX, ..Options::default() }, seed)
}
