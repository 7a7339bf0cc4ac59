//! What is said of one run.

use serde::Serialize;
use souk_common::accountant::{RELATION, UNIT};
use souk_common::eval::Metrics;
use souk_common::ids::Digest;
use souk_common::plan::Plan;
use souk_common::update::Counts;

use super::once::Run;
use super::setting::Setting;
use crate::world::Outcome;
use crate::world::rounds::RoundLine;

/// For machines. Keys are never renamed: scripts read them.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    shops: usize,
    users: usize,
    rounds: u64,
    attempts_without_model: u64,
    updates: u64,
    upload_bytes: u64,
    virtual_seconds: f64,
    seconds: f64,
    model_hash: Digest,
    /// Null: nothing bounds it.
    epsilon: Option<f64>,
    delta: f64,
    unit: &'static str,
    relation: &'static str,
    /// Null where nothing was scored, which is said.
    leak_free: Option<Metrics>,
    full: Option<Metrics>,
    /// Quality counts of the last round, under noise; null in plans that do not count.
    quality: Option<Counts>,
    plan: &'a str,
    /// Of models or releases that shops fetched.
    download_bytes: u64,
    /// Shops whose updates were not counted because their lines were cut, over all attempts.
    dropped: u64,
    /// The same because they came too late.
    late: u64,
}

impl<'a> Report<'a> {
    pub(super) fn new(setting: &Setting, plan: &'a Plan, run: &Run, seconds: f64) -> Self {
        let outcome = &run.outcome;
        let all = |of: fn(&RoundLine) -> u64| run.lines.iter().map(of).sum();
        Self {
            shops: setting.known.shops,
            users: setting.known.dataset.len(),
            rounds: plan.rounds,
            attempts_without_model: outcome.abandoned,
            updates: outcome.updates,
            upload_bytes: outcome.bytes_up,
            virtual_seconds: outcome.virtual_secs,
            seconds,
            model_hash: Digest::of(&run.bytes),
            epsilon: outcome.epsilon.map(|epsilon| epsilon.get()),
            delta: plan.privacy.delta.get(),
            unit: UNIT,
            relation: RELATION,
            leak_free: run.quality.map(|quality| quality.leak_free),
            full: run.quality.map(|quality| quality.full),
            quality: outcome.counts,
            plan: &plan.name,
            download_bytes: all(|line| line.bytes_down),
            dropped: all(|line| line.dropped),
            late: all(|line| line.late),
        }
    }

    /// For people.
    pub(super) fn text(&self, outcome: &Outcome) -> String {
        let report = self;
        let epsilon = report.epsilon.map_or_else(
        || "no noise and no guarantee".to_owned(),
        |epsilon| {
            format!(
                "epsilon {} at delta {} for the shop that spent most (unit: {UNIT}; relation: {RELATION})",
                souk_common::params::rounded_up(epsilon, 3),
                report.delta
            )
        },
    );
        let counted = report.quality.and_then(|counts| counts.hit_rate()).map_or_else(String::new, |(rate, stddev)| {
        format!(
            "counted under masks: {:.1} % (noise: {:.1}) of drawn users' newest items among the first ten\n",
            100.0 * rate,
            100.0 * stddev
        )
    });
        let lists = match (report.leak_free, report.full) {
            (Some(leak_free), Some(full)) => format!(
                "HR@10/nDCG@10 {:.1}/{:.1} % against {} unseen items (B), {:.1}/{:.1} % against all unseen ones (C)",
                100.0 * leak_free.hit_rate,
                100.0 * leak_free.ndcg,
                leak_free.candidates.1,
                100.0 * full.hit_rate,
                100.0 * full.ndcg,
            ),
            _ => "what was published is not scored".to_owned(),
        };
        format!(
            "{} shops, {} users: {} rounds published, {} attempts without a model, {} updates counted\n\
             {epsilon}; {:.0} % of the users' updates were clipped\n\
             {:.1} MB sent by the shops, {:.1} MB fetched; {} updates lost with cut lines, {} too late; {:.0} s of virtual time, {:.1} s of \
             this machine's\n{lists}\n{counted}{} {}\n",
            report.shops,
            report.users,
            report.rounds,
            report.attempts_without_model,
            report.updates,
            100.0 * outcome.tally.clipped as f64 / outcome.tally.users.max(1) as f64,
            report.upload_bytes as f64 / 1e6,
            report.download_bytes as f64 / 1e6,
            report.dropped,
            report.late,
            report.virtual_seconds,
            report.seconds,
            if outcome.releases.is_some() {
                "releases"
            } else {
                "model"
            },
            report.model_hash,
        )
    }
}
