//! Secure aggregation: the coordinator sees only sums (SecAgg+: Bonawitz et al. 2017; Bell et al. 2020).
//!
//! | step | who says what | bound to |
//! |---|---|---|
//! | 1 | a shop: two X25519 keys and a commitment to its own mask's seed, signed ([`Advertisement`]) | round, attempt, plan, model |
//! | 2 | the coordinator: all of them ([`Roster`], R1) | |
//! | 3 | a shop: shares of seed and mask key, sealed for its neighbours ([`Shares`]) | H(R1) |
//! | 4 | the coordinator: whose shares arrived (R2), and to each shop the shares for it | |
//! | 5 | a shop, its ledger charged: the masked update ([`Masks`]) | H(plan, model, R1, R2) |
//! | 6 | the coordinator: whose updates are in the sum (R3); a shop signs one such list an attempt ([`Confirmation`]) | H(R1, R2, R3) |
//! | 7 | a shop, shown enough signatures on the list it signed: a share of the seed of each survivor, of the mask key of each shop that dropped out ([`Revealed`]) | |
//!
//! Byte by byte: `docs/protocol-masking.md`.
//!
//! | module | what |
//! |---|---|
//! | [`shop`], [`coordinator`] | the two halves, without clock or IO |
//! | [`terms`] | thresholds and degrees, and why they suffice |
//! | [`records`] | what is said, and its digests |
//! | [`graph`], [`shamir`], [`secrets`], [`mask`] | neighbours, shares, keys, keystreams |

pub mod coordinator;
pub mod graph;
pub mod mask;
pub mod records;
pub mod secrets;
pub mod shamir;
pub mod shop;
pub mod terms;

pub use coordinator::{Misfit, Session};
pub use records::{Advertisement, Confirmation, Confirmed, Context, Revealed, Roster, SealedShare, Shares};
pub use shop::{Acquaintance, Keys, Masking, Masks, Refusal, Sharing};
pub use terms::{Terms, TermsError};

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod proofs;
#[cfg(test)]
mod vectors;
