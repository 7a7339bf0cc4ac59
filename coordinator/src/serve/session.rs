//! One shop's connection: one request a stream. Whatever a peer sends, only its own session can end.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use quinn::{Connection, RecvStream, SendStream, VarInt};
use souk_common::crypto::pki::key_of;
use souk_common::hex;
use souk_common::ids::{Digest, ShopName};
use souk_common::round::record::{RejectCode, UploadHeader};
use souk_common::transport::{CloseCode, FrameError, Framed, Peer, peer_of, read_frame};
use souk_common::wire::frame::to_bytes;
use souk_common::wire::limits::{CHUNK_BYTES, MAX_TEXT_BYTES};
use souk_common::wire::messages::{ErrorCode, Reply, Request};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::hub::{Decision, Hub};
use super::now;
use super::partial::Turn;
use crate::engine::Staged;
use crate::masked::MaskedWord;
use crate::registry;
use crate::round::Event;
use crate::store::{Standing, StoreError};

/// Serves a connection to its end.
pub(super) async fn run(hub: Arc<Hub>, connection: Connection) {
    let peer = peer_of(&connection);
    if let Some(peer) = peer.clone() {
        hub.link(peer, connection.clone());
    }
    // A joiner has one thing to say; its place is for others then.
    let overstayed = async {
        match &peer {
            Some(_) => std::future::pending().await,
            None => tokio::time::sleep(PATIENCE).await,
        }
    };
    tokio::pin!(overstayed);
    let mut streams = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            stream = connection.accept_bi() => {
                let Ok((send, receive)) = stream else { break };
                streams.spawn(serve(Arc::clone(&hub), connection.clone(), peer.clone(), send, receive));
            }
            Some(_) = streams.join_next() => {}
            () = &mut overstayed => {
                CloseCode::Done.close(&connection);
                break;
            }
        }
    }
    // Those that are left notice the end of the connection themselves.
    while streams.join_next().await.is_some() {}
    hub.unlink(&connection);
}

async fn serve(
    hub: Arc<Hub>,
    connection: Connection,
    peer: Option<Peer>,
    mut send: SendStream,
    mut receive: RecvStream,
) {
    let request = match tokio::time::timeout(PATIENCE, read_frame::<Request>(&mut receive)).await {
        Ok(Ok(Some(request))) => request,
        Ok(Ok(None)) | Err(_) => return,
        Ok(Err(error)) => {
            tracing::info!(%error, remote = %connection.remote_address(), "a peer does not follow the protocol");
            let code = match error {
                FrameError::Version { .. } => ErrorCode::Version,
                _ => ErrorCode::BadRequest,
            };
            let _ = say(&mut send, &failure(code, &error.to_string())).await;
            end(&connection, &mut send, CloseCode::BadFrame).await;
            return;
        }
    };
    let session = Session {
        hub: &hub,
        connection: &connection,
    };
    match session.answer(peer, request, &mut send, &mut receive).await {
        Ok(()) => {
            let _ = send.finish();
        }
        Err(error) => {
            tracing::debug!(%error, "a request broke off");
            // What the peer did not read need not be kept for it.
            let _ = send.reset(VarInt::from_u32(0));
        }
    }
}

/// Says a last word and ends the connection, as soon as the peer has read it.
async fn end(connection: &Connection, send: &mut SendStream, code: CloseCode) {
    let _ = send.finish();
    let _ = tokio::time::timeout(Duration::from_secs(1), send.stopped()).await;
    code.close(connection);
}

/// Writes a frame to a peer that reads; one that does not is given up.
async fn say<T: Framed>(send: &mut SendStream, message: &T) -> Result<(), FrameError> {
    say_frame(send, &to_bytes(message)?).await
}

/// As [`say`], of a frame that is encoded already.
async fn say_frame(send: &mut SendStream, frame: &[u8]) -> Result<(), FrameError> {
    let written = tokio::time::timeout(PATIENCE, send.write_all(frame)).await;
    match written {
        Ok(written) => Ok(written.map_err(io::Error::from)?),
        Err(_) => Err(stalled().into()),
    }
}

/// Writes what is left of `file` to a peer that reads, however slowly; one that takes nothing for `patience` is given up.
async fn send_file(
    mut file: impl Read,
    to: &mut (impl AsyncWrite + Unpin),
    patience: Duration,
) -> io::Result<()> {
    let mut piece = vec![0; CHUNK_BYTES];
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok(());
        }
        let mut left = &piece[..read];
        while !left.is_empty() {
            let written = tokio::time::timeout(patience, to.write(left)).await;
            match written.map_err(|_| stalled())?? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => left = &left[written..],
            }
        }
    }
}

