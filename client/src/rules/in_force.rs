//! Which rules are in force: those of `rules.toml` as it is, or, while it makes no sense, the last that did.
//!
//! The text of the last good rules is kept in `rules.last-good.toml`, so that a start does not forget them. Without any, there are no
//! lists: an owner who wrote down what must never be shown must not see it shown because of a missing quotation mark.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use souk_common::ids::Digest;

use super::feed::Feeds;
use super::feed::source::FeedSource;
use super::file::{ListRules, MOST_BYTES};
use super::item_states::ItemStates;
use crate::folder::Folder;

/// Rules, and what their owner should know.
#[derive(Clone)]
pub struct InForce {
    /// The rules.
    pub rules: Arc<ListRules>,
    /// Of their text.
    pub digest: Digest,
    /// Why `rules.toml` as it is now is not what is in force.
    pub trouble: Option<String>,
}

/// The rules of one shop, and what its web shop says of items.
pub struct ShopRules {
    folder: Folder,
    /// What product feeds say.
    pub feeds: Feeds,
    read: Mutex<Option<Read>>,
    states: Mutex<Option<Arc<ItemStates>>>,
    /// Held while a text replaces the file.
    editing: Mutex<()>,
}

/// What was looked at last.
struct Read {
    /// None: there was no file.
    bytes: Option<Vec<u8>>,
    numbers: Arc<BTreeSet<String>>,
    in_force: InForce,
}

impl ShopRules {
    /// Of the shop in `folder`.
    pub fn new(folder: Folder) -> Self {
        Self {
            feeds: Feeds::new(folder.clone()),
            folder,
            read: Mutex::default(),
            states: Mutex::default(),
            editing: Mutex::default(),
        }
    }

    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    pub(super) fn editing(&self) -> MutexGuard<'_, ()> {
        self.editing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the web shop says of items; read once.
    ///
    /// # Errors
    /// As [`ItemStates::open`].
    pub fn states(&self) -> anyhow::Result<Arc<ItemStates>> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        if states.is_none() {
            *states = Some(Arc::new(ItemStates::open(&self.folder)?));
        }
        Ok(Arc::clone(states.as_ref().expect("it was set above")))
    }

    /// Looks whether `rules.toml` has changed. `numbers` are the names of the catalogue's numbers.
    ///
    /// # Errors
    /// When it makes no sense, and no earlier one did.
    pub fn look(&self, numbers: Arc<BTreeSet<String>>) -> anyhow::Result<InForce> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let found = bytes_of(&self.folder, &self.folder.rules());
        let bytes = found.as_ref().ok().cloned().flatten();
        if let Some(before) = &*read
            && found.is_ok()
            && before.bytes == bytes
            && before.numbers == numbers
        {
            return Ok(before.in_force.clone());
        }
        let understood = found.and_then(|bytes| understand(&self.folder, bytes.as_deref(), Some(&numbers)));
        let in_force = match understood {
            Ok(rules) => {
                self.keep(bytes.as_deref());
                InForce {
                    rules: Arc::new(rules),
                    digest: Digest::of(bytes.as_deref().unwrap_or_default()),
                    trouble: None,
                }
            }
            Err(error) => {
                let good = bytes_of(&self.folder, &self.folder.last_good_rules())?;
                let good = good.with_context(|| {
                    format!(
                        "{error:#}. No earlier rules are known, and without its rules this shop makes no lists: mend rules.toml, or take \
                         it away to have lists without rules; `souk-client rules check` says whether it is right"
                    )
                })?;
                // A number that the catalogue does not have any more is not known of any item.
                let rules = ListRules::parse(&String::from_utf8_lossy(&good), None)
                    .with_context(|| format!("{} is damaged", self.folder.last_good_rules().display()))?;
                InForce {
                    rules: Arc::new(rules),
                    digest: Digest::of(&good),
                    trouble: Some(format!(
                        "{error:#}. The last rules that made sense stay in force; `souk-client rules check` says when it is right"
                    )),
                }
            }
        };
        *read = Some(Read {
            bytes,
            numbers,
            in_force: in_force.clone(),
        });
        Ok(in_force)
    }

    /// What its owner should know of the rules that were looked at last.
    pub fn trouble(&self) -> Option<String> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.as_ref().and_then(|read| read.in_force.trouble.clone())
    }

    fn keep(&self, bytes: Option<&[u8]>) {
        let path = self.folder.last_good_rules();
        let kept = match bytes {
            Some(bytes) if bytes_of(&self.folder, &path).ok().flatten().as_deref() == Some(bytes) => Ok(()),
            Some(bytes) => self.folder.write_whole(&path, bytes, false),
            None => match self.folder.disk().remove(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        };
        if let Err(error) = kept {
            tracing::warn!(%error, "rules.last-good.toml could not be written: a start with a broken rules.toml would have no lists");
        }
    }
}

