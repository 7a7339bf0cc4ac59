//! What the tests across programs share.

pub mod federation;
pub mod hostile;
pub mod proxy;
pub mod relay;
pub mod spender;
