//! A disk in memory that is as bad as a disk may be: what was not synchronised it forgets, tears and reorders when the
//! power is cut; it stops at any write; it says that it is full, or fails.
//!
//! A file's bytes are what the running program sees. Beside them stand the bytes that a power cut can't take, and the
//! writes in between. At a cut each of those writes is kept, lost or torn by itself, and so is each change of a name. Folders
//! themselves are taken to be durable.

mod handle;
#[cfg(test)]
mod imports;
#[cfg(test)]
mod stores;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::RngExt;
use souk_common::ids::{Digest, Digester};
use souk_common::rng::{Stream, stream};
use souk_common::storage::disk::{Access, Disk, DiskFile, folder_of};

use handle::{Backend, Handle};

/// One machine's disk; clones are the same disk.
#[derive(Clone, Debug)]
pub(crate) struct FakeDisk(Arc<Mutex<Platters>>);

/// How a machine stops.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stop {
    /// The process is killed: the system still writes what it was given.
    Kill,
    /// The power is cut: what was not synchronised may be gone.
    PowerCut,
}

/// Of which files this disk says "synchronised" when only what had been written at the time before is: planted, to see
/// whether anybody notices.
pub(crate) type Lie = fn(&Path) -> bool;

#[derive(Debug)]
struct Platters {
    inodes: BTreeMap<u64, Inode>,
    next: u64,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    pending_names: Vec<(PathBuf, Option<u64>)>,
    rng: Stream,
    /// Writes left until the machine stops.
    fuse: Option<u32>,
    /// Writes left until one fails, and how.
    fault: Option<(u32, io::ErrorKind)>,
    off: bool,
    /// Counts starts: what an earlier process held open is of no use to the next.
    boots: u64,
    lie: Option<Lie>,
    /// Of everything that was ever written.
    written: Digester,
}

#[derive(Debug, Default)]
struct Inode {
    now: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
    /// Of these, what was pending when a lying disk was told to synchronise.
    promised: usize,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, what) => {
                let end = at + what.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*at..end].copy_from_slice(what);
            }
            Self::Length(length) => bytes.resize(*length, 0),
        }
    }
}

impl FakeDisk {
    /// An empty one; `seed` decides what it forgets.
    pub(crate) fn new(seed: u64, name: &str) -> Self {
        Self(Arc::new(Mutex::new(Platters {
            inodes: BTreeMap::new(),
            next: 0,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending_names: Vec::new(),
            rng: stream(seed, name),
            fuse: None,
            fault: None,
            off: false,
            boots: 0,
            lie: None,
            written: Digester::default(),
        })))
    }

    /// The same, that lies.
    pub(crate) fn lying(seed: u64, name: &str, lie: Option<Lie>) -> Self {
        let disk = Self::new(seed, name);
        disk.platters().lie = lie;
        disk
    }

    /// Stops the machine after so many more writes, in the middle of the last.
    pub(crate) fn stop_after(&self, writes: u32) {
        self.platters().fuse = Some(writes);
    }

    /// Stops the machine between two writes.
    pub(crate) fn switch_off(&self) {
        self.platters().off = true;
    }

    /// Lets a write fail after so many more.
    pub(crate) fn fail_after(&self, writes: u32, how: io::ErrorKind) {
        self.platters().fault = Some((writes, how));
    }

    /// Of everything that was ever written here, in its order: what it was, where, and how often it was synchronised.
    pub(crate) fn trace(&self) -> Digest {
        self.platters().written.finish()
    }

    /// Whether the machine has stopped.
    pub(crate) fn is_off(&self) -> bool {
        self.platters().off
    }

    /// Stops the machine here, if it has not stopped yet, and makes it ready to start again: what it finds then is decided
    /// now. Whoever holds files open must have let go of them.
    pub(crate) fn restart(&self, how: Stop) {
        let mut platters = self.platters();
        (platters.off, platters.fuse, platters.fault) = (false, None, None);
        platters.boots += 1;
        if how == Stop::PowerCut {
            platters.forget();
        }
    }

    fn platters(&self) -> MutexGuard<'_, Platters> {
        // Nothing is half done when it panics in here: every method ends what it began.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Platters {
    /// Decides what a power cut leaves.
    fn forget(&mut self) {
        let Self { inodes, rng, .. } = self;
        // Some cuts take nearly everything, some nearly nothing.
        let kept = rng.random_range(0.0..1.0);
        for inode in inodes.values_mut() {
            inode.promised = 0;
            for change in std::mem::take(&mut inode.pending) {
                if !rng.random_bool(kept) {
                    continue;
                }
                match change {
                    Change::Write(at, mut what) if rng.random_bool(TORN) => {
                        what.truncate(rng.random_range(0..=what.len()));
                        Change::Write(at, what).apply(&mut inode.durable);
                    }
                    whole => whole.apply(&mut inode.durable),
                }
            }
            inode.now.clone_from(&inode.durable);
        }
        for (path, inode) in std::mem::take(&mut self.pending_names) {
            if self.rng.random_bool(kept) {
                set_name(&mut self.durable_names, path, inode);
            }
        }
        self.names.clone_from(&self.durable_names);
        let named: std::collections::BTreeSet<u64> = self.names.values().copied().collect();
        self.inodes.retain(|inode, _| named.contains(inode));
    }

    /// Every change passes here: it may be the last, or fail.
    fn write_allowed(&mut self, boots: u64) -> io::Result<Last> {
        self.reading_allowed(boots)?;
        self.written.update(&[0]);
        if let Some((left, how)) = self.fault {
            self.fault = left.checked_sub(1).map(|left| (left, how));
            if left == 0 {
                return Err(io::Error::new(how, "the simulated disk fails here"));
            }
        }
        match self.fuse {
            Some(0) => {
                self.off = true;
                Ok(Last(true))
            }
            Some(left) => {
                self.fuse = Some(left - 1);
                Ok(Last(false))
            }
            None => Ok(Last(false)),
        }
    }

