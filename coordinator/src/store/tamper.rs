//! What somebody with the file can do to it behind the coordinator's back, for tests.

use std::path::Path;

use ::redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::RECORDS;
use super::backend::{List, Table};

/// Bytes of an entry of the record.
pub(crate) fn entry(dir: &Path, at: u64) -> Vec<u8> {
    let database = Database::create(dir.join(RECORDS)).unwrap();
    let read = database.begin_read().unwrap();
    let value = read.open_table(LOG).unwrap().get(at).unwrap().unwrap();
    value.value().to_vec()
}

/// Sets or removes it.
pub(crate) fn set_entry(dir: &Path, at: u64, bytes: Option<&[u8]>) {
    change(dir, |write| {
        let mut log = write.open_table(LOG).unwrap();
        match bytes {
            Some(bytes) => log.insert(at, bytes).map(drop),
            None => log.remove(at).map(drop),
        }
        .unwrap();
    });
}

/// Changes what is known of the first masked attempt.
pub(crate) fn change_masked(dir: &Path, with: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    change(dir, |write| {
        let mut table = write.open_table(MASKED).unwrap();
        let (name, value) = {
            let (name, value) = table.first().unwrap().unwrap();
            (name.value().to_owned(), value.value().to_vec())
        };
        table.insert(name.as_str(), with(value).as_slice()).unwrap();
    });
}

/// A row of a table or a list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) table: &'static str,
    pub(crate) key: Key,
    pub(crate) value: Vec<u8>,
}

/// Its name or number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Key {
    Name(String),
    Number(u64),
}

/// All rows, as they are in the file.
pub(crate) fn rows(dir: &Path) -> Vec<Row> {
    let database = Database::create(dir.join(RECORDS)).unwrap();
    let read = database.begin_read().unwrap();
    let mut rows = Vec::new();
    for table in Table::ALL.map(Table::name) {
        let opened = read.open_table(named(table)).unwrap();
        rows.extend(opened.iter().unwrap().map(|row| {
            let (key, value) = row.unwrap();
            let (key, value) = (Key::Name(key.value().to_owned()), value.value().to_vec());
            Row { table, key, value }
        }));
    }
    for table in List::ALL.map(List::name) {
        let opened = read.open_table(numbered(table)).unwrap();
        rows.extend(opened.iter().unwrap().map(|row| {
            let (key, value) = row.unwrap();
            let (key, value) = (Key::Number(key.value()), value.value().to_vec());
            Row { table, key, value }
        }));
    }
    rows
}

/// Puts `to` in the place of `from`.
pub(crate) fn replace(dir: &Path, from: &Row, to: &Row) {
    change(dir, |write| {
        for (row, is_there) in [(from, false), (to, true)] {
            match &row.key {
                Key::Name(key) => {
                    let mut table = write.open_table(named(row.table)).unwrap();
                    match is_there {
                        true => table.insert(key.as_str(), row.value.as_slice()).map(drop),
                        false => table.remove(key.as_str()).map(drop),
                    }
                    .unwrap();
                }
                Key::Number(key) => {
                    let mut table = write.open_table(numbered(row.table)).unwrap();
                    match is_there {
                        true => table.insert(*key, row.value.as_slice()).map(drop),
                        false => table.remove(*key).map(drop),
                    }
                    .unwrap();
                }
            }
        }
    });
}

fn named(table: &'static str) -> TableDefinition<'static, &'static str, &'static [u8]> {
    TableDefinition::new(table)
}

fn numbered(table: &'static str) -> TableDefinition<'static, u64, &'static [u8]> {
    TableDefinition::new(table)
}

fn change(dir: &Path, with: impl FnOnce(&WriteTransaction)) {
    let database = Database::create(dir.join(RECORDS)).unwrap();
    let write = database.begin_write().unwrap();
    with(&write);
    write.commit().unwrap();
}

const MASKED: TableDefinition<'static, &'static str, &'static [u8]> = TableDefinition::new("masked");
const LOG: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("log");
