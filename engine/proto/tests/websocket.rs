//! WebSocket: whole sessions cut anywhere, and everything a peer may get wrong.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use sp_proto::websocket::{Limits, Session, subprotocol};
use sp_proto::wire::Input;
use sp_proto::{Header, Kind, Message, PeerFault};

const LIMIT: usize = 1 << 20;

/// # The handshake
#[test]
fn every_kind_agrees_with_its_partner_and_with_nobody_else() {
    for server in Kind::ALL {
        for client in Kind::ALL {
            let (mut there, mut here) = (listening(server), dialling(client));
            let mut to_server = BytesMut::new();
            here.open(&mut to_server);
            let mut to_client = BytesMut::new();
            let heard = there.next(&mut to_server, &mut to_client);
            if server.partner() == client {
                assert_eq!(heard, Ok(Some(Input::Greeting { peer: client.id() })));
                let mut nothing = BytesMut::new();
                assert_eq!(here.next(&mut to_client, &mut nothing), Ok(Some(Input::Greeting { peer: server.id() })));
                assert!(nothing.is_empty() && to_client.is_empty());
            } else {
                assert_eq!(heard, Err(PeerFault::Protocol { ours: server.id(), theirs: client.id() }));
                assert!(to_client.starts_with(b"HTTP/1.1 400 Incompatible Socket Type\r\n"));
                assert_eq!(here.next(&mut to_client, &mut BytesMut::new()), Err(PeerFault::Http(400)));
            }
        }
    }
}

/// The example of RFC 6455, 1.3.
#[test]
fn a_response_proves_that_the_request_was_read() {
    let request = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://example.com\r\n\
                   Sec-WebSocket-Protocol: chat, rep.sp.nanomsg.org\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let mut session = Session::server(Kind::Rep, "/chat", limits());
    let mut reply = BytesMut::new();
    let heard = session.next(&mut request.into(), &mut reply);
    assert_eq!(heard, Ok(Some(Input::Greeting { peer: Kind::Req.id() })));
    assert_eq!(
        std::str::from_utf8(&reply).unwrap(),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: rep.sp.nanomsg.org\r\n\r\n"
    );
    // nanomsg's client reads no more.
    assert!(reply.len() < 512);
}

#[test]
fn a_request_is_what_others_expect() {
    let mut request = BytesMut::new();
    Session::client(Kind::Req, "h:1", "/", limits(), 1).open(&mut request);
    let text = std::str::from_utf8(&request).unwrap();
    assert!(text.starts_with("GET / HTTP/1.1\r\nHost: h:1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"), "{text}");
    assert!(text.contains("\r\nSec-WebSocket-Protocol: rep.sp.nanomsg.org\r\n"), "a client names the server's role");
    // nanomsg's server reads as much at once, and has room for so much.
    assert!((151..4096).contains(&text.len()));
}

