//! What the click tower is fed for a customer and an ad: the public catalogue, and the customer's own record as it was when the ad was
//! shown. Nothing depends on another customer, and every scale is a constant.
//!
//! An ad is an item whose tags have [`AD`]; it covers the items with which it shares another tag, as a coupon covers products. Any
//! other item that was shown covers itself.
//!
//! | input | what, before it is brought to a scale of about 1 |
//! |---|---|
//! | `constant` | 1 |
//! | `shown together` | how many ads the customer was shown at that time |
//! | `covered` | how many items the ad covers |
//! | `shown before` | ads shown to the customer whose outcome is known |
//! | `clicked before` | those of them that were clicked |
//! | `own click rate` | clicked of shown, drawn to 1 in 100 |
//! | `bought of it`, `bought of it lately` | covered items that the customer has; a recent one counts 1, one of a month ago 1/e |
//! | `bought of category`, `... lately` | as many of the ad's category |
//! | `bought`, `bought lately` | of anything |
//! | `share of purchases` | covered items that the customer has, of all |
//!
//! All are logarithms, since counts are long-tailed, and none is beyond 4 on either side.

use std::collections::{BTreeMap, HashMap};

pub use crate::catalogue::AD;
use crate::catalogue::{Catalogue, Item};
use crate::dataset::{History, Labelled};

/// Names of the inputs, in order.
pub const INPUTS: [&str; 13] = [
    "constant",
    "shown together",
    "covered",
    "shown before",
    "clicked before",
    "own click rate",
    "bought of it",
    "bought of it lately",
    "bought of category",
    "bought of category lately",
    "bought",
    "bought lately",
    "share of purchases",
];

/// Inputs of one customer and ad.
pub const WIDTH: usize = INPUTS.len();

/// What the catalogue says of ads.
#[derive(Clone, Debug)]
pub struct ClickInputs {
    /// A number an item's category; none of an item without.
    category: Vec<Option<u32>>,
    categories: usize,
    /// One an item: the ads that cover it.
    covered_by: Vec<Vec<u32>>,
    /// One an item: how many items it covers.
    covers: Vec<u32>,
    is_ad: Vec<bool>,
}

/// What a customer did up to some time.
struct Past {
    /// Known outcomes.
    shown: f32,
    clicked: f32,
    /// Items that the customer has: all, by category, and by the ad that covers them; each as a count and a recent one.
    bought: [f32; 2],
    bought_of_category: Vec<[f32; 2]>,
    bought_of: HashMap<u32, [f32; 2]>,
}

impl ClickInputs {
    /// Of a catalogue.
    pub fn new(catalogue: &Catalogue) -> Self {
        let items = catalogue.items();
        let mut numbers: BTreeMap<&str, u32> = BTreeMap::new();
        let mut category = Vec::with_capacity(items.len());
        for item in items {
            let next = numbers.len() as u32;
            let named = (!item.category.is_empty()).then_some(item.category.as_str());
            category.push(named.map(|name| *numbers.entry(name).or_insert(next)));
        }
        let is_ad: Vec<bool> = items.iter().map(Item::is_ad).collect();
        let mut ads_of: HashMap<&str, Vec<u32>> = HashMap::new();
        let tagged = |row: usize| {
            items[row]
                .tags
                .iter()
                .map(String::as_str)
                .filter(|tag| *tag != AD)
        };
        for row in (0..items.len()).filter(|row| is_ad[*row]) {
            tagged(row).for_each(|tag| ads_of.entry(tag).or_default().push(row as u32));
        }
        let covered_by: Vec<Vec<u32>> = (0..items.len())
            .map(|row| {
                if is_ad[row] {
                    return Vec::new();
                }
                let ads = tagged(row).filter_map(|tag| ads_of.get(tag)).flatten().copied();
                let mut ads: Vec<u32> = ads.chain([row as u32]).collect();
                ads.sort_unstable();
                ads.dedup();
                ads
            })
            .collect();
        let mut covers = vec![0; items.len()];
        for ad in covered_by.iter().flatten() {
            covers[*ad as usize] += 1;
        }
        Self {
            category,
            categories: numbers.len(),
            covered_by,
            covers,
            is_ad,
        }
    }

    /// Whether an item is an ad.
    pub fn is_ad(&self, item: u32) -> bool {
        self.is_ad.get(item as usize).copied().unwrap_or(false)
    }

    /// Items that are ads.
    pub fn ads(&self) -> impl Iterator<Item = u32> {
        (0u32..)
            .zip(&self.is_ad)
            .filter_map(|(item, is_ad)| is_ad.then_some(item))
    }

