//! The Complete Journey's coupons as ads: a household that a campaign was sent to was shown every coupon of the campaign on the day the
//! campaign began, and clicked those that it redeemed in it.
//!
//! Of the campaigns of type A each household got 16 coupons of a pool of about 200; which ones the set does not say. All of the pool
//! count as shown: what is predicted there is that a coupon was among the 16 and was redeemed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use anyhow::{Context, Error, ensure};
use souk_common::catalogue::{Catalogue, Item};
use souk_common::dataset::{Dataset, Labelled};
use souk_common::date::published;
use souk_common::table::{Row, RowSource, TextOptions, TextTable};
use souk_common::training::clicks::inputs::AD;

use super::known::{Cut, Known, find, required};
use crate::error::Unusable;

/// The set with its coupons as items behind the products.
pub(crate) struct Coupons {
    /// Labels are what was shown. A product has the tags of the coupons that cover it.
    pub(crate) known: Known,
    /// One an ad, from row [`Self::first_ad`] on.
    pub(crate) ads: Vec<Coupon>,
    /// The first ad's row.
    pub(crate) first_ad: u32,
    /// One a user: what is known of the household, as column and value; empty of most.
    pub(crate) households: Vec<Vec<String>>,
    /// How many campaigns.
    pub(crate) campaigns: usize,
    /// What was left out, for people.
    pub(crate) left_out: Vec<String>,
}

/// A coupon in one campaign.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Coupon {
    /// `A`, `B` or `C`.
    pub(crate) kind: String,
    /// How long the campaign ran.
    pub(crate) days: i64,
    /// How many products it covers, in the catalogue or not.
    pub(crate) products: usize,
}

/// Coupons by campaign and number, and the products of each.
type Covered = BTreeMap<(String, String), BTreeSet<String>>;

impl Coupons {
    /// Reads the set in the folder that `cut` names; its 5-core if no core was typed, for coupons are of many products.
    ///
    /// # Errors
    /// When it has no coupons, or can't be read.
    pub(crate) fn load(cut: &Cut) -> anyhow::Result<Self> {
        let dir = cut.data.as_path();
        ensure!(
            FILES.iter().all(|name| find(dir, name).is_some()),
            Unusable(format!(
                "{} has no coupons: --task ads needs {} of The Complete Journey, which deploy/get-data.sh --out data completejourney \
                 fetches",
                dir.display(),
                FILES.join(", ")
            ))
        );
        Self::of(dir, cut.load_core(CORE)?)
    }

    /// The coupons in `dir` for what is known of its products.
    pub(super) fn of(dir: &Path, known: Known) -> anyhow::Result<Self> {
        let mut left_out = Left::default();
        let mut campaigns: BTreeMap<String, (String, i64, i64)> = BTreeMap::new();
        let columns = ["campaign_id", "campaign_type", "start_date", "end_date"];
        each_row(
            dir,
            "campaign_descriptions.csv",
            columns,
            |[id, kind, start, end]| {
                let day = |text: &str| match published(text) {
                    Ok(Some(second)) => Ok(second),
                    _ => Err(Error::msg(Unusable(format!(
                        "campaign_descriptions.csv: {text:?} is no date"
                    )))),
                };
                let kind = kind.rsplit(' ').next().unwrap_or_default();
                campaigns.insert(id.to_owned(), (kind.to_owned(), day(start)?, day(end)?));
                Ok(())
            },
        )?;
        let mut covered = Covered::new();
        let columns = ["coupon_upc", "product_id", "campaign_id"];
        each_row(dir, "coupons.csv", columns, |[coupon, product, campaign]| {
            match campaigns.contains_key(campaign) {
                true => {
                    let key = (campaign.to_owned(), coupon.to_owned());
                    covered.entry(key).or_default().insert(product.to_owned());
                }
                false => left_out.campaigns += 1,
            }
            Ok(())
        })?;
        let (catalogue, ads) = with_ads(&known.catalogue, &covered, &campaigns)?;
        let first_ad = known.catalogue.len() as u32;
        let users: HashMap<&str, usize> = names(&known.dataset).collect();
        let row_of: HashMap<&(String, String), u32> = covered.keys().zip(first_ad..).collect();
        let mut redeemed = BTreeSet::new();
        let columns = ["household_id", "coupon_upc", "campaign_id"];
        each_row(
            dir,
            "coupon_redemptions.csv",
            columns,
            |[household, coupon, campaign]| {
                match row_of.get(&(campaign.to_owned(), coupon.to_owned())) {
                    None => left_out.coupons += 1,
                    Some(row) => drop(redeemed.insert((household.to_owned(), *row))),
                }
                Ok(())
            },
        )?;
        // One household a campaign; sorted, so that nothing depends on the order of lines.
        let mut sent = BTreeSet::new();
        each_row(
            dir,
            "campaigns.csv",
            ["campaign_id", "household_id"],
            |[campaign, household]| {
                let start = campaigns.get(campaign).map(|(_, start, _)| *start);
                match start.zip(users.get(household)) {
                    Some((start, user)) => drop(sent.insert((*user, start, campaign.to_owned()))),
                    None => left_out.sent += 1,
                }
                Ok(())
            },
        )?;
        let mut labelled = vec![Labelled::default(); known.dataset.len()];
        for (user, start, campaign) in sent {
            let (of, household) = (&mut labelled[user], &known.dataset.users[user]);
            let from = (campaign.clone(), String::new());
            for (key, _) in covered.range(from..).take_while(|((of, _), _)| *of == campaign) {
                let row = row_of[key];
                let clicked = redeemed.remove(&(household.clone(), row));
                of.items.push(row);
                of.times.push(start);
                of.labels.push(f32::from(u8::from(clicked)));
            }
        }
        left_out.unshown = redeemed.len();
        let households = households(dir, &known.dataset)?;
        Ok(Self {
            known: Known {
                dataset: Dataset {
                    labelled,
                    ..known.dataset
                },
                catalogue,
                ..known
            },
            ads,
            first_ad,
            households,
            campaigns: campaigns.len(),
            left_out: left_out.words(),
        })
    }
}

