//! What Souk's three programs share.
//!
//! # Layout
//!
//! | module | what it is for |
//! |---|---|
//! | [`ids`], [`hex`], [`clock`], [`rng`] | names, digests, time and randomness, all passed in as arguments |
//! | [`catalogue`], [`dataset`] | the public items of a federation; a shop's private histories, in memory |
//! | [`numeric`], [`model`] | kernels; the recommenders, their parameters, losses and solvers |
//! | [`eval`] | splits, candidates, metrics and baselines |
//! | [`privacy`] | clip, quantise, noise, accountant, ledger, and the gate [`privacy::Privatized`] |
//! | [`round`] | plans, announcements, receipts, manifests: what both sides of a round agree on |
//! | [`secagg`] | masks that cancel in the sum, and what becomes of them when shops drop out |
//! | [`crypto`], [`wire`], [`transport`] | certificates and signatures; bytes; QUIC |
//! | [`config`], [`format`], [`telemetry`] | files people edit; versions of files; logs |
//! | [`disk`], [`private`] | what stores ask of a disk; files that are their owner's only |
//! | [`terminal`] | what is printed can't command a terminal |

pub mod catalogue;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod dataset;
pub mod disk;
pub mod eval;
pub mod format;
pub mod hex;
pub mod ids;
pub mod model;
pub mod numeric;
pub mod privacy;
pub mod private;
pub mod rng;
pub mod round;
pub mod secagg;
pub mod telemetry;
pub mod terminal;
pub mod transport;
pub mod wire;
