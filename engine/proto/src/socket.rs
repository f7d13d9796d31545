//! Sockets: one end of a pattern, as a value.

use std::collections::VecDeque;
use std::mem::offset_of;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rand::RngExt;

use crate::context::ContextId;
use crate::error::{OpError, PeerFault, Refused};
use crate::event::{DownReason, EVENTS_KEPT, Event};
use crate::footprint::Visit;
use crate::message::Message;
use crate::options::{EndpointOptions, OptionError, Options, WhenFull};
use crate::pipe::{PipeId, Pipes};
use crate::protocol::{Io, Kind, Protocol, Wake};
use crate::seed::rng_from;
use crate::stats::{PipeStats, Stats};
use crate::ticket::{Answer, Ticket, WaitingRoom, Want};
use crate::time::Time;

/// A socket. How to use it stands at the top of this crate.
///
/// What every message touches comes first, and what few do comes last: where there are very many sockets, each piece of
/// memory that is looked at costs more than what is done there.
#[derive(Debug)]
#[repr(C)]
pub struct Socket {
    protocol: Box<dyn Protocol>,
    options: Arc<Options>,
    kind: Kind,
    raw: bool,
    closed: bool,
    /// There are disconnects.
    gives_up: bool,
    wake: Wake,
    waiting: WaitingRoom,
    pipes: Pipes,
    stats: Stats,
    disconnects: VecDeque<(PipeId, DownReason)>,
    events: VecDeque<Event>,
}

/// What the world knows of a connection whose two sides have greeted.
#[derive(Clone, Copy, Debug)]
pub struct Attachment {
    /// The peer's endpoint id, from its greeting.
    pub peer: u16,
    /// What the dialer or listener that made it says.
    pub endpoint: EndpointOptions,
}

/// # Made and asked about
impl Socket {
    /// A socket without pipes. The seed decides where its request and pipe ids begin. Many sockets may share their
    /// options.
    pub fn new(kind: Kind, options: impl Into<Arc<Options>>, seed: u64) -> Result<Socket, OptionError> {
        Socket::with(kind, options.into(), seed, Kind::machine)
    }

    /// A raw socket, of which devices are made: its messages have headers, and it keeps no state for any of them. A raw
    /// SUB gets everything; a raw REP drops what a peer does not take, if `when_full` does not say otherwise.
    pub fn new_raw(kind: Kind, options: Options, seed: u64) -> Result<Socket, OptionError> {
        let socket = Socket::with(kind, Arc::new(options), seed, |kind, _, _| kind.raw_machine())?;
        Ok(Socket { raw: true, ..socket })
    }

    fn with(
        kind: Kind,
        options: Arc<Options>,
        seed: u64,
        machine: impl FnOnce(Kind, &Options, u64) -> Box<dyn Protocol>,
    ) -> Result<Socket, OptionError> {
        options.check()?;
        let mut luck = rng_from(seed);
        Ok(Socket {
            kind,
            raw: false,
            protocol: machine(kind, &options, luck.random()),
            pipes: Pipes::new(luck.random()),
            options,
            waiting: WaitingRoom::default(),
            wake: Wake::default(),
            stats: Stats::default(),
            events: VecDeque::new(),
            disconnects: VecDeque::new(),
            closed: false,
            gives_up: false,
        })
    }

    /// Which end of which pattern it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Is it raw?
    pub fn is_raw(&self) -> bool {
        self.raw
    }

    /// Its options.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Its counters.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The counters of one of its pipes, if it is there.
    pub fn pipe_stats(&self, pipe: PipeId) -> Option<PipeStats> {
        self.pipes.get(pipe).map(|pipe| pipe.stats)
    }

    /// How many pipes there are; one whose connection is gone counts until its last message is received.
    pub fn pipe_count(&self) -> usize {
        self.pipes.count()
    }

    /// Messages that wait to be transmitted, over all pipes.
    pub fn unsent(&self) -> usize {
        self.pipes.ids().filter_map(|id| self.pipes.get(id)).map(|pipe| pipe.outbound.len()).sum()
    }
}

