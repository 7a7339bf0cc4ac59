//! The service itself.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use souk_common::date::date;
use utoipa::ToSchema;

use super::super::Api;
use super::super::extract::Body;
use super::super::guard::ApiCaller;
use super::super::problem::Problem;
use super::super::tokens::MOST_LIFE;
use crate::experiment::report::ExperimentReport;

/// Whether there are lists.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Health {
    /// Always `ok`; without lists the answer is a problem with status 503.
    pub status: String,
    /// Items that can be listed.
    pub items: usize,
    /// Customers that are known.
    pub customers: usize,
    /// Whether this shop is a member of a federation; else lists are by its own customers alone.
    #[serde(default)]
    pub federation: bool,
}

/// Whether lists can be had. It needs no token.
#[utoipa::path(
    get, path = "/v1/healthz", tag = "service",
    responses((status = 200, body = Health), (status = 503, body = Problem))
)]
pub(super) async fn healthz(State(api): State<Arc<Api>>) -> Result<Json<Health>, Problem> {
    let shelf = api.shelf()?;
    Ok(Json(Health {
        status: "ok".to_owned(),
        items: shelf.lists.catalogue.len(),
        customers: shelf.lists.dataset.len(),
        federation: api.has_federation,
    }))
}

/// Counters in the text format of Prometheus.
#[utoipa::path(
    get, path = "/v1/metrics", tag = "service",
    responses((status = 200, body = String, content_type = "application/openmetrics-text"), (status = 401, body = Problem))
)]
pub(super) async fn metrics(State(api): State<Arc<Api>>, caller: ApiCaller) -> Result<Response, Problem> {
    caller.may_ask_for_all()?;
    let serving = api
        .lists
        .shelf()
        .map(|shelf| shelf.lists.serving.clone().aged(api.clock.now()));
    let age = serving.and_then(|serving| serving.learned?.age_secs);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], api.metrics.text(age)).into_response())
}

/// What came of the experiment that is under way: customers who bought something new, by arm.
#[utoipa::path(
    get, path = "/v1/experiment", tag = "service",
    responses((status = 200, body = ExperimentReport), (status = 401, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem))
)]
pub(super) async fn experiment(
    State(api): State<Arc<Api>>,
    caller: ApiCaller,
) -> Result<Json<ExperimentReport>, Problem> {
    caller.may_ask_for_all()?;
    let shelf = api.shelf()?;
    let counted = tokio::task::spawn_blocking(move || {
        let (config, _) = api.experiment.as_ref()?;
        let now = api.clock.now();
        Some(ExperimentReport::of_shop(
            &api.folder,
            config,
            &shelf,
            &api.live,
            now,
        ))
    });
    let report = counted.await.map_err(|error| Problem::not_ready(&error.into()))?;
    let report = report.ok_or_else(Problem::no_experiment)?;
    report
        .map(Json)
        .map_err(|error| Problem::not_ready(&error.into()))
}

/// For whom a token is wanted.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// The customer's id.
    pub user: String,
    /// How long it is good, 1 to 60. Default 15.
    #[serde(default)]
    pub minutes: Option<u64>,
}

/// A token for one customer's browser.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct CustomerToken {
    /// Send it as `Authorization: Bearer TOKEN`.
    pub token: String,
    /// Until when it is good.
    pub expires: String,
}

/// Signs a token for one customer's browser: what a web shop can also do itself, with the key in `http/customer-key`.
#[utoipa::path(
    post, path = "/v1/customer-tokens", tag = "service", request_body = TokenRequest,
    responses((status = 200, body = CustomerToken), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem))
)]
pub(super) async fn customer_token(
    State(api): State<Arc<Api>>,
    caller: ApiCaller,
    Body(request): Body<TokenRequest>,
) -> Result<Json<CustomerToken>, Problem> {
    caller.may_ask_for_all()?;
    let minutes = request.minutes.unwrap_or(15);
    let life = Duration::from_secs(minutes.saturating_mul(60));
    if minutes == 0 || life > MOST_LIFE {
        let said = format!("minutes is {minutes}; a token is good for 1 to 60");
        return Err(Problem::bad_request(said));
    }
    if request.user.trim().is_empty() {
        return Err(Problem::bad_request(
            "user is empty; it must be the customer's id",
        ));
    }
    let until = api.clock.now() + life;
    Ok(Json(CustomerToken {
        token: api.tokens.sign(&request.user, until),
        expires: date(until),
    }))
}

/// Text that is JSON already.
pub(super) fn json(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
