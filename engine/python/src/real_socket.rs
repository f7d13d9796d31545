//! `RealSocket`: a socket on the operating system's network.

use std::time::Duration;

use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyMemoryView};
use sp_proto::{Answer, ContextId, EndpointOptions, Event, Kind, OpError, Priority, Ticket, Time};
use sp_real::{EndpointError, OpenError, Socket, SocketOptions, now};

use crate::errors::{error, name_of};

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<RealSocket>()
}

#[pyclass(frozen, module = "workbench._engine")]
struct RealSocket {
    socket: Socket,
    /// The process that made it.
    process: u32,
}

/// What `poll_answers` and `cancel` return for one ticket: its number, the name of an exception and its text, a message.
type Outcome<'py> = (u64, Option<(&'static str, String)>, Option<Bound<'py, PyBytes>>);

#[pymethods]
impl RealSocket {
    #[new]
    #[pyo3(signature = (kind, **options))]
    fn new(py: Python<'_>, kind: &str, options: Option<&Bound<'_, PyDict>>) -> PyResult<RealSocket> {
        let kind: Kind = kind.parse().map_err(|text| error(py, "OptionError", text))?;
        let options = socket_options(py, options)?;
        match Socket::new(kind, options) {
            Ok(socket) => Ok(RealSocket { socket, process: std::process::id() }),
            Err(wrong @ OpenError::Option(_)) => Err(error(py, "OptionError", wrong.to_string())),
            Err(wrong @ OpenError::System(_)) => Err(error(py, "EndpointFailed", wrong.to_string())),
        }
    }

    fn listen(&self, py: Python<'_>, address: &str, send_priority: i64, recv_priority: i64) -> PyResult<String> {
        let options = endpoint_options(py, send_priority, recv_priority)?;
        let socket = self.socket(py)?;
        match py.detach(|| socket.listen(address, options)) {
            Ok(bound) => Ok(bound.to_string()),
            Err(wrong) => Err(endpoint_error(py, "listen", wrong)),
        }
    }

    fn dial(&self, py: Python<'_>, address: &str, send_priority: i64, recv_priority: i64) -> PyResult<()> {
        let options = endpoint_options(py, send_priority, recv_priority)?;
        let socket = self.socket(py)?;
        py.detach(|| socket.dial(address, options)).map_err(|wrong| endpoint_error(py, "dial", wrong))
    }

    #[pyo3(signature = (data, timeout=None, context=0))]
    fn send(&self, py: Python<'_>, data: &Bound<'_, PyAny>, timeout: Option<f64>, context: u32) -> PyResult<()> {
        let body = body_of(data)?;
        let context = ContextId::from_number(context);
        let socket = self.socket(py)?;
        let body = match socket.try_send(context, body) {
            Ok(()) => return Ok(()),
            Err((OpError::WouldBlock, body)) => body,
            Err((wrong, _)) => return Err(self.failure(py, "send", &wrong)),
        };
        let deadline = deadline(py, timeout)?;
        let mut raised = None;
        let result = py.detach(|| socket.send(context, body, deadline, || signals(&mut raised)));
        match result {
            Ok(Ok(())) => Ok(()),
            Ok(Err(wrong)) => Err(self.failure(py, "send", &wrong)),
            Err(_) => Err(interruption(raised)),
        }
    }

