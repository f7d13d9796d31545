//! Addresses: a transport and what it needs to know.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Where to listen or to dial, for example `tcp://127.0.0.1:5555` or `inproc://log`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// How the bytes travel.
    pub transport: Transport,
    /// What comes behind `://`: host and port, or a name.
    pub rest: String,
}

/// How the bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// TCP over IPv4 or IPv6: `tcp://host:port`.
    Tcp,
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
    /// Host and port of a TCP address. A host of `*` means every interface; an IPv6 host stands in brackets.
    pub fn host_and_port(&self) -> Option<(&str, u16)> {
        let (host, port) = self.rest.rsplit_once(':')?;
        Some((host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host), port.parse().ok()?))
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        let error = |problem: String| Err(AddressError { text: text.chars().take(120).collect(), problem });
        let Some((scheme, rest)) = text.split_once("://") else {
            return error("it needs a transport in front, for example tcp://127.0.0.1:5555 or inproc://name".into());
        };
        let transport = match scheme {
            "tcp" => Transport::Tcp,
            "inproc" => Transport::Inproc,
            other => return error(format!("unknown transport {other:?}; there are tcp and inproc")),
        };
        if rest.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return error("it contains white space or a control character".into());
        }
        let address = Address { transport, rest: rest.to_owned() };
        match transport {
            Transport::Inproc if rest.is_empty() => error("the name is missing: inproc://name".into()),
            Transport::Inproc if rest.len() > 1024 => error("the name is longer than 1024 bytes".into()),
            Transport::Inproc => Ok(address),
            Transport::Tcp => check_tcp(&address).map_or_else(error, |()| Ok(address)),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.transport, self.rest)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Tcp => "tcp",
            Transport::Inproc => "inproc",
        })
    }
}

fn check_tcp(address: &Address) -> Result<(), String> {
    let Some((host, port)) = address.rest.rsplit_once(':') else {
        return Err("the port is missing: tcp://host:port".into());
    };
    if port.parse::<u16>().is_err() || port.starts_with('+') {
        return Err(format!("the port {port:?} is not a number from 0 to 65535"));
    }
    if host.is_empty() {
        return Err("the host is missing: a name, an address, or * for every interface".into());
    }
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return Err("an IPv6 address stands in brackets: tcp://[::1]:5555".into());
    }
    if host.contains(['/', '@', '?', '#']) {
        return Err("there is nothing but host and port in a tcp address".into());
    }
    Ok(())
}
