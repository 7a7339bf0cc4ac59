//! The shop's side of the wire: one request a stream; blobs and updates resume where they broke off.
//!
//! Files are read and written in small pieces between the awaits.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use souk_common::crypto::sign::{SignatureError, verify};
use souk_common::disk::Access;
use souk_common::ids::Digester;
use souk_common::round::record::{Answer, AttemptId, Receipt, RejectCode, UploadHeader};
use souk_common::transport::{
    CloseCode, FrameError, Platform, Trust, client_endpoint_on, connect, fill, read_frame, write_frame,
};
use souk_common::wire::limits::{CHUNK_BYTES, MAX_BLOB_BYTES};
use souk_common::wire::messages::{ErrorCode, Member, Push, Reply, Request, Signed};

use crate::folder::{Folder, sync_folder};
use crate::membership::Membership;
use crate::participate::{Blob, Event, MaskEvent};

/// A connection to the coordinator.
pub struct Link {
    connection: Connection,
    // Its driver lives as long as it is held.
    _endpoint: Endpoint,
    words_key: [u8; 32],
}

/// How an upload ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Uploaded {
    /// Stored; the coordinator's signature was checked.
    Stored(Signed<Receipt>),
    /// Refused.
    Refused(RejectCode),
}

impl Link {
    /// Dials as the member.
    ///
    /// # Errors
    /// When nobody answers, or the wrong one.
    pub async fn dial(folder: &Folder, membership: &Membership, address: &str) -> anyhow::Result<Self> {
        Self::dial_on(&Platform::system(), folder, membership, address).await
    }

    /// As [`Self::dial`], on any platform.
    ///
    /// # Errors
    /// As [`Self::dial`].
    pub async fn dial_on(
        platform: &Platform,
        folder: &Folder,
        membership: &Membership,
        address: &str,
    ) -> anyhow::Result<Self> {
        let remote = resolve(address).await?;
        let identity = membership.identity(folder)?;
        let trust = Trust::Ca(membership.ca.clone());
        let endpoint = client_endpoint_on(platform, remote, trust, Some(&identity))?;
        let connection = connect(&endpoint, remote).await?;
        Ok(Self {
            connection,
            _endpoint: endpoint,
            words_key: membership.words_key()?,
        })
    }

