//! The record as a chain: entry after entry, up to its head, and the words that name where they stand.

use souk_common::chain::LogHead;
use souk_common::crypto::sign::Signed;
use souk_common::ids::Digest;
use souk_common::round::statements::Manifest;

use super::report::{CHAIN, MASKS};
use super::retention::Kept;
use super::{Verifier, digest_of};
use crate::store::backend::List;
use crate::store::{LogRecord, StoreError};

impl Verifier<'_> {
    /// Both lists are written as the programs write them, entry by entry; and what they say of what is kept.
    pub(super) fn written(&mut self) -> Result<Kept, StoreError> {
        let (mut kept, mut next) = (Kept::default(), 0);
        let chain = &mut self.checks[CHAIN].wrong;
        let mut place = |list: List, next: u64, at: u64, same: bool| {
            if at != next {
                chain.push(format!("{} {next} stands under number {at}", list.name()));
            } else if !same {
                chain.push(format!(
                    "{} {at} is not written as the program writes it",
                    list.name()
                ));
            }
        };
        let log = List::Log;
        self.store.each_numbered(log, |at, bytes, record: LogRecord| {
            let same = Digest::of(bytes) == record.digest();
            place(log, next, at, same);
            kept.take(at, &record.entry);
            next += 1;
        })?;
        next = 0;
        let models = List::Models;
        self.store
            .each_numbered(models, |at, bytes, manifest: Signed<Manifest>| {
                let same = serde_json::to_vec(&manifest).is_ok_and(|text| text == bytes);
                place(models, next, at, same);
                next += 1;
            })?;
        Ok(kept)
    }

    pub(super) fn follows(&mut self, end: &LogHead, record: &LogRecord) {
        self.checks[CHAIN].note(record.previous == end.head, || {
            format!(
                "entry {} does not follow from the one before: one of the two was changed, or there were others between them",
                end.length
            )
        });
    }

    pub(super) fn ends(&mut self, end: &LogHead) {
        let head = self.store.log_head();
        self.checks[CHAIN].note(head == *end, || {
            format!(
                "the record ends after {} entries, its head says {}",
                end.length, head.length
            )
        });
        let loose = end.length.saturating_sub(self.anchored + 1);
        if loose > 0 {
            self.checks[CHAIN].leave(
                format!("entry {}", end.length - loose),
                loose,
                "entries after the last announcement or receipt: no signed word names them yet, so who can rewrite the whole file \
                 could have changed those that are not signed, or cut them off",
            );
        }
    }

    /// The head of the record that a signed word names is the one that it was said at: so unsigned entries can't be made
    /// again, either.
    pub(super) fn head(&mut self, log: &LogHead, at: u64, record: &LogRecord, what: impl FnOnce() -> String) {
        let here = LogHead {
            length: at,
            head: record.previous,
        };
        self.anchored = at;
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
    pub(super) fn models(&mut self) -> Result<(), StoreError> {
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

    /// What nobody else has signed: the chain alone keeps it from being changed.
    pub(super) fn coordinator_says(&mut self, at: u64) {
        self.checks[CHAIN].leave(
            format!("entry {at}"),
            1,
            "entries of ranking quality, enrolments, readmissions and resumed runs: the chain keeps them, and what they say is the \
             coordinator's word alone",
        );
    }

    /// What the coordinator knew of a masked attempt that made no model is gone with it.
    pub(super) fn lists_of_failed(&mut self) {
        if let Some(announced) = self.run.announced.as_ref().filter(|_| !self.run.lists.is_empty()) {
            self.checks[MASKS].leave(
                announced.id.to_string(),
                1,
                "lists of masked attempts that ended without a model: keys and signatures behind them are not kept",
            );
        }
    }
}
