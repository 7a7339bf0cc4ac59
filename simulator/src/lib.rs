//! The auditor's program: a whole federation on one machine, evaluation, epsilon, benchmarks.
//!
//! # Layout
//!
//! | module | command |
//! |---|---|
//! | [`split`] | `split`: a data set cut into shops' folders |
//! | [`synthetic`] | the made-up market behind `demo` and `split --synthetic` |
//! | [`bench`] | `bench`: the project's own figures as shares of what the machine can do |
//! | [`fuzz`] | `fuzz`: every decoder, fed with damaged and random inputs |
//! | [`demo`] | `demo`: a coordinator and five shops as real processes |
//! | [`chaos`] | `chaos`: the same processes, killed again and again |
//! | [`verify`] | `verify`: a federation's records, checked offline |
//! | [`adversary`] | `adversary`: what a lying coordinator can compute of honest updates |
//! | [`storm`] | `storm`: federations in which everything goes wrong |
//! | [`soak`] | `soak`: a day of a coordinator with many shops on bad lines |
//! | [`netsim`] | virtual time and datagrams under the programs as they are |
//! | [`evaluate`], [`simulate`] | `evaluate`, `simulate`: a federation in this process, on virtual time ([`world`]) |
// In one module only, `storm/entropy.rs`.
#![deny(unsafe_code)]

use std::ffi::OsString;
use std::process::ExitCode;

pub mod adversary;
mod alone;
mod args;
pub mod bench;
pub mod chaos;
mod check;
pub mod demo;
pub mod epsilon;
pub mod evaluate;
mod folders;
pub mod fuzz;
pub mod netsim;
mod personal;
mod processes;
pub(crate) mod queue;
pub mod simulate;
pub mod soak;
pub mod split;
mod storm;
pub mod synthetic;
mod template;
pub mod verify;
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
        _ => args::run(args),
    }
}
