//! The recommenders: what they are made of, how they score, how they learn.
//!
//! One network serves `mf`, `mlp` and `neumf`: an item vector `q_i` (own row plus the rows of its public features)
//! of which the first `gmf_dim` columns meet the user's in a (weighted) dot product and the others enter a tower. A `gan` has
//! a generator's columns behind these ([`gan`]).

pub mod bench;
pub mod config;
pub mod contributions;
pub mod dot_index;
pub mod file;
pub mod gan;
pub mod ials;
pub mod init;
pub mod layout;
mod local;
pub mod network;
pub mod recommender;
mod samples;
pub mod sgd;
pub mod stars;
#[cfg(test)]
mod tests;
pub mod update;
pub mod work;
pub mod workspace;

pub use recommender::{Loaded, Recommender, UserVector};
pub use update::UserUpdate;
