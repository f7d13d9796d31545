//! `NativeWorld`: the native part of a virtual world.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use sp_link::LinkOptions;
use sp_proto::{Answer, ContextId, EndpointOptions, Kind, Ticket, Time};
use sp_virtual::{
    Choice, ClientPlan, CrowdId, CrowdPlan, Fault, ForwardPlan, Handling, HostId, InstancePlan, Load, Outcome,
    OutsideTicket, Progress, ServiceId, ServicePlan, SiteId, SocketId, StationId, StationPlan, WhenFull, WorkloadId,
    WorkloadPlan, World, WorldError, WorldOptions,
};

use crate::errors::{error, name_of};
use crate::meters;
use crate::options::{endpoint_options, seconds, socket_options};
use crate::real_socket::body_of;
use crate::streams::{Drawn, PyStream, distribution};

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<NativeWorld>()
}

/// The lock is held for one call at a time, and never while the interpreter is waited for.
#[pyclass(frozen, module = "workbench._engine")]
struct NativeWorld {
    world: Mutex<World>,
}

/// A ticket; the name of an exception and its text, if it failed; the message, if one was received.
type Answered<'py> = (u64, Option<(&'static str, String)>, Option<Bound<'py, PyBytes>>);
/// A `workbench.engine.forward.Forward`, taken by its attributes.
#[derive(FromPyObject)]
struct Forward<'py> {
    kind: String,
    targets: Vec<Vec<(String, i64)>>,
    each: f64,
    receives: bool,
    options: Bound<'py, PyDict>,
}
/// "killed" or "restored", and the host.
type Notice = (&'static str, u32);

#[pymethods]
impl NativeWorld {
    #[new]
    #[pyo3(signature = (seed, replication=0, *, window=262_144, handling=None, story=None))]
    fn new(
        py: Python<'_>,
        seed: u64,
        replication: u64,
        window: usize,
        handling: Option<(f64, f64, f64)>,
        story: Option<usize>,
    ) -> PyResult<NativeWorld> {
        let handling = match handling {
            None => None,
            Some((wake, step, kib)) => Some(Handling {
                wake: seconds(py, "wake", wake)?,
                step: seconds(py, "step", step)?,
                kib: seconds(py, "kib", kib)?,
            }),
        };
        let options = WorldOptions { seed, replication, window: window.max(1), handling, story };
        Ok(NativeWorld { world: Mutex::new(World::new(options)) })
    }

    #[pyo3(signature = (name, *, delay, jitter=Drawn::nothing(), rate=None, loss=0.0))]
    fn add_site(
        &self,
        py: Python<'_>,
        name: &str,
        delay: f64,
        jitter: Drawn,
        rate: Option<f64>,
        loss: f64,
    ) -> PyResult<u32> {
        let within = link_options(py, delay, jitter, rate, loss)?;
        translate(py, self.lock().add_site(name, within)).map(SiteId::number)
    }

    #[pyo3(signature = (a, b, *, delay, jitter=Drawn::nothing(), rate=None, loss=0.0))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn link(
        &self,
        py: Python<'_>,
        a: u32,
        b: u32,
        delay: f64,
        jitter: Drawn,
        rate: Option<f64>,
        loss: f64,
    ) -> PyResult<()> {
        let options = link_options(py, delay, jitter, rate, loss)?;
        translate(py, self.lock().link(site(a), site(b), options))
    }

    fn add_host(&self, py: Python<'_>, name: &str, at: u32) -> PyResult<u32> {
        translate(py, self.lock().add_host(name, site(at))).map(HostId::number)
    }

    fn watch(&self, py: Python<'_>, host: u32) -> PyResult<()> {
        translate(py, self.lock().watch(host_of(host)))
    }

    fn is_alive(&self, py: Python<'_>, host: u32) -> PyResult<bool> {
        translate(py, self.lock().is_alive(host_of(host)))
    }

    fn stream(&self, py: Python<'_>, host: u32, name: &str) -> PyResult<PyStream> {
        translate(py, self.lock().stream(host_of(host), name)).map(PyStream::from)
    }

    #[pyo3(signature = (
        name, kind, instances, *, workers=1, time=Drawn::nothing(), reply=64, patience=None, forward=None, **options
    ))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn add_service(
        &self,
        py: Python<'_>,
        name: &str,
        kind: &str,
        instances: Vec<(u32, String, f64)>,
        workers: u32,
        time: Drawn,
        reply: usize,
        patience: Option<f64>,
        forward: Option<Forward<'_>>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<u32> {
        let plan = ServicePlan {
            name: name.to_owned(),
            kind: kind_of(py, kind)?,
            instances: instances
                .into_iter()
                .map(|(host, address, slowness)| InstancePlan { host: host_of(host), address, slowness })
                .collect(),
            workers,
            time: distribution(py, time)?,
            reply,
            patience: patience.map(|span| seconds(py, "patience", span)).transpose()?,
            options: socket_options(py, options)?.machine,
            forward: forward.map(|forward| forward_plan(py, forward)).transpose()?,
        };
        translate(py, self.lock().add_service(plan)).map(ServiceId::number)
    }

    #[pyo3(signature = (
        name, kind, clients, window, *, load, routing="round-robin", size=64, timeout=5.0, deadline=None,
        receivers=None, **options
    ))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn add_workload(
        &self,
        py: Python<'_>,
        name: &str,
        kind: &str,
        clients: Vec<(u32, Vec<(String, i64)>)>,
        window: meters::Window,
        load: Rhythm,
        routing: &str,
        size: usize,
        timeout: f64,
        deadline: Option<f64>,
        receivers: Option<u32>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<u32> {
        let clients = clients.into_iter().map(|(host, dials)| client(py, host, dials)).collect::<PyResult<_>>()?;
        let sites = self.lock().sites().to_vec();
        let plan = WorkloadPlan {
            name: name.to_owned(),
            kind: kind_of(py, kind)?,
            clients,
            load: load.load(py)?,
            choice: choice(py, routing, 2)?,
            size,
            timeout: seconds(py, "timeout", timeout)?,
            deadline: deadline.map(|span| seconds(py, "deadline", span)).transpose()?,
            receivers,
            options: socket_options(py, options)?.machine,
            meter: window.plan(py, sites)?,
        };
        translate(py, self.lock().add_workload(plan)).map(WorkloadId::number)
    }

    #[pyo3(signature = (name, hosts, *, workers=1, time=Drawn::nothing(), queue=1000, when_full="block"))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn add_station(
        &self,
        py: Python<'_>,
        name: &str,
        hosts: Vec<u32>,
        workers: u32,
        time: Drawn,
        queue: usize,
        when_full: &str,
    ) -> PyResult<u32> {
        let when_full = match when_full {
            "block" => WhenFull::Block,
            "drop-new" => WhenFull::DropNew,
            "drop-old" => WhenFull::DropOld,
            _ => {
                let text = format!("when_full {when_full:?} is unknown; there are block, drop-new and drop-old");
                return Err(error(py, "OptionError", text));
            }
        };
        let hosts = hosts.into_iter().map(host_of).collect();
        let plan =
            StationPlan { name: name.to_owned(), hosts, workers, time: distribution(py, time)?, queue, when_full };
        translate(py, self.lock().add_station(plan)).map(StationId::number)
    }

    #[pyo3(signature = (
        name, station, clients, window, *, load, routing="round-robin", drawn=2, surveys=false, timeout=5.0
    ))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn add_crowd(
        &self,
        py: Python<'_>,
        name: &str,
        station: u32,
        clients: Vec<(u32, Vec<(u32, u8)>)>,
        window: meters::Window,
        load: Rhythm,
        routing: &str,
        drawn: u32,
        surveys: bool,
        timeout: f64,
    ) -> PyResult<u32> {
        let sites = self.lock().sites().to_vec();
        let plan = CrowdPlan {
            name: name.to_owned(),
            clients: clients.into_iter().map(|(host, targets)| (host_of(host), targets)).collect(),
            load: load.load(py)?,
            choice: choice(py, routing, drawn)?,
            surveys,
            timeout: seconds(py, "timeout", timeout)?,
            meter: window.plan(py, sites)?,
        };
        translate(py, self.lock().add_crowd(StationId::from_number(station), plan)).map(CrowdId::number)
    }

    #[pyo3(signature = (at_ns, action, a, b=None, unnoticed=0.0))]
    fn schedule(
        &self,
        py: Python<'_>,
        at_ns: u64,
        action: &str,
        a: u32,
        b: Option<u32>,
        unnoticed: f64,
    ) -> PyResult<()> {
        let fault = match fault(py, action, a, b)? {
            Fault::Kill(host) if unnoticed > 0.0 => Fault::Vanish(host, seconds(py, "unnoticed", unnoticed)?),
            fault => fault,
        };
        translate(py, self.lock().schedule(Time::from_nanos(at_ns), fault))
    }

    // Sockets

    #[pyo3(signature = (host, kind, **options))]
    fn open_socket(&self, py: Python<'_>, host: u32, kind: &str, options: Option<&Bound<'_, PyDict>>) -> PyResult<u32> {
        let (kind, options) = (kind_of(py, kind)?, socket_options(py, options)?.machine);
        translate(py, self.lock().open_socket(host_of(host), kind, options)).map(SocketId::number)
    }

    #[pyo3(signature = (socket, address, send_priority=8, recv_priority=8, when_full=None))]
    fn listen(
        &self,
        py: Python<'_>,
        socket: u32,
        address: &str,
        send_priority: i64,
        recv_priority: i64,
        when_full: Option<&str>,
    ) -> PyResult<()> {
        let options = endpoint_options(py, send_priority, recv_priority, when_full)?;
        translate(py, self.lock().listen(socket_of(socket), address, options))
    }

    #[pyo3(signature = (socket, address, send_priority=8, recv_priority=8, when_full=None))]
    fn dial(
        &self,
        py: Python<'_>,
        socket: u32,
        address: &str,
        send_priority: i64,
        recv_priority: i64,
        when_full: Option<&str>,
    ) -> PyResult<()> {
        let options = endpoint_options(py, send_priority, recv_priority, when_full)?;
        translate(py, self.lock().dial(socket_of(socket), address, options))
    }

    fn open_context(&self, py: Python<'_>, socket: u32) -> PyResult<u32> {
        translate(py, self.lock().open_context(socket_of(socket))).map(ContextId::number)
    }

    fn close_context(&self, py: Python<'_>, socket: u32, context: u32) -> PyResult<()> {
        translate(py, self.lock().close_context(socket_of(socket), ContextId::from_number(context)))
    }

    #[pyo3(signature = (socket, prefix, context=0))]
    fn subscribe(&self, py: Python<'_>, socket: u32, prefix: &Bound<'_, PyAny>, context: u32) -> PyResult<()> {
        let prefix = body_of(prefix)?;
        translate(py, self.lock().subscribe(socket_of(socket), ContextId::from_number(context), &prefix))
    }

    #[pyo3(signature = (socket, prefix, context=0))]
    fn unsubscribe(&self, py: Python<'_>, socket: u32, prefix: &Bound<'_, PyAny>, context: u32) -> PyResult<()> {
        let prefix = body_of(prefix)?;
        translate(py, self.lock().unsubscribe(socket_of(socket), ContextId::from_number(context), &prefix))
    }

    #[pyo3(signature = (socket, span, context=0))]
    fn set_survey_deadline(&self, py: Python<'_>, socket: u32, span: f64, context: u32) -> PyResult<()> {
        let span = seconds(py, "survey_deadline", span)?;
        translate(py, self.lock().set_survey_deadline(socket_of(socket), ContextId::from_number(context), span))
    }

    #[pyo3(signature = (socket, data, deadline_ns=None, context=0))]
    fn submit_send(
        &self,
        py: Python<'_>,
        socket: u32,
        data: &Bound<'_, PyAny>,
        deadline_ns: Option<u64>,
        context: u32,
    ) -> PyResult<u64> {
        let (body, deadline) = (body_of(data)?, deadline_ns.map(Time::from_nanos));
        let context = ContextId::from_number(context);
        translate(py, self.lock().submit_send(socket_of(socket), context, body, deadline)).map(key)
    }

    #[pyo3(signature = (socket, deadline_ns=None, context=0))]
    fn submit_recv(&self, py: Python<'_>, socket: u32, deadline_ns: Option<u64>, context: u32) -> PyResult<u64> {
        let deadline = deadline_ns.map(Time::from_nanos);
        translate(py, self.lock().submit_recv(socket_of(socket), ContextId::from_number(context), deadline)).map(key)
    }

    /// False if it has been answered: then the answer stands.
    fn cancel(&self, ticket: u64) -> bool {
        self.lock().cancel(ticket_of(ticket))
    }

    /// Gives a message back that was received but that nobody took.
    fn put_back(&self, py: Python<'_>, socket: u32, data: &Bound<'_, PyBytes>, context: u32) -> PyResult<()> {
        let body = Bytes::copy_from_slice(data.as_bytes());
        translate(py, self.lock().put_back(socket_of(socket), ContextId::from_number(context), body))
    }

    fn stats(&self, py: Python<'_>, socket: u32) -> PyResult<Vec<(&'static str, u64)>> {
        translate(py, self.lock().stats(socket_of(socket))).map(|stats| stats.rows().to_vec())
    }

    fn pipe_count(&self, py: Python<'_>, socket: u32) -> PyResult<usize> {
        translate(py, self.lock().pipe_count(socket_of(socket)))
    }

    fn close_socket(&self, py: Python<'_>, socket: u32) -> PyResult<()> {
        translate(py, self.lock().close_socket(socket_of(socket)))
    }

    // Time and faults

    /// Goes on until this moment, or until there are outcomes, or, without a moment, until nothing is left to happen.
    /// Returns what time it is then, and whether there are outcomes.
    #[pyo3(signature = (until_ns=None))]
    fn advance(&self, py: Python<'_>, until_ns: Option<u64>) -> PyResult<(u64, bool)> {
        let until = until_ns.map_or(Time::NEVER, Time::from_nanos);
        loop {
            let (progress, now) = py.detach(|| {
                let mut world = self.lock();
                (world.advance_by(until, EVENTS_BETWEEN_SIGNALS), world.now())
            });
            match progress {
                Progress::Paused => py.check_signals()?,
                Progress::Arrived | Progress::Outcome => return Ok((now.as_nanos(), progress == Progress::Outcome)),
            }
        }
    }

    fn has_outcomes(&self) -> bool {
        self.lock().has_outcomes()
    }

    /// All outcomes so far: the answers, and the hosts killed and restored.
    fn outcomes<'py>(&self, py: Python<'py>) -> (Vec<Answered<'py>>, Vec<Notice>) {
        let (mut answers, mut notices) = (Vec::new(), Vec::new());
        let mut world = self.lock();
        while let Some(outcome) = world.poll_outcome() {
            match outcome {
                Outcome::Answered(ticket, answer) => answers.push(answered(py, ticket, answer)),
                Outcome::Killed(host) => notices.push(("killed", host.number())),
                Outcome::Restored(host) => notices.push(("restored", host.number())),
            }
        }
        (answers, notices)
    }

    /// Carries out a fault now.
    #[pyo3(signature = (action, a, b=None))]
    fn strike(&self, py: Python<'_>, action: &str, a: u32, b: Option<u32>) -> PyResult<()> {
        let fault = fault(py, action, a, b)?;
        translate(py, self.lock().strike(fault))
    }

    #[getter]
    fn now_ns(&self) -> u64 {
        self.lock().now().as_nanos()
    }

    #[getter]
    fn events(&self) -> u64 {
        self.lock().events()
    }

    // What came of it

    fn meter<'py>(&self, py: Python<'py>, workload: u32) -> PyResult<Bound<'py, PyDict>> {
        let mut world = self.lock();
        let meter = translate(py, world.meter(WorkloadId::from_number(workload)))?;
        meters::snapshot(py, meter)
    }

    /// How long the workers of each instance have been busy, in seconds.
    fn busy(&self, py: Python<'_>, service: u32) -> PyResult<Vec<f64>> {
        let world = self.lock();
        let instances = translate(py, world.instances(ServiceId::from_number(service)))?;
        instances.into_iter().map(|instance| Ok(translate(py, world.busy(instance))?.as_secs_f64())).collect()
    }

    /// When each instance of a service has given up, in nanoseconds.
    fn gave_up(&self, py: Python<'_>, service: u32) -> PyResult<Vec<Option<u64>>> {
        let world = self.lock();
        let instances = translate(py, world.instances(ServiceId::from_number(service)))?;
        let moment = |instance| Ok(translate(py, world.gave_up(instance))?.map(Time::as_nanos));
        instances.into_iter().map(moment).collect()
    }

    fn crowd_meter<'py>(&self, py: Python<'py>, crowd: u32) -> PyResult<Bound<'py, PyDict>> {
        let mut world = self.lock();
        let meter = translate(py, world.crowd_meter(CrowdId::from_number(crowd)))?;
        meters::snapshot(py, meter)
    }

    /// How many requests each instance of a station has served.
    fn served_at(&self, py: Python<'_>, station: u32) -> PyResult<Vec<u64>> {
        translate(py, self.lock().served_at(StationId::from_number(station)))
    }

    /// How many requests each instance of a service has served.
    fn served(&self, py: Python<'_>, service: u32) -> PyResult<Vec<u64>> {
        let world = self.lock();
        let instances = translate(py, world.instances(ServiceId::from_number(service)))?;
        instances.into_iter().map(|instance| translate(py, world.served(instance))).collect()
    }

    /// Raises `RuntimeError` if anything was made up or forgotten.
    fn audit(&self) -> PyResult<()> {
        self.lock().audit().map_err(pyo3::exceptions::PyRuntimeError::new_err)
    }

    fn story(&self) -> Vec<String> {
        self.lock().story().map(|story| story.lines().map(str::to_owned).collect()).unwrap_or_default()
    }

    /// How many lines the story has had, and a digest of all of them.
    fn story_digest(&self) -> (u64, u64) {
        self.lock().story().map_or((0, 0), |story| (story.told(), story.digest()))
    }
}

