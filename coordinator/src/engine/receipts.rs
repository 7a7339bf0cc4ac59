//! Updates made durable, and the receipts signed for them.

use souk_common::clock::Timestamp;
use souk_common::ids::ShopName;
use souk_common::round::statements::{Receipt, UploadHeader};
use souk_common::wire::messages::Spent;

use super::{Engine, EngineError};
use crate::store::{Entry, StoreError};

impl Engine {
    /// Makes an arrived update durable and adds it to the sum; an error that only this update suffers from comes
    /// back as the value.
    pub(super) fn record(
        &mut self,
        now: Timestamp,
        shop: &ShopName,
        upload: &UploadHeader,
    ) -> Result<Option<StoreError>, EngineError> {
        let Some(staged) = self.staged.remove(shop) else {
            return Ok(Some(StoreError::Damaged {
                key: format!("the staged update of {shop}"),
            }));
        };
        let keep = self.settings.keep_parts > 0;
        let part = match staged.settle(self.store.private(), keep) {
            Ok(part) => part,
            Err(error) => return Ok(Some(error.into())),
        };
        let receipt = self.key.sign(Receipt {
            shop: shop.clone(),
            upload: *upload,
            stored_at: now,
            log: self.store.log_head(),
        });
        let binding = self
            .masked
            .as_ref()
            .and_then(|masked| masked.session().binding(shop));
        let spent = Spent {
            receipt: receipt.clone(),
            plan: self.run.plan,
        };
        let changes = |change: &mut crate::store::Change<'_>| {
            change.add_receipt(&receipt)?;
            change.add_spent(&spent)?;
            if let Some(binding) = binding {
                change.add_binding(upload.id, shop, binding)?;
            }
            change.append(now, Entry::Received(receipt.clone())).map(|_| ())
        };
        let stored = if keep {
            self.store.change(changes)
        } else {
            self.store.change_lazily(changes)
        };
        if let Err(error) = stored {
            return Ok(Some(error));
        }
        part.add_to(self.aggregator.accumulator(), self.store.private())?;
        if !keep {
            part.remove(self.store.private())?;
        }
        Ok(None)
    }
}
