//! Who is a member, and how one becomes it.
//!
//! | module | what |
//! |---|---|
//! | [`registry`] | the members, for the session of each connection |
//! | [`invitations`], [`desk`], [`tries`] | one-time codes; who shows one; how often one may be tried |
//! | [`authorities`] | the certificate authorities, and how another takes its place |

pub mod authorities;
mod desk;
mod invitations;
pub mod registry;
mod tries;
