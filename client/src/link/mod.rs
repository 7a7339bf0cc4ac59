//! The shop's side of the wire: one request a stream.
//!
//! | module | what |
//! |---|---|
//! | this one | the connection, and what is asked and heard over it |
//! | `refusals` | why it is not one, or is one no more |
//! | `transfer` | blobs and updates |

pub mod clock_skew;
mod refusals;
pub mod timeouts;
mod transfer;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use souk_common::clock::Clock;
use souk_common::crypto::sign::{SignatureError, Signed, SigningKey, verify};
use souk_common::ids::{AttemptId, Digest, ShopName};
use souk_common::round::statements::{Answer, Authorities, Receipt, Sent};
use souk_common::transport::{
    CertificateRefusal, CloseCode, FrameError, Identity, Platform, Trust, client_endpoint_on, connect,
    read_frame, refusal_of, write_frame,
};
use souk_common::wire::messages::{CheckIn, Member, Push, Reply, Request, SignedSpent};

use crate::folder::Folder;
use crate::link::clock_skew::ClockSkew;
use crate::link::timeouts::{Step, within};
use crate::membership::Membership;
use crate::participate::{Event, MaskEvent};

use refusals::{Closed, no_member, not_to_the_question, refusal_in};
pub(crate) use refusals::{asks_to_wait, close_code_in, explained, says_no_member, unexpected};
pub use transfer::{Uploaded, is_here};

/// A connection to the coordinator.
pub struct Link {
    connection: Connection,
    // Its driver lives as long as it is held.
    _endpoint: Endpoint,
    words_key: [u8; 32],
    shop: ShopName,
    signing: SigningKey,
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
pub struct Told {
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
        Self::dial_as(platform, &membership.identity(folder)?, membership, address).await
    }

    async fn dial_as(
        platform: &Platform,
        identity: &Identity,
        membership: &Membership,
        address: &str,
    ) -> anyhow::Result<Self> {
        let remote = resolve(address).await?;
        let trust = Trust::AnyOf(membership.roots());
        let endpoint = client_endpoint_on(platform, remote, trust, Some(identity))?;
        let connection = within(Step::Dial, connect(&endpoint, remote)).await??;
        Ok(Self {
            connection,
            _endpoint: endpoint,
            words_key: membership.words_key()?,
            shop: membership.shop.clone(),
            signing: SigningKey::from_pkcs8(&identity.key).context("this shop's key is damaged")?,
            clock: Arc::clone(&platform.clock),
        })
    }

    /// Dials and checks in: only then it is known that both sides take each other's certificates. A certificate that was
    /// just renewed and is not taken gives way to the one before.
    ///
    /// # Errors
    /// When nobody answers, or the wrong one, or this shop is not taken.
    pub async fn arrive(
        folder: &Folder,
        membership: &Membership,
        address: &str,
    ) -> anyhow::Result<(Self, Heard)> {
        Self::arrive_on(&Platform::system(), folder, membership, address).await
    }

