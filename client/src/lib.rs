//! The shop's program: takes part in rounds, keeps the ledger, recommends.
//!
//! # Layout
//!
//! | module | what it is for |
//! |---|---|
//! | [`args`] | the command line |
//! | [`config`], [`folder`], [`membership`] | what the owner decides, where things are, which federation |
//! | [`data`] | the shop's own files |
//! | [`participate`] | the pure machine of rounds |
//! | [`agent`] | the machine with ledger, store and outbox; [`driver`] runs it, [`uplink`] talks for it, with [`patience`] |
//! | [`train`], [`workshop`] | one round's update; plan, data, ledger and outbox around it |
//! | [`masked`] | keys and masks of a masked attempt |
//! | [`ledger`], [`store`] | what must survive a crash |
//! | [`service`], [`control`] | questions and answers, also while `run` is up |
//! | [`backup`], [`recover`], [`skew`] | a copy of the folder; a ledger that lost something; two clocks |
//! | [`join`], [`shops`], [`doctor`] | becoming a member; who the others are; is everything in order? |
//! | [`outgrown`] | more customers than the plan declares: told to the owner, to nobody else |
//! | [`recommend`] | lists, reasons, pictures |
#![forbid(unsafe_code)]
// Everything goes through souk_common::terminal.
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::ffi::OsString;
use std::process::ExitCode;

pub mod agent;
mod args;
pub mod backup;
pub mod config;
pub mod control;
pub mod data;
mod date;
pub mod doctor;
pub mod driver;
pub mod folder;
pub mod join;
pub mod ledger;
pub mod masked;
pub mod membership;
pub mod outgrown;
pub mod participate;
pub mod patience;
pub mod recommend;
pub mod recover;
pub mod service;
pub mod shops;
pub mod skew;
pub mod store;
pub mod train;
pub mod uplink;
pub mod workshop;

/// Runs the program with `args` (program name excluded).
pub fn run_cli(args: impl Iterator<Item = OsString>) -> ExitCode {
    args::run(args)
}
