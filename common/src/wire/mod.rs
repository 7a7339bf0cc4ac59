//! Bytes between programs: caps, the codec, frames and messages.
//!
//! A frame is a fixed header (magic, protocol version, kind, length) and a bincode body under a cap; big blocks (models,
//! updates) follow a frame as raw little-endian bytes whose length the receiver knew before.

pub mod codec;
pub mod frame;
pub mod messages;
#[cfg(test)]
mod tests;
pub mod update;
