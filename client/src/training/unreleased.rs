//! An update between its draw and its way to the coordinator: charged first, then finished.

use anyhow::{Context, ensure};
use souk_common::clock::Timestamp;
use souk_common::plan::Plan;
use souk_common::privacy::{Charged, Ledger, LedgerError, LedgerSink, Spend, UserSum};
use souk_common::rng::{Secret, Source};
use souk_common::round::statements::{Announcement, UploadHeader};
use souk_common::secagg::{Masks, UnmaskSecrets};
use souk_common::wire::update;

use crate::participate::{AttemptKey, Pending};

/// A draw for one attempt; nothing of it can leave before it was charged. `S` is where noise and draw came from: nothing of
/// a known seed is in what a shop takes, which is [`Secret`].
pub struct UnreleasedUpdate<S = Secret> {
    sum: UserSum<S>,
    spend: Spend,
    charged: Option<Charged>,
    masked: bool,
    told: Vec<String>,
}

impl<S: Source> UnreleasedUpdate<S> {
    /// Of what a round made for an announced attempt of `plan`; and what its owner is told.
    pub fn new(plan: &Plan, announcement: &Announcement, sum: UserSum<S>, told: Vec<String>) -> Self {
        Self {
            sum,
            spend: Spend::of_attempt(plan, announcement.plan, announcement.id),
            charged: None,
            masked: plan.masking.is_some(),
            told,
        }
    }

    /// What its owner should know: that changed files were read, or that they can't be; that the shop has outgrown its plan.
    pub fn told(&self) -> &[String] {
        &self.told
    }

    /// Charges `ledger` for it; durable when this returns.
    ///
    /// # Errors
    /// When the spend may not be durable.
    pub fn charge(
        &mut self,
        ledger: &mut Ledger<impl LedgerSink>,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        self.charged = Some(ledger.charge(self.spend.clone(), now)?);
        Ok(())
    }

    /// Its bytes, once it was charged; of a masked plan, under the masks.
    ///
    /// # Errors
    /// When it was not charged, or its masks are missing.
    pub fn finish(
        self,
        key: AttemptKey,
        masks: Option<(&UnmaskSecrets, Masks)>,
        due: Option<Timestamp>,
    ) -> anyhow::Result<(Pending, Vec<u8>)> {
        let charged = self.charged.context("the draw was not charged")?;
        ensure!(
            self.masked == masks.is_some(),
            "masks and plan do not belong together"
        );
        let (masking, masks) = masks.unzip();
        let finished = match masks {
            Some(masks) => self.sum.finish_masked(&charged, masks)?,
            None => self.sum.finish(&charged)?,
        };
        let bytes = update::encode(&finished);
        let header = UploadHeader::of(key.id, &bytes, charged.head());
        let binding = masking.map(UnmaskSecrets::binding);
        let pending = Pending {
            key,
            header,
            binding,
            due,
        };
        Ok((pending, bytes))
    }
}
