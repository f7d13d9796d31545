//! Sockets that threads and event loops use.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, MutexGuard};
use rand::RngExt;
use sp_proto::rng_from;
use sp_proto::{
    Address, AddressError, Answer, ContextId, Kind, OpError, OptionError, Options, PipeId, PipeStats, Stats, Ticket,
    Time,
};
use thiserror::Error;

use crate::bell::Bell;
use crate::body::Body;
use crate::clock::{entropy, now};
use crate::connection::Peer;
use crate::core::{BELL, Care, Core, hang_bell};
use crate::endpoint::{EndpointReport, EndpointSettings, tls_for_dialing, tls_for_listening};
use crate::fork;
use crate::news::Happening;
use crate::poller::{Poller, Ready};
use crate::reactor;
use crate::spin::{Look, Outcome};
use crate::transport::Listener;
use crate::transport::tls::TlsError;

/// A socket. Clones are the same socket; it may be used from any thread. The last clone that goes closes it, without
/// waiting.
#[derive(Clone)]
pub struct Socket {
    shared: Arc<Shared>,
    owner: Arc<Owner>,
}

/// Options of a socket in the real world.
#[derive(Clone, Debug, PartialEq)]
pub struct SocketOptions {
    /// Those that belong to the protocol.
    pub machine: Options,
    /// How long to look for an answer before going to sleep, on a machine with several cores. Default 50 µs; zero turns
    /// it off.
    pub spin: Duration,
    /// The longest time that messages of a burst are held back to be written together. Default 50 µs; zero turns it
    /// off.
    pub gather: Duration,
    /// Connections of one listener that may be open at once, 1 or more. Default 16,384. More are turned away.
    pub max_connections: usize,
    /// Connections of one listener that may be open at once before they have greeted, 1 or more. Default 1,024. If there
    /// are more, the oldest is given up.
    pub max_half_open: usize,
    /// Bytes that a connection buffers below the queues, at each end and in each direction. The kernel, which is asked
    /// for so many, holds about twice as many, and the engine itself once. Default 0: the kernel decides by what goes on,
    /// and may hold several MiB.
    pub buffer: usize,
}

/// What a socket in the real world has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketStats {
    /// What its machine has counted.
    pub machine: Stats,
    /// Times that looking before sleeping paid.
    pub spins_paid: u64,
    /// Times that it did not.
    pub spins_failed: u64,
    /// Times that the system refused a connection to a listener, for want of descriptors or memory.
    pub accepts_failed: u64,
    /// Connections that had not greeted and made way for newer ones.
    pub half_open_evicted: u64,
    /// Closed connections whose peers had not left after a second, and that were cut.
    pub farewells_cut: u64,
    /// News that nobody asked about in time.
    pub events_dropped: u64,
}

/// What wakes peers within the process that sleep.
#[must_use = "they do not wake before the bells sound"]
#[derive(Debug)]
pub struct Bells(Vec<Arc<Bell>>);

/// The program wants its thread back: a signal came and its handler raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted;

/// Why a socket could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// An option is out of its range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The operating system refused.
    #[error("a socket needs two descriptors, and the first one a thread: {0}")]
    System(#[from] io::Error),
}

/// Why an endpoint could not be made.
#[derive(Debug, Error)]
pub enum EndpointError {
    /// The address makes no sense.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The operating system refused.
    #[error("{address}: {error}")]
    System {
        /// The address.
        address: Address,
        /// What it said.
        error: io::Error,
    },
    /// A certificate or a key is not what it should be.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
}

/// # Making and closing
impl Socket {
    /// A socket without endpoints.
    pub fn new(kind: Kind, options: SocketOptions) -> Result<Socket, OpenError> {
        Socket::make(options, |options, seed| sp_proto::Socket::new(kind, options, seed))
    }

    /// A raw socket, for a [`Device`](crate::Device); messages are not sent or received through it otherwise.
    pub fn new_raw(kind: Kind, options: SocketOptions) -> Result<Socket, OpenError> {
        Socket::make(options, |options, seed| sp_proto::Socket::new_raw(kind, options, seed))
    }

