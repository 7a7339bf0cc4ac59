//! A federation's records, checked from its folder alone: chain, signatures, files, lists of masked attempts, and every kept
//! round made again, bit for bit.
//!
//! Nothing in the folder is changed: the records are read from a copy.

use std::collections::BTreeMap;
use std::path::Path;

use souk_common::catalogue::Catalogue;
use souk_common::chain::LogHead;
use souk_common::crypto::sign::{Signable, Signed, verify};
use souk_common::ids::{AttemptId, Digest, ShopName};
use souk_common::learned::Learner;
use souk_common::plan::Plan;
use souk_common::round::statements::{Announcement, Manifest, Outcome};

use crate::store::{BegunRun, Entry, LogRecord, MaskedList, Store, StoreError};

mod catalogue;
mod charges;
mod replay;
mod report;
mod retention;
mod runs;
#[cfg(test)]
mod tests;

use report::{CHAIN, FILES, NAMES, RECEIPTS, REPLAY, SIGNATURES};
pub use report::{Check, Report};
use retention::Kept;

/// Checks the federation in `dir`, whose words are signed by `key`.
///
/// # Errors
/// When the folder is no federation's, its records can't be read at all, or a coordinator has them open.
pub fn check(dir: &Path, key: &[u8; 32]) -> Result<Report, StoreError> {
    let store = Store::open_to_read(dir)?;
    let mut report = check_store(&store, key)?;
    report.add(catalogue::check(dir, &store)?);
    Ok(report)
}

