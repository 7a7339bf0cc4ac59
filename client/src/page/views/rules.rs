//! Rules: what is in force, the text to change it, and what the changed text would do.

use maud::{Markup, PreEscaped, html};
use souk_common::ids::Digest;

use super::super::RulesState;
use super::super::layout::{command, grouped, minute, reported};
use super::super::visitor::Visitor;
use super::super::words::{Language, Words, fill};
use crate::recommend::Recommended;
use crate::recommend::rules_report::{RuleReport, RulesReport};
use crate::rules::compiled::NotListed;
use crate::rules::feed::FeedReport;
use crate::rules::file::{ListKind, ListRules, Lists};
use crate::rules::in_force::InForce;

/// What somebody has typed.
#[derive(Clone, Debug)]
pub(in super::super) struct Draft {
    pub(in super::super) text: String,
    /// Of the file that it began with.
    pub(in super::super) was: Digest,
    /// Whose list; may be empty.
    pub(in super::super) user: String,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(in super::super) enum Outcome {
    Preview(RulesReport),
    Saved,
    /// It makes no sense, or could not be tried or written.
    Wrong(String),
    /// Not saved, since some list would be empty.
    Hides(RulesReport),
    /// Not saved, since the file is another by now.
    Changed,
}

pub(in super::super) fn view(
    visitor: &Visitor,
    state: &RulesState,
    draft: Option<&Draft>,
    outcome: Option<&Outcome>,
) -> Markup {
    let (language, words) = (visitor.language, visitor.language.words());
    html! {
        @if let Some(Outcome::Saved) = outcome { p id="saved" class="good" role="status" { (words.rules_saved) } }
        p { (words.rules_lead) }
        (in_force(language, state))
        @if !state.feeds.is_empty() { (feeds(language, &state.feeds)) }
        section id="edit" {
            h2 { (words.rules_edit) }
            @match &state.file {
                Err(error) => {
                    p class="bad" { (words.rules_no_edit) }
                    (reported(language, &[format!("rules.toml: {error}")]))
                }
                Ok(file) if file.text.len() > MOST_EDITED => {
                    p { (fill(words.rules_too_long, &[("most", &grouped(MOST_EDITED as u64))])) }
                    (command("souk-client rules check --dir shop"))
                }
                Ok(file) => {
                    @let text = draft.map_or(file.text.as_str(), |draft| draft.text.as_str());
                    @let was = draft.map_or(file.digest, |draft| draft.was);
                    (form(visitor, text, was, draft.map_or("", |draft| draft.user.as_str()), outcome))
                }
            }
        }
        @if let Some(Outcome::Preview(report) | Outcome::Hides(report)) = outcome {
            (preview(language, report, draft.map_or("", |draft| draft.user.as_str())))
        }
    }
}

fn form(visitor: &Visitor, text: &str, was: Digest, user: &str, outcome: Option<&Outcome>) -> Markup {
    let (language, words) = (visitor.language, visitor.language.words());
    let token = visitor
        .session
        .as_ref()
        .map(|session| session.form_token.as_str());
    let is_wrong = matches!(outcome, Some(Outcome::Wrong(_)));
    let described = match outcome {
        Some(Outcome::Wrong(_) | Outcome::Hides(_) | Outcome::Changed) => "rules-help rules-trouble",
        _ => "rules-help",
    };
    html! {
        form id="rules" method="post" action="/rules" {
            label for="text" { (words.rules_text) }
            p id="rules-help" class="dim" { (words.rules_help) }
            textarea id="text" name="text" rows="16" spellcheck="false" autocapitalize="off" autocomplete="off"
                aria-describedby=(described) aria-invalid=[is_wrong.then_some("true")] {
                // A browser takes away a line's end that comes first.
                "\n" (text)
            }
            @match outcome {
                Some(Outcome::Wrong(error)) => div id="rules-trouble" role="alert" {
                    p class="bad" { (words.rules_wrong) }
                    (reported(language, std::slice::from_ref(error)))
                },
                Some(Outcome::Hides(report)) => p id="rules-trouble" class="bad" role="alert" {
                    (fill(words.rules_hide, &[("lists", &hidden(words, report).join(words.comma))]))
                },
                Some(Outcome::Changed) => p id="rules-trouble" class="bad" role="alert" {
                    (words.rules_changed) " " a href="/rules" { (words.rules_load) }
                },
                _ => {}
            }
            label for="user" { (words.rules_user) }
            input id="user" name="user" autocomplete="off" value=(user);
            div { button type="submit" name="do" value="preview" { (words.rules_preview) } }
            @if let Some(Outcome::Hides(_)) = outcome {
                div class="tick" {
                    input id="anyway" name="anyway" type="checkbox" value="yes";
                    label for="anyway" { (words.rules_anyway) }
                }
            }
            input type="hidden" name="was" value=(was);
            input type="hidden" name="form_token" value=[token];
            div { button type="submit" name="do" value="save" { (words.rules_save) } }
        }
    }
}

fn in_force(language: Language, state: &RulesState) -> Markup {
    let words = language.words();
    html! {
        section id="in-force" {
            h2 { (words.rules_now) }
            @match &state.in_force {
                Err(error) => {
                    p class="bad" { (words.rules_none_good) }
                    (reported(language, &[format!("{error:#}")]))
                }
                Ok(InForce { rules, trouble, .. }) => {
                    @if trouble.is_some() { p id="last-good" class="bad" { (words.rules_last_good) } }
                    (rules_in_words(words, rules))
                    @if !state.told.is_empty() { div id="told" { (reported(language, &state.told)) } }
                }
            }
        }
    }
}

fn rules_in_words(words: &Words, rules: &ListRules) -> Markup {
    let file = &rules.file;
    let limit = |text, most: Option<usize>| most.map(|most| fill(text, &[("most", &most)]));
    let values = [
        limit(words.rule_brand, file.at_most_of_a_brand),
        limit(words.rule_category, file.at_most_of_a_category),
        (file.diversity > 0.0).then(|| fill(words.rule_diversity, &[("diversity", &file.diversity)])),
        (file.new_items > 0).then(|| fill(words.rule_new_items, &[("places", &file.new_items)])),
        file.freshness
            .map(|days| fill(words.rule_freshness, &[("days", &days)])),
        file.one_per_variant.as_deref().map(|by| match by {
            "off" => words.rule_variants_off.to_owned(),
            by => fill(words.rule_variants, &[("by", &by)]),
        }),
        file.show_out_of_stock.then(|| words.rule_out_of_stock.to_owned()),
        file.show_in_cart.then(|| words.rule_in_cart.to_owned()),
    ];
    html! {
        ul id="rules-in-words" {
            @for filter in &rules.filters {
                li { (words.rule_keep) " " code { (filter.text) } (of_lists(words, filter.lists, Lists::ALL)) }
            }
            @for boost in &rules.boosts {
                @let (text, by) = if boost.by < 0.0 { (words.rule_down, -boost.by) } else { (words.rule_up, boost.by) };
                li { (fill(text, &[("by", &by)])) " " code { (boost.text) } (of_lists(words, boost.lists, Lists::BY_SCORE)) }
            }
            @for pin in &rules.pins {
                li {
                    code { (pin.item) } " " (fill(words.rule_pin, &[("place", &pin.place)]))
                    @if let Some(until) = &pin.until { (fill(words.rule_until, &[("day", until)])) }
                    (of_lists(words, pin.lists, Lists::only(ListKind::Recommendations)))
                }
            }
            @if !file.never.is_empty() {
                li {
                    (fill(words.rule_never, &[("count", &file.never.len())])) " "
                    @for name in file.never.iter().take(MOST_NAMES) { code { (name) } " " }
                    @if file.never.len() > MOST_NAMES { "…" }
                }
            }
            @for value in values.into_iter().flatten() { li { (value) } }
            // What holds without anybody's saying so.
            @if !file.show_out_of_stock || !file.show_in_cart { li class="dim" { (words.rule_default) } }
        }
    }
}

/// In which lists, unless that goes without saying.
fn of_lists(words: &Words, lists: Lists, unsaid: Lists) -> Markup {
    let names = ListKind::ALL.into_iter().filter(|kind| lists.have(*kind));
    let names: Vec<&str> = names.map(|kind| list_name(words, kind.name())).collect();
    html! { @if lists != unsaid { " (" (fill(words.rule_where, &[("lists", &names.join(words.comma))])) ")" } }
}

fn list_name(words: &Words, kind: &str) -> &'static str {
    match kind {
        "similar" => words.list_similar,
        "bought_together" => words.list_bought_together,
        "popular" => words.list_popular,
        "trending" => words.list_trending,
        "new" => words.list_new,
        _ => words.list_recommendations,
    }
}

