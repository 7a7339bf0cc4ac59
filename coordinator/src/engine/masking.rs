//! Masked attempts: lists become durable before anybody is shown them.

use souk_common::clock::Timestamp;
use souk_common::ids::{AttemptId, Digest, ShopName};
use souk_common::secagg::{Binding, Misfit};
use souk_common::wire::messages::{ErrorCode, Reply};

use super::{Engine, EngineError, Output};
use crate::masking::{Deliveries, MaskedWord};
use crate::round::Event;
use crate::store::{Entry, Fault, MaskedList, Named, StoreError};

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
        let invited = self.plan().terms_of(&shop).is_some();
        if !open && word.is_about_unmasking() {
            // Others' shares were enough, or the attempt has ended: it is not needed any more.
            let reply = Reply::Done;
            return Ok(vec![Output::Reply { shop, reply }]);
        }
        let mut named = Vec::new();
        let taken = match self.masked.as_mut().filter(|_| open && invited) {
            None => Err(Misfit::Context),
            Some(masked) => masked.take_in(shop.clone(), word),
        };
        let (reply, event) = match taken {
            Ok(event) => (Reply::Done, Some(event)),
            Err(misfit) => {
                if let Misfit::FalseShare { of } = &misfit {
                    let fault = Fault::FalseShare { of: of.clone() };
                    self.name(now, id, &shop, fault, &mut named)?;
                }
                tracing::info!(%shop, %id, %misfit, "a word for a masked attempt is not taken");
                let (code, detail) = (ErrorCode::BadRequest, misfit.to_string());
                (Reply::Error { code, detail }, None)
            }
        };
        let mut outputs = vec![Output::Reply { shop, reply }];
        outputs.extend(named);
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

    /// Whether an update may be taken in: under masks it comes with the shop's signature on R2.
    pub(super) fn is_bound(&mut self, id: AttemptId, shop: &ShopName, binding: Option<Binding>) -> bool {
        let open = self.machine.open().is_some_and(|(open, _)| open == id);
        // Once R3 is fixed nothing is added, signed or not: the machine says so.
        let masked = self
            .masked
            .as_mut()
            .filter(|masked| masked.session().survivors().is_none());
        match masked.filter(|_| open) {
            None => true,
            Some(masked) => binding.is_some_and(|binding| match masked.bind(shop, binding) {
                Ok(()) => true,
                // Others are refused by the machine, with its reason.
                Err(Misfit::Absent | Misfit::Late) => true,
                Err(misfit) => {
                    tracing::info!(%shop, %id, %misfit, "an update is not bound to this attempt's lists");
                    false
                }
            }),
        }
    }

    pub(super) fn deliver_shares(&mut self, outputs: &mut Vec<Output>) {
        if let Some(masked) = &mut self.masked {
            tell(masked.deliver(), outputs);
        }
    }

    pub(super) fn fix_sharers(
        &mut self,
        now: Timestamp,
        id: AttemptId,
        least: usize,
        outputs: &mut Vec<Output>,
    ) -> Result<Vec<ShopName>, EngineError> {
        let Some(masked) = &mut self.masked else {
            return Ok(Vec::new());
        };
        let (sharers, list, told) = masked.fix_sharers();
        for (shop, complaints) in masked.session().complained_of() {
            outputs.push(Output::Report(format!(
                "{id}: {shop} is left out before anything is charged: {complaints} shops say that the shares it sealed for them \
                 are bad (either it or they have a fault or lie; update their programs, or ask their owners)"
            )));
        }
        if sharers.len() >= least {
            self.fix(now, id, Some((list, told)), outputs)?;
        }
        Ok(sharers)
    }

    /// Notes that what a shop signed or showed proves that it lied: it takes part in nothing more until the operator lets
    /// it back. In the record before anything follows from it.
    pub(super) fn name(
        &mut self,
        now: Timestamp,
        id: AttemptId,
        shop: &ShopName,
        fault: Fault,
        outputs: &mut Vec<Output>,
    ) -> Result<(), EngineError> {
        let mut named = self.store.named()?;
        if named.contains_key(shop) {
            return Ok(());
        }
        outputs.push(Output::Report(format!(
            "{id}: {shop} {fault}. It is left out from now on; `souk-coordinator readmit {shop}` lets it back"
        )));
        named.insert(
            shop.clone(),
            Named {
                id,
                fault: fault.clone(),
            },
        );
        self.store.change(|change| {
            change.set_named(&named)?;
            let shop = shop.clone();
            change.append(now, Entry::Named { id, shop, fault }).map(|_| ())
        })?;
        let follows = self.handle(now, Event::Named(shop.clone()))?;
        outputs.extend(follows);
        Ok(())
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
        fixed: Option<(MaskedList, Deliveries)>,
        outputs: &mut Vec<Output>,
    ) -> Result<(), EngineError> {
        let Some(((list, told), masked)) = fixed.zip(self.masked.as_ref()) else {
            return Ok(());
        };
        self.store.change(|change| {
            change.set_masked(id, masked.session())?;
            if matches!(list, MaskedList::Survivors(_)) {
                // They stand in the session now.
                change.forget_bindings(id)?;
            }
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

fn tell(told: Deliveries, outputs: &mut Vec<Output>) {
    outputs.extend(told.into_iter().map(|(shops, push)| {
        let shops = Some(shops);
        Output::Push { shops, push }
    }));
}
