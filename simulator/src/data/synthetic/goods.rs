//! The made-up products: categories, brands, prices, styles, popularity.

use std::collections::HashSet;

use souk_common::catalogue::Item;

use super::random::{Draws, running};
use super::words::{BRAND_HEADS, BRAND_TAILS, GROUPS, KINDS};

/// Everything about the products that shoppers react to.
pub(crate) struct Goods {
    /// Of each category: strength of its season and the day of its peak.
    pub(crate) seasons: Vec<(f64, f64)>,
    /// Of each category, its style.
    pub(crate) category_styles: Vec<[f64; STYLES]>,
    /// Of each brand, its size; brand b belongs to department b mod 8, as category c does to c mod 8.
    pub(crate) brand_sizes: Vec<f64>,
    /// Of each product.
    pub(crate) products: Vec<Product>,
    /// Of each category, its products.
    pub(crate) members: Vec<Vec<usize>>,
}

/// One product.
pub(crate) struct Product {
    pub(crate) category: usize,
    pub(crate) brand: usize,
    /// Price level within its category, 0 to 7.
    pub(crate) level: f64,
    pub(crate) price: f64,
    pub(crate) style: [f64; STYLES],
    /// Zipf weight.
    pub(crate) pull: f64,
}

impl Goods {
    /// Makes the products under `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        let mut draws = Draws::new(seed, 0);
        let base_prices: Vec<f64> = (0..CATEGORIES)
            .map(|_| (2.0 + 0.8 * draws.normal()).exp())
            .collect();
        let seasons = (0..CATEGORIES)
            .map(|category| {
                let strength = if category % 3 == 0 { 1.0 } else { 0.15 };
                (strength, draws.unit() * 365.0)
            })
            .collect();
        let category_styles: Vec<[f64; STYLES]> = (0..CATEGORIES).map(|_| style(&mut draws)).collect();
        let tiers: Vec<f64> = (0..BRANDS).map(|_| draws.normal()).collect();
        let brand_sizes: Vec<f64> = (0..BRANDS)
            .map(|brand| 1.0 / ((brand / DEPARTMENTS) as f64 + 1.5))
            .collect();
        let brand_styles: Vec<[f64; STYLES]> = (0..BRANDS).map(|_| style(&mut draws)).collect();
        let category_sums = running((0..CATEGORIES).map(|category| 1.0 / (category as f64 + 3.0).sqrt()));
        // Brands of a department have the same sizes in every department.
        let brand_sums = running((0..BRANDS / DEPARTMENTS).map(|place| brand_sizes[place * DEPARTMENTS]));
        let mut products: Vec<Product> = (0..PRODUCTS)
            .map(|row| {
                let category = if row < CATEGORIES {
                    row
                } else {
                    draws.pick(&category_sums)
                };
                let brand = draws.pick(&brand_sums) * DEPARTMENTS + category % DEPARTMENTS;
                let level = 0.7 * tiers[brand] + 0.51_f64.sqrt() * draws.normal();
                let own = style(&mut draws);
                Product {
                    category,
                    brand,
                    level: EIGHTHS.iter().filter(|edge| **edge <= level).count() as f64,
                    price: base_prices[category] * (0.5 * level).exp(),
                    style: std::array::from_fn(|k| {
                        0.5 * category_styles[category][k]
                            + 0.6 * brand_styles[brand][k]
                            + 0.39_f64.sqrt() * own[k]
                    }),
                    pull: 0.0,
                }
            })
            .collect();
        let mut ranks: Vec<usize> = (0..PRODUCTS).collect();
        for at in (1..PRODUCTS).rev() {
            ranks.swap(at, draws.below(at + 1));
        }
        for (product, rank) in products.iter_mut().zip(ranks) {
            product.pull = 1.0 / (rank as f64 + 8.0);
        }
        let mut members = vec![Vec::new(); CATEGORIES];
        for (row, product) in products.iter().enumerate() {
            members[product.category].push(row);
        }
        Self {
            seasons,
            category_styles,
            brand_sizes,
            products,
            members,
        }
    }

    /// The products as a catalogue's items, with readable, distinct titles.
    pub(crate) fn items(&self) -> Vec<Item> {
        let mut taken = HashSet::new();
        let items = self.products.iter().enumerate().map(|(row, product)| {
            let group = GROUPS[product.category % DEPARTMENTS][product.category / DEPARTMENTS];
            let brand = format!(
                "{}{}",
                BRAND_HEADS[product.brand / DEPARTMENTS],
                BRAND_TAILS[product.brand % DEPARTMENTS]
            );
            let plain = format!("{brand} {group}");
            let title = std::iter::once(plain.clone())
                .chain(KINDS.iter().map(|kind| format!("{brand} {kind} {group}")))
                .chain((2..).map(|number| format!("{plain} no. {number}")))
                .find(|title| taken.insert(title.clone()))
                .unwrap_or(plain);
            Item {
                id: format!("p{row:04}"),
                title,
                category: group.to_owned(),
                brand,
                price: Some((product.price * 100.0).round() / 100.0),
                ..Item::bare("")
            }
        });
        items.collect()
    }
}

fn style(draws: &mut Draws) -> [f64; STYLES] {
    std::array::from_fn(|_| draws.normal())
}

pub(crate) const PRODUCTS: usize = 2000;
pub(crate) const CATEGORIES: usize = 40;
pub(crate) const BRANDS: usize = 120;
pub(crate) const DEPARTMENTS: usize = 8;
pub(crate) const STYLES: usize = 4;
/// Where a standard normal has its eighths.
const EIGHTHS: [f64; 7] = [
    -1.150_349_380_376_007_9,
    -0.674_489_750_196_081_7,
    -0.318_639_363_964_375_15,
    0.0,
    0.318_639_363_964_375_15,
    0.674_489_750_196_081_7,
    1.150_349_380_376_007_9,
];
