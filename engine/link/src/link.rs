//! Links: one direction between two places, shared by everything that flows over it.

use std::time::Duration;

use thiserror::Error;

use crate::Nanos;
use crate::distribution::{Distribution, DistributionError, nanos};
use crate::stream::Stream;

/// Bytes of payload in a segment: what is lost, and sent again, as one.
pub const SEGMENT: usize = 1_448;

/// What a link is like.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkOptions {
    /// From one end to the other. Nothing is instantaneous: at least 1 ns. Default 50 µs.
    pub delay: Duration,
    /// What comes on top, drawn for each thing that travels. Default none.
    pub jitter: Distribution,
    /// What the transmitter puts on the line, in bits per second; none for no bound. Default none.
    pub rate: Option<u64>,
    /// The probability that a [`SEGMENT`] is lost, from 0 to 0.9. Default 0.
    pub loss: f64,
}

/// A link that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LinkError {
    /// Everything takes time, and nothing takes longer than an hour to arrive.
    #[error("link: a delay of {0:?} is not from 1 ns to an hour")]
    Delay(Duration),
    /// A transmitter that never sends.
    #[error("link: a rate of 0 bit/s sends nothing; leave it out for no bound, or cut the link")]
    Rate,
    /// Not a probability a transport could live with.
    #[error("link: a loss of {0} is not a probability from 0 to 0.9")]
    Loss(String),
    /// What is wrong with the jitter.
    #[error("link: jitter: {0}")]
    Jitter(#[from] DistributionError),
}

/// One direction of a link. Two-way links are two of these.
#[derive(Clone, Debug)]
pub struct Link {
    options: LinkOptions,
    delay: Nanos,
    retransmit_after: Nanos,
    /// The transmitter has something to put on the line until then.
    busy_until: Nanos,
    interruptions: Vec<Interruption>,
    luck: Stream,
}

/// What one connection sends in one direction over a [`Link`]: the order of arrival is the order of departure.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flow {
    last_arrival: Nanos,
}

/// When something will be there, unless the link is cut before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    arrival: Nanos,
    /// The first interruption that can still hold it up.
    interruption: usize,
}

#[derive(Clone, Copy, Debug)]
struct Interruption {
    from: Nanos,
    to: Option<Nanos>,
}

impl LinkOptions {
    /// Checks every range.
    pub fn check(&self) -> Result<(), LinkError> {
        if self.delay.is_zero() || self.delay > LONGEST_DELAY {
            return Err(LinkError::Delay(self.delay));
        }
        if self.rate == Some(0) {
            return Err(LinkError::Rate);
        }
        if !(0.0..=0.9).contains(&self.loss) {
            return Err(LinkError::Loss(self.loss.to_string()));
        }
        Ok(self.jitter.check()?)
    }
}

impl Default for LinkOptions {
    fn default() -> LinkOptions {
        LinkOptions { delay: Duration::from_micros(50), jitter: Distribution::ZERO, rate: None, loss: 0.0 }
    }
}

impl Link {
    /// A link with nothing on it. Its jitter and its losses are drawn from `luck`.
    pub fn new(options: LinkOptions, luck: Stream) -> Result<Link, LinkError> {
        options.check()?;
        let delay = nanos(options.delay.as_secs_f64());
        Ok(Link {
            delay,
            retransmit_after: RETRANSMIT_MIN.max(2 * delay),
            busy_until: 0,
            interruptions: Vec::new(),
            luck,
            options,
        })
    }

    /// What it is like.
    pub fn options(&self) -> &LinkOptions {
        &self.options
    }

    /// Something of `size` bytes is ready to be sent; says when it arrives if the link is not cut before:
    ///
    /// > departure = max(now, end of the departure before) + 8·size / rate\
    /// > arrival = departure + delay + jitter + Σ over lost segments of their time-outs,
    /// > never before the arrival of what the same flow sent before
    ///
    /// It consists of ⌈size / 1448⌉ segments, at least one. A segment that is lost costs a time-out of
    /// max(200 ms, 2·delay), twice that if it is lost again, and so on, 120 s at most at a time.
    ///
    /// What the link is *not*: there is no congestion control, the time-outs of several segments are added rather than
    /// overlapped, and what is sent again does not occupy the transmitter a second time.
    pub fn offer(&mut self, flow: &mut Flow, now: Nanos, size: usize) -> Nanos {
        let departure = now.max(self.busy_until).saturating_add(self.transmission(size));
        self.busy_until = departure;
        let luck = self.options.jitter.sample_nanos(&mut self.luck).saturating_add(self.retransmissions(size));
        let arrival = departure.saturating_add(self.delay).saturating_add(luck).max(flow.last_arrival);
        flow.last_arrival = arrival;
        arrival
    }

    /// Silence from now on: what is offered or under way arrives only after the heal. Cutting a link that is cut
    /// changes nothing.
    pub fn cut(&mut self, now: Nanos) {
        if !self.is_cut() {
            self.interruptions.push(Interruption { from: now, to: None });
        }
    }

