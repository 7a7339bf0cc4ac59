//! The journal: `events/2026-11-28.jsonl` in the shop's folder, one file a day (UTC). What [`Journal::append`] has acknowledged is on
//! the disk; many that ask at once share one synchronisation.
//!
//! A day that is over is a source of the store of interactions; today's file is not read by it, for it would have to be read again
//! with every event.

use std::collections::{HashSet, VecDeque};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use souk_common::clock::Timestamp;
use souk_common::storage::disk::{Access, DiskFile};
use tokio::sync::oneshot;

use super::Event;
use super::days::{days, file_name, forget_in_days};
use crate::folder::Folder;
use crate::forgotten::ForgottenCustomers;

/// Writes the journal, on a thread of its own, which ends with this.
pub struct Journal {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    forgotten: Arc<ForgottenCustomers>,
}

enum Job {
    Append(Batch),
    /// A customer, and whom to tell how many days and events there were.
    Forget(String, Sender<io::Result<(u64, u64)>>),
}

struct Batch {
    events: Vec<Event>,
    now: Timestamp,
    written: oneshot::Sender<io::Result<Appended>>,
}

/// What became of events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Appended {
    /// Those that are on the disk now.
    pub written: Vec<Event>,
    /// Which were not taken in, by their places, for their customers were forgotten: since when.
    pub forgotten: Vec<(usize, Timestamp)>,
}

impl Journal {
    /// Of the shop in `folder`; and the events of the days that the store may not have yet, earliest first.
    ///
    /// # Errors
    /// Of the disk.
    pub fn open(folder: &Folder, now: Timestamp) -> io::Result<(Self, Vec<Event>)> {
        folder.disk().make_folder(&folder.events())?;
        let forgotten = Arc::new(ForgottenCustomers::open(folder).map_err(io::Error::other)?);
        let mut recent = recent(folder, now)?;
        // Of those whom forgetting was interrupted.
        recent.retain(|event| forgotten.since(&event.user).is_none());
        let mut known = KnownIds::default();
        let ids = recent.iter().filter_map(|event| event.id.clone());
        ids.for_each(|id| known.add(id));
        let (jobs, waiting) = channel();
        let writer = Writer {
            folder: folder.clone(),
            day: String::new(),
            file: None,
            acknowledged: None,
            known,
            forgotten: Arc::clone(&forgotten),
        };
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(&waiting))?;
        let journal = Self {
            jobs: Some(jobs),
            thread: Some(thread),
            forgotten,
        };
        Ok((journal, recent))
    }

    /// Whose events are not taken in.
    pub fn forgotten(&self) -> &Arc<ForgottenCustomers> {
        &self.forgotten
    }

    /// Takes a customer, named as compared, out of every day: how many days and events there were. Whoever is on the list of forgotten
    /// customers by now has no events written afterwards.
    ///
    /// # Errors
    /// Of the disk: some days may be without them then.
    pub fn forget(&self, customer: &str) -> io::Result<(u64, u64)> {
        let (told, answer) = channel();
        self.send(Job::Forget(customer.to_owned(), told))?;
        answer.recv().map_err(|_| stopped())?
    }

    fn send(&self, job: Job) -> io::Result<()> {
        let jobs = self.jobs.as_ref().ok_or_else(stopped)?;
        jobs.send(job).map_err(|_| stopped())
    }

    /// Writes events; those that were written before, by their ids, are not written again, and not given back.
    ///
    /// # Errors
    /// Of the disk: then none of them was kept.
    pub async fn append(&self, events: Vec<Event>, now: Timestamp) -> io::Result<Appended> {
        let (written, answer) = oneshot::channel();
        self.send(Job::Append(Batch { events, now, written }))?;
        answer.await.map_err(|_| stopped())?
    }
}

fn stopped() -> io::Error {
    io::Error::other("the journal has stopped")
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // What it had to say it has told those who asked.
            let _ = thread.join();
        }
    }
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
            let bytes = match folder.disk().read(&path) {
                Ok(bytes) => bytes,
                // An import has deleted it, for it was too old.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
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
    forgotten: Arc<ForgottenCustomers>,
}

impl Writer {
    fn run(mut self, waiting: &Receiver<Job>) {
        while let Ok(first) = waiting.recv() {
            let (mut batches, mut events, mut forget) = (Vec::new(), 0, None);
            let mut next = Some(first);
            while let Some(job) = next.take() {
                match job {
                    Job::Append(batch) => {
                        events += batch.events.len();
                        batches.push(batch);
                        if events < MOST_AT_ONCE {
                            next = waiting.try_recv().ok();
                        }
                    }
                    Job::Forget(customer, told) => forget = Some((customer, told)),
                }
            }
            if !batches.is_empty() {
                self.take(batches);
            }
            if let Some((customer, told)) = forget {
                // Whoever is gone says it again.
                let _ = told.send(self.forget(&customer));
            }
        }
    }

    fn forget(&mut self, customer: &str) -> io::Result<(u64, u64)> {
        self.file = None;
        if self.acknowledged.is_some() {
            // Cuts off what was not, which would look like the rest once the file is another.
            drop(self.open()?);
        }
        self.acknowledged = None;
        forget_in_days(&self.folder, customer)
    }

    fn take(&mut self, batches: Vec<Batch>) {
        let (mut bytes, mut ids) = (Vec::new(), HashSet::new());
        let mut answers = Vec::with_capacity(batches.len());
        let now = batches.iter().map(|batch| batch.now).max().unwrap_or_default();
        for batch in batches {
            let (mut fresh, mut forgotten) = (Vec::with_capacity(batch.events.len()), Vec::new());
            for (place, event) in batch.events.into_iter().enumerate() {
                let is_new = |id: &String| !self.known.have(id) && ids.insert(id.clone());
                if let Some(since) = self.forgotten.since(&event.user) {
                    forgotten.push((place, since));
                } else if event.id.as_ref().is_none_or(is_new) {
                    fresh.push(event);
                }
            }
            fresh.iter().for_each(|event| bytes.extend(event.line()));
            let written = fresh;
            answers.push((batch.written, Appended { written, forgotten }));
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
        for (written_to, appended) in answers {
            let answer = match &written {
                Ok(()) => Ok(appended),
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

/// Events for one synchronisation.
const MOST_AT_ONCE: usize = 10_000;
const MOST_IDS: usize = 200_000;
/// Days whose events are held in memory beside the store, which may not have read them yet.
pub(crate) const KEPT_LIVE: Duration = Duration::from_secs(2 * 86_400);

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::days::past_days;
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
        Ok(runtime.block_on(journal.append(events, now))?.written)
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
