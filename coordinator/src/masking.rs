//! The coordinator's side of one masked attempt, without store or sockets: what shops say for it, the lists that are fixed,
//! and what shops are told of them.

use souk_common::crypto::sign::Signed;
use souk_common::ids::{AttemptId, Digest, ShopName};
use souk_common::secagg::{
    Advertisement, Binding, Confirmation, Context, MaskingParams, Misfit, Revealed, Session, Shares,
};
use souk_common::wire::messages::Push;

use crate::round::{Event, RestoredStep};
use crate::store::MaskedList;

/// A shop's word for a masked attempt.
#[derive(Clone, Debug)]
pub enum MaskedWord {
    /// It accepts; with the key of the certificate that it came under.
    Keys([u8; 32], Box<Signed<Advertisement>>),
    /// Shares for its neighbours.
    Shares(AttemptId, Shares),
    /// Whose shares, of those that were passed on to it, were bad.
    Checked(AttemptId, Vec<u32>),
    /// It signs the survivors.
    Confirmation(Signed<Confirmation>),
    /// It helps to unmask.
    Revealed(AttemptId, Vec<Revealed>),
}

impl MaskedWord {
    /// Which attempt it is for.
    pub fn id(&self) -> AttemptId {
        match self {
            Self::Keys(_, keys) => keys.body.context.id,
            Self::Shares(id, _) | Self::Checked(id, _) | Self::Revealed(id, _) => *id,
            Self::Confirmation(confirmation) => confirmation.body.id,
        }
    }
}

impl MaskedWord {
    /// Whether it is a signature on the survivors, or shares: words that may come when they are not needed any more.
    pub fn is_about_unmasking(&self) -> bool {
        matches!(self, Self::Confirmation(_) | Self::Revealed(..))
    }
}

/// What shops are to be told.
pub type Deliveries = Vec<(Vec<ShopName>, Push)>;

/// The open masked attempt.
#[derive(Debug)]
pub struct MaskedAttempt {
    terms: MaskingParams,
    session: Session,
    /// Whether shares were passed on, and R2 is not fixed yet.
    delivering: bool,
    /// Whether the signatures on R3 were shown to the survivors.
    shown: bool,
}

impl MaskedAttempt {
    /// A new one.
    pub fn new(terms: MaskingParams, context: Context) -> Self {
        Self {
            terms,
            session: Session::new(context),
            delivering: false,
            shown: false,
        }
    }

    /// One that was stored, if its updates were already under way, and the step it goes on from.
    ///
    /// `bindings` are the signatures that came with uploads since it was stored. None as well for one of the first rules:
    /// shops do not go on with it.
    pub fn restored(
        terms: MaskingParams,
        session: Session,
        bindings: Vec<(ShopName, Binding)>,
    ) -> Option<(Self, RestoredStep)> {
        if session.is_of_first_rules() {
            return None;
        }
        let mut session = session.resumed(&terms);
        let rostered = session.roster().map_or(0, souk_common::secagg::Roster::len);
        let step = match (session.sharers(), session.survivors()) {
            (_, Some(survivors)) => RestoredStep::Survivors(session.names(survivors)),
            (Some(sharers), None) => RestoredStep::Sharers {
                sharers: session.names(sharers),
                rostered,
            },
            (None, None) => return None,
        };
        for (shop, binding) in bindings {
            // Checked before it was stored; one that was damaged since is that of an update which can't be counted.
            session.bind(&shop, binding).ok()?;
        }
        let restored = Self {
            terms,
            session,
            delivering: false,
            shown: false,
        };
        Some((restored, step))
    }

    /// What is known of the attempt's masks.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The plan's numbers.
    pub fn terms(&self) -> &MaskingParams {
        &self.terms
    }

