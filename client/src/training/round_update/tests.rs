//! From the shop's file to the integer sum, noise off: what one customer can change.

mod draws;

use std::fs;

use souk_common::catalogue::{Catalogue, Item};
use souk_common::clock::Timestamp;
use souk_common::ids::Digest;
use souk_common::model::Recommender;
use souk_common::model::init::initial_parameters;
use souk_common::plan::Plan;
use souk_common::privacy::{Ledger, MemorySink, Spend};
use souk_common::rng::stream;
use souk_common::update::UpdateValues;

use super::*;
use crate::data::{DataError, ShopDataConfig, read_shop};

/// Every kind and solver, with and without item features and sampling.
fn plans() -> Vec<Plan> {
    let kinds = [
        (
            "mf",
            "solver = 'ials'\nalpha = 0.2\nlambda = 1.0\ntrain_recency = 0.5\n",
        ),
        ("mf", "solver = 'sgd'\nuser_steps = 2\nlocal_steps = 2\n"),
        ("mlp", "solver = 'sgd'\nuser_dropout = 0.3\n"),
        ("neumf", "solver = 'sgd'\nlocal_steps = 3\nuser_l2 = 0.1\n"),
    ];
    let mut plans = Vec::new();
    for (kind, train) in kinds {
        for features in ["[]", "['category', 'brand', 'price']"] {
            for (clip_norm, bits, rate) in [("0.05", 32, "1.0"), ("5.0", 64, "0.6")] {
                let text = format!(
                    "name = 't'\nrounds = 4\n[model]\nkind = '{kind}'\ngmf_dim = 3\nmlp_dim = 3\ntower = [5, 4]\n\
                     features = {features}\n[train]\n{train}[privacy]\nenabled = false\nclip_norm = {clip_norm}\n\
                     modulus_bits = {bits}\nsampling_rate = {rate}\n[cohort]\nquorum = 1\n[server]\n\
                     optimiser = 'plain'\nlearning_rate = 1.0\n[[shops]]\nname = 'north'\ndeclared_users = 20\nweight = 0.7\n"
                );
                plans.push(Plan::from_toml(&text).unwrap_or_else(|error| panic!("{error}: {text}")));
            }
        }
    }
    plans
}

fn catalogue() -> Catalogue {
    let item = |row: usize| Item {
        id: format!("i{row}"),
        title: String::new(),
        category: format!("c{}", row % 3),
        brand: format!("b{}", row % 2),
        price: Some(row as f64),
        ..Item::bare("")
    };
    Catalogue::new((0..25).map(item).collect()).unwrap()
}

/// The ways in which a shop's file may be read, each with how the file is written.
fn options() -> Vec<(&'static str, &'static str, char)> {
    vec![
        ("", "user_id,item_id,timestamp", ','),
        ("events = ['purchase']", "user_id,item_id,timestamp,event", ','),
        (
            "delimiter = ';'\n[columns]\nuser = 'customer'\nitem = 'sku'\ntimestamp = 'at'",
            "customer;sku;at",
            ';',
        ),
        (
            "format = 'recbole'",
            "user_id:token\titem_id:token\ttimestamp:float",
            '\t',
        ),
    ]
}

/// Orders of twelve customers: repeats, unknown items, equal times, a customer with one order, one whose orders do not
/// count, and lines that are none.
fn orders(header: &str, delimiter: char, without: Option<&str>) -> String {
    let mut text = format!("{header}\n");
    for user in 0..12u32 {
        let name = format!("u{user}");
        if without == Some(name.as_str()) {
            continue;
        }
        let count = if user == 5 { 1 } else { 2 + user % 6 };
        for step in 0..count {
            let item = (user * 7 + step * step * 3) % if user == 9 { 90 } else { 25 };
            let at = 1_700_000_000 + u64::from(step / 2) * 60;
            let mut line = [name.clone(), format!("i{item}"), at.to_string()].join(&delimiter.to_string());
            if header.ends_with("event") {
                line += if user == 3 { ",view" } else { ",purchase" };
            }
            text += &line;
            text.push('\n');
        }
    }
    text
}

/// The end of November 2026.
const NOW: Timestamp = Timestamp(1_796_000_000_000);

