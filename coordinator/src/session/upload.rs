//! One update: offered, received piece by piece, taken in. What broke off is kept while its attempt is open.

use std::io;

use souk_common::clock::Timestamp;
use souk_common::crypto::sign::{Signed, verify};
use souk_common::round::statements::{RejectCode, Sent, UploadHeader};
use souk_common::secagg::Binding;
use souk_common::transport::PeerIdentity;
use souk_common::wire::messages::{ErrorCode, Reply};

use super::{Dialogue, Handled, Next, Own, failure, not_now, split};
use crate::engine::{Engine, EngineError, Output, Staged};
use crate::round::Event;
use crate::store::StoreError;

/// What a shop offers.
#[derive(Clone, Debug)]
pub struct Offer {
    peer: PeerIdentity,
    header: UploadHeader,
    /// The shop's own word for it.
    signature: Option<Vec<u8>>,
    binding: Option<Binding>,
}

/// An update whose bytes come.
pub struct Receiving {
    header: UploadHeader,
    staged: Staged,
}

/// Why no more bytes come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UploadEnd {
    /// The shop said that these were all.
    TooShort,
    /// The stream, or its connection; or a newer one takes its place.
    BrokeOff,
    /// It was given up, for others wait.
    TooSlow,
}

/// Why there is no update.
pub enum NotReceived {
    /// It is of no use.
    Refused(RejectCode),
    /// The rest may come on another stream or connection.
    BrokeOff(Box<Staged>),
    /// Others wait, and it is too slow; the rest may come later.
    TooSlow(Box<Staged>),
}

impl Offer {
    pub(super) fn new(
        peer: &PeerIdentity,
        header: UploadHeader,
        signature: Option<Vec<u8>>,
        binding: Option<Binding>,
    ) -> Self {
        Self {
            peer: peer.clone(),
            header,
            signature,
            binding,
        }
    }

    /// Which update.
    pub fn header(&self) -> &UploadHeader {
        &self.header
    }

    fn is_for_open(&self, engine: &Engine) -> bool {
        engine
            .machine()
            .open()
            .is_some_and(|(id, _)| id == self.header.id)
    }

    /// True without a signature, too: shops of before there was one send none.
    fn is_signed_by_its_shop(&self, engine: &Engine) -> bool {
        let Some(signature) = self.signature.clone() else {
            return true;
        };
        let body = Sent::of(&self.peer.shop, engine.manifest().body.plan, &self.header);
        verify(&Signed { body, signature }, &self.peer.identity).is_ok()
    }
}

impl Receiving {
    /// From where on the shop is to send.
    pub fn from(&self) -> Reply {
        let offset = self.staged.len_bytes();
        Reply::UploadFrom { offset }
    }

    /// Bytes that are still to come.
    pub fn left(&self) -> u64 {
        self.header.len_bytes - self.staged.len_bytes()
    }

    /// Whether the bytes go to no file.
    pub fn is_in_memory(&self) -> bool {
        self.staged.is_in_memory()
    }

    /// Takes in the next bytes, [`Self::left`] at most.
    ///
    /// # Errors
    /// Of the file system.
    pub fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.staged.push(bytes)
    }

    /// What came: the update whose digest was offered, or why there is none. `ended`: why no more comes; none when nothing
    /// is left.
    ///
    /// # Errors
    /// When it is not whole, or another one.
    pub fn end(self, ended: Option<UploadEnd>) -> Result<Staged, NotReceived> {
        match ended {
            Some(UploadEnd::TooShort) => Err(NotReceived::Refused(RejectCode::WrongLength)),
            Some(UploadEnd::BrokeOff) => Err(NotReceived::BrokeOff(Box::new(self.staged))),
            Some(UploadEnd::TooSlow) => Err(NotReceived::TooSlow(Box::new(self.staged))),
            None if self.staged.digest() != self.header.update => {
                Err(NotReceived::Refused(RejectCode::WrongDigest))
            }
            None => Ok(self.staged),
        }
    }
}

impl From<io::Error> for NotReceived {
    fn from(error: io::Error) -> Self {
        let error = StoreError::from(error);
        tracing::error!(%error, "an update could not be stored");
        Self::Refused(RejectCode::StoreFailed)
    }
}

