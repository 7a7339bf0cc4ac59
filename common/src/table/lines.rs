//! Lines of text within a limit, in whatever encoding the file's start tells.

use std::collections::VecDeque;
use std::io::{self, BufRead, Cursor, Read};
use std::mem;

use encoding_rs::{CoderResult, Decoder, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::sniff::{self, Encoding};

/// Physical lines of a text file; of those that are blank nothing is seen.
pub(super) struct Lines {
    source: Box<dyn BufRead + Send>,
    /// The byte that ends a line.
    end: u8,
    ahead: VecDeque<Vec<u8>>,
    next_line: u64,
    encoding: Encoding,
    windows_lines: u64,
}

/// One line, whose text is in the caller's buffer.
pub(super) struct Found {
    /// Which, from 1.
    pub(super) line: u64,
    /// Whether it is longer than a line may be; there is no text then.
    pub(super) too_long: bool,
}

/// Why a stream gives no lines.
pub(super) enum NoLines {
    /// Reading failed.
    Read(io::Error),
    /// It is something else: what, and what to do.
    NotText(&'static str, &'static str),
}

impl From<io::Error> for NoLines {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

impl Lines {
    pub(super) fn new(source: Box<dyn BufRead + Send>) -> Result<Self, NoLines> {
        let (head, source) = with_head(source)?;
        let encoding = sniff::encoding(&head).map_err(|(what, remedy)| NoLines::NotText(what, remedy))?;
        let (head, mut source) = match encoding {
            Encoding::Utf8 { .. } => (head, source),
            Encoding::Utf16Le => with_head(Box::new(Decoded::new(source, UTF_16LE.new_decoder())))?,
            Encoding::Utf16Be => with_head(Box::new(Decoded::new(source, UTF_16BE.new_decoder())))?,
        };
        let end = match sniff::ends_with_returns(&head) {
            true => b'\r',
            false => b'\n',
        };
        if encoding == (Encoding::Utf8 { mark: true }) {
            source.consume(3);
        }
        Ok(Self {
            source,
            end,
            ahead: VecDeque::new(),
            next_line: 1,
            encoding,
            windows_lines: 0,
        })
    }

    /// How the text is encoded, if it is not UTF-8 throughout.
    pub(super) fn encoding_told(&self) -> Option<String> {
        match (self.encoding, self.windows_lines) {
            (Encoding::Utf16Le | Encoding::Utf16Be, _) => Some("encoding: UTF-16".to_owned()),
            (Encoding::Utf8 { .. }, 0) => None,
            (Encoding::Utf8 { .. }, lines) => Some(format!(
                "encoding: {lines} lines are not UTF-8 and were read as Windows-1252"
            )),
        }
    }

    /// Puts the next line that is not blank into `text`; none at the end.
    pub(super) fn next_line(&mut self, text: &mut String) -> io::Result<Option<Found>> {
        let mut bytes = mem::take(text).into_bytes();
        loop {
            let line = self.next_line;
            let found = match self.ahead.pop_front() {
                Some(ahead) => {
                    bytes = ahead;
                    true
                }
                None => self.read_line(&mut bytes)?,
            };
            if !found {
                return Ok(None);
            }
            self.next_line += 1;
            if bytes.len() > MAX_LINE_BYTES {
                return Ok(Some(Found { line, too_long: true }));
            }
            if !bytes.iter().all(u8::is_ascii_whitespace) {
                *text = self.decoded(bytes);
                let too_long = false;
                return Ok(Some(Found { line, too_long }));
            }
        }
    }

    /// The text of the line `at` lines ahead, blank or not; none when there is none, or it is too long.
    pub(super) fn peek(&mut self, at: usize) -> io::Result<Option<String>> {
        while self.ahead.len() <= at {
            let mut line = Vec::new();
            if !self.read_line(&mut line)? {
                return Ok(None);
            }
            self.ahead.push_back(line);
        }
        let line = self.ahead[at].clone();
        Ok((line.len() <= MAX_LINE_BYTES).then(|| self.decoded(line)))
    }

    /// Passes over lines that were looked at.
    pub(super) fn skip(&mut self, lines: usize) {
        self.ahead.drain(..lines);
        self.next_line += lines as u64;
    }

    /// One line without its end; of a line that is too long, one byte more than the limit. False at the end.
    fn read_line(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        line.clear();
        let most = MAX_LINE_BYTES as u64 + 1;
        let read = (&mut self.source).take(most).read_until(self.end, line)?;
        if read == 0 {
            return Ok(false);
        }
        if line.len() > MAX_LINE_BYTES && line.last() != Some(&self.end) {
            self.source.skip_until(self.end)?;
            return Ok(true);
        }
        while line.last().is_some_and(|end| matches!(end, b'\n' | b'\r')) {
            line.pop();
        }
        Ok(true)
    }

    fn decoded(&mut self, line: Vec<u8>) -> String {
        String::from_utf8(line).unwrap_or_else(|error| {
            self.windows_lines += 1;
            let (text, _) = WINDOWS_1252.decode_without_bom_handling(error.as_bytes());
            text.into_owned()
        })
    }
}

/// The first bytes of a stream, and the whole of it.
fn with_head(mut source: Box<dyn BufRead + Send>) -> io::Result<(Vec<u8>, Box<dyn BufRead + Send>)> {
    let mut head = Vec::new();
    (&mut source).take(HEAD_BYTES).read_to_end(&mut head)?;
    let whole = Cursor::new(head.clone()).chain(source);
    Ok((head, Box::new(whole)))
}

/// UTF-16 as UTF-8, without its byte order mark; what is no UTF-16 becomes U+FFFD.
struct Decoded {
    source: Box<dyn BufRead + Send>,
    decoder: Decoder,
    text: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Decoded {
    fn new(source: Box<dyn BufRead + Send>, decoder: Decoder) -> Self {
        Self {
            source,
            decoder,
            text: Vec::new(),
            at: 0,
            ended: false,
        }
    }
}

impl BufRead for Decoded {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.text.len() && !self.ended {
            let bytes = self.source.fill_buf()?;
            let last = bytes.is_empty();
            self.text.resize(TEXT_BYTES, 0);
            let (result, read, written, _) = self.decoder.decode_to_utf8(bytes, &mut self.text, last);
            self.source.consume(read);
            self.text.truncate(written);
            self.at = 0;
            self.ended = last && result == CoderResult::InputEmpty;
        }
        Ok(&self.text[self.at..])
    }

    fn consume(&mut self, amount: usize) {
        self.at = (self.at + amount).min(self.text.len());
    }
}

impl Read for Decoded {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(into)?;
        self.consume(count);
        Ok(count)
    }
}

/// Most bytes of a line: item descriptions are far shorter.
pub(super) const MAX_LINE_BYTES: usize = 1 << 20;
/// As many bytes as tell what a file is, and how its header ends.
const HEAD_BYTES: u64 = 1 << 16;
const TEXT_BYTES: usize = 1 << 16;
