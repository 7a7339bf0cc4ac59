//! The operator's program: runs a federation of shops.
//!
//! # Layout
//!
//! | module | what it is for |
//! |---|---|
//! | [`round`] | the coordinator's half of a round, a pure state machine |
//! | [`masking`] | its side of a masked attempt: lists, and what shops are told of them |
//! | [`aggregate`] | the sum of the updates and the step it makes |
//! | [`engine`] | carries out the machine's effects on store and model |
//! | [`session`] | the dialogue of requests and replies, without IO |
//! | [`store`] | records and content-addressed files |
//! | [`verify`] | a federation's records, checked from its folder alone |
//! | [`serve`], [`folder`] | sockets; the federation's folder |
//! | [`control`] | what the operator asks and is answered, whether `serve` runs or not |
//! | [`limits`] | what peers may make it hold and do |
//! | [`membership::registry`], [`membership::authorities`] | invitations and memberships; the certificate authorities |
//! | [`backup`] | a copy of the folder that can be put in its place |
//! | [`import`] | a catalogue from a CSV file |
//! | `commands`, `error` | the command line; its failures and their exit codes |
#![forbid(unsafe_code)]
// Everything goes through souk_common::terminal.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod aggregate;
pub mod backup;
mod commands;
pub mod control;
pub mod engine;
mod error;
pub mod folder;
pub mod import;
pub mod limits;
pub mod masking;
pub mod membership;
pub mod round;
pub mod serve;
pub mod session;
pub mod store;
pub mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the program with `args` (program name excluded).
pub fn run_cli(args: impl Iterator<Item = OsString>) -> ExitCode {
    commands::run(args)
}
