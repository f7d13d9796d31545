//! Strangers that break, stall or flood: bare connections that say what no socket of ours would. Whatever they do costs
//! them their own connection at most; a good peer of the same socket stays undisturbed, and a counter shows what happened.
//! `docs/bad-inputs.md` lists what is tried, and which test tries it.

mod common;

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{PATIENCE, close, dial, quick, recv, recv_within, send, settings, socket, socket_with, stats, until};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, SockAddr, Type};
use sp_proto::websocket::subprotocol;
use sp_proto::wire::{greeting, most_bytes};
use sp_proto::{Address, ContextId, EndpointOptions, Kind, OpError, Options};
use sp_real::{Socket, SocketOptions};
use tempfile::TempDir;

mod greetings {
    use super::*;

    #[test]
    fn a_greeting_cut_anywhere_harms_nobody() {
        for scheme in ["tcp", "ipc"] {
            for kind in [Kind::Pull, Kind::Rep, Kind::Pub] {
                let machine = Options { handshake_timeout: Duration::from_millis(100), ..quick() };
                let house = House::with(kind, scheme, machine);
                let words = greeting(kind.partner());
                let mut silent = vec![];
                for end in 0..words.len() {
                    for ending in [Ending::Finished, Ending::Reset, Ending::Silent] {
                        let mut stranger = house.visit();
                        stranger.write_all(&words[..end]).unwrap();
                        match ending {
                            Ending::Finished => drop(stranger),
                            Ending::Reset => stranger.reset(),
                            Ending::Silent => silent.push(stranger),
                        }
                    }
                }
                house.assert_undisturbed();
                silent.iter_mut().for_each(Stranger::assert_hung_up);
                until("all have failed", || house.listener().failed == 24);
                assert_eq!(stats(&house.socket).peer_faults, 8, "only to be silent is a fault: {kind}");
                house.assert_undisturbed();
            }
        }
    }

    #[test]
    fn no_byte_of_a_greeting_may_be_another() {
        let house = House::new(Kind::Pull, "tcp");
        let right = greeting(Kind::Push);
        for place in 0..right.len() {
            for other in (0..=255).filter(|other| *other != right[place]) {
                let mut words = right;
                words[place] = other;
                let mut stranger = house.visit();
                stranger.write_all(&words).unwrap();
                stranger.assert_hung_up();
            }
            house.assert_undisturbed();
        }
        until("all are counted", || stats(&house.socket).peer_faults == 8 * 255);
        assert_eq!(stats(&house.socket).pipes_up, 1);
    }

    #[test]
    fn every_kind_lets_in_its_partner_only() {
        for ours in Kind::ALL {
            let house = House::new(ours, "tcp");
            let others = Kind::ALL.into_iter().filter(|theirs| *theirs != ours.partner());
            for (faults, theirs) in (1..).zip(others) {
                let mut stranger = house.visit();
                stranger.write_all(&greeting(theirs)).unwrap();
                stranger.assert_hung_up();
                until("it is counted", || stats(&house.socket).peer_faults == faults);
            }
            house.assert_undisturbed();
        }
    }

    #[test]
    fn a_pair_has_one_peer_and_turns_away_the_next() {
        for kind in [Kind::Pair, Kind::Pair1] {
            let house = House::new(kind, "tcp");
            for count in 1..=20 {
                let mut stranger = house.visit();
                stranger.write_all(&greeting(kind)).unwrap();
                stranger.assert_hung_up();
                until("it is counted", || stats(&house.socket).refused_pipes == count);
            }
            house.assert_undisturbed();
        }
    }

