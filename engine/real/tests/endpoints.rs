//! What endpoints do beside carrying messages: files of UNIX sockets, certificates, bounds, questions and news.

mod common;

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use common::{PATIENCE, close, dial, listen, mutual_tls, quick, recv, send, settings, socket, soon, stats, until};
use sp_proto::{EndpointOptions, Kind, OpError};
use sp_real::{EndpointError, EndpointSettings, Happening, Socket, SocketOptions, TlsOptions, What};
use tempfile::TempDir;

mod files {
    use super::*;

    #[test]
    fn only_its_user_may_connect_and_the_file_goes_with_the_listener() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("socket");
        let pull = socket(Kind::Pull);
        listen(&pull, &format!("ipc://{}", path.display()));
        let found = fs::symlink_metadata(&path).unwrap();
        assert!(found.file_type().is_socket());
        assert_eq!(found.permissions().mode() & 0o777, 0o600);
        close(&pull, Duration::ZERO);
        assert!(!path.exists());
    }

    #[test]
    fn a_dead_listeners_file_is_taken_over() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("socket");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "as a killed program leaves it");
        let (pull, push) = (socket(Kind::Pull), socket(Kind::Push));
        dial(&push, &listen(&pull, &format!("ipc://{}", path.display())));
        send(&push, "m");
        assert_eq!(recv(&pull), "m");
    }

    #[test]
    fn nothing_else_that_is_in_the_way_is_removed() {
        let folder = TempDir::new().unwrap();
        let living = folder.path().join("living");
        let _listener = UnixListener::bind(&living).unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "precious").unwrap();
        let link = folder.path().join("link");
        drop(UnixListener::bind(folder.path().join("dead")).unwrap());
        std::os::unix::fs::symlink(folder.path().join("dead"), &link).unwrap();
        for (path, reason) in
            [(&living, "another socket listens there"), (&file, "not a socket"), (&link, "not a socket")]
        {
            let pull = socket(Kind::Pull);
            let address = format!("ipc://{}", path.display());
            match pull.listen(&address, &EndpointSettings::default()) {
                Err(EndpointError::System { error, .. }) => assert!(error.to_string().contains(reason), "{error}"),
                other => panic!("{other:?}"),
            }
            close(&pull, Duration::ZERO);
            assert!(fs::symlink_metadata(path).is_ok(), "{} is gone", path.display());
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
        UnixStream::connect(&living).unwrap();
    }

    #[test]
    fn a_listener_removes_only_its_own_file() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("socket");
        let pull = socket(Kind::Pull);
        listen(&pull, &format!("ipc://{}", path.display()));
        fs::remove_file(&path).unwrap();
        let _other = UnixListener::bind(&path).unwrap();
        close(&pull, Duration::ZERO);
        assert!(path.exists(), "somebody else's file has been removed");
    }

    #[test]
    fn of_many_that_take_over_at_once_one_listens() {
        for _ in 0..20 {
            let folder = TempDir::new().unwrap();
            let path = folder.path().join("socket");
            drop(UnixListener::bind(&path).unwrap());
            let address = format!("ipc://{}", path.display());
            let sockets: Vec<Socket> = (0..4).map(|_| socket(Kind::Pull)).collect();
            let begin = std::sync::Barrier::new(sockets.len());
            let listening = std::thread::scope(|scope| {
                let tries: Vec<_> = sockets
                    .iter()
                    .map(|socket| {
                        scope.spawn(|| {
                            begin.wait();
                            socket.listen(&address, &EndpointSettings::default()).is_ok()
                        })
                    })
                    .collect();
                tries.into_iter().map(|handle| handle.join().unwrap()).filter(|heard| *heard).count()
            });
            assert_eq!(listening, 1);
            let push = socket(Kind::Push);
            dial(&push, &address);
            send(&push, "m");
        }
    }

    #[test]
    fn peers_have_names() {
        let folder = TempDir::new().unwrap();
        let (pull, push) = (socket(Kind::Pull), socket(Kind::Push));
        dial(&push, &listen(&pull, &format!("ipc://{}/socket", folder.path().display())));
        send(&push, "m");
        assert_eq!(recv(&pull), "m");
        for one in [&pull, &push] {
            let credentials = one.peers()[0].credentials.unwrap();
            assert_eq!(credentials.pid, std::process::id() as i32);
            assert_eq!(credentials.uid, rustix::process::getuid().as_raw());
        }
    }
}

