//! Workbooks, .xlsx and .ods: one sheet of them as rows.
//!
//! A workbook is read on a thread of its own, since its cells borrow from it; rows arrive in batches. Of an .xlsx only its table
//! of texts is held in memory, of an .ods all of it: what either may expand to is looked at first.

use std::fs::File;
use std::io::{BufReader, Seek};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use calamine::{DataType, Ods, Reader, Xlsx, XlsxError};
use souk_common::table::{Row, RowSource, TableError};

use super::cell::{Cell, cell};
use super::unzipped::{BookKind, Looked, look};
use crate::data::{ShopDataConfig, is_header};

/// A sheet's rows as they arrive.
pub(super) struct SheetRows {
    path: PathBuf,
    name: String,
    header: Vec<String>,
    arriving: Receiver<Arrived>,
    batch: std::vec::IntoIter<Row>,
    told: Vec<String>,
    ended: bool,
}

enum Arrived {
    /// The columns, and what is to be told of where they were found.
    Header(Vec<String>, Vec<String>),
    Batch(Vec<Row>),
    /// What is to be told of the cells.
    End(Vec<String>),
    /// Why there is nothing more.
    Failed(String),
}

impl SheetRows {
    /// Opens a workbook, and of it the sheet that `config` names, or the first that has the columns of orders.
    ///
    /// # Errors
    /// When it is none, has a password, expands beyond its limits, or has no such sheet.
    pub(super) fn open(path: &Path, file: File, config: &ShopDataConfig) -> Result<Self, TableError> {
        let unusable = |reason| TableError::Unusable {
            path: path.to_owned(),
            reason,
        };
        let (send, arriving) = sync_channel(BATCHES_AHEAD);
        let config = config.clone();
        let read = move || {
            let ended = read(file, &config, &send);
            // Whoever reads no further has gone.
            let _ = send.send(match ended {
                Ok(told) => Arrived::End(told),
                Err(reason) => Arrived::Failed(reason),
            });
        };
        let spawned = thread::Builder::new().name("workbook".to_owned()).spawn(read);
        spawned.map_err(|error| unusable(error.to_string()))?;
        match arriving.recv() {
            Ok(Arrived::Header(header, told)) => Ok(Self {
                path: path.to_owned(),
                name: path.display().to_string(),
                header,
                arriving,
                batch: Vec::new().into_iter(),
                told,
                ended: false,
            }),
            Ok(Arrived::Failed(reason)) => Err(unusable(reason)),
            _ => Err(unusable(DAMAGED.to_owned())),
        }
    }
}

impl RowSource for SheetRows {
    fn name(&self) -> &str {
        &self.name
    }

    fn header(&self) -> &[String] {
        &self.header
    }

    fn next_row(&mut self, row: &mut Row) -> Result<bool, TableError> {
        loop {
            if let Some(next) = self.batch.next() {
                *row = next;
                return Ok(true);
            }
            if self.ended {
                return Ok(false);
            }
            let reason = match self.arriving.recv() {
                Ok(Arrived::Batch(batch)) => {
                    self.batch = batch.into_iter();
                    continue;
                }
                Ok(Arrived::End(told)) => {
                    self.told.extend(told);
                    self.ended = true;
                    continue;
                }
                Ok(Arrived::Failed(reason)) => reason,
                Ok(Arrived::Header(..)) | Err(_) => DAMAGED.to_owned(),
            };
            let path = self.path.clone();
            return Err(TableError::Unusable { path, reason });
        }
    }

    fn guessed(&self) -> Vec<String> {
        self.told.clone()
    }
}

