//! Options, from what Python calls them.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use sp_proto::{EndpointOptions, OptionError, Priority, WhenFull};
use sp_real::{EndpointSettings, SocketOptions, TlsOptions};

use crate::errors::error;

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
            "max_answers" => machine.max_answers = whole(py, &name, &value)?,
            "max_contexts" => machine.max_contexts = whole(py, &name, &value)?,
            "max_pipes" => machine.max_pipes = whole(py, &name, &value)?,
            "ttl" => machine.ttl = u8::try_from(whole(py, &name, &value)?).unwrap_or(0),
            "max_subscriptions" => machine.max_subscriptions = whole(py, &name, &value)?,
            "max_subscription_bytes" => machine.max_subscription_bytes = whole(py, &name, &value)?,
            "when_full" => machine.when_full = Some(policy(py, &value.extract::<String>()?)?),
            "survey_deadline" => machine.survey_deadline = span(py, &name, &value)?,
            "instant_resends" => {
                machine.instant_resends = u32::try_from(whole(py, &name, &value)?).unwrap_or(u32::MAX);
            }
            "resend" => machine.resend = span(py, &name, &value)?,
            "reconnect_min" => machine.reconnect_min = span(py, &name, &value)?,
            "reconnect_max" => machine.reconnect_max = span(py, &name, &value)?,
            "handshake_timeout" => machine.handshake_timeout = span(py, &name, &value)?,
            "spin" => options.spin = span(py, &name, &value)?,
            "gather" => options.gather = span(py, &name, &value)?,
            "max_connections" => options.max_connections = whole(py, &name, &value)?,
            "max_half_open" => options.max_half_open = whole(py, &name, &value)?,
            "buffer" => options.buffer = whole(py, &name, &value)?,
            "priority" | "recv_priority" | "admit" => {
                let text = format!("{name} belongs to an endpoint: socket.dial(address, {name}=…)");
                return Err(error(py, "OptionError", text));
            }
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

/// Seconds from Python; negative and not-a-number are the caller's mistake.
pub(crate) fn seconds(py: Python<'_>, name: &str, value: f64) -> PyResult<Duration> {
    if value.is_nan() || value < 0.0 {
        return Err(error(py, "OptionError", format!("{name} = {value} is out of range; allowed: 0 or more seconds")));
    }
    Ok(Duration::try_from_secs_f64(value).unwrap_or(Duration::MAX))
}

/// What an endpoint of the real world has of its own.
pub(crate) fn endpoint_settings(
    py: Python<'_>,
    send_priority: i64,
    recv_priority: i64,
    when_full: Option<&str>,
    tls: Option<Tls>,
    asks: bool,
) -> PyResult<EndpointSettings> {
    let machine = endpoint_options(py, send_priority, recv_priority, when_full)?;
    Ok(EndpointSettings { machine, tls: tls.map(tls_options), asks })
}

pub(crate) fn endpoint_options(
    py: Python<'_>,
    send_priority: i64,
    recv_priority: i64,
    when_full: Option<&str>,
) -> PyResult<EndpointOptions> {
    let priority = |level| Priority::new(level).map_err(|wrong| error(py, "OptionError", wrong.to_string()));
    Ok(EndpointOptions {
        send_priority: priority(send_priority)?,
        recv_priority: priority(recv_priority)?,
        when_full: when_full.map(|name| policy(py, name)).transpose()?,
    })
}

fn policy(py: Python<'_>, name: &str) -> PyResult<WhenFull> {
    name.parse().map_err(|wrong: OptionError| error(py, "OptionError", wrong.to_string()))
}

/// Authorities, certificate and key in PEM; the name of the server.
pub(crate) type Tls = (Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>, Option<String>);

fn tls_options((authorities, certificate, key, server_name): Tls) -> TlsOptions {
    TlsOptions { authorities, certificate, key, server_name }
}

const OPTION_NAMES: [&str; 22] = [
    "send_queue",
    "recv_queue",
    "queue_bytes",
    "max_message",
    "max_answers",
    "max_contexts",
    "max_pipes",
    "max_connections",
    "max_half_open",
    "max_subscriptions",
    "max_subscription_bytes",
    "when_full",
    "survey_deadline",
    "instant_resends",
    "ttl",
    "resend",
    "reconnect_min",
    "reconnect_max",
    "handshake_timeout",
    "spin",
    "gather",
    "buffer",
];
