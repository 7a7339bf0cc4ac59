//! Many light shops against a real coordinator.
//!
//! | module | what |
//! |---|---|
//! | [`raw_shops`] | shops that send what `bench` wants sent |
//! | [`shop`] | a shop on a bad line, for `soak` |
//! | [`gauge`] | what the coordinator's memory does meanwhile |

pub(crate) mod gauge;
pub(crate) mod raw_shops;
pub(crate) mod shop;
