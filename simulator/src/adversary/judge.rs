//! Holds attempts against sets of rules and keeps what was found.

use serde::Serialize;

use super::arena::{Arena, Lists, Shown, Until};
use super::knowledge::Engine;
use super::rules::{Kind, Rules};
use super::set::Set;

/// Sets of rules on trial. One that is known to be broken is not tried further.
pub(super) struct Judge<const W: usize> {
    trials: Vec<(Rules, Tally)>,
    engine: Engine<W>,
}

/// What came of the attempts under one set of rules.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Attempts followed.
    pub(super) cases: u64,
    /// Those in which some sum could be computed.
    pub(super) computable: u64,
    /// The first attack.
    pub(super) attack: Option<Attack>,
}

/// Lists with which the coordinator computes a sum of too few.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Attack {
    shops: usize,
    min_shops: usize,
    /// t.
    colluding: usize,
    /// d of a roster of all.
    neighbours: usize,
    /// The coordinator's own.
    adversaries: String,
    /// Their sum is computed.
    learned: String,
    pub(super) learned_shops: usize,
    /// n_min - t: so many shops' noise is charged for.
    pub(super) noise_shares: usize,
    /// Order of the circle; none in a complete graph.
    circle: Option<Vec<usize>>,
    lists: Vec<Show>,
}

/// Lists, and to whom they are shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Show {
    r1: String,
    r2: String,
    r3: String,
    /// Differs where an adversary signed another advertisement.
    edition: u8,
    shares_only: String,
    up_to_update: String,
    up_to_survivors: String,
}

impl<const W: usize> Judge<W> {
    pub(super) fn new(rules: &[Rules]) -> Self {
        Self {
            trials: rules.iter().map(|rules| (*rules, Tally::default())).collect(),
            engine: Engine::new(),
        }
    }

    /// To be said before attempts of another arena.
    pub(super) fn enter(&mut self) {
        self.engine.forget_graphs();
    }

    /// Whether nothing is left on trial: all have been found broken.
    pub(super) fn is_settled(&self) -> bool {
        self.trials.iter().all(|(_, tally)| tally.attack.is_some())
    }

    /// Follows one attempt under each set of rules; whether one of them fell to it.
    pub(super) fn see(&mut self, arena: &Arena<W>, lists: &[Lists<W>], shown: &[Shown]) -> bool {
        let mut fell = false;
        for (rules, tally) in &mut self.trials {
            if tally.attack.is_some() {
                continue;
            }
            tally.cases += 1;
            let Some(learned) = self.engine.least(arena, rules, lists, shown) else {
                continue;
            };
            tally.computable += 1;
            if learned.len() + arena.terms.colluding < arena.terms.min_shops {
                tally.attack = Some(Attack::of(arena, lists, shown, &learned));
                fell = true;
            }
        }
        fell
    }

    pub(super) fn into_tallies(self) -> Vec<(Rules, Tally)> {
        self.trials
    }
}

impl Tally {
    /// Adds up; the first attack stays.
    pub(super) fn add(&mut self, other: Self) {
        self.cases += other.cases;
        self.computable += other.computable;
        self.attack = self.attack.take().or(other.attack);
    }

    /// Whether it is as it should be for rules of that kind, of which `must_fall` says whether these attempts have to break
    /// them.
    pub(super) fn is_as_expected(&self, kind: Kind, must_fall: bool) -> bool {
        match kind {
            Kind::Held => self.attack.is_none(),
            Kind::Open => true,
            Kind::Planted => self.attack.is_some() || !must_fall,
        }
    }
}

impl Attack {
    fn of<const W: usize>(arena: &Arena<W>, lists: &[Lists<W>], shown: &[Shown], learned: &Set<W>) -> Self {
        let degree = arena.terms.degree(arena.shops);
        let to = |at: usize, until: Until| -> Set<W> {
            let here = |shop: &usize| shown[*shop] == Shown { list: at, until };
            (0..arena.honest).filter(here).collect()
        };
        let show = |(at, list): (usize, &Lists<W>)| Show {
            r1: list.r1.to_string(),
            r2: list.r2.to_string(),
            r3: list.r3.to_string(),
            edition: list.edition,
            shares_only: to(at, Until::Shares).to_string(),
            up_to_update: to(at, Until::Update).to_string(),
            up_to_survivors: to(at, Until::Survivors).to_string(),
        };
        Self {
            shops: arena.shops,
            min_shops: arena.terms.min_shops,
            colluding: arena.terms.colluding,
            neighbours: degree,
            adversaries: arena.adversaries().to_string(),
            learned: learned.to_string(),
            learned_shops: learned.len(),
            noise_shares: arena.terms.min_shops - arena.terms.colluding,
            circle: (degree + 1 < arena.shops).then(|| arena.circle.clone()),
            lists: lists.iter().enumerate().map(show).collect(),
        }
    }

    /// In one line.
    pub(super) fn to_text(&self) -> String {
        let graph = match self.circle {
            Some(_) => format!("d {}", self.neighbours),
            None => "complete".to_owned(),
        };
        let sum = match self.learned_shops {
            1 => "the bare update of 1 shop".to_owned(),
            shops => format!("the sum of {shops} shops"),
        };
        format!(
            "{} shops, n_min {}, t {}, {graph}, adversaries {}: {sum}, where noise of {} is charged",
            self.shops, self.min_shops, self.colluding, self.adversaries, self.noise_shares
        )
    }
}
