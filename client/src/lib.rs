//! The shop's program.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::process::ExitCode;

pub mod data;

pub mod config;
pub mod control;
pub mod folder;
pub mod ledger;
pub mod participate;
pub mod recommend;
pub mod service;
pub mod store;

/// Runs the program with `args` (program name excluded).
pub fn run_cli(_args: impl Iterator<Item = OsString>) -> ExitCode {
    ExitCode::from(64)
}
