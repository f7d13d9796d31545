//! The bytes on a stream: what is written, and what is made of whatever comes.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use sp_proto::wire::{self, FRAME_HEADER_LEN, GREETING_LEN, Input, Reader, greeting, put_frame, put_typed_frame};
use sp_proto::{Attachment, ContextId, EndpointOptions, Kind, Message, Options, PeerFault, Socket, Time};

/// # What is written
#[test]
fn a_greeting_is_eight_bytes_that_others_know() {
    let ids = [
        (Kind::Pair, 0x10),
        (Kind::Pair1, 0x11),
        (Kind::Pub, 0x20),
        (Kind::Sub, 0x21),
        (Kind::Req, 0x30),
        (Kind::Rep, 0x31),
        (Kind::Push, 0x50),
        (Kind::Pull, 0x51),
        (Kind::Surveyor, 0x62),
        (Kind::Respondent, 0x63),
        (Kind::Bus, 0x70),
    ];
    for (kind, id) in ids {
        assert_eq!(greeting(kind), [0x00, 0x53, 0x50, 0x00, 0x00, id, 0x00, 0x00], "{kind}");
    }
    assert_eq!(ids.map(|(kind, _)| kind), Kind::ALL);
}

#[test]
fn a_message_is_empty_without_a_body_and_words() {
    assert!(Message::new("").is_empty());
    assert!(!Message::new("x").is_empty());
    assert!(!Message { header: [7][..].into(), ..Message::default() }.is_empty());
}

#[test]
fn a_frame_is_a_length_and_a_message_with_its_routing_words() {
    let request = Message { header: [0x8000_0001].as_slice().into(), body: Bytes::from("hello") };
    assert_eq!(frame(&request), b"\x00\x00\x00\x00\x00\x00\x00\x09\x80\x00\x00\x01hello"[..]);

    let forwarded = Message { header: [0x1234_5678, 0x8000_0001].as_slice().into(), body: Bytes::from("hello") };
    assert_eq!(frame(&forwarded), b"\x00\x00\x00\x00\x00\x00\x00\x0d\x12\x34\x56\x78\x80\x00\x00\x01hello"[..]);

    assert_eq!(frame(&Message::new("hello")), b"\x00\x00\x00\x00\x00\x00\x00\x05hello"[..]);
    assert_eq!(frame(&Message::default()), [0; 8][..]);
}

/// The first message that each kind writes, and what is on the wire for it. The ids are those of the vectors that others
/// publish: request 1, pipe 0x12345678.
#[test]
fn every_kind_writes_what_others_read() {
    let id = 0x8000_0001;
    let bare = |body: &str| [&(body.len() as u64).to_be_bytes(), body.as_bytes()].concat();
    for kind in Kind::ALL {
        let mut socket = Socket::new_raw(kind, Options::default(), 7).unwrap();
        let peer = Attachment { peer: kind.partner().id(), endpoint: EndpointOptions::default() };
        let pipe = socket.attach(Time::ZERO, peer).unwrap();
        let header: &[u32] = match kind {
            Kind::Req | Kind::Surveyor => &[id],
            Kind::Rep | Kind::Respondent => &[pipe.word(), id],
            _ => &[],
        };
        let message = Message { header: header.into(), body: Bytes::from("hello") };
        let sent = socket.try_send_message(Time::ZERO, message).is_ok();
        let expected = match kind {
            Kind::Sub | Kind::Pull => None,
            Kind::Req | Kind::Rep | Kind::Surveyor | Kind::Respondent => {
                Some(b"\x00\x00\x00\x00\x00\x00\x00\x09\x80\x00\x00\x01hello".to_vec())
            }
            Kind::Pair1 => Some(b"\x00\x00\x00\x00\x00\x00\x00\x09\x00\x00\x00\x01hello".to_vec()),
            Kind::Pair | Kind::Pub | Kind::Push | Kind::Bus => Some(bare("hello")),
        };
        assert_eq!(sent, expected.is_some());
        let written = socket.poll_transmit(Time::ZERO, pipe).map(|message| frame(&message).to_vec());
        assert_eq!(written, expected, "{kind}");
    }
}