#[test]
fn a_server_refuses_what_it_does_not_understand() {
    let good = request();
    let without = |line: &str| {
        let kept: Vec<&str> = good.split("\r\n").filter(|found| !found.starts_with(line)).collect();
        kept.join("\r\n")
    };
    let many = format!("{}\r\n\r\n", good.trim_end()).replace("Host:", &format!("{}Host:", "X: y\r\n".repeat(64)));
    let long = good.replace("Host:", &format!("X: {}\r\nHost:", "y".repeat(16 << 10)));
    for (what, text, status) in [
        ("another method", good.replace("GET", "POST"), "400"),
        ("HTTP/1.0", good.replace("HTTP/1.1", "HTTP/1.0"), "400"),
        ("another path", good.replace("/x", "/y"), "404"),
        ("no host", without("Host"), "400"),
        ("two hosts", good.replace("Host:", "Host: a\r\nHost:"), "400"),
        ("no upgrade", without("Upgrade"), "426"),
        ("another upgrade", good.replace("Upgrade: websocket", "Upgrade: h2c"), "426"),
        ("no connection", without("Connection"), "426"),
        ("no version", without("Sec-WebSocket-Version"), "426"),
        ("version 8", good.replace("Version: 13", "Version: 8"), "426"),
        ("no key", without("Sec-WebSocket-Key"), "400"),
        ("a short key", good.replace("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="), "400"),
        ("a key that is none", good.replace("dGhlIHNhbXBsZSBub25jZQ==", "not base64 at all!!!!!!!"), "400"),
        ("a body", good.replace("Host:", "Content-Length: 5\r\nHost:"), "400"),
        ("a chunked body", good.replace("Host:", "Transfer-Encoding: chunked\r\nHost:"), "400"),
        ("no sub-protocol", without("Sec-WebSocket-Protocol"), "400 Missing"),
        ("a foreign sub-protocol", good.replace("rep.sp.nanomsg.org", "chat"), "400 Incompatible"),
        ("too many lines", many, "431"),
        ("too long a line", long, "431"),
        ("too long a path", good.replace("/x", &format!("/{}", "x".repeat(2 << 10))), "404"),
        ("too long a first line", "GET /".to_owned() + &"x".repeat(2 << 10), "414"),
        ("TLS", "\u{16}\u{3}\u{1}\u{2}".to_owned(), "400"),
        ("the greeting of TCP", "\0SP\0\0\x31\0\0".to_owned(), "400"),
    ] {
        let mut out = BytesMut::new();
        let mut session = Session::server(Kind::Rep, "/x", limits());
        let heard = session.next(&mut text.as_str().into(), &mut out);
        assert!(heard.is_err(), "{what}: {heard:?}");
        assert!(out.starts_with(format!("HTTP/1.1 {status}").as_bytes()), "{what}: {out:?}");
        assert!(out.ends_with(b"\r\n\r\n"), "{what}");
        assert_eq!(session.next(&mut good.as_str().into(), &mut out), Ok(None), "it is over");
    }
}

#[test]
fn a_first_line_that_has_not_ended_may_have_so_many_bytes() {
    let mut session = Session::server(Kind::Rep, "/", limits());
    let mut line = BytesMut::from("GET /");
    line.resize(2 << 10, b'x');
    assert_eq!(session.next(&mut line, &mut BytesMut::new()), Ok(None));
    line.extend_from_slice(b"x");
    assert_eq!(session.next(&mut line, &mut BytesMut::new()), Err(upgrade("its first line is too long")));
}

#[test]
fn a_status_is_told_with_what_it_usually_means() {
    for (status, meaning) in
        [(400, ", as a socket of another pattern does"), (404, ", as a listener at another path does"), (503, "")]
    {
        let said = PeerFault::Http(status).to_string();
        assert_eq!(said, format!("WebSocket: it refused with HTTP status {status}{meaning}"));
    }
}

#[test]
fn a_client_refuses_what_is_no_agreement() {
    let good = response();
    for (what, text, fault) in [
        ("a refusal", good.replace("101 Switching Protocols", "503 Busy"), PeerFault::Http(503)),
        (
            "no upgrade",
            good.replace("Upgrade: websocket\r\n", ""),
            upgrade("its response is no agreement to WebSocket"),
        ),
        ("a wrong proof", good.replace("Accept: ", "Accept: x"), upgrade("its response is not one to our request")),
        (
            "an extension",
            good.replace("Connection", "Sec-WebSocket-Extensions: x\r\nConnection"),
            upgrade("it wants an extension that was not offered"),
        ),
        (
            "another role",
            good.replace("rep.sp", "pull.sp"),
            PeerFault::Protocol { ours: Kind::Req.id(), theirs: Kind::Pull.id() },
        ),
        (
            "a foreign sub-protocol",
            good.replace("rep.sp.nanomsg.org", "chat"),
            upgrade("it agrees to a sub-protocol that was not asked for"),
        ),
        (
            "no sub-protocol",
            good.replace("Sec-WebSocket-Protocol: rep.sp.nanomsg.org\r\n", ""),
            upgrade("it agrees to no sub-protocol"),
        ),
        ("something else", "SSH-2.0-OpenSSH_9.2\r\n".to_owned(), upgrade("it does not speak HTTP")),
    ] {
        let mut session = dialling(Kind::Req);
        session.open(&mut BytesMut::new());
        assert_eq!(session.next(&mut text.as_str().into(), &mut BytesMut::new()), Err(fault), "{what}");
    }
    // nanomsg's refusal has no end.
    let mut session = dialling(Kind::Req);
    session.open(&mut BytesMut::new());
    let heard = session.next(&mut "HTTP/1.1 400 Incompatible Socket Type\r\n".into(), &mut BytesMut::new());
    assert_eq!(heard, Err(PeerFault::Http(400)));
}

