//! The life of the process: forks, signals and the end, so that none of them hangs or crashes a program.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Asks Python to tell the engine of every fork and of its end.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let hooks = PyDict::new(py);
    hooks.set_item("before", wrap_pyfunction!(before_fork, module)?)?;
    hooks.set_item("after_in_parent", wrap_pyfunction!(after_fork_in_parent, module)?)?;
    hooks.set_item("after_in_child", wrap_pyfunction!(after_fork_in_child, module)?)?;
    PyModule::import(py, "os")?.getattr("register_at_fork")?.call((), Some(&hooks))?;
    PyModule::import(py, "atexit")?.getattr("register")?.call1((wrap_pyfunction!(end, module)?,))?;
    Ok(())
}

/// Does without the interpreter what may take time.
///
/// Once the interpreter is about to end, other threads than the main one do not come back: Python would end them in the
/// middle of the engine.
pub(crate) fn detach<R: Send>(py: Python<'_>, work: impl FnOnce() -> R + Send) -> R {
    py.detach(|| {
        let result = work();
        while ENDING.load(Ordering::Relaxed) && !is_main_thread() {
            std::thread::park();
        }
        result
    })
}

/// Lets Python run its signal handlers, which it does in the main thread only; true if one raised.
pub(crate) fn signals(raised: &mut Option<PyErr>) -> bool {
    if is_main_thread() {
        *raised = Python::try_attach(|py| py.check_signals()).and_then(Result::err);
    }
    raised.is_some()
}

/// What a handler raised that ended a call.
pub(crate) fn interruption(raised: Option<PyErr>) -> PyErr {
    raised.unwrap_or_else(|| PyKeyboardInterrupt::new_err(()))
}

fn is_main_thread() -> bool {
    rustix::thread::gettid() == rustix::process::getpid()
}

#[pyfunction]
fn before_fork() {
    // The interpreter is kept meanwhile: another thread that had it could want one of the locks that are held now. Who
    // holds one of them already does not want the interpreter.
    sp_real::fork::prepare();
}

#[pyfunction]
fn after_fork_in_parent() {
    sp_real::fork::parent();
}

#[pyfunction]
fn after_fork_in_child() {
    sp_real::fork::child();
}

#[pyfunction]
fn end() {
    ENDING.store(true, Ordering::Relaxed);
}

static ENDING: AtomicBool = AtomicBool::new(false);
