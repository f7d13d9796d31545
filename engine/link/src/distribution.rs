//! Distributions of durations, in seconds.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::Nanos;
use crate::stream::Stream;

/// How long something takes. All parameters are in seconds, but for `variation`, which has no unit.
#[derive(Clone, Debug, PartialEq)]
pub enum Distribution {
    /// Always the same.
    Constant(f64),
    /// Exponential.
    Exponential {
        /// The mean.
        mean: f64,
    },
    /// Uniform between two bounds.
    Uniform {
        /// The shortest.
        low: f64,
        /// The longest.
        high: f64,
    },
    /// Normal, given that it is not negative (see [`Stream::normal`]).
    Normal {
        /// The mean, before negative draws are thrown away.
        mean: f64,
        /// The standard deviation.
        deviation: f64,
    },
    /// Lognormal.
    Lognormal {
        /// The mean; more than zero.
        mean: f64,
        /// The coefficient of variation: standard deviation by mean.
        variation: f64,
    },
    /// Pareto: never less than `low`, and a tail that falls with the power `shape`.
    Pareto {
        /// The shortest; more than zero.
        low: f64,
        /// The exponent of the tail, more than 1 so that there is a mean.
        shape: f64,
    },
    /// Weibull: with a shape below 1 the tail is heavier than the exponential's.
    Weibull {
        /// The scale; more than zero.
        scale: f64,
        /// The shape; 1 is the exponential distribution.
        shape: f64,
    },
    /// One of these, each as likely as the others.
    Empirical(Arc<[f64]>),
}

/// A parameter that no distribution of durations can have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("distribution: {what} is {value}; it must be {allowed}")]
pub struct DistributionError {
    what: &'static str,
    value: String,
    allowed: &'static str,
}

impl Distribution {
    /// Nothing at all.
    pub const ZERO: Distribution = Distribution::Constant(0.0);

    /// The distribution of this name, with its parameters in the order in which its fields stand here; one that has a
    /// single parameter ignores the second. Pareto and Weibull are named by their mean and their shape.
    pub fn named(name: &str, first: f64, second: f64) -> Result<Distribution, DistributionError> {
        let distribution = match name {
            "constant" => Distribution::Constant(first),
            "exponential" => Distribution::Exponential { mean: first },
            "uniform" => Distribution::Uniform { low: first, high: second },
            "normal" => Distribution::Normal { mean: first, deviation: second },
            "lognormal" => Distribution::Lognormal { mean: first, variation: second },
            "pareto" => Distribution::Pareto { low: first * (second - 1.0) / second, shape: second },
            "weibull" => Distribution::Weibull { scale: first / libm::tgamma(1.0 + 1.0 / second), shape: second },
            _ => {
                let allowed = "constant, exponential, uniform, normal, lognormal, pareto or weibull";
                return Err(DistributionError { what: "the name", value: name.to_owned(), allowed });
            }
        };
        distribution.check().map(|()| distribution)
    }

    /// Checks that every parameter is a possible duration, a hundred years at most.
    pub fn check(&self) -> Result<(), DistributionError> {
        match *self {
            Distribution::Pareto { low, shape } => {
                ensure(shape > 1.0 && shape <= 100.0, "the shape", shape, "more than 1 and at most 100")?;
                duration("the shortest", low)?;
                ensure(low > 0.0, "the shortest", low, "more than zero")
            }
            Distribution::Weibull { scale, shape } => {
                ensure((0.1..=100.0).contains(&shape), "the shape", shape, "from 0.1 to 100")?;
                duration("the scale", scale)?;
                ensure(scale > 0.0, "the scale", scale, "more than zero")
            }
            Distribution::Empirical(ref values) => {
                ensure(!values.is_empty(), "the number of values", 0.0, "more than zero")?;
                values.iter().try_for_each(|value| duration("a value", *value))
            }
            Distribution::Constant(seconds) => duration("the constant", seconds),
            Distribution::Exponential { mean } => duration("the mean", mean),
            Distribution::Uniform { low, high } => {
                duration("the lower bound", low)?;
                duration("the upper bound", high)?;
                ensure(low <= high, "the upper bound", high, "at least the lower one")
            }
            Distribution::Normal { mean, deviation } => {
                duration("the mean", mean)?;
                duration("the standard deviation", deviation)
            }
            Distribution::Lognormal { mean, variation } => {
                duration("the mean", mean)?;
                ensure(mean > 0.0, "the mean", mean, "more than zero")?;
                ensure((0.0..=100.0).contains(&variation), "the coefficient of variation", variation, "from 0 to 100")
            }
        }
    }

