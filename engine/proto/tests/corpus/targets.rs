//! What must hold for any bytes at all. Each target takes bytes, of which the first few choose a situation, and panics if
//! a promise is broken; whoever calls it brings the bytes (`main.rs` those that are kept, `engine/fuzz` new ones).

use bytes::{Bytes, BytesMut};
use sp_proto::websocket::{Limits, Session};
use sp_proto::wire::{Input, Reader, greeting};
use sp_proto::{Address, Attachment, ContextId, EndpointOptions, Kind, Options, PeerFault, Socket, Time};

/// What is told of bytes.
pub(crate) type Target = fn(&[u8]);

/// Every target with its name.
pub(crate) const TARGETS: [(&str, Target); 7] = [
    ("greeting", greet),
    ("frames", frames),
    ("headers", headers),
    ("request", request),
    ("response", response),
    ("websocket", websocket),
    ("address", address),
];

/// The beginning of a connection.
pub(crate) fn greet(data: &[u8]) {
    let Some(([choice, step], bytes)) = data.split_first_chunk() else { return };
    same_in_pieces(*step, bytes, || stream(*choice));
}

/// What comes after a greeting, plain or typed.
pub(crate) fn frames(data: &[u8]) {
    let Some(([choice, step], bytes)) = data.split_first_chunk() else { return };
    same_in_pieces(*step, bytes, || {
        let mut next = stream(*choice);
        let mut hello = BytesMut::from(&greeting(kind(*choice).partner())[..]);
        assert!(matches!(next(&mut hello), Ok(Some(Input::Greeting { .. }))));
        next
    });
    let step = usize::from(*step) + 1;
    assert_eq!(read(taking(*choice), bytes, step), read(looking(*choice), bytes, step), "looked at");
}

/// Messages that arrive at a socket of any kind, from two peers: each is one byte of length and whatever that is.
pub(crate) fn headers(data: &[u8]) {
    let Some(([choice, ttl], mut bytes)) = data.split_first_chunk() else { return };
    let (kind, raw) = (kind(*choice), *choice & 0x80 != 0);
    let options = Options { ttl: (*ttl).max(1), recv_queue: 4, send_queue: 2, max_message: 40, ..Options::default() };
    let make = if raw { Socket::new_raw } else { Socket::new };
    let mut socket = make(kind, options, 7).expect("the options are within their ranges");
    let now = Time::ZERO;
    let _ = socket.subscribe(now, ContextId::DEFAULT, b"\x80");
    let peer = Attachment { peer: kind.partner().id(), endpoint: EndpointOptions::default() };
    let pipes: Vec<_> = [peer; 2].into_iter().filter_map(|peer| socket.attach(now, peer).ok()).collect();
    let _ = socket.try_send(now, ContextId::DEFAULT, Bytes::from_static(b"ask"));
    let (mut handled, mut received) = (0, 0);
    while let Some((&len, rest)) = bytes.split_first() {
        let (wire, behind) = rest.split_at(rest.len().min(usize::from(len & 0x7f)));
        bytes = behind;
        let pipe = pipes[usize::from(len >> 7) % pipes.len()];
        if socket.admits(pipe) {
            handled += 1;
            socket.handle_message(now, pipe, Bytes::copy_from_slice(wire));
        }
        if len % 3 == 0 {
            received += u64::from(pass_on(&mut socket, raw));
        }
        while socket.poll_output().is_some() {}
        for pipe in &pipes {
            while let Some(message) = socket.poll_transmit(now, *pipe) {
                assert!(message.len() <= sp_proto::wire::most_bytes(kind, 40), "what we send our own peer accepts");
            }
        }
        while let Some((pipe, reason)) = socket.poll_disconnect() {
            socket.detach(now, pipe, reason);
        }
    }
    while pass_on(&mut socket, raw) {
        received += 1;
    }
    let stats = socket.stats();
    let dropped = stats.dropped_received
        + stats.dropped_replies
        + stats.dropped_malformed
        + stats.dropped_full_recv
        + stats.filtered
        // These messages cost the peer its connection.
        + stats.peer_faults;
    assert_eq!(stats.received, received);
    assert_eq!(handled, received + dropped, "every message is received, or dropped and counted: {stats:?}");
}

/// What a server is asked first.
pub(crate) fn request(data: &[u8]) {
    let Some(([choice, step], bytes)) = data.split_first_chunk() else { return };
    same_in_pieces(*step, bytes, || session(Session::server(kind(*choice), "/x", limits())));
}

/// What a client is answered first.
pub(crate) fn response(data: &[u8]) {
    let Some(([choice, step], bytes)) = data.split_first_chunk() else { return };
    same_in_pieces(*step, bytes, || session(client(kind(*choice))));
}

