//! Containers of rows: whatever a source is kept in, opened as [`RowSource`].
//!
//! | module | what |
//! |---|---|
//! | `digested` | a file whose digest is that of what was read |
//! | `expanded` | gzip and zstd, within limits |
//! | `jsonl` | JSON lines |
//! | `workbook` `cell` `unzipped` | .xlsx and .ods |
//! | `parquet` `parquet_column` | Parquet (feature `parquet`) |
//! | `query` | what a database answers (feature `sql`) |

mod cell;
mod digested;
mod expanded;
mod jsonl;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(feature = "parquet")]
mod parquet_column;
#[cfg(feature = "sql")]
mod query;
#[cfg(test)]
mod tests;
mod unzipped;
mod workbook;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use souk_common::table::{RowSource, TableError, TextTable};

pub(crate) use digested::{Rest, digest_of};
#[cfg(feature = "sql")]
pub(crate) use query::{QueryRows, password};

use crate::data::sources::FileKind;
use crate::data::{DataError, ShopDataConfig, text_of_orders};
use digested::DigestedSource;

/// Opens the file at `path`, which is of this `kind`, or of the one that its first bytes and its name tell.
///
/// # Errors
/// When it can't be read, or is no table.
pub(crate) fn open(
    path: &Path,
    kind: Option<FileKind>,
    config: &ShopDataConfig,
) -> Result<(Box<dyn RowSource>, Rest), DataError> {
    let unreadable = |source: io::Error| TableError::Read {
        path: path.to_owned(),
        source,
    };
    if kind != Some(FileKind::Jsonl) {
        let mut start = Vec::new();
        let file = File::open(path).map_err(unreadable)?;
        file.take(OLE_MAGIC.len() as u64)
            .read_to_end(&mut start)
            .map_err(unreadable)?;
        if start.starts_with(&unzipped::ZIP_MAGIC) || start == OLE_MAGIC {
            let (file, rest) = DigestedSource::at_rest(path).map_err(unreadable)?;
            return Ok((Box::new(workbook::SheetRows::open(path, file, config)?), rest));
        }
        if start.starts_with(PARQUET_MAGIC) {
            return open_parquet(path, config.max_bytes);
        }
    }
    let (source, rest) = DigestedSource::open(path).map_err(unreadable)?;
    let kind = kind.unwrap_or_else(|| kind_by_name(path));
    let text = || expanded::expanded(source, config.max_bytes).map_err(unreadable);
    let rows: Box<dyn RowSource> = match kind {
        FileKind::File => Box::new(TextTable::new(path, text()?, text_of_orders(config))?),
        FileKind::Jsonl => Box::new(jsonl::JsonLines::new(path, text()?)?),
    };
    Ok((rows, rest))
}

#[cfg(feature = "parquet")]
fn open_parquet(path: &Path, max_bytes: u64) -> Result<(Box<dyn RowSource>, Rest), DataError> {
    let (file, rest) = DigestedSource::at_rest(path).map_err(|error| DataError::read(path, error))?;
    Ok((Box::new(parquet::ParquetRows::open(path, file, max_bytes)?), rest))
}

#[cfg(not(feature = "parquet"))]
fn open_parquet(path: &Path, _: u64) -> Result<(Box<dyn RowSource>, Rest), DataError> {
    Err(DataError::NotBuilt {
        name: path.display().to_string(),
        what: "a Parquet file",
    })
}

/// What a file's name says of its kind; a further ending of a compressed file is not looked at.
fn kind_by_name(path: &Path) -> FileKind {
    let name = path
        .file_name()
        .map_or(String::new(), |name| name.to_string_lossy().to_lowercase());
    let name = name.trim_end_matches(".gz").trim_end_matches(".zst");
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "jsonl" | "ndjson" => FileKind::Jsonl,
        _ => FileKind::File,
    }
}

/// Of the container of old workbooks, and of new ones with a password.
const OLE_MAGIC: [u8; 8] = *b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
const PARQUET_MAGIC: &[u8] = b"PAR1";
