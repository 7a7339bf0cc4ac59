//! Today: in one sentence whether all is well, and a card for everything else.

use maud::{Markup, html};
use souk_common::clock::Timestamp;
use souk_common::params::{rounded_down, rounded_up};

use super::super::Connection;
use super::super::facts::{Facts, ListFacts};
use super::super::layout::{Place, age, day, grouped, reported};
use super::super::words::{Language, Words, fill};
use super::worries::worries;
use crate::control::Budget;
use crate::membership::peers::KeyStatus;
use crate::recommend::serving::Serving;
use crate::stack::ServedBy;

pub(in super::super) fn view(
    language: Language,
    facts: &Facts,
    connection: Connection,
    now: Timestamp,
) -> Markup {
    let words = language.words();
    let found = worries(words, facts, connection, now);
    html! {
        p id="sentence" class="lead" {
            (lists_sentence(words, facts)) " "
            @match found.len() {
                0 => span class="good" { (words.all_well) },
                1 => strong class="bad" { (words.one_worry) },
                count => strong class="bad" { (fill(words.worries, &[("count", &count)])) },
            }
        }
        @if !found.is_empty() {
            ol id="worries" {
                @for worry in &found {
                    li id={ "worry-" (worry.id) } {
                        (worry.text) " "
                        a href=(worry.place.path()) { (fill(words.more, &[("page", &worry.place.name(words))])) }
                        @if !worry.reported.is_empty() { (reported(language, &worry.reported)) }
                    }
                }
            }
        }
        div class="cards" id="cards" { (cards(words, facts, now)) }
    }
}

/// Whether there are lists, made by what, and up to when.
fn lists_sentence(words: &Words, facts: &Facts) -> String {
    let Ok(lists) = &facts.lists else {
        return words.lists_missing.to_owned();
    };
    let newest = facts.data.as_ref().ok().and_then(|data| data.newest());
    let until = newest.map_or_else(String::new, |newest| {
        fill(words.orders_until, &[("day", &day(newest))])
    });
    fill(
        words.lists_fresh,
        &[("by", &made_by(words, lists.by)), ("until", &until)],
    )
}

/// What makes lists.
pub(super) fn made_by(words: &Words, by: ServedBy) -> &'static str {
    match by {
        ServedBy::Alone => words.by_alone,
        ServedBy::Together => words.by_together,
        ServedBy::Model => words.by_model,
    }
}

/// What all shops learned, and how old that is.
pub(super) fn learned(words: &Words, serving: &Serving, now: Timestamp) -> Markup {
    html! {
        @match &serving.learned {
            Some(learned) => {
                (fill(words.learned, &[
                    ("round", &learned.round),
                    ("plan", &learned.plan.name),
                    ("age", &age(words, learned.published_at, now)),
                ]))
            }
            None => (words.nothing_learned),
        }
        @if let Some(plan) = &serving.untrained { " " (fill(words.untrained, &[("plan", &plan.name)])) }
    }
}

