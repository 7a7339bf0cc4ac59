//! The steps of a masked attempt: keys, shares, what holders say of them, masked updates, signatures on the survivors, shares
//! that unmask.
//!
//! ```text
//!   Keys ---------> Shares --------> Checks --------> Uploads -------> Confirming ------> Revealing ---> publish
//!    all answered    all of R1 are    all who shared   all of R2 are    all of R3 signed   enough shares
//!    or time is up   here or ..       have looked ..   here or ..       or ..              to unmask
//! ```
//!
//! Each step ends when nobody is waited for any more, or when its time is up. With fewer shops left than the quorum, or than
//! it takes to unmask a sum of this roster, the attempt ends, and a new one is announced. A shop that declined and is ready
//! while keys are still taken in is asked again: R1 is not fixed yet, so nobody has signed a list without it.

use std::collections::BTreeSet;

use souk_common::clock::Timestamp;
use souk_common::ids::ShopName;

use super::attempt::{Attempt, Progress};
use super::machine::Machine;
use super::{Effect, MaskRules};

/// Where a masked attempt stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Step {
    Keys,
    /// R1, and those whose shares are here.
    Shares {
        roster: BTreeSet<ShopName>,
        shared: BTreeSet<ShopName>,
    },
    /// Those whose shares were passed on, and those who have looked at the shares for them.
    Checks {
        makers: BTreeSet<ShopName>,
        checked: BTreeSet<ShopName>,
        least: usize,
    },
    /// R2, once it is fixed; `least`: updates that it takes.
    Uploads {
        sharers: BTreeSet<ShopName>,
        least: usize,
    },
    /// R3, and those who signed it.
    Confirming {
        survivors: BTreeSet<ShopName>,
        confirmed: BTreeSet<ShopName>,
    },
    /// R3, those who were shown the signatures, and those whose shares are here.
    Revealing {
        survivors: BTreeSet<ShopName>,
        revealed: BTreeSet<ShopName>,
        enough: bool,
    },
}

/// A masked attempt's step, and when it ends.
#[derive(Clone, Debug)]
pub(super) struct MaskSteps {
    pub(super) step: Step,
    pub(super) ends: Timestamp,
}

/// What a restart has to know of a masked attempt: the last list that was fixed.
#[derive(Clone, Debug)]
pub enum RestoredStep {
    /// R2.
    Sharers {
        /// Its members.
        sharers: Vec<ShopName>,
        /// The shops of R1.
        rostered: usize,
    },
    /// R3.
    Survivors(Vec<ShopName>),
}

/// What becomes of a masked attempt now.
pub(super) enum Turn {
    Stay,
    Go(Box<Step>, Vec<Effect>),
    Publish,
    /// Too few shops, or too few shares.
    End,
}

impl MaskSteps {
    pub(super) fn new(now: Timestamp, deadline: Timestamp, rules: &MaskRules) -> Self {
        // Keys wait for slow lines to fetch plan and model.
        let ends = now + rules.step.max(deadline.since(now) / 4);
        Self {
            step: Step::Keys,
            ends,
        }
    }

    pub(super) fn resumed(
        restored: RestoredStep,
        deadline: Timestamp,
        least: impl Fn(usize) -> usize,
    ) -> Self {
        let step = match restored {
            RestoredStep::Sharers { sharers, rostered } => Step::Uploads {
                sharers: sharers.into_iter().collect(),
                least: least(rostered),
            },
            RestoredStep::Survivors(survivors) => Step::Confirming {
                survivors: survivors.into_iter().collect(),
                confirmed: BTreeSet::new(),
            },
        };
        Self { step, ends: deadline }
    }

    /// Whether the shop belongs to this step.
    pub(super) fn concerns(&self, shop: &ShopName) -> bool {
        match &self.step {
            Step::Keys => true,
            Step::Shares { roster, .. } => roster.contains(shop),
            Step::Checks { makers, .. } => makers.contains(shop),
            Step::Uploads { sharers, .. } => sharers.contains(shop),
            Step::Confirming { survivors, .. } | Step::Revealing { survivors, .. } => {
                survivors.contains(shop)
            }
        }
    }

