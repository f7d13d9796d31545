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
        Ok(distribution(py, (kind, a, b))?.sample(&mut self.stream))
    }
}

/// A distribution by its name and its two parameters.
pub(crate) fn distribution(py: Python<'_>, (kind, a, b): (&str, f64, f64)) -> PyResult<Distribution> {
    Distribution::named(kind, a, b).map_err(|wrong| error(py, "OptionError", wrong.to_string()))
}