/// Reads `rules.toml` as it is now.
///
/// # Errors
/// When it makes no sense.
pub fn read_rules(folder: &Folder, numbers: Option<&BTreeSet<String>>) -> anyhow::Result<ListRules> {
    understand(folder, bytes_of(folder, &folder.rules())?.as_deref(), numbers)
}

/// The feeds that the rules in force name, as far as that can be told without the catalogue.
///
/// # Errors
/// When no rules make sense.
pub fn feeds_named(folder: &Folder) -> anyhow::Result<Vec<FeedSource>> {
    let rules =
        read_rules(folder, None).or_else(|error| match bytes_of(folder, &folder.last_good_rules())? {
            None => Err(error),
            good => understand(folder, good.as_deref(), None),
        })?;
    Ok(rules.file.feed)
}

fn understand(
    folder: &Folder,
    bytes: Option<&[u8]>,
    numbers: Option<&BTreeSet<String>>,
) -> anyhow::Result<ListRules> {
    let path = folder.rules();
    let text = std::str::from_utf8(bytes.unwrap_or_default())
        .with_context(|| format!("{} is not UTF-8: save it so", path.display()))?;
    ListRules::parse(text, numbers).with_context(|| path.display().to_string())
}

/// None where there is no such file.
fn bytes_of(folder: &Folder, path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match folder.disk().read(path) {
        Ok(bytes) => {
            anyhow::ensure!(
                bytes.len() <= MOST_BYTES,
                "{} has {} bytes, at most {MOST_BYTES} are read",
                path.display(),
                bytes.len()
            );
            Ok(Some(bytes))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("can't read {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_last_rules_that_made_sense_stay_in_force_also_after_a_start_and_without_any_there_are_none() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let numbers = Arc::new(BTreeSet::new());
        let look = |rules: &ShopRules| rules.look(Arc::clone(&numbers));
        let write = |text: &str| fs::write(folder.rules(), text).unwrap();
        let rules = ShopRules::new(folder.clone());
        assert!(look(&rules).unwrap().rules.file.never.is_empty());
        write("never = [\"a\"");
        let error = format!("{:#}", look(&rules).err().expect("no rules were ever good"));
        assert!(
            error.contains("rules.toml: line 1") && error.contains("makes no lists"),
            "{error}"
        );
        assert!(feeds_named(&folder).is_err());
        write("never = [\"a\"]\n[[feed]]\nurl = 'https://a.example/'");
        assert_eq!(look(&rules).unwrap().rules.file.never, ["a"]);
        write("never = [\"b\"");
        for rules in [rules, ShopRules::new(folder.clone())] {
            let in_force = look(&rules).unwrap();
            assert_eq!(in_force.rules.file.never, ["a"]);
            assert_eq!(feeds_named(&folder).unwrap().len(), 1);
            let trouble = rules.trouble().expect("it is told");
            assert!(
                trouble.contains("rules.toml: line 1") && trouble.contains("stay in force"),
                "{trouble}"
            );
        }
        write("never = [\"b\"]");
        let rules = ShopRules::new(folder.clone());
        assert_eq!(
            (look(&rules).unwrap().rules.file.never.len(), rules.trouble()),
            (1, None)
        );
        // Taken away is decided, not broken.
        fs::remove_file(folder.rules()).unwrap();
        assert!(look(&rules).unwrap().rules.file.never.is_empty());
        assert!(!folder.last_good_rules().exists());
    }

    #[test]
    fn a_number_that_the_catalogue_lost_is_trouble_and_the_rules_stay() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        fs::write(folder.rules(), "[[filter]]\nkeep = 'year > 2000'").unwrap();
        let rules = ShopRules::new(folder);
        let with = rules.look(Arc::new(["year".to_owned()].into())).unwrap();
        let without = rules.look(Arc::new(BTreeSet::new())).unwrap();
        assert_eq!((with.trouble, without.rules.filters.len()), (None, 1));
        assert!(without.trouble.unwrap().contains("`year`"));
    }
}
