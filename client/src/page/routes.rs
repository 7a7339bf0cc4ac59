//! What can be asked of the page.

use std::sync::Arc;

use axum::extract::{Extension, Form, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, extract::DefaultBodyLimit};
use maud::{Markup, html};
use serde::Deserialize;
use souk_common::ids::Digest;

use super::door::{door, redirect, session_cookie};
use super::layout::Place;
use super::served::{Served, frame};
use super::session::same;
use super::views::{customer, data, experiment, gain, keys, left, privacy, rounds, signin, today, unmatched};
use super::visitor::Visitor;
use super::{CustomerLists, Page, rules_form};

/// All routes, behind the door.
pub(super) fn router(page: &Arc<Page>, lists: Arc<dyn CustomerLists>) -> Router {
    let served = Served {
        page: Arc::clone(page),
        lists,
        streams: Arc::default(),
    };
    let mut routes = Router::new()
        .route("/customer", get(look_up))
        .route("/left/{digest}", get(update))
        .route("/signin", get(signin_form).post(sign_in))
        .route("/signout", post(sign_out))
        .route("/events-stream", get(changes));
    let others = |place: &Place| !matches!(place, Place::Customer | Place::Rules);
    for place in Place::ALL.into_iter().filter(others) {
        let show = move |State(served): State<Served>, Extension(visitor): Extension<Visitor>| async move {
            served.show(&visitor, place)
        };
        routes = routes.route(place.path(), get(show));
    }
    routes
        .layer(middleware::from_fn_with_state(Arc::clone(page), door))
        .layer(DefaultBodyLimit::max(MOST_FORM_BYTES))
        .merge(rules_form::router(page))
        .with_state(served)
}

impl Served {
    fn show(&self, visitor: &Visitor, place: Place) -> Markup {
        let facts = self.page.facts();
        let now = self.page.clock.now();
        let body = match &facts {
            None => starting(visitor),
            Some(facts) if !facts.has_federation && place.needs_federation() => no_federation(visitor),
            Some(facts) => match place {
                Place::Today => today::view(visitor.language, facts, *self.page.connection(), now),
                Place::Left => left::view(visitor.language, facts, |digest| self.page.has_update(digest)),
                Place::Privacy => privacy::view(visitor.language, facts),
                Place::Gain => gain::view(visitor.language, facts),
                Place::Data => data::view(visitor.language, facts),
                Place::Rounds => rounds::view(visitor.language, facts, &self.page.heard()),
                Place::Unmatched => unmatched::view(visitor.language, facts),
                Place::Keys => keys::view(visitor.language, facts),
                Place::Experiment => experiment::view(visitor.language, facts, now),
                Place::Customer | Place::Rules => html! {},
            },
        };
        let is_alone = facts.as_ref().is_some_and(|facts| !facts.has_federation);
        let body = match place {
            Place::Today if is_alone => html! { (no_federation(visitor)) (body) },
            _ => body,
        };
        frame(visitor, facts.as_deref(), place, &body)
    }
}

/// To the owner of a shop that has not joined.
fn no_federation(visitor: &Visitor) -> Markup {
    html! { p id="no-federation" class="lead" { (visitor.language.words().no_federation) } }
}

fn starting(visitor: &Visitor) -> Markup {
    html! { p class="lead" { (visitor.language.words().starting) } }
}

#[derive(Deserialize)]
struct LookUp {
    user: Option<String>,
}

async fn look_up(
    State(served): State<Served>,
    Extension(visitor): Extension<Visitor>,
    Query(LookUp { user }): Query<LookUp>,
) -> Markup {
    let user = user
        .map(|user| user.trim().to_owned())
        .filter(|user| !user.is_empty());
    let found = user
        .as_ref()
        .map(|user| (user.as_str(), served.lists.look_up(user)));
    let facts = served.page.facts();
    let body = customer::view(visitor.language, found, served.page.clock.now());
    frame(&visitor, facts.as_deref(), Place::Customer, &body)
}

