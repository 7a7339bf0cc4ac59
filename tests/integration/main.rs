//! Tests across programs, over real sockets on loopback.

mod disk;
mod federation;
mod hostile;
mod ledger;
mod limits;
mod masked;
mod policy;
mod verify;
