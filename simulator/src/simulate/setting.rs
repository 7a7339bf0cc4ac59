//! What runs are of: shops with their histories, and what is the same for all plans and seeds.

use anyhow::Context;
use souk_client::data::outgrown::Outgrown;
use souk_common::dataset::Dataset;
use souk_common::eval::{Split, leave_last_two_out};
use souk_common::plan::Plan;
use souk_common::terminal::tell;

use crate::data::known::Known;
use crate::data::plans::{Template, names};
use crate::error::WrongUsage;
use crate::world::{Line, members_of};

/// Shops and their histories, and what is kept back of each.
pub(super) struct Setting {
    pub(super) known: Known,
    pub(super) split: Split,
    sizes: Vec<usize>,
}

/// What is the same for all plans and seeds.
pub(super) struct Settings {
    pub(super) line: Line,
    pub(super) drift: Option<f64>,
    pub(super) score_every: Option<u64>,
    pub(super) says_epsilon: bool,
}

impl Setting {
    pub(super) fn new(known: Known) -> Self {
        let mut sizes = vec![0; known.shops];
        known.shop_of.iter().for_each(|shop| sizes[*shop] += 1);
        Self {
            split: leave_last_two_out(&known.dataset),
            known,
            sizes,
        }
    }

    /// A plan for these shops.
    ///
    /// # Errors
    /// When it makes no sense for them.
    pub(super) fn plan(&self, template: &Template, seed: u64, quorum: Option<u64>) -> anyhow::Result<Plan> {
        let mut plan = template.for_shops(&self.sizes, seed)?;
        if let Some(quorum) = quorum {
            plan.cohort.quorum = usize::try_from(quorum)?;
            plan.validate().context(WrongUsage("--quorum".into()))?;
        }
        Ok(plan)
    }

    /// Says what each owner would be told.
    pub(super) fn tell_outgrown(&self, plan: &Plan) {
        for member in members_of(&self.split.train, &[], &self.known.shop_of, &names(plan)) {
            let outgrown = Outgrown::of(Some(plan), &member.name, &member.dataset);
            outgrown
                .lines()
                .for_each(|line| tell(&format!("{}: {line}", member.name)));
        }
    }

    /// What shops may learn from: of releases, the validation item too, since a shop leaves the latest that it has out of them.
    pub(super) fn histories(&self, plan: &Plan) -> Dataset {
        let mut dataset = self.split.train.clone();
        if plan.is_of_releases() {
            for (history, held) in dataset.histories.iter_mut().zip(&self.split.held_out) {
                if let Some(held) = held {
                    history.items.push(held.validation);
                    let last = history.times.last().copied().unwrap_or_default();
                    history.times.push(last);
                }
            }
        }
        dataset
    }
}
