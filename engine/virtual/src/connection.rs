//! Connections: two hosts, two flows, and what is between them.

use std::collections::VecDeque;
use std::fmt;

use sp_link::{Flow, Link, Passage};
use sp_proto::wire::{FRAME_HEADER_LEN, GREETING_LEN};
use sp_proto::{Few, Message, PipeId, Time, Visit};

use crate::agenda::Alarm;
use crate::ids::{HostId, SocketId};

/// Names a connection. A place is used again, with another generation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConnectionId {
    place: u32,
    generation: u32,
}

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Dialer,
    Listener,
}

/// A connection from its first segment until both ends know that it is over.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Connection {
    ends: [End; 2],
    /// What each side sends.
    ways: [Way; 2],
    /// What was dialled.
    pub(crate) address: String,
    /// Which of its socket's dialers made it.
    pub(crate) dialer: usize,
    /// The dialer gives up then.
    pub(crate) handshake: Option<Alarm>,
}

/// What one end knows.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct End {
    pub(crate) host: HostId,
    pub(crate) socket: SocketId,
    pub(crate) state: EndState,
    /// Messages that have arrived and that the socket does not admit yet.
    #[expect(clippy::box_collection, reason = "what is rarely there should be small while it is not")]
    pub(crate) held: Option<Box<VecDeque<Message>>>,
    /// The link that it sends over, by its place in the network.
    link: u32,
    /// The peer has closed; this end follows when nothing is held.
    pub(crate) ending: bool,
}

/// How far an end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndState {
    /// The listener, before it has heard of the connection.
    Unaware,
    /// The dialer, until the listener has accepted.
    Connecting,
    /// Waiting for the peer's greeting.
    Greeting,
    /// A pipe of its socket.
    Up(PipeId),
    /// Done with it.
    Gone,
}

/// One direction: what is under way, and how much more may be.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Way {
    /// The window was full when the sender last wanted to send.
    pub(crate) blocked: bool,
    /// The sender is to be woken at the first credit.
    pub(crate) credit_awaited: bool,
    /// The next arrival is in the agenda.
    pub(crate) armed: bool,
    /// Bytes sent that the sender does not know to be consumed.
    pub(crate) unconsumed: usize,
    /// Bytes consumed, and when the sender hears of it. Looked at only when the sender wants to send.
    pub(crate) credits: Few<(Time, usize)>,
    flow: Flow,
    /// The next to arrive comes first.
    under_way: Few<(Passage, Parcel)>,
}

/// What travels.
#[derive(Debug)]
pub(crate) enum Parcel {
    /// The dialer asks for a connection.
    Syn,
    /// The listener has accepted it.
    SynAck,
    /// Nobody listens there.
    Refused,
    /// What a socket says first.
    Greeting([u8; GREETING_LEN]),
    /// A message, whole: nobody would notice it being made bytes and parsed again.
    Message(Message),
    /// An orderly end: what was sent before is still delivered.
    Fin,
    /// An abrupt end.
    Reset,
}

impl Side {
    pub(crate) fn other(self) -> Side {
        match self {
            Side::Dialer => Side::Listener,
            Side::Listener => Side::Dialer,
        }
    }
}

impl Connection {
    pub(crate) fn new(address: String, dialer: usize, ends: [End; 2]) -> Connection {
        let ways = [Way::new(), Way::new()];
        Connection { ends, ways, address, dialer, handshake: None }
    }

    pub(crate) fn end(&self, side: Side) -> &End {
        &self.ends[side as usize]
    }

    pub(crate) fn end_mut(&mut self, side: Side) -> &mut End {
        &mut self.ends[side as usize]
    }

    pub(crate) fn way(&self, side: Side) -> &Way {
        &self.ways[side as usize]
    }

    pub(crate) fn way_mut(&mut self, side: Side) -> &mut Way {
        &mut self.ways[side as usize]
    }

    /// The link that a side sends over, by its place in the network.
    pub(crate) fn link(&self, side: Side) -> usize {
        self.ends[side as usize].link as usize
    }

    /// Visits what both ends know, and one way.
    pub(crate) fn footprint(&self, side: Side, visit: Visit) {
        visit(std::ptr::from_ref(self).cast(), size_of::<[End; 2]>());
        let way = self.way(side);
        visit(std::ptr::from_ref(way).cast(), size_of::<Way>());
    }

    /// Do both ends know that it is over?
    pub(crate) fn is_over(&self) -> bool {
        self.ends.iter().all(|end| end.state == EndState::Gone)
    }

    /// Are both ends pipes?
    pub(crate) fn is_up(&self) -> bool {
        self.ends.iter().all(|end| matches!(end.state, EndState::Up(_)))
    }

    /// Messages under way or held, in both directions.
    pub(crate) fn messages(&self) -> usize {
        let travelling = self.ways.iter().flat_map(Way::parcels);
        travelling.filter(|parcel| matches!(parcel, Parcel::Message(_))).count()
            + self.ends.iter().map(|end| end.holds()).sum::<usize>()
    }
}

