//! Shops' ledgers, from where an auditor has them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use souk_client::membership::Membership;
use souk_common::crypto::pki::key_of;
use souk_coordinator::verify::LedgerFile;

use crate::error::{Unusable, WrongUsage};

/// The ledgers at `paths`, each a shop's folder, its ledger's file, or a folder of shops' folders. A file that two of them
/// name is read once.
///
/// # Errors
/// [`WrongUsage`] when there is none at a path; when a file is damaged or can't be read.
pub(crate) fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<LedgerFile>> {
    let mut files = Vec::new();
    for path in paths {
        files.extend(files_at(path)?);
    }
    let mut seen = Vec::new();
    files.retain(|file| {
        let same = fs::canonicalize(file).unwrap_or_else(|_| file.clone());
        let is_new = !seen.contains(&same);
        seen.push(same);
        is_new
    });
    files.iter().map(|file| ledger(file)).collect()
}

fn files_at(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let none = |what: &str| WrongUsage(format!("--ledger {}: {what}", path.display()));
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    if path.join(LEDGER).is_file() {
        return Ok(vec![path.join(LEDGER)]);
    }
    let entries = fs::read_dir(path).with_context(|| none("it is neither a folder nor a file"))?;
    let mut found = Vec::new();
    for entry in entries {
        let ledger = entry?.path().join(LEDGER);
        if ledger.is_file() {
            found.push(ledger);
        }
    }
    found.sort();
    if found.is_empty() {
        let words = "there is no ledger.jsonl in it, nor in a folder in it; give a shop's folder, its ledger.jsonl, or a folder of \
                     shops' folders";
        return Err(anyhow::Error::msg(none(words)));
    }
    Ok(found)
}

/// With what `membership.json` beside it says, if there is one.
fn ledger(path: &Path) -> anyhow::Result<LedgerFile> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("can't read {}", path.display()));
    let ledger = LedgerFile {
        name: path.display().to_string(),
        bytes: read(path)?,
        ..LedgerFile::default()
    };
    let beside = path.with_file_name(MEMBERSHIP);
    if !beside.is_file() {
        return Ok(ledger);
    }
    let membership = Membership::from_bytes(&read(&beside)?)
        .with_context(|| Unusable(format!("{} can't be read", beside.display())))?;
    Ok(LedgerFile {
        signing_key: Some(membership.words_key()?),
        words_key: key_of(&membership.certificate),
        owner: Some(membership.shop),
        ..ledger
    })
}

const LEDGER: &str = "ledger.jsonl";
const MEMBERSHIP: &str = "membership.json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_a_file_and_a_folder_of_folders_are_the_same_ledgers_once_and_a_path_without_any_is_named() {
        let dir = tempfile::tempdir().unwrap();
        for shop in ["east", "west"] {
            fs::create_dir(dir.path().join(shop)).unwrap();
            fs::write(dir.path().join(shop).join(LEDGER), shop).unwrap();
        }
        fs::create_dir(dir.path().join("empty")).unwrap();
        let at = |name: &str| dir.path().join(name);
        let all = read(&[dir.path().to_owned(), at("west"), at("east").join(LEDGER)]).unwrap();
        let bytes: Vec<&[u8]> = all.iter().map(|ledger| ledger.bytes.as_slice()).collect();
        assert_eq!(bytes, [b"east", b"west"]);
        assert!(all[0].name.ends_with("east/ledger.jsonl") && all[0].owner.is_none());
        for wrong in ["empty", "nowhere"] {
            let error = read(&[at(wrong)]).unwrap_err();
            assert!(error.is::<WrongUsage>(), "{error:#}");
            assert!(error.to_string().contains(wrong), "{error:#}");
        }
        fs::write(at("west").join(MEMBERSHIP), "{").unwrap();
        let error = read(&[at("west")]).unwrap_err();
        assert!(
            error.is::<Unusable>() && error.to_string().contains(MEMBERSHIP),
            "{error:#}"
        );
    }
}
