//! A catalogue brought up to date: items keep their rows, what is gone is retired.

use serde::{Deserialize, Serialize};

use super::{Catalogue, CatalogueError, Item};

/// What became of a catalogue's items.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Changes {
    /// Items that were not there before; they stand behind all others.
    pub new: Vec<String>,
    /// Items that are retired now: they keep their rows, and nobody is recommended them.
    pub gone: Vec<String>,
    /// Items that had been retired and are there again.
    pub back: Vec<String>,
    /// Items of which something else is said than before.
    pub changed: Vec<String>,
}

impl Changes {
    /// Whether nothing is another.
    pub fn is_empty(&self) -> bool {
        [&self.new, &self.gone, &self.back, &self.changed]
            .iter()
            .all(|ids| ids.is_empty())
    }
}

impl Catalogue {
    /// This catalogue with what `items` say now. Items keep their rows, so that nothing that was learned of them is lost; those
    /// that `items` do not have are retired, new ones come last.
    ///
    /// # Errors
    /// As [`Catalogue::new`].
    pub fn updated(&self, items: Vec<Item>) -> Result<(Self, Changes), CatalogueError> {
        let imported = Self::new(items)?;
        let mut changes = Changes::default();
        let mut all = Vec::with_capacity(self.len());
        for before in self.items() {
            let now = imported
                .row(&before.id)
                .map(|row| &imported.items()[row as usize]);
            all.push(match now {
                Some(now) => {
                    let id = || now.id.clone();
                    if before.retired && !now.retired {
                        changes.back.push(id());
                    } else if before != now {
                        changes.changed.push(id());
                    }
                    now.clone()
                }
                None => {
                    if !before.retired {
                        changes.gone.push(before.id.clone());
                    }
                    Item {
                        retired: true,
                        ..before.clone()
                    }
                }
            });
        }
        let new = imported
            .items()
            .iter()
            .filter(|item| self.row(&item.id).is_none());
        for item in new {
            changes.new.push(item.id.clone());
            all.push(item.clone());
        }
        Ok((Self::new(all)?, changes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, price: f64) -> Item {
        Item {
            price: Some(price),
            ..Item::bare(id)
        }
    }

    #[test]
    fn rows_stay_what_is_gone_is_retired_and_what_is_new_comes_last() {
        let before = Catalogue::new(vec![item("b", 1.0), item("a", 2.0), item("c", 3.0)]).unwrap();
        let (next, changes) = before
            .updated(vec![item("aa", 5.0), item("c", 3.5), item("b", 1.0)])
            .unwrap();
        let ids: Vec<&str> = next.items().iter().map(|item| item.id.as_str()).collect();
        assert_eq!(ids, ["b", "a", "c", "aa"]);
        assert!(next.items()[1].retired && !next.items()[0].retired);
        let expected = Changes {
            new: vec!["aa".to_owned()],
            gone: vec!["a".to_owned()],
            back: Vec::new(),
            changed: vec!["c".to_owned()],
        };
        assert_eq!(changes, expected);
        assert_eq!(
            Catalogue::from_bytes(&next.to_bytes()).unwrap().digest(),
            next.digest()
        );
        // Back again, and the same once more changes nothing.
        let all = vec![item("a", 2.0), item("aa", 5.0), item("b", 1.0), item("c", 3.5)];
        let (again, changes) = next.updated(all.clone()).unwrap();
        assert_eq!(
            (changes.back, changes.new, changes.gone),
            (vec!["a".to_owned()], vec![], vec![])
        );
        let (same, changes) = again.updated(all).unwrap();
        assert!(changes.is_empty() && same.digest() == again.digest());
        assert!(
            before.updated(Vec::new()).is_err(),
            "an empty file retires nobody"
        );
    }
}
