//! What the tests across programs share.

pub mod federation;
pub mod hostile;
pub mod relay;
pub mod spender;
