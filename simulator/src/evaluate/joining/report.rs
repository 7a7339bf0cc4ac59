//! What `evaluate --stack` says: figures, gains, gates, and the tables.

use std::fmt::Write;

use serde::Serialize;
use souk_common::eval::Metrics;
use souk_common::stack::GateReport;

use super::faithfulness::Faithfulness;
use super::mean::mean_and_error;
use super::{Hits, Variant};
use crate::check::Check;

/// One kind of stack.
#[derive(Serialize)]
pub(super) struct Row {
    pub(super) model: &'static str,
    pub(super) literature: Figures,
    pub(super) leak_free: Figures,
    pub(super) full: Figures,
    pub(super) next_visit: Figures,
}

/// How much better than alone+ a kind of stack is, by the expected hit rate of the same users.
#[derive(Serialize)]
pub(super) struct Gain {
    pub(super) model: &'static str,
    /// In view B.
    pub(super) points: f64,
    pub(super) standard_error: f64,
    /// In view D.
    pub(super) next_visit_points: f64,
    pub(super) next_visit_standard_error: f64,
}

impl Gain {
    /// Of all kinds but the first, over it: with each kind's hits in views B and D.
    pub(super) fn all(measured: &[(Variant, Hits, Hits)]) -> Vec<Self> {
        let Some(((_, alone, alone_by_visit), others)) = measured.split_first() else {
            return Vec::new();
        };
        let paired = |alone: &Hits, other: &Hits| {
            let pairs = alone.mean().into_iter().zip(other.mean());
            let gains: Vec<f64> = pairs
                .filter_map(|(alone, other)| Some(100.0 * (other? - alone?)))
                .collect();
            mean_and_error(&gains)
        };
        let one = |(variant, hits, by_visit): &(Variant, Hits, Hits)| {
            let (points, standard_error) = paired(alone, hits);
            let (next_visit_points, next_visit_standard_error) = paired(alone_by_visit, by_visit);
            Self {
                model: variant.name(),
                points,
                standard_error,
                next_visit_points,
                next_visit_standard_error,
            }
        };
        others.iter().map(one).collect()
    }
}

/// One shop's gate under one seed of the noise.
#[derive(Serialize)]
pub(super) struct Gate {
    pub(super) shop: usize,
    pub(super) seed: u64,
    pub(super) open: bool,
    /// Of together over alone, in points of the expected hit rate on the test items, whether or not the gate let it in.
    pub(super) test_gain: f64,
    pub(super) found: GateReport,
}

/// Means over seeds and users, as shares.
#[derive(Clone, Default, Serialize)]
pub(super) struct Figures {
    pub(super) users: usize,
    pub(super) hit_rate_at_10: f64,
    pub(super) ndcg_at_10: f64,
    pub(super) expected_hit_rate: f64,
    /// Of the expected hit rate, over users.
    pub(super) standard_error: f64,
    /// One a shop; empty for a shop.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) shops: Vec<Self>,
}

impl Figures {
    pub(super) fn new(seeds: &[Metrics], hits: &[f64]) -> Self {
        let over = |of: fn(&Metrics) -> f64| seeds.iter().map(of).sum::<f64>() / seeds.len().max(1) as f64;
        let (expected_hit_rate, standard_error) = mean_and_error(hits);
        Self {
            users: hits.len(),
            hit_rate_at_10: over(|metrics| metrics.hit_rate),
            ndcg_at_10: over(|metrics| metrics.ndcg),
            expected_hit_rate,
            standard_error,
            shops: Vec::new(),
        }
    }

    fn pair(&self) -> String {
        format!(
            "{:.1}/{:.1}",
            100.0 * self.hit_rate_at_10,
            100.0 * self.ndcg_at_10
        )
    }

    pub(super) fn pair_with_error(&self) -> String {
        let (rate, users) = (self.hit_rate_at_10, self.users.max(1) as f64);
        format!(
            "{} ± {:.1}",
            self.pair(),
            100.0 * (rate * (1.0 - rate) / users).sqrt()
        )
    }

    pub(super) fn expected(&self) -> String {
        format!(
            "{:.1} ± {:.1}",
            100.0 * self.expected_hit_rate,
            100.0 * self.standard_error
        )
    }
}

/// The JSON object.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) set: &'static str,
    pub(super) users: usize,
    pub(super) evaluated_users: usize,
    pub(super) evaluated_by_visit: usize,
    pub(super) items: usize,
    pub(super) features: usize,
    pub(super) seeds: u64,
    pub(super) rows: Vec<Row>,
    /// Over alone+; empty where shops are looked at alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) gains: Vec<Gain>,
    /// One a shop and seed of the noise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) gates: Vec<Gate>,
    /// Of reasons; none where no customer has enough items.
    pub(super) faithfulness: Option<Faithfulness>,
    pub(super) seconds: f64,
}

