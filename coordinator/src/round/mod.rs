//! The coordinator's half of a round, as a pure state machine: `handle(now, event) -> effects`.
//!
//! ```text
//!                 quorum shops connected                      accepted >= quorum, and the deadline
//!                 (and not paused)                            has passed or nobody is waited for
//!   +---------+ ------------------------> +------------+ ----------------------> +------------+
//!   | Waiting |                           | Collecting |                         | Publishing |
//!   +---------+ <------------------------ +------------+ <----- next round ----- +------------+
//!        ^        below quorum at the deadline, or         (or via Waiting)            |
//!        |        no quorum left: new attempt or Paused                                | last round
//!        v        after too many                                                       v
//!   +---------+                                                                  +------------+
//!   | Paused  | <-- the operator, at any time; takes effect between attempts     |  Finished  |
//!   +---------+                                                                  +------------+
//! ```
//!
//! A pause for which shops are the reason heals (`heal`); any other is the operator's to end.
//!
//! The driver carries out the effects in their order and feeds back what came of them. An update is counted only once
//! the driver has said that it is durable ([`Event::Recorded`]), so a receipt never promises what a crash can take back.

mod attempt;
mod ending;
mod heal;
mod machine;
mod masking;
mod pause;
#[cfg(test)]
mod tests;

use std::time::Duration;

use souk_common::clock::Timestamp;
use souk_common::ids::{AttemptId, Digest, ShopName};
use souk_common::plan::Plan;
use souk_common::round::statements::{Decision, DeclineCode, Outcome, RejectCode, UploadHeader};
use souk_common::secagg::MaskingParams;

pub use machine::{Machine, OpenAttempt, Phase, Restored};
pub use masking::RestoredStep;
pub use pause::PauseReason;

/// What the machine needs of a plan.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The shops of the plan, in its order.
    pub shops: Vec<ShopName>,
    /// Least accepted updates to publish.
    pub quorum: usize,
    /// How long an attempt lasts.
    pub deadline: Duration,
    /// Attempts at one round before the run pauses.
    pub attempts: u32,
    /// Rounds to publish.
    pub rounds: u64,
    /// The round of the plan's last release: a charged attempt at it that fails leaves nothing for another one.
    pub last_release: Option<u64>,
    /// Length of an update in bytes, by round; the last is that of all rounds that follow.
    pub update_bytes: Vec<u64>,
    /// Whether updates are masked, and how long each step of that may take.
    pub masking: Option<MaskRules>,
}

/// What the machine needs of a plan's masking.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MaskRules {
    /// How long keys, shares, signatures and unmasking may take, each.
    pub step: Duration,
    /// The numbers that follow from how many shops there are.
    pub terms: MaskingParams,
}

impl Rules {
    /// Of `plan`, with updates of `update_bytes` by round.
    pub fn of(plan: &Plan, update_bytes: Vec<u64>) -> Self {
        Self {
            shops: plan.shops.iter().map(|terms| terms.name.clone()).collect(),
            quorum: plan.cohort.quorum,
            deadline: plan.cohort.deadline,
            attempts: plan.cohort.attempts,
            rounds: plan.rounds,
            last_release: (plan.is_of_releases() && plan.privacy.enabled).then_some(plan.rounds),
            update_bytes,
            masking: plan
                .masking
                .as_ref()
                .zip(plan.masking_params())
                .map(|(masking, terms)| MaskRules {
                    step: masking.step,
                    terms,
                }),
        }
    }

    /// Length of an update for `round`, from 1.
    pub(crate) fn update_bytes_at(&self, round: u64) -> u64 {
        let index = usize::try_from(round.saturating_sub(1)).unwrap_or(usize::MAX);
        let last = self.update_bytes.last().copied().unwrap_or(0);
        self.update_bytes.get(index).copied().unwrap_or(last)
    }

