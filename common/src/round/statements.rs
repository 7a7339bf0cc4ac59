//! Announcements, answers, receipts and manifests: the words that are signed, sent and stored.

use serde::{Deserialize, Serialize};

use crate::chain::LogHead;
use crate::clock::Timestamp;
use crate::crypto::sign::Signable;
use crate::ids::{AttemptId, Digest, ShopName};
use crate::privacy::ledger::Witnessed;

/// What the coordinator asks the shops to do; signed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Announcement {
    /// Which try at which round.
    pub id: AttemptId,
    /// The plan's digest; its bytes are a blob.
    pub plan: Digest,
    /// The catalogue's digest; its bytes are a blob.
    pub catalogue: Digest,
    /// The broadcast model's digest; its bytes are a blob.
    pub model: Digest,
    /// When the attempt ends.
    pub deadline: Timestamp,
    /// Length and head of the coordinator's record chain.
    pub log: LogHead,
}

impl Signable for Announcement {
    const DOMAIN: &'static str = "souk 2026 announcement v1";
}

/// A shop's answer to an announcement.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Decision {
    /// It will send an update.
    Accept,
    /// It will not; the reason is computed from nothing about customers.
    Decline(DeclineCode),
}

/// Why a shop declines: a fixed list with public arguments only.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeclineCode {
    /// The spend would exceed the shop's (epsilon, delta), or by the shop's own ledger the plan's budget.
    OverBudget,
    /// The plan's noise is under the shop's minimum.
    BelowNoiseMinimum,
    /// The plan has no privacy and the shop's file does not allow that.
    PrivacyOff,
    /// The owner paused.
    Paused,
    /// The plan can't be read, or asks for what this version does not know.
    PlanNotUnderstood,
    /// The shop is not named in the plan.
    NotInPlan,
    /// The upload would exceed the shop's limit per day.
    OverUploadLimit,
    /// The coordinator's record does not extend what the shop last saw.
    RecordForked,
    /// The shop's ledger was charged for this very attempt before, and it stopped in the middle of it or the plan was run before; the
    /// next one is open to it.
    Interrupted,
    /// The shop could not make its update, or could not record the spend.
    CouldNotCompute,
    /// The plan has no masking and the shop's file requires it.
    MaskingRequired,
    /// The plan unmasks sums of fewer shops than the shop's file allows.
    BelowShopMinimum,
    /// The owner has confirmed the keys of too few other shops for the plan's least number.
    TooFewKnownShops,
    /// The shop refused a list of a masked attempt, or lost its keys; the next attempt is open to it.
    ListRefused,
    /// The coordinator did not send the plan, catalogue or model that it announced, again and again.
    NotFetched,
    /// The plan reckons with fewer colluding shops than the shop's file allows.
    BelowColludingMinimum,
    /// The plan lets a shop make masks with fewer others than the shop's file allows.
    BelowNeighbourMinimum,
}

impl DeclineCode {
    /// The reason in words, for the operator.
    pub fn words(self) -> &'static str {
        match self {
            Self::OverBudget => {
                "the round would exceed the shop's privacy budget, or the plan's by the shop's own ledger"
            }
            Self::BelowNoiseMinimum => "the plan's noise is below the shop's minimum",
            Self::PrivacyOff => "the plan adds no noise and the shop does not allow that",
            Self::Paused => "the shop has paused",
            Self::PlanNotUnderstood => "the shop's program does not understand the plan",
            Self::NotInPlan => "the plan does not name the shop",
            Self::OverUploadLimit => "the upload would exceed the shop's limit per day",
            Self::RecordForked => "the coordinator's record does not extend what the shop saw before",
            Self::Interrupted => {
                "the shop has spent this very attempt before: it stopped in the middle, or the plan was run before; it can take \
                 part in the next"
            }
            Self::CouldNotCompute => "the shop could not make its update; its own log says why",
            Self::ListRefused => "the shop refused a list of this masked attempt; its own log says why",
            Self::NotFetched => {
                "the shop did not get the plan, catalogue or model that was announced; its own log says why"
            }
            Self::MaskingRequired => "the plan has no masking and the shop requires it",
            Self::BelowShopMinimum => "the plan unmasks sums of fewer shops than the shop allows",
            Self::BelowColludingMinimum => "the plan reckons with fewer colluding shops than the shop allows",
            Self::BelowNeighbourMinimum => "the plan's masks are made with fewer others than the shop allows",
            Self::TooFewKnownShops => {
                "the shop's owner has confirmed the keys of too few other shops (`souk-client shops`)"
            }
        }
    }

    /// Whether it concerns this attempt alone, so that another attempt may find the shop ready.
    pub fn is_passing(self) -> bool {
        matches!(self, Self::Interrupted | Self::ListRefused)
    }
}