    /// Whether R2 is fixed: vectors may have left their shops.
    pub(super) fn may_be_charged(&self) -> bool {
        match &self.step {
            Step::Keys | Step::Shares { .. } | Step::Checks { .. } => false,
            // A list that came out too short was told to nobody.
            Step::Uploads { sharers, least } => sharers.len() >= *least,
            Step::Confirming { .. } | Step::Revealing { .. } => true,
        }
    }

    /// Whether a shop that is ready only now can still be in this attempt.
    pub(super) fn takes_keys(&self) -> bool {
        self.step == Step::Keys
    }

    pub(super) fn takes_updates(&self) -> bool {
        matches!(self.step, Step::Uploads { .. })
    }

    /// Notes that a shop's shares for its neighbours are here.
    pub(super) fn share(&mut self, shop: ShopName) {
        if let Step::Shares { roster, shared } = &mut self.step
            && roster.contains(&shop)
        {
            shared.insert(shop);
        }
    }

    /// Notes that a shop has looked at the shares that were passed on to it.
    pub(super) fn check(&mut self, shop: ShopName) {
        if let Step::Checks { makers, checked, .. } = &mut self.step
            && makers.contains(&shop)
        {
            checked.insert(shop);
        }
    }

    /// R2 is fixed: who is left of those whose shares were passed on.
    pub(super) fn fix_sharers(&mut self, fixed: Vec<ShopName>) {
        if let Step::Uploads { sharers, .. } = &mut self.step {
            *sharers = fixed.into_iter().collect();
        }
    }

    pub(super) fn confirm(&mut self, shop: ShopName) {
        if let Step::Confirming { survivors, confirmed } = &mut self.step
            && survivors.contains(&shop)
        {
            confirmed.insert(shop);
        }
    }

    pub(super) fn reveal(&mut self, shop: ShopName, now_enough: bool) {
        if let Step::Revealing {
            survivors,
            revealed,
            enough,
        } = &mut self.step
            && survivors.contains(&shop)
        {
            revealed.insert(shop);
            *enough = now_enough;
        }
    }

    /// Survivors, and how many of them gave their shares.
    pub(super) fn unmasking(&self) -> Option<(usize, usize)> {
        match &self.step {
            Step::Confirming { survivors, .. } => Some((survivors.len(), 0)),
            Step::Revealing {
                survivors, revealed, ..
            } => Some((survivors.len(), revealed.len())),
            _ => None,
        }
    }

    /// The step in a word.
    pub(super) fn word(&self) -> &'static str {
        match self.step {
            Step::Keys => "keys",
            Step::Shares { .. } => "shares",
            Step::Checks { .. } => "checks",
            Step::Uploads { .. } => "updates",
            Step::Confirming { .. } => "confirming",
            Step::Revealing { .. } => "unmasking",
        }
    }
}

