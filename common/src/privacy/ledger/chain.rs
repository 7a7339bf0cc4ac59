//! Records, lines and the chain they make: reading, checking, adding up.

use serde::{Deserialize, Serialize};

use super::{LedgerError, Observer, SharedNoise, Spend, Witnessed, digest_and_len};
use crate::accountant::{Composition, RELATION, UNIT};
use crate::chain::LogHead;
use crate::clock::Timestamp;
use crate::ids::{Digest, ShopName};
use crate::params::SamplingRate;

/// What a record says.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LedgerEntry {
    /// The first record.
    Genesis {
        /// Of this format: 1.
        version: u32,
        /// Whose privacy.
        unit: String,
        /// Between which data sets.
        relation: String,
        /// Bytes of a torn first line before this one, and their digest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        skipped: Option<(u64, Digest)>,
    },
    /// A release, about to happen.
    Spend {
        /// What it costs.
        spend: Spend,
    },
    /// The lines between the record before and this one were cut off by a crash.
    Torn {
        /// Their bytes (but for the last line end), and their digest.
        skipped: (u64, Digest),
        /// Charged for them, in case a release did happen; none while nothing was ever charged.
        spend: Option<Spend>,
    },
    /// Records that receipts tell of and this ledger lost were charged for, just before: it goes on from a copy.
    Recovered {
        /// Length and head of the longest lost ledger that is known.
        lost: LogHead,
        /// Receipts up to this moment of the coordinator's clock are charged for.
        until: Timestamp,
        /// Charged in case the lost one was longer still: an attempt that was under way. None while nothing was ever
        /// charged, or if all that receipts tell of was charged for before.
        spend: Option<Spend>,
        /// Heads of the lost ledgers whose spends were charged one by one: shown again, they cost nothing again.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        charged: Vec<Digest>,
    },
}

impl LedgerEntry {
    pub(super) fn genesis(torn: &[u8]) -> Self {
        Self::Genesis {
            version: VERSION,
            unit: UNIT.into(),
            relation: RELATION.into(),
            skipped: (!torn.is_empty()).then(|| digest_and_len(torn)),
        }
    }

    pub(super) fn torn(torn: &[u8], spend: Option<Spend>) -> Self {
        Self::Torn {
            skipped: digest_and_len(torn),
            spend,
        }
    }

    fn skipped(&self) -> Option<(u64, Digest)> {
        match self {
            Self::Genesis { skipped, .. } => *skipped,
            Self::Spend { .. } | Self::Recovered { .. } => None,
            Self::Torn { skipped, .. } => Some(*skipped),
        }
    }

    /// What it charges.
    pub fn spend(&self) -> Option<&Spend> {
        match self {
            Self::Genesis { .. } => None,
            Self::Spend { spend } => Some(spend),
            Self::Torn { spend, .. } | Self::Recovered { spend, .. } => spend.as_ref(),
        }
    }
}

/// One line.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Record {
    /// From 0.
    pub seq: u64,
    /// Hash of the record before; [`Digest::ZERO`] for the first.
    pub prev: Digest,
    /// When it was written, by the shop's clock.
    pub time: Timestamp,
    /// Whose ledger.
    pub shop: ShopName,
    /// What happened.
    #[serde(flatten)]
    pub entry: LedgerEntry,
    /// Digest of the line up to here.
    #[serde(skip)]
    pub hash: Option<Digest>,
}

/// A chain that was checked from its first record on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chain {
    records: Vec<Record>,
    head: Option<Digest>,
    tail: Vec<u8>,
}

