//! Devices: what hands messages on, between the two ends of a pattern or among the peers of a bus.

use thiserror::Error;

use crate::error::OpError;
use crate::message::Message;
use crate::protocol::Kind;
use crate::socket::Socket;
use crate::time::Time;

/// Moves messages between two raw sockets, each way as far as their kinds go. It owns neither: whoever does calls
/// [`forward`](Device::forward) after something has happened to one of them.
///
/// A message that the other side cannot take yet is held, one each way, so that queues fill up behind it. What goes in
/// circles is stopped where it has a count: REQ/REP, SURVEYOR/RESPONDENT and PAIR1 drop it at `ttl`. PUB/SUB, PUSH/PULL
/// and BUS have no such count; do not join their devices to a ring.
#[derive(Debug)]
pub struct Device {
    kind: Kind,
    /// Under way from the first socket to the second, and back.
    held: [Option<Message>; 2],
    stats: DeviceStats,
}

/// What a device has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceStats {
    /// Messages handed on.
    pub forwarded: u64,
    /// Messages that the other socket did not accept, for example because they are larger than its `max_message`.
    pub dropped: u64,
}

/// Why two sockets do not make a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DeviceError {
    /// It is not raw.
    #[error("a device is made of raw sockets, and this {0} socket is not raw")]
    NotRaw(Kind),
    /// They are not the two ends of a pattern.
    #[error("a device joins the two ends of a pattern: {first} goes with {partner}, not with {second}", partner = first.partner())]
    NotPartners {
        /// The first socket's kind.
        first: Kind,
        /// The second one's.
        second: Kind,
    },
    /// It cannot be a device alone.
    #[error("only a bus socket alone makes a device, which hands on among its peers; {kind} needs a {partner} socket beside it", kind = .0, partner = .0.partner())]
    Alone(Kind),
}

impl Device {
    /// A device between two sockets.
    pub fn between(first: &Socket, second: &Socket) -> Result<Device, DeviceError> {
        for socket in [first, second] {
            if !socket.is_raw() {
                return Err(DeviceError::NotRaw(socket.kind()));
            }
        }
        let (first, second) = (first.kind(), second.kind());
        if first.partner() != second {
            return Err(DeviceError::NotPartners { first, second });
        }
        Ok(Device::new(first))
    }

    /// A device of one bus: what comes from one of its peers goes to all the others.
    pub fn among_peers(socket: &Socket) -> Result<Device, DeviceError> {
        match (socket.is_raw(), socket.kind()) {
            (false, kind) => Err(DeviceError::NotRaw(kind)),
            (true, Kind::Bus) => Ok(Device::new(Kind::Bus)),
            (true, kind) => Err(DeviceError::Alone(kind)),
        }
    }

    /// Moves some of what can be moved between the sockets that [`between`](Device::between) was given; says whether
    /// anything was. If so, ask both sockets for what they want, and call it again.
    pub fn forward(&mut self, now: Time, first: &mut Socket, second: &mut Socket) -> bool {
        let before = self.stats;
        for _ in 0..AT_ONCE {
            let there = self.carry(now, 0, first, second);
            let back = self.carry(now, 1, second, first);
            if !(there || back) {
                break;
            }
        }
        self.stats != before
    }

    /// The same for the one socket that [`among_peers`](Device::among_peers) was given.
    pub fn reflect(&mut self, now: Time, socket: &mut Socket) -> bool {
        let before = self.stats;
        for _ in 0..AT_ONCE {
            let Some(message) = self.held[0].take().or_else(|| socket.try_recv_message(now).ok()) else {
                break;
            };
            let result = socket.try_send_message(now, message);
            if !self.settle(0, result) {
                break;
            }
        }
        self.stats != before
    }

    /// What it has done.
    pub fn stats(&self) -> &DeviceStats {
        &self.stats
    }

    fn new(kind: Kind) -> Device {
        Device { kind, held: [None, None], stats: DeviceStats::default() }
    }

    /// Moves one message this way.
    fn carry(&mut self, now: Time, way: usize, from: &mut Socket, to: &mut Socket) -> bool {
        let message = self.held[way].take().or_else(|| {
            let mut message = from.try_recv_message(now).ok()?;
            if self.kind == Kind::Bus {
                // A pipe of one socket means nothing to the other.
                message.header.clear();
            }
            Some(message)
        });
        message.is_some_and(|message| {
            let result = to.try_send_message(now, message);
            self.settle(way, result)
        })
    }

    /// Says whether a message is done with; if not, it is held.
    fn settle(&mut self, way: usize, result: Result<(), (OpError, Message)>) -> bool {
        match result {
            Ok(()) => self.stats.forwarded += 1,
            Err((OpError::WouldBlock, message)) => {
                self.held[way] = Some(message);
                return false;
            }
            Err(_) => self.stats.dropped += 1,
        }
        true
    }
}

/// Messages each way before others have their turn.
const AT_ONCE: usize = 64;
