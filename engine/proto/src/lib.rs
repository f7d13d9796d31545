//! The scalability protocols as pure state machines.
//!
//! Nothing here reads a clock, opens a socket, starts a thread or draws unseeded randomness; `clippy.toml` forbids it.
//! A [`Socket`] is a value that is *told* what happened and then *asked* what to do:
//!
//! 1. the world tells it: [`attach`](Socket::attach) a pipe, [`detach`](Socket::detach) it,
//!    [`handle_message`](Socket::handle_message), [`handle_timeout`](Socket::handle_timeout);
//! 2. the program commands it: [`try_send`](Socket::try_send), [`try_recv`](Socket::try_recv), or, when it must wait,
//!    [`submit_send`](Socket::submit_send) and [`submit_recv`](Socket::submit_recv), which hand out a [`Ticket`];
//! 3. after each of these the world asks until there is nothing left: [`poll_answer`](Socket::poll_answer) (tickets
//!    answered), [`poll_output`](Socket::poll_output) (pipes with something to transmit, each drained with
//!    [`poll_transmit`](Socket::poll_transmit)), [`poll_resumed`](Socket::poll_resumed) (pipes to read from again),
//!    [`poll_disconnect`](Socket::poll_disconnect) (pipes whose connection must be closed),
//!    [`poll_event`](Socket::poll_event);
//! 4. it sleeps until [`poll_timeout`](Socket::poll_timeout), unless something happens before.
//!
//! | kind | sends | receives | when a peer's queue is full |
//! |---|---|---|---|
//! | PAIR, PAIR1 | to its one peer | from it | waits |
//! | PUB · SUB | to all | what it has subscribed to | drops the new one, or what the endpoint says |
//! | REQ · REP | a request to one, its reply home | one for the other | REQ takes another pipe or parks; REP waits, or what the endpoint says |
//! | PUSH · PULL | to one in turn | fairly from all | takes another pipe, or waits |
//! | SURVEYOR · RESPONDENT | a survey to all, an answer home | what comes before the deadline | drops the new one, or what the endpoint says |
//! | BUS | to all | fairly from all | drops the new one, or what the endpoint says |
//!
//! Where it is sent to one, priorities of the endpoints decide to which; where it is received from several, from which.
//! REQ, REP, SURVEYOR, RESPONDENT and SUB hold several conversations at once, each in a context of its own.
//!
//! A [`Device`] moves messages between raw sockets, [`Socket::new_raw`].
//!
//! The same code runs on real sockets (`sp-real`) and in virtual time (`sp-virtual`).

mod address;
mod ascending;
mod balance;
mod context;
mod device;
mod dialer;
mod error;
mod event;
mod few;
mod footprint;
mod message;
mod options;
mod pipe;
mod priority;
mod protocol;
mod queue;
mod seed;
mod socket;
mod stats;
mod ticket;
mod time;
mod timers;
pub mod topics;
pub mod websocket;
pub mod wire;

pub use address::{Address, AddressError, Transport};
pub use ascending::Ascending;
pub use balance::Rotation;
pub use context::ContextId;
pub use device::{Device, DeviceError, DeviceStats};
pub use dialer::{Dialer, DialerState};
pub use error::{OpError, PeerFault, Refused};
pub use event::{DownReason, Event};
pub use few::Few;
pub use footprint::{Visit, visit_body};
pub use message::{Header, Message};
pub use options::{EndpointOptions, OptionError, Options, WhenFull};
pub use pipe::PipeId;
pub use priority::{BEST_PRIORITY, DEFAULT_PRIORITY, Priority, PriorityError, WORST_PRIORITY};
pub use protocol::Kind;
pub use seed::rng_from;
pub use socket::{Attachment, Socket};
pub use stats::{PipeStats, Stats};
pub use ticket::{Answer, Ticket};
pub use time::Time;
pub use timers::Timers;
