//! `souk-sim audit verify REPORT`: whether a report is as it was signed, and by whom.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use serde_json::Value;
use souk_common::crypto::sign;
use souk_common::hex;
use souk_common::ids::Digest;
use souk_common::terminal::say;

use super::html::{CLOSE, OPEN, Page};
use super::model::{FORMAT, Report};
use super::sign::{BETWEEN, FIRST, LAST, Signature, THEN, page_digest};
use super::write::build_digest;
use crate::error::{Unusable, WrongUsage};

/// Check that a report of an audit is as it was signed: every byte of it, HTML or JSON.
///
/// Of an HTML file the page is also made again from the report within, and compared byte for byte.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  souk-sim audit verify audit.html --key 9f86d0..08\n  souk-sim audit verify audit.json --json\n\n\
                        Exit codes: 0 as it was signed, 1 it is not, or is no report, 2 it can't be read, 64 wrong usage."
)]
pub(crate) struct VerifyReportArgs {
    /// OUT.html or OUT.json of `souk-sim audit`.
    report: PathBuf,
    /// The public key of whoever should have signed, 64 hexadecimal digits, as they gave it to you; without it the one in the
    /// report is believed.
    #[arg(long, value_name = "HEX")]
    key: Option<String>,
    /// Print one JSON object instead of lines.
    #[arg(long)]
    json: bool,
}

/// Runs the command; false when the report is not as it was signed.
///
/// # Errors
/// When the file can't be read, is no report, or is one of a newer program.
pub(crate) fn run(args: &VerifyReportArgs) -> anyhow::Result<bool> {
    let key = args.key.as_ref().map(|text| {
        let bytes = hex::bytes(text).and_then(|bytes| bytes.try_into().ok());
        bytes.with_context(|| WrongUsage(format!("--key is {text:?}; it has 64 hexadecimal digits")))
    });
    let checked = verify(&args.report, key.transpose()?)?;
    match args.json {
        true => say(&serde_json::to_string(&checked)?)?,
        false => say(checked.text().trim_end())?,
    }
    Ok(checked.ok)
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct CheckedReport {
    /// Whether every byte is as it was signed, and by the right key.
    pub(crate) ok: bool,
    /// `html` or `json`.
    pub(crate) kind: &'static str,
    /// Who signed, by the file.
    pub(crate) public_key: String,
    /// Whether that key is the one that was asked for; false: it is believed.
    pub(crate) key_was_given: bool,
    /// What is not as it was signed, and where.
    pub(crate) wrong: Vec<String>,
    /// What could not be checked.
    pub(crate) notes: Vec<String>,
    /// The plan's name, by the report; none if it can't be read.
    pub(crate) plan: Option<String>,
}

impl CheckedReport {
    fn text(&self) -> String {
        let mut text = match self.ok {
            true => "ok   every byte is as it was signed\n".to_owned(),
            false => "FAIL this is not the report that was signed\n".to_owned(),
        };
        for wrong in &self.wrong {
            text += &format!("     {wrong}\n");
        }
        for note in &self.notes {
            text += &format!("note {note}\n");
        }
        if self.ok {
            let plan = self.plan.as_deref().unwrap_or("?");
            text += &format!("     on the plan {plan}, signed by {}\n", self.public_key);
            if !self.key_was_given {
                text += "note the key in the report is believed: anybody can sign with a key of their own. --key HEX asks for the one \
                         that you know\n";
            }
        }
        text
    }
}

/// Checks the report at `path`; signed by `key`, if one is given.
///
/// # Errors
/// When the file can't be read, is no report, or is one of a newer program.
pub(crate) fn verify(path: &Path, key: Option<[u8; 32]>) -> anyhow::Result<CheckedReport> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    verify_bytes(&bytes, key).with_context(|| path.display().to_string())
}

