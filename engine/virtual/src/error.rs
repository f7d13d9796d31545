//! What a world refuses to do.

use sp_link::{DistributionError, LinkError};
use sp_proto::{OpError, OptionError};
use thiserror::Error;

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WorldError {
    /// Two of a kind under one name.
    #[error("there already is a {what} called {name:?}")]
    Taken {
        /// Site, host, workload, …
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A number that stands for nothing.
    #[error("there is no {what} number {number}")]
    Unknown {
        /// Site, host, socket, …
        what: &'static str,
        /// The number.
        number: u32,
    },
    /// Two sites that cannot reach each other.
    #[error("there is no link between {0} and {1}")]
    NoLink(String, String),
    /// A command to a host that is dead.
    #[error("host {0} is down")]
    Down(String),
    /// A role that cannot be played.
    #[error("{0}")]
    Plan(String),
    /// A link that cannot be.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A distribution that cannot be.
    #[error(transparent)]
    Distribution(#[from] DistributionError),
    /// A socket option outside its range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// What the socket itself refuses.
    #[error(transparent)]
    Socket(#[from] OpError),
}
