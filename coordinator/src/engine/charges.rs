//! Releases whose attempt failed after vectors may have left: it is charged all the same, and everybody is to know.
//!
//! What is published then is what was published before, with one charged attempt more; the manifest that says so has attempt 0
//! and no updates. The next attempt begins with it, and takes its noise from what is left of the plan's budget.

use souk_common::clock::Timestamp;
use souk_common::crypto::sign::{Signed, SigningKey};
use souk_common::ids::AttemptId;
use souk_common::learned::{Learned, Learner};
use souk_common::model::file::ModelMeta;
use souk_common::round::statements::Manifest;

use super::{Engine, EngineError};
use crate::store::{Change, Entry, Store, StoreError};

/// A charge that is to be noted together with the end of its attempt.
pub(super) struct Charge {
    /// What was published, and the attempt.
    pub(super) learned: Learned,
    pub(super) manifest: Signed<Manifest>,
    /// Whether nothing is left for a further attempt.
    pub(super) spent: bool,
}

impl Charge {
    /// Of attempt `id`, which ended without a release; none in a plan that trains a model, whose attempts all cost the same.
    /// Its file is stored.
    pub(super) fn of(
        id: AttemptId,
        now: Timestamp,
        (learner, learned): (&Learner, &Learned),
        before: &Manifest,
        (store, key): (&Store, &SigningKey),
    ) -> Result<Option<Self>, StoreError> {
        if !learner.plan().is_of_releases() {
            return Ok(None);
        }
        let mut learned = learned.clone();
        charge(learner, &mut learned, id);
        let meta = ModelMeta {
            round: before.id.round,
            plan: before.plan,
        };
        let model = store.files().put(&learner.encode(&learned, &meta))?;
        let manifest = key.sign(Manifest {
            id: AttemptId {
                round: before.id.round,
                attempt: 0,
            },
            model,
            parent: before.model,
            updates: Vec::new(),
            published_at: now,
            ..before.clone()
        });
        let spent = learner.round(&learned, id.round).is_err();
        Ok(Some(Self {
            learned,
            manifest,
            spent,
        }))
    }

    /// In the record and the table of models.
    pub(super) fn note(&self, change: &mut Change<'_>, now: Timestamp) -> Result<(), StoreError> {
        change.add_model(&self.manifest)?;
        change.append(now, Entry::Charged(self.manifest.clone()))?;
        Ok(())
    }
}

/// Counts an attempt as charged, at the noise that it took.
pub(crate) fn charge(learner: &Learner, learned: &mut Learned, id: AttemptId) {
    let round = learner.round(learned, id.round);
    let noise = round.ok().and_then(|(plan, _)| plan.charged_noise_multiplier());
    if let Learned::Releases(releases) = learned {
        releases.charge(id, noise);
    }
}

impl Engine {
    /// Whether there can be another attempt; there is none needed after the last round.
    ///
    /// # Errors
    /// When nothing is left of the budget of a plan of releases.
    pub fn may_go_on(&self) -> Result<(), EngineError> {
        let next = self.run.published + 1;
        if next > self.plan().rounds {
            return Ok(());
        }
        let round = self.learner.round(&self.learned, next);
        round.map(drop).map_err(EngineError::Spent)
    }
}
