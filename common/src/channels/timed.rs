//! What changes with the clock: how much it counts that an item is new, and what is bought these days.
//!
//! As of a day (in UTC), only what customers did on earlier days counts, so that nothing of the future, nor of the day
//! itself, gets into a score that is asked for as of it: not into the sums, nor into the curve of ages. Both channels are
//! the same for every customer, whose own items do not enter.
//!
//! An item's age counts from its date in the catalogue. Where no item has one, it counts from the day after its first sale in this shop.
//! An item without a date among others that have one, or with one that is still to come, is neither new nor old: it gets the
//! mean of all others.

use std::sync::Arc;

use super::{Channel, Channels, Group, Recency};
use crate::dataset::Dataset;
use crate::features::Features;

/// The channels that go by the clock, as of the day after the last interaction; none where times are missing, or all of
/// one day. Freshness is none where all ages are always alike.
pub fn channels(train: &Dataset, features: &Features) -> Channels {
    let Some(timeline) = Timeline::of(train, features) else {
        return Channels::new();
    };
    let (timeline, now) = (Arc::new(timeline.0), timeline.1);
    let has_ages = timeline.published.iter().flatten().any(|day| *day < now);
    let mut kinds = vec![Kind::Recent];
    if has_ages {
        kinds.push(Kind::Freshness);
    }
    let channel = |kind| -> Arc<dyn Channel> { Arc::new(Timed::new(Arc::clone(&timeline), kind, now)) };
    kinds.into_iter().map(channel).collect()
}

/// Bestsellers by age, the list that freshness must beat: an item's share of what was bought of the items of its age, times the
/// share of items of that age in what was bought when they were of it. As of a day; none where [`channels`] are none.
pub fn bestsellers_by_age(train: &Dataset, features: &Features) -> Option<Arc<dyn Channel>> {
    let (timeline, now) = Timeline::of(train, features)?;
    Some(Arc::new(Timed::new(Arc::new(timeline), Kind::ByAge, now)))
}

/// `channels` as of a moment, in seconds since 1970; those that the clock does not change are the same.
pub fn as_of(channels: &Channels, time: i64) -> Channels {
    let at = |channel: &Arc<dyn Channel>| channel.as_of(time).unwrap_or_else(|| Arc::clone(channel));
    channels.iter().map(at).collect()
}

/// The day of a moment, counted from 1970-01-01, UTC.
pub fn day_of(time: i64) -> i64 {
    time.div_euclid(SECONDS_OF_A_DAY)
}

/// The first second of a day.
pub fn start_of(day: i64) -> i64 {
    day.saturating_mul(SECONDS_OF_A_DAY)
}

/// A shop's interactions by days.
struct Timeline {
    /// Days with interactions, ascending.
    days: Vec<i64>,
    /// Where each day's rows begin, and the end of the last.
    starts: Vec<usize>,
    /// Items, day by day.
    rows: Vec<u32>,
    /// The day of each item; none if unknown.
    published: Vec<Option<i64>>,
    /// Of all days before each of `days`, and of all: by bins of age, how many interactions were with items of that age,
    /// and how many would have been if age did not matter.
    by_age: Vec<[AgeCount; BINS]>,
}

#[derive(Clone, Copy, Default)]
struct AgeCount {
    found: f64,
    expected: f64,
}

impl Timeline {
    /// With the day after the last interaction.
    fn of(train: &Dataset, features: &Features) -> Option<(Self, i64)> {
        let all = train.histories.iter();
        let mut dated: Vec<(i64, u32)> = all
            .flat_map(|history| history.times.iter().zip(&history.items))
            .filter(|(time, _)| day_of(**time) > 0)
            .map(|(time, item)| (day_of(*time), *item))
            .collect();
        // Few times among many items are those of whoever happens to have one.
        if dated.len() < train.pairs() {
            return None;
        }
        dated.sort_unstable();
        let (first, last) = (dated.first()?.0, dated.last()?.0);
        if first == last {
            return None;
        }
        let mut timeline = Self {
            days: Vec::new(),
            starts: Vec::new(),
            rows: dated.iter().map(|(_, item)| *item).collect(),
            published: ages_from(features, &dated),
            by_age: Vec::new(),
        };
        for (at, (day, _)) in dated.iter().enumerate() {
            if timeline.days.last() != Some(day) {
                timeline.days.push(*day);
                timeline.starts.push(at);
            }
        }
        timeline.starts.push(dated.len());
        timeline.count_ages();
        Some((timeline, last + 1))
    }