    /// Asks to be told of rounds.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn subscribe(&self) -> anyhow::Result<RecvStream> {
        let (mut send, recv) = self.connection.open_bi().await?;
        let software = concat!("souk-client ", env!("CARGO_PKG_VERSION")).to_owned();
        write_frame(
            &mut send,
            &Request::Subscribe {
                software,
                process_id: std::process::id(),
            },
        )
        .await?;
        send.finish()?;
        Ok(recv)
    }

    /// The next push; none when the coordinator ends the subscription.
    ///
    /// # Errors
    /// When the connection breaks, or the coordinator says something that is no push, or an error.
    pub async fn next_push(&self, recv: &mut RecvStream) -> anyhow::Result<Option<Push>> {
        match read_frame(recv).await {
            Ok(push) => Ok(push),
            Err(error) => Err(self.farewell(error).await),
        }
    }

    /// An error in the words with which the coordinator closed the connection, if it did.
    async fn farewell(&self, error: FrameError) -> anyhow::Error {
        // An answer where a push belongs is a refusal, and the reason follows.
        let _ = tokio::time::timeout(FAREWELL, self.connection.closed()).await;
        match CloseCode::of(&self.connection) {
            Some(CloseCode::NotEnrolled) => unexpected(Reply::Error {
                code: ErrorCode::NotEnrolled,
                detail: String::new(),
            }),
            Some(code) => anyhow!("the coordinator closed the connection: {}", code.words()),
            None => error.into(),
        }
    }

    /// Checks who signed a push, and says what it means.
    ///
    /// # Errors
    /// When the coordinator's key did not sign it.
    pub fn verified(&self, push: Push) -> Result<Event, SignatureError> {
        verified(push, &self.words_key)
    }

    /// Answers an announcement.
    ///
    /// # Errors
    /// When it was not taken.
    pub async fn answer(&self, id: AttemptId, answer: Answer) -> anyhow::Result<()> {
        match self.request(&Request::Answer { id, answer }).await?.0 {
            Reply::Done => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    /// Says a word of a masked attempt; the coordinator's reason if it does not take it.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn say(&self, word: &Request) -> anyhow::Result<Option<String>> {
        match self.request(word).await?.0 {
            Reply::Done => Ok(None),
            refused @ Reply::Error { .. } => Ok(Some(unexpected(refused).to_string())),
            other => Err(unexpected(other)),
        }
    }

    /// Who is a member, and by which long-term key.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn members(&self) -> anyhow::Result<Vec<Member>> {
        match self.request(&Request::Members).await?.0 {
            Reply::Members(members) => Ok(members),
            other => Err(unexpected(other)),
        }
    }

    /// Fetches a blob into the folder, from where an earlier try broke off.
    ///
    /// # Errors
    /// When the connection breaks (what came is kept), or the bytes are not the blob's (they are dropped).
    pub async fn fetch(&self, folder: &Folder, blob: &Blob) -> anyhow::Result<()> {
        let (path, part) = (folder.blob(blob), folder.part(blob));
        let parent = path.parent().context("a blob has a folder")?;
        fs::create_dir_all(parent)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&part)?;
        let mut digester = Digester::default();
        let offset = digest_file(&mut file, &mut digester)?;
        let (reply, _send, mut recv) = self
            .request(&Request::Blob {
                digest: blob.digest,
                offset,
            })
            .await?;
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
            let (got, ended) = fill(&mut recv, &mut chunk[..most]).await;
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

    /// Sends an update's bytes from where the coordinator has them. `note` is called, and must succeed, before any leave.
    ///
    /// # Errors
    /// When the connection breaks, or the receipt is not the coordinator's word for this update.
    pub async fn upload(
        &self,
        header: &UploadHeader,
        path: &Path,
        note: impl FnOnce(u64) -> anyhow::Result<()>,
    ) -> anyhow::Result<Uploaded> {
        let (reply, mut send, mut recv) = self.request_open(&Request::Upload(*header)).await?;
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
            if let Err(error) = send.write_all(&chunk[..got]).await {
                // It takes no more; it may have said why.
                let said = tokio::time::timeout(FAREWELL, read_frame::<Reply>(&mut recv)).await;
                return match said {
                    Ok(Ok(Some(reply))) => self.upload_end(header, reply),
                    _ => Err(error.into()),
                };
            }
        }
        send.finish()?;
        let end = read_frame(&mut recv)
            .await?
            .context("the coordinator did not say whether it has the update")?;
        self.upload_end(header, end)
    }

    /// Ends the membership; what the coordinator keeps, in its words.
    ///
    /// # Errors
    /// When it did not end.
    pub async fn leave(&self) -> anyhow::Result<String> {
        match self.request(&Request::Leave).await?.0 {
            Reply::Left { kept } => Ok(kept),
            other => Err(unexpected(other)),
        }
    }

    /// Whether the coordinator closed the connection because of too many, or too slow, words from here.
    pub fn is_asked_to_wait(&self) -> bool {
        let code = CloseCode::of(&self.connection);
        matches!(code, Some(CloseCode::TooMany | CloseCode::TooSlow))
    }

    /// Says goodbye.
    pub fn close(&self) {
        self.connection.close(0u32.into(), b"done");
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

    async fn request(&self, request: &Request) -> anyhow::Result<(Reply, SendStream, RecvStream)> {
        let (reply, mut send, recv) = self.request_open(request).await?;
        send.finish()?;
        Ok((reply, send, recv))
    }

    async fn request_open(&self, request: &Request) -> anyhow::Result<(Reply, SendStream, RecvStream)> {
        ask(&self.connection, request).await
    }
}

/// Asks on a new stream, which stays open.
pub(crate) async fn ask(
    connection: &Connection,
    request: &Request,
) -> anyhow::Result<(Reply, SendStream, RecvStream)> {
    let (mut send, mut recv) = connection.open_bi().await?;
    write_frame(&mut send, request).await?;
    let reply = read_frame(&mut recv)
        .await?
        .context("the coordinator did not answer")?;
    Ok((reply, send, recv))
}

