//! Why an item stands in a list: the user's own items that speak for it most and how, and what they share with it; or that
//! it sells well.

use serde::{Deserialize, Serialize};
use souk_common::catalogue::Catalogue;
use souk_common::channels::Group;
use souk_common::channels::timed::FRESHNESS;
use souk_common::dataset::History;
use souk_common::model::Loaded;
use souk_common::stack::Stack;

/// What speaks for a recommended item: one of the user's own items, or its sales.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Reason {
    /// The item the user bought; empty where it is no item.
    pub item_id: String,
    /// Its title; may be empty.
    pub title: String,
    /// Its part of what all positive reasons add up to, 0 to 1.
    pub share: f32,
    /// What the two have in common.
    pub shared: Vec<Shared>,
    /// How it speaks for the item; none of a trained model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Through>,
    /// What it adds to the score, through whichever channels; none of a trained model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<f32>,
}

/// How a reason speaks for an item.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Through {
    /// It sells well in all shops.
    BestsellerInRegion,
    /// It sells well in this shop.
    BestsellerHere,
    /// Customers buy it after the user's item.
    BoughtAfter,
    /// Customers have both.
    BoughtTogether,
    /// The two are alike.
    Alike,
    /// By what all shops have trained; which of the other ways it goes is not said.
    Trained,
    /// It is newer than others, and new items are bought more.
    New,
    /// This shop's customers buy it a lot these days.
    BoughtLately,
}

impl Through {
    fn of(stack: &Stack, channel: usize) -> Self {
        let channel = &stack.channels()[channel];
        match channel.group() {
            _ if !channel.is_linear() => Self::Trained,
            Group::Popularity if channel.is_federated() => Self::BestsellerInRegion,
            Group::Popularity => Self::BestsellerHere,
            Group::Local if channel.name().starts_with("sequence") => Self::BoughtAfter,
            Group::Local | Group::Federated => Self::BoughtTogether,
            Group::Content | Group::Lda => Self::Alike,
            Group::Time if channel.name() == FRESHNESS => Self::New,
            Group::Time => Self::BoughtLately,
        }
    }
}

/// What one of the user's items, or an item's sales, add to its score through all channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// The user's item; none for sales, and for what no single item accounts for.
    pub item: Option<u32>,
    /// The way that adds most.
    pub through: Through,
    /// May be negative.
    pub part: f32,
}

/// The parts that each of `wanted`'s scores falls into, largest first; those of one item add up to its score.
pub fn parts(stack: &Stack, history: &[u32], wanted: &[u32]) -> Vec<Vec<Part>> {
    let sums = |evidence: Vec<souk_common::stack::Evidence>| {
        let mut ways: Vec<((Option<u32>, Through), f32)> = evidence
            .iter()
            .map(|one| ((one.item, Through::of(stack, one.channel)), one.part))
            .collect();
        ways.sort_by_key(|(key, _)| *key);
        let ways = ways.chunk_by(|a, b| a.0 == b.0).map(|same| {
            let ((item, through), part) = (same[0].0, same.iter().map(|way| way.1).sum());
            Part { item, through, part }
        });
        let ways: Vec<Part> = ways.collect();
        // Popularity of all shops, of this one and of late, and newness are reasons of their own; ways of one item are one.
        let same_reason =
            |a: &Part, b: &Part| a.item == b.item && (a.item.is_some() || a.through == b.through);
        let mut parts: Vec<Part> = ways
            .chunk_by(same_reason)
            .filter_map(|same| {
                let most = same.iter().max_by(|a, b| a.part.total_cmp(&b.part))?;
                let part = same.iter().map(|way| way.part).sum();
                Some(Part { part, ..*most })
            })
            .collect();
        parts.sort_by(|a, b| b.part.total_cmp(&a.part).then(a.item.cmp(&b.item)));
        parts
    };
    stack.evidence(history, wanted).into_iter().map(sums).collect()
}

/// Up to three reasons for each of `items` by a stack, strongest first.
pub fn of_stack(stack: &Stack, catalogue: &Catalogue, history: &[u32], items: &[u32]) -> Vec<Vec<Reason>> {
    let reasons_for = |(item, parts): (&u32, Vec<Part>)| {
        let for_it = || parts.iter().filter(|part| part.part > LEAST_PART);
        let total: f32 = for_it().map(|part| part.part).sum();
        let reason = |part: &Part| {
            let own = part.item.map(|own| &catalogue.items()[own as usize]);
            let shared = part.item.map(|own| shared(catalogue, *item, own));
            Reason {
                item_id: own.map_or_else(String::new, |own| own.id.clone()),
                title: own.map_or_else(String::new, |own| own.title.clone()),
                share: part.part / total,
                shared: shared.unwrap_or_default(),
                channel: Some(part.through),
                part: Some(part.part),
            }
        };
        for_it().take(MOST_REASONS).map(reason).collect()
    };
    let parts = parts(stack, history, items);
    items.iter().zip(parts).map(reasons_for).collect()
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

/// Up to three reasons for each of `items` by a trained model, strongest first.
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
                    channel: None,
                    part: None,
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
    /// The reason in words, to stand behind "because ".
    pub fn clause(&self) -> String {
        let subject = if self.channel.is_some() {
            "it is"
        } else {
            "the user"
        };
        format!("{subject} {}", self.words())
    }

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
            format!("same {}", shared.join(", "))
        };
        let share = format!("{:.0} %", 100.0 * self.share);
        match self.channel {
            Some(Through::BestsellerInRegion) => format!("a bestseller in your region's shops ({share})"),
            Some(Through::BestsellerHere) => format!("a bestseller in this shop ({share})"),
            Some(Through::New) => format!("new ({share})"),
            Some(Through::BoughtLately) => format!("bought a lot these days ({share})"),
            Some(Through::BoughtAfter) => format!("bought after {name} ({share})"),
            Some(Through::BoughtTogether) => format!("bought by customers who bought {name} ({share})"),
            Some(Through::Alike) if tail.is_empty() => format!("like {name} ({share})"),
            Some(Through::Alike) => format!("like {name}: {tail} ({share})"),
            Some(Through::Trained) if name.is_empty() => {
                format!("what customers like this one buy, as all shops learned ({share})")
            }
            Some(Through::Trained) => format!("a match for {name}, as all shops learned ({share})"),
            None if tail.is_empty() => format!("bought {name} ({share})"),
            None => format!("bought {name} ({share}, {tail})"),
        }
    }
}

const MOST_REASONS: usize = 3;

/// Less than this, of scores of about one, is rounding: an item of unknown age is not new.
const LEAST_PART: f32 = 1e-5;

#[cfg(test)]
mod tests {
    use super::super::Ranker;
    use super::super::tests::shelf;
    use super::*;

    #[test]
    fn an_item_is_explained_best_by_itself() {
        let shelf = shelf();
        let history = &shelf.dataset.histories[2];
        let Ranker::Model(model) = &shelf.ranker else {
            panic!("it has a model")
        };
        let reasons = of(model, &shelf.catalogue, history, &[4]);
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
