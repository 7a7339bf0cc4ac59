//! What becomes of a datagram on its way over a host's line.

use std::time::Duration;

use rand::RngExt;
use souk_common::rng::Stream;
use tokio::time::Instant;

/// How good a line is, in each direction. The default is perfect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conditions {
    /// One way.
    pub latency: Duration,
    /// Up to so much longer, drawn for each datagram: more than about a millisecond reorders neighbours.
    pub jitter: Duration,
    /// Share of datagrams that are lost.
    pub loss: f64,
    /// How many are lost one after another, in the mean; 1: each on its own.
    pub burst: f64,
    /// Share that arrives twice.
    pub doubled: f64,
    /// Share that arrives 20 ms late, after those that followed.
    pub overtaken: f64,
    /// Share in which one bit is wrong.
    pub damaged: f64,
    /// Longer datagrams are lost without a word.
    pub mtu_bytes: usize,
    /// What the line carries; none: anything.
    pub bytes_per_sec: Option<f64>,
    /// How long a datagram waits its turn on such a line before it is dropped.
    pub queue: Duration,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            burst: 1.0,
            doubled: 0.0,
            overtaken: 0.0,
            damaged: 0.0,
            mtu_bytes: usize::MAX,
            bytes_per_sec: None,
            queue: Duration::from_secs(1),
        }
    }
}

/// What went over a host's line.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LinkCounts {
    /// Datagrams that the host sent, lost ones included.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Datagrams that reached the host.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
}

/// A datagram that is not lost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fate {
    /// When it is there.
    pub(crate) at: Instant,
    /// Which bit is wrong.
    pub(crate) wrong_bit: Option<usize>,
}

/// A host's line, both ways.
#[derive(Debug)]
pub(crate) struct Line {
    up: Way,
    down: Way,
    counts: LinkCounts,
}

/// One direction.
#[derive(Debug)]
pub(crate) struct Way {
    conditions: Conditions,
    luck: Stream,
    losing: bool,
    free_at: Option<Instant>,
    cut_until: Option<Instant>,
}

impl Line {
    pub(crate) fn new(up: Way, down: Way) -> Self {
        let counts = LinkCounts::default();
        Self { up, down, counts }
    }

    pub(crate) fn set(&mut self, conditions: Conditions) {
        (self.up.conditions, self.down.conditions) = (conditions, conditions);
    }

    pub(crate) fn cut(&mut self, until: Instant) {
        (self.up.cut_until, self.down.cut_until) = (Some(until), Some(until));
    }

    pub(crate) fn counts(&self) -> LinkCounts {
        self.counts
    }

    /// What leaves the host of a datagram that it sends now.
    pub(crate) fn send(&mut self, now: Instant, len: usize) -> impl Iterator<Item = Fate> + use<> {
        self.counts.sent += 1;
        self.counts.sent_bytes += len as u64;
        let wrong_bit = None;
        self.up.carry(now, Fate { at: now, wrong_bit }, len)
    }

    /// What reaches the host of a datagram that was sent now and has come this far.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        so_far: Fate,
        len: usize,
    ) -> impl Iterator<Item = Fate> + use<> {
        let fates = self.down.carry(now, so_far, len);
        let reach = fates.clone().count() as u64;
        self.counts.received += reach;
        self.counts.received_bytes += reach * len as u64;
        fates
    }
}

impl Way {
    pub(crate) fn new(luck: Stream) -> Self {
        Self {
            conditions: Conditions::default(),
            luck,
            losing: false,
            free_at: None,
            cut_until: None,
        }
    }

    /// None, one or two copies of it.
    fn carry(
        &mut self,
        now: Instant,
        so_far: Fate,
        len: usize,
    ) -> impl Iterator<Item = Fate> + Clone + use<> {
        let Conditions {
            latency,
            jitter,
            doubled,
            overtaken,
            damaged,
            mtu_bytes,
            ..
        } = self.conditions;
        let is_cut = self.cut_until.is_some_and(|until| now < until);
        let lost = self.loses() || is_cut || len > mtu_bytes;
        let through = if lost { None } else { self.queue(so_far.at, len) };
        let first = through.map(|at| {
            let mut at = at + latency;
            if !jitter.is_zero() {
                at += jitter.mul_f64(self.luck.random());
            }
            if self.happens(overtaken) {
                at += OVERTAKEN;
            }
            let wrong_bit = match self.happens(damaged) {
                true => Some(self.luck.random_range(0..len.max(1) * 8)),
                false => so_far.wrong_bit,
            };
            Fate { at, wrong_bit }
        });
        let second = first.filter(|_| self.happens(doubled));
        first.into_iter().chain(second)
    }

    /// When the line has taken it; none if too many wait already.
    fn queue(&mut self, at: Instant, len: usize) -> Option<Instant> {
        let Some(bytes_per_sec) = self.conditions.bytes_per_sec else {
            return Some(at);
        };
        let begins = self.free_at.map_or(at, |free_at| free_at.max(at));
        if begins.duration_since(at) > self.conditions.queue {
            return None;
        }
        let ends = begins + Duration::from_secs_f64(len as f64 / bytes_per_sec);
        self.free_at = Some(ends);
        Some(ends)
    }

    /// Two states after Gilbert: bad ones last `burst` datagrams in the mean, and in all a share of `loss` is in them.
    fn loses(&mut self) -> bool {
        let Conditions { loss, burst, .. } = self.conditions;
        if loss <= 0.0 {
            return false;
        }
        let ends = 1.0 / burst.max(1.0);
        if !self.losing || self.happens(ends) {
            let begins = loss * ends / (1.0 - loss + loss * ends);
            self.losing = self.happens(begins);
        }
        self.losing
    }