    /// Least updates with which an attempt of a roster of `shops` can be published: the quorum, and under masks what it takes
    /// to unmask.
    pub(crate) fn least_survivors(&self, shops: usize) -> usize {
        let masked = self
            .masking
            .map_or(0, |masking| masking.terms.least_survivors(shops));
        self.quorum.max(masked)
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The driver is ready: once, before anything else.
    Started,
    /// A shop asked to be told of rounds. It may have been connected before.
    Connected(ShopName),
    /// A shop's connection ended.
    Disconnected(ShopName),
    /// A shop was revoked or has left: it takes part in nothing any more.
    Revoked(ShopName),
    /// A shop was enrolled (again).
    Enrolled(ShopName),
    /// A shop answered an announcement.
    Answered {
        /// Which shop.
        shop: ShopName,
        /// Which attempt.
        id: AttemptId,
        /// How.
        answer: Decision,
    },
    /// A shop accepted a masked attempt, with keys that fit.
    Advertised {
        /// Which shop.
        shop: ShopName,
        /// Which attempt.
        id: AttemptId,
    },
    /// A shop's shares for its neighbours are here, and fit.
    Shared {
        /// Which shop.
        shop: ShopName,
        /// Which attempt.
        id: AttemptId,
    },
    /// A shop has looked at the shares that were passed on to it.
    Checked {
        /// Which shop.
        shop: ShopName,
        /// Which attempt.
        id: AttemptId,
    },
    /// R2 is fixed, as [`Effect::FixSharers`] asks for.
    SharersFixed {
        /// Which attempt.
        id: AttemptId,
        /// Its members.
        sharers: Vec<ShopName>,
    },
    /// What it signed shows that a shop lied: it takes part in nothing until the operator lets it back.
    Named(ShopName),
    /// The operator lets a shop back.
    Readmitted(ShopName),
    /// A shop signed the list of survivors.
    Confirmed {
        /// Which shop.
        shop: ShopName,
        /// Which attempt.
        id: AttemptId,
    },
    /// A shop gave its shares.
    Revealed {
        /// Which shop.
        shop: ShopName,
        /// Which attempt.
        id: AttemptId,
        /// Whether all shares together are enough to unmask.
        enough: bool,
    },
    /// The sum could not be unmasked, though the shares seemed enough.
    NotUnmasked(AttemptId),
    /// A shop offers an update.
    UploadOffered {
        /// Which shop.
        shop: ShopName,
        /// What.
        upload: UploadHeader,
    },
    /// An update has arrived whole, and its digest is the header's.
    UploadArrived {
        /// Which shop.
        shop: ShopName,
        /// What.
        upload: UploadHeader,
    },
    /// The driver did what [`Effect::Record`] asks for.
    Recorded {
        /// Which shop.
        shop: ShopName,
        /// What.
        upload: UploadHeader,
    },
    /// The model that the sum makes is not finite.
    NotFinite(AttemptId),
    /// An offered update did not arrive, had another digest, or could not be recorded.
    UploadFailed {
        /// Which shop.
        shop: ShopName,
        /// Which attempt.
        id: AttemptId,
    },
    /// The timer that was set has gone off (too early does no harm).
    Timer,
    /// The driver did what [`Effect::Publish`] asks for.
    Published(AttemptId),
    /// The operator wants no further attempt to begin.
    Pause,
    /// The operator lets the run go on, with a fresh number of attempts at the round.
    Resume,
}

/// Where a shop of the plan stands in the open attempt or, between attempts, in the last one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ShopState {
    /// Not connected, and nothing was heard of it.
    Away,
    /// Connected, and it has not answered yet.
    Asked,
    /// It trains, or its update is on its way.
    Accepted,
    /// What it signed shows that it lied in a masked attempt: it is left out until the operator lets it back.
    Named,
    /// It declined.
    Declined(DeclineCode),
    /// Its update is counted.
    Counted,
}

impl ShopState {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Asked => "connected",
            Self::Accepted => "accepted",
            Self::Named => "left out: it lied",
            Self::Declined(_) => "declined",
            Self::Counted => "counted",
        }
    }
}

