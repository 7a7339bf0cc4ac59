//! What the agent wants to say, without IO: in which order it is said, which requests that takes, and which event each reply
//! becomes. No socket, no task, no clock: [`crate::run`] carries it over QUIC, a simulator over whatever it has.
//!
//! | type | what |
//! |---|---|
//! | [`RequestQueue`] | who may speak now |
//! | [`Exchange`] | one request and its reply, with the bytes of a blob or an update |
//! | [`Voice`] | signs what is asked, checks what is answered |

use std::collections::VecDeque;
use std::io::{Seek, SeekFrom};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use souk_common::clock::Timestamp;
use souk_common::crypto::sign::{Signed, SigningKey, verify};
use souk_common::ids::{AttemptId, Digest, ShopName};
use souk_common::limits::MAX_BLOB_BYTES;
use souk_common::round::statements::{Decision, Receipt, Sent, UploadHeader};
use souk_common::storage::disk::{Access, DiskFile};
use souk_common::wire::messages::{CheckIn, Reply, Request, SignedSpent};

use super::clock_skew::ClockSkew;
use super::part::Part;
use super::refusals::{not_to_the_question, unexpected};
use super::timeouts::{Step, TimedOut};
use super::{Heard, ToldReceipt, is_here};
use crate::folder::Folder;
use crate::membership::Membership;
use crate::participate::{AttemptKey, Blob, Event, Pending};

/// Something to say or to fetch.
#[derive(Clone, Debug)]
pub enum Outgoing {
    /// An answer to an announcement.
    Answer(AttemptId, Decision),
    /// A word of a masked attempt.
    Word(AttemptKey, Box<Request>),
    /// An update, not before its time.
    Upload(Pending, Timestamp),
    /// A blob, not before its time.
    Fetch(Blob, Timestamp),
    /// What this shop holds, and what it must know.
    CheckIn(Box<Membership>),
    /// A request for a new certificate.
    Renew(Vec<u8>),
}

/// What came of it.
#[derive(Debug)]
pub enum Came {
    /// Nothing that anybody waits for.
    Nothing,
    /// For the machine.
    Event(Event),
    /// A receipt, whose signature was checked.
    Receipt(Signed<Receipt>),
    /// Keys or shares that the coordinator did not take, and why.
    NotTaken(AttemptKey, String),
    /// What the coordinator said when this shop checked in.
    Heard(Box<Heard>),
    /// A new certificate, or why there is none.
    Renewed(anyhow::Result<Vec<u8>>),
    /// A coordinator that takes a question and never answers is to be dialled anew: with a new connection the machine says
    /// again what still matters.
    HangUp,
}

/// Between whom the talk is.
pub struct Voice {
    shop: ShopName,
    words_key: [u8; 32],
    signing: SigningKey,
}

/// In three lines, each with one request at a time: answers, words and updates in order; blobs; what keeps the membership
/// going. Together with the subscription these are all streams that a shop may have open.
#[derive(Default)]
pub struct RequestQueue {
    is_connected: bool,
    lines: [Line; 3],
    later: Vec<Later>,
    numbers: u64,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Outgoing>,
    /// The exchange under way.
    open: Option<u64>,
}

struct Later {
    due: Timestamp,
    /// No longer than that, if the clock is set back meanwhile.
    most: Duration,
    what: Outgoing,
}

/// One request, on a stream of its own.
pub struct Exchange {
    number: u64,
    what: Outgoing,
    asked_at: Timestamp,
    part: Option<Part>,
}

/// How an exchange begins.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one an exchange, taken apart at once")]
pub enum Begin {
    /// With this request; the reply may take as long as the step.
    Ask(Box<Request>, Step),
    /// It ends at once.
    Came(Came),
}

/// What follows a reply.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one an exchange, taken apart at once")]
pub enum Then {
    /// Nothing.
    Came(Came),
    /// So many bytes of the blob, for [`Exchange::take`]; then [`Exchange::taken`].
    Take(u64),
    /// The update from this byte on, by [`Exchange::update`]; then another reply.
    Send(u64),
}

