//! Figures over the seeds, for people and for machines.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;
use souk_common::eval::{Metrics, View};
use souk_common::plan::Plan;
use souk_common::privacy::Tally;

use super::{Check, RELATION, Setting, UNIT};
use crate::world::Outcome;

/// All models' figures, in the order in which they came.
#[derive(Default)]
pub(super) struct Table {
    rows: Vec<Row>,
    tally: Tally,
    epsilon: Option<f64>,
    runs: u64,
    bytes_up: u64,
}

/// One model's figures.
pub(super) struct Row {
    pub(super) model: String,
    seeds: BTreeMap<u8, Vec<Metrics>>,
    validation: Vec<Metrics>,
}

/// Means over the seeds.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Figures {
    pub(super) hit_rate_at_10: f64,
    pub(super) ndcg_at_10: f64,
    pub(super) recall_at_10: f64,
    pub(super) coverage_at_10: f64,
    /// Of the hit rate, over the seeds.
    pub(super) seed_stddev: f64,
    pub(super) candidates: String,
    /// Users left out since there was nothing to rank their held-out items against, in all seeds.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) without_candidates: usize,
}

impl Table {
    fn row(&mut self, model: &str) -> &mut Row {
        if let Some(at) = self.rows.iter().position(|row| row.model == model) {
            return &mut self.rows[at];
        }
        self.rows.push(Row {
            model: model.to_owned(),
            seeds: BTreeMap::new(),
            validation: Vec::new(),
        });
        let last = self.rows.len() - 1;
        &mut self.rows[last]
    }

    /// Adds one seed's figures of a model.
    pub(super) fn add(&mut self, model: &str, view: View, metrics: Metrics) {
        self.row(model)
            .seeds
            .entry(number(view))
            .or_default()
            .push(metrics);
    }

    /// Adds what a model is worth on the items for tuning, view B.
    pub(super) fn validated(&mut self, model: &str, metrics: Metrics) {
        self.row(model).validation.push(metrics);
    }

    /// Adds what a run of the federation cost.
    pub(super) fn federation(&mut self, outcome: &Outcome) {
        self.tally.merge(outcome.tally);
        self.epsilon = outcome
            .epsilon
            .map(|epsilon| epsilon.get().max(self.epsilon.unwrap_or(0.0)));
        self.runs += 1;
        self.bytes_up += outcome.bytes_up;
    }

    /// One model's figures in one view, if it was measured.
    pub(super) fn figures(&self, model: &str, view: View) -> Option<Figures> {
        self.rows.iter().find(|row| row.model == model)?.figures(view)
    }

    /// Users' updates that were longer than the clip norm, of how many, and the longest.
    pub(super) fn tally(&self) -> Tally {
        self.tally
    }
}

impl Row {
    fn figures(&self, view: View) -> Option<Figures> {
        let seeds = self.seeds.get(&number(view))?;
        Some(means(seeds, view))
    }
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

fn means(seeds: &[Metrics], view: View) -> Figures {
    let count = seeds.len().max(1) as f64;
    let mean = |of: fn(&Metrics) -> f64| seeds.iter().map(of).sum::<f64>() / count;
    let hit_rate = mean(|metrics| metrics.hit_rate);
    let all = Metrics {
        candidates: (
            seeds
                .iter()
                .map(|metrics| metrics.candidates.0)
                .min()
                .unwrap_or(0),
            seeds
                .iter()
                .map(|metrics| metrics.candidates.1)
                .max()
                .unwrap_or(0),
        ),
        ..Metrics::default()
    };
    let squares: f64 = seeds
        .iter()
        .map(|metrics| (metrics.hit_rate - hit_rate).powi(2))
        .sum();
    Figures {
        hit_rate_at_10: hit_rate,
        ndcg_at_10: mean(|metrics| metrics.ndcg),
        recall_at_10: mean(|metrics| metrics.recall),
        coverage_at_10: mean(|metrics| metrics.coverage),
        seed_stddev: if seeds.len() < 2 {
            0.0
        } else {
            (squares / (count - 1.0)).sqrt()
        },
        candidates: view.candidate_set(&all),
        without_candidates: seeds.iter().map(|metrics| metrics.without_candidates).sum(),
    }
}

fn number(view: View) -> u8 {
    match view {
        View::Literature => 0,
        View::LeakFree => 1,
        View::Full => 2,
    }
}

/// The JSON object.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    rows: Vec<JsonRow<'a>>,
    epsilon: Option<JsonEpsilon>,
    data: JsonData<'a>,
    plan: &'a Plan,
    plan_from: &'a str,
    seeds: u64,
    /// Over all seeds and views; a simulation may know it, a coordinator never does.
    updates_clipped: u64,
    updates: u64,
    longest_update: f64,
    upload_bytes_per_run: u64,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ok: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checks: Option<Vec<Check>>,
}

