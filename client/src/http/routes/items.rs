//! What is said of items to everybody: nothing that fewer than five customers stand behind.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::Api;
use super::super::extract::{PathParams, QueryParams};
use super::super::problem::Problem;
use super::lists::{checked_category, checked_k, list_id, too_few};
use crate::recommend::related::{LEAST_CUSTOMERS, Neighbour};
use crate::recommend::shelf::Shelf;
use crate::rules::arrange::Wanted;
use crate::rules::file::ListKind;

/// How items should be listed.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ItemWishes {
    /// How many items, 1 to 1000. Default 10.
    pub k: Option<usize>,
    /// Items of this category only.
    pub category: Option<String>,
}

/// Items, best first.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Items {
    /// Names this list: send it with events of items that were taken from it.
    pub list: String,
    /// The item that they are related to, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// What the numbers are.
    pub score_is: String,
    /// What the reader should know, such as why the list is short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Best first.
    pub items: Vec<RelatedItem>,
}

/// One item.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct RelatedItem {
    /// From 1.
    pub rank: usize,
    /// The item's id.
    pub item: String,
    /// What `score_is` says; absent of an item that the shop pinned here and that is not among the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f32>,
    /// May be empty.
    pub title: String,
    /// May be empty.
    pub category: String,
    /// May be empty.
    pub brand: String,
    /// If known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<f64>,
}

/// Items that are like another: by features and by what all shops learned; what this shop's customers bought counts for pairs that
/// at least five of them have.
#[utoipa::path(
    get, path = "/v1/similar/{item}", tag = "items", params(("item" = String, Path, description = "The item's id"), ItemWishes),
    responses((status = 200, body = Items), (status = 400, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem))
)]
pub(super) async fn similar(
    State(api): State<Arc<Api>>,
    PathParams(item): PathParams<String>,
    QueryParams(wishes): QueryParams<ItemWishes>,
) -> Result<Json<Items>, Problem> {
    api.items(PublicList::Similar(&item), &wishes).map(Json)
}

/// Items that at least five customers have together with another.
#[utoipa::path(
    get, path = "/v1/bought-together/{item}", tag = "items", params(("item" = String, Path, description = "The item's id"), ItemWishes),
    responses((status = 200, body = Items), (status = 400, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem))
)]
pub(super) async fn bought_together(
    State(api): State<Arc<Api>>,
    PathParams(item): PathParams<String>,
    QueryParams(wishes): QueryParams<ItemWishes>,
) -> Result<Json<Items>, Problem> {
    api.items(PublicList::BoughtTogether(&item), &wishes).map(Json)
}

/// This shop's bestsellers.
#[utoipa::path(
    get, path = "/v1/popular", tag = "items", params(ItemWishes),
    responses((status = 200, body = Items), (status = 400, body = Problem), (status = 503, body = Problem))
)]
pub(super) async fn popular(
    State(api): State<Arc<Api>>,
    QueryParams(wishes): QueryParams<ItemWishes>,
) -> Result<Json<Items>, Problem> {
    api.items(PublicList::Popular, &wishes).map(Json)
}

/// What more customers bought in the last week than in the four weeks before.
#[utoipa::path(
    get, path = "/v1/trending", tag = "items", params(ItemWishes),
    responses((status = 200, body = Items), (status = 400, body = Problem), (status = 503, body = Problem))
)]
pub(super) async fn trending(
    State(api): State<Arc<Api>>,
    QueryParams(wishes): QueryParams<ItemWishes>,
) -> Result<Json<Items>, Problem> {
    api.items(PublicList::Trending, &wishes).map(Json)
}

/// What is new: by when somebody first bought it here, latest first; then what nobody bought yet, the catalogue's end first.
#[utoipa::path(
    get, path = "/v1/new", tag = "items", params(ItemWishes),
    responses((status = 200, body = Items), (status = 400, body = Problem), (status = 503, body = Problem))
)]
pub(super) async fn new_items(
    State(api): State<Arc<Api>>,
    QueryParams(wishes): QueryParams<ItemWishes>,
) -> Result<Json<Items>, Problem> {
    api.items(PublicList::New, &wishes).map(Json)
}

