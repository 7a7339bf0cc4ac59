//! A small page for a frame.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// A whole page for a frame; nothing in it comes from elsewhere.
pub(super) fn page(title: &str, lang: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang=(lang) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    }
}

pub(super) const STYLE: &str = include_str!("style.css");
