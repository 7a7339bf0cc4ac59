//! What the operator is answered. Each kind is the object that `--json` prints; moments in words are UTC, to the second.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use souk_common::chain::LogHead;
use souk_common::clock::Timestamp;
use souk_common::crypto::sign::Signed;
use souk_common::ids::{AttemptId, Digest, ShopName};
use souk_common::round::shop_list::ShopList;
use souk_common::round::statements::{DeclineCode, Manifest};
use souk_common::transport::Carrier;

use crate::backup::About;
use crate::engine::OutgrownSum;
use crate::limits::MemoryBound;
use crate::store::{Late, Standing, Traffic};

/// An answer, of the kind that its question asks for.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To `Invite` and `InviteAgain`.
    Invited(Invited),
    /// To `Invitations`.
    Invitations(Invitations),
    /// To `CancelInvitation`.
    Cancelled(Cancelled),
    /// To `Shops`.
    Shops(Shops),
    /// To `SignedShops`.
    SignedShops(Signed<ShopList>),
    /// To `Revoke`.
    Revoked(Revoked),
    /// To `Readmit`.
    Readmitted(Readmitted),
    /// To `Status`.
    Status(Box<Status>),
    /// To `Pause` and `Resume`.
    Paused(Paused),
    /// To `Models`.
    Models(Models),
    /// To `Model`.
    Model(Model),
    /// To `TakeInCatalogue`.
    TakenIn(TakenIn),
    /// To `Rollback`.
    RolledBack(RolledBack),
    /// To `CaRotate`, `CaStatus` and `CaRetire`.
    Authorities(AuthoritiesView),
    /// To `Snapshot`.
    Snapshot(About),
}

/// A new join code.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Invited {
    /// What the shop's owner gets, secret and all.
    pub code: String,
    /// For whom.
    pub shop: ShopName,
    /// Until when it works.
    pub expires_at: Timestamp,
    /// Whether it works with the member's own key only.
    pub for_its_own_key_only: bool,
    /// Earlier codes of that name that worked until now.
    pub codes_ended: u64,
    /// Whether there is a plan and it does not name the shop: it would be a member that takes part in nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_in_plan: bool,
}

/// The codes that work.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Invitations {
    /// One a code.
    pub invitations: Vec<InvitationView>,
}

/// A code that works, without its secret.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct InvitationView {
    /// For whom.
    pub shop: ShopName,
    /// When it was made, if that was kept.
    pub made_at: Option<String>,
    /// Until when it works.
    pub expires_at: String,
    /// Whether it works with the member's own key only.
    pub for_its_own_key_only: bool,
}

/// A name whose codes were ended.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Cancelled {
    /// The name.
    pub cancelled: ShopName,
    /// How many still worked.
    pub codes_ended: u64,
}

/// All who are or were members.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Shops {
    /// By name.
    pub shops: Vec<MemberView>,
}

/// A membership.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct MemberView {
    /// Whose.
    pub name: ShopName,
    /// What is recorded.
    pub membership: MembershipView,
    /// What owners read aloud to each other (`souk-client shops`); none until it is known.
    pub key_fingerprint: Option<Digest>,
    /// Until when its certificate is valid.
    pub certified_until: Option<String>,
    /// By how many seconds its clock was ahead of this one when it last checked in.
    pub clock_ahead_secs: Option<f64>,
    /// Whether that is too much.
    pub clock_is_off: bool,
    /// What carries its connection; none while it is not connected, or `serve` is not up.
    #[serde(default)]
    pub carrier: Option<Carrier>,
}

/// The part of a member's record that people have a use for (see [`crate::store::ShopRecord`]).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct MembershipView {
    /// Of its certificate.
    pub fingerprint: String,
    /// Whether it may take part.
    pub standing: Standing,
    /// When it joined.
    pub enrolled_at: Timestamp,
    /// When it was last connected.
    pub seen_at: Option<Timestamp>,
    /// What it said its program is.
    pub software: String,
    /// Its long-term key, in hexadecimal.
    pub identity: String,
    /// Number of the list of authorities that it said to hold.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub authorities: u64,
    /// By how many milliseconds its clock was ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_ahead_ms: Option<i64>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A membership that was ended.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Revoked {
    /// Whose.
    pub revoked: ShopName,
    /// Whether there was one, not only codes.
    pub was_a_shop: bool,
    /// Codes of that name that still worked.
    pub codes_ended: u64,
}

/// A shop that may take part again.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Readmitted {
    /// Which.
    pub readmitted: ShopName,
}

/// Whether further attempts begin.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Paused {
    /// No.
    pub paused: bool,
}

/// What the run is at.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// No attempt is open.
    Waiting,
    /// One is.
    Running,
    /// The operator lets none begin.
    Paused,
    /// All rounds are published.
    Finished,
}