impl RequestQueue {
    /// A connection stands. What was meant for the one before is forgotten: the machine says again what still matters.
    pub fn connected(&mut self) {
        self.lost();
        self.is_connected = true;
    }

    /// It is gone, with all that was under way over it.
    pub fn lost(&mut self) {
        self.is_connected = false;
        self.later.clear();
        self.lines = Default::default();
    }

    /// Takes something to say; without a connection it is dropped. What is due later waits aside, so that it delays nothing.
    pub fn post(&mut self, now: Timestamp, what: Outgoing) {
        if self.is_connected {
            let due = what.due();
            let most = due.since(now);
            self.later.push(Later { due, most, what });
        }
    }

    /// What may be said now; none while every line waits for a reply or has nothing to say.
    pub fn next(&mut self, now: Timestamp) -> Option<Exchange> {
        for later in &mut self.later {
            later.due = later.due.min(now + later.most);
        }
        // Stable: what is due at one time stays in its order.
        self.later.sort_by_key(|later| later.due);
        let due = self.later.partition_point(|later| later.due <= now);
        for Later { what, .. } in self.later.drain(..due) {
            self.lines[what.line()].waiting.push_back(what);
        }
        let line = self
            .lines
            .iter_mut()
            .find(|line| line.open.is_none() && !line.waiting.is_empty())?;
        let what = line.waiting.pop_front()?;
        self.numbers += 1;
        line.open = Some(self.numbers);
        Some(Exchange {
            number: self.numbers,
            ..Exchange::new(what)
        })
    }

    /// When to ask [`Self::next`] again, for something waits for its time.
    pub fn due(&self) -> Option<Timestamp> {
        self.later.iter().map(|later| later.due).min()
    }

    /// An exchange has ended. Whether it is one of this connection: what comes of another is to be ignored.
    pub fn ended(&mut self, number: u64) -> bool {
        let line = self.lines.iter_mut().find(|line| line.open == Some(number));
        line.is_some_and(|line| line.open.take().is_some())
    }
}

impl Outgoing {
    fn line(&self) -> usize {
        match self {
            Self::Answer(..) | Self::Word(..) | Self::Upload(..) => 0,
            Self::Fetch(..) => 1,
            Self::CheckIn(_) | Self::Renew(_) => 2,
        }
    }

    fn due(&self) -> Timestamp {
        match self {
            Self::Upload(_, at) | Self::Fetch(_, at) => *at,
            _ => Timestamp(i64::MIN),
        }
    }
}

impl Exchange {
    /// One outside of any queue.
    pub fn new(what: Outgoing) -> Self {
        Self {
            number: 0,
            what,
            asked_at: Timestamp(0),
            part: None,
        }
    }

    /// For [`RequestQueue::ended`].
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Of the update that it sends, if it sends one.
    pub fn header(&self) -> Option<UploadHeader> {
        match &self.what {
            Outgoing::Upload(pending, _) => Some(pending.header),
            _ => None,
        }
    }

    /// What it begins with. A blob is fetched from where an earlier try broke off.
    ///
    /// # Errors
    /// Of the folder.
    pub fn begin(&mut self, voice: &Voice, folder: &Folder, now: Timestamp) -> anyhow::Result<Begin> {
        self.asked_at = now;
        let (request, step) = match &self.what {
            Outgoing::Answer(id, answer) => (
                Request::Answer {
                    id: *id,
                    answer: *answer,
                },
                Step::Ask,
            ),
            Outgoing::Word(_, word) => ((**word).clone(), Step::Ask),
            Outgoing::Upload(pending, _) => (voice.offer(pending), Step::Turn),
            Outgoing::Fetch(blob, _) if is_here(folder, blob) => {
                return Ok(Begin::Came(Came::Event(Event::BlobReady(*blob))));
            }
            Outgoing::Fetch(blob, _) => {
                let part = self.part.insert(Part::open(folder, blob)?);
                let (digest, offset) = (blob.digest, part.len_bytes());
                (Request::Blob { digest, offset }, Step::Turn)
            }
            Outgoing::CheckIn(membership) => {
                let word = CheckIn {
                    now,
                    certificate: Digest::of(&membership.certificate),
                    authorities: membership.authorities,
                };
                (Request::CheckIn(word), Step::Ask)
            }
            Outgoing::Renew(csr) => (Request::Renew { csr: csr.clone() }, Step::Ask),
        };
        Ok(Begin::Ask(Box::new(request), step))
    }

