//! Tests of the command lines.

mod audit;
mod bench;
mod chaos;
mod client;
mod coordinator;
mod import;
mod operator;
mod pipes;
mod refusals;
mod releases;
mod shops;
mod simulator;
