//! The mechanism: clip one user's whole update, put it on the integer grid, sum, add discrete Gaussian noise, charge
//! the ledger, and only then let it out.
//!
//! | module | step |
//! |---|---|
//! | [`params`] | numbers that can't be wrong |
//! | [`noise`] | drawn before data is read: exact discrete Gaussian on the integers |
//! | [`sum`] | clip, scale, truncate, add |
//! | [`ledger`] | the spend is durable before anything leaves |
//! | [`gate`] | [`Privatized`]: the only thing that can be encoded |
//! | [`accountant`] | what turns spends into epsilon |

pub mod accountant;
pub mod gate;
pub mod ledger;
pub mod noise;
pub mod params;
pub mod sum;

pub use gate::{GateError, Privatized, Update, UpdateValues};
pub use ledger::{Charged, Ledger, LedgerError, LedgerSink, MemorySink, SharedNoise, Spend};
pub use noise::NoiseVector;
pub use sum::{PartialSum, Tally, UserSum};
