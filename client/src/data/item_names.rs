//! Whatever a shop calls an item, and the catalogue's row of it.

use std::collections::HashMap;
use std::path::Path;

use souk_common::catalogue::{Catalogue, Item, bare_gtin};
use souk_common::table::{Row, RowSource, TextOptions, TextTable};

use crate::data::layout::required;
use crate::data::report::DataReport;
use crate::data::{DataError, ShopDataConfig, existing};

/// Finds rows by a shop's own numbers: as the federation's id, by `item_map.csv`, by the barcode's number, by an alias, in
/// this order.
#[derive(Debug)]
pub(crate) struct ItemNames<'a> {
    catalogue: &'a Catalogue,
    map: &'a HashMap<String, String>,
    gtins: HashMap<&'a str, u32>,
    aliases: HashMap<&'a str, u32>,
    /// Barcodes' numbers by the shop's own numbers, from its items file.
    own_gtins: HashMap<&'a str, &'a str>,
}

impl<'a> ItemNames<'a> {
    /// Of a shop with its own items, as far as it has a file of them.
    pub(crate) fn new(
        catalogue: &'a Catalogue,
        map: &'a HashMap<String, String>,
        own_items: &'a [Item],
    ) -> Self {
        let rows = || catalogue.items().iter().zip(0u32..);
        let gtins = rows().filter_map(|(item, row)| Some((bare_gtin(&item.gtin)?, row)));
        let aliases =
            rows().flat_map(|(item, row)| item.aliases.iter().map(move |alias| (alias.as_str(), row)));
        let own = own_items.iter();
        let own_gtins = own.filter_map(|item| Some((item.id.as_str(), bare_gtin(&item.gtin)?)));
        Self {
            catalogue,
            map,
            gtins: gtins.collect(),
            aliases: aliases.collect(),
            own_gtins: own_gtins.collect(),
        }
    }

    /// The row of what the shop calls `id`.
    pub(crate) fn row(&self, id: &str) -> Option<u32> {
        let mapped = || {
            self.map
                .get(id)
                .and_then(|federations| self.catalogue.row(federations))
        };
        let by_gtin = || {
            let own = self.own_gtins.get(id).copied();
            [bare_gtin(id), own]
                .into_iter()
                .flatten()
                .find_map(|gtin| self.gtins.get(gtin).copied())
        };
        let found = self.catalogue.row(id).or_else(mapped).or_else(by_gtin);
        found.or_else(|| self.aliases.get(id).copied())
    }
}

/// The federation's ids by the shop's own numbers, from the map that is named, or `item_map.csv` if there is one.
///
/// # Errors
/// When the file is unreadable or lacks a column.
pub(super) fn read_map(
    config: &ShopDataConfig,
    folder: &Path,
    report: &mut DataReport,
) -> Result<HashMap<String, String>, DataError> {
    let Some(path) = existing(config.item_map.as_deref(), folder, "item_map.csv") else {
        return Ok(HashMap::new());
    };
    let mut table = TextTable::open(&path, TextOptions::default())?;
    let own = required(&table, "item_map", &["item_id"])?;
    let federations = required(&table, "item_map", &["federation_id"])?;
    report.begin(table.name());
    let (mut map, mut row) = (HashMap::new(), Row::default());
    while table.next_row(&mut row)? {
        let (own, federations) = (row.get(own), row.get(federations));
        let known = map.get(own).filter(|known| *known != federations);
        match (&row.fault, known) {
            (Some(fault), _) => report.add_bad(row.line, fault.kind(), fault.to_string()),
            (None, Some(known)) => {
                let reason = format!(
                    "item {own:?} is {known:?} on an earlier line, and can't be {federations:?} as well"
                );
                report.add_bad(row.line, "item mapped twice", reason);
            }
            // Not mapped yet, as in a list that is still being filled in.
            (None, None) if own.is_empty() || federations.is_empty() => report.leave_out("no id"),
            (None, None) => {
                map.insert(own.to_owned(), federations.to_owned());
                report.take_row();
            }
        }
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_exactly_then_by_the_map_then_by_barcode_then_by_alias() {
        let item = |id: &str, gtin: &str, aliases: &[&str]| Item {
            gtin: gtin.to_owned(),
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            ..Item::bare(id)
        };
        let catalogue = Catalogue::new(vec![
            item("tea", "", &[]),
            item("milk", "04006381333931", &[]),
            item("jam", "96385074", &["J-1", "own-5"]),
        ])
        .unwrap();
        let pairs = [
            ("own-1", "tea"),
            ("tea", "jam"),
            ("own-2", "gone"),
            ("own-5", "tea"),
        ];
        let map = pairs
            .map(|(own, id)| (own.to_owned(), id.to_owned()))
            .into_iter()
            .collect();
        let own = [item("own-3", "4006381333931", &[]), item("own-4", "5", &[])];
        let names = ItemNames::new(&catalogue, &map, &own);
        for (id, row) in [
            ("tea", Some(0)),
            ("own-1", Some(0)),
            ("own-2", None),
            ("4006381333931", Some(1)),
            ("04006381333931", Some(1)),
            ("0000096385074", Some(2)),
            ("own-3", Some(1)),
            ("own-4", None),
            ("J-1", Some(2)),
            ("own-5", Some(0)),
            ("0", None),
            ("", None),
        ] {
            assert_eq!(names.row(id), row, "{id:?}");
        }
    }
}
