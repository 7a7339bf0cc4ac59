//! Customers who were forgotten: `forgotten.json` in the shop's folder has a salted digest of each, and no name (ADR 0026). Whatever
//! takes in customers consults it: imports, the journal of events, users' vectors, experiments.

use std::io;
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use souk_common::clock::Timestamp;
use souk_common::date::date;
use souk_common::format::Format;
use souk_common::ids::{Digest, Digester};
use souk_common::rng::{EntropyError, secret_bytes};

use crate::folder::Folder;

/// The list as it is in the file.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ForgottenList {
    format: Format<1>,
    /// Of this folder alone: digests of two shops tell nothing of common customers. Empty before the first customer.
    #[serde(with = "souk_common::hex")]
    salt: Vec<u8>,
    /// Sorted by digest.
    customers: Vec<ForgottenCustomer>,
}

/// One customer.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
struct ForgottenCustomer {
    /// Of the salt and the id as compared.
    digest: Digest,
    /// When it was asked for.
    since: Timestamp,
    /// Whether nothing of the customer is left in the folder.
    finished: bool,
}

impl ForgottenList {
    /// The folder's; an empty one where nobody was ever forgotten.
    ///
    /// # Errors
    /// When it is damaged, or of the disk.
    pub fn load(folder: &Folder) -> Result<Self, ForgottenError> {
        let path = folder.forgotten();
        let bytes = match folder.disk().read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(ForgottenError::Disk { path, source }),
        };
        let list: Result<Self, _> = serde_json::from_slice(&bytes);
        match list {
            Ok(list) if list.customers.is_empty() || list.salt.len() == SALT_BYTES => Ok(list),
            Ok(_) => Err(ForgottenError::Damaged {
                path,
                reason: format!("its salt is not of {SALT_BYTES} bytes"),
            }),
            Err(error) => Err(ForgottenError::Damaged {
                path,
                reason: error.to_string(),
            }),
        }
    }

    /// Makes it the folder's; durable when this returns.
    ///
    /// # Errors
    /// Of the disk; the list of before is there then.
    pub fn store(&self, folder: &Folder) -> Result<(), ForgottenError> {
        let path = folder.forgotten();
        let written = serde_json::to_vec(self)
            .map_err(io::Error::other)
            .and_then(|bytes| folder.write_whole(&path, &bytes, true));
        written.map_err(|source| ForgottenError::Disk { path, source })
    }

    /// Whether nobody is on it.
    pub fn is_empty(&self) -> bool {
        self.customers.is_empty()
    }

    /// Since when a customer, named as compared, is on it.
    pub fn since(&self, customer: &str) -> Option<Timestamp> {
        Some(self.customers[self.place(customer)?.ok()?].since)
    }

    /// Puts a customer on it, for whom everything is yet to be done; one who is on it stays there since then.
    ///
    /// # Errors
    /// When there is no salt yet and the operating system has no randomness.
    pub fn add(&mut self, customer: &str, now: Timestamp) -> Result<(), ForgottenError> {
        if self.customers.is_empty() {
            self.salt = secret_bytes::<SALT_BYTES>()?.to_vec();
        }
        let digest = self.digest(customer);
        match self.find(&digest) {
            Ok(at) => self.customers[at].finished = false,
            Err(at) => {
                let (since, finished) = (now, false);
                self.customers.insert(
                    at,
                    ForgottenCustomer {
                        digest,
                        since,
                        finished,
                    },
                );
            }
        }
        Ok(())
    }

    /// Notes that nothing of a customer is left.
    pub fn finish(&mut self, customer: &str) {
        if let Some(Ok(at)) = self.place(customer) {
            self.customers[at].finished = true;
        }
    }

    /// Takes a customer off it; whether they were on it.
    pub fn remove(&mut self, customer: &str) -> bool {
        let place = self.place(customer).and_then(Result::ok);
        place.map(|at| self.customers.remove(at)).is_some()
    }

    /// Customers of whom something may be left, as a sentence; none if there are none.
    pub fn told(&self) -> Option<String> {
        let unfinished = self.customers.iter().filter(|customer| !customer.finished);
        let days: Vec<String> = unfinished.map(|customer| day(customer.since)).collect();
        (!days.is_empty()).then(|| {
            format!(
                "forgetting {} was interrupted ({}): say `souk-client forget` with the same ids again; until then something of them may \
                 be in this folder, though no import and no event takes them in",
                match days.len() {
                    1 => "one customer".to_owned(),
                    many => format!("{many} customers"),
                },
                days.join(", ")
            )
        })
    }

    fn place(&self, customer: &str) -> Option<Result<usize, usize>> {
        // Most shops have forgotten nobody, and need no digests.
        (!self.is_empty()).then(|| self.find(&self.digest(customer)))
    }

    fn find(&self, digest: &Digest) -> Result<usize, usize> {
        self.customers
            .binary_search_by_key(digest, |customer| customer.digest)
    }

    /// The salt's length is fixed, so that no two pairs are the same bytes.
    fn digest(&self, customer: &str) -> Digest {
        let mut digester = Digester::default();
        digester.update(&self.salt).update(customer.as_bytes());
        digester.finish()
    }
}