    fn make(
        options: SocketOptions,
        machine: impl FnOnce(Options, u64) -> Result<sp_proto::Socket, OptionError>,
    ) -> Result<Socket, OpenError> {
        // Real sockets want ids that no other program can guess; only here does chance come from outside.
        let mut luck = rng_from(entropy());
        let machine = machine(options.machine.clone(), luck.random())?;
        at_least_one("max_connections", options.max_connections)?;
        at_least_one("max_half_open", options.max_half_open)?;
        let poller = Arc::new(Poller::new()?);
        let bell = Arc::new(Bell::new()?);
        hang_bell(&poller, &bell)?;
        let shared = Arc::new(Shared {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            generation: fork::generation(),
            core: Mutex::new(Core::new(machine, poller.clone(), bell.clone(), &options, luck)),
            handover: Condvar::new(),
            news: Condvar::new(),
            poller,
            bell,
        });
        reactor::register(&shared)?;
        let owner = Arc::new(Owner { shared: shared.clone() });
        Ok(Socket { shared, owner })
    }

    /// Listens at `address` for as long as the socket lives; returns the address with its port.
    pub fn listen(&self, address: &str, settings: &EndpointSettings) -> Result<Address, EndpointError> {
        let address: Address = address.parse()?;
        let tls = tls_for_listening(&address, settings.tls.as_ref())?;
        let door = self.shared.core.lock().door();
        // Not under the lock: the address may have to be looked up.
        let listener = match Listener::bind(&address, &door) {
            Ok(listener) => listener,
            Err(error) => return Err(EndpointError::System { address, error }),
        };
        let bound = listener.address().clone();
        let mut core = self.shared.core.lock();
        if core.socket.is_closed() {
            return Err(EndpointError::Closed);
        }
        core.listen(listener, settings, tls).map_err(|error| EndpointError::System { address, error })?;
        self.shared.leave(core);
        Ok(bound)
    }

    /// Keeps a connection to `address` up for as long as the socket lives. Returns at once; a peer that is not there
    /// yet is tried again and again.
    pub fn dial(&self, address: &str, settings: &EndpointSettings) -> Result<(), EndpointError> {
        let address: Address = address.parse()?;
        let tls = tls_for_dialing(&address, settings.tls.as_ref())?;
        let mut core = self.shared.core.lock();
        if core.socket.is_closed() {
            return Err(EndpointError::Closed);
        }
        core.dial(now(), address, settings, tls);
        self.shared.leave(core);
        Ok(())
    }

    /// Closes the socket. Waits up to `flush` for what was sent to be written; returns how many messages were not.
    /// Everyone who waits on the socket is answered with `Closed`. `interrupted` is asked whenever a signal has come; if
    /// it says true nothing more is waited for, but the socket is closed all the same.
    pub fn close(&self, flush: Duration, mut interrupted: impl FnMut() -> bool) -> Result<usize, Interrupted> {
        let deadline = now() + flush;
        let mut core = self.shared.core.lock();
        if core.socket.is_closed() {
            return Ok(0);
        }
        core.socket.close();
        self.shared.notify(&mut core);
        core.flush(now());
        let mut stopped = false;
        while !stopped && !core.is_flushed() && now() < deadline {
            let wait = (deadline - now()).min(Duration::from_millis(5));
            drop(self.shared.lead(core, Some(wait), None));
            stopped = interrupted();
            core = self.shared.core.lock();
        }
        let unsent = core.unsent();
        core.shut(now(), false);
        self.shared.notify(&mut core);
        if stopped { Err(Interrupted) } else { Ok(unsent) }
    }

    /// Closes the socket as if its process had been killed: nothing is flushed, peers see a broken connection.
    pub fn abort(&self) {
        let mut core = self.shared.core.lock();
        core.shut(now(), true);
        self.shared.notify(&mut core);
    }
}

