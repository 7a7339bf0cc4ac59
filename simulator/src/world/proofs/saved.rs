//! Federations that are saved between rounds, killed, and go on; and what is said of their rounds.

use super::*;
use crate::world::rounds::RoundLine;
use crate::world::saved::Unusable;

/// Saves after every round, and stops after so many.
#[derive(Default)]
struct Saving {
    lines: Vec<RoundLine>,
    bytes: Vec<u8>,
    stops_after: Option<u64>,
    says_epsilon: bool,
}

impl Watch for Saving {
    fn ended(&mut self, line: RoundLine, _: Option<&Out>) -> anyhow::Result<()> {
        self.lines.push(line);
        Ok(())
    }

    fn wants_epsilon(&self) -> bool {
        self.says_epsilon
    }

    fn saves(&self, _: u64) -> bool {
        true
    }

    fn save(&mut self, saved: &Saved) -> anyhow::Result<()> {
        self.bytes = saved.to_bytes(&self.lines)?;
        ensure!(self.stops_after != Some(saved.round()), "killed");
        Ok(())
    }
}

/// A run that is never killed, and one that is killed after every round.
fn both(plan: &str, line: Line, drift: Option<Drift>) -> [(Outcome, Vec<RoundLine>); 2] {
    let begin = |saved| world(plan, (line, drift), 3, saved).unwrap();
    let mut whole = Saving::default();
    let outcome = begin(None).run_watched(&mut whole).unwrap();
    let mut killed = Saving {
        stops_after: Some(1),
        ..Saving::default()
    };
    let mut last = begin(None).run_watched(&mut killed);
    while let Err(error) = last {
        assert_eq!(error.to_string(), "killed");
        killed.stops_after = killed.stops_after.map(|round| round + 1);
        let saved = Saved::from_bytes(&killed.bytes).unwrap();
        assert_eq!(saved.lines(), killed.lines);
        last = begin(Some(saved)).run_watched(&mut killed);
    }
    let failed = whole.lines.iter().filter(|line| !line.published).count();
    assert_eq!(failed as u64, outcome.abandoned, "a line an attempt");
    [(outcome, whole.lines), (last.unwrap(), killed.lines)]
}

fn assert_same([(a, a_lines), (b, b_lines)]: [(Outcome, Vec<RoundLine>); 2]) -> Outcome {
    let bits =
        |outcome: &Outcome| -> Vec<u32> { outcome.params.iter().map(|value| value.to_bits()).collect() };
    assert_eq!(bits(&a), bits(&b));
    assert_eq!(format!("{a:?}"), format!("{b:?}"));
    assert_eq!(a_lines, b_lines);
    a
}

#[test]
fn a_run_that_is_killed_after_every_round_comes_to_the_same_end_bit_for_bit() {
    let line = Line {
        dropout: 0.3,
        work: Duration::from_secs(20),
        ..Line::default()
    };
    let plan = PLAN.replace("quorum = 2", "quorum = 2\nattempts = 1000");
    let outcome = assert_same(both(&plan, line, None));
    assert!(outcome.updates >= 12);
    // Nothing is lost by stopping.
    let calm = assert_same(both(PLAN, Line::default(), None));
    assert_eq!((calm.updates, calm.abandoned), (18, 0));
    // Users' own vectors are state, too.
    let solver = "solver = 'sgd'\nlearning_rate = 0.05\nuser_learning_rate = 0.05\n";
    let sgd = plan.replace("solver = 'ials'\nalpha = 0.2\nlambda = 1\n", solver);
    assert_same(both(&sgd, line, None));
}

#[test]
fn releases_are_saved_as_models_are() {
    let outcome = assert_same(both(RELEASES, Line::default(), None));
    assert_eq!((outcome.releases.is_some(), outcome.updates), (true, 6));
}

#[test]
fn what_is_saved_is_refused_with_any_bit_flipped_or_any_end_cut_off() {
    let mut saving = Saving {
        stops_after: Some(1),
        ..Saving::default()
    };
    let killed = world(PLAN, (Line::default(), None), 3, None)
        .unwrap()
        .run_watched(&mut saving);
    assert!(killed.is_err());
    let whole = saving.bytes;
    assert!(Saved::from_bytes(&whole).is_ok());
    let step = whole.len() / 97;
    for at in (0..whole.len()).step_by(step) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        assert!(Saved::from_bytes(&damaged).is_err(), "byte {at}");
        assert!(Saved::from_bytes(&whole[..at]).is_err(), "{at} bytes");
    }
    assert_eq!(Saved::from_bytes(b"{}").err(), Some(Unusable::NotOne));
}

#[test]
fn stragglers_come_too_late_and_every_line_adds_up() {
    let line = Line {
        work: Duration::from_secs(10),
        stragglers: Stragglers {
            share: 0.4,
            slower: 1000.0,
        },
        ..Line::default()
    };
    let mut saving = Saving {
        says_epsilon: true,
        ..Saving::default()
    };
    let of = |seed| world(PLAN, (line, None), seed, None).unwrap();
    // A seed under which one of the three is slow.
    let seed = (0..50)
        .find(|seed| of(*seed).network.slower_shops() == 1)
        .unwrap();
    let outcome = of(seed).run_watched(&mut saving).unwrap();
    assert_eq!(saving.lines.len(), 6);
    for line in &saving.lines {
        assert_eq!(
            (line.cohort, line.accepted, line.dropped, line.late),
            (3, 2, 0, 1)
        );
        assert!(line.published && line.why.is_none() && line.virtual_seconds >= 60.0 * line.round as f64);
    }
    assert_eq!(outcome.updates, 12);
    let up: u64 = saving.lines.iter().map(|line| line.bytes_up).sum();
    assert_eq!(up, outcome.bytes_up);
    let epsilon = saving.lines.last().unwrap().epsilon;
    assert_eq!(epsilon, outcome.epsilon.map(|epsilon| epsilon.get()));
    assert!(saving.lines.is_sorted_by(|a, b| a.epsilon < b.epsilon));
}

#[test]
fn tastes_that_move_make_another_model_and_a_window_of_all_time_the_same_one() {
    let of = |drift| {
        let world = world(PLAN, (Line::default(), drift), 3, None).unwrap();
        world.run(|_, _| {}).unwrap().params
    };
    let drift = |share| Some(Drift::new(share, 6, &dataset()));
    assert_eq!(of(None), of(drift(1.0)));
    assert_ne!(of(None), of(drift(0.5)));
    assert_same(both(PLAN, Line::default(), drift(0.5)));
}

const RELEASES: &str = "name = 't'\n[privacy]\nclip_norm = 1\nnoise_multiplier = 0.2\nsampling_rate = 1.0\n[cohort]\nquorum = 2\n\
    deadline = '1m'\nattempts = 1000\n[[release]]\nkind = 'popularity'\nshare = 0.3\n[[release]]\nkind = 'collaborative'\n\
    share = 0.7\n[[shops]]\nname = 'a'\ndeclared_users = 30\n[[shops]]\nname = 'b'\ndeclared_users = 30\n[[shops]]\nname = 'c'\n\
    declared_users = 30\n";
