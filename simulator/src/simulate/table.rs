//! A line a round, as JSON lines or Parquet: the same columns in both.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;

use crate::world::rounds::RoundLine;

/// A file that the lines go to.
pub(super) struct TableFile {
    path: PathBuf,
    is_parquet: bool,
}

impl TableFile {
    /// By the end of its name.
    ///
    /// # Errors
    /// When this program was built without Parquet, and that is asked for.
    pub(super) fn new(path: PathBuf) -> anyhow::Result<Self> {
        let is_parquet = path
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("parquet"));
        #[cfg(not(feature = "parquet"))]
        if is_parquet {
            let told = format!(
                "--table {}: this program was built without Parquet; build it with `cargo build --release -p souk-simulator --features \
                 parquet`, or take a name that ends in .jsonl",
                path.display()
            );
            return Err(anyhow::Error::msg(crate::error::WrongUsage(told)));
        }
        Ok(Self { path, is_parquet })
    }

    /// Writes them.
    ///
    /// # Errors
    /// Of the file system.
    pub(super) fn write(&self, lines: &[RoundLine]) -> anyhow::Result<()> {
        let bytes = match self.is_parquet {
            #[cfg(feature = "parquet")]
            true => parquet::to_parquet(lines)?,
            _ => to_json_lines(lines)?.into_bytes(),
        };
        fs::write(&self.path, bytes).with_context(|| format!("can't write {}", self.path.display()))
    }
}

/// One object a line.
///
/// # Errors
/// Never in practice: lines are plain numbers and words.
pub(super) fn to_json_lines(lines: &[RoundLine]) -> anyhow::Result<String> {
    let mut text = String::new();
    for line in lines {
        text += &serde_json::to_string(line)?;
        text.push('\n');
    }
    Ok(text)
}

#[cfg(feature = "parquet")]
mod parquet;
