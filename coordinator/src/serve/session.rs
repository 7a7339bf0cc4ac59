//! One shop's connection: carries the dialogue ([`crate::session`]), one request a stream. Whatever a peer sends, only its own session can end.

use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, RecvStream, SendStream, VarInt};
use souk_common::clock::Timestamp;
use souk_common::ids::ShopName;
use souk_common::limits::MAX_STRANGER_REQUESTS;
use souk_common::transport::{
    Carrier, CloseCode, FrameError, PeerIdentity, certificate_of, peer_of, read_frame,
};
use souk_common::wire::messages::{ErrorCode, Reply, Request};
use tokio::sync::OwnedSemaphorePermit;

use super::PATIENCE;
use super::quota::push_queue::Pushes;
use super::state::ServeState;
use super::transfer::{Line, say, say_frame};
use crate::engine::Engine;
use crate::session::upload::Offer;
use crate::session::{self, Caller, Dialogue, Handled, Next};

/// Serves a connection to its end. `stranger` is its place among peers that are not known.
pub(super) async fn run(
    hub: Arc<ServeState>,
    connection: Connection,
    carrier: Carrier,
    stranger: OwnedSemaphorePermit,
) {
    match peer_of(&connection) {
        Some(peer) => {
            drop(stranger);
            if !hub.meters.connection(hub.now(), &peer.shop) {
                tracing::info!(shop = %peer.shop, "a shop dials too often");
                CloseCode::TooMany.close(&connection);
                return;
            }
            hub.link(peer.clone(), connection.clone(), carrier);
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
            let _ = say(&mut send, &session::failure(code, &error.to_string())).await;
            end(&connection, &mut send, CloseCode::BadFrame).await;
            return;
        }
    };
    let session = Session {
        hub: &hub,
        connection: &connection,
    };
    let caller = Caller {
        peer,
        certificate: certificate_of(&connection).unwrap_or_default(),
        from: connection.remote_address().ip(),
    };
    match session.answer(caller, request, &mut send, &mut receive).await {
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

struct Session<'a> {
    hub: &'a Arc<ServeState>,
    connection: &'a Connection,
}

impl Session<'_> {
    /// Carries a request through its dialogue.
    async fn answer(
        &self,
        caller: Caller,
        request: Request,
        send: &mut SendStream,
        receive: &mut RecvStream,
    ) -> Result<(), FrameError> {
        let is_join = matches!(request, Request::Join { .. });
        let Some(shop) = caller.peer.as_ref().map(|peer| peer.shop.clone()) else {
            let next =
                self.converse(move |dialogue, engine, now| dialogue.answer(engine, now, &caller, request));
            let next = next.await;
            self.hub.refused.notify_one();
            return self.follow(next, send).await;
        };
        if !is_join {
            tokio::time::sleep(self.hub.meters.request(self.hub.now(), &shop)).await;
        }
        let answer = move |dialogue: &Dialogue, engine: &mut Engine, now| {
            dialogue.answer(engine, now, &caller, request)
        };
        match self.converse(answer).await {
            (Next::Blob { digest, offset }, _) => self.line(&shop).blob(digest, offset, send).await,
            (Next::Offer(offer), _) => {
                let reply = self.upload(&shop, *offer, send, receive).await?;
                say(send, &reply).await
            }
            next => {
                if is_join {
                    self.hub.refused.notify_one();
                }
                self.follow(next, send).await
            }
        }
    }

    /// Says what ends a request, or goes on telling until the connection ends.
    async fn follow(
        &self,
        (next, pushes): (Next, Option<Pushes>),
        send: &mut SendStream,
    ) -> Result<(), FrameError> {
        match (next, pushes) {
            (Next::Reply(reply), _) => say(send, &reply).await,
            (Next::Close(reply, code), _) => {
                say(send, &reply).await?;
                end(self.connection, send, code).await;
                Ok(())
            }
            (_, Some(pushes)) => self.tell(pushes, send).await,
            // Only a shop's request leads there, and a shop's are carried on above.
            (_, None) => say(send, &session::not_now()).await,
        }
    }

    async fn tell(&self, mut pushes: Pushes, send: &mut SendStream) -> Result<(), FrameError> {
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
        shop: &ShopName,
        offer: Offer,
        send: &mut SendStream,
        receive: &mut RecvStream,
    ) -> Result<Reply, FrameError> {
        let turn = self.hub.turns.turn(shop).await;
        let offered = self
            .converse(move |dialogue, engine, now| dialogue.offered(engine, now, offer))
            .await;
        let offer = match offered.0 {
            Next::Receive(offer) => offer,
            next => return Ok(reply_of(next)),
        };
        let received = self.line(shop).receive(&offer, &turn, send, receive).await;
        let (next, _) = self
            .converse(move |dialogue, engine, now| dialogue.received(engine, now, &offer, received))
            .await;
        Ok(reply_of(next))
    }

    fn line<'b>(&'b self, shop: &'b ShopName) -> Line<'b> {
        Line {
            hub: self.hub,
            connection: self.connection,
            shop,
        }
    }

    /// Lets the dialogue use the engine, and passes on what comes of it where the engine is.
    async fn converse(
        &self,
        act: impl FnOnce(&Dialogue, &mut Engine, Timestamp) -> Handled + Send + 'static,
    ) -> (Next, Option<Pushes>) {
        let (hub, connection) = (Arc::clone(self.hub), self.connection.clone());
        let answered = self.hub.keeper.ask(move |engine: &mut Engine| {
            let Handled { next, outputs } = act(&hub.dialogue, engine, hub.now());
            // A shop that subscribes hears what its request leads to.
            let pushes = match &next {
                Next::Subscribe { process_id } => Some(hub.subscribe(&connection, *process_id)),
                _ => None,
            };
            hub.pass_on_or_end(outputs);
            (next, pushes)
        });
        answered.await.unwrap_or((Next::Reply(session::not_now()), None))
    }
}

fn reply_of(next: Next) -> Reply {
    match next {
        Next::Reply(reply) => reply,
        _ => session::not_now(),
    }
}