/// NNG refuses larger frames.
#[test]
fn large_messages_go_in_fragments_of_a_mebibyte() {
    let limits = Limits::with_max_message(4 << 20);
    let mut server = Session::server(Kind::Rep, "/x", limits);
    let mut client = Session::client(Kind::Req, "h", "/x", limits, 1);
    let (mut request, mut reply) = (BytesMut::new(), BytesMut::new());
    client.open(&mut request);
    server.next(&mut request, &mut reply).unwrap();
    client.next(&mut reply, &mut BytesMut::new()).unwrap();
    for size in [(1 << 20) - 4, 1 << 20, (3 << 20) + 5] {
        let message = Message { header: Header::from_slice(&[1 << 31]), body: pattern(size) };
        let mut wire = BytesMut::new();
        client.put(&message, &mut wire);
        assert_eq!(client.frame_len(&wire), wire.len());
        assert_eq!(wire[0] == 0x82, size + 4 <= 1 << 20, "one frame, or more to come");
        let mut whole = BytesMut::new();
        message.put(&mut whole);
        assert_eq!(server.next(&mut wire, &mut BytesMut::new()), Ok(Some(Input::Message(whole.freeze()))));
    }
}

#[test]
fn a_pair_is_taken_at_its_word_as_nanomsg_does() {
    let silent = request().replace("Sec-WebSocket-Protocol: rep.sp.nanomsg.org\r\n", "");
    let mut session = Session::server(Kind::Pair, "/x", limits());
    let heard = session.next(&mut silent.as_str().into(), &mut BytesMut::new());
    assert_eq!(heard, Ok(Some(Input::Greeting { peer: Kind::Pair.id() })));
}

/// # Messages
#[test]
fn messages_of_all_sizes_arrive_whole_both_ways() {
    let (mut server, mut client) = open(Kind::Rep);
    for size in [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, LIMIT] {
        let message = Message { header: Header::from_slice(&[7, 1 << 31]), body: pattern(size) };
        let mut whole = BytesMut::new();
        message.put(&mut whole);
        let mut wire = BytesMut::new();
        client.put(&message, &mut wire);
        assert_eq!(client.frame_len(&wire), wire.len());
        assert_eq!(server.missing(&wire), 0);
        assert_eq!(server.next(&mut wire, &mut BytesMut::new()), Ok(Some(Input::Message(whole.clone().freeze()))));
        assert!(wire.is_empty());
        server.put(&message, &mut wire);
        assert_eq!(client.next(&mut wire, &mut BytesMut::new()), Ok(Some(Input::Message(whole.freeze()))));
    }
}

#[test]
fn a_client_masks_what_it_says_and_a_server_does_not() {
    let (mut server, mut client) = open(Kind::Rep);
    let message = Message::new(Bytes::from_static(b"\0\0\0\0\0\0\0\0"));
    let (mut first, mut second, mut plain) = (BytesMut::new(), BytesMut::new(), BytesMut::new());
    client.put(&message, &mut first);
    client.put(&message, &mut second);
    server.put(&message, &mut plain);
    assert_ne!(first, second, "each frame has a mask of its own");
    assert_eq!(plain, b"\x82\x08\0\0\0\0\0\0\0\0"[..]);
}

#[test]
fn fragments_are_put_together_with_pings_between_them() {
    let (mut server, _) = open(Kind::Rep);
    let body = pattern(200_000);
    let mut wire = BytesMut::new();
    let pieces: Vec<&[u8]> = body.chunks(65_536).collect();
    for (number, piece) in pieces.iter().enumerate() {
        let first = (if number == 0 { 2 } else { 0 }) | if number + 1 == pieces.len() { 0x80 } else { 0 };
        put(&mut wire, first, true, piece);
        put(&mut wire, 0x89, true, b"are you there?");
    }
    let mut out = BytesMut::new();
    assert_eq!(server.next(&mut wire, &mut out), Ok(Some(Input::Message(body))));
    assert_eq!(out, [b"\x8a\x0e", &b"are you there?"[..]].concat()[..], "of several pings the last is answered");
    assert_eq!(server.next(&mut wire, &mut out), Ok(None));
}

