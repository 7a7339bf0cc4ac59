//! What every request of the page passes: its language, its session, its origin; and the headers that every answer gets.

use std::sync::{Arc, LazyLock};

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;
use sha2::{Digest as _, Sha256};

use super::Page;
use super::layout::{SCRIPT, STYLE};
use super::visitor::Visitor;
use super::words::Language;

/// Lets through to `/signin` anybody, and to the rest whoever has a session.
pub(super) async fn door(State(page): State<Arc<Page>>, mut request: Request, next: Next) -> Response {
    let language = Language::wanted(
        asked_language(request.uri()),
        cookie(request.headers(), LANGUAGE_COOKIE),
        text(request.headers(), &header::ACCEPT_LANGUAGE),
    );
    let asked = asked_language(request.uri()).map(|_| language);
    let secret = cookie(request.headers(), SESSION_COOKIE)
        .unwrap_or_default()
        .to_owned();
    let session = page.sessions.find(&secret, page.clock.now());
    let mut answer = if request.method() == Method::POST && !is_own_form(&request) {
        let said = language.words().foreign_form;
        super::views::signin::refused(language, StatusCode::FORBIDDEN, said).into_response()
    } else if session.is_none() && request.uri().path() != "/signin" {
        redirect("/signin")
    } else {
        request.extensions_mut().insert(Visitor {
            language,
            session,
            secret,
        });
        next.run(request).await
    };
    let headers = answer.headers_mut();
    for (name, value) in &*HEADERS {
        headers.insert(name, value.clone());
    }
    if let Some(language) = asked {
        let value = format!(
            "{LANGUAGE_COOKIE}={}; Path=/; Max-Age=31536000; SameSite=Strict",
            language.tag()
        );
        headers.append(
            header::SET_COOKIE,
            HeaderValue::from_str(&value).expect("plain letters"),
        );
    }
    answer
}

/// Whether a form was sent by a page of this very service: browsers say where it came from, and scripts of other pages can't
/// say otherwise. That this service is called so has been looked at before.
fn is_own_form(request: &Request) -> bool {
    let host = request.uri().authority().map(|authority| authority.as_str());
    let host = host.or_else(|| text(request.headers(), &header::HOST));
    let origin = text(request.headers(), &header::ORIGIN).and_then(|origin| origin.split_once("://"));
    match (origin, host) {
        (Some((_, origin)), Some(host)) => origin.eq_ignore_ascii_case(host),
        _ => false,
    }
}

/// Sends on, by GET.
pub(super) fn redirect(to: &'static str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()
}

/// The cookie that opens the page, or, with an empty secret, takes it away.
pub(super) fn session_cookie(secret: &str, is_secure: bool) -> HeaderValue {
    let life = match secret {
        "" => 0,
        _ => super::session::SESSION_LIFE.as_secs(),
    };
    let secure = if is_secure { "; Secure" } else { "" };
    let value =
        format!("{SESSION_COOKIE}={secret}; Path=/; Max-Age={life}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::from_str(&value).expect("base64 and plain letters")
}

fn asked_language(uri: &Uri) -> Option<&str> {
    let pairs = uri.query()?.split('&');
    pairs.filter_map(|pair| pair.strip_prefix("lang=")).next()
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).into_iter();
    let mut pairs = cookies
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

const SESSION_COOKIE: &str = "souk_session";
const LANGUAGE_COOKIE: &str = "souk_language";

/// A style and a script run only if they are, byte for byte, those of this program.
static HEADERS: LazyLock<[(HeaderName, HeaderValue); 4]> = LazyLock::new(|| {
    let hash = |text: &str| format!("'sha256-{}'", BASE64.encode(&Sha256::digest(text.as_bytes())));
    let policy = format!(
        "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; \
         base-uri 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    [
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_str(&policy).expect("plain letters"),
        ),
        // Not `no-referrer`: under it browsers send forms with the origin `null`.
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    ]
});
