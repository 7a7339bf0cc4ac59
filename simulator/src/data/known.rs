//! The data sets that this program knows by their files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::builder::RangedU64ValueParser;
use clap::{Args, ValueEnum};
use souk_client::data::{FileFormat, ItemColumns, OrderColumns, Paths, ShopDataConfig, read_shop};
use souk_common::catalogue::{Catalogue, Item};
use souk_common::clock::{Clock, SystemClock};
use souk_common::dataset::Dataset;
use souk_common::date::published;
use souk_common::eval::k_core;
use souk_common::features::CODE;
use souk_common::table::{Row, RowSource, Style, TextOptions, TextTable, column};
use souk_common::task::LabelKind;

use super::cut::{By, assign};
use super::folders::{read_folders, shop_folders, tell_left_out};
use crate::error::Unusable;

/// A data set and how it is cut into shops, as typed.
#[derive(Args, Debug)]
pub struct Cut {
    /// The data set's folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// How many shops; by default what suits the set, and for `simulate` as many as its plan names.
    #[arg(long, value_parser = RangedU64ValueParser::<usize>::new().range(1..=100_000))]
    pub(crate) shops: Option<usize>,
    /// What makes a shop; by default what suits the set.
    #[arg(long)]
    pub(crate) by: Option<By>,
    /// Keep users and items with at least this many distinct pairs; by default what suits the set.
    #[arg(long)]
    pub(crate) core: Option<usize>,
    /// What is recommended: products, or the types that a set puts them in.
    #[arg(long, value_enum, default_value_t = ItemLevel::Products)]
    pub(crate) items: ItemLevel,
}

/// What counts as an item.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum ItemLevel {
    /// Each product.
    #[default]
    Products,
    /// Products of one type together (The Complete Journey).
    Types,
}

impl Cut {
    /// Reads the set; into `otherwise` shops if no number was typed.
    ///
    /// # Errors
    /// As [`load_known`].
    pub(crate) fn load(&self, otherwise: Option<usize>) -> anyhow::Result<Known> {
        self.load_with(otherwise, None)
    }

    /// Reads the set with what its customers say of items.
    ///
    /// # Errors
    /// As [`load_known`].
    pub(crate) fn load_labelled(&self, labels: LabelKind) -> anyhow::Result<Known> {
        self.load_with(None, Some(labels))
    }

    /// As [`Self::load`], thinned to `core` where none was typed.
    pub(crate) fn load_core(&self, core: usize) -> anyhow::Result<Known> {
        let core = self.core.unwrap_or(core);
        load_level(&self.data, (self.items, None), Some(core), self.by, self.shops)
    }

    fn load_with(&self, otherwise: Option<usize>, labels: Option<LabelKind>) -> anyhow::Result<Known> {
        load_level(
            &self.data,
            (self.items, labels),
            self.core,
            self.by,
            self.shops.or(otherwise),
        )
    }
}

/// A set, read, thinned to its core, and assigned to shops.
#[derive(Clone, Debug)]
pub struct Known {
    /// What it is called.
    pub name: &'static str,
    /// The histories; users sorted by id.
    pub dataset: Dataset,
    /// The items of the histories.
    pub catalogue: Catalogue,
    /// One a user: its shop, from 0, the largest first.
    pub shop_of: Vec<usize>,
    /// How many shops.
    pub shops: usize,
    /// One a user: the store, country or zip digit.
    pub groups: Vec<String>,
}

/// Reads the set in `dir`, products as items. What is none takes what suits the set: MovieLens 100K whole, by zip, 10
/// shops; Online Retail 5-core, by country, 8 shops; Complete Journey 20-core (5-core for types), by store, 10 shops; a
/// plain shop's folder whole, by user-hash. Folders of shops, as `souk-sim split` writes them, are taken as they are.
///
/// # Errors
/// When the folder holds no set that is known, or it can't be read or cut so.
pub fn load_known(
    dir: &Path,
    core: Option<usize>,
    by: Option<By>,
    shops: Option<usize>,
) -> anyhow::Result<Known> {
    load_level(dir, (ItemLevel::Products, None), core, by, shops)
}

