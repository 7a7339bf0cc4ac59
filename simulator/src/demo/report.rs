//! What the demo prints at its end.

use std::fmt::Write;

use serde_json::{Value, json};
use souk_common::learned::Learner;
use souk_common::params::rounded_up;
use souk_common::plan::Plan;
use souk_common::privacy::SharedNoise;
use souk_common::training::phases::TrainingKind;

use super::check::Records;
use super::score::{Points, Scores};
use crate::check::Check;

/// Everything that the demo found.
pub(super) struct Report {
    pub(super) scores: Scores,
    pub(super) records: Records,
    pub(super) recommendations: String,
    pub(super) user: String,
    pub(super) trained_secs: f64,
    pub(super) checks: Option<Vec<Check>>,
    pub(super) plan: Plan,
    pub(super) learner: Learner,
}

impl Report {
    /// For people.
    pub(super) fn to_text(&self, secs: f64) -> String {
        let mut text = String::from(
            "\nHit rate @ 10 of the purchase that no shop has, among 99 others (leak-free, in expectation over the draw), in %\n\n\
             \x20 shop       customers   bestsellers    alone+   together            gain   by training   the shop's gate\n",
        );
        let signed = |points: &Points| format!("{:+.1} ± {:.1}", points.mean, points.standard_error);
        for shop in self.scores.shops.iter().chain([&self.scores.all]) {
            let gate = match shop.gate {
                Some(true) => "lets the others in",
                Some(false) => "keeps the others out",
                None => "",
            };
            let _ = writeln!(
                text,
                "  {:<9}{:>11}{:>14.1}{:>10.1}{:>11.1}{:>16}{:>14}   {gate}",
                shop.shop,
                shop.customers,
                shop.bestsellers,
                shop.alone.mean,
                shop.together.mean,
                signed(&shop.gain),
                shop.training.as_ref().map_or_else(String::new, signed),
            );
        }
        text += "\n  alone+: the best stack of recommenders of the shop's own data, which costs no privacy; together: the same with what all \
                 shops\n  released and trained. In each shop weights are fitted, and the gate decides, on other purchases than those measured here.\n";
        text += &self.privacy();
        text += &self.phases();
        text += &self.masks();
        text += &format!(
            "\nThe coordinator received {} and sent {} in {} rounds; training took {:.0} s, everything {secs:.0} s.\n",
            mebibytes(self.records.status.bytes_received),
            mebibytes(self.records.status.bytes_sent),
            self.records.status.rounds_published,
            self.trained_secs
        );
        let _ = write!(text, "\nFor customer {}:\n{}", self.user, self.recommendations);
        if let Some(checks) = &self.checks {
            text += "\nChecks\n";
            for check in checks {
                let mark = if check.ok { "ok  " } else { "FAIL" };
                let _ = writeln!(text, "  {mark} {}: {}", check.name, check.detail);
            }
        }
        text
    }

    /// For machines.
    pub(super) fn to_json(&self, secs: f64) -> Value {
        let checks = self.checks.as_deref().unwrap_or_default();
        json!({
            "ok": checks.iter().all(|check| check.ok),
            "checks": checks,
            "shops": self.scores.shops,
            "all": self.scores.all,
            "privacy": self.records.shops.iter().map(|shop| json!({
                "shop": shop.name,
                "epsilon": shop.recomputed,
                "delta": shop.budget.delta,
                "unit": shop.budget.unit,
                "relation": shop.budget.relation,
                "epsilon_readers": shop.budget.epsilon_readers,
                "epsilon_if_alone": shop.budget.epsilon_if_alone,
                "rounds_charged": shop.budget.rounds_charged,
            })).collect::<Vec<_>>(),
            "bytes_received": self.records.status.bytes_received,
            "bytes_sent": self.records.status.bytes_sent,
            "training_seconds": self.trained_secs,
            "seconds": secs,
        })
    }

    /// What each phase of the plan took of the budget, and to send.
    fn phases(&self) -> String {
        let mut text = String::from(
            "\nWhat it took\n\n  phase                    rounds   of the budget   a shop sends, a round\n",
        );
        let bytes = |round: u64| mebibytes(self.plan.update_bytes(self.learner.coordinates(round)));
        let mut line = |name: String, rounds: u64, share: f64, first: u64| {
            let _ = writeln!(
                text,
                "  {name:<25}{rounds:>6}{:>14.0} %{:>23}",
                100.0 * share,
                bytes(first)
            );
        };
        let mut round = 1;
        for release in &self.plan.release {
            line(
                format!("{:?}", release.kind).to_lowercase(),
                1,
                release.share,
                round,
            );
            round += 1;
        }
        for phase in &self.plan.training {
            let name = match phase.kind {
                TrainingKind::Model => "item embeddings",
                TrainingKind::Tower => "tower (MLP)",
                TrainingKind::Clicks => "ads clicked",
            };
            line(name.to_owned(), phase.rounds, phase.share, round);
            round += phase.rounds;
        }
        text
    }

    /// What sharing the noise under masks means.
    fn masks(&self) -> String {
        let (Some(masking), Some(shared)) = (&self.plan.masking, SharedNoise::of(&self.plan)) else {
            return String::new();
        };
        let mut text = format!(
            "\nMasked: the coordinator saw only sums of at least {} shops, and the shops shared the noise ({} of {} shares \
             count, the others may collude).\n",
            masking.min_shops,
            shared.counted(),
            self.plan.shops.len()
        );
        if let Some(shop) = self.records.shops.first()
            && let (Some(readers), Some(alone)) = (shop.budget.epsilon_readers, shop.budget.epsilon_if_alone)
        {
            text += &format!(
                "  against readers of the models: epsilon {}; if all other shops were invented: {}\n",
                rounded_up(readers, 2),
                rounded_up(alone, 2)
            );
        }
        text
    }

    fn privacy(&self) -> String {
        let mut text = format!(
            "\nPrivacy spent (noise multiplier {} for all {} rounds together, every customer in each)\n\n",
            self.plan
                .privacy
                .noise_multiplier
                .map_or("none".into(), |z| format!("{:.4}", z.get())),
            self.plan.rounds
        );
        for shop in &self.records.shops {
            let epsilon = shop
                .recomputed
                .map_or("without bound".to_owned(), |epsilon| rounded_up(epsilon, 2));
            let _ = writeln!(
                text,
                "  {:<16}epsilon {epsilon} at delta {:e}, unit: one {}, relation: {}",
                shop.name.as_str(),
                shop.budget.delta,
                shop.budget.unit,
                shop.budget.relation
            );
        }
        text
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
