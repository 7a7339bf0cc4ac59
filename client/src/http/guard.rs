//! At the door: by which name the service is asked, from which web page, and by whom.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use souk_common::clock::Clock;

use super::fragment::door::{self, FragmentDoor};
use super::problem::Problem;
use super::tokens::Tokens;
use crate::data::compared_id;

/// Who asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ApiCaller {
    /// The shop's own programs, which may have everything.
    Shop,
    /// The browser of a customer.
    Customer(String),
    /// Anybody who reaches the service.
    Anybody,
}

impl ApiCaller {
    /// Whether what is of `customer` may be had.
    ///
    /// # Errors
    /// When it may not.
    pub fn may_ask_for(&self, customer: &str) -> Result<(), Problem> {
        match self {
            Self::Shop => Ok(()),
            Self::Customer(own) if compared_id(own) == compared_id(customer) => Ok(()),
            Self::Customer(_) => Err(Problem::forbidden("this token is another customer's")),
            Self::Anybody => Err(Problem::unauthorized(
                "a customer's lists are for the shop's token, or for one that is signed for that customer: docs/api.md",
            )),
        }
    }

    /// Whether what is the shop's may be had.
    ///
    /// # Errors
    /// When it may not.
    pub fn may_ask_for_all(&self) -> Result<(), Problem> {
        match self {
            Self::Shop => Ok(()),
            Self::Customer(_) => Err(Problem::forbidden("this is for the shop's own token only")),
            Self::Anybody => Err(Problem::unauthorized(
                "send the token in http/token of the shop's folder as `Authorization: Bearer TOKEN`",
            )),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ApiCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>().cloned();
        // Behind no guard nobody is anybody.
        Ok(caller.unwrap_or(Self::Anybody))
    }
}

/// What the door knows.
pub struct Guard {
    tokens: Arc<Tokens>,
    clock: Arc<dyn Clock>,
    /// The address that it listens at.
    own: IpAddr,
    hosts: Vec<String>,
    origins: Vec<String>,
    fragments: Arc<FragmentDoor>,
}

impl Guard {
    /// For a service at `address` that is called `hosts` too, and that pages from `origins` may ask.
    pub fn new(
        tokens: Arc<Tokens>,
        clock: Arc<dyn Clock>,
        address: SocketAddr,
        hosts: &[String],
        origins: &[String],
    ) -> Self {
        let lower = |names: &[String]| -> Vec<String> {
            names.iter().map(|name| name.to_ascii_lowercase()).collect()
        };
        Self {
            tokens,
            clock,
            own: address.ip(),
            hosts: lower(hosts),
            origins: lower(origins),
            fragments: Arc::new(FragmentDoor::new(lower(origins))),
        }
    }

    /// Refuses names that are not this service's: else a page of another site that has its own name resolve to this address
    /// (DNS rebinding) would be of the same origin.
    fn check_host(&self, request: &Request) -> Result<Authority, Problem> {
        let said = match request.uri().authority() {
            Some(authority) => authority.as_str(),
            None => text(request.headers(), &header::HOST).unwrap_or_default(),
        };
        let authority: Authority = said.parse().map_err(|_| Problem::misdirected(said))?;
        let host = authority.host().trim_matches(['[', ']']).to_ascii_lowercase();
        let is_own = match host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback() || address == self.own,
            Err(_) => host == "localhost",
        };
        match is_own || self.hosts.contains(&host) {
            true => Ok(authority),
            false => Err(Problem::misdirected(said)),
        }
    }

    /// The web page's origin, if a browser says one and it may ask.
    fn check_origin(&self, request: &Request, host: &Authority) -> Result<Option<HeaderValue>, Problem> {
        let Some(origin) = request.headers().get(header::ORIGIN) else {
            return Ok(None);
        };
        let said = origin.to_str().unwrap_or_default().to_ascii_lowercase();
        let is_own = said
            .split_once("://")
            .is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(host.as_str()));
        match is_own || self.origins.contains(&said) {
            true => Ok(Some(origin.clone())),
            false => Err(Problem::forbidden(format!(
                "pages from {said:?} may not ask: name it under [http] origins in shop.toml if they should"
            ))),
        }
    }

    fn caller(&self, request: &Request) -> Result<ApiCaller, Problem> {
        let Some(said) = text(request.headers(), &header::AUTHORIZATION) else {
            return match door::token_in(request.uri()) {
                None => Ok(ApiCaller::Anybody),
                Some(token) if self.tokens.is_the_shops(token) => Err(Problem::forbidden(
                    "this is the shop's own token, which does not belong into an address: send it as `Authorization: Bearer TOKEN` from a server, or sign a customer's token",
                )),
                Some(token) => self.customer(token),
            };
        };
        let token = said
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        let token = token
            .ok_or_else(|| Problem::unauthorized("Authorization must be `Bearer` with a token behind it"))?;
        if self.tokens.is_the_shops(token) {
            return Ok(ApiCaller::Shop);
        }
        self.customer(token)
    }

    fn customer(&self, token: &str) -> Result<ApiCaller, Problem> {
        let customer = self.tokens.customer(token, self.clock.now());
        customer
            .map(ApiCaller::Customer)
            .map_err(|error| Problem::unauthorized(error.to_string()))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Lets through what may come in, and notes who asks.
pub async fn guard(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let uri = request.uri().clone();
    let origin = match guard
        .check_host(&request)
        .and_then(|host| guard.check_origin(&request, &host))
    {
        Ok(origin) => origin,
        Err(problem) => return door::refused(&uri, problem),
    };
    let is_question_of_browser = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut answer = match guard.caller(&request) {
        _ if is_question_of_browser => StatusCode::NO_CONTENT.into_response(),
        Err(problem) => door::refused(&uri, problem),
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            request.extensions_mut().insert(Arc::clone(&guard.fragments));
            next.run(request).await
        }
    };
    guard.fragments.add_headers(&uri, answer.headers_mut());
    let headers = answer.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("origin, authorization"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT"),
            (
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                "authorization, content-type",
            ),
            (header::ACCESS_CONTROL_MAX_AGE, "600"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    answer
}