    #[test]
    fn who_speaks_something_else_is_hung_up_on_everywhere() {
        let zmtp = [&[0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1][..], b"NULL", &[0; 48]].concat();
        let noise: Vec<u8> = (1..=64_u32).map(|place| (place.wrapping_mul(2_654_435_761) >> 24) as u8 | 1).collect();
        for scheme in ["tcp", "ipc", "ws", "tls+tcp", "wss"] {
            let machine = Options { handshake_timeout: Duration::from_millis(200), ..quick() };
            let house = House::with(Kind::Pull, scheme, machine);
            let sp = greeting(Kind::Push);
            let foreign: [(&str, &[u8]); 7] = [
                ("HTTP", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
                ("another method", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"),
                ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
                ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n"),
                ("noise", &noise),
                ("ZMTP", &zmtp),
                ("the greeting of TCP", &sp),
            ];
            let mut faults = 0;
            for (what, words) in foreign {
                if what == "the greeting of TCP" && matches!(scheme, "tcp" | "ipc") {
                    continue;
                }
                let mut stranger = house.visit();
                stranger.write_all(words).unwrap();
                stranger.assert_hung_up();
                faults += 1;
                until(&format!("{what} is counted at {scheme}"), || stats(&house.socket).peer_faults == faults);
            }
            house.assert_undisturbed();
        }
    }
}

mod lengths {
    use super::*;

    #[test]
    fn a_message_may_have_as_many_bytes_as_the_limit_and_no_more() {
        for scheme in ["tcp", "ipc", "ws"] {
            let machine = Options { max_message: 70_000, ..quick() };
            let house = House::with(Kind::Pull, scheme, machine);
            let mut stranger = house.enter();
            for length in [0, 1, 125, 126, 127, 255, 256, 65_535, 65_536, 69_999, 70_000] {
                stranger.say(&vec![7; length]);
                assert_eq!(recv(&house.socket).len(), length);
            }
            stranger.say(&[7; 70_001]);
            stranger.assert_hung_up();
            until("it is counted", || stats(&house.socket).peer_faults == 1);
            house.assert_undisturbed();
        }
    }

    #[test]
    fn a_length_that_is_too_large_is_enough() {
        for (scheme, kind) in [("tcp", Kind::Pull), ("tcp", Kind::Rep), ("ipc", Kind::Sub), ("ws", Kind::Pull)] {
            let house = House::new(kind, scheme);
            let limit = most_bytes(kind, Options::default().max_message) as u64;
            let edges = [1 << 31, (1 << 32) - 1, 1 << 32, (1 << 32) + 1, (1 << 63) + 5, u64::MAX - 7, u64::MAX];
            let lengths = [limit + 1, (1 << 31) - 1].into_iter().chain(edges).chain((60..64).map(|bit| 1 << bit));
            for (count, length) in (1..).zip(lengths) {
                let mut stranger = house.enter();
                stranger.declare(length);
                stranger.assert_hung_up();
                until("it is counted", || stats(&house.socket).peer_faults == count);
            }
            house.assert_undisturbed();
        }
    }

    #[test]
    fn over_a_unix_socket_only_messages_are_frames() {
        let house = House::new(Kind::Pull, "ipc");
        for (count, other) in (1..).zip((0..=255).filter(|other| *other != 1)) {
            let mut stranger = house.enter();
            stranger.write_all(&[other]).unwrap();
            stranger.assert_hung_up();
            until("it is counted", || stats(&house.socket).peer_faults == count);
        }
        house.assert_undisturbed();
    }

    #[test]
    fn a_declared_length_reserves_no_memory() {
        alone("lengths::a_declared_length_reserves_no_memory", || {
            for scheme in ["tcp", "ipc", "ws"] {
                let house = House::with(Kind::Pull, scheme, Options { max_message: 1 << 30, ..quick() });
                let before = Memory::now();
                let mut strangers: Vec<Stranger> = (0..8).map(|_| house.enter()).collect();
                for stranger in &mut strangers {
                    stranger.declare(256 << 20);
                    stranger.write_all(b"a little").unwrap();
                }
                // Whoever is served after them all has seen the engine deal with them.
                house.assert_undisturbed();
                let after = Memory::now();
                assert!(after.virtual_bytes < before.virtual_bytes + (16 << 20), "{before:?} {after:?}");
                assert!(after.resident_bytes < before.resident_bytes + (2 << 20), "{before:?} {after:?}");
                assert_eq!(house.socket.peers().len(), 9, "what is announced may still come");
            }
        });
    }
}

mod time_to_greet {
    use super::*;

    #[test]
    fn a_byte_at_a_time_wins_no_time() {
        for scheme in ["tcp", "ipc", "ws", "tls+tcp", "wss"] {
            let timeout = Duration::from_millis(100);
            let house = House::with(Kind::Pull, scheme, Options { handshake_timeout: timeout, ..quick() });
            // In TLS, a record that is as long as can be, of a hello that says so, too.
            let words = match scheme {
                "tcp" | "ipc" => greeting(Kind::Push).to_vec(),
                "ws" => upgrade_request(&house.address, Kind::Pull),
                _ => [&b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03"[..], &[7; 200]].concat(),
            };
            let start = Instant::now();
            let mut stranger = house.visit();
            // Each byte comes well before the time is over, and all of them take twice as long.
            stranger.pace(timeout * 2 / words.len() as u32);
            let heard = words.iter().take_while(|byte| stranger.write_all(&[**byte]).is_ok() && stranger.is_there());
            assert!(heard.count() < words.len(), "{scheme}: it could go on to the end");
            assert!(start.elapsed() >= timeout, "{scheme}: it had its time");
            until("it is counted", || stats(&house.socket).peer_faults == 1);
            house.assert_undisturbed();
        }
    }

    #[test]
    fn a_storm_of_connections_disturbs_nobody() {
        let options = SocketOptions { machine: quick(), max_half_open: 32, ..SocketOptions::default() };
        let house = House::of(Kind::Pull, "tcp", options);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut held = vec![];
                    for _ in 0..1_000 {
                        held.push(house.visit());
                        if held.len() > 100 {
                            held.drain(..50).for_each(Stranger::reset);
                        }
                    }
                    over.store(true, Ordering::Relaxed);
                });
            }
            while !over.load(Ordering::Relaxed) {
                house.assert_undisturbed();
            }
        });
        house.assert_undisturbed();
        assert!(house.socket.stats().half_open_evicted > 0);
        until("all were met", || house.listener().attempts == 2_001);
        until("all are gone", || house.listener().failed == 2_000);
    }
}

