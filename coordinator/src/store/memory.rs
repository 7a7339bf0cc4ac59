//! Records in memory: for tests and simulations. They are as durable as the process.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::StoreError;
use super::backend::{Durability, EachEntry, EachRow, List, Order, Records, Rows, Table, Transaction};

/// Records in memory; clones are the same ones, as a file is that is opened again.
#[derive(Clone, Debug, Default)]
pub struct MemoryRecords(Arc<Mutex<Arc<Contents>>>);

#[derive(Clone, Debug, Default)]
struct Contents {
    named: [BTreeMap<String, Vec<u8>>; Table::ALL.len()],
    numbered: [BTreeMap<u64, Vec<u8>>; List::ALL.len()],
}

impl MemoryRecords {
    fn contents(&self) -> MutexGuard<'_, Arc<Contents>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Records for MemoryRecords {
    fn name(&self) -> String {
        "the store in memory".to_owned()
    }

    fn read(&self) -> Result<Box<dyn Rows + Send>, StoreError> {
        Ok(Box::new(Arc::clone(&self.contents())))
    }

    fn begin(&mut self, _: Durability) -> Result<Box<dyn Transaction + '_>, StoreError> {
        Ok(Box::new(Changing {
            contents: self.contents(),
            before: Vec::new(),
        }))
    }
}

impl Rows for Arc<Contents> {
    fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.named[table as usize].get(key).cloned())
    }

    fn rows(
        &self,
        table: Table,
        from: &str,
        to: Option<&str>,
        order: Order,
        each: EachRow<'_>,
    ) -> Result<(), StoreError> {
        if to.is_some_and(|to| to <= from) {
            return Ok(());
        }
        let to = to.map_or(Bound::Unbounded, Bound::Excluded);
        let mut range = self.named[table as usize].range::<str, _>((Bound::Included(from), to));
        while let Some((key, value)) = next(&mut range, order) {
            if each(key, value)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn entries(&self, list: List, from: u64, order: Order, each: EachEntry<'_>) -> Result<(), StoreError> {
        let mut range = self.numbered[list as usize].range(from..);
        while let Some((number, value)) = next(&mut range, order) {
            if each(*number, value)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

fn next<T>(range: &mut impl DoubleEndedIterator<Item = T>, order: Order) -> Option<T> {
    match order {
        Order::Forward => range.next(),
        Order::Back => range.next_back(),
    }
}

/// Changes in place, and how to take them back.
struct Changing<'a> {
    contents: MutexGuard<'a, Arc<Contents>>,
    before: Vec<Before>,
}

/// What a row was.
enum Before {
    Named(Table, String, Option<Vec<u8>>),
    Numbered(List, u64, Option<Vec<u8>>),
}

impl Changing<'_> {
    /// Sets a row to what is given, and gives what it was.
    fn swap(&mut self, row: Before) -> Before {
        // Copied first if somebody still reads what was.
        let contents = Arc::make_mut(&mut self.contents);
        match row {
            Before::Named(table, key, value) => {
                let rows = &mut contents.named[table as usize];
                let before = match value {
                    Some(value) => rows.insert(key.clone(), value),
                    None => rows.remove(&key),
                };
                Before::Named(table, key, before)
            }
            Before::Numbered(list, number, value) => {
                let rows = &mut contents.numbered[list as usize];
                let before = match value {
                    Some(value) => rows.insert(number, value),
                    None => rows.remove(&number),
                };
                Before::Numbered(list, number, before)
            }
        }
    }

    fn set(&mut self, row: Before) -> Result<(), StoreError> {
        let before = self.swap(row);
        self.before.push(before);
        Ok(())
    }
}

impl Rows for Changing<'_> {
    fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.contents.get(table, key)
    }

    fn rows(
        &self,
        table: Table,
        from: &str,
        to: Option<&str>,
        order: Order,
        each: EachRow<'_>,
    ) -> Result<(), StoreError> {
        self.contents.rows(table, from, to, order, each)
    }

    fn entries(&self, list: List, from: u64, order: Order, each: EachEntry<'_>) -> Result<(), StoreError> {
        self.contents.entries(list, from, order, each)
    }
}

impl Transaction for Changing<'_> {
    fn put(&mut self, table: Table, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.set(Before::Named(table, key.to_owned(), Some(value.to_vec())))
    }

    fn remove(&mut self, table: Table, key: &str) -> Result<(), StoreError> {
        self.set(Before::Named(table, key.to_owned(), None))
    }

    fn put_entry(&mut self, list: List, number: u64, value: &[u8]) -> Result<(), StoreError> {
        self.set(Before::Numbered(list, number, Some(value.to_vec())))
    }

    fn commit(mut self: Box<Self>) -> Result<(), StoreError> {
        self.before.clear();
        Ok(())
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        while let Some(before) = self.before.pop() {
            self.swap(before);
        }
    }
}
