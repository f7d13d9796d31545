//! `Stream`: seeded luck under a name.

use pyo3::prelude::*;
use sp_link::{Distribution, Luck, Stream};

use crate::errors::error;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyStream>()
}

#[pyclass(name = "Stream", module = "workbench._engine")]
pub(crate) struct PyStream {
    stream: Stream,
}

impl From<Stream> for PyStream {
    fn from(stream: Stream) -> PyStream {
        PyStream { stream }
    }
}

#[pymethods]
impl PyStream {
    #[new]
    fn new(seed: u64, replication: u64, name: &str) -> PyStream {
        PyStream { stream: Luck::new(seed, replication).stream(name) }
    }

    fn uniform(&mut self) -> f64 {
        self.stream.uniform()
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        self.stream.exponential(mean)
    }

    fn normal(&mut self, py: Python<'_>, mean: f64, deviation: f64) -> PyResult<f64> {
        self.sample(py, "normal", mean, deviation)
    }

    fn lognormal(&mut self, py: Python<'_>, mean: f64, variation: f64) -> PyResult<f64> {
        self.sample(py, "lognormal", mean, variation)
    }

    /// One of `0..count`.
    fn choose(&mut self, py: Python<'_>, count: usize) -> PyResult<usize> {
        if count == 0 {
            return Err(error(py, "OptionError", "choose: there is nothing to choose from".to_owned()));
        }
        Ok(self.stream.choose(count))
    }

    fn sample(&mut self, py: Python<'_>, kind: &str, a: f64, b: f64) -> PyResult<f64> {
        let made = Distribution::named(kind, a, b).map_err(|wrong| error(py, "OptionError", wrong.to_string()))?;
        Ok(made.sample(&mut self.stream))
    }
}

/// A distribution: by its name and its two parameters, or "empirical" and its values.
#[derive(FromPyObject)]
pub(crate) enum Drawn {
    Named(String, f64, f64),
    Empirical(String, Vec<f64>),
}

impl Drawn {
    /// No time at all.
    pub(crate) fn nothing() -> Drawn {
        Drawn::Named("constant".to_owned(), 0.0, 0.0)
    }
}

pub(crate) fn distribution(py: Python<'_>, drawn: Drawn) -> PyResult<Distribution> {
    let made = match drawn {
        Drawn::Named(kind, a, b) => Distribution::named(&kind, a, b),
        Drawn::Empirical(kind, values) if kind == "empirical" => {
            let made = Distribution::Empirical(values.into());
            made.check().map(|()| made)
        }
        Drawn::Empirical(other, _) => Distribution::named(&other, f64::NAN, f64::NAN),
    };
    made.map_err(|wrong| error(py, "OptionError", wrong.to_string()))
}
