//! The auditor's program: a whole federation on one machine, evaluation, epsilon, benchmarks.
//!
//! # Layout
//!
//! | module | command |
//! |---|---|
//! | [`data::split`] | `split`: a data set cut into shops' folders |
//! | [`data::synthetic`] | the made-up market behind `demo` and `split --synthetic` |
//! | [`bench`] | `bench`: the project's own figures as shares of what the machine can do |
//! | [`fuzz`] | `fuzz`: every decoder, fed with damaged and random inputs |
//! | [`demo`] | `demo`: a coordinator and five shops as real processes |
//! | [`chaos`] | `chaos`: the same processes, killed again and again |
//! | [`commands::verify`] | `verify`: a federation's records, checked offline |
//! | [`audit`] | `audit`: a plan attacked and measured, a signed report |
//! | [`adversary`] | `adversary`: what a lying coordinator can compute of honest updates |
//! | [`commands::storm`] | `storm`: federations in which everything goes wrong |
//! | [`commands::soak`] | `soak`: a day of a coordinator with many shops on bad lines |
//! | [`virtual_net`] | virtual time and datagrams under the programs as they are |
//! | [`evaluate`], [`simulate`] | `evaluate`, `simulate`: a federation in this process, on virtual time ([`world`]) |
// In one module only, `cluster/entropy.rs`.
#![deny(unsafe_code)]
// Everything goes through souk_common::terminal, which knows what to do when the reader has gone.
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::ffi::OsString;
use std::process::ExitCode;

pub mod adversary;
pub mod audit;
pub mod bench;
pub mod chaos;
mod check;
mod cluster;
pub mod commands;
pub mod data;
pub mod demo;
mod error;
pub mod evaluate;
pub mod fuzz;
pub mod load;
mod processes;
pub mod simulate;
pub mod virtual_net;
mod world;

/// Runs the program with `args` (program name excluded).
///
/// `coordinator ...` and `client ...` run the two other programs, so that `demo` needs no second executable.
pub fn run_cli(args: impl Iterator<Item = OsString>) -> ExitCode {
    let mut args = args.peekable();
    match args.peek().and_then(|name| name.to_str()) {
        Some("coordinator") => {
            processes::end_with_parent();
            souk_coordinator::run_cli(args.skip(1))
        }
        Some("client") => {
            processes::end_with_parent();
            souk_client::run_cli(args.skip(1))
        }
        _ => commands::run(args),
    }
}
