//! Privacy: epsilon spent and left, and what it means.

use maud::{Markup, html};
use souk_common::params::{rounded_down, rounded_up};

use super::super::chart::gauge;
use super::super::facts::Facts;
use super::super::layout::reported;
use super::super::words::{Language, Words, fill};
use crate::control::Budget;
use crate::control::charged::ChargedKind;
use crate::health::budget::NEARLY_SPENT;

pub(in super::super) fn view(language: Language, facts: &Facts) -> Markup {
    match &facts.budget {
        Ok(budget) => of_budget(language.words(), budget),
        Err(reason) => html! {
            p class="bad" { (language.words().worry_read) }
            (reported(language, std::slice::from_ref(reason)))
        },
    }
}

fn of_budget(words: &Words, budget: &Budget) -> Markup {
    let figure = |epsilon: Option<f64>| {
        epsilon.map_or(words.privacy_without_bound.to_owned(), |epsilon| {
            rounded_up(epsilon, 3)
        })
    };
    html! {
        div id="budget" class="lead" {
            @match budget.epsilon_in_period {
                Some(spent) => {
                    @let (told, limit) = (rounded_up(spent, 3), budget.max_epsilon);
                    @let left = rounded_down((limit - spent).max(0.0), 3);
                    (gauge("gauge", spent / limit, spent > NEARLY_SPENT * limit, &fill(words.privacy_gauge, &[("spent", &told), ("limit", &limit)])))
                    p id="left" { (fill(words.privacy_left, &[("limit", &limit), ("left", &left)])) }
                }
                None => {
                    (gauge("gauge", 1.0, true, words.privacy_unbounded))
                    p id="left" class="bad" { (words.privacy_unbounded) }
                }
            }
        }
        p id="spent" { (fill(words.privacy_spent, &[("spent", &figure(budget.epsilon)), ("delta", &budget.delta)])) " " (words.privacy_exact) }
        @if let Some(days) = budget.period_days {
            p { (fill(words.privacy_spent_period, &[("days", &days), ("spent", &figure(budget.epsilon_in_period))])) }
        }
        @if let Some(epsilon) = budget.epsilon {
            p id="meaning" {
                (fill(words.privacy_means_1, &[("factor", &factor(epsilon)), ("delta", &budget.delta)])) " " (words.privacy_means_2)
            }
        }
        @if budget.noise_is_shared {
            p { (words.privacy_shared) }
            ul {
                li { (fill(words.privacy_readers, &[("epsilon", &figure(budget.epsilon_readers))])) }
                li { (fill(words.privacy_alone, &[("epsilon", &figure(budget.epsilon_if_alone))])) }
            }
        }
        (charges(words, budget))
    }
}

/// e to the power of epsilon, never told smaller than it is.
fn factor(epsilon: f64) -> String {
    match epsilon.exp() {
        factor if factor < 100.0 => rounded_up(factor, 2),
        factor if factor < 1e6 => rounded_up(factor, 0),
        factor => format!("{factor:.1e}"),
    }
}

fn charges(words: &Words, budget: &Budget) -> Markup {
    html! {
        h2 { (words.privacy_kinds) }
        @if budget.charged_by_kind.is_empty() { p { (words.privacy_no_rounds) } } @else {
            table id="charges" {
                caption { (fill(words.rounds_charged, &[("count", &budget.rounds_charged)])) }
                thead { tr { th scope="col" { (words.privacy_kind) } th scope="col" class="number" { (words.privacy_count) } } }
                tbody {
                    @for (kind, count) in &budget.charged_by_kind {
                        tr {
                            th scope="row" {
                                @match kind {
                                    ChargedKind::Release => (words.kind_release),
                                    ChargedKind::Tower => (words.kind_tower),
                                    ChargedKind::Model => (words.kind_model),
                                    ChargedKind::Clicks => (words.kind_clicks),
                                    ChargedKind::Unknown => (words.kind_unknown),
                                }
                            }
                            td class="number" { (count) }
                        }
                    }
                }
            }
        }
    }
}
