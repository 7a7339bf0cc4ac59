//! One row, in buffers that are used again.

use std::fmt;
use std::ops::Range;

/// A row, or what is left of it.
#[derive(Debug, Default)]
pub struct Row {
    /// Its line in the file, from 1; of several, the first. Of sources without lines, its number.
    pub line: u64,
    /// How many lines it is made of: one, but for rows of items.
    pub lines: u64,
    /// What is wrong with it, if anything is.
    pub fault: Option<RowFault>,
    pub(super) text: String,
    pub(super) spare: String,
    pub(super) fields: Vec<Range<usize>>,
    moments: Vec<(usize, Moment)>,
}

/// A time that its source has as such, whatever settings say of times that are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Moment {
    /// Seconds since 1970-01-01 UTC.
    Utc(i64),
    /// What a clock and a calendar showed, in an unsaid zone, as seconds since 1970-01-01 would be if it were UTC.
    Local(i64),
}

impl Row {
    /// Empties it for the row on `line`.
    pub fn start(&mut self, line: u64) {
        self.line = line;
        self.lines = 1;
        self.fault = None;
        self.text.clear();
        self.fields.clear();
        self.moments.clear();
    }

    /// Adds a field that is a time as well as a text.
    pub fn push_moment(&mut self, text: &str, moment: Moment) {
        self.moments.push((self.fields.len(), moment));
        self.push(text);
    }

    /// The time that the field at `at` is, if its source has it as such.
    pub fn moment(&self, at: usize) -> Option<Moment> {
        let found = self.moments.iter().find(|(field, _)| *field == at);
        found.map(|(_, moment)| *moment)
    }

    /// Adds a field, trimmed.
    pub fn push(&mut self, field: &str) {
        let start = self.text.len();
        self.text.push_str(field.trim());
        self.fields.push(start..self.text.len());
    }

    /// The field at `at`, trimmed; empty where there is none.
    pub fn get(&self, at: usize) -> &str {
        self.fields.get(at).map_or("", |range| &self.text[range.clone()])
    }

    /// How many fields can be relied on: all of a good row, those before the fault of another.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether nothing of it can be relied on.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|range| &self.text[range.clone()])
    }
}

/// Why a line is no row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RowFault {
    /// Longer than any line may be.
    TooLong,
    /// A quoted field does not end on this line, or within as many as it may.
    OpenQuote {
        /// How many that is.
        within: usize,
    },
    /// A quoted field ends, and goes on.
    AfterQuote,
    /// Not as many fields as the header has.
    Fields {
        /// How many.
        have: usize,
        /// How many there should be.
        want: usize,
        /// The last line before whose quote is open at its end, if no row has come since.
        open_since: Option<u64>,
    },
    /// Something that only its source knows.
    Other(String),
}

impl RowFault {
    /// What kind of fault it is, without figures: faults are counted by it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TooLong => "line too long",
            Self::OpenQuote { .. } => "quote never closed",
            Self::AfterQuote => "text after a closing quote",
            Self::Fields { .. } => "wrong number of fields",
            Self::Other(_) => "unreadable",
        }
    }
}

impl fmt::Display for RowFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("the line is too long"),
            Self::OpenQuote { within: 1 } => f.write_str(
                "a quote is opened and never closed on this line; in files about customers a row is one line: export \
                 without line breaks inside fields",
            ),
            Self::OpenQuote { within } => {
                write!(f, "a quote is opened and not closed within {within} lines")
            }
            Self::AfterQuote => f.write_str("text after a closing quote"),
            Self::Fields {
                have,
                want,
                open_since,
            } => {
                write!(f, "{have} fields where the header has {want}")?;
                match open_since {
                    Some(line) => write!(
                        f,
                        "; perhaps it belongs to line {line}, whose quote is not closed there"
                    ),
                    None => Ok(()),
                }
            }
            Self::Other(reason) => f.write_str(reason),
        }
    }
}
