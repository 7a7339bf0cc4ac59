//! Is a recommender any good: splits, candidates, ranks, metrics, and the baselines that everything stands beside.
//!
//! The protocol, the same for every model: per user by time, the latest item is for testing, the one before it for
//! validation, the rest for training ([`split`]). 99 items that the user never touched are drawn once for each of the
//! two ([`candidates`]). A [`Scorer`] gives scores; [`evaluate`] turns them into ranks and [`Metrics`] in one of three
//! [`View`]s that are always reported together.

pub mod candidates;
pub mod clicks;
pub mod expected;
pub mod k_core;
pub mod metrics;
pub mod next_visit;
pub mod ranking;
pub mod split;

pub use candidates::Candidates;
pub use clicks::ClickMetrics;
pub use expected::expected_hit;
pub use k_core::k_core;
pub use metrics::Metrics;
pub use next_visit::next_visit;
pub use ranking::{Scorer, Target, View, evaluate, evaluate_users};
pub use split::{HeldOut, Split, leave_last_two_out};
