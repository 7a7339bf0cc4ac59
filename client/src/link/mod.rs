//! The shop's side of the wire: one request a stream.
//!
//! | module | what |
//! |---|---|
//! | this one | the connection, and what is asked and heard over it |
//! | [`requests`] | what is said in which order, and what replies mean: without IO |
//! | [`route`] | the way to the coordinator |
//! | `transfer` | one exchange over a stream |
//! | `part` | a blob that grows in the folder |
//! | `refusals` | why it is no connection, or is one no more |

pub mod clock_skew;
mod part;
mod refusals;
pub mod requests;
pub mod route;
pub mod timeouts;
mod transfer;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use quinn::{Connection, RecvStream, SendStream};
use souk_common::clock::{Clock, Timestamp};
use souk_common::crypto::sign::{SignatureError, SigningKey, verify};
use souk_common::ids::Digest;
use souk_common::round::statements::{Authorities, Receipt};
use souk_common::transport::{
    CertificateRefusal, CloseCode, Dialled, FrameError, Identity, Platform, Trust, Way, read_frame,
    refusal_of, write_frame,
};
use souk_common::wire::messages::{Member, Push, Reply, Request};

use crate::folder::Folder;
use crate::link::clock_skew::ClockSkew;
use crate::link::timeouts::{Step, within};
use crate::membership::Membership;
use crate::participate::{Blob, Event, MaskEvent};

pub use part::is_here;
use refusals::{Closed, no_member, not_to_the_question, refusal_in};
pub(crate) use refusals::{
    asks_to_wait, close_code_in, explained, is_refused_code, says_no_member, unexpected,
};
use requests::{Came, Exchange, Outgoing, Voice};
pub use route::Route;

/// A connection to the coordinator.
pub struct Link {
    connection: Connection,
    // What drives it lives as long as it is held.
    dialled: Dialled,
    voice: Voice,
    clock: Arc<dyn Clock>,
}

/// What a shop heard when it checked in, verified.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Whom to trust.
    pub authorities: Authorities,
    /// This shop's last receipt: its ledger must account for it.
    pub receipt: Option<Receipt>,
    /// How far the two clocks are apart.
    pub clock: ClockSkew,
    /// Which certificate was shown on arrival; none if this was heard later.
    pub showed: Option<Showed>,
}

/// What the coordinator tells of an update of this shop.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ToldReceipt {
    /// Its word for it, verified.
    pub receipt: Receipt,
    /// The plan that it names.
    pub plan: Digest,
    /// Whether it shows this shop's own signature over all of that, but for the time.
    pub is_own: bool,
}

/// Which of its certificates a shop has shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Showed {
    /// The present one.
    Present,
    /// The one before: the present one was not taken.
    Former,
}

impl Link {
    /// Dials as the member.
    ///
    /// # Errors
    /// When nobody answers, or the wrong one.
    pub async fn dial(folder: &Folder, membership: &Membership, route: &Route) -> anyhow::Result<Self> {
        Self::dial_on(&Platform::system(), folder, membership, route).await
    }

    /// As [`Self::dial`], on any platform.
    ///
    /// # Errors
    /// As [`Self::dial`].
    pub async fn dial_on(
        platform: &Platform,
        folder: &Folder,
        membership: &Membership,
        route: &Route,
    ) -> anyhow::Result<Self> {
        Self::dial_as(platform, &membership.identity(folder)?, membership, route).await
    }

    async fn dial_as(
        platform: &Platform,
        identity: &Identity,
        membership: &Membership,
        route: &Route,
    ) -> anyhow::Result<Self> {
        let trust = Trust::AnyOf(membership.roots());
        let dialled = route.dial(platform, &trust, Some(identity)).await?;
        let signing = SigningKey::from_pkcs8(&identity.key).context("this shop's key is damaged")?;
        Ok(Self {
            connection: dialled.connection.clone(),
            dialled,
            voice: Voice::new(membership, signing)?,
            clock: Arc::clone(&platform.clock),
        })
    }

    /// What carries it.
    pub fn way(&self) -> Way {
        self.dialled.way
    }

    /// Dials and checks in: only then it is known that both sides take each other's certificates. A certificate that was
    /// just renewed and is not taken gives way to the one before.
    ///
    /// # Errors
    /// When nobody answers, or the wrong one, or this shop is not taken.
    pub async fn arrive(
        folder: &Folder,
        membership: &Membership,
        route: &Route,
    ) -> anyhow::Result<(Self, Heard)> {
        Self::arrive_on(&Platform::system(), folder, membership, route).await
    }

    /// As [`Self::arrive`], on any platform.
    ///
    /// # Errors
    /// As [`Self::arrive`].
    pub async fn arrive_on(
        platform: &Platform,
        folder: &Folder,
        membership: &Membership,
        route: &Route,
    ) -> anyhow::Result<(Self, Heard)> {
        let arrive = async |identity: Identity, showed: Showed| {
            let link = Self::dial_as(platform, &identity, membership, route).await?;
            let heard = link.check_in(folder, membership).await;
            let mut heard = heard.map_err(|error| match link.close_code() {
                Some(code) => error.context(Closed(code)),
                None => error,
            })?;
            heard.showed = Some(showed);
            anyhow::Ok((link, heard))
        };
        let first = arrive(membership.identity(folder)?, Showed::Present).await;
        let not_taken = |error: &anyhow::Error| {
            matches!(
                refusal_in(error),
                Some(CertificateRefusal::OwnTime | CertificateRefusal::OwnAuthority)
            )
        };
        match (first, membership.former_identity(folder)?) {
            (Err(error), Some(former)) if not_taken(&error) => arrive(former, Showed::Former).await,
            (first, _) => first.map_err(|error| explained(error, membership, platform.clock.now())),
        }
    }

