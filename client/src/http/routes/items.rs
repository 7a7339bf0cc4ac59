//! What is said of items to everybody: nothing that fewer than five customers stand behind.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::Api;
use super::super::extract::{PathParams, QueryParams};
use super::super::problem::Problem;
use super::lists::{checked_category, checked_k, too_few};
use crate::recommend::related::LEAST_CUSTOMERS;
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
    let shelf = api.shelf()?;
    let row = shelf.item(&item).map_err(|error| Problem::unknown_item(&error))?;
    let found = shelf.similar(row);
    let found = found.into_iter().map(|other| (other.item, other.score)).collect();
    listed(
        (&shelf, ListKind::Similar),
        Some(row),
        found,
        &wishes,
        "likeness; comparable within this list only",
    )
    .map(Json)
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
    let shelf = api.shelf()?;
    let row = shelf.item(&item).map_err(|error| Problem::unknown_item(&error))?;
    let found = shelf.related.bought_together(&shelf.lists.dataset, row);
    let found = found.into_iter().map(|other| (other.item, other.score)).collect();
    listed(
        (&shelf, ListKind::BoughtTogether),
        Some(row),
        found,
        &wishes,
        "cosine of the two items' customers",
    )
    .map(Json)
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
    let shelf = api.shelf()?;
    let found = shelf.related.popular();
    let told = found
        .into_iter()
        .filter(|(_, customers)| *customers >= LEAST_CUSTOMERS as f32);
    listed(
        (&shelf, ListKind::Popular),
        None,
        told.collect(),
        &wishes,
        "customers who have it",
    )
    .map(Json)
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
    let shelf = api.shelf()?;
    let found = shelf.related.trending().to_vec();
    listed(
        (&shelf, ListKind::Trending),
        None,
        found,
        &wishes,
        "standard deviations above what was expected",
    )
    .map(Json)
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
    let shelf = api.shelf()?;
    let found = shelf.related.new_items();
    listed(
        (&shelf, ListKind::New),
        None,
        found,
        &wishes,
        "day of its first sale here, counted from 1970; 0 before that",
    )
    .map(Json)
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
        item: item.map(|row| all[row as usize].id.clone()),
        score_is: score_is.to_owned(),
        note,
        items: items.collect(),
    })
}
