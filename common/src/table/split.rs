//! A record's text, cut into fields.

use std::ops::Range;

/// What ends a record's sound fields.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Broken {
    /// A quoted field does not end.
    Open,
    /// A quoted field ends, and goes on.
    After,
}

/// Cuts `text`, which loses its quotes with the help of a `spare` buffer; `fields` are the trimmed ranges, up to the broken one if one is.
pub(super) fn split(
    text: &mut String,
    spare: &mut String,
    fields: &mut Vec<Range<usize>>,
    delimiter: char,
    quotes: bool,
) -> Option<Broken> {
    fields.clear();
    if !quotes || !text.contains('"') {
        plain(text, fields, delimiter);
        return None;
    }
    spare.clear();
    let broken = quoted_fields(text, spare, fields, delimiter);
    std::mem::swap(text, spare);
    broken
}

fn plain(text: &str, fields: &mut Vec<Range<usize>>, delimiter: char) {
    let mut start = 0;
    // A byte is found faster than a character.
    if let Ok(byte) = u8::try_from(delimiter)
        && byte.is_ascii()
    {
        for (at, found) in text.bytes().enumerate() {
            if found == byte {
                fields.push(trimmed(text, start..at));
                start = at + 1;
            }
        }
    } else {
        for (at, found) in text.match_indices(delimiter) {
            fields.push(trimmed(text, start..at));
            start = at + found.len();
        }
    }
    fields.push(trimmed(text, start..text.len()));
}

fn quoted_fields(
    text: &str,
    whole: &mut String,
    fields: &mut Vec<Range<usize>>,
    delimiter: char,
) -> Option<Broken> {
    let mut rest = text;
    loop {
        let start = whole.len();
        let after = if let Some(inside) = rest.strip_prefix('"') {
            match unquote(inside, whole) {
                Some(after) => after,
                None => return Some(Broken::Open),
            }
        } else {
            let end = rest.find(delimiter).unwrap_or(rest.len());
            whole.push_str(&rest[..end]);
            &rest[end..]
        };
        match after.strip_prefix(delimiter) {
            Some(next) => rest = next,
            None if after.trim().is_empty() => {
                fields.push(trimmed(whole, start..whole.len()));
                return None;
            }
            None => match after.trim_start().strip_prefix(delimiter) {
                Some(next) => rest = next,
                None => return Some(Broken::After),
            },
        }
        fields.push(trimmed(whole, start..whole.len()));
    }
}

/// Appends the field that ends at the next lone quote of `text`; what follows, if there is one.
fn unquote<'a>(text: &'a str, into: &mut String) -> Option<&'a str> {
    let mut rest = text;
    loop {
        let end = rest.find('"')?;
        into.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                into.push('"');
                rest = more;
            }
            None => return Some(rest),
        }
    }
}

fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let field = &text[range.clone()];
    let start = range.start + (field.len() - field.trim_start().len());
    start..start + field.trim().len()
}
