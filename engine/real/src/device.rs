//! Devices at work: a thread that hands messages on between two raw sockets.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::{fmt, io};

use parking_lot::Mutex;
use sp_proto::{DeviceError, DeviceStats};
use thiserror::Error;

use crate::bell::Bell;
use crate::clock::now;
use crate::fork;
use crate::poller::{Interest, Poller};
use crate::socket::Socket;

/// A device, until it is dropped or one of its sockets is closed. The sockets stay their owner's, to listen and dial
/// with.
pub struct Device {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
    generation: u64,
}

/// Why a device could not be made.
#[derive(Debug, Error)]
pub enum MakeDeviceError {
    /// The sockets do not fit.
    #[error(transparent)]
    Sockets(#[from] DeviceError),
    /// The operating system refused.
    #[error("a device needs two descriptors and a thread: {0}")]
    System(#[from] io::Error),
}

impl Device {
    /// Hands messages on between two raw sockets, the two ends of a pattern.
    pub fn between(first: &Socket, second: &Socket) -> Result<Device, MakeDeviceError> {
        if first.shared().id == second.shared().id {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it was given one socket twice").into());
        }
        let device = {
            let (first, second) = first.lock_both(second);
            sp_proto::Device::between(&first.socket, &second.socket)?
        };
        Device::start(device, first.clone(), Some(second.clone()))
    }

    /// Hands messages on among the peers of one raw bus socket.
    pub fn among_peers(socket: &Socket) -> Result<Device, MakeDeviceError> {
        let device = sp_proto::Device::among_peers(&socket.shared().core.lock().socket)?;
        Device::start(device, socket.clone(), None)
    }

    /// What it has done.
    pub fn stats(&self) -> DeviceStats {
        *self.desk.stats.lock()
    }

    fn start(device: sp_proto::Device, first: Socket, second: Option<Socket>) -> Result<Device, MakeDeviceError> {
        let poller = Poller::new()?;
        let desk = Arc::new(Desk { stopping: AtomicBool::new(false), stats: Mutex::default(), bell: Bell::new()? });
        poller.add_bell(&desk.bell, BELL)?;
        for socket in [Some(&first), second.as_ref()].into_iter().flatten() {
            poller.add(socket.shared().poller.as_fd(), SOCKET, Interest::READ)?;
            socket.attach(true);
        }
        let work = Work { device, first, second, poller, desk: desk.clone() };
        let thread = thread::Builder::new().name("sp-device".into()).spawn(move || work.run())?;
        Ok(Device { desk, thread: Some(thread), generation: fork::generation() })
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if self.generation != fork::generation() {
            // The thread is the parent's.
            return;
        }
        self.desk.stopping.store(true, Ordering::Release);
        self.desk.bell.ring();
        if let Some(thread) = self.thread.take() {
            // It can only have panicked, and then the message has been printed.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

struct Desk {
    stopping: AtomicBool,
    stats: Mutex<DeviceStats>,
    bell: Bell,
}

struct Work {
    device: sp_proto::Device,
    first: Socket,
    second: Option<Socket>,
    poller: Poller,
    desk: Arc<Desk>,
}

impl Work {
    fn run(mut self) {
        let mut ready = Vec::new();
        while !self.desk.stopping.load(Ordering::Acquire) {
            let due = match self.second.clone() {
                Some(second) => self.forward(&second),
                None => self.reflect(),
            };
            let Some(due) = due else {
                break;
            };
            // A signal is for the main thread.
            let _ = self.poller.wait(&mut ready, due.map(|due| due - now()));
            self.desk.bell.silence();
        }
        for socket in [Some(&self.first), self.second.as_ref()].into_iter().flatten() {
            socket.attach(false);
        }
    }

    /// Hands on what can be handed on. Says when to look again, if nothing is ready before; `None` if it is over.
    fn forward(&mut self, other: &Socket) -> Option<Option<sp_proto::Time>> {
        let (mut first, mut second) = self.first.lock_both(other);
        first.look();
        second.look();
        while self.device.forward(now(), &mut first.socket, &mut second.socket) {
            // Before anybody can see what was handed on.
            *self.desk.stats.lock() = *self.device.stats();
            first.settle(now());
            second.settle(now());
        }
        let is_over = first.socket.is_closed() || second.socket.is_closed();
        let due = [first.next_timeout(), second.next_timeout()].into_iter().flatten().min();
        self.first.shared().leave(first);
        other.shared().leave(second);
        if is_over { None } else { Some(due) }
    }

    fn reflect(&mut self) -> Option<Option<sp_proto::Time>> {
        let mut core = self.first.shared().core.lock();
        core.look();
        while self.device.reflect(now(), &mut core.socket) {
            *self.desk.stats.lock() = *self.device.stats();
            core.settle(now());
        }
        let is_over = core.socket.is_closed();
        let due = core.next_timeout();
        self.first.shared().leave(core);
        if is_over { None } else { Some(due) }
    }
}

const BELL: u64 = 0;
const SOCKET: u64 = 1;
