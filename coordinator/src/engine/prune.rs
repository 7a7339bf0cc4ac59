//! Parts that are no longer kept go: stored updates, the optimiser's state before a step, what was known of masks.
//!
//! The record says first of which rounds they are kept, so that a part that is gone by the operator's policy is told from
//! one that was deleted.

use std::collections::HashSet;

use souk_common::clock::Timestamp;
use souk_common::crypto::sign::Signed;
use souk_common::ids::Digest;
use souk_common::round::statements::Receipt;

use super::{Engine, EngineError};
use crate::store::{Entry, Keeping, Run, Store, StoreError};

impl Engine {
    /// Removes the parts of the round that the newest one has pushed out.
    pub(super) fn forget_old_parts(&mut self) -> Result<(), EngineError> {
        let rounds = self.settings.keep_parts;
        let since = Keeping { rounds, from: 1 }.since(self.run.published);
        let Some(old) = since.checked_sub(1).filter(|old| *old > 0) else {
            return Ok(());
        };
        let gone = receipts(&self.store, &self.run, old)?;
        let mut parts: HashSet<Digest> = gone.iter().map(update_of).collect();
        let name = state_key(old);
        let state = self.store.meta::<Digest>(&name)?;
        parts.extend(state);
        let masked = self.plan().masking.is_some();
        self.store.change_lazily(|change| {
            change.forget_meta(&name)?;
            let mut ids = gone.iter().map(|receipt| receipt.body.upload.id);
            ids.try_for_each(|id| if masked { change.forget_masked(id) } else { Ok(()) })
        })?;
        // Without noise two rounds may have had the same update.
        for needed in needed(&self.store, &self.run, rounds)? {
            parts.remove(&needed);
        }
        for part in parts {
            self.store.private().remove(&part)?;
        }
        Ok(())
    }
}

/// Records of how many rounds the parts are kept, if that is new, and removes all others: those of a policy before, of a run
/// before, and what a crash left.
pub(super) fn keep_only(now: Timestamp, store: &mut Store, run: &Run, rounds: u64) -> Result<(), StoreError> {
    let before = store.meta::<(u64, Keeping)>(KEEPING)?;
    let before = before.filter(|(began, _)| *began == run.began);
    // What went before this was recorded is kept, but nothing is promised of it. More rounds from now on bring none back.
    let from = before.map_or(run.published + 1, |(_, before)| before.since(run.published));
    let keeping = match before {
        Some((_, before)) if before.rounds == rounds => before,
        _ => Keeping { rounds, from },
    };
    let since = Keeping { rounds, from: 1 }.since(run.published);
    let states = store.metas::<Digest>(STATE)?;
    let old_states = states
        .iter()
        .filter(|(name, _)| round_of(name).is_none_or(|round| round < since));
    let sessions = store.all_masked()?.into_iter();
    let old_sessions = sessions
        .map(|session| *session.context())
        .filter(|context| context.plan != run.plan || context.id.round < since);
    store.change(|change| {
        if before.map(|(_, before)| before) != Some(keeping) {
            change.set_meta(KEEPING, &(run.began, keeping))?;
            change.append(now, Entry::Keeping(keeping))?;
        }
        for (name, _) in old_states {
            change.forget_meta(name)?;
        }
        for context in old_sessions {
            change.forget_masked(context.id)?;
        }
        Ok(())
    })?;
    let needed = needed(store, run, rounds)?;
    for part in store.private().all()? {
        if !needed.contains(&part) {
            store.private().remove(&part)?;
        }
    }
    Ok(())
}

/// Every part that is kept.
fn needed(store: &Store, run: &Run, rounds: u64) -> Result<HashSet<Digest>, StoreError> {
    let mut needed: HashSet<Digest> = run.optimiser.into_iter().collect();
    if rounds == 0 {
        return Ok(needed);
    }
    let since = Keeping { rounds, from: 1 }.since(run.published);
    for round in since..=run.published + 1 {
        needed.extend(receipts(store, run, round)?.iter().map(update_of));
        needed.extend(store.meta::<Digest>(&state_key(round))?);
    }
    Ok(needed)
}

/// What this run received in a round.
fn receipts(store: &Store, run: &Run, round: u64) -> Result<Vec<Signed<Receipt>>, StoreError> {
    let mut receipts = store.receipts_of_round(round)?;
    receipts.retain(|receipt| receipt.body.log.length > run.began);
    Ok(receipts)
}

fn update_of(receipt: &Signed<Receipt>) -> Digest {
    receipt.body.upload.update
}

/// Where the digest of the optimiser's state before a round is kept.
pub(super) fn state_key(round: u64) -> String {
    format!("{STATE}{round}")
}

fn round_of(name: &str) -> Option<u64> {
    name.strip_prefix(STATE)?.parse().ok()
}

const STATE: &str = "optimiser_before_";
const KEEPING: &str = "keeping";