/// [`verify`] of what stands in a file.
pub(super) fn verify_bytes(bytes: &[u8], key: Option<[u8; 32]>) -> anyhow::Result<CheckedReport> {
    let file = std::str::from_utf8(bytes).map_err(|error| {
        unusable(format!(
            "it is no report: byte {} is no UTF-8",
            error.valid_up_to()
        ))
    })?;
    let frame = match file.find(OPEN) {
        Some(at) => {
            let (before, rest) = file.split_at(at + OPEN.len());
            let end = rest.find(CLOSE).ok_or_else(|| {
                unusable(format!(
                    "it is no report: {CLOSE} is missing behind byte {}",
                    before.len()
                ))
            })?;
            Some((before, &rest[..end], &rest[end..]))
        }
        None => None,
    };
    let start = frame.map_or(0, |(before, ..)| before.len());
    let text = frame.map_or(file, |(_, text, _)| text);
    let parts = Parts::of(text, start)?;
    let body = &parts.signature.body;
    let mut wrong = parts.wrong;
    if sign::verify(&parts.signature.signed(), &body.public_key).is_err() {
        wrong.push(format!(
            "the signature (bytes {start} to {}) is not by the key {} over the digests beside it",
            start + parts.signature_len,
            hex::text(&body.public_key)
        ));
    }
    if let Some(key) = key.filter(|key| *key != body.public_key) {
        wrong.push(format!(
            "it is signed by {}, and not by {}",
            hex::text(&body.public_key),
            hex::text(&key)
        ));
    }
    let mut notes = Vec::new();
    let report = read(&parts.lines);
    if let Some((before, _, after)) = frame {
        let page = (before, after);
        let is_signed = page_digest(before, after) == body.page;
        match &report {
            Ok(report) => {
                let again = Page::of(report, &hex::text(&body.public_key));
                let differs = first_difference(page, (&again.before, &again.after), text.len());
                match (is_signed, differs) {
                    (true, None) => {}
                    (false, Some(at)) => wrong.push(format!("the page is not the one that was signed: {at}")),
                    (false, None) => wrong.push(
                        "the page is what the report within makes, and not the one that was signed"
                            .to_owned(),
                    ),
                    (true, Some(at)) if build_digest().is_ok_and(|own| own == report.provenance.build) => {
                        wrong.push(format!("the page says something else than the report within: {at}"));
                    }
                    (true, Some(_)) => notes.push(format!(
                        "the page was made by souk {} (build {}), another than this program, and could not be made again from the report \
                         within: whether it says the same is on the word of whoever signed",
                        report.provenance.version, report.provenance.build
                    )),
                }
            }
            Err(error) if !is_signed => {
                wrong.push(format!(
                    "the page is not the one that was signed, and can't be made again: {error:#}"
                ));
            }
            Err(_) => {}
        }
    }
    let plan = match report {
        Ok(report) => Some(report.subject.plan),
        // Signed as it is, and no report all the same.
        Err(error) if wrong.is_empty() => return Err(error),
        Err(_) => None,
    };
    Ok(CheckedReport {
        ok: wrong.is_empty(),
        kind: if frame.is_some() { "html" } else { "json" },
        public_key: hex::text(&body.public_key),
        key_was_given: key.is_some(),
        wrong,
        notes,
        plan,
    })
}

/// The signed text, taken apart.
struct Parts<'a> {
    signature: Signature,
    signature_len: usize,
    /// The report's lines by their keys.
    lines: BTreeMap<&'a str, &'a str>,
    wrong: Vec<String>,
}

impl<'a> Parts<'a> {
    /// Of a text that begins at byte `start` of its file.
    fn of(text: &'a str, start: usize) -> anyhow::Result<Self> {
        let no_report = |what: &str, at: usize| unusable(format!("it is no report: {what} at byte {at}"));
        let rest = text
            .strip_prefix(FIRST)
            .ok_or_else(|| no_report(&format!("there is no {FIRST}"), start))?;
        let end = rest.find(THEN).ok_or_else(|| {
            no_report(
                "the signature's line does not end as it should, or no report follows it",
                start + FIRST.len(),
            )
        })?;
        let signature = signature(&rest[..end]).with_context(|| format!("the signature at byte {start}"))?;
        let first = start + FIRST.len() + end + THEN.len();
        let report = &rest[end + THEN.len()..];
        let report_text = report
            .strip_suffix(LAST)
            .ok_or_else(|| no_report("it does not end as it should", first + report.len()))?;
        let mut parts = Self {
            signature,
            signature_len: FIRST.len() + end,
            lines: BTreeMap::new(),
            wrong: Vec::new(),
        };
        parts.compare(report_text, first);
        Ok(parts)
    }