/// A load by its attributes: those of `workbench.engine.virtual.Rhythm`.
#[derive(FromPyObject)]
struct Rhythm {
    kind: String,
    rate: f64,
    outstanding: u32,
    think: Drawn,
    on: f64,
    off: f64,
    moments: Vec<f64>,
}

impl Rhythm {
    fn load(self, py: Python<'_>) -> PyResult<Load> {
        let Rhythm { kind, rate, outstanding, think, on, off, moments } = self;
        Ok(match kind.as_str() {
            "poisson" => Load::Poisson { rate },
            "paced" => Load::Paced { rate },
            "bursty" => Load::Bursty { rate, on, off },
            "trace" => Load::Trace(moments.into()),
            "closed" => Load::Closed { outstanding, think: distribution(py, think)? },
            "flood" => Load::Flood,
            _ => {
                let text =
                    format!("load {kind:?} is unknown; there are poisson, paced, bursty, trace, closed and flood");
                return Err(error(py, "OptionError", text));
            }
        })
    }
}

fn choice(py: Python<'_>, routing: &str, drawn: u32) -> PyResult<Choice> {
    Ok(match routing {
        "round-robin" | "priority" => Choice::InTurn,
        "random" => Choice::Random,
        "least-outstanding" => Choice::LeastOutstanding,
        "power-of-two" => Choice::PowerOf(drawn),
        "sticky" => Choice::Sticky,
        _ => {
            let text = format!(
                "routing {routing:?} is unknown; there are round-robin, priority, random, least-outstanding, \
                 power-of-two and sticky"
            );
            return Err(error(py, "OptionError", text));
        }
    })
}

