//! Data: what became of every row of every source.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::super::facts::{DataFacts, Facts, SourceFacts};
use super::super::layout::{command, day, grouped, reported};
use super::super::words::{Language, Words, fill};
use crate::data::{DataReport, SourceReport};
use crate::interactions::outcome::ImportState;

pub(in super::super) fn view(language: Language, facts: &Facts) -> Markup {
    let words = language.words();
    html! {
        p { (words.data_lead) }
        @match &facts.data {
            Err(reason) => {
                p class="bad" { (words.worry_data) }
                (reported(language, std::slice::from_ref(reason)))
            }
            Ok(data) => (of_data(language, data)),
        }
        p { (words.data_more_help) }
        (command("souk-client check-data --dir shop"))
    }
}

fn of_data(language: Language, data: &DataFacts) -> Markup {
    let words = language.words();
    html! {
        @if !data.troubles.is_empty() {
            section id="troubles" {
                h2 class="bad" { (words.data_trouble) }
                (reported(language, &data.troubles))
            }
        }
        @if !data.doubts.is_empty() {
            section id="doubts" {
                h2 { (words.data_doubt) }
                (reported(language, &data.doubts))
            }
        }
        @if data.sources.is_empty() { p { (words.data_none) } }
        @for (at, source) in data.sources.iter().enumerate() { (of_source(language, at, source)) }
    }
}

fn of_source(language: Language, at: usize, source: &SourceFacts) -> Markup {
    let words = language.words();
    let (class, state) = match source.state {
        ImportState::Imported | ImportState::Unchanged => ("good", words.state_kept),
        ImportState::Refused => ("bad", words.state_refused),
        ImportState::Failed => ("bad", words.state_failed),
        ImportState::LetGo => ("dim", words.state_gone),
    };
    html! {
        section id={ "source-" (at) } {
            h2 { (source.name) }
            p class=(class) { (state) }
            @for report in &source.report.sources { (of_report(language, report)) }
            @if !source.report.warnings.is_empty() {
                h3 { (words.data_warnings) }
                (reported(language, &source.report.warnings))
            }
            (bad_lines(words, &source.report))
        }
    }
}

fn of_report(language: Language, report: &SourceReport) -> Markup {
    let words = language.words();
    let counted = |text: &'static str, counts: &BTreeMap<String, u64>| -> Vec<(String, u64)> {
        let row = |(reason, count): (&String, &u64)| (fill(text, &[("reason", reason)]), *count);
        counts.iter().map(row).collect()
    };
    let rows = [(words.data_taken.to_owned(), report.taken)]
        .into_iter()
        .chain(counted(words.data_left_out, &report.left_out))
        .chain(counted(words.data_bad, &report.bad));
    html! {
        @if let Some((first, last)) = report.span {
            p { (fill(words.data_days, &[("first", &day(first)), ("last", &day(last))])) }
        }
        table {
            caption { (fill(words.data_table, &[("name", &report.name)])) }
            thead { tr { th scope="col" { (words.data_rows) } th scope="col" class="number" { (words.data_count) } } }
            tbody {
                @for (what, count) in rows {
                    tr { th scope="row" { (what) } td class="number" { (grouped(count)) } }
                }
                @for (column, count) in &report.missing {
                    tr {
                        th scope="row" { (fill(words.data_missing, &[("column", column)])) }
                        td class="number" { (grouped(*count)) }
                    }
                }
            }
        }
        @if !report.statuses.is_empty() {
            h3 { (words.data_statuses) }
            ul {
                @for (status, count) in &report.statuses {
                    @let text = if count.bought { words.data_bought } else { words.data_not_bought };
                    li { (fill(text, &[("status", status), ("lines", &grouped(count.lines))])) }
                }
            }
        }
        @if !report.guessed.is_empty() {
            h3 { (words.data_guessed) }
            (reported(language, &report.guessed))
        }
    }
}

fn bad_lines(words: &Words, report: &DataReport) -> Markup {
    let more = report.bad_lines.saturating_sub(report.bad.len() as u64);
    html! {
        @if !report.bad.is_empty() {
            div class="wide" tabindex="0" role="region" aria-label=(words.data_bad_lines) {
                table {
                    caption { (words.data_bad_lines) }
                    thead {
                        tr {
                            th scope="col" { (words.data_file) }
                            th scope="col" class="number" { (words.data_line) }
                            th scope="col" { (words.data_reason) }
                        }
                    }
                    tbody {
                        @for bad in &report.bad {
                            tr { th scope="row" { (bad.file) } td class="number" { (bad.line) } td lang="en" { (bad.reason) } }
                        }
                    }
                }
            }
            @if more > 0 { p { (fill(words.data_more, &[("count", &grouped(more))])) } }
        }
    }
}
