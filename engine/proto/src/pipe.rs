//! Pipes: established connections, as a protocol sees them.

use std::collections::VecDeque;
use std::fmt;
use std::mem::offset_of;

use crate::few::Few;
use crate::footprint::Visit;
use crate::message::Message;
use crate::options::{EndpointOptions, Options, WhenFull};
use crate::priority::Priority;
use crate::queue::Queue;
use crate::stats::PipeStats;

/// Names a pipe on its socket. It is also the routing word that stands for the pipe in a header: 31 bits, and not used
/// again soon (a place is used again with the next of 2,048 generations).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PipeId(u32);

impl PipeId {
    /// The routing word; its highest bit is clear.
    pub fn word(self) -> u32 {
        self.0
    }

    /// The pipe that a routing word stands for; whether it is still there, the socket knows.
    pub fn from_word(word: u32) -> PipeId {
        PipeId(word & !(1 << 31))
    }

    /// A small number, unique among the pipes that are up, for use as an index.
    pub fn slot(self) -> usize {
        (self.0 & SLOT_MASK) as usize
    }

    fn new(slot: usize, generation: u32) -> PipeId {
        PipeId((generation % GENERATIONS) << SLOT_BITS | slot as u32)
    }
}

impl fmt::Debug for PipeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pipe {:08x}", self.0)
    }
}

/// One pipe with its two queues.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Pipe {
    pub(crate) send_priority: Priority,
    pub(crate) recv_priority: Priority,
    /// What becomes of a message that finds the outbound queue full.
    pub(crate) when_full: WhenFull,
    /// In the protocol's rotation of pipes that can be written to.
    pub(crate) offered: bool,
    /// Waits in `Pipes::outputs`.
    announced: bool,
    /// The inbound queue was full; the world is to be told when there is room.
    paused: bool,
    state: State,
    pub(crate) stats: PipeStats,
    pub(crate) outbound: Queue,
    pub(crate) inbound: Queue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Up,
    /// Given up, but its connection is still there; its place is not used again before that is closed.
    Condemned,
    /// The connection is gone; the pipe goes when its inbound queue is empty.
    Retired,
}

/// The pipes of a socket.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Pipes {
    slots: Vec<Slot>,
    count: usize,
    outputs: Few<PipeId>,
    resumed: Few<PipeId>,
    first_generation: u32,
    free: VecDeque<u32>,
}

#[derive(Debug)]
#[repr(C)]
struct Slot {
    generation: u32,
    pipe: Option<Pipe>,
}

