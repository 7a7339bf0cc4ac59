//! A report's files, its key, and what is known of the program and the machine.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use souk_common::crypto::sign::SigningKey;
use souk_common::hex;
use souk_common::ids::Digester;
use souk_common::rng::secret_bytes;
use souk_common::storage;
use souk_common::terminal::tell;
use zeroize::Zeroizing;

use super::html::Page;
use super::model::Report;
use super::{registry, sign};
use crate::error::Unusable;

/// The three files of a report.
#[derive(Clone, Debug)]
pub(crate) struct ReportFiles {
    /// The page, with the signed text inside.
    pub(crate) html: PathBuf,
    /// The signed text.
    pub(crate) json: PathBuf,
    /// For the public registry of deployments; follows from the report, and is not signed by itself.
    pub(crate) registry: PathBuf,
}

/// Writes OUT.html and OUT.json, both signed with `key`, and OUT.registry.json. Files that are there are replaced.
///
/// # Errors
/// Of the file system.
pub(crate) fn write(report: &Report, key: &SigningKey, out: &Path) -> anyhow::Result<ReportFiles> {
    let (html, json) = signed(report, key)?;
    let named = |ending: &str| {
        let mut name = out.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let files = ReportFiles {
        html: named(".html"),
        json: named(".json"),
        registry: named(".registry.json"),
    };
    let entry = serde_json::to_string_pretty(&registry::entry(report))? + "\n";
    for (path, text) in [
        (&files.html, &html),
        (&files.json, &json),
        (&files.registry, &entry),
    ] {
        storage::write_whole(path, text.as_bytes(), false).with_context(|| path.display().to_string())?;
    }
    Ok(files)
}

/// The page and the signed text.
pub(super) fn signed(report: &Report, key: &SigningKey) -> anyhow::Result<(String, String)> {
    let page = Page::of(report, &hex::text(&key.public()));
    let digest = sign::page_digest(&page.before, &page.after);
    let json = sign::text(&sign::lines(report)?, digest, key)?;
    Ok((page.with(&json), json))
}

/// The key in `path`, which is made (0600) if it is not there; its public half is said.
///
/// # Errors
/// When the file is no key, can be read by others, or can't be made.
pub(crate) fn key(path: &Path) -> anyhow::Result<SigningKey> {
    let shown = path.display();
    let made = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let key = match made {
        Ok(mut file) => {
            let bytes = Zeroizing::new(secret_bytes::<32>()?);
            file.write_all(bytes.as_ref())
                .and_then(|()| file.sync_all())
                .with_context(|| shown.to_string())?;
            tell(&format!(
                "made a key that signs reports: {shown}; keep it to yourself"
            ));
            SigningKey::from_bytes(&bytes)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => existing(path)?,
        Err(error) => return Err(error).with_context(|| shown.to_string()),
    };
    tell(&format!(
        "reports are signed by {}: give that to whoever reads them",
        hex::text(&key.public())
    ));
    Ok(key)
}

fn existing(path: &Path) -> anyhow::Result<SigningKey> {
    let shown = path.display();
    let mode = fs::metadata(path).with_context(|| shown.to_string())?.mode();
    if mode & 0o077 != 0 {
        return Err(unusable(format!(
            "{shown} can be read by other users (mode {:04o}): say `chmod 600`, or name another file",
            mode & 0o7777
        )));
    }
    let bytes = Zeroizing::new(fs::read(path).with_context(|| shown.to_string())?);
    let bytes: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| {
        unusable(format!(
            "{shown} is no key that signs reports: it has {} bytes and not 32; name another file, or one that is not there and is made",
            bytes.len()
        ))
    })?;
    Ok(SigningKey::from_bytes(bytes))
}

fn unusable(why: String) -> anyhow::Error {
    anyhow::Error::msg(Unusable(why))
}

/// BLAKE3 of this program's own file.
///
/// # Errors
/// When it can't be read.
pub(crate) fn build_digest() -> anyhow::Result<String> {
    let path = std::env::current_exe().context("can't find this program's own file")?;
    let file = File::open(&path).with_context(|| path.display().to_string())?;
    let mut digester = Hashed(Digester::default());
    io::copy(&mut io::BufReader::new(file), &mut digester).with_context(|| path.display().to_string())?;
    Ok(digester.0.finish().to_string())
}

struct Hashed(Digester);

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is known of the machine, without names.
pub(crate) fn machine() -> BTreeMap<String, String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut facts = BTreeMap::from([
        ("cores".to_owned(), cores.to_string()),
        (
            "kind".to_owned(),
            format!("{} {}", std::env::consts::ARCH, std::env::consts::OS),
        ),
        (
            "quick kernels".to_owned(),
            match souk_common::numeric::kernels::is_fast() {
                true => "AVX2 and FMA",
                false => "none: plain loops",
            }
            .to_owned(),
        ),
    ]);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|number| number.trim().parse::<u64>().ok());
    if let Some(total) = total {
        facts.insert("memory".to_owned(), format!("{} MiB", total / 1024));
    }
    facts
}