mod directions {
    use super::*;

    #[test]
    fn what_comes_in_the_wrong_direction_is_dropped() {
        for kind in [Kind::Push, Kind::Pub] {
            let house = House::new(kind, "tcp");
            let mut stranger = house.enter();
            for _ in 0..10_000 {
                stranger.say(&[7; 100]);
            }
            until("all are counted", || stats(&house.socket).dropped_received == 10_000);
            house.assert_undisturbed();
        }
    }

    #[test]
    fn what_nobody_subscribed_to_is_filtered() {
        let house = House::new(Kind::Sub, "tcp");
        house.socket.unsubscribe(ContextId::DEFAULT, b"").unwrap();
        house.socket.subscribe(ContextId::DEFAULT, b"und").unwrap();
        let mut stranger = house.enter();
        for _ in 0..10_000 {
            stranger.say(b"unheard of");
        }
        until("all are counted", || stats(&house.socket).filtered == 10_000);
        house.assert_undisturbed();
    }

    #[test]
    fn answers_to_nothing_are_dropped() {
        for kind in [Kind::Surveyor, Kind::Req] {
            let house = House::new(kind, "tcp");
            let mut stranger = house.enter();
            for number in 0..1_000_u32 {
                stranger.say(&[&(0x8000_0000 | number.wrapping_mul(2_147_483)).to_be_bytes()[..], b"!"].concat());
            }
            until("all are counted", || stats(&house.socket).dropped_replies == 1_000);
            // No id at all, or half of one, or one that is no id because its high bit is not set.
            for words in [&b""[..], b"\x80", b"\x80\0", b"\x80\0\0", b"\0\0\0\x01", b"\x7f\xff\xff\xff!"] {
                stranger.say(words);
            }
            until("all are counted", || {
                let stats = stats(&house.socket);
                stats.dropped_malformed + stats.dropped_replies == 1_006
            });
            drop(stranger);
            until("it is gone", || house.socket.peers().len() == 1);
            house.assert_undisturbed();
        }
    }

    #[test]
    fn a_request_is_answered_by_its_own_id_only() {
        let req = socket(Kind::Req);
        let house = House::around(req, Kind::Req, "tcp", None);
        let mut stranger = house.enter();
        send(&house.socket, "question");
        let mut request = [0; 8 + 4 + 8];
        stranger.read_exact(&mut request).unwrap();
        let id = u32::from_be_bytes(request[8..12].try_into().unwrap());
        for other in (1..=100).map(|step| id.wrapping_add(step) | 0x8000_0000) {
            stranger.say(&[&other.to_be_bytes()[..], b"forged"].concat());
        }
        for _ in 0..3 {
            stranger.say(&[&id.to_be_bytes()[..], b"answer"].concat());
        }
        assert_eq!(recv(&house.socket), "answer");
        until("the others are counted", || stats(&house.socket).dropped_replies == 102);
        assert_eq!(house.socket.try_recv(ContextId::DEFAULT).ok(), None);
    }

    #[test]
    fn requests_without_a_way_home_are_dropped() {
        for kind in [Kind::Rep, Kind::Respondent] {
            for scheme in ["tcp", "ipc", "ws"] {
                let house = House::new(kind, scheme);
                let mut stranger = house.enter();
                let hops = |count: usize| [0, 0, 0, 7].repeat(count);
                let bottom = [0x80, 0, 0, 1];
                for words in [
                    vec![],
                    vec![0x80],
                    vec![0x80, 0],
                    vec![0x80, 0, 0],
                    hops(1),
                    hops(400),
                    [hops(8), bottom.to_vec()].concat(),
                    [hops(400), bottom.to_vec()].concat(),
                ] {
                    stranger.say(&words);
                }
                until("all are counted", || stats(&house.socket).dropped_malformed == 8);
                house.assert_undisturbed();
                stranger.say(&bottom);
                assert_eq!(recv(&house.socket), "", "it may still ask properly");
            }
        }
    }
}

