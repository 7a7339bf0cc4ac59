//! What the web shop says of its items as it changes: stock, price, whether they are hidden.
//!
//! `item-states.jsonl` in the shop's folder is appended to and synchronised before a change is acknowledged, and written anew, whole,
//! when most of its lines are outdated.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use souk_common::clock::Timestamp;
use souk_common::storage::disk::{Access, DiskFile};

use crate::folder::Folder;

/// What is known of an item beside the catalogue.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct ItemState {
    /// Pieces; none: unknown, and listed. 0 and less: out of stock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<f64>,
    /// In the federation's currency; none: as the catalogue has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<f64>,
    /// Whether it is left out of every list.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// When the last change came.
    pub changed_at: Timestamp,
}

/// A change; what is none stays as it was.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StateChange {
    /// Pieces; an inner none: unknown from now on.
    pub stock: Option<Option<f64>>,
    /// An inner none: the catalogue's from now on.
    pub price: Option<Option<f64>>,
    /// Whether it is hidden.
    pub hidden: Option<bool>,
}

/// What a feed says of an item. It counts where it was written after the last report.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeedState {
    /// Whether it can be had.
    pub available: bool,
    /// What it costs, if that is said.
    pub price: Option<f64>,
    /// When the feed was written.
    pub written: Timestamp,
}

#[derive(Deserialize, Serialize)]
struct Line {
    item: String,
    #[serde(flatten)]
    state: ItemState,
}

/// The states of a shop's items, by the federation's ids.
pub struct ItemStates {
    folder: Folder,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// As they were reported.
    states: HashMap<String, ItemState>,
    /// What feeds say.
    feed: HashMap<String, FeedState>,
    /// Which item each change that still counts was of.
    changes: BTreeMap<u64, String>,
    versions: HashMap<String, u64>,
    version: u64,
    lines: usize,
    bytes: usize,
    file: Option<Box<dyn DiskFile>>,
}

impl ItemStates {
    /// Of the shop in `folder`. A last line without its end was never acknowledged and does not count.
    ///
    /// # Errors
    /// Of the disk, and when a line is damaged: an item that was hidden must not come back unnoticed.
    pub fn open(folder: &Folder) -> anyhow::Result<Self> {
        let path = folder.item_states();
        let bytes = match folder.disk().read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).with_context(|| format!("can't read {}", path.display())),
        };
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let mut known = Known {
            bytes: whole,
            ..Known::default()
        };
        for (number, line) in bytes[..whole].split_inclusive(|byte| *byte == b'\n').enumerate() {
            let Line { item, state } = serde_json::from_slice(line).with_context(|| {
                format!(
                    "{}, line {}, is no item's state: remove the line, and send that item's state again",
                    path.display(),
                    number + 1
                )
            })?;
            known.lines += 1;
            known.set(item, state);
        }
        Ok(Self {
            folder: folder.clone(),
            known: Mutex::new(known),
        })
    }

    /// What is known of an item.
    pub fn get(&self, item: &str) -> Option<ItemState> {
        self.known().now(item)
    }

    /// What was changed after `version`, and the version now; none of items of which nothing is known any more.
    pub fn changed_since(&self, version: u64) -> (Vec<(String, Option<ItemState>)>, u64) {
        let known = self.known();
        let changes = known.changes.range(version + 1..);
        let changed = changes.map(|(_, item)| (item.clone(), known.now(item)));
        (changed.collect(), known.version)
    }

    /// Takes what all feeds say, instead of what they said before.
    pub fn take_feeds(&self, feed: HashMap<String, FeedState>) {
        let mut known = self.known();
        let before = std::mem::take(&mut known.feed);
        let gone = before.keys().filter(|item| !feed.contains_key(*item));
        let new = feed
            .iter()
            .filter(|(item, state)| before.get(*item) != Some(state));
        let mut changed: Vec<String> = gone.chain(new.map(|(item, _)| item)).cloned().collect();
        changed.sort();
        known.feed = feed;
        changed.into_iter().for_each(|item| known.touch(item));
    }

    /// Changes what is known of an item; it is on the disk when this comes back. It blocks.
    ///
    /// # Errors
    /// Of the disk: then everything is as it was.
    pub fn put(&self, item: &str, change: StateChange, now: Timestamp) -> io::Result<ItemState> {
        let mut known = self.known();
        let mut state = known.now(item).unwrap_or_default();
        state.stock = change.stock.unwrap_or(state.stock);
        state.price = change.price.unwrap_or(state.price);
        state.hidden = change.hidden.unwrap_or(state.hidden);
        state.changed_at = now;
        let bytes = line(item, &state);
        if let Err(error) = self.append(&mut known, &bytes) {
            // What of it stands in the file is cut off before the next line is written.
            known.file = None;
            return Err(error);
        }
        known.bytes += bytes.len();
        known.lines += 1;
        known.set(item.to_owned(), state);
        if known.lines > LINES_PER_ITEM * known.states.len() + SPARE_LINES {
            // It is a matter of room only: what was acknowledged is on the disk in any case.
            if let Err(error) = self.write_anew(&mut known) {
                tracing::warn!(%error, "item-states.jsonl could not be shortened");
            }
        }
        Ok(state)
    }

    fn append(&self, known: &mut Known, bytes: &[u8]) -> io::Result<()> {
        if known.file.is_none() {
            known.file = Some(self.open_file(known)?);
        }
        let file = known.file.as_mut().expect("it was opened above");
        file.write_all(bytes)?;
        file.sync()
    }

    fn open_file(&self, known: &mut Known) -> io::Result<Box<dyn DiskFile>> {
        let (path, disk) = (self.folder.item_states(), self.folder.disk());
        let before = match disk.read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        match &before {
            Some(bytes) if bytes.len() > known.bytes => {
                self.folder.write_whole(&path, &bytes[..known.bytes], true)?;
            }
            // Somebody took it away: what is known is written again.
            _ if before.as_ref().map_or(0, Vec::len) < known.bytes => self.write_anew(known)?,
            _ => {}
        }
        let file = disk.open(&path, Access::Append)?;
        if before.is_none() {
            disk.sync_folder(self.folder.path())?;
        }
        Ok(file)
    }

    fn write_anew(&self, known: &mut Known) -> io::Result<()> {
        let mut bytes = Vec::new();
        for (item, state) in &known.states {
            bytes.extend(line(item, state));
        }
        self.folder
            .write_whole(&self.folder.item_states(), &bytes, true)?;
        (known.bytes, known.lines, known.file) = (bytes.len(), known.states.len(), None);
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn set(&mut self, item: String, state: ItemState) {
        self.states.insert(item.clone(), state);
        self.touch(item);
    }

    fn touch(&mut self, item: String) {
        self.version += 1;
        if let Some(before) = self.versions.insert(item.clone(), self.version) {
            self.changes.remove(&before);
        }
        self.changes.insert(self.version, item);
    }

    /// What is known of an item by reports and feeds, the later of which counts.
    fn now(&self, item: &str) -> Option<ItemState> {
        let reported = self.states.get(item);
        let Some(feed) = self.feed.get(item) else {
            return reported.copied();
        };
        match reported {
            Some(reported) if reported.changed_at >= feed.written => Some(*reported),
            _ => {
                let before = reported.copied().unwrap_or_default();
                Some(ItemState {
                    stock: match feed.available {
                        true => before.stock.filter(|stock| *stock > 0.0),
                        false => Some(0.0),
                    },
                    price: feed.price.or(before.price),
                    hidden: before.hidden,
                    changed_at: feed.written,
                })
            }
        }
    }
}

