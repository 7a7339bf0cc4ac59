//! The machine that takes a shop through rounds.
//!
//! Words of the coordinator reach it verified (see `uplink`): it checks that they fit together, not who signed them.
//! Events that belong to nothing current are ignored: a duplicate, a late answer, another attempt.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use souk_common::chain::LogHead;
use souk_common::clock::Timestamp;
use souk_common::ids::AttemptId;
use souk_common::round::statements::{
    Announcement, Decision, DeclineCode, Manifest, Outcome, Receipt, RejectCode, UploadHeader,
};

use super::events::{Blob, Effect, Event, Note};
use super::masking::{MaskEffect, MaskEvent, MaskProgress};
use super::memory::{AttemptKey, Memory, Pending};
use super::policy::{Consideration, Policy};
use super::{readiness::Declined, refusals::decide};

/// One shop.
#[derive(Clone, Debug)]
pub struct Machine {
    pub(super) policy: Policy,
    pub(super) memory: Memory,
    pub(super) current: Option<Attempt>,
    /// A published model and what is still missing for its use.
    pub(super) wanted: Option<(Manifest, BTreeSet<Blob>)>,
    pub(super) fetching: BTreeSet<Blob>,
    /// Tries that failed while the connection stood.
    pub(super) failed: BTreeMap<Blob, u32>,
    pub(super) declined: Option<Declined>,
    uploading: bool,
    failures: u32,
    forked: bool,
    finished: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) announcement: Announcement,
    /// When it was first heard of.
    announced_at: Timestamp,
    /// By the plan, once it is read.
    upload_after: Option<Duration>,
    /// When its update may leave, once that is known.
    due: Option<Timestamp>,
    pub(super) stage: Stage,
    pub(super) computed: bool,
    /// None before the plan is read, and without masking.
    pub(super) masks: Option<MaskProgress>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stage {
    Fetching(BTreeSet<Blob>),
    Considering,
    Computing,
    Charging,
    Boxing,
}

impl Attempt {
    pub(super) fn key(&self) -> AttemptKey {
        AttemptKey::from(&self.announcement)
    }
}

impl Machine {
    /// A shop with what it remembers; begin with [`Event::Started`].
    pub fn new(policy: Policy, memory: Memory) -> Self {
        Self {
            policy,
            memory,
            current: None,
            wanted: None,
            fetching: BTreeSet::new(),
            failed: BTreeMap::new(),
            declined: None,
            uploading: false,
            failures: 0,
            forked: false,
            finished: false,
        }
    }

    /// What is remembered now.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// When an attempt's update may leave; none: as soon as it is ready.
    pub fn upload_due(&self, key: AttemptKey) -> Option<Timestamp> {
        self.current.as_ref().filter(|current| current.key() == key)?.due
    }

    /// Takes in an event.
    pub fn handle(&mut self, now: Timestamp, event: Event) -> Vec<Effect> {
        match event {
            Event::Started => vec![Effect::Connect { at: now }],
            Event::Disconnected { jitter } => self.handle_disconnected(now, jitter),
            Event::Welcomed(manifest) => self.handle_welcomed(now, manifest),
            Event::Announced(announcement) => self.handle_announced(now, announcement),
            Event::Ended { id, outcome } => self.handle_ended(now, id, outcome),
            Event::Finished => {
                self.finished = true;
                let mut effects = self.erase_masking(|_| true);
                effects.extend(self.finish_if_complete());
                effects
            }
            Event::BlobReady(blob) => self.handle_blob(blob),
            Event::BlobFailed(blob) => self.handle_blob_failed(now, blob),
            Event::PolicyChanged(policy) => {
                self.policy = *policy;
                self.think_again()
            }
            Event::Considered(announcement, consideration) => {
                self.handle_considered(&announcement, &consideration)
            }
            Event::Computed(key) => self.handle_computed(key),
            Event::SpendRecorded(key) => {
                self.memory.spent.insert(key);
                match self.step(key, &Stage::Charging, Stage::Boxing) {
                    true => vec![Effect::PutInOutbox(key)],
                    false => vec![Effect::Discard(key)],
                }
            }
            Event::Failed(key) => self.handle_failed(key),
            Event::InOutbox(pending) => self.handle_in_outbox(now, pending),
            Event::Received(receipt) => self.handle_received(receipt),
            Event::Rejected { header, code } => self.handle_rejected(now, header, code),
            Event::UploadFailed(header) => self.retry_upload(now, header),
            Event::Masked(event) => {
                if let MaskEvent::SharersFixed { id, .. } = &event {
                    self.note_sharers(now, *id);
                }
                self.handle_masked(event)
            }
        }
    }

