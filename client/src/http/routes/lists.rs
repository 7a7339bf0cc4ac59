//! Lists for customers, baskets and visitors, and why an item stands in one.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use souk_common::rng::secret_bytes;
use utoipa::{IntoParams, ToSchema};

use super::super::Api;
use super::super::extract::{Body, PathParams, QueryParams};
use super::super::guard::ApiCaller;
use super::super::problem::Problem;
use crate::data::compared_id;
use crate::experiment::Arm;
use crate::recommend::reasons::{Reason, Through};
use crate::recommend::shelf::Shelf;
use crate::recommend::visit::VisitRows;
use crate::recommend::{Customer, RecommendOptions, Recommendable, Recommended};
use crate::rules::arrange::Wanted;
use crate::rules::file::ListKind;
use crate::stack::ServedBy;

/// How a list should be.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListWishes {
    /// How many items, 1 to 1000. Default 10.
    pub k: Option<usize>,
    /// Items of this category only.
    pub category: Option<String>,
    /// Ids of items to leave out, separated by commas.
    pub exclude: Option<String>,
    /// Say why. Default false.
    pub explain: Option<bool>,
    /// Also items that the customer has. Default false.
    pub include_bought: Option<bool>,
}

/// A list that is asked for in a body.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListRequest {
    /// The customer's id; absent: a visitor.
    pub user: Option<String>,
    /// Ids of items in the cart, earliest first.
    pub basket: Vec<String>,
    /// Ids of items that were looked at in this visit, earliest first.
    pub viewed: Vec<String>,
    /// Ids of items to leave out.
    pub exclude: Vec<String>,
    /// How many items, 1 to 1000. Default 10.
    pub k: Option<usize>,
    /// Items of this category only.
    pub category: Option<String>,
    /// Say why. Default false.
    pub explain: bool,
    /// Also items that the customer has. Default false.
    pub include_bought: bool,
}

impl ListRequest {
    /// For a customer, as a query has it.
    pub(super) fn of_customer(user: String, wishes: ListWishes) -> Self {
        Self {
            user: Some(user),
            exclude: names(wishes.exclude.as_deref()),
            k: wishes.k,
            category: wishes.category,
            explain: wishes.explain.unwrap_or_default(),
            include_bought: wishes.include_bought.unwrap_or_default(),
            ..Self::default()
        }
    }
}

/// A list.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ServedList {
    /// Names this list: send it with events of items that were taken from it.
    pub list: String,
    /// The customer, if one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Whether it was chosen for this customer or visit.
    pub personal: bool,
    /// What made it: `alone` (this shop's own customers), `together` (with what all shops released), `model`, or, in an experiment,
    /// `bestsellers`.
    pub made_by: String,
    /// That, in words: which round, of which plan, how old.
    pub provenance: String,
    /// What the reader should know, such as that the customer is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Best first.
    pub items: Vec<ListedItem>,
}

/// One item of a list.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ListedItem {
    /// From 1.
    pub rank: usize,
    /// The item's id.
    pub item: String,
    /// The score, before any rule of the shop; comparable within one list only.
    pub score: f32,
    /// How many stars the customer is expected to give it, where the federation learns those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stars: Option<f32>,
    /// May be empty.
    pub title: String,
    /// May be empty.
    pub category: String,
    /// May be empty.
    pub brand: String,
    /// If known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<f64>,
    /// Strongest first, if they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<ListedReason>,
    /// What the shop's rules did to it, in words, if reasons were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
}

/// Why an item stands in a list.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ListedReason {
    /// In words.
    pub words: String,
    /// What kind of reason: `bestseller_in_region`, `bestseller_here`, `bought_after`, `bought_together`, `alike`, `trained`, `new`,
    /// `bought_lately`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The customer's own item that it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// That item's title, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its part of all that speaks for the item, 0 to 1.
    pub share: f32,
}

