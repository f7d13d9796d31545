//! SURVEY: one question to everyone, and as many answers as come in time.
//!
//! The header is that of REQ/REP: a stack of 32-bit words with the survey's own id at the bottom. What a RESPONDENT does
//! with it is what a REP does, see [`Rep`](super::reqrep::Rep). A survey is never sent again.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;

use super::reqrep::REQUEST;
use super::ways::{Fanout, received};
use super::{Io, Protocol, too_many_contexts};
use crate::context::{ContextId, Contexts};
use crate::error::OpError;
use crate::message::{Header, Message};
use crate::options::Options;
use crate::pipe::PipeId;
use crate::queue::Queue;
use crate::seed::rng_from;
use crate::time::Time;
use crate::timers::Timers;

/// Asks everyone. Each context has at most one survey under way; a new one cancels the old.
#[derive(Debug)]
pub(crate) struct Surveyor {
    contexts: Contexts<Survey>,
    /// Which context an answer belongs to.
    running: BTreeMap<u32, ContextId>,
    /// How many answers each pipe has given since a survey was last sent, by its slot.
    given: Vec<u32>,
    fanout: Fanout,
    deadlines: Timers<ContextId>,
    next_id: u32,
}

/// The last survey of a context.
#[derive(Debug, Default)]
struct Survey {
    /// While it runs: its id, and when it is over.
    running: Option<(u32, Time)>,
    /// Came in time, and can still be received when the survey is over.
    answers: Option<Queue>,
    returned: Vec<Bytes>,
    /// Answers that the program has, which it may give back.
    taken: usize,
    /// How long the surveys of this context run, if not as long as the socket's option says.
    span: Option<Duration>,
}

impl Surveyor {
    pub(crate) fn new(options: &Options, seed: u64) -> Surveyor {
        Surveyor {
            contexts: Contexts::new(options.max_contexts),
            running: BTreeMap::new(),
            given: Vec::new(),
            fanout: Fanout::default(),
            deadlines: Timers::default(),
            next_id: rng_from(seed).random::<u32>(),
        }
    }

    /// The survey of `context` takes no more answers.
    fn finish(&mut self, context: ContextId) {
        if let Some(survey) = self.contexts.get_mut(context)
            && let Some((id, deadline)) = survey.running.take()
        {
            self.running.remove(&id);
            self.deadlines.cancel(deadline, context);
        }
    }

    /// Ends the surveys whose time is over; whoever waits for their answers waits in vain.
    fn expire(&mut self, io: &mut Io<'_>) {
        while let Some((_, context)) = self.deadlines.pop(io.now) {
            self.finish(context);
            io.wake.abandon_receivers(context, OpError::TimedOut);
        }
    }

    /// Forgets the survey of `context` with the answers that nobody has received.
    fn forget(&mut self, io: &mut Io<'_>, context: ContextId) {
        self.finish(context);
        if let Some(survey) = self.contexts.get_mut(context) {
            let waiting = survey.answers.as_ref().map_or(0, Queue::len) + survey.returned.len();
            io.stats.dropped_replies += waiting as u64;
            *survey = Survey { span: survey.span, ..Survey::default() };
        }
    }
}

impl Protocol for Surveyor {
    fn attach(&mut self, _io: &mut Io<'_>, pipe: PipeId) {
        if self.given.len() <= pipe.slot() {
            self.given.resize(pipe.slot() + 1, 0);
        }
        self.given[pipe.slot()] = 0;
        self.fanout.attach(pipe);
    }

    fn detach(&mut self, io: &mut Io<'_>, pipe: PipeId) {
        self.fanout.detach(io, pipe);
    }

    fn writable(&mut self, io: &mut Io<'_>, pipe: PipeId) {
        self.fanout.writable(io, pipe);
    }

    fn handle_message(&mut self, io: &mut Io<'_>, pipe: PipeId, mut message: Message) {
        self.expire(io);
        let Some(id) = message.take_word() else {
            return io.drop_malformed(pipe);
        };
        if !io.fits(pipe, &message) {
            return;
        }
        let Some((context, survey)) =
            self.running.get(&id).and_then(|context| Some((*context, self.contexts.get_mut(*context)?)))
        else {
            return io.drop_reply(pipe);
        };
        let given = &mut self.given[pipe.slot()];
        if *given as usize >= io.options.max_answers {
            return io.drop_reply(pipe);
        }
        *given += 1;
        let answers = survey.answers.get_or_insert_with(|| Queue::new(io.options.recv_queue, io.options.queue_bytes));
        if answers.is_full() {
            io.stats.dropped_full_recv += 1;
            return;
        }
        answers.push(message);
        io.wake.lane(context.index());
    }

    fn send(&mut self, io: &mut Io<'_>, context: ContextId, message: Message) -> Result<(), (OpError, Message)> {
        if self.contexts.get_mut(context).is_none() {
            return Err((OpError::ContextClosed, message));
        }
        if self.fanout.is_clogged(None) {
            return Err((OpError::WouldBlock, message));
        }
        self.forget(io, context);
        let error = OpError::Cancelled("a new survey took the place of the one being waited for");
        io.wake.abandon_receivers(context, error);
        self.given.fill(0);
        let id = self.next_id | REQUEST;
        self.next_id = self.next_id.wrapping_add(1);
        if let Some(survey) = self.contexts.get_mut(context) {
            let deadline = io.now + survey.span.unwrap_or(io.options.survey_deadline);
            survey.running = Some((id, deadline));
            self.running.insert(id, context);
            self.deadlines.set(deadline, context);
        }
        self.fanout.send(io, Message { header: Header::from_slice(&[id]), body: message.body }, None)
    }

    fn recv(&mut self, io: &mut Io<'_>, context: ContextId) -> Result<Message, OpError> {
        self.expire(io);
        let survey = self.contexts.get_mut(context).ok_or(OpError::ContextClosed)?;
        if let Some(body) = survey.returned.pop() {
            survey.taken += 1;
            return Ok(Message::new(body));
        }
        if let Some(message) = survey.answers.as_mut().and_then(Queue::pop) {
            survey.taken += 1;
            return Ok(received(io, message));
        }
        match survey.running {
            Some(_) => Err(OpError::WouldBlock),
            None => Err(OpError::State("there is no survey under way to receive answers for; send one first")),
        }
    }

    /// An answer is of use until something else is asked.
    fn put_back(&mut self, io: &mut Io<'_>, context: ContextId, message: Message) {
        match self.contexts.get_mut(context) {
            Some(survey) if survey.taken > 0 => {
                survey.taken -= 1;
                survey.returned.push(message.body);
            }
            Some(_) | None => io.stats.dropped_replies += 1,
        }
    }

    fn open_context(&mut self, io: &mut Io<'_>) -> Result<ContextId, OpError> {
        self.contexts.open().ok_or_else(|| too_many_contexts(io))
    }

    fn close_context(&mut self, io: &mut Io<'_>, context: ContextId) {
        self.forget(io, context);
        self.contexts.close(context);
    }

    fn set_survey_deadline(&mut self, context: ContextId, span: Duration) -> Result<(), OpError> {
        self.contexts.get_mut(context).ok_or(OpError::ContextClosed)?.span = Some(span);
        Ok(())
    }

    fn lane(&self, context: ContextId) -> usize {
        context.index()
    }

    fn handle_timeout(&mut self, io: &mut Io<'_>) {
        self.expire(io);
    }

    fn next_timeout(&self) -> Option<Time> {
        self.deadlines.next()
    }
}
