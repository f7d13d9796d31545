//! What happened to a socket's pipes, for whoever wants to know.

use std::fmt;

use crate::pipe::PipeId;
use crate::stats::PipeStats;

/// Something that happened. Kept until asked for, the newest [`EVENTS_KEPT`](crate::event::EVENTS_KEPT) at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A pipe is up: both sides have greeted.
    PipeUp {
        /// Which.
        pipe: PipeId,
        /// The peer's endpoint id.
        peer: u16,
    },
    /// A pipe is gone.
    PipeDown {
        /// Which.
        pipe: PipeId,
        /// Why.
        reason: DownReason,
        /// What it had done.
        stats: PipeStats,
    },
}

/// Why a pipe went down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DownReason {
    /// The other side closed it, or the connection broke.
    Lost,
    /// We closed it.
    Closed,
    /// It could not take what was sent, and its endpoint says to disconnect it then.
    Slow,
    /// The peer broke a rule.
    Fault(crate::error::PeerFault),
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DownReason::Lost => f.write_str("the connection was lost"),
            DownReason::Closed => f.write_str("closed by us"),
            DownReason::Slow => f.write_str("its queue was full, and when_full says to disconnect it"),
            DownReason::Fault(fault) => fault.fmt(f),
        }
    }
}

/// How many events wait to be asked for; older ones are dropped.
pub(crate) const EVENTS_KEPT: usize = 1_024;