#[test]
fn what_a_device_hands_on_has_the_way_in_front() {
    let mut back = Socket::new_raw(Kind::Req, Options::default(), 7).unwrap();
    let peer = Attachment { peer: Kind::Rep.id(), endpoint: EndpointOptions::default() };
    let pipe = back.attach(Time::ZERO, peer).unwrap();
    let request = Message { header: [0x1234_5678, 0x8000_0001].as_slice().into(), body: Bytes::from("hello") };
    back.try_send_message(Time::ZERO, request).unwrap();
    let written = frame(&back.poll_transmit(Time::ZERO, pipe).unwrap());
    assert_eq!(written, b"\x00\x00\x00\x00\x00\x00\x00\x0d\x12\x34\x56\x78\x80\x00\x00\x01hello"[..]);
}

#[test]
fn a_hop_is_counted_on_the_wire() {
    let hi = Message { header: [1].as_slice().into(), body: Bytes::from("hi") };
    assert_eq!(frame(&hi), b"\x00\x00\x00\x00\x00\x00\x00\x06\x00\x00\x00\x01hi"[..]);
    let mut pair = Socket::new(Kind::Pair1, Options::default(), 7).unwrap();
    let peer = Attachment { peer: Kind::Pair1.id(), endpoint: EndpointOptions::default() };
    let pipe = pair.attach(Time::ZERO, peer).unwrap();
    pair.try_send(Time::ZERO, ContextId::DEFAULT, Bytes::from("hi")).unwrap();
    assert_eq!(pair.poll_transmit(Time::ZERO, pipe), Some(hi));
}

#[test]
fn over_a_unix_socket_a_frame_begins_with_its_type() {
    let request = Message { header: [0x8000_0001].as_slice().into(), body: Bytes::from("hello") };
    let mut bytes = BytesMut::from(&b"before"[..]);
    put_typed_frame(&request, &mut bytes);
    assert_eq!(bytes, b"before\x01\x00\x00\x00\x00\x00\x00\x00\x09\x80\x00\x00\x01hello"[..]);
}

/// # What is read
#[test]
fn a_typed_session_means_the_same_however_it_is_cut() {
    let bodies = ["", "a", "hello", "\x01\0\0\0\0\0\0\0\x01", "the last"];
    let mut bytes = BytesMut::from(&greeting(Kind::Push)[..]);
    bodies.iter().for_each(|body| put_typed_frame(&Message::new(*body), &mut bytes));
    let whole = read_with(typed(), [&bytes[..]]);
    let heard = bodies.iter().map(|body| Input::Message(Bytes::from(*body)));
    assert_eq!(whole.inputs[1..], heard.collect::<Vec<_>>());
    assert_eq!((whole.fault, whole.rest.len()), (None, 0));
    assert_eq!(whole, read_with(typed(), bytes.chunks(1)));
    for first in 0..=bytes.len() {
        let (head, tail) = bytes.split_at(first);
        assert_eq!(whole, read_with(typed(), [head, tail]), "cut at {first}");
        for second in 0..=tail.len() {
            let (middle, tail) = tail.split_at(second);
            assert_eq!(whole, read_with(typed(), [head, middle, tail]), "cut at {first} and {}", first + second);
        }
        let part = read_with(typed(), [head]);
        assert_eq!(part.inputs, whole.inputs[..part.inputs.len()], "it ends at {first}");
        assert_eq!(part.fault, None);
    }
}

#[test]
fn a_frame_of_another_type_is_refused_at_its_first_byte() {
    for kind in 0..=u8::MAX {
        let story = read_with(typed(), [&greeting(Kind::Push)[..], &[kind]]);
        let expected = (kind != 1).then_some(PeerFault::FrameType(kind));
        assert_eq!((story.inputs.len(), story.fault), (1, expected));
    }
    let plain = read(Kind::Pull, [&greeting(Kind::Push)[..], &frame(&Message::new("x"))]);
    assert_eq!((plain.inputs.len(), plain.fault), (2, None), "elsewhere there are no types");
}

