//! Secure aggregation: the coordinator sees only sums (SecAgg+: Bonawitz et al. 2017; Bell et al. 2020).
//!
//! | step | who says what | bound to |
//! |---|---|---|
//! | 1 | a shop: two X25519 keys and a commitment to its own mask's seed, signed ([`Advertisement`]) | round, attempt, plan, model |
//! | 2 | the coordinator: all of them ([`Roster`], R1) | |
//! | 3 | a shop: shares of seed and mask key, sealed for its neighbours, with its signature on each of them ([`Shares`]) | H(R1) |
//! | 4 | the coordinator: to each shop the shares for it; a shop: whose were bad, without evidence | the makers' signatures |
//! | 5 | the coordinator: whose shares are good enough (R2) | |
//! | 6 | a shop, its ledger charged: the masked update ([`Masks`]), with its signature ([`UploadBinding`]) | H2 = H(plan, model, R1, R2) |
//! | 7 | the coordinator: whose updates are in the sum (R3), and their signatures on H2; a shop, if these are all on its own H2, signs one such list an attempt ([`Confirmation`]) | H(R1, R2, R3) |
//! | 8 | a shop, shown F signatures on the list it signed: a share of the seed of each survivor, of the mask key of each shop that dropped out ([`Revealed`]) | the makers' signatures |
//!
//! What a lying coordinator with t colluding shops can compute is the sum over all honest survivors, and of no fewer; why is
//! at the head of [`terms`], and `souk-sim adversary` tries it for every choice of lists.
//!
//! Byte by byte: `docs/protocol-masking.md`.
//!
//! | module | what |
//! |---|---|
//! | [`shop`], [`masking`], [`coordinator`] | the two halves, without clock or IO |
//! | [`terms`] | thresholds and degrees, and why they suffice |
//! | [`records`] | what is said, and its digests |
//! | [`graph`], [`shamir`], [`tree`], [`secrets`], [`mask`] | neighbours, shares, their hashes, keys, keystreams |

pub mod coordinator;
pub mod graph;
pub mod mask;
pub mod masking;
pub mod records;
pub mod refusal;
pub mod secrets;
pub mod shamir;
pub mod shop;
pub mod terms;
#[cfg(test)]
mod tests;
pub mod tree;

pub use coordinator::{Misfit, Session};
pub use masking::UnmaskSecrets;
pub use records::{
    Advertisement, Binding, Confirmation, Confirmed, Context, DeliveredShare, Revealed, Roster, SealedShare,
    Shares,
};
pub use refusal::Refusal;
pub use shop::{Checked, Keys, KnownKeys, Masks, Sharing};
pub use terms::{MaskingParams, MaskingParamsError, Safeguards};
