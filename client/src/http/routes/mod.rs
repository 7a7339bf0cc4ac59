//! What can be asked. Each file is one theme, with the types that its requests and answers have.

pub mod events;
pub mod fragments;
pub mod item_states;
pub mod items;
pub mod lists;
pub mod service;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Uri;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::problem::Problem;

#[derive(OpenApi)]
#[openapi(
    info(title = "Souk: a shop's own service", version = "1", description = DESCRIPTION),
    tags(
        (name = "lists", description = "Recommendations, with reasons"),
        (name = "items", description = "What is like an item, bought with it, popular, trending, new"),
        (name = "fragments", description = "The same lists as HTML, for a storefront's pages"),
        (name = "events", description = "What customers do"),
        (name = "service", description = "Health, metrics, this description"),
    ),
    security(("token" = []), ("customer" = []), ()),
    modifiers(&Tokens)
)]
struct Described;

struct Tokens;

impl Modify for Tokens {
    fn modify(&self, described: &mut utoipa::openapi::OpenApi) {
        let components = described.components.get_or_insert_default();
        for (name, what) in [
            (
                "token",
                "The shop's own token: the text in http/token of its folder",
            ),
            (
                "customer",
                "A JSON Web Token (HS256, key: the text in http/customer-key) with sub, the customer's id, and exp, at most an hour ahead",
            ),
        ] {
            let bearer = Http::builder()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some(what))
                .build();
            components.add_security_scheme(name, SecurityScheme::Http(bearer));
        }
    }
}

const DESCRIPTION: &str = "Lists, related items and events for a web shop, from the shop's own machine. Nothing that is asked or \
                           reported here leaves the shop.";

/// Every route.
pub(super) fn router(api: &Arc<Api>) -> Router {
    let (router, described) = described_router().split_for_parts();
    let described = described.to_pretty_json().expect("a description has a JSON form");
    router
        .route(
            "/v1/openapi.json",
            axum::routing::get(move || async move { service::json(described) }),
        )
        .fallback(|uri: Uri| async move { Problem::not_found(uri.path()) })
        .method_not_allowed_fallback(|| async { Problem::no_such_method() })
        .layer(DefaultBodyLimit::max(MOST_BODY_BYTES))
        .with_state(Arc::clone(api))
}

/// The routes with their description, which are one thing: what is not described is not served.
pub(super) fn described_router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(Described::openapi())
        .routes(routes!(lists::for_customer))
        .routes(routes!(lists::for_anybody))
        .routes(routes!(lists::explain))
        .routes(routes!(items::similar))
        .routes(routes!(items::bought_together))
        .routes(routes!(items::popular))
        .routes(routes!(items::trending))
        .routes(routes!(items::new_items))
        .routes(routes!(fragments::for_customer))
        .routes(routes!(fragments::for_basket))
        .routes(routes!(fragments::similar))
        .routes(routes!(fragments::bought_together))
        .routes(routes!(fragments::popular))
        .routes(routes!(fragments::trending))
        .routes(routes!(fragments::new_items))
        .routes(routes!(item_states::known, item_states::change))
        .routes(routes!(events::report))
        .routes(routes!(service::healthz))
        .routes(routes!(service::metrics))
        .routes(routes!(service::experiment))
        .routes(routes!(service::customer_token))
}

const MOST_BODY_BYTES: usize = 1 << 20;
