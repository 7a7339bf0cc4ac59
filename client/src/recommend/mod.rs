//! Recommendations for the shop's own users, for baskets and for strangers: scored, ranked, deduplicated, with reasons.
//!
//! | module | what |
//! |---|---|
//! | [`service`] | lists on demand, by the shop's own stack or by a trained model |
//! | [`ads`] | ads, by how likely they are clicked |
//! | [`cache`] | what lists are made of, read when it changes |
//! | [`reasons`] | why an item stands in it |
//! | `ruled` | the owner's rules over all that |
//! | [`rules_report`] | what the owner's rules would do |
//! | [`newcomers`] | places for items that nobody has bought yet |
//! | [`names`] | the user, or the item, that was meant |
//! | [`serving`] | which model or release it rests on |
//! | `shortlist` | lists of a large catalogue without all scores |
//! | `stars` | lists by the stars that are expected |
//! | [`shelf`] | all of that at one moment, for many requests |
//! | [`visit`] | what a customer did lately |
//! | [`related`] | what is like an item, and what is bought with it |
//! | [`picture`] | all scores of a user as a scatter plot |

pub mod ads;
pub mod blobs;
pub mod cache;
pub mod names;
pub mod newcomers;
pub mod picture;
pub mod reasons;
pub mod related;
mod ruled;
pub mod rules_report;
pub mod service;
pub mod serving;
pub mod shelf;
mod shortlist;
mod stars;
pub mod visit;

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use souk_common::catalogue::Catalogue;
use souk_common::dataset::{Dataset, History};
use souk_common::model::stars::ShopStars;
use souk_common::model::{Loaded, UserVector};
use souk_common::rng::{Stream, stream};
use souk_common::stack::{Shopper, Stack};

use crate::rules::arrange::{Arranged, Wanted};
use crate::rules::compiled::CompiledRules;
use crate::rules::file::ListKind;
use crate::stack::ServedBy;
use names::UnknownName;
use newcomers::Newcomers;
use reasons::Reason;
use serving::Serving;

/// Scores over a catalogue, and the shop's histories.
#[derive(Clone)]
pub struct Recommendable {
    /// What scores.
    pub ranker: Ranker,
    /// The items.
    pub catalogue: Arc<Catalogue>,
    /// Whether these are those of the shop's own files.
    pub own_catalogue: bool,
    /// The shop's users.
    pub dataset: Arc<Dataset>,
    /// Which model or release the ranker rests on.
    pub serving: Serving,
    /// What the shop's own customers say of items beside a model of stars; none where another thing makes lists.
    pub stars: Option<Arc<ShopStars>>,
    /// What the owner decided of lists.
    pub rules: Arc<CompiledRules>,
    /// What places for new items are filled by; none where a trained model makes lists.
    pub newcomers: Option<Arc<Newcomers>>,
}

/// What scores items for a user.
#[derive(Clone)]
pub enum Ranker {
    /// A trained model.
    Model(Arc<Loaded>),
    /// The shop's own stack, alone or together.
    Stack(Stack, ServedBy),
}

impl Ranker {
    /// Which scores these are.
    pub fn by(&self) -> ServedBy {
        match self {
            Self::Model(_) => ServedBy::Model,
            Self::Stack(_, by) => *by,
        }
    }
}

/// For whom: one of the shop's users, a basket, both, or, with neither, anybody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Customer<'a> {
    /// The user's row.
    pub row: Option<usize>,
    /// Items that were bought since the data were read, or that lie in this visit's cart, earliest first.
    pub basket: &'a [u32],
    /// Items that were only looked at in this visit, earliest first: they say what the customer wants, and may be recommended.
    pub viewed: &'a [u32],
    /// Items that were brought back since the data were read.
    pub returned: &'a [u32],
    /// Of the basket, what lies in the cart.
    pub cart: &'a [u32],
}

