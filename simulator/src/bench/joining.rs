//! Releases and the stack: what a customer costs in a release, how long a shop's stack takes to fit, and a list to make.

use std::hint::black_box;
use std::sync::Arc;

use rand::RngExt;
use souk_common::catalogue::{Catalogue, Item};
use souk_common::channels::{Channel, Channels, LowRank, content};
use souk_common::clock::Stopwatch;
use souk_common::dataset::{Dataset, History};
use souk_common::features::Features;
use souk_common::model::dot_index::DotIndex;
use souk_common::numeric::dot;
use souk_common::params::Weight;
use souk_common::privacy::{NoiseVector, UserSum};
use souk_common::release::collaborative::CollaborativeStatistic;
use souk_common::release::for_release;
use souk_common::release::map::PublicMap;
use souk_common::release::popularity::PopularityEstimate;
use souk_common::release::views::{CollaborativeSum, FederatedForms, RANK, ViewForm};
use souk_common::rng::stream;
use souk_common::stack::{Shopper, Stack, StackInput, fit};
use souk_common::training::inputs::TowerInputs;
use souk_common::training::tower::{Tower, TowerCase};
use souk_common::update::{Grid, ModulusBits};

use super::row::Row;

/// `release_customer`: a customer's vector for a collaborative release, added to the shop's sum, on one core.
pub(super) fn customer(short: bool) -> anyhow::Result<Vec<Row>> {
    let shop = Shop::make(CUSTOMERS_OF_A_RELEASE, ITEMS_OF_A_RELEASE)?;
    let popular: Vec<f32> = (0..ITEMS_OF_A_RELEASE).map(|item| (item % 29) as f32).collect();
    let estimate = PopularityEstimate::published(popular, 0.9);
    let map = PublicMap::new(&estimate, &shop.features, 1);
    let statistic = CollaborativeStatistic::new(&map, &estimate.direction())?;
    let grid = Grid {
        bits: ModulusBits::B32,
        log2_clip: 16,
        clip_norm: 1.0,
        noise_stddev: 0.0,
    };
    let noise = NoiseVector::draw(&grid, map.values().len(), &mut stream(1, "bench"));
    let mut sum = UserSum::new(&grid, Weight::new(1.0)?, noise);
    let pasts: Vec<_> = shop.dataset.histories.iter().map(for_release).collect();
    let mut fastest = f64::INFINITY;
    for _ in 0..if short { 3 } else { 20 } {
        let watch = Stopwatch::start();
        for past in &pasts {
            if let Some(update) = statistic.contribution(black_box(past)) {
                sum.add(&update);
            }
        }
        fastest = fastest.min(watch.secs() / pasts.len() as f64);
    }
    Ok(vec![
        Row::new("release_customer", fastest * 1e6, "us/customer")
            .bound(
                fastest * 1e6 <= MOST_US,
                format!("at most {MOST_US} us on one core"),
            )
            .with("items", ITEMS_OF_A_RELEASE)
            .with("columns", map.columns()),
    ])
}

/// `tower_case` and `tower_step`: what a customer costs before the first step of a tower, and in each, on one core.
pub(super) fn tower(short: bool) -> anyhow::Result<Vec<Row>> {
    let shop = Shop::make(CUSTOMERS_OF_A_RELEASE, ITEMS_OF_A_RELEASE)?;
    let popular: Vec<f32> = (0..ITEMS_OF_A_RELEASE)
        .map(|item| (1 + item % 29) as f32)
        .collect();
    let estimate = PopularityEstimate::published(popular, 0.9);
    let map = PublicMap::new(&estimate, &shop.features, 1);
    let mut rng = stream(1, "bench sum");
    let sum = map.values().iter().map(|_| rng.random_range(-1.0..1.0)).collect();
    let sum = CollaborativeSum::new(sum, &map, 0.9)?;
    let forms = FederatedForms::new(&estimate, &shop.features, Some((&sum, &map)), RANK);
    let view = |form: &ViewForm| -> Arc<dyn Channel> {
        let left = Arc::new(form.left.to_vec());
        Arc::new(LowRank::new(
            &form.name,
            form.g as f32,
            form.rank,
            left,
            &form.right,
        ))
    };
    let federated: Channels = forms.forms.iter().map(view).collect();
    let inputs = TowerInputs::new(
        &content::channels(&shop.features),
        &federated,
        &forms,
        ITEMS_OF_A_RELEASE,
    );
    let customers = shop.dataset.users.iter().zip(&shop.dataset.histories);
    let customers: Vec<_> = customers
        .map(|(id, history)| (id, for_release(history)))
        .collect();
    let tower = Tower::initial(8, 1);
    let (mut case_secs, mut step_secs) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..if short { 2 } else { 10 } {
        let watch = Stopwatch::start();
        let cases: Vec<_> = customers
            .iter()
            .filter_map(|(id, past)| TowerCase::new(&inputs, past, id, 1))
            .collect();
        case_secs = case_secs.min(watch.secs() / cases.len() as f64);
        let watch = Stopwatch::start();
        for case in &cases {
            black_box(tower.update(black_box(case)));
        }
        step_secs = step_secs.min(watch.secs() / cases.len() as f64);
    }
    let row = |name, secs: f64| Row::new(name, secs * 1e6, "us/customer").with("items", ITEMS_OF_A_RELEASE);
    Ok(vec![
        row("tower_case", case_secs),
        row("tower_step", step_secs).with("parameters", Tower::len_of(8)),
    ])
}