fn cards(words: &Words, facts: &Facts, now: Timestamp) -> Markup {
    html! {
        @if let Ok(lists) = &facts.lists { (card("lists", words.card_lists, None, &of_lists(words, lists, now))) }
        (card("left", words.left, Some(Place::Left), &of_left(words, facts)))
        @if let Ok(budget) = &facts.budget {
            (card("privacy", words.privacy, Some(Place::Privacy), &html! { p { (of_budget(words, budget)) } }))
        }
        @if let Some(gain) = facts.gain.as_ref().filter(|gain| gain.customers > 0) {
            (card("gain", words.gain, Some(Place::Gain), &html! {
                p {
                    @let alone = format!("{:.1}", gain.alone);
                    @match gain.together {
                        Some(together) => (fill(words.card_gain_text, &[("alone", &alone), ("together", &format!("{together:.1}"))])),
                        None => (fill(words.card_gain_none, &[("alone", &alone)])),
                    }
                }
            }))
        }
        @if let Ok(data) = &facts.data {
            @let of_all = |count: fn(&crate::data::SourceReport) -> u64| -> u64 {
                data.sources.iter().flat_map(|source| &source.report.sources).map(count).sum()
            };
            (card("data", words.data, Some(Place::Data), &html! {
                p {
                    (fill(words.card_data_text, &[
                        ("sources", &data.sources.len()),
                        ("taken", &grouped(of_all(|report| report.taken))),
                        ("left_out", &grouped(of_all(|report| report.left_out_rows()))),
                        ("bad", &grouped(of_all(|report| report.bad_rows()))),
                    ]))
                }
            }))
        }
        @if let Ok(next) = &facts.next {
            (card("rounds", words.rounds, Some(Place::Rounds), &html! {
                p {
                    @match next {
                        None => (words.card_rounds_none),
                        Some(next) if next.is_over => (fill(words.card_rounds_over, &[("plan", &next.plan.name)])),
                        Some(next) => (fill(words.card_rounds_text, &[("round", &next.round), ("plan", &next.plan.name)])),
                    }
                }
            }))
        }
        @if let Some(Ok(unmatched)) = &facts.unmatched {
            (card("unmatched", words.unmatched, Some(Place::Unmatched), &html! {
                p {
                    @match unmatched.items {
                        0 => (words.card_unmatched_none),
                        items => (fill(words.card_unmatched_text, &[("items", &items), ("rows", &unmatched.rows)])),
                    }
                }
            }))
        }
        (card("keys", words.keys, Some(Place::Keys), &html! { p { (of_keys(words, facts)) } }))
    }
}

fn card(id: &str, name: &str, place: Option<Place>, body: &Markup) -> Markup {
    html! {
        section class="card" id={ "card-" (id) } aria-labelledby={ "card-" (id) "-name" } {
            h2 id={ "card-" (id) "-name" } {
                @match place {
                    Some(place) => a href=(place.path()) { (name) },
                    None => (name),
                }
            }
            (body)
        }
    }
}

fn of_lists(words: &Words, lists: &ListFacts, now: Timestamp) -> Markup {
    let counts = [
        ("items", &grouped(lists.items as u64) as &dyn std::fmt::Display),
        ("customers", &grouped(lists.customers as u64)),
    ];
    html! {
        p { (fill(words.card_lists_text, &counts)) }
        p { (learned(words, &lists.serving, now)) }
        @if lists.own_catalogue { p { (words.own_catalogue) } }
    }
}

fn of_left(words: &Words, facts: &Facts) -> Markup {
    html! {
        p {
            @match &facts.uploads {
                Err(_) => (words.worry_read),
                Ok(uploads) if uploads.is_empty() => (words.card_left_none),
                Ok(uploads) => {
                    @let bytes: u64 = uploads.iter().map(|(record, _)| record.bytes_sent).sum();
                    (fill(words.card_left_text, &[("count", &uploads.len()), ("bytes", &grouped(bytes))]))
                }
            }
        }
    }
}

fn of_budget(words: &Words, budget: &Budget) -> String {
    let Some(spent) = budget.epsilon_in_period else {
        return words.card_privacy_unbounded.to_owned();
    };
    let left = rounded_down((budget.max_epsilon - spent).max(0.0), 3);
    fill(
        words.card_privacy_text,
        &[
            ("spent", &rounded_up(spent, 3)),
            ("limit", &budget.max_epsilon),
            ("left", &left),
        ],
    )
}

fn of_keys(words: &Words, facts: &Facts) -> String {
    let Ok(peers) = &facts.keys else {
        return words.card_keys_none.to_owned();
    };
    let others = peers.members.iter().filter(|peer| peer.shop != peers.shop);
    let confirmed = others
        .clone()
        .filter(|peer| peer.standing == KeyStatus::Confirmed);
    let counts = [
        ("confirmed", &confirmed.count() as &dyn std::fmt::Display),
        ("others", &others.count()),
    ];
    fill(words.card_keys_text, &counts)
}
