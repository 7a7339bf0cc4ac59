//! Tests across programs, over real sockets on loopback.

mod ads;
mod agent;
mod disk;
mod enrolment;
mod federation;
mod golden;
mod hostile;
mod http;
mod ledger;
mod limits;
mod lists;
mod masked;
mod policy;
mod private;
mod ratings;
mod releases;
mod rollback;
mod service_manager;
mod storefront;
mod terminal;
mod tunnel;
mod verify;