    #[pyo3(signature = (timeout=None, context=0))]
    fn recv<'py>(&self, py: Python<'py>, timeout: Option<f64>, context: u32) -> PyResult<Bound<'py, PyBytes>> {
        let context = ContextId::from_number(context);
        let socket = self.socket(py)?;
        match socket.take(context) {
            Ok(body) => return Ok(PyBytes::new(py, &body)),
            Err(OpError::WouldBlock) => {}
            Err(wrong) => return Err(self.failure(py, "recv", &wrong)),
        }
        let deadline = deadline(py, timeout)?;
        let mut raised = None;
        let result = py.detach(|| socket.recv(context, deadline, || signals(&mut raised)));
        match result {
            Ok(Ok(body)) => Ok(PyBytes::new(py, &body)),
            Ok(Err(wrong)) => Err(self.failure(py, "recv", &wrong)),
            Err(_) => Err(interruption(raised)),
        }
    }

    /// Sends at once; false if it would have to wait.
    #[pyo3(signature = (data, context=0))]
    fn try_send(&self, py: Python<'_>, data: &Bound<'_, PyAny>, context: u32) -> PyResult<bool> {
        match self.socket(py)?.try_send(ContextId::from_number(context), body_of(data)?) {
            Ok(()) => Ok(true),
            Err((OpError::WouldBlock, _)) => Ok(false),
            Err((wrong, _)) => Err(self.failure(py, "send", &wrong)),
        }
    }

    /// Receives at once; `None` if it would have to wait.
    #[pyo3(signature = (context=0))]
    fn try_recv<'py>(&self, py: Python<'py>, context: u32) -> PyResult<Option<Bound<'py, PyBytes>>> {
        match self.socket(py)?.try_recv(ContextId::from_number(context)) {
            Ok(body) => Ok(Some(PyBytes::new(py, &body))),
            Err(OpError::WouldBlock) => Ok(None),
            Err(wrong) => Err(self.failure(py, "recv", &wrong)),
        }
    }

    #[pyo3(signature = (data, timeout=None, context=0))]
    fn submit_send(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        timeout: Option<f64>,
        context: u32,
    ) -> PyResult<u64> {
        let deadline = deadline(py, timeout)?;
        let socket = self.socket(py)?;
        Ok(socket.submit_send(ContextId::from_number(context), body_of(data)?, deadline).number())
    }

    #[pyo3(signature = (timeout=None, context=0))]
    fn submit_recv(&self, py: Python<'_>, timeout: Option<f64>, context: u32) -> PyResult<u64> {
        let deadline = deadline(py, timeout)?;
        Ok(self.socket(py)?.submit_recv(ContextId::from_number(context), deadline).number())
    }

    /// Takes an operation back; returns its outcome if it has one already.
    fn cancel<'py>(&self, py: Python<'py>, ticket: u64) -> PyResult<Option<Outcome<'py>>> {
        let ticket = Ticket::from_number(ticket);
        Ok(self.socket(py)?.cancel(ticket).map(|answer| self.outcome(py, ticket, answer)))
    }

    /// Gives a message back that was received but that nobody took.
    fn put_back(&self, py: Python<'_>, data: &Bound<'_, PyBytes>, context: u32) -> PyResult<()> {
        let body = Bytes::copy_from_slice(data.as_bytes());
        self.socket(py)?.put_back(ContextId::from_number(context), body);
        Ok(())
    }

    fn poll_answers<'py>(&self, py: Python<'py>) -> PyResult<(Vec<Outcome<'py>>, Option<f64>)> {
        let (answers, due) = self.socket(py)?.poll_answers();
        let outcomes = answers.into_iter().map(|(ticket, answer)| self.outcome(py, ticket, answer)).collect();
        Ok((outcomes, due.map(|due| due.since(now()).as_secs_f64())))
    }

    fn attach(&self, py: Python<'_>, attached: bool) -> PyResult<()> {
        self.socket(py)?.attach(attached);
        Ok(())
    }

    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        Ok(self.socket(py)?.fileno())
    }

    fn open_context(&self, py: Python<'_>) -> PyResult<u32> {
        self.socket(py)?.open_context().map(ContextId::number).map_err(|wrong| self.failure(py, "context", &wrong))
    }

    fn close_context(&self, context: u32) {
        if self.socket.is_ours() {
            self.socket.close_context(ContextId::from_number(context));
        }
    }

    #[getter]
    fn closed(&self) -> bool {
        !self.socket.is_ours() || self.socket.is_closed()
    }

    fn stats(&self, py: Python<'_>) -> PyResult<Vec<(&'static str, u64)>> {
        let stats = self.socket(py)?.stats();
        let mut rows = stats.machine.rows().to_vec();
        rows.extend([
            ("spins_paid", stats.spins_paid),
            ("spins_failed", stats.spins_failed),
            ("accepts_failed", stats.accepts_failed),
        ]);
        Ok(rows)
    }

    fn peers(&self, py: Python<'_>) -> PyResult<Vec<(u32, String)>> {
        let socket = self.socket(py)?;
        Ok(py.detach(|| socket.peers()).into_iter().map(|peer| (peer.pipe, peer.address)).collect())
    }

    /// What happened to the pipes since last asked: (what, pipe, reason).
    fn events(&self, py: Python<'_>) -> PyResult<Vec<(&'static str, u32, Option<String>)>> {
        let events = self.socket(py)?.events();
        let rows = events
            .into_iter()
            .map(|event| match event {
                Event::PipeUp { pipe, .. } => ("up", pipe.word(), None),
                Event::PipeDown { pipe, reason, .. } => ("down", pipe.word(), Some(reason.to_string())),
            })
            .collect();
        Ok(rows)
    }

    fn close(&self, py: Python<'_>, flush: f64) -> PyResult<usize> {
        let flush = seconds(py, "flush", flush)?;
        if !self.socket.is_ours() {
            return Ok(0);
        }
        let mut raised = None;
        py.detach(|| self.socket.close(flush, || signals(&mut raised))).map_err(|_| interruption(raised))
    }

    fn abort(&self, py: Python<'_>) {
        if self.socket.is_ours() {
            py.detach(|| self.socket.abort());
        }
    }
}

impl RealSocket {
    /// The socket, unless it is of no use here.
    fn socket(&self, py: Python<'_>) -> PyResult<&Socket> {
        if self.socket.is_ours() {
            return Ok(&self.socket);
        }
        let text = format!(
            "this socket was made by process {}, which this process ({}) is a fork of; make a new one here",
            self.process,
            std::process::id()
        );
        Err(error(py, "ForkedError", text))
    }

    fn failure(&self, py: Python<'_>, operation: &str, wrong: &OpError) -> PyErr {
        error(py, name_of(wrong), self.socket.explain(operation, wrong))
    }

