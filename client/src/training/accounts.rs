//! The ledger in figures, and what the shop's rules have against the round that comes next.

use souk_common::accountant::{Composition, RELATION, UNIT};
use souk_common::chain::LogHead;
use souk_common::clock::Timestamp;
use souk_common::ids::{AttemptId, Digest};
use souk_common::params::Epsilon;
use souk_common::privacy::ledger::Observer;
use souk_common::round::statements::{Announcement, Manifest};

use super::{Attempts, DAY};
use crate::config::ShopConfig;
use crate::control::{Accounts, Budget, NextRound};
use crate::participate::Policy;
use crate::participate::refusals::refusals;
use crate::recommend::blobs::open_plan;
use crate::recommend::serving::PlanName;
use crate::store::blobs_of;

impl Accounts for Attempts {
    fn budget(&self, config: &ShopConfig, now: Timestamp) -> anyhow::Result<Budget> {
        let (ledger, delta) = (self.ledger(), config.policy.delta);
        let chain = ledger.chain();
        let epsilon = |composition: Composition| composition.epsilon(delta).map(Epsilon::get);
        let figure = |since| epsilon(chain.composition(since));
        let shared = chain.spends().any(|(_, spend)| spend.shared.is_some());
        let seen = |view| epsilon(chain.composition_as(view, None)).filter(|_| shared);
        Ok(Budget {
            epsilon: figure(None),
            delta: delta.get(),
            unit: UNIT.to_owned(),
            relation: RELATION.to_owned(),
            rounds_charged: chain.spends().count() as u64,
            charged_by_kind: Default::default(),
            model_hash: None,
            max_epsilon: config.policy.max_epsilon.get(),
            period_days: config.policy.period_days,
            epsilon_in_period: figure(period_start(config, now)),
            noise_is_shared: shared,
            epsilon_readers: seen(Observer::Readers),
            epsilon_if_alone: seen(Observer::Alone),
        })
    }

    fn next_round(&self, manifest: &Manifest, now: Timestamp) -> anyhow::Result<NextRound> {
        let (round, digest) = (manifest.id.round + 1, manifest.plan);
        let plan = open_plan(&self.folder, &blobs_of(manifest)[0])?;
        let name = PlanName {
            name: plan.name.clone(),
            digest,
        };
        let mut next = NextRound {
            plan: name,
            round,
            is_over: round > plan.rounds,
            refusals: Vec::new(),
        };
        if !next.is_over {
            let attempt = Announcement {
                id: AttemptId { round, attempt: 1 },
                plan: digest,
                catalogue: manifest.catalogue,
                model: manifest.model,
                deadline: now,
                // What is asked here rests on no record.
                log: LogHead {
                    length: 0,
                    head: Digest::ZERO,
                },
            };
            let config = ShopConfig::load(&self.folder)?;
            let found = refusals(&Policy::from(&config), &self.consider(&attempt, now));
            next.refusals = found.into_iter().map(|refusal| refusal.words).collect();
        }
        Ok(next)
    }
}

pub(super) fn period_start(config: &ShopConfig, now: Timestamp) -> Option<Timestamp> {
    config.policy.period_days.map(|days| now - DAY * days)
}
