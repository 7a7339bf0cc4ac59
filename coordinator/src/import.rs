//! A catalogue from the operator's CSV file, and its items' vectors from another.

pub mod vectors;

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;
use souk_common::catalogue::{Catalogue, CatalogueError, Item};
use souk_common::date;
use souk_common::table::{Row, RowSource, TableError, TextOptions, TextTable, column, number};
use souk_common::terminal::tell;

/// Further columns that say what an item is.
#[derive(Args, Clone, Debug, Default)]
pub struct FeatureColumns {
    /// A column of tags, such as genres.
    #[arg(long, value_name = "COLUMN")]
    pub tags: Option<String>,
    /// What separates the tags of an item.
    #[arg(long, value_name = "CHARACTER", default_value_t = '|', requires = "tags")]
    pub tag_separator: char,
    /// A column of numbers, such as a year; may be given more than once. One called `code` is an article code, whose
    /// neighbours are alike.
    #[arg(long = "number", value_name = "COLUMN")]
    pub numbers: Vec<String>,
}

/// Reads `item_id,title,category,brand,price,published,gtin,aliases` (`published` by [`souk_common::date::published`], aliases separated by `|`), of which all but the first may be missing
/// or empty, and the further columns that are named; as shops' files are read (`souk_common::table`).
///
/// # Errors
/// The first line that makes no sense: a catalogue is public and exact, so none is left out. A named column that is not
/// there.
pub fn read(file: &Path, columns: &FeatureColumns) -> Result<Catalogue, ImportError> {
    let path = file.display().to_string();
    let options = TextOptions {
        spans: true,
        ..TextOptions::default()
    };
    let mut table = TextTable::open(file, options)?;
    let decimal_commas = table.has_decimal_commas();
    let optional = |name: &str| column(table.name(), table.header(), name);
    let place = |name: &str| {
        optional(name)?.ok_or_else(|| ImportError::Column {
            path: path.clone(),
            column: name.to_owned(),
            found: table.header().join(", "),
        })
    };
    let id = place("item_id")?;
    let [title, category, brand, price, published, gtin, aliases] = [
        optional("title")?,
        optional("category")?,
        optional("brand")?,
        optional("price")?,
        optional("published")?,
        optional("gtin")?,
        optional("aliases")?,
    ];
    let tags = columns.tags.as_deref().map(place).transpose()?;
    if tags.is_none() && optional("tags")?.is_some() {
        tell(&format!(
            "{}: the column tags is not used, as nobody asked for it: --tags tags reads it (ads are items with the tag `ad`)",
            path
        ));
    }
    let numbers = columns
        .numbers
        .iter()
        .map(|name| Ok((name, place(name)?)))
        .collect::<Result<Vec<_>, ImportError>>()?;
    let mut items = Vec::new();
    let mut row = Row::default();
    while table.next_row(&mut row)? {
        let refused = |reason: String| ImportError::Line {
            path: path.clone(),
            line: row.line,
            reason,
        };
        if let Some(fault) = &row.fault {
            return Err(refused(fault.to_string()));
        }
        let number = |name: &str, text: &str| match (text, number::parse(text, decimal_commas)) {
            ("", _) => Ok(None),
            (_, Some(number)) => Ok(Some(number)),
            (_, None) => Err(refused(format!(
                "{name} is {text:?}; it must be a number, or empty"
            ))),
        };
        let text = |at: Option<usize>| at.map_or("", |at| row.get(at));
        let mut known = BTreeMap::new();
        for (name, at) in &numbers {
            known.extend(number(name, row.get(*at))?.map(|value| ((*name).clone(), value)));
        }
        let list = |text: &str, separator: char| {
            let parts = text
                .split(separator)
                .map(str::trim)
                .filter(|part| !part.is_empty());
            parts.map(str::to_owned).collect()
        };
        items.push(Item {
            id: row.get(id).to_owned(),
            title: text(title).to_owned(),
            category: text(category).to_owned(),
            brand: text(brand).to_owned(),
            price: number("price", text(price))?,
            tags: list(text(tags), columns.tag_separator),
            numbers: known,
            published: date::published(text(published))
                .map_err(|reason| refused(format!("published is {reason}")))?,
            gtin: text(gtin).to_owned(),
            aliases: list(text(aliases), '|'),
            vector: Vec::new(),
            retired: false,
        });
    }
    Catalogue::new(items).map_err(|source| ImportError::Items { path, source })
}