impl Dialogue {
    /// Whether the update is wanted: [`Next::Receive`], or the reply.
    pub fn offered(&self, engine: &mut Engine, now: Timestamp, offer: Offer) -> Handled {
        if offer.is_for_open(engine) && !offer.is_signed_by_its_shop(engine) {
            // Its receipt would be signed for something that the shop never said.
            tracing::warn!(shop = %offer.peer.shop, "an update's signature is not by the shop's key, or not for this update");
            let words = "the signature is not this shop's, or not for this update";
            return Next::Reply(failure(ErrorCode::BadRequest, words)).into();
        }
        let outputs = engine.offer(now, offer.peer.shop.clone(), offer.header, offer.binding);
        match split(&offer.peer.shop, outputs) {
            (Some(Own::Receive), outputs) => Handled {
                next: Next::Receive(Box::new(offer)),
                outputs,
            },
            (own, outputs) => self.concluded(engine, &offer, own, outputs),
        }
    }

    /// Room for the update, with what came of it before.
    ///
    /// # Errors
    /// When it takes a file that can't be made.
    pub fn receive(&self, offer: &Offer) -> io::Result<Receiving> {
        let header = offer.header;
        let staged = match self.partials.take(&offer.peer.shop, &header) {
            Some(staged) => staged,
            None => self.staging.begin(header.len_bytes)?,
        };
        Ok(Receiving { header, staged })
    }

    /// Takes in what came: the reply.
    pub fn received(
        &self,
        engine: &mut Engine,
        now: Timestamp,
        offer: &Offer,
        received: Result<Staged, NotReceived>,
    ) -> Handled {
        let (shop, header) = (offer.peer.shop.clone(), offer.header);
        let why = match received {
            Ok(staged) => {
                let outputs = engine.arrived(now, shop.clone(), header, staged);
                let (own, outputs) = split(&shop, outputs);
                return self.concluded(engine, offer, own, outputs);
            }
            Err(why) => why,
        };
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
            let open = engine.machine().open().map(|(id, _)| id);
            self.partials.keep(&shop, header, open, *staged);
        }
        let failed = Event::UploadFailed { shop, id: header.id };
        let outputs = engine.handle(now, failed);
        self.concluded(engine, offer, Some(Own::Reply(reply)), outputs)
    }

    /// The reply, with what has to be kept before it is said.
    fn concluded(
        &self,
        engine: &mut Engine,
        offer: &Offer,
        own: Option<Own>,
        mut outputs: Result<Vec<Output>, EngineError>,
    ) -> Handled {
        let reply = match own {
            Some(Own::Reply(reply)) => reply,
            _ => not_now(),
        };
        match &reply {
            Reply::Receipt(receipt) => keep_word(engine, offer, &receipt.body.upload),
            Reply::Rejected {
                code: RejectCode::NotOpen,
            } => {
                if let Ok(outputs) = &mut outputs {
                    outputs.extend(self.note_late(engine, offer));
                }
            }
            _ => {}
        }
        let next = Next::Reply(reply);
        Handled { next, outputs }
    }

    /// Notes, and says, that an update was discarded; once for each attempt.
    fn note_late(&self, engine: &mut Engine, offer: &Offer) -> Option<Output> {
        let (shop, id) = (&offer.peer.shop, offer.header.id);
        let keep = self.late.note(shop, id)?;
        if let Err(error) = engine.store().change_lazily(keep) {
            tracing::warn!(%error, "a discarded update was not noted");
        }
        Some(Output::Report(format!(
            "{shop}: its update for {id} came when that was not open, and is discarded; the shop's spend stays"
        )))
    }
}

/// Keeps a shop's own word for an update, before it hears that it was received: whoever does not hear that sends both again.
fn keep_word(engine: &mut Engine, offer: &Offer, upload: &UploadHeader) {
    let Some(signature) = offer.signature.clone() else {
        return;
    };
    let (shop, key) = (&offer.peer.shop, &offer.peer.identity);
    match engine.store().keep_word(shop, upload, signature, key) {
        Ok(true) => {}
        Ok(false) => {
            tracing::warn!(%shop, "a shop's own word for its update is not by its key, and is not kept");
        }
        Err(error) => tracing::error!(%shop, %error, "a shop's own word for its update is not kept"),
    }
}