    /// Takes in a reply.
    ///
    /// # Errors
    /// When it does not belong to the question, is not the coordinator's word, or says that there is none.
    pub fn reply(&mut self, voice: &Voice, now: Timestamp, reply: Reply) -> anyhow::Result<Then> {
        Ok(Then::Came(match (&self.what, reply) {
            (Outgoing::Answer(..) | Outgoing::Word(..), Reply::Done) => Came::Nothing,
            (Outgoing::Word(key, word), refused @ Reply::Error { .. }) => {
                let reason = unexpected(refused).to_string();
                // Without keys or shares there is no place for this shop in the attempt.
                match **word {
                    Request::Advertise(_) | Request::Share { .. } | Request::Checked { .. } => {
                        Came::NotTaken(*key, reason)
                    }
                    _ => {
                        tracing::warn!(id = %key.id, %reason, "a word was not taken");
                        Came::Nothing
                    }
                }
            }
            (Outgoing::Upload(pending, _), Reply::UploadFrom { offset })
                if offset <= pending.header.len_bytes =>
            {
                return Ok(Then::Send(offset));
            }
            (Outgoing::Upload(pending, _), Reply::Receipt(receipt)) => {
                let body = verify(&receipt, &voice.words_key)?;
                ensure!(body.upload == pending.header, "the receipt is for another update");
                Came::Receipt(receipt)
            }
            (Outgoing::Upload(pending, _), Reply::Rejected { code }) => {
                let header = pending.header;
                Came::Event(Event::Rejected { header, code })
            }
            (Outgoing::Fetch(..), Reply::Blob { len_bytes }) => {
                ensure!(
                    len_bytes <= MAX_BLOB_BYTES,
                    "a blob of {len_bytes} bytes; the most is {MAX_BLOB_BYTES}"
                );
                let here = self.part.as_ref().map_or(0, Part::len_bytes);
                return Ok(Then::Take(len_bytes.saturating_sub(here)));
            }
            (Outgoing::CheckIn(_), Reply::CheckedIn(word)) => {
                let authorities = verify(&word.authorities, &voice.words_key)?.clone();
                let receipt = word.receipt.map(|receipt| voice.own(&receipt)).transpose()?;
                Came::Heard(Box::new(Heard {
                    authorities,
                    receipt,
                    clock: ClockSkew::between(self.asked_at, word.now, now),
                    showed: None,
                }))
            }
            (Outgoing::Renew(_), Reply::Renewed { certificate }) => Came::Renewed(Ok(certificate)),
            (_, other) => return Err(unexpected(other)),
        }))
    }

    /// Takes in bytes of the blob.
    ///
    /// # Errors
    /// Of the disk.
    pub fn take(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let part = self.part.as_mut().context("no blob is fetched")?;
        Ok(part.push(bytes)?)
    }

    /// They are all there.
    ///
    /// # Errors
    /// When they are not the blob's (they are dropped), or of the disk.
    pub fn taken(&mut self, folder: &Folder) -> anyhow::Result<Came> {
        let (Outgoing::Fetch(blob, _), Some(part)) = (&self.what, self.part.take()) else {
            bail!("no blob is fetched");
        };
        part.finish(folder)?;
        Ok(Came::Event(Event::BlobReady(*blob)))
    }

    /// The update's bytes from byte `from` on. `note` is told how many before any leaves, and must succeed.
    ///
    /// # Errors
    /// When `note` fails, or the outbox's bytes are not there or not whole.
    pub fn update(
        &self,
        folder: &Folder,
        from: u64,
        note: impl FnOnce(u64) -> anyhow::Result<()>,
    ) -> anyhow::Result<Box<dyn DiskFile>> {
        let Outgoing::Upload(pending, _) = &self.what else {
            bail!("no update is sent");
        };
        let header = &pending.header;
        note(header.len_bytes - from)?;
        let mut file = folder.disk().open(&folder.update(&header.update), Access::Read)?;
        ensure!(
            file.seek(SeekFrom::End(0))? == header.len_bytes,
            "the outbox's bytes were changed"
        );
        file.seek(SeekFrom::Start(from))?;
        Ok(file)
    }

