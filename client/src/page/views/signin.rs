//! Sign in.

use axum::http::StatusCode;
use maud::{Markup, html};

use super::super::layout::{command, outside};
use super::super::words::Language;

/// The form; `trouble` is what was wrong with the last try.
pub(in super::super) fn view(language: Language, form_token: &str, trouble: Option<&str>) -> Markup {
    let words = language.words();
    let main = html! {
        h1 { (words.signin) }
        @if let Some(trouble) = trouble { p id="trouble" class="bad" role="alert" { (trouble) } }
        p { (words.signin_lead) }
        p { (words.signin_link) }
        (command("souk-client page --dir shop"))
        form id="signin" method="post" action="/signin" {
            p { label for="token" { (words.signin_token) } }
            input id="token" name="token" type="password" autocomplete="current-password" required;
            input type="hidden" name="form_token" value=(form_token);
            div { button type="submit" { (words.signin_button) } }
        }
    };
    outside(language, words.signin, "/signin", &main)
}

/// Why nothing was done.
pub(in super::super) fn refused(language: Language, status: StatusCode, said: &str) -> (StatusCode, Markup) {
    let main = html! {
        h1 { (language.words().signin) }
        p id="trouble" class="bad" role="alert" { (said) }
    };
    (
        status,
        outside(language, language.words().signin, "/signin", &main),
    )
}
