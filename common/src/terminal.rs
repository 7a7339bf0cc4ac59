//! What reaches a terminal or a log: texts of peers, files and catalogues that stand in it can't command it.
//!
//! A terminal obeys control characters (C0, C1: move the cursor, rename the window, type answers), shows what stands between
//! bidirectional controls in another order, and shows zero-width characters not at all. All of these are written as `\u` and
//! four hexadecimal digits, as in JSON, so that the same holds for `--json`. The programs print through [`say`] and [`tell`],
//! log through [`crate::telemetry`], and have no other way out.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

/// `text` on one line, with nothing in it that a terminal obeys or hides: for a name, a title, an error's detail.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, is_obeyed)
}

/// The same, but that line ends stay: for what was put together here.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |letter| letter != '\n' && is_obeyed(letter))
}

fn escaped(text: &str, refused: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&refused) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if refused(letter) {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                // Writing to a string can't fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(letter);
        }
    }
    Cow::Owned(shown)
}

/// Whether a terminal would obey it, hide it, or show other letters in another order because of it.
fn is_obeyed(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// Prints lines, also JSON, to standard output at once; a reader that has gone is no error.
///
/// # Errors
/// Of the system.
pub fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{}", printable_lines(text)).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Prints lines to standard error; whether anybody reads them is no matter.
pub fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{}", printable_lines(text));
}

/// Passes on what is written to it, made printable; each write must be of whole characters, and others are replaced.
pub(crate) struct PrintableWriter<W>(pub(crate) W);

impl<W: Write> Write for PrintableWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        self.0.write_all(printable_lines(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_or_hides_comes_through_and_everything_else_does() {
        for (given, shown) in [
            ("\u{1b}]0;owned\u{7}", "\\u001b]0;owned\\u0007"),
            ("\u{9b}2J\u{7f}", "\\u009b2J\\u007f"),
            ("a\u{202e}b\u{2066}c\u{2069}", "a\\u202eb\\u2066c\\u2069"),
            ("a\u{200b}b\u{feff}\u{2028}", "a\\u200bb\\ufeff\\u2028"),
            ("a\r\n\tb", "a\\u000d\\u000a\\u0009b"),
            ("\u{e0041}", "\\udb40\\udc41"),
            ("Käse 0,5 kg – 東京 🍞 עברית", "Käse 0,5 kg – 東京 🍞 עברית"),
        ] {
            assert_eq!(printable(given), shown);
        }
        assert_eq!(printable_lines("a\n\u{1b}b\r\n"), "a\n\\u001bb\\u000d\n");
        for letter in ('\0'..='\u{9f}').filter(|letter| letter.is_control()) {
            assert_ne!(printable(&letter.to_string()), letter.to_string());
        }
    }

    #[test]
    fn json_says_the_same_after_it() {
        let value =
            serde_json::json!({ "title\u{9b}": "a\u{1b}\u{202e}\n\u{85}\u{e0001}\u{2028}", "n": [1, null] });
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let shown = printable_lines(&text);
            assert!(!shown.chars().any(|letter| letter != '\n' && is_obeyed(letter)));
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        }
    }

    #[test]
    fn what_is_written_in_one_go_is_made_printable() {
        let mut out = PrintableWriter(Vec::new());
        out.write_all("a\u{9b}é\n".as_bytes()).unwrap();
        out.write_all(b"\xff\x1b").unwrap();
        assert_eq!(String::from_utf8(out.0).unwrap(), "a\\u009bé\n\u{fffd}\\u001b");
    }
}