impl Customer<'_> {
    /// One of the shop's users, without a basket.
    pub fn of(row: usize) -> Self {
        Self {
            row: Some(row),
            ..Self::default()
        }
    }
}

/// What to recommend.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct RecommendOptions {
    /// How many items.
    pub k: usize,
    /// Whether items that the user bought may be recommended.
    pub include_bought: bool,
    /// Whether to say why.
    pub explain: bool,
}

/// One user's list.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Recommendations {
    /// For whom; empty for a basket, and for anybody.
    pub user_id: String,
    /// How many distinct items the user bought, or has in the basket.
    pub history: usize,
    /// Whether the list was chosen for this user; false when there is no history to choose by.
    pub personal: bool,
    /// Best first.
    pub items: Vec<Recommended>,
    /// What made it.
    #[serde(default)]
    pub served_by: ServedBy,
    /// Which model or release that rests on.
    #[serde(default)]
    pub serving: Serving,
    /// Whether the items are those of the shop's own files, since no catalogue has come from the federation yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_catalogue: bool,
    /// How many more items there would be without rules, where the list is shorter than was asked for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out_by_rules: usize,
    /// What the owner, and nobody else, should know of the rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules_trouble: Vec<String>,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// One item of a list.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Recommended {
    /// From 1.
    pub rank: usize,
    /// Federation-wide id.
    pub item_id: String,
    /// The score, before any rule; comparable within one list only.
    pub score: f32,
    /// How many stars the customer is expected to give it; only by a model of stars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stars: Option<f32>,
    /// May be empty.
    pub title: String,
    /// May be empty.
    pub category: String,
    /// May be empty.
    pub brand: String,
    /// If known.
    pub price: Option<f64>,
    /// Only if asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// What the owner's rules did to it, in words; only if asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
}

/// Every item's score for one user.
pub struct Scores {
    /// In catalogue order.
    pub values: Vec<f32>,
    /// Whether they depend on the user.
    pub personal: bool,
}

impl Recommendable {
    /// The row of a user.
    ///
    /// # Errors
    /// When the shop has no such user; it names the nearest ones.
    pub fn find(&self, user: &str) -> Result<usize, UnknownName> {
        names::find(&self.dataset.users, user)
    }

    /// The rows of a basket's items.
    ///
    /// # Errors
    /// When the catalogue does not have one; it names the nearest ones.
    pub fn find_items(&self, ids: &[String]) -> Result<Vec<u32>, UnknownName> {
        let items = ids.iter().map(|id| names::find_item(&self.catalogue, id));
        items.collect()
    }

    /// Distinct items that the customer has, earliest first.
    pub fn items_of(&self, customer: Customer<'_>) -> Vec<u32> {
        let bought = customer
            .row
            .map(|row| self.dataset.histories[row].items.as_slice());
        let mut history = std::borrow::Cow::Borrowed(bought.unwrap_or_default());
        if !customer.returned.is_empty() {
            history.to_mut().retain(|item| !customer.returned.contains(item));
        }
        let shopper = Shopper {
            history: &history,
            session: customer.basket,
        };
        shopper.items(self.catalogue.len())
    }

    /// Distinct items that say what the customer wants, earliest first: those that were looked at are among them.
    fn interests_of(&self, customer: Customer<'_>, own: &[u32]) -> Vec<u32> {
        let session: Vec<u32> = customer.viewed.iter().chain(customer.basket).copied().collect();
        let shopper = Shopper {
            history: own,
            session: &session,
        };
        shopper.items(self.catalogue.len())
    }

    /// What the customer has, and what was bought or carried off since the data were read: in no list, but for the cart, of which the
    /// rules decide.
    fn left_out(&self, customer: Customer<'_>, wishes: &RecommendOptions) -> HashSet<u32> {
        if wishes.include_bought {
            return HashSet::new();
        }
        let mut own: HashSet<u32> = self.items_of(customer).into_iter().collect();
        customer.cart.iter().for_each(|item| {
            own.remove(item);
        });
        own
    }