fn line(item: &str, state: &ItemState) -> Vec<u8> {
    let line = Line {
        item: item.to_owned(),
        state: *state,
    };
    let mut bytes = serde_json::to_vec(&line).expect("a state has a JSON form");
    bytes.push(b'\n');
    bytes
}

const LINES_PER_ITEM: usize = 4;
const SPARE_LINES: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::full_disk::FullDisk;
    use std::fs;

    const NOW: Timestamp = Timestamp(1_795_867_200_000);

    fn out_of_stock() -> StateChange {
        StateChange {
            stock: Some(Some(0.0)),
            ..StateChange::default()
        }
    }

    #[test]
    fn what_was_acknowledged_is_there_after_a_start_and_what_was_cut_off_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let states = ItemStates::open(&folder).unwrap();
        assert_eq!(states.get("i1"), None);
        states.put("i1", out_of_stock(), NOW).unwrap();
        let hide = StateChange {
            hidden: Some(true),
            price: Some(Some(9.5)),
            ..StateChange::default()
        };
        let state = states.put("i1", hide, NOW).unwrap();
        assert_eq!(
            (state.stock, state.price, state.hidden),
            (Some(0.0), Some(9.5), true)
        );
        drop(states);
        let path = folder.item_states();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [&whole[..], b"{\"item\":\"i2\",\"st"].concat()).unwrap();
        let states = ItemStates::open(&folder).unwrap();
        assert_eq!((states.get("i1"), states.get("i2")), (Some(state), None));
        states.put("i3", out_of_stock(), NOW).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with(std::str::from_utf8(&whole).unwrap()) && text.lines().count() == 3,
            "{text}"
        );
        // What is said to be unknown is unknown.
        let forget = StateChange {
            stock: Some(None),
            price: Some(None),
            hidden: Some(false),
        };
        let state = states.put("i1", forget, NOW).unwrap();
        assert_eq!((state.stock, state.price, state.hidden), (None, None, false));
    }

    #[test]
    fn changes_are_told_once_and_the_last_of_an_item_counts() {
        let dir = tempfile::tempdir().unwrap();
        let states = ItemStates::open(&Folder::new(dir.path())).unwrap();
        states.put("a", out_of_stock(), NOW).unwrap();
        states.put("b", out_of_stock(), NOW).unwrap();
        states.put("a", out_of_stock(), NOW).unwrap();
        let (changed, version) = states.changed_since(0);
        let items: Vec<&str> = changed.iter().map(|(item, _)| item.as_str()).collect();
        assert_eq!(items, ["b", "a"]);
        assert!(states.changed_since(version).0.is_empty());
    }

    #[test]
    fn of_reports_and_feeds_the_later_counts_and_what_is_hidden_stays_hidden() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let states = ItemStates::open(&folder).unwrap();
        let hide = StateChange {
            hidden: Some(true),
            ..out_of_stock()
        };
        states.put("a", hide, NOW).unwrap();
        let feed = |written: i64, available| {
            let state = FeedState {
                available,
                price: Some(3.0),
                written: Timestamp(written),
            };
            [("a".to_owned(), state), ("b".to_owned(), state)].into()
        };
        states.take_feeds(feed(NOW.0 - 1, true));
        let of = |item: &str| {
            states
                .get(item)
                .map(|state| (state.stock, state.price, state.hidden))
        };
        assert_eq!(
            (of("a"), of("b")),
            (Some((Some(0.0), None, true)), Some((None, Some(3.0), false)))
        );
        states.take_feeds(feed(NOW.0 + 1, true));
        assert_eq!(of("a"), Some((None, Some(3.0), true)));
        states.take_feeds(feed(NOW.0 + 1, false));
        assert_eq!(of("b"), Some((Some(0.0), Some(3.0), false)));
        // A later report keeps what it does not change.
        let dear = StateChange {
            price: Some(Some(9.0)),
            ..StateChange::default()
        };
        states
            .put("b", dear, NOW + std::time::Duration::from_secs(1))
            .unwrap();
        assert_eq!(of("b"), Some((Some(0.0), Some(9.0), false)));
        let (_, version) = states.changed_since(0);
        states.take_feeds(HashMap::new());
        assert_eq!(
            (of("a"), of("b")),
            (Some((Some(0.0), None, true)), Some((Some(0.0), Some(9.0), false)))
        );
        assert_eq!(states.changed_since(version).0.len(), 2);
        assert_eq!(
            ItemStates::open(&folder).unwrap().get("b"),
            states.get("b"),
            "feeds are not reports"
        );
    }

    #[test]
    fn a_full_disk_takes_nothing_back_that_was_acknowledged_and_keeps_nothing_that_was_not() {
        let dir = tempfile::tempdir().unwrap();
        let sold_out = ItemState {
            stock: Some(0.0),
            changed_at: NOW,
            ..ItemState::default()
        };
        let length = line("a", &sold_out).len();
        for spare in [0, 1, length - 1] {
            let disk = FullDisk::with_room(length + spare);
            let path = dir.path().join(spare.to_string());
            fs::create_dir(&path).unwrap();
            let folder = Folder::on(disk.clone(), &path);
            let states = ItemStates::open(&folder).unwrap();
            states.put("a", out_of_stock(), NOW).unwrap();
            let error = states.put("b", out_of_stock(), NOW).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageFull, "{spare}");
            assert_eq!((states.get("a"), states.get("b")), (Some(sold_out), None));
            assert_eq!(ItemStates::open(&folder).unwrap().get("b"), None);
            disk.make_room();
            states.put("c", out_of_stock(), NOW).unwrap();
            drop(states);
            let states = ItemStates::open(&folder).unwrap();
            let found = ["a", "b", "c"].map(|item| states.get(item));
            assert_eq!(found, [Some(sold_out), None, Some(sold_out)], "{spare}");
        }
    }

    #[test]
    fn a_damaged_line_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        fs::write(
            folder.item_states(),
            "{\"item\":\"a\",\"changed_at\":0}\nnonsense\n",
        )
        .unwrap();
        let error = format!("{:#}", ItemStates::open(&folder).err().expect("it is damaged"));
        assert!(error.contains("item-states.jsonl, line 2"), "{error}");
    }

    #[test]
    fn the_file_stays_short() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let states = ItemStates::open(&folder).unwrap();
        for pieces in 0..110 {
            let change = StateChange {
                stock: Some(Some(f64::from(pieces))),
                ..StateChange::default()
            };
            states.put("a", change, NOW).unwrap();
        }
        assert!(fs::read_to_string(folder.item_states()).unwrap().lines().count() < 10);
        let again = ItemStates::open(&folder).unwrap();
        assert_eq!(again.get("a").unwrap().stock, Some(109.0));
    }
}
