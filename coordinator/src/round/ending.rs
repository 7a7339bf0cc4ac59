//! How an attempt ends: with a model, or without one, and then perhaps with a run that stands still.

use souk_common::ids::AttemptId;

use super::Effect;
use super::attempt::Attempt;
use super::machine::{Machine, Step};
use super::masking::MaskSteps;
use super::pause::PauseReason;

impl Machine {
    /// Whether no shop took part in the attempt that ended last because all who answered had spent it before: its plan has been
    /// run before.
    pub fn was_spent_before(&self) -> bool {
        self.ended.as_ref().is_some_and(Attempt::was_spent_before)
    }

    pub(super) fn abandon(&mut self, attempt: &Attempt, effects: &mut Vec<Effect>) {
        effects.push(Effect::Abandon {
            id: attempt.id,
            accepted: attempt.counted_len(),
            quorum: self.rules.quorum,
            unmasking: attempt.masked.as_ref().and_then(MaskSteps::unmasking),
            charged: attempt.may_be_charged(),
        });
        self.step = Step::Idle;
        self.ended = Some(attempt.clone());
        let reason = if attempt.may_be_charged() && self.rules.last_release == Some(attempt.id.round) {
            Some(PauseReason::Spent)
        } else if self.ready() < self.rules.quorum {
            Some(PauseReason::Declined)
        } else if self.tries >= self.rules.attempts {
            Some(PauseReason::Attempts)
        } else {
            None
        };
        if let (Some(reason), None) = (reason, self.paused) {
            self.paused = Some(reason);
            self.note_missing();
            effects.push(Effect::Paused(reason));
        }
    }

    pub(super) fn publish(&mut self, id: AttemptId, effects: &mut Vec<Effect>) {
        let Step::Publishing(attempt) = &self.step else {
            return;
        };
        if attempt.id != id {
            return;
        }
        self.ended = Some(attempt.clone());
        self.step = Step::Idle;
        self.published = id.round;
        (self.opened, self.tries, self.heals) = (0, 0, 0);
        if self.published >= self.rules.rounds {
            effects.push(Effect::Finish);
        }
    }

    pub(super) fn fail_to_unmask(&mut self, id: AttemptId, effects: &mut Vec<Effect>) {
        if let Step::Publishing(attempt) = &self.step
            && attempt.id == id
        {
            let attempt = attempt.clone();
            self.abandon(&attempt, effects);
        }
    }

    /// The attempt ends without a model, and no other begins until the operator has looked.
    pub(super) fn refuse_model(&mut self, id: AttemptId, effects: &mut Vec<Effect>) {
        let Step::Publishing(attempt) = &self.step else {
            return;
        };
        if attempt.id != id {
            return;
        }
        let attempt = attempt.clone();
        effects.push(Effect::Abandon {
            id,
            accepted: attempt.counted_len(),
            quorum: self.rules.quorum,
            unmasking: None,
            charged: attempt.may_be_charged(),
        });
        self.step = Step::Idle;
        self.ended = Some(attempt);
        self.paused = Some(PauseReason::NotFinite);
        effects.push(Effect::Paused(PauseReason::NotFinite));
    }
}
