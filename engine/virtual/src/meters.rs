//! Meters: what is counted of a workload.

use std::time::Duration;

use hdrhistogram::Histogram;
use sp_proto::Time;

/// What to count, and how to divide it. A request belongs to the phase in which it was *sent*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterPlan {
    /// The names of the sites that can answer; elsewhere they are named by their place here.
    pub sites: Vec<String>,
    /// The measured window begins here …
    pub from: Time,
    /// … and ends before this.
    pub to: Time,
    /// When the first fault begins, if there is one.
    pub fault: Option<Time>,
    /// When the last restore ends the faults, if it does.
    pub restore: Option<Time>,
    /// Requests sent less than this before the fault have a phase of their own, [`Phase::Onset`].
    pub guard: Duration,
    /// Requests sent less than this after the restore have a phase of their own, [`Phase::Recovery`].
    pub settle: Duration,
    /// The sites that the faults strike, by their place: only what is asked from there fails over and back. None: all.
    pub struck: Option<Vec<usize>>,
    /// The width of a bin of the timeline; more than zero.
    pub bin: Duration,
}

/// Which part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not in the measured window.
    Unmeasured,
    /// Until shortly before the first fault.
    Before,
    /// Shortly before the first fault. It may find these requests on their way, and then they are answered elsewhere: they
    /// are typical neither of the time before nor of the time during.
    Onset,
    /// Until the last restore.
    During,
    /// Shortly after the last restore: what was lost is being found again.
    Recovery,
    /// From then on.
    After,
}

/// Counts what became of the requests of a workload. Every request that is [`sent`](Meter::sent) is sooner or later
/// [`answered`](Meter::answered) or [`lost`](Meter::lost), once; until then it is in flight.
#[derive(Clone, Debug)]
pub struct Meter {
    plan: MeterPlan,
    tallies: [Tally; 6],
    bins: Vec<Bin>,
    /// The bin that was last used, and until when it lasts, in nanoseconds: mostly it is used again.
    present: (usize, u64, u64),
    failover: Option<Duration>,
    failback: Option<Duration>,
    series: Series,
    little: Little,
}

/// Little's law, kept as a check: what is in the system, integrated over time, is what its visits took together. The one
/// is counted at every change, the other at the end of each visit, in whole nanoseconds; the two must be equal.
#[derive(Clone, Debug, Default)]
struct Little {
    inside: i64,
    /// The integral until `at`.
    area: i128,
    at: Time,
    /// The visits that have ended, added up.
    visits: i128,
}

/// Latencies in the order in which they came, as means of batches: of five at first, and of twice as many whenever there
/// are too many batches. What warm-up detection and batch means work on.
#[derive(Clone, Debug)]
pub struct Series {
    sums: Vec<u128>,
    batch: u64,
    sum: u128,
    count: u64,
}

/// What was counted in one phase.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Requests sent.
    pub sent: u64,
    /// Of these, answered.
    pub answered: u64,
    /// Of these, not answered in time, or not at all.
    pub lost: u64,
    /// Of the answered ones, those answered by another site than the asker's.
    pub cross: u64,
    /// Of the answered ones, those of which nobody knows where they were answered.
    pub unplaced: u64,
    /// Requests sent again. Unlike the others, in the phase in which that was noticed.
    pub repeated: u64,
    /// Of the lost ones, those that a full queue has turned away or pushed out.
    pub dropped: u64,
    /// Answers to surveys that came in time; of a survey several are expected.
    pub replies: u64,
    /// Answers to surveys that came after their deadline, or not at all.
    pub late: u64,
    /// The answered ones' latencies, added up, in nanoseconds.
    pub latency_sum: u128,
    /// The longest of them, in nanoseconds.
    pub latency_max: u64,
    latencies: Histogram<u64>,
    reply_times: Histogram<u64>,
}

/// What happened in a stretch of time, in whatever phase it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bin {
    /// Requests sent in it.
    pub sent: u64,
    /// Answers that came in it, by the site that answered.
    pub answered: Vec<u64>,
    /// Answers that came in it from another site than the asker's.
    pub cross: u64,
    /// Requests given up in it.
    pub lost: u64,
    /// Latencies of the answers that came in it, added up, in nanoseconds.
    pub latency_sum: u128,
    /// The longest of them, in nanoseconds.
    pub latency_max: u64,
}

