//! Tests across programs, over real sockets on loopback.

mod agent;
mod disk;
mod federation;
mod golden;
mod hostile;
mod ledger;
mod limits;
mod masked;
mod policy;
mod service_manager;
mod verify;
