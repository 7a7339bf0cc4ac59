//! What comes of each kind of check.

use serde::Serialize;
use souk_common::ids::ShopName;

/// What came of one kind of check.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What was checked.
    pub name: &'static str,
    /// Whether nothing of it is wrong.
    pub ok: bool,
    /// The first thing that is wrong, or how many were right.
    pub detail: String,
    /// How many were right.
    pub good: u64,
    /// What is wrong, each with its place.
    pub wrong: Vec<String>,
    /// How many could not be checked, since what it takes is not kept (any more).
    pub not_kept: u64,
    #[serde(skip)]
    unchecked: Vec<Unchecked>,
}

/// What could not be checked, or in part only.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unchecked {
    /// Of which check.
    pub check: &'static str,
    /// How many places.
    pub count: u64,
    /// The first of them.
    pub first: String,
    /// Why, and what it would take.
    pub why: String,
}

/// One shop's ledger beside the record.
#[derive(Clone, Debug, Serialize)]
pub struct LedgerReport {
    /// Which file.
    pub file: String,
    /// Whose; none if it can't be read.
    pub shop: Option<ShopName>,
    /// Records in it.
    pub records: u64,
    /// Records that charge something.
    pub spends: u64,
    /// Updates that the record has a receipt of.
    pub receipts: u64,
    /// At which delta both epsilons are: the last plan's.
    pub delta: f64,
    /// Of all spends in the ledger, a user of this shop, add or remove one; none if nothing bounds it.
    pub epsilon: Option<f64>,
    /// Of all received updates by the record, each as its plan and round charge it; none if nothing bounds it, or it can't be
    /// made out.
    pub epsilon_by_record: Option<f64>,
    /// What there is to say of the two, in words.
    pub epsilons: String,
    /// Spends that no receipt is of.
    pub beyond: Vec<Beyond>,
}

/// A spend that no receipt is of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Beyond {
    /// Its line in the file, from 1.
    pub line: u64,
    /// Its round.
    pub round: u64,
    /// Its attempt.
    pub attempt: u32,
    /// What became of that, by the record.
    pub why: String,
}

/// The whole report.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether nothing is wrong.
    pub ok: bool,
    /// Entries of the record.
    pub log_length: u64,
    /// Each kind of check.
    pub checks: Vec<Check>,
    /// What could not be checked, or in part only: nothing here is right or wrong.
    pub unchecked: Vec<Unchecked>,
    /// Each shop's ledger that was given, beside the record.
    pub ledgers: Vec<LedgerReport>,
}

impl Report {
    /// One kind of check more.
    pub(super) fn add(&mut self, mut check: Check) {
        check.conclude();
        self.ok &= check.ok;
        self.unchecked.append(&mut check.unchecked);
        self.checks.push(check);
    }

    /// What is wrong if not one word of the record is signed by the key: then it is the key.
    pub fn wrong_key(&self) -> Option<&str> {
        let signatures = self.checks.get(SIGNATURES)?;
        (signatures.good == 0).then(|| signatures.wrong.first().map(String::as_str))?
    }
}

impl Check {
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            ok: true,
            detail: String::new(),
            good: 0,
            wrong: Vec::new(),
            not_kept: 0,
            unchecked: Vec::new(),
        }
    }

    /// Says what came of it.
    pub(super) fn conclude(&mut self) {
        self.ok = self.wrong.is_empty();
        self.detail = match self.wrong.first() {
            Some(wrong) => wrong.clone(),
            None => format!("{} right, {} not kept", self.good, self.not_kept),
        };
    }

    pub(super) fn note(&mut self, good: bool, wrong: impl FnOnce() -> String) {
        match good {
            true => self.good += 1,
            false => self.wrong.push(wrong()),
        }
    }

    /// What it takes to check this place is not there.
    pub(super) fn not_kept(&mut self, place: impl Into<String>, why: &str) {
        self.not_kept += 1;
        self.leave(place, 1, why);
    }

    /// These many places, of which this is the first, are not checked, or in part.
    pub(super) fn leave(&mut self, place: impl Into<String>, count: u64, why: &str) {
        match self.unchecked.iter_mut().find(|left| left.why == why) {
            Some(left) => left.count += count,
            None => self.unchecked.push(Unchecked {
                check: self.name,
                count,
                first: place.into(),
                why: why.to_owned(),
            }),
        }
    }
}

pub(super) const NAMES: [&str; 6] = [
    "the record is one unbroken chain",
    "every word is signed by the federation's key",
    "plans, catalogues and models are the bytes that are named",
    "each counted update has a receipt of the same digest",
    "masked attempts: keys, lists and signatures are those in the record",
    "each kept round makes its model again, bit for bit",
];
pub(super) const CHAIN: usize = 0;
pub(super) const SIGNATURES: usize = 1;
pub(super) const FILES: usize = 2;
pub(super) const RECEIPTS: usize = 3;
pub(super) const MASKS: usize = 4;
pub(super) const REPLAY: usize = 5;
