//! One shop's connection: one request a stream. Whatever a peer sends, only its own session can end.

use std::io::{Read, Seek, SeekFrom};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use quinn::{Connection, RecvStream, SendStream, VarInt};
use souk_common::ids::{Digest, ShopName};
use souk_common::round::record::{RejectCode, UploadHeader};
use souk_common::transport::{FrameError, Peer, peer_of, read_frame, write_frame};
use souk_common::wire::limits::MAX_TEXT_BYTES;
use souk_common::wire::messages::{ErrorCode, Reply, Request};

use super::hub::{Decision, Hub};
use super::now;
use crate::registry;
use crate::round::Event;
use crate::store::Standing;

/// Serves a connection to its end.
pub(super) async fn run(hub: Arc<Hub>, connection: Connection) {
    let peer = peer_of(&connection);
    if let Some(peer) = peer.clone() {
        hub.link(peer, connection.clone());
    }
    let mut streams = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            stream = connection.accept_bi() => {
                let Ok((send, receive)) = stream else { break };
                streams.spawn(serve(Arc::clone(&hub), connection.clone(), peer.clone(), send, receive));
            }
            Some(_) = streams.join_next() => {}
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
            let _ = write_frame(&mut send, &failure(code, &error.to_string())).await;
            let _ = send.finish();
            let _ = tokio::time::timeout(Duration::from_secs(1), send.stopped()).await;
            connection.close(VarInt::from_u32(2), b"no frame of this protocol");
            return;
        }
    };
    let session = Session {
        hub: &hub,
        connection: &connection,
    };
    let done = session.answer(peer, request, &mut send, &mut receive).await;
    if let Err(error) = done {
        tracing::debug!(%error, "a request broke off");
    }
    let _ = send.finish();
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
            return write_frame(send, &reply).await;
        }
        let Some(peer) = peer else {
            let reply = failure(ErrorCode::NoCertificate, "join first");
            return write_frame(send, &reply).await;
        };
        let fingerprint = peer.fingerprint.to_string();
        let allowed = registry::allows(self.hub.engine().store(), &peer.shop, &fingerprint);
        if !allowed.unwrap_or(false) {
            let reply = failure(ErrorCode::NotEnrolled, "the membership has ended");
            return write_frame(send, &reply).await;
        }
        let shop = peer.shop;
        match request {
            Request::Join { .. } => Ok(()),
            Request::Subscribe { software, process_id } => {
                self.subscribe(shop, &software, process_id, send).await
            }
            Request::Answer { id, answer } => {
                self.hub.tell(Event::Answered { shop, id, answer });
                write_frame(send, &Reply::Done).await
            }
            Request::Blob { digest, offset } => self.blob(digest, offset, send).await,
            Request::Upload(upload) => self.upload(shop, upload, send, receive).await,
            Request::Leave => {
                let ended = registry::end(self.hub.engine().store(), &shop, Standing::Left);
                let reply = match ended {
                    Ok(()) => {
                        self.hub.tell(Event::Revoked(shop));
                        let kept = registry::KEPT_AFTER_LEAVING.to_owned();
                        Reply::Left { kept }
                    }
                    Err(error) => failure(ErrorCode::Internal, &error.to_string()),
                };
                write_frame(send, &reply).await
            }
        }
    }

    fn join(&self, secret: &[u8; 16], csr: &[u8]) -> Reply {
        let (now, from) = (now(), self.connection.remote_address().ip());
        let mut tries = self.hub.tries.lock().unwrap_or_else(PoisonError::into_inner);
        if !tries.may_try(now, from) {
            return failure(ErrorCode::TooManyTries, "wait a minute");
        }
        let mut engine = self.hub.engine();
        let shop = match registry::redeem(engine.store(), now, secret) {
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
        if let Err(error) = registry::enrol(engine.store(), now, &shop, fingerprint) {
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
        software: &str,
        process_id: u32,
        send: &mut SendStream,
    ) -> Result<(), FrameError> {
        let mut pushes = self.hub.subscribe(self.connection, process_id);
        let software: String = software.chars().take(MAX_TEXT_BYTES / 4).collect();
        self.hub.with_engine(Some(&shop), |engine| {
            if let Some(mut member) = engine.store().shop(&shop)? {
                (member.seen_at, member.software) = (Some(now()), software);
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
                    Some(push) => write_frame(send, &push).await?,
                    None => return Ok(()),
                },
                _ = self.connection.closed() => return Ok(()),
            }
        }
    }

    async fn blob(&self, digest: Digest, offset: u64, send: &mut SendStream) -> Result<(), FrameError> {
        let opened = self.hub.engine().store().files().open_file(&digest);
        let sized = opened.and_then(|mut file| {
            let len = file.metadata()?.len();
            file.seek(SeekFrom::Start(offset.min(len)))?;
            Ok((file, len))
        });
        let Ok((mut file, len_bytes)) = sized else {
            return write_frame(send, &failure(ErrorCode::NotFound, "no such blob")).await;
        };
        // Each connection holds a window of what it was sent: only so many at once.
        let Ok(_permit) = self.hub.downloads.acquire().await else {
            return write_frame(send, &failure(ErrorCode::Internal, "the coordinator stops")).await;
        };
        write_frame(send, &Reply::Blob { len_bytes }).await?;
        let mut left = len_bytes.saturating_sub(offset);
        while left > 0 {
            // Handed over, not copied, and all of one size: what is freed by one shop's piece fits the next one's.
            let mut piece = vec![0; PIECE_BYTES];
            piece.truncate(usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES));
            file.read_exact(&mut piece)?;
            left -= piece.len() as u64;
            tokio::time::timeout(PATIENCE, send.write_chunk(piece.into()))
                .await
                .map_err(std::io::Error::from)?
                .map_err(std::io::Error::from)?;
        }
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
        let offer = |engine: &mut crate::engine::Engine| engine.offer(now(), shop.clone(), upload);
        match self.hub.with_engine(Some(&shop), offer) {
            Some(Decision::Receive) => {}
            decision => return write_frame(send, &reply_of(decision)).await,
        }
        let received = self.receive(&upload, send, receive).await;
        let decision = match received {
            Ok(staged) => self.hub.with_engine(Some(&shop), |engine| {
                engine.arrived(now(), shop.clone(), upload, staged)
            }),
            Err(code) => {
                let id = upload.id;
                self.hub.tell(Event::UploadFailed { shop, id });
                Some(Decision::Reply(Reply::Rejected { code }))
            }
        };
        write_frame(send, &reply_of(decision)).await
    }

    /// Takes in the bytes; one of a limited number of updates at a time.
    async fn receive(
        &self,
        upload: &UploadHeader,
        send: &mut SendStream,
        receive: &mut RecvStream,
    ) -> Result<crate::engine::Staged, RejectCode> {
        let _permit = self
            .hub
            .uploads
            .acquire()
            .await
            .map_err(|_| RejectCode::StoreFailed)?;
        let mut staged = self.hub.staging.begin(upload.len_bytes).map_err(store_failed)?;
        write_frame(send, &Reply::UploadFrom { offset: 0 })
            .await
            .map_err(|_| RejectCode::WrongLength)?;
        // Gathered into large pieces: a hash and a write for each datagram cost more than the copy.
        let mut piece = vec![0; PIECE_BYTES];
        while staged.len_bytes() < upload.len_bytes {
            let left = usize::try_from(upload.len_bytes - staged.len_bytes()).unwrap_or(usize::MAX);
            let piece = &mut piece[..left.min(PIECE_BYTES)];
            tokio::time::timeout(PATIENCE, receive.read_exact(piece))
                .await
                .map_err(|_| RejectCode::WrongLength)?
                .map_err(|_| RejectCode::WrongLength)?;
            if staged.is_in_memory() {
                staged.push(piece).map_err(store_failed)?;
            } else {
                tokio::task::block_in_place(|| staged.push(piece)).map_err(store_failed)?;
            }
        }
        if staged.digest() != upload.update {
            return Err(RejectCode::WrongDigest);
        }
        Ok(staged)
    }
}

fn reply_of(decision: Option<Decision>) -> Reply {
    match decision {
        Some(Decision::Reply(reply)) => reply,
        _ => failure(ErrorCode::Internal, "the coordinator can't take it now"),
    }
}

fn store_failed(error: std::io::Error) -> RejectCode {
    tracing::error!(%error, "an update could not be stored");
    RejectCode::StoreFailed
}

fn failure(code: ErrorCode, detail: &str) -> Reply {
    let detail = detail.chars().take(MAX_TEXT_BYTES / 4).collect();
    Reply::Error { code, detail }
}

/// A peer that says nothing within a request for so long is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// Of blobs and updates: what one of them holds in memory beside its connection's window.
const PIECE_BYTES: usize = 64 << 10;
