//! What attacks share: the subject, what its plan publishes, whom they aim at, and how a row of theirs is judged.

use anyhow::ensure;
use rand::seq::SliceRandom;
use souk_common::dataset::Dataset;
use souk_common::learned::Learned;
use souk_common::plan::{Placement, Plan};
use souk_common::release::for_release;
use souk_common::rng::stream;

use super::attributes::Attribute;
use super::observed_round::{ObservedRound, published, under, with_everybody};
use super::statistics::{Estimate, Guarantee};
use crate::audit::findings::{AttackRow, Protections};
use crate::audit::subject::Subject;
use crate::data::plans::Template;

/// A subject under attack.
pub(super) struct Context<'a> {
    pub(super) subject: &'a Subject,
    pub(super) attributes: &'a [Attribute],
    /// The plan, with everybody drawn.
    plan: Plan,
    /// What is out before each round that is attacked, and after the last of them.
    states: Vec<Learned>,
}

impl<'a> Context<'a> {
    /// Releases what the plan releases, or takes the first step of its training.
    ///
    /// # Errors
    /// When the plan does not fit the shops of the data set.
    pub(super) fn new(subject: &'a Subject, attributes: &'a [Attribute]) -> anyhow::Result<Self> {
        ensure!(!subject.known.dataset.is_empty(), "the data set has no customer");
        let plan = with_everybody(subject.plan.clone())?;
        let rounds = plan.release.len().max(1) as u64;
        let states = published(&plan, &subject.known, rounds, subject.seed)?;
        Ok(Self {
            subject,
            attributes,
            plan,
            states,
        })
    }

    /// The plan that rounds are made by: the subject's, with everybody drawn.
    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What was published last.
    pub(super) fn last(&self) -> &Learned {
        &self.states[self.states.len() - 1]
    }

    /// The rounds that are attacked: all releases, or the first step of a plan that trains a model from nothing; each with the same
    /// without noise.
    ///
    /// # Errors
    /// When there is no grid for a round.
    pub(super) fn rounds(
        &self,
        protections: Protections,
    ) -> anyhow::Result<Vec<(ObservedRound, ObservedRound)>> {
        (1..self.states.len())
            .map(|round| self.observed(round, protections))
            .collect()
    }

    /// One of [`Self::rounds`], from 1; or the round that follows on them.
    ///
    /// # Errors
    /// As there.
    pub(super) fn observed(
        &self,
        round: usize,
        protections: Protections,
    ) -> anyhow::Result<(ObservedRound, ObservedRound)> {
        let catalogue = &self.subject.known.catalogue;
        let plan = under(&self.plan, protections)?;
        let observed = ObservedRound::new(&plan, catalogue, &self.states[round - 1], round as u64)?;
        let quiet = under(&plan, Protections::NoNoise)?;
        Ok((
            observed,
            ObservedRound::new(&quiet, catalogue, &self.states[round - 1], round as u64)?,
        ))
    }

    /// Which rounds are attacked, for people.
    pub(super) fn rounds_in_words(&self) -> String {
        let drawn = match self.subject.plan.privacy.sampling_rate.get() {
            rate if rate < 1.0 => {
                format!(", of a customer who was drawn for it (each is with probability {rate})")
            }
            _ => String::new(),
        };
        match self.plan.release.len() {
            0 => format!("the first of {} rounds{drawn}", self.plan.rounds),
            1 => "the one release".to_owned(),
            releases => format!("all {releases} releases together"),
        }
    }

    /// Of how many shops the noise is that the accountant counts on.
    pub(super) fn counted_shops(&self) -> usize {
        self.plan.noise_shares()
    }

    /// Of how many shops the noise is that is seen under these protections by who knows everybody else.
    pub(super) fn noisy_shops(&self, protections: Protections) -> usize {
        match protections {
            Protections::NoMasks => 1,
            _ => self.counted_shops(),
        }
    }

