//! Routing: which of several instances gets the next request, where the asker and not its socket decides.

use sp_link::Stream;

/// By what rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// All in turn, within the best level that has somebody.
    InTurn,
    /// Any, each equally likely.
    Random,
    /// The one that has the fewest requests, the first of them after the last choice.
    LeastOutstanding,
    /// The one with fewer requests of so many that are drawn, 1 or more; of equals the first drawn.
    PowerOf(u32),
    /// Always the same for the same asker, as long as it is there; its asker goes to the next best of its own order
    /// otherwise (rendezvous hashing).
    Sticky,
}

/// The rule at work, for one asker. Instances are named by their place among its targets.
#[derive(Debug)]
pub(crate) struct Router {
    choice: Choice,
    /// The level of each target, 1 the best.
    levels: Vec<u8>,
    /// All targets have the same level.
    flat: bool,
    next: usize,
    luck: Stream,
    /// Sticky: the asker's order of preference.
    order: Vec<u32>,
    candidates: Vec<usize>,
}

impl Router {
    /// `luck` is for what is drawn; `asker` names whose order of preference it is, `names` the targets.
    pub(crate) fn new(choice: Choice, levels: Vec<u8>, luck: Stream, asker: &str, names: &[&str]) -> Router {
        let mut order: Vec<u32> = (0..levels.len() as u32).collect();
        if choice == Choice::Sticky {
            order.sort_by_key(|place| weight(asker, names[*place as usize]));
        }
        let flat = levels.windows(2).all(|pair| pair[0] == pair[1]);
        Router { choice, levels, flat, next: 0, luck, order, candidates: Vec::new() }
    }

    /// The place of the next target; `None` when none is there.
    pub(crate) fn choose(
        &mut self,
        is_there: impl Fn(usize) -> bool,
        outstanding: impl Fn(usize) -> u64,
    ) -> Option<usize> {
        let count = self.levels.len();
        // Mostly there is nothing to look for: everybody is there.
        let found = match self.choice {
            Choice::InTurn if self.flat => Some(self.next % count),
            Choice::Random => Some(self.luck.choose(count)),
            Choice::PowerOf(drawn) => Some(self.draw(count, drawn, |place| place, &is_there, &outstanding)),
            Choice::Sticky => return self.order.iter().map(|place| *place as usize).find(|place| is_there(*place)),
            Choice::InTurn | Choice::LeastOutstanding => None,
        };
        if let Some(place) = found
            && is_there(place)
        {
            self.next = place + 1;
            return Some(place);
        }
        self.search(is_there, outstanding)
    }

    fn search(&mut self, is_there: impl Fn(usize) -> bool, outstanding: impl Fn(usize) -> u64) -> Option<usize> {
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.clear();
        candidates.extend((0..self.levels.len()).filter(|place| is_there(*place)));
        let after = candidates.partition_point(|place| *place < self.next);
        let place = match self.choice {
            _ if candidates.is_empty() => None,
            Choice::InTurn | Choice::Sticky => {
                let best = candidates.iter().map(|place| self.levels[*place]).min();
                let of_best = |place: &&usize| Some(self.levels[**place]) == best;
                let (before, behind) = candidates.split_at(after);
                behind.iter().chain(before).find(of_best).copied()
            }
            Choice::LeastOutstanding => {
                let (before, behind) = candidates.split_at(after);
                behind.iter().chain(before).copied().min_by_key(|place| outstanding(*place))
            }
            Choice::Random => Some(candidates[self.luck.choose(candidates.len())]),
            Choice::PowerOf(drawn) => {
                let count = candidates.len();
                Some(self.draw(count, drawn, |at| candidates[at], |_| true, &outstanding))
            }
        };
        if let Some(place) = place {
            self.next = place + 1;
        }
        self.candidates = candidates;
        place
    }

    /// The least loaded of `drawn` different ones of `count`.
    fn draw(
        &mut self,
        count: usize,
        drawn: u32,
        place_of: impl Fn(usize) -> usize,
        is_there: impl Fn(usize) -> bool,
        outstanding: impl Fn(usize) -> u64,
    ) -> usize {
        let first = self.luck.choose(count);
        if drawn == 2 && count > 1 {
            let other = self.luck.choose(count - 1);
            let other = other + usize::from(other >= first);
            let (one, two) = (place_of(first), place_of(other));
            return if !is_there(one) || (is_there(two) && outstanding(two) < outstanding(one)) { two } else { one };
        }
        let mut seen = vec![first];
        let mut best = place_of(first);
        while seen.len() < (drawn as usize).min(count) {
            let another = self.luck.choose(count);
            if !seen.contains(&another) {
                seen.push(another);
                let place = place_of(another);
                if !is_there(best) || (is_there(place) && outstanding(place) < outstanding(best)) {
                    best = place;
                }
            }
        }
        best
    }
}

/// Highest random weight: every asker has an order of its own, and one target less leaves the others' order as it was.
fn weight(asker: &str, target: &str) -> u64 {
    Stream::named(0, &format!("{asker}->{target}")).choose(usize::MAX) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_chooses_as_it_says() {
        let all = |_: usize| true;
        let load = |place: usize| [3, 1, 2, 1][place];
        assert_eq!(choices(Choice::InTurn, all, load, 6), [0, 1, 2, 3, 0, 1]);
        assert_eq!(choices(Choice::LeastOutstanding, all, load, 3), [1, 3, 1]);
        assert_eq!(choices(Choice::PowerOf(4), all, load, 50).iter().filter(|place| load(**place) > 1).count(), 0);
        let two = choices(Choice::PowerOf(2), all, load, 600);
        assert_eq!(two.iter().filter(|place| **place == 0).count(), 0, "it is never the less loaded of two");
        let sticky = choices(Choice::Sticky, all, load, 5);
        assert!(sticky.iter().all(|place| *place == sticky[0]));
    }

    #[test]
    fn who_is_not_there_is_not_chosen() {
        for choice in [
            Choice::InTurn,
            Choice::Random,
            Choice::LeastOutstanding,
            Choice::PowerOf(2),
            Choice::PowerOf(3),
            Choice::Sticky,
        ] {
            let chosen = choices(choice, |place| place == 2, |_| 0, 20);
            assert!(chosen.iter().all(|place| *place == 2), "{choice:?}: {chosen:?}");
            assert_eq!(router(choice, vec![1; 4]).choose(|_| false, |_| 0), None);
        }
    }

    #[test]
    fn turns_stay_within_the_best_level_that_is_there() {
        let mut router = router(Choice::InTurn, vec![2, 1, 1, 2]);
        let mut turn = |there: &dyn Fn(usize) -> bool| router.choose(there, |_| 0);
        assert_eq!([turn(&|_| true), turn(&|_| true), turn(&|_| true)], [Some(1), Some(2), Some(1)]);
        assert_eq!([turn(&|place| place % 3 == 0), turn(&|place| place % 3 == 0)], [Some(3), Some(0)]);
    }

    fn choices(
        choice: Choice,
        is_there: impl Fn(usize) -> bool,
        load: impl Fn(usize) -> u64,
        count: usize,
    ) -> Vec<usize> {
        let mut router = router(choice, vec![1; 4]);
        (0..count).map(|_| router.choose(&is_there, &load).unwrap()).collect()
    }

    fn router(choice: Choice, levels: Vec<u8>) -> Router {
        Router::new(choice, levels, Stream::named(3, "routing"), "asker", &["a", "b", "c", "d"])
    }
}