fn stalled() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the peer does not read")
}

struct Session<'a> {
    hub: &'a Hub,
    connection: &'a Connection,
}

impl Session<'_> {
    async fn answer(
        &self,
        peer: Option<Peer>,
        request: Request,
        send: &mut SendStream,
        receive: &mut RecvStream,
    ) -> Result<(), FrameError> {
        if let Request::Join { secret, csr } = request {
            let reply = tokio::task::block_in_place(|| self.join(&secret, &csr));
            return say(send, &reply).await;
        }
        let Some(peer) = peer else {
            let reply = failure(ErrorCode::NoCertificate, "join first");
            return say(send, &reply).await;
        };
        let fingerprint = peer.fingerprint.to_string();
        let allowed = registry::allows(self.hub.engine().store(), &peer.shop, &fingerprint);
        if !allowed.unwrap_or(false) {
            let reply = failure(ErrorCode::NotEnrolled, CloseCode::NotEnrolled.words());
            say(send, &reply).await?;
            end(self.connection, send, CloseCode::NotEnrolled).await;
            return Ok(());
        }
        let (shop, identity) = (peer.shop, peer.identity);
        match request {
            Request::Join { .. } => Ok(()),
            Request::Subscribe { software, process_id } => {
                self.subscribe(shop, &identity, &software, process_id, send).await
            }
            Request::Answer { id, answer } => {
                self.hub.tell(Event::Answered { shop, id, answer });
                say(send, &Reply::Done).await
            }
            Request::Blob { digest, offset } => self.blob(digest, offset, send).await,
            Request::Upload(upload) => self.upload(shop, upload, send, receive).await,
            Request::Advertise(keys) => {
                self.masked(shop, MaskedWord::Keys(identity, Box::new(keys)), send)
                    .await
            }
            Request::Share { id, shares } => self.masked(shop, MaskedWord::Shares(id, shares), send).await,
            Request::Confirm(word) => self.masked(shop, MaskedWord::Confirmation(word), send).await,
            Request::Reveal { id, shares } => self.masked(shop, MaskedWord::Revealed(id, shares), send).await,
            Request::Members => {
                let reply = match registry::members(self.hub.engine().store()) {
                    Ok(members) => Reply::Members(members),
                    Err(error) => failure(ErrorCode::Internal, &error.to_string()),
                };
                say(send, &reply).await
            }
            Request::Leave => {
                let ended = registry::end(self.hub.engine().store(), &shop, Standing::Left);
                let reply = match ended {
                    Ok(()) => {
                        self.hub.partials.forget(&shop);
                        self.hub.tell(Event::Revoked(shop));
                        let kept = registry::KEPT_AFTER_LEAVING.to_owned();
                        Reply::Left { kept }
                    }
                    Err(error) => failure(ErrorCode::Internal, &error.to_string()),
                };
                say(send, &reply).await
            }
        }
    }

    /// Takes in a word for the open masked attempt.
    async fn masked(
        &self,
        shop: ShopName,
        word: MaskedWord,
        send: &mut SendStream,
    ) -> Result<(), FrameError> {
        let decision = self
            .hub
            .with_engine(Some(&shop), |engine| engine.masked(now(), shop.clone(), word));
        say(send, &reply_of(decision)).await
    }

    fn join(&self, secret: &[u8; 16], csr: &[u8]) -> Reply {
        let (now, from) = (now(), self.connection.remote_address().ip());
        let mut tries = self.hub.tries.lock().unwrap_or_else(PoisonError::into_inner);
        if !tries.may_try(now, from) {
            return failure(ErrorCode::TooManyTries, "wait a minute");
        }
        let mut engine = self.hub.engine();
        let shop = match registry::invited(engine.store(), now, secret) {
            Ok(Some(shop)) => shop,
            Ok(None) => {
                tries.failed(now, from);
                return failure(
                    ErrorCode::JoinRefused,
                    "the code is wrong, used or expired; ask for a new one",
                );
            }
            Err(error) => return failure(ErrorCode::Internal, &error.to_string()),
        };
        let certificate = match self.hub.authority.issue_shop(csr, &shop, now) {
            Ok(certificate) => certificate,
            Err(error) => return failure(ErrorCode::BadRequest, &error.to_string()),
        };
        let fingerprint = Digest::of(&certificate).to_string();
        let identity = key_of(&certificate)
            .map(|key| hex::text(&key))
            .unwrap_or_default();
        if let Err(error) = registry::enrol(engine.store(), now, &shop, fingerprint, identity, secret) {
            return failure(ErrorCode::Internal, &error.to_string());
        }
        let signing_key = engine.public_key();
        drop(engine);
        self.hub.tell(Event::Enrolled(shop.clone()));
        Reply::Joined {
            certificate,
            ca: self.hub.authority.certificate().to_vec(),
            shop,
            signing_key,
        }
    }

    async fn subscribe(
        &self,
        shop: ShopName,
        identity: &[u8; 32],
        software: &str,
        process_id: u32,
        send: &mut SendStream,
    ) -> Result<(), FrameError> {
        let mut pushes = self.hub.subscribe(self.connection, process_id);
        let software: String = software.chars().take(MAX_TEXT_BYTES / 4).collect();
        self.hub.with_engine(Some(&shop), |engine| {
            if let Some(mut member) = engine.store().shop(&shop)? {
                (member.seen_at, member.software) = (Some(now()), software);
                member.identity = hex::text(identity);
                engine
                    .store()
                    .change_lazily(|change| change.set_shop(&shop, &member))?;
            }
            let mut outputs = engine.welcome(&shop);
            outputs.extend(engine.handle(now(), Event::Connected(shop.clone()))?);
            Ok(outputs)
        });
        loop {
            tokio::select! {
                push = pushes.recv() => match push {
                    Some(push) => say_frame(send, &push).await?,
                    None => return Ok(()),
                },
                _ = self.connection.closed() => return Ok(()),
            }
        }
    }

    async fn blob(&self, digest: Digest, offset: u64, send: &mut SendStream) -> Result<(), FrameError> {
        let opened = self.hub.engine().store().files().open_file(&digest);
        let sized = opened.and_then(|mut file| {
            let len = file.seek(SeekFrom::End(0))?;
            file.seek(SeekFrom::Start(offset.min(len)))?;
            Ok((file, len))
        });
        let Ok((file, len_bytes)) = sized else {
            return say(send, &failure(ErrorCode::NotFound, "no such blob")).await;
        };
        // Each connection holds a window of what it was sent: only so many at once.
        let Ok(_permit) = self.hub.downloads.acquire().await else {
            return say(send, &failure(ErrorCode::Internal, "the coordinator stops")).await;
        };
        say(send, &Reply::Blob { len_bytes }).await?;
        send_file(file, send, PATIENCE).await?;
        // The window is given back only when the shop has it all.
        let _ = send.finish();
        let _ = tokio::time::timeout(PATIENCE, send.stopped()).await;
        Ok(())
    }

    async fn upload(
        &self,
        shop: ShopName,
        upload: UploadHeader,
        send: &mut SendStream,
        receive: &mut RecvStream,
    ) -> Result<(), FrameError> {
        let turn = self.hub.partials.turn(&shop).await;
        let offer = |engine: &mut crate::engine::Engine| engine.offer(now(), shop.clone(), upload);
        match self.hub.with_engine(Some(&shop), offer) {
            Some(Decision::Receive) => {}
            decision => {
                drop(turn);
                return say(send, &reply_of(decision)).await;
            }
        }
        let received = self.receive(&shop, &upload, &turn, send, receive).await;
        let decision = match received {
            Ok(staged) => self.hub.with_engine(Some(&shop), |engine| {
                engine.arrived(now(), shop.clone(), upload, staged)
            }),
            Err(why) => {
                let reply = match why {
                    NotReceived::Refused(code) => Reply::Rejected { code },
                    NotReceived::BrokeOff(staged) => {
                        let open = self.hub.engine().machine().open().map(|(id, _)| id);
                        self.hub.partials.keep(&shop, upload, open, *staged);
                        failure(
                            ErrorCode::Internal,
                            "the update did not arrive whole; send the rest",
                        )
                    }
                };
                let id = upload.id;
                self.hub.tell(Event::UploadFailed { shop, id });
                Some(Decision::Reply(reply))
            }
        };
        drop(turn);
        say(send, &reply_of(decision)).await
    }

    /// Takes in the bytes that are not here yet; one of a limited number of updates at a time.
    async fn receive(
        &self,
        shop: &ShopName,
        upload: &UploadHeader,
        turn: &Turn,
        send: &mut SendStream,
        receive: &mut RecvStream,
    ) -> Result<Staged, NotReceived> {
        let permit = tokio::select! {
            permit = self.hub.uploads.acquire() => permit.ok(),
            () = turn.over.cancelled() => None,
        };
        let _permit = permit.ok_or(NotReceived::Refused(RejectCode::StoreFailed))?;
        let mut staged = match self.hub.partials.take(shop, upload) {
            Some(staged) => staged,
            None => self.hub.staging.begin(upload.len_bytes).map_err(store_failed)?,
        };
        let offset = staged.len_bytes();
        if say(send, &Reply::UploadFrom { offset }).await.is_err() {
            return Err(NotReceived::BrokeOff(Box::new(staged)));
        }
        // Gathered into large pieces: a hash and a write for each datagram cost more than the copy.
        let mut piece = vec![0; CHUNK_BYTES];
        while staged.len_bytes() < upload.len_bytes {
            let left = usize::try_from(upload.len_bytes - staged.len_bytes()).unwrap_or(usize::MAX);
            let (filled, ended) = gather(receive, &mut piece[..left.min(CHUNK_BYTES)], turn).await;
            let arrived = &piece[..filled];
            if staged.is_in_memory() {
                staged.push(arrived).map_err(store_failed)?;
            } else {
                tokio::task::block_in_place(|| staged.push(arrived)).map_err(store_failed)?;
            }
            match ended {
                None => {}
                Some(Ended::TooShort) => return Err(NotReceived::Refused(RejectCode::WrongLength)),
                Some(Ended::BrokeOff) => return Err(NotReceived::BrokeOff(Box::new(staged))),
            }
        }
        if staged.digest() != upload.update {
            return Err(NotReceived::Refused(RejectCode::WrongDigest));
        }
        Ok(staged)
    }
}