/// # Calls that wait
///
/// `interrupted` is asked whenever a signal has come; if it says true the call ends and nothing is lost.
impl Socket {
    /// Sends, waiting until `deadline` if need be.
    pub fn send(
        &self,
        context: ContextId,
        body: Bytes,
        deadline: Option<Time>,
        interrupted: impl FnMut() -> bool,
    ) -> Result<Result<(), OpError>, Interrupted> {
        let core = self.shared.core.lock();
        let submit = |core: &mut Core, now| core.socket.submit_send(now, context, body, deadline);
        self.shared.wait(core, context, submit, interrupted).map(|answer| match answer {
            Answer::Failed(error) => Err(error),
            Answer::Sent | Answer::Received(_) | Answer::Room => Ok(()),
        })
    }

    /// Receives, waiting until `deadline` if need be.
    pub fn recv(
        &self,
        context: ContextId,
        deadline: Option<Time>,
        interrupted: impl FnMut() -> bool,
    ) -> Result<Result<Bytes, OpError>, Interrupted> {
        let mut core = self.shared.core.lock();
        if !core.leader && deadline.is_some_and(|deadline| deadline <= now()) {
            // Not waiting is no reason not to look.
            core.look();
        }
        let submit = |core: &mut Core, now| core.socket.submit_recv(now, context, deadline);
        self.shared.wait(core, context, submit, interrupted).map(|answer| match answer {
            Answer::Received(message) => Ok(message.body),
            Answer::Failed(error) => Err(error),
            Answer::Sent | Answer::Room => Err(OpError::WouldBlock),
        })
    }
}

/// # Waiting for news
impl Socket {
    /// Waits until `count` peers are connected. False if `deadline` came first, or the socket was closed.
    pub fn wait_for_peers(
        &self,
        count: usize,
        deadline: Option<Time>,
        interrupted: impl FnMut() -> bool,
    ) -> Result<bool, Interrupted> {
        self.shared.wait_until(deadline, interrupted, |core| core.peer_count() >= count)
    }

    /// Waits for the next thing that happens to its endpoints and peers. None if `deadline` came first, or the socket
    /// was closed.
    pub fn wait_for_event(
        &self,
        deadline: Option<Time>,
        interrupted: impl FnMut() -> bool,
    ) -> Result<Option<Happening>, Interrupted> {
        let mut found = None;
        self.shared.wait_until(deadline, interrupted, |core| {
            found = core.news.next();
            found.is_some()
        })?;
        Ok(found)
    }
}

