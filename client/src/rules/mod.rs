//! Rules that the owner writes: between scores and lists.
//!
//! | module | what |
//! |---|---|
//! | [`file`] | `rules.toml`, understood |
//! | [`expression`] | conditions over an item's fields |
//! | [`in_force`] | which rules hold while the file changes, or makes no sense |
//! | [`edit`] | its text, as the owner's page replaces it |
//! | [`item_states`] | stock, prices and hidden items, as the web shop says them |
//! | [`feed`] | product feeds, which say the same of many items at once |
//! | [`compiled`] | rules over a catalogue: bits and shifts |
//! | [`arrange`] | from scores to a list |

pub mod arrange;
pub mod compiled;
pub mod edit;
pub mod expression;
pub mod feed;
pub mod file;
pub mod in_force;
pub mod item_states;
#[cfg(test)]
mod tests;
