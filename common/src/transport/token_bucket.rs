//! Rates: so much in a second, and what was not used may be saved up for a while.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::limits::BURST_SECS;

/// How much in a second, and how much at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    /// In the long run.
    pub per_sec: u64,
    /// After a rest.
    pub burst: u64,
}

impl Rate {
    /// `per_sec`, which may be saved up for [`BURST_SECS`].
    pub fn per_sec(per_sec: u64) -> Self {
        Self {
            per_sec,
            burst: per_sec.saturating_mul(BURST_SECS),
        }
    }

    /// As much as `count` of these.
    pub fn times(self, count: u64) -> Self {
        Self {
            per_sec: self.per_sec.saturating_mul(count),
            burst: self.burst.saturating_mul(count),
        }
    }
}

/// What was used of a [`Rate`] and has not come back yet. A new one is unused.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    /// In thousandths.
    used: u64,
    at: Timestamp,
}

impl Bucket {
    /// Uses `amount` if there is so much; a clock that goes backward gives nothing back.
    pub fn take(&mut self, rate: Rate, now: Timestamp, amount: u64) -> bool {
        self.flow(rate, now);
        let used = self.used.saturating_add(amount.saturating_mul(1000));
        let enough = used <= rate.burst.saturating_mul(1000);
        if enough {
            self.used = used;
        }
        enough
    }

    /// Uses `amount`, whether there is so much or not; how long to wait before the next use.
    pub fn pay(&mut self, rate: Rate, now: Timestamp, amount: u64) -> Duration {
        self.flow(rate, now);
        self.used = self.used.saturating_add(amount.saturating_mul(1000));
        let over = self.used.saturating_sub(rate.burst.saturating_mul(1000));
        Duration::from_millis(over.div_ceil(rate.per_sec.max(1)))
    }

    /// Whether half of what may be used at once is used.
    pub fn is_half_used(&mut self, rate: Rate, now: Timestamp) -> bool {
        self.flow(rate, now);
        self.used >= rate.burst.saturating_mul(500)
    }

    fn is_unused(&mut self, rate: Rate, now: Timestamp) -> bool {
        self.flow(rate, now);
        self.used == 0
    }

    fn flow(&mut self, rate: Rate, now: Timestamp) {
        let elapsed = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        self.used = self.used.saturating_sub(elapsed.saturating_mul(rate.per_sec));
        self.at = now;
    }
}

/// A [`Bucket`] for each of many, in bounded memory: when there are too many at once, newcomers share one.
#[derive(Debug)]
pub struct Buckets<K> {
    known: HashMap<K, Bucket>,
    others: Bucket,
    most: usize,
}

impl<K: Eq + Hash> Buckets<K> {
    /// For at most `most`.
    pub fn new(most: usize) -> Self {
        Self {
            known: HashMap::new(),
            others: Bucket::default(),
            most,
        }
    }

    /// As [`Bucket::take`], of `key`'s.
    pub fn take(&mut self, key: K, rate: Rate, now: Timestamp, amount: u64) -> bool {
        if self.known.len() >= self.most && !self.known.contains_key(&key) {
            self.known.retain(|_, bucket| !bucket.is_unused(rate, now));
        }
        let bucket = match self.known.len() < self.most || self.known.contains_key(&key) {
            true => self.known.entry(key).or_default(),
            false => &mut self.others,
        };
        bucket.take(rate, now, amount)
    }

    /// Whether half of the room is used.
    pub fn is_crowded(&self) -> bool {
        self.known.len() * 2 >= self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_sec: 2, burst: 4 };

    #[test]
    fn what_is_used_comes_back_in_time_and_no_more_than_that() {
        let (mut bucket, start) = (Bucket::default(), Timestamp::from_secs(1000));
        let taken = |bucket: &mut Bucket, now| (0..9).filter(|_| bucket.take(RATE, now, 1)).count();
        assert_eq!(taken(&mut bucket, start), 4);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(499)), 0);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(1000)), 2);
        let set_back = start - Duration::from_secs(3600);
        assert_eq!(taken(&mut bucket, set_back), 0, "a clock set back gives nothing");
        assert_eq!(
            taken(&mut bucket, set_back + Duration::from_secs(1)),
            2,
            "and takes nothing"
        );
        assert_eq!(taken(&mut bucket, start + Duration::from_secs(9000)), 4);
        assert!(bucket.is_half_used(RATE, start + Duration::from_secs(9001)));
        assert!(!bucket.is_half_used(RATE, start + Duration::from_millis(9_001_500)));
    }

    #[test]
    fn who_pays_later_waits_until_it_is_paid() {
        let (mut bucket, now) = (Bucket::default(), Timestamp::from_secs(1000));
        assert_eq!(bucket.pay(RATE, now, 4), Duration::ZERO);
        assert_eq!(bucket.pay(RATE, now, 3), Duration::from_millis(1500));
        assert_eq!(
            bucket.pay(RATE, now + Duration::from_millis(1500), 0),
            Duration::ZERO
        );
    }

    #[test]
    fn many_keys_take_bounded_memory_and_each_known_one_has_its_own() {
        let (mut buckets, now) = (Buckets::new(10), Timestamp::from_secs(1000));
        assert!((0..4).all(|_| buckets.take(0, RATE, now, 1)));
        assert!(!buckets.take(0, RATE, now, 1));
        for key in 1..10 {
            assert!(buckets.take(key, RATE, now, 1));
        }
        assert!(buckets.is_crowded());
        let strangers = (10..1000).filter(|key| buckets.take(*key, RATE, now, 1)).count();
        assert_eq!((strangers, buckets.known.len()), (4, 10), "they share one");
        let later = now + Duration::from_secs(60);
        assert!(buckets.take(1000, RATE, later, 1));
        assert_eq!(buckets.known.len(), 1, "who has rested is forgotten");
    }
}
