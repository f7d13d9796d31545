//! PUB/SUB: what is published goes to everyone, and each subscriber keeps what begins with something it subscribed to.
//!
//! Nothing but the body is on the wire, and a subscriber never transmits anything: old publishers crash when they are
//! sent something. So what nobody wants is known, and thrown away, only where it arrives.

use super::ways::{Fanout, Inbox, received};
use super::{Io, Protocol, too_many_contexts};
use crate::context::{ContextId, Contexts};
use crate::error::OpError;
use crate::message::Message;
use crate::options::{Options, WhenFull};
use crate::pipe::PipeId;
use crate::queue::Queue;
use crate::topics::{RadixTree, Topics};

/// Sends to all.
#[derive(Debug, Default)]
pub(crate) struct Pub {
    fanout: Fanout,
}

impl Protocol for Pub {
    fn attach(&mut self, _io: &mut Io<'_>, pipe: PipeId) {
        self.fanout.attach(pipe);
    }

    fn detach(&mut self, io: &mut Io<'_>, pipe: PipeId) {
        self.fanout.detach(io, pipe);
    }

    fn writable(&mut self, io: &mut Io<'_>, pipe: PipeId) {
        self.fanout.writable(io, pipe);
    }

    /// A SUB has nothing to say; whatever comes is counted and thrown away.
    fn handle_message(&mut self, io: &mut Io<'_>, pipe: PipeId, _message: Message) {
        io.drop_received(pipe);
    }

    fn send(&mut self, io: &mut Io<'_>, _context: ContextId, message: Message) -> Result<(), (OpError, Message)> {
        self.fanout.send(io, message, None)
    }

    fn recv(&mut self, _io: &mut Io<'_>, _context: ContextId) -> Result<Message, OpError> {
        Err(OpError::State("a pub socket only sends; the other end, sub, receives"))
    }

    fn put_back(&mut self, io: &mut Io<'_>, _context: ContextId, _message: Message) {
        io.stats.dropped_received += 1;
    }
}

/// Receives what it has subscribed to.
///
/// While there is only the default context, messages wait on their pipes: priorities count, and a reader that is slow
/// holds its publishers back. With several contexts each has a queue of its own, of `recv_queue` messages and
/// `queue_bytes` bytes, and nobody is held back: in a full one the oldest message makes place for the new one, unless
/// `when_full` is to drop the new one.
#[derive(Debug)]
pub(crate) struct Sub {
    contexts: Contexts<Subscriptions>,
    /// What the default context receives while it is alone.
    inbox: Inbox,
    /// Subscriptions of all contexts, and the bytes of their prefixes.
    subscriptions: usize,
    prefix_bytes: usize,
}

#[derive(Debug, Default)]
struct Subscriptions {
    topics: RadixTree,
    /// Made when the first message is put into it.
    queue: Option<Queue>,
    returned: Vec<Message>,
}

impl Sub {
    pub(crate) fn new(options: &Options) -> Sub {
        Sub {
            contexts: Contexts::new(options.max_contexts),
            inbox: Inbox::default(),
            subscriptions: 0,
            prefix_bytes: 0,
        }
    }
}

