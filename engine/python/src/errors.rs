//! The exceptions of `workbench.engine.errors`, raised from here.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyModule;
use sp_proto::OpError;

/// The exception of this name, with this text.
pub(crate) fn error(py: Python<'_>, name: &str, text: String) -> PyErr {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = MODULE.get_or_try_init(py, || PyModule::import(py, "workbench.engine.errors").map(Bound::unbind));
    match module.and_then(|module| module.bind(py).getattr(name)?.call1((text,))) {
        Ok(exception) => PyErr::from_value(exception),
        Err(failed) => failed,
    }
}

/// The exception that an operation's error becomes.
pub(crate) fn name_of(error: &OpError) -> &'static str {
    match error {
        OpError::WouldBlock | OpError::TimedOut => "TimedOut",
        OpError::Cancelled(_) => "Cancelled",
        OpError::Closed | OpError::ContextClosed => "Closed",
        OpError::State(_) => "StateError",
        OpError::TooLarge { .. } => "TooLarge",
        OpError::Full { .. } => "LimitReached",
    }
}
