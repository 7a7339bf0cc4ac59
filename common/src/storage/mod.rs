//! Disks, blobs, and files that are their owner's only.
//!
//! | module | what |
//! |---|---|
//! | [`blobs`] | bytes named by their digest: in files, in memory |
//! | [`disk`] | what stores ask of a disk |
//! | [`patience`] | a store that another program has open |
//! | [`private`] | folders 0700, files 0600 |

pub mod blobs;
pub mod disk;
pub mod patience;
pub mod private;

use std::io;
use std::path::Path;

/// Writes a file on this machine's disk so that after a crash it is there whole, as it was before, or not at all. A `secret`
/// that could not be written whole is written over before it is removed.
///
/// # Errors
/// Of the file system; what was there before is there then.
pub fn write_whole(path: &Path, bytes: &[u8], secret: bool) -> io::Result<()> {
    disk::write_whole(&disk::SystemDisk, path, bytes, secret)
}
