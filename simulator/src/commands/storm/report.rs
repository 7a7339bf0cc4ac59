//! What many federations in storms came to, and how it is printed.

use std::collections::BTreeMap;

use serde::Serialize;
use souk_common::ids::{Digest, Digester};
use souk_common::terminal::say;

use crate::cluster::Outcome;

/// What all federations together came to.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) federations: u64,
    pub(super) rounds_each: u64,
    pub(super) attempts_published: u64,
    pub(super) attempts_without_model: u64,
    pub(super) receipts: u64,
    /// Plans of releases of which nothing was left before the last one.
    pub(super) budgets_spent: u64,
    pub(super) programs_ended_by_disk_errors: u64,
    pub(super) virtual_hours: f64,
    pub(super) went_wrong: BTreeMap<&'static str, u64>,
    pub(super) failures: Vec<Failure>,
    /// Of all that happened: the same whenever the same program blows the same seeds. None where entropy is not a seed's.
    pub(super) trace: Option<Digest>,
    #[serde(skip)]
    pub(super) traces: Digester,
}

#[derive(Debug, Serialize)]
pub(super) struct Failure {
    pub(super) seed: u64,
    pub(super) what: Vec<String>,
}

impl Report {
    pub(super) fn add(&mut self, seed: u64, outcome: Outcome) {
        self.attempts_published += outcome.published;
        self.attempts_without_model += outcome.abandoned;
        self.receipts += outcome.receipts;
        self.budgets_spent += u64::from(outcome.spent);
        self.programs_ended_by_disk_errors += outcome.ended_by_disk;
        self.virtual_hours += outcome.seconds / 3600.0;
        // A federation that panicked has none.
        if let Some(trace) = outcome.trace {
            self.traces.update(&trace.0);
        }
        for (name, times) in outcome.ops {
            *self.went_wrong.entry(name).or_default() += times;
        }
        if !outcome.faults.is_empty() {
            let what = outcome.faults;
            self.failures.push(Failure { seed, what });
        }
    }

    pub(super) fn close(&mut self) -> anyhow::Result<()> {
        self.trace = crate::cluster::entropy::is_decided()?.then(|| self.traces.finish());
        Ok(())
    }

    /// Share of all attempts that ended with a model.
    fn published_share(&self) -> f64 {
        let all = self.attempts_published + self.attempts_without_model;
        self.attempts_published as f64 / all.max(1) as f64
    }

    /// A storm in which hardly anything fails, or nothing succeeds, shows little.
    pub(super) fn is_stormy(&self) -> bool {
        (LEAST_PUBLISHED..=MOST_PUBLISHED).contains(&self.published_share())
    }

    /// `drawn`: what went wrong was drawn, and should be a storm.
    pub(super) fn print(&self, drawn: bool) -> std::io::Result<()> {
        say(&format!(
            "{} federations x {} rounds: {:.1} virtual hours, {} receipts",
            self.federations, self.rounds_each, self.virtual_hours, self.receipts
        ))?;
        let share = self.published_share() * 100.0;
        say(&format!(
            "attempts: {} with a model ({share:.1} %), {} without ({:.1} %); programs ended by disk errors: {}",
            self.attempts_published,
            self.attempts_without_model,
            100.0 - share,
            self.programs_ended_by_disk_errors
        ))?;
        if self.budgets_spent > 0 {
            say(&format!(
                "{} plans had nothing left before their last release",
                self.budgets_spent
            ))?;
        }
        for (name, times) in &self.went_wrong {
            say(&format!("  {name:<26} {times}"))?;
        }
        match self.trace {
            Some(trace) => say(&format!("trace {trace}"))?,
            None => {
                say("no trace: entropy is the operating system's here, and a failure may not come again")?
            }
        }
        for failure in &self.failures {
            say(&format!("FAILED seed {}:", failure.seed))?;
            for what in failure.what.iter().take(5) {
                say(&format!("  {what}"))?;
            }
        }
        if self.failures.is_empty() {
            say(
                "acknowledged updates lost: 0; ledgers under-counted: 0; divergent models: 0; secrets shown twice: 0; bare sums \
                 that could be computed: 0; hangs: 0",
            )?;
        }
        if drawn && !self.is_stormy() {
            say(&format!(
                "but this was no storm: at least {:.0} % of the attempts must publish and {:.0} % must not (--pause-ms)",
                LEAST_PUBLISHED * 100.0,
                (1.0 - MOST_PUBLISHED) * 100.0
            ))?;
        }
        Ok(())
    }
}

const LEAST_PUBLISHED: f64 = 0.6;
const MOST_PUBLISHED: f64 = 0.95;