    /// Each line with its digest, in the order of the keys' names.
    fn compare(&mut self, report: &'a str, first: usize) {
        let mut at = first;
        let mut signed = self.signature.body.lines.iter();
        for line in report.split(BETWEEN) {
            let range = format!("bytes {at} to {}", at + line.len());
            at += line.len() + BETWEEN.len();
            let name = line.strip_prefix('"').and_then(|rest| rest.split_once("\":"));
            let Some((expected, digest)) = signed.next() else {
                self.wrong
                    .push(format!("{range} of the report were never signed"));
                continue;
            };
            if Digest::of(line.as_bytes()) != *digest || name.map(|(name, _)| name) != Some(expected) {
                self.wrong.push(format!(
                    "`{expected}` of the report ({range}) is not what was signed"
                ));
            }
            if let Some((name, _)) = name {
                self.lines.insert(name, line);
            }
        }
        self.wrong
            .extend(signed.map(|(name, _)| format!("`{name}` of the report is missing")));
    }
}

/// The signature's line, which must be written as this program writes it.
fn signature(line: &str) -> anyhow::Result<Signature> {
    let value: Value =
        serde_json::from_str(line).map_err(|error| unusable(format!("it is damaged: {error}")))?;
    let format = value["body"]["format"].as_u64();
    if let Some(format) = format.filter(|format| *format > u64::from(FORMAT)) {
        return Err(unusable(format!(
            "the report has format {format} and this program reads format {FORMAT}: use the program that made it, or a newer one"
        )));
    }
    let signature: Signature =
        serde_json::from_value(value).map_err(|error| unusable(format!("it is damaged: {error}")))?;
    match serde_json::to_string(&signature)? == line {
        true => Ok(signature),
        false => Err(unusable("it is damaged: it is not written as it was".to_owned())),
    }
}

/// The report of these lines.
fn read(lines: &BTreeMap<&str, &str>) -> anyhow::Result<Report> {
    let lines: Vec<&str> = lines.values().copied().collect();
    let report: Report = serde_json::from_str(&format!("{{{}}}", lines.join(",")))
        .map_err(|error| unusable(format!("the report can't be read: {error}")))?;
    match report.format {
        FORMAT => Ok(report),
        other => Err(unusable(format!(
            "the report has format {other} and this program reads format {FORMAT}"
        ))),
    }
}

/// Where two pages part, by byte, line and what stands there; none if they are the same. `between` is the length of the text within
/// the first.
fn first_difference(page: (&str, &str), again: (&str, &str), between: usize) -> Option<String> {
    let part = |ours: &str, other: &str| {
        let same = ours
            .bytes()
            .zip(other.bytes())
            .take_while(|(ours, other)| ours == other)
            .count();
        (same < ours.len().max(other.len())).then_some(same)
    };
    let around = |text: &str, at: usize| {
        let start = at.saturating_sub(AROUND);
        let bytes = &text.as_bytes()[start.min(text.len())..(at + AROUND).min(text.len())];
        String::from_utf8_lossy(bytes).into_owned()
    };
    let describe = |offset: usize, (ours, other): (&str, &str), at: usize| {
        format!(
            "at byte {} it has {:?} where {:?} was made",
            offset + at,
            around(ours, at),
            around(other, at)
        )
    };
    match part(page.0, again.0) {
        Some(at) => Some(describe(0, (page.0, again.0), at)),
        None => part(page.1, again.1).map(|at| describe(page.0.len() + between, (page.1, again.1), at)),
    }
}

fn unusable(why: String) -> anyhow::Error {
    anyhow::Error::msg(Unusable(why))
}

/// Bytes shown on each side of a difference.
const AROUND: usize = 24;
