//! Disks, and files that are their owner's only.
//!
//! | module | what |
//! |---|---|
//! | [`disk`] | what stores ask of a disk |
//! | [`private`] | folders 0700, files 0600 |

pub mod disk;
pub mod private;
