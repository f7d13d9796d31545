//! What can be set on a socket, with its range and its default.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::priority::Priority;

/// Options of a socket. Everything that can grow has a bound here.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Messages that may wait on one pipe to be transmitted, 1 or more. Default 1,000.
    pub send_queue: usize,
    /// Messages that may wait on one pipe to be received, 1 or more. Default 1,000. When it is full the pipe is not
    /// read from, and the peer is held back by the transport. It also bounds what waits in one context: the answers to a
    /// survey, and the messages of a SUB that has several.
    pub recv_queue: usize,
    /// Bytes that may wait on one pipe in either queue, or in one context, 1 or more. Default 16 MiB.
    pub queue_bytes: usize,
    /// The largest body accepted or sent, in bytes, 1 or more. Default 16 MiB. The words of a header come on top.
    pub max_message: usize,
    /// The longest chain of devices a message may cross, 1 to 255. Default 8.
    pub ttl: u8,
    /// How long a request waits for its reply before it is sent again, to the next pipe. Default 60 s, as in nanomsg
    /// and NNG.
    pub resend: Duration,
    /// How often a request is sent again at once because its pipe died. From then on it waits before: `reconnect_min`,
    /// and each time twice as long, up to `reconnect_max`. Default 3.
    pub instant_resends: u32,
    /// How long a survey takes answers, more than zero. Default 1 s, as in nanomsg and NNG.
    pub survey_deadline: Duration,
    /// Answers that one peer may give from one survey to the next, 1 or more; of devices, which pass on those of others, as
    /// many as there are behind them. Default 65,536.
    pub max_answers: usize,
    /// What becomes of a message for a peer whose queue is full, if its endpoint does not say. Default: what suits the
    /// protocol, see [`Kind::when_full`](crate::Kind::when_full). On a SUB with several contexts, of which each drops its
    /// oldest message when it is full, `DropNew` says to drop the new one.
    pub when_full: Option<WhenFull>,
    /// Different prefixes that may be subscribed to on one socket, in all of its contexts, 1 or more. Default 65,536.
    pub max_subscriptions: usize,
    /// Bytes in these prefixes, 1 to 1 GiB. Default 4 MiB.
    pub max_subscription_bytes: usize,
    /// Conversations that may be open at once on one socket: requests or replies under way, surveys, sets of
    /// subscriptions; 1 or more. Default 65,536.
    pub max_contexts: usize,
    /// Pipes a socket may have at once, 1 to 1,048,576. Default 65,536.
    pub max_pipes: usize,
    /// The first wait before a lost or refused connection is tried again. Default 10 ms.
    pub reconnect_min: Duration,
    /// The longest wait between two tries. Default 1 s.
    pub reconnect_max: Duration,
    /// The whole time that a new connection may take until both sides have greeted. Default 5 s.
    pub handshake_timeout: Duration,
}

/// What each endpoint of a socket may have of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointOptions {
    /// Which pipes are sent to first.
    pub send_priority: Priority,
    /// Which pipes are received from first.
    pub recv_priority: Priority,
    /// What becomes of a message for a peer whose queue is full; if nothing is said here, the socket's option decides.
    pub when_full: Option<WhenFull>,
}

/// What becomes of a message for a peer whose queue is full. PUB, SURVEYOR and BUS ask this for each of their peers,
/// REP and RESPONDENT for the one they reply to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WhenFull {
    /// Sending waits until there is room, everywhere where it must wait.
    Block,
    /// This peer does not get it.
    DropNew,
    /// What has waited longest for this peer makes place for it.
    DropOld,
    /// The peer loses its connection.
    Disconnect,
}

impl WhenFull {
    /// All there are.
    pub const ALL: [WhenFull; 4] = [WhenFull::Block, WhenFull::DropNew, WhenFull::DropOld, WhenFull::Disconnect];

    /// Its name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            WhenFull::Block => "block",
            WhenFull::DropNew => "drop-new",
            WhenFull::DropOld => "drop-old",
            WhenFull::Disconnect => "disconnect",
        }
    }
}

impl fmt::Display for WhenFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for WhenFull {
    type Err = OptionError;

    fn from_str(name: &str) -> Result<WhenFull, OptionError> {
        WhenFull::ALL.into_iter().find(|when_full| when_full.name() == name).ok_or_else(|| OptionError {
            name: "when_full",
            value: name.to_owned(),
            allowed: "block, drop-new, drop-old or disconnect",
        })
    }
}

/// An option outside its range.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("option {name} is out of range: {value}; allowed: {allowed}")]
pub struct OptionError {
    /// The option's name.
    pub name: &'static str,
    /// What was asked for.
    pub value: String,
    /// What can be had.
    pub allowed: &'static str,
}

impl Options {
    /// Checks every range.
    pub fn check(&self) -> Result<(), OptionError> {
        let at_least_one = |name, value: usize| ensure(value >= 1, name, format!("{value}"), "1 or more");
        at_least_one("send_queue", self.send_queue)?;
        at_least_one("recv_queue", self.recv_queue)?;
        at_least_one("queue_bytes", self.queue_bytes)?;
        at_least_one("max_message", self.max_message)?;
        at_least_one("max_contexts", self.max_contexts)?;
        at_least_one("max_answers", self.max_answers)?;
        at_least_one("max_subscriptions", self.max_subscriptions)?;
        let bytes = self.max_subscription_bytes;
        ensure((1..=1 << 30).contains(&bytes), "max_subscription_bytes", format!("{bytes}"), "1 to 1073741824")?;
        ensure(self.ttl >= 1, "ttl", format!("{}", self.ttl), "1 to 255")?;
        ensure((1..=1 << 20).contains(&self.max_pipes), "max_pipes", format!("{}", self.max_pipes), "1 to 1048576")?;
        let positive = |name, value: Duration| ensure(!value.is_zero(), name, format!("{value:?}"), "more than zero");
        positive("resend", self.resend)?;
        positive("survey_deadline", self.survey_deadline)?;
        positive("reconnect_min", self.reconnect_min)?;
        positive("handshake_timeout", self.handshake_timeout)?;
        ensure(
            self.reconnect_max >= self.reconnect_min,
            "reconnect_max",
            format!("{:?}", self.reconnect_max),
            "at least reconnect_min",
        )
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            send_queue: 1_000,
            recv_queue: 1_000,
            queue_bytes: 16 << 20,
            max_message: 16 << 20,
            ttl: 8,
            resend: Duration::from_secs(60),
            instant_resends: 3,
            survey_deadline: Duration::from_secs(1),
            max_answers: 65_536,
            when_full: None,
            max_subscriptions: 65_536,
            max_subscription_bytes: 4 << 20,
            max_contexts: 65_536,
            max_pipes: 65_536,
            reconnect_min: Duration::from_millis(10),
            reconnect_max: Duration::from_secs(1),
            handshake_timeout: Duration::from_secs(5),
        }
    }
}

fn ensure(holds: bool, name: &'static str, value: String, allowed: &'static str) -> Result<(), OptionError> {
    if holds { Ok(()) } else { Err(OptionError { name, value, allowed }) }
}
