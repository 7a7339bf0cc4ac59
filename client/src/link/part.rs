//! A blob that grows in the folder while it is fetched.

use std::io::{Read, Write};

use anyhow::{Context, bail};
use souk_common::ids::Digester;
use souk_common::limits::CHUNK_BYTES;
use souk_common::storage::disk::{Access, DiskFile, folder_of};

use crate::folder::Folder;
use crate::participate::Blob;

/// What has come of a blob. A further try goes on from there.
pub(super) struct Part {
    blob: Blob,
    file: Box<dyn DiskFile>,
    digester: Digester,
    len_bytes: u64,
}

impl Part {
    /// What an earlier try has left, or nothing yet.
    pub(super) fn open(folder: &Folder, blob: &Blob) -> anyhow::Result<Self> {
        let path = folder.part(blob);
        folder.disk().make_folder(folder_of(&path))?;
        let mut file = folder.disk().open(&path, Access::Append)?;
        let mut digester = Digester::default();
        let len_bytes = digest_file(&mut file, &mut digester)?;
        Ok(Self {
            blob: *blob,
            file,
            digester,
            len_bytes,
        })
    }

    pub(super) fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.write_all(bytes)?;
        self.digester.update(bytes);
        self.len_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Makes it the blob if these are its bytes, else drops them.
    pub(super) fn finish(self, folder: &Folder) -> anyhow::Result<()> {
        let (disk, part, path) = (folder.disk(), folder.part(&self.blob), folder.blob(&self.blob));
        self.file.sync()?;
        drop(self.file);
        if self.digester.finish() != self.blob.digest {
            disk.remove(&part)?;
            bail!(
                "the bytes of blob {} do not have its digest",
                self.blob.digest.short()
            );
        }
        disk.rename(&part, &path)?;
        disk.sync_folder(path.parent().context("a blob has a folder")?)?;
        Ok(())
    }
}

/// Reads a file to its end into the digester; its length.
fn digest_file(file: &mut impl Read, digester: &mut Digester) -> std::io::Result<u64> {
    let (mut length, mut chunk) = (0, vec![0; CHUNK_BYTES]);
    loop {
        let got = file.read(&mut chunk)?;
        if got == 0 {
            return Ok(length);
        }
        digester.update(&chunk[..got]);
        length += got as u64;
    }
}

/// Whether a blob is in the folder, whole.
pub fn is_here(folder: &Folder, blob: &Blob) -> bool {
    let Ok(mut file) = folder.disk().open(&folder.blob(blob), Access::Read) else {
        return false;
    };
    let mut digester = Digester::default();
    digest_file(&mut file, &mut digester).is_ok() && digester.finish() == blob.digest
}