#[test]
fn a_reader_knows_whether_its_peer_has_greeted() {
    let mut reader = Reader::new(Kind::Pull, LIMIT);
    let mut buffer = BytesMut::from(&greeting(Kind::Push)[..7]);
    assert_eq!((reader.next(&mut buffer), reader.greeted()), (Ok(None), false));
    buffer.extend_from_slice(&[0]);
    assert!(reader.next(&mut buffer).is_ok());
    assert!(reader.greeted());
}

#[test]
fn a_session_means_the_same_however_it_is_cut() {
    for kind in Kind::ALL {
        let bytes = session(kind);
        let whole = read(kind, [&bytes[..]]);
        assert_eq!(whole.inputs.len(), 6);
        assert_eq!(whole, read(kind, bytes.chunks(1)), "one byte at a time");
        for first in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(first);
            assert_eq!(whole, read(kind, [head, tail]), "cut at {first}");
            for second in 0..=tail.len() {
                let (middle, tail) = tail.split_at(second);
                assert_eq!(whole, read(kind, [head, middle, tail]), "cut at {first} and {}", first + second);
            }
        }
    }
}

#[test]
fn a_session_that_ends_early_means_what_came_whole() {
    let bytes = session(Kind::Rep);
    let whole = read(Kind::Rep, [&bytes[..]]);
    for end in 0..bytes.len() {
        let part = read(Kind::Rep, [&bytes[..end]]);
        assert_eq!(part.inputs, whole.inputs[..part.inputs.len()]);
        assert_eq!(part.fault, None);
        let consumed: usize = part.inputs.iter().map(size).sum();
        assert_eq!(part.rest, bytes[consumed..end]);
    }
}

#[test]
fn no_other_greeting_is_accepted() {
    for kind in Kind::ALL {
        let right = greeting(kind.partner());
        for (place, byte) in (0..GREETING_LEN).flat_map(|place| (0..=u8::MAX).map(move |byte| (place, byte))) {
            let mut wrong = right;
            wrong[place] = byte;
            if wrong == right {
                continue;
            }
            let story = read(kind, [&wrong[..]]);
            let expected = match place {
                4 | 5 => PeerFault::Protocol { ours: kind.id(), theirs: u16::from_be_bytes([wrong[4], wrong[5]]) },
                _ => PeerFault::Greeting,
            };
            assert_eq!((story.inputs, story.fault), (vec![], Some(expected)), "{byte:#04x} at {place}");
            if place < 4 {
                let early = read(kind, [&wrong[..=place]]);
                assert_eq!(early.fault, Some(expected), "it is found before the rest has come");
            }
        }
    }
}

#[test]
fn only_the_partner_of_a_kind_is_accepted() {
    for kind in Kind::ALL {
        for id in 0..=u16::MAX {
            let [high, low] = id.to_be_bytes();
            let story = read(kind, [&[0, b'S', b'P', 0, high, low, 0, 0][..]]);
            if id == kind.partner().id() {
                assert_eq!((story.inputs, story.fault), (vec![Input::Greeting { peer: id }], None));
            } else {
                assert_eq!(story.fault, Some(PeerFault::Protocol { ours: kind.id(), theirs: id }));
            }
        }
    }
}

#[test]
fn strangers_are_known_by_their_first_byte() {
    for stranger in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\xff\0\0\0\0\0\0\x01\x7f",
    ] {
        assert_eq!(read(Kind::Pull, [&stranger[..1]]).fault, Some(PeerFault::Greeting));
    }
}

/// # Lengths
#[test]
fn a_message_of_the_largest_size_is_accepted_and_one_byte_more_is_not() {
    for limit in [1, 4, 1_000, 65_536] {
        for (size, accepted) in [(0, true), (limit - 1, true), (limit, true), (limit + 1, false)] {
            let mut reader = greeted(Kind::Pull, limit);
            let mut buffer = BytesMut::from(&frame(&Message::new(vec![7; size]))[..]);
            let found = reader.next(&mut buffer);
            if accepted {
                assert_eq!(found, Ok(Some(Input::Message(vec![7; size].into()))));
                assert!(buffer.is_empty());
            } else {
                assert_eq!(found, Err(PeerFault::TooLarge { size: size as u64, limit }));
            }
        }
    }
}

