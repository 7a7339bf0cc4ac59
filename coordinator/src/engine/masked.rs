//! Masked attempts: what shops say for them, the lists that are fixed, and the sum without its masks.

use souk_common::clock::Timestamp;
use souk_common::ids::{Digest, ShopName};
use souk_common::round::record::AttemptId;
use souk_common::secagg::{Advertisement, Confirmation, Context, Misfit, Revealed, Session, Shares, Terms};
use souk_common::wire::messages::{ErrorCode, Push, Reply, Signed};

use super::{Engine, EngineError, Output};
use crate::round::{Event, RestoredStep};
use crate::store::{Entry, MaskedList, Store, StoreError};

/// A shop's word for a masked attempt.
#[derive(Debug)]
pub enum MaskedWord {
    /// It accepts; with the key of the certificate that it came under.
    Keys([u8; 32], Signed<Advertisement>),
    /// Shares for its neighbours.
    Shares(AttemptId, Shares),
    /// It signs the survivors.
    Confirmation(Signed<Confirmation>),
    /// It helps to unmask.
    Revealed(AttemptId, Vec<Revealed>),
}

impl MaskedWord {
    fn id(&self) -> AttemptId {
        match self {
            Self::Keys(_, keys) => keys.body.context.id,
            Self::Shares(id, _) | Self::Revealed(id, _) => *id,
            Self::Confirmation(confirmation) => confirmation.body.id,
        }
    }
}

/// The open masked attempt.
pub(super) struct Masked {
    pub(super) terms: Terms,
    pub(super) session: Session,
    /// Whether the signatures on R3 were shown to the survivors.
    shown: bool,
}

impl Masked {
    pub(super) fn new(terms: Terms, context: Context) -> Self {
        Self {
            terms,
            session: Session::new(context),
            shown: false,
        }
    }

