//! The dialogue of requests and replies, without IO: (who asks, what, when) to what the engine does, which reply follows and
//! which bytes. No socket, no task, no clock: `serve` carries it over QUIC, a simulator over whatever it has.
//!
//! | module | what |
//! |---|---|
//! | this one | requests that one reply ends, and what the others lead to |
//! | [`upload`] | an update: offered, received piece by piece, and taken in |
//! | `enrolment` | joiners, and the record of those that were refused |
//! | `resumable` | what is kept of an update that broke off |
//! | `discarded` | updates that came too late |
//!
//! Whoever carries it bounds what a peer may ask for (rates, places, patience), closes connections, and passes on the
//! outputs in the order in which they come.

pub(crate) mod discarded;
mod enrolment;
mod resumable;
pub mod upload;

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use souk_common::clock::Timestamp;
use souk_common::hex;
use souk_common::ids::{Digest, ShopName};
use souk_common::limits::{MAX_TEXT_BYTES, RECEIPTS_AT_ONCE};
use souk_common::transport::{CloseCode, PeerIdentity};
use souk_common::wire::messages::{CheckIn, CheckedIn, ErrorCode, Push, Reply, Request};

use crate::engine::{Engine, EngineError, Output, Staging};
use crate::masking::MaskedWord;
use crate::membership::authorities::Certification;
use crate::membership::registry::{self, Desk, RegistryError};
use crate::round::Event;
use crate::store::{Standing, StoreError};

use discarded::LateUpdates;
use resumable::Partials;
use upload::Offer;

/// Who asks, as the connection shows.
#[derive(Clone, Debug)]
pub struct Caller {
    /// By its certificate; none without one.
    pub peer: Option<PeerIdentity>,
    /// That certificate, DER; empty without one.
    pub certificate: Vec<u8>,
    /// Where it is.
    pub from: IpAddr,
}

/// What a request comes to.
#[derive(Debug)]
pub struct Handled {
    /// What its stream is for now.
    pub next: Next,
    /// What others hear, and the timer; an error ends the run. `next` holds in any case.
    pub outputs: Result<Vec<Output>, EngineError>,
}

/// What follows on the stream of a request.
#[derive(Debug)]
pub enum Next {
    /// This reply, which ends it.
    Reply(Reply),
    /// The same, and then the connection is closed.
    Close(Reply, CloseCode),
    /// The peer is told of rounds from now on, the outputs of this answer included.
    Subscribe {
        /// The peer's process, for the operator.
        process_id: u32,
    },
    /// What is kept under `digest`, from byte `offset` on: after [`Reply::Blob`] with its whole length, else
    /// [`no_such_blob`].
    Blob {
        /// Which.
        digest: Digest,
        /// From where on.
        offset: u64,
    },
    /// When no other upload of this shop goes on: [`Dialogue::offered`].
    Offer(Box<Offer>),
    /// The update's bytes: [`Dialogue::receive`], then [`Dialogue::received`].
    Receive(Box<Offer>),
}

/// What replies depend on besides the engine.
pub struct Dialogue {
    certification: RwLock<Certification>,
    /// How long a shop's certificate is valid.
    life: Duration,
    desk: Mutex<Desk>,
    partials: Partials,
    late: LateUpdates,
    staging: Staging,
}

