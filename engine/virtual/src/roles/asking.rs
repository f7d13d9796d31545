//! Asking: requests on a REQ socket, a context for each that is outstanding.

use smallvec::SmallVec;
use sp_proto::{Answer, Ascending, ContextId, Ticket, Time, Visit};

use super::body::{replier_of, request};
use super::workload::Act;
use crate::story::Scene;

/// The requests of one client.
#[derive(Debug, Default)]
pub(super) struct Asking {
    outstanding: Ascending<Ticket, Asked>,
    /// Contexts that have been used and are free.
    idle: SmallVec<[ContextId; 4]>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    context: ContextId,
    sequence: u64,
    at: Time,
    /// Which of the requests of a closed load.
    place: u32,
}

impl Asking {
    /// Sends a request. One for which there is no context left is lost at once.
    pub(super) fn ask(&mut self, act: &mut Act<'_>, place: u32) {
        let now = act.now();
        let sequence = act.next_sequence();
        let deadline = now + act.plan.timeout;
        act.meter.sent(now);
        act.stage.tell(act.host, Scene::Asked(sequence));
        let idle = &mut self.idle;
        let body = request(sequence, act.plan.size);
        let waiting = act.stage.touch(act.socket).and_then(|machine| {
            let context = idle.pop().or_else(|| machine.open_context(now).ok())?;
            machine.try_send(now, context, body).ok()?;
            Some((machine.submit_recv(now, context, Some(deadline)), context))
        });
        match waiting {
            Some((ticket, context)) => {
                self.outstanding.insert(ticket, Asked { context, sequence, at: now, place });
            }
            None => lose(act, sequence, now),
        }
    }

    /// Says which request this settled: then a closed load may go on there.
    pub(super) fn handle_answer(&mut self, act: &mut Act<'_>, ticket: Ticket, answer: Answer) -> Option<u32> {
        let Asked { context, sequence, at, place } = self.outstanding.remove(&ticket)?;
        let now = act.now();
        match answer {
            Answer::Received(message) => {
                self.idle.push(context);
                let site = replier_of(&message.body).and_then(|host| act.stage.site_of(host).ok());
                act.meter.answered(at, now, act.home.index(), site.map(|site| site.index()));
                act.stage.tell(act.host, Scene::Answered(sequence));
            }
            Answer::Failed(_) | Answer::Sent | Answer::Room => {
                if let Some(machine) = act.stage.touch(act.socket) {
                    machine.close_context(now, context);
                }
                lose(act, sequence, at);
            }
        }
        Some(place)
    }

    /// Nobody will be answered any more.
    pub(super) fn abandon(&mut self, act: &mut Act<'_>) {
        self.idle.clear();
        // Tickets are issued in the order of asking.
        for asked in self.outstanding.drain() {
            lose(act, asked.sequence, asked.at);
        }
    }

    /// Visits the requests that are under way, and the contexts that are free.
    pub(super) fn footprint(&self, visit: Visit) {
        self.outstanding.footprint(visit);
        if self.idle.spilled() {
            visit(self.idle.as_ptr().cast(), 1);
        }
    }

    /// How many requests are still waited for.
    pub(super) fn count(&self) -> u64 {
        self.outstanding.len() as u64
    }

    /// When each of the requests was sent that are still waited for.
    pub(super) fn waiting(&self) -> impl Iterator<Item = Time> {
        self.outstanding.values().map(|asked| asked.at)
    }
}

fn lose(act: &mut Act<'_>, sequence: u64, sent_at: Time) {
    let now = act.now();
    act.meter.lost(sent_at, now);
    act.stage.tell(act.host, Scene::Lost(sequence));
}
