//! What the programs' stores ask of a disk, so that a simulation can put one under them that forgets, tears and fails.
//!
//! Production has [`SystemDisk`]. Whatever has to survive a crash is written through a [`Disk`]: the records (a `redb`
//! database), the files that are named by their digest, the outbox, the ledger.
//!
//! What a disk promises, and what a store may rely on: bytes of a file are durable once [`DiskFile::sync`] returned; a name
//! (made, renamed or removed) once [`Disk::sync_folder`] of its folder did; before that a crash may keep any part of them,
//! in any order.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::storage::private;

/// How a file is opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// To read what is there.
    Read,
    /// To write it anew.
    Write,
    /// To read it and to write behind its end; made if it is not there. One process at a time holds it: the others get
    /// [`io::ErrorKind::WouldBlock`].
    Append,
    /// To write over the bytes that are there, in their place; it has to be there.
    Overwrite,
}

/// An open file.
pub trait DiskFile: Debug + Read + Seek + Send + Sync + Write {
    /// Returns once its bytes would survive a power cut.
    ///
    /// # Errors
    /// When they may not.
    fn sync(&self) -> io::Result<()>;
}

impl DiskFile for File {
    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }
}

/// A disk.
pub trait Disk: Debug + Send + Sync {
    /// Opens the database at `path`, or makes it.
    ///
    /// # Errors
    /// As `builder` does.
    fn database(&self, builder: &redb::Builder, path: &Path) -> Result<redb::Database, redb::DatabaseError>;

    /// Opens a file.
    ///
    /// # Errors
    /// Of the disk.
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name, in the place of the one that has it.
    ///
    /// # Errors
    /// Of the disk.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file another name that no file has.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when one has it.
    fn rename_anew(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Of the disk.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes a folder and those above it.
    ///
    /// # Errors
    /// Of the disk.
    fn make_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// When they may not be.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// The files in a folder.
    ///
    /// # Errors
    /// Of the disk; there need not be such a folder.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;

    /// Whether there is such a file.
    fn is_file(&self, path: &Path) -> bool;

    /// A whole file.
    ///
    /// # Errors
    /// Of the disk.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(path, Access::Read)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Writes a file so that after a crash it is there whole or not at all: aside, fsync, rename, fsync the folder. What a failed
/// try leaves aside is removed; of a `secret`, written over first.
///
/// # Errors
/// Of the disk; what was there before is there then.
pub fn write_whole(disk: &dyn Disk, path: &Path, bytes: &[u8], secret: bool) -> io::Result<()> {
    let folder = folder_of(path);
    disk.make_folder(folder)?;
    let aside = path.with_extension("new");
    let written = disk.open(&aside, Access::Write).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync()
    });
    if let Err(error) = written.and_then(|()| disk.rename(&aside, path)) {
        // Half a file helps nobody; the first error is the one to tell.
        let _ = match secret {
            true => destroy(disk, &aside),
            false => disk.remove(&aside),
        };
        return Err(error);
    }
    disk.sync_folder(folder)
}

/// Removes a file after its bytes were written over with zeros, in their place. Where a file system or a drive writes
/// elsewhere instead (copy on write, wear levelling), old blocks may outlast it.
///
/// # Errors
/// Of the disk: the file, or a part of it, may still be there then.
pub fn destroy(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let mut file = disk.open(path, Access::Overwrite)?;
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    io::copy(&mut io::repeat(0).take(length), &mut file)?;
    file.sync()?;
    drop(file);
    disk.remove(path)?;
    disk.sync_folder(folder_of(path))
}

/// Opens the database at `path`. A new one is made aside and gets its name when it is whole: a crash in the middle of making
/// it would leave a file that is no database, and nobody could start again.
///
/// # Errors
/// As `builder` has them, or of the disk.
pub fn open_database(
    disk: &dyn Disk,
    builder: &redb::Builder,
    path: &Path,
) -> Result<redb::Database, redb::DatabaseError> {
    if !disk.is_file(path) {
        let mut aside = path.as_os_str().to_owned();
        aside.push(".new");
        let aside = Path::new(&aside);
        match disk.remove(aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        drop(disk.database(builder, aside)?);
        // Another process that makes it at this moment holds the same file, or has given it its name.
        match disk.open(aside, Access::Append).and_then(|file| file.sync()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(redb::DatabaseError::DatabaseAlreadyOpen);
            }
            synced => synced?,
        }
        match disk.rename_anew(aside, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(redb::DatabaseError::DatabaseAlreadyOpen);
            }
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
    }
    let opened = disk.database(builder, path)?;
    // Its name is durable before anything in it is relied upon.
    disk.sync_folder(folder_of(path))?;
    Ok(opened)
}