#[test]
fn bounds_are_kept_to_the_byte() {
    for (size, fragments, fits) in [
        (LIMIT, 1, true),
        (LIMIT + 1, 1, false),
        (LIMIT, 1_024, true),
        (LIMIT, 1_025, false),
        (LIMIT + 1_024, 1_024, false),
    ] {
        let (mut server, _) = open(Kind::Pull);
        let body = pattern(size);
        let mut wire = BytesMut::new();
        let step = size.div_ceil(fragments);
        let mut pieces: Vec<&[u8]> = body.chunks(step).collect();
        pieces.resize(fragments, b"");
        for (number, piece) in pieces.iter().enumerate() {
            let first = (if number == 0 { 2 } else { 0 }) | if number + 1 == pieces.len() { 0x80 } else { 0 };
            put(&mut wire, first, true, piece);
        }
        let heard = server.next(&mut wire, &mut BytesMut::new());
        assert_eq!(heard.is_ok(), fits, "{size} bytes in {fragments} fragments: {heard:?}");
    }
}

#[test]
fn a_length_is_judged_before_anything_is_kept() {
    let (mut server, _) = open(Kind::Pull);
    let mut wire = BytesMut::from(&b"\x82\xff\x00\x00\x00\x00\x10\x00\x00\x00\0\0\0\0"[..]);
    let mut out = BytesMut::new();
    assert_eq!(server.next(&mut wire, &mut out), Err(PeerFault::TooLarge { size: 1 << 28, limit: LIMIT }));
    assert_eq!(out, b"\x88\x02\x03\xf1"[..], "status 1009");
}

#[test]
fn a_flood_of_pings_fills_nothing() {
    let (mut server, _) = open(Kind::Pull);
    let mut out = BytesMut::new();
    for _ in 0..10_000 {
        let mut wire = BytesMut::new();
        put(&mut wire, 0x89, true, &[7; 125]);
        put(&mut wire, 0x82, true, b"m");
        assert!(matches!(server.next(&mut wire, &mut out), Ok(Some(Input::Message(_)))));
    }
    assert!(out.len() < 20_000, "{} bytes wait for a peer that does not read", out.len());
}