/// [`load_known`] with products or their types as items, and with what customers say of them.
pub(super) fn load_level(
    dir: &Path,
    (level, labels): (ItemLevel, Option<LabelKind>),
    core: Option<usize>,
    by: Option<By>,
    shops: Option<usize>,
) -> anyhow::Result<Known> {
    if is_of_shops(dir) {
        return shops_as_they_are(dir, level, core, by, shops);
    }
    let set = Set::detect(dir)?;
    let types = level == ItemLevel::Types;
    if types && set != Set::CompleteJourney {
        bail!("{} has no product types: leave out --items types", set.name());
    }
    let (mut default_core, default_by, default_shops) = set.defaults();
    if types {
        default_core = TYPES_CORE;
    }
    let by = by.unwrap_or(default_by);
    let config = ShopDataConfig {
        // A product without a type is no item there.
        keep_unlisted: !types,
        item_level: types.then(|| TYPE.to_owned()),
        labels,
        ..set.config(dir)
    };
    let read = read_shop(&config, dir, None, SystemClock.now())
        .with_context(|| format!("reading {}", dir.display()))?;
    tell_left_out(&read.report);
    let wanted = core.unwrap_or(default_core);
    let (dataset, rows) = k_core(&read.dataset, read.catalogue.len(), wanted);
    if dataset.is_empty() {
        bail!("{} has no {wanted}-core: use a smaller --core", dir.display());
    }
    let table = set.groups(dir, by)?;
    let prices = set.prices(dir)?;
    let tags = set.tags(dir, level)?;
    let items = rows.iter().map(|row| {
        let mut item = read.catalogue.items()[*row as usize].clone();
        item.price = item.price.or_else(|| prices.get(&item.id).copied());
        set.describe(&mut item);
        item.tags
            .extend(tags.get(&item.id).into_iter().flatten().cloned());
        item
    });
    let catalogue = Catalogue::new(items.collect())?;
    let group = |user: &String| table.get(user).cloned().unwrap_or_default();
    let groups: Vec<String> = dataset.users.iter().map(group).collect();
    let (shop_of, shops) = assign(&dataset.users, &groups, shops.unwrap_or(default_shops));
    Ok(Known {
        name: set.name(),
        dataset,
        catalogue,
        shop_of,
        shops,
        groups,
    })
}

/// Whether `dir` is what `souk-sim split` writes: a catalogue, and a folder a shop.
fn is_of_shops(dir: &Path) -> bool {
    let has_no_orders = find(dir, "orders.csv").is_none();
    has_no_orders && shop_folders(dir).is_ok_and(|folders| !folders.is_empty())
}

