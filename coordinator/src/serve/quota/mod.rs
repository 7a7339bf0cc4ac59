//! How much of the coordinator each shop may use.
//!
//! | module | what |
//! |---|---|
//! | [`slots`] | room for requests and transfers |
//! | [`newest`] | of a connection's requests only the newest goes on |
//! | [`rates`] | how often |
//! | [`push_queue`] | what waits to be said |

pub(crate) mod newest;
pub(crate) mod push_queue;
pub(crate) mod rates;
pub(crate) mod slots;
