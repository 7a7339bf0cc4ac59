//! What somebody with the file can do to it behind the coordinator's back, for tests.

use std::path::Path;

use ::redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::RECORDS;

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

fn change(dir: &Path, with: impl FnOnce(&WriteTransaction)) {
    let database = Database::create(dir.join(RECORDS)).unwrap();
    let write = database.begin_write().unwrap();
    with(&write);
    write.commit().unwrap();
}

const MASKED: TableDefinition<'static, &'static str, &'static [u8]> = TableDefinition::new("masked");
const LOG: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("log");
