//! What the service's door has to know of fragments: tokens in their addresses, which pages may frame them, and what customers see of
//! problems.

use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;
use maud::html;
use sha2::{Digest as _, Sha256};

use super::super::problem::Problem;
use super::frame::{STYLE, page};

/// What fragments need at the door.
#[derive(Debug)]
pub(in crate::http) struct FragmentDoor {
    /// In lower case.
    origins: Vec<String>,
    /// For pages in frames.
    framed: HeaderValue,
}

impl FragmentDoor {
    /// For frames in web pages of `origins`.
    pub(in crate::http) fn new(origins: Vec<String>) -> Self {
        let ancestors = match origins.is_empty() {
            true => "'none'".to_owned(),
            false => origins.join(" "),
        };
        let style = BASE64.encode(&Sha256::digest(STYLE.as_bytes()));
        let policy = |ancestors: &str| {
            HeaderValue::from_str(&format!(
                "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}"
            ))
        };
        let framed = policy(&ancestors).or_else(|_| policy("'none'"));
        Self {
            framed: framed.expect("plain letters"),
            origins,
        }
    }

    /// Whether pages of an origin are the shop's.
    pub(super) fn knows(&self, origin: &str) -> bool {
        self.origins.iter().any(|known| known == origin)
    }

    /// Adds what answers of fragments have in their heads; others stay as they are.
    pub(in crate::http) fn add_headers(&self, uri: &Uri, headers: &mut HeaderMap) {
        if !is_fragment(uri) {
            return;
        }
        let policy = match wants_page(uri) {
            true => self.framed.clone(),
            false => HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
        };
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        // The address may have a customer's token in it.
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
}

/// The token that stands in a fragment's address; other addresses have none.
pub(in crate::http) fn token_in(uri: &Uri) -> Option<&str> {
    let pairs = is_fragment(uri).then(|| uri.query())??.split('&');
    pairs.filter_map(|pair| pair.strip_prefix("token=")).next()
}

/// A problem as whoever asked at this address can bear it: in a frame, which a customer sees, as an empty page.
pub(in crate::http) fn refused(uri: &Uri, problem: Problem) -> Response {
    if !(is_fragment(uri) && wants_page(uri)) {
        return problem.into_response();
    }
    let said = html! { div hidden data-souk-problem=(problem.kind) {} };
    let page = page("", "en", &said);
    (problem.status(), page).into_response()
}

fn is_fragment(uri: &Uri) -> bool {
    uri.path().starts_with("/v1/fragment/")
}

fn wants_page(uri: &Uri) -> bool {
    uri.query()
        .is_some_and(|query| query.split('&').any(|pair| pair == "embed=page"))
}