impl End {
    pub(crate) fn new(host: HostId, socket: SocketId, state: EndState, link: usize) -> End {
        End { host, socket, state, held: None, link: link as u32, ending: false }
    }

    /// How many messages are held.
    pub(crate) fn holds(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.len())
    }
}

impl Way {
    fn new() -> Way {
        Way {
            blocked: false,
            credit_awaited: false,
            armed: false,
            unconsumed: 0,
            credits: Few::new(),
            flow: Flow::default(),
            under_way: Few::new(),
        }
    }

    /// Sends something over the link.
    pub(crate) fn offer(&mut self, link: &mut Link, now: Time, parcel: Parcel) {
        let arrival = link.offer(&mut self.flow, now.as_nanos(), parcel.size());
        self.under_way.push_back((link.passage(arrival), parcel));
    }

    /// The next thing that has arrived by `now`.
    pub(crate) fn poll(&mut self, link: &Link, now: Time) -> Option<Parcel> {
        let at = self.next_arrival(link)?;
        if at > now { None } else { self.under_way.pop_front().map(|(_, parcel)| parcel) }
    }

    /// When something arrives next; `None` if nothing is under way, or while the link is cut.
    pub(crate) fn next_arrival(&self, link: &Link) -> Option<Time> {
        let (passage, _) = self.under_way.front()?;
        link.due(*passage).map(Time::from_nanos)
    }

    /// What is under way, the next to arrive first.
    pub(crate) fn parcels(&self) -> impl Iterator<Item = &Parcel> {
        self.under_way.iter().map(|(_, parcel)| parcel)
    }

    /// Takes in what the sender knows by now to be consumed.
    pub(crate) fn collect_credits(&mut self, now: Time) {
        while self.credits.front().is_some_and(|(at, _)| *at <= now) {
            self.unconsumed -= self.credits.pop_front().map_or(0, |(_, size)| size);
        }
    }

    /// Visits the older of what is known to be consumed.
    pub(crate) fn footprint(&self, visit: Visit) {
        self.credits.footprint(visit);
        self.under_way.footprint(visit);
    }

    /// What `unconsumed` must be, counted anew: under way, held by the receiving `end`, or consumed without the sender
    /// knowing it.
    pub(crate) fn recount(&self, end: &End) -> usize {
        let travelling: usize =
            self.parcels().filter(|parcel| matches!(parcel, Parcel::Message(_))).map(Parcel::size).sum();
        let held: usize = end.held.iter().flat_map(|held| held.iter()).map(|message| frame(message.len())).sum();
        travelling + held + self.credits.iter().map(|(_, size)| size).sum::<usize>()
    }
}

impl Parcel {
    /// Bytes of the stream it takes. What belongs to the transport and not to the stream counts nothing.
    pub(crate) fn size(&self) -> usize {
        match self {
            Parcel::Syn | Parcel::SynAck | Parcel::Refused | Parcel::Fin | Parcel::Reset => 0,
            Parcel::Greeting(greeting) => greeting.len(),
            Parcel::Message(message) => frame(message.len()),
        }
    }
}

/// Bytes of the stream that a message of `len` bytes takes.
pub(crate) fn frame(len: usize) -> usize {
    len + FRAME_HEADER_LEN
}

/// The connections of a network, by id.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    places: Vec<(u32, Option<Box<Connection>>)>,
    free: Vec<u32>,
}

impl Connections {
    pub(crate) fn add(&mut self, connection: Connection) -> ConnectionId {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push((0, None));
            self.places.len() as u32 - 1
        });
        let (generation, slot) = &mut self.places[place as usize];
        *slot = Some(Box::new(connection));
        ConnectionId { place, generation: *generation }
    }

    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<Box<Connection>> {
        self.get(id)?;
        let (generation, slot) = &mut self.places[id.place as usize];
        *generation = generation.wrapping_add(1);
        self.free.push(id.place);
        slot.take()
    }

    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        match self.places.get(id.place as usize)? {
            (generation, Some(connection)) if *generation == id.generation => Some(connection),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        match self.places.get_mut(id.place as usize)? {
            (generation, Some(connection)) if *generation == id.generation => Some(connection),
            _ => None,
        }
    }

    /// Visits the place of one.
    pub(crate) fn footprint(&self, id: ConnectionId, visit: Visit) {
        if let Some(place) = self.places.get(id.place as usize) {
            visit(std::ptr::from_ref(place).cast(), 1);
        }
    }

    /// All of them, by place.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnectionId, &Connection)> {
        self.places.iter().enumerate().filter_map(|(place, (generation, slot))| {
            Some((ConnectionId { place: place as u32, generation: *generation }, slot.as_deref()?))
        })
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {}.{}", self.place, self.generation)
    }
}
