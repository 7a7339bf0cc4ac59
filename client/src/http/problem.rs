//! Errors as RFC 9457 has them: `application/problem+json` with a type, a title, the status, and what is wrong with the remedy.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::recommend::names::UnknownName;

/// What went wrong (RFC 9457).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Problem {
    /// Which kind of problem: a name under `/problems/`.
    #[serde(rename = "type")]
    #[schema(example = "/problems/unknown-item")]
    pub kind: String,
    /// The kind, for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, with the value and the remedy.
    pub detail: String,
    /// Seconds after which to try again, if that helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl Problem {
    fn new(status: StatusCode, name: &str, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("/problems/{name}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            retry_after: None,
        }
    }

    /// The request makes no sense.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad-request",
            "The request makes no sense",
            detail,
        )
    }

    /// Who asks must say who it is.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "A token is needed",
            detail,
        )
    }

    /// Who asks may not have this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "This is not allowed", detail)
    }

    /// The service is not called so.
    pub fn misdirected(host: &str) -> Self {
        let detail = format!(
            "this service is not called {host:?}: name it under [http] hosts in shop.toml if it should be"
        );
        Self::new(
            StatusCode::MISDIRECTED_REQUEST,
            "unknown-host",
            "Unknown host",
            detail,
        )
    }

    /// There is no such address.
    pub fn not_found(path: &str) -> Self {
        let detail = format!("there is nothing at {path:?}: /v1/openapi.json lists what there is");
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "There is nothing here",
            detail,
        )
    }

    /// No experiment is under way.
    pub fn no_experiment() -> Self {
        let detail = "no experiment is under way: [experiment] in shop.toml begins one (docs/api.md)";
        Self::new(StatusCode::NOT_FOUND, "no-experiment", "No experiment", detail)
    }

    /// The address knows no such method.
    pub fn no_such_method() -> Self {
        let detail = "this address does not know the method: /v1/openapi.json says which it knows";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method", "Unknown method", detail)
    }

    /// The catalogue does not have the item.
    pub fn unknown_item(error: &UnknownName) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "unknown-item",
            "Unknown item",
            error.to_string(),
        )
    }

    /// Nothing can be recommended yet, or a file is damaged.
    pub fn not_ready(error: &anyhow::Error) -> Self {
        let detail = format!("{error:#}");
        Self {
            retry_after: Some(30),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "no-lists",
                "There are no lists now",
                detail,
            )
        }
    }

    /// Too much was asked at once.
    pub fn too_many(detail: impl Into<String>) -> Self {
        Self {
            retry_after: Some(1),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too-many",
                "Too many requests",
                detail,
            )
        }
    }

    /// The disk did not take what was to be kept.
    pub fn not_kept(error: &std::io::Error) -> Self {
        let detail =
            format!("nothing of this request was kept: {error}. Make room on the disk and send it again");
        Self {
            retry_after: Some(10),
            ..Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "not-kept",
                "It could not be written",
                detail,
            )
        }
    }

    pub(super) fn too_slow(after: Duration) -> Self {
        let detail = format!(
            "the request was not whole, or not answered, within {} s",
            after.as_secs()
        );
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "too-slow",
            "It took too long",
            detail,
        )
    }

    /// As a client program sees it.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, retry_after) = (self.status(), self.retry_after);
        let mut answer = (status, Json(self)).into_response();
        let headers = answer.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(secs) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self {
            status: match rejection.status() {
                StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST.as_u16(),
                status => status.as_u16(),
            },
            ..Self::bad_request(rejection.body_text())
        }
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}
