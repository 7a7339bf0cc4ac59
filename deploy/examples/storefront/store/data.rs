//! A made-up shop: products in six categories, and customers who mostly buy in two of them.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use rand::RngExt;
use souk_common::clock::{Clock, SystemClock};
use souk_common::date::date;
use souk_common::rng::stream;

/// Something that is sold.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) category: &'static str,
    pub(crate) price: f64,
}

/// Who may be chosen on the pages; there are more.
pub(crate) const CUSTOMERS: [&str; 4] = ["anna", "bert", "chen", "dora"];

pub(crate) const CATEGORIES: [&str; 6] = ["tea", "coffee", "kitchen", "garden", "books", "toys"];

const THINGS: [[&str; 4]; 6] = [
    ["green tea", "black tea", "teapot", "tea strainer"],
    ["espresso beans", "filter coffee", "milk frother", "coffee mill"],
    ["chopping board", "cast-iron pan", "apron", "mixing bowl"],
    ["watering can", "seed box", "pruning shears", "flower pot"],
    ["cookbook", "crime novel", "atlas", "book light"],
    ["wooden train", "kite", "building blocks", "jigsaw"],
];

const KINDS: [&str; 2] = ["Small", "Large"];

/// All products, in the order of their ids.
pub(crate) fn products() -> Vec<Product> {
    let mut products = Vec::new();
    for (category, things) in CATEGORIES.iter().zip(THINGS) {
        for (at, (thing, kind)) in things
            .iter()
            .flat_map(|thing| KINDS.map(|kind| (thing, kind)))
            .enumerate()
        {
            products.push(Product {
                id: format!("{category}-{}", at + 1),
                title: format!("{kind} {thing}"),
                category,
                price: 4.5 + 3.0 * at as f64,
            });
        }
    }
    products
}

/// Writes `orders.csv` and `items.csv`: the same orders each time, within the last two months.
pub(crate) fn write(products: &[Product], dir: &Path) -> anyhow::Result<()> {
    let mut items = "item_id,title,category,price\n".to_owned();
    for Product {
        id,
        title,
        category,
        price,
    } in products
    {
        writeln!(items, "{id},{title},{category},{price:.2}")?;
    }
    let (now, mut rng) = (SystemClock.now(), stream(1, "storefront"));
    let mut orders = "user_id,item_id,timestamp,price,quantity\n".to_owned();
    let others = (CUSTOMERS.len()..CUSTOMER_COUNT).map(|number| format!("c{number:03}"));
    for (number, customer) in CUSTOMERS
        .iter()
        .map(|name| (*name).to_owned())
        .chain(others)
        .enumerate()
    {
        let (first, second) = (number % CATEGORIES.len(), (number / 2 + 1) % CATEGORIES.len());
        for _ in 0..5 {
            let category = match rng.random_range(0..10) {
                0 => rng.random_range(0..CATEGORIES.len()),
                1..=3 => second,
                _ => first,
            };
            let product = &products[category * PER_CATEGORY + rng.random_range(0..PER_CATEGORY)];
            let at = now - Duration::from_secs(rng.random_range(86_400..60 * 86_400));
            writeln!(
                orders,
                "{customer},{},{},{:.2},1",
                product.id,
                date(at),
                product.price
            )?;
        }
    }
    for (name, text) in [("items.csv", items), ("orders.csv", orders)] {
        let path = dir.join(name);
        std::fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))?;
    }
    Ok(())
}

const CUSTOMER_COUNT: usize = 120;
const PER_CATEGORY: usize = THINGS[0].len() * KINDS.len();
