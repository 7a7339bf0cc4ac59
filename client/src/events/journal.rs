//! The journal: `events/2026-11-28.jsonl` in the shop's folder, one file a day (UTC). What [`Journal::append`] has acknowledged is on
//! the disk; many that ask at once share one synchronisation.
//!
//! A day that is over is a source of the store of interactions; today's file is not read by it, for it would have to be read again
//! with every event.

use std::collections::{HashSet, VecDeque};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use souk_common::clock::Timestamp;
use souk_common::storage::disk::{Access, DiskFile};
use tokio::sync::oneshot;

use super::Event;
use crate::folder::Folder;

/// Writes the journal, on a thread of its own, which ends with this.
pub struct Journal {
    batches: Option<Sender<Batch>>,
    thread: Option<JoinHandle<()>>,
}

struct Batch {
    events: Vec<Event>,
    now: Timestamp,
    written: oneshot::Sender<io::Result<Vec<Event>>>,
}

impl Journal {
    /// Of the shop in `folder`; and the events of the days that the store may not have yet, earliest first.
    ///
    /// # Errors
    /// Of the disk.
    pub fn open(folder: &Folder, now: Timestamp) -> io::Result<(Self, Vec<Event>)> {
        folder.disk().make_folder(&folder.events())?;
        let recent = recent(folder, now)?;
        let mut known = KnownIds::default();
        let ids = recent.iter().filter_map(|event| event.id.clone());
        ids.for_each(|id| known.add(id));
        let (batches, waiting) = channel();
        let writer = Writer {
            folder: folder.clone(),
            day: String::new(),
            file: None,
            acknowledged: None,
            known,
        };
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(&waiting))?;
        let journal = Self {
            batches: Some(batches),
            thread: Some(thread),
        };
        Ok((journal, recent))
    }

    /// Writes events; those that were written before, by their ids, are not written again, and not given back.
    ///
    /// # Errors
    /// Of the disk: then none of them was kept.
    pub async fn append(&self, events: Vec<Event>, now: Timestamp) -> io::Result<Vec<Event>> {
        let gone = || io::Error::other("the journal has stopped");
        let (written, answer) = oneshot::channel();
        let batch = Batch { events, now, written };
        let batches = self.batches.as_ref().ok_or_else(gone)?;
        batches.send(batch).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // What it had to say it has told those who asked.
            let _ = thread.join();
        }
    }
}

/// Days that are over: files that the store of interactions reads.
///
/// # Errors
/// Of the disk.
pub(crate) fn past_days(folder: &Folder, now: Timestamp) -> io::Result<Vec<PathBuf>> {
    let today = file_name(now);
    let mut days = days(folder)?;
    days.retain(|path| {
        path.file_name()
            .is_some_and(|name| *name.to_string_lossy() < *today)
    });
    Ok(days)
}

fn days(folder: &Folder) -> io::Result<Vec<PathBuf>> {
    let mut files = match folder.disk().list(&folder.events()) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    files.retain(|path| path.extension().is_some_and(|ending| ending == ENDING));
    files.sort();
    Ok(files)
}

/// The day's file.
fn file_name(now: Timestamp) -> String {
    let date = souk_common::date::date(now);
    format!("{}.{ENDING}", date.split('T').next().unwrap_or(&date))
}

/// Events of today and the days before that are in no store yet, or only since a moment ago.
///
/// # Errors
/// Of the disk.
pub(crate) fn recent(folder: &Folder, now: Timestamp) -> io::Result<Vec<Event>> {
    let since = file_name(now - KEPT_LIVE);
    let mut events = Vec::new();
    for path in days(folder)? {
        if path
            .file_name()
            .is_some_and(|name| *name.to_string_lossy() >= *since)
        {
            let bytes = folder.disk().read(&path)?;
            events.extend(bytes.split(|byte| *byte == b'\n').filter_map(Event::of_line));
        }
    }
    Ok(events)
}

struct Writer {
    folder: Folder,
    /// The day's file.
    day: String,
    file: Option<Box<dyn DiskFile>>,
    /// How much of it is acknowledged; none before it was opened.
    acknowledged: Option<usize>,
    known: KnownIds,
}

impl Writer {
    fn run(mut self, waiting: &Receiver<Batch>) {
        while let Ok(first) = waiting.recv() {
            let mut batches = vec![first];
            let mut events = batches[0].events.len();
            while events < MOST_AT_ONCE
                && let Ok(next) = waiting.try_recv()
            {
                events += next.events.len();
                batches.push(next);
            }
            self.take(batches);
        }
    }