/// Sends the header and the rows of a sheet; gives what is to be told at the end.
fn read(file: File, config: &ShopDataConfig, out: &SyncSender<Arrived>) -> Result<Vec<String>, String> {
    let (mut book, looked) = Book::open(file, config)?;
    let sheets = book.sheets();
    let wanted: Vec<String> = match &config.sheet {
        Some(name) if sheets.contains(name) => vec![name.clone()],
        Some(name) => {
            let have = sheets.join(", ");
            return Err(format!(
                "there is no sheet called {name:?}; there are: {have}; name one of them as sheet in shop.toml"
            ));
        }
        None => sheets.clone(),
    };
    let found = find_header(&mut book, config, &wanted)?;
    let mut told = Vec::new();
    if sheets.len() > 1 && config.sheet.is_none() {
        told.push(format!(
            "sheet: {:?}, the first of {} that has the columns",
            found.sheet,
            sheets.len()
        ));
    }
    if !found.is_first {
        told.push(format!("header: row {}", found.row + 1));
    }
    let width = found.header.len();
    // Whoever reads no further has gone: here and below.
    if out.send(Arrived::Header(found.header, told)).is_err() {
        return Ok(Vec::new());
    }
    let mut batch = Vec::with_capacity(BATCH_ROWS);
    let mut errors = (0u64, String::new());
    book.rows(&found.sheet, &mut |at, cells| {
        if at <= found.row {
            return true;
        }
        let mut row = Row::default();
        row.start(u64::from(at) + 1);
        let mut next = cells.iter().peekable();
        for column in 0..width as u32 {
            match next.next_if(|(place, _)| *place == column).map(|(_, cell)| cell) {
                None => row.push(""),
                Some(Cell::Text(text)) => row.push(text),
                Some(Cell::Time(text, moment)) => row.push_moment(text, *moment),
                Some(Cell::Error(error)) => {
                    if errors.0 == 0 {
                        errors.1 = format!("the first is {error} in row {}", at + 1);
                    }
                    errors.0 += 1;
                    row.push("");
                }
            }
        }
        batch.push(row);
        batch.len() < BATCH_ROWS || out.send(Arrived::Batch(std::mem::take(&mut batch))).is_ok()
    })?;
    let _ = out.send(Arrived::Batch(batch));
    let mut told = Vec::new();
    if errors.0 > 0 {
        told.push(format!(
            "cells: {} hold errors, {}; they are taken as empty",
            errors.0, errors.1
        ));
    }
    if looked.has_merged {
        told.push("cells: some are merged; their value stands in the first, the others are empty".to_owned());
    }
    if looked.formulas_without_value > 0 {
        told.push(format!(
            "cells: {} formulas have no value, and are taken as empty; open the file in a spreadsheet program and save it again",
            looked.formulas_without_value
        ));
    }
    Ok(told)
}

/// Where the columns are named.
struct Header {
    sheet: String,
    /// From 0.
    row: u32,
    /// Whether nothing stands above it.
    is_first: bool,
    header: Vec<String>,
}

/// The first row with the columns of orders; of a single sheet, else its first row, so that what it lacks is named.
fn find_header(book: &mut Book, config: &ShopDataConfig, sheets: &[String]) -> Result<Header, String> {
    let mut firsts = Vec::new();
    for sheet in sheets {
        let mut rows: Vec<(u32, Vec<String>)> = Vec::new();
        book.rows(sheet, &mut |at, cells| {
            rows.push((at, texts(cells)));
            rows.len() < LOOKED_AT
        })?;
        let found = rows.iter().position(|(_, header)| is_header(config, header));
        if let Some(place) = found.or((sheets.len() == 1 && !rows.is_empty()).then_some(0)) {
            let (row, header) = rows.swap_remove(place);
            let sheet = sheet.clone();
            return Ok(Header {
                sheet,
                row,
                is_first: place == 0,
                header,
            });
        }
        firsts.extend(
            rows.into_iter()
                .next()
                .map(|(_, first)| format!("{sheet} ({})", first.join(", "))),
        );
    }
    match firsts.is_empty() {
        true => Err("it is empty: its first row must name the columns".to_owned()),
        false => Err(format!(
            "none of its sheets has the columns of orders in its first {LOOKED_AT} rows; their first rows are: {}; name the sheet as \
             sheet in shop.toml, or its columns under [data.columns]",
            firsts.join("; ")
        )),
    }
}

/// The texts of a row, up to the last that is not empty.
fn texts(cells: &[(u32, Cell)]) -> Vec<String> {
    let width = cells.iter().map(|(column, _)| column + 1).max().unwrap_or(0);
    let mut texts = vec![String::new(); width as usize];
    for (column, cell) in cells {
        if let Cell::Text(text) | Cell::Time(text, _) = cell {
            text.trim().clone_into(&mut texts[*column as usize]);
        }
    }
    texts
}

