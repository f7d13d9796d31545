//! Our engine in the roles of `benches/native/measure.h`, through its Rust API.
//!
//! usage: measure ROLE ADDRESS SIZE SECONDS CPU

#![expect(clippy::print_stdout, reason = "it says what it measured")]

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::thread::{CpuSet, sched_setaffinity};
use sp_proto::{ContextId, Kind, OpError};
use sp_real::{Body, EndpointSettings, Socket, SocketOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [role, address, size, seconds, cpu] = arguments.as_slice() else {
        return Err("usage: measure ROLE ADDRESS SIZE SECONDS CPU".into());
    };
    let (size, window) = (size.parse()?, Duration::from_secs_f64(seconds.parse()?));
    if cpu != "-" {
        let mut set = CpuSet::new();
        set.set(cpu.parse()?);
        sched_setaffinity(None, &set)?;
    }
    match role.as_str() {
        "push" => flood(&dial(Kind::Push, address)?, size),
        "req" => {
            let req = dial(Kind::Req, address)?;
            let body = Bytes::from(vec![0; size]);
            time_each(window, || {
                send(&req, body.clone());
                receive(&req);
            });
        }
        "rep" => {
            let rep = listen(Kind::Rep, address)?;
            loop {
                send(&rep, receive(&rep));
            }
        }
        "pull" => {
            let pull = listen(Kind::Pull, address)?;
            let mut own = vec![0; size];
            count(window, || receive_into(&pull, &mut own));
        }
        "threads" => {
            let pull = listen(Kind::Pull, address)?;
            let push = dial(Kind::Push, address)?;
            thread::spawn(move || flood(&push, size));
            let mut own = vec![0; size];
            count(window, || receive_into(&pull, &mut own));
        }
        other => return Err(format!("there is no role {other}").into()),
    }
    Ok(())
}

fn open(kind: Kind) -> Result<Socket, Box<dyn Error>> {
    let mut options = SocketOptions::default();
    options.machine.send_queue = 1_000;
    options.machine.recv_queue = 1_000;
    Ok(Socket::new(kind, options)?)
}

fn listen(kind: Kind, address: &str) -> Result<Socket, Box<dyn Error>> {
    let socket = open(kind)?;
    socket.listen(address, &EndpointSettings::default())?;
    println!("ready");
    Ok(socket)
}

fn dial(kind: Kind, address: &str) -> Result<Socket, Box<dyn Error>> {
    let socket = open(kind)?;
    socket.dial(address, &EndpointSettings::default())?;
    Ok(socket)
}

fn flood(push: &Socket, size: usize) {
    // A buffer of the program's own is copied for each message, as in the C programs.
    let own = vec![0; size];
    loop {
        send(push, own.as_slice());
    }
}

fn send<'a>(socket: &Socket, body: impl Into<Body<'a>>) {
    if let Err((error, body)) = socket.try_send(ContextId::DEFAULT, body) {
        assert_eq!(error, OpError::WouldBlock);
        let sent = socket.send(ContextId::DEFAULT, body, None, || false);
        assert_eq!(sent, Ok(Ok(())));
    }
}

fn receive(socket: &Socket) -> Bytes {
    match socket.take(ContextId::DEFAULT) {
        Ok(body) => body,
        Err(_) => socket.recv(ContextId::DEFAULT, None, || false).expect("nobody interrupts").expect("it is open"),
    }
}

/// Into a buffer of the program's own, as in the C programs.
fn receive_into(socket: &Socket, own: &mut [u8]) {
    if socket.take_with(ContextId::DEFAULT, |body| own.copy_from_slice(body)).is_err() {
        own.copy_from_slice(&receive(socket));
    }
}

fn count(window: Duration, mut receive: impl FnMut()) {
    receive();
    let began = Instant::now();
    while began.elapsed() < WARM_UP {
        (0..100).for_each(|_| receive());
    }
    let (began, mut messages) = (Instant::now(), 0);
    while began.elapsed() < window {
        (0..100).for_each(|_| receive());
        messages += 100;
    }
    println!("{{\"rate\": {:.0}}}", f64::from(messages) / began.elapsed().as_secs_f64());
}

fn time_each(window: Duration, mut ask: impl FnMut()) {
    let began = Instant::now();
    while began.elapsed() < WARM_UP {
        ask();
    }
    let (began, mut took) = (Instant::now(), Vec::new());
    while began.elapsed() < window {
        let before = Instant::now();
        ask();
        took.push(before.elapsed().as_nanos());
    }
    took.sort_unstable();
    println!("{{\"p50_ns\": {}, \"p99_ns\": {}}}", took[took.len() / 2], took[took.len() * 99 / 100]);
}

const WARM_UP: Duration = Duration::from_millis(300);
