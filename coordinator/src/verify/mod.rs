//! A federation's records, checked from its folder alone: chain, signatures, files, lists of masked attempts, and every kept
//! round made again, bit for bit.
//!
//! Nothing in the folder is changed: the records are read from a copy.

use std::collections::{BTreeMap, BTreeSet};

use souk_common::catalogue::Catalogue;
use souk_common::chain::LogHead;
use souk_common::crypto::sign::{Signable, Signed, verify};
use souk_common::ids::{AttemptId, Digest, ShopName};
use souk_common::plan::Plan;
use souk_common::round::statements::{Announcement, Manifest, Outcome};

use crate::store::{BegunRun, Entry, LogRecord, MaskedList, Store, StoreError};

mod blobs;
mod catalogue;
mod chain;
mod charges;
mod files;
mod folder;
mod ledgers;
mod replay;
mod report;
mod retention;
mod runs;
mod tables;
#[cfg(test)]
mod tests;

pub use folder::{OutsideEvidence, check, check_with};
pub use ledgers::LedgerFile;
pub use report::{Beyond, Check, LedgerReport, Report, Unchecked};
use report::{CHAIN, FILES, MASKS, NAMES, RECEIPTS, REPLAY, SIGNATURES};
use tables::Said;

/// Checks the federation in `store`, whose words are signed by `key`.
///
/// # Errors
/// When its records can't be read at all.
pub fn check_store(store: &Store, key: &[u8; 32]) -> Result<Report, StoreError> {
    check_records(store, key, BTreeMap::new())
}

/// The same; `keys` are shops' own, by themselves.
fn check_records(
    store: &Store,
    key: &[u8; 32],
    keys: BTreeMap<ShopName, [u8; 32]>,
) -> Result<Report, StoreError> {
    let mut verifier = Verifier {
        key: *key,
        checks: NAMES.map(Check::new),
        store,
        said: Vec::new(),
        versions: Vec::new(),
        runs: Vec::new(),
        run: RunSoFar::default(),
        parts_since: None,
        second_rules: false,
        models_since: 0,
        readable: BTreeSet::new(),
        newer: None,
        rows: Said {
            keys,
            ..Said::default()
        },
        anchored: 0,
    };
    let kept = verifier.written()?;
    verifier.parts_since = kept.parts_since();
    verifier.models_since = kept.models_since();
    let mut end = LogHead {
        length: 0,
        head: Digest::ZERO,
    };
    store.each_entry(|at, record| {
        verifier.follows(&end, &record);
        verifier.entry(at, &record);
        end = LogHead {
            length: end.length + 1,
            head: record.digest(),
        };
    })?;
    if let Some(newer) = verifier.newer {
        return Err(newer);
    }
    verifier.owes_nothing();
    verifier.ends(&end);
    verifier.models()?;
    let rows = tables::check(store, &verifier.rows)?;
    let signatures = &mut verifier.checks[SIGNATURES];
    if signatures.good == 0 && !signatures.wrong.is_empty() {
        signatures.wrong = vec![WRONG_KEY.to_owned()];
    }
    let mut report = Report {
        ok: true,
        log_length: end.length,
        checks: Vec::new(),
        unchecked: Vec::new(),
        ledgers: Vec::new(),
    };
    verifier.checks.into_iter().for_each(|check| report.add(check));
    report.add(rows);
    Ok(report)
}

struct Verifier<'a> {
    store: &'a Store,
    key: [u8; 32],
    checks: [Check; 6],
    /// Digests of all manifests that the record has said, in order.
    said: Vec<Digest>,
    /// The same, without their updates.
    versions: Vec<Manifest>,
    /// All runs that have begun.
    runs: Vec<BegunRun>,
    run: RunSoFar,
    /// Where the last run began, and from which of its rounds on the parts are kept.
    parts_since: Option<(u64, u64)>,
    /// The first model version whose file is kept.
    models_since: usize,
    /// Whether a masked attempt of the second rules was seen: none of the first may follow it.
    second_rules: bool,
    /// Plans and catalogues that can be read.
    readable: BTreeSet<Digest>,
    /// The first file that is of a newer format.
    newer: Option<StoreError>,
    /// What rows beside the record are held against.
    rows: Said,
    /// The entry of the last word that names what stands before it.
    anchored: u64,
}

