//! Names looked up beside everything else: asking the system about a name may take it many seconds, and nobody who holds
//! a socket's lock may wait for that.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::thread;

use parking_lot::{Mutex, MutexGuard};
use sp_proto::Address;

use crate::bell::Bell;
use crate::transport::tcp;

/// Where the answers for one socket arrive; its bell is rung for each.
#[derive(Debug)]
pub(crate) struct Lookups {
    answers: Mutex<Vec<Answer>>,
    bell: Arc<Bell>,
}

/// The places a name stands for, for the endpoint that asked.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) endpoint: usize,
    pub(crate) places: io::Result<Vec<SocketAddr>>,
}

impl Lookups {
    pub(crate) fn new(bell: Arc<Bell>) -> Arc<Lookups> {
        Arc::new(Lookups { answers: Mutex::default(), bell })
    }

    /// Asks for the places of `address`. There is always an answer, unless the socket goes before.
    pub(crate) fn ask(self: &Arc<Lookups>, endpoint: usize, address: Address) {
        let mut desk = DESK.lock();
        desk.questions.push_back(Question { address, endpoint, asker: Arc::downgrade(self) });
        if desk.threads < THREADS {
            match thread::Builder::new().name("sp-resolver".into()).spawn(answer_all) {
                Ok(_) => desk.threads += 1,
                Err(error) if desk.threads == 0 => {
                    desk.questions.pop_back();
                    drop(desk);
                    self.deliver(Answer { endpoint, places: Err(error) });
                }
                // Those that are there will come to it.
                Err(_) => {}
            }
        }
    }

    pub(crate) fn collect(&self) -> Vec<Answer> {
        std::mem::take(&mut self.answers.lock())
    }

    fn deliver(&self, answer: Answer) {
        self.answers.lock().push(answer);
        self.bell.ring();
    }
}

/// What the resolving threads share.
#[derive(Debug)]
pub(crate) struct Desk {
    questions: VecDeque<Question>,
    threads: usize,
}

#[derive(Debug)]
struct Question {
    address: Address,
    endpoint: usize,
    asker: Weak<Lookups>,
}

impl Desk {
    /// The desk, held; for a process that is about to fork.
    pub(crate) fn hold() -> MutexGuard<'static, Desk> {
        DESK.lock()
    }

    /// In a child: the threads and the sockets that asked are the parent's.
    pub(crate) fn clear(&mut self) {
        self.questions.clear();
        self.threads = 0;
    }
}

/// Answers questions until there are none.
fn answer_all() {
    loop {
        let mut desk = DESK.lock();
        let Some(question) = desk.questions.pop_front() else {
            desk.threads -= 1;
            return;
        };
        drop(desk);
        // Nobody needs the answer if the socket is gone.
        if question.asker.strong_count() > 0 {
            let places = tcp::look_up(&question.address);
            if let Some(asker) = question.asker.upgrade() {
                asker.deliver(Answer { endpoint: question.endpoint, places });
            }
        }
    }
}

static DESK: Mutex<Desk> = Mutex::new(Desk { questions: VecDeque::new(), threads: 0 });

/// Names looked up at once. More wait their turn, so that a thousand dialers do not make a thousand threads.
const THREADS: usize = 8;