    fn rows_of(&self, at: usize) -> &[u32] {
        &self.rows[self.starts[at]..self.starts[at + 1]]
    }

    /// How many of `days` lie before `day`.
    fn before(&self, day: i64) -> usize {
        self.days.partition_point(|of| *of < day)
    }

    fn count_ages(&mut self) {
        let mut sorted: Vec<i64> = self.published.iter().flatten().copied().collect();
        sorted.sort_unstable();
        let mut sums = [AgeCount::default(); BINS];
        self.by_age.push(sums);
        for at in 0..self.days.len() {
            let (day, rows) = (self.days[at], self.rows_of(at));
            // Items whose age on this day is at most `age`: those of a later day are not out yet.
            let up_to = |age: i64| sorted.partition_point(|of| *of < day - age);
            let out = sorted.partition_point(|of| *of <= day);
            let share = rows.len() as f64 / self.published.len().max(1) as f64;
            for (bin, sum) in sums.iter_mut().enumerate() {
                let older = if bin + 1 < BINS { up_to(oldest(bin)) } else { 0 };
                let younger = if bin > 0 { up_to(oldest(bin - 1)) } else { out };
                sum.expected += share * (younger - older) as f64;
            }
            for row in rows {
                if let Some(bin) = self.published[*row as usize].and_then(|of| bin_of(day, of)) {
                    sums[bin].found += 1.0;
                }
            }
            self.by_age.push(sums);
        }
    }

    /// log(1 + the sum of 2^(-age / [`HALF_LIFE`])) of each item's interactions before `day`.
    fn recent(&self, day: i64) -> Vec<f32> {
        let mut sums = vec![0.0_f64; self.published.len()];
        let from = self.before(day - HALF_LIVES * HALF_LIFE);
        for at in from..self.before(day) {
            let weight = libm::exp2(-((day - self.days[at]) as f64) / HALF_LIFE as f64);
            for row in self.rows_of(at) {
                sums[*row as usize] += weight;
            }
        }
        sums.into_iter().map(|sum| libm::log1p(sum) as f32).collect()
    }

    /// Log of [`bestsellers_by_age`] before `day`; items of unknown age are of an age of their own.
    fn by_age(&self, day: i64) -> Vec<f32> {
        let before = self.before(day);
        let mut sums = vec![0.0_f64; self.published.len()];
        for row in &self.rows[..self.starts[before]] {
            sums[*row as usize] += 1.0;
        }
        let age = |of: &Option<i64>| of.and_then(|of| bin_of(day, of)).unwrap_or(BINS);
        let mut of_age = [0.0_f64; BINS + 1];
        for (of, sum) in self.published.iter().zip(&sums) {
            of_age[age(of)] += sum;
        }
        let found = self.by_age[before].map(|count| count.found);
        let unknown = self.starts[before] as f64 - found.iter().sum::<f64>();
        let score = |(of, sum): (&Option<i64>, f64)| {
            let age = age(of);
            let of_this_age = found.get(age).copied().unwrap_or(unknown);
            libm::log1p(of_this_age * sum / of_age[age].max(1.0)) as f32
        };
        self.published.iter().zip(sums).map(score).collect()
    }

    /// How much more often than others items of each one's age were bought before `day`, as a logarithm that never rises with
    /// age; the mean for items of unknown age.
    fn freshness(&self, day: i64) -> Vec<f32> {
        let counts = &self.by_age[self.before(day)];
        let lifts = never_rising(counts.map(|count| {
            let lift = libm::log((count.found + PSEUDO_COUNT) / (count.expected + PSEUDO_COUNT));
            (lift, count.expected + PSEUDO_COUNT)
        }));
        let lift_of = |of: &Option<i64>| Some(lifts[bin_of(day, (*of)?)?]);
        let known: Vec<f64> = self.published.iter().filter_map(lift_of).collect();
        let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
        let score = |of: &Option<i64>| lift_of(of).unwrap_or(mean) as f32;
        self.published.iter().map(score).collect()
    }
}