/// # What the world tells
impl Socket {
    /// A connection is up and both sides have greeted.
    pub fn attach(&mut self, now: Time, attachment: Attachment) -> Result<PipeId, Refused> {
        if self.closed {
            return Err(Refused::Closed);
        }
        if let Err(fault) = self.kind.accepts(attachment.peer) {
            self.stats.peer_faults += 1;
            return Err(fault.into());
        }
        if self.kind.is_exclusive() && self.stats.pipes_up > self.stats.pipes_down {
            self.stats.refused_pipes += 1;
            return Err(Refused::Occupied);
        }
        if self.pipes.count() >= self.options.max_pipes {
            self.stats.refused_pipes += 1;
            return Err(Refused::TooManyPipes(self.options.max_pipes));
        }
        let Attachment { peer, endpoint } = attachment;
        let when_full = endpoint.when_full.or(self.options.when_full).unwrap_or(match self.kind {
            // One asker that does not listen must not hold up a device.
            Kind::Rep if self.raw => WhenFull::DropNew,
            kind => kind.when_full(),
        });
        let pipe = self.pipes.add(&self.options, endpoint, when_full);
        self.stats.pipes_up += 1;
        self.note(Event::PipeUp { pipe, peer });
        self.tell(now, |protocol, io| protocol.attach(io, pipe));
        Ok(pipe)
    }

    /// A connection is gone. What was waiting on its pipe is dropped and counted; a request that was on its way is sent
    /// again elsewhere.
    pub fn detach(&mut self, now: Time, pipe: PipeId, reason: DownReason) {
        if self.pipes.is_up(pipe) {
            self.part(now, pipe, reason);
        } else {
            self.disconnects.retain(|(other, _)| *other != pipe);
            self.gives_up = !self.disconnects.is_empty();
        }
        self.pipes.release(pipe);
        if !self.wake.is_empty() {
            self.serve(now);
        }
    }

    /// A peer broke a rule before its pipe was attached.
    pub fn handle_fault(&mut self, _fault: PeerFault) {
        self.stats.peer_faults += 1;
    }

    /// May the next message of this pipe be read from the wire? If not, stop reading until
    /// [`poll_resumed`](Socket::poll_resumed) names the pipe.
    pub fn admits(&mut self, pipe: PipeId) -> bool {
        let admits = self.pipes.admits(pipe).unwrap_or(false);
        if !admits {
            self.stats.recv_queue_full += 1;
        }
        admits
    }

    /// A whole message came from the wire, header words in front of its body. Ask [`admits`](Socket::admits) first.
    pub fn handle_message(&mut self, now: Time, pipe: PipeId, wire: Bytes) {
        self.take_in(now, pipe, wire.len(), Message::new(wire));
    }

    /// The same for a message that its sender's socket has put together and that never was bytes on a wire.
    pub fn handle_whole_message(&mut self, now: Time, pipe: PipeId, message: Message) {
        let size = message.len();
        if message.header.len() > 1 {
            let mut wire = BytesMut::with_capacity(size);
            message.put(&mut wire);
            return self.handle_message(now, pipe, wire.freeze());
        }
        self.take_in(now, pipe, size, message);
    }

    /// It is [`poll_timeout`](Socket::poll_timeout), or later.
    pub fn handle_timeout(&mut self, now: Time) {
        self.stats.timeouts += self.waiting.expire(now);
        if self.protocol.next_timeout().is_some_and(|due| due <= now) {
            self.tell(now, |protocol, io| protocol.handle_timeout(io));
        }
    }
}

/// # What the program commands
impl Socket {
    /// Sends at once or not at all; on an error the body comes back.
    pub fn try_send(&mut self, now: Time, context: ContextId, body: Bytes) -> Result<(), (OpError, Bytes)> {
        self.send(now, context, Message::new(body)).map_err(|(error, message)| (error, message.body))
    }

    /// Lets a message of `len` bytes pass without queueing it: does and counts all that [`try_send`](Socket::try_send) and
    /// [`poll_transmit`](Socket::poll_transmit) would, and says on which pipe the body must be transmitted before anything
    /// else is. None if it must be sent in the ordinary way: only PUSH lets messages pass, to a pipe whose queue is empty
    /// and whose connection, as `takes` says, will take it.
    pub fn pass_out(&mut self, now: Time, len: usize, mut takes: impl FnMut(PipeId) -> bool) -> Option<PipeId> {
        if self.raw || self.check_send(len).is_err() || !self.waiting.is_empty() {
            return None;
        }
        self.act(now, |protocol, io| protocol.pass_out(io, len, &mut takes))
    }