/// The folders of shops in `dir`, as they are.
fn shops_as_they_are(
    dir: &Path,
    level: ItemLevel,
    core: Option<usize>,
    by: Option<By>,
    shops: Option<usize>,
) -> anyhow::Result<Known> {
    if level == ItemLevel::Types || core.is_some() || by.is_some() || shops.is_some() {
        bail!(
            "{} has folders of shops, which are taken as they are: leave out --items, --core, --by and --shops",
            dir.display()
        );
    }
    let (dataset, catalogue, parts) = read_folders(dir)?;
    let parts = (0..).zip(&parts);
    let (shop_of, groups) = parts
        .flat_map(|(shop, (name, users))| users.clone().map(move |_| (shop, name.to_string())))
        .unzip();
    Ok(Known {
        name: "shops",
        dataset,
        catalogue,
        shop_of,
        shops: shop_folders(dir)?.len(),
        groups,
    })
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Set {
    MovieLens,
    OnlineRetail,
    CompleteJourney,
    Plain,
}

impl Set {
    fn detect(dir: &Path) -> anyhow::Result<Self> {
        if find(dir, "ml-100k.inter").is_some() {
            return Ok(Self::MovieLens);
        }
        if let Some(path) = find(dir, "transactions.csv") {
            let table = TextTable::open(&path, TextOptions::default())?;
            let has = |name: &str| table.header().iter().any(|column| column == name);
            if has("StockCode") && has("CustomerID") {
                return Ok(Self::OnlineRetail);
            }
            if has("household_id") && has("product_id") {
                return Ok(Self::CompleteJourney);
            }
        }
        if find(dir, "orders.csv").is_some() {
            return Ok(Self::Plain);
        }
        bail!(
            "{} holds no data set that is known: it needs ml-100k.inter, the transactions.csv of Online Retail or of The \
             Complete Journey, or orders.csv (deploy/get-data.sh fetches the first three)",
            dir.display()
        )
    }

    fn name(self) -> &'static str {
        match self {
            Self::MovieLens => "ml-100k",
            Self::OnlineRetail => "uci-online-retail",
            Self::CompleteJourney => "completejourney",
            Self::Plain => "orders",
        }
    }

    /// Core, what makes a shop, number of shops.
    fn defaults(self) -> (usize, By, usize) {
        match self {
            Self::MovieLens => (1, By::Zip, 10),
            Self::OnlineRetail => (5, By::Country, 8),
            Self::CompleteJourney => (20, By::Store, 10),
            Self::Plain => (1, By::UserHash, 8),
        }
    }

    fn config(self, dir: &Path) -> ShopDataConfig {
        let named = |name: &str| Some(name.to_owned());
        let file = |name: &str| file_in(dir, name).unwrap_or_else(|| name.into());
        match self {
            Self::MovieLens => ShopDataConfig {
                format: Some(FileFormat::Recbole),
                orders: Paths::One(file("ml-100k.inter")),
                items: file_in(dir, "ml-100k.item"),
                item_columns: ItemColumns {
                    title: named("movie_title"),
                    category: named("class"),
                    brand: named("release_year"),
                    ..ItemColumns::default()
                },
                ..ShopDataConfig::default()
            },
            Self::OnlineRetail => ShopDataConfig {
                orders: Paths::One(file("transactions.csv")),
                items: file_in(dir, "items.csv"),
                columns: OrderColumns {
                    user: named("CustomerID"),
                    item: named("StockCode"),
                    timestamp: named("ts"),
                    quantity: named("Quantity"),
                    price: named("UnitPrice"),
                    ..OrderColumns::default()
                },
                item_columns: ItemColumns {
                    item: named("StockCode"),
                    title: named("Description"),
                    price: named("median_price"),
                    ..ItemColumns::default()
                },
                // Its reference figures count postage as well.
                leave_out: Vec::new(),
                ..ShopDataConfig::default()
            },
            Self::CompleteJourney => ShopDataConfig {
                orders: Paths::One(file("transactions.csv")),
                items: file_in(dir, "products.csv"),
                columns: OrderColumns {
                    user: named("household_id"),
                    item: named("product_id"),
                    timestamp: named("ts"),
                    // Its reference figures count baskets' lines, also those of no pieces.
                    quantity: named(""),
                    ..OrderColumns::default()
                },
                item_columns: ItemColumns {
                    item: named("product_id"),
                    title: named(TYPE),
                    category: named("product_category"),
                    brand: named("brand"),
                    ..ItemColumns::default()
                },
                ..ShopDataConfig::default()
            },
            Self::Plain => ShopDataConfig {
                orders: Paths::One(file("orders.csv")),
                items: file_in(dir, "items.csv"),
                ..ShopDataConfig::default()
            },
        }
    }

    /// Public features that the files have in another form: a film's genres (the first is its category), its year, and
    /// the years around it; the last word of an article's description (its colour and size come before), and the number
    /// that its code begins with, since neighbouring codes are variants of one article.
    fn describe(self, item: &mut Item) {
        match self {
            Self::MovieLens => {
                item.tags = item.category.split_whitespace().map(str::to_owned).collect();
                item.category = item.tags.first().cloned().unwrap_or_default();
                if let Ok(year) = item.brand.parse::<u32>() {
                    item.numbers.insert("year".into(), f64::from(year));
                    item.brand = format!("{}s", year - year % YEARS);
                    // Its files have no more than the year, which begins before any film of it came out.
                    item.published = published(&year.to_string()).ok().flatten();
                }
            }
            Self::OnlineRetail => {
                let last = item.title.split_whitespace().next_back();
                item.category = last.unwrap_or_default().to_owned();
                let letters = item.id.trim_start_matches(|letter: char| letter.is_ascii_digit());
                if let Ok(code) = item.id[..item.id.len() - letters.len()].parse::<u32>() {
                    item.numbers.insert(CODE.into(), f64::from(code));
                }
            }
            Self::CompleteJourney | Self::Plain => {}
        }
    }

    /// Each user's most frequent store, country or zip digit; of equals, the first by name.
    fn groups(self, dir: &Path, by: By) -> anyhow::Result<HashMap<String, String>> {
        let (file, style, user, group) = match (self, by) {
            (_, By::UserHash) => return Ok(HashMap::new()),
            (Self::MovieLens, By::Zip) => ("ml-100k.user", Style::Recbole, "user_id", "zip_code"),
            (Self::OnlineRetail, By::Country) => ("transactions.csv", Style::Quoted, "CustomerID", "Country"),
            (Self::CompleteJourney, By::Store) => {
                ("transactions.csv", Style::Quoted, "household_id", "store_id")
            }
            _ => bail!(
                "{} does not say the {by:?} of a user: use --by user-hash",
                self.name()
            ),
        };
        let path = find(dir, file).with_context(|| format!("{} has no {file}", dir.display()))?;
        let options = TextOptions {
            style: Some(style),
            ..TextOptions::default()
        };
        let mut table = TextTable::open(&path, options)?;
        let (user, column) = (required(&table, user)?, required(&table, group)?);
        let mut counts: HashMap<String, BTreeMap<String, usize>> = HashMap::new();
        let mut row = Row::default();
        while table.next_row(&mut row)? {
            if row.fault.is_some() {
                continue;
            }
            let group = match by {
                By::Zip => digit(row.get(column)),
                _ => row.get(column).to_owned(),
            };
            let of_user = counts.entry(row.get(user).to_owned()).or_default();
            *of_user.entry(group).or_default() += 1;
        }
        let most = |groups: BTreeMap<String, usize>| {
            let best = groups.into_iter().rev().max_by_key(|(_, count)| *count);
            best.map_or_else(String::new, |(group, _)| group)
        };
        Ok(counts
            .into_iter()
            .map(|(user, groups)| (user, most(groups)))
            .collect())
    }

    /// Further columns of the items file that say what a product is: Complete Journey's departments and, of a single
    /// product, its manufacturer; of a type, the departments and categories of all its products.
    fn tags(self, dir: &Path, level: ItemLevel) -> anyhow::Result<HashMap<String, BTreeSet<String>>> {
        let Some(path) = find(dir, "products.csv").filter(|_| self == Self::CompleteJourney) else {
            return Ok(HashMap::new());
        };
        let mut table = TextTable::open(&path, TextOptions::default())?;
        let (id, columns) = match level {
            ItemLevel::Products => ("product_id", ["department", "manufacturer_id"]),
            ItemLevel::Types => (TYPE, ["department", "product_category"]),
        };
        let id = required(&table, id)?;
        let places = [required(&table, columns[0])?, required(&table, columns[1])?];
        let mut tags: HashMap<String, BTreeSet<String>> = HashMap::new();
        let mut row = Row::default();
        while table.next_row(&mut row)? {
            if row.fault.is_some() {
                continue;
            }
            let of = tags.entry(row.get(id).to_owned()).or_default();
            let places = columns.iter().zip(places);
            for (name, place) in places.filter(|(_, place)| !row.get(*place).is_empty()) {
                of.insert(format!("{name} {}", row.get(place)));
            }
        }
        Ok(tags)
    }

    /// Mean price of an item where the items file has none: Complete Journey only has what was paid for so many.
    fn prices(self, dir: &Path) -> anyhow::Result<HashMap<String, f64>> {
        let Some(path) = find(dir, "transactions.csv").filter(|_| self == Self::CompleteJourney) else {
            return Ok(HashMap::new());
        };
        let mut table = TextTable::open(&path, TextOptions::default())?;
        let (item, paid, quantity) = (
            required(&table, "product_id")?,
            required(&table, "sales_value")?,
            required(&table, "quantity")?,
        );
        let mut sums: HashMap<String, (f64, f64)> = HashMap::new();
        let mut row = Row::default();
        while table.next_row(&mut row)? {
            let numbers = (row.get(paid).parse::<f64>(), row.get(quantity).parse::<f64>());
            let (Ok(paid), Ok(quantity)) = numbers else {
                continue;
            };
            if paid.is_finite() && paid >= 0.0 && quantity.is_finite() && quantity > 0.0 {
                let sum = sums.entry(row.get(item).to_owned()).or_default();
                *sum = (sum.0 + paid, sum.1 + quantity);
            }
        }
        let mean = |(paid, quantity): (f64, f64)| (100.0 * paid / quantity).round() / 100.0;
        Ok(sums.into_iter().map(|(item, sum)| (item, mean(sum))).collect())
    }
}

