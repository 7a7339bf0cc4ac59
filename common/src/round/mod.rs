//! What both sides of a round agree on. The two machines live in `souk-coordinator`'s `round` and `souk-client`'s
//! `participate`; this module has no IO, no clock and no randomness.

pub mod shop_list;
pub mod statements;
