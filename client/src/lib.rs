//! The shop's program: takes part in rounds, keeps the ledger, recommends.
//!
//! # Layout
//!
//! | module | what it is for |
//! |---|---|
//! | `commands`, `error` | the command line; failures and their exit codes |
//! | [`config`], [`folder`], [`membership`] | what the owner decides, where things are, which federation |
//! | [`data`], [`interactions`] | the shop's own files, read; its store of what was read |
//! | [`participate`] | the pure machine of rounds |
//! | [`agent`] | the machine with ledger, store and outbox; [`run`] runs it, [`link`] talks for it, with [`link::timeouts`] |
//! | [`training::round_update`], [`training`] | one round's update; plan, data, ledger and outbox around it |
//! | [`masking`] | keys and masks of a masked attempt |
//! | [`ledger`], [`store`] | what must survive a crash |
//! | [`control`], [`control::socket`] | questions and answers, also while `run` is up |
//! | [`backup`], [`membership::recover`], [`link::clock_skew`] | a copy of the folder; a ledger that lost something; two clocks |
//! | [`membership::join`], [`membership::peers`], `commands::doctor` | becoming a member; who the others are; is everything in order? |
//! | `health` | is the shop well, as the doctor and the owner's page say it |
//! | [`data::outgrown`] | more customers than the plan declares: told to the owner, to nobody else |
//! | [`stack`] | ways to score that are fitted in the shop, what they gain from other shops, and how they are kept |
//! | [`recommend`] | lists, reasons, pictures |
//! | [`rules`] | what the owner decides of lists: filters, boosts, pinned and hidden items, stock |
//! | [`events`] | what a web shop reports while it happens, on disk before it is acknowledged |
//! | [`experiment`] | whether lists sell more: customers are dealt to arms, and what they buy is compared |
//! | [`http`] | all of that for a web shop, over HTTP |
//! | [`page`] | all of that for the shop's owner, as a page of the same service |
#![forbid(unsafe_code)]
// Everything goes through souk_common::terminal.
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::ffi::OsString;
use std::process::ExitCode;

pub mod agent;
pub mod backup;
mod commands;
pub mod config;
pub mod control;
pub mod data;
pub mod erasure;
mod error;
pub mod events;
pub mod experiment;
pub mod folder;
pub mod forgotten;
mod health;
pub mod http;
pub mod interactions;
pub mod ledger;
pub mod link;
pub mod masking;
pub mod membership;
pub mod page;
pub mod participate;
pub mod recommend;
pub mod rules;
pub mod run;
pub mod stack;
pub mod store;
pub mod training;

/// Runs the program with `args` (program name excluded).
pub fn run_cli(args: impl Iterator<Item = OsString>) -> ExitCode {
    commands::run(args)
}