/// Days of the items: those of the catalogue, or where it has none the days after first sales, since as of the day itself
/// nobody knows of them.
fn ages_from(features: &Features, dated: &[(i64, u32)]) -> Vec<Option<i64>> {
    let mut published: Vec<Option<i64>> = features.published().iter().map(|time| time.map(day_of)).collect();
    if published.iter().all(Option::is_none) {
        for (day, item) in dated {
            published[*item as usize].get_or_insert(day + 1);
        }
    }
    published
}

/// The bin of an age of 2^bin - 1 days or more, less than twice as many and one; none of an item that is not out on `day`.
fn bin_of(day: i64, published: i64) -> Option<usize> {
    let age = u64::try_from(day - published).ok()?;
    Some(((age + 1).ilog2() as usize).min(BINS - 1))
}

/// The greatest age of a bin, in days.
fn oldest(bin: usize) -> i64 {
    (2 << bin) - 2
}

/// The nearest values, by weighted squares, that never rise: neighbours out of order are pooled (Ayer et al. 1955).
fn never_rising(weighted: [(f64, f64); BINS]) -> [f64; BINS] {
    let mut pools: Vec<(f64, f64, usize)> = Vec::with_capacity(BINS);
    for (value, weight) in weighted {
        let mut pool = (value, weight, 1);
        while let Some(before) = pools.pop_if(|before| before.0 < pool.0) {
            let weight = before.1 + pool.1;
            let value = (before.0 * before.1 + pool.0 * pool.1) / weight;
            pool = (value, weight, before.2 + pool.2);
        }
        pools.push(pool);
    }
    let values = pools
        .iter()
        .flat_map(|(value, _, count)| std::iter::repeat_n(*value, *count));
    let mut out = [0.0; BINS];
    out.iter_mut().zip(values).for_each(|(out, value)| *out = value);
    out
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Recent,
    Freshness,
    ByAge,
}

/// One of the channels, as of a day.
struct Timed {
    timeline: Arc<Timeline>,
    kind: Kind,
    day: i64,
    scores: Vec<f32>,
}

impl Timed {
    fn new(timeline: Arc<Timeline>, kind: Kind, day: i64) -> Self {
        let scores = match kind {
            Kind::Recent => timeline.recent(day),
            Kind::Freshness => timeline.freshness(day),
            Kind::ByAge => timeline.by_age(day),
        };
        Self {
            timeline,
            kind,
            day,
            scores,
        }
    }
}

impl Channel for Timed {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Recent => RECENT,
            Kind::Freshness => FRESHNESS,
            Kind::ByAge => "bestsellers by age",
        }
    }

    fn group(&self) -> Group {
        Group::Time
    }

    fn decay(&self) -> Option<f32> {
        None
    }

    fn goes_by_the_clock(&self) -> bool {
        true
    }

    fn as_of(&self, time: i64) -> Option<Arc<dyn Channel>> {
        let day = day_of(time);
        let other =
            || -> Arc<dyn Channel> { Arc::new(Self::new(Arc::clone(&self.timeline), self.kind, day)) };
        (day != self.day).then(other)
    }

    fn score(&self, _: Recency<'_>, out: &mut [f32]) {
        out.copy_from_slice(&self.scores);
    }

    fn bytes(&self) -> usize {
        let timeline = &self.timeline;
        size_of_val(&*self.scores)
            + size_of_val(&*timeline.rows)
            + size_of_val(&*timeline.published)
            + size_of_val(&*timeline.by_age)
    }
}

/// What the channel of recent purchases is called.
pub const RECENT: &str = "recent popularity";

/// What the channel of ages is called.
pub const FRESHNESS: &str = "freshness";

const SECONDS_OF_A_DAY: i64 = 86_400;

/// Days after which a purchase counts half.
const HALF_LIFE: i64 = 30;

/// A purchase of so many half-lives ago counts no more.
const HALF_LIVES: i64 = 10;

/// Bins of age, each twice as wide as the one before: the last is of 45 years and more.
const BINS: usize = 15;

/// Interactions of each bin that age would have no say in.
const PSEUDO_COUNT: f64 = 10.0;

#[cfg(test)]
mod tests;
