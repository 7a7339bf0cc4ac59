//! Rounds: what is next, what was charged, what was heard.

use maud::{Markup, html};

use super::super::Heard;
use super::super::facts::Facts;
use super::super::layout::{grouped, moment, reported};
use super::super::words::{Language, Words, fill};
use super::codes::{declined, rejected};
use crate::participate::Note;

pub(in super::super) fn view(language: Language, facts: &Facts, heard: &[Heard]) -> Markup {
    let words = language.words();
    html! {
        p { (words.rounds_lead) }
        section id="next" {
            h2 { (words.rounds_next) }
            @match &facts.next {
                Err(reason) => {
                    p class="bad" { (words.worry_read) }
                    (reported(language, std::slice::from_ref(reason)))
                }
                Ok(None) => p { (words.rounds_none) },
                Ok(Some(next)) => {
                    @let named = [("round", &next.round as &dyn std::fmt::Display), ("plan", &next.plan.name)];
                    @if next.is_over { p { (fill(words.rounds_over, &named)) } }
                    @else if next.refusals.is_empty() { p class="good" { (fill(words.rounds_take, &named)) } }
                    @else {
                        p class="bad" { (fill(words.rounds_decline, &named)) }
                        (reported(language, &next.refusals))
                    }
                }
            }
        }
        @if let Ok(budget) = &facts.budget {
            p id="charged" { (fill(words.rounds_charged, &[("count", &budget.rounds_charged)])) }
        }
        section id="heard" {
            h2 { (words.rounds_heard) }
            @if heard.is_empty() { p { (words.rounds_heard_none) } } @else {
                table {
                    thead { tr { th scope="col" { (words.rounds_when) } th scope="col" { (words.rounds_what) } } }
                    tbody {
                        @for one in heard {
                            tr { th scope="row" { (moment(one.at)) } td { (in_words(words, &one.note)) } }
                        }
                    }
                }
            }
        }
    }
}

/// What became of a round.
fn in_words(words: &Words, note: &Note) -> String {
    match note {
        Note::Accepted(key) => fill(
            words.heard_accepted,
            &[("round", &key.id.round), ("attempt", &key.id.attempt)],
        ),
        Note::Declined(key, code) => fill(
            words.heard_declined,
            &[
                ("round", &key.id.round),
                ("attempt", &key.id.attempt),
                ("why", &declined(words, *code)),
            ],
        ),
        Note::Ready(key) => fill(
            words.heard_ready,
            &[("round", &key.id.round), ("attempt", &key.id.attempt)],
        ),
        Note::Received(header) => fill(
            words.heard_received,
            &[
                ("round", &header.id.round),
                ("attempt", &header.id.attempt),
                ("bytes", &grouped(header.len_bytes)),
            ],
        ),
        Note::Rejected(header, code) => fill(
            words.heard_rejected,
            &[
                ("round", &header.id.round),
                ("attempt", &header.id.attempt),
                ("why", &rejected(words, *code)),
            ],
        ),
        Note::TooSlow { id, by } => fill(
            words.heard_slow,
            &[
                ("round", &id.round),
                ("attempt", &id.attempt),
                ("secs", &by.as_millis().div_ceil(1000)),
            ],
        ),
        Note::Model(manifest) => fill(words.heard_model, &[("round", &manifest.id.round)]),
        Note::BelowQuorum { id, accepted, quorum } => fill(
            words.heard_quorum,
            &[
                ("round", &id.round),
                ("attempt", &id.attempt),
                ("accepted", accepted),
                ("quorum", quorum),
            ],
        ),
        Note::NotUnmasked {
            id,
            survivors,
            revealed,
        } => fill(
            words.heard_unmasked,
            &[
                ("round", &id.round),
                ("attempt", &id.attempt),
                ("survivors", survivors),
                ("revealed", revealed),
            ],
        ),
        Note::Forked(_) => words.heard_forked.to_owned(),
        // Not among what is noted.
        Note::Disconnected { .. } | Note::Finished => note.to_string(),
    }
}
