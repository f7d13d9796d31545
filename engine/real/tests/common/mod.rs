//! What the tests on real sockets share. Nothing here waits for a time to pass: everything waits for something to happen,
//! and gives up after [`PATIENCE`].

#![allow(dead_code, reason = "each test uses the part it needs")]

use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use sp_proto::{ContextId, EndpointOptions, Kind, OpError, Options, Stats, Time};
use sp_real::{EndpointSettings, Socket, SocketOptions, TlsOptions, now};

/// A socket with the options that are usual, but for those that are said.
pub(crate) fn socket_with(kind: Kind, machine: Options) -> Socket {
    Socket::new(kind, SocketOptions { machine, ..SocketOptions::default() }).unwrap()
}

/// A socket with the usual options, but quick to come back.
pub(crate) fn socket(kind: Kind) -> Socket {
    socket_with(kind, quick())
}

/// Options of a socket that tries again soon.
pub(crate) fn quick() -> Options {
    Options { reconnect_min: Duration::from_millis(1), reconnect_max: Duration::from_millis(20), ..Options::default() }
}

pub(crate) fn listen(socket: &Socket, address: &str) -> String {
    socket.listen(address, &settings(EndpointOptions::default())).unwrap().to_string()
}

pub(crate) fn dial(socket: &Socket, address: &str) {
    socket.dial(address, &settings(EndpointOptions::default())).unwrap();
}

/// An endpoint's settings, with all that it takes to be secure.
pub(crate) fn settings(machine: EndpointOptions) -> EndpointSettings {
    EndpointSettings { machine, tls: Some(mutual_tls()), ..EndpointSettings::default() }
}

/// A certificate for localhost that is its own authority, for both sides.
pub(crate) fn mutual_tls() -> TlsOptions {
    static MADE: OnceLock<TlsOptions> = OnceLock::new();
    let make = || {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let certificate = made.cert.pem().into_bytes();
        TlsOptions {
            authorities: Some(certificate.clone()),
            certificate: Some(certificate),
            key: Some(made.signing_key.serialize_pem().into_bytes()),
            server_name: None,
        }
    };
    MADE.get_or_init(make).clone()
}

/// Closes a socket; says how many messages were not sent.
pub(crate) fn close(socket: &Socket, flush: Duration) -> usize {
    socket.close(flush, || false).unwrap()
}

/// Sends in the default conversation; it must succeed.
pub(crate) fn send(socket: &Socket, body: impl Into<Bytes>) {
    send_in(socket, ContextId::DEFAULT, body);
}

pub(crate) fn send_in(socket: &Socket, context: ContextId, body: impl Into<Bytes>) {
    let result = socket.send(context, body.into(), Some(soon()), || false).unwrap();
    assert_eq!(result, Ok(()), "{}", socket.explain("send", result.as_ref().unwrap_err()));
}

/// Receives in the default conversation; it must succeed.
pub(crate) fn recv(socket: &Socket) -> Bytes {
    recv_in(socket, ContextId::DEFAULT)
}

pub(crate) fn recv_in(socket: &Socket, context: ContextId) -> Bytes {
    let result = socket.recv(context, Some(soon()), || false).unwrap();
    result.unwrap_or_else(|error| panic!("{}", socket.explain("recv", &error)))
}

/// Receives within a short time, or says why not.
pub(crate) fn recv_within(socket: &Socket, span: Duration) -> Result<Bytes, OpError> {
    socket.recv(ContextId::DEFAULT, Some(now() + span), || false).unwrap()
}

/// Sends within a short time, or says why not.
pub(crate) fn send_within(socket: &Socket, body: impl Into<Bytes>, span: Duration) -> Result<(), OpError> {
    socket.send(ContextId::DEFAULT, body.into(), Some(now() + span), || false).unwrap()
}

/// Waits until something is so. Only for what nobody can be told of: counters, and what other threads do.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = soon();
    while !holds() {
        assert!(now() < end, "still waiting until {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn stats(socket: &Socket) -> Stats {
    socket.stats().machine
}

/// Later than anything that is expected to happen.
pub(crate) fn soon() -> Time {
    now() + PATIENCE
}

/// How long a test waits for what must happen before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
