//! Within the process: messages are handed over whole, without a copy, or many small ones in one piece.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use bytes::BytesMut;
use parking_lot::{Mutex, MutexGuard};
use sp_proto::{Address, Kind, Message};

use super::Door;
use crate::bell::Bell;

/// A connection to another socket of this process.
#[derive(Debug)]
pub(crate) struct Stream {
    peer: Kind,
    inbound: Arc<Lane>,
    outbound: Arc<Lane>,
    /// What was taken from the lane at one go.
    taken: VecDeque<Parcel>,
}

/// What is handed over.
#[derive(Debug)]
pub(crate) enum Parcel {
    Message(Message),
    /// Small messages with their frames, and how many.
    Frames(BytesMut, usize),
}

/// A name that other sockets can dial.
#[derive(Debug)]
pub(crate) struct Listener {
    address: Address,
    place: Arc<Place>,
}

impl Listener {
    pub(crate) fn bind(address: &Address, door: &Door) -> io::Result<Listener> {
        let mut names = NAMES.lock();
        names.retain(|_, place| place.strong_count() > 0);
        if names.contains_key(&address.rest) {
            return Err(io::Error::new(ErrorKind::AddrInUse, "another socket of this process listens there"));
        }
        let place = Arc::new(Place { door: door.clone(), arrivals: Mutex::default() });
        names.insert(address.rest.clone(), Arc::downgrade(&place));
        Ok(Listener { address: address.clone(), place })
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) fn accept(&self) -> Option<Stream> {
        self.place.arrivals.lock().pop_front()
    }
}

impl Stream {
    pub(crate) fn dial(name: &str, door: &Door) -> io::Result<Stream> {
        // Held until the end: a place that a dialer still holds would keep its name from a listener that comes back.
        let names = NAMES.lock();
        let place = names.get(name).and_then(Weak::upgrade);
        let place = place.ok_or_else(|| io::Error::new(ErrorKind::ConnectionRefused, "nobody listens there"))?;
        let there = Arc::new(Lane::new(door.bell.clone(), place.door.bell.clone()));
        let back = Arc::new(Lane::new(place.door.bell.clone(), door.bell.clone()));
        place.arrivals.lock().push_back(Stream::new(door.kind, there.clone(), back.clone()));
        place.door.bell.ring();
        Ok(Stream::new(place.door.kind, back, there))
    }

    fn new(peer: Kind, inbound: Arc<Lane>, outbound: Arc<Lane>) -> Stream {
        Stream { peer, inbound, outbound, taken: VecDeque::new() }
    }

    /// What the other side is.
    pub(crate) fn peer(&self) -> Kind {
        self.peer
    }

    /// Hands over as much as there is room for. If a bell is given back it has to sound, or the other side does not notice.
    /// Also says whether there is no more room; this side's bell rings when there is again.
    #[must_use]
    pub(crate) fn put(&self, mut next: impl FnMut() -> Option<Parcel>) -> (Option<Arc<Bell>>, bool) {
        let mut lane = self.outbound.state.lock();
        let mut put = false;
        while !lane.closed
            && !lane.is_full()
            && let Some(parcel) = next()
        {
            let (count, bytes) = match &parcel {
                Parcel::Message(message) => (1, message.len()),
                Parcel::Frames(frames, count) => (*count, frames.len()),
            };
            lane.messages += count;
            lane.bytes += bytes;
            lane.parcels.push_back(parcel);
            put = true;
        }
        let full = lane.is_full();
        drop(lane);
        ((put && self.outbound.reader.pull()).then(|| self.outbound.reader.clone()), full)
    }

    /// Takes the next parcel. `Ok(None)`: there is none now; an error: there will not be any more.
    pub(crate) fn take(&mut self) -> Result<Option<Parcel>, Gone> {
        if self.inbound.aborted.load(Ordering::Acquire) {
            self.taken.clear();
        }
        if self.taken.is_empty() {
            let mut lane = self.inbound.state.lock();
            let (was_full, closed) = (lane.is_full(), lane.closed);
            std::mem::swap(&mut lane.parcels, &mut self.taken);
            (lane.messages, lane.bytes) = (0, 0);
            drop(lane);
            if was_full {
                self.inbound.writer.ring();
            }
            if closed && self.taken.is_empty() {
                return Err(Gone);
            }
        }
        Ok(self.taken.pop_front())
    }

    /// Nothing that was put is delivered any more.
    pub(crate) fn abort(&self) {
        self.outbound.aborted.store(true, Ordering::Release);
        let mut lane = self.outbound.state.lock();
        lane.parcels.clear();
        (lane.messages, lane.bytes) = (0, 0);
    }
}

/// What was put before can still be taken by the other side.
impl Drop for Stream {
    fn drop(&mut self) {
        for (lane, bell) in [(&self.outbound, &self.outbound.reader), (&self.inbound, &self.inbound.writer)] {
            lane.state.lock().closed = true;
            bell.ring();
        }
    }
}

/// The other side has closed.
#[derive(Debug)]
pub(crate) struct Gone;

/// Where dialers leave their connections.
#[derive(Debug)]
pub(crate) struct Place {
    door: Door,
    arrivals: Mutex<VecDeque<Stream>>,
}

/// One direction of a connection.
#[derive(Debug)]
struct Lane {
    state: Mutex<LaneState>,
    /// What is under way is lost.
    aborted: AtomicBool,
    writer: Arc<Bell>,
    reader: Arc<Bell>,
}

#[derive(Debug, Default)]
struct LaneState {
    parcels: VecDeque<Parcel>,
    messages: usize,
    bytes: usize,
    closed: bool,
}

impl LaneState {
    fn is_full(&self) -> bool {
        self.messages >= LANE_LIMIT || self.bytes >= LANE_BYTES
    }
}

impl Lane {
    fn new(writer: Arc<Bell>, reader: Arc<Bell>) -> Lane {
        Lane { state: Mutex::default(), aborted: AtomicBool::new(false), writer, reader }
    }
}

/// Who listens under which name.
pub(crate) type Names = BTreeMap<String, Weak<Place>>;

/// The names of this process, held; for one that is about to fork.
pub(crate) fn hold() -> MutexGuard<'static, Names> {
    NAMES.lock()
}

static NAMES: Mutex<Names> = Mutex::new(BTreeMap::new());

/// Messages under way in one direction; the queues proper are those of the two sockets.
const LANE_LIMIT: usize = 256;
/// Their bytes, but for the last one.
const LANE_BYTES: usize = 256 << 10;