impl Meter {
    /// A meter that has counted nothing.
    pub fn new(plan: MeterPlan) -> Meter {
        Meter {
            tallies: std::array::from_fn(|_| Tally::new()),
            bins: Vec::new(),
            present: (0, 0, 0),
            failover: None,
            failback: None,
            series: Series::new(),
            little: Little::default(),
            plan,
        }
    }

    /// A request is sent at `now`.
    pub fn sent(&mut self, now: Time) {
        self.tally(now).sent += 1;
        self.bin(now).sent += 1;
        self.little.comes(now);
    }

    /// A request that was sent at `sent_at` from the site `home` is answered by `site`, if that is known.
    pub fn answered(&mut self, sent_at: Time, now: Time, home: usize, site: Option<usize>) {
        let latency = now.as_nanos().saturating_sub(sent_at.as_nanos()).min(LONGEST_LATENCY);
        let cross = site.is_some_and(|site| site != home);
        let tally = self.tally(sent_at);
        tally.answered += 1;
        tally.cross += u64::from(cross);
        tally.unplaced += u64::from(site.is_none());
        tally.latency_sum += u128::from(latency);
        tally.latency_max = tally.latency_max.max(latency);
        tally.latencies.record(latency).expect("the histogram grows with what is recorded");
        let bin = self.bin(now);
        bin.cross += u64::from(cross);
        bin.latency_sum += u128::from(latency);
        bin.latency_max = bin.latency_max.max(latency);
        if let Some(count) = site.and_then(|site| bin.answered.get_mut(site)) {
            *count += 1;
        }
        self.series.add(latency);
        self.little.goes(sent_at, now);
        if self.plan.fault.is_some() && self.plan.struck.as_ref().is_none_or(|struck| struck.contains(&home)) {
            self.mark(sent_at, now, cross, site == Some(home));
        }
    }

    /// A request that was sent at `sent_at` will not be answered any more.
    pub fn lost(&mut self, sent_at: Time, now: Time) {
        self.tally(sent_at).lost += 1;
        self.bin(now).lost += 1;
        self.little.goes(sent_at, now);
    }

    /// A request that was sent at `sent_at` is lost because a queue was full.
    pub fn dropped(&mut self, sent_at: Time, now: Time) {
        self.tally(sent_at).dropped += 1;
        self.lost(sent_at, now);
    }

    /// One of the answers to a survey that was sent at `sent_at` has come, in time or too late.
    pub fn replied(&mut self, sent_at: Time, now: Time, in_time: bool) {
        let tally = self.tally(sent_at);
        if in_time {
            tally.replies += 1;
        } else {
            tally.late += 1;
        }
        let took = now.as_nanos().saturating_sub(sent_at.as_nanos()).min(LONGEST_LATENCY);
        tally.reply_times.record(took).expect("the histogram grows with what is recorded");
    }

    /// One of the answers to a survey has come that was counted as missed: only the time that it took is new.
    pub fn straggled(&mut self, sent_at: Time, now: Time) {
        let took = now.as_nanos().saturating_sub(sent_at.as_nanos()).min(LONGEST_LATENCY);
        self.tally(sent_at).reply_times.record(took).expect("the histogram grows with what is recorded");
    }

    /// So many requests were sent again.
    pub fn repeated(&mut self, count: u64, now: Time) {
        self.tally(now).repeated += count;
    }

    /// So many answers to a survey that was sent at `sent_at` have not come, and are waited for no longer.
    pub fn missed(&mut self, sent_at: Time, count: u32) {
        self.tally(sent_at).late += u64::from(count);
    }

    /// What it was told to count.
    pub fn plan(&self) -> &MeterPlan {
        &self.plan
    }

    /// What was counted in a phase.
    pub fn phase(&self, phase: Phase) -> &Tally {
        &self.tallies[phase as usize]
    }

    /// The timeline from the beginning of the world, one bin after the other.
    pub fn bins(&self) -> &[Bin] {
        &self.bins
    }

    /// From the fault to the first answer from another site to a request sent after it and before the restore.
    pub fn failover(&self) -> Option<Duration> {
        self.failover
    }

    /// From the restore to the first answer at home to a request sent after it.
    pub fn failback(&self) -> Option<Duration> {
        self.failback
    }

    /// How many requests are neither answered nor lost, in all phases.
    pub fn in_flight(&self) -> u64 {
        self.tallies.iter().map(Tally::in_flight).sum()
    }

    /// Latencies of all phases, in batches, in the order in which they came.
    pub fn series(&self) -> &Series {
        &self.series
    }

