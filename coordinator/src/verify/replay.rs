//! What made a model: the session of its masked attempt is the one in the record, and its stored updates make it again, bit for
//! bit.

use souk_common::catalogue::Catalogue;
use souk_common::ids::{Digest, ShopName};
use souk_common::learned::Learner;
use souk_common::model::file::ModelMeta;
use souk_common::plan::Plan;
use souk_common::round::statements::Manifest;
use souk_common::secagg::{Context, MaskingParams, Session};

use super::Verifier;
use super::report::{MASKS, REPLAY};
use crate::aggregate::Aggregator;
use crate::aggregate::rules::StoredParts;
use crate::engine::publish::read_state;
use crate::engine::staging::add_blob;
use crate::store::MaskedList;

impl Verifier<'_> {
    /// The stored session of a masked attempt, if it is the one in the record.
    pub(super) fn masks(&mut self, manifest: &Manifest, terms: &MaskingParams) -> Option<Session> {
        let id = manifest.id;
        let stored = self.store.masked(id);
        let session = match stored {
            Ok(Some(session)) if session.context().plan == manifest.plan => session.resumed(terms),
            Ok(_) => {
                self.missing(MASKS, manifest);
                return None;
            }
            Err(error) => {
                self.checks[MASKS].wrong.push(format!("{id}: {error}"));
                return None;
            }
        };
        let announced = self.run.announced.as_ref().filter(|announced| announced.id == id);
        let context = announced.map(|announced| Context {
            id,
            plan: announced.plan,
            model: announced.model,
        });
        let lists = [
            session.roster().map(|roster| MaskedList::Roster(roster.digest())),
            Some(MaskedList::Sharers(session.sharers_digest())),
            Some(MaskedList::Survivors(session.survivors_digest())),
        ];
        let same_lists = lists.iter().flatten().eq(self.run.lists.iter());
        if session.is_of_first_rules() && self.second_rules {
            self.checks[MASKS].wrong.push(format!(
                "{id}: its masks are said to be of the first rules, under which a coordinator could read one update, after \
                 attempts of the second"
            ));
            return None;
        }
        self.second_rules |= !session.is_of_first_rules();
        let survivors = session.survivors().map(|survivors| session.names(survivors));
        let mut counted: Vec<ShopName> = manifest.updates.iter().map(|(shop, _)| shop.clone()).collect();
        counted.sort();
        let good = self.run.unmasked == Some(session.digest())
            && same_lists
            && survivors.as_ref() == Some(&counted)
            && context.is_some_and(|context| session.is_signed(&context, terms));
        self.checks[MASKS].note(good, || {
            format!("{id}: the masked attempt is not the one in the record")
        });
        good.then_some(session)
    }

    /// Something of a round is not there: by the operator's policy, if the record says so or says nothing.
    fn missing(&mut self, check: usize, manifest: &Manifest) {
        match self.run.kept_since {
            Some(since) if manifest.id.round >= since => self.checks[check].wrong.push(format!(
                "{}: parts are missing, and the record says that those of round {since} and later ones are kept",
                manifest.id
            )),
            _ => self.checks[check].not_kept(manifest.id.to_string(), PARTS),
        }
    }

    /// The model again, from its parent and the stored updates.
    pub(super) fn replay(
        &mut self,
        manifest: &Manifest,
        plan: &Plan,
        catalogue: &Catalogue,
        session: Option<(Session, MaskingParams)>,
    ) {
        let kept = manifest
            .updates
            .iter()
            .all(|(_, update)| self.store.private().contains(update));
        let state_kept = match self.run.stepped {
            Some(Some(state)) => self.store.private().contains(&state),
            _ => true,
        };
        // The version before this one: rollbacks are versions, too, and may have pushed it out while the parts are there.
        let parent_kept =
            self.said.len() > self.models_since || self.store.files().contains(&manifest.parent);
        if kept && state_kept && !parent_kept {
            self.checks[REPLAY].not_kept(manifest.id.to_string(), PARENT);
            return;
        }
        if !kept || !state_kept {
            self.missing(REPLAY, manifest);
            return;
        }
        let made = self.step(manifest, plan, catalogue, session);
        let good = made.as_ref().is_ok_and(|made| *made == manifest.model);
        self.checks[REPLAY].note(good, || match made {
            Ok(made) => format!(
                "{}: the stored updates make model {}, published was {}",
                manifest.id,
                made.short(),
                manifest.model.short()
            ),
            Err(error) => format!("{}: {error}", manifest.id),
        });
    }

    fn step(
        &self,
        manifest: &Manifest,
        plan: &Plan,
        catalogue: &Catalogue,
        session: Option<(Session, MaskingParams)>,
    ) -> Result<Digest, String> {
        let said = |error: &dyn std::fmt::Display| error.to_string();
        let learner = Learner::new(plan, catalogue);
        let parent = self
            .store
            .files()
            .read(&manifest.parent)
            .map_err(|error| said(&error))?;
        let mut learned = learner.decode(&parent).map_err(|error| said(&error))?;
        let state = match &self.run.stepped {
            Some(Some(state)) => Some(read_state(self.store.private(), state).map_err(|error| said(&error))?),
            _ => None,
        };
        let mut aggregator = Aggregator::for_round(&learner, &learned, manifest.id.round, state)
            .map_err(|error| said(&error))?;
        for (shop, update) in &manifest.updates {
            // The name is the digest: bytes that were changed are noticed before they are added.
            self.store
                .private()
                .read(update)
                .map_err(|error| format!("the update of {shop}: {error}"))?;
            add_blob(aggregator.accumulator(), self.store.private(), update).map_err(|error| said(&error))?;
        }
        match (&plan.masking, session) {
            (Some(_), None) => return Err("the sum is masked, and its session is not to be had".to_owned()),
            (Some(_), Some((session, terms))) => {
                aggregator
                    .accumulator()
                    .unmask(&session, &terms)
                    .map_err(|error| said(&error))?;
            }
            (None, _) => {}
        }
        let shops: Vec<ShopName> = manifest.updates.iter().map(|(shop, _)| shop.clone()).collect();
        let parts = StoredParts {
            accepted: &manifest.updates,
            blobs: self.store.private(),
        };
        aggregator
            .learn(&learner, &mut learned, manifest.id, &shops, &parts)
            .map_err(|error| said(&error))?;
        let meta = ModelMeta {
            round: manifest.id.round,
            plan: manifest.plan,
        };
        Ok(Digest::of(&learner.encode(&learned, &meta)))
    }
}

const PARTS: &str = "parts of older rounds are not kept (keep_parts in coordinator.toml; of runs before the last one never): that the \
                     published model is the sum of the counted updates is the coordinator's word alone";
const PARENT: &str = "the model before is not kept (keep_models)";