/// # Calls that do not wait
impl Socket {
    /// Sends at once, or gives the body, or its copy, back.
    pub fn try_send<'a>(&self, context: ContextId, body: impl Into<Body<'a>>) -> Result<(), (OpError, Bytes)> {
        self.try_send_quietly(context, body).map(Bells::sound)
    }

    /// The same, but peers within the process are not woken before the bells sound: the caller may have a lock to let go
    /// of first that they will want.
    pub fn try_send_quietly<'a>(
        &self,
        context: ContextId,
        body: impl Into<Body<'a>>,
    ) -> Result<Bells, (OpError, Bytes)> {
        let mut core = self.shared.core.lock();
        let now = core.send_time();
        let result = core.try_send_quietly(now, context, body.into()).map(Bells);
        if result.is_err() || !core.is_as_left() {
            self.shared.leave(core);
        }
        result
    }

    /// Receives at once; looks at the descriptors only if nothing has been read ahead.
    pub fn try_recv(&self, context: ContextId) -> Result<Bytes, OpError> {
        let mut core = self.shared.core.lock();
        let mut result = core.take(context);
        if matches!(result, Err(OpError::WouldBlock)) && !core.leader {
            core.look();
            result = core.take(context);
        }
        self.shared.after_recv(core);
        result
    }

    /// Looks for a moment, as a call that waits does before it sleeps, if that has paid lately.
    pub fn recv_soon(&self, context: ContextId) -> Result<Bytes, OpError> {
        let mut core = self.shared.core.lock();
        let Some(look) = (if core.leader { None } else { core.spin.next(true) }) else {
            return Err(OpError::WouldBlock);
        };
        let limit = core.spin.budget();
        (core, _) = self.shared.lead(core, Some(limit), Some(look));
        let result = core.take(context);
        if core.followers > 0 {
            self.shared.handover.notify_one();
        }
        self.shared.after_recv(core);
        result
    }

    /// Receives what is there already, without looking at the descriptors.
    pub fn take(&self, context: ContextId) -> Result<Bytes, OpError> {
        let mut core = self.shared.core.lock();
        let result = core.take(context);
        self.shared.after_recv(core);
        result
    }

    /// The same, where looking at the message is enough; `take` must not use the socket.
    pub fn take_with<R>(&self, context: ContextId, take: impl FnOnce(&[u8]) -> R) -> Result<R, OpError> {
        let mut core = self.shared.core.lock();
        let result = core.take_with(context, take);
        self.shared.after_recv(core);
        result
    }

    /// Sends as many of these as can be sent at once; says how many, and gives back the body it stopped at, with the
    /// reason.
    pub fn try_send_all<'a>(
        &self,
        context: ContextId,
        bodies: impl IntoIterator<Item = impl Into<Body<'a>>>,
    ) -> (u32, Option<(OpError, Bytes)>) {
        let mut core = self.shared.core.lock();
        let result = core.try_send_all(now(), context, bodies);
        if result.1.is_some() || !core.is_as_left() {
            self.shared.leave(core);
        }
        result
    }

    /// Receives what is there already, `limit` messages at most; looks at the descriptors only if there is nothing. What
    /// `take` makes of each comes back; it must not use the socket.
    pub fn try_recv_all<R>(
        &self,
        context: ContextId,
        limit: usize,
        mut take: impl FnMut(&[u8]) -> R,
    ) -> Result<Vec<R>, OpError> {
        let mut core = self.shared.core.lock();
        let mut found = Vec::new();
        let mut stopped = None;
        for looked in [false, true] {
            while found.len() < limit && stopped.is_none() {
                match core.take_with(context, &mut take) {
                    Ok(taken) => found.push(taken),
                    Err(error) => stopped = Some(error),
                }
            }
            if looked || !found.is_empty() || core.leader || stopped != Some(OpError::WouldBlock) {
                break;
            }
            core.look();
            stopped = None;
        }
        self.shared.after_recv(core);
        match stopped {
            Some(error) if found.is_empty() => Err(error),
            _ => Ok(found),
        }
    }

    /// Subscribes to messages that begin with `prefix`; SUB only. Each subscription is counted.
    pub fn subscribe(&self, context: ContextId, prefix: &[u8]) -> Result<(), OpError> {
        self.shared.core.lock().socket.subscribe(now(), context, prefix)
    }

    /// Takes one subscription to `prefix` back.
    pub fn unsubscribe(&self, context: ContextId, prefix: &[u8]) -> Result<(), OpError> {
        self.shared.core.lock().socket.unsubscribe(now(), context, prefix)
    }

    /// Says how long the next surveys of this context run; SURVEYOR only.
    pub fn set_survey_deadline(&self, context: ContextId, span: Duration) -> Result<(), OpError> {
        self.shared.core.lock().socket.set_survey_deadline(context, span)
    }

    /// Sends now or later; collect the answer with [`poll_answers`](Socket::poll_answers).
    pub fn submit_send(&self, context: ContextId, body: Bytes, deadline: Option<Time>) -> Ticket {
        let mut core = self.shared.core.lock();
        let ticket = core.socket.submit_send(now(), context, body, deadline);
        core.settle(now());
        core.flush(now());
        self.shared.leave(core);
        ticket
    }

    /// Sends at once, or gives a ticket that is answered with [`Answer::Room`] when it may be worth trying again; collect
    /// the answer with [`poll_answers`](Socket::poll_answers).
    pub fn send_or_wait(
        &self,
        context: ContextId,
        body: Bytes,
        deadline: Option<Time>,
    ) -> Result<Option<Ticket>, OpError> {
        let mut core = self.shared.core.lock();
        // There may be room that nobody has seen yet: what is held back is written first.
        core.flush(now());
        let result = core.socket.send_or_wait(now(), context, body, deadline);
        core.settle(now());
        core.flush(now());
        self.shared.leave(core);
        result
    }

    /// Receives now or later; collect the answer with [`poll_answers`](Socket::poll_answers).
    pub fn submit_recv(&self, context: ContextId, deadline: Option<Time>) -> Ticket {
        let mut core = self.shared.core.lock();
        core.flush(now());
        core.unripe();
        let ticket = core.socket.submit_recv(now(), context, deadline);
        core.settle(now());
        self.shared.leave(core);
        ticket
    }

    /// Takes an operation back; returns its answer if it already has one.
    pub fn cancel(&self, ticket: Ticket) -> Option<Answer> {
        let mut core = self.shared.core.lock();
        let cancelled = core.socket.cancel(ticket);
        let answer = core.socket.take_answer(ticket);
        if cancelled { None } else { answer }
    }

    /// Gives a message back that was received in `context` but that nobody took.
    pub fn put_back(&self, context: ContextId, body: Bytes) {
        let mut core = self.shared.core.lock();
        core.socket.put_back(now(), context, body);
        self.shared.leave(core);
    }

    /// For an event loop, when [`fileno`](Socket::fileno) is readable: looks at the descriptors without waiting, and
    /// collects the answers to all tickets that were submitted without waiting (what threads wait for in calls is
    /// theirs).
    pub fn poll_answers(&self) -> Vec<(Ticket, Answer)> {
        let mut core = self.shared.core.lock();
        core.look();
        let answers = core.collect_answers();
        self.shared.leave(core);
        answers
    }

    /// An event loop begins, or ceases, to poll [`fileno`](Socket::fileno).
    pub fn attach(&self, attached: bool) {
        let mut core = self.shared.core.lock();
        core.attached = attached;
        self.shared.leave(core);
    }

    /// The descriptor that is readable when there is something to do.
    pub fn fileno(&self) -> RawFd {
        self.shared.poller.as_raw_fd()
    }

    /// Opens another conversation, on the kinds of sockets that hold many.
    pub fn open_context(&self) -> Result<ContextId, OpError> {
        self.shared.core.lock().socket.open_context(now())
    }

    /// Ends a conversation.
    pub fn close_context(&self, context: ContextId) {
        let mut core = self.shared.core.lock();
        core.socket.close_context(now(), context);
        core.settle(now());
        self.shared.leave(core);
    }

    /// Was it made by this process, and not by one that this is a fork of? If not, no other method may be called.
    pub fn is_ours(&self) -> bool {
        self.shared.is_ours()
    }

    /// Which end of which pattern it is.
    pub fn kind(&self) -> Kind {
        self.shared.core.lock().socket.kind()
    }

    /// Is it closed?
    pub fn is_closed(&self) -> bool {
        self.shared.core.lock().socket.is_closed()
    }

    /// Its counters.
    pub fn stats(&self) -> SocketStats {
        let core = self.shared.core.lock();
        SocketStats {
            machine: *core.socket.stats(),
            spins_paid: core.spin.paid,
            spins_failed: core.spin.failed,
            accepts_failed: core.accepts_failed,
            half_open_evicted: core.evicted,
            farewells_cut: core.farewells_cut.load(Ordering::Relaxed),
            events_dropped: core.news.dropped,
        }
    }

    /// The peers whose pipes are up.
    pub fn peers(&self) -> Vec<Peer> {
        let mut core = self.shared.core.lock();
        if !core.leader {
            core.look();
        }
        core.peers()
    }

    /// Its endpoints, with what each has done.
    pub fn endpoints(&self) -> Vec<EndpointReport> {
        self.shared.core.lock().endpoints()
    }

    /// What a pipe has done so far; none if it is gone.
    pub fn pipe_stats(&self, pipe: u32) -> Option<PipeStats> {
        self.shared.core.lock().socket.pipe_stats(PipeId::from_word(pipe))
    }

    /// The next thing that happened to its endpoints and peers, if nobody has asked about it.
    pub fn event(&self) -> Option<Happening> {
        self.shared.core.lock().news.next()
    }

    /// Decides about a peer that [knocks](crate::What::Knocking). False if it does not wait any more.
    pub fn admit(&self, serial: u64, admitted: bool) -> bool {
        let mut core = self.shared.core.lock();
        let waited = core.admit(now(), serial, admitted);
        self.shared.leave(core);
        waited
    }

    /// Why the last attempt to connect failed, if one did.
    pub fn last_dial_error(&self) -> Option<String> {
        self.shared.core.lock().last_dial_error().map(str::to_owned)
    }
}