/// What stands before an update's raw bytes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct UploadHeader {
    /// Which try at which round it answers.
    pub id: AttemptId,
    /// Digest of the raw bytes.
    pub update: Digest,
    /// Length of the raw bytes.
    pub len_bytes: u64,
    /// The shop's ledger: records so far, this spend included.
    pub ledger_length: u64,
    /// The shop's ledger: digest of the last record.
    pub ledger_head: Digest,
}

impl UploadHeader {
    /// Of the finished `update` for an attempt; `ledger` is the shop's ledger right after the spend.
    pub fn of(id: AttemptId, update: &[u8], ledger: LogHead) -> Self {
        Self {
            id,
            update: Digest::of(update),
            len_bytes: update.len() as u64,
            ledger_length: ledger.length,
            ledger_head: ledger.head,
        }
    }
}

/// The coordinator's signed word that it stored an update.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Receipt {
    /// The shop, as its certificate names it.
    pub shop: ShopName,
    /// What it sent.
    pub upload: UploadHeader,
    /// When it was stored.
    pub stored_at: Timestamp,
    /// The coordinator's record chain at that time.
    pub log: LogHead,
}

impl Signable for Receipt {
    const DOMAIN: &'static str = "souk 2026 receipt v1";
}

impl Receipt {
    /// What it says of the shop's ledger.
    pub fn witnessed(&self) -> Witnessed {
        Witnessed {
            ledger: self.ledger(),
            at: self.stored_at,
        }
    }

    /// The shop's ledger when it made the update.
    pub fn ledger(&self) -> LogHead {
        LogHead {
            length: self.upload.ledger_length,
            head: self.upload.ledger_head,
        }
    }
}

/// Why an update was not counted.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectCode {
    /// For an attempt that is not open (late, or never announced).
    NotOpen,
    /// The length does not follow from the model's shape.
    WrongLength,
    /// The bytes do not have the digest that the header names.
    WrongDigest,
    /// The shop sent another update for this attempt before.
    SecondUpdate,
    /// The shop is not in the plan, or was revoked.
    NotInvited,
    /// The shop did not accept this attempt, or declined it.
    NotAccepted,
    /// The coordinator could not store it; try again.
    StoreFailed,
    /// It comes without this shop's signature on the list of sharers of the masked attempt, or with one on another list.
    NotBound,
}

impl RejectCode {
    /// The reason in words, for the shop.
    pub fn words(self) -> &'static str {
        match self {
            Self::NotOpen => "the attempt is not open (any more)",
            Self::WrongLength => "the length does not follow from the model",
            Self::WrongDigest => "the bytes do not have the digest in the header",
            Self::SecondUpdate => "another update was received for this attempt before",
            Self::NotInvited => "the shop is not in the plan",
            Self::NotAccepted => "the shop did not accept this attempt",
            Self::StoreFailed => "the coordinator could not store it",
            Self::NotBound => {
                "it does not carry the shop's signature on this masked attempt's list of sharers (H2)"
            }
        }
    }
}

