//! The real world: the engine's own state machines on the operating system's sockets and clock.
//!
//! The thread that calls does the work. Inside [`send`](Socket::send) and [`recv`](Socket::recv) it drives the socket's
//! machine and its descriptors itself, under the socket's lock; of several threads that wait on one socket one, the
//! leader, polls, and the others wait for it. A background thread ([`reactor`]) serves only sockets that nobody is
//! waiting on. There is no second class of sockets: every one may be shared between threads.
//!
//! Linux 5.11 or later (epoll with waits in nanoseconds).

mod bell;
mod body;
mod clock;
mod codec;
mod connection;
mod core;
mod device;
mod endpoint;
mod farewell;
pub mod fork;
mod gather;
mod news;
mod poller;
mod reactor;
mod resolver;
mod shaping;
mod socket;
mod spin;
mod transport;

pub use body::Body;
pub use clock::now;
pub use connection::Peer;
pub use device::{Device, MakeDeviceError};
pub use endpoint::{EndpointReport, EndpointSettings, EndpointStats};
pub use news::{Happening, What};
pub use shaping::{Relay, RelayError, RelayStats};

pub use socket::{Bells, EndpointError, Interrupted, OpenError, Socket, SocketOptions, SocketStats};
pub use transport::carrier::Credentials;
pub use transport::tls::{TlsError, TlsOptions};
