//! Certificates, signatures and join codes.
//!
//! | module | what |
//! |---|---|
//! | [`at_rest`] | secrets in a file of their owner's |
//! | [`pki`] | the federation's CA and the certificates it gives |
//! | [`sign`] | the coordinator's signed words |
//! | [`join_code`] | what an invitation says |

pub mod at_rest;
pub mod join_code;
pub mod pki;
pub mod sign;
