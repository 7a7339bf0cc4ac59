//! JSON lines: one object a line, whose nested values have names with dots between.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use souk_common::table::{Row, RowFault, RowSource, TableError};

/// An open file of them. Its columns are the names that the first [`LOOKED_AT`] objects have; an object without one of them
/// has nothing there, and other names are of no concern.
pub(super) struct JsonLines {
    path: PathBuf,
    name: String,
    source: Box<dyn BufRead + Send>,
    header: Vec<String>,
    places: HashMap<String, usize>,
    ahead: VecDeque<(u64, Parsed)>,
    line: u64,
    values: Vec<String>,
}

type Parsed = Result<Map<String, Value>, RowFault>;

impl JsonLines {
    pub(super) fn new(path: &Path, source: Box<dyn BufRead + Send>) -> Result<Self, TableError> {
        let mut lines = Self {
            path: path.to_owned(),
            name: path.display().to_string(),
            source,
            header: Vec::new(),
            places: HashMap::new(),
            ahead: VecDeque::new(),
            line: 0,
            values: Vec::new(),
        };
        while lines.ahead.len() < LOOKED_AT
            && let Some(next) = lines.read_line().map_err(|source| lines.unreadable(source))?
        {
            if let Ok(object) = &next.1 {
                let mut names = Vec::new();
                flatten(object, "", &mut |name, _| names.push(name.to_owned()));
                for name in names {
                    if !lines.places.contains_key(&name) && lines.header.len() < MAX_COLUMNS {
                        lines.places.insert(name.clone(), lines.header.len());
                        lines.header.push(name);
                    }
                }
            }
            lines.ahead.push_back(next);
        }
        if lines.ahead.is_empty() {
            return Err(TableError::Empty { path: lines.path });
        }
        if lines.header.is_empty() {
            return Err(TableError::Header {
                path: lines.path,
                reason: "it is to be JSON lines, and none of the first lines is a JSON object".to_owned(),
            });
        }
        Ok(lines)
    }

    fn unreadable(&self, source: io::Error) -> TableError {
        TableError::Read {
            path: self.path.clone(),
            source,
        }
    }

    /// The next line that is not blank.
    fn read_line(&mut self) -> io::Result<Option<(u64, Parsed)>> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let most = MAX_LINE_BYTES as u64 + 1;
            if (&mut self.source).take(most).read_until(b'\n', &mut line)? == 0 {
                return Ok(None);
            }
            self.line += 1;
            if line.len() > MAX_LINE_BYTES {
                if line.last() != Some(&b'\n') {
                    self.source.skip_until(b'\n')?;
                }
                return Ok(Some((self.line, Err(RowFault::TooLong))));
            }
            let text = line
                .strip_prefix(BYTE_ORDER_MARK)
                .filter(|_| self.line == 1)
                .unwrap_or(&line);
            if !text.iter().all(u8::is_ascii_whitespace) {
                let parsed = serde_json::from_slice(text)
                    .map_err(|error| RowFault::Other(format!("the line is no JSON object: {error}")));
                return Ok(Some((self.line, parsed)));
            }
        }
    }
}

impl RowSource for JsonLines {
    fn name(&self) -> &str {
        &self.name
    }

    fn header(&self) -> &[String] {
        &self.header
    }

    fn next_row(&mut self, row: &mut Row) -> Result<bool, TableError> {
        let next = match self.ahead.pop_front() {
            Some(next) => Some(next),
            None => self.read_line().map_err(|source| self.unreadable(source))?,
        };
        let Some((line, parsed)) = next else {
            return Ok(false);
        };
        row.start(line);
        match parsed {
            Ok(object) => {
                self.values.iter_mut().for_each(String::clear);
                self.values.resize(self.header.len(), String::new());
                flatten(&object, "", &mut |name, value| {
                    if let Some(at) = self.places.get(name) {
                        value.clone_into(&mut self.values[*at]);
                    }
                });
                self.values.iter().for_each(|value| row.push(value));
            }
            Err(fault) => row.fault = Some(fault),
        }
        Ok(true)
    }
}

/// Every scalar of an object under its name; `null` is an empty text, and lists have no name.
fn flatten(object: &Map<String, Value>, prefix: &str, take: &mut impl FnMut(&str, &str)) {
    for (key, value) in object {
        let name = format!("{prefix}{key}");
        match value {
            Value::Null => take(&name, ""),
            Value::Bool(value) => take(&name, if *value { "true" } else { "false" }),
            Value::Number(number) => take(&name, &number.to_string()),
            Value::String(text) => take(&name, text),
            Value::Object(inner) => flatten(inner, &format!("{name}."), take),
            Value::Array(_) => {}
        }
    }
}

/// Objects that say which columns there are.
const LOOKED_AT: usize = 1000;
const MAX_COLUMNS: usize = 1000;
const MAX_LINE_BYTES: usize = 1 << 20;
const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];
