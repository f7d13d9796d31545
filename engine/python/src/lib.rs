//! `workbench._engine`: the engine for Python. It translates and does nothing else.
//!
//! One file for each class; the stub `_engine.pyi` documents them.

mod device;
mod errors;
mod life;
mod meters;
mod options;
mod real_socket;
mod relay;
mod streams;
mod topics;
mod virtual_world;

use pyo3::prelude::*;

/// The native part of the workbench.
#[pymodule]
fn _engine(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    life::register(module)?;
    real_socket::register(module)?;
    device::register(module)?;
    relay::register(module)?;
    streams::register(module)?;
    topics::register(module)?;
    meters::register(module)?;
    virtual_world::register(module)?;
    Ok(())
}
