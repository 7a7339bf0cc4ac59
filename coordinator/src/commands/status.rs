//! `status`, `pause` and `resume`: where the run stands.

use super::{At, ask, other_version, show, table};
use crate::control::answer::{Quality, RunState, ShopStatus, Status};
use crate::control::{Answer, Question};
use crate::error::Failure;

pub(super) fn status(at: &At) -> Result<(), Failure> {
    match ask(at, &Question::Status)? {
        Answer::Status(status) => show(at, &status, || status_table(&status)),
        _ => Err(other_version()),
    }
}

pub(super) fn pause(at: &At) -> Result<(), Failure> {
    set_paused(at, &Question::Pause)
}

pub(super) fn resume(at: &At) -> Result<(), Failure> {
    set_paused(at, &Question::Resume)
}

fn set_paused(at: &At, question: &Question) -> Result<(), Failure> {
    match ask(at, question)? {
        Answer::Paused(now) => show(at, &now, || {
            match now.paused {
                true => "paused: no further attempt begins; one that is open ends first",
                false => "not paused: attempts begin again",
            }
            .to_owned()
        }),
        _ => Err(other_version()),
    }
}

/// What needs attention comes first.
fn status_table(status: &Status) -> String {
    let mut facts = needs_attention(status);
    let state = match status.state {
        RunState::Waiting => "waiting",
        RunState::Running => "running",
        RunState::Paused => "paused",
        RunState::Finished => "finished",
    };
    let rounds = match status.rounds {
        0 => "no run was begun yet; `serve --plan FILE` begins one".to_owned(),
        rounds => format!("{} of {rounds} published", status.rounds_published),
    };
    facts.extend([("state", state.to_owned()), ("rounds", rounds)]);
    if status.attempt > 0 {
        let next = status.rounds_published + 1;
        facts.push(("attempt", format!("{} at round {next}", status.attempt)));
    }
    let step = status.masked_step.as_ref();
    facts.extend(step.map(|step| ("waits for", format!("{step} of the masked attempt"))));
    let model = status
        .model_hash
        .map_or("none yet".to_owned(), |model| model.to_string());
    facts.push(("model", model));
    facts.extend(
        status
            .quality
            .as_ref()
            .map(|quality| ("quality", of_quality(quality))),
    );
    let listening = match (&status.shops, &status.listening) {
        (Some(_), Some(address)) => format!("{address}, process {}", status.process_id),
        (_, Some(address)) => format!("no: `serve` does not run; it did at {address}"),
        _ => "no: `serve` never ran".to_owned(),
    };
    facts.push(("listening", listening));
    let certified = status.certified_until.clone();
    facts.extend(certified.map(|until| ("certified until", until)));
    facts.extend([
        ("received", table::size(status.bytes_received)),
        ("sent", table::size(status.bytes_sent)),
        (
            "seconds",
            format!("{:.1} s from the start of `serve` to the model", status.seconds),
        ),
        (
            "record",
            format!("{} entries, head {}", status.log.length, status.log.head),
        ),
        (
            "memory",
            format!("at most {}", table::size(status.memory_bound.total_bytes)),
        ),
    ]);
    let text = table::facts(&facts);
    match &status.shops {
        Some(shops) => format!("{text}\n\n{}", shops_table(shops)),
        None => text,
    }
}

fn needs_attention(status: &Status) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if status.state == RunState::Paused {
        facts.push(("! paused", "no attempt begins until `resume`".to_owned()));
    }
    let left_out = status.left_out.iter();
    facts.extend(left_out.map(|out| {
        let text = format!(
            "{} since {}: it {} (`readmit` lets it back)",
            out.shop, out.since, out.why
        );
        ("! left out", text)
    }));
    for shop in status.shops.iter().flatten() {
        if let Some(reason) = &shop.reason {
            facts.push(("! declined", format!("{}: {reason}", shop.shop)));
        }
        if let Some(late) = shop.discarded {
            let text = format!("{}: {} updates, the last for {}", shop.shop, late.count, late.id);
            facts.push(("! too late", text));
        }
    }
    let off = status.clocks_off.iter();
    facts.extend(off.map(|shop| ("! clock is off", format!("{shop} (`shops` says by how much)"))));
    facts
}

fn of_quality(quality: &Quality) -> String {
    let of = quality.of_model_of_round;
    match (quality.hit_rate_at_10, quality.noise_stddev) {
        (Some(rate), Some(noise)) => format!(
            "hit rate at 10: {rate:.3}, noise {noise:.3}, over {:.0} users, of round {of}'s model",
            quality.users
        ),
        _ => format!("of round {of}'s model not known: the noise is as large as the count"),
    }
}

fn shops_table(shops: &[ShopStatus]) -> String {
    let row = |shop: &ShopStatus| {
        let key = shop
            .key_fingerprint
            .map_or("unknown".to_owned(), |key| key.to_string());
        [shop.shop.to_string(), shop.state.clone(), key]
    };
    table::columns(["shop", "state", "key"], shops.iter().map(row))
}
