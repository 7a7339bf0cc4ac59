//! What a workbook expands to, looked at before it is parsed: its parts are held in memory.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};

use zip::ZipArchive;

use super::expanded::too_large;

/// What was seen.
pub(super) struct Looked {
    pub(super) kind: BookKind,
    /// Whether it is no zip archive, but the container of old workbooks and of those with a password.
    pub(super) is_old: bool,
    pub(super) has_merged: bool,
    /// Formulas of which nobody kept the value.
    pub(super) formulas_without_value: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum BookKind {
    Xlsx,
    Ods,
}

/// Looks through a workbook.
///
/// # Errors
/// When it is none, or a part expands beyond `max_bytes`, out of all proportion, or beyond what can be held.
pub(super) fn look(mut file: File, max_bytes: u64) -> Result<Looked, String> {
    let of_disk = |error: std::io::Error| format!("it can't be read: {error}");
    let size = file.metadata().map_err(of_disk)?.len();
    let mut looked = Looked {
        kind: BookKind::Xlsx,
        is_old: true,
        has_merged: false,
        formulas_without_value: 0,
    };
    let mut start = [0; 4];
    file.rewind().map_err(of_disk)?;
    file.read_exact(&mut start).map_err(of_disk)?;
    if start != ZIP_MAGIC {
        return Ok(looked);
    }
    looked.is_old = false;
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|error| {
        format!("it is a zip archive that is damaged or cut short ({error}): make it again")
    })?;
    looked.kind = kind_of(&mut zip)?;
    let mut all = 0;
    for at in 0..zip.len() {
        let unreadable = |error: zip::result::ZipError| format!("a part of it can't be read: {error}");
        let part = zip.by_index(at).map_err(unreadable)?;
        let name = part.name().map_err(unreadable)?.into_owned();
        if !name.ends_with(".xml") && !name.ends_with(".rels") {
            continue;
        }
        // Sheets of an .xlsx are read cell by cell, everything else is held.
        let is_streamed = looked.kind == BookKind::Xlsx && name.starts_with("xl/worksheets/");
        let most = if is_streamed {
            max_bytes
        } else {
            max_bytes.min(MAX_HELD_BYTES)
        };
        let (mut part, mut piece, mut bytes) = (BufReader::with_capacity(BUFFER_BYTES, part), Vec::new(), 0);
        let mut is_formula = false;
        loop {
            piece.clear();
            let read = (&mut part).take(MAX_PIECE_BYTES + 1).read_until(b'<', &mut piece);
            let read =
                read.map_err(|error| format!("{name} in it is damaged ({error}): save it again"))? as u64;
            if read == 0 {
                break;
            }
            (bytes, all) = (bytes + read, all + read);
            if bytes > most && !is_streamed && most < max_bytes {
                return Err(format!(
                    "{name} in it expands to more than {} MB, which would be held in memory: save the sheet as CSV and import that",
                    MAX_HELD_BYTES >> 20
                ));
            }
            if let Some(reason) = too_large(all, size, max_bytes) {
                return Err(reason);
            }
            if read > MAX_PIECE_BYTES {
                return Err(format!(
                    "{name} in it has a cell of more than {} kB, which no spreadsheet writes",
                    MAX_PIECE_BYTES >> 10
                ));
            }
            looked.has_merged |=
                piece.starts_with(b"mergeCell ") || piece.starts_with(b"table:covered-table-cell");
            looked.formulas_without_value += u64::from(is_formula && piece.starts_with(b"/c>"));
            is_formula = piece.starts_with(b"/f>") || (piece.starts_with(b"f ") && piece.ends_with(b"/><"));
        }
    }
    Ok(looked)
}

fn kind_of(zip: &mut ZipArchive<BufReader<File>>) -> Result<BookKind, String> {
    let has = |name: &str| zip.index_for_name(name).is_some();
    if has("xl/workbook.bin") {
        return Err("it is a binary workbook (.xlsb): save it as .xlsx".to_owned());
    }
    if has("xl/workbook.xml") {
        return Ok(BookKind::Xlsx);
    }
    let mut kind = String::new();
    if let Ok(part) = zip.by_name("mimetype") {
        // What is not text is no kind either.
        let _ = part.take(MIME_ODS.len() as u64 + 1).read_to_string(&mut kind);
    }
    match kind.trim_end() == MIME_ODS {
        true => Ok(BookKind::Ods),
        false => Err(
            "it is a zip archive without a workbook in it: unpack it, and import the files that were in it"
                .to_owned(),
        ),
    }
}

pub(super) const ZIP_MAGIC: [u8; 4] = *b"PK\x03\x04";
/// Most bytes of a part that is held in memory: the texts of an .xlsx, all of an .ods.
const MAX_HELD_BYTES: u64 = 256 << 20;
/// Excel's cells have 32,767 letters at most.
const MAX_PIECE_BYTES: u64 = 1 << 20;
const BUFFER_BYTES: usize = 1 << 16;
const MIME_ODS: &str = "application/vnd.oasis.opendocument.spreadsheet";
