//! News: what happened to a socket's endpoints and peers, for whoever wants to know.

use std::collections::VecDeque;

use sp_proto::Address;

use crate::connection::Peer;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// What.
    pub what: What,
    /// The address of the endpoint at which it did.
    pub endpoint: Address,
    /// The peer it happened with, if there was one.
    pub peer: Option<Peer>,
    /// What [`Socket::admit`](crate::Socket::admit) wants to hear of a peer that knocks.
    pub serial: u64,
    /// Why, if it was not wanted.
    pub reason: Option<String>,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A peer is connected.
    Up,
    /// A peer is no longer connected.
    Down,
    /// An attempt to connect came to nothing; it will be made again.
    DialFailed,
    /// A peer was turned away: by the program, by a bound, or for what it said or did not say when it came.
    Refused,
    /// The system refused the listener a connection, for want of descriptors or memory.
    AcceptFailed,
    /// A peer waits to be admitted.
    Knocking,
}

impl What {
    /// Its name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            What::Up => "up",
            What::Down => "down",
            What::DialFailed => "dial failed",
            What::Refused => "refused",
            What::AcceptFailed => "accept failed",
            What::Knocking => "knocking",
        }
    }
}

/// What nobody has asked about yet, the newest [`KEPT`] at most.
#[derive(Debug, Default)]
pub(crate) struct News {
    kept: VecDeque<Happening>,
    /// Happenings that were forgotten.
    pub(crate) dropped: u64,
    /// Something was added since [`take_notice`](News::take_notice).
    fresh: bool,
}

impl News {
    pub(crate) fn add(&mut self, happening: Happening) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
            self.dropped += 1;
        }
        self.kept.push_back(happening);
        self.fresh = true;
    }

    pub(crate) fn next(&mut self) -> Option<Happening> {
        self.kept.pop_front()
    }

    /// Has [`take_notice`](News::take_notice) something to take?
    pub(crate) fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Was something added since last asked?
    pub(crate) fn take_notice(&mut self) -> bool {
        std::mem::take(&mut self.fresh)
    }
}

const KEPT: usize = 1_024;
