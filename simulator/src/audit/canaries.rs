//! Canaries: customers whose presence an adversary would find most easily.

use std::fs;

use anyhow::Context;
use rand::RngExt;
use rand_distr::StandardNormal;
use souk_client::data::{ShopDataConfig, read_shop};
use souk_common::clock::Timestamp;
use souk_common::dataset::Dataset;
use souk_common::model::update::UserUpdate;

use super::mechanism::{AuditedPlan, AuditedRound, Canary, buyer};

/// Which canary.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CanaryKind {
    /// A random direction, twice as long as the clip norm: a client of whom nothing is known.
    Direction,
    /// Ten items that hardly anybody bought.
    Items,
    /// Every item of the catalogue.
    Longest,
    /// The real customer of the shop with the rarest items.
    Customer,
    /// Records in the shop's own file, repeated, out of order and in several spellings, read as a shop reads them.
    Crafted,
}

impl CanaryKind {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [
        Self::Direction,
        Self::Items,
        Self::Longest,
        Self::Customer,
        Self::Crafted,
    ];

    /// As reports call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direction => "direction",
            Self::Items => "items",
            Self::Longest => "longest",
            Self::Customer => "customer",
            Self::Crafted => "crafted",
        }
    }
}

/// The canary of `kind` in the shop of place `shop`, for a round.
///
/// # Errors
/// When the shop has no customers to choose among, or the crafted file can't be written or read.
pub(crate) fn canary(
    plan: &AuditedPlan,
    round: &AuditedRound,
    shop: usize,
    kind: CanaryKind,
) -> anyhow::Result<Canary> {
    let dataset = &plan.shops()[shop].dataset;
    let items = plan.catalogue().len();
    Ok(match kind {
        CanaryKind::Direction => direction(plan, round),
        CanaryKind::Items => Canary::Records(buyer("canary", rarest(dataset, items, 10))),
        CanaryKind::Longest => Canary::Records(buyer("canary", (0..items as u32).collect())),
        CanaryKind::Customer => {
            let customer = worst_customer(dataset, items).context("the shop has no customer")?;
            Canary::Records(dataset.subset(&[customer]))
        }
        CanaryKind::Crafted => Canary::Records(crafted(plan, dataset)?),
    })
}

/// The records that the shop has while the canary is absent: a real customer is taken out.
pub(crate) fn without(dataset: &Dataset, canary: &Canary) -> Dataset {
    let Canary::Records(canary) = canary else {
        return dataset.clone();
    };
    let others: Vec<usize> = (0..dataset.len())
        .filter(|user| !canary.users.contains(&dataset.users[*user]))
        .collect();
    dataset.subset(&others)
}

fn direction(plan: &AuditedPlan, round: &AuditedRound) -> Canary {
    let mut draws = plan.stream(&format!("direction in {}", round.name));
    let counts = round
        .plan
        .counts(&round.grid)
        .map_or(0, |_| souk_common::update::CountsGrid::COORDINATES);
    let coordinates = round.coordinates - counts;
    let values: Vec<f64> = (0..coordinates).map(|_| draws.sample(StandardNormal)).collect();
    let length = values.iter().map(|value| value * value).sum::<f64>().sqrt();
    let wanted = 2.0 * round.grid.clip_norm;
    Canary::Update(UserUpdate::Sparse {
        ranges: std::iter::once(0..coordinates).collect(),
        values: values
            .iter()
            .map(|value| (value / length * wanted) as f32)
            .collect(),
    })
}

/// How many customers have each item.
fn buyers(dataset: &Dataset, items: usize) -> Vec<usize> {
    let mut buyers = vec![0; items];
    for item in dataset.histories.iter().flat_map(|history| &history.items) {
        if let Some(count) = buyers.get_mut(*item as usize) {
            *count += 1;
        }
    }
    buyers
}

/// The items with the fewest buyers.
fn rarest(dataset: &Dataset, items: usize, wanted: usize) -> Vec<u32> {
    let buyers = buyers(dataset, items);
    let mut order: Vec<u32> = (0..items as u32).collect();
    order.sort_by_key(|item| buyers[*item as usize]);
    order.truncate(wanted);
    order
}

/// The customer with two items or more whose items have the fewest other buyers on average.
fn worst_customer(dataset: &Dataset, items: usize) -> Option<usize> {
    let buyers = buyers(dataset, items);
    let of = |user: &usize| {
        let items = &dataset.histories[*user].items;
        items.iter().map(|item| buyers[*item as usize]).sum::<usize>() as f64 / items.len() as f64
    };
    let at_least = |least: usize| {
        (0..dataset.len())
            .filter(|user| dataset.histories[*user].len() >= least)
            .min_by(|one, other| of(one).total_cmp(&of(other)))
    };
    at_least(2).or_else(|| at_least(1))
}

/// A customer as a file of orders can at worst describe one, through the shop's own reader.
fn crafted(plan: &AuditedPlan, dataset: &Dataset) -> anyhow::Result<Dataset> {
    let folder = tempfile::tempdir().context("a folder for a crafted file of orders")?;
    let rare = rarest(dataset, plan.catalogue().len(), 4);
    let ids: Vec<&str> = rare
        .iter()
        .map(|item| plan.catalogue().items()[*item as usize].id.as_str())
        .collect();
    let mut text = "user_id,item_id,timestamp\n".to_owned();
    let quoted = |id: &str| format!("\"{}\"", id.replace('"', "\"\""));
    for (line, id) in (0..400i64).zip(ids.iter().cycle()) {
        // The same purchase again and again, backwards in time, and with blanks around it.
        let user = [" canary", "canary ", "canary"][line as usize % 3];
        text += &format!("{user},{},{}\n", quoted(id), 1_700_000_000 - 3_600 * line);
    }
    let path = folder.path().join("orders.csv");
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    let config = ShopDataConfig::default();
    let read = read_shop(
        &config,
        folder.path(),
        Some(plan.catalogue()),
        Timestamp::from_secs(1_800_000_000),
    )
    .context("reading a crafted file of orders")?;
    Ok(read.dataset)
}

/// Purchases of a shop, the latest last: whoever made the last one is whom a recency channel would show to everybody.
pub(crate) fn latest_buyer(dataset: &Dataset) -> Option<usize> {
    let last = |user: &usize| dataset.histories[*user].times.last().copied();
    (0..dataset.len()).max_by_key(|user| last(user).unwrap_or(i64::MIN))
}