struct Shop {
    model: Loaded,
    plan: Plan,
    grid: Grid,
}

impl Shop {
    fn new(plan: Plan, catalogue: &Catalogue) -> Self {
        let recommender = Recommender::new(&plan.model, &plan.train, catalogue);
        let start = initial_parameters(&plan.model, &plan.train, recommender.layout(), 4);
        let model = recommender.load(start);
        let grid = plan.grid(model.layout().len()).unwrap();
        Self { model, plan, grid }
    }

    /// The integer sum over the customers, as signed numbers.
    fn sum(&self, dataset: &Dataset, seed: u64) -> Vec<i64> {
        let customers = Customers {
            dataset,
            vectors: &[],
            forbidden: &[],
        };
        let (terms, mut secret) = (&self.plan.shops[0], stream(seed, "round"));
        let made = round_update(&self.model, customers, &self.plan, &self.grid, terms, &mut secret);
        let spend = Spend {
            plan: Digest::ZERO,
            round: 1,
            attempt: 1,
            noise_multiplier: None,
            sampling_rate: self.plan.privacy.sampling_rate,
            clip_norm: self.plan.privacy.clip_norm,
            shared: None,
        };
        let mut ledger = Ledger::open(MemorySink::default(), &[], &terms.name, Timestamp(0)).unwrap();
        let charged = ledger.charge(spend, Timestamp(0)).unwrap();
        match made.sum.finish(&charged).unwrap().into_inner().values {
            UpdateValues::B32(values) => values.iter().map(|value| i64::from(*value as i32)).collect(),
            UpdateValues::B64(values) => values.iter().map(|value| *value as i64).collect(),
        }
    }
}

fn length_squared(values: &[i64]) -> u128 {
    values
        .iter()
        .map(|value| u128::from(value.unsigned_abs()).pow(2))
        .sum()
}

#[test]
fn deleting_a_customer_from_the_file_changes_the_sum_by_that_customers_vector_and_no_more_than_the_sensitivity()
 {
    let (catalogue, dir) = (catalogue(), tempfile::tempdir().unwrap());
    let (mut moved, mut at_the_bound) = (0, 0);
    for (option, header, delimiter) in options() {
        let config: ShopDataConfig = toml::from_str(&format!("orders = 'o.csv'\n{option}"))
            .unwrap_or_else(|error| panic!("{option}: {error}"));
        let read = |text: &str| {
            fs::write(dir.path().join("o.csv"), text).unwrap();
            match read_shop(&config, dir.path(), Some(&catalogue), NOW) {
                Ok(data) => data.dataset,
                Err(DataError::NoOrder { .. }) => Dataset::default(),
                Err(error) => panic!("{option}: {error}"),
            }
        };
        let everybody = read(&orders(header, delimiter, None));
        for plan in plans() {
            let shop = Shop::new(plan, &catalogue);
            let all = shop.sum(&everybody, 8);
            for user in ["u0", "u3", "u5", "u7", "u9", "u11"] {
                let rest = shop.sum(&read(&orders(header, delimiter, Some(user))), 8);
                let change: Vec<i64> = all.iter().zip(&rest).map(|(a, b)| a - b).collect();
                let bound = (shop.grid.clip_units() as u128).pow(2);
                assert!(length_squared(&change) <= bound, "{option} {user}");
                // Alone, the customer has the same luck and the same vector.
                let at = everybody.users.iter().position(|name| name == user);
                let alone = Dataset {
                    users: at.iter().map(|at| everybody.users[*at].clone()).collect(),
                    histories: at.iter().map(|at| everybody.histories[*at].clone()).collect(),
                    labelled: Vec::new(),
                };
                assert_eq!(
                    change,
                    shop.sum(&alone, 8),
                    "{option} {user} {:?}",
                    shop.plan.model.kind
                );
                moved += usize::from(length_squared(&change) > 0);
                // The weight is 0.7: clipped vectors have about half of the squared length that is allowed.
                at_the_bound += usize::from(length_squared(&change) * 100 > bound * 45);
            }
        }
    }
    assert!(moved > 200 && at_the_bound > 80, "{moved} {at_the_bound}");
}
