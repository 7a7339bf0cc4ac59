//! Masked attempts: keys and secrets that the machine's effects are carried out with.

use anyhow::Context as _;
use souk_common::crypto::sign::{Signed, SigningKey};
use souk_common::ids::ShopName;
use souk_common::round::statements::Announcement;
use souk_common::secagg::{
    Binding, Confirmation, Confirmed, DeliveredShare, Masks as Cover, Roster, UnmaskSecrets,
};
use souk_common::wire::messages::Request;

use super::{Agent, Holdings};
use crate::link::requests::Outgoing;
use crate::masking::AttemptKeys;
use crate::participate::{AttemptKey, Event, MaskEffect, MaskEvent};
use crate::store::Store;

/// What the agent holds of a masked attempt.
pub(super) struct MaskState {
    shop: ShopName,
    identity: SigningKey,
    masker: Option<AttemptKeys>,
    /// As it is stored.
    masking: Option<UnmaskSecrets>,
    confirmation: Option<Signed<Confirmation>>,
}

impl MaskState {
    pub(super) fn new(shop: ShopName, identity: SigningKey, masking: Option<UnmaskSecrets>) -> Self {
        Self {
            shop,
            identity,
            masker: None,
            masking,
            confirmation: None,
        }
    }

    /// Forgets the keys of an attempt whose update won't be sent.
    pub(super) fn discard(&mut self, key: AttemptKey) {
        self.masker.take_if(|masker| masker.key() == key);
    }

    /// The masks of an attempt, and what it takes to take them off again; once.
    pub(super) fn take(&mut self, key: AttemptKey) -> Option<(UnmaskSecrets, Cover)> {
        self.masker.take_if(|masker| masker.key() == key)?.take()
    }

    /// Notes what was stored with the update.
    pub(super) fn keep(&mut self, masking: Option<UnmaskSecrets>) {
        self.masking = masking;
    }

    fn masker(&mut self, key: AttemptKey) -> anyhow::Result<&mut AttemptKeys> {
        Ok(self.masker_and_key(key)?.0)
    }

    /// With the shop's long-term key.
    fn masker_and_key(&mut self, key: AttemptKey) -> anyhow::Result<(&mut AttemptKeys, &SigningKey)> {
        let masker = self.masker.as_mut().filter(|masker| masker.key() == key);
        let masker = masker.context("this program has no keys for the attempt (any more)")?;
        Ok((masker, &self.identity))
    }

    fn mask(&mut self, key: AttemptKey, sharers: Vec<u32>) -> anyhow::Result<()> {
        let (masker, identity) = self.masker_and_key(key)?;
        Ok(masker.mask(sharers, identity)?)
    }

    fn masking(&mut self, key: AttemptKey) -> Option<&mut UnmaskSecrets> {
        self.masking.as_mut().filter(|masking| is_of(masking, key))
    }
}

fn is_of(masking: &UnmaskSecrets, key: AttemptKey) -> bool {
    let context = masking.context();
    (context.plan, context.id) == (key.plan, key.id)
}

impl<H: Holdings> Agent<H> {
    /// Carries out an effect; a failure is told and ends the shop's part in the attempt.
    pub(super) fn carry_out_masked(&mut self, effect: MaskEffect) -> anyhow::Result<Option<Event>> {
        let (key, done) = match effect {
            MaskEffect::MakeKeys(announcement) => {
                (AttemptKey::from(&announcement), self.make_keys(&announcement))
            }
            MaskEffect::Advertise(key) => (key, self.advertise(key)),
            MaskEffect::Share { key, roster } => (key, self.share(key, roster)),
            MaskEffect::Check { key, shares } => (key, self.check(key, &shares)),
            MaskEffect::MakeMasks { key, sharers } => {
                let made = self.masks.mask(key, sharers);
                (key, made.map(|()| Some(MaskEvent::MasksReady(key))))
            }
            MaskEffect::StoreSurvivors {
                key,
                survivors,
                bindings,
            } => (key, self.store_survivors(key, &survivors, &bindings)),
            MaskEffect::Confirm(key) => (key, self.confirm(key)),
            MaskEffect::Reveal { key, confirmed } => (key, self.reveal(key, &confirmed)),
            MaskEffect::Erase(key) => {
                if self
                    .masks
                    .masking
                    .take_if(|masking| is_of(masking, key))
                    .is_some()
                {
                    self.masks.confirmation = None;
                    self.keep(Store::erase_masking)?;
                }
                return Ok(None);
            }
        };
        Ok(match done {
            Ok(event) => event.map(Event::Masked),
            Err(error) => Some(self.refuse(key, &format!("{error:#}"))),
        })
    }

