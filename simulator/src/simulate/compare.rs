//! Several plans, or one at several epsilons, side by side.

use anyhow::Context;
use serde::Serialize;
use souk_common::accountant::{RELATION, UNIT};
use souk_common::params::Epsilon;
use souk_common::terminal::tell;

use super::once::{self, Run};
use super::setting::{Setting, Settings};
use crate::data::plans::Template;

/// Everything that is compared.
#[derive(Serialize)]
pub(super) struct Comparison {
    pub(super) set: &'static str,
    pub(super) shops: usize,
    pub(super) users: usize,
    pub(super) evaluated_users: usize,
    pub(super) items: usize,
    /// Candidates of view B.
    pub(super) candidates_leak_free: Option<(usize, usize)>,
    /// Candidates of view C.
    pub(super) candidates_full: Option<(usize, usize)>,
    pub(super) seeds: Vec<u64>,
    pub(super) rows: Vec<Row>,
    unit: &'static str,
    relation: &'static str,
    /// Of this machine.
    pub(super) seconds: f64,
}

/// One plan over all seeds.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    pub(super) plan: String,
    pub(super) file: String,
    /// That --epsilon asked for.
    pub(super) epsilon_asked: Option<f64>,
    /// The largest of any shop's ledger under any seed; null: nothing bounds it, or no seed came to its end.
    pub(super) epsilon: Option<f64>,
    pub(super) delta: f64,
    /// Whether the plan adds no noise, so that nothing bounds its epsilon.
    pub(super) is_open: bool,
    /// Against all unseen items (view C).
    pub(super) hit_rate_full: Option<Mean>,
    pub(super) ndcg_full: Option<Mean>,
    /// Against drawn ones (view B).
    pub(super) hit_rate_leak_free: Option<Mean>,
    pub(super) ndcg_leak_free: Option<Mean>,
    /// That a shop sent on average, over the whole run.
    pub(super) bytes_a_shop: Option<f64>,
    pub(super) virtual_seconds: Option<f64>,
    /// Over all seeds.
    pub(super) attempts_without_model: u64,
    /// Seeds under which the run did not come to its end, and why; they are in no mean.
    pub(super) failed: Vec<(u64, String)>,
}

/// Over the seeds that came to their end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Mean {
    pub(super) mean: f64,
    /// The sample's standard deviation over the root of the number of seeds; null for one seed.
    pub(super) standard_error: Option<f64>,
    pub(super) seeds: usize,
}

impl Mean {
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let seeds = values.len() as f64;
        let mean = values.iter().sum::<f64>() / seeds.max(1.0);
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        (!values.is_empty()).then(|| Self {
            mean,
            standard_error: (values.len() > 1).then(|| (squares / (seeds - 1.0) / seeds).sqrt()),
            seeds: values.len(),
        })
    }

    fn percent(self) -> String {
        match self.standard_error {
            Some(error) => format!("{:.2} ± {:.2}", 100.0 * self.mean, 100.0 * error),
            None => format!("{:.2}", 100.0 * self.mean),
        }
    }
}

/// What is the same for all plans.
pub(super) struct Asked<'a> {
    pub(super) seed: u64,
    pub(super) seeds: u64,
    pub(super) quorum: Option<u64>,
    /// Every plan was calibrated to each of these, in this order; or to none.
    pub(super) epsilons: &'a [Epsilon],
    pub(super) settings: Settings,
}

/// Every plan over every seed.
///
/// # Errors
/// When a plan does not fit the shops.
pub(super) fn compare(
    asked: &Asked<'_>,
    setting: &Setting,
    templates: &[Template],
) -> anyhow::Result<Comparison> {
    let seeds: Vec<u64> = (asked.seed..).take(usize::try_from(asked.seeds)?).collect();
    let epsilon_of = |at: usize| match asked.epsilons.len() {
        0 => None,
        several => asked.epsilons.get(at % several).map(|epsilon| epsilon.get()),
    };
    let mut comparison = Comparison {
        set: setting.known.name,
        shops: setting.known.shops,
        users: setting.known.dataset.len(),
        evaluated_users: setting.split.evaluated_users(),
        items: setting.known.catalogue.len(),
        candidates_leak_free: None,
        candidates_full: None,
        rows: Vec::new(),
        unit: UNIT,
        relation: RELATION,
        seconds: 0.0,
        seeds,
    };
    for (at, template) in templates.iter().enumerate() {
        let row = comparison.row(asked, setting, template, epsilon_of(at))?;
        comparison.rows.push(row);
    }
    Ok(comparison)
}

