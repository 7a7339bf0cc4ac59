//! Updates that came when their attempt was not open (any more), which `status` shows: each shop's last, and how many.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use souk_common::ids::{AttemptId, ShopName};

use crate::store::{Change, Late, Store, StoreError};

/// Those of a run, by shop.
pub(crate) struct LateUpdates {
    /// Where the run began in the record.
    began: u64,
    last: Mutex<BTreeMap<ShopName, Late>>,
}

impl LateUpdates {
    /// What the store has of them.
    pub(crate) fn of(store: &Store) -> Result<Self, StoreError> {
        let began = store.run()?.map_or(0, |run| run.began);
        let kept = store.meta::<(u64, BTreeMap<ShopName, Late>)>(NAME)?;
        let last = kept.filter(|kept| kept.0 == began).map(|kept| kept.1);
        Ok(Self {
            began,
            last: Mutex::new(last.unwrap_or_default()),
        })
    }

    /// Takes one in, once for each attempt; what to keep then, none if it was known.
    pub(crate) fn note(
        &self,
        shop: &ShopName,
        id: AttemptId,
    ) -> Option<impl FnOnce(&mut Change<'_>) -> Result<(), StoreError> + use<>> {
        let mut last = self.lock();
        let before = last.get(shop);
        if before.is_some_and(|before| before.id == id) {
            return None;
        }
        let count = before.map_or(0, |before| before.count) + 1;
        last.insert(shop.clone(), Late { id, count });
        let kept = (self.began, last.clone());
        Some(move |change: &mut Change<'_>| change.set_meta(NAME, &kept))
    }

    /// Each shop's last.
    pub(crate) fn all(&self) -> BTreeMap<ShopName, Late> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ShopName, Late>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const NAME: &str = "discarded";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_counts_once_and_a_restart_forgets_none() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), None).unwrap();
        let shop: ShopName = "north".parse().unwrap();
        let at = |round| AttemptId { round, attempt: 1 };
        let late = LateUpdates::of(&store).unwrap();
        for (round, is_new) in [(1, true), (1, false), (2, true)] {
            let keep = late.note(&shop, at(round));
            assert_eq!(keep.is_some(), is_new, "round {round}");
            if let Some(keep) = keep {
                store.change(keep).unwrap();
            }
        }
        drop(store);
        let store = Store::open(dir.path(), None).unwrap();
        let again = LateUpdates::of(&store).unwrap().all();
        assert_eq!(again[&shop], Late { id: at(2), count: 2 });
        assert_eq!(again, late.all());
    }
}
