//! A shop that declined says so when it would not decline any more: the run may stand still for it.
//!
//! The word is an acceptance of attempt 0, of which there is none (they are counted from 1). It is said when the attempt is
//! over: a shop that has declined one takes no part in it.

use souk_common::ids::AttemptId;
use souk_common::round::statements::{Decision, DeclineCode};

use super::events::{Effect, Note};
use super::machine::Machine;
use super::memory::AttemptKey;
use super::policy::{Consideration, Policy, decide};

/// The attempt that was declined last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Declined {
    pub(super) key: AttemptKey,
    pub(super) code: DeclineCode,
    /// What the owner's rules were held against; none if they were not looked at.
    pub(super) consideration: Option<Consideration>,
    is_over: bool,
    is_ready: bool,
}

impl Declined {
    pub(super) fn new(key: AttemptKey, code: DeclineCode, consideration: Option<Consideration>) -> Self {
        Self {
            key,
            code,
            consideration,
            is_over: false,
            is_ready: false,
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

/// The word that says that a shop would take part in the next attempt at `round`.
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
        let ready = self
            .declined
            .take_if(|declined| declined.is_over && declined.is_ready);
        ready.map_or_else(Vec::new, |Declined { key, .. }| {
            let plan = key.plan;
            let id = ready_word(key.id.round);
            vec![
                Effect::Report(Note::Ready(key)),
                Effect::Answer(AttemptKey { plan, id }, Decision::Accept),
            ]
        })
    }
}
