//! What it takes to unmask the one update that is on its way: sealed under the shop's key, erased when the attempt has
//! ended.

use std::fs;

use redb::ReadableDatabase;
use souk_common::crypto::at_rest::Vault;
use souk_common::secagg::Masking;
use zeroize::Zeroizing;

use super::{MASKING, Store, StoreError};

/// There is one at a time.
pub(super) const CURRENT: &str = "current";

impl Store {
    /// What is stored; none if there is nothing, or it can't be opened (then it is lost, which is told in the log).
    ///
    /// # Errors
    /// When the database is damaged.
    pub fn masking(&self) -> Result<Option<Masking>, StoreError> {
        let table = self.db.begin_read()?.open_table(MASKING)?;
        let Some(sealed) = table.get(CURRENT)? else {
            return Ok(None);
        };
        let opened = self
            .vault()
            .map_err(|error| format!("{error}"))
            .and_then(|vault| {
                let plain = vault
                    .open(LABEL, sealed.value())
                    .ok_or("it was changed, or sealed under another key.der")?;
                serde_json::from_slice(&plain).map_err(|_| "it is of another version".to_owned())
            });
        match opened {
            Ok(masking) => Ok(Some(masking)),
            Err(reason) => {
                tracing::warn!(%reason, "the secrets of a masked attempt are lost");
                Ok(None)
            }
        }
    }

    /// Stores it again, with the list of survivors that is about to be answered.
    ///
    /// # Errors
    /// When it may not be durable: then nothing may be answered.
    pub fn store_masking(&self, masking: &Masking) -> Result<(), StoreError> {
        let sealed = self.sealed(masking)?;
        let write = self.db.begin_write()?;
        write.open_table(MASKING)?.insert(CURRENT, sealed.as_slice())?;
        Ok(write.commit()?)
    }

    /// Erases it.
    ///
    /// # Errors
    /// When it may still be there.
    pub fn erase_masking(&self) -> Result<(), StoreError> {
        let write = self.db.begin_write()?;
        write.open_table(MASKING)?.remove(CURRENT)?;
        Ok(write.commit()?)
    }

    pub(super) fn sealed(&self, masking: &Masking) -> Result<Vec<u8>, StoreError> {
        let plain = Zeroizing::new(super::json(masking));
        let vault = self.vault().map_err(|error| StoreError::Seal(error.into()))?;
        vault
            .seal(LABEL, &plain)
            .map_err(|error| StoreError::Seal(error.into()))
    }

    fn vault(&self) -> std::io::Result<Vault> {
        let key = Zeroizing::new(fs::read(self.folder.key())?);
        Ok(Vault::new("souk 2026 masking at rest v1", &key))
    }
}

const LABEL: &[u8] = b"masking v1";

#[cfg(test)]
mod tests {
    use super::super::tests::pending;
    use super::*;
    use crate::folder::Folder;
    use crate::masked::tests::{Three, context, identity};
    use crate::participate::AttemptKey;
    use souk_common::clock::Timestamp;
    use souk_common::hex;
    use souk_common::secagg::Binding;

    /// A folder with a masked update in its outbox.
    fn boxed() -> (tempfile::TempDir, Folder, Masking, Vec<Binding>) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        fs::write(folder.key(), b"a key").unwrap();
        let mut all = Three::new().masked();
        let bindings = all.iter().map(Masking::binding).collect();
        let masking = all.remove(0);
        let store = Store::open(&folder).unwrap();
        store
            .put_in_outbox(&masked_pending(), b"masked", Some(&masking), Timestamp(1))
            .unwrap();
        (dir, folder, masking, bindings)
    }

    fn masked_pending() -> crate::participate::Pending {
        let mut pending = pending(2, b"masked");
        pending.key.plan = context().plan;
        pending
    }

    /// Every share in `masking`, as 64 digits and as bytes.
    fn shares(masking: &Masking) -> Vec<(String, Vec<u8>)> {
        let value = serde_json::to_value(masking).unwrap();
        let both = value["shares"].as_array().unwrap().iter();
        both.flat_map(|held| {
            let digits = held["both"].as_str().unwrap();
            [&digits[..64], &digits[64..]].map(|half| (half.to_owned(), hex::bytes(half).unwrap()))
        })
        .collect()
    }

    fn holds(file: &[u8], part: &[u8]) -> bool {
        file.windows(part.len()).any(|window| window == part)
    }

    #[test]
    fn it_comes_back_with_its_list_and_no_share_is_on_disk_in_the_clear() {
        let (_dir, folder, mut masking, bindings) = boxed();
        let key = masked_pending().key;
        {
            let store = Store::open(&folder).unwrap();
            assert!(store.masking().unwrap() == Some(masking.clone()));
            let memory = store.memory([]).unwrap();
            assert_eq!((memory.masking, memory.lost_masking), (Some(key), None));
            masking.confirm(&[0, 1, 2], &bindings, &identity(0)).unwrap();
            store.store_masking(&masking).unwrap();
        }
        assert!(Store::open(&folder).unwrap().masking().unwrap() == Some(masking.clone()));
        let file = fs::read(folder.store()).unwrap();
        let shares = shares(&masking);
        assert_eq!(shares.len(), 6);
        for (digits, bytes) in &shares {
            assert!(!holds(&file, digits.as_bytes()) && !holds(&file, bytes));
            // The same search finds them where they are not sealed.
            assert!(holds(&super::super::json(&masking), digits.as_bytes()));
        }
        let store = Store::open(&folder).unwrap();
        store.erase_masking().unwrap();
        assert!(store.masking().unwrap().is_none());
        assert_eq!(store.memory([]).unwrap().lost_masking, Some(key));
    }

    #[test]
    fn one_that_was_damaged_or_sealed_under_another_key_is_lost_and_no_panic() {
        let (_dir, folder, masking, _) = boxed();
        let store = Store::open(&folder).unwrap();
        let lost = || {
            assert!(store.masking().unwrap().is_none());
            let memory = store.memory([]).unwrap();
            assert_eq!(memory.masking, None);
            assert_eq!(memory.lost_masking, Some(masked_pending().key));
        };
        let mut sealed = store.sealed(&masking).unwrap();
        sealed[40] ^= 1;
        for bad in [sealed.as_slice(), &sealed[..5], b""] {
            let write = store.db.begin_write().unwrap();
            write.open_table(MASKING).unwrap().insert(CURRENT, bad).unwrap();
            write.commit().unwrap();
            lost();
        }
        store.store_masking(&masking).unwrap();
        let kept: Option<AttemptKey> = store.memory([]).unwrap().masking;
        assert!(kept.is_some());
        fs::write(folder.key(), b"another key").unwrap();
        lost();
        fs::remove_file(folder.key()).unwrap();
        lost();
        assert!(matches!(store.store_masking(&masking), Err(StoreError::Seal(_))));
    }
}
