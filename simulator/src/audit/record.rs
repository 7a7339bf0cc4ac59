//! A federation's own record, for a report: its head, what failed, and whether it is as it must be.

use std::path::Path;

use anyhow::Context;
use souk_common::ids::Digest;
use souk_common::round::statements::Outcome;
use souk_coordinator::folder::FederationFolder;
use souk_coordinator::store::{Entry, Store};
use souk_coordinator::verify::check;

use super::findings::Finding;
use super::report::model::RecordFacts;
use crate::error::WrongUsage;

/// What the record in `dir` says, and the finding for the report.
///
/// # Errors
/// When the folder is no federation's, or its record can't be read.
pub(crate) fn read(dir: &Path) -> anyhow::Result<(RecordFacts, Finding)> {
    let key = FederationFolder::new(dir).signing_key().with_context(|| {
        WrongUsage(format!(
            "{} has no signing key: --federation takes a coordinator's folder",
            dir.display()
        ))
    })?;
    let shown = || dir.display().to_string();
    let report = check(dir, &key.public()).with_context(shown)?;
    let store = Store::open_to_read(dir).with_context(shown)?;
    let (mut head, mut entries, mut failed_attempts) = (Digest::ZERO, 0, 0);
    store
        .each_entry(|_, record| {
            (head, entries) = (record.digest(), entries + 1);
            if let Entry::Ended(outcome) = &record.entry {
                failed_attempts += u64::from(!matches!(outcome.body, Outcome::Published(_)));
            }
        })
        .with_context(shown)?;
    let wrong: Vec<&String> = report.checks.iter().flat_map(|check| &check.wrong).collect();
    let finding = Finding {
        name: "the federation's record is as it must be".to_owned(),
        ok: report.ok,
        detail: match wrong.first() {
            None => format!("{entries} entries; souk-sim verify found nothing wrong"),
            Some(first) => format!("{} places are wrong, the first: {first}", wrong.len()),
        },
    };
    let facts = RecordFacts {
        head: head.to_string(),
        entries,
        failed_attempts,
        wrong: wrong.len() as u64,
    };
    Ok((facts, finding))
}