/// The list for a program that runs: read once, and again whenever it has changed.
#[derive(Debug)]
pub struct ForgottenCustomers {
    folder: Folder,
    list: RwLock<ForgottenList>,
}

impl ForgottenCustomers {
    /// Of a folder.
    ///
    /// # Errors
    /// As [`ForgottenList::load`].
    pub fn open(folder: &Folder) -> Result<Self, ForgottenError> {
        Ok(Self {
            list: RwLock::new(ForgottenList::load(folder)?),
            folder: folder.clone(),
        })
    }

    /// Since when a customer, named as compared, is forgotten.
    pub fn since(&self, customer: &str) -> Option<Timestamp> {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        list.since(customer)
    }

    /// Reads it again.
    ///
    /// # Errors
    /// As [`ForgottenList::load`]; the list of before is used then.
    pub fn reload(&self) -> Result<(), ForgottenError> {
        let list = ForgottenList::load(&self.folder)?;
        *self.list.write().unwrap_or_else(PoisonError::into_inner) = list;
        Ok(())
    }
}

/// To whoever wants something done for a customer who was forgotten.
pub fn forgotten_words(since: Timestamp) -> String {
    format!(
        "forgotten on {}; `souk-client forget CUSTOMER --undo` lets them in again",
        day(since)
    )
}

/// The day of a moment, UTC.
pub(crate) fn day(at: Timestamp) -> String {
    let date = date(at);
    date.split('T').next().unwrap_or(&date).to_owned()
}

/// Why the list is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ForgottenError {
    /// It can't be understood.
    #[error(
        "{} is damaged ({reason}): put it back from a backup; nothing is taken in without it, for that could let forgotten customers in. \
         Remove it only if nobody is to stay forgotten",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Of the disk.
    #[error("{}: the list of forgotten customers can't be read or written", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No salt.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

const SALT_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOON: Timestamp = Timestamp(1_795_867_200_000);

    #[test]
    fn the_file_names_nobody_and_is_the_owners_only_and_each_folder_has_a_salt_of_its_own() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let texts = dirs.each_ref().map(|dir| {
            let folder = Folder::new(dir.path());
            let mut list = ForgottenList::load(&folder).unwrap();
            assert_eq!((list.since("ann"), list.told()), (None, None));
            list.add("ann", NOON).unwrap();
            list.add("bob", NOON).unwrap();
            list.add("ann", Timestamp(1)).unwrap();
            list.store(&folder).unwrap();
            assert_eq!(ForgottenList::load(&folder).unwrap(), list);
            assert_eq!((list.since("ann"), list.since("Ann")), (Some(NOON), None));
            assert!(list.told().unwrap().contains("2 customers"));
            let mode = std::fs::metadata(folder.forgotten())
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
            std::fs::read_to_string(folder.forgotten()).unwrap()
        });
        let digest = |text: &str| text.split("\"digest\":\"").nth(1).unwrap()[..64].to_owned();
        assert_ne!(digest(&texts[0]), digest(&texts[1]));
        assert!(!texts[0].contains("ann"), "{}", texts[0]);
    }

    #[test]
    fn who_is_let_in_again_is_off_the_list_and_a_damaged_one_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let customers = ForgottenCustomers::open(&folder).unwrap();
        let mut list = ForgottenList::default();
        list.add("ann", NOON).unwrap();
        list.finish("ann");
        assert_eq!(list.told(), None);
        list.store(&folder).unwrap();
        assert_eq!(customers.since("ann"), None);
        customers.reload().unwrap();
        assert_eq!(customers.since("ann"), Some(NOON));
        assert_eq!((list.remove("ann"), list.remove("ann")), (true, false));
        for (text, said) in [
            ("{", "EOF"),
            (
                "{\"format\":1,\"salt\":\"00\",\"customers\":[{\"digest\":\"0000000000000000000000000000000000000000000000000000000000000000\",\
                 \"since\":1,\"finished\":true}]}",
                "salt",
            ),
        ] {
            std::fs::write(folder.forgotten(), text).unwrap();
            let error = ForgottenList::load(&folder).unwrap_err().to_string();
            assert!(
                error.contains("forgotten.json") && error.contains("backup") && error.contains(said),
                "{error}"
            );
            assert!(customers.reload().is_err());
            assert_eq!(customers.since("ann"), Some(NOON), "the list of before");
        }
    }
}
