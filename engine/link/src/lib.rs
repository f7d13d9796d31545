//! A network link as a pure state machine, and the luck that goes with it.
//!
//! This crate knows nothing of messages, sockets or protocols: what travels is any `T` of a given size. A [`Link`] is told
//! what is offered to it and says when it arrives; a [`Channel`] keeps what is under way in order. Like everything pure
//! here it is *told* the time and *asked* for what is due: moments are nanoseconds since the world began.
//!
//! The streams of a transport lose nothing, so a lossy or jittery link only delays ([`Link::offer`] has the formula);
//! [`Link::cut`] makes it silent until [`Link::heal`]. Breaking a connection is the connection's matter, not the link's.
//!
//! ```
//! use std::time::Duration;
//! use sp_link::{Channel, Link, LinkOptions, Luck};
//!
//! let options = LinkOptions { delay: Duration::from_millis(38), ..LinkOptions::default() };
//! let mut link = Link::new(options, Luck::new(7, 0).stream("link/new-york-london")).unwrap();
//! let mut channel = Channel::new();
//! channel.offer(&mut link, 0, 64, "hello");
//! assert_eq!(channel.poll(&link, 37_999_999), None);
//! assert_eq!(channel.poll_timeout(&link), Some(38_000_000));
//! assert_eq!(channel.poll(&link, 38_000_000), Some("hello"));
//! ```

mod channel;
mod distribution;
mod link;
mod stream;

pub use channel::Channel;
pub use distribution::{Distribution, DistributionError};
pub use link::{Flow, Link, LinkError, LinkOptions, Passage, SEGMENT};
pub use stream::{Luck, Stream};

/// A moment: nanoseconds since the world began.
pub type Nanos = u64;