    /// The best items for a customer by their scores and the owner's rules, best first, of those that are `allowed`.
    pub fn best(
        &self,
        customer: Customer<'_>,
        scores: &[f32],
        wishes: &RecommendOptions,
        allowed: impl Fn(u32) -> bool,
    ) -> Arranged {
        let left_out = self.left_out(customer, wishes);
        let allowed = |row| !left_out.contains(&row) && allowed(row);
        let wanted = Wanted {
            kind: ListKind::Recommendations,
            k: wishes.k,
            cart: customer.cart,
            beside: &[],
        };
        self.rules
            .arrange((0u32..).zip(scores.iter().copied()), allowed, &wanted)
    }

    /// Scores of all items for a customer. One without any item gets the scores of nobody in particular.
    pub fn scores(&self, customer: Customer<'_>) -> Scores {
        if let Ranker::Model(model) = &self.ranker
            && let Some((values, personal)) = self.star_scores(model, customer)
        {
            return Scores { values, personal };
        }
        let items = self.interests_of(customer, &self.items_of(customer));
        let personal = !items.is_empty();
        let values = match &self.ranker {
            Ranker::Stack(stack, _) => {
                let mut values = Vec::new();
                stack.score(&items, &mut values);
                values
            }
            Ranker::Model(model) => model.score_all(&self.user_of(model, customer).0),
        };
        Scores { values, personal }
    }

    /// A customer's own vector, and whether it rests on any item; without any, that of nobody in particular.
    fn user_of(&self, model: &Loaded, customer: Customer<'_>) -> (UserVector, bool) {
        let items = self.interests_of(customer, &self.items_of(customer));
        // Reproducible: the same question has the same answer until the model or the history changes.
        let mut rng = stream(customer.row.unwrap_or_default() as u64, "recommend");
        match items.is_empty() {
            true => (self.nobody(model, &mut rng), false),
            false => {
                let history = self.history_of(customer, items);
                (model.fit_user(&history, None, &[], &mut rng), true)
            }
        }
    }

    /// Why one item would be listed, whatever rules say; it has no items if that is sold no more.
    pub fn explained(&self, customer: Customer<'_>, item: u32) -> Recommendations {
        let scores = self.scores(customer);
        let score = scores.values[item as usize];
        let is_sold = score.is_finite() && self.catalogue.items()[item as usize].is_listed();
        let arranged = Arranged {
            items: if is_sold { vec![(item, score)] } else { Vec::new() },
            ..Arranged::default()
        };
        self.listing(customer, scores.personal, &arranged, &HashSet::new(), true)
    }

    /// The list for a customer.
    pub fn recommend(&self, customer: Customer<'_>, wishes: &RecommendOptions) -> Recommendations {
        self.recommend_among(customer, wishes, |_| true)
    }

    /// The list for a customer, of items that are `allowed`.
    pub fn recommend_among(
        &self,
        customer: Customer<'_>,
        wishes: &RecommendOptions,
        allowed: impl Fn(u32) -> bool,
    ) -> Recommendations {
        let (mut arranged, personal) = match &self.ranker {
            Ranker::Model(model) if self.stars.is_none() => {
                let (user, personal) = self.user_of(model, customer);
                let short = self.shortlisted(model, &user, customer, wishes, &allowed);
                let all = || self.best(customer, &model.score_all(&user), wishes, &allowed);
                (short.unwrap_or_else(all), personal)
            }
            _ => {
                let scores = self.scores(customer);
                let arranged = self.best(customer, &scores.values, wishes, &allowed);
                (arranged, scores.personal)
            }
        };
        let new = self.let_newcomers_in(&mut arranged, customer, wishes, allowed);
        self.listing(customer, personal, &arranged, &new, wishes.explain)
    }

