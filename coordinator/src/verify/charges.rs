//! Plans of releases: each attempt that vectors may have left a shop for is charged, once and with its end, every attempt begins
//! with all charges before it, and none is taken back.

use souk_common::learned::{Learned, Learner};
use souk_common::model::file::ModelMeta;

use super::{Announcement, CHAIN, Catalogue, Digest, FILES, Manifest, MaskedList, Plan, REPLAY, Verifier};
use crate::engine::charges::charge;

impl Verifier<'_> {
    /// An attempt is announced on what was published last: its noise follows from that.
    pub(super) fn begins_with_the_newest(&mut self, announcement: &Announcement) {
        let current = self.run.manifest.as_ref();
        let same = current.is_some_and(|current| {
            (current.model, current.plan, current.catalogue)
                == (announcement.model, announcement.plan, announcement.catalogue)
        });
        self.checks[CHAIN].note(same, || {
            format!(
                "{} was announced on something else than what was published last",
                announcement.id
            )
        });
    }

    /// An attempt ended without a model. Of a plan of releases it is charged next, unless it was masked and ended before R2:
    /// nothing leaves a shop before.
    pub(super) fn failed(&mut self) {
        let Some((plan, _)) = self
            .run
            .manifest
            .as_ref()
            .and_then(|manifest| self.opened(manifest))
        else {
            return;
        };
        let mut lists = self.run.lists.iter();
        let may_have_left =
            plan.masking.is_none() || lists.any(|list| matches!(list, MaskedList::Sharers(_)));
        if plan.is_of_releases() && may_have_left {
            self.run.owed = self.run.announced.as_ref().map(|announced| announced.id);
        }
    }

    /// Says which failed attempt the record does not charge, if there is one.
    pub(super) fn owes_nothing(&mut self) {
        if let Some(id) = self.run.owed.take() {
            self.checks[CHAIN].wrong.push(format!(
                "{id} ended without a release after vectors may have left their shops, and is not charged: later attempts had \
                 less noise than the plan says"
            ));
        }
    }

    /// What was published before, with the attempt charged that ended last.
    pub(super) fn charged(&mut self, manifest: &Manifest) {
        let parent = self.run.manifest.as_ref().map(|manifest| manifest.model);
        let owed = self.run.owed.take();
        self.checks[CHAIN].note(parent == Some(manifest.parent) && owed.is_some(), || match owed {
            Some(id) => format!("the charge of {id} does not follow from what was published before"),
            None => "an attempt is charged that has not just failed after vectors may have left".to_owned(),
        });
        let (Some((plan, catalogue)), Some(id)) = (self.opened(manifest), owed) else {
            return;
        };
        let learner = Learner::new(&plan, &catalogue);
        let before = self.store.files().read(&manifest.parent).ok();
        let Some(mut learned) = before.and_then(|bytes| learner.decode(&bytes).ok()) else {
            self.checks[REPLAY].not_kept(
                format!("the charge of {id}"),
                "the release before is not kept (keep_models)",
            );
            return;
        };
        charge(&learner, &mut learned, id);
        let meta = ModelMeta {
            round: manifest.id.round,
            plan: manifest.plan,
        };
        let made = Digest::of(&learner.encode(&learned, &meta));
        self.checks[REPLAY].note(made == manifest.model, || {
            format!("{id}: the charge of its failed attempt is not what was published")
        });
    }

    /// A release is what its own sum makes after the one before, also where no update is kept.
    pub(super) fn released(&mut self, manifest: &Manifest, plan: &Plan, catalogue: &Catalogue) {
        if !plan.is_of_releases() {
            return;
        }
        let learner = Learner::new(plan, catalogue);
        let read = |digest| learner.decode(&self.store.files().read(digest).ok()?).ok();
        // Missing or damaged: told already.
        let (Some(Learned::Releases(before)), Some(Learned::Releases(released))) =
            (read(&manifest.parent), read(&manifest.model))
        else {
            return;
        };
        if let Err(error) = learner.verify(&released, &before) {
            let (round, model) = (manifest.id.round, manifest.model.short());
            self.checks[FILES]
                .wrong
                .push(format!("release of round {round}: {model}: {error}"));
        }
    }
}
