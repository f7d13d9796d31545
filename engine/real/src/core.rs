//! What a socket's lock protects: its machine, its endpoints and its connections.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;
use rand_pcg::Pcg64Mcg;
use slab::Slab;
use sp_proto::{
    Address, Answer, Attachment, ContextId, Dialer, DialerState, DownReason, Kind, OpError, PeerFault, PipeId, Refused,
    Socket, Ticket, Time, Timers,
};

use crate::bell::Bell;
use crate::body::Body;
use crate::clock;
use crate::connection::{Connection, Found, Peer, Phase};
use crate::endpoint::{Endpoint, EndpointReport, EndpointSettings, Role};
use crate::farewell::Farewell;
use crate::gather::Gather;
use crate::news::{Happening, News, What};
use crate::poller::{Interest, Poller, Ready};
use crate::reactor;
use crate::resolver::Lookups;
use crate::socket::SocketOptions;
use crate::spin::Spin;
use crate::transport::{self, Door, Listener, Place, Stream, tls};

/// The machine and everything around it.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) socket: Socket,
    pub(crate) spin: Spin,
    pub(crate) gather: Gather,
    /// Somebody is polling for everyone: a thread in a call, or an event loop.
    pub(crate) leader: bool,
    /// An event loop polls the socket's descriptor.
    pub(crate) attached: bool,
    /// Threads that wait for the leader.
    pub(crate) followers: usize,
    /// Who looks after the socket when no call does.
    pub(crate) care: Care,
    /// The timeout that the background thread knows of.
    pub(crate) known_due: Option<Time>,
    /// When somebody last looked at the descriptors.
    pub(crate) last_turn: Time,
    /// The background thread looks after the tails of bursts.
    pub(crate) bursting: bool,
    poller: Arc<Poller>,
    door: Door,
    luck: Pcg64Mcg,
    endpoints: Slab<Endpoint>,
    connections: Slab<Connection>,
    /// Which connection a pipe belongs to, by the pipe's slot.
    carriers: Vec<Option<usize>>,
    /// Connections with messages of a burst that are encoded, but not written yet.
    held: Vec<usize>,
    /// Connections whose buffer in the kernel was full when they were last written to, the longest first, and when one
    /// of them was last tried again.
    stuck: VecDeque<usize>,
    pressed: Time,
    /// A connection with messages that the machine has not been told of: whoever calls next can take them.
    ripe: Option<usize>,
    /// Connections that have not greeted yet.
    handshakes: Timers<usize>,
    /// Endpoints at which something failed, until it is tried again.
    retries: Timers<usize>,
    pub(crate) accepts_failed: u64,
    /// Connections that had not greeted and made way for newer ones.
    pub(crate) evicted: u64,
    /// Closed connections whose peers took too long to close as well.
    pub(crate) farewells_cut: Arc<AtomicU64>,
    /// What happened, for whoever wants to know.
    pub(crate) news: News,
    max_half_open: usize,
    max_connections: usize,
    next_serial: u64,
    /// A connection has gone since [`tidy`](Core::tidy).
    untidy: bool,
    /// Connections within the process; they ring instead of being polled.
    inproc: Vec<usize>,
    has_inproc_listener: bool,
    /// Bells of sockets of this process that have to sound.
    bells: Vec<Arc<Bell>>,
    /// They wait until the lock is free.
    quiet: bool,
    last_dial_error: Option<String>,
    lookups: Arc<Lookups>,
    /// Dialers whose address is being looked up.
    looking_up: usize,
    /// Tickets that threads wait for; an event loop must not take their answers.
    pub(crate) awaited: Vec<Ticket>,
    /// Answers to those that an event loop has come across.
    aside: Vec<(Ticket, Answer)>,
}

/// Who looks after a socket when nobody is in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// The background thread polls its descriptors.
    Watched,
    /// It was used a moment ago; the background thread looks in now and then.
    Warm,
    /// A leader has been there for some time; the background thread sleeps.
    Led,
}

