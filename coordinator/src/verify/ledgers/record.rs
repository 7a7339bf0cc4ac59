//! What the record says that a ledger is held against.

use std::collections::{BTreeMap, BTreeSet};

use souk_common::catalogue::Catalogue;
use souk_common::ids::{AttemptId, Digest, ShopName};
use souk_common::learned::Learner;
use souk_common::params::Delta;
use souk_common::plan::Plan;
use souk_common::privacy::Spend;
use souk_common::round::statements::{Announcement, Outcome, Receipt};

use crate::store::{Entry, Store, StoreError};

/// An attempt of a plan.
pub(super) type Key = (Digest, AttemptId);

/// What the record says of one.
pub(super) struct Attempt {
    /// What it costs a shop that sends an update; else why that can't be made out.
    pub(super) costs: Result<Spend, String>,
    /// Shops whose updates were counted.
    pub(super) counted: BTreeSet<ShopName>,
    /// How it ended, in words.
    pub(super) ended: String,
}

/// A receipt.
pub(super) struct Received {
    /// Its entry.
    pub(super) at: u64,
    /// For which attempt.
    pub(super) key: Key,
    pub(super) receipt: Receipt,
}

/// Attempts and receipts.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) attempts: BTreeMap<Key, Attempt>,
    pub(super) receipts: BTreeMap<ShopName, Vec<Received>>,
    /// Shops that a plan names or that enrolled.
    pub(super) shops: BTreeSet<ShopName>,
    /// The last plan's.
    pub(super) delta: Option<Delta>,
    open: Option<Key>,
    plan: Option<(Digest, Digest, Plan, Catalogue)>,
}

impl Facts {
    /// All of the record's.
    pub(super) fn of(store: &Store) -> Result<Self, StoreError> {
        let mut facts = Self::default();
        store.each_entry(|at, record| facts.take(store, at, record.entry))?;
        Ok(facts)
    }

    fn take(&mut self, store: &Store, at: u64, entry: Entry) {
        match entry {
            Entry::Announced(announced) => {
                self.ends("it was given up: another was announced before it ended");
                let costs = self.costs(store, &announced.body);
                let key = (announced.body.plan, announced.body.id);
                self.open = Some(key);
                let attempt = Attempt {
                    costs,
                    counted: BTreeSet::new(),
                    ended: "it is still open where the record ends".to_owned(),
                };
                self.attempts.insert(key, attempt);
            }
            Entry::Received(receipt) => {
                if let Some((plan, _)) = self.open {
                    let receipt = receipt.body;
                    let key = (plan, receipt.upload.id);
                    let received = self.receipts.entry(receipt.shop.clone()).or_default();
                    received.push(Received { at, key, receipt });
                }
            }
            Entry::Ended(outcome) => match outcome.body {
                Outcome::Published(manifest) => {
                    if let Some(attempt) = self.open.and_then(|key| self.attempts.get_mut(&key)) {
                        attempt.counted = manifest.updates.into_iter().map(|(shop, _)| shop).collect();
                    }
                    self.ends("it ended with a model");
                }
                Outcome::BelowQuorum { accepted, quorum } => {
                    self.ends(&format!("it ended below quorum, {accepted} of {quorum} updates"));
                }
                Outcome::NotUnmasked { survivors, revealed } => self.ends(&format!(
                    "its sum was not unmasked, {revealed} of {survivors} shops gave their shares"
                )),
            },
            Entry::Began(_) => self.ends("it was given up: another run began"),
            Entry::Enrolled(enrolled) => drop(self.shops.insert(enrolled.shop)),
            _ => {}
        }
    }

    fn ends(&mut self, how: &str) {
        if let Some(attempt) = self.open.take().and_then(|key| self.attempts.get_mut(&key)) {
            how.clone_into(&mut attempt.ended);
        }
    }

    /// What the plan and the round charge, after what was charged before by the announced releases.
    fn costs(&mut self, store: &Store, announced: &Announcement) -> Result<Spend, String> {
        let same = |(plan, catalogue, ..): &(Digest, Digest, Plan, Catalogue)| {
            (*plan, *catalogue) == (announced.plan, announced.catalogue)
        };
        if !self.plan.as_ref().is_some_and(same) {
            let read = |digest: &Digest| store.files().read(digest).map_err(|error| error.to_string());
            let plan = Plan::from_bytes(&read(&announced.plan)?).map_err(|error| error.to_string())?;
            let catalogue =
                Catalogue::from_bytes(&read(&announced.catalogue)?).map_err(|error| error.to_string())?;
            self.shops
                .extend(plan.shops.iter().map(|terms| terms.name.clone()));
            self.delta = Some(plan.privacy.delta);
            self.plan = Some((announced.plan, announced.catalogue, plan, catalogue));
        }
        let (_, _, plan, catalogue) = self.plan.as_ref().ok_or("its plan is not there")?;
        let learner = Learner::new(plan, catalogue);
        let learned = learner
            .known(|| -> Result<Vec<u8>, Unknown> {
                store
                    .files()
                    .read(&announced.model)
                    .map_err(|error| Unknown(error.to_string()))
            })
            .map_err(|Unknown(error)| format!("the release before it can't be read ({error})"))?;
        let (of_round, _) = learner
            .round(&learned, announced.id.round)
            .map_err(|error| error.to_string())?;
        Ok(Spend::of_attempt(&of_round, announced.plan, announced.id))
    }
}

struct Unknown(String);

impl From<souk_common::learned::LearnedError> for Unknown {
    fn from(error: souk_common::learned::LearnedError) -> Self {
        Self(error.to_string())
    }
}
