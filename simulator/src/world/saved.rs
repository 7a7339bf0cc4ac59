//! A federation between two rounds, as bytes: what it takes to go on from there.
//!
//! It is taken when every program has been stopped: what was on its way is lost, as it is when machines are switched off, and
//! the coordinator begins anew from its store, each shop from its ledger and what it remembers. A run that is saved goes on from
//! what was saved, whether it was killed in between or not, so both come to the same result, bit for bit.
//!
//! ```text
//! "souk simulation 1\n"   then pieces, each with its length before it (u64, little-endian), then BLAKE3 of all before
//! pieces: the head (JSON), the store's rows (table, key, value), its blobs, one piece a shop (JSON)
//! ```

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use souk_client::participate::Memory;
use souk_common::chain::LogHead;
use souk_common::clock::Timestamp;
use souk_common::ids::Digest;
use souk_common::model::UserVector;
use souk_common::privacy::Tally;
use souk_common::storage::blobs::{Blobs, MemoryBlobs};
use souk_coordinator::store::backend::{Durability, List, Order, Records, Table};
use souk_coordinator::store::memory::MemoryRecords;

use super::rounds::RoundLine;

/// A federation between two rounds.
pub(crate) struct Saved {
    pub(super) head: Head,
    pub(super) store: Kept,
    pub(super) shops: Vec<SavedShop>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Head {
    /// Rounds published.
    pub(super) round: u64,
    pub(super) now: Timestamp,
    /// Of the network's random numbers.
    pub(super) position: u128,
    /// That shops sent and fetched since the last line of the table.
    pub(super) bytes_up: u64,
    pub(super) bytes_down: u64,
    /// Of the rounds so far, from whoever follows the run.
    #[serde(default)]
    lines: Vec<RoundLine>,
}

impl Head {
    pub(super) fn new(
        round: u64,
        now: Timestamp,
        position: u128,
        (bytes_up, bytes_down): (u64, u64),
    ) -> Self {
        Self {
            round,
            now,
            position,
            bytes_up,
            bytes_down,
            lines: Vec::new(),
        }
    }
}

/// A shop between two rounds.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct SavedShop {
    pub(super) ledger: String,
    pub(super) heads: BTreeMap<u64, Digest>,
    pub(super) announced: Option<LogHead>,
    pub(super) model: Option<Digest>,
    /// Empty where the solver needs none.
    pub(super) vectors: Vec<Option<UserVector>>,
    /// Of the shop's random numbers.
    pub(super) position: u128,
    pub(super) users: u64,
    pub(super) clipped: u64,
    pub(super) longest: f64,
    pub(super) bytes_sent: u64,
}

impl SavedShop {
    /// What the shop remembers, but for the attempts that its ledger was charged for.
    pub(super) fn memory(&self) -> Memory {
        Memory {
            heads: self.heads.clone(),
            announced: self.announced,
            model: self.model,
            ..Memory::default()
        }
    }

    pub(super) fn tally(&self) -> Tally {
        Tally {
            users: self.users,
            clipped: self.clipped,
            longest: self.longest,
        }
    }
}

/// The coordinator's store in memory; clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) records: MemoryRecords,
    pub(super) files: MemoryBlobs,
    pub(super) private: MemoryBlobs,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            records: MemoryRecords::default(),
            files: MemoryBlobs::new(None),
            private: MemoryBlobs::new(None),
        }
    }
}

impl Saved {
    /// Rounds published.
    pub(crate) fn round(&self) -> u64 {
        self.head.round
    }

    /// The lines that were saved with it.
    pub(crate) fn lines(&self) -> &[RoundLine] {
        &self.head.lines
    }