    /// Speech again: what was held up arrives one delay from now, in its order and all at once, since its senders had
    /// it ready. (A transport's own back-off may take longer to notice.)
    pub fn heal(&mut self, now: Nanos) {
        if let Some(Interruption { to: to @ None, .. }) = self.interruptions.last_mut() {
            *to = Some(now);
        }
    }

    /// Is it cut now?
    pub fn is_cut(&self) -> bool {
        matches!(self.interruptions.last(), Some(Interruption { to: None, .. }))
    }

    /// The delay alone, as nanoseconds.
    pub fn delay(&self) -> Nanos {
        self.delay
    }

    /// What there is to know of something that has just been offered and would arrive then.
    pub fn passage(&self, arrival: Nanos) -> Passage {
        Passage { arrival, interruption: self.interruptions.len() - usize::from(self.is_cut()) }
    }

    /// When it arrives, given every interruption since it was offered; `None` while one holds it.
    pub fn due(&self, passage: Passage) -> Option<Nanos> {
        self.interruptions[passage.interruption..].iter().try_fold(passage.arrival, |arrival, interruption| {
            match interruption.to {
                _ if arrival <= interruption.from => Some(arrival),
                Some(to) => Some(arrival.max(to.saturating_add(self.delay))),
                None => None,
            }
        })
    }

    fn transmission(&self, size: usize) -> Nanos {
        match self.options.rate {
            Some(rate) => {
                let bits = 8 * size as u128;
                u64::try_from((bits * 1_000_000_000).div_ceil(u128::from(rate))).unwrap_or(Nanos::MAX)
            }
            None => 0,
        }
    }

    fn retransmissions(&mut self, size: usize) -> Nanos {
        if self.options.loss == 0.0 {
            return 0;
        }
        let mut total: Nanos = 0;
        for _ in 0..size.div_ceil(SEGMENT).max(1) {
            let mut wait = self.retransmit_after;
            while self.luck.chance(self.options.loss) {
                total = total.saturating_add(wait);
                wait = (wait * 2).min(RETRANSMIT_MAX.max(self.retransmit_after));
            }
        }
        total
    }
}

const LONGEST_DELAY: Duration = Duration::from_secs(3_600);
const RETRANSMIT_MIN: Nanos = 200_000_000;
const RETRANSMIT_MAX: Nanos = 120_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transmitter_is_shared_and_the_line_is_not() {
        // 1 Mbit/s: 125 bytes take 1 ms.
        let mut link = quiet(LinkOptions { rate: Some(1_000_000), ..millis(10) });
        let (mut one, mut other) = (Flow::default(), Flow::default());
        assert_eq!(link.offer(&mut one, 0, 125), 11_000_000);
        assert_eq!(link.offer(&mut other, 0, 125), 12_000_000);
        assert_eq!(link.offer(&mut one, 50_000_000, 250), 62_000_000);
    }

    #[test]
    fn a_lost_segment_costs_a_time_out_and_holds_up_what_follows() {
        let mut link = quiet(LinkOptions { loss: 0.5, ..millis(10) });
        let mut flow = Flow::default();
        let arrivals: Vec<Nanos> = (0..200).map(|_| link.offer(&mut flow, 0, 64)).collect();
        assert!(arrivals.is_sorted());
        // k losses in a row cost 200·(2^k − 1) ms.
        let allowed: Vec<Nanos> = (0..20).map(|k| 10_000_000 + 200_000_000 * ((1 << k) - 1)).collect();
        assert!(arrivals.iter().all(|arrival| allowed.contains(arrival)), "{arrivals:?}");
        assert!(arrivals[199] > arrivals[0]);
    }

    #[test]
    fn the_time_out_of_a_long_line_is_two_delays() {
        let mut link = quiet(LinkOptions { loss: 0.9, ..millis(300) });
        let arrivals: Vec<Nanos> = (0..50).map(|_| link.offer(&mut Flow::default(), 0, 64)).collect();
        assert!(arrivals.contains(&(300_000_000 + 600_000_000)), "{arrivals:?}");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |options: LinkOptions| options.check().unwrap_err().to_string();
        assert_eq!(refused(millis(0)), "link: a delay of 0ns is not from 1 ns to an hour");
        assert!(refused(LinkOptions { rate: Some(0), ..millis(1) }).contains("0 bit/s"));
        assert!(refused(LinkOptions { loss: f64::NAN, ..millis(1) }).contains("NaN"));
        assert!(refused(LinkOptions { jitter: Distribution::Constant(-1.0), ..millis(1) }).contains("jitter"));
    }

    fn quiet(options: LinkOptions) -> Link {
        Link::new(options, Stream::named(1, "link")).unwrap()
    }

    fn millis(delay: u64) -> LinkOptions {
        LinkOptions { delay: Duration::from_millis(delay), ..LinkOptions::default() }
    }
}