/// What the record has said of the run that it is in.
#[derive(Default)]
struct RunSoFar {
    /// The current model.
    manifest: Option<Manifest>,
    /// A failed attempt that the next entry has to charge.
    owed: Option<AttemptId>,
    announced: Option<Announcement>,
    received: BTreeMap<ShopName, Digest>,
    lists: Vec<MaskedList>,
    unmasked: Option<Digest>,
    /// State of the optimiser before the step, if there was a step with one.
    stepped: Option<Option<Digest>>,
    /// State after the last step.
    state: Option<Digest>,
    /// From which round on the parts of this run are there; none if the record does not say so.
    kept_since: Option<u64>,
}

impl Verifier<'_> {
    fn signed<T: Signable>(&mut self, word: &Signed<T>, what: impl FnOnce() -> String) {
        let good = verify(word, &self.key).is_ok();
        self.checks[SIGNATURES].note(good, || {
            format!("{} is not signed by the federation's key", what())
        });
    }

    fn entry(&mut self, at: u64, record: &LogRecord) {
        if !matches!(record.entry, Entry::Charged(_)) {
            self.owes_nothing();
        }
        match &record.entry {
            Entry::Began(manifest) => {
                self.signed(manifest, || "the initial model's manifest".to_owned());
                self.run = RunSoFar {
                    kept_since: self
                        .parts_since
                        .filter(|(began, _)| *began == at)
                        .map(|(_, since)| since),
                    ..RunSoFar::default()
                };
                self.named(&manifest.body);
                self.initial(&manifest.body);
                self.runs.push(BegunRun {
                    plan: manifest.body.plan,
                    began: at,
                });
                self.say(at, &manifest.body);
            }
            Entry::RolledBack(manifest) => {
                self.signed(manifest, || {
                    format!("the manifest that rolls back to {}", manifest.body.model.short())
                });
                self.named(&manifest.body);
                self.rolled_back(&manifest.body);
                let before = self.run.manifest.as_ref().map(|before| before.plan);
                if before != Some(manifest.body.plan) {
                    self.run = RunSoFar::default();
                }
                self.run.state = None;
                self.say(at, &manifest.body);
            }
            Entry::Grown(manifest) => {
                self.signed(manifest, || "the manifest over a new catalogue".to_owned());
                self.named(&manifest.body);
                self.grown(&manifest.body);
                self.run.state = None;
                self.say(at, &manifest.body);
            }
            Entry::Charged(manifest) => {
                self.signed(manifest, || "the manifest that charges an attempt".to_owned());
                self.named(&manifest.body);
                self.charged(&manifest.body);
                self.say(at, &manifest.body);
            }
            Entry::Announced(announcement) => {
                self.head(&announcement.body.log, at, record, || {
                    format!("the announcement of {}", announcement.body.id)
                });
                self.signed(announcement, || {
                    format!("the announcement of {}", announcement.body.id)
                });
                self.begins_with_the_newest(&announcement.body);
                self.run.announced = Some(announcement.body.clone());
                self.run.received.clear();
                self.run.lists.clear();
                (self.run.unmasked, self.run.stepped) = (None, None);
            }
            Entry::Received(receipt) => {
                let (shop, upload) = (&receipt.body.shop, &receipt.body.upload);
                self.signed(receipt, || format!("the receipt of {shop} for {}", upload.id));
                self.head(&receipt.body.log, at, record, || {
                    format!("the receipt of {shop} for {}", upload.id)
                });
                self.run.received.insert(shop.clone(), upload.update);
                self.rows.received += 1;
            }
            Entry::Masked { list, .. } => self.run.lists.push(*list),
            Entry::Unmasked { id, session } => {
                self.run.unmasked = Some(*session);
                if let Some(manifest) = &self.run.manifest {
                    self.rows.sessions.insert((manifest.plan, *id), *session);
                }
            }
            Entry::Stepped { id, before, after } => {
                let follows = *before == self.run.state;
                self.checks[CHAIN].note(follows, || {
                    format!("{id}: the optimiser's state does not follow from the one before")
                });
                (self.run.stepped, self.run.state) = (Some(*before), *after);
            }
            Entry::Named { id, shop, fault } => self.checks[CHAIN].leave(
                format!("entry {at}: {shop} {fault} in {id}"),
                1,
                "a shop is named as a liar: the share that was shown is not kept, so that it lied is the coordinator's word",
            ),
            Entry::Keeping(_) | Entry::KeepingModels(_) => {}
            Entry::Quality { .. }
            | Entry::Readmitted { .. }
            | Entry::WentOn { .. }
            | Entry::Enrolled(_) => self.coordinator_says(at),
            Entry::EnrolmentsRefused(refusals) => {
                self.coordinator_says(at);
                self.checks[CHAIN].note(refusals.add_up(), || {
                    format!("entry {at}: the refused enrolments are not as many as it says")
                });
            }
            Entry::Ended(outcome) => {
                self.signed(outcome, || "an outcome".to_owned());
                match &outcome.body {
                    Outcome::Published(manifest) => {
                        self.published(manifest);
                        self.say(at, manifest);
                    }
                    Outcome::BelowQuorum { .. } | Outcome::NotUnmasked { .. } => {
                        self.lists_of_failed();
                        self.failed();
                    }
                }
            }
        }
    }

    /// A model is the current one.
    fn say(&mut self, at: u64, manifest: &Manifest) {
        if self.rows.plans.last().map(|(_, plan)| *plan) != Some(manifest.plan) {
            self.rows.plans.push((at, manifest.plan));
        }
        self.said.push(digest_of(manifest));
        self.versions.push(Manifest {
            updates: Vec::new(),
            ..manifest.clone()
        });
        self.run.manifest = Some(manifest.clone());
    }

    fn published(&mut self, manifest: &Manifest) {
        self.named(manifest);
        for (shop, update) in &manifest.updates {
            let received = self.run.received.get(shop) == Some(update);
            self.checks[RECEIPTS].note(received, || {
                format!(
                    "{}: the update of {shop} that was counted has no receipt",
                    manifest.id
                )
            });
        }
        let parent = self.run.manifest.as_ref().map(|manifest| manifest.model);
        self.checks[CHAIN].note(parent == Some(manifest.parent), || {
            format!("{}: the model does not follow from the one before", manifest.id)
        });
        let Some((plan, catalogue)) = self.opened(manifest) else {
            return;
        };
        self.sound(manifest, &plan, &catalogue);
        self.released(manifest, &plan, &catalogue);
        let session = match plan.masking_params() {
            None => None,
            Some(terms) => self.masks(manifest, &terms).map(|session| (session, terms)),
        };
        if let Some((session, _)) = &session
            && session.is_of_first_rules()
        {
            self.checks[MASKS].leave(
                manifest.id.to_string(),
                1,
                "masks of protocol version 1, by its rules: shops did not sign their shares and lists, so that a coordinator did not \
                 read single updates is its word alone",
            );
        }
        self.replay(manifest, &plan, &catalogue, session);
    }
}

/// Said once, in place of a line for every word.
const WRONG_KEY: &str = "no word in the record is signed by this key: it is another federation's, or the whole record was \
    replaced. The right one is signing_key in the membership.json of any shop";

/// Tells manifests apart in little room.
fn digest_of(manifest: &Manifest) -> Digest {
    Digest::of(&serde_json::to_vec(manifest).expect("a manifest has a JSON form"))
}
