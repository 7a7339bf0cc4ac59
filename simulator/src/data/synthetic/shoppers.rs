//! The made-up customers: what a region likes, what one of its customers likes, and a year of visits.

use std::collections::HashSet;
use std::f64::consts::TAU;

use souk_common::dataset::History;

use super::goods::{BRANDS, CATEGORIES, DEPARTMENTS, Goods, PRODUCTS, STYLES};
use super::random::{Draws, running};
use super::{YEAR_START, dirichlet_shares};

/// What the customers of one region have in common.
pub(crate) struct Region<'a> {
    goods: &'a Goods,
    categories: Vec<f64>,
    products: Vec<f64>,
    brands: Vec<f64>,
    style: [f64; STYLES],
    department_sums: Vec<f64>,
}

impl<'a> Region<'a> {
    /// Region `number` under `seed`; with `alpha`, one whose categories are more unlike: see `generate_skewed`.
    pub(crate) fn new(goods: &'a Goods, seed: u64, number: u64, alpha: Option<f64>) -> Self {
        // Numbers from 1000 on are customers'.
        let own = if number < 999 {
            1 + number
        } else {
            FAR_REGIONS + number
        };
        let mut draws = Draws::new(seed, own);
        let mut categories: Vec<f64> = goods
            .members
            .iter()
            .map(|rows| {
                let pull: f64 = rows.iter().map(|row| goods.products[*row].pull).sum();
                pull * (0.4 * draws.normal()).exp()
            })
            .collect();
        if let Some(alpha) = alpha {
            let all: f64 = categories.iter().sum();
            let alphas: Vec<f64> = categories
                .iter()
                .map(|pull| (alpha * CATEGORIES as f64 * pull / all).max(f64::MIN_POSITIVE))
                .collect();
            let shares = dirichlet_shares(&alphas, seed, &format!("tastes of region {number}"));
            // Every category stays to be had, if rarely.
            categories = shares.iter().map(|share| all * share.max(RAREST)).collect();
        }
        let products = (0..PRODUCTS).map(|_| (0.3 * draws.normal()).exp()).collect();
        let brands = goods
            .brand_sizes
            .iter()
            .map(|size| size * (0.5 * draws.normal()).exp())
            .collect();
        let style = std::array::from_fn(|_| 0.3 * draws.normal());
        let of = |department: usize| categories.iter().skip(department).step_by(DEPARTMENTS).sum();
        let department_sums = running((0..DEPARTMENTS).map(of));
        Self {
            goods,
            categories,
            products,
            brands,
            style,
            department_sums,
        }
    }

    /// A year of customer `number` (counted over all regions).
    pub(crate) fn customer(&self, seed: u64, number: u64) -> History {
        let mut draws = Draws::new(seed, 1000 + number);
        let taste = Taste::draw(self, &mut draws);
        Year::new(self, &taste).shop(&mut draws)
    }
}

/// What one customer likes.
struct Taste {
    style: [f64; STYLES],
    categories: Vec<f64>,
    price_level: f64,
    loyal: [bool; BRANDS],
}

impl Taste {
    fn draw(region: &Region<'_>, draws: &mut Draws) -> Self {
        let count = 1 + draws.below(3);
        let departments: Vec<usize> = (0..count).map(|_| draws.pick(&region.department_sums)).collect();
        let style: [f64; STYLES] = std::array::from_fn(|k| region.style[k] + 0.95 * draws.normal());
        let count = 4 + draws.below(5);
        let preferred: Vec<usize> = (0..count)
            .map(|_| {
                let department = departments[draws.below(departments.len())];
                let weight = |place: usize| {
                    let category = place * DEPARTMENTS + department;
                    let fit = dot(&style, &region.goods.category_styles[category]);
                    region.categories[category] * (0.5 * fit).exp()
                };
                draws.pick(&running((0..CATEGORIES / DEPARTMENTS).map(weight))) * DEPARTMENTS + department
            })
            .collect();
        let mut categories = vec![0.0; CATEGORIES];
        for category in &preferred {
            categories[*category] += 0.3 + draws.exponential();
        }
        let price_level = 3.5 + 2.0 * draws.normal();
        let mut loyal = [false; BRANDS];
        for category in &preferred {
            let department = category % DEPARTMENTS;
            for _ in 0..2 {
                let sums = running(
                    region
                        .brands
                        .iter()
                        .skip(department)
                        .step_by(DEPARTMENTS)
                        .copied(),
                );
                loyal[draws.pick(&sums) * DEPARTMENTS + department] = true;
            }
        }
        Self {
            style,
            categories,
            price_level,
            loyal,
        }
    }
}

