//! Rhythm: when a client asks.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;
use sp_link::{Distribution, Stream};
use sp_proto::Time;

/// How a client asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Load {
    /// At random and without memory, so many per second; answers are not waited for.
    Poisson {
        /// Per second.
        rate: f64,
    },
    /// At equal distances, so many per second, from a random moment of the first period on; answers are not waited for.
    Paced {
        /// Per second.
        rate: f64,
    },
    /// In bursts: as [`Load::Poisson`] while on, and not at all while off; both last exponentially. It begins off or on,
    /// as chance has it in the long run.
    Bursty {
        /// Per second while it is on.
        rate: f64,
        /// How long it is on, in the mean, in seconds.
        on: f64,
        /// How long it is off, in the mean, in seconds.
        off: f64,
    },
    /// At these moments, in seconds from the start of the client, ascending; answers are not waited for.
    Trace(Arc<[f64]>),
    /// So many requests outstanding at a time; each answer, or loss, is followed by a thought and the next request.
    Closed {
        /// Requests outstanding, 1 or more.
        outstanding: u32,
        /// How long a thought takes.
        think: Distribution,
    },
    /// As fast as the socket takes messages, five million a second at most; only for PUSH and PUB.
    Flood,
}

/// A client's rhythm under way.
#[derive(Debug, Default)]
pub(crate) struct Rhythm {
    /// Draws when to ask, or, for each request outstanding, how long to think.
    luck: SmallVec<[Stream; 1]>,
    /// When an open load asks next, in seconds. Moments are added up unrounded, so that the rate is exact.
    moment: f64,
    /// When a burst ends, in seconds.
    burst_ends: f64,
    /// Moments of a trace that have been; one, after the first of a paced load.
    told: usize,
    /// The trace's own zero, in seconds.
    began: f64,
}

impl Load {
    /// What is wrong with it, as the end of a sentence that begins with "it".
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let possible = |rate: f64| rate > 0.0 && rate <= 1e9;
        match *self {
            Load::Poisson { rate } | Load::Paced { rate } | Load::Bursty { rate, .. } if !possible(rate) => {
                Some("has a rate from more than 0 to 1e9 per second")
            }
            Load::Bursty { on, off, .. } if !(on > 0.0 && off >= 0.0 && on + off < 1e9) => {
                Some("is on for more than zero seconds, and off for some")
            }
            Load::Trace(ref moments) if !moments.is_sorted() || moments.first().is_some_and(|first| *first < 0.0) => {
                Some("has the moments of its trace in order, none before the start")
            }
            _ => None,
        }
    }
}

impl Rhythm {
    /// A rhythm that begins now; `stream` gives luck by name.
    pub(crate) fn begin(load: &Load, now: Time, stream: impl Fn(&str) -> Stream) -> Rhythm {
        let now = now.as_secs_f64();
        let mut rhythm = Rhythm { luck: SmallVec::new(), moment: now, burst_ends: now, told: 0, began: now };
        match *load {
            Load::Poisson { .. } | Load::Paced { .. } => rhythm.luck.push(stream("asking")),
            Load::Bursty { on, off, .. } => {
                let mut luck = stream("asking");
                if luck.uniform() * (on + off) < off {
                    rhythm.moment += luck.exponential(off);
                }
                rhythm.burst_ends = rhythm.moment + luck.exponential(on);
                rhythm.luck.push(luck);
            }
            Load::Closed { outstanding, .. } => {
                rhythm.luck = (0..outstanding).map(|place| stream(&format!("asking/{place}"))).collect();
            }
            Load::Trace(_) | Load::Flood => {}
        }
        rhythm
    }

    /// When an open load asks next; `None` when a trace is over, and for what is not open.
    pub(crate) fn next(&mut self, load: &Load) -> Option<Time> {
        match *load {
            Load::Poisson { rate } => self.moment += self.luck[0].exponential(1.0 / rate),
            Load::Paced { rate } if self.told == 0 => {
                self.moment += self.luck[0].uniform() / rate;
                self.told = 1;
            }
            Load::Paced { rate } => self.moment += 1.0 / rate,
            Load::Bursty { rate, on, off } => {
                self.moment += self.luck[0].exponential(1.0 / rate);
                // What lies beyond the burst is drawn again from the next one on: exponential gaps have no memory.
                while self.moment > self.burst_ends {
                    let begins = self.burst_ends + self.luck[0].exponential(off);
                    self.burst_ends = begins + self.luck[0].exponential(on);
                    self.moment = begins + self.luck[0].exponential(1.0 / rate);
                }
            }
            Load::Trace(ref moments) => {
                self.moment = self.began + moments.get(self.told)?;
                self.told += 1;
            }
            Load::Closed { .. } | Load::Flood => return None,
        }
        Some(Time::from_nanos((self.moment * 1e9).round() as u64))
    }

    /// How long a closed load thinks before the next request of this place.
    pub(crate) fn think(&mut self, load: &Load, place: u32) -> Option<Duration> {
        match load {
            Load::Closed { think, .. } => {
                Some(Duration::from_nanos(think.sample_nanos(&mut self.luck[place as usize])))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_loads_keep_their_rate() {
        let bursty = Load::Bursty { rate: 1_000.0, on: 0.05, off: 0.15 };
        for (load, rate) in
            [(Load::Poisson { rate: 250.0 }, 250.0), (Load::Paced { rate: 250.0 }, 250.0), (bursty, 250.0)]
        {
            let mut rhythm = Rhythm::begin(&load, Time::ZERO, |name| Stream::named(5, name));
            let count = std::iter::from_fn(|| rhythm.next(&load)).take_while(|at| at.as_secs_f64() < 400.0).count();
            assert!((count as f64 / 400.0 / rate - 1.0).abs() < 0.04, "{load:?}: {count}");
        }
    }

    #[test]
    fn a_trace_is_told_once() {
        let load = Load::Trace(Arc::from([0.0, 0.5, 0.5]));
        let mut rhythm = Rhythm::begin(&load, Time::from_nanos(1_000_000_000), |name| Stream::named(5, name));
        let moments: Vec<f64> = std::iter::from_fn(|| rhythm.next(&load)).map(Time::as_secs_f64).collect();
        assert_eq!(moments, [1.0, 1.5, 1.5]);
        assert!(Load::Trace(Arc::from([2.0, 1.0])).problem().is_some());
    }

    #[test]
    fn bursts_come_in_bursts() {
        let load = Load::Bursty { rate: 1_000.0, on: 0.05, off: 0.15 };
        let mut rhythm = Rhythm::begin(&load, Time::ZERO, |name| Stream::named(6, name));
        let mut counts = vec![0.0; 4_000];
        for at in std::iter::from_fn(|| rhythm.next(&load)).take_while(|at| at.as_secs_f64() < 400.0) {
            counts[(at.as_secs_f64() * 10.0) as usize] += 1.0;
        }
        let mean = counts.iter().sum::<f64>() / 4_000.0;
        let variance = counts.iter().map(|count| (count - mean) * (count - mean)).sum::<f64>() / 4_000.0;
        assert!(variance / mean > 10.0, "dispersion {}", variance / mean);
    }
}
