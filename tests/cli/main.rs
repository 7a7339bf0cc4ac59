//! Tests of the command lines.

mod bench;
mod client;
mod coordinator;
mod refusals;
mod shops;
mod simulator;