fn feeds(language: Language, feeds: &[FeedReport]) -> Markup {
    let words = language.words();
    html! {
        section id="feeds" {
            h2 { (words.feeds) }
            @for feed in feeds {
                h3 { code { (feed.name) } }
                p class={ @if feed.told.is_empty() { "good" } @else { "bad" } } {
                    @match &feed.kept {
                        None => (words.feed_none),
                        Some(kept) => {
                            @let available = kept.offers.values().filter(|offer| offer.available).count();
                            (fill(words.feed_kept, &[
                                ("when", &minute(kept.written)),
                                ("items", &grouped(kept.offers.len() as u64)),
                                ("available", &grouped(available as u64)),
                                ("gone", &grouped(kept.gone.len() as u64)),
                            ]))
                        }
                    }
                }
                (reported(language, &feed.told))
            }
        }
    }
}

fn hidden(words: &Words, report: &RulesReport) -> Vec<&'static str> {
    let empty = report.listed.iter().filter(|(_, count)| *count == 0);
    empty.map(|(kind, _)| list_name(words, kind)).collect()
}

fn preview(language: Language, report: &RulesReport, asked: &str) -> Markup {
    let words = language.words();
    let listed = report
        .listed
        .iter()
        .find(|(kind, _)| kind == ListKind::Recommendations.name());
    let listed = listed.map_or(0, |(_, count)| *count);
    html! {
        section id="preview" {
            h2 { (words.rules_would) }
            p id="filtered" {
                (fill(words.rules_filtered, &[
                    ("items", &grouped(report.items as u64)),
                    ("out", &grouped((report.items - listed) as u64)),
                ]))
            }
            @if !report.rules.is_empty() {
                ul { @for rule in &report.rules { li { (of_rule(words, rule)) } } }
            }
            (reported(language, &report.warnings))
            @if report.user.is_none() && !asked.is_empty() {
                p id="unknown" class="bad" { (fill(words.customer_unknown, &[("customer", &asked)])) }
            }
            h3 {
                @match &report.user {
                    Some(user) => (fill(words.rules_list_of, &[("customer", user)])),
                    None => (words.rules_list_anybody),
                }
            }
            div class="wide" tabindex="0" role="region" aria-label=(words.rules_list) {
                table id="before-after" {
                    thead {
                        tr {
                            th scope="col" class="number" { (words.customer_rank) }
                            th scope="col" { (words.rules_before) }
                            th scope="col" { (words.rules_after) }
                        }
                    }
                    tbody {
                        @for at in 0..report.before.len().max(report.after.len()) {
                            tr {
                                th scope="row" class="number" { (at + 1) }
                                td { @if let Some(item) = report.before.get(at) { (name(item)) } }
                                td { @if let Some(item) = report.after.get(at) { (moved(language, report, item)) } }
                            }
                        }
                    }
                }
            }
            @if !report.left_out.is_empty() {
                h3 { (words.rules_left_out) }
                ul id="left-out" {
                    @for item in &report.left_out {
                        li {
                            @if !item.title.is_empty() { (item.title) " " } code { (item.item_id) } ": "
                            @match &item.why {
                                NotListed::Retired => (words.not_retired),
                                NotListed::Ad => (words.not_ad),
                                NotListed::Never => (words.not_never),
                                NotListed::Hidden => (words.not_hidden),
                                NotListed::OutOfStock => (words.not_in_stock),
                                NotListed::Filter(rule) => { (words.not_filter) " " code { (rule) } }
                                NotListed::Others => (words.not_others),
                            }
                        }
                    }
                }
            }
        }
    }
}

