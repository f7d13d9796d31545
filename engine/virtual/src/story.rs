//! The story of a world: what happened, in order, in world time.

use std::collections::VecDeque;
use std::fmt::{self, Write};

use sp_proto::Time;

/// One thing that happened, at a host. Peers are named by their host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene<'a> {
    /// The host is down, its sockets gone.
    Killed,
    /// The host is back.
    Restored,
    /// The link between this site and another is silent.
    Cut(&'a str),
    /// What it sends to this site is not heard there.
    Muted(&'a str),
    /// It is heard there again.
    Unmuted(&'a str),
    /// It speaks again.
    Healed(&'a str),
    /// Every connection over it is broken.
    Broken(&'a str),
    /// A pipe to this peer is up.
    PipeUp(&'a str),
    /// A pipe to this peer is gone.
    PipeDown(&'a str),
    /// A message of so many bytes, header included, was put on the wire.
    Sent(&'a str, usize),
    /// A message of so many bytes arrived and was handed to the socket.
    Received(&'a str, usize),
    /// A workload sent a request, or a message; its sequence number.
    Asked(u64),
    /// It was answered, or received.
    Answered(u64),
    /// It is lost: not answered in time.
    Lost(u64),
}

/// A bounded record of scenes, one line each, and a digest of all of them, also of those no longer kept.
#[derive(Clone, Debug)]
pub struct Story {
    lines: VecDeque<String>,
    limit: usize,
    told: u64,
    digest: u64,
}

impl Story {
    /// An empty story that keeps its last `limit` lines.
    pub fn new(limit: usize) -> Story {
        Story { lines: VecDeque::new(), limit, told: 0, digest: FNV_START }
    }

    /// Adds what happened at `host` (or at a site, for what happens to links).
    pub fn tell(&mut self, now: Time, host: &str, scene: Scene<'_>) {
        let mut line = if self.lines.len() >= self.limit { self.lines.pop_front() } else { None }.unwrap_or_default();
        line.clear();
        // Writing to a string does not fail.
        let _ = write!(line, "{} {host} {scene}", now.as_nanos());
        for byte in line.bytes().chain([b'\n']) {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
        }
        self.told += 1;
        if self.limit > 0 {
            self.lines.push_back(line);
        }
    }

    /// The lines that are kept, the oldest first: nanoseconds, host, what happened.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// How many lines there have been.
    pub fn told(&self) -> u64 {
        self.told
    }

    /// A number that differs when any line ever told differs.
    pub fn digest(&self) -> u64 {
        self.digest
    }
}

impl fmt::Display for Scene<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scene::Killed => f.write_str("killed"),
            Scene::Restored => f.write_str("restored"),
            Scene::Muted(site) => write!(f, "not heard in {site}"),
            Scene::Unmuted(site) => write!(f, "heard in {site} again"),
            Scene::Cut(site) => write!(f, "cut from {site}"),
            Scene::Healed(site) => write!(f, "healed with {site}"),
            Scene::Broken(site) => write!(f, "broken with {site}"),
            Scene::PipeUp(peer) => write!(f, "pipe up {peer}"),
            Scene::PipeDown(peer) => write!(f, "pipe down {peer}"),
            Scene::Sent(peer, size) => write!(f, "sent {size} to {peer}"),
            Scene::Received(peer, size) => write!(f, "received {size} from {peer}"),
            Scene::Asked(sequence) => write!(f, "asked {sequence:x}"),
            Scene::Answered(sequence) => write!(f, "answered {sequence:x}"),
            Scene::Lost(sequence) => write!(f, "lost {sequence:x}"),
        }
    }
}

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_remembers_what_the_lines_forget() {
        let tell = |first: u64| {
            let mut story = Story::new(1);
            story.tell(Time::from_nanos(first), "a", Scene::Killed);
            story.tell(Time::from_nanos(9), "a", Scene::Restored);
            assert_eq!(story.lines().collect::<Vec<_>>(), ["9 a restored"]);
            assert_eq!(story.told(), 2);
            story.digest()
        };
        assert_eq!(tell(1), tell(1));
        assert_ne!(tell(1), tell(2));
    }
}