/// # What may be wrong, in the order of RFC 6455; a frame is its first byte, its length and its payload
#[test]
fn broken_rules_close_the_connection_with_their_status() {
    let too_large = [&[0x82, 0xff][..], &(LIMIT as u64 + 1).to_be_bytes(), &[0; 4]].concat();
    let cases: &[(&str, Vec<u8>, u16)] = &[
        ("text", frame(0x81, b"hello"), 1003),
        ("empty text", frame(0x81, b""), 1003),
        ("first reserved bit", frame(0xc2, b""), 1002),
        ("second reserved bit", frame(0xa2, b""), 1002),
        ("third reserved bit", frame(0x92, b""), 1002),
        ("reserved bit on a ping", frame(0xc9, b""), 1002),
        ("opcode 3", frame(0x83, b""), 1002),
        ("opcode 7", frame(0x87, b""), 1002),
        ("opcode 11", frame(0x8b, b""), 1002),
        ("opcode 15", frame(0x8f, b""), 1002),
        ("ping of 126 bytes", frame(0x89, &[0; 126]), 1002),
        ("pong of 126 bytes", frame(0x8a, &[0; 126]), 1002),
        ("close of 126 bytes", frame(0x88, &[0; 126]), 1002),
        ("ping in fragments", frame(0x09, b""), 1002),
        ("pong in fragments", frame(0x0a, b""), 1002),
        ("close in fragments", frame(0x08, b""), 1002),
        ("no mask", vec![0x82, 0x01, b'x'], 1002),
        ("ping without a mask", vec![0x89, 0x00], 1002),
        ("125 in three bytes", vec![0x82, 0xfe, 0, 125], 1002),
        ("0 in three bytes", vec![0x82, 0xfe, 0, 0], 1002),
        ("65,535 in nine bytes", [&[0x82, 0xff][..], &65_535_u64.to_be_bytes()].concat(), 1002),
        ("2^63", [&[0x82, 0xff][..], &(1_u64 << 63).to_be_bytes()].concat(), 1002),
        ("2^64 - 1", [&[0x82, 0xff][..], &u64::MAX.to_be_bytes()].concat(), 1002),
        ("2^63 - 1", [&[0x82, 0xff][..], &(u64::MAX >> 1).to_be_bytes(), &[0; 4]].concat(), 1009),
        ("one byte too many", too_large, 1009),
        ("continuation of nothing", frame(0x80, b"x"), 1002),
        ("continuation of nothing, more to come", frame(0x00, b"x"), 1002),
        ("message within a message", [frame(0x02, b"x"), frame(0x82, b"y")].concat(), 1002),
        ("continuation after the end", [frame(0x02, b"x"), frame(0x80, b"y"), frame(0x80, b"z")].concat(), 1002),
        ("close with half a status", frame(0x88, &[3]), 1002),
        ("close with status 0", frame(0x88, &[0, 0]), 1002),
        ("close with status 999", frame(0x88, &999_u16.to_be_bytes()), 1002),
        ("close with status 1004", frame(0x88, &1004_u16.to_be_bytes()), 1002),
        ("close with status 1005", frame(0x88, &1005_u16.to_be_bytes()), 1002),
        ("close with status 1006", frame(0x88, &1006_u16.to_be_bytes()), 1002),
        ("close with status 1016", frame(0x88, &1016_u16.to_be_bytes()), 1002),
        ("close with status 2999", frame(0x88, &2999_u16.to_be_bytes()), 1002),
        ("close with status 5000", frame(0x88, &5000_u16.to_be_bytes()), 1002),
        ("close with a reason that is no text", frame(0x88, &[3, 232, 0xff, 0xfe]), 1007),
    ];
    for (what, bytes, status) in cases {
        for chopped in [false, true] {
            let (mut server, _) = open(Kind::Pull);
            let (heard, out) = feed(&mut server, bytes, if chopped { 1 } else { bytes.len() });
            assert!(heard.last().is_some_and(Result::is_err), "{what}: {heard:?}");
            let close = [&[0x88, 2][..], &status.to_be_bytes()].concat();
            assert!(out.ends_with(&close), "{what}: {out:?}");
        }
    }
}

#[test]
fn a_farewell_is_answered_and_is_the_end() {
    for (payload, answer) in [
        (&b""[..], 1000_u16),
        (&[3, 232], 1000),
        (b"\x03\xe9going away", 1001),
        (&[3, 233], 1001),
        (b"\x0b\xb8", 3000),
        (b"\x13\x87", 4999),
    ] {
        let (mut server, _) = open(Kind::Pull);
        let mut wire = BytesMut::new();
        put(&mut wire, 0x88, true, payload);
        put(&mut wire, 0x82, true, b"too late");
        let mut out = BytesMut::new();
        assert_eq!(server.next(&mut wire, &mut out), Ok(Some(Input::Closed)));
        assert_eq!(out[..], [&[0x88, 2][..], &answer.to_be_bytes()].concat());
        assert_eq!(server.next(&mut wire, &mut out), Ok(None));
        let before = out.len();
        server.put_close(&mut out);
        assert_eq!(out.len(), before, "one farewell is enough");
    }
    let (mut server, mut client) = open(Kind::Pull);
    let mut wire = BytesMut::new();
    client.put_close(&mut wire);
    assert_eq!(server.next(&mut wire, &mut BytesMut::new()), Ok(Some(Input::Closed)));
}

#[test]
fn a_masked_answer_is_refused_by_a_client() {
    let (_, mut client) = open(Kind::Rep);
    let mut wire = BytesMut::new();
    put(&mut wire, 0x82, true, b"x");
    let mut out = BytesMut::new();
    assert!(matches!(client.next(&mut wire, &mut out), Err(PeerFault::Frame(_))));
    assert_eq!(out.len(), 8, "a masked farewell");
}