/// What is handed a row: its place from 0, and its cells with theirs; whether it wants more.
type TakeRow<'a> = &'a mut dyn FnMut(u32, &[(u32, Cell)]) -> bool;

enum Book {
    Xlsx(Box<Xlsx<BufReader<File>>>),
    Ods(Ods<BufReader<File>>),
}

impl Book {
    fn open(file: File, config: &ShopDataConfig) -> Result<(Self, Looked), String> {
        let of_disk = |error: std::io::Error| format!("it can't be read: {error}");
        let again = file.try_clone().map_err(of_disk)?;
        let looked = look(again, config.max_bytes)?;
        let mut file = BufReader::new(file);
        file.rewind().map_err(of_disk)?;
        let book = match looked.kind {
            BookKind::Xlsx => Self::Xlsx(Box::new(Xlsx::new(file).map_err(|error| match error {
                XlsxError::Password => WITH_PASSWORD.to_owned(),
                error if looked.is_old => {
                    tracing::debug!("not an .xlsx with a password: {error}");
                    OLD.to_owned()
                }
                error => format!("{DAMAGED}: {error}"),
            })?)),
            BookKind::Ods => Self::Ods(Ods::new(file).map_err(|error| match error {
                calamine::OdsError::Password => WITH_PASSWORD.to_owned(),
                error => format!("{DAMAGED}: {error}"),
            })?),
        };
        Ok((book, looked))
    }

    fn sheets(&self) -> Vec<String> {
        match self {
            Self::Xlsx(book) => book.sheet_names(),
            Self::Ods(book) => book.sheet_names(),
        }
    }

    /// Hands the rows of a sheet that are not blank to `take`, as long as it wants more.
    fn rows(&mut self, sheet: &str, take: TakeRow<'_>) -> Result<(), String> {
        let mut row: (u32, Vec<(u32, Cell)>) = (0, Vec::new());
        let mut add = |at: (u32, u32), cell: Option<Cell>| {
            let is_next = at.0 != row.0;
            if is_next && !row.1.is_empty() {
                row.1.sort_by_key(|(column, _)| *column);
                if !take(row.0, &row.1) {
                    return false;
                }
                row.1.clear();
            }
            row.0 = at.0;
            row.1.extend(cell.map(|cell| (at.1, cell)));
            true
        };
        match self {
            Self::Xlsx(book) => {
                let since_1904 = book.has_1904_epoch();
                let damaged = |error: XlsxError| match error {
                    XlsxError::WorksheetNotFound(_) => format!("sheet {sheet:?} is a chart, or damaged"),
                    error => format!("{DAMAGED}: sheet {sheet:?}: {error}"),
                };
                let mut cells = book.worksheet_cells_reader(sheet).map_err(damaged)?;
                while let Some(next) = cells.next_cell().map_err(damaged)? {
                    let value = next.get_value();
                    if !value.is_empty() && !add(next.get_position(), cell(value.clone().into(), since_1904))
                    {
                        return Ok(());
                    }
                }
            }
            Self::Ods(book) => {
                let range = book.worksheet_range(sheet);
                let range = range.map_err(|error| format!("{DAMAGED}: sheet {sheet:?}: {error}"))?;
                let start = range.start().unwrap_or_default();
                for (at, column, value) in range.used_cells() {
                    let place = (start.0 + at as u32, start.1 + column as u32);
                    if !add(place, cell(value.clone(), false)) {
                        return Ok(());
                    }
                }
            }
        }
        // Hands over the last row.
        add((u32::MAX, 0), None);
        Ok(())
    }
}

/// Rows of a sheet among which its header is looked for.
const LOOKED_AT: usize = 20;
const BATCH_ROWS: usize = 512;
const BATCHES_AHEAD: usize = 4;
const DAMAGED: &str = "it is a damaged workbook, or one cut short: save it again";
const WITH_PASSWORD: &str = "it is a workbook with a password: open it, save it without one, and import that";
const OLD: &str = "it is an old Excel workbook (.xls), whatever its name: open it and save it as .xlsx";

#[cfg(test)]
mod tests;
