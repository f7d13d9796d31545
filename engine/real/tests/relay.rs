//! What a link under real sockets does to what passes. Nothing is ever early; how late it is, a busy machine decides, so
//! that is not asserted.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use common::{PATIENCE, dial, listen, recv, recv_within, send, socket, until};
use sp_link::LinkOptions;
use sp_proto::{Kind, OpError};
use sp_real::{Relay, now};

#[test]
fn a_round_trip_takes_as_long_as_the_link_says_and_never_less() {
    let (relay, echo) = (relay(DELAY), Echo::new());
    let mut stream = connect(relay.route(echo.address).unwrap());
    for round in 0..5_u8 {
        let start = Instant::now();
        stream.write_all(&[round]).unwrap();
        let mut heard = [0];
        stream.read_exact(&mut heard).unwrap();
        assert!(start.elapsed() >= 2 * DELAY, "round {round}: {:?}", start.elapsed());
        assert_eq!(heard, [round]);
    }
    until("it is counted", || relay.stats().bytes == 10);
    assert_eq!((relay.stats().connections, relay.stats().refused), (1, 0));
}

#[test]
fn connecting_takes_its_time_too() {
    // The target speaks first.
    let listener = TcpListener::bind(LOCALHOST).unwrap();
    let relay = relay(DELAY);
    let address = relay.route(listener.local_addr().unwrap()).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| listener.accept().unwrap().0.write_all(b"welcome").unwrap());
        let start = Instant::now();
        assert_eq!(read_all(&mut connect(address)).unwrap(), b"welcome");
        assert!(
            start.elapsed() >= 4 * DELAY,
            "a round trip to connect and one until the greeting: {:?}",
            start.elapsed()
        );
    });
}

#[test]
fn a_request_over_the_relay_takes_a_round_trip() {
    let relay = relay(DELAY);
    let (rep, req) = (socket(Kind::Rep), socket(Kind::Req));
    let target = listen(&rep, "tcp://127.0.0.1:0");
    dial(&req, &over(&relay, &target));
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..5 {
                let request = recv(&rep);
                send(&rep, request);
            }
        });
        for round in 0..5 {
            let start = now();
            send(&req, format!("{round}"));
            assert_eq!(recv(&req), format!("{round}"));
            assert!(now() - start >= 2 * DELAY);
        }
    });
}

#[test]
fn what_is_sent_into_a_cut_arrives_in_order_after_the_heal() {
    let relay = relay(DELAY);
    let (pull, push) = (socket(Kind::Pull), socket(Kind::Push));
    dial(&push, &over(&relay, &listen(&pull, "tcp://127.0.0.1:0")));
    send(&push, "before");
    assert_eq!(recv(&pull), "before");
    for round in 0..3 {
        relay.cut();
        (0..100).for_each(|number| send(&push, format!("{round} {number}")));
        assert_eq!(recv_within(&pull, 4 * DELAY), Err(OpError::TimedOut));
        let healed = now();
        relay.heal();
        for number in 0..100 {
            assert_eq!(recv(&pull), format!("{round} {number}"));
            assert!(now() - healed >= DELAY);
        }
    }
    assert_eq!((pull.peers().len(), push.stats().machine.pipes_down), (1, 0), "a cut breaks nothing");
}

#[test]
fn a_connection_that_is_begun_in_a_cut_stands_after_the_heal() {
    let relay = relay(DELAY);
    let listener = TcpListener::bind(LOCALHOST).unwrap();
    relay.cut();
    let mut near = connect(relay.route(listener.local_addr().unwrap()).unwrap());
    near.set_read_timeout(Some(3 * DELAY)).unwrap();
    for part in [b"hel", &b"lo"[..]] {
        near.write_all(part).unwrap();
        assert_eq!(near.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    }
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "the target has not heard of it");
    listener.set_nonblocking(false).unwrap();
    relay.heal();
    let mut far = listener.accept().unwrap().0;
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut heard = [0; 5];
    far.read_exact(&mut heard).unwrap();
    assert_eq!(heard, *b"hello");
}