/// `stack_fit` and `stack_top10`: a shop's whole stack fitted, and the ten best items for one customer.
pub(super) fn stack(short: bool) -> anyhow::Result<Vec<Row>> {
    let sizes: &[(usize, usize, Option<f64>, Option<f64>)] = match short {
        true => &[(1_000, 1_000, None, Some(5.0))],
        false => &[
            (10_000, 5_000, Some(60.0), None),
            (500, 10_000, None, Some(5.0)),
            (200, 100_000, None, Some(30.0)),
        ],
    };
    let mut rows = Vec::new();
    for (customers, items, most_secs, most_ms) in sizes {
        let shop = Shop::make(*customers, *items)?;
        let watch = Stopwatch::start();
        let stack = shop.fit()?;
        let secs = watch.secs();
        let row = Row::new(format!("stack_fit_{customers}x{items}"), secs, "s");
        rows.push(match most_secs {
            Some(most) => row.bound(secs <= *most, format!("at most {most} s")),
            None => row,
        });
        let mut fastest = f64::INFINITY;
        for history in shop.dataset.histories.iter().take(30) {
            let watch = Stopwatch::start();
            let shopper = Shopper {
                history: &history.items,
                session: &[],
            };
            black_box(stack.top(shopper, 10, false));
            fastest = fastest.min(watch.secs() * 1e3);
        }
        let row = Row::new(format!("stack_top10_{items}"), fastest, "ms");
        rows.push(match most_ms {
            Some(most) => row.bound(fastest <= *most, format!("at most {most} ms")),
            None => row,
        });
    }
    Ok(rows)
}

/// `top10_1000000x64`: the best of a million items by a model of products, one customer at a time and 64 together, one core, beside
/// all products in f32.
pub(super) fn best_products(short: bool) -> Vec<Row> {
    let (items, width, together) = (if short { 100_000 } else { 1_000_000 }, 64, 64);
    let mut rng = stream(1, "bench products");
    let mut vector = |count: usize| -> Vec<f32> { (0..count).map(|_| rng.random_range(-1.0..1.0)).collect() };
    let rows = vector(items * width);
    let queries: Vec<Vec<f32>> = (0..together).map(|_| vector(width)).collect();
    let queries: Vec<&[f32]> = queries.iter().map(Vec::as_slice).collect();
    let index = DotIndex::new(&rows, width);
    let fastest = |times: usize, run: &mut dyn FnMut()| -> f64 {
        let timed = (0..times).map(|_| {
            let watch = Stopwatch::start();
            run();
            watch.secs() * 1e3
        });
        timed.fold(f64::INFINITY, f64::min)
    };
    let all = fastest(10, &mut || {
        let scores: Vec<f32> = rows.chunks_exact(width).map(|row| dot(row, queries[0])).collect();
        black_box(scores);
    });
    let one = fastest(20, &mut || {
        black_box(index.top(&rows, &queries[..1], 10, |_, _| true));
    });
    let many = fastest(3, &mut || {
        black_box(index.top(&rows, &queries, 10, |_, _| true));
    }) / together as f64;
    // Of all products in f32: one query is bound by the memory's speed, which differs from machine to machine.
    let row = |name: &str, ms: f64, most: f64| {
        let share = ms / all;
        let row = Row::new(format!("{name}_{items}x{width}"), ms, "ms")
            .with("items", items)
            .with("all_products_ms", all)
            .with("of_all_products", share);
        match short {
            true => row,
            false => row.bound(share <= most, format!("at most {most} of all products in f32")),
        }
    };
    vec![row("top10", one, 0.42), row("top10_of_64", many, 0.15)]
}

/// A made-up shop.
struct Shop {
    dataset: Dataset,
    validation: Vec<Option<u32>>,
    /// Of the validation items.
    times: Vec<i64>,
    features: Features,
}

impl Shop {
    /// Histories of 10 to 50 items, popular ones more often; 40 categories and 200 brands.
    fn make(customers: usize, items: usize) -> anyhow::Result<Self> {
        let item = |row: usize| Item {
            title: format!("thing {} {}", row % 97, row % 311),
            category: format!("category {}", row % 40),
            brand: format!("brand {}", row % 200),
            price: Some(1.0 + (row % 50) as f64),
            ..Item::bare(format!("i{row}"))
        };
        let catalogue = Catalogue::new((0..items).map(item).collect())?;
        let mut rng = stream(1, "bench shop");
        let mut histories = Vec::with_capacity(customers);
        let mut validation = Vec::with_capacity(customers);
        for _ in 0..customers {
            let mut own: Vec<u32> = Vec::new();
            for _ in 0..rng.random_range(11..=51) {
                // Squared: half of all purchases are of a quarter of the items.
                let at = rng.random::<f64>().powi(2) * items as f64;
                let item = at as u32;
                if !own.contains(&item) {
                    own.push(item);
                }
            }
            validation.push(own.pop());
            // One a week, up to the same day.
            let week = |before: usize| LAST - WEEK * before as i64;
            let times = (1..=own.len()).rev().map(week).collect();
            histories.push(History { items: own, times });
        }
        Ok(Self {
            dataset: Dataset {
                users: (0..customers).map(|user| format!("u{user}")).collect(),
                histories,
                labelled: Vec::new(),
            },
            times: vec![LAST; customers],
            validation,
            features: Features::of(&catalogue),
        })
    }

    fn fit(&self) -> anyhow::Result<Stack> {
        let input = StackInput {
            train: &self.dataset,
            validation: &self.validation,
            times: &self.times,
            hidden: &[],
            features: &self.features,
        };
        let content = content::channels(&self.features);
        Ok(fit(&input, &content, &Vec::new(), 1, |_| {})?.alone)
    }
}

/// 2024-01-01.
const LAST: i64 = 1_704_067_200;
const WEEK: i64 = 604_800;
const CUSTOMERS_OF_A_RELEASE: usize = 1000;
const ITEMS_OF_A_RELEASE: usize = 3000;
const MOST_US: f64 = 50.0;
