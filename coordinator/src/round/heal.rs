//! What heals, heals: a run that stands still goes on by itself when the reason is gone.
//!
//! It does where shops were the reason: enough of those that declined say that they are ready ([`is_ready_word`]), are let
//! back or enrolled again; or one that was missing when the last attempt failed is connected again. Each time is one attempt
//! more, which may cost shops privacy, so no more than the plan's number of attempts at a round come about like this; the
//! operator's `resume` begins to count anew.

use souk_common::ids::{AttemptId, ShopName};
use souk_common::round::statements::Decision;

use super::Effect;
use super::machine::{Machine, Phase, Step};
use super::masking::MaskSteps;
use super::pause::PauseReason;

/// Whether an answer is about no attempt (they are counted from 1), but says that the shop would take part in the next one.
pub(super) fn is_ready_word(id: AttemptId, answer: Decision) -> bool {
    id.attempt == 0 && answer == Decision::Accept
}

impl Machine {
    /// What the shop declined for is gone: it is asked again if the open attempt can still take it, else it counts as ready
    /// for the next one.
    pub(super) fn is_ready_again(&mut self, shop: ShopName, effects: &mut Vec<Effect>) {
        if let Some(ended) = self.ended.as_mut().filter(|ended| ended.declines_for_good(&shop)) {
            ended.forget(&shop);
        }
        let is_invited = self.is_invited(&shop);
        if let Step::Collecting(attempt) = &mut self.step
            && attempt.declines_for_good(&shop)
            && is_invited
        {
            let masked = attempt.masked.as_ref();
            if masked.is_none_or(MaskSteps::takes_keys) {
                attempt.forget(&shop);
                let id = attempt.id;
                effects.push(Effect::Announce {
                    id,
                    shops: vec![shop],
                });
            } else if !masked.is_some_and(|masked| masked.concerns(&shop)) {
                attempt.forget(&shop);
            }
        }
    }

    /// Remembers whom the attempts at this round lacked.
    pub(super) fn note_missing(&mut self) {
        self.has_returned = false;
        let heard_of = |shop: &&ShopName| {
            let ended = self.ended.as_ref();
            ended.is_some_and(|ended| ended.has_counted(shop) || ended.declines_for_good(shop))
        };
        self.missing = self.invited().filter(|shop| !heard_of(shop)).cloned().collect();
    }

    /// One of those is connected again.
    pub(super) fn note_return(&mut self, shop: &ShopName) {
        self.has_returned |= self.missing.remove(shop);
    }

    /// How many shops would not decline another attempt, as far as is known.
    pub(super) fn ready(&self) -> usize {
        let declines = |shop: &&ShopName| {
            let ended = self.ended.as_ref();
            ended.is_some_and(|ended| ended.declines_for_good(shop))
        };
        self.invited().filter(|shop| !declines(shop)).count()
    }

    /// Lets the run go on if what it stands still for is gone.
    pub(super) fn heal(&mut self, effects: &mut Vec<Effect>) {
        if self.phase() != Phase::Paused || self.heals >= self.rules.attempts {
            return;
        }
        let quorum = self.rules.quorum;
        let reason = match self.paused {
            Some(reason @ PauseReason::Declined) if self.ready() >= quorum => reason,
            Some(reason @ PauseReason::Attempts) if self.has_returned && self.present().count() >= quorum => {
                reason
            }
            _ => return,
        };
        self.paused = None;
        self.heals += 1;
        self.tries = self.tries.min(self.rules.attempts.saturating_sub(1));
        effects.push(Effect::WentOn {
            id: self.next_id(),
            reason,
        });
    }
}