impl Attempt {
    /// Where a masked attempt goes from here.
    pub(super) fn turn(&self, now: Timestamp, machine: &Machine) -> Turn {
        let Some(masked) = &self.masked else {
            return Turn::Stay;
        };
        let (quorum, id) = (machine.rules.quorum, self.id);
        let over = now >= masked.ends;
        let gone = |shop: &ShopName| {
            !machine.is_invited(shop) || matches!(self.shops.get(shop), Some(Progress::Declined(_)))
        };
        match &masked.step {
            Step::Keys => {
                let accepted = |shop: &&ShopName| matches!(self.shops.get(shop), Some(Progress::Accepted));
                let ready: Vec<ShopName> = machine.invited().filter(accepted).cloned().collect();
                let silent = |shop: &&ShopName| !self.shops.contains_key(shop);
                // Whoever is not connected may still come while there are too few.
                let hopeful = machine.invited().filter(silent).count();
                let awaited = machine.present().filter(silent).count();
                let owners = machine
                    .invited()
                    .filter(|shop| self.declines_for_good(shop))
                    .count();
                // Whoever is connected is heard first, so that a run that stands still knows of every owner whom it waits for.
                let hopeless = ready.len() + hopeful < quorum && awaited == 0;
                if hopeless || ready.len() + hopeful + owners < quorum {
                    return Turn::End;
                }
                match (over || awaited == 0, ready.len() >= quorum) {
                    (true, true) => {
                        let roster = ready.iter().cloned().collect();
                        let step = Step::Shares {
                            roster,
                            shared: BTreeSet::new(),
                        };
                        Turn::Go(Box::new(step), vec![Effect::FixRoster { id, shops: ready }])
                    }
                    (true, false) if over => Turn::End,
                    _ => Turn::Stay,
                }
            }
            Step::Shares { roster, shared } => {
                let left = roster
                    .iter()
                    .filter(|shop| !shared.contains(*shop) && !gone(shop))
                    .count();
                let least = machine.rules.least_survivors(roster.len());
                if shared.len() + left < least {
                    return Turn::End;
                }
                match (over || left == 0, shared.len() >= least) {
                    (true, true) => {
                        let step = Step::Checks {
                            makers: shared.clone(),
                            checked: BTreeSet::new(),
                            least,
                        };
                        Turn::Go(Box::new(step), vec![Effect::DeliverShares { id }])
                    }
                    (true, false) => Turn::End,
                    _ => Turn::Stay,
                }
            }
            Step::Checks {
                makers,
                checked,
                least,
            } => {
                let left = makers
                    .iter()
                    .filter(|shop| !checked.contains(*shop) && !gone(shop))
                    .count();
                if checked.len() + left < *least {
                    return Turn::End;
                }
                match (over || left == 0, checked.len() >= *least) {
                    (true, true) => {
                        let step = Step::Uploads {
                            sharers: checked.clone(),
                            least: *least,
                        };
                        Turn::Go(Box::new(step), vec![Effect::FixSharers { id, least: *least }])
                    }
                    (true, false) => Turn::End,
                    _ => Turn::Stay,
                }
            }
            Step::Uploads { sharers, least } => {
                if self.is_recording() {
                    return Turn::Stay;
                }
                let counted = self.counted_len();
                let left = sharers
                    .iter()
                    .filter(|shop| !self.has_counted(shop) && !gone(shop))
                    .count();
                if counted + left < *least {
                    return Turn::End;
                }
                match (over || left == 0, counted >= *least) {
                    (true, true) => {
                        let accepted = self.counted_in_order(&machine.rules.shops);
                        let survivors = accepted.iter().map(|(shop, _)| shop.clone()).collect();
                        let step = Step::Confirming {
                            survivors,
                            confirmed: BTreeSet::new(),
                        };
                        Turn::Go(Box::new(step), vec![Effect::FixSurvivors { id, accepted }])
                    }
                    (true, false) => Turn::End,
                    _ => Turn::Stay,
                }
            }
            Step::Confirming { survivors, confirmed } => {
                let left = survivors
                    .iter()
                    .filter(|shop| !confirmed.contains(*shop) && !gone(shop))
                    .count();
                if !over && left > 0 {
                    return Turn::Stay;
                }
                // How many signatures are enough is the shops' business: they count them.
                let step = Step::Revealing {
                    survivors: survivors.clone(),
                    revealed: BTreeSet::new(),
                    enough: false,
                };
                let shops = confirmed.iter().cloned().collect();
                Turn::Go(Box::new(step), vec![Effect::ShowConfirmations { id, shops }])
            }
            Step::Revealing {
                survivors,
                revealed,
                enough,
            } => {
                let left = survivors
                    .iter()
                    .filter(|shop| !revealed.contains(*shop) && !gone(shop))
                    .count();
                match (*enough, over || left == 0) {
                    (true, _) => Turn::Publish,
                    (false, true) => Turn::End,
                    (false, false) => Turn::Stay,
                }
            }
        }
    }
}
