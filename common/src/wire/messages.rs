//! What travels, one request a stream, opened by the shop. Variants are numbered by their order: append only.
//!
//! | request | answer | then raw bytes |
//! |---|---|---|
//! | [`Request::Join`] | [`Reply::Joined`] | |
//! | [`Request::Subscribe`] | many [`Push`] frames until the stream ends | |
//! | [`Request::Answer`] | [`Reply::Done`] | |
//! | [`Request::Blob`] | [`Reply::Blob`] | coordinator sends the blob from `offset` to its end |
//! | [`Request::Upload`] | [`Reply::UploadFrom`] | shop sends from that offset, then the coordinator a second frame: [`Reply::Receipt`] or [`Reply::Rejected`] |
//! | [`Request::Leave`] | [`Reply::Left`] | |
//! | [`Request::Advertise`], [`Request::Share`], [`Request::Checked`], [`Request::Confirm`], [`Request::Reveal`] | [`Reply::Done`] | |
//! | [`Request::Members`] | [`Reply::Members`] | |
//! | [`Request::CheckIn`] | [`Reply::CheckedIn`] | |
//! | [`Request::Renew`] | [`Reply::Renewed`] | |
//! | [`Request::Spent`] | [`Reply::Spent`] | |
//! | [`Request::SignedUpload`] | as [`Request::Upload`] | as [`Request::Upload`] |
//! | [`Request::SignedSpent`] | [`Reply::SignedSpent`] | |
//!
//! Any request may be answered by [`Reply::Error`]. An upload that was stored before is answered by its
//! [`Reply::Receipt`] at once.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::crypto::sign::Signed;
use crate::ids::{AttemptId, Digest, ShopName};
use crate::round::statements::{
    Announcement, Authorities, Decision, Manifest, Outcome, Receipt, RejectCode, UploadHeader,
};
use crate::secagg::{
    Advertisement, Binding, Confirmation, Confirmed, DeliveredShare, Revealed, Roster, Shares,
};

/// From the shop.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Request {
    /// The only request without a client certificate.
    Join {
        /// The 128-bit secret of the join code.
        secret: [u8; 16],
        /// PKCS#10, DER; its key was made at the shop.
        csr: Vec<u8>,
    },
    /// Asks to be told of rounds.
    Subscribe {
        /// Name and version of the shop's program, for the operator.
        software: String,
        /// The shop's process id, for the operator (the demo counts distinct ones).
        process_id: u32,
    },
    /// Answers an announcement.
    Answer {
        /// Which.
        id: AttemptId,
        /// How.
        answer: Decision,
    },
    /// Asks for content by digest.
    Blob {
        /// Which.
        digest: Digest,
        /// From which byte on.
        offset: u64,
    },
    /// Offers an update.
    Upload(UploadHeader),
    /// Ends the membership.
    Leave,
    /// Accepts a masked attempt.
    Advertise(Signed<Advertisement>),
    /// Shares for the neighbours in the roster.
    Share {
        /// Which attempt.
        id: AttemptId,
        /// One for each neighbour.
        shares: Shares,
    },
    /// Signs the list of survivors.
    Confirm(Signed<Confirmation>),
    /// Helps to unmask the sum.
    Reveal {
        /// Which attempt.
        id: AttemptId,
        /// One for each shop of which it holds shares.
        shares: Vec<Revealed>,
    },
    /// Asks who else is a member, to confirm their keys with their owners.
    Members,
    /// Says what the shop holds, and asks what it must know before it takes part: asked before [`Request::Subscribe`], and
    /// from time to time.
    CheckIn(CheckIn),
    /// Asks for a new certificate for the key of the present one.
    Renew {
        /// PKCS#10, DER.
        csr: Vec<u8>,
    },
    /// Asks for this shop's receipts, longest ledger first, as many as fit: to charge a ledger for what it lost.
    Spent {
        /// Only receipts with `ledger_length` under this.
        below: u64,
    },
    /// Says whose shares, of those that were delivered, were bad.
    Checked {
        /// Which attempt.
        id: AttemptId,
        /// Places in R1, ascending; mostly none.
        bad: Vec<u32>,
    },
    /// Offers an update, with the shop's own word for it, which the coordinator keeps beside its receipt.
    SignedUpload {
        /// As in [`Request::Upload`].
        header: UploadHeader,
        /// The shop's, over the [`Sent`] of this header.
        signature: Vec<u8>,
        /// Under masks, the shop's signature on H(plan, model, R1, R2).
        binding: Option<Binding>,
    },
    /// As [`Request::Spent`], with the shop's own words.
    SignedSpent {
        /// Only receipts with `ledger_length` under this.
        below: u64,
    },
}

/// What a shop says of itself.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CheckIn {
    /// Its clock.
    pub now: Timestamp,
    /// Digest of the certificate that it has stored, which may be newer than the one it dialled with.
    pub certificate: Digest,
    /// Number of the [`Authorities`] that it has stored; 0 for those of its join.
    pub authorities: u64,
}

