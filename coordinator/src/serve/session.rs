//! One shop's connection: one request a stream. Whatever a peer sends, only its own session can end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, RecvStream, SendStream, VarInt};
use souk_common::hex;
use souk_common::ids::ShopName;
use souk_common::limits::{MAX_STRANGER_REQUESTS, MAX_TEXT_BYTES, RECEIPTS_AT_ONCE};
use souk_common::round::statements::{RejectCode, UploadHeader};
use souk_common::secagg::Binding;
use souk_common::transport::{
    CloseCode, FrameError, Framed, PeerIdentity, certificate_of, peer_of, read_frame,
};
use souk_common::wire::frame::to_bytes;
use souk_common::wire::messages::{CheckIn, CheckedIn, ErrorCode, Reply, Request};
use tokio::sync::OwnedSemaphorePermit;

use super::state::{Decision, ServeState};
use super::transfer::{Line, NotReceived};
use super::{PATIENCE, enrolment};
use crate::engine::Engine;
use crate::masking::MaskedWord;
use crate::membership::registry::{self, RegistryError};
use crate::round::Event;
use crate::store::{Standing, StoreError};

/// Serves a connection to its end. `stranger` is its place among peers that are not known.
pub(super) async fn run(hub: Arc<ServeState>, connection: Connection, stranger: OwnedSemaphorePermit) {
    match peer_of(&connection) {
        Some(peer) => {
            drop(stranger);
            if !hub.meters.connection(hub.now(), &peer.shop) {
                tracing::info!(shop = %peer.shop, "a shop dials too often");
                CloseCode::TooMany.close(&connection);
                return;
            }
            hub.link(peer.clone(), connection.clone());
            serve_all(&hub, &connection, Some(peer)).await;
            hub.unlink(&connection).await;
        }
        None => {
            // A joiner has one thing to say; its place is for others then.
            let all = serve_all(&hub, &connection, None);
            if tokio::time::timeout(PATIENCE, all).await.is_err() {
                CloseCode::Done.close(&connection);
            }
        }
    }
}

/// Serves streams until the connection ends, or nothing was asked for too long.
async fn serve_all(hub: &Arc<ServeState>, connection: &Connection, peer: Option<PeerIdentity>) {
    let (mut streams, mut asked) = (tokio::task::JoinSet::new(), 0);
    loop {
        let is_idle = streams.is_empty();
        tokio::select! {
            stream = connection.accept_bi() => {
                let Ok((send, receive)) = stream else { break };
                asked += 1;
                if peer.is_none() && asked > MAX_STRANGER_REQUESTS {
                    CloseCode::TooMany.close(connection);
                    break;
                }
                streams.spawn(serve(Arc::clone(hub), connection.clone(), peer.clone(), send, receive));
            }
            Some(_) = streams.join_next() => {}
            () = tokio::time::sleep(PATIENCE), if is_idle => {
                CloseCode::TooSlow.close(connection);
                break;
            }
        }
    }
    // Those that are left notice the end of the connection themselves.
    while streams.join_next().await.is_some() {}
}

async fn serve(
    hub: Arc<ServeState>,
    connection: Connection,
    peer: Option<PeerIdentity>,
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
            let _ = send.reset(VarInt::from_u32(CloseCode::TooSlow as u32));
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
pub(super) async fn say<T: Framed>(send: &mut SendStream, message: &T) -> Result<(), FrameError> {
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

fn stalled() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the peer does not read")
}

struct Session<'a> {
    hub: &'a Arc<ServeState>,
    connection: &'a Connection,
}

