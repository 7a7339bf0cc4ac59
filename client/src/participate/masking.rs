//! Masked attempts: keys with the acceptance, shares, masks, one signature on the survivors, shares that unmask.
//!
//! ```text
//!   accepted --> keys --> R1: shares --> others' shares: checked --> R2: masks --+
//!            \-> noise, draw, training ------------------------------------------+--> ledger --> outbox and secrets --> upload
//!                                     R3: list stored --> signature --> signatures of others: reveal --> erased
//! ```
//!
//! What the lists say is checked where the keys are (see [`crate::masking`]); here is what follows what. Lists pass through
//! unread.

use souk_common::ids::AttemptId;
use souk_common::round::statements::{Announcement, DeclineCode};
use souk_common::secagg::{Binding, Confirmed, DeliveredShare, Roster};

use super::events::Effect;
use super::machine::{Machine, Stage};
use super::memory::AttemptKey;

/// What happens to a shop in a masked attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum MaskEvent {
    /// What was asked by [`MaskEffect::MakeKeys`].
    KeysReady(AttemptKey),
    /// R1 is fixed.
    Rostered {
        /// Which attempt.
        id: AttemptId,
        /// R1.
        roster: Roster,
    },
    /// The shares that others sealed for this shop are here.
    SharesDelivered {
        /// Which attempt.
        id: AttemptId,
        /// By ascending makers.
        shares: Vec<DeliveredShare>,
    },
    /// R2 is fixed.
    SharersFixed {
        /// Which attempt.
        id: AttemptId,
        /// Places in R1.
        sharers: Vec<u32>,
    },
    /// What was asked by [`MaskEffect::MakeMasks`].
    MasksReady(AttemptKey),
    /// R3 is fixed.
    SurvivorsFixed {
        /// Which attempt.
        id: AttemptId,
        /// Places in R1.
        survivors: Vec<u32>,
        /// Their signatures on H2, in the same order.
        bindings: Vec<Binding>,
    },
    /// The list is durable: what was asked by [`MaskEffect::StoreSurvivors`].
    SurvivorsStored(AttemptKey),
    /// Others have signed R3.
    ConfirmationsShown {
        /// Which attempt.
        id: AttemptId,
        /// Their signatures.
        confirmed: Vec<Confirmed>,
    },
    /// A list was refused, keys or shares were not taken, or secrets are lost: this shop sits the rest of it out.
    Refused(AttemptKey),
}

/// What the driver has to do for a masked attempt. Each of them may be answered by [`MaskEvent::Refused`].
#[derive(Clone, Debug, PartialEq)]
pub enum MaskEffect {
    /// Make keys; answer by [`MaskEvent::KeysReady`].
    MakeKeys(Announcement),
    /// Send the keys: the acceptance. The same again if they were sent before.
    Advertise(AttemptKey),
    /// Make shares of the keys' secrets and send them. The same again if they were sent before.
    Share {
        /// Which attempt.
        key: AttemptKey,
        /// R1.
        roster: Roster,
    },
    /// Open the shares and say whose were bad. The same again if that was said before.
    Check {
        /// Which attempt.
        key: AttemptKey,
        /// What others sealed for this shop.
        shares: Vec<DeliveredShare>,
    },
    /// Make the masks and sign R2; answer by [`MaskEvent::MasksReady`].
    MakeMasks {
        /// Which attempt.
        key: AttemptKey,
        /// R2.
        sharers: Vec<u32>,
    },
    /// Sign the list and store, durably, that it is the one; answer by [`MaskEvent::SurvivorsStored`].
    StoreSurvivors {
        /// Which attempt.
        key: AttemptKey,
        /// R3.
        survivors: Vec<u32>,
        /// Their signatures on H2.
        bindings: Vec<Binding>,
    },
    /// Send the signature on the list that is stored.
    Confirm(AttemptKey),
    /// Reveal what the stored list calls for, if these signatures are enough.
    Reveal {
        /// Which attempt.
        key: AttemptKey,
        /// Signatures on R3.
        confirmed: Vec<Confirmed>,
    },
    /// Erase the attempt's secrets, durably.
    Erase(AttemptKey),
}

/// How far the masks of an attempt are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum MaskProgress {
    Begun,
    Advertised,
    Shared,
    Checked,
    Asked,
    Ready,
}

