//! Containers of rows: whatever a source is kept in, opened as [`RowSource`].
//!
//! | module | what |
//! |---|---|
//! | `digested` | a file whose digest is that of what was read |
//! | `expanded` | gzip and zstd, within limits |
//! | `jsonl` | JSON lines |
//! | `query` | what a database answers (feature `sql`) |

mod digested;
mod expanded;
mod jsonl;
#[cfg(feature = "sql")]
mod query;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

use souk_common::table::{RowSource, TableError, TextTable};

pub(crate) use digested::{Rest, digest_of};
#[cfg(feature = "sql")]
pub(crate) use query::{QueryRows, password};

use crate::data::sources::FileKind;
use crate::data::{DataError, ShopDataConfig, text_of_orders};
use digested::DigestedSource;

/// Opens the file at `path`, which is of this `kind`, or of the one that its name tells.
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
    let (source, rest) = DigestedSource::open(path).map_err(unreadable)?;
    let kind = kind.unwrap_or_else(|| kind_by_name(path));
    let text = || expanded::expanded(source, config.max_bytes).map_err(unreadable);
    let rows: Box<dyn RowSource> = match kind {
        FileKind::File => Box::new(TextTable::new(path, text()?, text_of_orders(config))?),
        FileKind::Jsonl => Box::new(jsonl::JsonLines::new(path, text()?)?),
    };
    Ok((rows, rest))
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
