//! Disks, blobs, and files that are their owner's only.
//!
//! | module | what |
//! |---|---|
//! | [`blobs`] | bytes named by their digest: in files, in memory |
//! | [`disk`] | what stores ask of a disk |
//! | [`private`] | folders 0700, files 0600 |

pub mod blobs;
pub mod disk;
pub mod private;