impl Core {
    pub(crate) fn new(
        socket: Socket,
        poller: Arc<Poller>,
        bell: Arc<Bell>,
        options: &SocketOptions,
        luck: Pcg64Mcg,
    ) -> Core {
        Core {
            lookups: Lookups::new(bell.clone()),
            looking_up: 0,
            door: Door { kind: socket.kind(), bell, buffer: options.buffer },
            gather: Gather::new(if gathers(socket.kind()) { options.gather } else { Duration::ZERO }),
            spin: Spin::new(options.spin),
            socket,
            leader: false,
            attached: false,
            followers: 0,
            care: Care::Warm,
            known_due: None,
            last_turn: Time::ZERO,
            bursting: false,
            poller,
            luck,
            endpoints: Slab::new(),
            connections: Slab::new(),
            carriers: Vec::new(),
            held: Vec::new(),
            stuck: VecDeque::new(),
            pressed: Time::ZERO,
            ripe: None,
            handshakes: Timers::default(),
            retries: Timers::default(),
            accepts_failed: 0,
            evicted: 0,
            farewells_cut: Arc::default(),
            news: News::default(),
            max_half_open: options.max_half_open,
            max_connections: options.max_connections,
            next_serial: 0,
            untidy: false,
            inproc: Vec::new(),
            has_inproc_listener: false,
            bells: Vec::new(),
            quiet: false,
            last_dial_error: None,
            awaited: Vec::new(),
            aside: Vec::new(),
        }
    }

    /// What a listener of this socket needs.
    pub(crate) fn door(&self) -> Door {
        self.door.clone()
    }

    /// Starts to accept what a listener brings.
    pub(crate) fn listen(
        &mut self,
        listener: Listener,
        settings: &EndpointSettings,
        tls: Option<tls::Config>,
    ) -> io::Result<()> {
        let entry = self.endpoints.vacant_entry();
        match listener.descriptor() {
            Some(descriptor) => self.poller.add(descriptor, LISTENER | entry.key() as u64, Interest::READ)?,
            None => self.has_inproc_listener = true,
        }
        entry.insert(Endpoint::listener(listener, settings, tls));
        Ok(())
    }

    /// Starts to keep a connection up.
    pub(crate) fn dial(&mut self, now: Time, address: Address, settings: &EndpointSettings, tls: Option<tls::Config>) {
        let dialer = Dialer::new(now, self.socket.options(), self.luck.random());
        let key = self.endpoints.insert(Endpoint::dialer(dialer, address, settings, tls));
        self.connect(now, key);
        self.settle(now);
    }

    /// It has peers, and all are within this process.
    pub(crate) fn is_within(&self) -> bool {
        !self.inproc.is_empty() && self.inproc.len() == self.connections.len()
    }

    /// Looks at the descriptors without waiting.
    pub(crate) fn look(&mut self) {
        let mut ready = Vec::new();
        // A signal is looked at by whoever waits.
        let _ = self.poller.wait(&mut ready, Some(Duration::ZERO));
        self.turn(clock::now(), &ready);
    }

    /// Deals with descriptors that are ready, and with all that follows from it.
    pub(crate) fn turn(&mut self, now: Time, ready: &[Ready]) {
        self.last_turn = now;
        for event in ready {
            let key = (event.token & KEY) as usize;
            match event.token & !KEY {
                LISTENER => self.accept(now, key),
                CONNECTION => self.handle_ready(now, key, event),
                _ => self.answer_bell(now),
            }
        }
        self.settle(now);
    }

    /// Deals with what is due and with what the machine wants.
    pub(crate) fn settle(&mut self, now: Time) {
        if self.socket.poll_timeout().is_some_and(|due| due <= now) {
            self.socket.handle_timeout(now);
        }
        while let Some((_, key)) = self.retries.pop(now) {
            self.retry(now, key);
        }
        while let Some((_, key)) = self.handshakes.pop(now) {
            if self.connections.get(key).is_some_and(|connection| !matches!(connection.phase, Phase::Up(_))) {
                self.drop_connection(now, key, DownReason::Fault(PeerFault::Silent));
            }
        }
        loop {
            if let Some((pipe, reason)) = self.socket.poll_disconnect() {
                match self.carrier(pipe) {
                    Some(key) => self.drop_connection(now, key, reason),
                    None => self.socket.detach(now, pipe, reason),
                }
            } else if let Some(pipe) = self.socket.poll_resumed() {
                if let Some(key) = self.carrier(pipe) {
                    self.connections[key].resume();
                    self.read(now, key);
                }
            } else if self.has_output() && self.gather.due().is_none_or(|due| due <= now) {
                self.flush(now);
            } else {
                return;
            }
        }
    }

    /// Sends at once or not at all.
    pub(crate) fn try_send(&mut self, now: Time, context: ContextId, body: Body<'_>) -> Result<(), (OpError, Bytes)> {
        self.hand_over(now, context, body)?;
        self.handed_over(now, 1);
        Ok(())
    }

    /// The same, but for the bells: they must sound.
    pub(crate) fn try_send_quietly(
        &mut self,
        now: Time,
        context: ContextId,
        body: Body<'_>,
    ) -> Result<Vec<Arc<Bell>>, (OpError, Bytes)> {
        self.quiet = true;
        let result = self.try_send(now, context, body);
        self.quiet = false;
        let bells = std::mem::take(&mut self.bells);
        match result {
            Ok(()) => Ok(bells),
            Err(refused) => {
                bells.iter().for_each(|bell| bell.sound());
                Err(refused)
            }
        }
    }

