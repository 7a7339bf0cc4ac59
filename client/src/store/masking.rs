//! What it takes to unmask the one update that is on its way: sealed under the shop's key, in a file of its own that is
//! destroyed when the attempt has ended (pages of a database keep what was erased).

use std::fs;

use souk_common::crypto::at_rest::Vault;
use souk_common::secagg::UnmaskSecrets;
use zeroize::Zeroizing;

use super::{Store, StoreError};

impl Store {
    /// What is stored; none if there is nothing, or it can't be opened (then it is lost, which is told in the log).
    ///
    /// # Errors
    /// When the database is damaged.
    pub fn masking(&self) -> Result<Option<UnmaskSecrets>, StoreError> {
        let Some(sealed) = self.secret()? else {
            return Ok(None);
        };
        let opened = sealed.map_err(|error| format!("{error}")).and_then(|sealed| {
            let vault = self.vault().map_err(|error| format!("{error}"))?;
            let plain = vault
                .open(LABEL, &sealed)
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
    pub fn store_masking(&self, masking: &UnmaskSecrets) -> Result<(), StoreError> {
        let sealed = self.sealed(masking)?;
        let path = self.write_secret(&masking.context().id, &sealed)?;
        self.destroy_secrets_but(&path);
        Ok(())
    }

    /// Erases it.
    ///
    /// # Errors
    /// When it may still be there.
    pub fn erase_masking(&self) -> Result<(), StoreError> {
        self.destroy_secrets()
    }

    pub(super) fn sealed(&self, masking: &UnmaskSecrets) -> Result<Vec<u8>, StoreError> {
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
    use super::super::MASKING;
    use super::super::tests::pending;
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};

    use crate::folder::Folder;
    use crate::masking::tests::{Three, context, identity};
    use crate::participate::AttemptKey;
    use redb::ReadableDatabase;
    use souk_common::clock::Timestamp;
    use souk_common::hex;
    use souk_common::secagg::Binding;

    /// A folder with a masked update in its outbox.
    fn boxed() -> (tempfile::TempDir, Folder, UnmaskSecrets, Vec<Binding>) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        fs::write(folder.key(), b"a key").unwrap();
        let mut all = Three::new().masked();
        let bindings = all.iter().map(UnmaskSecrets::binding).collect();
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
    fn shares(masking: &UnmaskSecrets) -> Vec<(String, Vec<u8>)> {
        let value = serde_json::to_value(masking).unwrap();
        let both = value["shares"].as_array().unwrap().iter();
        both.flat_map(|held| {
            let digits = held["both"].as_str().unwrap();
            [&digits[..64], &digits[64..]].map(|half| (half.to_owned(), hex::bytes(half).unwrap()))
        })
        .collect()
    }

    /// The one file of secrets.
    fn secret_file(folder: &Folder) -> PathBuf {
        let all = files(folder);
        assert_eq!(all.len(), 1, "{all:?}");
        all[0].clone()
    }

    fn files(folder: &Folder) -> Vec<PathBuf> {
        let all = fs::read_dir(folder.attempts()).unwrap();
        all.map(|entry| entry.unwrap().path()).collect()
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
        let file = fs::read(secret_file(&folder)).unwrap();
        assert!(!holds(&fs::read(folder.store()).unwrap(), &file[..32]));
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
            fs::write(secret_file(&folder), bad).unwrap();
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

    /// A second name for each file of secrets, by which its bytes can be read after it is gone.
    fn second_names(folder: &Folder, aside: &Path) -> Vec<PathBuf> {
        let linked = files(folder).into_iter().enumerate().map(|(number, path)| {
            let second = aside.join(number.to_string());
            let _ = fs::remove_file(&second);
            fs::hard_link(path, &second).unwrap();
            second
        });
        linked.collect()
    }

    fn is_zeros(path: &Path) -> bool {
        let bytes = fs::read(path).unwrap();
        !bytes.is_empty() && bytes.iter().all(|byte| *byte == 0)
    }

    #[test]
    fn what_an_attempt_leaves_behind_is_zeros_when_it_has_ended_and_when_its_list_is_stored() {
        let (_dir, folder, mut masking, bindings) = boxed();
        let aside = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&secret_file(&folder)), 0o600);
        let store = Store::open(&folder).unwrap();
        let first = second_names(&folder, aside.path());
        masking.confirm(&[0, 1, 2], &bindings, &identity(0)).unwrap();
        store.store_masking(&masking).unwrap();
        assert!(is_zeros(&first[0]));
        let second = second_names(&folder, aside.path());
        assert_eq!((second.len(), is_zeros(&second[0])), (1, false));
        store.erase_masking().unwrap();
        assert!(is_zeros(&second[0]));
        assert_eq!(files(&folder), Vec::<PathBuf>::new());
        store.erase_masking().unwrap();
    }

    #[test]
    fn a_new_attempt_destroys_what_the_last_one_left_and_so_do_joining_again_and_an_update_without_masks() {
        for how in 0..3 {
            let (_dir, folder, masking, _) = boxed();
            let aside = tempfile::tempdir().unwrap();
            let store = Store::open(&folder).unwrap();
            let old = second_names(&folder, aside.path());
            match how {
                0 => {
                    let mut next = pending(3, b"next");
                    next.key.plan = context().plan;
                    store
                        .put_in_outbox(&next, b"next", Some(&masking), Timestamp(2))
                        .unwrap();
                    assert!(secret_file(&folder).ends_with("3-1.1.secret"));
                }
                1 => store.begin_anew().unwrap(),
                _ => {
                    store
                        .put_in_outbox(&pending(3, b"next"), b"next", None, Timestamp(2))
                        .unwrap();
                    assert!(store.masking().unwrap().is_none());
                }
            }
            assert!(is_zeros(&old[0]), "{how}");
            assert_eq!(files(&folder).len(), usize::from(how == 0), "{how}");
        }
    }

    #[test]
    fn what_a_crash_left_among_the_secrets_is_destroyed_at_the_next_start_and_the_newest_counts() {
        let (_dir, folder, mut masking, bindings) = boxed();
        let aside = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.attempts().join(name);
        let first = fs::read(secret_file(&folder)).unwrap();
        masking.confirm(&[0, 1, 2], &bindings, &identity(0)).unwrap();
        Store::open(&folder).unwrap().store_masking(&masking).unwrap();
        let kept = secret_file(&folder);
        // The one before it, of another attempt that was never put in the outbox, half written, half destroyed.
        for left in [
            "2-1.1.secret",
            "3-1.1.secret",
            "2-1.3.new",
            "2-1.1.gone",
            "1-1.9.gone",
        ] {
            fs::write(at(left), &first).unwrap();
        }
        let all = second_names(&folder, aside.path());
        let store = Store::open(&folder).unwrap();
        assert!(store.masking().unwrap() == Some(masking));
        assert_eq!(files(&folder), [kept]);
        assert_eq!(all.iter().filter(|path| is_zeros(path)).count(), 5);
    }

    #[test]
    fn a_list_that_was_stored_is_never_forgotten_for_the_file_before_it() {
        let (_dir, folder, mut masking, bindings) = boxed();
        let before = fs::read(secret_file(&folder)).unwrap();
        let store = Store::open(&folder).unwrap();
        masking.confirm(&[0, 1, 2], &bindings, &identity(0)).unwrap();
        store.store_masking(&masking).unwrap();
        // The newer can't be read: the older, without the list, must not be taken for it.
        fs::write(secret_file(&folder), b"torn").unwrap();
        fs::write(folder.attempts().join("2-1.1.secret"), before).unwrap();
        assert!(store.masking().unwrap().is_none());
        drop(store);
        assert!(Store::open(&folder).unwrap().masking().unwrap().is_none());
    }

    #[test]
    fn secrets_that_an_older_program_kept_in_the_database_move_into_their_file() {
        for masked in [true, false] {
            let (_dir, folder, masking, _) = boxed();
            {
                let store = Store::open(&folder).unwrap();
                let sealed = store.sealed(&masking).unwrap();
                store.erase_masking().unwrap();
                if !masked {
                    store
                        .put_in_outbox(&pending(3, b"next"), b"next", None, Timestamp(2))
                        .unwrap();
                }
                let write = store.db.begin_write().unwrap();
                let mut table = write.open_table(MASKING).unwrap();
                table.insert("current", sealed.as_slice()).unwrap();
                drop(table);
                write.commit().unwrap();
                assert!(store.masking().unwrap().is_none());
            }
            let store = Store::open(&folder).unwrap();
            assert!(store.masking().unwrap() == masked.then_some(masking));
            assert_eq!(files(&folder).len(), usize::from(masked));
            assert!(store.db.begin_read().unwrap().open_table(MASKING).is_err());
            // Once: what was erased does not come back.
            store.erase_masking().unwrap();
            drop(store);
            assert!(Store::open(&folder).unwrap().masking().unwrap().is_none());
        }
    }
}