impl NativeWorld {
    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn translate<T>(py: Python<'_>, result: Result<T, WorldError>) -> PyResult<T> {
    result.map_err(|wrong| {
        let name = match &wrong {
            WorldError::Socket(wrong) => name_of(wrong),
            WorldError::Down(_) => "Closed",
            WorldError::Taken { what: "listener", .. } | WorldError::NoLink(..) => "AddressError",
            WorldError::Taken { .. }
            | WorldError::Unknown { .. }
            | WorldError::Plan(_)
            | WorldError::Link(_)
            | WorldError::Distribution(_)
            | WorldError::Option(_) => "OptionError",
        };
        error(py, name, wrong.to_string())
    })
}

fn answered(py: Python<'_>, ticket: OutsideTicket, answer: Answer) -> Answered<'_> {
    match answer {
        Answer::Sent | Answer::Room => (key(ticket), None, None),
        Answer::Received(message) => (key(ticket), None, Some(PyBytes::new(py, &message.body))),
        Answer::Failed(wrong) => (key(ticket), Some((name_of(&wrong), wrong.to_string())), None),
    }
}

fn link_options(py: Python<'_>, delay: f64, jitter: Drawn, rate: Option<f64>, loss: f64) -> PyResult<LinkOptions> {
    Ok(LinkOptions {
        delay: seconds(py, "delay", delay)?,
        jitter: distribution(py, jitter)?,
        rate: rate.map(|bits| bits as u64),
        loss,
    })
}

fn client(py: Python<'_>, host: u32, dials: Vec<(String, i64)>) -> PyResult<ClientPlan> {
    Ok(ClientPlan { host: host_of(host), targets: targets(py, dials)? })
}

fn targets(py: Python<'_>, dials: Vec<(String, i64)>) -> PyResult<Vec<(String, EndpointOptions)>> {
    let default = i64::from(EndpointOptions::default().recv_priority.level());
    dials.into_iter().map(|(address, level)| Ok((address, endpoint_options(py, level, default, None)?))).collect()
}

fn forward_plan(py: Python<'_>, forward: Forward<'_>) -> PyResult<ForwardPlan> {
    Ok(ForwardPlan {
        kind: kind_of(py, &forward.kind)?,
        targets: forward.targets.into_iter().map(|dials| targets(py, dials)).collect::<PyResult<_>>()?,
        each: seconds(py, "each", forward.each)?,
        receives: forward.receives,
        options: socket_options(py, Some(&forward.options))?.machine,
    })
}

fn fault(py: Python<'_>, action: &str, a: u32, b: Option<u32>) -> PyResult<Fault> {
    match (action, b) {
        ("kill", None) => Ok(Fault::Kill(host_of(a))),
        ("restore", None) => Ok(Fault::Restore(host_of(a))),
        ("cut", Some(b)) => Ok(Fault::Cut(site(a), site(b))),
        ("mute", Some(b)) => Ok(Fault::Mute(site(a), site(b))),
        ("unmute", Some(b)) => Ok(Fault::Unmute(site(a), site(b))),
        ("heal", Some(b)) => Ok(Fault::Heal(site(a), site(b))),
        ("break", Some(b)) => Ok(Fault::Break(site(a), site(b))),
        _ => {
            let text = format!(
                "{action}: there are kill and restore of a host, and cut, heal, mute, unmute and break between two sites"
            );
            Err(error(py, "OptionError", text))
        }
    }
}

fn kind_of(py: Python<'_>, kind: &str) -> PyResult<Kind> {
    kind.parse().map_err(|text| error(py, "OptionError", text))
}

/// A ticket as one number: the socket above, the socket's own number below.
fn key(ticket: OutsideTicket) -> u64 {
    u64::from(ticket.socket.number()) << TICKET_BITS | ticket.ticket.number()
}

fn ticket_of(key: u64) -> OutsideTicket {
    let ticket = Ticket::from_number(key & ((1 << TICKET_BITS) - 1));
    OutsideTicket { socket: SocketId::from_number((key >> TICKET_BITS) as u32), ticket }
}

fn site(number: u32) -> SiteId {
    SiteId::from_number(number)
}

fn host_of(number: u32) -> HostId {
    HostId::from_number(number)
}

fn socket_of(number: u32) -> SocketId {
    SocketId::from_number(number)
}

const TICKET_BITS: u32 = 40;
/// One event may move a thousand messages.
const EVENTS_BETWEEN_SIGNALS: u64 = 2_000;