    /// Lets a message of `len` bytes from the wire pass to the program without queueing it: does and counts all that
    /// [`handle_message`](Socket::handle_message) and [`try_recv`](Socket::try_recv) would. False if it must go the
    /// ordinary way: only PULL lets messages pass, if it has one pipe, nothing that came before and nobody who waits.
    pub fn pass_in(&mut self, now: Time, pipe: PipeId, len: usize) -> bool {
        let passes = self.passes_in(now, pipe);
        if passes {
            self.pipes.pass_in(pipe, len);
            self.stats.received += 1;
            self.stats.received_bytes += len as u64;
        }
        passes
    }

    /// Would [`pass_in`](Socket::pass_in) let a message pass?
    pub fn passes_in(&mut self, now: Time, pipe: PipeId) -> bool {
        !self.raw
            && !self.closed
            && self.waiting.is_empty()
            && self.act(now, |protocol, io| protocol.passes_in(io, pipe))
    }

    /// The same with a header, on a raw socket.
    pub fn try_send_message(&mut self, now: Time, message: Message) -> Result<(), (OpError, Message)> {
        if !self.raw && !message.header.is_empty() {
            return Err((OpError::State("only a raw socket sends a header"), message));
        }
        if message.header.len() > self.kind.header_words() {
            return Err((OpError::State("the header is longer than any that the protocol has"), message));
        }
        self.send(now, ContextId::DEFAULT, message)
    }

    /// Receives at once or not at all.
    pub fn try_recv(&mut self, now: Time, context: ContextId) -> Result<Bytes, OpError> {
        self.recv(now, context).map(|message| message.body)
    }

    /// The same with the header, if the socket is raw.
    pub fn try_recv_message(&mut self, now: Time) -> Result<Message, OpError> {
        self.recv(now, ContextId::DEFAULT)
    }

    /// Sends, now or later. The ticket may be answered already.
    pub fn submit_send(&mut self, now: Time, context: ContextId, body: Bytes, deadline: Option<Time>) -> Ticket {
        let result = self.send(now, context, Message::new(body));
        self.submit(now, context, result, deadline)
    }

    /// Sends at once, or gives a ticket that is answered with [`Answer::Room`] when it may be worth trying again: for
    /// who must be able to take back a send until the moment it is done.
    pub fn send_or_wait(
        &mut self,
        now: Time,
        context: ContextId,
        body: Bytes,
        deadline: Option<Time>,
    ) -> Result<Option<Ticket>, OpError> {
        match self.try_send(now, context, body) {
            Ok(()) => Ok(None),
            Err((OpError::WouldBlock, _)) if is_over(deadline, now) => {
                self.stats.timeouts += 1;
                Err(OpError::TimedOut)
            }
            Err((OpError::WouldBlock, _)) => {
                self.stats.send_waits += 1;
                Ok(Some(self.waiting.admit(Want::Room { context }, deadline)))
            }
            Err((error, _)) => Err(error),
        }
    }

    /// The same with a header, on a raw socket.
    pub fn submit_send_message(&mut self, now: Time, message: Message, deadline: Option<Time>) -> Ticket {
        let result = self.try_send_message(now, message);
        self.submit(now, ContextId::DEFAULT, result, deadline)
    }

    /// Receives, now or later. The ticket may be answered already.
    pub fn submit_recv(&mut self, now: Time, context: ContextId, deadline: Option<Time>) -> Ticket {
        match self.recv(now, context) {
            Ok(message) => self.waiting.admit_answered(false, Answer::Received(message)),
            Err(OpError::WouldBlock) if is_over(deadline, now) => self.time_out(false),
            Err(OpError::WouldBlock) => {
                let lane = self.protocol.lane(context);
                self.waiting.admit(Want::Recv { context, lane }, deadline)
            }
            Err(error) => self.waiting.admit_answered(false, Answer::Failed(error)),
        }
    }

    /// Takes an operation back. False if it has been answered: then the answer stands, and a message in it must not be
    /// lost.
    pub fn cancel(&mut self, ticket: Ticket) -> bool {
        self.waiting.answer(ticket, Answer::Failed(OpError::Cancelled("by the program")))
    }

    /// Gives a message back that was received in `context` but that nobody took: whoever receives there next gets it.
    /// What has become pointless (a reply when something else was asked since, a request that was answered) is counted
    /// as dropped.
    pub fn put_back(&mut self, now: Time, context: ContextId, body: Bytes) {
        self.put_back_message(now, context, Message::new(body));
    }

