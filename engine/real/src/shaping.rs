//! Shaping: a link laid under real sockets.
//!
//! A relay stands between dialers and listeners on this machine and lets bytes pass as a [`Link`] would: later, slower,
//! not at all. It knows nothing of what it carries, so any library may sit behind it. One relay is one link in both
//! directions; everything that is routed over it shares its rate, its cuts and its luck.
//!
//! Connecting takes its time, too: the target is dialled one round trip after the relay was, which is when the dialer
//! would have heard that its connection stands, and what the target says first waits for the half round trip that the
//! dialer's last word of the handshake would have needed. A target that refuses breaks the dialer's connection then.
//!
//! Where it departs from a network: the kernel between a program and the relay takes what the program writes at once, up
//! to its buffers, whatever the link's rate.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use slab::Slab;
use socket2::{SockRef, Socket};
use sp_link::{Channel, Link, LinkError, LinkOptions, Luck};
use sp_proto::Time;
use thiserror::Error;

use crate::bell::Bell;
use crate::clock::now;
use crate::fork;
use crate::poller::{Interest, Poller, Ready};
use crate::transport::carrier::Carrier;
use crate::transport::tcp;

/// A link under real sockets. It runs in a thread of its own until it is dropped.
#[derive(Debug)]
pub struct Relay {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
    generation: u64,
    /// Of its connections, in the kernel.
    buffer: usize,
}

/// Why a relay could not be made.
#[derive(Debug, Error)]
pub enum RelayError {
    /// The link cannot be.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The operating system refused.
    #[error("relay: {0}")]
    System(#[from] io::Error),
}

/// What a relay has carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelayStats {
    /// Connections that were relayed.
    pub connections: u64,
    /// Connections whose target refused.
    pub refused: u64,
    /// Bytes carried, both directions.
    pub bytes: u64,
    /// Times that a sender was not read from because too much of it was under way.
    pub held_back: u64,
    /// The latest that a piece was delivered after its time, in nanoseconds.
    pub latest: u64,
}

impl Relay {
    /// A relay without routes. `name` and `seed` decide the link's luck. `room` is how many bytes of a connection may be
    /// on their way in each direction, 1 or more; none for 4 MiB. With it the relay's own buffers are small, and it holds
    /// the sender back as soon as the receiver takes no more, so that it adds little to what the two of them buffer.
    pub fn new(options: LinkOptions, seed: u64, name: &str, room: Option<usize>) -> Result<Relay, RelayError> {
        let luck = Luck::new(seed, 0);
        let links = [
            Link::new(options.clone(), luck.stream(&format!("{name}/there")))?,
            Link::new(options, luck.stream(&format!("{name}/back")))?,
        ];
        let desk = Arc::new(Desk { orders: Mutex::default(), stats: Mutex::default(), bell: Bell::new()? });
        let poller = Poller::new()?;
        poller.add_bell(&desk.bell, BELL)?;
        let round_trip = Duration::from_nanos(links[0].delay() + links[1].delay());
        let mut work = Work {
            desk: desk.clone(),
            poller,
            links,
            round_trip,
            room,
            routes: Vec::new(),
            tunnels: Slab::new(),
            stats: RelayStats::default(),
        };
        let thread = thread::Builder::new().name("sp-relay".into()).spawn(move || work.run())?;
        Ok(Relay { desk, thread: Some(thread), generation: fork::generation(), buffer: buffer_beside(room) })
    }

    /// Opens a way over the link to `target`; returns where to dial instead.
    pub fn route(&self, target: SocketAddr) -> Result<SocketAddr, RelayError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        tcp::limit(&listener, self.buffer);
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        self.order(Order::Route(listener, target));
        Ok(address)
    }

    /// Silence in both directions until [`heal`](Relay::heal).
    pub fn cut(&self) {
        self.order(Order::Cut);
    }

    /// Speech again.
    pub fn heal(&self) {
        self.order(Order::Heal);
    }

    /// Breaks every connection; new ones can be made.
    pub fn break_all(&self) {
        self.order(Order::Break);
    }

    /// What it has carried.
    pub fn stats(&self) -> RelayStats {
        *self.desk.stats.lock()
    }

    fn order(&self, order: Order) {
        self.desk.orders.lock().push_back(order);
        self.desk.bell.ring();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if self.generation != fork::generation() {
            // The thread is the parent's.
            return;
        }
        self.order(Order::Stop);
        if let Some(thread) = self.thread.take() {
            // It can only have panicked, and then the message has been printed.
            let _ = thread.join();
        }
    }
}

