//! Addresses: a transport and what it needs to know.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Where to listen or to dial, for example `tcp://127.0.0.1:5555`, `ipc:///run/log.sock` or `wss://example.org/log`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// How the bytes travel.
    pub transport: Transport,
    /// What comes behind `://`: host and port, perhaps with a path, or a name.
    pub rest: String,
}

/// How the bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// TCP over IPv4 or IPv6: `tcp://host:port`.
    Tcp,
    /// TLS over TCP: `tls+tcp://host:port`.
    Tls,
    /// WebSocket over TCP: `ws://host:port/path`; without a port it is 80.
    Ws,
    /// WebSocket over TLS: `wss://host:port/path`; without a port it is 443.
    Wss,
    /// A UNIX socket: `ipc://path`, a path absolute or relative to the working directory.
    Ipc,
    /// Within the process: `inproc://name`.
    Inproc,
}

/// An address that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("address {text:?}: {problem}")]
pub struct AddressError {
    /// What was given.
    pub text: String,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

impl Address {
    /// Host and port of an address on a network. A host of `*` means every interface; an IPv6 host stands in brackets.
    pub fn host_and_port(&self) -> Option<(&str, u16)> {
        let default = match self.transport {
            Transport::Ws => Some(80),
            Transport::Wss => Some(443),
            Transport::Tcp | Transport::Tls => None,
            Transport::Ipc | Transport::Inproc => return None,
        };
        let (host, port) = split_port(self.authority());
        let port = match port {
            Some(port) => port.parse().ok()?,
            None => default?,
        };
        Some((host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host), port))
    }

    /// What stands before the path: host and port as written.
    pub fn authority(&self) -> &str {
        match self.transport {
            Transport::Ws | Transport::Wss => self.rest.split('/').next().unwrap_or(""),
            _ => &self.rest,
        }
    }

    /// The path of a WebSocket address, `/` if there is none.
    pub fn path(&self) -> &str {
        match self.transport {
            Transport::Ws | Transport::Wss => self.rest.find('/').map_or("/", |start| &self.rest[start..]),
            _ => "/",
        }
    }

    /// The same address with another port.
    pub fn with_port(&self, port: u16) -> Address {
        let (host, _) = split_port(self.authority());
        let path = &self.rest[self.authority().len()..];
        Address { transport: self.transport, rest: format!("{host}:{port}{path}") }
    }
}

impl Transport {
    /// Every transport there is.
    pub const ALL: [Transport; 6] =
        [Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss, Transport::Ipc, Transport::Inproc];

    /// What stands before `://`.
    pub const fn scheme(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Tls => "tls+tcp",
            Transport::Ws => "ws",
            Transport::Wss => "wss",
            Transport::Ipc => "ipc",
            Transport::Inproc => "inproc",
        }
    }

    /// Is it secured by TLS?
    pub const fn is_secure(self) -> bool {
        matches!(self, Transport::Tls | Transport::Wss)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        let error = |problem: String| Err(AddressError { text: text.chars().take(120).collect(), problem });
        let Some((scheme, rest)) = text.split_once("://") else {
            return error("it needs a transport in front, for example tcp://127.0.0.1:5555 or inproc://name".into());
        };
        let Some(transport) = Transport::ALL.into_iter().find(|transport| transport.scheme() == scheme) else {
            let known: Vec<&str> = Transport::ALL.into_iter().map(Transport::scheme).collect();
            return error(format!("unknown transport {scheme:?}; there are {}", known.join(", ")));
        };
        if rest.chars().any(|c| c.is_control() || c.is_whitespace() && transport != Transport::Ipc) {
            return error("it contains white space or a control character".into());
        }
        let address = Address { transport, rest: rest.to_owned() };
        match transport {
            Transport::Inproc => check_name(rest),
            Transport::Ipc => check_file(rest),
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => check_network(&address),
        }
        .map_or_else(error, |()| Ok(address))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.transport, self.rest)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scheme())
    }
}

fn check_name(name: &str) -> Result<(), String> {
    match name.len() {
        0 => Err("the name is missing: inproc://name".into()),
        1..=1024 => Ok(()),
        _ => Err("the name is longer than 1024 bytes".into()),
    }
}

/// The bound is that of `sun_path`, see unix(7); the last byte is a zero.
fn check_file(path: &str) -> Result<(), String> {
    match path.len() {
        0 => Err("the path is missing: ipc:///run/name.sock".into()),
        1..=107 => Ok(()),
        len => Err(format!("the path has {len} bytes, and the system allows 107")),
    }
}

fn check_network(address: &Address) -> Result<(), String> {
    let scheme = address.transport.scheme();
    let authority = address.authority();
    let (host, port) = split_port(authority);
    match port {
        Some(port) if port.parse::<u16>().is_err() || port.starts_with('+') => {
            return Err(format!("the port {port:?} is not a number from 0 to 65535"));
        }
        None if address.host_and_port().is_none() => {
            return Err(format!("the port is missing: {scheme}://host:port"));
        }
        _ => {}
    }
    if matches!(host, "" | "[]") {
        return Err("the host is missing: a name, an address, or * for every interface".into());
    }
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return Err(format!("an IPv6 address stands in brackets: {scheme}://[::1]:5555"));
    }
    match address.transport {
        Transport::Ws | Transport::Wss if host.contains(['@', '?', '#']) || address.path().contains('#') => {
            Err(format!("there is nothing but host, port and path in a {scheme} address"))
        }
        Transport::Ws | Transport::Wss if address.path().len() > 1024 => {
            Err("the path is longer than 1024 bytes".into())
        }
        Transport::Ws | Transport::Wss if !address.path().is_ascii() => {
            Err("the path contains letters that have to be written as %XX".into())
        }
        Transport::Tcp | Transport::Tls if host.contains(['/', '@', '?', '#']) => {
            Err(format!("there is nothing but host and port in a {scheme} address"))
        }
        _ => Ok(()),
    }
}

/// Host and port as they are written. The colons within brackets are the host's.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}