/// # For devices
impl Socket {
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Both cores, locked in an order that all who lock two keep to.
    pub(crate) fn lock_both<'a>(&'a self, other: &'a Socket) -> (MutexGuard<'a, Core>, MutexGuard<'a, Core>) {
        if self.shared.id < other.shared.id {
            let own = self.shared.core.lock();
            (own, other.shared.core.lock())
        } else {
            let others = other.shared.core.lock();
            (self.shared.core.lock(), others)
        }
    }
}

/// # For people
impl Socket {
    /// Says what is wrong with `operation`, in which state the socket is and what would help.
    pub fn explain(&self, operation: &str, error: &OpError) -> String {
        let core = self.shared.core.lock();
        let kind = core.socket.kind();
        match error {
            OpError::TimedOut | OpError::WouldBlock => {
                let waited_for = match (operation, kind) {
                    ("recv", Kind::Req) => "no reply came in time",
                    ("recv", _) => "no message came in time",
                    _ => "no peer could take the message in time",
                };
                let peers = match (core.socket.pipe_count(), core.last_dial_error()) {
                    (0, Some(error)) => format!("no peer is connected; the last attempt failed: {error}"),
                    (0, None) if core.is_looking_up() => "no peer is connected; a name is being looked up".to_owned(),
                    (0, None) => "no peer is connected".to_owned(),
                    (1, _) => "1 peer is connected".to_owned(),
                    (count, _) => format!("{count} peers are connected"),
                };
                format!("{operation} on a {kind} socket: {waited_for} ({peers})")
            }
            other => format!("{operation} on a {kind} socket: {other}"),
        }
    }
}