mod secure {
    use super::*;

    #[test]
    fn both_sides_know_the_others_certificate() {
        let (pull, push) = (socket(Kind::Pull), socket(Kind::Push));
        dial(&push, &listen(&pull, "tls+tcp://127.0.0.1:0"));
        send(&push, "m");
        assert_eq!(recv(&pull), "m");
        let shown = |one: &Socket| one.peers()[0].certificate.clone().unwrap();
        assert_eq!(shown(&pull), shown(&push));
    }

    #[test]
    fn whoever_refuses_says_why_and_whoever_is_refused_learns_it() {
        let own = mutual_tls();
        let strangers = authority("localhost");
        let listener = TlsOptions { authorities: None, ..own.clone() };
        let dialer = TlsOptions { certificate: None, key: None, ..own.clone() };
        let foreign = TlsOptions { authorities: strangers.authorities.clone(), ..TlsOptions::default() };
        let misnamed = TlsOptions { server_name: Some("elsewhere.example".into()), ..dialer.clone() };
        let unknown = TlsOptions { authorities: own.authorities.clone(), ..strangers };
        for (listening, dialling, reason) in [
            (&listener, &foreign, "TLS: its certificate is signed by no authority that we trust"),
            (&listener, &misnamed, "TLS: its certificate is for another name than the one that was dialled"),
            (&own, &dialer, "TLS: it asks for a certificate, and we have none"),
            (&own, &unknown, "TLS: it"),
        ] {
            let (pull, push) = (socket(Kind::Pull), socket(Kind::Push));
            let with = |tls: &TlsOptions| EndpointSettings { tls: Some(tls.clone()), ..EndpointSettings::default() };
            let address = pull.listen("tls+tcp://127.0.0.1:0", &with(listening)).unwrap().to_string();
            push.dial(&address, &with(dialling)).unwrap();
            let failed = await_event(&push, What::DialFailed);
            assert!(failed.reason.as_deref().unwrap_or("").contains(reason), "{failed:?}");
            assert_eq!((push.peers().len(), pull.peers().len()), (0, 0));
            until("the listener has counted it", || stats(&pull).peer_faults > 0);
        }
    }

    #[test]
    fn what_does_not_speak_tls_loses_its_own_connection_only() {
        let (pull, push) = (socket(Kind::Pull), socket(Kind::Push));
        let address = listen(&pull, "tls+tcp://127.0.0.1:0");
        dial(&push, &address);
        send(&push, "m");
        assert_eq!(recv(&pull), "m");
        let plain = socket(Kind::Push);
        dial(&plain, &address.replace("tls+tcp", "tcp"));
        until("it is counted", || stats(&pull).peer_faults > 0);
        send(&push, "still here");
        assert_eq!(recv(&pull), "still here");
    }

    #[test]
    fn options_that_make_no_sense_are_refused_at_once() {
        let own = mutual_tls();
        let listens = |tls: TlsOptions| {
            let settings = EndpointSettings { tls: Some(tls), ..EndpointSettings::default() };
            socket(Kind::Pull).listen("tls+tcp://127.0.0.1:0", &settings).unwrap_err().to_string()
        };
        assert!(listens(TlsOptions::default()).contains("a listener needs a certificate and its key"));
        assert!(listens(TlsOptions { key: None, ..own.clone() }).contains("not its key"));
        assert!(listens(TlsOptions { certificate: None, ..own.clone() }).contains("not its certificate"));
        let other = authority("localhost");
        assert!(listens(TlsOptions { key: other.key, ..own.clone() }).contains("does not belong to the certificate"));
        assert!(listens(TlsOptions { authorities: Some(b"nonsense".to_vec()), ..own }).contains("no certificate"));
    }

    fn authority(name: &str) -> TlsOptions {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let certificate = made.cert.pem().into_bytes();
        TlsOptions {
            authorities: Some(certificate.clone()),
            certificate: Some(certificate),
            key: Some(made.signing_key.serialize_pem().into_bytes()),
            server_name: None,
        }
    }
}

mod bounds {
    use super::*;