/// Why a file is no catalogue.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It is no table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A column is not there.
    #[error("{path}: there is no column {column}; it has: {found}")]
    Column {
        /// The file.
        path: String,
        /// Which one.
        column: String,
        /// Its columns.
        found: String,
    },
    /// A line that makes no sense.
    #[error("{path}, line {line}: {reason}")]
    Line {
        /// The file.
        path: String,
        /// From 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// All of them make no catalogue.
    #[error("{path}: {source}")]
    Items {
        /// The file.
        path: String,
        /// What is wrong.
        source: CatalogueError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str, columns: &FeatureColumns) -> Result<Catalogue, ImportError> {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("items.csv");
        std::fs::write(&file, text).expect("written");
        read(&file, columns)
    }

    #[test]
    fn barcodes_and_the_shops_own_numbers_are_taken_in() {
        let text = "item_id,gtin,aliases\na, 4006381333931 ,A-1| 77\nb,,\n";
        let catalogue = read_text(text, &FeatureColumns::default()).expect("a catalogue");
        let [a, b] = catalogue.items() else {
            panic!("two items")
        };
        assert_eq!(
            (a.gtin.as_str(), &a.aliases[..]),
            ("4006381333931", &["A-1".to_owned(), "77".to_owned()][..])
        );
        assert_eq!(*b, Item::bare("b"));
        let twice = read_text(
            "item_id,gtin\na,4006381333931\nb,04006381333931\n",
            &FeatureColumns::default(),
        );
        let twice = twice.expect_err("one barcode").to_string();
        assert!(twice.contains("two items, \"a\" and \"b\""), "{twice}");
    }

    #[test]
    fn dates_are_taken_in_and_one_that_is_none_is_named_with_its_line_and_the_remedy() {
        let none = FeatureColumns::default();
        let catalogue =
            read_text("item_id,published\na,1995\nb,\nc,2024-01-05\n", &none).expect("a catalogue");
        let dates: Vec<Option<i64>> = catalogue.items().iter().map(|item| item.published).collect();
        assert_eq!(dates, [Some(788_918_400), None, Some(1_704_412_800)]);
        for (text, said) in [("soon", "no date"), ("5/1/2024", "change places")] {
            let wrong = read_text(&format!("item_id,published\na,1995\nb,{text}\n"), &none)
                .expect_err("no date")
                .to_string();
            let all = ["items.csv, line 3: published is", said, "YYYY-MM-DD"];
            assert!(all.iter().all(|part| wrong.contains(part)), "{wrong}");
        }
    }

    #[test]
    fn named_columns_become_tags_and_numbers() {
        let columns = FeatureColumns {
            tags: Some("genres".into()),
            tag_separator: ' ',
            numbers: vec!["year".into()],
        };
        let text = "item_id,genres,year\na,Drama  War,1995\nb,,\n";
        let catalogue = read_text(text, &columns).expect("a catalogue");
        let [a, b] = catalogue.items() else {
            panic!("two items")
        };
        assert_eq!(
            (&a.tags[..], a.numbers["year"]),
            (&["Drama".to_owned(), "War".to_owned()][..], 1995.0)
        );
        assert_eq!(*b, Item::bare("b"));
        let wrong = read_text("item_id,genres,year\na,,soon\n", &columns).expect_err("no number");
        assert!(wrong.to_string().contains("line 2: year is \"soon\""), "{wrong}");
        let missing = read_text("item_id,genres\na,\n", &columns).expect_err("no year");
        assert!(missing.to_string().contains("no column year"), "{missing}");
    }

    #[test]
    fn ids_are_trimmed_and_delimiters_told_as_in_shops_files() {
        let none = FeatureColumns::default();
        let ids = |text: &str| {
            let catalogue = read_text(text, &none).expect("a catalogue");
            let ids = catalogue.items().iter().map(|item| (item.id.clone(), item.price));
            ids.collect::<Vec<_>>()
        };
        let comma = ids("item_id,title,category,brand,price\n\" a\",A,x,b,1\nb ,B,x,b,1.5\n");
        assert_eq!(comma, [("a".to_owned(), Some(1.0)), ("b".to_owned(), Some(1.5))]);
        let semicolons = "\u{feff}item_id;title;price\r\n a;\"A; or so\nmore\";1\r\nb\t;B;1,5\r\n";
        assert_eq!(ids(semicolons), comma);
        let zip = read_text("PK\u{3}\u{4}rest", &none)
            .expect_err("a zip archive")
            .to_string();
        assert!(zip.contains("items.csv is a zip archive"), "{zip}");
    }
}
