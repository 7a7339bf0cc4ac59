//! Attacks on what a plan lets out, one file each.

pub(crate) mod poisoning;
