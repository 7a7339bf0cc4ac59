//! Lists as HTML, for a storefront's pages: the same as the routes of [`super::lists`] and [`super::items`] give.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::Api;
use super::super::extract::PathParams;
use super::super::fragment::{FragmentList, FragmentRequest, FragmentWishes};
use super::super::problem::Problem;
use super::items::{ItemWishes, PublicList};
use super::lists::{ListRequest, ListWishes, names};

/// How a list for a basket or a visit should be; ids are separated by commas.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BasketWishes {
    /// Ids of items in the cart, earliest first.
    pub basket: Option<String>,
    /// Ids of items that were looked at in this visit, earliest first.
    pub viewed: Option<String>,
    /// Ids of items to leave out.
    pub exclude: Option<String>,
    /// How many items, 1 to 1000. Default 10.
    pub k: Option<usize>,
    /// Items of this category only.
    pub category: Option<String>,
    /// Say why. Default false.
    pub explain: Option<bool>,
}

/// A list for one customer, as HTML; the shop's token, or one that is signed for that customer.
#[utoipa::path(
    get, path = "/v1/fragment/recommendations/{user}", tag = "fragments",
    params(("user" = String, Path, description = "The customer's id"), ListWishes, FragmentWishes),
    responses((status = 200, body = String, content_type = "text/html"), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 503, body = Problem))
)]
pub(super) async fn for_customer(
    State(api): State<Arc<Api>>,
    request: FragmentRequest,
    user: Result<PathParams<String>, Problem>,
) -> Response {
    request.answer(|wishes: ListWishes| {
        let list = ListRequest::of_customer(user?.0, wishes);
        let list = FragmentList::from(api.list_for(&request.caller, &list)?);
        Ok(list.with_own_numbers(&*api.shelf()?))
    })
}

/// A list for a basket or a visit of nobody in particular, as HTML.
#[utoipa::path(
    get, path = "/v1/fragment/recommendations", tag = "fragments", params(BasketWishes, FragmentWishes),
    responses((status = 200, body = String, content_type = "text/html"), (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem))
)]
pub(super) async fn for_basket(State(api): State<Arc<Api>>, request: FragmentRequest) -> Response {
    request.answer(|wishes: BasketWishes| {
        let list = ListRequest {
            basket: names(wishes.basket.as_deref()),
            viewed: names(wishes.viewed.as_deref()),
            exclude: names(wishes.exclude.as_deref()),
            k: wishes.k,
            category: wishes.category,
            explain: wishes.explain.unwrap_or_default(),
            ..ListRequest::default()
        };
        let list = FragmentList::from(api.list_for(&request.caller, &list)?);
        Ok(list.with_own_numbers(&*api.shelf()?))
    })
}

/// Items that are like another, as HTML.
#[utoipa::path(
    get, path = "/v1/fragment/similar/{item}", tag = "fragments",
    params(("item" = String, Path, description = "The item's id"), ItemWishes, FragmentWishes),
    responses((status = 200, body = String, content_type = "text/html"), (status = 400, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem))
)]
pub(super) async fn similar(
    State(api): State<Arc<Api>>,
    request: FragmentRequest,
    item: Result<PathParams<String>, Problem>,
) -> Response {
    request.answer(|wishes| public(&api, PublicList::Similar(&item?.0), &wishes))
}

/// Items that at least five customers have together with another, as HTML.
#[utoipa::path(
    get, path = "/v1/fragment/bought-together/{item}", tag = "fragments",
    params(("item" = String, Path, description = "The item's id"), ItemWishes, FragmentWishes),
    responses((status = 200, body = String, content_type = "text/html"), (status = 400, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem))
)]
pub(super) async fn bought_together(
    State(api): State<Arc<Api>>,
    request: FragmentRequest,
    item: Result<PathParams<String>, Problem>,
) -> Response {
    request.answer(|wishes| public(&api, PublicList::BoughtTogether(&item?.0), &wishes))
}

/// This shop's bestsellers, as HTML.
#[utoipa::path(
    get, path = "/v1/fragment/popular", tag = "fragments", params(ItemWishes, FragmentWishes),
    responses((status = 200, body = String, content_type = "text/html"), (status = 400, body = Problem), (status = 503, body = Problem))
)]
pub(super) async fn popular(State(api): State<Arc<Api>>, request: FragmentRequest) -> Response {
    request.answer(|wishes| public(&api, PublicList::Popular, &wishes))
}

/// What sells better than it did, as HTML.
#[utoipa::path(
    get, path = "/v1/fragment/trending", tag = "fragments", params(ItemWishes, FragmentWishes),
    responses((status = 200, body = String, content_type = "text/html"), (status = 400, body = Problem), (status = 503, body = Problem))
)]
pub(super) async fn trending(State(api): State<Arc<Api>>, request: FragmentRequest) -> Response {
    request.answer(|wishes| public(&api, PublicList::Trending, &wishes))
}

/// What is new, as HTML.
#[utoipa::path(
    get, path = "/v1/fragment/new", tag = "fragments", params(ItemWishes, FragmentWishes),
    responses((status = 200, body = String, content_type = "text/html"), (status = 400, body = Problem), (status = 503, body = Problem))
)]
pub(super) async fn new_items(State(api): State<Arc<Api>>, request: FragmentRequest) -> Response {
    request.answer(|wishes| public(&api, PublicList::New, &wishes))
}

fn public(api: &Api, list: PublicList<'_>, wishes: &ItemWishes) -> Result<FragmentList, Problem> {
    let found = api.items(list, wishes)?;
    Ok(FragmentList::of_items(list.kind(), found).with_own_numbers(&*api.shelf()?))
}
