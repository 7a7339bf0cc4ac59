//! What disk, driver and coordinator have of a masked attempt, and what must hold of it at every moment.

use std::collections::BTreeSet;

use proptest::prelude::*;
use souk_common::secagg::Roster;

use super::world::World;
use crate::participate::*;

/// What the coordinator says. A lying one says two lists.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Said {
    Roster,
    Delivered,
    Sharers,
    Survivors { other: bool },
    Confirmed,
}

pub(crate) fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        Just(Said::Roster),
        Just(Said::Delivered),
        Just(Said::Sharers),
        any::<bool>().prop_map(|other| Said::Survivors { other }),
        Just(Said::Confirmed),
    ]
}

/// The keys in the driver's memory; a crash takes them.
#[derive(Clone, Copy, Debug)]
struct Keys {
    key: AttemptKey,
    number: u64,
    masked: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Lists {
    keys: Option<Keys>,
    made: u64,
    /// The list that is stored with the secrets of `disk.masking`.
    stored: Option<Vec<u32>>,
    /// Attempts whose update was put in the outbox under masks.
    pub(crate) boxed: BTreeSet<AttemptKey>,
    /// Signatures that left.
    pub(crate) signed: BTreeSet<(AttemptKey, Vec<u32>)>,
    /// Of the open attempt, at the coordinator: which keys, and what else of this shop's.
    advertised: Option<u64>,
    shared: bool,
    checked: bool,
    confirmed: bool,
    pub(crate) revealed: bool,
}

impl Lists {
    pub(crate) fn open_anew(&mut self) {
        (self.advertised, self.shared, self.checked) = (None, false, false);
        (self.confirmed, self.revealed) = (false, false);
    }

    pub(crate) fn forget_keys(&mut self) {
        self.keys = None;
    }

    pub(crate) fn discard(&mut self, key: AttemptKey) {
        self.keys.take_if(|keys| keys.key == key);
    }

    fn keys(&mut self, key: AttemptKey) -> Option<&mut Keys> {
        self.keys.as_mut().filter(|keys| keys.key == key)
    }
}

impl World {
    /// What must hold when the machine asks for it.
    pub(crate) fn check(&mut self, effect: &Effect) {
        match effect {
            Effect::RecordSpend(key) | Effect::PutInOutbox(key) if self.masked.contains(key) => {
                let made = self.lists.keys(*key).is_some_and(|keys| keys.masked);
                assert!(made, "charged before the masks were made");
            }
            Effect::Answer(key, souk_common::round::statements::Decision::Accept) => {
                assert!(
                    !self.masked.contains(key),
                    "keys are the acceptance of a masked plan"
                );
            }
            Effect::Masked(MaskEffect::Confirm(key) | MaskEffect::Reveal { key, .. }) => {
                assert_eq!(
                    self.disk.masking,
                    Some(*key),
                    "answered from nothing that is stored"
                );
            }
            _ => {}
        }
    }

    pub(crate) fn say(&mut self, said: Said) {
        let Some(id) = self.open.as_ref().map(|open| open.id) else {
            return;
        };
        self.give(Event::Masked(match said {
            Said::Roster => MaskEvent::Rostered {
                id,
                roster: Roster(Vec::new()),
            },
            Said::Delivered => MaskEvent::SharesDelivered {
                id,
                shares: Vec::new(),
            },
            Said::Sharers => MaskEvent::SharersFixed {
                id,
                sharers: vec![0, 1, 2],
            },
            Said::Survivors { other } => MaskEvent::SurvivorsFixed {
                id,
                survivors: if other { vec![0, 1] } else { vec![0, 1, 2] },
                bindings: Vec::new(),
            },
            Said::Confirmed => MaskEvent::ConfirmationsShown {
                id,
                confirmed: Vec::new(),
            },
        }));
    }

    /// The honest coordinator's next word.
    pub(crate) fn go_on(&mut self) {
        let lists = &self.lists;
        let Some(id) = self
            .open
            .as_ref()
            .map(|open| open.id)
            .filter(|_| lists.advertised.is_some())
        else {
            return;
        };
        let received = self.received.contains_key(&id);
        let next = match (lists.shared, received, lists.confirmed, lists.revealed) {
            (_, _, _, true) => return,
            (false, ..) => Said::Roster,
            (true, false, ..) if !lists.checked => Said::Delivered,
            (true, false, ..) => Said::Sharers,
            (true, true, false, _) => Said::Survivors { other: false },
            (true, true, true, false) => Said::Confirmed,
        };
        self.say(next);
    }

