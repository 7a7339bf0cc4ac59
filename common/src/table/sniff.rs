//! What a file is, by its first bytes.

use super::Style;

/// How a file of text is encoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Encoding {
    /// Also Windows-1252, which is told line by line.
    Utf8 { mark: bool },
    /// Little endian.
    Utf16Le,
    /// Big endian.
    Utf16Be,
}

/// How the file that starts with `head` is encoded; or what else it is, and what to do about it.
pub(super) fn encoding(head: &[u8]) -> Result<Encoding, (&'static str, &'static str)> {
    if head.starts_with(&[0xef, 0xbb, 0xbf]) {
        return Ok(Encoding::Utf8 { mark: true });
    }
    if head.starts_with(&[0xff, 0xfe]) {
        return Ok(Encoding::Utf16Le);
    }
    if head.starts_with(&[0xfe, 0xff]) {
        return Ok(Encoding::Utf16Be);
    }
    for (magic, what, remedy) in OTHERS {
        if head.starts_with(magic) {
            return Err((what, remedy));
        }
    }
    // A header's first letters are ASCII, whatever its language: every other byte is zero.
    let start = &head[..head.len().min(16) / 2 * 2];
    let pairs = || start.as_chunks::<2>().0.iter();
    if start.len() >= 4 && pairs().all(|pair| pair[0] != 0 && pair[1] == 0) {
        return Ok(Encoding::Utf16Le);
    }
    if start.len() >= 4 && pairs().all(|pair| pair[0] == 0 && pair[1] != 0) {
        return Ok(Encoding::Utf16Be);
    }
    if head[..head.len().min(1024)].contains(&0) {
        return Err(("a binary file", EXPORT));
    }
    Ok(Encoding::Utf8 { mark: false })
}

/// Whether lines end with carriage returns only, by the first line of `head`.
pub(super) fn ends_with_returns(head: &[u8]) -> bool {
    let Some(first) = head.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return false;
    };
    let after = head[first..].iter().find(|byte| **byte != b'\r');
    head[first] == b'\r' && after != Some(&b'\n')
}

/// The delimiter of a header line: the candidate that it has most of outside quotes, a comma if it has none.
pub(super) fn delimiter(header: &str) -> char {
    let mut counts = [0usize; DELIMITERS.len()];
    let mut quoted = false;
    for letter in header.chars() {
        quoted ^= letter == '"';
        if let Some(at) = DELIMITERS.iter().position(|known| *known == letter)
            && !quoted
        {
            counts[at] += 1;
        }
    }
    let most = counts.iter().copied().max().unwrap_or(0);
    let at = counts.iter().position(|count| *count == most).unwrap_or(0);
    DELIMITERS[at]
}

/// What a first line like `sep=;` says.
pub(super) fn separator_line(line: &str) -> Option<char> {
    let line = line.trim_matches(['"', '\r', ' ']);
    let name = line.get(..4).filter(|name| name.eq_ignore_ascii_case("sep="))?;
    let mut letters = line[name.len()..].chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) => Some(letter),
        _ => None,
    }
}

/// How the file with this header line is written: RecBole's atomic files name a type with each column.
pub(super) fn style(header: &str) -> Style {
    let typed = |field: &str| {
        field.trim().split_once(':').is_some_and(|(name, kind)| {
            !name.is_empty() && ["token", "token_seq", "float", "float_seq"].contains(&kind)
        })
    };
    match header.split('\t').all(typed) {
        true => Style::Recbole,
        false => Style::Quoted,
    }
}

const DELIMITERS: [char; 4] = [',', ';', '\t', '|'];
const EXPORT: &str = "export it as CSV";
const OTHERS: [(&[u8], &str, &str); 13] = [
    (
        b"PK\x03\x04",
        "a zip archive or an Excel workbook (.xlsx)",
        "unpack it, or save it as CSV",
    ),
    (b"PK\x05\x06", "an empty zip archive", EXPORT),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an old Excel workbook (.xls)",
        "save it as CSV",
    ),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", "unpack it"),
    (b"\x1f\x8b", "a gzip archive inside a gzip archive", "unpack it"),
    (b"BZh", "a bzip2 archive", "unpack it"),
    (b"\xfd7zXZ\0", "an xz archive", "unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it"),
    (b"Rar!\x1a\x07", "a RAR archive", "unpack it"),
    (b"%PDF-", "a PDF document", EXPORT),
    (b"PAR1", "a Parquet file", EXPORT),
    (b"SQLite format 3\0", "an SQLite database", EXPORT),
    (
        b"<!DOCTYPE",
        "a web page (perhaps of a login that has run out)",
        EXPORT,
    ),
];
