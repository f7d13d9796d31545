//! `Relay`: a link laid under real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use pyo3::prelude::*;
use sp_link::{Distribution, LinkOptions};
use sp_real::{Relay, RelayError};

use crate::errors::error;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyRelay>()
}

#[pyclass(frozen, name = "Relay", module = "workbench._engine")]
struct PyRelay {
    relay: Relay,
}

#[pymethods]
impl PyRelay {
    #[new]
    #[pyo3(signature = (name, *, delay, jitter=("constant", 0.0, 0.0), rate=None, loss=0.0, seed=0, room=None))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        py: Python<'_>,
        name: &str,
        delay: f64,
        jitter: (&str, f64, f64),
        rate: Option<f64>,
        loss: f64,
        seed: u64,
        room: Option<usize>,
    ) -> PyResult<PyRelay> {
        let wrong = |text: String| error(py, "OptionError", text);
        let options = LinkOptions {
            delay: Duration::try_from_secs_f64(delay).map_err(|_| wrong(format!("a delay of {delay} s cannot be")))?,
            jitter: Distribution::named(jitter.0, jitter.1, jitter.2).map_err(|bad| wrong(bad.to_string()))?,
            rate: rate.map(|bits| bits as u64),
            loss,
        };
        match Relay::new(options, seed, name, room) {
            Ok(relay) => Ok(PyRelay { relay }),
            Err(RelayError::Link(bad)) => Err(wrong(bad.to_string())),
            Err(RelayError::System(bad)) => Err(bad.into()),
        }
    }

    /// Opens a way to `target` ("127.0.0.1:5555"); returns where to dial instead.
    fn route(&self, py: Python<'_>, target: &str) -> PyResult<String> {
        let target: SocketAddr = target
            .parse()
            .map_err(|_| error(py, "AddressError", format!("{target:?} is not an address and a port")))?;
        match self.relay.route(target) {
            Ok(address) => Ok(address.to_string()),
            Err(wrong) => Err(error(py, "EndpointFailed", wrong.to_string())),
        }
    }

    fn cut(&self) {
        self.relay.cut();
    }

    fn heal(&self) {
        self.relay.heal();
    }

    fn break_all(&self) {
        self.relay.break_all();
    }

    fn stats(&self) -> Vec<(&'static str, u64)> {
        let stats = self.relay.stats();
        vec![
            ("connections", stats.connections),
            ("refused", stats.refused),
            ("bytes", stats.bytes),
            ("held_back", stats.held_back),
            ("latest_ns", stats.latest),
        ]
    }
}