#[test]
fn a_target_that_refuses_breaks_the_dialer() {
    let nobody = TcpListener::bind(LOCALHOST).unwrap().local_addr().unwrap();
    let relay = relay(DELAY);
    let address = relay.route(nobody).unwrap();
    let start = Instant::now();
    let error = read_all(&mut connect(address)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(start.elapsed() >= 2 * DELAY, "it takes a round trip to hear that");
    until("it is counted", || relay.stats().refused == 1);

    // A dialer of ours tries again until somebody is there.
    let (pull, push) = (socket(Kind::Pull), socket(Kind::Push));
    dial(&push, &format!("tcp://{address}"));
    until("it has tried some times", || relay.stats().refused >= 3);
    listen(&pull, &format!("tcp://{nobody}"));
    send(&push, "at last");
    assert_eq!(recv(&pull), "at last");
}

#[test]
fn breaking_resets_both_ends_and_new_connections_can_be_made() {
    let relay = relay(DELAY);
    let listener = TcpListener::bind(LOCALHOST).unwrap();
    let address = relay.route(listener.local_addr().unwrap()).unwrap();
    let mut near: Vec<TcpStream> = vec![];
    let mut far: Vec<TcpStream> = vec![];
    for _ in 0..3 {
        near.push(connect(address));
        far.push(listener.accept().unwrap().0);
        far.last().unwrap().set_read_timeout(Some(PATIENCE)).unwrap();
    }
    relay.break_all();
    for stream in near.iter_mut().chain(&mut far) {
        assert_eq!(read_all(stream).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    let mut again = connect(address);
    let mut other = listener.accept().unwrap().0;
    other.write_all(b"again").unwrap();
    drop(other);
    assert_eq!(read_all(&mut again).unwrap(), b"again");
}

#[test]
fn a_request_survives_a_broken_link() {
    let relay = relay(Duration::from_millis(1));
    let (rep, req) = (socket(Kind::Rep), socket(Kind::Req));
    dial(&req, &over(&relay, &listen(&rep, "tcp://127.0.0.1:0")));
    for round in 0..5 {
        send(&req, format!("{round}"));
        assert_eq!(recv(&rep), format!("{round}"));
        relay.break_all();
        until("the service has noticed", || rep.stats().machine.pipes_down == round + 1);
        // Sent again over the next connection.
        assert_eq!(recv(&rep), format!("{round}"));
        send(&rep, format!("re: {round}"));
        assert_eq!(recv(&req), format!("re: {round}"));
    }
}

#[test]
fn the_end_of_a_stream_passes_and_the_other_direction_goes_on() {
    let relay = relay(DELAY);
    let listener = TcpListener::bind(LOCALHOST).unwrap();
    let mut near = connect(relay.route(listener.local_addr().unwrap()).unwrap());
    let mut far = listener.accept().unwrap().0;
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    near.write_all(b"my last word").unwrap();
    let start = Instant::now();
    near.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut far).unwrap(), b"my last word");
    assert!(start.elapsed() >= DELAY);
    far.write_all(b"I have more").unwrap();
    drop(far);
    assert_eq!(read_all(&mut near).unwrap(), b"I have more");
    assert!(start.elapsed() >= 2 * DELAY);
}

#[test]
fn what_is_said_before_the_target_is_dialled_is_not_lost() {
    let relay = relay(DELAY);
    let listener = TcpListener::bind(LOCALHOST).unwrap();
    let mut near = connect(relay.route(listener.local_addr().unwrap()).unwrap());
    near.write_all(b"hello and goodbye").unwrap();
    drop(near);
    let mut far = listener.accept().unwrap().0;
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(read_all(&mut far).unwrap(), b"hello and goodbye");
}

#[test]
fn much_passes_unharmed_in_both_directions() {
    let (relay, echo) = (relay(Duration::from_millis(2)), Echo::new());
    let mut stream = connect(relay.route(echo.address).unwrap());
    let bytes: Vec<u8> = (0..24_u32 << 20).map(|place| (place.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut writer = stream.try_clone().unwrap();
    let heard = thread::scope(|scope| {
        scope.spawn(|| {
            writer.write_all(&bytes).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        read_all(&mut stream).unwrap()
    });
    assert!(heard == bytes, "{} of {} bytes", heard.len(), bytes.len());
    until("it is counted", || relay.stats().bytes == 2 * bytes.len() as u64);
}

#[test]
fn a_rate_is_not_exceeded() {
    // 100,000 bytes at 8 Mbit/s take a tenth of a second to be put on the line.
    let options = LinkOptions { delay: Duration::from_millis(1), rate: Some(8_000_000), ..LinkOptions::default() };
    let relay = Relay::new(options, 1, "rate", None).unwrap();
    let listener = TcpListener::bind(LOCALHOST).unwrap();
    let mut near = connect(relay.route(listener.local_addr().unwrap()).unwrap());
    let mut far = listener.accept().unwrap().0;
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    let start = Instant::now();
    near.write_all(&[0; 100_000]).unwrap();
    far.read_exact(&mut [0; 100_000]).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(101), "{:?}", start.elapsed());
}

#[test]
fn a_relay_that_is_dropped_closes_what_it_carries() {
    let (relay, echo) = (relay(Duration::from_millis(1)), Echo::new());
    let address = relay.route(echo.address).unwrap();
    let mut stream = connect(address);
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    drop(relay);
    assert!(read_all(&mut stream).is_ok_and(|heard| heard.is_empty()));
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_link_that_cannot_be_is_refused() {
    let refused = Relay::new(LinkOptions { loss: 2.0, ..LinkOptions::default() }, 1, "lost", None);
    assert!(refused.unwrap_err().to_string().contains("loss"));
}

/// A server that says back what it hears, to one after the other, until the test ends.
struct Echo {
    address: SocketAddr,
}

impl Echo {
    fn new() -> Echo {
        let listener = TcpListener::bind(LOCALHOST).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let mut reader = stream.try_clone().unwrap();
                // Its caller may go at any time.
                let _ = std::io::copy(&mut reader, &mut stream);
            }
        });
        Echo { address }
    }
}

/// A link of this delay in each direction, and nothing else.
fn relay(delay: Duration) -> Relay {
    Relay::new(LinkOptions { delay, ..LinkOptions::default() }, 1, "test", None).unwrap()
}

/// Where to dial to reach a socket of ours over the relay.
fn over(relay: &Relay, target: &str) -> String {
    let target: SocketAddr = target.strip_prefix("tcp://").unwrap().parse().unwrap();
    format!("tcp://{}", relay.route(target).unwrap())
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn read_all(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut heard = vec![];
    stream.read_to_end(&mut heard)?;
    Ok(heard)
}

const DELAY: Duration = Duration::from_millis(15);
const LOCALHOST: (&str, u16) = ("127.0.0.1", 0);