    fn reading_allowed(&self, boots: u64) -> io::Result<()> {
        match self.off || self.boots != boots {
            true => Err(off()),
            false => Ok(()),
        }
    }

    fn change(&mut self, boots: u64, inode: u64, change: Change) -> io::Result<()> {
        let last = self.write_allowed(boots)?.0;
        let change = match change {
            // The machine stopped within it.
            Change::Write(at, mut what) if last => {
                what.truncate(self.rng.random_range(0..=what.len()));
                Change::Write(at, what)
            }
            change => change,
        };
        if !self.is_of_this_machine(inode) {
            match &change {
                Change::Write(at, what) => {
                    self.written.update(&at.to_le_bytes());
                    self.written.update(what);
                }
                Change::Length(length) => {
                    self.written.update(&length.to_le_bytes());
                }
            }
        }
        let file = self.inodes.entry(inode).or_default();
        change.apply(&mut file.now);
        file.pending.push(change);
        if last { Err(off()) } else { Ok(()) }
    }

    /// What an import notes of a shop's own files, such as when they were changed, is of this machine and of no seed.
    fn is_of_this_machine(&self, inode: u64) -> bool {
        let named = self.names.iter().find(|(_, named)| **named == inode);
        named.is_some_and(|(path, _)| path.components().any(|part| part.as_os_str() == "interactions"))
    }

    fn sync(&mut self, boots: u64, path: &Path, inode: u64) -> io::Result<()> {
        if self.write_allowed(boots)?.0 {
            return Err(off());
        }
        let lies = self.lie.is_some_and(|lies| lies(path));
        if let Some(file) = self.inodes.get_mut(&inode) {
            let ready = match lies {
                true => file.promised,
                false => file.pending.len(),
            };
            for change in file.pending.drain(..ready) {
                change.apply(&mut file.durable);
            }
            file.promised = file.pending.len();
        }
        Ok(())
    }

    fn name(&mut self, path: &Path, inode: Option<u64>) {
        set_name(&mut self.names, path.to_owned(), inode);
        self.pending_names.push((path.to_owned(), inode));
    }

    fn find(&self, path: &Path) -> io::Result<u64> {
        let found = self.names.get(path).copied();
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, path.display().to_string()))
    }

    fn make(&mut self, path: &Path) -> u64 {
        let inode = self.next;
        self.next += 1;
        self.inodes.insert(inode, Inode::default());
        self.name(path, Some(inode));
        inode
    }
}

/// Whether the machine stops with this write.
struct Last(bool);

fn set_name(names: &mut BTreeMap<PathBuf, u64>, path: PathBuf, inode: Option<u64>) {
    match inode {
        Some(inode) => names.insert(path, inode),
        None => names.remove(&path),
    };
}

fn off() -> io::Error {
    io::Error::other("the simulated machine is off")
}

impl Disk for FakeDisk {
    fn database(&self, builder: &redb::Builder, path: &Path) -> Result<redb::Database, redb::DatabaseError> {
        let file = self.handle(path, Access::Append)?;
        builder.create_with_backend(Backend(Mutex::new(file)))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(self.handle(path, access)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut platters = self.platters();
        let boots = platters.boots;
        let last = platters.write_allowed(boots)?.0;
        let inode = platters.find(from)?;
        platters.name(to, Some(inode));
        platters.name(from, None);
        if last { Err(off()) } else { Ok(()) }
    }

    fn rename_anew(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.is_file(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut platters = self.platters();
        let boots = platters.boots;
        let last = platters.write_allowed(boots)?.0;
        platters.find(path)?;
        platters.name(path, None);
        if last { Err(off()) } else { Ok(()) }
    }

    fn make_folder(&self, _: &Path) -> io::Result<()> {
        let platters = self.platters();
        platters.reading_allowed(platters.boots)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut platters = self.platters();
        let boots = platters.boots;
        if platters.write_allowed(boots)?.0 {
            return Err(off());
        }
        let pending = std::mem::take(&mut platters.pending_names);
        for (name, inode) in pending {
            match folder_of(&name) == path {
                true => set_name(&mut platters.durable_names, name, inode),
                false => platters.pending_names.push((name, inode)),
            }
        }
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let platters = self.platters();
        platters.reading_allowed(platters.boots)?;
        let inside = platters.names.keys().filter(|path| folder_of(path) == folder);
        Ok(inside.cloned().collect())
    }

    fn is_file(&self, path: &Path) -> bool {
        self.platters().names.contains_key(path)
    }
}

impl FakeDisk {
    fn handle(&self, path: &Path, access: Access) -> io::Result<Handle> {
        let mut platters = self.platters();
        let boots = platters.boots;
        platters.reading_allowed(boots)?;
        let found = platters.find(path);
        let inode = match (access, found) {
            (Access::Read | Access::Overwrite, found) => found?,
            (Access::Append, Ok(inode)) => inode,
            (Access::Append, Err(_)) => {
                if platters.write_allowed(boots)?.0 {
                    return Err(off());
                }
                platters.make(path)
            }
            (Access::Write, Ok(inode)) => {
                platters.change(boots, inode, Change::Length(0))?;
                inode
            }
            (Access::Write, Err(_)) => {
                if platters.write_allowed(boots)?.0 {
                    return Err(off());
                }
                platters.make(path)
            }
        };
        Ok(Handle {
            disk: self.clone(),
            path: path.to_owned(),
            inode,
            boots,
            at: 0,
            appends: access == Access::Append,
        })
    }
}

/// How many of the writes that a power cut keeps it keeps only the beginning of.
const TORN: f64 = 0.2;