mod floods {
    use super::*;

    #[test]
    fn a_subscriber_that_never_reads_costs_only_itself() {
        const COUNT: u64 = 200_000;
        let house = House::new(Kind::Pub, "tcp");
        let mut stranger = house.enter_with(|one| one.set_recv_buffer_size(8 << 10).unwrap());
        let body = bytes::Bytes::from(vec![7; 1_024]);
        for _ in 0..COUNT / 500 {
            for _ in 0..500 {
                send(&house.socket, body.clone());
            }
            for _ in 0..500 {
                assert_eq!(recv(&house.friend).len(), 1_024);
            }
        }
        let counted = stats(&house.socket);
        let dropped = counted.dropped_full_new + counted.dropped_full_old;
        let kept = COUNT - dropped;
        let held_by_kernel = 16 << 10;
        assert!((1_000..1_000 + held_by_kernel).contains(&kept), "{kept} kept; the queue has 1,000 places");
        house.assert_undisturbed();
        // What is neither dropped nor kept would be a leak, or a loss.
        let mut frame = [0; 8 + 1_024];
        for _ in 0..kept {
            stranger.read_exact(&mut frame).unwrap();
            assert!(frame[8..].iter().all(|byte| *byte == 7));
        }
    }

    #[test]
    fn comers_and_goers_leave_nothing_behind() {
        alone("floods::comers_and_goers_leave_nothing_behind", || {
            let house = House::new(Kind::Pull, "tcp");
            let visit = |count: u64| {
                let before = stats(&house.socket).pipes_down;
                for _ in 0..count {
                    let mut stranger = house.enter();
                    stranger.say(b"");
                    stranger.write_all(&[0; 5]).unwrap();
                }
                // Nobody is in a call: the background thread sees to it all.
                until("all are gone", || stats(&house.socket).pipes_down == before + count);
                while house.socket.try_recv(ContextId::DEFAULT).is_ok() {}
            };
            visit(3_000);
            let (before, descriptors) = (Memory::now(), open_descriptors());
            visit(3_000);
            let after = Memory::now();
            assert!(after.resident_bytes < before.resident_bytes + (1 << 20), "{before:?} {after:?}");
            assert_eq!(open_descriptors(), descriptors);
            house.assert_undisturbed();
        });
    }

    #[test]
    fn a_message_in_too_many_pieces_is_refused() {
        for (what, piece) in [("a byte each", &[0_u8][..]), ("nothing in them", &[])] {
            let house = House::new(Kind::Pull, "ws");
            let mut stranger = house.enter();
            let first = masked(0x02, piece);
            let rest = masked(0x00, piece).repeat(100_000);
            // It is hung up on while it speaks.
            let _ = stranger.write_all(&[first, rest].concat());
            stranger.assert_hung_up();
            until(what, || stats(&house.socket).peer_faults == 1);
            assert!(house.last_fault().contains("WebSocket"), "{}", house.last_fault());
            house.assert_undisturbed();
        }
    }

    #[test]
    fn pings_whose_answers_nobody_reads_fill_nothing() {
        alone("floods::pings_whose_answers_nobody_reads_fill_nothing", || {
            let house = House::new(Kind::Pull, "ws");
            let mut stranger = house.enter_with(|one| one.set_recv_buffer_size(8 << 10).unwrap());
            let pings = masked(0x89, &[7; 125]).repeat(1_000);
            let before = Memory::now();
            for _ in 0..200 {
                stranger.write_all(&pings).unwrap();
            }
            stranger.say(b"and a message");
            assert_eq!(recv(&house.socket), "and a message");
            let after = Memory::now();
            assert!(after.resident_bytes < before.resident_bytes + (2 << 20), "{before:?} {after:?}");
            assert_eq!(stats(&house.socket).peer_faults, 0);
            house.assert_undisturbed();
        });
    }

    #[test]
    fn a_request_without_end_is_refused() {
        let endless = |line: &str| format!("GET / HTTP/1.1\r\n{}", line.repeat((1 << 20) / line.len()));
        for (what, text, step) in [
            ("a long line, byte by byte", endless("x"), 1),
            ("100,000 lines", format!("GET / HTTP/1.1\r\n{}", "X: y\r\n".repeat(100_000)), 4_096),
            ("a value of spaces", endless(" ").replacen("  ", "Sec-WebSocket-Protocol:", 1), 4_096),
        ] {
            let house = House::new(Kind::Pull, "ws");
            let mut stranger = house.visit();
            let took = text.as_bytes().chunks(step).take_while(|piece| stranger.write_all(piece).is_ok()).count();
            // What the kernel holds by then is not our doing, but a byte at a time it cannot run ahead.
            assert!(step > 1 || took < 1 << 20, "{what}");
            stranger.assert_hung_up();
            until(what, || stats(&house.socket).peer_faults == 1);
            house.assert_undisturbed();
        }
    }

