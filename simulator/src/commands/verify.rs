//! `souk-sim verify`: a federation's records, checked offline.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Args;
use souk_common::hex;
use souk_common::terminal::say;
use souk_coordinator::folder::FederationFolder;
use souk_coordinator::store::StoreError;
use souk_coordinator::verify::{LedgerReport, OutsideEvidence, Report, check_with};

use crate::data::ledgers;
use crate::error::WrongUsage;

/// Check a federation's records: chain, signatures, files, masked attempts, and every kept round made again bit for bit.
///
/// DIR is the coordinator's folder, or a copy of it (coordinator.redb, files/, private/). Nothing in it is changed. What it
/// takes to make a round again is kept for as many rounds as the coordinator's `keep_parts` says; what could not be checked is
/// listed with the reason, not passed.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  souk-sim verify fed\n  souk-sim verify copy-of-fed --key 9f86d0..08 --json\n  souk-sim verify fed --key 9f86d0..08 \
                        --ledger shops/north --ledger south-ledger.jsonl\n\nThe key is in \
                        every shop's membership.json (signing_key): take it from there, not from the coordinator."
)]
pub struct VerifyArgs {
    /// The coordinator's folder.
    dir: PathBuf,
    /// The federation's public signing key, 64 hexadecimal digits; without it the one in DIR is believed.
    #[arg(long, value_name = "HEX")]
    key: Option<String>,
    /// A shop's ledger to hold against the record: the shop's folder, its ledger.jsonl, or a folder of shops' folders. May be
    /// repeated.
    #[arg(long, value_name = "PATH")]
    ledger: Vec<PathBuf>,
    /// Print one JSON object instead of lines.
    #[arg(long)]
    json: bool,
}

/// Runs the command; false when something is wrong with the records.
///
/// # Errors
/// When the folder is no federation's, or its records can't be read at all.
pub fn run(args: &VerifyArgs) -> anyhow::Result<bool> {
    let key = match &args.key {
        Some(text) => hex::bytes(text)
            .and_then(|bytes| bytes.try_into().ok())
            .with_context(|| WrongUsage(format!("--key is {text:?}; it has 64 hexadecimal digits")))?,
        None => FederationFolder::new(&args.dir)
            .signing_key()
            .with_context(|| {
                WrongUsage(format!(
                    "{} has no signing key: is it a coordinator's folder? For a copy without secrets give --key",
                    args.dir.display()
                ))
            })?
            .public(),
    };
    let evidence = OutsideEvidence {
        ledgers: ledgers::read(&args.ledger)?,
        believes_the_folders_key: args.key.is_none(),
    };
    let report = check_with(&args.dir, &key, &evidence).map_err(|error| match error {
        StoreError::Version { path, error } => anyhow!(
            "{path}: written by a newer Souk (format {}; this one knows {}): use souk-sim of that version",
            error.found,
            error.known
        ),
        error => anyhow::Error::new(error).context(format!(
            "can't read the records in {}; if a coordinator is writing to them at this moment, try again or stop it",
            args.dir.display()
        )),
    })?;
    if args.json {
        say(&serde_json::to_string(&report)?)?;
    } else {
        say(prose(&report).trim_end())?;
    }
    Ok(report.ok)
}

fn prose(report: &Report) -> String {
    if let Some(wrong) = report.wrong_key() {
        return format!("FAIL {wrong}");
    }
    let mut text = format!("{} entries in the record\n", report.log_length);
    for check in &report.checks {
        let mark = if check.ok { "ok  " } else { "FAIL" };
        let kept = match check.not_kept {
            0 => String::new(),
            not_kept => format!(", {not_kept} not kept"),
        };
        text += &format!("  {mark} {}: {} right{kept}\n", check.name, check.good);
        check
            .wrong
            .iter()
            .for_each(|wrong| text += &format!("         {wrong}\n"));
    }
    report.ledgers.iter().for_each(|ledger| text += &beside(ledger));
    if !report.unchecked.is_empty() {
        text += "not checked, or in part:\n";
    }
    let mut of = "";
    for left in &report.unchecked {
        if left.check != of {
            of = left.check;
            text += &format!("  {of}\n");
        }
        let places = match left.count {
            0 | 1 => left.first.clone(),
            count => format!("{} ({count} of them)", left.first),
        };
        text += &format!("         {places}: {}\n", left.why);
    }
    text
}

/// A ledger beside the record, and its spends that no receipt is of.
fn beside(ledger: &LedgerReport) -> String {
    let shop = ledger.shop.as_ref().map_or("no shop's", |shop| shop.as_str());
    let mut text = format!(
        "{shop}, {}: {} records, {} spends, {} received updates; epsilon at delta {}: {}\n",
        ledger.file, ledger.records, ledger.spends, ledger.receipts, ledger.delta, ledger.epsilons
    );
    for beyond in &ledger.beyond {
        text += &format!(
            "         line {}: round {} attempt {}: {}\n",
            beyond.line, beyond.round, beyond.attempt, beyond.why
        );
    }
    text
}