/// What a push means, if the holder of `key` signed it.
pub(crate) fn verified(push: Push, key: &[u8; 32]) -> Result<Event, SignatureError> {
    Ok(match push {
        Push::Welcome { manifest } => Event::Welcomed(verify(&manifest, key)?.clone()),
        Push::Announce(announcement) => Event::Announced(verify(&announcement, key)?.clone()),
        Push::Ended { id, outcome } => Event::Ended {
            id,
            outcome: verify(&outcome, key)?.clone(),
        },
        Push::Finished => Event::Finished,
        // Not signed by the coordinator: what counts in them is signed by shops.
        Push::Roster { id, roster } => Event::Masked(MaskEvent::Rostered { id, roster }),
        Push::Sharers { id, sharers, shares } => {
            Event::Masked(MaskEvent::SharersFixed { id, sharers, shares })
        }
        Push::Survivors { id, survivors } => Event::Masked(MaskEvent::SurvivorsFixed { id, survivors }),
        Push::Confirmed { id, confirmed } => Event::Masked(MaskEvent::ConfirmationsShown { id, confirmed }),
    })
}

/// The first address of `host:port`.
pub(crate) async fn resolve(address: &str) -> anyhow::Result<SocketAddr> {
    let mut found = tokio::net::lookup_host(address)
        .await
        .with_context(|| format!("can't find {address:?}: is it host:port, and does the name resolve?"))?;
    found
        .next()
        .with_context(|| format!("{address:?} has no address"))
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

/// A reply that does not belong here, in words.
pub(crate) fn unexpected(reply: Reply) -> anyhow::Error {
    match reply {
        Reply::Error { code, detail } => {
            let detail: String = detail
                .chars()
                .filter(|letter| !letter.is_control())
                .take(200)
                .collect();
            let words = match code {
                ErrorCode::Version => "the coordinator speaks another protocol version: update souk-client",
                ErrorCode::BadRequest => "the coordinator does not understand the request",
                ErrorCode::NoCertificate => "the coordinator does not know this certificate",
                ErrorCode::JoinRefused => {
                    "the join code was refused: it is wrong, used or expired; ask the operator for a new one"
                }
                ErrorCode::TooManyTries => "too many wrong join codes from here: wait a minute",
                ErrorCode::NotEnrolled => "this shop is no member any more (it left, or was revoked)",
                ErrorCode::NotFound => "the coordinator does not have it",
                ErrorCode::Internal => "the coordinator failed: try again later",
                ErrorCode::TooMany => "the coordinator takes no more from here for now",
                ErrorCode::TooSlow => "this link is slow, and the coordinator serves others meanwhile",
            };
            if detail.is_empty() {
                anyhow!("{words}")
            } else {
                anyhow!("{words} ({detail})")
            }
        }
        _ => anyhow!("the coordinator's answer does not belong to the question"),
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

/// How long the reason for a refusal may take.
const FAREWELL: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use souk_common::clock::Timestamp;
    use souk_common::crypto::sign::SigningKey;
    use souk_common::ids::Digest;
    use souk_common::round::record::{Announcement, LogHead};

    #[test]
    fn an_announcement_that_was_tampered_with_is_no_event() {
        let key = SigningKey::from_bytes(&[5; 32]);
        let announcement = Announcement {
            id: AttemptId { round: 1, attempt: 1 },
            plan: Digest::of(b"plan"),
            catalogue: Digest::of(b"catalogue"),
            model: Digest::of(b"model"),
            deadline: Timestamp(5),
            log: LogHead {
                length: 0,
                head: Digest::ZERO,
            },
        };
        let signed = key.sign(announcement.clone());
        let good = verified(Push::Announce(signed.clone()), &key.public());
        assert_eq!(good, Ok(Event::Announced(announcement)));
        let mut other_plan = signed.clone();
        other_plan.body.plan = Digest::of(b"another plan");
        assert_eq!(
            verified(Push::Announce(other_plan), &key.public()),
            Err(SignatureError)
        );
        let stranger = SigningKey::from_bytes(&[6; 32]);
        assert_eq!(
            verified(Push::Announce(signed), &stranger.public()),
            Err(SignatureError)
        );
    }
}