    /// The one that was open when the coordinator stopped, if its updates were already under way.
    pub(super) fn restored(
        store: &Store,
        terms: Terms,
        context: &Context,
    ) -> Result<Option<(Self, RestoredStep)>, StoreError> {
        let session = store
            .masked(context.id)?
            .filter(|session| session.context() == context);
        let Some(session) = session.map(|session| session.resumed(&terms)) else {
            return Ok(None);
        };
        let step = match (session.sharers(), session.survivors()) {
            (_, Some(survivors)) => RestoredStep::Survivors(session.names(survivors)),
            (Some(sharers), None) => RestoredStep::Sharers(session.names(sharers)),
            (None, None) => return Ok(None),
        };
        let shown = false;
        Ok(Some((
            Self {
                terms,
                session,
                shown,
            },
            step,
        )))
    }
}

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
        let taken = match self.masked.as_mut().filter(|_| open && invited) {
            None => Err(Misfit::Context),
            Some(masked) => take_in(masked, &shop, word),
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
        shops: Vec<ShopName>,
        outputs: &mut Vec<Output>,
    ) -> Result<(), EngineError> {
        let Some(masked) = &mut self.masked else {
            return Ok(());
        };
        masked.session.keep_only(&shops);
        let roster = masked.session.fix_roster(&masked.terms).clone();
        self.fix(now, MaskedList::Roster(roster.digest()), id)?;
        let push = Push::Roster { id, roster };
        let shops = Some(shops);
        outputs.push(Output::Push { shops, push });
        Ok(())
    }

    pub(super) fn fix_sharers(
        &mut self,
        now: Timestamp,
        id: AttemptId,
        outputs: &mut Vec<Output>,
    ) -> Result<(), EngineError> {
        let Some(masked) = &mut self.masked else {
            return Ok(());
        };
        let sharers = masked.session.fix_sharers();
        let digest = masked.session.sharers_digest();
        let shops = masked.session.names(&sharers);
        self.fix(now, MaskedList::Sharers(digest), id)?;
        outputs.extend(shops.iter().filter_map(|shop| self.sharers_push(shop)));
        Ok(())
    }

    pub(super) fn fix_survivors(
        &mut self,
        now: Timestamp,
        id: AttemptId,
        accepted: &[(ShopName, Digest)],
        outputs: &mut Vec<Output>,
    ) -> Result<(), EngineError> {
        let Some(masked) = &mut self.masked else {
            return Ok(());
        };
        let shops: Vec<ShopName> = accepted.iter().map(|(shop, _)| shop.clone()).collect();
        // The machine counts updates of sharers only.
        let survivors = masked
            .session
            .fix_survivors(&shops)
            .map_err(|_| StoreError::Damaged {
                key: format!("the masked {id}"),
            })?;
        let digest = masked.session.survivors_digest();
        self.fix(now, MaskedList::Survivors(digest), id)?;
        let push = Push::Survivors { id, survivors };
        let shops = Some(shops);
        outputs.push(Output::Push { shops, push });
        Ok(())
    }

    pub(super) fn show_confirmations(
        &mut self,
        id: AttemptId,
        shops: Vec<ShopName>,
        outputs: &mut Vec<Output>,
    ) {
        if let Some(masked) = &mut self.masked {
            masked.shown = true;
            let confirmed = masked.session.confirmations();
            let (shops, push) = (Some(shops), Push::Confirmed { id, confirmed });
            outputs.push(Output::Push { shops, push });
        }
    }

    /// Everything of the open attempt that concerns a shop which came back.
    pub(super) fn repeat(&self, id: AttemptId, shop: &ShopName, outputs: &mut Vec<Output>) {
        let Some(Masked { session, shown, .. }) = &self.masked else {
            return;
        };
        let push = match (session.roster(), session.sharers(), session.survivors()) {
            (_, _, Some(survivors)) => {
                let survivors = survivors.to_vec();
                Some(Push::Survivors { id, survivors })
            }
            (_, Some(_), None) => {
                outputs.extend(self.sharers_push(shop));
                None
            }
            (Some(roster), None, None) => {
                let roster = roster.clone();
                Some(Push::Roster { id, roster })
            }
            (None, None, None) => None,
        };
        let confirmed = shown.then(|| Push::Confirmed {
            id,
            confirmed: session.confirmations(),
        });
        outputs.extend(push.into_iter().chain(confirmed).map(|push| {
            let shops = Some(vec![shop.clone()]);
            Output::Push { shops, push }
        }));
    }

    fn sharers_push(&self, shop: &ShopName) -> Option<Output> {
        let session = &self.masked.as_ref()?.session;
        let push = Push::Sharers {
            id: session.context().id,
            sharers: session.sharers()?.to_vec(),
            shares: session.shares_for(shop),
        };
        let shops = Some(vec![shop.clone()]);
        Some(Output::Push { shops, push })
    }

    /// Makes a list durable before anybody is shown it.
    fn fix(&mut self, now: Timestamp, list: MaskedList, id: AttemptId) -> Result<(), EngineError> {
        let session = self.masked.as_ref().map(|masked| &masked.session);
        Ok(self.store.change(|change| {
            if let Some(session) = session {
                change.set_masked(id, session)?;
            }
            change.append(now, Entry::Masked { id, list }).map(|_| ())
        })?)
    }

    /// Takes the masks off the sum, if it has any.
    pub(super) fn unmask(&mut self) -> Result<(), Misfit> {
        match &self.masked {
            None => Ok(()),
            Some(masked) => self
                .aggregator
                .accumulator()
                .unmask(&masked.session, &masked.terms),
        }
    }
}

fn take_in(masked: &mut Masked, shop: &ShopName, word: MaskedWord) -> Result<Event, Misfit> {
    let (session, shop) = (&mut masked.session, shop.clone());
    Ok(match word {
        MaskedWord::Keys(identity, keys) => {
            let id = keys.body.context.id;
            session.advertise(&shop, &identity, keys)?;
            Event::Advertised { shop, id }
        }
        MaskedWord::Shares(id, shares) => {
            session.share(&shop, shares)?;
            Event::Shared { shop, id }
        }
        MaskedWord::Confirmation(confirmation) => {
            session.confirm(&shop, &confirmation)?;
            let id = confirmation.body.id;
            Event::Confirmed { shop, id }
        }
        MaskedWord::Revealed(id, shares) => {
            session.reveal(&shop, shares)?;
            let enough = session.can_unmask();
            Event::Revealed { shop, id, enough }
        }
    })
}