/// Why there is no update.
enum NotReceived {
    /// It is of no use.
    Refused(RejectCode),
    /// The rest may come on another stream or connection.
    BrokeOff(Box<Staged>),
}

fn reply_of(decision: Option<Decision>) -> Reply {
    match decision {
        Some(Decision::Reply(reply)) => reply,
        _ => failure(ErrorCode::Internal, "the coordinator can't take it now"),
    }
}

fn store_failed(error: io::Error) -> NotReceived {
    let error = StoreError::from(error);
    tracing::error!(%error, "an update could not be stored");
    NotReceived::Refused(RejectCode::StoreFailed)
}

fn failure(code: ErrorCode, detail: &str) -> Reply {
    let detail = detail.chars().take(MAX_TEXT_BYTES / 4).collect();
    Reply::Error { code, detail }
}

/// Fills `piece` with what arrives; how much, and why it ended before that was all.
async fn gather(receive: &mut RecvStream, piece: &mut [u8], turn: &Turn) -> (usize, Option<Ended>) {
    let mut filled = 0;
    while filled < piece.len() {
        let read = tokio::select! {
            read = receive.read(&mut piece[filled..]) => read,
            () = turn.over.cancelled() => return (filled, Some(Ended::BrokeOff)),
            () = tokio::time::sleep(PATIENCE) => return (filled, Some(Ended::BrokeOff)),
        };
        match read {
            Ok(Some(read)) => filled += read,
            Ok(None) => return (filled, Some(Ended::TooShort)),
            Err(_) => return (filled, Some(Ended::BrokeOff)),
        }
    }
    (filled, None)
}