    #[test]
    fn silent_connections_make_way_for_those_that_greet() {
        let options = SocketOptions { machine: quick(), max_half_open: 3, ..SocketOptions::default() };
        let pull = Socket::new(Kind::Pull, options).unwrap();
        let address = listen(&pull, "tcp://127.0.0.1:0");
        let silent: Vec<TcpStream> =
            (0..10).map(|_| TcpStream::connect(address.trim_start_matches("tcp://")).unwrap()).collect();
        until("the first have made way", || pull.stats().half_open_evicted >= 7);
        let push = socket(Kind::Push);
        dial(&push, &address);
        send(&push, "m");
        assert_eq!(recv(&pull), "m");
        drop(silent);
    }

    #[test]
    fn a_listener_has_only_so_many_connections() {
        let options = SocketOptions { machine: quick(), max_connections: 2, ..SocketOptions::default() };
        let pull = Socket::new(Kind::Pull, options).unwrap();
        let address = listen(&pull, "tcp://127.0.0.1:0");
        let (first, second) = (socket(Kind::Push), socket(Kind::Push));
        for push in [&first, &second] {
            dial(push, &address);
            send(push, "m");
            assert_eq!(recv(&pull), "m");
        }
        let mut third = TcpStream::connect(address.trim_start_matches("tcp://")).unwrap();
        third.set_read_timeout(Some(PATIENCE)).unwrap();
        assert!(third.read(&mut [0]).is_ok_and(|count| count == 0), "it was not hung up on");
        let refused = await_event(&pull, What::Refused);
        assert!(refused.reason.unwrap().contains("max_connections"));
        assert_eq!(pull.endpoints()[0].stats.refused, 1);
        close(&first, PATIENCE);
        until("it has left", || pull.peers().len() == 1);
        let fourth = socket(Kind::Push);
        dial(&fourth, &address);
        send(&fourth, "m");
        assert_eq!(recv(&pull), "m");
    }

    #[test]
    fn bounds_of_none_are_refused() {
        for (name, options) in [
            ("max_half_open", SocketOptions { max_half_open: 0, ..SocketOptions::default() }),
            ("max_connections", SocketOptions { max_connections: 0, ..SocketOptions::default() }),
        ] {
            assert!(Socket::new(Kind::Pull, options).unwrap_err().to_string().contains(name));
        }
    }
}

mod questions {
    use super::*;

    #[test]
    fn nothing_is_exchanged_with_a_peer_before_it_is_admitted() {
        for address in ["tcp://127.0.0.1:0", "inproc://questions"] {
            let (pull, push) = (socket(Kind::Pull), socket(Kind::Push));
            let asks = EndpointSettings { asks: true, ..EndpointSettings::default() };
            let address = pull.listen(address, &asks).unwrap().to_string();
            dial(&push, &address);
            send(&push, "m");
            let knocking = await_event(&pull, What::Knocking);
            assert_eq!(pull.peers(), []);
            assert_eq!(pull.try_recv(sp_proto::ContextId::DEFAULT), Err(OpError::WouldBlock));
            assert!(pull.admit(knocking.serial, true));
            assert_eq!(recv(&pull), "m");
            assert!(!pull.admit(knocking.serial, true), "it does not wait any more");
        }
    }

    #[test]
    fn whoever_is_not_admitted_is_hung_up_on() {
        let (pull, push) = (socket(Kind::Pull), socket(Kind::Push));
        let asks = EndpointSettings { asks: true, ..EndpointSettings::default() };
        let address = pull.listen("tcp://127.0.0.1:0", &asks).unwrap().to_string();
        dial(&push, &address);
        let knocking = await_event(&pull, What::Knocking);
        assert!(pull.admit(knocking.serial, false));
        let refused = await_event(&pull, What::Refused);
        assert_eq!(refused.peer.map(|peer| peer.address), knocking.peer.map(|peer| peer.address));
        assert_eq!(pull.endpoints()[0].stats.refused, 1);
        // It comes again, and may be admitted then.
        let knocking = await_event(&pull, What::Knocking);
        assert!(pull.admit(knocking.serial, true));
        send(&push, "m");
        assert_eq!(recv(&pull), "m");
    }

