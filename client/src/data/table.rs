//! A file of rows with a header, read a row at a time.

use std::path::{Path, PathBuf};

use crate::data::DataError;
use crate::data::config::Format;
use crate::data::lines::Lines;

/// An open file of rows: its header is read, its rows come one by one.
pub struct Table {
    path: PathBuf,
    format: Format,
    delimiter: char,
    header: Vec<String>,
    lines: Lines,
}

/// One row, or why a line is none.
pub struct Row {
    /// Its line in the file, from 1.
    pub line: u64,
    /// As many fields as the header has, trimmed; or the reason.
    pub fields: Result<Vec<String>, String>,
}

impl Table {
    /// Opens `path` and reads its header.
    ///
    /// # Errors
    /// When the file can't be read, is empty, or its header is broken or names a column twice.
    pub fn open(path: &Path, format: Format, delimiter: char) -> Result<Self, DataError> {
        let read = |source| DataError::Read {
            path: path.to_owned(),
            source,
        };
        let mut lines = Lines::open(path, format == Format::Csv).map_err(read)?;
        let Some(first) = lines.next_record().map_err(read)? else {
            return Err(DataError::Empty {
                path: path.to_owned(),
            });
        };
        let delimiter = if format == Format::Recbole {
            '\t'
        } else {
            delimiter
        };
        let broken = |reason: String| DataError::Header {
            path: path.to_owned(),
            reason,
        };
        let text = first.text.map_err(|reason| broken(reason.into()))?;
        let mut header = split(&text, format, delimiter).map_err(broken)?;
        if format == Format::Recbole {
            for name in &mut header {
                let bare = name.split_once(':').map(|(bare, _)| bare.to_owned());
                *name = bare.unwrap_or_else(|| name.clone());
            }
        }
        for (at, name) in header.iter().enumerate() {
            if header[..at].contains(name) {
                return Err(broken(format!("column {name:?} stands in it twice")));
            }
        }
        Ok(Self {
            path: path.to_owned(),
            format,
            delimiter,
            header,
            lines,
        })
    }

    /// The column names.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// The position of a column that must be there: `wanted`, or `default` if none is named.
    ///
    /// # Errors
    /// When the file has no such column; the error lists those that it has.
    pub fn required(
        &self,
        key: &'static str,
        wanted: Option<&str>,
        default: &str,
    ) -> Result<usize, DataError> {
        let name = wanted.unwrap_or(default);
        self.position(name).ok_or_else(|| DataError::NoColumn {
            path: self.path.clone(),
            column: name.to_owned(),
            key,
            have: self.header.join(", "),
        })
    }

    /// The position of a column that may be missing, unless it was `wanted` by name.
    ///
    /// # Errors
    /// When a wanted column is missing.
    pub fn optional(
        &self,
        key: &'static str,
        wanted: Option<&str>,
        default: &str,
    ) -> Result<Option<usize>, DataError> {
        match wanted {
            Some(_) => self.required(key, wanted, default).map(Some),
            None => Ok(self.position(default)),
        }
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }

    /// The next row; none at the end.
    ///
    /// # Errors
    /// When reading fails (a cut gzip file, say).
    pub fn next_row(&mut self) -> Result<Option<Row>, DataError> {
        let record = self.lines.next_record().map_err(|source| DataError::Read {
            path: self.path.clone(),
            source,
        })?;
        Ok(record.map(|raw| Row {
            line: raw.line,
            fields: raw.text.map_err(String::from).and_then(|text| self.fields(&text)),
        }))
    }

    fn fields(&self, text: &str) -> Result<Vec<String>, String> {
        let fields = split(text, self.format, self.delimiter)?;
        if fields.len() != self.header.len() {
            return Err(format!(
                "{} fields where the header has {}",
                fields.len(),
                self.header.len()
            ));
        }
        Ok(fields)
    }
}

/// The fields of one record.
fn split(text: &str, format: Format, delimiter: char) -> Result<Vec<String>, String> {
    let plain = |text: &str| {
        text.split(delimiter)
            .map(|field| field.trim().to_owned())
            .collect()
    };
    if format == Format::Recbole || !text.contains('"') {
        return Ok(plain(text));
    }
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = if let Some(inside) = rest.strip_prefix('"') {
            quoted(inside)?
        } else {
            let end = rest.find(delimiter).unwrap_or(rest.len());
            (rest[..end].to_owned(), &rest[end..])
        };
        fields.push(field.trim().to_owned());
        match after.strip_prefix(delimiter) {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err("text after a closing quote".into()),
        }
    }
}

/// The field that ends at the next lone quote of `text`, and what follows.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let Some(end) = rest.find('"') else {
            return Err("a quote is opened and never closed".into());
        };
        field.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Ok((field, rest)),
        }
    }
}
