//! Pushing: messages on a PUSH or a PUB socket. Nobody answers; that one has arrived, the meter learns from whoever
//! collects it. What is published counts once for each of those it is for.

use std::collections::VecDeque;
use std::time::Duration;

use sp_proto::{Answer, OpError, Ticket, Time};

use super::body::{dated, sequence_for};
use super::workload::{Act, Workload};
use crate::ids::{HostId, SiteId};
use crate::meters::Meter;
use crate::stage::Stage;
use crate::story::Scene;

/// The messages of one client. They are numbered in the order in which they are meant to be sent, which is also the order
/// in which the socket takes them.
#[derive(Debug, Default)]
pub(super) struct Pushing {
    /// Those that have neither arrived nor been given up, and some in between; by number, from `first` on.
    pending: VecDeque<Pending>,
    first: u64,
    open: u64,
    /// The number of the next message that the socket is to take.
    next: u64,
    /// The one that the socket could not take at once.
    waiting: Option<Ticket>,
    /// When a flooding program is done with the messages it has sent.
    busy_until: Time,
    /// Its next turn has been asked for.
    turn_asked: bool,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    at: Time,
    /// How many have not received it.
    left: u32,
}

impl Pushing {
    /// Means to send one more message, now; it is sent when those before it are. More than [`BACKLOG`] are not kept
    /// waiting: then it is lost at once.
    pub(super) fn push(&mut self, act: &mut Act<'_>) {
        let now = act.now();
        if *act.asked - self.next >= BACKLOG {
            for _ in 0..act.readers() {
                act.meter.sent(now);
                act.meter.lost(now, now);
            }
            return;
        }
        self.mean_to_send(act);
        while self.next < *act.asked && self.offer(act) {}
    }

    /// Sends until the socket takes no more, or for one turn; says when the next turn is, unless it is asked for already
    /// or comes with the socket's answer.
    ///
    /// A program takes time for a message, [`FLOOD_COST`]: without it a flood over a short link would have no end.
    pub(super) fn flood(&mut self, act: &mut Act<'_>) -> Option<Time> {
        let now = act.now();
        let mut takes = true;
        if now >= self.busy_until {
            let mut sent = 0;
            while takes && sent < FLOOD_TURN {
                if self.next == *act.asked {
                    self.mean_to_send(act);
                }
                takes = self.offer(act);
                sent += u32::from(takes);
            }
            self.busy_until = now + sent * FLOOD_COST;
        }
        let goes_on = takes && self.waiting.is_none() && !self.turn_asked;
        self.turn_asked |= goes_on;
        goes_on.then_some(self.busy_until)
    }

    /// The turn that was asked for has come.
    pub(super) fn take_turn(&mut self, act: &mut Act<'_>) -> Option<Time> {
        self.turn_asked = false;
        self.flood(act)
    }

    /// Says when a flood's next turn is, as [`flood`](Pushing::flood) does.
    pub(super) fn handle_answer(&mut self, act: &mut Act<'_>, ticket: Ticket, answer: &Answer) -> Option<Time> {
        if self.waiting != Some(ticket) {
            return None;
        }
        self.waiting = None;
        if *answer != Answer::Sent {
            return None;
        }
        self.next += 1;
        if act.plan.load == super::rhythm::Load::Flood {
            return self.flood(act);
        }
        while self.next < *act.asked && self.offer(act) {}
        None
    }

    pub(super) fn handle_receipt(
        &mut self,
        stage: &mut Stage,
        workload: &mut Workload,
        host: HostId,
        home: SiteId,
        count: u64,
        site: SiteId,
    ) {
        self.expire(stage.now, &mut workload.meter, workload.plan.timeout);
        let place = count.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        if let Some(pending) = place.and_then(|place| self.pending.get_mut(place))
            && pending.left > 0
        {
            pending.left -= 1;
            self.open -= 1;
            workload.meter.answered(pending.at, stage.now, home.index(), Some(site.index()));
            stage.tell(host, Scene::Answered(sequence_for(host, count)));
        }
    }

    /// Gives up what has not arrived in time.
    pub(super) fn expire(&mut self, now: Time, meter: &mut Meter, timeout: Duration) {
        while let Some(Pending { at, left }) = self.pending.front().copied()
            && (left == 0 || at + timeout < now)
        {
            (0..left).for_each(|_| meter.lost(at, at + timeout));
            self.open -= u64::from(left);
            self.pending.pop_front();
            self.first += 1;
        }
    }

    /// What the socket has not taken yet is lost; what it has may still arrive.
    pub(super) fn abandon(&mut self, act: &mut Act<'_>) {
        let now = act.now();
        let taken = usize::try_from(self.next.saturating_sub(self.first)).unwrap_or(usize::MAX);
        for pending in self.pending.iter_mut().skip(taken) {
            let left = std::mem::take(&mut pending.left);
            (0..left).for_each(|_| act.meter.lost(pending.at, now));
            self.open -= u64::from(left);
        }
        self.next = *act.asked;
        self.waiting = None;
        self.turn_asked = false;
    }

    /// When each of the messages was meant to be sent that are still waited for.
    pub(super) fn waiting(&self) -> impl Iterator<Item = Time> {
        self.pending.iter().flat_map(|pending| (0..pending.left).map(|_| pending.at))
    }

    fn mean_to_send(&mut self, act: &mut Act<'_>) {
        let now = act.now();
        let sequence = act.next_sequence();
        let left = act.readers();
        (0..left).for_each(|_| act.meter.sent(now));
        act.stage.tell(act.host, Scene::Asked(sequence));
        self.pending.push_back(Pending { at: now, left });
        self.open += u64::from(left);
        self.expire(now, act.meter, act.plan.timeout);
    }

    /// Offers the socket the next message; false if it must wait.
    fn offer(&mut self, act: &mut Act<'_>) -> bool {
        if self.waiting.is_some() {
            return false;
        }
        let now = act.now();
        let place = self.next.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        // One that is given up already is older than anybody would believe.
        let meant = place.and_then(|place| self.pending.get(place)).map_or(Time::ZERO, |pending| pending.at);
        let body = dated(sequence_for(act.host, self.next), meant, act.plan.size);
        let Some(machine) = act.stage.touch(act.socket) else { return false };
        match machine.try_send(now, sp_proto::ContextId::DEFAULT, body) {
            Ok(()) => {
                self.next += 1;
                true
            }
            Err((OpError::WouldBlock, body)) => {
                self.waiting = Some(machine.submit_send(now, sp_proto::ContextId::DEFAULT, body, None));
                false
            }
            Err(_) => false,
        }
    }
}

const BACKLOG: u64 = 1_000_000;
/// What a program takes for one message of a flood: five million a second, about what a thin program reaches.
const FLOOD_COST: Duration = Duration::from_nanos(200);
/// Messages of a flood in one turn.
const FLOOD_TURN: u32 = 100;
