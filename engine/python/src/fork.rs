//! Forks: the engine is told of them, so that a child gets a clear error instead of a hang.

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Asks Python to tell the engine of every fork.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let hooks = PyDict::new(py);
    hooks.set_item("before", wrap_pyfunction!(prepare, module)?)?;
    hooks.set_item("after_in_parent", wrap_pyfunction!(parent, module)?)?;
    hooks.set_item("after_in_child", wrap_pyfunction!(child, module)?)?;
    PyModule::import(py, "os")?.getattr("register_at_fork")?.call((), Some(&hooks))?;
    Ok(())
}

#[pyfunction]
fn prepare() {
    // The interpreter is kept meanwhile: another thread that had it could want one of the locks that are held now. Who
    // holds one of them already does not want the interpreter.
    sp_real::fork::prepare();
}

#[pyfunction]
fn parent() {
    sp_real::fork::parent();
}

#[pyfunction]
fn child() {
    sp_real::fork::child();
}
