//! The opening handshake of WebSocket (RFC 6455, 4), as nanomsg and NNG do it.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, BytesMut};
use httparse::{EMPTY_HEADER, Header, Request, Response, Status};
use sha1::{Digest, Sha1};

use super::Limits;
use crate::error::PeerFault;
use crate::protocol::Kind;

/// What the two sides agree on when the server is of this kind.
pub fn subprotocol(server: Kind) -> String {
    format!("{}{SUFFIX}", server.name())
}

/// One side of the handshake.
#[derive(Debug)]
pub(super) struct Handshake {
    side: Side,
    /// Bytes that have been judged and found good so far.
    judged: usize,
}

#[derive(Debug)]
enum Side {
    Server {
        path: String,
    },
    Client {
        host: String,
        path: String,
        /// What the server must show that it has read.
        key: String,
    },
}

impl Handshake {
    pub(super) fn server(path: &str) -> Handshake {
        Handshake { side: Side::Server { path: path.to_owned() }, judged: 0 }
    }

    pub(super) fn client(host: &str, path: &str, nonce: u128) -> Handshake {
        let key = STANDARD.encode(nonce.to_be_bytes());
        Handshake { side: Side::Client { host: host.to_owned(), path: path.to_owned(), key }, judged: 0 }
    }

    /// What a client says first.
    pub(super) fn request(&self, kind: Kind, out: &mut BytesMut) {
        if let Side::Client { host, path, key } = &self.side {
            let asked = subprotocol(kind.partner());
            say(
                out,
                format_args!(
                    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {asked}\r\n\r\n"
                ),
            );
        }
    }

    /// Takes the other side's part from the front of `input`; false if it is not all there.
    pub(super) fn next(
        &mut self,
        kind: Kind,
        limits: &Limits,
        input: &mut BytesMut,
        out: &mut BytesMut,
    ) -> Result<bool, PeerFault> {
        let visible = &input[..input.len().min(limits.max_header)];
        // The first line is judged as it comes, and then line by line: neither the pieces in which it arrives make a
        // difference, nor does it cost more if they are small.
        let end = visible.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let lines = if end == 0 { visible } else { &visible[..end] };
        let result = if lines.len() == self.judged {
            Ok(None)
        } else if end == 0 && lines.len() > LONGEST_FIRST_LINE {
            Err(Refusal { status: "414 URI Too Long", fault: PeerFault::Upgrade("its first line is too long") })
        } else {
            let most = limits.max_header_lines.min(MOST_LINES);
            match &self.side {
                Side::Server { path } => answer(kind, path, lines, most),
                Side::Client { key, .. } => match check(kind, key, lines, most) {
                    Ok(len) => Ok(len.map(|len| (len, String::new()))),
                    Err(fault) => return Err(fault),
                },
            }
        };
        self.judged = lines.len();
        let result = match result {
            Ok(None) if input.len() >= limits.max_header => Err(Refusal {
                status: "431 Request Header Fields Too Large",
                fault: PeerFault::Upgrade("its header is too long"),
            }),
            result => result,
        };
        match result {
            Ok(Some((len, reply))) => {
                out.extend_from_slice(reply.as_bytes());
                input.advance(len);
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(Refusal { status, fault }) => {
                if matches!(self.side, Side::Server { .. }) {
                    say(
                        out,
                        format_args!("HTTP/1.1 {status}\r\n{ADVICE}Connection: close\r\nContent-Length: 0\r\n\r\n"),
                    );
                }
                Err(fault)
            }
        }
    }
}

/// Why a server refuses.
struct Refusal {
    status: &'static str,
    fault: PeerFault,
}

/// What a server answers to a request, and how long that was; `None` if it is not all there.
fn answer(kind: Kind, path: &str, input: &[u8], lines: usize) -> Result<Option<(usize, String)>, Refusal> {
    let refuse = |status: &'static str, why: &'static str| Err(Refusal { status, fault: PeerFault::Upgrade(why) });
    let mut found = [EMPTY_HEADER; MOST_LINES];
    let mut request = Request::new(&mut found[..lines]);
    let len = match request.parse(input) {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return refuse("431 Request Header Fields Too Large", "its header has too many lines");
        }
        Err(_) => return refuse("400 Bad Request", "it does not speak HTTP"),
    };
    if request.method != Some("GET") || request.version != Some(1) {
        return refuse("400 Bad Request", "its request is not a GET of HTTP/1.1");
    }
    if without_query(request.path.unwrap_or("")) != without_query(path) {
        return refuse("404 Not Found", "it asks for another path");
    }
    let headers = &*request.headers;
    if only(headers, "Host").is_none() {
        return refuse("400 Bad Request", "its request names no host");
    }
    if !has_token(headers, "Upgrade", "websocket") || !has_token(headers, "Connection", "upgrade") {
        return refuse("426 Upgrade Required", "it does not ask for WebSocket");
    }
    if only(headers, "Sec-WebSocket-Version") != Some("13") {
        return refuse("426 Upgrade Required", "it does not ask for version 13 of WebSocket");
    }
    let key = only(headers, "Sec-WebSocket-Key").filter(|key| STANDARD.decode(key).is_ok_and(|raw| raw.len() == 16));
    let Some(key) = key else {
        return refuse("400 Bad Request", "its key is missing or is not 16 bytes in base64");
    };
    if values(headers, "Content-Length").any(|len| len.trim() != "0")
        || values(headers, "Transfer-Encoding").next().is_some()
    {
        return refuse("400 Bad Request", "its request has a body");
    }
    let own = subprotocol(kind);
    let mut offers = tokens(headers, "Sec-WebSocket-Protocol").peekable();
    let agreed = match offers.peek() {
        // nanomsg takes whoever says nothing for a PAIR.
        None if kind == Kind::Pair => String::new(),
        None => return refuse("400 Missing Sub-Protocol", "it asks for no sub-protocol"),
        Some(&first) => {
            if !offers.any(|offer| offer == own) {
                let fault = match role(first) {
                    Some(server) => PeerFault::Protocol { ours: kind.id(), theirs: server.partner().id() },
                    None => {
                        PeerFault::Upgrade("it asks for a sub-protocol that is not one of the scalability protocols")
                    }
                };
                return Err(Refusal { status: "400 Incompatible Socket Type", fault });
            }
            format!("Sec-WebSocket-Protocol: {own}\r\n")
        }
    };
    let accept = accept_key(key);
    let reply = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{agreed}\r\n"
    );
    Ok(Some((len, reply)))
}