/// A list for one customer. One who is unknown gets what is popular, and the note says so.
#[utoipa::path(
    get, path = "/v1/recommendations/{user}", tag = "lists", params(("user" = String, Path, description = "The customer's id"), ListWishes),
    responses((status = 200, body = ServedList), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 503, body = Problem))
)]
pub(super) async fn for_customer(
    State(api): State<Arc<Api>>,
    caller: ApiCaller,
    PathParams(user): PathParams<String>,
    QueryParams(wishes): QueryParams<ListWishes>,
) -> Result<Json<ServedList>, Problem> {
    api.list_for(&caller, &ListRequest::of_customer(user, wishes))
        .map(Json)
}

/// A list for a basket, a visit, a customer with either, or, with none of them, anybody.
#[utoipa::path(
    post, path = "/v1/recommendations", tag = "lists", request_body = ListRequest,
    responses((status = 200, body = ServedList), (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem))
)]
pub(super) async fn for_anybody(
    State(api): State<Arc<Api>>,
    caller: ApiCaller,
    Body(request): Body<ListRequest>,
) -> Result<Json<ServedList>, Problem> {
    api.list_for(&caller, &request).map(Json)
}

/// Why an item would be recommended to a customer, and at which place it stands.
#[utoipa::path(
    get, path = "/v1/explain/{user}/{item}", tag = "lists",
    params(("user" = String, Path, description = "The customer's id"), ("item" = String, Path, description = "The item's id")),
    responses((status = 200, body = Explanation), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem))
)]
pub(super) async fn explain(
    State(api): State<Arc<Api>>,
    caller: ApiCaller,
    PathParams((user, item)): PathParams<(String, String)>,
) -> Result<Json<Explanation>, Problem> {
    caller.may_ask_for(&user)?;
    let shelf = api.shelf()?;
    let row = shelf.item(&item).map_err(|error| Problem::unknown_item(&error))?;
    let visit = api.visit(&shelf, &user);
    let customer = visit.customer(shelf.customer(&user));
    let of_arm = api.lists_of_arm(&shelf, &user);
    let lists = of_arm.as_ref().unwrap_or(&shelf.lists);
    let scores = lists.scores(customer).values;
    let listed = shelf.lists.explained(customer, row);
    let better = scores.iter().filter(|score| **score > scores[row as usize]);
    Ok(Json(Explanation {
        user,
        rank: better.count() + 1,
        of: scores.len(),
        has: lists.items_of(customer).contains(&row),
        may_be_listed: shelf.lists.rules.may_list(row, ListKind::Recommendations),
        item: listed.items.into_iter().next().map(ListedItem::from),
    }))
}

/// Why an item would be recommended to a customer.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Explanation {
    /// The customer.
    pub user: String,
    /// Its place among all items by score, from 1, before any rule.
    pub rank: usize,
    /// How many items there are.
    pub of: usize,
    /// Whether the customer has it already, which is why it is not listed.
    pub has: bool,
    /// Whether the shop's rules, its stock and the catalogue let it into a list.
    pub may_be_listed: bool,
    /// With reasons; absent if the item is sold no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<ListedItem>,
}

impl Api {
    pub(in super::super) fn visit(&self, shelf: &Shelf, user: &str) -> VisitRows {
        VisitRows::of(&self.live.of(&compared_id(user), self.clock.now()), |name| {
            shelf.item(name).ok()
        })
    }

    /// A list, if whoever asks may have it.
    pub(super) fn list_for(&self, caller: &ApiCaller, request: &ListRequest) -> Result<ServedList, Problem> {
        match &request.user {
            Some(user) => caller.may_ask_for(user)?,
            // A list for a basket tells what this shop's customers bought together, of however few: it is not for everybody.
            None if !request.basket.is_empty() || !request.viewed.is_empty() => match caller {
                ApiCaller::Anybody => caller.may_ask_for_all()?,
                ApiCaller::Shop | ApiCaller::Customer(_) => {}
            },
            None => {}
        }
        self.list(request)
    }