    /// As [`Self::arrive`], on any platform.
    ///
    /// # Errors
    /// As [`Self::arrive`].
    pub async fn arrive_on(
        platform: &Platform,
        folder: &Folder,
        membership: &Membership,
        address: &str,
    ) -> anyhow::Result<(Self, Heard)> {
        let arrive = async |identity: Identity, showed: Showed| {
            let link = Self::dial_as(platform, &identity, membership, address).await?;
            let heard = link.check_in(membership).await;
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
    ///
    /// # Errors
    /// When the connection breaks, or what is heard is not the coordinator's word.
    pub async fn check_in(&self, membership: &Membership) -> anyhow::Result<Heard> {
        let asked_at = self.clock.now();
        let word = CheckIn {
            now: asked_at,
            certificate: Digest::of(&membership.certificate),
            authorities: membership.authorities,
        };
        let Reply::CheckedIn(word) = self.asked(&Request::CheckIn(word)).await? else {
            return Err(not_to_the_question());
        };
        let answered_at = self.clock.now();
        let authorities = verify(&word.authorities, &self.words_key)?.clone();
        let receipt = word
            .receipt
            .map(|receipt| self.receipt_of(&membership.shop, &receipt));
        Ok(Heard {
            authorities,
            receipt: receipt.transpose()?,
            clock: ClockSkew::between(asked_at, word.now, answered_at),
            showed: None,
        })
    }

    /// A new certificate for the key of the request.
    ///
    /// # Errors
    /// When there is none, in the coordinator's words.
    pub async fn renew(&self, csr: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        match self.asked(&Request::Renew { csr }).await? {
            Reply::Renewed { certificate } => Ok(certificate),
            _ => Err(not_to_the_question()),
        }
    }

    /// This shop's receipts with ledgers under `below` records, longest first, each with its plan, and whether this shop has
    /// signed that it sent that update by that plan; as many as are told at once, none when there are no more.
    ///
    /// # Errors
    /// When the connection breaks, or a receipt is not the coordinator's word for this shop and bound.
    pub async fn spent(&self, below: u64) -> anyhow::Result<Vec<Told>> {
        let Reply::SignedSpent(spent) = self.asked(&Request::SignedSpent { below }).await? else {
            return Err(not_to_the_question());
        };
        let one = |SignedSpent { spent, signature }: SignedSpent| {
            let receipt = self.receipt_of(&self.shop, &spent.receipt)?;
            let asked_for = receipt.upload.ledger_length < below;
            ensure!(asked_for, "the receipt is not one that was asked for");
            let body = Sent::of(&self.shop, spent.plan, &receipt.upload);
            let is_own = verify(&Signed { body, signature }, &self.signing.public()).is_ok();
            Ok(Told {
                receipt,
                plan: spent.plan,
                is_own,
            })
        };
        spent.into_iter().map(one).collect()
    }

    fn receipt_of(&self, shop: &ShopName, receipt: &Signed<Receipt>) -> anyhow::Result<Receipt> {
        let receipt = verify(receipt, &self.words_key)?;
        ensure!(
            receipt.shop == *shop,
            "the coordinator shows another shop's receipt"
        );
        Ok(receipt.clone())
    }

    async fn asked(&self, request: &Request) -> anyhow::Result<Reply> {
        match self.request(Step::Ask, request).await?.0 {
            error @ Reply::Error { .. } => Err(unexpected(error)),
            reply => Ok(reply),
        }
    }

    /// Asks to be told of rounds.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn subscribe(&self) -> anyhow::Result<RecvStream> {
        let software = concat!("souk-client ", env!("CARGO_PKG_VERSION")).to_owned();
        let request = Request::Subscribe {
            software,
            process_id: std::process::id(),
        };
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
        verified(push, &self.words_key)
    }

    /// Answers an announcement.
    ///
    /// # Errors
    /// When it was not taken.
    pub async fn answer(&self, id: AttemptId, answer: Answer) -> anyhow::Result<()> {
        match self.request(Step::Ask, &Request::Answer { id, answer }).await?.0 {
            Reply::Done => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    /// Says a word of a masked attempt; the coordinator's reason if it does not take it.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn say(&self, word: &Request) -> anyhow::Result<Option<String>> {
        match self.request(Step::Ask, word).await?.0 {
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
        match self.request(Step::Ask, &Request::Members).await?.0 {
            Reply::Members(members) => Ok(members),
            other => Err(unexpected(other)),
        }
    }

    /// Ends the membership; what the coordinator keeps, in its words.
    ///
    /// # Errors
    /// When it did not end.
    pub async fn leave(&self) -> anyhow::Result<String> {
        match self.request(Step::Ask, &Request::Leave).await?.0 {
            Reply::Left { kept } => Ok(kept),
            other => Err(unexpected(other)),
        }
    }

    /// Says goodbye.
    pub fn close(&self) {
        self.connection.close(0u32.into(), b"done");
    }

    async fn request(
        &self,
        step: Step,
        request: &Request,
    ) -> anyhow::Result<(Reply, SendStream, RecvStream)> {
        let (reply, mut send, recv) = self.request_open(step, request).await?;
        send.finish()?;
        Ok((reply, send, recv))
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

/// The first address of `host:port`.
pub(crate) async fn resolve(address: &str) -> anyhow::Result<SocketAddr> {
    let mut found = within(Step::Resolve, tokio::net::lookup_host(address))
        .await?
        .with_context(|| format!("can't find {address:?}: is it host:port, and does the name resolve?"))?;
    found
        .next()
        .with_context(|| format!("{address:?} has no address"))
}

/// How long the reason for a refusal may take.
const FAREWELL: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use souk_common::chain::LogHead;
    use souk_common::clock::Timestamp;
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