/// The products with tags for the coupons that cover them, and the coupons behind them. Other tags are left out: here they would only
/// make a coupon cover what it does not.
fn with_ads(
    products: &Catalogue,
    covered: &Covered,
    campaigns: &BTreeMap<String, (String, i64, i64)>,
) -> anyhow::Result<(Catalogue, Vec<Coupon>)> {
    let mut items: Vec<Item> = products.items().to_vec();
    items.iter_mut().for_each(|item| item.tags.clear());
    let mut ads = Vec::new();
    let mut behind = Vec::new();
    for ((campaign, coupon), of) in covered {
        let tag = format!("coupon {campaign}-{coupon}");
        let mut categories: BTreeMap<&str, usize> = BTreeMap::new();
        for row in of.iter().filter_map(|product| products.row(product)) {
            let item = &mut items[row as usize];
            item.tags.push(tag.clone());
            *categories
                .entry(&products.items()[row as usize].category)
                .or_default() += 1;
        }
        // Of equals the first by name.
        let most = categories.into_iter().rev().max_by_key(|(_, count)| *count);
        let category = most.map_or_else(String::new, |(category, _)| category.to_owned());
        behind.push(Item {
            title: category.to_lowercase(),
            category,
            tags: vec![AD.to_owned(), tag.clone()],
            ..Item::bare(tag)
        });
        let (kind, start, end) = &campaigns[campaign];
        ads.push(Coupon {
            kind: kind.clone(),
            days: (end - start) / 86_400,
            products: of.len(),
        });
    }
    items.extend(behind);
    Ok((Catalogue::new(items)?, ads))
}

/// What is known of each household.
fn households(dir: &Path, dataset: &Dataset) -> anyhow::Result<Vec<Vec<String>>> {
    let users: HashMap<&str, usize> = names(dataset).collect();
    let mut households = vec![Vec::new(); dataset.len()];
    let columns = [
        "household_id",
        "age",
        "income",
        "home_ownership",
        "marital_status",
        "household_size",
        "household_comp",
        "kids_count",
    ];
    each_row(dir, "demographics.csv", columns, |[household, known @ ..]| {
        if let Some(user) = users.get(household) {
            let named = columns[1..]
                .iter()
                .zip(known)
                .filter(|(_, value)| !value.is_empty());
            households[*user] = named.map(|(name, value)| format!("{name} {value}")).collect();
            households[*user].push("demographics".to_owned());
        }
        Ok(())
    })?;
    Ok(households)
}

fn names(dataset: &Dataset) -> impl Iterator<Item = (&str, usize)> {
    dataset.users.iter().map(String::as_str).zip(0..)
}

/// Calls `take` with these columns of each row of a file; rows that can't be read are errors, since nothing may be missing of labels.
fn each_row<const N: usize>(
    dir: &Path,
    file: &str,
    columns: [&str; N],
    mut take: impl FnMut([&str; N]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let path = find(dir, file).with_context(|| Unusable(format!("{} has no {file}", dir.display())))?;
    let mut table = TextTable::open(&path, TextOptions::default())?;
    let mut places = [0; N];
    for (place, name) in places.iter_mut().zip(columns) {
        *place = required(&table, name)?;
    }
    let mut row = Row::default();
    while table.next_row(&mut row)? {
        ensure!(
            row.fault.is_none(),
            Unusable(format!("{file}: a line can't be read; fetch the set again"))
        );
        take(places.map(|place| row.get(place)))?;
    }
    Ok(())
}

/// Lines without an effect.
#[derive(Default)]
struct Left {
    campaigns: usize,
    coupons: usize,
    sent: usize,
    unshown: usize,
}

impl Left {
    fn words(&self) -> Vec<String> {
        [
            (
                self.campaigns,
                "lines of coupons.csv are of campaigns that campaign_descriptions.csv does not have",
            ),
            (
                self.coupons,
                "redemptions are of coupons that coupons.csv does not have",
            ),
            (
                self.sent,
                "campaigns were sent to households that have too few purchases, or are not described",
            ),
            (
                self.unshown,
                "redemptions are of coupons that the household was not sent, as far as is known",
            ),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("left out: {count} {what}"))
        .collect()
    }
}

const FILES: [&str; 6] = [
    "transactions.csv",
    "campaigns.csv",
    "campaign_descriptions.csv",
    "coupons.csv",
    "coupon_redemptions.csv",
    "demographics.csv",
];

/// Products that fewer households bought are left out.
const CORE: usize = 5;

#[cfg(test)]
mod tests;