#[test]
fn what_may_be_declared_leaves_room_for_a_header() {
    for kind in Kind::ALL {
        let most = wire::most_bytes(kind, 100);
        let room = match kind {
            Kind::Req | Kind::Rep | Kind::Surveyor | Kind::Respondent => 4 * 255,
            Kind::Pair1 => 4,
            _ => 0,
        };
        assert_eq!(most, 100 + room);
        for (size, accepted) in [(most, true), (most + 1, false)] {
            let mut reader = greeted(kind, 100);
            let mut buffer = BytesMut::from(&frame(&Message::new(vec![7; size]))[..]);
            assert_eq!(reader.next(&mut buffer).is_ok(), accepted, "{kind}");
        }
    }
}

#[test]
fn a_declared_size_costs_nothing_until_it_comes() {
    let limit = 16 << 20;
    for size in [limit as u64 + 1, 1 << 31, 1 << 32, 1 << 60, 1 << 63, (1 << 63) + 5, u64::MAX - 8, u64::MAX] {
        let mut reader = greeted(Kind::Pull, limit);
        let mut buffer = BytesMut::from(&size.to_be_bytes()[..]);
        let capacity = buffer.capacity();
        assert_eq!(reader.next(&mut buffer), Err(PeerFault::TooLarge { size, limit }), "at once, without its body");
        assert_eq!(buffer.capacity(), capacity);
    }
    let mut reader = greeted(Kind::Pull, limit);
    let mut buffer = BytesMut::from(&(limit as u64).to_be_bytes()[..]);
    let capacity = buffer.capacity();
    assert_eq!(reader.next(&mut buffer), Ok(None));
    assert_eq!((buffer.capacity(), reader.missing(&buffer)), (capacity, limit));
}

#[test]
fn a_socket_without_a_limit_is_not_brought_down_by_a_declared_size() {
    for size in [u64::MAX, u64::MAX - 7, u64::MAX - 8, 1 << 63] {
        let mut reader = greeted(Kind::Pull, usize::MAX);
        let mut buffer = BytesMut::from(&size.to_be_bytes()[..]);
        buffer.extend_from_slice(b"the beginning");
        assert_eq!(reader.next(&mut buffer), Ok(None));
        assert!(reader.missing(&buffer) > 1 << 62);
    }
}

#[test]
fn what_is_missing_is_known_as_soon_as_it_can_be() {
    let bytes = frame(&Message::new("hello"));
    let reader = greeted(Kind::Pull, 100);
    for len in 0..=bytes.len() {
        let expected = if len < FRAME_HEADER_LEN { FRAME_HEADER_LEN - len } else { bytes.len() - len };
        assert_eq!(reader.missing(&BytesMut::from(&bytes[..len])), expected);
    }
    assert_eq!(Reader::new(Kind::Pull, 100).missing(&BytesMut::from(&b"\0SP"[..])), 5);
    let mut reader = typed();
    let mut buffer = BytesMut::from(&greeting(Kind::Push)[..7]);
    assert_eq!(reader.missing(&buffer), 1, "a greeting has no type");
    buffer.extend_from_slice(&[0]);
    reader.next(&mut buffer).unwrap();
    assert_eq!(reader.missing(&buffer), 9);
}

// Whatever comes.
proptest! {
    #[test]
    fn garbage_is_refused_the_same_way_however_it_is_cut(bytes in garbage(), cuts in cuts(), kind in kinds()) {
        prop_assert_eq!(read(kind, [&bytes[..]]), read(kind, pieces(&bytes, &cuts)));
    }

    #[test]
    fn garbage_behind_a_greeting_is_refused_the_same_way_however_it_is_cut(
        bytes in garbage(),
        cuts in cuts(),
        kind in kinds(),
    ) {
        let bytes = [&greeting(kind.partner())[..], &bytes].concat();
        let whole = read(kind, [&bytes[..]]);
        prop_assert_eq!(&whole.inputs[0], &Input::Greeting { peer: kind.partner().id() });
        prop_assert_eq!(whole, read(kind, pieces(&bytes, &cuts)));
    }

    #[test]
    fn what_is_written_is_read(messages in prop::collection::vec(messages(), 0..20), cuts in cuts(), kind in kinds()) {
        let mut bytes = BytesMut::from(&greeting(kind.partner())[..]);
        messages.iter().for_each(|message| put_frame(message, &mut bytes));
        let story = read(kind, pieces(&bytes, &cuts));
        let flat = |message: &Message| {
            let mut wire = BytesMut::new();
            message.put(&mut wire);
            Input::Message(wire.freeze())
        };
        prop_assert_eq!(&story.inputs[1..], &messages.iter().map(flat).collect::<Vec<_>>()[..]);
        prop_assert_eq!((story.fault, story.rest.len()), (None, 0));
    }
}