impl Machine {
    pub(super) fn handle_masked(&mut self, event: MaskEvent) -> Vec<Effect> {
        let effect = match event {
            MaskEvent::KeysReady(key) => match self.masks(|current| current == key) {
                Some((_, masks)) if *masks == MaskProgress::Begun => {
                    *masks = MaskProgress::Advertised;
                    MaskEffect::Advertise(key)
                }
                _ => return Vec::new(),
            },
            MaskEvent::Rostered { id, roster } => match self.masks(|current| current.id == id) {
                // Again only until others' are here: then they have arrived.
                Some((key, masks)) if matches!(masks, MaskProgress::Advertised | MaskProgress::Shared) => {
                    *masks = MaskProgress::Shared;
                    MaskEffect::Share { key, roster }
                }
                _ => return Vec::new(),
            },
            MaskEvent::SharesDelivered { id, shares } => match self.masks(|current| current.id == id) {
                Some((key, masks)) if matches!(masks, MaskProgress::Shared | MaskProgress::Checked) => {
                    *masks = MaskProgress::Checked;
                    MaskEffect::Check { key, shares }
                }
                _ => return Vec::new(),
            },
            MaskEvent::SharersFixed { id, sharers } => match self.masks(|current| current.id == id) {
                Some((key, masks)) if *masks == MaskProgress::Checked => {
                    *masks = MaskProgress::Asked;
                    MaskEffect::MakeMasks { key, sharers }
                }
                _ => return Vec::new(),
            },
            MaskEvent::MasksReady(key) => {
                return match self.masks(|current| current == key) {
                    Some((_, masks)) if *masks == MaskProgress::Asked => {
                        *masks = MaskProgress::Ready;
                        self.charge_if_ready(key)
                    }
                    _ => Vec::new(),
                };
            }
            MaskEvent::SurvivorsFixed {
                id,
                survivors,
                bindings,
            } => match self.stored(|stored| stored.id == id) {
                Some(key) => MaskEffect::StoreSurvivors {
                    key,
                    survivors,
                    bindings,
                },
                None => return Vec::new(),
            },
            MaskEvent::SurvivorsStored(key) => match self.stored(|stored| stored == key) {
                Some(key) => MaskEffect::Confirm(key),
                None => return Vec::new(),
            },
            MaskEvent::ConfirmationsShown { id, confirmed } => match self.stored(|stored| stored.id == id) {
                Some(key) => MaskEffect::Reveal { key, confirmed },
                None => return Vec::new(),
            },
            MaskEvent::Refused(key) => return self.handle_refused(key),
        };
        vec![Effect::Masked(effect)]
    }

    fn handle_refused(&mut self, key: AttemptKey) -> Vec<Effect> {
        let mut effects = self.erase_masking(|stored| stored == key);
        if self.current.take_if(|current| current.key() == key).is_some() {
            effects.push(Effect::Discard(key));
        }
        if !effects.is_empty() {
            effects.extend(self.decline(key, DeclineCode::ListRefused));
        }
        effects
    }

    /// Goes on to the charge once the update is computed and, under masks, these are made.
    pub(super) fn charge_if_ready(&mut self, key: AttemptKey) -> Vec<Effect> {
        let Some(current) = self.current.as_mut().filter(|current| current.key() == key) else {
            return Vec::new();
        };
        if !current.computed || current.masks.is_some_and(|masks| masks != MaskProgress::Ready) {
            return Vec::new();
        }
        match self.step(key, &Stage::Computing, Stage::Charging) {
            true => vec![Effect::RecordSpend(key)],
            false => Vec::new(),
        }
    }

    /// Erases the stored secrets, if they are of such an attempt.
    pub(super) fn erase_masking(&mut self, of: impl Fn(AttemptKey) -> bool) -> Vec<Effect> {
        let erased = self.memory.masking.take_if(|stored| of(*stored));
        erased
            .map(|key| Effect::Masked(MaskEffect::Erase(key)))
            .into_iter()
            .collect()
    }

    /// The answer to a repeated announcement of a masked attempt that was accepted.
    pub(super) fn advertise_again(&self, key: AttemptKey, masks: MaskProgress) -> Vec<Effect> {
        match masks {
            MaskProgress::Begun => Vec::new(),
            _ => vec![Effect::Masked(MaskEffect::Advertise(key))],
        }
    }

    fn masks(&mut self, of: impl Fn(AttemptKey) -> bool) -> Option<(AttemptKey, &mut MaskProgress)> {
        let current = self.current.as_mut().filter(|current| of(current.key()))?;
        let key = current.key();
        current.masks.as_mut().map(|masks| (key, masks))
    }

    fn stored(&self, of: impl Fn(AttemptKey) -> bool) -> Option<AttemptKey> {
        self.memory.masking.filter(|stored| of(*stored))
    }
}
