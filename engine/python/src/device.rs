//! `Device`: hands messages on between raw sockets.

use parking_lot::Mutex;
use pyo3::prelude::*;
use sp_real::{Device as Real, MakeDeviceError};

use crate::errors::error;
use crate::life::detach;
use crate::real_socket::RealSocket;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Device>()
}

#[pyclass(frozen, module = "workbench._engine")]
struct Device {
    /// None once it is closed.
    device: Mutex<Option<Real>>,
}

#[pymethods]
impl Device {
    #[new]
    #[pyo3(signature = (first, second=None))]
    fn new(py: Python<'_>, first: &Bound<'_, RealSocket>, second: Option<&Bound<'_, RealSocket>>) -> PyResult<Device> {
        let first = first.get().socket(py)?;
        let made = match second {
            Some(second) => Real::between(first, second.get().socket(py)?),
            None => Real::among_peers(first),
        };
        match made {
            Ok(device) => Ok(Device { device: Mutex::new(Some(device)) }),
            Err(wrong @ MakeDeviceError::Sockets(_)) => Err(error(py, "OptionError", wrong.to_string())),
            Err(wrong @ MakeDeviceError::System(_)) => Err(error(py, "EndpointFailed", wrong.to_string())),
        }
    }

    fn stats(&self) -> Vec<(&'static str, u64)> {
        let stats = self.device.lock().as_ref().map(Real::stats).unwrap_or_default();
        vec![("forwarded", stats.forwarded), ("dropped", stats.dropped)]
    }

    fn close(&self, py: Python<'_>) {
        let device = self.device.lock().take();
        detach(py, || drop(device));
    }
}