fn of_rule(words: &Words, rule: &RuleReport) -> Markup {
    let text = match rule.kind.as_str() {
        "keep" => words.effect_keep,
        "boost" => words.effect_boost,
        "never" => words.effect_never,
        "new_items" => words.effect_new_items,
        _ => words.effect_always,
    };
    html! {
        code { (rule.rule) } ": " (fill(text, &[("items", &grouped(rule.items as u64))]))
        @if rule.unknown > 0 { " " (fill(words.effect_unknown, &[("items", &grouped(rule.unknown as u64))])) }
    }
}

fn name(item: &Recommended) -> Markup {
    html! { @if !item.title.is_empty() { (item.title) " " } code { (item.item_id) } }
}

/// An item of the list with rules: where it stood before, and what moved it.
fn moved(language: Language, report: &RulesReport, item: &Recommended) -> Markup {
    let words = language.words();
    let before = report.before.iter().find(|other| other.item_id == item.item_id);
    html! {
        (name(item)) " "
        span class="dim" {
            @match before {
                Some(before) if before.rank == item.rank => {}
                Some(before) => (fill(words.rules_was, &[("rank", &before.rank)])),
                None => (words.rules_is_new),
            }
        }
        @if !item.rules.is_empty() { (PreEscaped("<br>")) span class="dim" lang="en" { (item.rules.join("; ")) } }
    }
}

/// Most bytes of a text that is edited on the page: forms are bounded, and longer lists are made by programs.
pub(in super::super) const MOST_EDITED: usize = 256 << 10;
/// Names under `never` that are shown.
const MOST_NAMES: usize = 20;