    fn list(&self, request: &ListRequest) -> Result<ServedList, Problem> {
        let k = checked_k(request.k)?;
        let shelf = self.shelf()?;
        let find = |name: &String| shelf.item(name).map_err(|error| Problem::unknown_item(&error));
        let rows = |names: &[String]| names.iter().map(find).collect::<Result<Vec<u32>, _>>();
        let mut visit = match &request.user {
            Some(user) => self.visit(&shelf, user),
            None => VisitRows::default(),
        };
        let cart = rows(&request.basket)?;
        visit.basket.extend(&cart);
        visit.cart.extend(cart);
        visit.viewed.extend(rows(&request.viewed)?);
        // What is sold no more may well be left out.
        let excluded: HashSet<u32> = request
            .exclude
            .iter()
            .filter_map(|name| shelf.item(name).ok())
            .collect();
        let category = checked_category(&shelf, request.category.as_deref())?;
        let row = request.user.as_deref().and_then(|user| shelf.customer(user));
        let wishes = RecommendOptions {
            k,
            include_bought: request.include_bought,
            explain: request.explain,
        };
        let features = shelf.lists.catalogue.features();
        let allowed = |item: u32| {
            !excluded.contains(&item)
                && category.is_none_or(|wanted| features[item as usize].category == wanted)
        };
        let arm = request.user.as_deref().and_then(|user| self.arm_of(user));
        let lists = match arm {
            Some(Arm::Bestsellers) => {
                return self.bestsellers(&shelf, request, visit.customer(row), allowed, k);
            }
            Some(arm) => shelf.of_arm(arm),
            None => None,
        };
        let lists = lists.as_ref().unwrap_or(&shelf.lists);
        let made = lists.recommend_among(visit.customer(row), &wishes, allowed);
        let note = match &request.user {
            Some(user) if !made.personal && made.history > 0 => Some(format!(
                "customer {user:?} has given no stars yet: these are what everybody likes"
            )),
            Some(user) if !made.personal => Some(format!(
                "nothing is known of customer {user:?} in this shop: these are its bestsellers"
            )),
            _ => None,
        };
        let short = too_few(made.items.len(), k, made.left_out_by_rules);
        let note = [note, short]
            .into_iter()
            .flatten()
            .reduce(|a, b| format!("{a}; {b}"));
        let serving = made.serving.aged(self.clock.now());
        Ok(ServedList {
            list: list_id(name_of(made.served_by))?,
            user: request.user.clone(),
            personal: made.personal,
            made_by: name_of(made.served_by).to_owned(),
            provenance: serving.words(made.served_by),
            note,
            items: made.items.into_iter().map(ListedItem::from).collect(),
        })
    }
}

impl Api {
    /// The arm of a customer, who sees a list of it now; none without an experiment.
    fn arm_of(&self, user: &str) -> Option<Arm> {
        let (config, exposures) = self.experiment.as_ref()?;
        let user = compared_id(user);
        let arm = config.arm_of(&user);
        if self.journal.forgotten().since(&user).is_none() {
            exposures.note(&user, arm, self.clock.now());
            self.forget_late(&user);
        }
        Some(arm)
    }

    /// What makes a customer's lists by their arm of an experiment, without their having seen one; none where that is what makes
    /// everybody's, and of the arm that gets bestsellers, for which nothing is chosen.
    pub(in crate::http) fn lists_of_arm(&self, shelf: &Shelf, user: &str) -> Option<Recommendable> {
        let (config, _) = self.experiment.as_ref()?;
        shelf.of_arm(config.arm_of(&compared_id(user)))
    }

