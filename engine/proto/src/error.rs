//! Ours and theirs: what the program did wrong, and what a peer did wrong.

use thiserror::Error;

use crate::protocol::Kind;

/// Why an operation of the program did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OpError {
    /// Not now; wait with a ticket. Never shown to a person.
    #[error("it would have to wait")]
    WouldBlock,
    /// The deadline passed.
    #[error("the time is over")]
    TimedOut,
    /// The program took the operation back, or did something that made it pointless.
    #[error("cancelled: {0}")]
    Cancelled(&'static str),
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
    /// The context is closed, the socket is not.
    #[error("the context is closed")]
    ContextClosed,
    /// The operation does not fit the socket's state.
    #[error("{0}")]
    State(&'static str),
    /// The message is larger than the option allows.
    #[error("the message has {size} bytes, more than max_message = {limit}")]
    TooLarge {
        /// Bytes.
        size: usize,
        /// The bound.
        limit: usize,
    },
    /// A bound on what a socket may hold is reached.
    #[error("the socket already has {limit} {what}; {option} is the option that says so")]
    Full {
        /// What there are too many of.
        what: &'static str,
        /// The bound.
        limit: usize,
        /// Its name.
        option: &'static str,
    },
}

/// What a peer did that costs it its connection, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PeerFault {
    /// It did not begin with the eight bytes of the scalability protocols.
    #[error("it does not speak the scalability protocols: its greeting is not 00 53 50 00 …")]
    Greeting,
    /// It speaks another pattern.
    #[error("it is {}, and {} talks to nothing but {}", name(*theirs), name(*ours), partner(*ours))]
    Protocol {
        /// Our endpoint id.
        ours: u16,
        /// Theirs.
        theirs: u16,
    },
    /// It declared a message larger than we accept.
    #[error("it announced a message of {size} bytes, more than max_message = {limit}")]
    TooLarge {
        /// What it declared.
        size: u64,
        /// The bound.
        limit: usize,
    },
    /// Its frame is not a message. Only over UNIX sockets do frames have a type.
    #[error("it sent a frame of type {0}; there are only messages, type 1")]
    FrameType(u8),
    /// The two sides could not agree on a secure connection.
    #[error("TLS: {0}")]
    Secure(&'static str),
    /// It sent a header that its protocol does not have.
    #[error("it sent a message with a header that its protocol does not have")]
    Header,
    /// The two sides did not come to speak WebSocket.
    #[error("WebSocket: {0}")]
    Upgrade(&'static str),
    /// It refused to speak WebSocket, with this status of HTTP.
    #[error("WebSocket: it refused with HTTP status {}{}", .0, meaning(*.0))]
    Http(u16),
    /// It broke a rule of WebSocket.
    #[error("WebSocket: it sent {0}")]
    Frame(&'static str),
    /// It did not greet in time.
    #[error("it did not finish its greeting in time")]
    Silent,
}

/// Why a pipe was not attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// The peer speaks another pattern.
    #[error(transparent)]
    Peer(#[from] PeerFault),
    /// The socket has as many pipes as it may.
    #[error("the socket already has {0} pipes; max_pipes is the option that says so")]
    TooManyPipes(usize),
    /// The socket speaks with one peer, and has it.
    #[error("the socket speaks with one peer only, and already has it")]
    Occupied,
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
}

/// What an endpoint id stands for.
fn name(id: u16) -> String {
    match Kind::from_id(id) {
        Some(kind) => format!("a {kind} socket"),
        None => format!("of protocol {id}, which is unknown"),
    }
}

fn partner(id: u16) -> String {
    Kind::from_id(id).map_or("its partner".to_owned(), |kind| name(kind.partner().id()))
}

/// What a status usually means.
fn meaning(status: u16) -> &'static str {
    match status {
        400 => ", as a socket of another pattern does",
        404 => ", as a listener at another path does",
        _ => "",
    }
}