#[derive(Debug)]
struct Desk {
    orders: Mutex<VecDeque<Order>>,
    stats: Mutex<RelayStats>,
    bell: Bell,
}

#[derive(Debug)]
enum Order {
    Route(TcpListener, SocketAddr),
    Cut,
    Heal,
    Break,
    Stop,
}

#[derive(Debug)]
struct Work {
    desk: Arc<Desk>,
    poller: Poller,
    links: [Link; 2],
    round_trip: Duration,
    room: Option<usize>,
    routes: Vec<(TcpListener, SocketAddr)>,
    tunnels: Slab<Tunnel>,
    stats: RelayStats,
}

/// One connection through the relay: its two ends, and what is under way from each.
#[derive(Debug)]
struct Tunnel {
    target: SocketAddr,
    /// When the target is dialled; none when it has been.
    dial_at: Option<Time>,
    /// When it answered.
    dialled: Time,
    /// What the target says before is held until then.
    answer_at: Time,
    /// The connection to the target, while it is being made.
    making: Option<Carrier>,
    ends: [Option<End>; 2],
    lanes: [Lane; 2],
}

/// A program's side of a tunnel.
#[derive(Debug)]
struct End {
    stream: TcpStream,
    polled: Interest,
}

/// What is under way from the end of the same number to the other.
#[derive(Debug, Default)]
struct Lane {
    channel: Channel<Piece>,
    under_way: usize,
    /// What has arrived but was not taken by the kernel yet.
    arrived: VecDeque<Piece>,
    /// The sender has said its last word.
    finished: bool,
    /// The receiver has heard it.
    delivered: bool,
}

#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    End,
    Reset,
}