    /// The list of an arm that gets bestsellers.
    fn bestsellers(
        &self,
        shelf: &Shelf,
        request: &ListRequest,
        customer: Customer<'_>,
        allowed: impl Fn(u32) -> bool,
        k: usize,
    ) -> Result<ServedList, Problem> {
        let own: HashSet<u32> = match request.include_bought {
            true => HashSet::new(),
            false => shelf.lists.items_of(customer).into_iter().collect(),
        };
        let allowed = |item: u32| !own.contains(&item) && allowed(item);
        let wanted = Wanted {
            kind: ListKind::Recommendations,
            k,
            cart: customer.cart,
            beside: &[],
        };
        let rows = shelf
            .lists
            .rules
            .arrange(shelf.related.popular().into_iter(), allowed, &wanted);
        let note = too_few(rows.items.len(), k, rows.left_out);
        let items = rows.items.into_iter().enumerate().map(|(at, (row, score))| {
            let price = shelf.lists.rules.price(row);
            let item = &shelf.lists.catalogue.items()[row as usize];
            ListedItem {
                rank: at + 1,
                item: item.id.clone(),
                score,
                stars: None,
                title: item.title.clone(),
                category: item.category.clone(),
                brand: item.brand.clone(),
                price,
                reasons: Vec::new(),
                rules: Vec::new(),
            }
        });
        Ok(ServedList {
            list: list_id(Arm::Bestsellers.name())?,
            user: request.user.clone(),
            personal: false,
            made_by: Arm::Bestsellers.name().to_owned(),
            provenance:
                "this shop's bestsellers, which this customer gets in the experiment that is under way"
                    .to_owned(),
            note,
            items: items.collect(),
        })
    }
}

/// What to say of a list that is shorter than was asked for.
pub(super) fn too_few(listed: usize, k: usize, left_out: usize) -> Option<String> {
    let by_rules = match left_out {
        0 => String::new(),
        _ => format!("; this shop's rules leave out {left_out} more"),
    };
    (listed < k).then(|| format!("there are only {listed} items to list{by_rules}"))
}

pub(super) fn checked_k(k: Option<usize>) -> Result<usize, Problem> {
    let k = k.unwrap_or(10);
    match (1..=MOST_ITEMS).contains(&k) {
        true => Ok(k),
        false => Err(Problem::bad_request(format!(
            "k is {k}; it is how many items to list, from 1 to {MOST_ITEMS}"
        ))),
    }
}

/// The index of a category of the catalogue.
pub(super) fn checked_category(shelf: &Shelf, category: Option<&str>) -> Result<Option<u32>, Problem> {
    let Some(category) = category else {
        return Ok(None);
    };
    let known = shelf.lists.catalogue.categories();
    match known.iter().position(|known| known == category) {
        Some(at) => Ok(Some(at as u32)),
        None => Err(Problem::bad_request(format!(
            "the catalogue has no category {category:?}; it has {} others",
            known.len().saturating_sub(1)
        ))),
    }
}

/// Names that are separated by commas.
pub(super) fn names(text: Option<&str>) -> Vec<String> {
    let names = text.unwrap_or_default().split(',').map(str::trim);
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn name_of(by: ServedBy) -> &'static str {
    match by {
        ServedBy::Alone => "alone",
        ServedBy::Together => "together",
        ServedBy::Model => "model",
    }
}

/// What made a list, and a number that nobody guesses.
pub(super) fn list_id(by: &str) -> Result<String, Problem> {
    let number: [u8; 8] = secret_bytes().map_err(|error| Problem::not_ready(&error.into()))?;
    Ok(format!("{by}-{}", HEXLOWER.encode(&number)))
}

impl From<Recommended> for ListedItem {
    fn from(item: Recommended) -> Self {
        Self {
            rank: item.rank,
            item: item.item_id,
            score: item.score,
            stars: item.stars,
            title: item.title,
            category: item.category,
            brand: item.brand,
            price: item.price,
            reasons: item.reasons.iter().map(ListedReason::from).collect(),
            rules: item.rules,
        }
    }
}

impl From<&Reason> for ListedReason {
    fn from(reason: &Reason) -> Self {
        let kind = reason.channel.map(|channel| match channel {
            Through::BestsellerInRegion => "bestseller_in_region",
            Through::BestsellerHere => "bestseller_here",
            Through::BoughtAfter => "bought_after",
            Through::BoughtTogether => "bought_together",
            Through::Alike => "alike",
            Through::Trained => "trained",
            Through::New => "new",
            Through::BoughtLately => "bought_lately",
        });
        Self {
            words: reason.words(),
            kind: kind.map(str::to_owned),
            item: (!reason.item_id.is_empty()).then(|| reason.item_id.clone()),
            title: (!reason.title.is_empty()).then(|| reason.title.clone()),
            share: reason.share,
        }
    }
}

const MOST_ITEMS: usize = 1000;
