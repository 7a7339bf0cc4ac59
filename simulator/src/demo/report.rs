//! What the demo prints at its end.

use std::fmt::Write;

use serde_json::{Value, json};
use souk_common::round::plan::Plan;

use super::check::Records;
use super::score::{Quality, Scores, ShopScores};
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
}

impl Report {
    /// For people.
    pub(super) fn to_text(&self, secs: f64) -> String {
        let mut text =
            String::from("\nHit rate @ 10, the latest purchase among sampled(99) others, leak-free\n\n");
        let line = |text: &str| -> String { format!("{text}\n") };
        text += &line("  shop              users   federated   popularity   alone   alone (EASE)");
        for shop in self.scores.shops.iter().chain([&self.scores.all]) {
            text += &line(&format!(
                "  {:<16}{:>7}{:>11}{:>12}{:>9}{:>13}",
                shop.name,
                shop.users,
                percent(&shop.federated),
                percent(&shop.popularity),
                percent(&shop.local_only),
                percent(&shop.ease)
            ));
        }
        if let Some(central) = &self.scores.all.central {
            text += &line(&format!(
                "\n  all data in one place, no privacy: {}",
                percent(central)
            ));
        }
        text += &self.privacy();
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
                "rounds_charged": shop.budget.rounds_charged,
            })).collect::<Vec<_>>(),
            "bytes_received": self.records.status.bytes_received,
            "bytes_sent": self.records.status.bytes_sent,
            "training_seconds": self.trained_secs,
            "seconds": secs,
        })
    }

    fn privacy(&self) -> String {
        let mut text = format!(
            "\nPrivacy spent (noise multiplier {}, sampling rate {}, {} rounds)\n\n",
            self.plan
                .privacy
                .noise_multiplier
                .map_or("none".into(), |z| z.to_string()),
            self.plan.privacy.sampling_rate,
            self.plan.rounds
        );
        for shop in &self.records.shops {
            let epsilon = shop
                .recomputed
                .map_or("without bound".to_owned(), |epsilon| format!("{epsilon:.2}"));
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

/// A shop's share of the table, as JSON needs no more than the numbers.
impl serde::Serialize for ShopScores {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({
            "shop": self.name,
            "users": self.users,
            "federated": self.federated,
            "popularity": self.popularity,
            "local_only": self.local_only,
            "ease": self.ease,
            "central": self.central,
        })
        .serialize(serializer)
    }
}

fn percent(quality: &Quality) -> String {
    format!("{:.1} %", 100.0 * quality.hit_rate_at_10)
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