    fn take(&mut self, batches: Vec<Batch>) {
        let (mut bytes, mut ids) = (Vec::new(), HashSet::new());
        let mut answers = Vec::with_capacity(batches.len());
        let now = batches.iter().map(|batch| batch.now).max().unwrap_or_default();
        for batch in batches {
            let mut fresh = batch.events;
            fresh.retain(|event| match &event.id {
                Some(id) => !self.known.have(id) && ids.insert(id.clone()),
                None => true,
            });
            fresh.iter().for_each(|event| bytes.extend(event.line()));
            answers.push((batch.written, fresh));
        }
        let written = match bytes.is_empty() {
            true => Ok(()),
            false => self.write(&bytes, now),
        };
        match &written {
            Ok(()) => ids.into_iter().for_each(|id| self.known.add(id)),
            Err(error) => {
                tracing::error!(%error, "events could not be written");
                // What of them stands in the file is cut off before the next are written.
                self.file = None;
            }
        }
        for (written_to, fresh) in answers {
            let answer = match &written {
                Ok(()) => Ok(fresh),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            };
            // Whoever hung up finds out by asking again.
            let _ = written_to.send(answer);
        }
    }

    fn write(&mut self, bytes: &[u8], now: Timestamp) -> io::Result<()> {
        let day = file_name(now);
        if self.day != day {
            (self.day, self.acknowledged, self.file) = (day, None, None);
        }
        if self.file.is_none() {
            self.file = Some(self.open()?);
        }
        let file = self.file.as_mut().expect("it was opened above");
        file.write_all(bytes)?;
        file.sync()?;
        self.acknowledged = self.acknowledged.map(|length| length + bytes.len());
        Ok(())
    }

    /// Opens the day's file and cuts off what was never acknowledged: what stands behind its last whole line, if another program
    /// wrote it, or behind what this one has acknowledged.
    fn open(&mut self) -> io::Result<Box<dyn DiskFile>> {
        let (path, disk) = (self.folder.events().join(&self.day), self.folder.disk());
        let before = match disk.read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let bytes = before.as_deref().unwrap_or_default();
        let last_line = || {
            bytes
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1)
        };
        let good = self
            .acknowledged
            .filter(|length| *length <= bytes.len())
            .unwrap_or_else(last_line);
        if good < bytes.len() {
            self.folder.write_whole(&path, &bytes[..good], true)?;
        }
        let file = disk.open(&path, Access::Append)?;
        if before.is_none() {
            disk.sync_folder(&self.folder.events())?;
        }
        self.acknowledged = Some(good);
        Ok(file)
    }
}

/// Names of events, the latest ones.
#[derive(Default)]
struct KnownIds {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl KnownIds {
    fn have(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    fn add(&mut self, id: String) {
        if self.ids.insert(id.clone()) {
            self.order.push_back(id);
        }
        if self.order.len() > MOST_IDS
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }
}

const ENDING: &str = "jsonl";
/// Events for one synchronisation.
const MOST_AT_ONCE: usize = 10_000;
const MOST_IDS: usize = 200_000;
/// Days whose events are held in memory beside the store, which may not have read them yet.
pub(crate) const KEPT_LIVE: Duration = Duration::from_secs(2 * 86_400);

#[cfg(test)]
mod tests {

    use super::super::full_disk::FullDisk;
    use super::super::purchase;
    use super::*;
    use crate::data::ShopDataConfig;
    use crate::data::interaction::Kind;
    use crate::interactions::erase::erase;
    use crate::interactions::import::import;
    use crate::interactions::read::read_store;

    const NOON: Timestamp = Timestamp(1_795_867_200_000);

    fn append(journal: &Journal, events: Vec<Event>, now: Timestamp) -> io::Result<Vec<Event>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(journal.append(events, now))
    }

    fn named(id: &str, user: &str) -> Event {
        Event {
            id: Some(id.to_owned()),
            ..purchase(user, "tea", NOON)
        }
    }

    #[test]
    fn what_was_acknowledged_is_there_after_a_start_and_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let (journal, before) = Journal::open(&folder, NOON).unwrap();
        assert!(before.is_empty());
        let two = vec![named("e1", "anna"), purchase("bert", "pot", NOON)];
        assert_eq!(append(&journal, two.clone(), NOON).unwrap(), two);
        assert_eq!(append(&journal, vec![named("e1", "anna")], NOON).unwrap(), []);
        drop(journal);
        let (journal, before) = Journal::open(&folder, NOON).unwrap();
        assert_eq!(before, two);
        let again = vec![named("e1", "anna"), named("e2", "carl"), named("e2", "carl")];
        assert_eq!(append(&journal, again, NOON).unwrap(), [named("e2", "carl")]);
    }