/// What a reader found, and what it left.
#[derive(Debug, PartialEq)]
struct Story {
    inputs: Vec<Input>,
    fault: Option<PeerFault>,
    /// Nothing after a fault: the connection is of no further use.
    rest: Vec<u8>,
}

/// Reads as a connection does: piece by piece, and from each piece all there is.
fn read<'a>(kind: Kind, pieces: impl IntoIterator<Item = &'a [u8]>) -> Story {
    read_with(Reader::new(kind, LIMIT), pieces)
}

fn read_with<'a>(mut reader: Reader, pieces: impl IntoIterator<Item = &'a [u8]>) -> Story {
    let mut buffer = BytesMut::new();
    let mut inputs = vec![];
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let missing = reader.missing(&buffer);
            match reader.next(&mut buffer) {
                Ok(Some(input)) => {
                    assert_eq!(missing, 0, "it was whole");
                    inputs.push(input);
                }
                Ok(None) => {
                    assert!(missing > 0 || buffer.is_empty() && reader.greeted());
                    break;
                }
                Err(fault) => return Story { inputs, fault: Some(fault), rest: vec![] },
            }
        }
    }
    Story { inputs, fault: None, rest: buffer.to_vec() }
}

/// A greeting and five short messages, one of them empty.
fn session(kind: Kind) -> Vec<u8> {
    let mut bytes = BytesMut::from(&greeting(kind.partner())[..]);
    for body in ["", "a", "hello", "\0SP\0", "the last"] {
        put_frame(&Message::new(body), &mut bytes);
    }
    assert!(bytes.len() <= 100);
    bytes.to_vec()
}

/// The reader of a PULL on a UNIX socket.
fn typed() -> Reader {
    Reader::new(Kind::Pull, LIMIT).typed()
}

fn greeted(kind: Kind, limit: usize) -> Reader {
    let mut reader = Reader::new(kind, limit);
    let mut buffer = BytesMut::from(&greeting(kind.partner())[..]);
    assert_eq!(reader.next(&mut buffer), Ok(Some(Input::Greeting { peer: kind.partner().id() })));
    reader
}

fn frame(message: &Message) -> BytesMut {
    let mut bytes = BytesMut::new();
    put_frame(message, &mut bytes);
    bytes
}

/// Bytes that an input took from the stream.
fn size(input: &Input) -> usize {
    match input {
        Input::Greeting { .. } => GREETING_LEN,
        Input::Message(wire) => FRAME_HEADER_LEN + wire.len(),
        Input::Closed => 0,
    }
}

/// Splits `bytes` at places that are taken modulo its length.
fn pieces<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).chain([0, bytes.len()]).collect();
    places.sort_unstable();
    places.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
}

/// Bytes of which some look like lengths.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..30),
        (0_u64..20).prop_map(|len| len.to_be_bytes().to_vec()),
        (0_u32..64).prop_map(|bit| (1_u64 << bit).to_be_bytes().to_vec()),
        Just(b"\0SP\0".to_vec()),
        Just(vec![0; 9]),
    ];
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

fn messages() -> impl Strategy<Value = Message> {
    (prop::collection::vec(any::<u32>(), 0..6), prop::collection::vec(any::<u8>(), 0..50))
        .prop_map(|(words, body)| Message { header: words.into(), body: body.into() })
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(any::<usize>(), 0..20)
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop::sample::select(Kind::ALL.to_vec())
}

const LIMIT: usize = 100;
