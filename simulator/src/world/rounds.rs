//! What a run says of each attempt that has ended: one line, for a table or a picture.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use souk_common::ids::AttemptId;
use souk_common::round::statements::Outcome as Ending;

/// One attempt at a round. Keys are fixed: scripts read them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct RoundLine {
    /// From 1.
    pub(crate) round: u64,
    /// From 1, anew in each round.
    pub(crate) attempt: u32,
    /// Whether it made a model or a release.
    pub(crate) published: bool,
    /// Why it did not; null if it did.
    pub(crate) why: Option<String>,
    /// Shops that it was announced to.
    pub(crate) cohort: u64,
    /// Of those, the ones that said no.
    pub(crate) declined: u64,
    /// Updates that were counted.
    pub(crate) accepted: u64,
    /// Shops that took part, whose lines were cut, and whose updates were not counted.
    pub(crate) dropped: u64,
    /// Shops that took part over a line that held, and were not done when the attempt ended: their updates are discarded.
    pub(crate) late: u64,
    /// Bytes of updates that shops sent since the line before; what a cut line lost counts.
    pub(crate) bytes_up: u64,
    /// Bytes of models or releases that shops fetched since the line before.
    pub(crate) bytes_down: u64,
    /// When it ended, in virtual time from the run's beginning.
    pub(crate) virtual_seconds: f64,
    /// The largest of any shop's ledger so far, at the plan's delta; null: nothing bounds it.
    pub(crate) epsilon: Option<f64>,
    /// Hit rate at 10 against all unseen items (view C); null where it was not asked for.
    pub(crate) hit_rate_full: Option<f64>,
    /// nDCG at 10, of the same.
    pub(crate) ndcg_full: Option<f64>,
    /// Hit rate at 10 against drawn unseen items (view B).
    pub(crate) hit_rate_leak_free: Option<f64>,
    /// nDCG at 10, of the same.
    pub(crate) ndcg_leak_free: Option<f64>,
}

impl RoundLine {
    /// Sets (hit rate, nDCG) in views C and B.
    pub(crate) fn score(&mut self, quality: Option<[(f64, f64); 2]>) {
        let [full, leak_free] = quality.map_or([None; 2], |both| both.map(Some));
        (self.hit_rate_full, self.ndcg_full) = full.unzip();
        (self.hit_rate_leak_free, self.ndcg_leak_free) = leak_free.unzip();
    }
}

/// Of the attempt that is open: shops by their places.
#[derive(Debug, Default)]
pub(super) struct Tallied {
    id: Option<AttemptId>,
    announced: BTreeSet<usize>,
    taking_part: BTreeSet<usize>,
    declined: BTreeSet<usize>,
    cut: BTreeSet<usize>,
    counted: BTreeSet<usize>,
    pub(super) bytes_up: u64,
    pub(super) bytes_down: u64,
}

impl Tallied {
    pub(super) fn announced(&mut self, id: AttemptId, shops: impl Iterator<Item = usize>) {
        if self.id != Some(id) {
            *self = Self {
                id: Some(id),
                bytes_up: self.bytes_up,
                bytes_down: self.bytes_down,
                ..Self::default()
            };
        }
        self.announced.extend(shops);
    }

    pub(super) fn takes_part(&mut self, id: AttemptId, shop: usize) {
        if self.id == Some(id) {
            self.taking_part.insert(shop);
        }
    }

    pub(super) fn declines(&mut self, id: AttemptId, shop: usize) {
        if self.id == Some(id) {
            self.declined.insert(shop);
        }
    }

    pub(super) fn cut(&mut self, shop: usize) {
        self.cut.insert(shop);
    }

    pub(super) fn counted(&mut self, id: AttemptId, shop: usize) {
        if self.id == Some(id) {
            self.counted.insert(shop);
        }
    }

    /// The line of an attempt that has ended; what comes is the next one's.
    pub(super) fn ended(
        &mut self,
        id: AttemptId,
        ending: &Ending,
        virtual_seconds: f64,
        epsilon: Option<f64>,
    ) -> RoundLine {
        let of = std::mem::take(self);
        let uncounted = || of.taking_part.difference(&of.counted);
        let dropped = uncounted().filter(|shop| of.cut.contains(shop)).count() as u64;
        RoundLine {
            round: id.round,
            attempt: id.attempt,
            published: matches!(ending, Ending::Published(_)),
            why: match ending {
                Ending::Published(_) => None,
                Ending::BelowQuorum { accepted, quorum } => Some(match accepted >= quorum {
                    true => "the updates make no model that is finite".to_owned(),
                    false => format!("below quorum: {accepted} of {quorum} updates"),
                }),
                Ending::NotUnmasked { survivors, revealed } => Some(format!(
                    "not unmasked: of {survivors} shops {revealed} gave their shares in time"
                )),
            },
            cohort: of.announced.len() as u64,
            declined: of.declined.len() as u64,
            accepted: of.counted.len() as u64,
            dropped,
            late: uncounted().count() as u64 - dropped,
            bytes_up: of.bytes_up,
            bytes_down: of.bytes_down,
            virtual_seconds,
            epsilon,
            hit_rate_full: None,
            ndcg_full: None,
            hit_rate_leak_free: None,
            ndcg_leak_free: None,
        }
    }
}