    #[test]
    fn a_torn_line_is_cut_off_and_a_day_that_is_over_is_for_the_store() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        std::fs::create_dir(folder.events()).unwrap();
        let today = folder.events().join(file_name(NOON));
        let whole = purchase("anna", "tea", NOON).line();
        std::fs::write(&today, [&whole[..], b"{\"user_id\":\"be"].concat()).unwrap();
        let (journal, before) = Journal::open(&folder, NOON).unwrap();
        assert_eq!(before, [purchase("anna", "tea", NOON)]);
        append(&journal, vec![purchase("carl", "pot", NOON)], NOON).unwrap();
        let bytes = std::fs::read(&today).unwrap();
        assert_eq!(bytes, [whole, purchase("carl", "pot", NOON).line()].concat());
        assert_eq!(past_days(&folder, NOON).unwrap(), [] as [PathBuf; 0]);
        let tomorrow = NOON + Duration::from_secs(86_400);
        append(&journal, vec![purchase("carl", "tea", tomorrow)], tomorrow).unwrap();
        assert_eq!(past_days(&folder, tomorrow).unwrap(), [today]);
    }

    #[test]
    fn a_day_that_is_over_is_in_the_store_and_an_order_that_was_reported_and_exported_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let orders = "user_id,item_id,timestamp,order_id\nanna,tea,2026-11-28T12:00:00Z,o-1\nanna,pot,2026-11-01,o-0\n";
        std::fs::write(dir.path().join("orders.csv"), orders).unwrap();
        let (journal, _) = Journal::open(&folder, NOON).unwrap();
        let of_order = |kind| Event {
            kind,
            order: Some("o-1".to_owned()),
            ..purchase("anna", "tea", NOON)
        };
        let looked = Event {
            kind: Kind::View,
            ..purchase("bert", "tea", NOON)
        };
        let events = vec![of_order(Kind::Purchase), looked, purchase("bert", "cup", NOON)];
        append(&journal, events, NOON).unwrap();
        let config = ShopDataConfig::default();
        let histories = |now| {
            import(&folder, &config, &[], false, now).unwrap();
            let shop = read_store(&folder, &config, None).unwrap().shop;
            let items = |history: &souk_common::dataset::History| -> Vec<String> {
                let rows = history.items.iter();
                rows.map(|row| shop.catalogue.items()[*row as usize].id.clone())
                    .collect()
            };
            shop.dataset.histories.iter().map(items).collect::<Vec<_>>()
        };
        assert_eq!(histories(NOON), [["pot", "tea"]], "today's is not read");
        let tomorrow = NOON + Duration::from_secs(86_400);
        assert_eq!(histories(tomorrow), [vec!["pot", "tea"], vec!["cup"]]);
        // What was bought once, by both, and brought back once is gone.
        append(&journal, vec![of_order(Kind::Return)], tomorrow).unwrap();
        let after = tomorrow + Duration::from_secs(86_400);
        assert_eq!(histories(after), [["pot"], ["cup"]]);
        // With the end of the store, whatever names a customer is gone.
        drop(journal);
        std::fs::create_dir(folder.experiments()).unwrap();
        std::fs::write(folder.experiments().join("a.jsonl"), "{}\n").unwrap();
        erase(&folder).unwrap();
        assert!(!folder.events().exists() && !folder.experiments().exists());
    }

    #[test]
    fn a_full_disk_takes_nothing_back_that_was_acknowledged_and_keeps_nothing_that_was_not() {
        let dir = tempfile::tempdir().unwrap();
        let line = purchase("anna", "tea", NOON).line().len();
        for spare in [0, 1, line, line + line / 2] {
            let disk = FullDisk::with_room(line + spare);
            let folder = Folder::on(disk.clone(), dir.path().join(spare.to_string()));
            let (journal, _) = Journal::open(&folder, NOON).unwrap();
            let anna = purchase("anna", "tea", NOON);
            append(&journal, vec![anna.clone()], NOON).unwrap();
            let two = vec![named("e1", "bert"), named("e2", "carl")];
            let error = append(&journal, two.clone(), NOON).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{spare}");
            // Somebody made room.
            disk.make_room();
            assert_eq!(append(&journal, two.clone(), NOON).unwrap(), two, "{spare}");
            drop(journal);
            let (_, kept) = Journal::open(&folder, NOON).unwrap();
            assert_eq!(kept, [vec![anna], two].concat(), "{spare}");
        }
    }
}