/// Is a server's response as it must be, and how long is it? `None` if it is not all there.
fn check(kind: Kind, key: &str, input: &[u8], lines: usize) -> Result<Option<usize>, PeerFault> {
    let mut found = [EMPTY_HEADER; MOST_LINES];
    let mut response = Response::new(&mut found[..lines]);
    let parsed = response.parse(input);
    // A refusal is one from its status on, whatever follows; nanomsg's has no end.
    if let Some(status) = response.code
        && status != 101
    {
        return Err(PeerFault::Http(status));
    }
    let len = match parsed {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(PeerFault::Upgrade("its header has too many lines")),
        Err(_) => return Err(PeerFault::Upgrade("it does not speak HTTP")),
    };
    let headers = &*response.headers;
    if !has_token(headers, "Upgrade", "websocket") || !has_token(headers, "Connection", "upgrade") {
        return Err(PeerFault::Upgrade("its response is no agreement to WebSocket"));
    }
    if only(headers, "Sec-WebSocket-Accept") != Some(accept_key(key).as_str()) {
        return Err(PeerFault::Upgrade("its response is not one to our request"));
    }
    if values(headers, "Sec-WebSocket-Extensions").next().is_some() {
        return Err(PeerFault::Upgrade("it wants an extension that was not offered"));
    }
    let partner = kind.partner();
    match only(headers, "Sec-WebSocket-Protocol") {
        Some(agreed) if agreed == subprotocol(partner) => Ok(Some(len)),
        Some(other) => Err(match role(other) {
            Some(server) => PeerFault::Protocol { ours: kind.id(), theirs: server.id() },
            None => PeerFault::Upgrade("it agrees to a sub-protocol that was not asked for"),
        }),
        None => Err(PeerFault::Upgrade("it agrees to no sub-protocol")),
    }
}

/// The kind of server whose sub-protocol this is.
fn role(name: &str) -> Option<Kind> {
    name.strip_suffix(SUFFIX)?.parse().ok()
}

fn accept_key(key: &str) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(MAGIC).finalize())
}

fn without_query(path: &str) -> &str {
    path.split('?').next().unwrap_or("")
}

/// The values of every line of this name that are text.
fn values<'a>(headers: &'a [Header<'a>], name: &'a str) -> impl Iterator<Item = &'a str> {
    headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .filter_map(|header| std::str::from_utf8(header.value).ok())
}

/// The value of the only line of this name.
fn only<'a>(headers: &'a [Header<'a>], name: &'a str) -> Option<&'a str> {
    let mut found = values(headers, name);
    let value = found.next()?.trim();
    if found.next().is_some() { None } else { Some(value) }
}

/// The elements of the comma lists in every line of this name.
fn tokens<'a>(headers: &'a [Header<'a>], name: &'a str) -> impl Iterator<Item = &'a str> {
    values(headers, name).flat_map(|value| value.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

fn has_token<'a>(headers: &'a [Header<'a>], name: &'a str, token: &str) -> bool {
    tokens(headers, name).any(|found| found.eq_ignore_ascii_case(token))
}

fn say(out: &mut BytesMut, words: std::fmt::Arguments<'_>) {
    // Writing to memory does not fail.
    let _ = out.write_fmt(words);
}

/// Bytes of a first line, which holds a path of 1,024 bytes at most.
const LONGEST_FIRST_LINE: usize = 2 << 10;
/// Header lines that are looked at, at most.
pub(super) const MOST_LINES: usize = 64;
const SUFFIX: &str = ".sp.nanomsg.org";
/// RFC 6455, 1.3.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// What a refused client may want to know.
const ADVICE: &str = "Sec-WebSocket-Version: 13\r\n";
