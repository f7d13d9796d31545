//! Addresses: what is understood, and what a person is told about what is not.

use proptest::prelude::*;
use sp_proto::{Address, Transport};

#[test]
fn hosts_ports_and_paths_are_found() {
    for (text, host, port, path) in [
        ("tcp://127.0.0.1:5555", "127.0.0.1", 5555, "/"),
        ("tcp://*:0", "*", 0, "/"),
        ("tcp://[::1]:80", "::1", 80, "/"),
        ("tls+tcp://example.org:443", "example.org", 443, "/"),
        ("ws://example.org", "example.org", 80, "/"),
        ("wss://example.org", "example.org", 443, "/"),
        ("ws://example.org:8080/a/b?c=d", "example.org", 8080, "/a/b?c=d"),
        ("ws://[::1]/a:b", "::1", 80, "/a:b"),
    ] {
        let address: Address = text.parse().unwrap();
        assert_eq!((address.host_and_port(), address.path()), (Some((host, port)), path), "{text}");
        assert_eq!(address.to_string(), text);
    }
    for text in ["ipc:///run/a socket", "ipc://relative", "inproc://name"] {
        let address: Address = text.parse().unwrap();
        assert_eq!((address.host_and_port(), address.to_string()), (None, text.to_owned()));
    }
}

#[test]
fn what_cannot_be_understood_is_explained() {
    let long_path = format!("ipc:///{}", "x".repeat(107));
    let long_name = format!("inproc://{}", "x".repeat(1025));
    let long_url = format!("ws://h/{}", "x".repeat(1024));
    for (text, problem) in [
        ("127.0.0.1:5555", "it needs a transport in front"),
        ("pgm://x:1", "unknown transport \"pgm\"; there are tcp, tls+tcp, ws, wss, ipc, inproc"),
        ("tcp://host", "the port is missing: tcp://host:port"),
        ("tls+tcp://[::1]", "the port is missing: tls+tcp://host:port"),
        ("tcp://host:65536", "the port \"65536\" is not a number from 0 to 65535"),
        ("tcp://host:+1", "the port \"+1\" is not"),
        ("ws://host:http/", "the port \"http\" is not"),
        ("tcp://:5", "the host is missing"),
        ("ws:///path", "the host is missing"),
        ("tcp://::1:5", "an IPv6 address stands in brackets"),
        ("tcp://host/path:5", "there is nothing but host and port in a tcp address"),
        ("tcp://user@host:5", "there is nothing but host and port in a tcp address"),
        ("ws://user@host:5", "there is nothing but host, port and path in a ws address"),
        ("ws://host/a#b", "there is nothing but host, port and path in a ws address"),
        ("ws://host/ä", "have to be written as %XX"),
        ("tcp://a b:5", "white space"),
        ("tcp://a\n:5", "control character"),
        ("ws://host/a\r\nX-Header: b", "control character"),
        ("ipc:///a\0b", "control character"),
        ("ipc://", "the path is missing"),
        ("inproc://", "the name is missing"),
        (long_path.as_str(), "the path has 108 bytes, and the system allows 107"),
        (long_name.as_str(), "longer than 1024 bytes"),
        (long_url.as_str(), "longer than 1024 bytes"),
    ] {
        let error = text.parse::<Address>().expect_err(text).to_string();
        assert!(error.contains(problem), "{text}: {error}");
    }
}

#[test]
fn a_port_can_be_exchanged() {
    let with_port = |text: &str| text.parse::<Address>().unwrap().with_port(7).to_string();
    assert_eq!(with_port("tcp://*:0"), "tcp://*:7");
    assert_eq!(with_port("ws://[::1]/a:b"), "ws://[::1]:7/a:b");
    assert_eq!(with_port("wss://host:0/a"), "wss://host:7/a");
}

proptest! {
    /// Whatever is understood is written as it was read, and has all that its transport needs.
    #[test]
    fn nothing_is_understood_by_halves(text in "(tcp|ws|wss|tls\\+tcp|ipc|inproc)://.{0,20}|.{0,30}") {
        if let Ok(address) = text.parse::<Address>() {
            prop_assert_eq!(address.to_string(), text);
            let on_a_network = !matches!(address.transport, Transport::Ipc | Transport::Inproc);
            prop_assert_eq!(address.host_and_port().is_some(), on_a_network);
        }
    }
}

#[test]
fn brackets_around_nothing_are_no_host() {
    for text in ["ws://[]", "tcp://[]:5555", "wss://[]:443/x"] {
        let error = text.parse::<Address>().unwrap_err();
        assert!(error.problem.contains("the host is missing"), "{error}");
    }
}