    /// The residual of Little's law, in nanoseconds: zero unless something was counted twice, forgotten or given a wrong
    /// time. `came` is when those came that are still in the system, in nanoseconds, added up, as who holds them knows.
    pub fn residual(&self, came: u128) -> i128 {
        self.little.residual(came)
    }

    /// How many there were in the system in the mean, until the last change.
    pub fn mean_inside(&self) -> f64 {
        self.little.area as f64 / (self.little.at.as_nanos() as f64).max(1.0)
    }

    /// In which phase a request belongs that was sent at this moment.
    pub fn phase_at(&self, sent_at: Time) -> Phase {
        let MeterPlan { from, to, fault, restore, guard, settle, .. } = self.plan;
        if sent_at < from || sent_at >= to {
            Phase::Unmeasured
        } else if fault.is_none_or(|fault| sent_at + guard < fault) {
            Phase::Before
        } else if fault.is_some_and(|fault| sent_at < fault) {
            Phase::Onset
        } else if restore.is_none_or(|restore| sent_at < restore) {
            Phase::During
        } else if restore.is_some_and(|restore| sent_at < restore + settle) {
            Phase::Recovery
        } else {
            Phase::After
        }
    }

    fn tally(&mut self, sent_at: Time) -> &mut Tally {
        &mut self.tallies[self.phase_at(sent_at) as usize]
    }

    /// A run of more than [`MOST_BINS`] has all the rest in the last.
    fn bin(&mut self, now: Time) -> &mut Bin {
        let (place, from, to) = self.present;
        if (from..to).contains(&now.as_nanos()) {
            return &mut self.bins[place];
        }
        let width = u64::try_from(self.plan.bin.as_nanos()).unwrap_or(u64::MAX).max(1);
        let place = usize::try_from(now.as_nanos() / width).unwrap_or(usize::MAX).min(MOST_BINS - 1);
        if self.bins.len() <= place {
            self.bins.resize(place + 1, Bin::new(self.plan.sites.len()));
        }
        let from = width * place as u64;
        let to = if place == MOST_BINS - 1 { u64::MAX } else { from + width };
        self.present = (place, from, to);
        &mut self.bins[place]
    }

    fn mark(&mut self, sent_at: Time, now: Time, away: bool, home: bool) {
        if let Some(fault) = self.plan.fault
            && self.failover.is_none()
            && away
            && sent_at >= fault
            && self.plan.restore.is_none_or(|restore| sent_at < restore)
        {
            self.failover = Some(now - fault);
        }
        if let Some(restore) = self.plan.restore
            && self.failback.is_none()
            && home
            && sent_at >= restore
        {
            self.failback = Some(now - restore);
        }
    }
}

impl Phase {
    /// All of them, in the order of time.
    pub const ALL: [Phase; 6] =
        [Phase::Unmeasured, Phase::Before, Phase::Onset, Phase::During, Phase::Recovery, Phase::After];

    /// Its name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Unmeasured => "unmeasured",
            Phase::Before => "before",
            Phase::Onset => "onset",
            Phase::During => "during",
            Phase::Recovery => "recovery",
            Phase::After => "after",
        }
    }
}

impl Tally {
    fn new() -> Tally {
        let empty = || {
            let mut latencies = Histogram::new(DIGITS).expect("three digits are allowed");
            latencies.auto(true);
            latencies
        };
        Tally {
            sent: 0,
            answered: 0,
            lost: 0,
            cross: 0,
            unplaced: 0,
            repeated: 0,
            dropped: 0,
            replies: 0,
            late: 0,
            latency_sum: 0,
            latency_max: 0,
            latencies: empty(),
            reply_times: empty(),
        }
    }

    /// Sent, and neither answered nor lost.
    pub fn in_flight(&self) -> u64 {
        self.sent - self.answered - self.lost
    }

    /// The latencies as pairs of nanoseconds, exact to three digits, and how many, ascending.
    pub fn latencies(&self) -> impl Iterator<Item = (u64, u64)> {
        pairs(&self.latencies)
    }

    /// The times that answers to surveys took, in time or not, in the same form.
    pub fn reply_times(&self) -> impl Iterator<Item = (u64, u64)> {
        pairs(&self.reply_times)
    }
}

fn pairs(histogram: &Histogram<u64>) -> impl Iterator<Item = (u64, u64)> {
    histogram.iter_recorded().map(|step| (histogram.median_equivalent(step.value_iterated_to()), step.count_at_value()))
}

