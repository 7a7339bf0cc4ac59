//! Tests of the command lines.

mod bench;
mod chaos;
mod client;
mod coordinator;
mod refusals;
mod shops;
mod simulator;
