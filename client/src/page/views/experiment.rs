//! Experiment: which kind of list sells to more customers, and how sure that is.

use maud::{Markup, html};
use souk_common::clock::Timestamp;

use super::super::chart::{Span, spans};
use super::super::facts::Facts;
use super::super::layout::{command, day, grouped, reported};
use super::super::words::{Language, Words, fill};
use super::gain;
use crate::experiment::report::{ArmReport, Difference, ExperimentReport};

pub(in super::super) fn view(language: Language, facts: &Facts, now: Timestamp) -> Markup {
    let words = language.words();
    html! {
        p { (words.experiment_lead) }
        @match &facts.experiment {
            None => {
                p id="no-experiment" { (words.experiment_none) }
                (command(EXAMPLE))
                p { (words.experiment_begin) }
            }
            Some(Err(reason)) => {
                p class="bad" { (words.worry_read) }
                (reported(language, std::slice::from_ref(reason)))
            }
            Some(Ok(report)) => (of_experiment(language, report, now)),
        }
        @if let Some(gain) = facts.gain.as_ref().filter(|gain| gain.customers > 0) {
            section id="offline" {
                h2 { (words.experiment_offline) }
                p { (words.experiment_offline_means) }
                (gain::table(words, gain))
            }
        }
    }
}

fn of_experiment(language: Language, report: &ExperimentReport, now: Timestamp) -> Markup {
    let words = language.words();
    html! {
        p id="running" {
            @match report.since {
                None => (fill(words.experiment_nobody, &[("name", &report.name)])),
                Some(since) => {
                    @let days = (now.0 / 1000 - since).max(0) / 86_400;
                    (fill(words.experiment_runs, &[("name", &report.name), ("day", &day(since)), ("days", &days)]))
                }
            }
            " " (fill(words.experiment_counts, &[("days", &report.days)]))
        }
        @for difference in &report.differences { p class="lead meaning" { (meaning(words, difference)) } }
        (picture(words, &report.differences))
        div class="wide" tabindex="0" role="region" aria-label=(words.experiment_table) {
            table id="arms" {
                caption { (words.experiment_table) }
                thead {
                    tr {
                        th scope="col" { (words.experiment_arm) }
                        @for head in [words.experiment_customers, words.experiment_bought, words.experiment_share, words.experiment_interval] {
                            th scope="col" class="number" { (head) }
                        }
                    }
                }
                tbody { @for arm in &report.arms { (row(words, arm)) } }
            }
        }
        p class="dim" { (words.experiment_intervals) }
        (reported(language, &report.notes))
    }
}

fn row(words: &Words, arm: &ArmReport) -> Markup {
    html! {
        tr {
            th scope="row" { (arm_name(words, &arm.arm)) }
            td class="number" { (grouped(arm.customers)) }
            td class="number" { (grouped(arm.bought)) }
            td class="number" { @match arm.share { Some(share) => { (percent(share)) " %" } None => "–" } }
            td class="number" { @if arm.share.is_some() { (percent(arm.low)) "–" (percent(arm.high)) " %" } @else { "–" } }
        }
    }
}

fn arm_name(words: &Words, arm: &str) -> &'static str {
    match arm {
        "bestsellers" => words.arm_bestsellers,
        "alone" => words.arm_alone,
        _ => words.arm_together,
    }
}

fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

/// One sentence for whoever has no use for bounds, and the bounds.
fn meaning(words: &Words, difference: &Difference) -> String {
    let (arm, less) = (
        arm_name(words, &difference.arm),
        arm_name(words, &difference.less),
    );
    let named = |text| fill(text, &[("arm", &arm), ("less", &less)]);
    let (Some(low), Some(high)) = (difference.low, difference.high) else {
        return named(words.experiment_too_few);
    };
    let says = match (low > 0.0, high < 0.0) {
        (true, _) => words.experiment_more,
        (_, true) => words.experiment_fewer,
        _ => words.experiment_open,
    };
    let points = |share: f64| format!("{:+.1}", 100.0 * share);
    let bounds = fill(
        words.experiment_bounds,
        &[
            ("difference", &points(difference.difference)),
            ("low", &points(low)),
            ("high", &points(high)),
        ],
    );
    format!("{} {bounds}", named(says))
}

fn picture(words: &Words, differences: &[Difference]) -> Markup {
    let bounded = differences.iter().filter_map(|difference| {
        Some(Span {
            name: arm_name(words, &difference.arm),
            low: difference.low?,
            middle: difference.difference,
            high: difference.high?,
        })
    });
    let bounded: Vec<Span> = bounded.collect();
    let Some(first) = differences.first().filter(|_| !bounded.is_empty()) else {
        return html! {};
    };
    let sentences: Vec<String> = differences
        .iter()
        .map(|difference| meaning(words, difference))
        .collect();
    let less = arm_name(words, &first.less);
    html! {
        (spans("differences", &bounded, &sentences.join(" ")))
        p class="dim" { (fill(words.experiment_picture, &[("less", &less)])) }
    }
}

/// As `shop.toml` has it.
const EXAMPLE: &str = "[experiment]\nname = \"autumn\"\nbestsellers = 1\nalone = 1\ntogether = 8\ndays = 14";
