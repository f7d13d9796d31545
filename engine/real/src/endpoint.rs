//! Endpoints: what makes connections, each with its address, its settings and its own counters.

use std::collections::BTreeSet;

use sp_proto::{Address, Dialer, EndpointOptions, Kind, PeerFault, Time};

use crate::codec::Codec;
use crate::transport::tls::{self, TlsError, TlsOptions};
use crate::transport::{Listener, Session};

/// What an endpoint may have of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointSettings {
    /// What its pipes are like for the protocol.
    pub machine: EndpointOptions,
    /// For the transports that are secured by TLS.
    pub tls: Option<TlsOptions>,
    /// The program is asked about every peer, and until it has [admitted](crate::Socket::admit) one nothing is
    /// exchanged with it.
    pub asks: bool,
}

/// What an endpoint has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointStats {
    /// Connections that it has begun to make or has accepted.
    pub attempts: u64,
    /// Those that came to nothing: refused, unreachable, silent, or a fault before the end of the greeting.
    pub failed: u64,
    /// Pipes that have come up.
    pub pipes_up: u64,
    /// Pipes that have gone down.
    pub pipes_down: u64,
    /// Peers that the program did not admit, or that a bound kept out.
    pub refused: u64,
}

/// An endpoint with its counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointReport {
    /// Where it listens or dials.
    pub address: Address,
    /// Does it dial? Otherwise it listens.
    pub dials: bool,
    /// Pipes that are up now.
    pub pipes: usize,
    /// What it has done.
    pub stats: EndpointStats,
    /// Why its last attempt failed, if one did.
    pub last_error: Option<String>,
}

/// One endpoint of a socket.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) address: Address,
    pub(crate) role: Role,
    pub(crate) options: EndpointOptions,
    pub(crate) asks: bool,
    pub(crate) stats: EndpointStats,
    pub(crate) last_error: Option<String>,
    /// Its connections that have not greeted, by the time they have left.
    pub(crate) greeting: BTreeSet<(Time, usize)>,
    /// All of its connections.
    pub(crate) connections: usize,
    tls: Option<tls::Config>,
}

#[derive(Debug)]
pub(crate) enum Role {
    Listener(Listener),
    Dialer {
        dialer: Dialer,
        /// Attempts so far; a name with several addresses has its turn at each.
        attempts: usize,
    },
}

impl Endpoint {
    pub(crate) fn listener(listener: Listener, settings: &EndpointSettings, tls: Option<tls::Config>) -> Endpoint {
        Endpoint::new(listener.address().clone(), Role::Listener(listener), settings, tls)
    }

    pub(crate) fn dialer(
        dialer: Dialer,
        address: Address,
        settings: &EndpointSettings,
        tls: Option<tls::Config>,
    ) -> Endpoint {
        Endpoint::new(address, Role::Dialer { dialer, attempts: 0 }, settings, tls)
    }

    fn new(address: Address, role: Role, settings: &EndpointSettings, tls: Option<tls::Config>) -> Endpoint {
        Endpoint {
            address,
            role,
            options: settings.machine,
            asks: settings.asks,
            stats: EndpointStats::default(),
            last_error: None,
            greeting: BTreeSet::new(),
            connections: 0,
            tls,
        }
    }

    /// What a new connection speaks, and through which channel.
    pub(crate) fn session(&self, kind: Kind, max_message: usize, seed: u64) -> Result<Session, PeerFault> {
        let tls = self.tls.as_ref().map(tls::Config::open).transpose()?.map(Box::new);
        let codec = Codec::for_address(&self.address, self.is_dialer(), kind, max_message, seed);
        Ok(Session { tls, codec })
    }

    pub(crate) fn is_dialer(&self) -> bool {
        matches!(self.role, Role::Dialer { .. })
    }

    pub(crate) fn report(&self) -> EndpointReport {
        EndpointReport {
            address: self.address.clone(),
            dials: self.is_dialer(),
            pipes: (self.stats.pipes_up - self.stats.pipes_down) as usize,
            stats: self.stats,
            last_error: self.last_error.clone(),
        }
    }
}

/// What TLS needs for dialling an address, if it needs anything.
pub(crate) fn tls_for_dialing(
    address: &Address,
    options: Option<&TlsOptions>,
) -> Result<Option<tls::Config>, TlsError> {
    if !address.transport.is_secure() {
        return Ok(None);
    }
    let host = address.host_and_port().map_or("", |(host, _)| host);
    tls::Config::dial(options.unwrap_or(&TlsOptions::default()), host).map(Some)
}

/// What TLS needs for listening at an address, if it needs anything.
pub(crate) fn tls_for_listening(
    address: &Address,
    options: Option<&TlsOptions>,
) -> Result<Option<tls::Config>, TlsError> {
    if !address.transport.is_secure() {
        return Ok(None);
    }
    tls::Config::listen(options.unwrap_or(&TlsOptions::default())).map(Some)
}
