//! Why a run stands still, and what to do about it.

use serde::{Deserialize, Serialize};

/// Why no attempt begins.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// The operator said so.
    Operator,
    /// The plan's number of attempts at one round is used up.
    Attempts,
    /// So many shops declined that another attempt could only cost the others privacy.
    Declined,
    /// The updates of an attempt made a model that is not finite: so would those of another.
    NotFinite,
    /// The last release of the plan was charged, and failed: nothing is left of its privacy budget.
    Spent,
}

impl PauseReason {
    /// The reason in words, with what to do.
    pub fn words(self) -> &'static str {
        match self {
            Self::Operator => "the operator paused the run; `resume` lets it go on",
            Self::Attempts => {
                "all attempts at this round ended below quorum; it goes on by itself when a shop that was missing is back, or see to \
                 the shops, then `resume`"
            }
            Self::NotFinite => {
                "the updates would make a model that is not finite, so nothing was published; look at the plan's learning \
                 rates, begin a new plan, or `rollback` and `resume`"
            }
            Self::Spent => {
                "the attempt at the plan's last release was charged and failed: nothing is left of the plan's privacy budget, so \
                 this run has no further attempt; what was released before stays, and a new plan has a new budget"
            }
            Self::Declined => {
                "so many shops declined that no quorum can be reached; it goes on by itself when enough of them are ready (`status` \
                 says why each declined), or `resume`"
            }
        }
    }

    /// What is gone when the run goes on by itself.
    pub fn words_when_gone(self) -> &'static str {
        match self {
            Self::Attempts => "a shop that was missing is back",
            Self::Declined => "enough of the shops that declined are ready now",
            Self::Operator | Self::NotFinite | Self::Spent => "the operator resumed the run",
        }
    }
}