impl Series {
    fn new() -> Series {
        Series { sums: Vec::new(), batch: BATCH, sum: 0, count: 0 }
    }

    fn add(&mut self, latency: u64) {
        self.sum += u128::from(latency);
        self.count += 1;
        if self.count == self.batch {
            self.sums.push(std::mem::take(&mut self.sum));
            self.count = 0;
            if self.sums.len() == MOST_BATCHES {
                self.sums = self.sums.chunks_exact(2).map(|pair| pair[0] + pair[1]).collect();
                self.batch *= 2;
            }
        }
    }

    /// How many latencies are in a batch.
    pub fn batch(&self) -> u64 {
        self.batch
    }

    /// The means of the batches that are full, in nanoseconds.
    pub fn means(&self) -> impl Iterator<Item = f64> {
        self.sums.iter().map(|sum| *sum as f64 / self.batch as f64)
    }
}

impl Little {
    fn comes(&mut self, at: Time) {
        self.step(at);
        self.area += nanos(self.at) - nanos(at);
        self.inside += 1;
    }

    /// What is given up may be given up as of an earlier moment.
    fn goes(&mut self, came: Time, at: Time) {
        self.step(at);
        self.area -= nanos(self.at) - nanos(at);
        self.visits += nanos(at) - nanos(came);
        self.inside -= 1;
    }

    fn step(&mut self, at: Time) {
        if at > self.at {
            self.area += i128::from(self.inside) * (nanos(at) - nanos(self.at));
            self.at = at;
        }
    }

    fn residual(&self, came: u128) -> i128 {
        self.area - self.visits - (i128::from(self.inside) * nanos(self.at) - came as i128)
    }
}

fn nanos(at: Time) -> i128 {
    i128::from(at.as_nanos())
}

impl Bin {
    fn new(sites: usize) -> Bin {
        Bin { sent: 0, answered: vec![0; sites], cross: 0, lost: 0, latency_sum: 0, latency_max: 0 }
    }
}