    /// The same with the header, if the socket is raw.
    pub fn put_back_message(&mut self, now: Time, context: ContextId, message: Message) {
        self.tell(now, |protocol, io| protocol.put_back(io, context, message));
        // Others may have been waiting longer, but not for this context.
        let lane = self.protocol.lane(context);
        if let Some(ticket) = self.waiting.first_receiver_of(lane, context)
            && let Ok(message) = self.tell(now, |protocol, io| protocol.recv(io, context))
        {
            self.waiting.answer(ticket, Answer::Received(message));
        }
    }

    /// Subscribes to what begins with `prefix`; the empty one is the beginning of everything. Subscribing twice takes
    /// two times [`unsubscribe`](Socket::unsubscribe). On SUB sockets only; the bounds are `max_subscriptions` and
    /// `max_subscription_bytes`.
    pub fn subscribe(&mut self, now: Time, context: ContextId, prefix: &[u8]) -> Result<(), OpError> {
        if self.closed {
            return Err(OpError::Closed);
        }
        self.tell(now, |protocol, io| protocol.subscribe(io, context, prefix))
    }

    /// Takes a subscription back. What has arrived before can still be received.
    pub fn unsubscribe(&mut self, now: Time, context: ContextId, prefix: &[u8]) -> Result<(), OpError> {
        if self.closed {
            return Err(OpError::Closed);
        }
        self.tell(now, |protocol, io| protocol.unsubscribe(io, context, prefix))
    }

    /// Says how long the surveys of this context run from the next one on, in place of the option `survey_deadline`. On
    /// SURVEYOR sockets only.
    pub fn set_survey_deadline(&mut self, context: ContextId, span: Duration) -> Result<(), OpError> {
        if self.closed {
            return Err(OpError::Closed);
        }
        if span.is_zero() {
            return Err(OpError::State("survey_deadline is out of range: 0; allowed: more than zero"));
        }
        self.protocol.set_survey_deadline(context, span)
    }

    /// Opens another conversation on a REQ, REP, SURVEYOR, RESPONDENT or SUB socket.
    pub fn open_context(&mut self, now: Time) -> Result<ContextId, OpError> {
        if self.closed {
            return Err(OpError::Closed);
        }
        if self.raw {
            return Err(OpError::State("a raw socket holds no conversations; its messages carry their headers"));
        }
        self.tell(now, |protocol, io| protocol.open_context(io))
    }

    /// Ends a conversation; whoever waits in it is answered. The default one cannot be closed.
    pub fn close_context(&mut self, now: Time, context: ContextId) {
        if context != ContextId::DEFAULT {
            self.tell(now, |protocol, io| protocol.close_context(io, context));
            self.waiting.answer_context(context, self.protocol.lane(context), &OpError::ContextClosed);
        }
    }

    /// Closes the socket: everyone who waits is answered, and the world must close every connection. What is queued can
    /// still be transmitted, if the world wants to flush before it detaches.
    pub fn close(&mut self) {
        self.closed = true;
        self.waiting.answer_all(&OpError::Closed);
    }

    /// Gives back the memory of pipes that have gone, as far as that is simple. Changes nothing else.
    pub fn tidy(&mut self) {
        self.pipes.tidy();
    }

    /// Is it closed?
    pub fn is_closed(&self) -> bool {
        self.closed
    }
}

/// # What the world asks
impl Socket {
    /// The next ticket that has been answered.
    pub fn poll_answer(&mut self) -> Option<(Ticket, Answer)> {
        self.waiting.poll_answer()
    }

    /// The answer to one ticket, if it is there.
    pub fn take_answer(&mut self, ticket: Ticket) -> Option<Answer> {
        self.waiting.take_answer(ticket)
    }

    /// Is there an answer to this ticket to be taken?
    pub fn is_answered(&self, ticket: Ticket) -> bool {
        self.waiting.is_answered(ticket)
    }

    /// Are there answers to collect?
    pub fn has_answers(&self) -> bool {
        self.waiting.has_answers()
    }

    /// The next pipe that has something new to transmit. It is named once; drain it with
    /// [`poll_transmit`](Socket::poll_transmit), now or when its connection can take more.
    pub fn poll_output(&mut self) -> Option<PipeId> {
        self.pipes.poll_output()
    }

    /// The next message to transmit on a pipe. Taking it makes room for another.
    pub fn poll_transmit(&mut self, now: Time, pipe: PipeId) -> Option<Message> {
        let (message, room_again) = self.pipes.pop_out(pipe)?;
        if room_again {
            self.tell(now, |protocol, io| protocol.writable(io, pipe));
        }
        Some(message)
    }

