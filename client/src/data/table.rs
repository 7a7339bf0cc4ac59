//! A file of rows with a header, read a row at a time.
//!
//! A quote opens a field only at the field's start; anywhere else it is a letter. In files about customers a row is one line,
//! whatever it holds: if a quoted field could go on to the next line, an odd quote in one customer's line would swallow
//! lines of others, and what a customer changes would no longer be what that customer's own lines say. Files of items are
//! public; there a quoted field may hold line breaks, and rows that do are counted.

use std::io;
use std::path::{Path, PathBuf};

use crate::data::DataError;
use crate::data::config::FileFormat;
use crate::data::lines::{Lines, MAX_LINE_BYTES, Raw};

/// An open file of rows: its header is read, its rows come one by one.
pub struct SourceTable {
    path: PathBuf,
    format: FileFormat,
    delimiter: char,
    header: Vec<String>,
    lines: Lines,
    spans: bool,
    /// The line whose quoted field was still open at its end, if nothing since then was a row.
    open_since: Option<u64>,
}

/// One row, or why a line is none.
pub struct Row {
    /// Its line in the file, from 1; of several, the first.
    pub line: u64,
    /// How many lines it is made of: one, but for rows of items.
    pub lines: u64,
    /// As many fields as the header has, trimmed; or the reason.
    pub fields: Result<Vec<String>, String>,
}

impl SourceTable {
    /// Opens `path`, in which each row is one line, and reads its header.
    ///
    /// # Errors
    /// When the file can't be read, is empty, or its header is broken or names a column twice.
    pub fn open(path: &Path, format: FileFormat, delimiter: char) -> Result<Self, DataError> {
        Self::open_as(path, format, delimiter, false)
    }

    /// The same for a file of items, whose quoted fields may hold line breaks.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_items(path: &Path, format: FileFormat, delimiter: char) -> Result<Self, DataError> {
        Self::open_as(path, format, delimiter, true)
    }

    fn open_as(path: &Path, format: FileFormat, delimiter: char, spans: bool) -> Result<Self, DataError> {
        let lines = Lines::open(path).map_err(|source| DataError::Read {
            path: path.to_owned(),
            source,
        })?;
        let delimiter = if format == FileFormat::Recbole {
            '\t'
        } else {
            delimiter
        };
        let mut table = Self {
            path: path.to_owned(),
            format,
            delimiter,
            header: Vec::new(),
            lines,
            spans,
            open_since: None,
        };
        let broken = |reason: String| DataError::Header {
            path: path.to_owned(),
            reason,
        };
        let Some(first) = table.next_record()? else {
            return Err(DataError::Empty {
                path: path.to_owned(),
            });
        };
        let mut header = first.fields.map_err(broken)?;
        if format == FileFormat::Recbole {
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
        table.header = header;
        Ok(table)
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
        let Some(mut row) = self.next_record()? else {
            return Ok(None);
        };
        let open_since = self.open_since.filter(|line| *line < row.line);
        row.fields = row.fields.and_then(|fields| {
            if fields.len() == self.header.len() {
                self.open_since = None;
                return Ok(fields);
            }
            let (have, want) = (fields.len(), self.header.len());
            let mut reason = format!("{have} fields where the header has {want}");
            if let Some(line) = open_since {
                reason += &format!("; perhaps it belongs to line {line}, whose quote is not closed there");
            }
            Err(reason)
        });
        Ok(Some(row))
    }

    /// The next row, with as many fields as it has.
    fn next_record(&mut self) -> Result<Option<Row>, DataError> {
        let record = self.read_record();
        record.map_err(|source| DataError::Read {
            path: self.path.clone(),
            source,
        })
    }

    fn read_record(&mut self) -> io::Result<Option<Row>> {
        let Some(Raw { line, text }) = self.lines.next_line()? else {
            return Ok(None);
        };
        let row = |lines, fields| Ok(Some(Row { line, lines, fields }));
        let text = match text {
            Ok(text) => text,
            Err(reason) => return row(1, Err(reason.into())),
        };
        let split = match split(&text, self.format, self.delimiter) {
            Err(Broken::Open) if self.spans => {
                let (lines, fields) = self.close_quote(text)?;
                return row(lines, fields.map_err(|broken| broken.reason(true)));
            }
            split => split,
        };
        if matches!(split, Err(Broken::Open)) {
            self.open_since = Some(line);
        }
        row(1, split.map_err(|broken| broken.reason(false)))
    }

    /// Adds following lines to `text` until no quoted field is open; leaves them for later if that takes too many.
    fn close_quote(&mut self, mut text: String) -> io::Result<(u64, Result<Vec<String>, Broken>)> {
        for at in 0..MAX_QUOTED_LINES {
            let Some(line) = self.lines.peek(at)? else { break };
            text.push('\n');
            text.push_str(&line);
            if text.len() > MAX_LINE_BYTES {
                break;
            }
            match split(&text, self.format, self.delimiter) {
                Err(Broken::Open) => {}
                split => {
                    self.lines.skip(at + 1);
                    return Ok((at as u64 + 2, split));
                }
            }
        }
        Ok((1, Err(Broken::Open)))
    }
}

/// Why a text is no row.
enum Broken {
    /// A quoted field does not end.
    Open,
    /// A quoted field ends, and goes on.
    After,
}

impl Broken {
    fn reason(self, spans: bool) -> String {
        match (self, spans) {
            (Self::After, _) => "text after a closing quote".to_owned(),
            (Self::Open, true) => format!("a quote is opened and not closed within {MAX_QUOTED_LINES} lines"),
            (Self::Open, false) => {
                "a quote is opened and never closed on this line; in files about customers a row is one \
                                    line: export without line breaks inside fields"
                    .to_owned()
            }
        }
    }
}

/// The fields of one record.
fn split(text: &str, format: FileFormat, delimiter: char) -> Result<Vec<String>, Broken> {
    let plain = |text: &str| {
        text.split(delimiter)
            .map(|field| field.trim().to_owned())
            .collect()
    };
    if format == FileFormat::Recbole || !text.contains('"') {
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
            None => return Err(Broken::After),
        }
    }
}

/// The field that ends at the next lone quote of `text`, and what follows.
fn quoted(text: &str) -> Result<(String, &str), Broken> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let Some(end) = rest.find('"') else {
            return Err(Broken::Open);
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

/// Most lines that a quoted field of an item may go on for.
const MAX_QUOTED_LINES: usize = 32;
