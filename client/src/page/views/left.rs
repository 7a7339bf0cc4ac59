//! What left this building.

use maud::{Markup, html};
use souk_common::ids::Digest;

use super::super::facts::Facts;
use super::super::layout::{command, grouped, minute, moment, reported};
use super::super::words::{Language, Words, fill};
use super::codes::rejected;
use crate::control::charged::ChargedKind;
use crate::store::UploadRecord;

/// `has_bytes` says whether an update's bytes are still in the outbox.
pub(in super::super) fn view(
    language: Language,
    facts: &Facts,
    has_bytes: impl Fn(&Digest) -> bool,
) -> Markup {
    let words = language.words();
    html! {
        p class="lead" { (words.left_lead) }
        @if facts.budget.as_ref().is_ok_and(|budget| budget.epsilon.is_none()) {
            p id="no-noise" class="bad" { (words.left_no_noise) }
        }
        @match &facts.uploads {
            Err(reason) => {
                p class="bad" { (words.worry_read) }
                (reported(language, std::slice::from_ref(reason)))
            }
            Ok(uploads) if uploads.is_empty() => p id="nothing-left" { (words.left_none) },
            Ok(uploads) => (table(words, uploads, has_bytes)),
        }
        p { (words.left_beside) }
        p { (words.left_kept) }
    }
}

fn table(
    words: &Words,
    uploads: &[(UploadRecord, ChargedKind)],
    has_bytes: impl Fn(&Digest) -> bool,
) -> Markup {
    let bytes: u64 = uploads.iter().map(|(record, _)| record.bytes_sent).sum();
    let late: Vec<_> = uploads
        .iter()
        .filter_map(|(record, _)| record.late_by())
        .collect();
    html! {
        p id="left-total" { (fill(words.left_total, &[("count", &uploads.len()), ("bytes", &grouped(bytes))])) }
        @if let Some(most) = late.iter().max() {
            @let secs = most.as_millis().div_ceil(1000);
            p class="bad" { (fill(words.left_late, &[("count", &late.len()), ("secs", &secs)])) }
        }
        div class="wide" tabindex="0" role="region" aria-label=(words.left_table) {
            table id="uploads" {
                caption { (words.left_table) }
                thead {
                    tr {
                        @for head in [words.left_when, words.left_round, words.left_bytes, words.left_what, words.left_masks,
                            words.left_state, words.left_digest, words.left_file] {
                            th scope="col" { (head) }
                        }
                    }
                }
                tbody { @for (record, kind) in uploads.iter().rev().take(MOST_ROWS) { (row(words, record, *kind, has_bytes(&record.header.update))) } }
            }
        }
        @if let Some(more) = uploads.len().checked_sub(MOST_ROWS).filter(|more| *more > 0) {
            p { (fill(words.left_more, &[("count", &more)])) }
            (command("souk-client sent --dir shop"))
        }
    }
}

fn row(words: &Words, record: &UploadRecord, kind: ChargedKind, has_bytes: bool) -> Markup {
    let digest = record.header.update;
    html! {
        tr {
            th scope="row" { @if let Some(at) = record.first_sent_at { (moment(at)) } }
            td { (record.header.id.round) "." (record.header.id.attempt) }
            td class="number" { (grouped(record.bytes_sent)) }
            td {
                @match kind {
                    ChargedKind::Release => (words.left_release),
                    ChargedKind::Tower => (words.left_tower),
                    ChargedKind::Clicks => (words.left_clicks),
                    ChargedKind::Model => (words.left_model),
                    ChargedKind::Unknown => (words.left_unknown),
                }
             }
            td { @if record.masked { (words.left_masked) } @else { (words.left_bare) } }
            td {
                @match (&record.receipt, record.rejected) {
                    (Some(receipt), _) => (fill(words.left_receipt, &[("when", &minute(receipt.body.stored_at))])),
                    (None, Some(code)) => (fill(words.left_refused, &[("why", &rejected(words, code))])),
                    (None, None) => (words.left_waiting),
                }
            }
            td { code { (digest) } }
            td {
                @if has_bytes {
                    a href={ "/left/" (digest) } download {
                        (fill(words.left_get, &[("bytes", &grouped(record.header.len_bytes))]))
                    }
                } @else { "–" }
            }
        }
    }
}

/// Latest updates that are listed.
const MOST_ROWS: usize = 200;
