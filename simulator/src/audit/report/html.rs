//! The page: one file that asks for nothing outside, with the signed text inside.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::model::{Light, Report};
use super::parts::{class, mark, stands};
use super::show::counted;
use super::{sections, words};

/// What stands before and behind the signed text; the text itself is in neither.
pub(super) struct Page {
    pub(super) before: String,
    pub(super) after: String,
}

impl Page {
    /// Of a report that the holder of `public_key` (hexadecimal) signs.
    pub(super) fn of(report: &Report, public_key: &str) -> Self {
        let title = format!("Privacy audit of {}", report.subject.plan);
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    main {
                        (front(report, &title))
                        (contents())
                        (sections::all(report, public_key))
                    }
                    footer {
                        p class="dim" {
                            "The report as JSON, and the signature, are within this file. " code { "souk-sim audit verify FILE --key " (public_key) }
                            " says whether a byte of it was changed."
                        }
                    }
                    (PreEscaped(SLOT))
                }
            }
        };
        let page = page.into_string();
        // The slot can't be in what a plan or a shop says: every < of theirs is escaped.
        let (before, after) = page.split_once(SLOT).unwrap_or((&page, ""));
        Self {
            before: format!("{before}{OPEN}"),
            after: format!("{CLOSE}{after}\n"),
        }
    }

    /// With the signed text in its place.
    pub(super) fn with(&self, text: &str) -> String {
        format!("{}{text}{}", self.before, self.after)
    }
}

fn front(report: &Report, title: &str) -> Markup {
    let (front, subject) = (&report.front, &report.subject);
    html! {
        section id="front" {
            h1 { (title) }
            p class="dim" {
                (report.provenance.finished) " · " (counted(subject.shops.len() as u64, "shop", "shops")) ", "
                (counted(subject.rounds, "round", "rounds")) " · tried on " (subject.data_set) ", "
                (counted(subject.customers, "customer", "customers"))
            }
            p class={ "verdict " (class(front.light)) } { (mark(front.light)) " " (front.verdict) }
            p {
                "Several shops train one recommender together without showing each other their customers' data. What leaves a shop is a sum \
                 over its customers with chance numbers added, so that it tells next to nothing about any one of them. This report says how \
                 much it can tell at most, and what was found when it was attacked."
            }
            @if report.privacy.is_none() { p class="red" { (words::WITHOUT_PRIVACY) } }
            table {
                caption { "What was checked, and what came out" }
                thead { tr { th scope="col" { "Question" } th scope="col" { "Stands" } th scope="col" { "Answer" } } }
                tbody {
                    @for line in &front.lines {
                        tr {
                            th scope="row" { (line.asked) }
                            td class={ "light " (class(line.light)) } { (mark(line.light)) " " (stands(line.light)) }
                            td { (line.says) }
                        }
                    }
                }
            }
            h2 { "What to do" }
            ol { @for item in &front.to_do { li { (item) } } }
            p class="dim" {
                "Signs: " (mark(Light::Green)) " in order, " (mark(Light::Amber)) " to weigh, " (mark(Light::Red)) " alarm: not as promised, or nothing is \
                 promised. The pages that follow are for who wants to know how this was found; the last ones explain their words."
            }
        }
    }
}

fn contents() -> Markup {
    html! {
        nav aria-label="Contents" {
            h2 { "Contents" }
            ol class="contents" {
                @for section in words::TITLES { li { a href={ "#" (section.id) } { (section.title) } } }
            }
        }
    }
}

/// Where the signed text stands: an element of data, which no browser runs.
pub(super) const OPEN: &str = "<script type=\"application/json\" id=\"signed-report\">";
pub(super) const CLOSE: &str = "</script>";
const SLOT: &str = "<!-- signed report -->";
const STYLE: &str = include_str!("style.css");
