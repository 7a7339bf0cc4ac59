//! Whose histories: a data set or a made-up market, and how they are cut into shops.

use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use clap::builder::RangedU64ValueParser;

use crate::data::cut::{By, dirichlet};
use crate::data::known::{Cut, ItemLevel, Known};
use crate::data::synthetic::{self, sizes};
use crate::error::WrongUsage;

/// As typed.
#[derive(Args, Debug)]
pub(super) struct Source {
    /// The data set's folder.
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with = "synthetic",
        required_unless_present = "synthetic"
    )]
    pub(super) data: Option<PathBuf>,
    /// Make up customers of as many regions as there are shops, and a year of their purchases, instead.
    #[arg(long)]
    pub(super) synthetic: bool,
    /// Of a shop of the made-up market; with --dirichlet, on average.
    #[arg(long, requires = "synthetic", default_value_t = 20, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    pub(super) customers: usize,
    /// How many shops; by default as many as the (first) plan names.
    #[arg(long, value_parser = RangedU64ValueParser::<usize>::new().range(1..=100_000))]
    pub(super) shops: Option<usize>,
    /// What makes a shop; by default what suits the set.
    #[arg(long, conflicts_with_all = ["synthetic", "dirichlet"])]
    pub(super) by: Option<By>,
    /// Keep users and items with at least this many distinct pairs; by default what suits the set.
    #[arg(long, conflicts_with = "synthetic")]
    pub(super) core: Option<usize>,
    /// What is recommended: products, or the types that a set puts them in.
    #[arg(long, value_enum, default_value_t = ItemLevel::Products, conflicts_with = "synthetic")]
    pub(super) items: ItemLevel,
    /// Shops differ in size and taste by a symmetric Dirichlet distribution: 0.1 a lot, 100 hardly. A data set's customers are dealt
    /// out by the category that each buys most; made-up shops draw their sizes, and what their region buys.
    #[arg(long, value_name = "ALPHA", value_parser = alpha)]
    pub(super) dirichlet: Option<f64>,
}

impl Source {
    /// The set and its shops; into `otherwise` shops if no number was typed.
    ///
    /// # Errors
    /// When it can't be read, or has fewer customers than there are to be shops.
    pub(super) fn load(&self, otherwise: usize, seed: u64) -> anyhow::Result<Known> {
        let Some(data) = &self.data else {
            return self.made_up(otherwise, seed);
        };
        let cut = Cut {
            data: data.clone(),
            shops: self.shops,
            by: self.by,
            core: self.core,
            items: self.items,
        };
        let mut known = cut.load(Some(otherwise))?;
        let customers = known.dataset.len();
        if let Some(shops) = self.shops {
            ensure!(
                shops <= customers,
                WrongUsage(format!(
                    "--shops {shops}: {} has {customers} customers, and a shop has one at least; ask for {customers} shops or fewer",
                    data.display()
                ))
            );
        }
        if let Some(alpha) = self.dirichlet {
            let shops = self.shops.unwrap_or(known.shops).min(customers);
            known.shop_of = dirichlet(&known.dataset, &known.catalogue, shops, alpha, seed);
            known.shops = shops;
        }
        Ok(known)
    }

    fn made_up(&self, otherwise: usize, seed: u64) -> anyhow::Result<Known> {
        let shops = self.shops.unwrap_or(otherwise);
        let sizes = sizes(shops, self.customers, self.dirichlet, seed);
        let market = synthetic::generate_skewed(seed, &sizes, self.dirichlet)?;
        let of = |(shop, (_, users)): (usize, &(String, std::ops::Range<usize>))| vec![shop; users.len()];
        let shop_of: Vec<usize> = market.shops.iter().enumerate().flat_map(of).collect();
        Ok(Known {
            name: "synthetic",
            groups: shop_of.iter().map(|shop| market.shops[*shop].0.clone()).collect(),
            dataset: market.dataset,
            catalogue: market.catalogue,
            shop_of,
            shops,
        })
    }
}

fn alpha(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (LEAST_ALPHA..=MOST_ALPHA).contains(&value) => Ok(value),
        _ => Err(format!(
            "a number from {LEAST_ALPHA} to {MOST_ALPHA} is expected: the smaller, the less alike are the shops"
        )),
    }
}

/// Below, a gamma variate is 0 in double precision more often than not.
const LEAST_ALPHA: f64 = 0.01;
const MOST_ALPHA: f64 = 1e6;
