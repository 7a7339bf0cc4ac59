//! What every backend promises. A new one gets a line in [`every_backend`]. What holds when the machine stops at any write is
//! tested where there is a disk that does: `simulator/src/cluster/disk/stores.rs`.

use std::collections::BTreeMap;

use souk_common::storage::blobs::MemoryBlobs;

use super::backend::{List, Transaction};
use super::memory::MemoryRecords;
use super::*;

/// Opens the same records again and again.
type Open<'a> = &'a dyn Fn() -> Box<dyn Records>;

/// Runs `check` over empty records of each backend.
fn every_backend(check: impl Fn(Open<'_>)) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records");
    check(&|| Box::new(RedbRecords::open(&SystemDisk, &path).unwrap()));
    let memory = MemoryRecords::default();
    check(&|| Box::new(memory.clone()));
}

/// Runs `check` with a function that opens the same store, empty at first, again and again: one of each kind.
pub(crate) fn every_store(check: impl Fn(&dyn Fn() -> Store)) {
    let dir = tempfile::tempdir().unwrap();
    check(&|| Store::open(dir.path(), None).unwrap());
    let records = MemoryRecords::default();
    let [files, private] = [(); 2].map(|()| MemoryBlobs::default());
    check(&|| Store::of(records.clone(), files.clone(), private.clone()).unwrap());
}

fn change(records: &mut dyn Records, durability: Durability, with: impl FnOnce(&mut dyn Transaction)) {
    let mut transaction = records.begin(durability).unwrap();
    with(&mut *transaction);
    transaction.commit().unwrap();
}

fn names(rows: &dyn Rows, from: &str, to: Option<&str>, order: Order) -> Vec<String> {
    let mut names = Vec::new();
    rows.rows(Table::Meta, from, to, order, &mut |key, value| {
        assert_eq!(key.as_bytes(), value);
        names.push(key.to_owned());
        Ok(ControlFlow::Continue(()))
    })
    .unwrap();
    names
}

fn numbers(rows: &dyn Rows, from: u64, order: Order) -> Vec<u64> {
    let mut numbers = Vec::new();
    rows.entries(List::Log, from, order, &mut |number, value| {
        assert_eq!(number.to_le_bytes(), value);
        numbers.push(number);
        Ok(ControlFlow::Continue(()))
    })
    .unwrap();
    numbers
}

/// All rows of all tables.
fn everything(records: &dyn Records) -> BTreeMap<(&'static str, String), Vec<u8>> {
    let (rows, mut all) = (records.read().unwrap(), BTreeMap::new());
    for table in Table::ALL {
        rows.rows(table, "", None, Order::Forward, &mut |key, value| {
            all.insert((table.name(), key.to_owned()), value.to_vec());
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    }
    for list in List::ALL {
        rows.entries(list, 0, Order::Forward, &mut |number, value| {
            all.insert((list.name(), number.to_string()), value.to_vec());
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    }
    all
}

#[test]
fn rows_come_in_the_order_of_their_keys_and_only_those_that_were_asked_for() {
    every_backend(|open| {
        let mut records = open();
        assert!(everything(&*records).is_empty(), "nothing was written yet");
        // By bytes: upper case before lower case, and what is not ASCII last.
        let mut keys = ["b", "a", "a b", "B", "é", "", "ab", "c\u{0}", "a\u{0}"];
        change(&mut *records, Durability::Immediate, |to| {
            keys.iter()
                .for_each(|key| to.put(Table::Meta, key, key.as_bytes()).unwrap());
            to.put(Table::Shops, "of another table", b"x").unwrap();
            for number in [3, 0, u64::MAX, 256, 1] {
                to.put_entry(List::Log, number, &number.to_le_bytes()).unwrap();
            }
            to.put_entry(List::Models, 2, b"of another list").unwrap();
        });
        keys.sort_unstable();
        let rows = records.read().unwrap();
        let edges = keys.into_iter().chain(["0", "aa", "zz", "\u{10ffff}"]);
        for from in edges.clone() {
            for to in edges.clone().map(Some).chain([None]) {
                let mut expected: Vec<&str> = keys.to_vec();
                expected.retain(|key| *key >= from && to.is_none_or(|to| *key < to));
                assert_eq!(
                    names(&*rows, from, to, Order::Forward),
                    expected,
                    "{from:?} {to:?}"
                );
                expected.reverse();
                assert_eq!(names(&*rows, from, to, Order::Back), expected, "{from:?} {to:?}");
            }
        }
        let all = [0, 1, 3, 256, u64::MAX];
        for from in [0, 1, 2, 256, 257, u64::MAX] {
            let mut expected = all.to_vec();
            expected.retain(|number| *number >= from);
            assert_eq!(numbers(&*rows, from, Order::Forward), expected);
            expected.reverse();
            assert_eq!(numbers(&*rows, from, Order::Back), expected);
        }
        assert_eq!(rows.get(Table::Shops, "a").unwrap(), None);
        assert_eq!(rows.get(Table::Meta, "a").unwrap(), Some(b"a".to_vec()));
    });
}

#[test]
fn who_has_seen_enough_gets_no_more_and_an_error_comes_back() {
    every_backend(|open| {
        let mut records = open();
        change(&mut *records, Durability::Immediate, |to| {
            for key in ["a", "b", "c"] {
                to.put(Table::Meta, key, b"").unwrap();
            }
            (0..3).for_each(|number| to.put_entry(List::Log, number, b"").unwrap());
        });
        let (rows, mut seen) = (records.read().unwrap(), Vec::new());
        rows.rows(Table::Meta, "", None, Order::Back, &mut |key, _| {
            seen.push(key.to_owned());
            Ok(if seen.len() == 2 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })
        .unwrap();
        assert_eq!(seen, ["c", "b"]);
        let damaged = rows.entries(List::Log, 0, Order::Forward, &mut |number, _| match number {
            0 => Ok(ControlFlow::Continue(())),
            number => Err(StoreError::Damaged {
                key: number.to_string(),
            }),
        });
        assert!(matches!(damaged, Err(StoreError::Damaged { key }) if key == "1"));
    });
}

#[test]
fn a_change_is_seen_whole_when_it_is_committed_and_not_at_all_when_it_is_not() {
    every_backend(|open| {
        let mut records = open();
        change(&mut *records, Durability::Immediate, |to| {
            to.put(Table::Meta, "stays", b"1").unwrap();
            to.put(Table::Meta, "goes", b"1").unwrap();
            to.put_entry(List::Log, 0, b"1").unwrap();
        });
        let before = everything(&*records);
        let alter = |to: &mut dyn Transaction| {
            to.put(Table::Meta, "stays", b"2").unwrap();
            to.put(Table::Meta, "stays", b"3").unwrap();
            to.remove(Table::Meta, "goes").unwrap();
            to.remove(Table::Meta, "never was").unwrap();
            to.put(Table::Shops, "comes", b"2").unwrap();
            to.put(Table::Shops, "comes and goes", b"2").unwrap();
            to.remove(Table::Shops, "comes and goes").unwrap();
            to.put_entry(List::Log, 0, b"2").unwrap();
            to.put_entry(List::Log, 1, b"2").unwrap();
            // It sees its own rows.
            assert_eq!(to.get(Table::Meta, "stays").unwrap(), Some(b"3".to_vec()));
            assert_eq!(to.get(Table::Meta, "goes").unwrap(), None);
            let mut entries = 0;
            to.entries(List::Log, 0, Order::Forward, &mut |_, value| {
                assert_eq!(value, b"2");
                entries += 1;
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
            assert_eq!(entries, 2);
        };
        let mut given_up = records.begin(Durability::Immediate).unwrap();
        alter(&mut *given_up);
        drop(given_up);
        assert_eq!(everything(&*records), before);
        let moment = records.read().unwrap();
        change(&mut *records, Durability::Immediate, alter);
        // Who began to read before reads what was then.
        assert_eq!(moment.get(Table::Meta, "stays").unwrap(), Some(b"1".to_vec()));
        assert_eq!(moment.get(Table::Shops, "comes").unwrap(), None);
        drop(moment);
        let after = everything(&*records);
        let row = |table, key: &str, value: &[u8]| ((table, key.to_owned()), value.to_vec());
        let expected = [
            row("log", "0", b"2"),
            row("log", "1", b"2"),
            row("meta", "stays", b"3"),
            row("shops", "comes", b"2"),
        ];
        assert_eq!(after, BTreeMap::from(expected));
        drop(records);
        assert_eq!(everything(&*open()), after, "opened again");
    });
}

#[test]
fn a_lazy_change_is_seen_at_once_and_is_there_after_an_orderly_end() {
    every_backend(|open| {
        let mut records = open();
        for (number, durability) in (0..).zip([Durability::Lazy, Durability::Immediate, Durability::Lazy]) {
            change(&mut *records, durability, |to| {
                to.put_entry(List::Log, number, &number.to_le_bytes()).unwrap();
            });
            assert_eq!(
                numbers(&*records.read().unwrap(), 0, Order::Back).first(),
                Some(&number)
            );
        }
        drop(records);
        assert_eq!(numbers(&*open().read().unwrap(), 0, Order::Forward), [0, 1, 2]);
    });
}

#[test]
fn a_large_value_and_many_rows_come_back() {
    every_backend(|open| {
        let mut records = open();
        let large: Vec<u8> = (0..3_000_000u32).map(|at| at as u8).collect();
        change(&mut *records, Durability::Immediate, |to| {
            to.put(Table::Masked, "large", &large).unwrap();
            (0..5000).for_each(|number: u64| {
                to.put_entry(List::Log, number, &number.to_le_bytes()).unwrap();
            });
        });
        drop(records);
        let records = open();
        let rows = records.read().unwrap();
        assert!(rows.get(Table::Masked, "large").unwrap() == Some(large));
        assert!(numbers(&*rows, 0, Order::Forward).into_iter().eq(0..5000));
    });
}
