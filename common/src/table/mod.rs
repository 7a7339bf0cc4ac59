//! Tables of text, read a row at a time: what every file that a person hands over is read with, in all programs alike.
//!
//! How a file is written (its encoding, line ends and delimiter) is told from its start and its header and never from its
//! rows: rows are customers', and what one of them holds must not change what the others say. For the same reason a row
//! of a file about customers is one line, whatever it holds: if a quoted field could go on to the next line, an odd quote
//! in one customer's line would swallow lines of others. Files of items are public; there a quoted field may hold line
//! breaks, and rows that do are counted. A quote opens a field only at the field's start; anywhere else it is a letter.
//! Fields are trimmed.

use std::path::{Path, PathBuf};

mod header;
mod lines;
pub mod number;
mod row;
mod sniff;
mod split;
#[cfg(test)]
mod tests;
mod text;

pub use header::column;
pub use row::{Moment, Row, RowFault};
pub use text::{Style, TextOptions, TextTable};

/// Where rows come from: a file of text, a sheet, a query.
pub trait RowSource {
    /// What it is called in reports: a file's path, a query's name.
    fn name(&self) -> &str;

    /// The column names, trimmed; some may be empty or stand there twice.
    fn header(&self) -> &[String];

    /// Puts the next row into `row`, whose buffers are used again; false at the end, when `row` means nothing.
    ///
    /// A row that is none is still given, with its [`RowFault`]: one bad row never ends the reading.
    ///
    /// # Errors
    /// When reading fails (a cut gzip file, a connection lost).
    fn next_row(&mut self, row: &mut Row) -> Result<bool, TableError>;

    /// Says which columns are used, by their places in the header: a source may leave the others empty, if that is less work.
    fn only(&mut self, _columns: &[usize]) {}

    /// How the source was taken to be written where nobody said so, a sentence each, by what was read so far.
    fn guessed(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether its header names types, as RecBole's atomic files do.
    fn is_recbole(&self) -> bool {
        false
    }

    /// Whether a number with one comma has its decimals after it, whatever their number.
    fn has_decimal_commas(&self) -> bool {
        false
    }
}

/// Why a file is no table.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// It can't be read.
    #[error("{} can't be read: check that it exists and is complete", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is of a kind that is read, and there is no use in it.
    #[error("{}: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// It is of another kind, whatever its name.
    #[error("{} is {what}, not a table of text: {remedy}", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// Nothing in it.
    #[error("{} is empty: its first line must name the columns", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Its first line is no header.
    #[error("{}: the header line is unusable: {reason}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A column that is used stands there more than once.
    #[error(
        "{path}: {count} columns are called {column:?}, so which of them is meant? Rename all but one in the file, or \
         name another column"
    )]
    Twice {
        /// The file.
        path: String,
        /// The name.
        column: String,
        /// How many.
        count: usize,
    },
}

impl TableError {
    fn read(path: &Path, source: std::io::Error) -> Self {
        let path = path.to_owned();
        Self::Read { path, source }
    }
}