impl Bells {
    /// Is there nobody to wake?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Wakes them.
    pub fn sound(self) {
        self.0.iter().for_each(|bell| bell.sound());
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket {} ({} handles)", self.shared.id, Arc::strong_count(&self.owner))
    }
}

impl Default for SocketOptions {
    fn default() -> SocketOptions {
        SocketOptions {
            machine: Options::default(),
            spin: Duration::from_micros(50),
            gather: Duration::from_micros(50),
            max_connections: 16_384,
            max_half_open: 1_024,
            buffer: 0,
        }
    }
}

/// What the handles and the background thread share.
pub(crate) struct Shared {
    pub(crate) id: u64,
    generation: u64,
    pub(crate) core: Mutex<Core>,
    handover: Condvar,
    /// Something happened that somebody may be waiting to hear.
    news: Condvar,
    pub(crate) poller: Arc<Poller>,
    bell: Arc<Bell>,
}

/// Closes the socket when the last handle goes; the background thread holds none.
struct Owner {
    shared: Arc<Shared>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        if !self.shared.is_ours() {
            // Its parts may be in the middle of a change by a thread that only the parent has.
            std::mem::forget(self.shared.clone());
            return;
        }
        let mut core = self.shared.core.lock();
        if !core.socket.is_closed() {
            core.flush(now());
        }
        core.shut(now(), false);
        drop(core);
        reactor::forget(self.shared.id);
    }
}

impl Shared {
    /// Waits until something holds. False if `deadline` came first.
    fn wait_until(
        &self,
        deadline: Option<Time>,
        mut interrupted: impl FnMut() -> bool,
        mut holds: impl FnMut(&mut Core) -> bool,
    ) -> Result<bool, Interrupted> {
        let mut core = self.core.lock();
        let mut checked = now();
        loop {
            if holds(&mut core) {
                self.leave(core);
                return Ok(true);
            }
            let present = now();
            if deadline.is_some_and(|deadline| deadline <= present) || core.socket.is_closed() {
                self.leave(core);
                return Ok(false);
            }
            if present - checked >= SIGNAL_CHECK {
                drop(core);
                if interrupted() {
                    return Err(Interrupted);
                }
                checked = now();
                core = self.core.lock();
                continue;
            }
            let left = deadline.map_or(SIGNAL_CHECK, |deadline| (deadline - present).min(SIGNAL_CHECK));
            // Whoever else looks after the socket sees it happen.
            self.leave(core);
            core = self.core.lock();
            self.news.wait_for(&mut core, left);
        }
    }

