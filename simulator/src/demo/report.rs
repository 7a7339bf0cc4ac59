//! What the demo prints at its end.

use std::fmt::Write;

use serde_json::{Value, json};
use souk_common::accountant::{Composition, SampledGaussian};
use souk_common::params::NoiseMultiplier;
use souk_common::plan::Plan;
use souk_common::privacy::SharedNoise;

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

    /// What sharing the noise under masks bought.
    fn masks(&self) -> String {
        let (Some(masking), Some(shared)) = (&self.plan.masking, SharedNoise::of(&self.plan)) else {
            return String::new();
        };
        let shops = self.plan.shops.len() as f64;
        let mut text = format!(
            "\nMasked: the coordinator saw only sums of at least {} shops, and the shops shared the noise ({} of {} shares \
             count, the others may collude).\n",
            masking.min_shops,
            shared.counted(),
            self.plan.shops.len()
        );
        let alike = self.scores.all.local_noise;
        let (ours, local) = (&self.scores.all.federated, alike.as_ref().map(percent));
        if let Some(local) = local {
            text += &format!(
                "  with local noise and the same epsilon: {local} in place of {} (simulated here, the same rounds)\n",
                percent(ours)
            );
        }
        // Local noise of this multiplier makes a sum as noisy as the masked one.
        let alike = self
            .plan
            .charged_noise_multiplier()
            .and_then(|noise| NoiseMultiplier::new(noise.get() / shared.counted().sqrt()).ok());
        if let Some(noise_multiplier) = alike {
            let mechanism = SampledGaussian {
                noise_multiplier,
                sampling_rate: self.plan.privacy.sampling_rate,
            };
            let epsilon = Composition::of(mechanism, self.plan.rounds).epsilon(self.plan.privacy.delta);
            text += &format!(
                "  with local noise and as little noise in the sum: epsilon {}\n",
                epsilon.map_or("without bound".to_owned(), |epsilon| format!(
                    "{:.2}",
                    epsilon.get()
                ))
            );
        }
        if let Some(shop) = self.records.shops.first()
            && let (Some(readers), Some(alone)) = (shop.budget.epsilon_readers, shop.budget.epsilon_if_alone)
        {
            text += &format!(
                "  against readers of the models: epsilon {readers:.2}; if all other shops were invented: {alone:.2}\n"
            );
        }
        if let Some(counted) = &self.records.status.quality
            && let (Some(rate), Some(stddev)) = (counted.hit_rate_at_10, counted.noise_stddev)
        {
            text += &format!(
                "  quality as the operator saw it, counted under masks: {:.1} % (noise: {:.1}) of drawn customers' newest \
                 purchases among the first ten of all {:.0} shops' products\n",
                100.0 * rate,
                100.0 * stddev,
                shops
            );
        }
        text
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
            "local_noise": self.local_noise,
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
