//! Who is a member, and how one becomes it.
//!
//! | module | what |
//! |---|---|
//! | [`registry`] | the members, for the session of each connection |
//! | [`join_codes`], [`enrolment`], [`tries`] | one-time codes; who shows one; how often one may be tried |
//! | [`authorities`] | the certificate authorities, and how another takes its place |

pub mod authorities;
mod enrolment;
mod join_codes;
pub mod registry;
mod tries;