    /// The next pipe whose connection should be read again.
    pub fn poll_resumed(&mut self) -> Option<PipeId> {
        self.pipes.poll_resumed()
    }

    /// Would [`poll_resumed`](Socket::poll_resumed) name a pipe?
    pub fn has_resumed(&self) -> bool {
        self.pipes.has_resumed()
    }

    /// The next pipe that the socket has given up, and why. Its connection must be closed, and after that
    /// [`detach`](Socket::detach) told; the pipe is down already.
    pub fn poll_disconnect(&mut self) -> Option<(PipeId, DownReason)> {
        if !self.gives_up {
            return None;
        }
        let next = self.disconnects.pop_front();
        self.gives_up = !self.disconnects.is_empty();
        next
    }

    /// Would [`poll_disconnect`](Socket::poll_disconnect) name a pipe?
    pub fn has_disconnects(&self) -> bool {
        self.gives_up
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Would [`poll_output`](Socket::poll_output) name a pipe?
    pub fn has_output(&self) -> bool {
        self.pipes.has_output()
    }

    /// When [`handle_timeout`](Socket::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Time> {
        [self.waiting.next_deadline(), self.protocol.next_timeout()].into_iter().flatten().min()
    }
}

/// # Looked ahead at
impl Socket {
    /// Bytes of the socket that messages touch; the rest is for what happens rarely.
    pub const TOUCHED: usize = offset_of!(Socket, stats) + Stats::TOUCHED;

    /// Visits what the next calls will look at, besides the socket itself and above all on `pipe`: first, at step 0, what
    /// the socket points to, at step 1 what that points to, as far as it is not in one piece with it, and at step 2 the
    /// bodies there; at step 3 the pipe alone, for who finds out late which it is. It changes nothing.
    pub fn footprint(&self, step: usize, pipe: Option<PipeId>, visit: Visit) {
        match step {
            0 => {
                self.protocol.footprint_here(visit);
                self.waiting.footprint(visit);
                self.pipes.footprint(pipe, self.kind != Kind::Req, visit);
            }
            1 => {
                self.protocol.footprint(visit);
                self.pipes.footprint_of_queues(pipe, visit);
            }
            2 => self.protocol.footprint_of_bodies(visit),
            _ => self.pipes.footprint(pipe, self.kind != Kind::Req, visit),
        }
    }

    /// The pipe that it will probably transmit on next, as far as its protocol can tell.
    pub fn likely_pipe(&self) -> Option<PipeId> {
        self.protocol.likely_pipe()
    }
}