impl Work {
    fn run(&mut self) {
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1_000));
        let mut ready = Vec::new();
        let mut scratch = vec![0; 64 << 10];
        loop {
            let timeout = self.next_timeout().map(|due| due - now());
            let _ = self.poller.wait(&mut ready, timeout);
            self.desk.bell.silence();
            loop {
                let order = self.desk.orders.lock().pop_front();
                match order {
                    None => break,
                    Some(Order::Stop) => return,
                    Some(order) => self.obey(order),
                }
            }
            for event in &ready {
                self.handle_ready(event, &mut scratch);
            }
            let keys: Vec<usize> = self.tunnels.iter().map(|(key, _)| key).collect();
            for key in keys {
                self.carry(key);
            }
            *self.desk.stats.lock() = self.stats;
        }
    }

    fn obey(&mut self, order: Order) {
        let nanos = now().as_nanos();
        match order {
            Order::Route(listener, target) => {
                if self.poller.add(listener.as_fd(), ROUTE | self.routes.len() as u64, Interest::READ).is_ok() {
                    self.routes.push((listener, target));
                }
            }
            Order::Cut => self.links.iter_mut().for_each(|link| link.cut(nanos)),
            Order::Heal => self.links.iter_mut().for_each(|link| link.heal(nanos)),
            Order::Break => {
                let keys: Vec<usize> = self.tunnels.iter().map(|(key, _)| key).collect();
                for key in keys {
                    self.collapse(key);
                }
            }
            Order::Stop => {}
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        let is_cut = self.links[THERE].is_cut();
        self.tunnels
            .iter()
            .flat_map(|(_, tunnel)| {
                let lanes = [THERE, BACK].into_iter().filter_map(|way| {
                    // What waits for the kernel is woken by the kernel.
                    let waits = tunnel.ends[1 - way].is_none() || !tunnel.lanes[way].arrived.is_empty();
                    if waits {
                        None
                    } else {
                        tunnel.lanes[way].channel.poll_timeout(&self.links[way]).map(Time::from_nanos)
                    }
                });
                lanes.chain(tunnel.dial_at.filter(|_| !is_cut))
            })
            .min()
    }

    fn handle_ready(&mut self, event: &Ready, scratch: &mut [u8]) {
        let key = (event.token & KEY) as usize;
        match event.token & !KEY {
            ROUTE => self.accept(key),
            TUNNEL => {
                let (key, side) = (key >> 1, key & 1);
                if self.tunnels.get(key).is_some_and(|tunnel| tunnel.making.is_some()) && side == BACK {
                    self.finish_dialling(key);
                } else if event.read {
                    self.read(key, side, scratch);
                }
            }
            _ => {}
        }
    }

    fn accept(&mut self, route: usize) {
        let (listener, target) = &self.routes[route];
        while let Ok((stream, _)) = listener.accept() {
            let Ok(near) = End::new(stream) else {
                continue;
            };
            let start = now();
            self.stats.connections += 1;
            self.tunnels.insert(Tunnel {
                target: *target,
                dial_at: Some(start + self.round_trip),
                dialled: start + self.round_trip,
                answer_at: start + self.round_trip + self.round_trip / 2,
                making: None,
                ends: [Some(near), None],
                lanes: Default::default(),
            });
        }
    }

    /// Reads what an end has to say and sends it over the link.
    fn read(&mut self, key: usize, side: usize, scratch: &mut [u8]) {
        let Some(tunnel) = self.tunnels.get_mut(key) else {
            return;
        };
        let lane = &mut tunnel.lanes[side];
        let Some(end) = tunnel.ends[side].as_ref() else {
            return;
        };
        if lane.finished || lane.is_full(self.room) {
            return;
        }
        let piece = match (&end.stream).read(scratch) {
            Ok(0) => Piece::End,
            Ok(count) => Piece::Bytes(Bytes::copy_from_slice(&scratch[..count])),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return,
            Err(_) => Piece::Reset,
        };
        let size = piece.len();
        lane.finished = !matches!(piece, Piece::Bytes(_));
        lane.under_way += size;
        self.stats.bytes += size as u64;
        self.stats.held_back += u64::from(lane.is_full(self.room));
        let leaves = if side == BACK { now().max(tunnel.answer_at) } else { now() };
        lane.channel.offer(&mut self.links[side], leaves.as_nanos(), size, piece);
    }

    /// The target has answered, or refused.
    fn finish_dialling(&mut self, key: usize) {
        let tunnel = &mut self.tunnels[key];
        let Some(stream) = tunnel.making.take() else {
            return;
        };
        if stream.connected().is_ok() {
            tunnel.dialled = now();
            tunnel.ends[1] = Some(End { stream: Socket::from(stream).into(), polled: Interest::WRITE });
        } else {
            self.stats.refused += 1;
            self.poller.remove(stream.as_fd());
            self.collapse(key);
        }
    }

    /// Does what is due for a tunnel.
    fn carry(&mut self, key: usize) {
        let now = now();
        let is_cut = self.links[THERE].is_cut();
        let tunnel = &mut self.tunnels[key];
        if tunnel.dial_at.is_some_and(|at| at <= now) && !is_cut {
            tunnel.dial_at = None;
            let making = tcp::dial(tunnel.target, buffer_beside(self.room)).and_then(|stream| {
                self.poller.add(stream.as_fd(), TUNNEL | (key << 1 | BACK) as u64, Interest::WRITE)?;
                Ok(stream)
            });
            match making {
                Ok(stream) => tunnel.making = Some(stream),
                Err(_) => {
                    self.stats.refused += 1;
                    return self.collapse(key);
                }
            }
        }
        for way in [THERE, BACK] {
            let Some(receiver) = tunnel.ends[1 - way].as_ref() else {
                continue;
            };
            let lane = &mut tunnel.lanes[way];
            // What waits for its receiver is not late.
            let waits = !lane.arrived.is_empty();
            while let Some(due) = lane.channel.poll_timeout(&self.links[way])
                && let Some(piece) = lane.channel.poll(&self.links[way], now.as_nanos())
            {
                // What came before the target was dialled had to wait for that.
                if due >= tunnel.dialled.as_nanos() && !waits {
                    self.stats.latest = self.stats.latest.max(now.as_nanos() - due);
                }
                lane.arrived.push_back(piece);
            }
            if !lane.deliver(&receiver.stream) {
                return self.collapse(key);
            }
        }
        if tunnel.lanes.iter().all(|lane| lane.delivered) {
            return self.remove(key);
        }
        self.repoll(key);
    }

    fn repoll(&mut self, key: usize) {
        let tunnel = &mut self.tunnels[key];
        for side in [THERE, BACK] {
            let wanted = Interest {
                read: !tunnel.lanes[side].finished && !tunnel.lanes[side].is_full(self.room),
                write: !tunnel.lanes[1 - side].arrived.is_empty(),
                once: false,
            };
            let Some(end) = tunnel.ends[side].as_mut() else {
                continue;
            };
            if wanted == end.polled {
                continue;
            }
            let token = TUNNEL | (key << 1 | side) as u64;
            let result = match (end.polled, wanted) {
                (_, Interest::NONE) => {
                    self.poller.remove(end.stream.as_fd());
                    Ok(())
                }
                (Interest::NONE, _) => self.poller.add(end.stream.as_fd(), token, wanted),
                _ => self.poller.modify(end.stream.as_fd(), token, wanted),
            };
            end.polled = wanted;
            if result.is_err() {
                return self.collapse(key);
            }
        }
    }

    /// Breaks both ends at once.
    fn collapse(&mut self, key: usize) {
        for end in self.tunnels[key].ends.iter().flatten() {
            let _ = SockRef::from(&end.stream).set_linger(Some(Duration::ZERO));
        }
        if let Some(making) = &self.tunnels[key].making {
            // The target may have accepted it already.
            making.abort();
        }
        self.remove(key);
    }

    fn remove(&mut self, key: usize) {
        let tunnel = self.tunnels.remove(key);
        if let Some(stream) = tunnel.making {
            self.poller.remove(stream.as_fd());
        }
        for end in tunnel.ends.into_iter().flatten() {
            self.poller.remove(end.stream.as_fd());
        }
    }
}

