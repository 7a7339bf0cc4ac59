//! A shop that declined says so when it would not decline any more: the run may stand still for it.
//!
//! The word is an acceptance of attempt 0, of which there is none (they are counted from 1). It is said at once, since the open
//! attempt may still take the shop, which is then asked again, and once more when that attempt is over: a coordinator of an
//! older release heeds only the second.

use souk_common::ids::AttemptId;
use souk_common::round::statements::{Decision, DeclineCode};

use super::events::{Effect, Note};
use super::machine::Machine;
use super::memory::AttemptKey;
use super::policy::{Consideration, Policy};
use super::refusals::decide;

/// The attempt that was declined last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Declined {
    pub(super) key: AttemptKey,
    pub(super) code: DeclineCode,
    /// What the owner's rules were held against; none if they were not looked at.
    pub(super) consideration: Option<Consideration>,
    is_over: bool,
    is_ready: bool,
    is_said: bool,
}

impl Declined {
    pub(super) fn new(key: AttemptKey, code: DeclineCode, consideration: Option<Consideration>) -> Self {
        Self {
            key,
            code,
            consideration,
            is_over: false,
            is_ready: false,
            is_said: false,
        }
    }

    /// Whether the owner's rules are all that stands in the way, so that a change of theirs may help.
    fn depends_on_rules(&self) -> bool {
        self.code == DeclineCode::Paused || matches!(self.consideration, Some(Consideration::Costs { .. }))
    }

    fn would_accept(&self, policy: &Policy) -> bool {
        !policy.paused
            && match &self.consideration {
                Some(consideration) => decide(policy, consideration) == Decision::Accept,
                None => self.code == DeclineCode::Paused,
            }
    }
}

/// The word that says that a shop would take part in `round` now.
pub fn ready_word(round: u64) -> AttemptId {
    AttemptId { round, attempt: 0 }
}

impl Machine {
    /// Whether an attempt was declined by rules that the owner may change: then they should be looked at from time to time.
    pub fn waits_for_owner(&self) -> bool {
        self.declined
            .is_some_and(|declined| declined.depends_on_rules() && !declined.is_ready)
    }

    /// The owner's rules are others now.
    pub(super) fn think_again(&mut self) -> Vec<Effect> {
        let policy = &self.policy;
        if let Some(declined) = &mut self.declined {
            declined.is_ready = declined.depends_on_rules() && declined.would_accept(policy);
        }
        self.say_ready()
    }

    /// The declined attempt is over: it is the one of `id`, or any, if none is named.
    pub(super) fn note_over(&mut self, id: Option<AttemptId>) -> Vec<Effect> {
        if let Some(declined) = &mut self.declined {
            declined.is_over |= id.is_none_or(|id| id == declined.key.id);
        }
        self.say_ready()
    }

    /// Whether this very attempt was declined, and still would be.
    pub(super) fn still_declines(&mut self, key: AttemptKey) -> Option<DeclineCode> {
        // One that is ready takes part when it is announced again.
        self.declined
            .take_if(|declined| declined.key == key && declined.is_ready);
        let declined = self.declined.filter(|declined| declined.key == key)?;
        (declined.code != DeclineCode::RecordForked).then_some(declined.code)
    }

    fn say_ready(&mut self) -> Vec<Effect> {
        let Some(declined) = self.declined.as_mut().filter(|declined| declined.is_ready) else {
            return Vec::new();
        };
        let (key, is_over) = (declined.key, declined.is_over);
        let is_new = !std::mem::replace(&mut declined.is_said, true);
        if is_over {
            self.declined = None;
        }
        if !is_new && !is_over {
            return Vec::new();
        }
        let (plan, id) = (key.plan, ready_word(key.id.round));
        let mut effects = vec![Effect::Answer(AttemptKey { plan, id }, Decision::Accept)];
        if is_new {
            effects.insert(0, Effect::Report(Note::Ready(key)));
        }
        effects
    }
}