    /// Takes in a shop's word, and says what the round's machine has to hear of it.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn take_in(&mut self, shop: ShopName, word: MaskedWord) -> Result<Event, Misfit> {
        let (session, id) = (&mut self.session, word.id());
        if id != session.context().id {
            return Err(Misfit::Context);
        }
        Ok(match word {
            MaskedWord::Keys(identity, keys) => {
                session.advertise(&shop, &identity, *keys)?;
                Event::Advertised { shop, id }
            }
            MaskedWord::Shares(_, shares) => {
                session.share(&self.terms, &shop, shares)?;
                Event::Shared { shop, id }
            }
            MaskedWord::Checked(_, bad) => {
                session.check(&shop, bad)?;
                Event::Checked { shop, id }
            }
            MaskedWord::Confirmation(confirmation) => {
                session.confirm(&shop, &confirmation)?;
                Event::Confirmed { shop, id }
            }
            MaskedWord::Revealed(_, shares) => {
                session.reveal(&shop, shares)?;
                let enough = session.can_unmask();
                Event::Revealed { shop, id, enough }
            }
        })
    }

    /// Fixes R1 to these shops.
    pub fn fix_roster(&mut self, shops: &[ShopName]) -> (MaskedList, Deliveries) {
        self.session.keep_only(shops);
        let digest = self.session.fix_roster(&self.terms).digest();
        (MaskedList::Roster(digest), self.tell(shops))
    }

    /// Takes in the signature that comes with an update of this attempt.
    ///
    /// # Errors
    /// When it is not the shop's on this attempt's R2.
    pub fn bind(&mut self, shop: &ShopName, binding: Binding) -> Result<(), Misfit> {
        self.session.bind(shop, binding)
    }

    /// Passes the shares on that are here.
    pub fn deliver(&mut self) -> Deliveries {
        let makers = self.session.deliver();
        self.delivering = true;
        self.tell(&self.session.names(&makers))
    }

    /// Fixes R2 to all whose shares are good enough; those are its members.
    pub fn fix_sharers(&mut self) -> (Vec<ShopName>, MaskedList, Deliveries) {
        let sharers = self.session.fix_sharers(&self.terms);
        self.delivering = false;
        let names = self.session.names(&sharers);
        let told = self.tell(&names);
        (names, MaskedList::Sharers(self.session.sharers_digest()), told)
    }

    /// Fixes R3 to the shops whose updates are in the sum.
    ///
    /// # Errors
    /// When one of them is not in R2.
    pub fn fix_survivors(
        &mut self,
        accepted: &[(ShopName, Digest)],
    ) -> Result<(MaskedList, Deliveries), Misfit> {
        let shops: Vec<ShopName> = accepted.iter().map(|(shop, _)| shop.clone()).collect();
        self.session.fix_survivors(&shops)?;
        Ok((
            MaskedList::Survivors(self.session.survivors_digest()),
            self.tell(&shops),
        ))
    }

    /// Shows the signatures on R3.
    pub fn show_confirmations(&mut self, shops: &[ShopName]) -> Deliveries {
        self.shown = true;
        vec![(shops.to_vec(), self.confirmations())]
    }

    /// All that a shop which came back has to hear.
    pub fn repeat(&self, shop: &ShopName) -> Deliveries {
        let shops = std::slice::from_ref(shop);
        let mut told = self.tell(shops);
        if self.shown {
            told.push((shops.to_vec(), self.confirmations()));
        }
        told
    }

    /// The list that was fixed last.
    fn tell(&self, shops: &[ShopName]) -> Deliveries {
        let (session, id) = (&self.session, self.session.context().id);
        match (session.roster(), session.sharers(), session.survivors()) {
            (_, _, Some(survivors)) => {
                let push = Push::Survivors {
                    id,
                    survivors: survivors.to_vec(),
                    bindings: session.bindings(),
                };
                vec![(shops.to_vec(), push)]
            }
            (_, Some(sharers), None) => {
                let sharers = sharers.to_vec();
                vec![(shops.to_vec(), Push::Sharers { id, sharers })]
            }
            (Some(_), None, None) if self.delivering => {
                let push = |shop: &ShopName| Push::Delivered {
                    id,
                    shares: session.shares_for(shop),
                };
                shops
                    .iter()
                    .map(|shop| (vec![shop.clone()], push(shop)))
                    .collect()
            }
            (Some(roster), None, None) => {
                let roster = roster.clone();
                vec![(shops.to_vec(), Push::Roster { id, roster })]
            }
            (None, None, None) => Vec::new(),
        }
    }

    fn confirmations(&self) -> Push {
        Push::Confirmed {
            id: self.session.context().id,
            confirmed: self.session.confirmations(),
        }
    }
}