    /// Tells the owner why this shop takes no further part.
    pub(super) fn refuse(&mut self, key: AttemptKey, reason: &str) -> Event {
        self.tell(format!("{}: {reason}", key.id));
        Event::Masked(MaskEvent::Refused(key))
    }

    fn make_keys(&mut self, announcement: &Announcement) -> anyhow::Result<Option<MaskEvent>> {
        let masks = &mut self.masks;
        let masker = self
            .holdings
            .make_keys(announcement, &masks.shop, &masks.identity)?;
        let key = masker.key();
        masks.masker = Some(masker);
        Ok(Some(MaskEvent::KeysReady(key)))
    }

    fn advertise(&mut self, key: AttemptKey) -> anyhow::Result<Option<MaskEvent>> {
        let keys = self.masks.masker(key)?.advertisement().clone();
        self.say(Outgoing::Word(key, Box::new(Request::Advertise(keys))));
        Ok(None)
    }

    fn share(&mut self, key: AttemptKey, roster: Roster) -> anyhow::Result<Option<MaskEvent>> {
        let (masker, identity) = self.masks.masker_and_key(key)?;
        let first = !masker.has_shared();
        let (changed, shares) = self.holdings.share(masker, roster, identity)?;
        if first && !changed.is_empty() {
            self.tell(format!(
                "{}: CHANGED since you confirmed it, so that it does not count: the key of {}; look at `souk-client shops`",
                key.id,
                listed(&changed)
            ));
        }
        let word = Request::Share {
            id: key.id,
            shares: shares?,
        };
        self.say(Outgoing::Word(key, Box::new(word)));
        Ok(None)
    }

    fn check(&mut self, key: AttemptKey, shares: &[DeliveredShare]) -> anyhow::Result<Option<MaskEvent>> {
        let bad = self.masks.masker(key)?.check(shares)?;
        if !bad.is_empty() {
            self.tell(format!(
                "{}: the shares that {} shops sealed for this one are bad; the coordinator is told, and leaves a shop out if \
                 several say so of it",
                key.id,
                bad.len()
            ));
        }
        let word = Request::Checked { id: key.id, bad };
        self.say(Outgoing::Word(key, Box::new(word)));
        Ok(None)
    }

    fn store_survivors(
        &mut self,
        key: AttemptKey,
        survivors: &[u32],
        bindings: &[Binding],
    ) -> anyhow::Result<Option<MaskEvent>> {
        let Some(mut masking) = self.masks.masking(key).cloned() else {
            return Ok(None);
        };
        let signed = masking.confirm(survivors, bindings, &self.masks.identity)?;
        self.keep(|store| store.store_masking(&masking))?;
        (self.masks.masking, self.masks.confirmation) = (Some(masking), Some(signed));
        Ok(Some(MaskEvent::SurvivorsStored(key)))
    }

    fn confirm(&mut self, key: AttemptKey) -> anyhow::Result<Option<MaskEvent>> {
        let signed = self.masks.confirmation.as_ref();
        if let Some(signed) = signed.filter(|signed| signed.body.id == key.id) {
            let word = Request::Confirm(signed.clone());
            self.say(Outgoing::Word(key, Box::new(word)));
        }
        Ok(None)
    }

    fn reveal(&mut self, key: AttemptKey, confirmed: &[Confirmed]) -> anyhow::Result<Option<MaskEvent>> {
        if let Some(masking) = self.masks.masking(key) {
            let shares = masking.reveal(confirmed)?;
            self.say(Outgoing::Word(
                key,
                Box::new(Request::Reveal { id: key.id, shares }),
            ));
        }
        Ok(None)
    }
}

/// The line about shops of a masked plan that the owner has not confirmed; none if there are none.
pub(crate) fn about_strangers(announcement: &Announcement, strangers: &[ShopName]) -> Option<String> {
    (!strangers.is_empty()).then(|| {
        format!(
            "{}: the plan has shops whose key you have not confirmed, which count for nothing in its sums: {}; look at \
             `souk-client shops`",
            announcement.id,
            listed(strangers)
        )
    })
}

/// Names, the first few.
fn listed(names: &[ShopName]) -> String {
    let shown: Vec<&str> = names.iter().take(MOST_LISTED).map(ShopName::as_str).collect();
    let more = names.len() - shown.len();
    match more {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

const MOST_LISTED: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_of_names_are_cut() {
        let names: Vec<ShopName> = (0..10).map(|at| format!("s{at}").parse().unwrap()).collect();
        assert_eq!(listed(&names[..2]), "s0, s1");
        assert!(listed(&names).ends_with("s7 and 2 more"), "{}", listed(&names));
    }
}
