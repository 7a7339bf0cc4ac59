//! Tasks that dial, listen, fetch and send; they end with their connection.

use std::sync::Arc;

use souk_common::clock::{Clock, Timestamp};
use souk_common::ids::AttemptId;
use souk_common::round::statements::Answer;
use souk_common::transport::Platform;
use souk_common::wire::messages::Request;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::Input;
use crate::folder::Folder;
use crate::link::timeouts::TimedOut;
use crate::link::{Heard, Link, Uploaded, asks_to_wait, close_code_in, is_here, says_no_member};
use crate::membership::Membership;
use crate::participate::{AttemptKey, Blob, Event, Pending};
use crate::store::Store;

/// Something to send or to fetch.
pub(crate) enum Outgoing {
    /// An answer to an announcement.
    Answer(AttemptId, Answer),
    /// A word of a masked attempt.
    Word(AttemptKey, Request),
    /// An update.
    Upload {
        /// What.
        pending: Pending,
        /// When.
        at: Timestamp,
        /// Where it is noted before it leaves.
        store: Arc<Store>,
    },
    /// A blob.
    Fetch {
        /// Which.
        blob: Blob,
        /// When.
        at: Timestamp,
    },
    /// What this shop holds, and what it must know.
    CheckIn(Box<Membership>),
    /// A request for a new certificate.
    Renew(Vec<u8>),
}

/// Carries letters over one connection: answers, words and updates in order, blobs beside them, and so what keeps the
/// membership going. Together with the subscription these are all streams that a shop may have open.
pub(crate) struct RequestQueue {
    pub(crate) link: Arc<Link>,
    clock: Arc<dyn Clock>,
    folder: Folder,
    generation: u64,
    inputs: UnboundedSender<Input>,
    sending: UnboundedSender<Outgoing>,
    fetching: UnboundedSender<Outgoing>,
    standing: UnboundedSender<Outgoing>,
    tasks: [JoinHandle<()>; 3],
}

impl RequestQueue {
    pub(crate) fn start(
        link: Arc<Link>,
        clock: Arc<dyn Clock>,
        folder: Folder,
        generation: u64,
        inputs: UnboundedSender<Input>,
    ) -> Self {
        let line = |link: Arc<Link>, folder: Folder, inputs: UnboundedSender<Input>| {
            let (letters_in, mut letters) = unbounded_channel();
            let clock = Arc::clone(&clock);
            let task = tokio::spawn(async move {
                while let Some(letter) = letters.recv().await {
                    carry(&link, &*clock, &folder, generation, letter, &inputs).await;
                }
            });
            (letters_in, task)
        };
        let (sending, first) = line(Arc::clone(&link), folder.clone(), inputs.clone());
        let (fetching, second) = line(Arc::clone(&link), folder.clone(), inputs.clone());
        let (standing, third) = line(Arc::clone(&link), folder.clone(), inputs.clone());
        Self {
            link,
            clock,
            folder,
            generation,
            inputs,
            sending,
            fetching,
            standing,
            tasks: [first, second, third],
        }
    }

    /// Takes a letter; one that is due later waits aside, so that it delays no other.
    pub(crate) fn post(&self, letter: Outgoing) {
        let (line, at) = match &letter {
            Outgoing::Answer(..) | Outgoing::Word(..) => (&self.sending, Timestamp(0)),
            Outgoing::Upload { at, .. } => (&self.sending, *at),
            Outgoing::Fetch { at, .. } => (&self.fetching, *at),
            Outgoing::CheckIn(_) | Outgoing::Renew(_) => (&self.standing, Timestamp(0)),
        };
        let wait = at.since(self.clock.now());
        if wait.is_zero() {
            // The task ends only with this courier.
            let _ = line.send(letter);
            return;
        }
        let line = line.clone();
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            let _ = line.send(letter);
        });
    }
}

impl Drop for RequestQueue {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.link.close();
        tracing::debug!(generation = self.generation, folder = %self.folder.path().display(), closed = self.inputs.is_closed(), "connection dropped");
    }
}

