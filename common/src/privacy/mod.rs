//! The mechanism: clip one user's whole update, put it on the integer grid, sum, add discrete Gaussian noise, charge
//! the ledger, and only then let it out.
//!
//! | module | step |
//! |---|---|
//! | [`noise`] | drawn before data is read: exact discrete Gaussian on the integers |
//! | [`user_sum`] | clip, scale, truncate, add |
//! | [`ledger`] | the spend is durable before anything leaves |
//! | [`planned`] | what a plan will spend, before anybody has |
//! | [`release`] | [`Privatized`]: the only thing that can be encoded |

pub mod ledger;
pub mod noise;
pub mod planned;
pub mod release;
pub mod user_sum;

pub use ledger::{Charged, Ledger, LedgerError, LedgerSink, MemorySink, SharedNoise, Spend};
pub use noise::NoiseVector;
pub use planned::{FailureCourse, OtherObservers, PlannedSpend, ReleaseBudget};
pub use release::{Privatized, ReleaseError};
pub use user_sum::{PartialSum, Tally, UserSum};