/// Why no more bytes come.
enum Ended {
    /// The shop said that these were all.
    TooShort,
    BrokeOff,
}

/// A peer that says nothing within a request for so long is given up.
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[tokio::test]
    async fn a_reader_that_stalls_is_given_up_and_a_slow_one_is_not() {
        let patience = Duration::from_secs(2);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("blob");
        std::fs::write(&path, vec![7; CHUNK_BYTES]).unwrap();
        let (mut ours, theirs) = tokio::io::duplex(1000);
        let stalled = send_file(File::open(&path).unwrap(), &mut ours, patience).await;
        assert_eq!(stalled.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(theirs);
        let (mut ours, mut theirs) = tokio::io::duplex(CHUNK_BYTES / 8);
        let slow = tokio::spawn(async move {
            let (mut read, mut piece) = (0, vec![0; CHUNK_BYTES]);
            while read < CHUNK_BYTES {
                tokio::time::sleep(patience / 5).await;
                read += tokio::io::AsyncReadExt::read(&mut theirs, &mut piece)
                    .await
                    .unwrap();
            }
        });
        // 8 pieces take longer than the patience, each of them less.
        send_file(File::open(&path).unwrap(), &mut ours, patience)
            .await
            .unwrap();
        slow.await.unwrap();
    }
}