    /// Draws one, in seconds.
    pub fn sample(&self, stream: &mut Stream) -> f64 {
        match *self {
            Distribution::Constant(seconds) => seconds,
            Distribution::Exponential { mean } => stream.exponential(mean),
            Distribution::Uniform { low, high } => low + (high - low) * stream.uniform(),
            Distribution::Normal { mean, deviation } => stream.normal(mean, deviation),
            Distribution::Lognormal { mean, variation } => stream.lognormal(mean, variation),
            Distribution::Pareto { low, shape } => low * libm::exp(stream.exponential(1.0 / shape)),
            Distribution::Weibull { scale, shape } => scale * libm::pow(stream.exponential(1.0), 1.0 / shape),
            Distribution::Empirical(ref values) => values[stream.choose(values.len())],
        }
    }

    /// Draws one, rounded to nanoseconds.
    pub fn sample_nanos(&self, stream: &mut Stream) -> Nanos {
        nanos(self.sample(stream))
    }

    /// The mean in seconds; of a normal one, before negative draws are thrown away.
    pub fn mean(&self) -> f64 {
        match *self {
            Distribution::Constant(seconds) => seconds,
            Distribution::Uniform { low, high } => f64::midpoint(low, high),
            Distribution::Pareto { low, shape } => low * shape / (shape - 1.0),
            Distribution::Weibull { scale, shape } => scale * libm::tgamma(1.0 + 1.0 / shape),
            Distribution::Empirical(ref values) => values.iter().sum::<f64>() / values.len() as f64,
            Distribution::Exponential { mean }
            | Distribution::Normal { mean, .. }
            | Distribution::Lognormal { mean, .. } => mean,
        }
    }
}

impl From<Duration> for Distribution {
    fn from(always: Duration) -> Distribution {
        Distribution::Constant(always.as_secs_f64())
    }
}

/// The nearest nanosecond; a cast saturates, so nothing wraps.
pub(crate) fn nanos(seconds: f64) -> Nanos {
    libm::round(seconds * 1e9) as Nanos
}

fn duration(what: &'static str, seconds: f64) -> Result<(), DistributionError> {
    ensure((0.0..=LONGEST).contains(&seconds), what, seconds, "from 0 s to a hundred years")
}

fn ensure(holds: bool, what: &'static str, value: f64, allowed: &'static str) -> Result<(), DistributionError> {
    if holds { Ok(()) } else { Err(DistributionError { what, value: value.to_string(), allowed }) }
}

const LONGEST: f64 = 100.0 * 365.25 * 86_400.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_as_declared() {
        let mut stream = Stream::named(3, "distribution");
        for distribution in [
            Distribution::Constant(0.002),
            Distribution::Exponential { mean: 0.002 },
            Distribution::Uniform { low: 0.001, high: 0.003 },
            Distribution::Normal { mean: 0.002, deviation: 0.0003 },
            Distribution::Lognormal { mean: 0.002, variation: 0.5 },
            Distribution::named("pareto", 0.002, 3.0).unwrap(),
            Distribution::named("weibull", 0.002, 0.7).unwrap(),
            Distribution::Empirical(Arc::from([0.001, 0.002, 0.003])),
        ] {
            distribution.check().unwrap();
            let total: u64 = (0..100_000).map(|_| distribution.sample_nanos(&mut stream)).sum();
            assert!((total as f64 / 1e5 - 2e6).abs() < 3e4, "{distribution:?}: {total}");
            assert!((distribution.mean() - 0.002).abs() < 1e-12);
        }
    }

    #[test]
    fn a_normal_duration_is_never_negative() {
        let mut stream = Stream::named(3, "truncated");
        let wide = Distribution::Normal { mean: 0.0, deviation: 1.0 };
        assert!((0..10_000).all(|_| wide.sample(&mut stream) >= 0.0));
    }

    #[test]
    fn impossible_parameters_are_refused() {
        for distribution in [
            Distribution::Constant(-1.0),
            Distribution::Constant(f64::NAN),
            Distribution::Exponential { mean: f64::INFINITY },
            Distribution::Uniform { low: 2.0, high: 1.0 },
            Distribution::Normal { mean: 1.0, deviation: -0.1 },
            Distribution::Lognormal { mean: 0.0, variation: 1.0 },
            Distribution::Lognormal { mean: 1.0, variation: 1e9 },
            Distribution::Pareto { low: 1.0, shape: 1.0 },
            Distribution::Pareto { low: 0.0, shape: 2.0 },
            Distribution::Weibull { scale: 1.0, shape: 0.0 },
            Distribution::Empirical(Arc::from([])),
            Distribution::Empirical(Arc::from([1.0, -1.0])),
        ] {
            assert!(distribution.check().is_err(), "{distribution:?}");
        }
    }
}
