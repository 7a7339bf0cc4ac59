//! Tests of the command lines.

mod bench;
mod chaos;
mod client;
mod coordinator;
mod operator;
mod pipes;
mod refusals;
mod releases;
mod shops;
mod simulator;
