//! Items without a home: sold here, and not in the federation's catalogue.

use maud::{Markup, html};

use super::super::facts::Facts;
use super::super::layout::{grouped, reported};
use super::super::words::{Language, Words, fill};
use crate::interactions::unmatched::AllUnmatched;

pub(in super::super) fn view(language: Language, facts: &Facts) -> Markup {
    let words = language.words();
    html! {
        p { (words.unmatched_lead) }
        @match &facts.unmatched {
            None => p id="no-catalogue" { (words.unmatched_own) },
            Some(Err(reason)) => {
                p class="bad" { (words.worry_read) }
                (reported(language, std::slice::from_ref(reason)))
            }
            Some(Ok(all)) if all.items == 0 => p id="all-matched" class="good" { (words.unmatched_none) },
            Some(Ok(all)) => (table(words, all)),
        }
    }
}

fn table(words: &Words, all: &AllUnmatched) -> Markup {
    let counts = [
        ("items", &grouped(all.items as u64) as &dyn std::fmt::Display),
        ("rows", &grouped(all.rows)),
        ("listed", &all.listed.len()),
    ];
    html! {
        p id="unmatched-total" { (fill(words.unmatched_total, &counts)) }
        p { (words.unmatched_how) }
        div class="wide" tabindex="0" role="region" aria-label=(words.unmatched_table) {
            table id="unmatched" {
                caption { (words.unmatched_table) }
                thead {
                    tr {
                        th scope="col" { (words.unmatched_item) }
                        th scope="col" { (words.unmatched_title) }
                        th scope="col" class="number" { (words.unmatched_sold) }
                        th scope="col" { (words.unmatched_near) }
                    }
                }
                tbody {
                    @for item in &all.listed {
                        tr {
                            th scope="row" { code { (item.item_id) } }
                            td { (item.title) }
                            td class="number" { (grouped(item.sold)) }
                            td {
                                ul { @for near in &item.nearest { li { (near.title) " " code { (near.federation_id) } } } }
                            }
                        }
                    }
                }
            }
        }
    }
}