    fn handle_disconnected(&mut self, now: Timestamp, jitter: f64) -> Vec<Effect> {
        self.uploading = false;
        self.fetching.clear();
        self.failed.clear();
        let span = FIRST_BACKOFF
            .saturating_mul(1 << self.failures.min(16))
            .min(LONGEST_BACKOFF);
        self.failures = self.failures.saturating_add(1);
        let at = now + span.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0));
        let mut effects = vec![
            Effect::Report(Note::Disconnected { retry_at: at }),
            Effect::Connect { at },
        ];
        effects.extend(self.finish_if_complete());
        effects
    }

    fn handle_welcomed(&mut self, now: Timestamp, manifest: Manifest) -> Vec<Effect> {
        self.failures = 0;
        // What was wanted while there was no connection was dropped: nothing is on its way on a new one.
        self.uploading = false;
        self.fetching.clear();
        // The news that the attempt had ended may have been lost.
        let past = |stored: AttemptKey| stored.plan == manifest.plan && stored.id.round <= manifest.id.round;
        let mut effects = self.erase_masking(past);
        self.wait_no_more(now, past);
        effects.extend(self.want(now, manifest));
        effects.extend(self.note_over(None));
        if let Some(Attempt {
            stage: Stage::Fetching(missing),
            ..
        }) = &self.current
        {
            let missing = missing.clone();
            self.fetch(now, &missing, &mut effects);
        }
        // If the update arrived and only its receipt was lost, offering it again brings the receipt.
        effects.extend(self.upload(now));
        effects
    }

    fn handle_announced(&mut self, now: Timestamp, announcement: Announcement) -> Vec<Effect> {
        let key = AttemptKey::from(&announcement);
        if let Some(again) = self.handle_announced_again(now, &announcement) {
            return again;
        }
        if self.forked || self.memory.forked_by(&announcement.log) {
            let mut effects = vec![Effect::Report(Note::Forked(announcement.log))];
            effects.extend(self.decline(key, DeclineCode::RecordForked));
            return effects;
        }
        let mut effects = Vec::new();
        self.remember(announcement.log, true, &mut effects);
        if let Some(old) = self.current.take() {
            effects.push(Effect::Discard(old.key()));
        }
        effects.extend(self.erase_masking(|_| true));
        if self.memory.spent.contains(&key) {
            // Said aloud, so that nobody waits for this shop until the deadline.
            effects.extend(self.decline(key, DeclineCode::Interrupted));
            return effects;
        }
        if self.policy.paused {
            effects.extend(self.decline(key, DeclineCode::Paused));
            return effects;
        }
        let missing = BTreeSet::from(Blob::all(
            announcement.plan,
            announcement.catalogue,
            announcement.model,
        ));
        self.fetch(now, &missing, &mut effects);
        self.current = Some(Attempt {
            announcement,
            announced_at: now,
            upload_after: None,
            due: None,
            stage: Stage::Fetching(missing),
            computed: false,
            masks: None,
        });
        effects
    }

    /// The answer to an announcement that was seen before; none if it is new.
    fn handle_announced_again(&mut self, now: Timestamp, announcement: &Announcement) -> Option<Vec<Effect>> {
        let key = AttemptKey::from(announcement);
        if let Some(code) = self.still_declines(key) {
            return Some(vec![Effect::Answer(key, Decision::Decline(code))]);
        }
        if self.memory.masking == Some(key) {
            // Its keys are known: without them there would be no masked update.
            return Some(self.upload(now).into_iter().collect());
        }
        if let Some(pending) = self.memory.outbox.filter(|pending| pending.key == key) {
            let mut effects = match self.memory.lost_masking == Some(key) {
                true => self.decline(key, DeclineCode::ListRefused),
                // The coordinator may have lost the answer in a crash; it takes no update without one.
                false => vec![Effect::Answer(pending.key, Decision::Accept)],
            };
            effects.extend(self.upload(now));
            return Some(effects);
        }
        let current = self
            .current
            .as_ref()
            .filter(|current| current.announcement == *announcement)?;
        Some(match (&current.stage, current.masks) {
            (Stage::Fetching(_) | Stage::Considering, _) => Vec::new(),
            (_, None) => vec![Effect::Answer(key, Decision::Accept)],
            (_, Some(masks)) => self.advertise_again(key, masks),
        })
    }

    fn handle_ended(&mut self, now: Timestamp, id: AttemptId, outcome: Outcome) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let Some(current) = self.current.take_if(|current| current.announcement.id == id) {
            effects.push(Effect::Discard(current.key()));
        }
        effects.extend(self.erase_masking(|stored| stored.id == id));
        effects.extend(self.note_over(Some(id)));
        if self.wait_no_more(now, |waiting| waiting.id == id) {
            self.uploading = false;
            effects.extend(self.upload(now));
        }
        match outcome {
            Outcome::Published(manifest) => effects.extend(self.want(now, manifest)),
            Outcome::BelowQuorum { accepted, quorum } => {
                effects.push(Effect::Report(Note::BelowQuorum { id, accepted, quorum }));
            }
            Outcome::NotUnmasked { survivors, revealed } => {
                effects.push(Effect::Report(Note::NotUnmasked {
                    id,
                    survivors,
                    revealed,
                }));
            }
        }
        effects
    }

    /// An update of an attempt that is over is not held back any longer, and whether one was: when it leaves tells nothing any
    /// more, and a clock that was set back would hold it, and the shop, for as long.
    fn wait_no_more(&mut self, now: Timestamp, over: impl Fn(AttemptKey) -> bool) -> bool {
        let waits = |pending: &&mut Pending| over(pending.key) && pending.due.is_some_and(|due| due > now);
        let waiting = self.memory.outbox.as_mut().filter(waits);
        waiting.map(|pending| pending.due = None).is_some()
    }

    fn handle_considered(
        &mut self,
        announcement: &Announcement,
        consideration: &Consideration,
    ) -> Vec<Effect> {
        let key = AttemptKey::from(announcement);
        // What another word of the same attempt would have taken says nothing of this one: it may name other releases, and so
        // other noise.
        let is_current = self
            .current
            .as_ref()
            .is_some_and(|current| current.announcement == *announcement);
        if !is_current || !self.is_at(key, &Stage::Considering) {
            return Vec::new();
        }
        match decide(&self.policy, consideration) {
            Decision::Decline(code) => {
                self.current = None;
                let effects = self.decline(key, code);
                self.declined = Some(Declined::new(key, code, Some(*consideration)));
                effects
            }
            Decision::Accept => self.accept(key, consideration),
        }
    }

    fn accept(&mut self, key: AttemptKey, consideration: &Consideration) -> Vec<Effect> {
        let Some(current) = &mut self.current else {
            return Vec::new();
        };
        let masked = consideration.is_masked();
        current.upload_after = consideration.upload_after();
        if !masked {
            current.due = current.upload_after.map(|after| current.announced_at + after);
        }
        current.stage = Stage::Computing;
        current.masks = masked.then_some(MaskProgress::Begun);
        let announcement = current.announcement.clone();
        // Under masks the keys are the acceptance; others wait for them, so they go first.
        let accept = match masked {
            true => Effect::Masked(MaskEffect::MakeKeys(announcement.clone())),
            false => Effect::Answer(key, Decision::Accept),
        };
        vec![
            Effect::Report(Note::Accepted(key)),
            accept,
            Effect::Compute(announcement),
        ]
    }

    fn handle_computed(&mut self, key: AttemptKey) -> Vec<Effect> {
        if !self.is_at(key, &Stage::Computing) {
            return vec![Effect::Discard(key)];
        }
        if let Some(current) = &mut self.current {
            current.computed = true;
        }
        self.charge_if_ready(key)
    }

    fn handle_failed(&mut self, key: AttemptKey) -> Vec<Effect> {
        match self.current.take_if(|current| current.key() == key) {
            Some(_) => {
                let mut effects = vec![Effect::Discard(key)];
                effects.extend(self.decline(key, DeclineCode::CouldNotCompute));
                effects
            }
            None => Vec::new(),
        }
    }

    /// R2 is here, perhaps not for the first time: from now on the offset of a masked attempt counts.
    fn note_sharers(&mut self, now: Timestamp, id: AttemptId) {
        if let Some(current) = self
            .current
            .as_mut()
            .filter(|current| current.announcement.id == id)
            && let Some(after) = current.upload_after
        {
            current.due.get_or_insert(now + after);
        }
    }

    fn handle_in_outbox(&mut self, now: Timestamp, mut pending: Pending) -> Vec<Effect> {
        if !self.memory.spent.contains(&pending.key) || !self.is_at(pending.key, &Stage::Boxing) {
            // Nobody waits for it any more; secrets that were stored with it are of no use.
            return vec![Effect::Masked(MaskEffect::Erase(pending.key))];
        }
        let current = self.current.take();
        let masked = current.as_ref().is_some_and(|current| current.masks.is_some());
        pending.due = current.and_then(|current| current.due);
        self.memory.masking = masked.then_some(pending.key);
        self.memory.outbox = Some(pending);
        self.uploading = false;
        let late = pending.due.filter(|due| *due < now).map(|due| now.since(due));
        let told = late.map(|by| {
            Effect::Report(Note::TooSlow {
                id: pending.key.id,
                by,
            })
        });
        told.into_iter().chain(self.upload(now)).collect()
    }

    fn handle_received(&mut self, receipt: Receipt) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.memory.contradicts(&receipt.log) {
            self.forked = true;
            effects.push(Effect::Report(Note::Forked(receipt.log)));
        } else {
            self.remember(receipt.log, false, &mut effects);
        }
        let Some(pending) = self
            .memory
            .outbox
            .take_if(|pending| pending.header == receipt.upload)
        else {
            return effects;
        };
        self.uploading = false;
        effects.push(Effect::StoreReceipt(receipt));
        effects.push(Effect::Report(Note::Received(pending.header)));
        effects.extend(self.finish_if_complete());
        effects
    }

    fn handle_rejected(&mut self, now: Timestamp, header: UploadHeader, code: RejectCode) -> Vec<Effect> {
        if code == RejectCode::StoreFailed {
            return self.retry_upload(now, header);
        }
        let Some(pending) = self.memory.outbox.take_if(|pending| pending.header == header) else {
            return Vec::new();
        };
        self.uploading = false;
        let mut effects = vec![
            Effect::StoreRejection { pending, code },
            Effect::Report(Note::Rejected(header, code)),
        ];
        effects.extend(self.finish_if_complete());
        effects
    }

    fn retry_upload(&mut self, now: Timestamp, header: UploadHeader) -> Vec<Effect> {
        match self.memory.outbox {
            Some(pending) if pending.header == header && self.uploading => {
                vec![Effect::Upload {
                    pending,
                    at: now + RETRY_AFTER,
                }]
            }
            _ => Vec::new(),
        }
    }

    /// Sends what is in the outbox, now or when it is due.
    fn upload(&mut self, now: Timestamp) -> Option<Effect> {
        let pending = self.memory.outbox?;
        let at = pending.due.map_or(now, |due| due.max(now));
        (!std::mem::replace(&mut self.uploading, true)).then_some(Effect::Upload { pending, at })
    }

    fn remember(&mut self, log: LogHead, announced: bool, effects: &mut Vec<Effect>) {
        let known = self.memory.heads.insert(log.length, log.head).is_some();
        let longest = announced && self.memory.announced != Some(log);
        if longest {
            self.memory.announced = Some(log);
        }
        if !known || longest {
            effects.push(Effect::Remember { log, announced });
        }
    }

    pub(super) fn decline(&mut self, key: AttemptKey, code: DeclineCode) -> Vec<Effect> {
        self.declined = Some(Declined::new(key, code, None));
        vec![
            Effect::Report(Note::Declined(key, code)),
            Effect::Answer(key, Decision::Decline(code)),
        ]
    }

    pub(super) fn finish_if_complete(&mut self) -> Vec<Effect> {
        // The answer to the last update may come after the news that the run is complete: they travel apart.
        if !self.finished || self.wanted.is_some() || (self.uploading && self.memory.outbox.is_some()) {
            return Vec::new();
        }
        self.finished = false;
        vec![Effect::Report(Note::Finished), Effect::Finish]
    }

    fn is_at(&self, key: AttemptKey, stage: &Stage) -> bool {
        self.current
            .as_ref()
            .is_some_and(|current| current.key() == key && current.stage == *stage)
    }

    pub(super) fn step(&mut self, key: AttemptKey, from: &Stage, to: Stage) -> bool {
        let here = self.is_at(key, from);
        if let Some(current) = self.current.as_mut().filter(|_| here) {
            current.stage = to;
        }
        here
    }
}

/// Wait before the first new try, and the most.
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
pub(super) const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// Wait before a fetch or upload that failed by itself is tried again.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(2);