/// Frames of WebSocket, to either side.
pub(crate) fn websocket(data: &[u8]) {
    let Some(([choice, step], bytes)) = data.split_first_chunk() else { return };
    let kind = kind(*choice);
    same_in_pieces(*step, bytes, || {
        let mut server = Session::server(kind, "/x", limits());
        let mut client = client(kind.partner());
        let (mut request, mut response) = (BytesMut::new(), BytesMut::new());
        client.open(&mut request);
        server.next(&mut request, &mut response).expect("it is a right request");
        client.next(&mut response, &mut BytesMut::new()).expect("it is a right response");
        session(if *choice & 0x80 == 0 { server } else { client })
    });
}

/// An address, and what becomes of one that can be understood.
pub(crate) fn address(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.parse::<Address>() {
        Ok(address) => {
            assert_eq!(address.to_string(), text);
            assert!(address.path().starts_with('/'));
            if let Some((host, _)) = address.host_and_port() {
                assert!(!host.is_empty());
                let other = address.with_port(7).to_string().parse::<Address>().expect("another port is as good");
                assert_eq!(other.host_and_port(), Some((host, 7)));
            }
        }
        Err(error) => assert!(error.to_string().len() < 4_000, "an error is short"),
    }
}

/// What a connection makes of the bytes that it has.
type Next = Box<dyn FnMut(&mut BytesMut) -> Result<Option<Input>, PeerFault>>;

fn reader(choice: u8) -> Reader {
    let reader = Reader::new(kind(choice), 100);
    if choice & 0x80 == 0 { reader } else { reader.typed() }
}

/// Messages of a peer that need not greet.
fn taking(choice: u8) -> Next {
    let mut reader = reader(choice).without_greeting();
    Box::new(move |buffer| reader.next(buffer))
}

/// The same, which are looked at and not kept.
fn looking(choice: u8) -> Next {
    let mut reader = reader(choice).without_greeting();
    Box::new(move |buffer| {
        reader.cut(buffer)?;
        let found = reader.peek().map(Bytes::copy_from_slice);
        reader.skip();
        Ok(found.map(Input::Message))
    })
}

fn stream(choice: u8) -> Next {
    let mut reader = reader(choice);
    Box::new(move |buffer| {
        let missing = reader.missing(buffer);
        let found = reader.next(buffer);
        assert!(missing == 0 || !matches!(found, Ok(Some(_))), "it was whole");
        found
    })
}

fn session(mut session: Session) -> Next {
    let mut out = BytesMut::new();
    Box::new(move |buffer| {
        let found = session.next(buffer, &mut out);
        assert!(out.len() < 20_000, "what is answered is bounded");
        found
    })
}

/// However the bytes are cut, the same is found in them.
fn same_in_pieces(step: u8, bytes: &[u8], make: impl Fn() -> Next) {
    let step = usize::from(step % 32) + 1;
    let whole = read(make(), bytes, bytes.len().max(1));
    assert_eq!(whole, read(make(), bytes, step), "in pieces of {step}");
    assert_eq!(whole, read(make(), bytes, 1), "byte by byte");
}

fn read(mut next: Next, bytes: &[u8], step: usize) -> Vec<Result<Input, PeerFault>> {
    let (mut buffer, mut found) = (BytesMut::new(), vec![]);
    for piece in bytes.chunks(step) {
        buffer.extend_from_slice(piece);
        loop {
            match next(&mut buffer) {
                Ok(None) => break,
                Ok(Some(input)) => found.push(Ok(input)),
                Err(fault) => {
                    found.push(Err(fault));
                    return found;
                }
            }
        }
    }
    assert!(found.len() <= bytes.len() + 1, "nothing comes of nothing");
    found
}

/// Receives one message; a device would send it on.
fn pass_on(socket: &mut Socket, raw: bool) -> bool {
    if raw {
        let Ok(message) = socket.try_recv_message(Time::ZERO) else { return false };
        let _ = socket.try_send_message(Time::ZERO, message);
    } else {
        let Ok(body) = socket.try_recv(Time::ZERO, ContextId::DEFAULT) else { return false };
        let _ = socket.try_send(Time::ZERO, ContextId::DEFAULT, body);
    }
    true
}

fn client(kind: Kind) -> Session {
    Session::client(kind, "host:1", "/x", limits(), 1)
}

fn limits() -> Limits {
    Limits { max_message: 200, max_fragments: 4, max_header: 512, max_header_lines: 12 }
}

fn kind(choice: u8) -> Kind {
    Kind::ALL[usize::from(choice & 0x7f) % Kind::ALL.len()]
}