    /// Whether items are of this catalogue.
    fn fits(&self, items: &[u32]) -> bool {
        items.iter().all(|item| (*item as usize) < self.covers.len())
    }

    /// Inputs of everything that a customer was shown, each as of when it was shown. None where an item is of another catalogue, or
    /// nothing was shown.
    ///
    /// # Shapes
    /// result: `[shown, WIDTH]`.
    pub fn shown(&self, history: &History, labelled: &Labelled) -> Option<Vec<f32>> {
        if labelled.is_empty() || !self.fits(&history.items) || !self.fits(&labelled.items) {
            return None;
        }
        let mut inputs = Vec::with_capacity(labelled.len() * WIDTH);
        let mut rest = labelled.items.as_slice();
        for together in labelled.times.chunk_by(|a, b| a == b) {
            let (ads, behind) = rest.split_at(together.len());
            rest = behind;
            self.rows_into(history, labelled, ads, together[0], &mut inputs);
        }
        Some(inputs)
    }

    /// Inputs of some ads, were they shown together at `time`, in seconds since 1970. None where an item is of another catalogue.
    ///
    /// # Shapes
    /// result: `[ads, WIDTH]`.
    pub fn rows(&self, history: &History, labelled: &Labelled, ads: &[u32], time: i64) -> Option<Vec<f32>> {
        let fits = [&history.items, &labelled.items, ads]
            .iter()
            .all(|items| self.fits(items));
        let mut inputs = Vec::with_capacity(ads.len() * WIDTH);
        fits.then(|| self.rows_into(history, labelled, ads, time, &mut inputs))?;
        Some(inputs)
    }

    fn rows_into(
        &self,
        history: &History,
        labelled: &Labelled,
        ads: &[u32],
        time: i64,
        inputs: &mut Vec<f32>,
    ) {
        let past = self.past(history, labelled, time);
        let log = f32::ln_1p;
        let [bought, lately] = past.bought;
        for ad in ads {
            let category = self.category[*ad as usize].map(|category| category as usize);
            let [of_category, of_category_lately] =
                category.map_or([0.0; 2], |category| past.bought_of_category[category]);
            let [of_it, of_it_lately] = past.bought_of.get(ad).copied().unwrap_or_default();
            let row: [f32; WIDTH] = [
                1.0,
                log(ads.len() as f32) - 4.0,
                (log(self.covers[*ad as usize] as f32) - 3.0) / 1.5,
                log(past.shown) / 3.0 - 1.0,
                log(past.clicked),
                (((past.clicked + 0.2) / (past.shown + 20.0)).ln() + 5.0) / 1.5,
                1.5 * log(of_it) - 0.2,
                2.0 * log(of_it_lately),
                log(of_category) / 1.5 - 1.0,
                log(of_category_lately) - 0.5,
                log(bought) - 5.0,
                log(lately) - 3.0,
                ((of_it + 0.5) / (bought + 50.0)).ln() + 6.0,
            ];
            inputs.extend(row.map(|value| value.clamp(-LARGEST, LARGEST)));
        }
    }

    fn past(&self, history: &History, labelled: &Labelled, time: i64) -> Past {
        let mut past = Past {
            shown: 0.0,
            clicked: 0.0,
            bought: [0.0; 2],
            bought_of_category: vec![[0.0; 2]; self.categories],
            bought_of: HashMap::new(),
        };
        let known = time.saturating_sub(OUTCOME_SECS);
        for (shown, label) in labelled.times.iter().zip(&labelled.labels) {
            if *shown < known {
                past.shown += 1.0;
                past.clicked += label;
            }
        }
        for (item, when) in history.items.iter().zip(&history.times) {
            if *when < time {
                let ago = time.saturating_sub(*when) as f32;
                let recent = (-ago / LATELY_SECS).exp();
                let add = |to: &mut [f32; 2]| *to = [to[0] + 1.0, to[1] + recent];
                add(&mut past.bought);
                if let Some(category) = self.category[*item as usize] {
                    add(&mut past.bought_of_category[category as usize]);
                }
                for ad in &self.covered_by[*item as usize] {
                    add(past.bought_of.entry(*ad).or_default());
                }
            }
        }
        past
    }
}

/// So long after an ad was shown it is known whether it is clicked: coupons are redeemed weeks later, and what is not known at
/// the time is no input.
pub const OUTCOME_SECS: i64 = 60 * 86_400;
/// After so long a purchase counts 1/e as a recent one.
const LATELY_SECS: f32 = 30.0 * 86_400.0;
const LARGEST: f32 = 4.0;

#[cfg(test)]
mod tests;
