//! Parquet: rows put together from columns, a row group after another, of which no more is held than a page of each column that is
//! used.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use ::parquet::errors::ParquetError;
use ::parquet::file::reader::FileReader;
use ::parquet::file::serialized_reader::SerializedFileReader;
use souk_common::table::{Row, RowSource, TableError};

use super::expanded::too_large;
use super::parquet_column::{Column, Meaning, column};

/// An open file of rows.
pub(super) struct ParquetRows {
    path: PathBuf,
    name: String,
    file: SerializedFileReader<File>,
    bytes: u64,
    max_bytes: u64,
    header: Vec<String>,
    /// Which of the file's columns each of the header is, what it holds, and at which level of nesting.
    leaves: Vec<(usize, Meaning, i16)>,
    used: Vec<bool>,
    /// Lists, which have no value that a row could have.
    lists: Vec<String>,
    next_group: usize,
    /// Of the group that is read: the columns that are used, by the header.
    columns: Vec<Option<Box<dyn Column>>>,
    left_in_group: usize,
    left_in_batch: usize,
    rows: u64,
}

impl ParquetRows {
    /// Opens `file`, which is at `path`; nested columns have names with dots between.
    ///
    /// # Errors
    /// When it is damaged or cut short, or has no column that can be read.
    pub(super) fn open(path: &Path, file: File, max_bytes: u64) -> Result<Self, TableError> {
        let unusable = |reason: String| TableError::Unusable {
            path: path.to_owned(),
            reason,
        };
        let bytes = file
            .metadata()
            .map_err(|source| TableError::Read {
                path: path.to_owned(),
                source,
            })?
            .len();
        let file = guarded(|| SerializedFileReader::new(file)).map_err(unusable)?;
        let (mut header, mut leaves, mut lists) = (Vec::new(), Vec::new(), Vec::new());
        let schema = file.metadata().file_metadata().schema_descr();
        for (at, leaf) in schema.columns().iter().enumerate() {
            match leaf.max_rep_level() {
                0 => {
                    header.push(leaf.path().string());
                    leaves.push((at, Meaning::of(leaf), leaf.max_def_level()));
                }
                _ => lists.push(leaf.path().string()),
            }
        }
        if header.is_empty() {
            return Err(unusable("it has no column of single values".to_owned()));
        }
        Ok(Self {
            path: path.to_owned(),
            name: path.display().to_string(),
            bytes,
            max_bytes,
            used: vec![true; header.len()],
            columns: Vec::new(),
            file,
            header,
            leaves,
            lists,
            next_group: 0,
            left_in_group: 0,
            left_in_batch: 0,
            rows: 0,
        })
    }

    /// Goes on to the next row group; false if there is none.
    fn begin_group(&mut self) -> Result<bool, String> {
        if self.next_group == self.file.num_row_groups() {
            return Ok(false);
        }
        let group = guarded(|| self.file.get_row_group(self.next_group))?;
        self.left_in_group = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        let (mut columns, mut expanded) = (Vec::with_capacity(self.leaves.len()), 0);
        for ((at, meaning, full), used) in self.leaves.iter().zip(&self.used) {
            if !used {
                columns.push(None);
                continue;
            }
            expanded += u64::try_from(group.metadata().column(*at).uncompressed_size()).unwrap_or(0);
            let reader = guarded(|| group.get_column_reader(*at))?;
            columns.push(Some(column(reader, *meaning, *full)));
        }
        if let Some(reason) = too_large(expanded, self.bytes, self.max_bytes) {
            return Err(reason);
        }
        self.columns = columns;
        self.next_group += 1;
        Ok(true)
    }

    fn next(&mut self, row: &mut Row) -> Result<bool, String> {
        while self.left_in_batch == 0 {
            if self.left_in_group == 0 {
                if !self.begin_group()? {
                    return Ok(false);
                }
                continue;
            }
            let most = self.left_in_group.min(BATCH_ROWS);
            for (column, name) in self.columns.iter_mut().zip(&self.header) {
                let Some(column) = column else { continue };
                let read = guarded(|| column.fill(most))?;
                if read != most {
                    return Err(format!(
                        "{DAMAGED}: column {name:?} has fewer values than there are rows"
                    ));
                }
            }
            (self.left_in_batch, self.left_in_group) = (most, self.left_in_group - most);
        }
        self.left_in_batch -= 1;
        self.rows += 1;
        row.start(self.rows);
        for column in &mut self.columns {
            match column {
                Some(column) => column.push_next(row),
                None => row.push(""),
            }
        }
        Ok(true)
    }
}

impl RowSource for ParquetRows {
    fn name(&self) -> &str {
        &self.name
    }

    fn header(&self) -> &[String] {
        &self.header
    }

    fn next_row(&mut self, row: &mut Row) -> Result<bool, TableError> {
        self.next(row).map_err(|reason| TableError::Unusable {
            path: self.path.clone(),
            reason,
        })
    }

    fn only(&mut self, columns: &[usize]) {
        self.used.fill(false);
        columns.iter().for_each(|at| self.used[*at] = true);
    }

    fn guessed(&self) -> Vec<String> {
        let of_int96 = self.leaves.iter().zip(&self.used);
        let is_of_int96 = of_int96
            .into_iter()
            .any(|((_, meaning, _), used)| *used && *meaning == Meaning::Int96);
        let times = is_of_int96.then(|| "times: as INT96, which says no zone; taken as UTC".to_owned());
        let lists = (!self.lists.is_empty())
            .then(|| format!("columns: lists are not read: {}", self.lists.join(", ")));
        times.into_iter().chain(lists).collect()
    }
}

/// What the library makes of a file, which it was seen to panic over where that was damaged; whatever it was at is not used again.
fn guarded<T>(ask: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(ask)) {
        Ok(answer) => answer.map_err(|error| damaged(&error)),
        Err(_) => Err(DAMAGED.to_owned()),
    }
}

fn damaged(error: &ParquetError) -> String {
    match error {
        ParquetError::NYI(what) => {
            format!("it is written in a way that is not read ({what}): write it with snappy, gzip or zstd")
        }
        error => format!("{DAMAGED}: {error}"),
    }
}

/// Rows of which the values are decoded together.
const BATCH_ROWS: usize = 1024;
const DAMAGED: &str = "it is a damaged Parquet file, or one cut short: export it again";

#[cfg(test)]
mod tests;
