//! Releases: what a federation learns in one full-batch round each (every user, q = 1).
//!
//! A release is the noised sum of one vector a user, of length at most 1; all that is made of the sum is post-processing.
//!
//! | module | what |
//! |---|---|
//! | [`history`] | what of a user's history goes in |
//! | [`popularity`] | the first release: how much each item is bought |
//! | [`map`] | what the second is seen through |
//! | [`collaborative`] | the second: which items go together, seen through a public map |
//! | [`views`] | what a shop scores with after them |
//! | [`schedule`] | which releases, and how much of the privacy budget each attempt takes |
//! | [`state`], [`file`] | what is published after each, made and verified; its bytes |

pub mod collaborative;
pub mod file;
pub mod history;
pub mod map;
pub mod popularity;
pub mod schedule;
pub mod state;
pub mod views;

#[cfg(test)]
mod vectors;

pub use history::{ReleaseHistory, for_release};
pub use schedule::{ReleaseKind, Schedule};
pub use state::{NoisedSum, PublicParameters, Released};

/// Length that users' vectors are given: rounding to f32 must not carry them over 1.
const LENGTH: f64 = 1.0 - 1.0 / (1u64 << 21) as f64;
