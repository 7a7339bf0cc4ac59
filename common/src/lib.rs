//! What Souk's three programs share.
//!
//! # Layout
//!
//! Top down, each row imports only from rows above it (a test holds the order).
//!
//! | rooms | what they are for |
//! |---|---|
//! | [`ids`], [`hex`], [`chain`], [`clock`], [`rng`] | names, digests, time and randomness, all passed in as arguments |
//! | [`format`], [`config`], [`limits`], [`params`] | versions of files; files people edit; the most that anything may be; numbers that can't be wrong |
//! | [`terminal`], [`telemetry`], [`storage`] | what is printed can't command a terminal; logs; disks, and files that are their owner's only |
//! | [`catalogue`], [`features`], [`dataset`] | the public items of a federation, and what they have in common; a shop's private histories, in memory |
//! | [`numeric`], [`model`] | kernels; the recommenders, their parameters, losses and solvers |
//! | [`eval`], [`channels`], [`stack`] | splits, candidates, ranking and metrics; other ways to score items; their weighted sum, fitted in the shop |
//! | [`accountant`] | what turns rounds into epsilon |
//! | [`update`] | what is summed: integers on a grid |
//! | [`release`] | what one full-batch round teaches: popularity, and which items go together |
//! | [`training`] | what follows the releases under the same budget: an MLP, and a model, that start from them |
//! | [`transfer`] | what a version is worth to another run, or over another catalogue |
//! | [`crypto`] | certificates and signatures |
//! | [`secagg`] | masks that cancel in the sum, and what becomes of them when shops drop out |
//! | [`plan`] | everything the operator fixes for a training run, its checks, and every number that follows from it |
//! | [`learned`] | what a plan's rounds publish, and its files |
//! | [`privacy`] | clip, quantise, noise, ledger, and the release of a [`privacy::Privatized`] |
//! | [`round`] | announcements, receipts, manifests: what both sides of a round say |
//! | [`wire`], [`transport`], [`control`] | bytes; QUIC; the local socket |

pub mod accountant;
pub mod catalogue;
pub mod chain;
pub mod channels;
pub mod clock;
pub mod config;
pub mod control;
pub mod crypto;
pub mod dataset;
pub mod date;
pub mod eval;
pub mod features;
pub mod format;
pub mod hex;
pub mod ids;
pub mod learned;
pub mod limits;
pub mod model;
pub mod numeric;
pub mod params;
pub mod plan;
pub mod privacy;
pub mod release;
pub mod rng;
pub mod round;
pub mod secagg;
pub mod stack;
pub mod storage;
pub mod table;
pub mod task;

pub mod telemetry;
pub mod terminal;
pub mod training;
pub mod transfer;
pub mod transport;
pub mod update;
pub mod wire;