    #[test]
    fn frames_that_break_the_rules_are_hung_up_on() {
        let unmasked = |first: u8| vec![first, 0];
        for (what, words) in [
            ("not masked", unmasked(0x82)),
            ("a reserved bit", masked(0xc2, b"")),
            ("an unknown operation", masked(0x83, b"")),
            ("text", masked(0x81, b"text")),
            ("the rest of nothing", masked(0x80, b"")),
            ("a ping in pieces", masked(0x09, b"")),
            ("a long ping", masked(0x89, &[7; 126])),
            ("half a status", masked(0x88, &[3])),
            ("a status that is none", masked(0x88, &[3, 237])),
            ("a reason that is no text", masked(0x88, &[3, 232, 0xff])),
            ("a length not at its shortest", vec![0x82, 0xfe, 0, 1, 0, 0, 0, 0, 7]),
        ] {
            let house = House::new(Kind::Pull, "ws");
            let mut stranger = house.enter();
            stranger.write_all(&words).unwrap();
            stranger.assert_hung_up();
            until(what, || stats(&house.socket).peer_faults == 1);
            house.assert_undisturbed();
        }
    }
}

mod system {
    use super::*;

    #[test]
    fn without_descriptors_a_listener_rests_and_comes_back() {
        alone("system::without_descriptors_a_listener_rests_and_comes_back", || {
            let house = House::new(Kind::Pull, "tcp");
            // Sockets first, connections later: these strangers need no descriptors of their own then.
            let strangers: Vec<_> = (0..20).map(|_| socket2::Socket::new(Domain::IPV4, Type::STREAM, None)).collect();
            let whole = getrlimit(Resource::Nofile);
            setrlimit(Resource::Nofile, Rlimit { current: Some(64), ..whole }).unwrap();
            let mut held = vec![];
            while let Ok(file) = File::open("/dev/null") {
                held.push(file);
            }
            let start = Instant::now();
            for stranger in strangers.iter().flatten() {
                stranger.connect(&house.place()).unwrap();
            }
            until("it has failed again and again", || house.socket.stats().accepts_failed >= 5);
            house.assert_undisturbed();
            let most = start.elapsed().as_millis() / 20 + 2;
            assert!(u128::from(house.socket.stats().accepts_failed) <= most, "it rests between its attempts");
            drop(held);
            until("all are met", || house.listener().attempts == 21);
            house.assert_undisturbed();
            setrlimit(Resource::Nofile, whole).unwrap();
        });
    }

    #[test]
    fn what_was_sent_before_half_a_close_arrives() {
        for (scheme, kind) in [("tcp", Kind::Pull), ("ipc", Kind::Pull), ("ws", Kind::Pull), ("tcp", Kind::Bus)] {
            let house = House::with(kind, scheme, Options { recv_queue: 3, ..quick() });
            let mut stranger = house.enter();
            thread::scope(|scope| {
                scope.spawn(|| {
                    for number in 0..1_000 {
                        stranger.say(format!("{number}").as_bytes());
                    }
                    stranger.connection.shutdown(Shutdown::Write).unwrap();
                });
                for number in 0..1_000 {
                    assert_eq!(recv(&house.socket), format!("{number}"), "{scheme}");
                }
            });
            until("it is gone", || house.socket.peers().len() == 1);
            assert_eq!(stats(&house.socket).peer_faults, 0);
            house.assert_undisturbed();
        }
    }

    #[test]
    fn what_was_sent_before_leaving_arrives_although_answers_are_under_way() {
        for scheme in ["tcp", "ipc"] {
            for _ in 0..20 {
                let house = House::new(Kind::Bus, scheme);
                let mut stranger = house.enter();
                for number in 0..100 {
                    stranger.say(format!("{number}").as_bytes());
                }
                // It has not read its greeting's answer, so its leaving is a reset; we notice by writing.
                send(&house.socket, "anybody there?");
                drop(stranger);
                send(&house.socket, "still there?");
                for number in 0..100 {
                    assert_eq!(recv(&house.socket), format!("{number}"), "{scheme}");
                }
                until("it is gone", || house.socket.peers().len() == 1);
            }
        }
    }