    /// Sets of protections that make a difference to who knows everybody else: the plan's first.
    pub(super) fn protections(&self) -> Vec<Protections> {
        let mut all = vec![Protections::Plan];
        if self.is_private() {
            all.extend(self.shares_noise().then_some(Protections::NoMasks));
            all.push(Protections::NoNoise);
        }
        all
    }

    /// Whether each shop adds a share of the noise alone.
    pub(super) fn shares_noise(&self) -> bool {
        self.plan.privacy.placement == Placement::Distributed && self.plan.masking.is_some()
    }

    /// Up to `count` customers with at least `least` items that may be released, in an order of the seed's.
    pub(super) fn targets(&self, name: &str, count: usize, least: usize) -> Vec<usize> {
        let histories = &self.subject.known.dataset.histories;
        let mut users: Vec<usize> = (0..histories.len())
            .filter(|user| for_release(&histories[*user]).items().len() >= least)
            .collect();
        users.shuffle(&mut stream(self.subject.seed, &format!("targets of {name}")));
        users.truncate(count);
        users
    }

    /// One customer alone.
    pub(super) fn alone(&self, user: usize) -> Dataset {
        self.subject.known.dataset.subset(&[user])
    }

    /// All customers of a shop but one.
    pub(super) fn others(&self, shop: usize, but: Option<usize>) -> Dataset {
        let known = &self.subject.known;
        let users: Vec<usize> = (0..known.dataset.len())
            .filter(|user| known.shop_of[*user] == shop && Some(*user) != but)
            .collect();
        known.dataset.subset(&users)
    }

    /// The place of a customer's shop in the plan.
    pub(super) fn shop_of(&self, user: usize) -> usize {
        self.subject.known.shop_of[user]
    }

    /// A row, and whether it is as it must be: under the plan within what is allowed, at a confidence that holds for all rows of an
    /// audit. Where a plan promises nothing, an attack that succeeds is not as it must be.
    pub(super) fn row(
        &self,
        protections: Protections,
        found: Estimate,
        (chance, allowed): (f64, Option<f64>),
        note: impl Into<String>,
    ) -> AttackRow {
        let allowed = allowed.filter(|_| protections == Protections::Plan && self.is_private());
        let ok = match (protections, allowed) {
            (Protections::Plan, Some(allowed)) => Some(found.floor <= allowed),
            (Protections::Plan, None) if !self.is_private() && found.floor > chance => Some(false),
            _ => None,
        };
        AttackRow {
            protections,
            success: found.value,
            low: found.low,
            high: found.high,
            chance,
            allowed,
            trials: found.trials,
            ok,
            note: note.into(),
        }
    }

    /// Whether the plan adds noise.
    pub(super) fn is_private(&self) -> bool {
        self.subject.plan.privacy.enabled && self.subject.plan.privacy.noise_multiplier.is_some()
    }

    /// The subject with the plan that trains `model`, where its own trains none like it: the example for the data set, and what to
    /// say of that.
    ///
    /// # Errors
    /// When the example does not fit the shops.
    pub(super) fn trained_by(
        &self,
        model: &str,
        fits: impl Fn(&Plan) -> bool,
    ) -> anyhow::Result<(Plan, String)> {
        if !self.plan.is_of_releases() && fits(&self.plan) {
            return Ok((self.plan.clone(), String::new()));
        }
        let known = &self.subject.known;
        let template = Template::example(known.name, model, self.is_private())?;
        let mut sizes = vec![0; self.plan.shops.len()];
        known.shop_of.iter().for_each(|shop| sizes[*shop] += 1);
        let mut plan = template.for_shops(&sizes, self.plan.seed)?;
        // The example's own names and order of shops mean nothing here.
        plan.shops.clone_from(&self.plan.shops);
        let note = format!(
            "the plan trains no such model: as if it were {}",
            template.origin()
        );
        Ok((with_everybody(plan)?, note))
    }
}

/// What the guarantee allows of these rounds together; none if one has no noise.
pub(super) fn guarantee(rounds: &[(ObservedRound, ObservedRound)]) -> Option<Guarantee> {
    Guarantee::of(rounds.iter().map(|(observed, _)| observed.noise_multiplier()))
}