/// Checks the federation in `store`, whose words are signed by `key`.
///
/// # Errors
/// When its records can't be read at all.
pub fn check_store(store: &Store, key: &[u8; 32]) -> Result<Report, StoreError> {
    let mut kept = Kept::default();
    store.each_entry(|at, record| kept.take(at, &record.entry))?;
    let mut verifier = Verifier {
        key: *key,
        checks: NAMES.map(Check::new),
        store,
        said: Vec::new(),
        versions: Vec::new(),
        runs: Vec::new(),
        run: RunSoFar::default(),
        parts_since: kept.parts_since(),
        second_rules: false,
        models_since: kept.models_since(),
    };
    let mut end = LogHead {
        length: 0,
        head: Digest::ZERO,
    };
    store.each_entry(|at, record| {
        verifier.follows(&end, &record);
        verifier.entry(at, &record);
        end = LogHead {
            length: at + 1,
            head: record.digest(),
        };
    })?;
    verifier.owes_nothing();
    verifier.ends(&end);
    verifier.models()?;
    let mut checks = verifier.checks.to_vec();
    let signatures = &mut checks[SIGNATURES];
    if signatures.good == 0 && !signatures.wrong.is_empty() {
        signatures.wrong = vec![WRONG_KEY.to_owned()];
    }
    checks.iter_mut().for_each(Check::conclude);
    Ok(Report {
        ok: checks.iter().all(|check| check.ok),
        log_length: end.length,
        checks,
    })
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
    fn follows(&mut self, end: &LogHead, record: &LogRecord) {
        self.checks[CHAIN].note(record.previous == end.head, || {
            format!("entry {} does not follow from the one before", end.length)
        });
    }

    fn ends(&mut self, end: &LogHead) {
        let head = self.store.log_head();
        self.checks[CHAIN].note(head == *end, || {
            format!(
                "the record ends after {} entries, its head says {}",
                end.length, head.length
            )
        });
    }

    fn signed<T: Signable>(&mut self, word: &Signed<T>, what: impl FnOnce() -> String) {
        let good = verify(word, &self.key).is_ok();
        self.checks[SIGNATURES].note(good, || {
            format!("{} is not signed by the federation's key", what())
        });
    }

    /// The head of the record that a signed word names is the one that it was said at: so unsigned entries can't be made
    /// again, either.
    fn head(&mut self, log: &LogHead, at: u64, record: &LogRecord, what: impl FnOnce() -> String) {
        let here = LogHead {
            length: at,
            head: record.previous,
        };
        self.checks[CHAIN].note(*log == here, || {
            format!(
                "{} names a record of {} entries and head {}, not the one that it stands in",
                what(),
                log.length,
                log.head.short()
            )
        });
    }

    /// The table of models, which the coordinator goes on from, says what the record says.
    fn models(&mut self) -> Result<(), StoreError> {
        let (store, mut table) = (self.store, Vec::new());
        store.each_model(|manifest| {
            self.signed(&manifest, || {
                format!("the manifest of {} in the table of models", manifest.body.id)
            });
            table.push(digest_of(&manifest.body));
        })?;
        self.checks[CHAIN].note(table == self.said, || {
            "the table of models is not what the record says".to_owned()
        });
        Ok(())
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
                self.say(&manifest.body);
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
                self.say(&manifest.body);
            }
            Entry::Grown(manifest) => {
                self.signed(manifest, || "the manifest over a new catalogue".to_owned());
                self.named(&manifest.body);
                self.grown(&manifest.body);
                self.run.state = None;
                self.say(&manifest.body);
            }
            Entry::Charged(manifest) => {
                self.signed(manifest, || "the manifest that charges an attempt".to_owned());
                self.named(&manifest.body);
                self.charged(&manifest.body);
                self.say(&manifest.body);
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
            }
            Entry::Masked { list, .. } => self.run.lists.push(*list),
            Entry::Unmasked { session, .. } => self.run.unmasked = Some(*session),
            Entry::Stepped { id, before, after } => {
                let follows = *before == self.run.state;
                self.checks[CHAIN].note(follows, || {
                    format!("{id}: the optimiser's state does not follow from the one before")
                });
                (self.run.stepped, self.run.state) = (Some(*before), *after);
            }
            Entry::Quality { .. }
            | Entry::Keeping(_)
            | Entry::KeepingModels(_)
            | Entry::Named { .. }
            | Entry::Readmitted { .. }
            | Entry::WentOn { .. }
            // What they say, nobody else has signed: the chain alone keeps them from being changed.
            | Entry::Enrolled(_) => {}
            Entry::EnrolmentsRefused(refusals) => {
                self.checks[CHAIN].note(refusals.add_up(), || {
                    format!("entry {at}: the refused enrolments are not as many as it says")
                });
            }
            Entry::Ended(outcome) => {
                self.signed(outcome, || "an outcome".to_owned());
                match &outcome.body {
                    Outcome::Published(manifest) => {
                        self.published(manifest);
                        self.say(manifest);
                    }
                    Outcome::BelowQuorum { .. } | Outcome::NotUnmasked { .. } => self.failed(),
                }
            }
        }
    }

    /// A model is the current one.
    fn say(&mut self, manifest: &Manifest) {
        self.said.push(digest_of(manifest));
        self.versions.push(Manifest {
            updates: Vec::new(),
            ..manifest.clone()
        });
        self.run.manifest = Some(manifest.clone());
    }

    /// The files that a manifest names.
    fn named(&mut self, manifest: &Manifest) {
        let blobs = [
            ("plan", manifest.plan),
            ("catalogue", manifest.catalogue),
            ("model", manifest.model),
        ];
        // An older version, and no newer one with the same file.
        let not_kept = self.said.len() < self.models_since && !self.store.files().contains(&manifest.model);
        for (what, digest) in blobs {
            if what == "model" && not_kept {
                self.checks[FILES].not_kept += 1;
                continue;
            }
            let read = self.store.files().read(&digest);
            self.checks[FILES].note(read.is_ok(), || {
                let error = read.err().map(|error| error.to_string()).unwrap_or_default();
                format!(
                    "{what} of round {}: {}: {error}",
                    manifest.id.round,
                    digest.short()
                )
            });
        }
    }

    /// A model that is kept is one of its plan, and finite.
    fn sound(&mut self, manifest: &Manifest, plan: &Plan, catalogue: &Catalogue) {
        let learner = Learner::new(plan, catalogue);
        // Missing or damaged: told already.
        if let Ok(bytes) = self.store.files().read(&manifest.model)
            && let Err(error) = learner.decode(&bytes)
        {
            let round = manifest.id.round;
            let model = manifest.model.short();
            self.checks[FILES]
                .wrong
                .push(format!("model of round {round}: {model}: {error}"));
        }
    }

    /// What the files of a manifest say; none if one is missing or damaged, which is told already.
    fn opened(&self, manifest: &Manifest) -> Option<(Plan, Catalogue)> {
        let plan = Plan::from_bytes(&self.store.files().read(&manifest.plan).ok()?).ok()?;
        let catalogue = Catalogue::from_bytes(&self.store.files().read(&manifest.catalogue).ok()?).ok()?;
        Some((plan, catalogue))
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
