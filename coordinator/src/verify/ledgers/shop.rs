//! One shop's ledger.

use std::collections::{BTreeMap, BTreeSet};

use souk_common::accountant::Composition;
use souk_common::ids::{AttemptId, Digest, ShopName};
use souk_common::params::{Delta, Epsilon, rounded_up};
use souk_common::privacy::Spend;
use souk_common::privacy::ledger::{Chain, LedgerEntry, LedgerError};

use super::given::LedgerFile;
use super::record::{Facts, Key, Received};
use crate::verify::report::{Beyond, Check, LedgerReport};

/// Holds it against the record.
pub(super) fn check(file: &LedgerFile, facts: &Facts, check: &mut Check) -> LedgerReport {
    let delta = facts.delta.or_else(|| Delta::new(DELTA).ok());
    let mut report = LedgerReport {
        file: file.name.clone(),
        shop: None,
        records: 0,
        spends: 0,
        receipts: 0,
        delta: delta.map_or(DELTA, Delta::get),
        epsilon: None,
        epsilon_by_record: None,
        epsilons: "not made out: the ledger can't be read".to_owned(),
        beyond: Vec::new(),
    };
    let chain = match Chain::read(&file.bytes) {
        Ok(chain) => chain,
        Err(error) => {
            check.wrong.push(match error {
                LedgerError::Broken { line, reason } => format!("{} line {line}: {reason}", file.name),
                error => format!("{}: {error}", file.name),
            });
            return report;
        }
    };
    check.good += chain.records().len() as u64;
    let Some(shop) = chain.shop().cloned() else {
        check.wrong.push(format!(
            "{}: it has no record: no shop's ledger is empty",
            file.name
        ));
        return report;
    };
    let mut books = Books {
        file,
        lines: lines(&file.bytes, &chain),
        chain: &chain,
        facts,
        check,
        met: BTreeSet::new(),
    };
    books.is_of(&shop);
    let none = Vec::new();
    let receipts = facts.receipts.get(&shop).unwrap_or(&none);
    let by_record = books.receipts(receipts);
    report.beyond = books.beyond();
    (report.records, report.receipts) = (chain.records().len() as u64, receipts.len() as u64);
    report.spends = chain.spends().count() as u64;
    if let Some(delta) = delta {
        books.epsilons(&mut report, by_record, delta);
    }
    report.shop = Some(shop);
    report
}

struct Books<'a> {
    file: &'a LedgerFile,
    chain: &'a Chain,
    /// The line of each record, from 1.
    lines: Vec<u64>,
    facts: &'a Facts,
    check: &'a mut Check,
    /// Records that a receipt is of.
    met: BTreeSet<usize>,
}