/// What a shop is told of itself.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CheckedIn {
    /// The coordinator's clock.
    pub now: Timestamp,
    /// Whom to trust from now on.
    pub authorities: Signed<Authorities>,
    /// This shop's last receipt: a ledger without that head is not the newest.
    pub receipt: Option<Signed<Receipt>>,
}

/// An update that was received, and by which plan it was made.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Spent {
    /// The coordinator's word for it.
    pub receipt: Signed<Receipt>,
    /// The plan; its bytes are a blob.
    pub plan: Digest,
}

/// The same, with the shop's own word for it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SignedSpent {
    /// The coordinator's word.
    pub spent: Spent,
    /// The shop's, over a [`Sent`]; empty if the update came without.
    pub signature: Vec<u8>,
}

/// From the coordinator, to one request.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Reply {
    /// Membership.
    Joined {
        /// The shop's certificate, DER.
        certificate: Vec<u8>,
        /// The federation's CA certificate, DER.
        ca: Vec<u8>,
        /// The name the certificate carries.
        shop: ShopName,
        /// Ed25519 key that signs announcements, receipts and manifests.
        signing_key: [u8; 32],
    },
    /// Noted.
    Done,
    /// The blob follows.
    Blob {
        /// Its whole length in bytes.
        len_bytes: u64,
    },
    /// Send the update's bytes from here on.
    UploadFrom {
        /// Bytes the coordinator has already.
        offset: u64,
    },
    /// Stored and counted.
    Receipt(Signed<Receipt>),
    /// Not counted.
    Rejected {
        /// Why.
        code: RejectCode,
    },
    /// Membership has ended.
    Left {
        /// What the coordinator keeps, in words.
        kept: String,
    },
    /// The request failed.
    Error {
        /// What kind of failure.
        code: ErrorCode,
        /// Details for people; never computed from other shops.
        detail: String,
    },
    /// The members and their long-term keys, by name.
    Members(Vec<Member>),
    /// Noted; what the shop must know.
    CheckedIn(Box<CheckedIn>),
    /// A new certificate.
    Renewed {
        /// DER.
        certificate: Vec<u8>,
    },
    /// The receipts that were asked for, all of one length or none; nothing when there are no more.
    Spent(Vec<Spent>),
    /// The same, to [`Request::SignedSpent`].
    SignedSpent(Vec<SignedSpent>),
}

/// A member of the federation.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Member {
    /// Its name.
    pub shop: ShopName,
    /// Its long-term Ed25519 key.
    #[serde(with = "crate::hex")]
    pub identity: [u8; 32],
}

/// From the coordinator, without being asked, on the stream of a [`Request::Subscribe`].
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Push {
    /// Where things stand: sent first.
    Welcome {
        /// The current model's manifest.
        manifest: Signed<Manifest>,
    },
    /// A new attempt.
    Announce(Signed<Announcement>),
    /// An attempt ended.
    Ended {
        /// Which.
        id: AttemptId,
        /// How.
        outcome: Signed<Outcome>,
    },
    /// The run is complete; the last manifest was sent before.
    Finished,
    /// R1 of a masked attempt: make shares.
    Roster {
        /// Which attempt.
        id: AttemptId,
        /// All whose keys arrived in time.
        roster: Roster,
    },
    /// R2: mask and send the update.
    Sharers {
        /// Which attempt.
        id: AttemptId,
        /// Places in R1, ascending.
        sharers: Vec<u32>,
    },
    /// R3: sign it.
    Survivors {
        /// Which attempt.
        id: AttemptId,
        /// Places in R1, ascending.
        survivors: Vec<u32>,
        /// Their signatures on H(plan, model, R1, R2), in the same order.
        bindings: Vec<Binding>,
    },
    /// Signatures on R3: reveal.
    Confirmed {
        /// Which attempt.
        id: AttemptId,
        /// Of R3's members.
        confirmed: Vec<Confirmed>,
    },
    /// What others sealed for the receiver: check it, and say whose was bad.
    Delivered {
        /// Which attempt.
        id: AttemptId,
        /// By ascending makers.
        shares: Vec<DeliveredShare>,
    },
}

/// Kinds of failure.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum ErrorCode {
    /// The peer speaks another protocol version.
    Version,
    /// The request can't be read, or does not belong here.
    BadRequest,
    /// The request needs a certificate of this federation.
    NoCertificate,
    /// The join code is wrong, used or expired (which one is not said).
    JoinRefused,
    /// Too many tries; wait.
    TooManyTries,
    /// The shop was revoked or has left.
    NotEnrolled,
    /// There is no such blob.
    NotFound,
    /// The coordinator failed; try again later.
    Internal,
    /// More than the peer may ask for; try again later.
    TooMany,
    /// Too slow while others wait: its place was given to them. What came is kept; go on later.
    TooSlow,
}
