//! Tests of the command lines.

mod bench;
mod client;