impl Comparison {
    fn row(
        &mut self,
        asked: &Asked<'_>,
        setting: &Setting,
        template: &Template,
        epsilon_asked: Option<f64>,
    ) -> anyhow::Result<Row> {
        let (mut runs, mut failed): (Vec<Run>, _) = (Vec::new(), Vec::new());
        for seed in &self.seeds {
            let plan = setting.plan(template, *seed, asked.quorum)?;
            if *seed == asked.seed {
                setting.tell_outgrown(&plan);
            }
            let run = once::run(setting, &plan, &asked.settings, *seed, None);
            match run.with_context(|| format!("{}, seed {seed}", template.origin())) {
                Ok(run) => runs.push(run),
                Err(error) => {
                    tell(&format!("{error:#}"));
                    failed.push((*seed, format!("{:#}", error.root_cause())));
                }
            }
        }
        if let Some(quality) = runs.iter().find_map(|run| run.quality) {
            self.candidates_leak_free = Some(quality.leak_free.candidates);
            self.candidates_full = Some(quality.full.candidates);
        }
        let over = |of: fn(&Run) -> Option<f64>| Mean::of(&runs.iter().filter_map(of).collect::<Vec<_>>());
        let shops = self.shops as f64;
        let epsilons: Option<Vec<f64>> = runs
            .iter()
            .map(|run| run.outcome.epsilon.map(|epsilon| epsilon.get()))
            .collect();
        let plan = template.plan();
        Ok(Row {
            plan: plan.name.clone(),
            file: template.origin().to_owned(),
            epsilon_asked,
            epsilon: epsilons.and_then(|all| all.into_iter().reduce(f64::max)),
            delta: plan.privacy.delta.get(),
            is_open: !plan.privacy.enabled,
            hit_rate_full: over(|run| Some(run.quality?.full.hit_rate)),
            ndcg_full: over(|run| Some(run.quality?.full.ndcg)),
            hit_rate_leak_free: over(|run| Some(run.quality?.leak_free.hit_rate)),
            ndcg_leak_free: over(|run| Some(run.quality?.leak_free.ndcg)),
            bytes_a_shop: over(|run| Some(run.outcome.bytes_up as f64)).map(|bytes| bytes.mean / shops),
            virtual_seconds: over(|run| Some(run.outcome.virtual_secs)).map(|secs| secs.mean),
            attempts_without_model: runs.iter().map(|run| run.outcome.abandoned).sum(),
            failed,
        })
    }

    /// What the figures are of.
    pub(super) fn words(&self) -> String {
        format!(
            "{}: {} shops, {} customers ({} scored), {} items; {}",
            self.set,
            self.shops,
            self.users,
            self.evaluated_users,
            self.items,
            match &self.seeds[..] {
                [seed] => format!("one seed ({seed}), so no error is known"),
                seeds => format!(
                    "{} seeds ({} to {}), ± one standard error over them",
                    seeds.len(),
                    seeds[0],
                    seeds[seeds.len() - 1]
                ),
            }
        )
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let drawn = self
            .candidates_leak_free
            .map_or_else(String::new, |(_, most)| format!(" ({most} of them drawn)"));
        let mut text = format!(
            "{}\n\nplan                              epsilon    HR@10 (C), %   nDCG@10 (C), %    HR@10 (B), %   bytes a shop   virtual time   without a \
             model\n",
            self.words()
        );
        for row in &self.rows {
            let mean = |of: Option<Mean>| of.map_or_else(|| "-".to_owned(), Mean::percent);
            let plain = |of: Option<f64>, unit: &str| {
                of.map_or_else(|| "-".to_owned(), |of| format!("{of:.0}{unit}"))
            };
            let epsilon = match (row.epsilon, row.is_open) {
                (Some(epsilon), _) => souk_common::params::rounded_up(epsilon, 3).to_string(),
                (None, true) => "no bound".to_owned(),
                (None, false) => "-".to_owned(),
            };
            text += &format!(
                "{:<30}{:>11}{:>16}{:>17}{:>16}{:>15}{:>15}{:>18}\n",
                row.plan,
                epsilon,
                mean(row.hit_rate_full),
                mean(row.ndcg_full),
                mean(row.hit_rate_leak_free),
                plain(row.bytes_a_shop, ""),
                plain(row.virtual_seconds, " s"),
                row.attempts_without_model,
            );
            for (seed, why) in &row.failed {
                text += &format!("  seed {seed} did not come to its end and is in no mean: {why}\n");
            }
        }
        text += &format!(
            "\nC: each customer's latest purchase against all items that they had not bought; B: against unseen ones{drawn}. Epsilon is that \
             of the shop that spent most,\nat the plan's delta (unit: {UNIT}; relation: {RELATION}). {:.0} s of this machine's.\n",
            self.seconds
        );
        text
    }
}
