//! What the programs make is its owner's only: folders 0700, files 0600, whatever the umask says.

use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{fs, io};

use rustix::fs::Mode;

/// From now on nothing that this process makes can be opened by others, whoever makes it: a library, a copy, a socket. To
/// be called before anything is made.
pub fn keep_to_the_owner() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// Makes a folder and those above it, for the owner only; one that is there stays as it is.
///
/// # Errors
/// Of the file system.
pub fn make_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Takes the folder away from others if it is open to them; the line that says so, none if it was not. `deep`: also all
/// that is in it, which must then be this program's own.
///
/// # Errors
/// When it is not this user's to take away.
pub fn narrow(folder: &Path, deep: bool) -> Result<Option<String>, OpenToOthers> {
    let about = match fs::metadata(folder) {
        Ok(about) if about.is_dir() => about,
        // What is wrong with it is told by whoever uses it.
        _ => return Ok(None),
    };
    let mode = about.mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Ok(None);
    }
    let refused = |reason: String| OpenToOthers {
        path: folder.to_owned(),
        mode,
        reason,
    };
    if mode & STICKY != 0 {
        return Err(refused("it is a folder that many share".into()));
    }
    let own = fs::Permissions::from_mode(mode & 0o700);
    fs::set_permissions(folder, own).map_err(|error| refused(error.to_string()))?;
    let within = if deep { narrow_within(folder) } else { 0 };
    Ok(Some(format!(
        "{} was open to other users (mode {mode:04o}): it is its owner's only now{}",
        folder.display(),
        match within {
            0 => String::new(),
            within => format!(", and so are {within} files and folders in it"),
        }
    )))
}

/// How many were changed. One that can't be changed is behind the folder's own door in any case.
fn narrow_within(folder: &Path) -> u64 {
    let mut changed = 0;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, Ok(about)) = (entry.path(), entry.metadata()) else {
            continue;
        };
        if about.is_symlink() {
            continue;
        }
        if about.mode() & OTHERS != 0 {
            let own = fs::Permissions::from_mode(about.mode() & 0o700);
            changed += u64::from(fs::set_permissions(&path, own).is_ok());
        }
        if about.is_dir() {
            changed += narrow_within(&path);
        }
    }
    changed
}

/// A folder that others may open, and that stays so.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} can be opened by other users (mode {mode:04o}), and that can't be changed: {reason}; let its owner say `chmod 700`, \
     or name a folder of its own",
    path.display()
)]
pub struct OpenToOthers {
    path: PathBuf,
    mode: u32,
    reason: String,
}

const OTHERS: u32 = 0o077;
const STICKY: u32 = 0o1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn open_to_all(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn an_open_folder_is_closed_once_with_all_that_is_in_it_but_not_what_links_lead_to() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (folder, file) = (dir.path().join("models"), dir.path().join("models/a"));
        fs::create_dir(&folder).unwrap();
        fs::write(&file, b"x").unwrap();
        let others = elsewhere.path().join("orders.csv");
        fs::write(&others, b"x").unwrap();
        std::os::unix::fs::symlink(&others, dir.path().join("orders.csv")).unwrap();
        for (path, mode) in [(&file, 0o664), (&folder, 0o755), (&others, 0o644)] {
            open_to_all(path, mode);
        }
        open_to_all(dir.path(), 0o755);
        let line = narrow(dir.path(), true).unwrap().unwrap();
        assert!(
            line.contains("(mode 0755)") && line.contains("2 files and folders"),
            "{line}"
        );
        assert_eq!(
            (mode(dir.path()), mode(&folder), mode(&file)),
            (0o700, 0o700, 0o600)
        );
        assert_eq!(mode(&others), 0o644);
        assert_eq!(narrow(dir.path(), true).unwrap(), None);
        assert_eq!(narrow(&dir.path().join("none"), true).unwrap(), None);
    }

    #[test]
    fn only_the_folder_itself_is_closed_where_the_rest_may_be_anybodys_and_a_shared_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("diary.txt");
        fs::write(&file, b"x").unwrap();
        open_to_all(&file, 0o644);
        open_to_all(dir.path(), 0o750);
        assert!(narrow(dir.path(), false).unwrap().is_some());
        assert_eq!((mode(dir.path()), mode(&file)), (0o700, 0o644));
        open_to_all(dir.path(), 0o1777);
        let refused = narrow(dir.path(), true).unwrap_err().to_string();
        assert!(
            refused.contains("chmod 700") && refused.contains("1777"),
            "{refused}"
        );
        assert_eq!(mode(dir.path()), 0o1777);
    }
}