    fn listing(
        &self,
        customer: Customer<'_>,
        personal: bool,
        arranged: &Arranged,
        new: &HashSet<u32>,
        explain: bool,
    ) -> Recommendations {
        let own = self.items_of(customer);
        let ranked: Vec<u32> = arranged.items.iter().map(|(row, _)| *row).collect();
        let interests = self.interests_of(customer, &own);
        let mut why = match &self.ranker {
            _ if !explain => Vec::new(),
            Ranker::Stack(stack, _) => {
                let (late, early): (Vec<u32>, Vec<u32>) = ranked.iter().partition(|row| new.contains(row));
                let of = |stack, rows: &[u32]| reasons::of_stack(stack, &self.catalogue, &interests, rows);
                // New items stand last.
                let mut why = of(stack, &early);
                if let Some(newcomers) = self.newcomers.as_ref().filter(|_| !late.is_empty()) {
                    why.extend(of(&newcomers.stack, &late));
                }
                why
            }
            Ranker::Model(model) if personal => {
                let interests = match self.stars.is_some() {
                    true => self.liked(customer),
                    false => interests,
                };
                let history = self.history_of(customer, interests);
                reasons::of(model, &self.catalogue, &history, &ranked)
            }
            Ranker::Model(_) => Vec::new(),
        };
        let stars = |score: f32| match &self.ranker {
            Ranker::Model(model) => model.within_the_scale(score),
            Ranker::Stack(..) => None,
        };
        why.resize_with(ranked.len(), Vec::new);
        let items = arranged
            .items
            .iter()
            .zip(why)
            .enumerate()
            .map(|(at, ((row, score), reasons))| {
                let rules = explain.then(|| {
                    let in_cart = customer.cart.contains(row);
                    let mut why = self.rules.why(*row, ListKind::Recommendations, in_cart);
                    if new.contains(row) {
                        why.push(IN_A_KEPT_PLACE.to_owned());
                    }
                    why
                });
                let item = &self.catalogue.items()[*row as usize];
                Recommended {
                    rank: at + 1,
                    item_id: item.id.clone(),
                    score: *score,
                    stars: stars(*score),
                    title: item.title.clone(),
                    category: item.category.clone(),
                    brand: item.brand.clone(),
                    price: self.rules.price(*row),
                    reasons,
                    rules: rules.unwrap_or_default(),
                }
            });
        let user = customer.row.map(|row| self.dataset.users[row].clone());
        Recommendations {
            user_id: user.unwrap_or_default(),
            history: own.len(),
            personal,
            items: items.collect(),
            served_by: self.ranker.by(),
            serving: self.serving.clone(),
            own_catalogue: self.own_catalogue,
            left_out_by_rules: arranged.left_out,
            rules_trouble: Vec::new(),
        }
    }

    /// A trained model knows when things were bought; what is in a basket is bought now.
    fn history_of(&self, customer: Customer<'_>, items: Vec<u32>) -> History {
        match customer.row {
            Some(row) if self.dataset.histories[row].items == items => self.dataset.histories[row].clone(),
            _ => History {
                times: vec![0; items.len()],
                items,
            },
        }
    }

    /// A vector for somebody of whom nothing is known: the model's own biases, or, where a model has none, the
    /// vector of somebody who touched every item once. No shop's sales figures enter.
    fn nobody(&self, model: &Loaded, rng: &mut Stream) -> UserVector {
        let blank = model.fit_user(&History::default(), None, &[], rng);
        let scores = model.score_all(&blank);
        if scores
            .iter()
            .any(|score| (score - scores[0]).abs() > f32::EPSILON)
        {
            return blank;
        }
        let items: Vec<u32> = (0..self.catalogue.len() as u32).collect();
        let times = vec![0; items.len()];
        model.fit_user(&History { items, times }, None, &[], rng)
    }
}

const IN_A_KEPT_PLACE: &str = "nobody here has bought it yet: in a place that `new_items` keeps";

#[cfg(test)]
pub(crate) mod tests;
