//! Keys: whom this shop counts on in masked rounds, and how to confirm them.

use maud::{Markup, html};

use super::super::chart::qr;
use super::super::facts::Facts;
use super::super::layout::{command, reported};
use super::super::words::{Language, Words, fill};
use crate::membership::peers::{KeyStatus, Peer, Peers, spoken};

pub(in super::super) fn view(language: Language, facts: &Facts) -> Markup {
    let words = language.words();
    html! {
        p { (words.keys_lead) }
        @match &facts.keys {
            Err(reason) => {
                p id="no-keys" class="bad" { (words.keys_none) }
                (reported(language, std::slice::from_ref(reason)))
            }
            Ok(peers) => (of_peers(words, peers)),
        }
        p { (words.keys_how_1) }
        (command("souk-client shops --trust NAME=FINGERPRINT --dir shop"))
        p { (words.keys_how_2) }
        (command("souk-client confirm --list shops.json --dir shop"))
        p { (words.keys_how_3) }
        (command("souk-client confirm --list shops.json --phrase 'WORDS' --dir shop"))
    }
}

fn of_peers(words: &Words, peers: &Peers) -> Markup {
    // A member of this shop's name with another key stands among the others, where it is seen.
    let others = peers
        .members
        .iter()
        .filter(|peer| peer.standing != KeyStatus::Own);
    html! {
        section id="own-key" {
            h2 { (words.keys_own) }
            p class="print" { (spoken(&peers.fingerprint)) }
            (qr("qr-own", &peers.fingerprint.to_string(), &fill(words.keys_qr, &[("shop", &peers.shop)])))
        }
        h2 { (words.keys_others) }
        div class="wide" tabindex="0" role="region" aria-label=(words.keys_others) {
            table id="keys" {
                thead {
                    tr { @for head in [words.keys_shop, words.keys_state, words.keys_print] { th scope="col" { (head) } } }
                }
                tbody { @for peer in others { (row(words, peer)) } }
            }
        }
    }
}

fn row(words: &Words, peer: &Peer) -> Markup {
    let (class, state) = match peer.standing {
        KeyStatus::Own => ("", words.key_own),
        KeyStatus::Confirmed => ("good", words.key_confirmed),
        KeyStatus::NotConfirmed => ("", words.key_open),
        KeyStatus::Changed => ("bad", words.key_changed),
    };
    let title = fill(words.keys_qr, &[("shop", &peer.shop)]);
    html! {
        tr {
            th scope="row" { (peer.shop) }
            td class={ "state " (class) } { (state) }
            td {
                span class="print" { (spoken(&peer.fingerprint)) }
                (qr(&format!("qr-{}", peer.shop), &peer.fingerprint.to_string(), &title))
            }
        }
    }
}
