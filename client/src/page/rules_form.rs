//! How rules are tried and saved: one form, two buttons.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Extension, Form, Query, State};
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use souk_common::ids::Digest;

use super::Page;
use super::door::{door, redirect};
use super::layout::Place;
use super::served::{Served, frame};
use super::views::rules::{self, Draft, Outcome};
use super::views::signin;
use super::visitor::Visitor;
use crate::rules::edit::RulesNotWritten;

/// `/rules`, whose form takes more than the others.
pub(super) fn router(page: &Arc<Page>) -> Router<Served> {
    Router::new()
        .route("/rules", get(show).post(take))
        .layer(middleware::from_fn_with_state(Arc::clone(page), door))
        .layer(DefaultBodyLimit::max(MOST_FORM_BYTES))
}

#[derive(Deserialize)]
struct Shown {
    saved: Option<String>,
}

async fn show(
    State(served): State<Served>,
    Extension(visitor): Extension<Visitor>,
    Query(Shown { saved }): Query<Shown>,
) -> Response {
    let outcome = saved.map(|_| Outcome::Saved);
    answer(served, visitor, None, outcome).await
}

/// What the form sends.
#[derive(Deserialize)]
struct RulesForm {
    form_token: String,
    /// Of `rules.toml` when the page was loaded.
    was: Digest,
    text: String,
    #[serde(default)]
    user: String,
    /// The button.
    #[serde(rename = "do")]
    wish: Wish,
    /// Present if ticked.
    anyway: Option<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Wish {
    Preview,
    Save,
}

async fn take(
    State(served): State<Served>,
    Extension(visitor): Extension<Visitor>,
    Form(form): Form<RulesForm>,
) -> Response {
    let session = visitor.session.as_ref();
    if !session.is_some_and(|session| session.made(&form.form_token)) {
        let said = visitor.language.words().foreign_form;
        return signin::refused(visitor.language, StatusCode::FORBIDDEN, said).into_response();
    }
    let user = form.user.trim().to_owned();
    let draft = Draft {
        // Browsers send lines ended so.
        text: form.text.replace("\r\n", "\n"),
        was: form.was,
        user,
    };
    let (lists, tried) = (Arc::clone(&served.lists), draft.clone());
    let (wish, anyway) = (form.wish, form.anyway.is_some());
    // Reads what lists are made of, and writes a file.
    let done = tokio::task::spawn_blocking(move || {
        let user = Some(tried.user.as_str()).filter(|user| !user.is_empty());
        let report = match lists.try_rules(&tried.text, user) {
            Ok(report) => report,
            Err(error) => return Outcome::Wrong(format!("{error:#}")),
        };
        let hides = report.listed.iter().any(|(_, count)| *count == 0);
        if wish == Wish::Preview {
            return Outcome::Preview(report);
        }
        if hides && !anyway {
            return Outcome::Hides(report);
        }
        match lists.save_rules(tried.was, &tried.text) {
            Ok(()) => Outcome::Saved,
            Err(RulesNotWritten::Changed) => Outcome::Changed,
            Err(error) => Outcome::Wrong(format!("{:#}", anyhow::Error::from(error))),
        }
    });
    match done.await {
        Ok(Outcome::Saved) => redirect("/rules?saved=yes"),
        Ok(outcome) => answer(served, visitor, Some(draft), Some(outcome)).await,
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

async fn answer(
    served: Served,
    visitor: Visitor,
    draft: Option<Draft>,
    outcome: Option<Outcome>,
) -> Response {
    let lists = Arc::clone(&served.lists);
    let Ok(state) = tokio::task::spawn_blocking(move || lists.rules()).await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let status = match outcome {
        Some(Outcome::Wrong(_) | Outcome::Hides(_)) => StatusCode::UNPROCESSABLE_ENTITY,
        Some(Outcome::Changed) => StatusCode::CONFLICT,
        _ => StatusCode::OK,
    };
    let facts = served.page.facts();
    let body = rules::view(&visitor, &state, draft.as_ref(), outcome.as_ref());
    (status, frame(&visitor, facts.as_deref(), Place::Rules, &body)).into_response()
}

/// Percent signs make three letters of one.
const MOST_FORM_BYTES: usize = 1 << 20;
