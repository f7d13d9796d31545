//! Within the process: messages are handed over whole, without bytes and without a copy.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Weak};

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
        place.arrivals.lock().push_back(Stream { peer: door.kind, inbound: there.clone(), outbound: back.clone() });
        place.door.bell.ring();
        Ok(Stream { peer: place.door.kind, inbound: back, outbound: there })
    }

    /// What the other side is.
    pub(crate) fn peer(&self) -> Kind {
        self.peer
    }

    /// Can another message be put?
    pub(crate) fn has_room(&self) -> bool {
        let lane = self.outbound.state.lock();
        !lane.closed && lane.messages.len() < LANE_LIMIT
    }

    /// Hands a message over. If a bell is given back it has to sound, or the other side does not notice.
    #[must_use]
    pub(crate) fn put(&self, message: Message) -> Option<Arc<Bell>> {
        self.outbound.state.lock().messages.push_back(message);
        self.outbound.reader.pull().then(|| self.outbound.reader.clone())
    }

    /// Takes the next message. `Ok(None)`: there is none now; an error: there will not be any more.
    pub(crate) fn take(&self) -> Result<Option<Message>, Gone> {
        let mut lane = self.inbound.state.lock();
        let was_full = lane.messages.len() >= LANE_LIMIT;
        let message = lane.messages.pop_front();
        let closed = lane.closed;
        drop(lane);
        if was_full {
            self.inbound.writer.ring();
        }
        match message {
            None if closed => Err(Gone),
            message => Ok(message),
        }
    }

    /// Nothing that was put is delivered any more.
    pub(crate) fn abort(&self) {
        self.outbound.state.lock().messages.clear();
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
    writer: Arc<Bell>,
    reader: Arc<Bell>,
}

#[derive(Debug, Default)]
struct LaneState {
    messages: VecDeque<Message>,
    closed: bool,
}

impl Lane {
    fn new(writer: Arc<Bell>, reader: Arc<Bell>) -> Lane {
        Lane { state: Mutex::default(), writer, reader }
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
const LANE_LIMIT: usize = 64;
