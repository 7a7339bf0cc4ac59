//! Tables, fields and signs, of which the page is made.

use maud::{Markup, html};

use super::model::Light;
use super::words::Field;

/// A table: a caption, headings (of numbers if they begin with #), rows whose first cell is their heading.
pub(super) fn table(caption: &str, heads: &[&str], rows: &[Vec<String>]) -> Markup {
    let is_number = |at: usize| heads.get(at).is_some_and(|head| head.starts_with('#'));
    html! {
        div class="wide" tabindex="0" role="region" aria-label=(caption) {
            table {
                caption { (caption) }
                thead { tr {
                    @for (at, head) in heads.iter().enumerate() {
                        th scope="col" class=[is_number(at).then_some("number")] { (head.trim_start_matches('#')) }
                    }
                } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (at, cell) in row.iter().enumerate() {
                                @if at == 0 { th scope="row" { (cell) } }
                                @else { td class=[is_number(at).then_some("number")] { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Lines for people to write on.
pub(super) fn fields(caption: &str, fields: &[Field]) -> Markup {
    html! {
        table class="fields" {
            caption { (caption) }
            thead { tr { th scope="col" { "Field" } th scope="col" { "To be filled in by people" } } }
            tbody {
                @for field in fields {
                    tr class="field" {
                        th scope="row" { (field.name) small { (field.hint) } }
                        td class="blank" {}
                    }
                }
            }
        }
    }
}

/// A sign that is told from others without colours.
pub(super) fn mark(light: Light) -> &'static str {
    match light {
        Light::Green => "●",
        Light::Amber => "▲",
        Light::Red => "■",
    }
}

pub(super) fn stands(light: Light) -> &'static str {
    match light {
        Light::Green => "in order",
        Light::Amber => "to weigh",
        Light::Red => "alarm",
    }
}

pub(super) fn class(light: Light) -> &'static str {
    match light {
        Light::Green => "green",
        Light::Amber => "amber",
        Light::Red => "red",
    }
}