impl Chain {
    /// Reads and checks a ledger's bytes. What stands behind the last whole record is [`Chain::tail`]: a record that is
    /// being written at this moment, or that a crash cut off.
    ///
    /// # Errors
    /// The first line that does not follow from those before it.
    pub fn read(bytes: &[u8]) -> Result<Self, LedgerError> {
        let mut chain = Self::default();
        // Start of the lines that are no record, and why and where the first of them is none.
        let mut skipped: Option<(usize, LedgerError)> = None;
        let mut start = 0;
        for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let end = start + line.len();
            if line.last() != Some(&b'\n') {
                break;
            }
            let torn = skipped.as_ref().map(|(from, _)| &bytes[*from..start - 1]);
            match chain.check(line, torn, index + 1) {
                Ok(record) => {
                    chain.push(record);
                    skipped = None;
                }
                Err(error) if skipped.is_none() => skipped = Some((start, error)),
                Err(_) => {}
            }
            start = end;
        }
        match skipped {
            // Bad lines are forgiven only at the very end, behind a start that died while it charged for them.
            Some((from, _)) if start < bytes.len() || bytes.ends_with(TORN_MARK_LINE) => {
                chain.tail = bytes[from..].to_vec()
            }
            Some((_, error)) => return Err(error),
            None => chain.tail = bytes[start..].to_vec(),
        }
        Ok(chain)
    }

    /// Whose it is; None while it is empty.
    pub fn shop(&self) -> Option<&ShopName> {
        self.records.first().map(|record| &record.shop)
    }

    /// All records.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Bytes behind the last whole record.
    pub fn tail(&self) -> &[u8] {
        &self.tail
    }

    /// Everything charged, with its time.
    pub fn spends(&self) -> impl Iterator<Item = (Timestamp, &Spend)> {
        let timed = |record: &'_ Record| record.time;
        self.records
            .iter()
            .filter_map(move |record| Some((timed(record), record.entry.spend()?)))
    }

    /// Length and last hash.
    pub fn head(&self) -> LogHead {
        LogHead {
            length: self.records.len() as u64,
            head: self.head.unwrap_or(Digest::ZERO),
        }
    }

    /// The spends from `since` on (all, for None), for the accountant.
    pub fn composition(&self, since: Option<Timestamp>) -> Composition {
        self.composition_as(Observer::Colluding, since)
    }

    /// The same, as `view` has it.
    pub fn composition_as(&self, view: Observer, since: Option<Timestamp>) -> Composition {
        let mut composition = Composition::default();
        self.spends()
            .filter(|(time, _)| since.is_none_or(|since| *time >= since))
            .for_each(|(_, spend)| spend.add_as(view, &mut composition));
        composition
    }

    /// Refuses a chain that does not contain what was seen of it before.
    ///
    /// # Errors
    /// When it is shorter, or has another record there.
    pub fn must_contain(&self, seen: LogHead) -> Result<(), LedgerError> {
        let there = usize::try_from(seen.length)
            .ok()
            .and_then(|length| length.checked_sub(1))
            .map(|index| self.records.get(index).and_then(|record| record.hash));
        match there {
            None => Ok(()),
            Some(hash) if hash == Some(seen.head) => Ok(()),
            Some(_) => Err(LedgerError::RolledBack {
                length: self.head().length,
                seen: seen.length,
                head: seen.head.short(),
            }),
        }
    }

    /// Refuses a chain that lacks the spend of a receipt, and was not charged for it later either.
    ///
    /// # Errors
    /// When it was put back from an old copy, or a copy of it is in use elsewhere.
    pub fn must_account_for(&self, seen: &Witnessed) -> Result<(), LedgerError> {
        let charged = |(_, until): (LogHead, Timestamp)| seen.at <= until;
        match self.recovered().any(charged) {
            true => Ok(()),
            false => self.must_contain(seen.ledger),
        }
    }

    /// As [`Self::must_contain`], for what this very folder has seen: what it lost before a recovery was charged for then.
    ///
    /// # Errors
    /// As [`Self::must_contain`].
    pub fn must_continue(&self, seen: LogHead) -> Result<(), LedgerError> {
        match self.recovered().any(|(lost, _)| seen.length <= lost.length) {
            true => Ok(()),
            false => self.must_contain(seen),
        }
    }

    /// What was lost and charged for.
    fn recovered(&self) -> impl Iterator<Item = (LogHead, Timestamp)> {
        self.records.iter().filter_map(|record| match record.entry {
            LedgerEntry::Recovered { lost, until, .. } => Some((lost, until)),
            _ => None,
        })
    }

    /// Whether a recovery has charged for the update that was made when a lost ledger had this head.
    pub fn has_recovered(&self, head: &Digest) -> bool {
        self.records.iter().any(|record| match &record.entry {
            LedgerEntry::Recovered { charged, .. } => charged.contains(head),
            _ => false,
        })
    }

    /// The longest length under `below` of a lost ledger that was charged for as a whole.
    pub fn recovered_below(&self, below: u64) -> Option<u64> {
        let lengths = self.recovered().map(|(lost, _)| lost.length);
        lengths.filter(|length| *length < below).max()
    }

    pub(super) fn take_tail(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.tail)
    }

    /// What to write after a torn tail before the record that accounts for it, and the bytes that record skips.
    ///
    /// The mark tells a line that a start has ended from one that was edited, whichever byte a further crash stops at.
    pub(super) fn end_torn(tail: &[u8]) -> (&'static str, Vec<u8>) {
        match tail.strip_suffix(b"\n") {
            Some(ended) => ("", ended.to_vec()),
            None => ("~torn\n", [tail, TORN_MARK].concat()),
        }
    }

    /// The next record, and its line without the line end.
    pub(super) fn next(&self, entry: LedgerEntry, shop: &ShopName, now: Timestamp) -> (Record, String) {
        let mut record = Record {
            seq: self.records.len() as u64,
            prev: self.head.unwrap_or(Digest::ZERO),
            time: now,
            shop: shop.clone(),
            entry,
            hash: None,
        };
        // Names, digests, and numbers that were checked to be finite.
        let body = serde_json::to_string(&record).expect("a record has a JSON form");
        let hash = Digest::of(body.as_bytes());
        record.hash = Some(hash);
        let open = body.strip_suffix('}').unwrap_or(&body);
        let line = format!("{open}{HASH_MEMBER}{hash}\"}}");
        (record, line)
    }

    pub(super) fn push(&mut self, record: Record) {
        self.head = record.hash;
        self.records.push(record);
    }

    /// What a torn line is charged: its own spend if it is whole, else the costliest terms of all so far.
    pub(super) fn charge_for_torn(&self, torn: &[u8]) -> Option<Spend> {
        let first = torn.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let whole = parse_line(first.strip_suffix(TORN_MARK).unwrap_or(first));
        if let Some(spend) = whole.ok().and_then(|record| record.entry.spend().cloned()) {
            return Some(spend);
        }
        self.costliest()
    }

    /// The costliest terms of all spends so far, each of its own; none while there are none.
    pub(super) fn costliest(&self) -> Option<Spend> {
        let mut costliest: Option<Spend> = None;
        for (_, spend) in self.spends() {
            let so_far = costliest.get_or_insert_with(|| spend.clone());
            let noise = match (so_far.noise_multiplier, spend.noise_multiplier) {
                (Some(a), Some(b)) => Some(if b < a { b } else { a }),
                _ => None,
            };
            let rate = so_far.sampling_rate.get().max(spend.sampling_rate.get());
            // The more shares were counted, the less one of them is worth alone.
            let counted = |shared: &SharedNoise| shared.min_shops.saturating_sub(shared.colluding);
            *so_far = Spend {
                shared: [so_far.shared, spend.shared]
                    .into_iter()
                    .flatten()
                    .max_by_key(counted),
                noise_multiplier: noise,
                sampling_rate: SamplingRate::new(rate).unwrap_or(spend.sampling_rate),
                ..spend.clone()
            };
        }
        costliest
    }

    /// Whether `line` is the next record, behind `torn` bytes that are none.
    fn check(&self, line: &[u8], torn: Option<&[u8]>, number: usize) -> Result<Record, LedgerError> {
        let broken = |reason: String| LedgerError::Broken { line: number, reason };
        let record = parse_line(line.strip_suffix(b"\n").unwrap_or(line)).map_err(broken)?;
        let expected = self.records.len() as u64;
        if record.seq != expected || record.prev != self.head.unwrap_or(Digest::ZERO) {
            return Err(broken(format!(
                "it is record {} and does not follow the {expected} records before it (lines were removed, swapped or \
                 added)",
                record.seq
            )));
        }
        if record.entry.skipped() != torn.map(digest_and_len) {
            return Err(broken(
                "it does not account for the lines before it that are no records".into(),
            ));
        }
        match (&record.entry, self.shop()) {
            (
                LedgerEntry::Genesis {
                    version,
                    unit,
                    relation,
                    ..
                },
                None,
            ) if *version != VERSION || unit != UNIT || relation != RELATION => {
                return Err(broken(format!(
                    "version {version}, unit {unit:?}, relation {relation:?} are not what this program accounts for \
                     (version {VERSION}, {UNIT}, {RELATION}); use the program that wrote it"
                )));
            }
            (LedgerEntry::Genesis { .. }, None) => {}
            (_, None) => return Err(broken("the first record must be of kind genesis".into())),
            (LedgerEntry::Genesis { .. }, Some(_)) => {
                return Err(broken("a second record of kind genesis".into()));
            }
            (_, Some(shop)) if *shop != record.shop => {
                return Err(broken(format!(
                    "it is of shop {}, the ledger is of {shop}",
                    record.shop
                )));
            }
            _ => {}
        }
        Ok(record)
    }
}

fn parse_line(line: &[u8]) -> Result<Record, String> {
    let text = std::str::from_utf8(line).map_err(|_| "not text".to_owned())?;
    let (body, hash) = text
        .strip_suffix("\"}")
        .and_then(|text| text.rsplit_once(HASH_MEMBER))
        .ok_or("no whole record (cut off?)")?;
    let written = hash;
    let hash: Digest = hash.parse().map_err(|error| format!("hash: {error}"))?;
    if hash.to_string() != written {
        return Err("its hash is not in lower case (it was edited)".into());
    }
    let body = format!("{body}}}");
    if Digest::of(body.as_bytes()) != hash {
        return Err("its hash does not match its text (it was edited)".into());
    }
    let mut record: Record = serde_json::from_str(&body).map_err(|error| format!("no record: {error}"))?;
    record.hash = Some(hash);
    Ok(record)
}

const VERSION: u32 = 1;
const TORN_MARK: &[u8] = b"~torn";
const TORN_MARK_LINE: &[u8] = b"~torn\n";
const HASH_MEMBER: &str = ",\"hash\":\"";