// However it is cut.
proptest! {
    #[test]
    fn pieces_make_no_difference(sizes in prop::collection::vec(0_usize..300, 0..6), step in 1_usize..200) {
        let (mut client, request) = begin();
        let mut wire = request.to_vec();
        for size in &sizes {
            let mut out = BytesMut::new();
            client.put(&Message::new(pattern(*size)), &mut out);
            wire.extend_from_slice(&out);
            put_vec(&mut wire, 0x89, b"ping");
        }
        client.put_close(&mut BytesMut::new());
        let whole = feed(&mut listening(Kind::Rep), &wire, wire.len()).0;
        let pieces = feed(&mut listening(Kind::Rep), &wire, step).0;
        prop_assert_eq!(&whole, &pieces);
        prop_assert_eq!(whole.len(), sizes.len() + 1);
    }

    #[test]
    fn garbage_is_refused_alike_whole_and_in_pieces(garbage in prop::collection::vec(any::<u8>(), 0..600), step in 1_usize..64) {
        for client in [false, true] {
            for opened in [false, true] {
                let make = || match (client, opened) {
                    (false, false) => listening(Kind::Rep),
                    (true, false) => dialling(Kind::Req),
                    (false, true) => open(Kind::Rep).0,
                    (true, true) => open(Kind::Rep).1,
                };
                let whole = feed(&mut make(), &garbage, garbage.len().max(1));
                let pieces = feed(&mut make(), &garbage, step);
                prop_assert_eq!(whole.0, pieces.0);
                prop_assert!(whole.1.len() < 1_000);
            }
        }
    }

    /// Random frames reach further than random bytes.
    #[test]
    fn frames_of_any_kind_are_treated_alike(
        frames in prop::collection::vec((any::<u8>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..140)), 0..12),
        step in 1_usize..64,
    ) {
        let mut wire = BytesMut::new();
        for (first, masked, payload) in &frames {
            put(&mut wire, *first & 0x8f, *masked || first % 4 != 0, payload);
        }
        let whole = feed(&mut open(Kind::Rep).0, &wire, wire.len().max(1)).0;
        prop_assert_eq!(whole, feed(&mut open(Kind::Rep).0, &wire, step).0);
    }
}

#[test]
fn a_session_may_be_cut_at_every_byte() {
    let (mut client, request) = begin();
    let mut wire = request.to_vec();
    let mut out = BytesMut::new();
    client.put(&Message::new(pattern(130)), &mut out);
    wire.extend_from_slice(&out);
    put_vec(&mut wire, 0x02, b"frag");
    put_vec(&mut wire, 0x89, b"?");
    put_vec(&mut wire, 0x80, b"ment");
    put_vec(&mut wire, 0x88, &[3, 232]);
    let whole = feed(&mut listening(Kind::Rep), &wire, wire.len()).0;
    assert_eq!(whole.len(), 4);
    for cut in 1..wire.len() {
        let mut session = listening(Kind::Rep);
        let mut heard = vec![];
        let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
        for piece in [&wire[..cut], &wire[cut..]] {
            input.extend_from_slice(piece);
            drain(&mut session, &mut input, &mut out, &mut heard);
        }
        assert_eq!(heard, whole, "cut at {cut}");
    }
}

/// What each side of every kind of connection hears, from the first byte of the handshake to the farewell.
#[test]
fn both_sides_of_a_session_may_be_cut_and_may_end_at_every_byte() {
    for kind in Kind::ALL {
        let (mut server, mut client) = (listening(kind), dialling(kind.partner()));
        let (mut asked, mut answered) = (BytesMut::new(), BytesMut::new());
        client.open(&mut asked);
        server.next(&mut asked.clone(), &mut answered).unwrap();
        client.next(&mut answered.clone(), &mut BytesMut::new()).unwrap();
        for (session, said) in [(&mut client, &mut asked), (&mut server, &mut answered)] {
            for size in [0, 1, 130] {
                session.put(&Message::new(pattern(size)), said);
            }
            session.put_close(said);
        }
        for (said, is_server) in [(asked, true), (answered, false)] {
            let fresh = || if is_server { listening(kind) } else { dialling(kind.partner()) };
            let hear = |pieces: &[&[u8]]| {
                let (mut session, mut heard) = (fresh(), vec![]);
                let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
                for piece in pieces {
                    input.extend_from_slice(piece);
                    drain(&mut session, &mut input, &mut out, &mut heard);
                }
                (heard, out)
            };
            let whole = hear(&[&said]);
            assert_eq!(whole.0.len(), 5, "{kind}: {:?}", whole.0);
            assert!(whole.0.iter().all(Result::is_ok));
            assert_eq!(whole, hear(&said.chunks(1).collect::<Vec<_>>()), "byte by byte");
            for cut in 0..said.len() {
                let (head, tail) = said.split_at(cut);
                assert_eq!(whole, hear(&[head, tail]), "{kind}: cut at {cut}");
                let part = hear(&[head]).0;
                assert_eq!(part, whole.0[..part.len()], "{kind}: it ends at {cut}");
                assert!(part.len() < 5);
            }
        }
    }
}

