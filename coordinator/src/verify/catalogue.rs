//! The catalogue that the folder has for the next run, beside the one that the record names.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};
use souk_common::catalogue::{Catalogue, Item};
use souk_common::ids::Digest;

use super::report::Check;
use crate::folder::CATALOGUE;
use crate::store::{IMPORTED, Store, StoreError};

/// Whether `catalogue.jsonl` is what the record says, or what was imported since; the next `serve` takes it in.
pub(super) fn check(dir: &Path, store: &Store) -> Result<Check, StoreError> {
    let mut check = Check::new(NAME);
    let read = fs::read(dir.join(CATALOGUE)).ok();
    let recorded = match store.newest_model()? {
        Some(manifest) => store.files().read(&manifest.body.catalogue).ok(),
        None => None,
    };
    let (Some(read), Some(recorded)) = (read, recorded) else {
        check.not_kept(CATALOGUE, "it is not in this folder, or the record's is not");
        return Ok(check);
    };
    let imported: Option<Digest> = store.meta(IMPORTED)?;
    let is_good = read == recorded || imported == Some(Digest::of(&read));
    check.note(is_good, || {
        format!(
            "{CATALOGUE}: {}; it was edited since the last `souk-coordinator catalogue import`, and the next `serve` would take it in: \
             import the catalogue again",
            difference(&read, &recorded)
        )
    });
    Ok(check)
}

/// The first item that is another than in the record, in words.
fn difference(read: &[u8], recorded: &[u8]) -> String {
    let (read, recorded) = match (Catalogue::from_bytes(read), Catalogue::from_bytes(recorded)) {
        (Ok(read), Ok(recorded)) => (read, recorded),
        (Err(error), _) => return format!("it is no catalogue: {error}"),
        (_, Err(error)) => return format!("the record's is damaged: {error}"),
    };
    let (read, recorded) = (read.items(), recorded.items());
    for (at, pair) in read.iter().zip(recorded).enumerate() {
        if pair.0 != pair.1 {
            return other(at, pair);
        }
    }
    match (read.get(recorded.len()), recorded.get(read.len())) {
        (Some(more), _) => format!("item {:?} (row {}) is not in the record", more.id, recorded.len()),
        (_, Some(less)) => format!("item {:?} (row {}) of the record is missing", less.id, read.len()),
        _ => "its items are those of the record, written in another way".to_owned(),
    }
}

fn other(at: usize, (read, recorded): (&Item, &Item)) -> String {
    if read.id != recorded.id {
        return format!("row {at} is item {:?}, in the record {:?}", read.id, recorded.id);
    }
    let fields = |item: &Item| match serde_json::to_value(item) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let (read, recorded_fields) = (fields(read), fields(recorded));
    let absent = Value::Null;
    let of = |fields: &Map<String, Value>, name: &String| fields.get(name).unwrap_or(&absent).clone();
    let names = read.keys().chain(recorded_fields.keys());
    let changed = names
        .into_iter()
        .find(|name| of(&read, name) != of(&recorded_fields, name));
    match changed {
        Some(name) => format!(
            "item {:?} (row {at}) has {name} {}, in the record {}",
            recorded.id,
            of(&read, name),
            of(&recorded_fields, name)
        ),
        None => format!("item {:?} (row {at}) is another than in the record", recorded.id),
    }
}

const NAME: &str = "catalogue.jsonl is the record's catalogue, or one imported since";

#[cfg(test)]
mod tests {
    use souk_common::crypto::sign::SigningKey;

    use super::*;
    use crate::control::on_store::note_import;
    use crate::folder::FederationFolder;

    #[test]
    fn an_edited_catalogue_is_found_by_its_first_item_that_differs_and_an_imported_one_is_good() {
        type Edit = fn(&mut Vec<Item>);
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::from_bytes(&[3; 32]).public();
        crate::engine::tests::publish_two_rounds(dir.path());
        let home = FederationFolder::new(dir.path());
        let checked = || super::super::check(dir.path(), &key).unwrap();
        let last = || {
            let checks = checked().checks;
            checks.into_iter().find(|check| check.name == NAME).unwrap()
        };
        // A copy of the records alone.
        assert_eq!((last().ok, last().not_kept), (true, 1));
        let items = |change: Edit| {
            let mut items = vec![Item::bare("a"), Item::bare("b")];
            change(&mut items);
            Catalogue::new(items).unwrap()
        };
        home.set_catalogue(&items(|_| ())).unwrap();
        assert_eq!((checked().ok, last().good), (true, 1));
        let edits: [(Edit, &str); 5] = [
            (
                |items| items[1].title = "Tea".to_owned(),
                "item \"b\" (row 1) has title \"Tea\", in the record \"\"",
            ),
            (
                |items| items[0].price = Some(2.5),
                "item \"a\" (row 0) has price 2.5, in the record null",
            ),
            (
                |items| items.swap(0, 1),
                "row 0 is item \"b\", in the record \"a\"",
            ),
            (
                |items| items.push(Item::bare("c")),
                "item \"c\" (row 2) is not in the record",
            ),
            (
                |items| drop(items.pop()),
                "item \"b\" (row 1) of the record is missing",
            ),
        ];
        for (edit, said) in edits {
            home.set_catalogue(&items(edit)).unwrap();
            let (report, check) = (checked(), last());
            assert!(!report.ok && check.detail.contains(said), "{}", check.detail);
            assert!(check.detail.contains("catalogue import"), "{}", check.detail);
        }
        fs::write(dir.path().join(CATALOGUE), "{}").unwrap();
        assert!(last().detail.contains("no catalogue"), "{}", last().detail);
        // Imported, it waits for `serve`; edited after that, it is wrong again.
        home.set_catalogue(&items(|items| items.push(Item::bare("c"))))
            .unwrap();
        note_import(&home, &mut Store::open(dir.path(), None).unwrap()).unwrap();
        assert!(checked().ok);
        home.set_catalogue(&items(|items| items.push(Item::bare("d"))))
            .unwrap();
        assert!(!checked().ok);
    }
}