    fn happens(&mut self, share: f64) -> bool {
        share > 0.0 && self.luck.random_bool(share.min(1.0))
    }
}

/// Long enough for many others to pass at any rate that matters.
const OVERTAKEN: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use souk_common::rng::stream;

    use super::*;

    const LEN: usize = 1000;
    const MANY: usize = 100_000;

    fn way(conditions: Conditions) -> Way {
        let mut way = Way::new(stream(7, "a way"));
        way.conditions = conditions;
        way
    }

    /// What becomes of many datagrams, one each millisecond.
    fn fates(conditions: Conditions) -> Vec<Vec<Fate>> {
        let (mut way, start) = (way(conditions), Instant::now());
        let send = |number: usize| {
            let at = start + Duration::from_millis(number as u64);
            let wrong_bit = None;
            way.carry(at, Fate { at, wrong_bit }, LEN).collect()
        };
        (0..MANY).map(send).collect()
    }

    /// Counts are sums of at least 1,000 draws of a fixed seed: 15 % is over four standard deviations.
    fn about(found: usize, share: f64) -> bool {
        (found as f64 / (share * MANY as f64) - 1.0).abs() < 0.15
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_loses_doubles_delays_and_damages_the_share_it_is_told_to() {
        let perfect = Conditions::default();
        let all = fates(perfect);
        assert!(
            all.iter()
                .all(|fates| fates.len() == 1 && fates[0].wrong_bit.is_none())
        );
        for (loss, burst) in [(0.01, 1.0), (0.05, 1.0), (0.2, 5.0)] {
            let all = fates(Conditions {
                loss,
                burst,
                ..perfect
            });
            let lost: Vec<bool> = all.iter().map(Vec::is_empty).collect();
            let count = lost.iter().filter(|lost| **lost).count();
            let bursts = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count();
            assert!(about(count, loss), "{count} of {loss}");
            let mean = count as f64 / bursts as f64;
            // Independent losses come in pairs now and then.
            let expected = if burst == 1.0 { 1.0 / (1.0 - loss) } else { burst };
            assert!(
                (mean / expected - 1.0).abs() < 0.3,
                "bursts of {mean}, not {expected}"
            );
        }
        let (doubled, damaged, overtaken) = (0.02, 0.03, 0.04);
        let all = fates(Conditions {
            doubled,
            damaged,
            overtaken,
            ..perfect
        });
        let twice = all.iter().filter(|fates| fates.len() == 2).count();
        let wrong = all.iter().filter(|fates| fates[0].wrong_bit.is_some()).count();
        let behind = all
            .windows(2)
            .filter(|pair| pair[0][0].at > pair[1][0].at)
            .count();
        assert!(about(twice, doubled) && about(wrong, damaged), "{twice} {wrong}");
        assert!(about(behind, overtaken * (1.0 - overtaken)), "{behind}");
        assert!(
            all.iter()
                .all(|fates| fates[0].wrong_bit.is_none_or(|bit| bit < 8 * LEN))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_seed_gives_the_same_luck_to_the_same_datagram() {
        let luck = |seed: u64| {
            let mut way = Way::new(stream(seed, "a way"));
            way.conditions.loss = 0.5;
            let at = Instant::now();
            let wrong_bit = None;
            let mut send = || way.carry(at, Fate { at, wrong_bit }, LEN).count();
            (0..100).map(|_| send()).collect::<Vec<_>>()
        };
        assert_eq!(luck(1), luck(1));
        assert_ne!(luck(1), luck(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_carries_no_more_than_its_rate_after_its_latency_and_drops_what_waits_too_long() {
        let (latency, queue) = (Duration::from_millis(40), Duration::from_millis(500));
        let mut way = way(Conditions {
            latency,
            queue,
            bytes_per_sec: Some(20_000.0),
            ..Conditions::default()
        });
        let now = Instant::now();
        let mut send = || {
            let fates = way.carry(
                now,
                Fate {
                    at: now,
                    wrong_bit: None,
                },
                LEN,
            );
            fates.map(|fate| fate.at - now).collect::<Vec<_>>()
        };
        let mut arrived = Vec::new();
        for _ in 0..30 {
            arrived.extend(send());
        }
        // A datagram takes 50 ms: the last one that is taken waits for 500.
        let due = |number: u32| latency + number * Duration::from_millis(50);
        assert_eq!(arrived, (1..=11).map(due).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn long_datagrams_and_all_during_a_cut_are_lost() {
        let mut line = Line::new(way(Conditions::default()), way(Conditions::default()));
        line.set(Conditions {
            mtu_bytes: LEN,
            ..Conditions::default()
        });
        let now = Instant::now();
        assert_eq!(
            (line.send(now, LEN).count(), line.send(now, LEN + 1).count()),
            (1, 0)
        );
        let until = now + Duration::from_secs(20);
        line.cut(until);
        assert_eq!(
            (line.send(now, LEN).count(), line.send(until, LEN).count()),
            (0, 1)
        );
        let fate = Fate {
            at: now,
            wrong_bit: None,
        };
        assert_eq!(
            (
                line.receive(now, fate, LEN).count(),
                line.receive(until, fate, LEN).count()
            ),
            (0, 1)
        );
        let counts = line.counts();
        assert_eq!((counts.sent, counts.received), (4, 1));
    }
}
