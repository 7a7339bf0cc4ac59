//! Tests of the command lines.

mod client;
mod simulator;