impl Session<'_> {
    async fn answer(
        &self,
        peer: Option<PeerIdentity>,
        request: Request,
        send: &mut SendStream,
        receive: &mut RecvStream,
    ) -> Result<(), FrameError> {
        if let Request::Join { secret, csr } = request {
            let reply = self.join(secret, csr).await;
            return say(send, &reply).await;
        }
        let Some(peer) = peer else {
            let reply = failure(ErrorCode::NoCertificate, "join first");
            return say(send, &reply).await;
        };
        tokio::time::sleep(self.hub.meters.request(self.hub.now(), &peer.shop)).await;
        let who = peer.clone();
        let allowed = move |engine: &mut Engine| registry::allows(engine.store(), &who);
        if !matches!(self.hub.keeper.ask(allowed).await, Some(Ok(true))) {
            let reply = failure(ErrorCode::NotEnrolled, CloseCode::NotEnrolled.words());
            say(send, &reply).await?;
            end(self.connection, send, CloseCode::NotEnrolled).await;
            return Ok(());
        }
        let (shop, identity) = (peer.shop.clone(), peer.identity);
        match request {
            Request::Join { .. } => Ok(()),
            Request::CheckIn(word) => say(send, &self.check_in(peer, word).await).await,
            Request::Renew { csr } => say(send, &self.renew(peer, csr).await).await,
            Request::Spent { below } => {
                let spent = move |engine: &mut Engine| engine.store().spent(&shop, below, RECEIPTS_AT_ONCE);
                let reply = match self.hub.keeper.ask(spent).await {
                    Some(Ok(spent)) => Reply::Spent(spent),
                    Some(Err(error)) => failure(ErrorCode::Internal, &error.to_string()),
                    None => not_now(),
                };
                say(send, &reply).await
            }
            Request::Subscribe { software, process_id } => {
                self.subscribe(shop, &identity, &software, process_id, send).await
            }
            Request::Answer { id, answer } => {
                self.hub.tell(Event::Answered { shop, id, answer }).await;
                say(send, &Reply::Done).await
            }
            Request::Blob { digest, offset } => self.line(&shop).blob(digest, offset, send).await,
            Request::Upload(upload) => {
                let reply = self.upload(shop, (upload, None), send, receive).await?;
                say(send, &reply).await
            }
            Request::SignedUpload {
                header,
                signature,
                binding,
            } => {
                let reply = self
                    .upload(shop.clone(), (header, binding), send, receive)
                    .await?;
                self.keep_word(shop, identity, &reply, signature).await;
                say(send, &reply).await
            }
            Request::SignedSpent { below } => {
                let spent =
                    move |engine: &mut Engine| engine.store().signed_spent(&shop, below, RECEIPTS_AT_ONCE);
                let reply = match self.hub.keeper.ask(spent).await {
                    Some(Ok(spent)) => Reply::SignedSpent(spent),
                    Some(Err(error)) => failure(ErrorCode::Internal, &error.to_string()),
                    None => not_now(),
                };
                say(send, &reply).await
            }
            Request::Advertise(keys) => {
                self.masked(shop, MaskedWord::Keys(identity, Box::new(keys)), send)
                    .await
            }
            Request::Share { id, shares } => self.masked(shop, MaskedWord::Shares(id, shares), send).await,
            Request::Checked { id, bad } => self.masked(shop, MaskedWord::Checked(id, bad), send).await,
            Request::Confirm(word) => self.masked(shop, MaskedWord::Confirmation(word), send).await,
            Request::Reveal { id, shares } => self.masked(shop, MaskedWord::Revealed(id, shares), send).await,
            Request::Members => {
                let members = self.hub.keeper.ask(|engine| registry::members(engine.store()));
                let reply = match members.await {
                    Some(Ok(members)) => Reply::Members(members),
                    Some(Err(error)) => failure(ErrorCode::Internal, &error.to_string()),
                    None => not_now(),
                };
                say(send, &reply).await
            }
            Request::Leave => say(send, &self.leave(shop).await).await,
        }
    }

    fn line<'b>(&'b self, shop: &'b ShopName) -> Line<'b> {
        Line {
            hub: self.hub,
            connection: self.connection,
            shop,
        }
    }

    async fn leave(&self, shop: ShopName) -> Reply {
        let leaver = shop.clone();
        let clock = self.hub.clock();
        let end =
            move |engine: &mut Engine| registry::end(engine.store(), clock.now(), &leaver, Standing::Left);
        match self.hub.keeper.ask(end).await {
            Some(Ok(_)) => {
                self.hub.partials.forget(&shop);
                self.hub.tell(Event::Revoked(shop)).await;
                let kept = registry::KEPT_AFTER_LEAVING.to_owned();
                Reply::Left { kept }
            }
            Some(Err(error)) => failure(ErrorCode::Internal, &error.to_string()),
            None => not_now(),
        }
    }

    /// Takes in a word for the open masked attempt.
    async fn masked(
        &self,
        shop: ShopName,
        word: MaskedWord,
        send: &mut SendStream,
    ) -> Result<(), FrameError> {
        let (of, clock) = (shop.clone(), self.hub.clock());
        let act = move |engine: &mut Engine| engine.masked(clock.now(), of, word);
        let decision = self.hub.act(Some(shop), act).await;
        say(send, &reply_of(decision)).await
    }

    /// Notes what a shop says of itself, and tells it what it must know.
    async fn check_in(&self, peer: PeerIdentity, word: CheckIn) -> Reply {
        let now = self.hub.now();
        let dialled_with = certificate_of(self.connection).unwrap_or_default();
        let authorities = self.hub.certificates.certification().word();
        let check_in = move |engine: &mut Engine| {
            registry::check_in(engine.store(), now, &peer, &dialled_with, &word)?;
            let last = engine.store().last_spent(&peer.shop)?;
            Ok::<_, StoreError>(CheckedIn {
                now,
                authorities: engine.sign(authorities),
                receipt: last.map(|spent| spent.receipt),
            })
        };
        match self.hub.keeper.ask(check_in).await {
            Some(Ok(checked_in)) => Reply::CheckedIn(Box::new(checked_in)),
            Some(Err(error)) => failure(ErrorCode::Internal, &error.to_string()),
            None => not_now(),
        }
    }

    async fn renew(&self, peer: PeerIdentity, csr: Vec<u8>) -> Reply {
        let hub = Arc::clone(self.hub);
        let renew = move |engine: &mut Engine| {
            let certification = hub.certificates.certification();
            let by = (certification.certifying(), hub.certificates.lives.shop);
            registry::renew(engine.store(), hub.now(), &peer, &csr, by)
        };
        match self.hub.keeper.ask(renew).await {
            Some(Ok(certificate)) => Reply::Renewed { certificate },
            Some(Err(RegistryError::NoMember)) => failure(ErrorCode::NotEnrolled, ""),
            Some(Err(RegistryError::Store(error))) => failure(ErrorCode::Internal, &error.to_string()),
            Some(Err(error)) => failure(ErrorCode::BadRequest, &error.to_string()),
            None => not_now(),
        }
    }

    async fn join(&self, secret: [u8; 16], csr: Vec<u8>) -> Reply {
        let (hub, from) = (Arc::clone(self.hub), self.connection.remote_address().ip());
        let enrol = move |engine: &mut Engine| enrolment::enrol(&hub, engine, &secret, &csr, from);
        match self.hub.keeper.ask(enrol).await {
            Some(Ok((shop, reply))) => {
                self.hub.tell(Event::Enrolled(shop)).await;
                reply
            }
            Some(Err(refusal)) => *refusal,
            None => not_now(),
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
        let (of, identity) = (shop.clone(), hex::text(identity));
        let clock = self.hub.clock();
        let welcome = move |engine: &mut Engine| {
            if let Some(mut member) = engine.store().shop(&of)? {
                (member.seen_at, member.software) = (Some(clock.now()), software);
                if member.identity.is_empty() {
                    member.identity = identity;
                }
                engine
                    .store()
                    .change_lazily(|change| change.set_shop(&of, &member))?;
            }
            let mut outputs = engine.welcome(&of);
            outputs.extend(engine.handle(clock.now(), Event::Connected(of))?);
            Ok(outputs)
        };
        self.hub.act(Some(shop), welcome).await;
        loop {
            tokio::select! {
                push = pushes.next() => match push {
                    Some(push) => {
                        let said = say_frame(send, &push).await;
                        if said.is_err() {
                            CloseCode::TooSlow.close(self.connection);
                        }
                        said?;
                    }
                    None => return Ok(()),
                },
                _ = self.connection.closed() => return Ok(()),
            }
        }
    }

    async fn upload(
        &self,
        shop: ShopName,
        (upload, binding): (UploadHeader, Option<Binding>),
        send: &mut SendStream,
        receive: &mut RecvStream,
    ) -> Result<Reply, FrameError> {
        let turn = self.hub.turns.turn(&shop).await;
        let (of, clock) = (shop.clone(), self.hub.clock());
        let offer = move |engine: &mut Engine| engine.offer(clock.now(), of, upload, binding);
        match self.hub.act(Some(shop.clone()), offer).await {
            Some(Decision::Receive) => {}
            decision => {
                drop(turn);
                self.note_if_late(&shop, &upload, decision.as_ref()).await;
                return Ok(reply_of(decision));
            }
        }
        let received = self.line(&shop).receive(&upload, &turn, send, receive).await;
        let decision = match received {
            Ok(staged) => {
                let (of, clock) = (shop.clone(), self.hub.clock());
                let arrived = move |engine: &mut Engine| engine.arrived(clock.now(), of, upload, staged);
                self.hub.act(Some(shop.clone()), arrived).await
            }
            Err(why) => Some(Decision::Reply(
                self.not_received(shop.clone(), upload, why).await,
            )),
        };
        drop(turn);
        self.note_if_late(&shop, &upload, decision.as_ref()).await;
        Ok(reply_of(decision))
    }

    /// Keeps a shop's own word for an update, before it hears that it was received: whoever does not hear that sends both again.
    async fn keep_word(&self, shop: ShopName, identity: [u8; 32], reply: &Reply, signature: Vec<u8>) {
        let Reply::Receipt(receipt) = reply else { return };
        let (of, upload) = (shop.clone(), receipt.body.upload);
        let keep = move |engine: &mut Engine| engine.store().keep_word(&of, &upload, signature, &identity);
        match self.hub.keeper.ask(keep).await {
            Some(Ok(true)) => {}
            Some(Ok(false)) => {
                tracing::warn!(%shop, "a shop's own word for its update is not by its key, and is not kept")
            }
            Some(Err(error)) => {
                tracing::error!(%shop, %error, "a shop's own word for its update is not kept")
            }
            None => {}
        }
    }

    async fn note_if_late(&self, shop: &ShopName, upload: &UploadHeader, decision: Option<&Decision>) {
        let code = RejectCode::NotOpen;
        if matches!(decision, Some(Decision::Reply(Reply::Rejected { code: said })) if *said == code) {
            self.hub.note_late(shop, upload.id).await;
        }
    }

    /// Keeps what came of an update, and tells the machine that no more comes.
    async fn not_received(&self, shop: ShopName, upload: UploadHeader, why: NotReceived) -> Reply {
        let (kept, reply) = match why {
            NotReceived::Refused(code) => (None, Reply::Rejected { code }),
            NotReceived::BrokeOff(staged) => {
                let words = "the update did not arrive whole; send the rest";
                (Some(staged), failure(ErrorCode::Internal, words))
            }
            NotReceived::TooSlow(staged) => {
                let words = "others wait, and this link is slow; send the rest later";
                (Some(staged), failure(ErrorCode::TooSlow, words))
            }
        };
        if let Some(staged) = kept {
            let open = self
                .hub
                .keeper
                .ask(|engine| engine.machine().open().map(|(id, _)| id));
            self.hub
                .partials
                .keep(&shop, upload, open.await.flatten(), *staged);
        }
        let id = upload.id;
        self.hub.tell(Event::UploadFailed { shop, id }).await;
        reply
    }
}

fn reply_of(decision: Option<Decision>) -> Reply {
    match decision {
        Some(Decision::Reply(reply)) => reply,
        _ => not_now(),
    }
}

fn not_now() -> Reply {
    failure(ErrorCode::Internal, "the coordinator can't take it now")
}

pub(super) fn failure(code: ErrorCode, detail: &str) -> Reply {
    let detail = detail.chars().take(MAX_TEXT_BYTES / 4).collect();
    Reply::Error { code, detail }
}