    /// It broke off, or came to nothing.
    pub fn failed(self, error: anyhow::Error) -> Came {
        let late = match error.is::<TimedOut>() {
            true => Came::HangUp,
            false => Came::Nothing,
        };
        match self.what {
            Outgoing::Answer(id, _) => {
                tracing::warn!(%id, "the answer was not taken: {error:#}");
                late
            }
            Outgoing::Word(key, _) => {
                tracing::warn!(id = %key.id, "a word was not said: {error:#}");
                late
            }
            Outgoing::Upload(pending, _) => {
                tracing::warn!(id = %pending.header.id, "the update was not sent: {error:#}");
                Came::Event(Event::UploadFailed(pending.header))
            }
            Outgoing::Fetch(blob, _) => {
                tracing::warn!(digest = %blob.digest.short(), "a blob was not fetched: {error:#}");
                Came::Event(Event::BlobFailed(blob))
            }
            Outgoing::CheckIn(_) => {
                tracing::warn!("the shop could not check in: {error:#}");
                Came::Nothing
            }
            Outgoing::Renew(_) => Came::Renewed(Err(error)),
        }
    }
}

impl Voice {
    /// Of a member, which signs with `signing`.
    ///
    /// # Errors
    /// When the membership is damaged.
    pub fn new(membership: &Membership, signing: SigningKey) -> anyhow::Result<Self> {
        let words_key = membership.words_key()?;
        Ok(Self::of(membership.shop.clone(), words_key, signing))
    }

    /// Of the shop of that name; the coordinator's words are checked with `words_key`.
    pub fn of(shop: ShopName, words_key: [u8; 32], signing: SigningKey) -> Self {
        Self {
            shop,
            words_key,
            signing,
        }
    }

    /// Asks to be told of rounds, as process `process_id`.
    pub fn subscribe(process_id: u32) -> Request {
        let software = concat!("souk-client ", env!("CARGO_PKG_VERSION")).to_owned();
        Request::Subscribe { software, process_id }
    }

    /// The key that the coordinator's words are checked with.
    pub(super) fn words_key(&self) -> &[u8; 32] {
        &self.words_key
    }

    /// This shop's receipts with ledgers under `below` records, each with its plan, and whether it shows this shop's own word.
    ///
    /// # Errors
    /// When one is not the coordinator's word for this shop and bound.
    pub fn told(&self, below: u64, reply: Reply) -> anyhow::Result<Vec<ToldReceipt>> {
        let spent = match reply {
            Reply::SignedSpent(spent) => spent,
            error @ Reply::Error { .. } => return Err(unexpected(error)),
            _ => return Err(not_to_the_question()),
        };
        let one = |SignedSpent { spent, signature }: SignedSpent| {
            let receipt = self.own(&spent.receipt)?;
            let asked_for = receipt.upload.ledger_length < below;
            ensure!(asked_for, "the receipt is not one that was asked for");
            let body = Sent::of(&self.shop, spent.plan, &receipt.upload);
            let is_own = verify(&Signed { body, signature }, &self.signing.public()).is_ok();
            Ok(ToldReceipt {
                receipt,
                plan: spent.plan,
                is_own,
            })
        };
        spent.into_iter().map(one).collect()
    }

    /// Offers an update, under this shop's own signature.
    fn offer(&self, pending: &Pending) -> Request {
        let sent = Sent::of(&self.shop, pending.key.plan, &pending.header);
        Request::SignedUpload {
            header: pending.header,
            signature: self.signing.sign(sent).signature,
            binding: pending.binding,
        }
    }

    /// A receipt of this shop.
    fn own(&self, receipt: &Signed<Receipt>) -> anyhow::Result<Receipt> {
        let receipt = verify(receipt, &self.words_key)?;
        ensure!(
            receipt.shop == self.shop,
            "the coordinator shows another shop's receipt"
        );
        Ok(receipt.clone())
    }
}

#[cfg(test)]
mod tests;
