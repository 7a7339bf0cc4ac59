//! The coordinator's side of one masked attempt, without store or sockets: what shops say for it, the lists that are fixed,
//! and what shops are told of them.

use souk_common::ids::{Digest, ShopName};
use souk_common::round::record::AttemptId;
use souk_common::secagg::{Advertisement, Confirmation, Context, Misfit, Revealed, Session, Shares, Terms};
use souk_common::wire::messages::{Push, Signed};

use crate::round::{Event, RestoredStep};
use crate::store::MaskedList;

/// A shop's word for a masked attempt.
#[derive(Clone, Debug)]
pub enum MaskedWord {
    /// It accepts; with the key of the certificate that it came under.
    Keys([u8; 32], Box<Signed<Advertisement>>),
    /// Shares for its neighbours.
    Shares(AttemptId, Shares),
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
            Self::Shares(id, _) | Self::Revealed(id, _) => *id,
            Self::Confirmation(confirmation) => confirmation.body.id,
        }
    }
}

/// What shops are to be told.
pub type Told = Vec<(Vec<ShopName>, Push)>;

/// The open masked attempt.
#[derive(Debug)]
pub struct Masked {
    terms: Terms,
    session: Session,
    /// Whether the signatures on R3 were shown to the survivors.
    shown: bool,
}

impl Masked {
    /// A new one.
    pub fn new(terms: Terms, context: Context) -> Self {
        Self {
            terms,
            session: Session::new(context),
            shown: false,
        }
    }

    /// One that was stored, if its updates were already under way, and the step it goes on from.
    pub fn restored(terms: Terms, session: Session) -> Option<(Self, RestoredStep)> {
        let session = session.resumed(&terms);
        let step = match (session.sharers(), session.survivors()) {
            (_, Some(survivors)) => RestoredStep::Survivors(session.names(survivors)),
            (Some(sharers), None) => RestoredStep::Sharers(session.names(sharers)),
            (None, None) => return None,
        };
        let shown = false;
        Some((
            Self {
                terms,
                session,
                shown,
            },
            step,
        ))
    }

    /// What is known of the attempt's masks.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The plan's numbers.
    pub fn terms(&self) -> &Terms {
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
                session.share(&shop, shares)?;
                Event::Shared { shop, id }
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
    pub fn fix_roster(&mut self, shops: &[ShopName]) -> (MaskedList, Told) {
        self.session.keep_only(shops);
        let digest = self.session.fix_roster(&self.terms).digest();
        (MaskedList::Roster(digest), self.tell(shops))
    }

    /// Fixes R2 to all whose shares are here.
    pub fn fix_sharers(&mut self) -> (MaskedList, Told) {
        let sharers = self.session.fix_sharers();
        let told = self.tell(&self.session.names(&sharers));
        (MaskedList::Sharers(self.session.sharers_digest()), told)
    }

    /// Fixes R3 to the shops whose updates are in the sum.
    ///
    /// # Errors
    /// When one of them is not in R2.
    pub fn fix_survivors(&mut self, accepted: &[(ShopName, Digest)]) -> Result<(MaskedList, Told), Misfit> {
        let shops: Vec<ShopName> = accepted.iter().map(|(shop, _)| shop.clone()).collect();
        self.session.fix_survivors(&shops)?;
        Ok((
            MaskedList::Survivors(self.session.survivors_digest()),
            self.tell(&shops),
        ))
    }

    /// Shows the signatures on R3.
    pub fn show_confirmations(&mut self, shops: &[ShopName]) -> Told {
        self.shown = true;
        vec![(shops.to_vec(), self.confirmations())]
    }

    /// All that a shop which came back has to hear.
    pub fn repeat(&self, shop: &ShopName) -> Told {
        let shops = std::slice::from_ref(shop);
        let mut told = self.tell(shops);
        if self.shown {
            told.push((shops.to_vec(), self.confirmations()));
        }
        told
    }

    /// The list that was fixed last.
    fn tell(&self, shops: &[ShopName]) -> Told {
        let (session, id) = (&self.session, self.session.context().id);
        match (session.roster(), session.sharers(), session.survivors()) {
            (_, _, Some(survivors)) => {
                let survivors = survivors.to_vec();
                vec![(shops.to_vec(), Push::Survivors { id, survivors })]
            }
            (_, Some(sharers), None) => {
                let push = |shop: &ShopName| Push::Sharers {
                    id,
                    sharers: sharers.to_vec(),
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
