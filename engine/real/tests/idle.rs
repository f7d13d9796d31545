//! A socket that has nothing to do does nothing. Alone in its process: it is the process's CPU time that is looked at.

mod common;

use std::thread;
use std::time::Duration;

use common::{dial, listen, recv, recv_within, send, socket};
use rustix::time::{ClockId, clock_gettime};
use sp_proto::{Kind, OpError};
use sp_real::Socket;

#[test]
fn idle_sockets_use_no_cpu() {
    let mut sockets: Vec<Socket> = Vec::new();
    for number in 0..10 {
        let place = if number % 2 == 0 { "tcp://127.0.0.1:0".to_owned() } else { format!("inproc://idle-{number}") };
        let (pull, push) = (socket(Kind::Pull), socket(Kind::Push));
        dial(&push, &listen(&pull, &place));
        send(&push, "hello");
        assert_eq!(recv(&pull), "hello");
        sockets.extend([pull, push]);
    }
    // One leads, three follow, the other sockets are left to the background thread.
    let before = cpu_time();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(recv_within(&sockets[0], WAIT), Err(OpError::TimedOut)));
        }
    });
    let used = cpu_time() - before;
    assert!(used < WAIT / 5, "{used:?} of CPU time in {WAIT:?} of waiting");
}

/// What the threads of this process have used together.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

const WAIT: Duration = Duration::from_millis(300);
