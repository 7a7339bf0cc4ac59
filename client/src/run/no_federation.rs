//! What there is of a shop that never joined a federation.

use souk_common::accountant::{RELATION, UNIT};
use souk_common::clock::Timestamp;
use souk_common::round::statements::Manifest;

use crate::config::ShopConfig;
use crate::control::{Accounts, Budget, NextRound};
use crate::folder::Folder;

/// Whether a folder is a shop's that never joined; one that has a ledger did, whatever it has lost since.
pub(crate) fn is_alone(folder: &Folder) -> bool {
    let never = [folder.membership(), folder.ledger()];
    folder.config().is_file() && never.iter().all(|file| !file.exists())
}

/// The ledger of a shop that never took part.
pub(super) struct NothingSpent;

impl Accounts for NothingSpent {
    fn budget(&self, config: &ShopConfig, _: Timestamp) -> anyhow::Result<Budget> {
        Ok(Budget {
            epsilon: Some(0.0),
            delta: config.policy.delta.get(),
            unit: UNIT.to_owned(),
            relation: RELATION.to_owned(),
            rounds_charged: 0,
            charged_by_kind: Default::default(),
            model_hash: None,
            max_epsilon: config.policy.max_epsilon.get(),
            period_days: config.policy.period_days,
            epsilon_in_period: Some(0.0),
            noise_is_shared: false,
            epsilon_readers: None,
            epsilon_if_alone: None,
        })
    }

    fn next_round(&self, _: &Manifest, _: Timestamp) -> anyhow::Result<NextRound> {
        anyhow::bail!("this shop is no member of a federation: no round comes next")
    }
}