impl Dialogue {
    /// Of a coordinator whose certificates for shops are valid for `life`. Updates on their way share `staging_bytes` of
    /// memory; those that find no room wait in files.
    ///
    /// # Errors
    /// Of the store.
    pub fn new(
        engine: &mut Engine,
        certification: Certification,
        life: Duration,
        staging_bytes: u64,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            certification: RwLock::new(certification),
            life,
            desk: Mutex::default(),
            partials: Partials::default(),
            late: LateUpdates::of(engine.store())?,
            staging: Staging::new(staging_bytes, engine.store().shared_private()),
        })
    }

    /// What a request comes to.
    pub fn answer(&self, engine: &mut Engine, now: Timestamp, caller: &Caller, request: Request) -> Handled {
        if let Request::Join { secret, csr } = request {
            return self.join(engine, now, (&secret, &csr), caller.from);
        }
        let Some(peer) = &caller.peer else {
            return failure(ErrorCode::NoCertificate, "join first").into();
        };
        match registry::allows(engine.store(), peer) {
            Ok(true) => {}
            Ok(false) => {
                let code = CloseCode::NotEnrolled;
                let next = Next::Close(failure(ErrorCode::NotEnrolled, code.words()), code);
                return next.into();
            }
            Err(error) => return ended_by(error),
        }
        let shop = peer.shop.clone();
        match request {
            Request::Join { .. } => Next::Reply(not_now()).into(),
            Request::CheckIn(word) => reply_or(self.check_in(engine, now, caller, peer, &word)),
            Request::Renew { csr } => self.renew(engine, now, peer, &csr),
            Request::Spent { below } => {
                let spent = engine.store().spent(&shop, below, RECEIPTS_AT_ONCE);
                reply_or(spent.map(Reply::Spent))
            }
            Request::SignedSpent { below } => {
                let spent = engine.store().signed_spent(&shop, below, RECEIPTS_AT_ONCE);
                reply_or(spent.map(Reply::SignedSpent))
            }
            Request::Members => reply_or(registry::members(engine.store()).map(Reply::Members)),
            Request::Subscribe { software, process_id } => Handled {
                next: Next::Subscribe { process_id },
                outputs: welcome(engine, now, peer, &software),
            },
            Request::Answer { id, answer } => Handled {
                next: Next::Reply(Reply::Done),
                outputs: engine.handle(now, Event::Answered { shop, id, answer }),
            },
            Request::Blob { digest, offset } => Next::Blob { digest, offset }.into(),
            Request::Upload(header) => Next::Offer(Box::new(Offer::new(peer, header, None, None))).into(),
            Request::SignedUpload {
                header,
                signature,
                binding,
            } => Next::Offer(Box::new(Offer::new(peer, header, Some(signature), binding))).into(),
            Request::Advertise(keys) => {
                let word = MaskedWord::Keys(peer.identity, Box::new(keys));
                masked(engine, now, shop, word)
            }
            Request::Share { id, shares } => masked(engine, now, shop, MaskedWord::Shares(id, shares)),
            Request::Checked { id, bad } => masked(engine, now, shop, MaskedWord::Checked(id, bad)),
            Request::Confirm(word) => masked(engine, now, shop, MaskedWord::Confirmation(word)),
            Request::Reveal { id, shares } => masked(engine, now, shop, MaskedWord::Revealed(id, shares)),
            Request::Leave => self.leave(engine, now, shop),
        }
    }

    /// Who certifies whom.
    pub fn certification(&self) -> RwLockReadGuard<'_, Certification> {
        self.certification.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on others certify.
    pub fn certify_by(&self, certification: Certification) {
        *self.certification.write().unwrap_or_else(PoisonError::into_inner) = certification;
    }

    /// Updates that came too late.
    pub(crate) fn late(&self) -> &LateUpdates {
        &self.late
    }

    /// Must hear all that shops are told: what is kept for an attempt goes when it ends.
    pub fn told(&self, push: &Push) {
        if let Push::Ended { id, .. } = push {
            self.partials.end(*id);
        }
    }

    /// Forgets what is kept for a shop whose membership has ended.
    pub fn forget(&self, shop: &ShopName) {
        self.partials.forget(shop);
    }

    /// Notes what a shop says of itself, and tells it what it must know.
    fn check_in(
        &self,
        engine: &mut Engine,
        now: Timestamp,
        caller: &Caller,
        peer: &PeerIdentity,
        word: &CheckIn,
    ) -> Result<Reply, StoreError> {
        registry::check_in(engine.store(), now, peer, &caller.certificate, word)?;
        let last = engine.store().last_spent(&peer.shop)?;
        Ok(Reply::CheckedIn(Box::new(CheckedIn {
            now,
            authorities: engine.sign(self.certification().word()),
            receipt: last.map(|spent| spent.receipt),
        })))
    }

    fn renew(&self, engine: &mut Engine, now: Timestamp, peer: &PeerIdentity, csr: &[u8]) -> Handled {
        let certification = self.certification();
        let by = (certification.certifying(), self.life);
        match registry::renew(engine.store(), now, peer, csr, by) {
            Ok(certificate) => Reply::Renewed { certificate }.into(),
            Err(RegistryError::NoMember) => failure(ErrorCode::NotEnrolled, "").into(),
            Err(RegistryError::Store(error)) => ended_by(error),
            Err(error) => failure(ErrorCode::BadRequest, &error.to_string()).into(),
        }
    }

    fn leave(&self, engine: &mut Engine, now: Timestamp, shop: ShopName) -> Handled {
        match registry::end(engine.store(), now, &shop, Standing::Left) {
            Ok(_) => {}
            Err(RegistryError::Store(error)) => return ended_by(error),
            Err(error) => return failure(ErrorCode::Internal, &error.to_string()).into(),
        }
        self.forget(&shop);
        let kept = registry::KEPT_AFTER_LEAVING.to_owned();
        Handled {
            next: Next::Reply(Reply::Left { kept }),
            outputs: engine.handle(now, Event::Revoked(shop)),
        }
    }
}