    fn outcome<'py>(&self, py: Python<'py>, ticket: Ticket, answer: Answer) -> Outcome<'py> {
        match answer {
            Answer::Sent => (ticket.number(), None, None),
            Answer::Received(message) => (ticket.number(), None, Some(PyBytes::new(py, &message.body))),
            Answer::Failed(wrong) => {
                let text = self.socket.explain(if ticket.sends() { "send" } else { "recv" }, &wrong);
                (ticket.number(), Some((name_of(&wrong), text)), None)
            }
        }
    }
}

/// The bytes of anything that has some.
pub(crate) fn body_of(data: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    if let Ok(bytes) = data.cast::<PyBytes>() {
        return Ok(Bytes::copy_from_slice(bytes.as_bytes()));
    }
    let whole = PyMemoryView::from(data)?.call_method0("tobytes")?;
    Ok(Bytes::copy_from_slice(whole.cast::<PyBytes>()?.as_bytes()))
}

fn deadline(py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<Time>> {
    match timeout {
        None => Ok(None),
        Some(span) => Ok(Some(now() + seconds(py, "timeout", span)?)),
    }
}

/// Seconds from Python; negative and not-a-number are the caller's mistake.
pub(crate) fn seconds(py: Python<'_>, name: &str, value: f64) -> PyResult<Duration> {
    if value.is_nan() || value < 0.0 {
        return Err(error(py, "OptionError", format!("{name} = {value} is out of range; allowed: 0 or more seconds")));
    }
    Ok(Duration::try_from_secs_f64(value).unwrap_or(Duration::MAX))
}

pub(crate) fn endpoint_options(py: Python<'_>, send_priority: i64, recv_priority: i64) -> PyResult<EndpointOptions> {
    let priority = |level| Priority::new(level).map_err(|wrong| error(py, "OptionError", wrong.to_string()));
    Ok(EndpointOptions {
        send_priority: priority(send_priority)?,
        recv_priority: priority(recv_priority)?,
        ..EndpointOptions::default()
    })
}

fn endpoint_error(py: Python<'_>, operation: &str, wrong: EndpointError) -> PyErr {
    let text = format!("{operation}: {wrong}");
    match wrong {
        EndpointError::Address(_) => error(py, "AddressError", text),
        EndpointError::Closed => error(py, "Closed", text),
        EndpointError::System { .. } => error(py, "EndpointFailed", text),
    }
}

pub(crate) fn socket_options(py: Python<'_>, given: Option<&Bound<'_, PyDict>>) -> PyResult<SocketOptions> {
    let mut options = SocketOptions::default();
    let machine = &mut options.machine;
    for (name, value) in given.into_iter().flatten() {
        let name: String = name.extract()?;
        match name.as_str() {
            "send_queue" => machine.send_queue = whole(py, &name, &value)?,
            "recv_queue" => machine.recv_queue = whole(py, &name, &value)?,
            "queue_bytes" => machine.queue_bytes = whole(py, &name, &value)?,
            "max_message" => machine.max_message = whole(py, &name, &value)?,
            "max_contexts" => machine.max_contexts = whole(py, &name, &value)?,
            "max_pipes" => machine.max_pipes = whole(py, &name, &value)?,
            "ttl" => machine.ttl = u8::try_from(whole(py, &name, &value)?).unwrap_or(0),
            "resend" => machine.resend = span(py, &name, &value)?,
            "reconnect_min" => machine.reconnect_min = span(py, &name, &value)?,
            "reconnect_max" => machine.reconnect_max = span(py, &name, &value)?,
            "handshake_timeout" => machine.handshake_timeout = span(py, &name, &value)?,
            "spin" => options.spin = span(py, &name, &value)?,
            "gather" => options.gather = span(py, &name, &value)?,
            _ => {
                let text = format!("there is no option {name}; there are {}", OPTION_NAMES.join(", "));
                return Err(error(py, "OptionError", text));
            }
        }
    }
    Ok(options)
}

fn whole(py: Python<'_>, name: &str, value: &Bound<'_, PyAny>) -> PyResult<usize> {
    value.extract().map_err(|_| error(py, "OptionError", format!("option {name} is not a whole number: {value}")))
}

fn span(py: Python<'_>, name: &str, value: &Bound<'_, PyAny>) -> PyResult<Duration> {
    let value = value
        .extract()
        .map_err(|_| error(py, "OptionError", format!("option {name} is not a number of seconds: {value}")))?;
    seconds(py, name, value)
}

/// Lets Python run its signal handlers; true if one raised.
fn signals(raised: &mut Option<PyErr>) -> bool {
    *raised = Python::attach(|py| py.check_signals()).err();
    raised.is_some()
}

fn interruption(raised: Option<PyErr>) -> PyErr {
    raised.unwrap_or_else(|| pyo3::exceptions::PyKeyboardInterrupt::new_err(()))
}

const OPTION_NAMES: [&str; 13] = [
    "send_queue",
    "recv_queue",
    "queue_bytes",
    "max_message",
    "max_contexts",
    "max_pipes",
    "ttl",
    "resend",
    "reconnect_min",
    "reconnect_max",
    "handshake_timeout",
    "spin",
    "gather",
];
