//! When whom to kill: moments spread evenly over the rounds, drawn from a seed; one in four follows within a second of the
//! one before, so that programs are killed while they start.
//!
//! A moment is a place in the run, not a time of day: round 3.25 is a quarter of a usual attempt into the attempts at the
//! fourth round. So kills fall while work is under way, however long programs take to come back, and their number for each
//! round is finite, so that a run that can go on does.

use std::time::Duration;

use rand::RngExt;
use souk_common::rng::{Stream, stream};

/// A kill that comes so soon after another is one in quick succession.
pub(crate) const QUICK: Duration = Duration::from_secs(1);

/// Whom to kill.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Victim {
    Coordinator,
    /// By its place in the plan.
    Shop(usize),
}

/// Kills that are still to come, the next one last.
pub(crate) struct Schedule {
    moments: Vec<Moment>,
    usual: Usual,
    luck: Stream,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Moment {
    /// Rounds, and the part of an attempt.
    at: f64,
    /// This long after the kill before, wherever the run stands.
    soon: Option<Duration>,
    victim: Victim,
}

/// Where the run stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    /// Rounds published.
    pub(super) published: u64,
    /// How long the open attempt has been under way; none if there is none.
    pub(super) in_attempt: Option<Duration>,
}

impl Schedule {
    pub(super) fn draw(seed: u64, rounds: u64, coordinator: u32, shops: u32, shop_count: usize) -> Self {
        let mut luck = stream(seed, "chaos");
        let mut moments = Vec::new();
        for kill in 0..coordinator + shops {
            let victim = match kill < coordinator {
                true => Victim::Coordinator,
                false => Victim::Shop(luck.random_range(0..shop_count)),
            };
            let soon = luck.random_bool(SOON).then(|| QUICK.mul_f64(luck.random()));
            let at = luck.random_range(0.0..rounds as f64);
            moments.push(Moment { at, soon, victim });
        }
        moments.sort_by(|one, other| other.at.total_cmp(&one.at));
        Self {
            moments,
            usual: Usual::default(),
            luck,
        }
    }

    /// The next victim, if its moment has come; `since_last` is how long ago the last kill was.
    pub(super) fn due(&mut self, place: Place, since_last: Option<Duration>) -> Option<Victim> {
        let Moment { at, soon, victim } = *self.moments.last()?;
        let (round, published) = (at.floor(), place.published as f64);
        let due = match soon.zip(since_last) {
            Some((soon, since_last)) => since_last >= soon,
            None if published == round => place
                .in_attempt
                .is_some_and(|so_far| so_far >= self.usual.length().mul_f64(at.fract())),
            None => published > round,
        };
        due.then(|| {
            self.moments.pop();
            victim
        })
    }

    /// Notes how long an attempt took that made a model.
    pub(super) fn note_attempt(&mut self, took: Duration) {
        self.usual.note(took);
    }

    pub(super) fn left(&self) -> usize {
        self.moments.len()
    }

    /// A short wait before the next look, so that looks and steps of a round don't keep in step.
    pub(super) fn moment(&mut self) -> Duration {
        Duration::from_micros(self.luck.random_range(1_000..15_000))
    }
}

/// How long an attempt usually takes.
#[derive(Default)]
struct Usual(Vec<Duration>);

impl Usual {
    fn note(&mut self, took: Duration) {
        let at = self.0.partition_point(|known| *known < took);
        self.0.insert(at, took);
    }

    /// The median; a second before anything is known.
    fn length(&self) -> Duration {
        let middle = self.0.get(self.0.len() / 2);
        middle.copied().unwrap_or(Duration::from_secs(1))
    }
}

/// How many of all kills follow soon upon the one before.
const SOON: f64 = 0.25;

#[cfg(test)]
mod tests {
    use super::*;

    fn place(published: u64, in_attempt: Option<u64>) -> Place {
        Place {
            published,
            in_attempt: in_attempt.map(Duration::from_millis),
        }
    }

    #[test]
    fn every_kill_comes_once_in_its_round_and_a_seed_always_gives_the_same() {
        let run = |seed: u64| {
            let mut schedule = Schedule::draw(seed, 10, 30, 20, 5);
            let mut killed = Vec::new();
            for round in 0..10 {
                // Longer than usual: all that is meant for this round comes.
                while let Some(victim) = schedule.due(place(round, Some(2000)), None) {
                    killed.push((round, victim));
                }
            }
            assert_eq!(schedule.left(), 0);
            killed
        };
        let killed = run(1);
        assert_eq!(killed, run(1));
        assert_ne!(killed, run(2));
        let coordinator = killed.iter().filter(|(_, victim)| *victim == Victim::Coordinator);
        assert_eq!((coordinator.count(), killed.len()), (30, 50));
        let rounds = (0..10).filter(|round| killed.iter().any(|(at, _)| at == round));
        assert!(rounds.count() >= 8, "spread over the run");
    }

    #[test]
    fn a_kill_waits_for_its_part_of_an_attempt_or_follows_soon_upon_another() {
        let mut schedule = Schedule::draw(1, 1, 0, 0, 1);
        let set = |schedule: &mut Schedule, soon: Option<u64>| {
            schedule.moments = vec![Moment {
                at: 3.5,
                soon: soon.map(Duration::from_millis),
                victim: Victim::Coordinator,
            }];
        };
        set(&mut schedule, None);
        let long_ago = Some(Duration::from_secs(60));
        assert_eq!(
            schedule.due(place(2, Some(5000)), long_ago),
            None,
            "an earlier round"
        );
        assert_eq!(schedule.due(place(3, None), long_ago), None, "no attempt is open");
        assert_eq!(schedule.due(place(3, Some(499)), long_ago), None);
        schedule.note_attempt(Duration::from_secs(4));
        assert_eq!(
            schedule.due(place(3, Some(1999)), long_ago),
            None,
            "attempts are longer"
        );
        assert!(schedule.due(place(3, Some(2000)), long_ago).is_some());
        set(&mut schedule, None);
        assert!(
            schedule.due(place(4, None), long_ago).is_some(),
            "its round is over"
        );
        set(&mut schedule, Some(300));
        let ago = |millis| Some(Duration::from_millis(millis));
        assert_eq!(schedule.due(place(0, None), ago(299)), None);
        assert!(schedule.due(place(0, None), ago(300)).is_some());
    }
}
