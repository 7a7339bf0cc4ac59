//! The recommenders: what they are made of, how they score, how they learn.
//!
//! One network serves `mf`, `mlp` and `neumf`: an item vector `q_i` (own row plus the rows of its public features)
//! of which the first `gmf_dim` columns meet the user's in a (weighted) dot product and the others enter a tower.

pub mod config;
pub mod contributions;
pub mod file;
pub mod ials;
pub mod init;
pub mod layout;
pub mod network;
#[cfg(test)]
mod proofs;
pub mod recommender;
pub mod sgd;
pub mod stream;
pub mod update;
pub mod workspace;

pub use recommender::{Loaded, Recommender, UserVector};
pub use update::UserUpdate;