/// Where the run stands. What only a running `serve` knows is none while none runs.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Status {
    /// Shops that lied in a masked attempt.
    pub left_out: Vec<LeftOut>,
    /// What the shops counted together, if the plan asks for it.
    pub quality: Option<Quality>,
    /// The last sum of this run that showed that a shop has more customers than it declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outgrown: Option<OutgrownSum>,
    /// What a masked attempt waits for.
    pub masked_step: Option<String>,
    /// What it is at.
    pub state: RunState,
    /// Why no attempt begins, while `serve` runs; absent while attempts do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_because: Option<String>,
    /// Rounds that have a model.
    pub rounds_published: u64,
    /// Rounds of the plan; 0: no run was begun.
    pub rounds: u64,
    /// What the next round is of; none after the last one, or before the first run.
    #[serde(default)]
    pub next_round: Option<String>,
    /// Number of the last attempt at the next round; 0 before the first.
    pub attempt: u32,
    /// The current model.
    pub model_hash: Option<Digest>,
    /// The record.
    pub log: LogHead,
    /// Process of the last `serve`; 0: none yet.
    pub process_id: u32,
    /// Where it listened.
    pub listening: Option<String>,
    /// Where it listened for shops without UDP.
    #[serde(default)]
    pub listening_tcp: Vec<String>,
    /// Bytes of QUIC's datagrams from all shops.
    pub bytes_received: u64,
    /// Bytes of QUIC's datagrams to all shops.
    pub bytes_sent: u64,
    /// From the last start of `serve` to the current model.
    pub seconds: f64,
    /// Traffic by shop, certificate and process.
    pub connections: Vec<Traffic>,
    /// Where each shop of the plan stands.
    pub shops: Option<Vec<ShopStatus>>,
    /// Until when the coordinator's own certificate is valid.
    pub certified_until: Option<String>,
    /// Members whose clock was off when they last checked in.
    pub clocks_off: Vec<ShopName>,
    /// The most memory that `serve` takes.
    pub memory_bound: MemoryBound,
}

/// A shop that is left out until `readmit`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct LeftOut {
    /// Which.
    pub shop: ShopName,
    /// Since which attempt.
    pub since: AttemptId,
    /// What it did.
    pub why: String,
}

/// How good a model is, with the noise of the counts.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Quality {
    /// Which model was ranked with.
    pub of_model_of_round: u64,
    /// None when the noise is as large as the count.
    pub hit_rate_at_10: Option<f64>,
    /// Standard deviation that the noise leaves in it.
    pub noise_stddev: Option<f64>,
    /// Users who could be ranked, with noise.
    pub users: f64,
    /// Of those, the hits, with noise.
    pub hits: f64,
    /// Among which items they were ranked: `full`, all of them.
    pub candidates: String,
}

/// Where a shop of the plan stands in the open attempt, or in the last one.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ShopStatus {
    /// Which.
    pub shop: ShopName,
    /// In a word (see [`crate::round::ShopState::word`]).
    pub state: String,
    /// Why it declined.
    pub code: Option<DeclineCode>,
    /// The same in words.
    pub reason: Option<String>,
    /// Of its key.
    pub key_fingerprint: Option<Digest>,
    /// Its last update that came too late.
    pub discarded: Option<Late>,
    /// What carries its connection; none while it is not connected.
    #[serde(default)]
    pub carrier: Option<Carrier>,
}

/// All model versions.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Models {
    /// The oldest first; the last one is current.
    pub models: Vec<ListedModel>,
}

/// A version, and whether its file is kept.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ListedModel {
    /// Number of its run, from 1.
    pub run: u32,
    /// What the coordinator said of it.
    #[serde(flatten)]
    pub manifest: Manifest,
    /// Whether its file is there.
    pub kept: bool,
}

/// A version with its signature.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Model {
    /// Number of its run, from 1.
    pub run: u32,
    /// The coordinator's signed word.
    pub manifest: Signed<Manifest>,
    /// Its file; none of an older version whose file is not kept.
    pub path: Option<PathBuf>,
}

/// What became of an imported catalogue.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TakenIn {
    /// For people.
    pub words: Vec<String>,
}

/// A model that was made current.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RolledBack {
    /// Which.
    pub model_hash: Digest,
}

/// Who certifies whom.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct AuthoritiesView {
    /// Whether one is about to take another's place.
    pub rotating: bool,
    /// Counts rotations and retirements.
    pub number: u64,
    /// Those that count.
    pub authorities: Vec<AuthorityView>,
    /// Members that could not go on without the old one.
    pub dependents: Vec<Dependent>,
    /// To `CaRetire` only: who has to be invited again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_behind: Option<Vec<ShopName>>,
}

/// An authority.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct AuthorityView {
    /// Of its certificate.
    pub fingerprint: Digest,
    /// Until when that is valid.
    pub valid_until: Option<String>,
    /// Whether shops get certificates from it.
    pub certifies_shops: bool,
    /// Whether the coordinator has its own from it.
    pub certifies_the_coordinator: bool,
}

/// A member that depends on the old authority.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Dependent {
    /// Which.
    pub shop: ShopName,
    /// Whether its certificate is by the new one already.
    pub certified_by_the_new_one: bool,
    /// Whether it has said that it knows it.
    pub knows_the_new_one: bool,
    /// When it was last connected.
    pub seen_at: Option<String>,
}
