//! What the web shop says of its items as it changes, and what is known of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Deserializer, Serialize};
use souk_common::date::date;
use utoipa::ToSchema;

use super::super::Api;
use super::super::extract::{Body, PathParams};
use super::super::guard::ApiCaller;
use super::super::problem::Problem;
use crate::recommend::shelf::Shelf;
use crate::rules::file::ListKind;
use crate::rules::item_states::StateChange;

/// What changes of an item. What is left out stays as it was; `null` makes it unknown.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ItemChange {
    /// Pieces; 0 or less: out of stock, and not listed. `null`: unknown, and listed.
    #[serde(deserialize_with = "some")]
    #[schema(value_type = Option<f64>)]
    pub stock: Option<Option<f64>>,
    /// In the federation's currency. `null`: as the catalogue has it.
    #[serde(deserialize_with = "some")]
    #[schema(value_type = Option<f64>)]
    pub price: Option<Option<f64>>,
    /// Whether it is left out of every list.
    pub hidden: Option<bool>,
}

/// What is known of an item.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct KnownItem {
    /// The item's id.
    pub item: String,
    /// May be empty.
    pub title: String,
    /// May be empty.
    pub category: String,
    /// May be empty.
    pub brand: String,
    /// If known: as it was reported, else as the catalogue has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<f64>,
    /// If it was reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<f64>,
    /// Whether it is left out of every list.
    pub hidden: bool,
    /// When stock, price or hidden were reported last, if they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<String>,
    /// Whether the catalogue has retired it.
    pub retired: bool,
    /// In which lists it may stand, by the shop's rules, its stock and the catalogue.
    pub may_be_listed_in: Vec<String>,
}

/// A value that is there, also if it is `null`.
fn some<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<f64>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// What is known of an item.
#[utoipa::path(
    get, path = "/v1/items/{item}", tag = "items", params(("item" = String, Path, description = "The item's id")),
    responses((status = 200, body = KnownItem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem))
)]
pub(super) async fn known(
    State(api): State<Arc<Api>>,
    caller: ApiCaller,
    PathParams(item): PathParams<String>,
) -> Result<Json<KnownItem>, Problem> {
    caller.may_ask_for_all()?;
    let shelf = api.shelf()?;
    let row = shelf.item(&item).map_err(|error| Problem::unknown_item(&error))?;
    Ok(Json(known_of(&shelf, row)))
}

/// Changes an item's stock, price, or whether it is hidden. It is on the disk when it is acknowledged, and counts in the next list.
#[utoipa::path(
    put, path = "/v1/items/{item}", tag = "items", params(("item" = String, Path, description = "The item's id")), request_body = ItemChange,
    responses((status = 200, body = KnownItem), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem), (status = 507, body = Problem))
)]
pub(super) async fn change(
    State(api): State<Arc<Api>>,
    caller: ApiCaller,
    PathParams(item): PathParams<String>,
    Body(change): Body<ItemChange>,
) -> Result<Json<KnownItem>, Problem> {
    caller.may_ask_for_all()?;
    let change = checked(&change)?;
    let shelf = api.shelf()?;
    let row = shelf.item(&item).map_err(|error| Problem::unknown_item(&error))?;
    let id = shelf.lists.catalogue.items()[row as usize].id.clone();
    let states = api
        .lists
        .rules
        .states()
        .map_err(|error| Problem::not_ready(&error))?;
    let now = api.clock.now();
    let lists = Arc::clone(&api.lists);
    let written = tokio::task::spawn_blocking(move || {
        states.put(&id, change, now)?;
        // Another shelf may have been put up meanwhile: the one that is up now is told.
        if let Some(shelf) = lists.shelf() {
            shelf.lists.rules.catch_up();
        }
        Ok(())
    });
    let written: std::io::Result<()> = written
        .await
        .unwrap_or_else(|error| Err(std::io::Error::other(error)));
    written.map_err(|error| Problem::not_kept(&error))?;
    let shelf = api.shelf()?;
    let row = shelf.item(&item).map_err(|error| Problem::unknown_item(&error))?;
    Ok(Json(known_of(&shelf, row)))
}

fn checked(change: &ItemChange) -> Result<StateChange, Problem> {
    if let Some(Some(stock)) = change.stock
        && !(stock.is_finite() && stock.abs() <= MOST)
    {
        return Err(Problem::bad_request(format!(
            "stock is {stock}; it is pieces, or null if they are not known"
        )));
    }
    if let Some(Some(price)) = change.price
        && !(0.0..=MOST).contains(&price)
    {
        return Err(Problem::bad_request(format!(
            "price is {price}; it is 0 or more, or null for the catalogue's"
        )));
    }
    if change.stock.is_none() && change.price.is_none() && change.hidden.is_none() {
        return Err(Problem::bad_request(
            "nothing is to be changed: send stock, price or hidden",
        ));
    }
    Ok(StateChange {
        stock: change.stock,
        price: change.price,
        hidden: change.hidden,
    })
}

fn known_of(shelf: &Shelf, row: u32) -> KnownItem {
    let (item, rules) = (&shelf.lists.catalogue.items()[row as usize], &shelf.lists.rules);
    let state = rules.state(row);
    let kinds = ListKind::ALL
        .into_iter()
        .filter(|kind| rules.may_list(row, *kind));
    KnownItem {
        item: item.id.clone(),
        title: item.title.clone(),
        category: item.category.clone(),
        brand: item.brand.clone(),
        price: rules.price(row),
        stock: state.and_then(|state| state.stock),
        hidden: state.is_some_and(|state| state.hidden),
        changed_at: state.map(|state| date(state.changed_at)),
        retired: item.retired,
        may_be_listed_in: kinds.map(|kind| kind.name().to_owned()).collect(),
    }
}

const MOST: f64 = 1e12;
