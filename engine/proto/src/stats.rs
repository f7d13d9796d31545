//! Counters of a socket, and of each of its pipes.

/// What a socket has done so far. Every bound that bites and every message that is dropped is counted here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Stats {
    /// Messages handed to a pipe.
    pub sent: u64,
    /// Messages handed to the program. One that was given back and is received again is not counted again.
    pub received: u64,
    /// Bytes of body in them.
    pub sent_bytes: u64,
    /// Bytes of body in them.
    pub received_bytes: u64,
    /// Requests sent again, because their pipe died or their reply did not come in time.
    pub resends: u64,
    /// Pipes that came up.
    pub pipes_up: u64,
    /// Pipes that went down.
    pub pipes_down: u64,
    /// Peers refused or disconnected because they broke a rule.
    pub peer_faults: u64,
    /// Pipes refused because the socket had as many as it may: `max_pipes`, or one if it speaks with one peer only.
    pub refused_pipes: u64,
    /// Requests whose pipe died for the fourth time or more (`instant_resends`), and that wait before they are sent again.
    pub resends_delayed: u64,
    /// Messages that waited to be transmitted when their pipe died.
    pub dropped_unsent: u64,
    /// Messages that nobody had received yet when their pipe died (a request whose asker is gone), or that came in the
    /// wrong direction.
    pub dropped_received: u64,
    /// Replies that answered no outstanding request (late, repeated or invented), that nobody had received when the next
    /// request was sent, or that were more than `max_answers`.
    pub dropped_replies: u64,
    /// Replies whose asker was gone.
    pub dropped_orphans: u64,
    /// Messages with a header that is cut short or has crossed more devices than `ttl` allows.
    pub dropped_malformed: u64,
    /// Messages not sent to a peer because its queue was full.
    pub dropped_full_new: u64,
    /// Messages that had waited longest for a peer whose queue was full, and made place for new ones.
    pub dropped_full_old: u64,
    /// Messages that arrived for a context whose queue was full: new or, on SUB, old ones.
    pub dropped_full_recv: u64,
    /// Messages sent to everyone when nobody was there.
    pub dropped_no_peer: u64,
    /// Messages that arrived and began with nothing that was subscribed to.
    pub filtered: u64,
    /// Peers disconnected because their queue was full.
    pub disconnected_slow: u64,
    /// Times a pipe's receive queue was full and the pipe was not read from.
    pub recv_queue_full: u64,
    /// Times a send had to wait because no pipe could take the message.
    pub send_waits: u64,
    /// Tickets that ran into their deadline.
    pub timeouts: u64,
}

impl Stats {
    /// Bytes of it that messages touch, and those who watch for requests sent again.
    pub(crate) const TOUCHED: usize = 5 * size_of::<u64>();

    /// Every counter with its name.
    pub fn rows(&self) -> [(&'static str, u64); 24] {
        [
            ("sent", self.sent),
            ("received", self.received),
            ("sent_bytes", self.sent_bytes),
            ("received_bytes", self.received_bytes),
            ("pipes_up", self.pipes_up),
            ("pipes_down", self.pipes_down),
            ("peer_faults", self.peer_faults),
            ("refused_pipes", self.refused_pipes),
            ("resends", self.resends),
            ("resends_delayed", self.resends_delayed),
            ("dropped_unsent", self.dropped_unsent),
            ("dropped_received", self.dropped_received),
            ("dropped_replies", self.dropped_replies),
            ("dropped_orphans", self.dropped_orphans),
            ("dropped_malformed", self.dropped_malformed),
            ("dropped_full_new", self.dropped_full_new),
            ("dropped_full_old", self.dropped_full_old),
            ("dropped_full_recv", self.dropped_full_recv),
            ("dropped_no_peer", self.dropped_no_peer),
            ("filtered", self.filtered),
            ("disconnected_slow", self.disconnected_slow),
            ("recv_queue_full", self.recv_queue_full),
            ("send_waits", self.send_waits),
            ("timeouts", self.timeouts),
        ]
    }
}

/// What a pipe has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PipeStats {
    /// Messages handed to it.
    pub sent: u64,
    /// Messages that came from it.
    pub received: u64,
    /// Bytes of body in those sent.
    pub sent_bytes: u64,
    /// Bytes in those received, header included.
    pub received_bytes: u64,
    /// Messages not sent to it because its queue was full.
    pub dropped_full_new: u64,
    /// Messages that had waited in its full queue longest.
    pub dropped_full_old: u64,
    /// Messages that came from it and were thrown away because of what they were: malformed, in the wrong direction, or
    /// a reply that answers nothing.
    pub dropped_received: u64,
    /// Messages that waited to be transmitted when it went down.
    pub dropped_unsent: u64,
}

impl PipeStats {
    /// Every counter with its name.
    pub fn rows(&self) -> [(&'static str, u64); 8] {
        [
            ("sent", self.sent),
            ("received", self.received),
            ("sent_bytes", self.sent_bytes),
            ("received_bytes", self.received_bytes),
            ("dropped_full_new", self.dropped_full_new),
            ("dropped_full_old", self.dropped_full_old),
            ("dropped_received", self.dropped_received),
            ("dropped_unsent", self.dropped_unsent),
        ]
    }
}
