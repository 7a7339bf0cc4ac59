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
    let next = status.next_round.clone();
    facts.extend(next.map(|next| ("next", next)));
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
        (Some(_), Some(address)) => {
            let tcp = match status.listening_tcp.as_slice() {
                [] => "no TCP".to_owned(),
                addresses => format!("TCP {}", addresses.join(", ")),
            };
            format!("UDP {address}; {tcp}; process {}", status.process_id)
        }
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
        let why = status.paused_because.clone();
        facts.push((
            "! paused",
            why.unwrap_or_else(|| "no attempt begins until `resume`".to_owned()),
        ));
    }
    let left_out = status.left_out.iter();
    facts.extend(left_out.map(|out| {
        let text = format!(
            "{} since {}: it {} (`readmit` lets it back)",
            out.shop, out.since, out.why
        );
        ("! left out", text)
    }));
    facts.extend(status.outgrown.map(|sum| ("! outgrown", sum.words())));
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
        let over = shop.carrier.map_or("-".to_owned(), |carrier| carrier.to_string());
        [shop.shop.to_string(), shop.state.clone(), over, key]
    };
    table::columns(["shop", "state", "over", "key"], shops.iter().map(row))
}

#[cfg(test)]
mod tests {
    use souk_common::chain::LogHead;
    use souk_common::ids::{AttemptId, Digest};
    use souk_common::round::statements::DeclineCode;
    use souk_common::transport::Carrier;

    use super::*;
    use crate::control::answer::LeftOut;
    use crate::engine::OutgrownSum;
    use crate::limits::Limits;
    use crate::store::Late;

    fn sample() -> Status {
        let id = AttemptId { round: 3, attempt: 2 };
        let shop = |name: &str, state: &str| ShopStatus {
            shop: name.parse().unwrap(),
            state: state.to_owned(),
            code: None,
            reason: None,
            key_fingerprint: None,
            discarded: None,
            carrier: None,
        };
        let code = DeclineCode::OverBudget;
        Status {
            paused_because: None,
            left_out: vec![LeftOut {
                shop: "liar".parse().unwrap(),
                since: id,
                why: "lied".to_owned(),
            }],
            quality: None,
            outgrown: Some(OutgrownSum {
                plan: Digest::ZERO,
                id,
                times_declared: 1.73,
                headroom: 4,
            }),
            masked_step: Some("shares".to_owned()),
            state: RunState::Paused,
            rounds_published: 2,
            rounds: 60,
            next_round: Some("step 3 of 60 that train the model".to_owned()),
            attempt: 2,
            model_hash: None,
            log: LogHead {
                length: 7,
                head: Digest::ZERO,
            },
            process_id: 12,
            listening: Some("127.0.0.1:4433".to_owned()),
            listening_tcp: vec!["127.0.0.1:4433".to_owned(), "0.0.0.0:443".to_owned()],
            bytes_received: 1_234_567,
            bytes_sent: 12,
            seconds: 1.26,
            connections: Vec::new(),
            shops: Some(vec![
                ShopStatus {
                    code: Some(code),
                    reason: Some(code.words().to_owned()),
                    ..shop("poor", "declined")
                },
                ShopStatus {
                    discarded: Some(Late { id, count: 4 }),
                    carrier: Some(Carrier::Tcp),
                    ..shop("slow", "away")
                },
            ]),
            certified_until: None,
            clocks_off: vec!["early".parse().unwrap()],
            memory_bound: Limits::default().memory(0, 0),
        }
    }

    #[test]
    fn an_answer_is_the_same_after_its_way_over_the_socket() {
        let answer = Answer::Status(Box::new(Status {
            quality: Some(Quality {
                of_model_of_round: 2,
                hit_rate_at_10: Some(0.1 + 0.2),
                noise_stddev: Some(1e-3),
                users: 120.0,
                hits: 36.5,
                candidates: "full".to_owned(),
            }),
            ..sample()
        }));
        let line = serde_json::to_string(&answer).unwrap();
        assert_eq!(serde_json::from_str::<Answer>(&line).unwrap(), answer);
    }

    #[test]
    fn what_needs_attention_comes_first_each_on_its_line() {
        let text = status_table(&sample());
        let lines: Vec<&str> = text.lines().collect();
        let begin = [
            "! paused        no attempt begins".to_owned(),
            "! left out      liar since round 3 attempt 2: it lied".to_owned(),
            "! outgrown      the sum of round 3 attempt 2 is at least 1.7 times what all declared customers can".to_owned(),
            format!("! declined      poor: {}", DeclineCode::OverBudget.words()),
            "! too late      slow: 4 updates, the last for round 3 attempt 2".to_owned(),
            "! clock is off  early".to_owned(),
            "state           paused".to_owned(),
            "rounds          2 of 60 published".to_owned(),
            "next            step 3 of 60 that train the model".to_owned(),
            "attempt         2 at round 3".to_owned(),
            "waits for       shares of the masked attempt".to_owned(),
        ];
        for (line, begin) in lines.iter().zip(&begin) {
            assert!(line.starts_with(begin.as_str()), "{begin:?}: {text}");
        }
        for said in [
            "UDP 127.0.0.1:4433; TCP 127.0.0.1:4433, 0.0.0.0:443; process 12",
            "poor  declined  -     unknown",
            "slow  away      TCP   unknown",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
        assert!(
            text.contains("1.2 MB") && text.contains("12 bytes") && text.contains("1.3 s"),
            "{text}"
        );
    }
}
