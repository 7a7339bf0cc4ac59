//! What a shop sells that the federation's catalogue does not have, or has under a name that nobody has told.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde::Serialize;
use souk_common::catalogue::{Catalogue, Item};
use strsim::sorensen_dice;

use super::read::{HistoriesError, read_orders};
use super::refresh::refresh;
use crate::config::ShopConfig;
use crate::data::DataReport;
use crate::folder::Folder;

/// An item of the shop's that is not found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unmatched {
    /// The shop's own number.
    pub item_id: String,
    /// How many order lines have it.
    pub sold: u64,
    /// From the shop's items file; may be empty.
    pub title: String,
    /// Items of the catalogue with the most similar titles, the nearest first.
    pub nearest: Vec<Near>,
}

/// An item of the catalogue that may be meant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Near {
    /// Its id.
    pub federation_id: String,
    /// Its title.
    pub title: String,
}

/// All of them.
#[derive(Clone, Debug, PartialEq)]
pub struct AllUnmatched {
    /// How many.
    pub items: usize,
    /// In how many order lines.
    pub rows: u64,
    /// Those that were sold most often first.
    pub listed: Vec<Unmatched>,
}

/// The items in the store that `catalogue` does not have; the `most` that were sold most often are listed.
///
/// # Errors
/// When the store or a file beside it is of no use.
pub fn unmatched(
    folder: &Folder,
    config: &ShopConfig,
    catalogue: &Catalogue,
    most: usize,
) -> Result<AllUnmatched, HistoriesError> {
    refresh(folder, config)?;
    let mut report = DataReport::default();
    let (orders, own) = read_orders(folder, &config.data, None, &mut report)?;
    let own_items = own.items();
    let names = own.names(catalogue);
    let sold = orders.sold().into_iter();
    let mut missing: Vec<(&str, u64)> = sold
        .filter(|(id, sold)| *sold > 0 && names.row(id).is_none())
        .collect();
    missing.sort_unstable_by_key(|(id, sold)| (Reverse(*sold), *id));
    let (items, rows) = (missing.len(), missing.iter().map(|(_, sold)| sold).sum());
    let titles: HashMap<&str, &str> = own_items
        .iter()
        .map(|item| (item.id.as_str(), item.title.as_str()))
        .collect();
    let lower: Vec<String> = catalogue
        .items()
        .iter()
        .map(|item| item.title.to_lowercase())
        .collect();
    let listed = missing.into_iter().take(most).map(|(id, sold)| {
        let title = titles.get(id).copied().unwrap_or_default();
        Unmatched {
            item_id: id.to_owned(),
            sold,
            title: title.to_owned(),
            nearest: nearest(title, catalogue.items(), &lower),
        }
    });
    Ok(AllUnmatched {
        items,
        rows,
        listed: listed.collect(),
    })
}

/// The items whose titles have most pairs of letters in common with `title` (Sørensen and Dice), case aside.
fn nearest(title: &str, items: &[Item], lower: &[String]) -> Vec<Near> {
    if title.is_empty() {
        return Vec::new();
    }
    let title = title.to_lowercase();
    let likeness = lower
        .iter()
        .enumerate()
        .map(|(row, other)| (sorensen_dice(&title, other), row));
    let mut near: Vec<(f64, usize)> = likeness
        .filter(|(likeness, _)| *likeness >= LEAST_LIKENESS)
        .collect();
    near.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let item = |(_, row): (f64, usize)| Near {
        federation_id: items[row].id.clone(),
        title: items[row].title.clone(),
    };
    near.into_iter().take(MOST_NEAR).map(item).collect()
}

/// Titles with fewer pairs of letters in common are of other things.
const LEAST_LIKENESS: f64 = 0.4;
const MOST_NEAR: usize = 3;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_not_in_the_catalogue_is_listed_by_sales_with_the_nearest_titles() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        let line = |user: &str, item: &str| format!("{user},{item},1700000000\n");
        let orders = [
            ("a", "1"),
            ("b", "2"),
            ("c", "2"),
            ("d", "3"),
            ("e", "tea"),
            ("f", "4"),
        ];
        let orders: String = orders.iter().map(|(user, item)| line(user, item)).collect();
        write("orders.csv", &format!("user_id,item_id,timestamp\n{orders}"));
        write(
            "items.csv",
            "item_id,title,gtin\n1,Earl Grey loose 250g,\n2,STRAWBERRY JAM 340 g,\n3,,\n4,Milk,4006381333931\n",
        );
        write("item_map.csv", "item_id,federation_id\n3,tea\n1,\n");
        let item = |id: &str, title: &str, gtin: &str| Item {
            title: title.to_owned(),
            gtin: gtin.to_owned(),
            ..Item::bare(id)
        };
        let catalogue = Catalogue::new(vec![
            item("tea", "Earl Grey tea, loose, 250 g", ""),
            item("jam", "Strawberry jam 340g", ""),
            item("milk", "Whole milk", "04006381333931"),
        ])
        .unwrap();
        let config = ShopConfig::default();
        let all = unmatched(&Folder::new(dir.path()), &config, &catalogue, 9).unwrap();
        assert_eq!((all.items, all.rows), (2, 3));
        let found: Vec<(&str, u64, Vec<&str>)> = all
            .listed
            .iter()
            .map(|item| {
                let near = item.nearest.iter().map(|near| near.federation_id.as_str());
                (item.item_id.as_str(), item.sold, near.collect())
            })
            .collect();
        assert_eq!(found, [("2", 2, vec!["jam"]), ("1", 1, vec!["tea"])]);
        let most = unmatched(&Folder::new(dir.path()), &config, &catalogue, 1).unwrap();
        assert_eq!((most.items, most.listed.len()), (2, 1));
    }
}
