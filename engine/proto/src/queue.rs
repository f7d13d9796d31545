//! A queue of messages, bounded by number and by bytes.

use std::mem::offset_of;

use crate::few::Few;
use crate::footprint::Visit;
use crate::message::Message;

/// First in, first out. A message is admitted while there is room for one more message and at least one more byte, so
/// that one message larger than the whole bound can still pass, alone: a queue that could never take it would block
/// its sender for ever.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Queue {
    bytes: usize,
    limit_messages: usize,
    limit_bytes: usize,
    messages: Few<Message>,
}

impl Queue {
    /// Bytes of it that say whether it is full or empty.
    pub(crate) const BEFORE: usize = offset_of!(Queue, messages) + Few::<Message>::BEFORE;

    pub(crate) fn new(limit_messages: usize, limit_bytes: usize) -> Queue {
        Queue { bytes: 0, limit_messages, limit_bytes, messages: Few::new() }
    }

    pub(crate) fn footprint(&self, visit: Visit) {
        self.messages.footprint(visit);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.messages.len() >= self.limit_messages || self.bytes >= self.limit_bytes
    }

    pub(crate) fn is_half_empty(&self) -> bool {
        self.messages.len() <= self.limit_messages / 2 && self.bytes <= self.limit_bytes / 2
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Adds `message`. The caller has asked [`is_full`](Queue::is_full); what is in hand is never thrown away here.
    pub(crate) fn push(&mut self, message: Message) {
        self.bytes += message.len();
        self.messages.push_back(message);
    }

    pub(crate) fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.len();
        Some(message)
    }

    /// Throws everything away; says how many messages there were.
    pub(crate) fn clear(&mut self) -> usize {
        let count = self.messages.len();
        self.messages.clear();
        self.bytes = 0;
        count
    }
}
