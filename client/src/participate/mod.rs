//! What a shop does in rounds, as a pure machine: `handle(now, event) -> effects`.
//!
//! | module | what |
//! |---|---|
//! | [`events`] | what happens, and what is done about it |
//! | `fetching` | the part of it that has plans, catalogues and models fetched |
//! | [`machine`] | the machine: from an announcement to a receipt |
//! | [`masking`] | what masked attempts have beside that: keys, lists, secrets |
//! | [`memory`] | what has to survive a crash, as read back from the shop's store |
//! | [`policy`] | the shop's own rules: accept, or decline with a reason |
//! | `readiness` | what was declined for is gone |
//! | [`refusals`] | all that the rules have against an attempt, for the owner |
//!
//! The order that keeps the promise: noise and draw, masks, ledger (durable), outbox (durable), upload. A retry sends the
//! outbox's bytes again; an attempt that was charged is never computed a second time.

pub mod events;
mod fetch;
pub mod machine;
pub mod masking;
pub mod memory;
pub mod policy;
mod readiness;
pub mod refusals;
#[cfg(test)]
mod tests;

pub use events::{Blob, BlobKind, Effect, Event, Note};
pub use machine::Machine;
pub use masking::{MaskEffect, MaskEvent};
pub use memory::{AttemptKey, Memory, Pending};
pub use policy::{Consideration, MaskingOffered, Policy};
pub use readiness::ready_word;
pub use refusals::decide;