    #[test]
    fn closing_with_something_unread_loses_nothing_that_was_written() {
        for scheme in ["tcp", "ipc", "ws"] {
            let house = House::with(Kind::Bus, scheme, Options { recv_queue: 1, ..quick() });
            house.friend.abort();
            until("the friend has left", || house.socket.peers().is_empty());
            let mut stranger = house.enter_with(|one| one.set_recv_buffer_size(8 << 10).unwrap());
            for _ in 0..100 {
                stranger.say(b"nobody receives this");
            }
            until("some is left unread", || stats(&house.socket).recv_queue_full > 0);
            let body = vec![7; 1_000];
            (0..60).for_each(|_| send(&house.socket, body.clone()));
            assert_eq!(close(&house.socket, PATIENCE), 0, "the kernel has taken it all");
            let mut frame = vec![0; header(scheme, body.len()).len() + body.len()];
            for number in 0..60 {
                stranger.say(b"nor this");
                stranger.read_exact(&mut frame).unwrap_or_else(|error| panic!("{scheme}, message {number}: {error}"));
                assert!(frame.ends_with(&body));
            }
            stranger.assert_hung_up();
            assert_eq!(house.socket.stats().farewells_cut, 0);
        }
    }

    #[test]
    fn whoever_does_not_leave_is_left() {
        let house = House::new(Kind::Pull, "tcp");
        let mut stranger = house.enter();
        close(&house.socket, Duration::ZERO);
        assert_eq!(stranger.read(&mut [0]).unwrap(), 0);
        // It goes on as if it had not heard.
        while stranger.write_all(&[7; 1_000]).is_ok() {}
        until("it is counted", || house.socket.stats().farewells_cut == 1);
    }

    #[test]
    fn a_reset_while_we_write_is_the_end_of_that_connection_only() {
        for scheme in ["tcp", "ws"] {
            for kind in [Kind::Push, Kind::Pub] {
                let house = House::new(kind, scheme);
                let stranger = house.enter_with(|one| one.set_recv_buffer_size(8 << 10).unwrap());
                let body = vec![7; 1 << 20];
                // More than the kernel takes: a message is cut in two.
                for _ in 0..8 {
                    let _ = common::send_within(&house.socket, body.clone(), Duration::from_millis(20));
                    while recv_within(&house.friend, Duration::from_millis(20)).is_ok() {}
                }
                stranger.reset();
                until("it is gone", || house.socket.peers().len() == 1);
                assert!(stats(&house.socket).dropped_unsent + stats(&house.socket).sent > 0);
                house.assert_undisturbed();
            }
        }
    }

    #[test]
    fn small_buffers_cut_messages_and_lose_nothing() {
        for scheme in ["tcp", "ipc", "ws"] {
            let house = House::new(Kind::Pair, scheme);
            drop(house.friend);
            until("the friend has left", || house.socket.peers().is_empty());
            let mut stranger = enter(&house.address, Kind::Pair, |one| {
                one.set_recv_buffer_size(1).unwrap();
                one.set_send_buffer_size(1).unwrap();
            });
            let body: Vec<u8> = (0..300_000_u32).map(|place| place as u8).collect();
            let mut heard = vec![0; body.len() + header(scheme, body.len()).len()];
            for _ in 0..3 {
                send(&house.socket, body.clone());
                stranger.read_exact(&mut heard).unwrap();
                assert!(heard.ends_with(&body), "{scheme}");
                thread::scope(|scope| {
                    scope.spawn(|| stranger.say(&body));
                    assert!(recv(&house.socket) == body, "{scheme}");
                });
            }
        }
    }

    #[test]
    fn a_path_that_cannot_be_is_refused_with_the_reason() {
        let folder = TempDir::new().unwrap();
        let root = folder.path().display();
        let inner = folder.path().join("folder");
        fs::create_dir(&inner).unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        for (path, reason) in [
            (format!("{root}/{}", "x".repeat(200)), "the system allows 107"),
            (format!("{root}/nowhere/socket"), "the folder of the file does not exist"),
            (format!("{root}/file/socket"), "Not a directory"),
            (inner.display().to_string(), "not a socket"),
            (format!("{root}/a\0b"), "a control character"),
        ] {
            let pull = socket(Kind::Pull);
            let refused = pull.listen(&format!("ipc://{path}"), &settings(EndpointOptions::default())).unwrap_err();
            assert!(refused.to_string().contains(reason), "{refused}");
            // A socket that could not listen there can listen elsewhere.
            House::around(pull, Kind::Pull, "ipc", Some(socket(Kind::Push))).assert_undisturbed();
        }
        assert!(inner.is_dir());
    }