/// What the driver has to do, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Make durable that an attempt is open.
    Open {
        /// Which.
        id: AttemptId,
        /// When it ends.
        deadline: Timestamp,
    },
    /// Tell these shops of the open attempt.
    Announce {
        /// Which.
        id: AttemptId,
        /// Whom.
        shops: Vec<ShopName>,
    },
    /// Fix R1 of a masked attempt, durably: these shops; then tell them.
    FixRoster {
        /// Which.
        id: AttemptId,
        /// Whose keys are here, in the plan's order.
        shops: Vec<ShopName>,
    },
    /// Pass on to each shop the shares that are here for it.
    DeliverShares {
        /// Which.
        id: AttemptId,
    },
    /// Fix R2, durably: all whose shares are good enough; send [`Event::SharersFixed`], and tell them.
    /// Of fewer than `least` shops nobody is told: then the attempt ends before anything is charged.
    FixSharers {
        /// Which.
        id: AttemptId,
        /// Fewer can't be unmasked or published.
        least: usize,
    },
    /// Fix R3, durably: these shops, whose updates are in the sum; then tell them.
    FixSurvivors {
        /// Which.
        id: AttemptId,
        /// In the plan's order, with the digests of their updates.
        accepted: Vec<(ShopName, Digest)>,
    },
    /// Show these survivors all signatures on R3.
    ShowConfirmations {
        /// Which.
        id: AttemptId,
        /// Those who signed.
        shops: Vec<ShopName>,
    },
    /// Tell a shop that came back all of a masked attempt's lists that concern it.
    Repeat {
        /// Which.
        id: AttemptId,
        /// Whom.
        shop: ShopName,
    },
    /// Send [`Event::Timer`] then.
    SetTimer(Timestamp),
    /// Take in the bytes of the update that the shop offered, then send [`Event::UploadArrived`] or
    /// [`Event::UploadFailed`].
    Receive {
        /// Which shop.
        shop: ShopName,
        /// What.
        upload: UploadHeader,
    },
    /// Make the arrived update and its receipt durable and add it to the sum, then send [`Event::Recorded`] or
    /// [`Event::UploadFailed`].
    Record {
        /// Which shop.
        shop: ShopName,
        /// What.
        upload: UploadHeader,
    },
    /// Send the shop the receipt that was recorded for this update.
    Receipt {
        /// Which shop.
        shop: ShopName,
        /// For what.
        upload: UploadHeader,
    },
    /// Tell the shop that its offer, or what arrived, is not counted.
    Reject {
        /// Which shop.
        shop: ShopName,
        /// Which attempt it meant.
        id: AttemptId,
        /// Why.
        code: RejectCode,
    },
    /// Unmask the sum if it is masked, make and publish the next model, then send [`Event::Published`]; if it can't be
    /// unmasked, [`Event::NotUnmasked`]; if the model is not finite, [`Event::NotFinite`].
    Publish {
        /// Which attempt made it.
        id: AttemptId,
        /// Whose updates are counted, in the plan's order, with their digests.
        accepted: Vec<(ShopName, Digest)>,
    },
    /// The attempt ended below quorum: record that and forget its sum.
    Abandon {
        /// Which.
        id: AttemptId,
        /// Counted updates.
        accepted: usize,
        /// The plan's quorum.
        quorum: usize,
        /// Survivors and how many of them gave their shares, if that is where it failed.
        unmasking: Option<(usize, usize)>,
        /// Whether vectors may have left their shops: under masks none does before R2 is fixed.
        charged: bool,
    },
    /// No attempt begins until the reason is gone or the operator says so.
    Paused(PauseReason),
    /// What the run stood still for is gone: it goes on by itself.
    WentOn {
        /// The attempt that comes next.
        id: AttemptId,
        /// Why it stood still.
        reason: PauseReason,
    },
    /// The last round is published.
    Finish,
}

/// How an attempt ended that [`Effect::Abandon`] tells of, in the words that are signed.
pub fn without_model(accepted: usize, quorum: usize, unmasking: Option<(usize, usize)>) -> Outcome {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    match unmasking {
        Some((survivors, revealed)) => Outcome::NotUnmasked {
            survivors: number(survivors),
            revealed: number(revealed),
        },
        None => Outcome::BelowQuorum {
            accepted: number(accepted),
            quorum: number(quorum),
        },
    }
}
