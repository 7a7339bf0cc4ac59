//! The shop's store of interactions: what was imported of the shop's sources, which everything that trains, recommends or
//! measures reads.
//!
//! | module | what |
//! |---|---|
//! | `segment` | files of interactions, by column, named by their digest |
//! | [`manifest`] | which of them make up the store, and of which version of which source |
//! | `source` | what `shop.toml` and the owner name |
//! | `rows` | files of any kind, opened |
//! | [`import`] | bringing the store up to date, one transaction a source |
//! | [`outcome`] | what came of that |
//! | [`read`] | the store as histories over a catalogue |
//! | [`unmatched`] | what is in it that the catalogue does not have |
//! | `rewrite` | what leaves it without its sources being read again: forgotten customers, and what is too old |
//! | [`erase`] | its end |
//! | [`refresh`] | both, for whoever needs the shop's data as they are now |

pub mod erase;
pub mod import;
pub mod manifest;
pub mod outcome;
#[cfg(test)]
mod overlaps;
pub mod read;
pub mod refresh;
pub(crate) mod rewrite;
mod rows;
mod segment;
mod source;
#[cfg(test)]
mod tests;
pub mod unmatched;

use std::io;
use std::path::{Path, PathBuf};

use crate::forgotten::ForgottenError;

/// Why the store is of no use.
#[derive(Debug, thiserror::Error)]
pub enum InteractionsError {
    /// Somebody else imports.
    #[error("another souk-client imports into this folder now: try again when it is done")]
    Busy,
    /// The manifest is damaged.
    #[error(
        "{} is damaged: remove the folder it is in, and `souk-client import` reads every source again",
        path.display()
    )]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// Nobody knows who was forgotten.
    #[error(transparent)]
    Forgotten(#[from] ForgottenError),
    /// A segment is damaged or gone.
    #[error(
        "{} of the store of interactions is damaged ({source}): remove it, and `souk-client import` reads {name} again",
        path.display()
    )]
    Segment {
        /// The file.
        path: PathBuf,
        /// The source that it is of.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// Of the disk.
    #[error("{}: the store of interactions can't be read or written", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl InteractionsError {
    /// That a segment can't be read: it is damaged or gone, or the disk fails.
    fn of_segment(path: &Path, name: &str, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::NotFound => Self::Segment {
                path,
                name: name.to_owned(),
                source,
            },
            _ => Self::Disk { path, source },
        }
    }
}
