//! The shop's ledger: every spend, in an append-only hash chain, durable before anything leaves.
//!
//! One JSON object a line. Its last member, `hash`, is the BLAKE3 digest of the line up to it; `prev` is the hash of the
//! record before. The first record names the shop, the unit and the relation. This module knows bytes and chains, no
//! files: a [`LedgerSink`] makes bytes durable.
//!
//! A crash can leave a line without its end. Such a line was never acknowledged, so nothing was sent for it. It stays
//! where it is; the next start (or, if only the write failed, the next attempt: [`Ledger::go_on`]) appends a record of kind
//! `torn` that names its length and digest and charges for it all the same, at the costliest terms known. So the file only
//! ever grows, and epsilon is over-counted, never under.
//!
//! A ledger that was put back from a copy lacks spends. Receipts tell of them; [`Ledger::charge_lost`] charges for each
//! record that they tell of, and for one more, and notes the heads that were lost in a record of kind `recovered`.

mod chain;
mod spend;
#[cfg(test)]
mod tests;

use std::io;

pub use chain::{Chain, LedgerEntry, Record};
pub use spend::{Observer, SharedNoise, Spend};

use crate::accountant::Composition;
use crate::chain::LogHead;
use crate::clock::Timestamp;
use crate::ids::{Digest, ShopName};
use crate::params::{Delta, Epsilon};