impl Socket {
    /// Lets the protocol act, and then everyone who was waiting for what it did.
    fn tell<R>(&mut self, now: Time, act: impl FnOnce(&mut dyn Protocol, &mut Io<'_>) -> R) -> R {
        let result = self.act(now, act);
        if !self.wake.is_empty() {
            self.serve(now);
        }
        result
    }

    fn take_in(&mut self, now: Time, pipe: PipeId, size: usize, message: Message) {
        if let Some(origin) = self.pipes.up_mut(pipe) {
            origin.stats.received += 1;
            origin.stats.received_bytes += size as u64;
            self.tell(now, |protocol, io| protocol.handle_message(io, pipe, message));
        }
    }

    /// Serves waiting tickets, first come first served, until nobody in a woken line can go on.
    fn serve(&mut self, now: Time) {
        if self.waiting.is_empty() && self.wake.spares_all() {
            return self.wake.clear();
        }
        loop {
            if std::mem::take(&mut self.wake.parts) {
                self.take_leave(now);
            }
            if let Some(lane) = self.wake.lanes.pop() {
                while let Some((ticket, context)) = self.waiting.first_receiver(lane as usize) {
                    match self.act(now, |protocol, io| protocol.recv(io, context)) {
                        Err(OpError::WouldBlock) => break,
                        Ok(message) => self.waiting.answer(ticket, Answer::Received(message)),
                        Err(error) => self.waiting.answer(ticket, Answer::Failed(error)),
                    };
                }
            } else if std::mem::take(&mut self.wake.senders) {
                self.serve_senders(now);
            } else if self.wake.is_empty() {
                return;
            }
        }
    }

    /// Parts with pipes that have been given up, and answers those who wait in vain.
    fn take_leave(&mut self, now: Time) {
        let condemned = self.wake.partings.as_mut().map(|partings| std::mem::take(&mut partings.condemned));
        for (pipe, reason) in condemned.into_iter().flatten() {
            self.part(now, pipe, reason.clone());
            self.disconnects.push_back((pipe, reason));
            self.gives_up = true;
        }
        let receivers = self.wake.partings.as_mut().map(|partings| std::mem::take(&mut partings.receivers));
        for (context, error) in receivers.into_iter().flatten() {
            self.waiting.answer_receivers(context, self.protocol.lane(context), &error);
        }
        let senders = self.wake.partings.as_mut().map(|partings| std::mem::take(&mut partings.senders));
        for (context, error) in senders.into_iter().flatten() {
            self.waiting.answer_senders(context, &error);
        }
    }

    /// Most sockets have one line: if its first cannot send, nobody can. In REP each reply waits for its own pipe, so all
    /// are tried.
    fn serve_senders(&mut self, now: Time) {
        let mut place = 0;
        while let Some((ticket, context, message)) = self.waiting.lend_sender(place) {
            match self.act(now, |protocol, io| protocol.send(io, context, message)) {
                Ok(()) => {
                    self.waiting.answer(ticket, Answer::Sent);
                }
                Err((OpError::WouldBlock, message)) => {
                    self.waiting.put_back(ticket, message);
                    if !self.protocol.senders_wait_apart() {
                        return;
                    }
                    place += 1;
                }
                Err((error, _)) => {
                    self.waiting.answer(ticket, Answer::Failed(error));
                }
            }
        }
    }

    /// A pipe goes down; its place is kept until its connection is gone.
    fn part(&mut self, now: Time, pipe: PipeId, reason: DownReason) {
        self.stats.peer_faults += u64::from(matches!(reason, DownReason::Fault(_)));
        self.stats.pipes_down += 1;
        let (unsent, unheard) = self.act(now, |protocol, io| {
            protocol.detach(io, pipe);
            io.pipes.shut(pipe, protocol.outlives_pipe())
        });
        self.stats.dropped_unsent += unsent as u64;
        self.stats.dropped_received += unheard as u64;
        let mut stats = self.pipe_stats(pipe).unwrap_or_default();
        stats.dropped_unsent += unsent as u64;
        self.note(Event::PipeDown { pipe, reason, stats });
    }

    fn act<R>(&mut self, now: Time, act: impl FnOnce(&mut dyn Protocol, &mut Io<'_>) -> R) -> R {
        let mut io =
            Io { now, pipes: &mut self.pipes, options: &self.options, stats: &mut self.stats, wake: &mut self.wake };
        act(&mut *self.protocol, &mut io)
    }

    fn send(&mut self, now: Time, context: ContextId, message: Message) -> Result<(), (OpError, Message)> {
        if let Err(error) = self.check_send(message.body.len()) {
            return Err((error, message));
        }
        self.tell(now, |protocol, io| protocol.send(io, context, message))
    }

    fn recv(&mut self, now: Time, context: ContextId) -> Result<Message, OpError> {
        if self.closed {
            return Err(OpError::Closed);
        }
        self.tell(now, |protocol, io| protocol.recv(io, context))
    }

    /// Makes a ticket of what became of a message.
    fn submit(
        &mut self,
        now: Time,
        context: ContextId,
        result: Result<(), (OpError, Message)>,
        deadline: Option<Time>,
    ) -> Ticket {
        match result {
            Ok(()) => self.waiting.admit_answered(true, Answer::Sent),
            Err((OpError::WouldBlock, _)) if is_over(deadline, now) => self.time_out(true),
            Err((OpError::WouldBlock, message)) => {
                self.stats.send_waits += 1;
                self.waiting.admit(Want::Send { context, message }, deadline)
            }
            Err((error, _)) => self.waiting.admit_answered(true, Answer::Failed(error)),
        }
    }

    fn check_send(&self, size: usize) -> Result<(), OpError> {
        if self.closed {
            return Err(OpError::Closed);
        }
        if size > self.options.max_message {
            return Err(OpError::TooLarge { size, limit: self.options.max_message });
        }
        Ok(())
    }

    fn time_out(&mut self, sends: bool) -> Ticket {
        self.stats.timeouts += 1;
        self.waiting.admit_answered(sends, Answer::Failed(OpError::TimedOut))
    }

    fn note(&mut self, event: Event) {
        if self.events.len() == EVENTS_KEPT {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

fn is_over(deadline: Option<Time>, now: Time) -> bool {
    deadline.is_some_and(|at| at <= now)
}
