//! Gain: how well lists do, alone and together.

use maud::{Markup, html};

use super::super::chart::gauge;
use super::super::facts::Facts;
use super::super::layout::{grouped, reported};
use super::super::words::{Language, Words, fill};
use crate::stack::ServedBy;
use crate::stack::gain::Gain;

pub(in super::super) fn view(language: Language, facts: &Facts) -> Markup {
    let words = language.words();
    html! {
        p { (words.gain_lead) }
        @match &facts.gain {
            None => p id="no-gain" { (words.gain_none) },
            Some(gain) if gain.customers == 0 => p id="no-gain" { (words.gain_nobody) },
            Some(gain) => {
                (table(words, gain))
                p {
                    (fill(words.gain_customers, &[("count", &grouped(gain.customers as u64))])) " "
                    @if let (Some(difference), Some(error)) = (gain.gain, gain.gain_error) {
                        (fill(words.gain_difference, &[("gain", &format!("{difference:+.1}")), ("error", &format!("{error:.1}"))]))
                    }
                }
                h2 { (words.gain_why) }
                p id="decision" class="lead" {
                    @match gain.served_by {
                        ServedBy::Together => (words.gain_used),
                        ServedBy::Alone | ServedBy::Model => (words.gain_not_used),
                    }
                }
                (reported(language, std::slice::from_ref(&gain.why)))
                p { (words.gain_switch) }
            }
        }
    }
}

pub(super) fn table(words: &Words, gain: &Gain) -> Markup {
    let alone = format!("{:.1}", gain.alone);
    html! {
        (gauge("hits-alone", gain.alone / 100.0, false, &fill(words.gain_chart, &[("hits", &alone)])))
        @if let Some(together) = gain.together {
            @let title = fill(words.gain_chart_together, &[("hits", &format!("{together:.1}"))]);
            (gauge("hits-together", together / 100.0, false, &title))
        }
        table id="gain" {
            caption { (words.gain_table) }
            thead {
                tr {
                    th scope="col" { (words.gain_way) }
                    th scope="col" class="number" { (words.gain_hits) }
                    th scope="col" class="number" { (words.gain_error) }
                }
            }
            tbody {
                tr {
                    th scope="row" { (words.gain_alone) }
                    td class="number" { (alone) }
                    td class="number" { (format!("{:.1}", gain.alone_error)) }
                }
                @if let Some(together) = gain.together {
                    tr {
                        th scope="row" { (words.gain_together) }
                        td class="number" { (format!("{together:.1}")) }
                        // Of both the error of their difference says more than their own.
                        td class="number" { "–" }
                    }
                }
            }
        }
    }
}
