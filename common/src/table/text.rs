//! Files of text with a header line: CSV and its relations, and RecBole's atomic files.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use super::lines::{Found, Lines, MAX_LINE_BYTES, NoLines};
use super::row::{Row, RowFault};
use super::split::{Broken, split};
use super::{RowSource, TableError, sniff};

/// How a file is written, as far as it was said.
#[derive(Clone, Copy, Debug, Default)]
pub struct TextOptions {
    /// By default told from the header.
    pub style: Option<Style>,
    /// What separates columns; by default told from the header, and a tab in RecBole's files.
    pub delimiter: Option<char>,
    /// Whether quoted fields may hold line breaks, as only public files' may.
    pub spans: bool,
}

/// How fields are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Style {
    /// With quotes as in RFC 4180.
    Quoted,
    /// RecBole's atomic files: header fields `name:type`, no quotes.
    Recbole,
}

/// An open file of text: its header is read, its rows come one by one.
pub struct TextTable {
    path: PathBuf,
    name: String,
    style: Style,
    delimiter: char,
    header: Vec<String>,
    lines: Lines,
    spans: bool,
    delimiter_guessed: bool,
    /// The line whose quoted field was still open at its end, if nothing since then was a row.
    open_since: Option<u64>,
}

impl TextTable {
    /// Opens the file at `path`, plain or gzipped, and reads its header.
    ///
    /// # Errors
    /// When it can't be read, is empty, is no text, or its header is broken.
    pub fn open(path: &Path, options: TextOptions) -> Result<Self, TableError> {
        let open = || -> io::Result<Box<dyn BufRead + Send>> {
            let mut file = BufReader::with_capacity(BUFFER_BYTES, File::open(path)?);
            let gzipped = file.fill_buf()?.starts_with(&GZIP_MAGIC);
            Ok(match gzipped {
                true => Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(file))),
                false => Box::new(file),
            })
        };
        Self::new(
            path,
            open().map_err(|error| TableError::read(path, error))?,
            options,
        )
    }

    /// The same of a stream that stands for the file at `path`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn new(
        path: &Path,
        source: Box<dyn BufRead + Send>,
        options: TextOptions,
    ) -> Result<Self, TableError> {
        let mut lines = Lines::new(source).map_err(|error| match error {
            NoLines::Read(source) => TableError::read(path, source),
            NoLines::NotText(what, remedy) => TableError::NotText {
                path: path.to_owned(),
                what,
                remedy,
            },
        })?;
        let broken = |reason: String| TableError::Header {
            path: path.to_owned(),
            reason,
        };
        let mut text = String::new();
        let mut first = |text: &mut String| match lines.next_line(text) {
            Err(source) => Err(TableError::read(path, source)),
            Ok(None) => Err(TableError::Empty {
                path: path.to_owned(),
            }),
            Ok(Some(Found { too_long: true, .. })) => Err(broken(RowFault::TooLong.to_string())),
            Ok(Some(_)) => Ok(()),
        };
        first(&mut text)?;
        let separator = sniff::separator_line(&text);
        if separator.is_some() {
            first(&mut text)?;
        }
        let style = options.style.unwrap_or_else(|| sniff::style(&text));
        let said = options.delimiter.or(separator);
        let delimiter = match style {
            Style::Recbole => '\t',
            Style::Quoted => said.unwrap_or_else(|| sniff::delimiter(&text)),
        };
        let mut fields = Vec::new();
        if let Some(fault) = split(
            &mut text,
            &mut String::new(),
            &mut fields,
            delimiter,
            style == Style::Quoted,
        ) {
            return Err(broken(fault_of(fault, 1).to_string()));
        }
        let header = fields.into_iter().map(|range| match style {
            Style::Quoted => text[range].to_owned(),
            Style::Recbole => {
                let name = &text[range];
                name.split_once(':').map_or(name, |(bare, _)| bare).to_owned()
            }
        });
        Ok(Self {
            path: path.to_owned(),
            name: path.display().to_string(),
            style,
            delimiter,
            header: header.collect(),
            lines,
            spans: options.spans,
            delimiter_guessed: style == Style::Quoted && said.is_none(),
            open_since: None,
        })
    }

    fn read_row(&mut self, row: &mut Row) -> io::Result<bool> {
        row.start(0);
        let Some(Found { line, too_long }) = self.lines.next_line(&mut row.text)? else {
            return Ok(false);
        };
        row.line = line;
        if too_long {
            row.fault = Some(RowFault::TooLong);
            return Ok(true);
        }
        let quotes = self.style == Style::Quoted;
        let spans = self.spans && row.text.contains('"');
        let own = if spans { row.text.clone() } else { String::new() };
        let mut broken = split(
            &mut row.text,
            &mut row.spare,
            &mut row.fields,
            self.delimiter,
            quotes,
        );
        if broken == Some(Broken::Open) {
            match self.spans {
                true => broken = self.close_quote(own, row)?,
                false => self.open_since = Some(line),
            }
        }
        if let Some(broken) = broken {
            let within = if self.spans { MAX_QUOTED_LINES } else { 1 };
            row.fault = Some(fault_of(broken, within));
            return Ok(true);
        }
        let (have, want) = (row.fields.len(), self.header.len());
        if have == want {
            self.open_since = None;
        } else {
            // Where a delimiter too many or too few stands can't be told: no field can be relied on.
            row.fields.clear();
            row.fault = Some(RowFault::Fields {
                have,
                want,
                open_since: self.open_since,
            });
        }
        Ok(true)
    }

    /// Adds following lines to `text` until no quoted field is open; leaves them for later if that takes too many.
    fn close_quote(&mut self, mut text: String, row: &mut Row) -> io::Result<Option<Broken>> {
        for at in 0..MAX_QUOTED_LINES {
            let Some(line) = self.lines.peek(at)? else { break };
            text.push('\n');
            text.push_str(&line);
            if text.len() > MAX_LINE_BYTES {
                break;
            }
            row.text.clone_from(&text);
            let broken = split(
                &mut row.text,
                &mut row.spare,
                &mut row.fields,
                self.delimiter,
                true,
            );
            if broken != Some(Broken::Open) {
                self.lines.skip(at + 1);
                row.lines = at as u64 + 2;
                return Ok(broken);
            }
        }
        Ok(Some(Broken::Open))
    }
}

impl RowSource for TextTable {
    fn name(&self) -> &str {
        &self.name
    }

    fn header(&self) -> &[String] {
        &self.header
    }

    fn next_row(&mut self, row: &mut Row) -> Result<bool, TableError> {
        self.read_row(row)
            .map_err(|source| TableError::read(&self.path, source))
    }

    fn guessed(&self) -> Vec<String> {
        let delimiter = (self.delimiter_guessed && self.delimiter != ',').then(|| {
            let name = match self.delimiter {
                '\t' => "tab".to_owned(),
                other => other.to_string(),
            };
            format!("delimiter: {name}")
        });
        delimiter.into_iter().chain(self.lines.encoding_told()).collect()
    }

    fn is_recbole(&self) -> bool {
        self.style == Style::Recbole
    }

    fn has_decimal_commas(&self) -> bool {
        self.style == Style::Quoted && self.delimiter == ';'
    }
}

fn fault_of(broken: Broken, within: usize) -> RowFault {
    match broken {
        Broken::Open => RowFault::OpenQuote { within },
        Broken::After => RowFault::AfterQuote,
    }
}

const BUFFER_BYTES: usize = 1 << 16;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Most lines that a quoted field of an item may go on for.
const MAX_QUOTED_LINES: usize = 32;