impl Books<'_> {
    fn place(&self, record: usize) -> String {
        format!("{} line {}", self.file.name, self.line(record))
    }

    fn line(&self, record: usize) -> u64 {
        self.lines.get(record).copied().unwrap_or(0)
    }

    fn is_of(&mut self, shop: &ShopName) {
        let first = self.place(0);
        match &self.file.owner {
            Some(owner) if owner != shop => self.check.wrong.push(format!(
                "{first}: it is the ledger of {shop}, and the membership.json beside it is of {owner}"
            )),
            _ if !self.facts.shops.contains(shop) => self.check.wrong.push(format!(
                "{first}: it is the ledger of {shop}, of whom the record knows nothing: another federation's"
            )),
            _ => {}
        }
        let tail = self.chain.tail().len();
        if tail > 0 {
            self.check.leave(
                format!("{}, its last {tail} bytes", self.file.name),
                1,
                "a ledger ends in bytes that are no whole record: one that was being written, or that a crash cut off; the shop \
                 charges for it when it starts",
            );
        }
    }

    /// Every receipt is met by the ledger at its length; what the record charges for them, if that can be made out for all.
    fn receipts(&mut self, receipts: &[Received]) -> Option<Composition> {
        let (mut by_record, mut whole, mut heads) = (Composition::default(), true, BTreeSet::new());
        for received in receipts {
            let ledger = received.receipt.ledger();
            let attempt = self.facts.attempts.get(&received.key);
            let costs = attempt.map(|attempt| &attempt.costs);
            // One head, one spend: the same word under two dates costs once.
            if heads.insert(ledger.head) {
                match costs {
                    Some(Ok(costs)) => costs.add_to(&mut by_record),
                    _ => whole = false,
                }
            }
            let Some(record) = self.record_of(received) else {
                continue;
            };
            self.met.insert(record);
            match costs {
                Some(Ok(costs)) => self.costs_that(record, costs, received),
                Some(Err(error)) => self.check.leave(
                    format!("{} for {}", self.place(record), received.key.1),
                    1,
                    &format!("what the attempt costs can't be made out: {error}"),
                ),
                None => {}
            }
        }
        whole.then_some(by_record)
    }

    /// Which record of the ledger charges for an update.
    fn record_of(&mut self, received: &Received) -> Option<usize> {
        let (ledger, id) = (received.receipt.ledger(), received.key.1);
        let records = self.chain.records();
        let at = usize::try_from(ledger.length).ok()?.checked_sub(1);
        let there = at.and_then(|at| records.get(at));
        if let (Some(at), Some(record)) = (at, there)
            && record.hash == Some(ledger.head)
        {
            self.check.good += 1;
            return Some(at);
        }
        let entry = format!("entry {} of the record, the receipt for {id}", received.at);
        if self.chain.must_account_for(&received.receipt.witnessed()).is_ok() {
            // Charged for when the ledger was put back from a copy.
            let found = records.iter().position(|record| match &record.entry {
                LedgerEntry::Spend { spend } => (spend.plan, spend.id()) == received.key,
                _ => false,
            });
            match found {
                Some(_) => self.check.good += 1,
                None => self.check.leave(
                    format!("{}: {entry}", self.file.name),
                    1,
                    "the ledger was put back from a copy and says that it charged for what it lost, at the costliest terms of all: \
                     not held against each update",
                ),
            }
            return found;
        }
        self.check.wrong.push(match (at, there) {
            (Some(at), Some(_)) => format!(
                "{}: {entry}, names another record here ({}): it was rewritten, or it is another ledger of this shop",
                self.place(at),
                ledger.head.short()
            ),
            (None, _) => format!("{entry}, names a ledger without records"),
            _ => format!(
                "{}: the ledger ends after {} records, and {entry}, names {}: it was put back from a backup, or cut off",
                self.place(records.len().saturating_sub(1)),
                records.len(),
                ledger.length
            ),
        });
        None
    }

    /// A record charges what the attempt costs.
    fn costs_that(&mut self, record: usize, costs: &Spend, received: &Received) {
        let (place, id) = (self.place(record), received.key.1);
        let recovered = self.chain.must_contain(received.receipt.ledger()).is_err();
        let Some(spend) = self
            .chain
            .records()
            .get(record)
            .and_then(|record| record.entry.spend())
        else {
            self.check.wrong.push(format!(
                "{place}: the receipt for {id} names this record, which charges nothing"
            ));
            return;
        };
        let mut wrong = Vec::new();
        if (spend.plan, spend.id()) != (costs.plan, costs.id()) {
            wrong.push(format!(
                "it charges {} of plan {}, and the receipt that names it is for {id} of plan {}",
                spend.id(),
                spend.plan.short(),
                costs.plan.short()
            ));
        }
        let [charged, meant] = [spend, costs].map(|spend| spend.noise_multiplier.map(|noise| noise.get()));
        match (charged, meant) {
            // What was charged after a loss is charged at worst.
            (Some(charged), Some(meant)) if is_less(charged, meant) && !recovered => wrong.push(format!(
                "noise multiplier {charged}, and plan and round say {meant}: it had less noise than it should"
            )),
            (Some(charged), Some(meant)) if is_less(meant, charged) => wrong.push(format!(
                "noise multiplier {charged}, and plan and round say {meant}: it is charged less than it cost"
            )),
            (None, Some(meant)) if !recovered => wrong.push(format!(
                "no noise, and plan and round say noise multiplier {meant}"
            )),
            (Some(charged), None) => wrong.push(format!(
                "noise multiplier {charged}, and the plan adds no noise: it is charged less than it cost"
            )),
            _ => {}
        }
        if spend.sampling_rate != costs.sampling_rate {
            wrong.push(format!(
                "sampling rate {}, in the plan {}",
                spend.sampling_rate.get(),
                costs.sampling_rate.get()
            ));
        }
        if spend.clip_norm != costs.clip_norm {
            wrong.push(format!(
                "clip norm {}, in the plan {}",
                spend.clip_norm.get(),
                costs.clip_norm.get()
            ));
        }
        if spend.shared != costs.shared {
            let words = |spend: &Spend| match spend.shared {
                Some(shared) => format!("{} shares, {} colluding", shared.min_shops, shared.colluding),
                None => "noise of its own".to_owned(),
            };
            wrong.push(format!("{}, in the plan {}", words(spend), words(costs)));
        }
        self.check.note(wrong.is_empty(), || {
            format!("{place}, charged for {id}: {}", wrong.join("; "))
        });
    }

    /// Spends that no receipt is of, and what became of their attempts.
    fn beyond(&mut self) -> Vec<Beyond> {
        let newest = self.newest();
        let mut beyond = Vec::new();
        for (at, record) in self.chain.records().iter().enumerate() {
            let Some(spend) = record.entry.spend().filter(|_| !self.met.contains(&at)) else {
                continue;
            };
            let (key, id) = ((spend.plan, spend.id()), spend.id());
            let attempt = self.facts.attempts.get(&key);
            let why = match (&record.entry, attempt) {
                (LedgerEntry::Torn { .. }, _) => {
                    "charged in case: a crash cut off the line before, which may have been a spend".to_owned()
                }
                (LedgerEntry::Recovered { .. }, _) => {
                    "charged in case: the ledger was put back from a copy, and an attempt may have been under way".to_owned()
                }
                (_, Some(attempt)) => format!("the record has no receipt of an update; {}", attempt.ended),
                (_, None) => match newest.get(&spend.plan) {
                    Some(newest) if id <= *newest => {
                        let place = self.place(at);
                        self.check.wrong.push(format!(
                            "{place}: it charges {id} of plan {}, which the record never announced, and later ones of that plan it \
                             did: the record lacks it, or the ledger made it up",
                            spend.plan.short()
                        ));
                        continue;
                    }
                    Some(_) => "the record ends before this attempt was announced".to_owned(),
                    None => format!("the record knows no plan {}: it ends before that was begun, or the shop charged it for another federation", spend.plan.short()),
                },
            };
            if attempt.is_none() && matches!(record.entry, LedgerEntry::Spend { .. }) {
                self.check.leave(
                    self.place(at),
                    1,
                    "spends of attempts that the record does not have",
                );
            }
            beyond.push(Beyond {
                line: self.line(at),
                round: spend.round,
                attempt: spend.attempt,
                why,
            });
        }
        beyond
    }

    /// The last announced attempt of each plan.
    fn newest(&self) -> BTreeMap<Digest, AttemptId> {
        let keys = self.facts.attempts.keys();
        keys.map(|(plan, id): &Key| (*plan, *id)).collect()
    }

    fn epsilons(&mut self, report: &mut LedgerReport, by_record: Option<Composition>, delta: Delta) {
        let own = self.chain.composition(None).epsilon(delta);
        report.epsilon = own.map(Epsilon::get);
        let Some(by_record) = by_record else {
            report.epsilons =
                "by the record it can't be made out: what some attempts cost is not kept".to_owned();
            self.check.leave(
                format!("epsilon of {}", self.file.name),
                1,
                "epsilon by the record can't be made out: what some attempts cost is not kept",
            );
            return;
        };
        let record = by_record.epsilon(delta);
        report.epsilon_by_record = record.map(Epsilon::get);
        let words = |epsilon: Option<Epsilon>| match epsilon {
            Some(epsilon) => rounded_up(epsilon.get(), 4),
            None => "unbounded".to_owned(),
        };
        let [own_words, record_words] = [own, record].map(words);
        let beyond = report.beyond.len();
        let less = match (own, record) {
            (Some(own), Some(record)) => is_less(own.get(), record.get()),
            (Some(_), None) => true,
            _ => false,
        };
        let more = match (own, record) {
            (Some(own), Some(record)) => is_less(record.get(), own.get()),
            (None, Some(_)) => true,
            _ => false,
        };
        report.epsilons = match (less, more) {
            (true, _) => format!("{own_words} by the ledger, and by the record more: {record_words}"),
            (_, true) => format!(
                "{own_words} by the ledger, {record_words} by the record: the ledger also counts what no receipt is of ({beyond})"
            ),
            _ => format!("{own_words} by both"),
        };
        let place = self.place(self.chain.records().len().saturating_sub(1));
        self.check.note(!less, || {
            format!(
                "{place}: epsilon up to here is {own_words} at delta {}, and the received updates cost {record_words} by the record",
                delta.get()
            )
        });
    }
}

/// By more than what sums of doubles differ by.
fn is_less(a: f64, b: f64) -> bool {
    a < b * (1.0 - 1e-9)
}

/// The line of each record, from 1: those between, which a crash cut off, are no records.
fn lines(bytes: &[u8], chain: &Chain) -> Vec<u64> {
    let mut lines = (1..).zip(bytes.split(|byte| *byte == b'\n'));
    let ends = chain.records().iter().map(|record| {
        let end = record.hash.map(|hash| format!("{hash}\"}}")).unwrap_or_default();
        lines.by_ref().find(|(_, line)| line.ends_with(end.as_bytes()))
    });
    ends.map(|found| found.map_or(0, |(number, _)| number)).collect()
}

const DELTA: f64 = 1e-5;
