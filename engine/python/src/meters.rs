//! `Meter`: what is counted of a workload.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use sp_proto::Time;
use sp_virtual::{Bin, Meter, MeterPlan, Phase, Tally};

use crate::errors::error;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyMeter>()
}

#[pyclass(name = "Meter", module = "workbench._engine")]
struct PyMeter {
    meter: Meter,
}

#[pymethods]
impl PyMeter {
    #[new]
    fn new(py: Python<'_>, sites: Vec<String>, window: Window) -> PyResult<PyMeter> {
        Ok(PyMeter { meter: Meter::new(window.plan(py, sites)?) })
    }

    fn sent(&mut self, now: f64) {
        self.meter.sent(moment(now));
    }

    #[pyo3(signature = (sent_at, now, home, site=None))]
    fn answered(&mut self, py: Python<'_>, sent_at: f64, now: f64, home: usize, site: Option<usize>) -> PyResult<()> {
        let sites = self.meter.plan().sites.len();
        if home.max(site.unwrap_or(home)) >= sites {
            return Err(error(py, "OptionError", format!("there are only {sites} sites")));
        }
        self.meter.answered(moment(sent_at), moment(now), home, site);
        Ok(())
    }

    fn lost(&mut self, sent_at: f64, now: f64) {
        self.meter.lost(moment(sent_at), moment(now));
    }

    fn repeated(&mut self, count: u64, now: f64) {
        self.meter.repeated(count, moment(now));
    }

    fn replied(&mut self, sent_at: f64, now: f64) {
        self.meter.replied(moment(sent_at), moment(now), true);
    }

    fn missed(&mut self, sent_at: f64, count: u32) {
        self.meter.missed(moment(sent_at), count);
    }

    fn straggled(&mut self, sent_at: f64, now: f64) {
        self.meter.straggled(moment(sent_at), moment(now));
    }

    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        snapshot(py, &self.meter)
    }
}

/// A `workbench.engine.window.Window`, taken by its attributes.
#[derive(FromPyObject)]
pub(crate) struct Window {
    start: f64,
    end: Option<f64>,
    fault: Option<f64>,
    restore: Option<f64>,
    guard: f64,
    settle: f64,
    struck: Option<Vec<usize>>,
    bin: f64,
}

impl Window {
    pub(crate) fn plan(self, py: Python<'_>, sites: Vec<String>) -> PyResult<MeterPlan> {
        let bin = self.bin;
        if bin.is_nan() || bin <= 0.0 {
            return Err(error(py, "OptionError", format!("bin = {bin} is out of range; allowed: more than 0 seconds")));
        }
        Ok(MeterPlan {
            sites,
            from: moment(self.start),
            to: self.end.map_or(Time::NEVER, moment),
            fault: self.fault.map(moment),
            restore: self.restore.map(moment),
            guard: Duration::from_nanos(moment(self.guard).as_nanos()),
            settle: Duration::from_nanos(moment(self.settle).as_nanos()),
            struck: self.struck,
            bin: Duration::from_nanos(moment(bin).as_nanos()),
        })
    }
}

/// A meter's counts as plain lists and numbers.
pub(crate) fn snapshot<'py>(py: Python<'py>, meter: &Meter) -> PyResult<Bound<'py, PyDict>> {
    let shown = PyDict::new(py);
    shown.set_item("sites", &meter.plan().sites)?;
    shown.set_item("bin_ns", nanos(meter.plan().bin))?;
    shown.set_item("failover_ns", meter.failover().map(nanos))?;
    shown.set_item("failback_ns", meter.failback().map(nanos))?;
    let phases = PyDict::new(py);
    for phase in Phase::ALL {
        phases.set_item(phase.name(), tally(py, meter.phase(phase))?)?;
    }
    shown.set_item("phases", phases)?;
    let bins = meter.bins().iter().map(|row| bin(py, row)).collect::<PyResult<Vec<_>>>()?;
    shown.set_item("bins", PyList::new(py, bins)?)?;
    shown.set_item("mean_inside", meter.mean_inside())?;
    shown.set_item("batch", meter.series().batch())?;
    shown.set_item("series_ns", meter.series().means().collect::<Vec<_>>())?;
    Ok(shown)
}

fn tally<'py>(py: Python<'py>, tally: &Tally) -> PyResult<Bound<'py, PyDict>> {
    let shown = PyDict::new(py);
    shown.set_item("sent", tally.sent)?;
    shown.set_item("answered", tally.answered)?;
    shown.set_item("lost", tally.lost)?;
    shown.set_item("cross", tally.cross)?;
    shown.set_item("unplaced", tally.unplaced)?;
    shown.set_item("repeated", tally.repeated)?;
    shown.set_item("dropped", tally.dropped)?;
    shown.set_item("replies", tally.replies)?;
    shown.set_item("late", tally.late)?;
    shown.set_item("latency_sum_ns", tally.latency_sum)?;
    shown.set_item("latency_max_ns", tally.latency_max)?;
    shown.set_item("latencies", tally.latencies().collect::<Vec<_>>())?;
    shown.set_item("reply_times", tally.reply_times().collect::<Vec<_>>())?;
    Ok(shown)
}

fn bin<'py>(py: Python<'py>, bin: &Bin) -> PyResult<Bound<'py, PyDict>> {
    let shown = PyDict::new(py);
    shown.set_item("sent", bin.sent)?;
    shown.set_item("answered", &bin.answered)?;
    shown.set_item("lost", bin.lost)?;
    shown.set_item("cross", bin.cross)?;
    shown.set_item("latency_sum_ns", bin.latency_sum)?;
    shown.set_item("latency_max_ns", bin.latency_max)?;
    Ok(shown)
}

/// The nearest nanosecond; what lies before the world began is its beginning.
fn moment(seconds: f64) -> Time {
    Time::from_nanos((seconds * 1e9).round() as u64)
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