    #[test]
    fn a_listener_outlives_the_folder_of_its_file() {
        let folder = TempDir::new().unwrap();
        let (pull, push) = (socket(Kind::Pull), socket(Kind::Push));
        let address = common::listen(&pull, &format!("ipc://{}/socket", folder.path().display()));
        dial(&push, &address);
        assert_eq!(push.wait_for_peers(1, Some(common::soon()), || false), Ok(true));
        drop(folder);
        send(&push, "m");
        assert_eq!(recv(&pull), "m");
        let late = socket(Kind::Push);
        dial(&late, &address);
        until("it learns that there is nothing", || late.last_dial_error().is_some());
        assert_eq!(close(&pull, Duration::ZERO), 0);
    }
}

/// How a stranger leaves.
#[derive(Clone, Copy)]
enum Ending {
    Finished,
    Reset,
    Silent,
}

/// A socket that listens where strangers come, with a friend that nothing may happen to.
struct House {
    socket: Socket,
    friend: Socket,
    kind: Kind,
    address: Address,
}

impl House {
    fn new(kind: Kind, scheme: &str) -> House {
        House::with(kind, scheme, quick())
    }

    fn with(kind: Kind, scheme: &str, machine: Options) -> House {
        House::around(socket_with(kind, machine), kind, scheme, Some(socket(kind.partner())))
    }

    fn of(kind: Kind, scheme: &str, options: SocketOptions) -> House {
        House::around(Socket::new(kind, options).unwrap(), kind, scheme, Some(socket(kind.partner())))
    }

    /// Without a friend it is a house all the same.
    fn around(socket: Socket, kind: Kind, scheme: &str, friend: Option<Socket>) -> House {
        let place = match scheme {
            "ipc" => new_path(),
            _ => format!("{scheme}://127.0.0.1:0"),
        };
        let address = socket.listen(&place, &settings(EndpointOptions::default())).unwrap();
        let lonely = friend.is_none();
        let friend = friend.unwrap_or_else(|| common::socket(kind.partner()));
        if !lonely {
            dial(&friend, &address.to_string());
            assert_eq!(socket.wait_for_peers(1, Some(common::soon()), || false), Ok(true));
            assert_eq!(friend.wait_for_peers(1, Some(common::soon()), || false), Ok(true));
        }
        for (one, kind) in [(&socket, kind), (&friend, kind.partner())] {
            if kind == Kind::Sub {
                one.subscribe(ContextId::DEFAULT, b"").unwrap();
            }
        }
        let house = House { socket, friend, kind, address };
        if !lonely {
            house.assert_undisturbed();
        }
        house
    }

    /// Does what its kind does with its friend, whatever strangers have sent meanwhile.
    fn assert_undisturbed(&self) {
        const WORD: &str = "undisturbed";
        let until_heard = |one: &Socket| while recv(one) != WORD {};
        let (socket, friend) = (&self.socket, &self.friend);
        match self.kind {
            Kind::Pull | Kind::Sub | Kind::Bus | Kind::Pair | Kind::Pair1 => {
                send(friend, WORD);
                until_heard(socket);
            }
            Kind::Pub => {
                send(socket, WORD);
                until_heard(friend);
            }
            // Strangers get their share.
            Kind::Push => {
                let mut heard = Err(OpError::WouldBlock);
                while heard.is_err() {
                    send(socket, WORD);
                    heard = recv_within(friend, Duration::from_millis(5));
                }
            }
            Kind::Rep | Kind::Respondent => {
                send(friend, WORD);
                until_heard(socket);
                send(socket, WORD);
                until_heard(friend);
            }
            Kind::Req | Kind::Surveyor => {
                send(socket, WORD);
                until_heard(friend);
                send(friend, WORD);
                until_heard(socket);
            }
        }
        assert_eq!(stats(friend).pipes_down, 0, "the friend was hung up on");
    }

    /// A stranger that has said nothing yet.
    fn visit(&self) -> Stranger {
        visit(&self.address, |_| {})
    }

    /// A stranger that has greeted as it should, and is let in.
    fn enter(&self) -> Stranger {
        self.enter_with(|_| {})
    }

    fn enter_with(&self, prepare: impl FnOnce(&socket2::Socket)) -> Stranger {
        enter(&self.address, self.kind, prepare)
    }

    fn place(&self) -> SockAddr {
        place(&self.address)
    }

    fn listener(&self) -> sp_real::EndpointStats {
        self.socket.endpoints()[0].stats
    }

    /// Why the last peer was hung up on.
    fn last_fault(&self) -> String {
        std::iter::from_fn(|| self.socket.event()).filter_map(|event| event.reason).last().unwrap_or_default()
    }
}

/// A bare connection.
struct Stranger {
    connection: socket2::Socket,
    scheme: String,
}

impl Stranger {
    /// A message, properly framed.
    fn say(&mut self, body: &[u8]) {
        let mut words = if self.scheme == "ws" { masked(0x82, body) } else { header(&self.scheme, body.len()) };
        if self.scheme != "ws" {
            words.extend_from_slice(body);
        }
        // It may be hung up on while it speaks.
        let _ = self.write_all(&words);
    }

