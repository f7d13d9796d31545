//! Devices on real sockets.

mod common;

use std::time::Duration;

use common::{close, dial, listen, quick, recv, recv_within, send, socket, soon, until};
use sp_proto::{ContextId, Kind, OpError, Options};
use sp_real::{Device, Socket, SocketOptions};

#[test]
fn requests_and_surveys_find_their_way_and_the_answers_home() {
    for (asker, answerer, address) in [
        (Kind::Req, Kind::Rep, "tcp://127.0.0.1:0"),
        (Kind::Surveyor, Kind::Respondent, "tcp://127.0.0.1:0"),
        (Kind::Req, Kind::Rep, "inproc://device"),
    ] {
        let (front, back) = (raw(answerer), raw(asker));
        let (ask, answer) = (socket(asker), socket(answerer));
        dial(&ask, &listen(&front, address));
        dial(&back, &listen(&answer, "tcp://127.0.0.1:0"));
        let device = Device::between(&front, &back).unwrap();
        for one in [&ask, &front, &back, &answer] {
            assert_eq!(one.wait_for_peers(1, Some(soon()), || false), Ok(true));
        }
        for number in 0..100 {
            send(&ask, format!("question {number}"));
            let question = recv(&answer);
            send(&answer, [&question[..], b"!"].concat());
            assert_eq!(recv(&ask), format!("question {number}!"));
        }
        assert_eq!((device.stats().forwarded, device.stats().dropped), (200, 0));
    }
}

#[test]
fn a_stream_goes_through_in_order() {
    let (front, back) = (raw(Kind::Pull), raw(Kind::Push));
    let (push, pull) = (socket(Kind::Push), socket(Kind::Pull));
    dial(&push, &listen(&front, "tcp://127.0.0.1:0"));
    dial(&back, &listen(&pull, "tcp://127.0.0.1:0"));
    let _device = Device::between(&front, &back).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..20_000).for_each(|number| send(&push, format!("{number}"))));
        for number in 0..20_000 {
            assert_eq!(recv(&pull), format!("{number}"));
        }
    });
}

#[test]
fn what_is_published_goes_to_everyone_behind_it() {
    let (front, back) = (raw(Kind::Sub), raw(Kind::Pub));
    let (publish, subscribe) = (socket(Kind::Pub), socket(Kind::Sub));
    subscribe.subscribe(ContextId::DEFAULT, b"a").unwrap();
    dial(&front, &listen(&publish, "tcp://127.0.0.1:0"));
    dial(&subscribe, &listen(&back, "tcp://127.0.0.1:0"));
    let _device = Device::between(&front, &back).unwrap();
    assert_eq!(publish.wait_for_peers(1, Some(soon()), || false), Ok(true));
    assert_eq!(back.wait_for_peers(1, Some(soon()), || false), Ok(true));
    for message in ["b1", "a1", "b2", "a2"] {
        send(&publish, message);
    }
    assert_eq!((recv(&subscribe), recv(&subscribe)), ("a1".into(), "a2".into()));
}

#[test]
fn a_bus_device_reaches_all_but_the_one_it_came_from() {
    let hub = raw(Kind::Bus);
    let address = listen(&hub, "tcp://127.0.0.1:0");
    let _device = Device::among_peers(&hub).unwrap();
    let peers = [socket(Kind::Bus), socket(Kind::Bus), socket(Kind::Bus)];
    for peer in &peers {
        dial(peer, &address);
        assert_eq!(peer.wait_for_peers(1, Some(soon()), || false), Ok(true));
    }
    assert_eq!(hub.wait_for_peers(3, Some(soon()), || false), Ok(true));
    send(&peers[0], "m");
    assert_eq!((recv(&peers[1]), recv(&peers[2])), ("m".into(), "m".into()));
    assert_eq!(recv_within(&peers[0], Duration::from_millis(20)), Err(OpError::TimedOut));
}

#[test]
fn a_question_in_a_ring_of_devices_dies_of_its_hops() {
    let ttl = Options { ttl: 4, ..quick() };
    let raw_with = |kind| Socket::new_raw(kind, SocketOptions { machine: ttl.clone(), ..SocketOptions::default() });
    let fronts = [raw_with(Kind::Rep).unwrap(), raw_with(Kind::Rep).unwrap()];
    let backs = [raw_with(Kind::Req).unwrap(), raw_with(Kind::Req).unwrap()];
    let addresses = [listen(&fronts[0], "tcp://127.0.0.1:0"), listen(&fronts[1], "tcp://127.0.0.1:0")];
    dial(&backs[0], &addresses[1]);
    dial(&backs[1], &addresses[0]);
    let devices = [Device::between(&fronts[0], &backs[0]).unwrap(), Device::between(&fronts[1], &backs[1]).unwrap()];
    let req = socket(Kind::Req);
    dial(&req, &addresses[0]);
    send(&req, "anybody?");
    let dropped = || fronts.iter().map(|front| front.stats().machine.dropped_malformed).sum::<u64>();
    until("it is dropped", || dropped() == 1);
    let forwarded: u64 = devices.iter().map(|device| device.stats().forwarded).sum();
    assert_eq!(forwarded, 4, "then it comes with five words, and four are allowed");
}

#[test]
fn sockets_that_do_not_fit_make_no_device() {
    let (rep, req, push) = (raw(Kind::Rep), raw(Kind::Req), raw(Kind::Push));
    assert!(Device::between(&rep, &push).unwrap_err().to_string().contains("goes with req"));
    assert!(Device::between(&rep, &socket(Kind::Req)).unwrap_err().to_string().contains("not raw"));
    assert!(Device::among_peers(&rep).unwrap_err().to_string().contains("bus"));
    assert!(Device::between(&rep, &rep.clone()).unwrap_err().to_string().contains("one socket twice"));
    drop(Device::between(&rep, &req).unwrap());
    let device = Device::between(&rep, &req).unwrap();
    close(&rep, Duration::ZERO);
    drop(device);
}

fn raw(kind: Kind) -> Socket {
    Socket::new_raw(kind, SocketOptions { machine: quick(), ..SocketOptions::default() }).unwrap()
}
