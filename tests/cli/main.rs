//! Tests of the command lines.

mod client;
mod coordinator;
mod refusals;
mod simulator;
