//! Reading a catalogue.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use souk_common::catalogue::{Catalogue, Item};

use crate::data::DataError;
use crate::data::config::{FileFormat, ItemColumns};
use crate::data::report::DataReport;
use crate::data::table::SourceTable;

/// Reads a catalogue from a file of items, in the file's order; bad and repeated lines are passed over and reported.
///
/// # Errors
/// When the file can't be read, lacks a column, or has no usable item.
pub fn read_catalogue(
    path: &Path,
    columns: &ItemColumns,
    format: FileFormat,
    delimiter: char,
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
    format: FileFormat,
    delimiter: char,
    level: Option<&str>,
    report: &mut DataReport,
) -> Result<(Vec<Item>, HashMap<String, String>), DataError> {
    let mut table = SourceTable::open_items(path, format, delimiter)?;
    let id = table.required("item_columns.item", columns.item.as_deref(), "item_id")?;
    let title = table.optional("item_columns.title", columns.title.as_deref(), "title")?;
    let category = table.optional("item_columns.category", columns.category.as_deref(), "category")?;
    let brand = table.optional("item_columns.brand", columns.brand.as_deref(), "brand")?;
    let price = table.optional("item_columns.price", columns.price.as_deref(), "price")?;
    let tags = table.optional("item_columns.tags", columns.tags.as_deref(), "tags")?;
    let gtin = table.optional("item_columns.gtin", columns.gtin.as_deref(), "gtin")?;
    let aliases = table.optional("item_columns.aliases", columns.aliases.as_deref(), "aliases")?;
    let numbers = columns
        .numbers
        .iter()
        .map(|name| {
            Ok((
                name.as_str(),
                table.required("item_columns.numbers", Some(name), name)?,
            ))
        })
        .collect::<Result<Vec<_>, DataError>>()?;
    let level = level
        .map(|name| table.required("item_level", Some(name), name))
        .transpose()?;
    let file = path.display().to_string();
    report.files.push(file.clone());
    let (mut items, mut levels, mut seen) = (Vec::new(), HashMap::new(), HashMap::new());
    let mut groups = HashSet::new();
    while let Some(row) = table.next_row()? {
        report.note_lines(row.line, row.lines);
        let parsed = row.fields.and_then(|fields| {
            let price = price.map_or(Ok(None), |column| parse_price(&fields[column]))?;
            if fields[id].is_empty() {
                return Err("the item id is empty".into());
            }
            if let Some(first) = seen.insert(fields[id].clone(), row.line) {
                return Err(format!("item {:?} is already on line {first}", fields[id]));
            }
            let numbers = parse_numbers(&numbers, &fields)?;
            Ok((fields, price, numbers))
        });
        let (fields, price, numbers) = match parsed {
            Ok(parsed) => parsed,
            Err(reason) => {
                report.add_bad(&file, row.line, reason);
                continue;
            }
        };
        let text = |column: Option<usize>| column.map_or_else(String::new, |column| fields[column].clone());
        let list = |column: Option<usize>| {
            let text = text(column);
            let parts = text.split('|').map(str::trim).filter(|part| !part.is_empty());
            parts.map(str::to_owned).collect()
        };
        let mut item = Item {
            id: fields[id].clone(),
            title: text(title),
            category: text(category),
            brand: text(brand),
            price,
            tags: list(tags),
            numbers,
            gtin: text(gtin),
            aliases: list(aliases),
            vector: Vec::new(),
        };
        if let Some(level) = level {
            let group = fields[level].clone();
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
                gtin: String::new(),
                aliases: Vec::new(),
                ..item
            };
        }
        items.push(item);
    }
    Ok((items, levels))
}

/// The numbers of a line; an empty one is unknown.
fn parse_numbers(columns: &[(&str, usize)], fields: &[String]) -> Result<BTreeMap<String, f64>, String> {
    let known = columns.iter().filter(|(_, at)| !fields[*at].is_empty());
    known
        .map(|(name, at)| match fields[*at].parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(((*name).to_owned(), number)),
            _ => Err(format!("{name} {:?} is not a number", fields[*at])),
        })
        .collect()
}

/// A price: empty (unknown), or a finite number, 0 or more.
pub(super) fn parse_price(text: &str) -> Result<Option<f64>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<f64>() {
        Ok(price) if price.is_finite() && price >= 0.0 => Ok(Some(price)),
        _ => Err(format!("price {text:?} is not a number, 0 or more")),
    }
}