    /// Encodes a small body past the machine's queue, if it lets it pass.
    fn pass_out(&mut self, now: Time, body: &[u8]) -> bool {
        if body.len() > SMALL_BODY {
            return false;
        }
        let (carriers, connections) = (&self.carriers, &self.connections);
        let most = self.socket.options().send_queue;
        let carrier = |pipe: PipeId| carriers.get(pipe.slot()).copied().flatten();
        let takes = |pipe| carrier(pipe).is_some_and(|key| connections[key].takes(most));
        let Some(pipe) = self.socket.pass_out(now, body.len(), takes) else {
            return false;
        };
        if let Some(key) = self.carrier(pipe) {
            self.hold(key);
            self.connections[key].hold(body);
        }
        true
    }

    /// Something is encoded for a connection, or will be at once, that is written with the next flush.
    fn hold(&mut self, key: usize) {
        if !std::mem::replace(&mut self.connections[key].held, true) {
            self.held.push(key);
        }
    }

    /// The same for many, in order; says how many were sent, and gives back the body it stopped at, with the reason.
    pub(crate) fn try_send_all<'a>(
        &mut self,
        now: Time,
        context: ContextId,
        bodies: impl IntoIterator<Item = impl Into<Body<'a>>>,
    ) -> (u32, Option<(OpError, Bytes)>) {
        let mut sent = 0;
        let stopped = bodies.into_iter().find_map(|body| {
            let refused = self.hand_over(now, context, body.into()).err();
            sent += u32::from(refused.is_none());
            refused
        });
        if sent > 0 {
            self.handed_over(now, sent);
        }
        (sent, stopped)
    }

    /// The time at which a message is sent.
    pub(crate) fn send_time(&mut self) -> Time {
        if self.socket.kind().heeds_time() {
            return clock::now();
        }
        self.gather.assumed_time().unwrap_or_else(clock::now)
    }

    fn hand_over(&mut self, now: Time, context: ContextId, body: Body<'_>) -> Result<(), (OpError, Bytes)> {
        if self.encodes_early() && self.pass_out(now, body.bytes()) {
            return Ok(());
        }
        match self.socket.try_send(now, context, body.into_bytes()) {
            Err((OpError::WouldBlock, body)) => {
                // Perhaps only because messages were held back.
                self.flush(now);
                self.socket.try_send(now, context, body)
            }
            result => result,
        }
    }

    /// The machine has so many more messages.
    fn handed_over(&mut self, now: Time, count: u32) {
        if self.gather.must_write(now, count) || (self.encodes_early() && self.encode(now)) {
            self.flush(now);
        } else if self.carriers.len() > SMALL_CROWD {
            self.gather.queued(clock::now());
        }
        if self.socket.has_disconnects() {
            self.settle(now);
        }
    }

    /// Are messages encoded one by one while they are gathered? The memory of each is then free again for the next, which
    /// still has it near. Messages to many are rather encoded for one peer after the other.
    fn encodes_early(&self) -> bool {
        self.socket.kind() == Kind::Push
    }

    /// Encodes what the machine has to transmit. Says whether it is much.
    fn encode(&mut self, now: Time) -> bool {
        let mut much = false;
        while let Some(pipe) = self.socket.poll_output() {
            if let Some(key) = self.carrier(pipe) {
                self.hold(key);
                much |= self.connections[key].gather(now, &mut self.socket);
            }
        }
        much
    }

    /// Receives what has been read.
    pub(crate) fn take(&mut self, context: ContextId) -> Result<Bytes, OpError> {
        self.gather.reset();
        while let Some(key) = self.ripe {
            let now = self.last_turn;
            match self.connections[key].pass(now, &mut self.socket) {
                Some(body) => return Ok(body),
                // It rings once, whatever there is.
                None if self.connections[key].is_inproc() => self.read(now, key),
                None => self.unripe(),
            }
        }
        let now = if self.socket.kind().heeds_time() { clock::now() } else { self.last_turn };
        self.socket.try_recv(now, context)
    }

    /// The same, where looking at the body is enough.
    pub(crate) fn take_with<R>(&mut self, context: ContextId, take: impl FnOnce(&[u8]) -> R) -> Result<R, OpError> {
        let take = match self.ripe {
            Some(key) => match self.connections[key].lend(self.last_turn, &mut self.socket, take) {
                Ok(taken) => {
                    self.gather.reset();
                    return Ok(taken);
                }
                Err(take) => take,
            },
            None => take,
        };
        self.take(context).map(|body| take(&body))
    }

    /// Tells the machine of messages that were left for the program to take. To be called before anybody waits for one.
    pub(crate) fn unripe(&mut self) {
        let Some(key) = self.ripe.take() else {
            return;
        };
        let now = self.last_turn;
        match self.connections[key].digest(now, &mut self.socket) {
            Ok(()) => self.repoll(now, key),
            Err(reason) => self.drop_connection(now, key, reason),
        }
    }

    /// Is there nothing to tell those who wait, or whoever looks after the socket? So it is after most calls.
    pub(crate) fn is_as_left(&self) -> bool {
        let looked_after = self.care != Care::Led || self.leader || self.attached;
        let gathers = self.gather.due().is_none() || self.bursting;
        looked_after
            && gathers
            && !self.news.is_fresh()
            && !self.socket.has_answers()
            && !self.socket.kind().heeds_time()
    }

    /// Writes everything that the machine has to transmit.
    pub(crate) fn flush(&mut self, now: Time) {
        let mut wrote = false;
        self.press(now);
        while let Some(key) = self.held.pop() {
            wrote = true;
            if let Some(connection) = self.connections.get_mut(key) {
                connection.held = false;
                self.write(now, key);
            }
        }
        while let Some(pipe) = self.socket.poll_output() {
            wrote = true;
            if let Some(key) = self.carrier(pipe) {
                self.write(now, key);
            }
        }
        self.gather.wrote(now, if wrote { clock::now() } else { now });
    }

    /// Tries again to write where the kernel's buffer was full. The kernel says that there is room when three quarters
    /// are free, and it says so to a thread that may have to wait until this one leaves it the processor: by then the peer
    /// may have nothing left to read.
    fn press(&mut self, now: Time) {
        if self.stuck.is_empty() || now - self.pressed < PRESS_PAUSE {
            return;
        }
        self.pressed = now;
        while let Some(key) = self.stuck.pop_front() {
            if let Some(connection) = self.connections.get_mut(key)
                && std::mem::take(&mut connection.stuck)
                && connection.is_blocked()
            {
                connection.unblock();
                return self.write(now, key);
            }
        }
    }

    fn has_output(&self) -> bool {
        self.socket.has_output() || !self.held.is_empty()
    }

    /// The answer that a thread waits for, if it is there.
    pub(crate) fn take_answer(&mut self, ticket: Ticket) -> Option<Answer> {
        match self.aside.iter().position(|(answered, _)| *answered == ticket) {
            Some(place) => Some(self.aside.swap_remove(place).1),
            None => self.socket.take_answer(ticket),
        }
    }

    /// Would [`take_answer`](Core::take_answer) give one?
    pub(crate) fn can_answer(&self, ticket: Ticket) -> bool {
        self.aside.iter().any(|(answered, _)| *answered == ticket) || self.socket.is_answered(ticket)
    }

    /// All answers that no thread waits for.
    pub(crate) fn collect_answers(&mut self) -> Vec<(Ticket, Answer)> {
        let mut answers = Vec::new();
        while let Some((ticket, answer)) = self.socket.poll_answer() {
            let place = if self.awaited.contains(&ticket) { &mut self.aside } else { &mut answers };
            place.push((ticket, answer));
        }
        answers
    }

    /// Are there answers that nobody has taken?
    pub(crate) fn has_answers(&self) -> bool {
        !self.aside.is_empty() || self.socket.has_answers()
    }

    /// Gives back the memory of a crowd that has gone. For moments when there is nothing else to do.
    pub(crate) fn tidy(&mut self) {
        if std::mem::take(&mut self.untidy) && self.connections.capacity() > SMALL_CROWD + 8 * self.connections.len() {
            self.connections.shrink_to_fit();
            self.socket.tidy();
            self.carriers.truncate(self.carriers.iter().rposition(Option::is_some).map_or(0, |last| last + 1));
            self.carriers.shrink_to_fit();
        }
    }

    /// When [`settle`](Core::settle) is due.
    pub(crate) fn next_timeout(&self) -> Option<Time> {
        [self.socket.poll_timeout(), self.retries.next(), self.handshakes.next(), self.gather.due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Is everything written that was sent?
    pub(crate) fn is_flushed(&self) -> bool {
        self.socket.unsent() == 0 && self.connections.iter().all(|(_, connection)| connection.is_flushed())
    }

    /// Messages that were sent and are not, or not wholly, written.
    pub(crate) fn unsent(&self) -> usize {
        self.socket.unsent() + self.connections.iter().map(|(_, connection)| connection.unsent()).sum::<usize>()
    }

    /// Takes down every endpoint and connection. With `abort` as a killed process would; otherwise what the kernel has
    /// taken is still delivered.
    pub(crate) fn shut(&mut self, now: Time, abort: bool) {
        for (_, endpoint) in &mut self.endpoints {
            match &mut endpoint.role {
                Role::Dialer { dialer, .. } => dialer.close(),
                Role::Listener(listener) => {
                    if let Some(descriptor) = listener.descriptor() {
                        self.poller.remove(descriptor);
                    }
                }
            }
        }
        let keys: Vec<usize> = self.connections.iter().map(|(key, _)| key).collect();
        for key in keys {
            if abort {
                self.connections[key].abort();
            }
            self.drop_connection(now, key, DownReason::Closed);
        }
        self.endpoints.clear();
        self.retries = Timers::default();
        self.socket.close();
    }

    /// The peers whose pipes are up.
    pub(crate) fn peers(&self) -> Vec<Peer> {
        self.connections
            .iter()
            .filter(|(_, connection)| matches!(connection.phase, Phase::Up(_)))
            .filter_map(|(_, connection)| Some(connection.peer(&self.endpoints.get(connection.endpoint)?.address)))
            .collect()
    }

    /// How many there are.
    pub(crate) fn peer_count(&self) -> usize {
        self.carriers.iter().flatten().count()
    }

    /// Its endpoints, in the order in which they were made.
    pub(crate) fn endpoints(&self) -> Vec<EndpointReport> {
        self.endpoints.iter().map(|(_, endpoint)| endpoint.report()).collect()
    }

    /// The program has decided about a peer that knocked. Says whether the peer was still waiting.
    pub(crate) fn admit(&mut self, now: Time, serial: u64, admitted: bool) -> bool {
        let knocking = self.connections.iter().find_map(|(key, connection)| match connection.phase {
            Phase::Knocking(peer) if connection.serial == serial => Some((key, peer)),
            _ => None,
        });
        let Some((key, peer)) = knocking else {
            return false;
        };
        if admitted {
            self.attach(now, key, peer);
            self.read(now, key);
        } else {
            self.refuse(now, key, "the program did not admit it".into());
        }
        self.settle(now);
        true
    }

    /// Why the last attempt to connect failed, for error messages.
    pub(crate) fn last_dial_error(&self) -> Option<&str> {
        self.last_dial_error.as_deref()
    }

    /// Is the address of a dialer being looked up?
    pub(crate) fn is_looking_up(&self) -> bool {
        self.looking_up > 0
    }

    fn carrier(&self, pipe: PipeId) -> Option<usize> {
        self.carriers.get(pipe.slot()).copied().flatten()
    }

    fn accept(&mut self, now: Time, key: usize) {
        // A storm of connections must not keep the pipes from being served.
        for _ in 0..ACCEPTS_AT_ONCE {
            let Some(Endpoint { role: Role::Listener(listener), .. }) = self.endpoints.get(key) else {
                return;
            };
            match listener.accept() {
                Ok(Some(mut stream)) => {
                    stream.limit(self.door.buffer);
                    self.take_in(now, stream, key);
                }
                Ok(None) => return,
                Err(error) => {
                    // Most likely there are no descriptors left. The connection is still there, so the listener would be
                    // reported ready again and again: it is not polled for a while.
                    self.accepts_failed += 1;
                    self.tell(What::AcceptFailed, key, None, Some(error.to_string()));
                    self.poll_listener(key, Interest::NONE);
                    self.retries.set(now + ACCEPT_PAUSE, key);
                    return;
                }
            }
        }
    }

    /// A listener has accepted a connection: there are bounds on how many.
    fn take_in(&mut self, now: Time, stream: Stream, key: usize) {
        let endpoint = &mut self.endpoints[key];
        endpoint.stats.attempts += 1;
        if endpoint.connections >= self.max_connections {
            endpoint.stats.refused += 1;
            let limit = self.max_connections;
            let reason =
                format!("the listener already has {limit} connections; max_connections is the option that says so");
            return self.tell(What::Refused, key, None, Some(reason));
        }
        if endpoint.greeting.len() >= self.max_half_open
            && let Some((_, oldest)) = endpoint.greeting.first().copied()
        {
            // Whoever is honest greets at once, and silent ones cannot keep it out.
            self.evicted += 1;
            self.drop_connection(now, oldest, DownReason::Fault(PeerFault::Silent));
        }
        self.begin(now, stream, key, Phase::Greeting);
    }

    fn poll_listener(&mut self, key: usize, interest: Interest) {
        if let Some(Endpoint { role: Role::Listener(listener), .. }) = self.endpoints.get(key)
            && let Some(descriptor) = listener.descriptor()
        {
            // It fails only if the descriptor is not polled at all, and then it is never reported.
            let _ = self.poller.modify(descriptor, LISTENER | key as u64, interest);
        }
    }

    /// It is time to try again what failed at an endpoint.
    fn retry(&mut self, now: Time, key: usize) {
        match self.endpoints.get(key).map(|endpoint| &endpoint.role) {
            Some(Role::Listener(_)) => {
                self.poll_listener(key, Interest::READ);
                self.accept(now, key);
            }
            Some(Role::Dialer { .. }) => self.connect(now, key),
            None => {}
        }
    }

    fn connect(&mut self, now: Time, key: usize) {
        let Some(endpoint) = self.endpoints.get_mut(key) else {
            return;
        };
        let Role::Dialer { dialer, .. } = &mut endpoint.role else {
            return;
        };
        if !dialer.poll_connect(now) {
            return;
        }
        endpoint.stats.attempts += 1;
        match transport::literal(&endpoint.address) {
            Some(place) => self.connect_to(now, key, &place),
            None => {
                self.looking_up += 1;
                self.lookups.ask(key, endpoint.address.clone());
            }
        }
    }

    /// Addresses have been looked up.
    fn go_on_connecting(&mut self, now: Time) {
        for answer in self.lookups.collect() {
            self.looking_up -= 1;
            let key = answer.endpoint;
            let Some(Endpoint { role: Role::Dialer { attempts, .. }, .. }) = self.endpoints.get_mut(key) else {
                continue;
            };
            match answer.places {
                Ok(places) => {
                    let place = places[*attempts % places.len()];
                    *attempts += 1;
                    self.connect_to(now, key, &Place::Network(place));
                }
                Err(error) => self.fail(now, key, error.to_string()),
            }
        }
    }

    fn connect_to(&mut self, now: Time, key: usize, place: &Place) {
        match Stream::dial(place, &self.door) {
            Ok(mut stream) => {
                stream.limit(self.door.buffer);
                let phase = if matches!(place, Place::Network(_)) { Phase::Connecting } else { Phase::Greeting };
                self.begin(now, stream, key, phase);
            }
            Err(error) => self.fail(now, key, error.to_string()),
        }
    }

    /// A dialer's attempt came to nothing.
    fn fail(&mut self, now: Time, key: usize, reason: String) {
        if let Some(endpoint) = self.endpoints.get_mut(key) {
            endpoint.stats.failed += 1;
            endpoint.last_error = Some(reason.clone());
            self.last_dial_error = Some(format!("{}: {reason}", endpoint.address));
        }
        self.tell(What::DialFailed, key, None, Some(reason));
        self.redial(now, key);
    }

    /// A dialer's attempt failed, or its connection went down.
    fn redial(&mut self, now: Time, key: usize) {
        if let Some(Endpoint { role: Role::Dialer { dialer, .. }, .. }) = self.endpoints.get_mut(key) {
            dialer.handle_down(now);
            if let DialerState::Waiting { until } = dialer.state() {
                self.retries.set(until, key);
            }
        }
    }

    fn begin(&mut self, now: Time, stream: Stream, key: usize, phase: Phase) {
        let deadline = now + self.socket.options().handshake_timeout;
        let endpoint = &mut self.endpoints[key];
        let (kind, max_message) = (self.socket.kind(), self.socket.options().max_message);
        let seed = self.luck.random();
        let session = || endpoint.session(kind, max_message, seed);
        self.next_serial += 1;
        let connection = match Connection::new(stream, key, phase, deadline, self.next_serial, session) {
            Ok(connection) => connection,
            Err(fault) => return self.fail(now, key, fault.to_string()),
        };
        let is_inproc = connection.is_inproc();
        let place = self.connections.insert(connection);
        endpoint.connections += 1;
        endpoint.greeting.insert((deadline, place));
        self.handshakes.set(deadline, place);
        if is_inproc {
            self.inproc.push(place);
        }
        if phase == Phase::Greeting {
            self.write(now, place);
            self.read(now, place);
        } else {
            self.repoll(now, place);
        }
    }

    fn handle_ready(&mut self, now: Time, key: usize, event: &Ready) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if connection.phase == Phase::Connecting {
            if !event.write {
                return;
            }
            if let Err(error) = connection.finish_connecting() {
                return self.part(now, key, DownReason::Lost, Some(error.to_string()));
            }
            return self.write(now, key);
        }
        if event.write && connection.is_blocked() {
            connection.unblock();
            self.write(now, key);
        }
        if event.read {
            self.read(now, key);
        }
    }

    /// A connection within the process has something for us, or an address has been looked up.
    fn answer_bell(&mut self, now: Time) {
        self.door.bell.silence();
        self.go_on_connecting(now);
        if self.has_inproc_listener {
            let listeners: Vec<usize> = self
                .endpoints
                .iter()
                .filter(|(_, endpoint)| matches!(endpoint.role, Role::Listener(Listener::Inproc(_))))
                .map(|(key, _)| key)
                .collect();
            for key in listeners {
                self.accept(now, key);
            }
        }
        for key in self.inproc.clone() {
            self.read(now, key);
            self.write(now, key);
        }
    }

    fn read(&mut self, now: Time, key: usize) {
        self.ripe.take_if(|ripe| *ripe == key);
        while let Some(connection) = self.connections.get_mut(key) {
            match SCRATCH.with_borrow_mut(|scratch| connection.read(now, &mut self.socket, scratch)) {
                Ok(Found::Greeting(peer)) => self.greet(now, key, peer),
                Ok(Found::Nothing) => {
                    if connection.is_ripe() {
                        self.ripe = Some(key);
                    }
                    return self.repoll(now, key);
                }
                Err(reason) => return self.drop_connection(now, key, reason),
            }
        }
    }

    fn write(&mut self, now: Time, key: usize) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let written =
            if connection.is_blocked() { Ok(()) } else { connection.write(now, &mut self.socket, &mut self.bells) };
        if !self.quiet {
            self.bells.drain(..).for_each(|bell| bell.sound());
        }
        if connection.is_blocked() && !std::mem::replace(&mut connection.stuck, true) {
            self.stuck.push_back(key);
        }
        if let Err(reason) = written {
            // What the peer said before it left may still be unread.
            let heard = SCRATCH.with_borrow_mut(|scratch| connection.read(now, &mut self.socket, scratch));
            return self.drop_connection(now, key, heard.err().unwrap_or(reason));
        }
        self.repoll(now, key);
    }

    /// The peer has greeted. The program may want to be asked about it.
    fn greet(&mut self, now: Time, key: usize, peer: u16) {
        let connection = &mut self.connections[key];
        if self.endpoints.get(connection.endpoint).is_some_and(|endpoint| endpoint.asks) {
            connection.phase = Phase::Knocking(peer);
            let endpoint = connection.endpoint;
            self.tell(What::Knocking, endpoint, Some(key), None);
        } else {
            self.attach(now, key, peer);
        }
    }

    /// Both sides have greeted.
    fn attach(&mut self, now: Time, key: usize, peer: u16) {
        let connection = &mut self.connections[key];
        let Some(endpoint) = self.endpoints.get_mut(connection.endpoint) else {
            return self.drop_connection(now, key, DownReason::Closed);
        };
        match self.socket.attach(now, Attachment { peer, endpoint: endpoint.options }) {
            Ok(pipe) => {
                self.handshakes.cancel(connection.deadline, key);
                endpoint.greeting.remove(&(connection.deadline, key));
                endpoint.stats.pipes_up += 1;
                endpoint.last_error = None;
                if let Role::Dialer { dialer, .. } = &mut endpoint.role {
                    dialer.handle_up(now);
                }
                connection.phase = Phase::Up(pipe);
                if self.carriers.len() <= pipe.slot() {
                    self.carriers.resize(pipe.slot() + 1, None);
                }
                self.carriers[pipe.slot()] = Some(key);
                let endpoint = connection.endpoint;
                self.tell(What::Up, endpoint, Some(key), None);
            }
            Err(Refused::Peer(fault)) => self.drop_connection(now, key, DownReason::Fault(fault)),
            Err(refused @ (Refused::TooManyPipes(_) | Refused::Occupied | Refused::Closed)) => {
                self.refuse(now, key, refused.to_string());
            }
        }
    }

    /// A peer is not wanted.
    fn refuse(&mut self, now: Time, key: usize, reason: String) {
        let endpoint = self.connections[key].endpoint;
        if let Some(endpoint) = self.endpoints.get_mut(endpoint) {
            endpoint.stats.refused += 1;
        }
        self.tell(What::Refused, endpoint, Some(key), Some(reason.clone()));
        self.part(now, key, DownReason::Closed, Some(reason));
    }

    fn drop_connection(&mut self, now: Time, key: usize, reason: DownReason) {
        self.part(now, key, reason, None);
    }

    /// Ends a connection. `words` say why, if they say more than `reason`.
    fn part(&mut self, now: Time, key: usize, reason: DownReason, words: Option<String>) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        self.ripe.take_if(|ripe| *ripe == key);
        if connection.is_ripe() {
            // It ends for some other reason.
            let _ = connection.digest(now, &mut self.socket);
        }
        let (endpoint, phase) = (connection.endpoint, connection.phase);
        let words = words.unwrap_or_else(|| reason.to_string());
        let is_dialer = self.endpoints.get(endpoint).is_some_and(Endpoint::is_dialer);
        match (phase, &reason) {
            (Phase::Up(_), _) => self.tell(What::Down, endpoint, Some(key), Some(words.clone())),
            // A dialer will tell that it has failed.
            (_, DownReason::Fault(_)) if !is_dialer => {
                self.tell(What::Refused, endpoint, Some(key), Some(words.clone()));
            }
            _ => {}
        }
        let mut connection = self.connections.remove(key);
        self.held.retain(|other| *other != key);
        self.stuck.retain(|other| *other != key);
        self.untidy = true;
        let deadline = connection.deadline;
        self.handshakes.cancel(deadline, key);
        if connection.is_inproc() {
            self.inproc.retain(|other| *other != key);
        }
        if connection.polled != Interest::NONE
            && let Some(descriptor) = connection.descriptor()
        {
            self.poller.remove(descriptor);
        }
        connection.hang_up();
        if matches!((phase, &reason), (Phase::Up(_), DownReason::Closed))
            && let Some(carrier) = connection.into_carrier()
            && !SCRATCH.with_borrow_mut(|scratch| carrier.drain(scratch))
        {
            reactor::see_off(Farewell { carrier, cut: self.farewells_cut.clone() });
        }
        if let Some(endpoint) = self.endpoints.get_mut(endpoint) {
            endpoint.connections -= 1;
            endpoint.greeting.remove(&(deadline, key));
            endpoint.stats.pipes_down += u64::from(matches!(phase, Phase::Up(_)));
        }
        match phase {
            Phase::Up(pipe) => {
                self.carriers[pipe.slot()] = None;
                self.socket.detach(now, pipe, reason);
                self.redial(now, endpoint);
            }
            Phase::Connecting | Phase::Greeting | Phase::Knocking(_) => {
                if let DownReason::Fault(fault) = reason {
                    self.socket.handle_fault(fault);
                }
                if is_dialer {
                    self.fail(now, endpoint, words);
                } else if let Some(listener) = self.endpoints.get_mut(endpoint) {
                    listener.stats.failed += 1;
                }
            }
        }
    }

    /// Notes what happened.
    fn tell(&mut self, what: What, endpoint: usize, connection: Option<usize>, reason: Option<String>) {
        let Some(endpoint) = self.endpoints.get(endpoint) else {
            return;
        };
        let connection = connection.and_then(|key| self.connections.get(key));
        self.news.add(Happening {
            what,
            endpoint: endpoint.address.clone(),
            peer: connection.map(|connection| connection.peer(&endpoint.address)),
            serial: connection.map_or(0, |connection| connection.serial),
            reason,
        });
    }

    /// Polls a connection for what it now wants; one that wants nothing is not polled at all, because the end of a
    /// connection would be reported again and again.
    fn repoll(&mut self, now: Time, key: usize) {
        let connection = &mut self.connections[key];
        let wanted = connection.interest();
        if wanted == connection.polled {
            return;
        }
        let token = CONNECTION | key as u64;
        let result = match connection.descriptor() {
            None => Ok(()),
            Some(descriptor) if wanted == Interest::NONE => {
                self.poller.remove(descriptor);
                Ok(())
            }
            Some(descriptor) if connection.polled == Interest::NONE => self.poller.add(descriptor, token, wanted),
            Some(descriptor) => self.poller.modify(descriptor, token, wanted),
        };
        connection.polled = wanted;
        if result.is_err() {
            self.drop_connection(now, key, DownReason::Lost);
        }
    }
}

/// Does it send streams of messages that nobody waits for one by one? Gathering would delay a request.
fn gathers(kind: Kind) -> bool {
    matches!(kind, Kind::Push | Kind::Pub)
}

/// Registers the bell that other threads ring.
pub(crate) fn hang_bell(poller: &Poller, bell: &Bell) -> io::Result<()> {
    poller.add_bell(bell, BELL)
}

const KEY: u64 = u32::MAX as u64;
pub(crate) const BELL: u64 = 0;
const LISTENER: u64 = 1 << 32;
const CONNECTION: u64 = 2 << 32;
const ACCEPTS_AT_ONCE: usize = 64;
/// A write that the kernel refuses takes a microsecond.
const PRESS_PAUSE: Duration = Duration::from_micros(20);
/// How long a listener rests after the system refused it a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// Bytes up to which copying a body is cheaper than keeping account of it.
const SMALL_BODY: usize = 4 << 10;
/// Connections that are always provided for.
const SMALL_CROWD: usize = 64;
const SCRATCH_LEN: usize = 32 << 10;

thread_local! {
    /// Where bytes land first. One for each thread, so that an idle connection holds no buffer.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_LEN]);
}