/// Notes which program a shop runs; what it hears first.
fn welcome(
    engine: &mut Engine,
    now: Timestamp,
    peer: &PeerIdentity,
    software: &str,
) -> Result<Vec<Output>, EngineError> {
    if let Some(mut member) = engine.store().shop(&peer.shop)? {
        let software = software.chars().take(MAX_TEXT_BYTES / 4).collect();
        (member.seen_at, member.software) = (Some(now), software);
        if member.identity.is_empty() {
            member.identity = hex::text(&peer.identity);
        }
        let noted = engine
            .store()
            .change_lazily(|change| change.set_shop(&peer.shop, &member));
        noted?;
    }
    let mut outputs = engine.welcome(&peer.shop);
    outputs.extend(engine.handle(now, Event::Connected(peer.shop.clone()))?);
    Ok(outputs)
}

/// Takes in a word for the open masked attempt.
fn masked(engine: &mut Engine, now: Timestamp, shop: ShopName, word: MaskedWord) -> Handled {
    let outputs = engine.masked(now, shop.clone(), word);
    let (own, outputs) = split(&shop, outputs);
    let next = match own {
        Some(Own::Reply(reply)) => Next::Reply(reply),
        _ => Next::Reply(not_now()),
    };
    Handled { next, outputs }
}

/// What the engine wants of the stream whose request caused it to act.
enum Own {
    Receive,
    Reply(Reply),
}

/// Takes out what is meant for `shop`'s own stream; the last word counts.
fn split(
    shop: &ShopName,
    outputs: Result<Vec<Output>, EngineError>,
) -> (Option<Own>, Result<Vec<Output>, EngineError>) {
    let mut own = None;
    let rest = outputs.map(|outputs| {
        let mut rest = Vec::with_capacity(outputs.len());
        for output in outputs {
            match output {
                Output::Receive { shop: of, .. } if of == *shop => own = Some(Own::Receive),
                Output::Reply { shop: of, reply } if of == *shop => own = Some(Own::Reply(reply)),
                other => rest.push(other),
            }
        }
        rest
    });
    (own, rest)
}

impl From<Next> for Handled {
    fn from(next: Next) -> Self {
        Self {
            next,
            outputs: Ok(Vec::new()),
        }
    }
}

impl From<Reply> for Handled {
    fn from(reply: Reply) -> Self {
        Next::Reply(reply).into()
    }
}

fn reply_or(reply: Result<Reply, StoreError>) -> Handled {
    reply.map_or_else(ended_by, Handled::from)
}

/// A store that failed is of no use until it is opened anew: the run ends as it does when the engine meets the failure, instead of
/// turning everybody away from then on.
fn ended_by(error: StoreError) -> Handled {
    Handled {
        next: Next::Reply(failure(ErrorCode::Internal, &error.to_string())),
        outputs: Err(error.into()),
    }
}

/// That a request failed, with as many words as a frame has room for.
pub fn failure(code: ErrorCode, detail: &str) -> Reply {
    let detail = detail.chars().take(MAX_TEXT_BYTES / 4).collect();
    Reply::Error { code, detail }
}

/// Where there is no engine to ask.
pub fn not_now() -> Reply {
    failure(ErrorCode::Internal, "the coordinator can't take it now")
}

/// Nothing is kept under that digest.
pub fn no_such_blob() -> Reply {
    failure(ErrorCode::NotFound, "no such blob")
}