/// The column called `name`, which the set must have.
pub(crate) fn required(table: &TextTable, name: &str) -> anyhow::Result<usize> {
    let found = column(table.name(), table.header(), name)?;
    found.with_context(|| Unusable(format!("{} has no column {name:?}", table.name())))
}

/// The column of Complete Journey's product types.
const TYPE: &str = "product_type";

/// The core of a set of types.
const TYPES_CORE: usize = 5;

/// Films of these many years are taken together.
const YEARS: u32 = 5;

/// The region of a zip code: its first digit. Codes that begin with a letter (Canada's) are spread over the ten.
fn digit(zip: &str) -> String {
    let first = zip.bytes().next().unwrap_or(b'0');
    let digit = if first.is_ascii_digit() {
        first - b'0'
    } else {
        first % 10
    };
    digit.to_string()
}

/// `name` or its gzipped form, whichever is in `dir`, with the folder.
pub(crate) fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    file_in(dir, name).map(|file| dir.join(file))
}

/// `name` or its gzipped form, whichever is in `dir`, without the folder.
fn file_in(dir: &Path, name: &str) -> Option<PathBuf> {
    [name.to_owned(), format!("{name}.gz")]
        .into_iter()
        .map(PathBuf::from)
        .find(|name| dir.join(name).is_file())
}