    /// Says what this shop holds, and hears what it must know.
    async fn check_in(&self, folder: &Folder, membership: &Membership) -> anyhow::Result<Heard> {
        let word = Outgoing::CheckIn(Box::new(membership.clone()));
        match self.ask(folder, word).await? {
            Came::Heard(heard) => Ok(*heard),
            _ => Err(not_to_the_question()),
        }
    }

    /// Fetches a blob into the folder, from where an earlier try broke off.
    ///
    /// # Errors
    /// When the connection breaks (what came is kept), or the bytes are not the blob's (they are dropped).
    pub async fn fetch(&self, folder: &Folder, blob: &Blob) -> anyhow::Result<()> {
        self.ask(folder, Outgoing::Fetch(*blob, Timestamp(0)))
            .await
            .map(drop)
    }

    async fn ask(&self, folder: &Folder, what: Outgoing) -> anyhow::Result<Came> {
        self.exchange(folder, &mut Exchange::new(what), |_| Ok(())).await
    }

    /// This shop's receipts with ledgers under `below` records, longest first, each with its plan, and whether this shop has
    /// signed that it sent that update by that plan; as many as are told at once, none when there are no more.
    ///
    /// # Errors
    /// When the connection breaks, or a receipt is not the coordinator's word for this shop and bound.
    pub async fn spent(&self, below: u64) -> anyhow::Result<Vec<ToldReceipt>> {
        let reply = self.request(Step::Ask, &Request::SignedSpent { below }).await?;
        self.voice.told(below, reply)
    }

    /// Asks to be told of rounds.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn subscribe(&self) -> anyhow::Result<RecvStream> {
        let request = Voice::subscribe(std::process::id());
        let said = async {
            let (mut send, recv) = self.connection.open_bi().await?;
            write_frame(&mut send, &request).await?;
            send.finish()?;
            Ok(recv)
        };
        within(Step::Ask, said).await?
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
            Some(CloseCode::NotEnrolled) => no_member(),
            Some(code) => anyhow!("the coordinator closed the connection: {}", code.words()),
            None => error.into(),
        }
    }

    /// Why the coordinator closed the connection, if it did.
    pub fn close_code(&self) -> Option<CloseCode> {
        CloseCode::of(&self.connection)
    }

    /// Checks who signed a push, and says what it means.
    ///
    /// # Errors
    /// When the coordinator's key did not sign it.
    pub fn verified(&self, push: Push) -> Result<Event, SignatureError> {
        verified(push, self.voice.words_key())
    }

    /// Who is a member, and by which long-term key.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn members(&self) -> anyhow::Result<Vec<Member>> {
        match self.request(Step::Ask, &Request::Members).await? {
            Reply::Members(members) => Ok(members),
            other => Err(unexpected(other)),
        }
    }

    /// Ends the membership; what the coordinator keeps, in its words.
    ///
    /// # Errors
    /// When it did not end.
    pub async fn leave(&self) -> anyhow::Result<String> {
        match self.request(Step::Ask, &Request::Leave).await? {
            Reply::Left { kept } => Ok(kept),
            other => Err(unexpected(other)),
        }
    }

    /// Says goodbye.
    pub fn close(&self) {
        self.connection.close(0u32.into(), b"done");
    }

    async fn request(&self, step: Step, request: &Request) -> anyhow::Result<Reply> {
        let (reply, mut send, _recv) = self.request_open(step, request).await?;
        send.finish()?;
        Ok(reply)
    }

    async fn request_open(
        &self,
        step: Step,
        request: &Request,
    ) -> anyhow::Result<(Reply, SendStream, RecvStream)> {
        within(step, ask(&self.connection, request)).await?
    }
}

/// Asks on a new stream, which stays open.
pub(crate) async fn ask(
    connection: &Connection,
    request: &Request,
) -> anyhow::Result<(Reply, SendStream, RecvStream)> {
    let asked = async {
        let (mut send, mut recv) = connection.open_bi().await?;
        write_frame(&mut send, request).await?;
        let reply = read_frame(&mut recv)
            .await?
            .context("the coordinator did not answer")?;
        anyhow::Ok((reply, send, recv))
    };
    // A certificate that is not taken shows only now.
    asked.await.map_err(|error| match refusal_of(connection) {
        Some(refusal) => anyhow::Error::new(refusal),
        None => match CloseCode::of(connection) {
            Some(CloseCode::NotEnrolled) => no_member(),
            _ => error,
        },
    })
}

/// What a push means, if the holder of `key` signed it.
pub fn verified(push: Push, key: &[u8; 32]) -> Result<Event, SignatureError> {
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
        Push::Delivered { id, shares } => Event::Masked(MaskEvent::SharesDelivered { id, shares }),
        Push::Sharers { id, sharers } => Event::Masked(MaskEvent::SharersFixed { id, sharers }),
        Push::Survivors {
            id,
            survivors,
            bindings,
        } => Event::Masked(MaskEvent::SurvivorsFixed {
            id,
            survivors,
            bindings,
        }),
        Push::Confirmed { id, confirmed } => Event::Masked(MaskEvent::ConfirmationsShown { id, confirmed }),
    })
}

/// How long the reason for a refusal may take.
const FAREWELL: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use souk_common::chain::LogHead;
    use souk_common::ids::AttemptId;
    use souk_common::round::statements::Announcement;

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