#[derive(Serialize)]
struct JsonRow<'a> {
    model: &'a str,
    literature: Option<Figures>,
    leak_free: Option<Figures>,
    full: Option<Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    validation: Option<Figures>,
}

#[derive(Serialize)]
struct JsonEpsilon {
    epsilon: f64,
    delta: f64,
    unit: &'static str,
    relation: &'static str,
}

#[derive(Serialize)]
struct JsonData<'a> {
    name: &'a str,
    users: usize,
    evaluated_users: usize,
    items: usize,
    shops: usize,
}

impl<'a> Report<'a> {
    pub(super) fn new(
        setting: &'a Setting,
        plan: &'a Plan,
        table: &'a Table,
        checks: Option<Vec<Check>>,
        seeds: u64,
        seconds: f64,
    ) -> Self {
        let json = |row: &'a Row| JsonRow {
            model: &row.model,
            literature: row.figures(View::Literature),
            leak_free: row.figures(View::LeakFree),
            full: row.figures(View::Full),
            validation: (!row.validation.is_empty()).then(|| means(&row.validation, View::LeakFree)),
        };
        Self {
            rows: table.rows.iter().map(json).collect(),
            epsilon: table.epsilon.map(|epsilon| JsonEpsilon {
                epsilon,
                delta: plan.privacy.delta.get(),
                unit: UNIT,
                relation: RELATION,
            }),
            data: JsonData {
                name: setting.known.name,
                users: setting.known.dataset.len(),
                evaluated_users: setting.split.evaluated_users(),
                items: setting.known.catalogue.len(),
                shops: setting.users.len(),
            },
            plan,
            plan_from: setting.asked.origin(),
            seeds,
            updates_clipped: table.tally.clipped,
            updates: table.tally.users,
            longest_update: table.tally.longest,
            upload_bytes_per_run: table.bytes_up / table.runs.max(1),
            seconds,
            ok: checks.as_ref().map(|checks| checks.iter().all(|check| check.ok)),
            checks,
        }
    }
}

/// The table for people; its lines are Markdown's.
pub(super) fn text(plan: &Plan, table: &Table, seeds: u64) -> String {
    let mut out = String::new();
    let widest = table.rows.iter().map(|row| row.model.len()).max().unwrap_or(0);
    let cell = |figures: Option<Figures>| {
        figures.map_or_else(
            || "-".to_owned(),
            |figures| {
                format!(
                    "{:.1}/{:.1}",
                    100.0 * figures.hit_rate_at_10,
                    100.0 * figures.ndcg_at_10
                )
            },
        )
    };
    // Writing to a string never fails.
    let _ = writeln!(
        out,
        "| {:widest$} | A literature | B leak-free | C full    |\n|-{:-<widest$}-|--------------|-------------|-----------|",
        "", ""
    );
    for row in &table.rows {
        let [a, b, c] = View::ALL.map(|view| cell(row.figures(view)));
        let _ = writeln!(out, "| {:widest$} | {a:12} | {b:11} | {c:9} |", row.model);
    }
    let first = |view| {
        table
            .rows
            .iter()
            .find_map(|row| row.figures(view))
            .unwrap_or_default()
    };
    let (sampled, full) = (first(View::LeakFree), first(View::Full));
    let _ = writeln!(
        out,
        "HR@10/nDCG@10 in %, mean of {seeds} seeds; A and B against {} unseen items, C against all.",
        sampled.candidates
    );
    let without = sampled.without_candidates.max(full.without_candidates);
    if without > 0 {
        let _ = writeln!(
            out,
            "Left out, in all seeds together: {without} customers who have every item, so that there is nothing to rank against."
        );
    }
    let tally = table.tally;
    let _ = match table.epsilon {
        Some(epsilon) => writeln!(
            out,
            "Each shop's epsilon: {epsilon:.3} at delta {} (unit: {UNIT}; relation: {RELATION}; local noise); {:.0} % of the \
             updates were clipped.",
            plan.privacy.delta.get(),
            100.0 * tally.clipped as f64 / tally.users.max(1) as f64
        ),
        None => writeln!(
            out,
            "No noise and no guarantee; {} of {} updates were clipped (longest {:.3}, clip norm {}).",
            tally.clipped,
            tally.users,
            tally.longest,
            plan.privacy.clip_norm.get()
        ),
    };
    out
}