/// A customer's year while it is drawn.
struct Year<'a> {
    region: &'a Region<'a>,
    taste: &'a Taste,
    /// Of each category once it is needed: running sums over its products.
    shelves: Vec<Option<Vec<f64>>>,
    seen: HashSet<usize>,
    history: History,
    tries: usize,
}

impl<'a> Year<'a> {
    fn new(region: &'a Region<'a>, taste: &'a Taste) -> Self {
        Self {
            region,
            taste,
            shelves: vec![None; CATEGORIES],
            seen: HashSet::new(),
            history: History::default(),
            tries: 0,
        }
    }

    fn shop(mut self, draws: &mut Draws) -> History {
        let wanted = ((1.85 + 0.5 * draws.normal()).exp().round() as usize).clamp(5, 40);
        let start = draws.unit() * 270.0;
        let gap = (365.0 - start) / wanted as f64;
        let (mut day, mut last) = (start, None);
        while self.history.len() < wanted && self.tries < MAX_TRIES {
            let lines = 1 + draws.below(4);
            day += 2.0 * gap * lines as f64 * draws.unit();
            let today = day.min(364.0);
            let second = today as i64 * 86_400 + 28_800 + draws.below(43_200) as i64;
            let season: Vec<f64> = self
                .region
                .goods
                .seasons
                .iter()
                .map(|(strength, peak)| (strength * (TAU * (today - peak) / 365.0).cos()).exp())
                .collect();
            let now = |weights: &[f64]| running(weights.iter().zip(&season).map(|(w, s)| w * s));
            let own = now(&self.taste.categories);
            let mood = draws.unit();
            let main = match last {
                Some(last) if mood < STICKY => last,
                _ if mood > 1.0 - EXPLORE => draws.pick(&now(&self.region.categories)),
                _ => draws.pick(&own),
            };
            last = Some(main);
            for line in 0..lines {
                if self.history.len() >= wanted {
                    break;
                }
                let category = if draws.unit() < 0.6 {
                    main
                } else {
                    draws.pick(&own)
                };
                self.take_one(category, second + 60 * line as i64, draws);
            }
        }
        self.history
    }

    /// Draws a product of `category`, again if the customer has it already, four times at most.
    fn take_one(&mut self, category: usize, second: i64, draws: &mut Draws) {
        let (region, taste) = (self.region, self.taste);
        let sums = self.shelves[category].get_or_insert_with(|| shelf(region, taste, category));
        for _ in 0..4 {
            let row = region.goods.members[category][draws.pick(sums)];
            self.tries += 1;
            if self.seen.insert(row) {
                let after = self.history.times.last().map_or(i64::MIN, |time| time + 1);
                self.history.items.push(row as u32);
                self.history.times.push((YEAR_START + second).max(after));
                return;
            }
        }
    }
}

fn shelf(region: &Region<'_>, taste: &Taste, category: usize) -> Vec<f64> {
    running(region.goods.members[category].iter().map(|row| {
        let product = &region.goods.products[*row];
        let loyalty = if taste.loyal[product.brand] { 0.9 } else { 0.0 };
        let fit = 0.8 * dot(&product.style, &taste.style) + loyalty
            - (product.level - taste.price_level).powi(2) / 8.0;
        product.pull * region.products[*row] * fit.exp()
    }))
}

fn dot(a: &[f64; STYLES], b: &[f64; STYLES]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Where the streams of regions beyond the first 999 begin.
const FAR_REGIONS: u64 = 1 << 40;
/// Least share of a category in what a region buys.
const RAREST: f64 = 1e-6;
/// Odds that a visit is mainly for the last visit's category.
const STICKY: f64 = 0.3;
/// Odds that a visit is for what the region buys.
const EXPLORE: f64 = 0.2;
const MAX_TRIES: usize = 400;