    fn is_ours(&self) -> bool {
        self.generation == fork::generation()
    }

    /// Waits for an operation.
    fn wait<'a>(
        &'a self,
        mut core: MutexGuard<'a, Core>,
        context: ContextId,
        submit: impl FnOnce(&mut Core, Time) -> Ticket,
        mut interrupted: impl FnMut() -> bool,
    ) -> Result<Answer, Interrupted> {
        let mut checked = now();
        core.flush(checked);
        core.gather.reset();
        core.unripe();
        let ticket = submit(&mut core, checked);
        core.settle(checked);
        if let Some(answer) = core.take_answer(ticket) {
            self.leave(core);
            return Ok(answer);
        }
        core.awaited.push(ticket);
        let result = loop {
            if let Some(answer) = core.take_answer(ticket) {
                break Ok(answer);
            }
            let signalled = if core.leader {
                core.followers += 1;
                let timed_out = self.handover.wait_for(&mut core, SIGNAL_CHECK).timed_out();
                core.followers -= 1;
                timed_out
            } else {
                let signalled;
                // Otherwise the background thread nudges whoever waits long: a time-out would cost each short wait some
                // microseconds.
                let limit = (core.care == Care::Watched).then_some(LONGEST_WAIT);
                let may_yield = core.is_within();
                let look = core.spin.next(may_yield);
                (core, signalled) = self.lead(core, limit, look);
                signalled
            };
            // A signal between two waits interrupts none of them.
            if !core.can_answer(ticket) && (signalled || now() - checked >= SIGNAL_CHECK) {
                drop(core);
                let stops = interrupted();
                core = self.core.lock();
                checked = now();
                if stops {
                    if !core.socket.cancel(ticket)
                        && let Some(Answer::Received(message)) = core.take_answer(ticket)
                    {
                        core.socket.put_back(now(), context, message.body);
                    }
                    core.take_answer(ticket);
                    break Err(Interrupted);
                }
            }
        };
        core.awaited.retain(|other| *other != ticket);
        // The next one to wait takes the lead.
        if core.followers > 0 && !core.leader {
            self.handover.notify_one();
        }
        self.leave(core);
        result
    }

    /// Polls for everyone until something is ready or due; also says whether a signal came.
    fn lead<'a>(
        &'a self,
        mut core: MutexGuard<'a, Core>,
        limit: Option<Duration>,
        look: Option<Look>,
    ) -> (MutexGuard<'a, Core>, bool) {
        let begun = now();
        let due = core.next_timeout().map(|due| due - begun);
        let timeout = [due, limit].into_iter().flatten().min();
        let within = core.is_within();
        let budget = core.spin.budget();
        core.leader = true;
        core.tidy();
        drop(core);
        let mut ready = Vec::new();
        let end = begun + budget.min(timeout.unwrap_or(budget));
        let mut outcome = None;
        let mut result = Ok(());
        if let Some(look) = look {
            (result, outcome) = self.look(look, end, within, &mut ready);
        }
        if ready.is_empty() && result.is_ok() {
            let spent = if look.is_some() { budget } else { Duration::ZERO };
            result = self.poller.wait(&mut ready, timeout.map(|whole| whole.saturating_sub(spent)));
        }
        let mut core = self.core.lock();
        core.leader = false;
        let present = now();
        if let (Some(look), Some(outcome)) = (look, outcome) {
            let robbed = outcome == Outcome::Paid && present >= end + PATIENCE;
            core.spin.learn(look, if robbed { Outcome::Robbed } else { outcome });
        }
        core.turn(present, &ready);
        if core.followers > 0 && core.has_answers() {
            self.handover.notify_all();
        }
        if core.news.take_notice() {
            self.news.notify_all();
        }
        let signalled = result.is_err();
        (core, signalled)
    }

    /// Looks until something is ready or `end` has come. `within`: only this process has anything to say, and it rings.
    /// Also says how it went; what is there at the first glance would have been met by a sleeper, too.
    fn look(&self, look: Look, end: Time, within: bool, ready: &mut Vec<Ready>) -> (io::Result<()>, Option<Outcome>) {
        let mut outcome = None;
        let mut result = Ok(());
        let pulled = self.bell.watch();
        while !pulled && !self.bell.is_seen() {
            if !within {
                result = self.poller.wait(ready, Some(Duration::ZERO));
                if !ready.is_empty() || result.is_err() {
                    break;
                }
            }
            let present = now();
            if present >= end {
                outcome = Some(if present < end + PATIENCE { Outcome::Failed } else { Outcome::Robbed });
                break;
            }
            outcome = Some(Outcome::Paid);
            match look {
                Look::Spin => std::hint::spin_loop(),
                Look::Yield => std::thread::yield_now(),
            }
        }
        if self.bell.end_watch() {
            ready.push(Ready { token: BELL, read: true, write: false });
        }
        (result, outcome)
    }

    /// After a message was taken: goes on reading pipes that were paused, if there are any.
    fn after_recv(&self, mut core: MutexGuard<'_, Core>) {
        if core.socket.has_resumed() || core.socket.kind().heeds_time() {
            core.settle(now());
        } else if core.is_as_left() {
            return;
        }
        self.leave(core);
    }

    /// Ends a call: wakes whom it answered, and sees that somebody looks after the socket.
    pub(crate) fn leave(&self, mut core: MutexGuard<'_, Core>) {
        self.notify(&mut core);
        let care = core.care;
        if care == Care::Led && !core.leader && !core.attached {
            core.care = Care::Warm;
        }
        let to_warm = core.care != care;
        let starts_burst = !core.bursting && core.gather.due().is_some();
        core.bursting |= starts_burst;
        let due = core.next_timeout();
        let earlier = match (due, core.known_due) {
            (Some(due), Some(known)) => due < known,
            (Some(_), None) => true,
            (None, _) => false,
        };
        // Whoever leads knows for how long; it is rung if that has changed.
        let tell_due = earlier && !core.leader;
        if tell_due {
            core.known_due = due;
        }
        let ring_leader = earlier && core.leader;
        drop(core);
        if ring_leader {
            self.bell.ring();
        }
        if to_warm || starts_burst || tell_due {
            reactor::notice(self.id, to_warm, starts_burst, if tell_due { due } else { None });
        }
    }

    /// Wakes those whose tickets were answered by somebody else.
    pub(crate) fn notify(&self, core: &mut Core) {
        if core.news.take_notice() {
            self.news.notify_all();
        }
        if core.has_answers() || core.socket.is_closed() {
            if core.leader || core.attached {
                self.bell.ring();
            }
            if core.followers > 0 {
                self.handover.notify_all();
            }
        }
    }

    /// Makes the leader's wait return, because a signal may have come just before it.
    pub(crate) fn nudge(&self) {
        self.bell.ring();
    }

    /// The background thread's turn: deals with what is ready.
    pub(crate) fn tend(&self, core: &mut Core) {
        core.look();
        core.tidy();
        self.notify(core);
    }
}

fn at_least_one(name: &'static str, value: usize) -> Result<(), OptionError> {
    if value >= 1 { Ok(()) } else { Err(OptionError { name, value: value.to_string(), allowed: "1 or more" }) }
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);
/// The longest time in one wait, for the sake of a signal that came just before it.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_millis(250);
/// How much longer than it should a look may take, or others have robbed it of the core.
const PATIENCE: Duration = Duration::from_micros(100);
/// How often a thread that waits for another one's poll looks for signals.
const SIGNAL_CHECK: Duration = Duration::from_millis(25);
