//! Surveying: questions to everybody on a SURVEYOR socket, a context for each that is under way.

use std::collections::BTreeMap;

use sp_proto::{Answer, ContextId, Ticket, Time};

use super::body::request;
use super::workload::Act;
use crate::story::Scene;

/// The surveys of one client.
#[derive(Debug, Default)]
pub(super) struct Surveying {
    under_way: BTreeMap<Ticket, Survey>,
    /// Contexts that have been used and are free.
    idle: Vec<ContextId>,
}

#[derive(Clone, Copy, Debug)]
struct Survey {
    context: ContextId,
    sequence: u64,
    at: Time,
    /// Which of the surveys of a closed load.
    place: u32,
    /// How many answers are still to come.
    left: u32,
    /// It is counted already, and who answers now is late.
    over: bool,
}

impl Surveying {
    /// Asks everybody. A survey for which there is no context left is lost at once.
    pub(super) fn ask(&mut self, act: &mut Act<'_>, place: u32) {
        let (now, left) = (act.now(), act.readers());
        let sequence = act.next_sequence();
        act.meter.sent(now);
        act.stage.tell(act.host, Scene::Asked(sequence));
        let body = request(sequence, act.plan.size);
        let deadline = act.plan.deadline.map(|span| now + span);
        let waiting = act.stage.touch(act.socket).and_then(|machine| {
            let free = self.idle.pop().or_else(|| machine.open_context(now).ok());
            let context = free.or_else(|| self.forget_oldest())?;
            machine.try_send(now, context, body).ok()?;
            Some((machine.submit_recv(now, context, deadline), context))
        });
        match waiting {
            Some((ticket, context)) => {
                self.under_way.insert(ticket, Survey { context, sequence, at: now, place, left, over: false });
            }
            None => lose(act, sequence, now, left),
        }
    }

    /// Says which survey this settled: then a closed load may go on there.
    pub(super) fn handle_answer(&mut self, act: &mut Act<'_>, ticket: Ticket, answer: Answer) -> Option<u32> {
        let mut survey = self.under_way.remove(&ticket)?;
        let now = act.now();
        let was_over = survey.over;
        let ended = match answer {
            Answer::Received(_) => {
                survey.left = survey.left.saturating_sub(1);
                match (was_over, survey.left) {
                    (true, _) => act.meter.straggled(survey.at, now),
                    (false, left) => {
                        act.meter.replied(survey.at, now, true);
                        if left == 0 {
                            act.meter.answered(survey.at, now, act.home.index(), None);
                            act.stage.tell(act.host, Scene::Answered(survey.sequence));
                        }
                    }
                }
                survey.left == 0
            }
            Answer::Failed(_) | Answer::Sent | Answer::Room => {
                if !was_over {
                    lose(act, survey.sequence, survey.at, survey.left);
                }
                survey.over = true;
                was_over || act.plan.deadline.is_none()
            }
        };
        if ended {
            // The next survey of the context ends this one.
            self.idle.push(survey.context);
        } else {
            let deadline = act.plan.deadline.filter(|_| !survey.over).map(|span| survey.at + span);
            let machine = act.stage.touch(act.socket)?;
            self.under_way.insert(machine.submit_recv(now, survey.context, deadline), survey);
        }
        let settled = !was_over && (survey.over || survey.left == 0);
        settled.then_some(survey.place)
    }

    /// Listens no more to who is late for the oldest survey that is over.
    fn forget_oldest(&mut self) -> Option<ContextId> {
        let (ticket, context) =
            self.under_way.iter().find(|(_, survey)| survey.over).map(|(ticket, survey)| (*ticket, survey.context))?;
        self.under_way.remove(&ticket);
        Some(context)
    }

    /// Nobody will be answered any more.
    pub(super) fn abandon(&mut self, act: &mut Act<'_>) {
        self.idle.clear();
        for survey in std::mem::take(&mut self.under_way).into_values().filter(|survey| !survey.over) {
            lose(act, survey.sequence, survey.at, survey.left);
        }
    }

    /// When each of the surveys was sent that are under way.
    pub(super) fn waiting(&self) -> impl Iterator<Item = Time> {
        self.under_way.values().filter(|survey| !survey.over).map(|survey| survey.at)
    }
}

fn lose(act: &mut Act<'_>, sequence: u64, sent_at: Time, left: u32) {
    let now = act.now();
    act.meter.missed(sent_at, left);
    act.meter.lost(sent_at, now);
    act.stage.tell(act.host, Scene::Lost(sequence));
}
