//! Why an item stands in a list: the user's own items that speak for it most, and what they share with it.

use serde::{Deserialize, Serialize};
use souk_common::catalogue::Catalogue;
use souk_common::dataset::History;
use souk_common::model::Loaded;

/// One of the user's own items that speaks for a recommended one.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Reason {
    /// The item the user bought.
    pub item_id: String,
    /// Its title; may be empty.
    pub title: String,
    /// Its part of what all positive reasons add up to, 0 to 1.
    pub share: f32,
    /// What the two have in common.
    pub shared: Vec<Shared>,
}

/// A public feature that two items have in common.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shared {
    /// The category.
    Category(String),
    /// The brand.
    Brand(String),
    /// The price band, as its number.
    PriceBand(u32),
}

/// Up to three reasons for each of `items`, strongest first.
pub fn of(model: &Loaded, catalogue: &Catalogue, history: &History, items: &[u32]) -> Vec<Vec<Reason>> {
    let contributions = model.contributions(history, items);
    let reasons_for = |(item, terms): (&u32, Vec<f32>)| {
        let total: f32 = terms.iter().filter(|term| **term > 0.0).sum();
        let mut order: Vec<usize> = (0..terms.len()).filter(|at| terms[*at] > 0.0).collect();
        order.sort_by(|a, b| terms[*b].total_cmp(&terms[*a]));
        order
            .into_iter()
            .take(MOST_REASONS)
            .map(|at| {
                let own = history.items[at];
                let bought = &catalogue.items()[own as usize];
                Reason {
                    item_id: bought.id.clone(),
                    title: bought.title.clone(),
                    share: terms[at] / total,
                    shared: shared(catalogue, *item, own),
                }
            })
            .collect()
    };
    items.iter().zip(contributions).map(reasons_for).collect()
}

fn shared(catalogue: &Catalogue, a: u32, b: u32) -> Vec<Shared> {
    let (x, y) = (catalogue.features()[a as usize], catalogue.features()[b as usize]);
    let same = |x: u32, y: u32| x == y && x != 0;
    let mut found = Vec::new();
    if same(x.category, y.category) {
        found.push(Shared::Category(
            catalogue.categories()[x.category as usize].clone(),
        ));
    }
    if same(x.brand, y.brand) {
        found.push(Shared::Brand(catalogue.brands()[x.brand as usize].clone()));
    }
    if same(x.price_bucket, y.price_bucket) {
        found.push(Shared::PriceBand(x.price_bucket));
    }
    found
}

impl Reason {
    /// The reason in words.
    pub fn words(&self) -> String {
        let name = if self.title.is_empty() {
            &self.item_id
        } else {
            &self.title
        };
        let shared: Vec<String> = self
            .shared
            .iter()
            .map(|shared| match shared {
                Shared::Category(category) => format!("category {category}"),
                Shared::Brand(brand) => format!("brand {brand}"),
                Shared::PriceBand(_) => "price band".to_owned(),
            })
            .collect();
        let tail = if shared.is_empty() {
            String::new()
        } else {
            format!(", same {}", shared.join(", "))
        };
        format!("bought {name} ({:.0} %{tail})", 100.0 * self.share)
    }
}

const MOST_REASONS: usize = 3;

#[cfg(test)]
mod tests {
    use super::super::tests::shelf;
    use super::*;

    #[test]
    fn an_item_is_explained_best_by_itself() {
        let shelf = shelf();
        let history = &shelf.dataset.histories[2];
        let reasons = of(&shelf.model, &shelf.catalogue, history, &[4]);
        assert_eq!(reasons[0][0].item_id, "i4", "{reasons:?}");
        assert!(reasons[0][0].shared.contains(&Shared::Category("c1".into())));
        let sum: f32 = reasons[0].iter().map(|reason| reason.share).sum();
        assert!(sum <= 1.0001 && reasons[0].iter().all(|reason| reason.share > 0.0));
        assert!(
            reasons[0][0].words().starts_with("bought Thing 4 ("),
            "{}",
            reasons[0][0].words()
        );
    }
}
