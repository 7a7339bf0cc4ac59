//! The next model: stepped, written, signed, recorded; and an older one made current again.

use std::io::{self, Write};

use souk_common::clock::Timestamp;
use souk_common::ids::{AttemptId, Digest, ShopName};

use souk_common::model::file::ModelMeta;
use souk_common::round::statements::{Manifest, Outcome};
use souk_common::storage::blobs::Blobs;
use souk_common::wire::messages::Push;

use super::outgrown::OUTGROWN;
use super::prune::state_key;
use super::{Engine, EngineError, Output};
use crate::aggregate::rules::StoredParts;
use crate::aggregate::{Aggregator, AggregatorError, OptimiserState};
use crate::store::Entry;

impl Engine {
    /// Makes the next model in memory.
    ///
    /// # Errors
    /// When it, or what the optimiser remembers, is not finite: then [`Self::step_back`].
    pub(super) fn step(
        &mut self,
        id: AttemptId,
        accepted: &[(ShopName, Digest)],
    ) -> Result<(), AggregatorError> {
        self.counts = self.aggregator.counts(accepted.len());
        let names: Vec<ShopName> = accepted.iter().map(|(shop, _)| shop.clone()).collect();
        self.outgrown = self.look_for_outgrown(id, &names);
        let parts = StoredParts {
            accepted,
            blobs: self.store.private(),
        };
        self.aggregator
            .learn(&self.learner, &mut self.learned, id, &names, &parts)
    }

    /// Takes model and optimiser back to what is stored.
    pub(super) fn step_back(&mut self) -> Result<(), EngineError> {
        let bytes = self.store.files().read(&self.manifest.body.model)?;
        let damaged = |error: String| io::Error::new(io::ErrorKind::InvalidData, error);
        let learned = self
            .learner
            .decode(&bytes)
            .map_err(|error| damaged(error.to_string()))?;
        let state = match &self.run.optimiser {
            Some(digest) => Some(read_state(self.store.private(), digest)?),
            None => None,
        };
        self.aggregator = Aggregator::for_round(&self.learner, &learned, self.run.published + 1, state)
            .map_err(|error| damaged(error.to_string()))?;
        (self.learned, self.counts) = (learned, None);
        Ok(())
    }

    /// Publishes what [`Self::step`] made.
    pub(super) fn publish(
        &mut self,
        now: Timestamp,
        id: AttemptId,
        accepted: Vec<(ShopName, Digest)>,
        outputs: &mut Vec<Output>,
    ) -> Result<(), EngineError> {
        let (counts, outgrown) = (self.counts.take(), self.outgrown.take());
        let meta = ModelMeta {
            round: id.round,
            plan: self.run.plan,
        };
        let mut file = self.store.files().writer()?;
        self.learner.write(&mut file, &self.learned, &meta)?;
        let model = file.finish(true)?;
        let optimiser = write_state(self.store.private(), self.aggregator.optimiser().state())?;
        let count = accepted.len();
        let manifest = self.key.sign(Manifest {
            id,
            model,
            parent: self.manifest.body.model,
            plan: self.run.plan,
            catalogue: self.run.catalogue,
            updates: accepted,
            published_at: now,
        });
        let outcome = self.key.sign(Outcome::Published(manifest.body.clone()));
        let mut run = self.run.clone();
        (run.published, run.attempt, run.open) = (id.round, 0, None);
        let before = std::mem::replace(&mut run.optimiser, optimiser);
        let (after, kept) = (run.optimiser, self.settings.keep_parts > 0);
        let masked = self.masked.take();
        self.store.change(|change| {
            if let Some(masked) = &masked {
                change.set_masked(id, masked.session())?;
                let session = masked.session().digest();
                change.append(now, Entry::Unmasked { id, session })?;
            }
            if let Some(counts) = counts {
                change.set_meta("quality", &(id, counts))?;
                change.append(now, Entry::Quality { id, counts })?;
            }
            if let Some(outgrown) = outgrown {
                change.set_meta(OUTGROWN, &outgrown)?;
            }
            if after.is_some() {
                change.append(now, Entry::Stepped { id, before, after })?;
            }
            if let Some(before) = before.filter(|_| kept) {
                change.set_meta(&state_key(id.round), &before)?;
            }
            change.add_model(&manifest)?;
            change.append(now, Entry::Ended(outcome.clone()))?;
            change.set_run(&run)
        })?;
        (self.run, self.manifest) = (run, manifest);
        if self.plan().is_of_releases() {
            // Each release has a length and a grid of its own.
            self.aggregator = Aggregator::for_round(&self.learner, &self.learned, id.round + 1, None)?;
        }
        // Where parts are kept, an auditor can make the step again: the state it began with stays as long.
        if let Some(before) = before.filter(|before| !kept && Some(*before) != self.run.optimiser) {
            self.store.private().remove(&before)?;
        }
        self.forget_old_parts()?;
        self.forget_old_models()?;
        let seconds = now.since(self.attempt_began).as_secs_f64();
        outputs.push(Output::Push {
            shops: None,
            push: Push::Ended { id, outcome },
        });
        if let Some((rate, stddev)) = counts.and_then(|counts| counts.hit_rate()) {
            outputs.push(Output::Report(format!(
                "the model of round {} ranks the newest purchase of drawn customers among its first ten at {:.1} % (noise: {:.1})",
                id.round - 1,
                rate * 100.0,
                stddev * 100.0
            )));
        }
        outputs.extend(outgrown.map(|outgrown| Output::Report(outgrown.words())));
        outputs.push(Output::Report(format!(
            "round {}/{} published: {count} of {} shops, attempt {}, {seconds:.2} s, model {}",
            id.round,
            self.plan().rounds,
            self.plan().shops.len(),
            id.attempt,
            model.short()
        )));
        Ok(())
    }
}

/// What to tell somebody who asks for a model whose file is gone.
pub(crate) fn not_kept(round: u64) -> String {
    format!(
        "the file of round {round}'s model is not kept any more (`keep_models` in coordinator.toml says how many are); \
         `models list` shows which are, and a backup may have it"
    )
}

/// Writes the optimiser's state; none if there is nothing to remember.
fn write_state(blobs: &dyn Blobs, state: &OptimiserState) -> io::Result<Option<Digest>> {
    if state.mean.is_empty() {
        return Ok(None);
    }
    let mut blob = blobs.writer()?;
    blob.write_all(&state.steps.to_le_bytes())?;
    for moments in [&state.mean, &state.square] {
        for values in moments.chunks(16 << 10) {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            blob.write_all(&bytes)?;
        }
    }
    blob.finish(true).map(Some)
}

/// Reads what [`write_state`] wrote.
pub(crate) fn read_state(blobs: &dyn Blobs, digest: &Digest) -> io::Result<OptimiserState> {
    OptimiserState::from_bytes(&blobs.read(digest)?)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the optimiser's state is damaged"))
}