    /// As bytes, with the lines of the rounds so far.
    ///
    /// # Errors
    /// Of the store.
    pub(crate) fn to_bytes(&self, lines: &[RoundLine]) -> anyhow::Result<Vec<u8>> {
        let mut bytes = Pieces(MAGIC.to_vec());
        let head = Head {
            lines: lines.to_vec(),
            ..self.head.clone()
        };
        bytes.json(&head)?;
        let rows = self.store.records.read()?;
        for (at, table) in (0..).zip(Table::ALL) {
            rows.rows(table, "", None, Order::Forward, &mut |key, value| {
                bytes.put(&[NAMED, at]);
                bytes.put(key.as_bytes());
                bytes.put(value);
                Ok(ControlFlow::Continue(()))
            })?;
        }
        for (at, list) in (0..).zip(List::ALL) {
            rows.entries(list, 0, Order::Forward, &mut |number, value| {
                bytes.put(&[NUMBERED, at]);
                bytes.put(&number.to_le_bytes());
                bytes.put(value);
                Ok(ControlFlow::Continue(()))
            })?;
        }
        for (at, blobs) in (0..).zip([&self.store.files, &self.store.private]) {
            for digest in blobs.all()? {
                bytes.put(&[BLOB, at]);
                bytes.put(&[]);
                bytes.put(&blobs.read(&digest)?);
            }
        }
        for shop in &self.shops {
            bytes.put(&[SHOP, 0]);
            bytes.put(&[]);
            bytes.json(shop)?;
        }
        let digest = Digest::of(&bytes.0);
        bytes.0.extend_from_slice(&digest.0);
        Ok(bytes.0)
    }

    /// What [`Self::to_bytes`] gave.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Unusable> {
        let (body, digest) = bytes
            .split_last_chunk::<32>()
            .filter(|(body, _)| body.starts_with(MAGIC))
            .ok_or(Unusable::NotOne)?;
        if Digest::of(body).0 != *digest {
            return Err(Unusable::Damaged);
        }
        let mut pieces = Reading(&body[MAGIC.len()..]);
        let head = serde_json::from_slice(pieces.take()?).map_err(|_| Unusable::Damaged)?;
        let mut saved = Self {
            head,
            store: Kept::default(),
            shops: Vec::new(),
        };
        let mut rows = saved
            .store
            .records
            .begin(Durability::Lazy)
            .map_err(|_| Unusable::Damaged)?;
        while !pieces.0.is_empty() {
            let (kind, key, value) = (pieces.take()?, pieces.take()?, pieces.take()?);
            let &[kind, at] = kind else {
                return Err(Unusable::Damaged);
            };
            let at = usize::from(at);
            let put = match kind {
                NAMED => {
                    let table = *Table::ALL.get(at).ok_or(Unusable::Damaged)?;
                    let key = str::from_utf8(key).map_err(|_| Unusable::Damaged)?;
                    rows.put(table, key, value)
                }
                NUMBERED => {
                    let list = *List::ALL.get(at).ok_or(Unusable::Damaged)?;
                    let number = key.try_into().map_err(|_| Unusable::Damaged)?;
                    rows.put_entry(list, u64::from_le_bytes(number), value)
                }
                BLOB => {
                    let blobs = [&saved.store.files, &saved.store.private];
                    let blobs = blobs.get(at).ok_or(Unusable::Damaged)?;
                    blobs.put(value).map(drop).map_err(Into::into)
                }
                SHOP => {
                    let shop = serde_json::from_slice(value).map_err(|_| Unusable::Damaged)?;
                    saved.shops.push(shop);
                    Ok(())
                }
                _ => return Err(Unusable::Damaged),
            };
            put.map_err(|_| Unusable::Damaged)?;
        }
        rows.commit().map_err(|_| Unusable::Damaged)?;
        Ok(saved)
    }
}

/// Why a saved federation can't be gone on from.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Unusable {
    /// Something else.
    #[error("it is no saved simulation, or one of another version of this program")]
    NotOne,
    /// Not what was written.
    #[error("it is damaged: its bytes are not those that were written")]
    Damaged,
}

struct Pieces(Vec<u8>);

impl Pieces {
    fn put(&mut self, piece: &[u8]) {
        self.0.extend_from_slice(&(piece.len() as u64).to_le_bytes());
        self.0.extend_from_slice(piece);
    }

    fn json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        self.put(&serde_json::to_vec(value)?);
        Ok(())
    }
}

struct Reading<'a>(&'a [u8]);

impl<'a> Reading<'a> {
    fn take(&mut self) -> Result<&'a [u8], Unusable> {
        let (length, rest) = self.0.split_first_chunk::<8>().ok_or(Unusable::Damaged)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| Unusable::Damaged)?;
        let (piece, rest) = rest.split_at_checked(length).ok_or(Unusable::Damaged)?;
        self.0 = rest;
        Ok(piece)
    }
}

const MAGIC: &[u8] = b"souk simulation 1\n";
const NAMED: u8 = 0;
const NUMBERED: u8 = 1;
const BLOB: u8 = 2;
const SHOP: u8 = 3;