impl Protocol for Sub {
    fn attach(&mut self, _io: &mut Io<'_>, _pipe: PipeId) {}

    fn detach(&mut self, _io: &mut Io<'_>, _pipe: PipeId) {}

    fn outlives_pipe(&self) -> bool {
        true
    }

    fn writable(&mut self, _io: &mut Io<'_>, _pipe: PipeId) {}

    fn handle_message(&mut self, io: &mut Io<'_>, pipe: PipeId, message: Message) {
        let alone = self.contexts.count() == 1;
        let mut wanted = false;
        for (context, subscriptions) in self.contexts.iter_mut() {
            if !subscriptions.topics.matches(&message.body) {
                continue;
            }
            if alone {
                return self.inbox.enqueue(io, pipe, message);
            }
            wanted = true;
            subscriptions.keep(io, message.clone());
            io.wake.lane(context.index());
        }
        io.stats.filtered += u64::from(!wanted);
    }

    fn send(&mut self, _io: &mut Io<'_>, _context: ContextId, message: Message) -> Result<(), (OpError, Message)> {
        Err((OpError::State(SUB_RECEIVES), message))
    }

    fn recv(&mut self, io: &mut Io<'_>, context: ContextId) -> Result<Message, OpError> {
        let subscriptions = self.contexts.get_mut(context).ok_or(OpError::ContextClosed)?;
        if let Some(message) = subscriptions.returned.pop() {
            return Ok(message);
        }
        if let Some(message) = subscriptions.queue.as_mut().and_then(Queue::pop) {
            return Ok(received(io, message));
        }
        if context == ContextId::DEFAULT { self.inbox.recv(io) } else { Err(OpError::WouldBlock) }
    }

    fn put_back(&mut self, io: &mut Io<'_>, context: ContextId, message: Message) {
        match self.contexts.get_mut(context) {
            Some(subscriptions) => subscriptions.returned.push(message),
            None => io.stats.dropped_received += 1,
        }
    }

    /// What waits on the pipes moves to the default context's queue, so that it holds nobody up.
    fn open_context(&mut self, io: &mut Io<'_>) -> Result<ContextId, OpError> {
        let opened = self.contexts.open().ok_or_else(|| too_many_contexts(io))?;
        if let Some(subscriptions) = self.contexts.get_mut(ContextId::DEFAULT) {
            while let Some((_, message)) = self.inbox.dequeue(io) {
                subscriptions.queue(io.options).push(message);
            }
        }
        Ok(opened)
    }

    fn close_context(&mut self, io: &mut Io<'_>, context: ContextId) {
        if let Some(gone) = self.contexts.close(context) {
            self.subscriptions -= gone.topics.len();
            self.prefix_bytes -= gone.topics.prefix_bytes();
            let waiting = gone.queue.as_ref().map_or(0, Queue::len) + gone.returned.len();
            io.stats.dropped_received += waiting as u64;
        }
    }

    fn subscribe(&mut self, io: &mut Io<'_>, context: ContextId, prefix: &[u8]) -> Result<(), OpError> {
        let subscriptions = self.contexts.get_mut(context).ok_or(OpError::ContextClosed)?;
        if !subscriptions.topics.contains(prefix) {
            let full = |what, limit, option| Err(OpError::Full { what, limit, option });
            if self.subscriptions >= io.options.max_subscriptions {
                return full("subscriptions", io.options.max_subscriptions, "max_subscriptions");
            }
            if self.prefix_bytes.saturating_add(prefix.len()) > io.options.max_subscription_bytes {
                let limit = io.options.max_subscription_bytes;
                return full("bytes of subscriptions, or nearly", limit, "max_subscription_bytes");
            }
            self.subscriptions += 1;
            self.prefix_bytes += prefix.len();
        }
        subscriptions.topics.add(prefix);
        Ok(())
    }

    fn unsubscribe(&mut self, _io: &mut Io<'_>, context: ContextId, prefix: &[u8]) -> Result<(), OpError> {
        let subscriptions = self.contexts.get_mut(context).ok_or(OpError::ContextClosed)?;
        let left = subscriptions.topics.remove(prefix);
        let left =
            left.ok_or(OpError::State("there is no such subscription; unsubscribe from what was subscribed to"))?;
        if left == 0 {
            self.subscriptions -= 1;
            self.prefix_bytes -= prefix.len();
        }
        Ok(())
    }

    fn lane(&self, context: ContextId) -> usize {
        context.index()
    }
}

impl Subscriptions {
    fn queue(&mut self, options: &Options) -> &mut Queue {
        self.queue.get_or_insert_with(|| Queue::new(options.recv_queue, options.queue_bytes))
    }

    /// Keeps a message until it is received, if there is room or room can be made.
    fn keep(&mut self, io: &mut Io<'_>, message: Message) {
        let queue = self.queue(io.options);
        if queue.is_full() && io.options.when_full == Some(WhenFull::DropNew) {
            io.stats.dropped_full_recv += 1;
            return;
        }
        // One that is large may need the place of several.
        while queue.is_full() && queue.pop().is_some() {
            io.stats.dropped_full_recv += 1;
        }
        queue.push(message);
    }
}

pub(crate) const SUB_RECEIVES: &str = "a sub socket only receives; the other end, pub, sends";