/// Dials at its time, then passes on what the coordinator says until the connection ends.
pub(crate) async fn listen(
    platform: Platform,
    at: Timestamp,
    generation: u64,
    folder: Folder,
    membership: Membership,
    address: String,
    inputs: UnboundedSender<Input>,
) {
    tokio::time::sleep(at.since(platform.clock.now())).await;
    let (ended, why) = match Link::arrive_on(&platform, &folder, &membership, &address).await {
        Ok((link, heard)) => {
            let link = Arc::new(link);
            let ended = follow(generation, &link, heard, &inputs).await;
            (ended, link.close_code())
        }
        Err(error) => {
            let why = close_code_in(&error);
            (Err(error), why)
        }
    };
    if why.is_some_and(asks_to_wait) {
        let _ = inputs.send(Input::AskedToWait(generation));
    }
    let reason = match ended {
        Ok(()) => "the coordinator ended the connection, trying again".to_owned(),
        Err(error) if says_no_member(&error) => {
            let _ = inputs.send(Input::NoMember(generation));
            return;
        }
        Err(error) => format!("no connection to the coordinator, trying again: {error:#}"),
    };
    let _ = inputs.send(Input::Lost(generation, reason, why));
}

/// Passes on what the coordinator says, until the connection ends.
async fn follow(
    generation: u64,
    link: &Arc<Link>,
    heard: Heard,
    inputs: &UnboundedSender<Input>,
) -> anyhow::Result<()> {
    let _ = inputs.send(Input::Linked(generation, Arc::clone(link)));
    // Taken in before any announcement: a shop whose ledger is not its newest takes part in nothing.
    let _ = inputs.send(Input::Heard(generation, Box::new(heard)));
    let mut pushes = link.subscribe().await?;
    while let Some(push) = link.next_push(&mut pushes).await? {
        if inputs.send(Input::Pushed(generation, push)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

async fn carry(
    link: &Link,
    clock: &dyn Clock,
    folder: &Folder,
    generation: u64,
    letter: Outgoing,
    inputs: &UnboundedSender<Input>,
) {
    let event = match letter {
        Outgoing::CheckIn(membership) => {
            match link.check_in(&membership).await {
                Ok(heard) => {
                    let _ = inputs.send(Input::Heard(generation, Box::new(heard)));
                }
                Err(error) => tracing::warn!("the shop could not check in: {error:#}"),
            }
            return;
        }
        Outgoing::Renew(csr) => {
            let _ = inputs.send(Input::Renewed(generation, link.renew(csr).await));
            return;
        }
        Outgoing::Answer(id, answer) => {
            if let Err(error) = link.answer(id, answer).await {
                tracing::warn!(%id, "the answer was not taken: {error:#}");
                hang_up_if_late(link, &error);
            }
            return;
        }
        Outgoing::Word(key, word) => {
            match link.say(&word).await {
                Ok(None) => {}
                // Without keys or shares there is no place for this shop in the attempt.
                Ok(Some(reason))
                    if matches!(
                        word,
                        Request::Advertise(_) | Request::Share { .. } | Request::Checked { .. }
                    ) =>
                {
                    let _ = inputs.send(Input::NotTaken(generation, key, reason));
                }
                Ok(Some(reason)) => tracing::warn!(id = %key.id, %reason, "a word was not taken"),
                Err(error) => {
                    tracing::warn!(id = %key.id, "a word was not said: {error:#}");
                    hang_up_if_late(link, &error);
                }
            }
            return;
        }
        Outgoing::Fetch { blob, .. } => {
            let fetched = if is_here(folder, &blob) {
                Ok(())
            } else {
                link.fetch(folder, &blob).await
            };
            match fetched {
                Ok(()) => Event::BlobReady(blob),
                Err(error) => {
                    tracing::warn!(digest = %blob.digest.short(), "a blob was not fetched: {error:#}");
                    Event::BlobFailed(blob)
                }
            }
        }
        Outgoing::Upload { pending, store, .. } => {
            let header = pending.header;
            let note = |bytes| Ok(store.note_sending(&header.update, bytes, clock.now())?);
            let path = folder.update(&header.update);
            let (plan, binding) = (pending.key.plan, pending.binding);
            match link.upload(plan, (&header, binding), &path, note).await {
                Ok(Uploaded::Stored(receipt)) => {
                    let _ = inputs.send(Input::Receipt(generation, receipt));
                    return;
                }
                Ok(Uploaded::Refused(code)) => Event::Rejected { header, code },
                Err(error) => {
                    tracing::warn!(id = %header.id, "the update was not sent: {error:#}");
                    Event::UploadFailed(header)
                }
            }
        }
    };
    let _ = inputs.send(Input::FromLink(generation, event));
}

/// A coordinator that takes a question and never answers is dialled anew: with a new connection the machine says again what
/// still matters.
fn hang_up_if_late(link: &Link, error: &anyhow::Error) {
    if error.is::<TimedOut>() {
        link.close();
    }
}
