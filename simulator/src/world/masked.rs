//! Masked attempts: what shops and coordinator say to each other beside announcements, updates and receipts.

use anyhow::Context as _;
use souk_client::participate::{self, AttemptKey, MaskEffect, MaskEvent};
use souk_common::ids::ShopName;
use souk_common::secagg::Context;
use souk_common::wire::messages::Push;
use souk_coordinator::masking::{MaskedWord, Told};
use souk_coordinator::round;

use super::{Letter, World};

impl World {
    /// A shop's word arrives; the shop hears of it if it does not fit.
    pub(super) fn take_word(&mut self, from: usize, word: MaskedWord) -> anyhow::Result<()> {
        let name = self.shops[from].name.clone();
        let (id, too_late) = (word.id(), word.is_about_unmasking());
        if let Some(event) = self.operator.take_in(name.clone(), word) {
            return self.tell_coordinator(event);
        }
        if too_late {
            return Ok(());
        }
        let plan = self.operator.manifest().plan;
        let refused = MaskEvent::Refused(AttemptKey { plan, id });
        self.push(&name, participate::Event::Masked(refused));
        Ok(())
    }

    /// Carries out an effect of the coordinator's machine that concerns masks; the event that follows at once, if any.
    pub(super) fn serve_masked(&mut self, effect: round::Effect) -> anyhow::Result<Option<round::Event>> {
        let Some(masked) = self.operator.masked() else {
            return Ok(None);
        };
        let mut follows = None;
        let told = match effect {
            round::Effect::FixRoster { shops, .. } => masked.fix_roster(&shops).1,
            round::Effect::DeliverShares { .. } => masked.deliver(),
            round::Effect::FixSharers { id, least } => {
                let (sharers, _, told) = masked.fix_sharers();
                let enough = sharers.len() >= least;
                follows = Some(round::Event::SharersFixed { id, sharers });
                if enough { told } else { Told::new() }
            }
            round::Effect::FixSurvivors { accepted, .. } => masked.fix_survivors(&accepted)?.1,
            round::Effect::ShowConfirmations { shops, .. } => masked.show_confirmations(&shops),
            round::Effect::Repeat { shop, .. } => masked.repeat(&shop),
            _ => Told::new(),
        };
        for (shops, push) in told {
            let Some(event) = heard(push) else { continue };
            shops
                .iter()
                .for_each(|shop| self.push(shop, participate::Event::Masked(event.clone())));
        }
        Ok(follows)
    }

    /// Carries out an effect of a shop's machine that concerns masks; the event that follows at once, if any.
    pub(super) fn act_masked(
        &mut self,
        at: usize,
        effect: MaskEffect,
    ) -> anyhow::Result<Option<participate::Event>> {
        let (shop, now) = (&mut self.shops[at], self.now);
        let refused = |key| Ok(Some(participate::Event::Masked(MaskEvent::Refused(key))));
        let follows = |event| Ok(Some(participate::Event::Masked(event)));
        let word = match effect {
            MaskEffect::MakeKeys(announcement) => {
                let terms = self.plan.masking_params().context("a plan without masks")?;
                let context = Context {
                    id: announcement.id,
                    plan: announcement.plan,
                    model: announcement.model,
                };
                shop.make_keys(context, terms);
                return follows(MaskEvent::KeysReady(AttemptKey::from(&announcement)));
            }
            MaskEffect::Advertise(key) => match shop.advertisement(key) {
                Some(word) => word,
                None => return refused(key),
            },
            MaskEffect::Share { key, roster } => match shop.share(key, roster) {
                Some(shares) => MaskedWord::Shares(key.id, shares),
                None => return refused(key),
            },
            MaskEffect::Check { key, shares } => match shop.check(key, &shares) {
                Some(bad) => MaskedWord::Checked(key.id, bad),
                None => return refused(key),
            },
            MaskEffect::MakeMasks { key, sharers } => {
                return match shop.make_masks(key, sharers) {
                    true => follows(MaskEvent::MasksReady(key)),
                    false => refused(key),
                };
            }
            MaskEffect::StoreSurvivors {
                key,
                survivors,
                bindings,
            } => {
                return match shop.confirm(key, &survivors, &bindings) {
                    true => follows(MaskEvent::SurvivorsStored(key)),
                    false => refused(key),
                };
            }
            MaskEffect::Confirm(key) => match shop.confirmation(key) {
                Some(word) => MaskedWord::Confirmation(word),
                None => return refused(key),
            },
            MaskEffect::Reveal { key, confirmed } => match shop.reveal(key, &confirmed) {
                Some(shares) => MaskedWord::Revealed(key.id, shares),
                None => return refused(key),
            },
            MaskEffect::Erase(key) => {
                shop.erase(key);
                return Ok(None);
            }
        };
        if shop.connected {
            self.network.deliver(now, Letter::Word(at, Box::new(word)));
        }
        Ok(None)
    }
}

/// What a shop hears of the coordinator's lists.
fn heard(push: Push) -> Option<MaskEvent> {
    Some(match push {
        Push::Roster { id, roster } => MaskEvent::Rostered { id, roster },
        Push::Delivered { id, shares } => MaskEvent::SharesDelivered { id, shares },
        Push::Sharers { id, sharers } => MaskEvent::SharersFixed { id, sharers },
        Push::Survivors {
            id,
            survivors,
            bindings,
        } => MaskEvent::SurvivorsFixed {
            id,
            survivors,
            bindings,
        },
        Push::Confirmed { id, confirmed } => MaskEvent::ConfirmationsShown { id, confirmed },
        Push::Welcome { .. } | Push::Announce(_) | Push::Ended { .. } | Push::Finished => return None,
    })
}

/// Every shop of a simulation knows every other.
pub(crate) struct Everybody;

impl souk_common::secagg::KnownKeys for Everybody {
    fn knows(&self, _: &ShopName, _: &souk_common::ids::Digest) -> bool {
        true
    }

    fn least_shops(&self) -> usize {
        0
    }
}
