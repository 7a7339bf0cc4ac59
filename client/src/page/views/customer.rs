//! A customer: what is shown to them, and why.

use maud::{Markup, html};
use souk_common::clock::Timestamp;

use super::super::CustomerLookUp;
use super::super::chart::scores;
use super::super::words::{Language, Words, fill};
use super::today::{learned, made_by};
use crate::recommend::Recommended;
use crate::recommend::reasons::{Reason, Shared, Through};

/// The form, and what was found for whoever was asked for.
pub(in super::super) fn view(
    language: Language,
    found: Option<(&str, Option<CustomerLookUp>)>,
    now: Timestamp,
) -> Markup {
    let words = language.words();
    html! {
        p { (words.customer_lead) }
        form id="look-up" method="get" action="/customer" role="search" {
            label for="user" { (words.customer_label) }
            input id="user" name="user" required autocomplete="off" value=[found.as_ref().map(|(user, _)| *user)];
            div { button type="submit" { (words.customer_button) } }
        }
        @match found {
            None => {}
            Some((_, None)) => p id="no-lists" class="bad" { (words.no_lists) },
            Some((user, Some(found))) => (of_customer(words, user, &found, now)),
        }
    }
}

fn of_customer(words: &Words, user: &str, found: &CustomerLookUp, now: Timestamp) -> Markup {
    html! {
        @if !found.known { p id="unknown" class="bad" { (fill(words.customer_unknown, &[("customer", &user)])) } }
        section id="has" {
            h2 { (words.customer_has) }
            @if found.items.is_empty() { p { (words.customer_nothing) } } @else {
                ul { @for (id, title) in found.items.iter().take(MOST_ITEMS) { li { (name(id, title)) } } }
                @if let Some(more) = found.items.len().checked_sub(MOST_ITEMS).filter(|more| *more > 0) {
                    p { (fill(words.data_more, &[("count", &more)])) }
                }
            }
        }
        section id="list" {
            h2 { (words.customer_list) }
            p {
                (fill(words.customer_made, &[("by", &made_by(words, found.list.served_by))])) " "
                (learned(words, &found.list.serving, now))
                @if found.known && !found.list.personal { " " (words.customer_not_personal) }
            }
            @match scores(words, &found.picture) {
                Some(drawn) => (drawn),
                None => p { (words.customer_picture_none) },
            }
            @if found.list.items.is_empty() { p { (words.customer_list_none) } } @else {
                div class="wide" tabindex="0" role="region" aria-label=(words.customer_list) {
                    table id="recommended" {
                        thead {
                            tr {
                                th scope="col" class="number" { (words.customer_rank) }
                                th scope="col" { (words.customer_item) }
                                th scope="col" class="number" { (words.customer_score) }
                                th scope="col" { (words.customer_why) }
                            }
                        }
                        tbody { @for item in &found.list.items { (row(words, item)) } }
                    }
                }
            }
        }
    }
}

fn row(words: &Words, item: &Recommended) -> Markup {
    html! {
        tr {
            td class="number" { (item.rank) }
            th scope="row" {
                (name(&item.item_id, &item.title))
                @if !item.category.is_empty() { " " span class="dim" { (item.category) } }
            }
            td class="number" { (format!("{:.3}", item.score)) }
            td { ul { @for reason in &item.reasons { li { (why(words, reason)) } } } }
        }
    }
}

fn name(id: &str, title: &str) -> Markup {
    html! { @if !title.is_empty() { (title) " " } code { (id) } }
}

/// A reason in the page's language, with its part of all of them.
fn why(words: &Words, reason: &Reason) -> String {
    let item = if reason.title.is_empty() {
        &reason.item_id
    } else {
        &reason.title
    };
    let named = [("item", item as &dyn std::fmt::Display)];
    let text = match reason.channel {
        Some(Through::BestsellerInRegion) => words.why_region.to_owned(),
        Some(Through::BestsellerHere) => words.why_here.to_owned(),
        Some(Through::New) => words.why_new.to_owned(),
        Some(Through::BoughtLately) => words.why_lately.to_owned(),
        Some(Through::BoughtAfter) => fill(words.why_after, &named),
        Some(Through::BoughtTogether) => fill(words.why_together, &named),
        Some(Through::Alike) => fill(words.why_alike, &named),
        Some(Through::Trained) if item.is_empty() => words.why_trained.to_owned(),
        Some(Through::Trained) => fill(words.why_trained_item, &named),
        None => fill(words.why_bought, &named),
    };
    let shared: Vec<String> = reason
        .shared
        .iter()
        .map(|shared| match shared {
            Shared::Category(name) => fill(words.shared_category, &[("name", name)]),
            Shared::Brand(name) => fill(words.shared_brand, &[("name", name)]),
            Shared::PriceBand(_) => words.shared_price.to_owned(),
        })
        .collect();
    let tells_shared = matches!(reason.channel, Some(Through::Alike) | None) && !shared.is_empty();
    let text = match tells_shared {
        true => fill(words.why_shared, &[("why", &text), ("what", &shared.join(", "))]),
        false => text,
    };
    format!("{text}: {:.0} %", 100.0 * reason.share)
}

/// Of what the customer has; the others are counted.
const MOST_ITEMS: usize = 50;