const DIGITS: u8 = 3;
/// Thirty years; more than the histogram can hold is never asked of it.
const LONGEST_LATENCY: u64 = 1 << 60;
const MOST_BINS: usize = 100_000;
const BATCH: u64 = 5;
const MOST_BATCHES: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_belongs_to_the_phase_it_was_sent_in() {
        let mut meter = meter();
        for at in [5, 15, 35, 55, 95] {
            meter.sent(at_ms(at));
        }
        meter.answered(at_ms(5), at_ms(12), 0, Some(0));
        meter.answered(at_ms(15), at_ms(40), 0, Some(1));
        meter.lost(at_ms(35), at_ms(60));
        meter.answered(at_ms(55), at_ms(96), 0, Some(0));
        let counts = Phase::ALL.map(|phase| {
            let tally = meter.phase(phase);
            (tally.sent, tally.answered, tally.lost, tally.cross, tally.in_flight())
        });
        let none = (0, 0, 0, 0, 0);
        assert_eq!(counts, [(2, 1, 0, 0, 1), (1, 1, 0, 1, 0), none, (1, 0, 1, 0, 0), none, (1, 1, 0, 0, 0)]);
        assert_eq!(meter.in_flight(), 1);
    }

    #[test]
    fn what_a_fault_may_find_on_its_way_is_counted_apart() {
        let guarded = Meter::new(MeterPlan { guard: Duration::from_millis(3), ..meter().plan });
        let phases = [16, 17, 19, 20].map(|at| guarded.phase_at(at_ms(at)));
        assert_eq!(phases, [Phase::Before, Phase::Onset, Phase::Onset, Phase::During]);
        let settled = Meter::new(MeterPlan { settle: Duration::from_millis(3), ..meter().plan });
        let phases = [49, 50, 52, 53].map(|at| settled.phase_at(at_ms(at)));
        assert_eq!(phases, [Phase::During, Phase::Recovery, Phase::Recovery, Phase::After]);
        assert_eq!([19, 20].map(|at| meter().phase_at(at_ms(at))), [Phase::Before, Phase::During]);
    }

    #[test]
    fn fail_over_and_fail_back_count_only_what_was_sent_since() {
        let mut meter = meter();
        meter.answered(at_ms(19), at_ms(31), 0, Some(1));
        assert_eq!(meter.failover(), None, "it was sent before the fault");
        meter.answered(at_ms(21), at_ms(32), 0, Some(1));
        meter.answered(at_ms(22), at_ms(33), 0, Some(1));
        assert_eq!(meter.failover(), Some(Duration::from_millis(12)));
        meter.answered(at_ms(49), at_ms(52), 0, Some(0));
        meter.answered(at_ms(51), at_ms(54), 0, Some(1));
        meter.answered(at_ms(53), at_ms(55), 0, Some(0));
        assert_eq!(meter.failback(), Some(Duration::from_millis(5)));
    }

    #[test]
    fn only_what_is_asked_from_where_the_fault_strikes_fails_over() {
        let mut meter = Meter::new(MeterPlan { struck: Some(vec![0]), ..meter().plan });
        meter.answered(at_ms(21), at_ms(30), 1, Some(0));
        assert_eq!(meter.failover(), None);
        meter.answered(at_ms(51), at_ms(55), 0, Some(1));
        assert_eq!(meter.failover(), None, "it was sent after the restore");
        meter.answered(at_ms(22), at_ms(31), 0, Some(1));
        assert_eq!(meter.failover(), Some(Duration::from_millis(11)));
    }

    #[test]
    fn latencies_ascend_and_are_exact_to_three_digits() {
        let mut meter = meter();
        for latency in [1_000_000, 76_543_210, 1_000_000, 3] {
            meter.sent(at_ms(12));
            meter.answered(at_ms(12), at_ms(12) + Duration::from_nanos(latency), 0, Some(0));
        }
        let pairs: Vec<(u64, u64)> = meter.phase(Phase::Before).latencies().collect();
        assert_eq!(pairs.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [1, 2, 1]);
        for ((value, _), exact) in pairs.iter().zip([3.0, 1e6, 76_543_210.0]) {
            assert!((*value as f64 / exact - 1.0).abs() < 1e-3, "{value} is not {exact}");
        }
        assert_eq!(meter.phase(Phase::Before).latency_max, 76_543_210);
    }

    #[test]
    fn an_answer_from_nowhere_is_counted_at_no_site() {
        let mut meter = meter();
        meter.sent(at_ms(15));
        meter.answered(at_ms(15), at_ms(25), 0, None);
        let tally = meter.phase(Phase::Before);
        assert_eq!((tally.answered, tally.cross, tally.unplaced), (1, 0, 1));
        assert_eq!(meter.bins()[2].answered, vec![0, 0]);
    }

    #[test]
    fn the_timeline_tells_when_it_happened() {
        let mut meter = meter();
        meter.sent(at_ms(15));
        meter.answered(at_ms(15), at_ms(25), 0, Some(1));
        meter.lost(at_ms(3), at_ms(25));
        let bins = meter.bins();
        assert_eq!((bins.len(), bins[1].sent, bins[1].cross), (3, 1, 0));
        assert_eq!((bins[2].answered.clone(), bins[2].cross, bins[2].lost), (vec![0, 1], 1, 1));
    }

    #[test]
    fn littles_law_is_kept_and_finds_what_was_forgotten() {
        let mut meter = meter();
        for at in [5, 15, 35] {
            meter.sent(at_ms(at));
        }
        meter.answered(at_ms(5), at_ms(40), 0, None);
        meter.lost(at_ms(15), at_ms(36));
        meter.sent(at_ms(50));
        let came = |at: u64| u128::from(at_ms(at).as_nanos());
        assert_eq!(meter.residual(came(35 + 50)), 0);
        assert!((meter.mean_inside() - (35.0 + 21.0 + 15.0) / 50.0).abs() < 1e-12);
        meter.lost(at_ms(49), at_ms(60));
        assert_eq!(meter.residual(came(35)), -1_000_000, "it had come at 50");
    }

    #[test]
    fn the_series_keeps_its_length_and_its_mean() {
        let mut series = Series::new();
        (1..=100_000).for_each(|latency| series.add(latency));
        let means: Vec<f64> = series.means().collect();
        assert!(means.is_sorted() && means.len() < MOST_BATCHES && series.batch() >= 2 * BATCH);
        let mean = means.iter().sum::<f64>() / means.len() as f64;
        assert!((mean / 50_000.0 - 1.0).abs() < 0.001, "{mean}");
    }

    fn meter() -> Meter {
        Meter::new(MeterPlan {
            sites: vec!["new-york".into(), "london".into()],
            from: at_ms(10),
            to: at_ms(90),
            fault: Some(at_ms(20)),
            restore: Some(at_ms(50)),
            guard: Duration::ZERO,
            settle: Duration::ZERO,
            struck: None,
            bin: Duration::from_millis(10),
        })
    }

    fn at_ms(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }
}
