//! Opening files: plain or gzipped, with or without a byte order mark, line by line within a limit.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

/// Records of a text file: a line each, or several where a quoted field holds line ends.
pub(super) struct Lines {
    source: Box<dyn BufRead>,
    quotes: bool,
    ahead: VecDeque<Vec<u8>>,
    next_line: u64,
}

/// One record, and what is wrong with it as a record.
pub(super) struct Raw {
    /// Its first line, from 1.
    pub(super) line: u64,
    /// Its text without the last line end, or why there is none.
    pub(super) text: Result<String, &'static str>,
}

impl Lines {
    /// Opens `path`; `quotes` says whether a field may be quoted.
    pub(super) fn open(path: &Path, quotes: bool) -> io::Result<Self> {
        let mut file = BufReader::with_capacity(BUFFER_BYTES, File::open(path)?);
        let gzipped = file.fill_buf()?.starts_with(&GZIP_MAGIC);
        let mut source: Box<dyn BufRead> = if gzipped {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(file)))
        } else {
            Box::new(file)
        };
        let start = source.fill_buf()?;
        if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the file is UTF-16; save it as UTF-8",
            ));
        }
        if start.starts_with(&[0xef, 0xbb, 0xbf]) {
            source.consume(3);
        }
        Ok(Self {
            source,
            quotes,
            ahead: VecDeque::new(),
            next_line: 1,
        })
    }

    /// The next record that is not blank; none at the end.
    pub(super) fn next_record(&mut self) -> io::Result<Option<Raw>> {
        loop {
            let line = self.next_line;
            let Some(mut text) = self.take_line()? else {
                return Ok(None);
            };
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if text.len() > MAX_LINE_BYTES {
                let text = Err("the line is too long");
                return Ok(Some(Raw { line, text }));
            }
            if self.quotes && is_open(&text) && !self.close_quote(&mut text)? {
                let text = Err("a quote is opened and never closed");
                return Ok(Some(Raw { line, text }));
            }
            let text = String::from_utf8(text).map_err(|_| "the line is not UTF-8");
            return Ok(Some(Raw { line, text }));
        }
    }

    /// Adds following lines to `text` until its quotes are even; leaves them for later if that takes too many.
    fn close_quote(&mut self, text: &mut Vec<u8>) -> io::Result<bool> {
        let mut joined = text.clone();
        for at in 0..MAX_QUOTED_LINES {
            if at == self.ahead.len() {
                let Some(line) = self.read_line()? else {
                    return Ok(false);
                };
                self.ahead.push_back(line);
            }
            joined.push(b'\n');
            joined.extend_from_slice(&self.ahead[at]);
            if joined.len() > MAX_LINE_BYTES {
                return Ok(false);
            }
            if !is_open(&joined) {
                self.ahead.drain(..=at);
                self.next_line += at as u64 + 1;
                *text = joined;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn take_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let line = match self.ahead.pop_front() {
            Some(line) => Some(line),
            None => self.read_line()?,
        };
        self.next_line += u64::from(line.is_some());
        Ok(line)
    }

    /// One line without its end; of a line that is too long, one byte more than the limit.
    fn read_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let most = MAX_LINE_BYTES as u64 + 1;
        let read = (&mut self.source).take(most).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(None);
        }
        if line.len() > MAX_LINE_BYTES && line.last() != Some(&b'\n') {
            self.source.skip_until(b'\n')?;
            return Ok(Some(line));
        }
        while line.last().is_some_and(|end| matches!(end, b'\n' | b'\r')) {
            line.pop();
        }
        Ok(Some(line))
    }
}

/// Whether a quoted field is still open at the end of `text`.
fn is_open(text: &[u8]) -> bool {
    text.iter().filter(|byte| **byte == b'"').count() % 2 == 1
}

const BUFFER_BYTES: usize = 1 << 16;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Most bytes of a record: item descriptions are far shorter.
const MAX_LINE_BYTES: usize = 1 << 20;
/// Most lines that a quoted field may span.
const MAX_QUOTED_LINES: usize = 32;