/// A list that is for everybody.
#[derive(Clone, Copy, Debug)]
pub(super) enum PublicList<'a> {
    /// What is like an item, by any of its names.
    Similar(&'a str),
    /// What customers have with it.
    BoughtTogether(&'a str),
    Popular,
    Trending,
    New,
}

impl PublicList<'_> {
    /// As rules know it.
    pub(super) fn kind(self) -> ListKind {
        match self {
            Self::Similar(_) => ListKind::Similar,
            Self::BoughtTogether(_) => ListKind::BoughtTogether,
            Self::Popular => ListKind::Popular,
            Self::Trending => ListKind::Trending,
            Self::New => ListKind::New,
        }
    }
}

impl Api {
    /// A list that is for everybody.
    pub(super) fn items(&self, wanted: PublicList<'_>, wishes: &ItemWishes) -> Result<Items, Problem> {
        let shelf = self.shelf()?;
        let find = |item: &str| shelf.item(item).map_err(|error| Problem::unknown_item(&error));
        let scored =
            |found: Vec<Neighbour>| found.into_iter().map(|other| (other.item, other.score)).collect();
        let (item, found, score_is): (_, Vec<(u32, f32)>, _) = match wanted {
            PublicList::Similar(item) => {
                let row = find(item)?;
                let found = scored(shelf.similar(row));
                (Some(row), found, "likeness; comparable within this list only")
            }
            PublicList::BoughtTogether(item) => {
                let row = find(item)?;
                let found = scored(shelf.related.bought_together(&shelf.lists.dataset, row));
                (Some(row), found, "cosine of the two items' customers")
            }
            PublicList::Popular => {
                let found = shelf.related.popular().into_iter();
                let told = found.filter(|(_, customers)| *customers >= LEAST_CUSTOMERS as f32);
                (None, told.collect(), "customers who have it")
            }
            PublicList::Trending => {
                let found = shelf.related.trending().to_vec();
                (None, found, "standard deviations above what was expected")
            }
            PublicList::New => {
                let found = shelf.related.new_items();
                let score_is = "day of its first sale here, counted from 1970; 0 before that";
                (None, found, score_is)
            }
        };
        listed((&shelf, wanted.kind()), item, found, wishes, score_is)
    }
}

fn listed(
    (shelf, kind): (&Shelf, ListKind),
    item: Option<u32>,
    found: Vec<(u32, f32)>,
    wishes: &ItemWishes,
    score_is: &str,
) -> Result<Items, Problem> {
    let k = checked_k(wishes.k)?;
    let category = checked_category(shelf, wishes.category.as_deref())?;
    let (all, features) = (shelf.lists.catalogue.items(), shelf.lists.catalogue.features());
    let allowed = |row: u32| category.is_none_or(|wanted| features[row as usize].category == wanted);
    let allowed = |row: u32| Some(row) != item && allowed(row);
    let wanted = Wanted {
        kind,
        k,
        cart: &[],
        beside: &[],
    };
    let rows = shelf.lists.rules.arrange(found.iter().copied(), allowed, &wanted);
    let note = too_few(rows.items.len(), k, rows.left_out)
        .map(|said| format!("{said}; what fewer than {LEAST_CUSTOMERS} customers stand behind is not told"));
    let unscored = rows.unscored;
    let items = rows.items.into_iter().enumerate().map(|(at, (row, score))| {
        let price = shelf.lists.rules.price(row);
        let item = &all[row as usize];
        RelatedItem {
            rank: at + 1,
            item: item.id.clone(),
            score: (!unscored.contains(&row)).then_some(score),
            title: item.title.clone(),
            category: item.category.clone(),
            brand: item.brand.clone(),
            price,
        }
    });
    Ok(Items {
        list: list_id(kind.name())?,
        item: item.map(|row| all[row as usize].id.clone()),
        score_is: score_is.to_owned(),
        note,
        items: items.collect(),
    })
}