/// Where records become durable.
pub trait LedgerSink {
    /// Appends `bytes` and returns once they would survive a power cut.
    ///
    /// # Errors
    /// When they may not be durable; some of them may have been written.
    fn append_durably(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// A sink in memory, for the simulator and for tests.
#[derive(Clone, Debug, Default)]
pub struct MemorySink(pub Vec<u8>);

impl LedgerSink for MemorySink {
    fn append_durably(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// The proof that a spend is durable. Only [`Ledger::charge`] makes one.
///
/// ```compile_fail,E0451
/// use souk_common::privacy::{Charged, Spend};
/// use souk_common::chain::LogHead;
/// fn forge(spend: Spend, head: LogHead) -> Charged {
///     Charged { spend, head }
/// }
/// ```
#[derive(Debug, PartialEq)]
pub struct Charged {
    spend: Spend,
    head: LogHead,
}

impl Charged {
    /// What was charged.
    pub fn spend(&self) -> &Spend {
        &self.spend
    }

    /// The ledger right after it.
    pub fn head(&self) -> LogHead {
        self.head
    }
}

/// Where a ledger stood by somebody else's word: a receipt's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Witnessed {
    /// Its length and head.
    pub ledger: LogHead,
    /// When, by the clock of the coordinator.
    pub at: Timestamp,
}

/// What a lost ledger held, as far as receipts tell.
#[derive(Clone, Debug)]
pub struct Lost {
    /// Spends of updates, each with the head of the lost ledger right after it.
    pub known: Vec<(Digest, Spend)>,
    /// Records that there were beside these, charged at the costliest terms of all. If there is any of either, one more is
    /// charged, for an attempt that may have been under way.
    pub unknown: u64,
    /// What the last receipt says of it.
    pub newest: Witnessed,
}

/// A shop's open ledger.
#[derive(Debug)]
pub struct Ledger<S> {
    sink: S,
    chain: Chain,
    failed: bool,
}

impl<S: LedgerSink> Ledger<S> {
    /// Opens a ledger that holds `existing` bytes so far; recomputes the whole chain. An empty one gets its first
    /// record; one that ends in a torn line gets that line charged for.
    ///
    /// # Errors
    /// When the chain is broken or another shop's (with the line and the remedy), or when the sink fails.
    pub fn open(sink: S, existing: &[u8], shop: &ShopName, now: Timestamp) -> Result<Self, LedgerError> {
        let mut ledger = Self {
            sink,
            chain: chain_of(existing, shop)?,
            failed: false,
        };
        ledger.account_for_tail(shop, now)?;
        Ok(ledger)
    }

    /// After a failure of the sink: goes on from the bytes that it holds now, which must be durable. The record that failed
    /// may be there, whole or torn, and then counts.
    ///
    /// # Errors
    /// As [`Self::open`], or when a record is missing that was acknowledged; the ledger takes nothing then, as before.
    pub fn go_on(&mut self, existing: &[u8], now: Timestamp) -> Result<(), LedgerError> {
        let shop = self.chain.shop().cloned().ok_or(LedgerError::Failed)?;
        let chain = chain_of(existing, &shop)?;
        chain.must_contain(self.chain.head())?;
        self.chain = chain;
        self.account_for_tail(&shop, now)?;
        self.failed = false;
        Ok(())
    }

    /// Whether the sink has failed: nothing is taken until [`Self::go_on`].
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    fn account_for_tail(&mut self, shop: &ShopName, now: Timestamp) -> Result<(), LedgerError> {
        let tail = self.chain.take_tail();
        let (mark, skipped) = if tail.is_empty() {
            ("", Vec::new())
        } else {
            Chain::end_torn(&tail)
        };
        // A first record that was torn is skipped by the one that takes its place.
        if self.chain.shop().is_none() {
            self.append(LedgerEntry::genesis(&skipped), mark, shop, now)?;
        } else if !tail.is_empty() {
            let spend = self.chain.charge_for_torn(&tail);
            self.append(LedgerEntry::torn(&skipped, spend), mark, shop, now)?;
        }
        Ok(())
    }

    /// Epsilon at `delta` of all spends ever; None when nothing bounds it.
    pub fn epsilon(&self, delta: Delta) -> Option<Epsilon> {
        self.chain.composition(None).epsilon(delta)
    }

    /// Epsilon at `delta` after one more spend, counting spends from `since` on (all, for None); None when nothing
    /// bounds it.
    pub fn would_spend(&self, spend: &Spend, delta: Delta, since: Option<Timestamp>) -> Option<Epsilon> {
        let mut composition: Composition = self.chain.composition(since);
        spend.add_to(&mut composition);
        composition.epsilon(delta)
    }

    /// Records a spend durably. What is released must be released against the proof it returns.
    ///
    /// # Errors
    /// When it may not be durable: nothing may be released, and the ledger takes nothing more until
    /// [`Self::go_on`].
    pub fn charge(&mut self, spend: Spend, now: Timestamp) -> Result<Charged, LedgerError> {
        if self.failed {
            return Err(LedgerError::Failed);
        }
        let shop = self.chain.shop().cloned().ok_or(LedgerError::Failed)?;
        self.append(LedgerEntry::Spend { spend: spend.clone() }, "", &shop, now)?;
        Ok(Charged {
            spend,
            head: self.head(),
        })
    }

    /// Charges for what a lost ledger held, and notes that. Durable when this returns; a crash before that over-counts.
    ///
    /// # Errors
    /// As [`Self::charge`].
    pub fn charge_lost(&mut self, lost: Lost, now: Timestamp) -> Result<(), LedgerError> {
        let charges = !lost.known.is_empty() || lost.unknown > 0;
        let mut charged = Vec::with_capacity(lost.known.len());
        for (head, spend) in lost.known {
            self.charge(spend, now)?;
            charged.push(head);
        }
        for _ in 0..lost.unknown {
            if let Some(spend) = self.chain.costliest() {
                self.charge(spend, now)?;
            }
        }
        if self.failed {
            return Err(LedgerError::Failed);
        }
        let shop = self.chain.shop().cloned().ok_or(LedgerError::Failed)?;
        // Nothing new was lost: no attempt was under way that was not charged for then.
        let spend = self.chain.costliest().filter(|_| charges);
        let entry = LedgerEntry::Recovered {
            lost: lost.newest.ledger,
            until: lost.newest.at,
            spend,
            charged,
        };
        self.append(entry, "", &shop, now)
    }

    /// Length and last hash.
    pub fn head(&self) -> LogHead {
        self.chain.head()
    }

    /// All records.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The sink, for reading back what it holds.
    pub fn sink(&self) -> &S {
        &self.sink
    }

    /// The same, for a sink that moves while it is read.
    pub fn sink_mut(&mut self) -> &mut S {
        &mut self.sink
    }

    fn append(
        &mut self,
        entry: LedgerEntry,
        before: &str,
        shop: &ShopName,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let (record, line) = self.chain.next(entry, shop, now);
        if let Err(source) = self.sink.append_durably(format!("{before}{line}\n").as_bytes()) {
            self.failed = true;
            return Err(LedgerError::Sink(source));
        }
        self.chain.push(record);
        Ok(())
    }
}

/// Why a ledger can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A line that is no record, out of order, or edited.
    #[error(
        "ledger line {line}: {reason}. Nothing is released on a broken ledger: put back an unbroken copy of this file \
         (it must hold every spend); if there is none, keep it as evidence and join as a new shop"
    )]
    Broken {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Another shop's.
    #[error(
        "the ledger belongs to shop {owner}, not to {shop}: use the folder of {shop}, or put its own ledger back"
    )]
    OtherShop {
        /// As the first record says.
        owner: String,
        /// Who opened it.
        shop: ShopName,
    },
    /// Older than what was seen of it.
    #[error(
        "the ledger has {length} records and does not contain record {seen} that was seen before ({head}): it was put \
         back from an old copy or replaced, or a copy of this folder runs on another machine. Put back the newest copy; if \
         there is none, `souk-client budget --recover` charges this ledger for what it lost"
    )]
    RolledBack {
        /// Records now.
        length: u64,
        /// Records that were seen.
        seen: u64,
        /// The hash that was seen, shortened.
        head: String,
    },
    /// The sink.
    #[error("the spend could not be made durable, so nothing is released: {0}")]
    Sink(#[source] io::Error),
    /// After an error of the sink.
    #[error(
        "an earlier record may not be durable, so nothing is released; the ledger is read again before the next attempt"
    )]
    Failed,
}

/// What stands in a ledger of this shop.
fn chain_of(existing: &[u8], shop: &ShopName) -> Result<Chain, LedgerError> {
    let chain = Chain::read(existing)?;
    match chain.shop() {
        Some(owner) if owner != shop => Err(LedgerError::OtherShop {
            owner: owner.to_string(),
            shop: shop.clone(),
        }),
        _ => Ok(chain),
    }
}

fn digest_and_len(bytes: &[u8]) -> (u64, Digest) {
    (bytes.len() as u64, Digest::of(bytes))
}