/// The bytes of an update that left, as long as the outbox has them.
async fn update(
    State(served): State<Served>,
    Extension(visitor): Extension<Visitor>,
    Path(digest): Path<Digest>,
) -> Response {
    let page = Arc::clone(&served.page);
    let read = tokio::task::spawn_blocking(move || page.read_update(&digest)).await;
    match read.ok().flatten() {
        Some(bytes) => {
            let name = format!("attachment; filename=\"update-{}.bin\"", digest.short());
            let headers = [
                (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
                (header::CONTENT_DISPOSITION, name),
            ];
            (headers, bytes).into_response()
        }
        None => (StatusCode::NOT_FOUND, visitor.language.words().left_gone).into_response(),
    }
}

impl Page {
    /// Whether an update that left is still in the outbox.
    fn has_update(&self, digest: &Digest) -> bool {
        self.folder.disk().is_file(&self.folder.update(digest))
    }

    /// Its bytes: none unless it has left, since nobody is to read an update that may never leave.
    fn read_update(&self, digest: &Digest) -> Option<Vec<u8>> {
        let facts = self.facts()?;
        let uploads = facts.uploads.as_ref().ok()?;
        let has_left = uploads.iter().any(|(record, _)| record.header.update == *digest);
        has_left.then(|| self.folder.disk().read(&self.folder.update(digest)).ok())?
    }
}

#[derive(Deserialize)]
struct Code {
    code: Option<String>,
}

async fn signin_form(
    State(served): State<Served>,
    Extension(visitor): Extension<Visitor>,
    Query(Code { code }): Query<Code>,
) -> Response {
    let page = &served.page;
    let Some(code) = code else {
        return match visitor.session {
            Some(_) => redirect("/"),
            None => signin::view(visitor.language, &page.signin_token, None).into_response(),
        };
    };
    match page.sessions.redeem(&code, page.clock.now()) {
        Ok(Some(secret)) => signed_in(&secret, page.is_secure),
        Ok(None) => {
            let said = visitor.language.words().signin_bad_code;
            let form = signin::view(visitor.language, &page.signin_token, Some(said));
            (StatusCode::FORBIDDEN, form).into_response()
        }
        Err(error) => failed(&error),
    }
}

#[derive(Deserialize)]
struct SignIn {
    form_token: String,
    token: String,
}

async fn sign_in(
    State(served): State<Served>,
    Extension(visitor): Extension<Visitor>,
    Form(form): Form<SignIn>,
) -> Response {
    let (page, words) = (&served.page, visitor.language.words());
    if !same(&form.form_token, &page.signin_token) {
        return signin::refused(visitor.language, StatusCode::FORBIDDEN, words.foreign_form).into_response();
    }
    if !page.tokens.is_the_shops(form.token.trim()) {
        let form = signin::view(visitor.language, &page.signin_token, Some(words.signin_bad_token));
        return (StatusCode::FORBIDDEN, form).into_response();
    }
    match page.sessions.begin(page.clock.now()) {
        Ok(secret) => signed_in(&secret, page.is_secure),
        Err(error) => failed(&error),
    }
}

fn signed_in(secret: &str, is_secure: bool) -> Response {
    let mut answer = redirect("/");
    answer
        .headers_mut()
        .append(header::SET_COOKIE, session_cookie(secret, is_secure));
    answer
}

fn failed(error: &anyhow::Error) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}")).into_response()
}

#[derive(Deserialize)]
struct SignOut {
    form_token: String,
}

async fn sign_out(
    State(served): State<Served>,
    Extension(visitor): Extension<Visitor>,
    Form(form): Form<SignOut>,
) -> Response {
    if !visitor
        .session
        .is_some_and(|session| session.made(&form.form_token))
    {
        let said = visitor.language.words().foreign_form;
        return signin::refused(visitor.language, StatusCode::FORBIDDEN, said).into_response();
    }
    served.page.sessions.end(&visitor.secret);
    let mut answer = redirect("/signin");
    answer
        .headers_mut()
        .append(header::SET_COOKIE, session_cookie("", served.page.is_secure));
    answer
}

async fn changes(State(served): State<Served>) -> Response {
    served.streams.open(served.page.changes.subscribe())
}

const MOST_FORM_BYTES: usize = 16 << 10;
