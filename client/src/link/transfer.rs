//! Blobs that are fetched and updates that are sent: each resumes where it broke off.
//!
//! Files are read and written in small pieces between the awaits.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use quinn::{RecvStream, SendStream};
use souk_common::crypto::sign::{Signed, verify};
use souk_common::ids::{Digest, Digester};
use souk_common::limits::{CHUNK_BYTES, MAX_BLOB_BYTES};
use souk_common::round::statements::{Receipt, RejectCode, Sent, UploadHeader};
use souk_common::storage::disk::Access;
use souk_common::storage::private::make_folder;
use souk_common::transport::read_frame;
use souk_common::wire::messages::{Reply, Request};

use super::{FAREWELL, Link, unexpected};
use crate::folder::{Folder, sync_folder};
use crate::link::timeouts::{Step, within};
use crate::participate::Blob;
use souk_common::secagg::Binding;

/// How an upload ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Uploaded {
    /// Stored; the coordinator's signature was checked.
    Stored(Signed<Receipt>),
    /// Refused.
    Refused(RejectCode),
}

impl Link {
    /// Fetches a blob into the folder, from where an earlier try broke off.
    ///
    /// # Errors
    /// When the connection breaks (what came is kept), or the bytes are not the blob's (they are dropped).
    pub async fn fetch(&self, folder: &Folder, blob: &Blob) -> anyhow::Result<()> {
        let (path, part) = (folder.blob(blob), folder.part(blob));
        let parent = path.parent().context("a blob has a folder")?;
        make_folder(parent)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&part)?;
        let mut digester = Digester::default();
        let offset = digest_file(&mut file, &mut digester)?;
        let request = Request::Blob {
            digest: blob.digest,
            offset,
        };
        let (reply, _send, mut recv) = self.request(Step::Turn, &request).await?;
        let Reply::Blob { len_bytes } = reply else {
            return Err(unexpected(reply));
        };
        ensure!(
            len_bytes <= MAX_BLOB_BYTES,
            "a blob of {len_bytes} bytes; the most is {MAX_BLOB_BYTES}"
        );
        let mut left = len_bytes.saturating_sub(offset);
        let mut chunk = vec![0; CHUNK_BYTES];
        while left > 0 {
            let most = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let (got, ended) = fill_in_time(&mut recv, &mut chunk[..most]).await;
            digester.update(&chunk[..got]);
            file.write_all(&chunk[..got])?;
            left -= got as u64;
            ended?;
            ensure!(got == most, "the blob was cut off");
        }
        file.sync_all()?;
        drop(file);
        if digester.finish() != blob.digest {
            fs::remove_file(&part)?;
            bail!("the bytes of blob {} do not have its digest", blob.digest.short());
        }
        fs::rename(&part, &path)?;
        sync_folder(parent)?;
        Ok(())
    }

    /// Sends the bytes of an update by `plan` from where the coordinator has them, under this shop's own signature. `note` is called, and must succeed, before any leave.
    ///
    /// # Errors
    /// When the connection breaks, or the receipt is not the coordinator's word for this update.
    pub async fn upload(
        &self,
        plan: Digest,
        (header, binding): (&UploadHeader, Option<Binding>),
        path: &Path,
        note: impl FnOnce(u64) -> anyhow::Result<()>,
    ) -> anyhow::Result<Uploaded> {
        let request = Request::SignedUpload {
            header: *header,
            signature: self.signing.sign(Sent::of(&self.shop, plan, header)).signature,
            binding,
        };
        let (reply, mut send, mut recv) = self.request_open(Step::Turn, &request).await?;
        let offset = match reply {
            Reply::UploadFrom { offset } if offset <= header.len_bytes => offset,
            other => return self.upload_end(header, other),
        };
        note(header.len_bytes - offset)?;
        let mut file = File::open(path)?;
        ensure!(
            file.metadata()?.len() == header.len_bytes,
            "the outbox's bytes were changed"
        );
        file.seek(SeekFrom::Start(offset))?;
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let got = file.read(&mut chunk)?;
            if got == 0 {
                break;
            }
            if let Err(error) = send_in_time(&mut send, &chunk[..got]).await {
                // It takes no more; it may have said why.
                let said = tokio::time::timeout(FAREWELL, read_frame::<Reply>(&mut recv)).await;
                return match said {
                    Ok(Ok(Some(reply))) => self.upload_end(header, reply),
                    _ => Err(error),
                };
            }
        }
        send.finish()?;
        let end = within(Step::Receipt, read_frame(&mut recv))
            .await??
            .context("the coordinator did not say whether it has the update")?;
        self.upload_end(header, end)
    }

    fn upload_end(&self, header: &UploadHeader, end: Reply) -> anyhow::Result<Uploaded> {
        match end {
            Reply::Receipt(receipt) => {
                let body = verify(&receipt, &self.words_key)?;
                ensure!(body.upload == *header, "the receipt is for another update");
                Ok(Uploaded::Stored(receipt))
            }
            Reply::Rejected { code } => Ok(Uploaded::Refused(code)),
            other => Err(unexpected(other)),
        }
    }
}

/// Fills `piece` from a coordinator that goes on sending; how much, and why that is not all.
async fn fill_in_time(recv: &mut RecvStream, piece: &mut [u8]) -> (usize, anyhow::Result<()>) {
    let mut filled = 0;
    while filled < piece.len() {
        match within(Step::Download, recv.read(&mut piece[filled..])).await {
            Ok(Ok(Some(read))) => filled += read,
            Ok(Ok(None)) => break,
            Ok(Err(error)) => return (filled, Err(error.into())),
            Err(late) => return (filled, Err(late.into())),
        }
    }
    (filled, Ok(()))
}

/// Sends all of `bytes` to a coordinator that goes on taking them, however slowly.
async fn send_in_time(send: &mut SendStream, mut bytes: &[u8]) -> anyhow::Result<()> {
    while !bytes.is_empty() {
        let taken = within(Step::Upload, send.write(bytes)).await??;
        bytes = &bytes[taken..];
    }
    Ok(())
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