type Heard = Vec<Result<Input, PeerFault>>;

/// Tells a session of bytes, `step` at a time; what it heard, and what it said.
fn feed(session: &mut Session, bytes: &[u8], step: usize) -> (Heard, Vec<u8>) {
    let mut heard = vec![];
    let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
    for piece in bytes.chunks(step) {
        input.extend_from_slice(piece);
        drain(session, &mut input, &mut out, &mut heard);
    }
    (heard, out.to_vec())
}

fn drain(session: &mut Session, input: &mut BytesMut, out: &mut BytesMut, heard: &mut Heard) {
    loop {
        match session.next(input, out) {
            Ok(None) => return,
            Ok(Some(found)) => heard.push(Ok(found)),
            Err(fault) => heard.push(Err(fault)),
        }
    }
}

fn limits() -> Limits {
    Limits::with_max_message(LIMIT)
}

fn listening(kind: Kind) -> Session {
    Session::server(kind, "/x", limits())
}

fn dialling(kind: Kind) -> Session {
    Session::client(kind, "host:1", "/x", limits(), 1)
}

/// A client that has agreed with somebody, and the request it did it with.
fn begin() -> (Session, BytesMut) {
    let (mut server, mut client) = (listening(Kind::Rep), dialling(Kind::Req));
    let mut request = BytesMut::new();
    client.open(&mut request);
    let kept = request.clone();
    let mut reply = BytesMut::new();
    server.next(&mut request, &mut reply).unwrap();
    client.next(&mut reply, &mut BytesMut::new()).unwrap();
    (client, kept)
}

/// A server of this kind and its client, agreed.
fn open(kind: Kind) -> (Session, Session) {
    let (mut server, mut client) = (listening(kind), dialling(kind.partner()));
    let (mut request, mut reply) = (BytesMut::new(), BytesMut::new());
    client.open(&mut request);
    server.next(&mut request, &mut reply).unwrap();
    client.next(&mut reply, &mut BytesMut::new()).unwrap();
    (server, client)
}

fn request() -> String {
    format!(
        "GET /x HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: {}\r\n\r\n",
        subprotocol(Kind::Rep)
    )
}

/// What a server says to `dialling(Kind::Req)`.
fn response() -> String {
    let (mut request, mut reply) = (BytesMut::new(), BytesMut::new());
    dialling(Kind::Req).open(&mut request);
    listening(Kind::Rep).next(&mut request, &mut reply).unwrap();
    String::from_utf8(reply.to_vec()).unwrap()
}

fn upgrade(why: &'static str) -> PeerFault {
    PeerFault::Upgrade(why)
}

/// A masked frame with this first byte.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut wire = BytesMut::new();
    put(&mut wire, first, true, payload);
    wire.to_vec()
}

fn put_vec(wire: &mut Vec<u8>, first: u8, payload: &[u8]) {
    wire.extend_from_slice(&frame(first, payload));
}

fn put(wire: &mut BytesMut, first: u8, masked: bool, payload: &[u8]) {
    let flag = if masked { 0x80 } else { 0 };
    wire.extend_from_slice(&[first]);
    match payload.len() {
        len @ 0..=125 => wire.extend_from_slice(&[flag | len as u8]),
        len @ 126..=65_535 => {
            wire.extend_from_slice(&[flag | 126]);
            wire.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            wire.extend_from_slice(&[flag | 127]);
            wire.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    let mask = if masked { [1, 2, 3, 4] } else { [0; 4] };
    if masked {
        wire.extend_from_slice(&mask);
    }
    wire.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
}

fn pattern(size: usize) -> Bytes {
    (0..size).map(|place| (place * 7 + size) as u8).collect()
}