    /// Stores the secrets with a masked update; false without masks.
    pub(crate) fn box_masking(&mut self, key: AttemptKey) -> bool {
        if !self.masked.contains(&key) {
            return true;
        }
        let masked = self.lists.keys(key).is_some_and(|keys| keys.masked);
        self.lists.discard(key);
        if masked {
            (self.disk.masking, self.lists.stored) = (Some(key), None);
            assert!(self.lists.boxed.insert(key), "{key:?} was masked twice");
        }
        masked
    }

    pub(crate) fn erase(&mut self, key: AttemptKey) {
        if self.disk.masking.take_if(|stored| *stored == key).is_some() {
            self.lists.stored = None;
        }
    }

    pub(crate) fn carry_out_masked(&mut self, effect: MaskEffect) {
        let open = self.open.as_ref().map(AttemptKey::from);
        let follows = match effect {
            MaskEffect::MakeKeys(announcement) => {
                let key = AttemptKey::from(&announcement);
                self.lists.made += 1;
                let number = self.lists.made;
                self.lists.keys = Some(Keys {
                    key,
                    number,
                    masked: false,
                });
                Some(MaskEvent::KeysReady(key))
            }
            MaskEffect::Advertise(key) => match self.lists.keys(key).map(|keys| keys.number) {
                Some(number) if open == Some(key) => {
                    let first = *self.lists.advertised.get_or_insert(number);
                    (first != number).then_some(MaskEvent::Refused(key))
                }
                _ => Some(MaskEvent::Refused(key)),
            },
            MaskEffect::Share { key, .. } => match self.lists.keys(key).map(|keys| keys.number) {
                // The coordinator takes no shares of keys that it was not shown.
                Some(number) if open == Some(key) && self.lists.advertised == Some(number) => {
                    self.lists.shared = true;
                    None
                }
                _ => Some(MaskEvent::Refused(key)),
            },
            MaskEffect::Check { key, .. } => match self.lists.keys(key) {
                Some(_) if open == Some(key) => {
                    self.lists.checked = true;
                    None
                }
                _ => Some(MaskEvent::Refused(key)),
            },
            MaskEffect::MakeMasks { key, .. } => Some(match self.lists.keys(key) {
                Some(keys) => {
                    assert!(!std::mem::replace(&mut keys.masked, true), "masked twice");
                    MaskEvent::MasksReady(key)
                }
                None => MaskEvent::Refused(key),
            }),
            MaskEffect::StoreSurvivors { key, survivors, .. } if self.disk.masking == Some(key) => {
                let stored = self.lists.stored.get_or_insert_with(|| survivors.clone());
                Some(match *stored == survivors {
                    true => MaskEvent::SurvivorsStored(key),
                    false => MaskEvent::Refused(key),
                })
            }
            MaskEffect::Confirm(key) if self.disk.masking == Some(key) => {
                let list = self.lists.stored.clone().expect("stored before it is signed");
                self.lists.signed.insert((key, list));
                let lists = self.lists.signed.iter().filter(|(signed, _)| *signed == key);
                assert_eq!(lists.count(), 1, "two lists were answered");
                self.lists.confirmed |= open == Some(key);
                None
            }
            MaskEffect::Reveal { key, .. } if self.disk.masking == Some(key) => {
                // The real secrets refuse without a list.
                let answered = self.lists.stored.is_some();
                self.lists.revealed |= answered && open == Some(key);
                (!answered).then_some(MaskEvent::Refused(key))
            }
            MaskEffect::StoreSurvivors { .. }
            | MaskEffect::Confirm(_)
            | MaskEffect::Reveal { .. }
            | MaskEffect::Erase(_) => None,
        };
        if let Some(event) = follows {
            self.give(Event::Masked(event));
        }
    }

    /// It does not come to it: keys not made, a list refused, words not taken or lost.
    pub(crate) fn fail_masked(&mut self, effect: MaskEffect) {
        let key = match effect {
            MaskEffect::MakeKeys(announcement) => AttemptKey::from(&announcement),
            MaskEffect::Advertise(key)
            | MaskEffect::Share { key, .. }
            | MaskEffect::Check { key, .. }
            | MaskEffect::MakeMasks { key, .. }
            | MaskEffect::StoreSurvivors { key, .. } => key,
            MaskEffect::Confirm(_) | MaskEffect::Reveal { .. } | MaskEffect::Erase(_) => return,
        };
        self.give(Event::Masked(MaskEvent::Refused(key)));
    }
}