impl End {
    fn new(stream: TcpStream) -> io::Result<End> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(End { stream, polled: Interest::NONE })
    }
}

impl Lane {
    /// Must the sender wait?
    fn is_full(&self, room: Option<usize>) -> bool {
        self.under_way >= room.unwrap_or(WINDOW) || (room.is_some() && !self.arrived.is_empty())
    }

    /// Hands over what has arrived, as far as the kernel takes it; false if the connection is broken.
    fn deliver(&mut self, receiver: &TcpStream) -> bool {
        while let Some(piece) = self.arrived.front_mut() {
            match piece {
                Piece::Bytes(bytes) => match (&*receiver).write(bytes) {
                    Ok(count) => {
                        self.under_way -= count;
                        bytes.advance(count);
                        if !bytes.is_empty() {
                            continue;
                        }
                    }
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                        return true;
                    }
                    Err(_) => return false,
                },
                Piece::End => {
                    let _ = receiver.shutdown(Shutdown::Write);
                    self.delivered = true;
                }
                Piece::Reset => return false,
            }
            self.arrived.pop_front();
        }
        true
    }
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Piece::Bytes(bytes) => bytes.len(),
            Piece::End | Piece::Reset => 0,
        }
    }
}

/// Buffers that are small beside the room; 0 leaves them to the kernel.
fn buffer_beside(room: Option<usize>) -> usize {
    room.map_or(0, |room| (room / 16).max(1))
}

/// Bytes of one connection and direction that may be under way, if nobody says how many.
const WINDOW: usize = 4 << 20;
const THERE: usize = 0;
const BACK: usize = 1;
const KEY: u64 = u32::MAX as u64;
const BELL: u64 = 0;
const ROUTE: u64 = 1 << 32;
const TUNNEL: u64 = 2 << 32;