    #[test]
    fn a_question_that_is_not_answered_is_answered_by_the_time() {
        let machine = sp_proto::Options { handshake_timeout: Duration::from_millis(50), ..quick() };
        let pull = common::socket_with(Kind::Pull, machine);
        let asks = EndpointSettings { asks: true, ..EndpointSettings::default() };
        let address = pull.listen("tcp://127.0.0.1:0", &asks).unwrap().to_string();
        let push = socket(Kind::Push);
        dial(&push, &address);
        let knocking = await_event(&pull, What::Knocking);
        until("it is gone", || stats(&pull).peer_faults > 0);
        assert!(!pull.admit(knocking.serial, true));
    }
}

mod news {
    use super::*;

    #[test]
    fn a_dialer_says_why_it_fails_and_both_sides_who_comes_and_goes() {
        let (pull, push) = (socket(Kind::Pull), socket(Kind::Push));
        let address = listen(&pull, "tcp://127.0.0.1:0");
        close(&pull, Duration::ZERO);
        dial(&push, &address);
        let failed = await_event(&push, What::DialFailed);
        assert!(failed.reason.unwrap().contains("refused"));
        assert_eq!(failed.endpoint.to_string(), address);
        let report = &push.endpoints()[0];
        assert!(report.dials && report.pipes == 0 && report.stats.failed > 0 && report.last_error.is_some());

        let pull = socket(Kind::Pull);
        listen(&pull, &address);
        assert_eq!(await_event(&push, What::Up).peer.unwrap().address, address);
        assert!(await_event(&pull, What::Up).peer.unwrap().pipe.is_some());
        assert_eq!(push.endpoints()[0].last_error, None);
        assert_eq!(push.endpoints()[0].pipes, 1);
        close(&pull, Duration::ZERO);
        assert_eq!(await_event(&push, What::Down).reason.unwrap(), "the connection was lost");
    }

    #[test]
    fn peers_can_be_waited_for() {
        let (pull, push) = (socket(Kind::Pull), socket(Kind::Push));
        assert_eq!(push.wait_for_peers(0, None, || false), Ok(true));
        let deadline = sp_real::now() + Duration::from_millis(20);
        assert_eq!(push.wait_for_peers(1, Some(deadline), || false), Ok(false));
        dial(&push, &listen(&pull, "tcp://127.0.0.1:0"));
        assert_eq!(push.wait_for_peers(1, Some(soon()), || false), Ok(true));
        assert_eq!(pull.wait_for_peers(1, Some(soon()), || false), Ok(true));
        assert_eq!(push.wait_for_peers(2, Some(soon()), || true), Err(sp_real::Interrupted));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| push.wait_for_peers(2, Some(soon()), || false));
            std::thread::yield_now();
            close(&push, Duration::ZERO);
            assert_eq!(waiting.join().unwrap(), Ok(false));
        });
    }

    #[test]
    fn pipes_and_endpoints_have_counters_of_their_own() {
        let push = socket(Kind::Push);
        let pulls = [socket(Kind::Pull), socket(Kind::Pull)];
        for pull in &pulls {
            dial(&push, &listen(pull, "tcp://127.0.0.1:0"));
        }
        assert_eq!(push.wait_for_peers(2, Some(soon()), || false), Ok(true));
        for _ in 0..10 {
            send(&push, "four");
        }
        for pull in &pulls {
            for _ in 0..5 {
                recv(pull);
            }
        }
        for peer in push.peers() {
            let stats = push.pipe_stats(peer.pipe.unwrap()).unwrap();
            assert_eq!((stats.sent, stats.sent_bytes), (5, 20));
        }
    }
}

/// Waits for news of one kind; what comes before is passed over.
fn await_event(socket: &Socket, what: What) -> Happening {
    loop {
        match socket.wait_for_event(Some(soon()), || false).unwrap() {
            Some(event) if event.what == what => return event,
            Some(_) => {}
            None => panic!("no {} in time", what.name()),
        }
    }
}

#[test]
fn settings_are_for_every_transport() {
    // TLS settings on an address that is not secure are of no consequence.
    let (pull, push) = (socket(Kind::Pull), socket(Kind::Push));
    let address = pull.listen("tcp://127.0.0.1:0", &settings(EndpointOptions::default())).unwrap().to_string();
    dial(&push, &address);
    send(&push, "m");
    assert_eq!(recv(&pull), "m");
}
