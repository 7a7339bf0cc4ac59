//! Opening files: plain or gzipped, with or without a byte order mark, line by line within a limit.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

/// Physical lines of a text file; of those that are blank nothing is seen.
pub(super) struct Lines {
    source: Box<dyn BufRead>,
    ahead: VecDeque<Vec<u8>>,
    next_line: u64,
}

/// One line, and what is wrong with it as a line.
pub(super) struct Raw {
    /// Which, from 1.
    pub(super) line: u64,
    /// Its text without the line end, or why there is none.
    pub(super) text: Result<String, &'static str>,
}

impl Lines {
    /// Opens `path`.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
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
            ahead: VecDeque::new(),
            next_line: 1,
        })
    }

    /// The next line that is not blank; none at the end.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Raw>> {
        loop {
            let line = self.next_line;
            let Some(text) = self.take_line()? else {
                return Ok(None);
            };
            if !text.iter().all(u8::is_ascii_whitespace) {
                let text = decoded(text);
                return Ok(Some(Raw { line, text }));
            }
        }
    }

    /// The text of the line `at` lines ahead, blank or not; none when there is none, or it is no text.
    pub(super) fn peek(&mut self, at: usize) -> io::Result<Option<String>> {
        while self.ahead.len() <= at {
            let Some(line) = self.read_line()? else {
                return Ok(None);
            };
            self.ahead.push_back(line);
        }
        Ok(decoded(self.ahead[at].clone()).ok())
    }

    /// Passes over lines that were looked at.
    pub(super) fn skip(&mut self, lines: usize) {
        self.ahead.drain(..lines);
        self.next_line += lines as u64;
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

fn decoded(line: Vec<u8>) -> Result<String, &'static str> {
    if line.len() > MAX_LINE_BYTES {
        return Err("the line is too long");
    }
    String::from_utf8(line).map_err(|_| "the line is not UTF-8")
}

const BUFFER_BYTES: usize = 1 << 16;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Most bytes of a line: item descriptions are far shorter.
pub(super) const MAX_LINE_BYTES: usize = 1 << 20;
