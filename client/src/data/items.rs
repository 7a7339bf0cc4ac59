//! Reading a catalogue.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use souk_common::catalogue::{Catalogue, Item, bare_gtin};
use souk_common::date;
use souk_common::table::{Row, RowSource, TextOptions, TextTable, number};

use crate::data::DataError;
use crate::data::columns::ItemColumns;
use crate::data::config::FileFormat;
use crate::data::layout::{optional, required};
use crate::data::report::DataReport;

/// Reads a catalogue from a file of items, in the file's order; bad and repeated lines are passed over and reported.
///
/// # Errors
/// When the file can't be read, lacks a column, or has no usable item.
pub fn read_catalogue(
    path: &Path,
    columns: &ItemColumns,
    format: Option<FileFormat>,
    delimiter: Option<char>,
) -> Result<(Catalogue, DataReport), DataError> {
    let mut report = DataReport::default();
    let (items, _) = read_items(path, columns, format, delimiter, None, &mut report)?;
    if items.is_empty() {
        return Err(DataError::NoItem {
            path: path.to_owned(),
        });
    }
    report.catalogue_items = items.len();
    let catalogue = Catalogue::new(items).map_err(|source| DataError::Catalogue {
        path: path.to_owned(),
        source,
    })?;
    Ok((catalogue, report))
}

/// The items of a file; with a `level` column, one item for each of its values, and which value each id has.
pub(super) fn read_items(
    path: &Path,
    columns: &ItemColumns,
    format: Option<FileFormat>,
    delimiter: Option<char>,
    level: Option<&str>,
    report: &mut DataReport,
) -> Result<(Vec<Item>, HashMap<String, String>), DataError> {
    let options = TextOptions {
        style: FileFormat::style(format.filter(|format| *format == FileFormat::Recbole)),
        delimiter,
        spans: true,
    };
    let mut table = TextTable::open(path, options)?;
    let decimal_commas = table.has_decimal_commas();
    let id = required(
        &table,
        "item_columns.item",
        &[columns.item.as_deref().unwrap_or("item_id")],
    )?;
    let title = optional(&table, "item_columns.title", columns.title.as_deref(), "title")?;
    let category = optional(
        &table,
        "item_columns.category",
        columns.category.as_deref(),
        "category",
    )?;
    let brand = optional(&table, "item_columns.brand", columns.brand.as_deref(), "brand")?;
    let price = optional(&table, "item_columns.price", columns.price.as_deref(), "price")?;
    let published = optional(
        &table,
        "item_columns.published",
        columns.published.as_deref(),
        "published",
    )?;
    let tags = optional(&table, "item_columns.tags", columns.tags.as_deref(), "tags")?;
    let gtin_column = optional(&table, "item_columns.gtin", columns.gtin.as_deref(), "gtin")?;
    let aliases = optional(
        &table,
        "item_columns.aliases",
        columns.aliases.as_deref(),
        "aliases",
    )?;
    let numbers = columns
        .numbers
        .iter()
        .map(|name| Ok((name.as_str(), required(&table, "item_columns.numbers", &[name])?)))
        .collect::<Result<Vec<_>, DataError>>()?;
    let level = level
        .map(|name| required(&table, "item_level", &[name]))
        .transpose()?;
    report.begin(table.name());
    let (mut items, mut levels, mut seen) = (Vec::new(), HashMap::new(), HashMap::new());
    let mut groups = HashSet::new();
    let (mut bad_dates, mut first_bad_date) = (0, None);
    let mut row = Row::default();
    while table.next_row(&mut row)? {
        report.note_lines(row.line, row.lines);
        let id = row.get(id);
        let fault = match &row.fault {
            Some(fault) => Some((fault.kind(), fault.to_string())),
            None if id.is_empty() => Some(("empty id", "the item id is empty".to_owned())),
            None => match seen.entry(id.to_owned()) {
                Entry::Occupied(first) => {
                    let reason = format!("item {id:?} is already on line {}", first.get());
                    Some(("item listed twice", reason))
                }
                Entry::Vacant(new) => {
                    new.insert(row.line);
                    None
                }
            },
        };
        if let Some((kind, reason)) = fault {
            report.add_bad(row.line, kind, reason);
            continue;
        }
        let text = |column: Option<usize>| column.map_or("", |column| row.get(column));
        let mut number = |name: &str, text: &str| {
            let number = number::parse(text, decimal_commas);
            if number.is_none() && !text.is_empty() {
                report.missing(name);
            }
            number
        };
        // A price below zero is none.
        let price = number("price", text(price)).filter(|price| *price >= 0.0);
        let known = numbers.iter().filter_map(|(name, at)| {
            let value = number(name, row.get(*at))?;
            Some(((*name).to_owned(), value))
        });
        let numbers: BTreeMap<String, f64> = known.collect();
        let gtin = Some(text(gtin_column)).filter(|gtin| bare_gtin(gtin).is_some());
        if gtin.is_none() && !text(gtin_column).is_empty() {
            report.missing("gtin");
        }
        let published = date::published(text(published)).unwrap_or_else(|reason| {
            report.missing("published");
            bad_dates += 1;
            first_bad_date.get_or_insert((row.line, reason));
            None
        });
        report.take_row();
        let list = |text: &str| {
            let parts = text.split('|').map(str::trim).filter(|part| !part.is_empty());
            parts.map(str::to_owned).collect()
        };
        let mut item = Item {
            id: id.to_owned(),
            title: text(title).to_owned(),
            category: text(category).to_owned(),
            brand: text(brand).to_owned(),
            price,
            tags: list(text(tags)),
            numbers,
            published,
            gtin: gtin.unwrap_or_default().to_owned(),
            aliases: list(text(aliases)),
            vector: Vec::new(),
            retired: false,
        };
        if let Some(level) = level {
            let group = row.get(level).to_owned();
            levels.insert(item.id.clone(), group.clone());
            if group.is_empty() || !groups.insert(group.clone()) {
                continue;
            }
            item = Item {
                title: group.clone(),
                id: group,
                brand: String::new(),
                price: None,
                numbers: BTreeMap::new(),
                published: None,
                gtin: String::new(),
                aliases: Vec::new(),
                ..item
            };
        }
        items.push(item);
    }
    if let Some((line, reason)) = first_bad_date {
        let told = format!(
            "{}, line {line}: published is {reason}. Items with such dates ({bad_dates}) count as neither new nor old",
            table.name()
        );
        report.warnings.push(told);
    }
    for told in table.guessed() {
        report.guessed(told);
    }
    Ok((items, levels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_that_is_none_keeps_its_item_and_is_told_with_its_line_and_the_remedy() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("items.csv");
        let text = "item_id,published\na,1995\nb,soon\nc,\nd,2024-01-05T10:00:00Z\ne,5/1/2024\n";
        std::fs::write(&path, text).expect("written");
        let (catalogue, report) = read_catalogue(&path, &ItemColumns::default(), None, None).expect("good");
        let dates: Vec<Option<i64>> = catalogue.items().iter().map(|item| item.published).collect();
        assert_eq!(dates, [Some(788_918_400), None, None, Some(1_704_448_800), None]);
        assert_eq!((report.bad_lines, report.sources[0].missing["published"]), (0, 2));
        let [told] = &report.warnings[..] else {
            panic!("{:?}", report.warnings)
        };
        for part in ["items.csv, line 3", "\"soon\"", "YYYY-MM-DD", "(2)"] {
            assert!(told.contains(part), "{told}");
        }
    }
}