/// Where a file is; a bare name is in the current folder.
pub fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// The machine's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl SystemDisk {
    /// To be shared.
    pub fn shared() -> Arc<dyn Disk> {
        Arc::new(Self)
    }
}

impl Disk for SystemDisk {
    fn database(&self, builder: &redb::Builder, path: &Path) -> Result<redb::Database, redb::DatabaseError> {
        // Made here, so that it is the owner's only.
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        builder.create(path)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.mode(0o600);
        match access {
            Access::Read => options.read(true),
            Access::Write => options.write(true).create(true).truncate(true),
            Access::Append => options.read(true).append(true).create(true),
            Access::Overwrite => options.write(true),
        };
        let file = options.open(path)?;
        if access == Access::Append {
            file.try_lock()?;
        }
        Ok(Box::new(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn rename_anew(&self, from: &Path, to: &Path) -> io::Result<()> {
        match fs::hard_link(from, to) {
            Ok(()) => fs::remove_file(from),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // A file system without links: between these two nobody else makes the same file in practice.
            Err(_) if !to.exists() => fs::rename(from, to),
            Err(error) => Err(error),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        private::make_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect()
    }

    fn is_file(&self, path: &Path) -> bool {
        path.is_file()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_bare_name_is_in_the_current_folder() {
        assert_eq!(folder_of(Path::new("scores.svg")), Path::new("."));
        assert_eq!(folder_of(Path::new("a/scores.svg")), Path::new("a"));
    }

    #[test]
    fn a_secret_file_is_the_owners_only_and_is_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/key.der");
        write_whole(&SystemDisk, &path, b"first", true).unwrap();
        write_whole(&SystemDisk, &path, b"second", true).unwrap();
        assert_eq!(SystemDisk.read(&path).unwrap(), b"second");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let all = SystemDisk.list(path.parent().unwrap()).unwrap();
        assert_eq!(all, [path], "nothing is left aside");
        let below = dir.path().join("deep/key.der/below");
        assert!(write_whole(&SystemDisk, &below, b"x", false).is_err());
    }

    #[test]
    fn a_database_gets_its_name_when_it_is_whole_and_takes_nobodys() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shop.redb");
        let builder = redb::Builder::new();
        // What a crash left.
        fs::write(dir.path().join("shop.redb.new"), b"no database").unwrap();
        drop(open_database(&SystemDisk, &builder, &path).unwrap());
        drop(open_database(&SystemDisk, &builder, &path).unwrap());
        assert_eq!(SystemDisk.list(dir.path()).unwrap(), std::slice::from_ref(&path));
        let other = dir.path().join("other");
        fs::write(&other, b"x").unwrap();
        let taken = SystemDisk.rename_anew(&other, &path).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        assert!(other.exists());
    }

    #[test]
    fn of_many_who_make_a_database_at_once_each_has_it_or_is_told_that_another_has_it() {
        for _ in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("store.redb");
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        let opened = open_database(&SystemDisk, &redb::Builder::new(), &path);
                        let busy = redb::DatabaseError::DatabaseAlreadyOpen;
                        assert!(
                            opened.is_ok()
                                || opened
                                    .as_ref()
                                    .is_err_and(|error| error.to_string() == busy.to_string()),
                            "{opened:?}"
                        );
                    });
                }
            });
            open_database(&SystemDisk, &redb::Builder::new(), &path).unwrap();
        }
    }

    #[test]
    fn what_is_destroyed_is_zeros_under_every_name_it_still_has() {
        let dir = tempfile::tempdir().unwrap();
        let (path, second) = (dir.path().join("secret"), dir.path().join("second name"));
        fs::write(&path, [7; 100_000]).unwrap();
        fs::hard_link(&path, &second).unwrap();
        destroy(&SystemDisk, &path).unwrap();
        assert!(!path.exists());
        assert_eq!(fs::read(&second).unwrap(), [0; 100_000]);
        let gone = destroy(&SystemDisk, &path).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_is_appended_to_is_held_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        let mut held = SystemDisk.open(&path, Access::Append).unwrap();
        let second = SystemDisk.open(&path, Access::Append).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
        held.write_all(b"a").unwrap();
        drop(held);
        let mut again = SystemDisk.open(&path, Access::Append).unwrap();
        again.write_all(b"b").unwrap();
        assert_eq!(SystemDisk.read(&path).unwrap(), b"ab");
    }
}
