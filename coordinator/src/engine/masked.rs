//! Masked attempts: lists become durable before anybody is shown them.

use souk_common::clock::Timestamp;
use souk_common::ids::{Digest, ShopName};
use souk_common::round::record::AttemptId;
use souk_common::secagg::Misfit;
use souk_common::wire::messages::{ErrorCode, Reply};

use super::{Engine, EngineError, Output};
use crate::masked::{MaskedWord, Told};
use crate::store::{Entry, MaskedList, StoreError};

impl Engine {
    /// Takes in a shop's word for the open masked attempt; the answer to it is among the outputs.
    ///
    /// # Errors
    /// As [`Self::handle`].
    pub fn masked(
        &mut self,
        now: Timestamp,
        shop: ShopName,
        word: MaskedWord,
    ) -> Result<Vec<Output>, EngineError> {
        let id = word.id();
        let open = self.machine.open().is_some_and(|(open, _)| open == id);
        let invited = self.plan.terms_of(&shop).is_some();
        if !open && word.is_about_unmasking() {
            // Others' shares were enough, or the attempt has ended: it is not needed any more.
            let reply = Reply::Done;
            return Ok(vec![Output::Reply { shop, reply }]);
        }
        let taken = match self.masked.as_mut().filter(|_| open && invited) {
            None => Err(Misfit::Context),
            Some(masked) => masked.take_in(shop.clone(), word),
        };
        let (reply, event) = match taken {
            Ok(event) => (Reply::Done, Some(event)),
            Err(misfit) => {
                tracing::info!(%shop, %id, %misfit, "a word for a masked attempt is not taken");
                let (code, detail) = (ErrorCode::BadRequest, misfit.to_string());
                (Reply::Error { code, detail }, None)
            }
        };
        let mut outputs = vec![Output::Reply { shop, reply }];
        if let Some(event) = event {
            outputs.extend(self.handle(now, event)?);
        }
        Ok(outputs)
    }

    pub(super) fn fix_roster(
        &mut self,
        now: Timestamp,
        id: AttemptId,
        shops: &[ShopName],
        outputs: &mut Vec<Output>,
    ) -> Result<(), EngineError> {
        let fixed = self.masked.as_mut().map(|masked| masked.fix_roster(shops));
        self.fix(now, id, fixed, outputs)
    }

    pub(super) fn fix_sharers(
        &mut self,
        now: Timestamp,
        id: AttemptId,
        outputs: &mut Vec<Output>,
    ) -> Result<(), EngineError> {
        let fixed = self.masked.as_mut().map(crate::masked::Masked::fix_sharers);
        self.fix(now, id, fixed, outputs)
    }

    pub(super) fn fix_survivors(
        &mut self,
        now: Timestamp,
        id: AttemptId,
        accepted: &[(ShopName, Digest)],
        outputs: &mut Vec<Output>,
    ) -> Result<(), EngineError> {
        let fixed = self
            .masked
            .as_mut()
            .map(|masked| masked.fix_survivors(accepted))
            .transpose();
        // The machine counts updates of sharers only.
        let fixed = fixed.map_err(|_| StoreError::Damaged {
            key: format!("the masked {id}"),
        })?;
        self.fix(now, id, fixed, outputs)
    }

    fn fix(
        &mut self,
        now: Timestamp,
        id: AttemptId,
        fixed: Option<(MaskedList, Told)>,
        outputs: &mut Vec<Output>,
    ) -> Result<(), EngineError> {
        let Some(((list, told), masked)) = fixed.zip(self.masked.as_ref()) else {
            return Ok(());
        };
        self.store.change(|change| {
            change.set_masked(id, masked.session())?;
            change.append(now, Entry::Masked { id, list }).map(|_| ())
        })?;
        tell(told, outputs);
        Ok(())
    }

    pub(super) fn show_confirmations(&mut self, shops: &[ShopName], outputs: &mut Vec<Output>) {
        if let Some(masked) = &mut self.masked {
            tell(masked.show_confirmations(shops), outputs);
        }
    }

    pub(super) fn repeat(&self, shop: &ShopName, outputs: &mut Vec<Output>) {
        if let Some(masked) = &self.masked {
            tell(masked.repeat(shop), outputs);
        }
    }
}

fn tell(told: Told, outputs: &mut Vec<Output>) {
    outputs.extend(told.into_iter().map(|(shops, push)| {
        let shops = Some(shops);
        Output::Push { shops, push }
    }));
}