    /// The beginning of a message that is said to be this long.
    fn declare(&mut self, length: u64) {
        let length = length.to_be_bytes();
        let words = match self.scheme.as_str() {
            "ws" => [&[0x82, 0xff][..], &length, &[0; 4]].concat(),
            "ipc" => [&[1][..], &length].concat(),
            _ => length.to_vec(),
        };
        self.write_all(&words).unwrap();
    }

    /// Leaves so that what is under way is lost.
    fn reset(self) {
        // Over a UNIX socket there is no such thing, and it is a farewell.
        let _ = self.connection.set_linger(Some(Duration::ZERO));
    }

    /// How long it waits to hear something.
    fn pace(&self, span: Duration) {
        self.connection.set_read_timeout(Some(span)).unwrap();
    }

    /// Listens for as long as its pace says; false if it is hung up on.
    fn is_there(&mut self) -> bool {
        loop {
            match self.connection.read(&mut [0; 64]) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }

    /// Reads until the other side closes.
    fn assert_hung_up(&mut self) {
        match self.connection.read_to_end(&mut vec![]) {
            Ok(_) => {}
            // It had not read all we said.
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}")
            }
        }
    }
}

impl Read for Stranger {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.connection.read(into)
    }
}

impl Write for Stranger {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.connection.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What the whole process occupies.
#[derive(Debug)]
struct Memory {
    virtual_bytes: usize,
    resident_bytes: usize,
}

impl Memory {
    fn now() -> Memory {
        let text = fs::read_to_string("/proc/self/status").unwrap();
        let bytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
        };
        Memory { virtual_bytes: bytes("VmSize:"), resident_bytes: bytes("VmRSS:") }
    }
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Runs a test in a process of its own, for what belongs to a process: memory and descriptors.
fn alone(name: &str, test: impl FnOnce()) {
    const MARK: &str = "HOSTILE_ALONE";
    if std::env::var_os(MARK).is_some() {
        return test();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args([name, "--exact", "--nocapture"]).env(MARK, "1").output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn visit(address: &Address, prepare: impl FnOnce(&socket2::Socket)) -> Stranger {
    let place = place(address);
    let connection = socket2::Socket::new(place.domain(), Type::STREAM, None).unwrap();
    prepare(&connection);
    connection.connect(&place).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    Stranger { connection, scheme: address.transport.to_string() }
}

fn enter(address: &Address, kind: Kind, prepare: impl FnOnce(&socket2::Socket)) -> Stranger {
    let mut stranger = visit(address, prepare);
    if stranger.scheme == "ws" {
        stranger.write_all(&upgrade_request(address, kind)).unwrap();
        let mut heard = vec![];
        while !heard.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stranger.read_exact(&mut byte).unwrap();
            heard.extend(byte);
        }
        assert!(heard.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&heard));
    } else {
        stranger.write_all(&greeting(kind.partner())).unwrap();
        let mut heard = [0; 8];
        stranger.read_exact(&mut heard).unwrap();
        assert_eq!(heard, greeting(kind));
    }
    stranger
}

fn place(address: &Address) -> SockAddr {
    match address.host_and_port() {
        Some((host, port)) => SocketAddr::new(host.parse().unwrap(), port).into(),
        None => SockAddr::unix(&address.rest).unwrap(),
    }
}

/// What asks a listener of this kind to speak WebSocket.
fn upgrade_request(address: &Address, kind: Kind) -> Vec<u8> {
    let (host, port) = address.host_and_port().unwrap();
    format!(
        "GET / HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: {}\r\n\r\n",
        subprotocol(kind)
    )
    .into_bytes()
}

/// What stands in front of a message of ours.
fn header(scheme: &str, len: usize) -> Vec<u8> {
    let length = (len as u64).to_be_bytes();
    match scheme {
        "ws" => match len {
            0..126 => vec![0x82, len as u8],
            126..65_536 => [&[0x82, 126][..], &length[6..]].concat(),
            _ => [&[0x82, 127][..], &length].concat(),
        },
        "ipc" => [&[1][..], &length].concat(),
        _ => length.to_vec(),
    }
}

/// A frame as a client sends it, under a mask of zeros, with this first byte.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut words = header("ws", payload.len());
    words[0] = first;
    words[1] |= 0x80;
    words.extend([0; 4]);
    words.extend_from_slice(payload);
    words
}

/// A file that no other test has.
fn new_path() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().unwrap());
    format!("ipc://{}/{}", FOLDER.path().display(), NEXT.fetch_add(1, Ordering::Relaxed))
}
