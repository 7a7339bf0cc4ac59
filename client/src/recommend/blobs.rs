//! What was fetched and kept, by its digest.

use anyhow::{Context, ensure};
use souk_common::ids::Digest;
use souk_common::plan::Plan;

use crate::folder::Folder;
use crate::participate::Blob;

/// A fetched blob, checked against its name.
///
/// # Errors
/// When it is missing, or is not what its name says.
pub fn read_blob(folder: &Folder, blob: &Blob) -> anyhow::Result<Vec<u8>> {
    let path = folder.blob(blob);
    let bytes = folder
        .disk()
        .read(&path)
        .with_context(|| format!("can't read {}", path.display()))?;
    ensure!(
        Digest::of(&bytes) == blob.digest,
        "{} is damaged: remove it, and `souk-client run` fetches it again",
        path.display()
    );
    Ok(bytes)
}

/// A plan, by its digest.
///
/// # Errors
/// When it is missing or makes no sense.
pub fn open_plan(folder: &Folder, blob: &Blob) -> anyhow::Result<Plan> {
    Ok(Plan::from_bytes(&read_blob(folder, blob)?)?)
}