/// The coordinator's signed word for a model version.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Manifest {
    /// Which attempt made it; round 0 is the initial model.
    pub id: AttemptId,
    /// The model file's digest.
    pub model: Digest,
    /// The model it was made from; [`Digest::ZERO`] for the initial one.
    pub parent: Digest,
    /// The plan.
    pub plan: Digest,
    /// The catalogue.
    pub catalogue: Digest,
    /// Whose updates were counted, in the order of the sum, with their digests.
    pub updates: Vec<(ShopName, Digest)>,
    /// When it was published.
    pub published_at: Timestamp,
}

impl Signable for Manifest {
    const DOMAIN: &'static str = "souk 2026 manifest v1";
}

/// How an attempt ended.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Outcome {
    /// A model was published.
    Published(Manifest),
    /// Too few updates by the deadline; or enough, and they would have made a model that is not finite. Nothing was
    /// published, and what was sent is spent.
    BelowQuorum {
        /// Counted updates.
        accepted: u32,
        /// The plan's quorum.
        quorum: u32,
    },
    /// Enough masked updates, but too few shares to unmask their sum; nothing was published, and what was sent is spent.
    NotUnmasked {
        /// Shops whose updates were in the sum.
        survivors: u32,
        /// Of those, shops that gave their shares in time.
        revealed: u32,
    },
}

impl Signable for Outcome {
    const DOMAIN: &'static str = "souk 2026 outcome v1";
}

/// A shop's own word for an update that it sends. Whoever does not have the shop's key can't say later that it was sent.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sent {
    /// The shop.
    pub shop: ShopName,
    /// By which plan it was made: what it cost.
    pub plan: Digest,
    /// For which attempt.
    pub id: AttemptId,
    /// Digest of its bytes.
    pub update: Digest,
    /// How many there are.
    pub len_bytes: u64,
    /// The shop's ledger, this spend included.
    pub ledger: LogHead,
}

impl Signable for Sent {
    const DOMAIN: &'static str = "souk 2026 sent v1";
}

impl Sent {
    /// What `shop` says with this header of an update by `plan`.
    pub fn of(shop: &ShopName, plan: Digest, header: &UploadHeader) -> Self {
        Self {
            shop: shop.clone(),
            plan,
            id: header.id,
            update: header.update,
            len_bytes: header.len_bytes,
            ledger: LogHead {
                length: header.ledger_length,
                head: header.ledger_head,
            },
        }
    }
}

/// The certificate authorities of the federation. Signed by the key that signs its record, which does not change when they do.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Authorities {
    /// Counts the changes: a smaller number than one that is known is an old list.
    pub number: u64,
    /// DER; the first one certifies shops.
    pub certificates: Vec<Vec<u8>>,
}

impl Signable for Authorities {
    const DOMAIN: &'static str = "souk 2026 authorities v1";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::sign::{Signed, SigningKey, verify};

    #[test]
    fn only_the_key_and_the_very_words_pass() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let mut signed = key.sign(Outcome::BelowQuorum {
            accepted: 1,
            quorum: 2,
        });
        assert!(verify(&signed, &key.public()).is_ok());
        assert!(verify(&signed, &SigningKey::from_bytes(&[8; 32]).public()).is_err());
        signed.body = Outcome::BelowQuorum {
            accepted: 2,
            quorum: 2,
        };
        assert!(verify(&signed, &key.public()).is_err());
        signed.signature.clear();
        assert!(verify(&signed, &key.public()).is_err());
    }

    #[test]
    fn an_outcomes_signature_is_none_on_its_manifest() {
        let manifest = Manifest {
            id: AttemptId { round: 1, attempt: 1 },
            model: Digest::ZERO,
            parent: Digest::ZERO,
            plan: Digest::ZERO,
            catalogue: Digest::ZERO,
            updates: Vec::new(),
            published_at: Timestamp(0),
        };
        let key = SigningKey::from_bytes(&[7; 32]);
        let said = key.sign(manifest.clone());
        let forged = Signed {
            body: Outcome::Published(manifest),
            signature: said.signature,
        };
        assert!(verify(&forged, &key.public()).is_err());
    }
}