impl Pipes {
    /// `luck` is where the generations begin, so that the ids of a restarted program are not those of the last one.
    pub(crate) fn new(luck: u32) -> Pipes {
        Pipes {
            slots: Vec::new(),
            free: VecDeque::new(),
            first_generation: luck % GENERATIONS,
            count: 0,
            outputs: Few::new(),
            resumed: Few::new(),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn add(&mut self, options: &Options, endpoint: EndpointOptions, when_full: WhenFull) -> PipeId {
        let pipe = Pipe {
            send_priority: endpoint.send_priority,
            recv_priority: endpoint.recv_priority,
            when_full,
            stats: PipeStats::default(),
            inbound: Queue::new(options.recv_queue, options.queue_bytes),
            outbound: Queue::new(options.send_queue, options.queue_bytes),
            offered: false,
            announced: false,
            paused: false,
            state: State::Up,
        };
        self.count += 1;
        let number = match self.free.pop_front() {
            Some(number) => number as usize,
            None => {
                if self.slots.is_empty() {
                    // Many sockets have one pipe and will never have another.
                    self.slots.reserve_exact(1);
                }
                self.slots.push(Slot { generation: self.first_generation, pipe: None });
                self.slots.len() - 1
            }
        };
        let slot = &mut self.slots[number];
        slot.pipe = Some(pipe);
        PipeId::new(number, slot.generation)
    }

    /// Gives back the memory of the last places, if nobody is there. Their ids are not used again before others are.
    pub(crate) fn tidy(&mut self) {
        let kept = self.slots.iter().rposition(|slot| slot.pipe.is_some()).map_or(0, |last| last + 1);
        let first = self.first_generation;
        let ahead = |slot: &Slot| (slot.generation + GENERATIONS - first) % GENERATIONS;
        // They go round: what is more than half way ahead is behind.
        let used = self.slots[kept..].iter().map(ahead).filter(|ahead| *ahead < GENERATIONS / 2).max();
        self.first_generation = (first + used.unwrap_or(0)) % GENERATIONS;
        self.slots.truncate(kept);
        self.slots.shrink_to_fit();
        self.free.retain(|number| (*number as usize) < kept);
        self.free.shrink_to_fit();
    }

    fn remove(&mut self, id: PipeId) {
        let slot = &mut self.slots[id.slot()];
        slot.generation = (slot.generation + 1) % GENERATIONS;
        slot.pipe = None;
        self.free.push_back(id.slot() as u32);
        self.count -= 1;
    }

    pub(crate) fn get(&self, id: PipeId) -> Option<&Pipe> {
        let slot = self.slots.get(id.slot())?;
        if PipeId::new(id.slot(), slot.generation) == id { slot.pipe.as_ref() } else { None }
    }

    pub(crate) fn get_mut(&mut self, id: PipeId) -> Option<&mut Pipe> {
        let slot = self.slots.get_mut(id.slot())?;
        if PipeId::new(id.slot(), slot.generation) == id { slot.pipe.as_mut() } else { None }
    }

    /// A pipe with a connection behind it that has not been given up.
    pub(crate) fn up(&self, id: PipeId) -> Option<&Pipe> {
        self.get(id).filter(|pipe| pipe.state == State::Up)
    }

    pub(crate) fn up_mut(&mut self, id: PipeId) -> Option<&mut Pipe> {
        self.get_mut(id).filter(|pipe| pipe.state == State::Up)
    }

    /// All pipes that are there, by place.
    pub(crate) fn ids(&self) -> impl Iterator<Item = PipeId> {
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.pipe.is_some())
            .map(|(number, slot)| PipeId::new(number, slot.generation))
    }

    /// Puts `message` into the outbound queue and tells the world that there is something to transmit. Says whether the
    /// queue has room for another.
    pub(crate) fn push_out(&mut self, id: PipeId, message: Message) -> bool {
        let Some(pipe) = self.get_mut(id) else {
            return false;
        };
        pipe.stats.sent += 1;
        pipe.stats.sent_bytes += message.body.len() as u64;
        pipe.outbound.push(message);
        let room = !pipe.outbound.is_full();
        if !std::mem::replace(&mut pipe.announced, true) {
            self.outputs.push_back(id);
        }
        room
    }

    /// Is there nothing to transmit?
    pub(crate) fn is_idle(&self, id: PipeId) -> bool {
        self.up(id).is_some_and(|pipe| pipe.outbound.is_empty())
    }

    /// Counts a message that is transmitted without having been queued.
    pub(crate) fn pass_out(&mut self, id: PipeId, len: usize) {
        if let Some(pipe) = self.get_mut(id) {
            pipe.stats.sent += 1;
            pipe.stats.sent_bytes += len as u64;
        }
    }

    /// Takes the next message to transmit; also says whether the queue had been full until now.
    pub(crate) fn pop_out(&mut self, id: PipeId) -> Option<(Message, bool)> {
        let pipe = self.get_mut(id)?;
        let was_full = pipe.outbound.is_full();
        let message = pipe.outbound.pop()?;
        Some((message, was_full && !pipe.outbound.is_full()))
    }

    /// Puts `message` into the inbound queue; says whether it is the first there.
    pub(crate) fn push_in(&mut self, id: PipeId, message: Message) -> bool {
        let Some(pipe) = self.get_mut(id) else {
            return false;
        };
        pipe.inbound.push(message);
        pipe.inbound.len() == 1
    }

    /// Is it up, and the only one?
    pub(crate) fn is_alone(&self, id: PipeId) -> bool {
        self.count == 1 && self.is_up(id)
    }

    /// Counts a message that is received without having been queued.
    pub(crate) fn pass_in(&mut self, id: PipeId, len: usize) {
        if let Some(pipe) = self.get_mut(id) {
            pipe.stats.received += 1;
            pipe.stats.received_bytes += len as u64;
        }
    }

    /// Takes the next message to receive; also gives the pipe's priority if that was the last one. A pipe that was
    /// paused is resumed once its queue is half empty, so that a slow reader does not make the world stop and go for
    /// each message.
    pub(crate) fn pop_in(&mut self, id: PipeId) -> Option<(Message, Option<Priority>)> {
        let pipe = self.get_mut(id)?;
        let message = pipe.inbound.pop()?;
        let emptied = pipe.inbound.is_empty().then_some(pipe.recv_priority);
        match pipe.state {
            State::Up if pipe.paused && pipe.inbound.is_half_empty() => {
                pipe.paused = false;
                self.resumed.push_back(id);
            }
            State::Retired if emptied.is_some() => self.remove(id),
            State::Up | State::Condemned | State::Retired => {}
        }
        Some((message, emptied))
    }

    /// Gives the pipe up, from now on; says whether it was up.
    pub(crate) fn condemn(&mut self, id: PipeId) -> bool {
        let up = self.up_mut(id);
        up.map(|pipe| pipe.state = State::Condemned).is_some()
    }

    /// Empties the outbound queue of a pipe that is no longer up, and the inbound one unless it is to be `kept`. Says
    /// how many messages had been in either.
    pub(crate) fn shut(&mut self, id: PipeId, kept: bool) -> (usize, usize) {
        self.outputs.retain(|other| *other != id);
        self.resumed.retain(|other| *other != id);
        let Some(pipe) = self.get_mut(id) else {
            return (0, 0);
        };
        pipe.state = State::Condemned;
        pipe.paused = false;
        let unsent = pipe.outbound.clear();
        let unheard = if kept { 0 } else { pipe.inbound.clear() };
        (unsent, unheard)
    }

    /// The connection of a pipe that was shut is gone; the pipe goes as soon as its inbound queue is empty.
    pub(crate) fn release(&mut self, id: PipeId) {
        match self.get_mut(id) {
            Some(pipe) if pipe.state == State::Condemned && !pipe.inbound.is_empty() => pipe.state = State::Retired,
            Some(pipe) if pipe.state == State::Condemned => self.remove(id),
            Some(_) | None => {}
        }
    }

    /// Is the pipe there, with a connection behind it?
    pub(crate) fn is_up(&self, id: PipeId) -> bool {
        self.up(id).is_some()
    }

    /// Can the pipe take another message from the wire? If not, it is paused until the world hears of it again.
    pub(crate) fn admits(&mut self, id: PipeId) -> Option<bool> {
        let pipe = self.up_mut(id)?;
        let full = pipe.inbound.is_full();
        pipe.paused |= full;
        Some(!full)
    }

    pub(crate) fn poll_output(&mut self) -> Option<PipeId> {
        let id = self.outputs.pop_front()?;
        if let Some(pipe) = self.get_mut(id) {
            pipe.announced = false;
        }
        Some(id)
    }

    /// Visits a pipe; unless it is the `whole`, without what comes in there.
    pub(crate) fn footprint(&self, id: Option<PipeId>, whole: bool, visit: Visit) {
        if let Some(slot) = id.and_then(|id| self.slots.get(id.slot())) {
            let touched = offset_of!(Slot, pipe) + offset_of!(Pipe, inbound) + Queue::BEFORE;
            visit(std::ptr::from_ref(slot).cast(), if whole { size_of::<Slot>() } else { touched });
        }
    }

    /// Visits the messages of a pipe.
    pub(crate) fn footprint_of_queues(&self, id: Option<PipeId>, visit: Visit) {
        if let Some(pipe) = id.and_then(|id| self.get(id)) {
            pipe.inbound.footprint(visit);
            pipe.outbound.footprint(visit);
        }
    }

    pub(crate) fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    pub(crate) fn has_resumed(&self) -> bool {
        !self.resumed.is_empty()
    }

    pub(crate) fn poll_resumed(&mut self) -> Option<PipeId> {
        self.resumed.pop_front()
    }
}

const SLOT_BITS: u32 = 20;
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;
const GENERATIONS: u32 = 1 << (31 - SLOT_BITS);