impl Report {
    /// The tables for people; their lines are Markdown's.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string never fails.
        let _ = writeln!(
            out,
            "| | A literature | B leak-free | C full | D next visit | expected B | expected D |\n|-|-|-|-|-|-|-|"
        );
        for row in &self.rows {
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} | {} |",
                row.model,
                row.literature.pair(),
                row.leak_free.pair(),
                row.full.pair(),
                row.next_visit.pair(),
                row.leak_free.expected(),
                row.next_visit.expected()
            );
        }
        let _ = writeln!(
            out,
            "HR@10/nDCG@10 in %, mean of {} draws of the 99 items; {} of {} users are evaluated, {} in view D; expected: \
             HR@10 over all draws, ± its standard error.\n",
            self.seeds, self.evaluated_users, self.users, self.evaluated_by_visit
        );
        for gain in &self.gains {
            let _ = writeln!(
                out,
                "{}: {:+.2} ± {:.2} points of the expected hit rate over alone+, {:+.2} ± {:.2} in view D",
                gain.model,
                gain.points,
                gain.standard_error,
                gain.next_visit_points,
                gain.next_visit_standard_error
            );
        }
        if !self.gates.is_empty() {
            let open = self.gates.iter().filter(|gate| gate.open).count();
            let right = self
                .gates
                .iter()
                .filter(|gate| gate.open == (gate.test_gain > 0.0))
                .count();
            let _ = writeln!(
                out,
                "the gate let the channels of all shops in {open} times of {}, and was right {right} times\n",
                self.gates.len()
            );
        }
        if let Some(found) = &self.faithfulness {
            let _ = writeln!(
                out,
                "reasons: without the three items named for it the first recommended one falls by {:.3}, without three others by {:.3} \
                 (± {:.3} of the difference, {} customers)\n",
                found.named, found.others, found.standard_error, found.customers
            );
        }
        let _ = writeln!(
            out,
            "| shop | users |{}",
            self.each(|row| format!(" {}, B | expected |", row.model))
        );
        let _ = writeln!(out, "|-|-|{}", self.each(|_| "-|-|".to_owned()));
        let shops = self.rows.first().map_or(0, |row| row.leak_free.shops.len());
        for shop in 0..shops {
            let users = self.rows[0].leak_free.shops[shop].users;
            let cells = self.each(|row| {
                let figures = &row.leak_free.shops[shop];
                format!(" {} | {} |", figures.pair(), figures.expected())
            });
            let _ = writeln!(out, "| {} | {users} |{cells}", shop + 1);
        }
        out
    }

    fn each(&self, of: impl Fn(&Row) -> String) -> String {
        self.rows.iter().map(of).collect()
    }

    /// Alone+ against a reference implementation's figure on the same set.
    pub(super) fn checks(&self) -> Vec<Check> {
        let set = (self.set, self.items < TYPES_BELOW);
        let reference = REFERENCE.iter().find(|(name, small, _)| (*name, *small) == set);
        let row = self.rows.first();
        let compared = reference.zip(row).map(|((.., reference), row)| {
            let hit_rate = 100.0 * row.leak_free.expected_hit_rate;
            Check {
                name: format!("{} in view B, expected", row.model),
                ok: (hit_rate - reference).abs() <= TOLERANCE,
                detail: format!("HR@10 {hit_rate:.1} %; elsewhere {reference} ± {TOLERANCE}"),
            }
        });
        let gated = self.gains.iter().find(|gain| gain.model == Variant::Gated.name());
        let gained = gated.map(|gain| {
            let least = LEAST_GAIN - gain.standard_error;
            Check {
                name: format!("{} over alone+", gain.model),
                ok: gain.points >= least,
                detail: format!(
                    "{:+.2} ± {:.2} points of the expected hit rate; at least {least:.2}",
                    gain.points, gain.standard_error
                ),
            }
        });
        let reasons = self.faithfulness.map(|found| Check {
            name: "reasons are true".to_owned(),
            ok: found.holds(),
            detail: format!(
                "without the named items the score falls by {:.3}, without others by {:.3} ± {:.3}",
                found.named, found.others, found.standard_error
            ),
        });
        compared.into_iter().chain(gained).chain(reasons).collect()
    }
}

/// In points: a shop that joins is to lose nothing that can be told from chance.
const LEAST_GAIN: f64 = -0.3;

/// Set, whether its catalogue is small, and the expected HR@10 in % of a stack in numpy by the same recipe.
const REFERENCE: [(&str, bool, f64); 3] = [
    ("ml-100k", true, 67.2),
    ("uci-online-retail", false, 59.7),
    ("completejourney", true, 49.5),
];

/// Complete Journey has fewer product types than this, and more products.
const TYPES_BELOW: usize = 2500;

/// In points.
const TOLERANCE: f64 = 1.5;
