//! How a list looks as HTML: a heading and links in order, with names of classes and no style.

use maud::{Markup, html};

use super::link::LinkTemplate;
use super::words::FragmentWords;
use super::{FragmentItem, FragmentList};

/// How a list is to look.
pub(super) struct Look<'a> {
    pub(super) words: &'static FragmentWords,
    pub(super) link: Option<&'a LinkTemplate>,
    /// In place of the list's own heading.
    pub(super) title: Option<&'a str>,
    /// Whether links leave the frame that it stands in.
    pub(super) is_framed: bool,
}

/// The list; hidden if it is empty.
pub(super) fn section(list: &FragmentList, look: &Look<'_>) -> Markup {
    let own_title = look.words.title(list.kind, list.is_personal);
    // A shop's own heading is in its own language.
    let lang = look.title.is_none().then_some(look.words.tag);
    html! {
        section class={ "souk souk-" (list.kind.name().replace('_', "-")) } data-souk-list=(list.list) data-souk-made-by=[list.made_by.as_deref()]
            data-souk-note=[list.note.as_deref()] hidden[list.items.is_empty()] {
            h2 class="souk-title" lang=[lang] { (look.title.unwrap_or(own_title)) }
            ol class="souk-items" {
                @for item in &list.items { (one(item, list, look)) }
            }
        }
    }
}

fn one(item: &FragmentItem, list: &FragmentList, look: &Look<'_>) -> Markup {
    let name = if item.title.is_empty() {
        &item.item
    } else {
        &item.title
    };
    let own_number = item.own_number.as_ref().unwrap_or(&item.item);
    let target = look.is_framed.then_some("_top");
    html! {
        li class="souk-item" data-souk-item=(item.item) {
            @match look.link {
                Some(link) => a class="souk-link" href=(link.to(own_number, &list.list)) target=[target] { (name) },
                None => span class="souk-link" { (name) },
            }
            @if !item.brand.is_empty() { " " span class="souk-brand" { (item.brand) } }
            @if let Some(price) = item.price { " " data class="souk-price" value=(price) { (format!("{price:.2}")) } }
            @if let Some(reason) = &item.reason { " " p class="souk-reason" lang=(look.words.tag) { (look.words.why(reason)) } }
        }
    }
}
