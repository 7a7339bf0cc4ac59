//! Answers in words, and as tables.

use std::fmt::Write;

use souk_common::params::{rounded_down, rounded_up};
use souk_common::terminal::printable;

use crate::control::{Budget, CheckedData};
use crate::membership::peers::{KeyStatus, Peer, Peers, spoken};
use crate::recommend::Recommendations;
use crate::recommend::ads::AdList;
use crate::stack::ServedBy;
use crate::stack::gain::Gain;
use crate::store::UploadRecord;
use souk_common::date::date as time;

/// A list for people.
pub(crate) fn list(list: &Recommendations) -> String {
    let user = printable(&list.user_id);
    let mut text = match (list.personal, user.is_empty()) {
        (true, false) => format!("For {user}, who bought {} different items:\n", list.history),
        (true, true) => format!("For a basket of {} different items:\n", list.history),
        (false, true) => "For somebody of whom nothing is known:\n".to_owned(),
        (false, false) if list.history > 0 => {
            format!(
                "{user} has given no stars yet: what follows is what everybody likes, not chosen for {user}.\n"
            )
        }
        (false, false) => {
            let what = match list.served_by {
                ServedBy::Model => "the model holds good for anybody",
                ServedBy::Alone | ServedBy::Together => "sells best",
            };
            format!("{user} has bought nothing yet: what follows is what {what}, not chosen for {user}.\n")
        }
    };
    if list.own_catalogue {
        text.push_str(OWN_CATALOGUE);
    }
    for item in &list.items {
        let name = if item.title.is_empty() {
            String::new()
        } else {
            format!("  {}", printable(&item.title))
        };
        let mut facts: Vec<String> = [&item.category, &item.brand]
            .into_iter()
            .filter(|fact| !fact.is_empty())
            .map(|fact| printable(fact).into_owned())
            .collect();
        facts.extend(item.price.map(|price| format!("{price:.2}")));
        let facts = if facts.is_empty() {
            String::new()
        } else {
            format!("  ({})", facts.join(", "))
        };
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "{:>3}. {}{name}{facts}  {}",
            item.rank,
            printable(&item.item_id),
            match item.stars {
                Some(stars) => format!("{stars:.1} stars"),
                None => format!("score {:.3}", item.score),
            }
        );
        for reason in &item.reasons {
            let _ = writeln!(text, "       because {}", printable(&reason.clause()));
        }
        for rule in &item.rules {
            let _ = writeln!(text, "       by your rules {}", printable(rule));
        }
    }
    if list.items.is_empty() {
        text.push_str("  nothing is left to recommend\n");
    }
    if list.left_out_by_rules > 0 {
        let _ = writeln!(text, "Your rules leave out {} more.", list.left_out_by_rules);
    }
    for trouble in &list.rules_trouble {
        let _ = writeln!(text, "{}", printable(trouble));
    }
    let _ = writeln!(text, "Made {}.", list.serving.words(list.served_by));
    text.truncate(text.trim_end().len());
    text
}

/// Ads for people.
pub(crate) fn ads(list: &AdList) -> String {
    let user = printable(&list.user_id);
    let mut text = match (list.personal, user.is_empty()) {
        (_, true) => "Ads for somebody of whom nothing is known:\n".to_owned(),
        (true, false) => format!("Ads for {user}:\n"),
        (false, false) => {
            format!(
                "{user} has bought and clicked nothing yet: what follows is what anybody would be shown.\n"
            )
        }
    };
    for ad in &list.ads {
        let facts = [&ad.title, &ad.category].map(|fact| printable(fact));
        let facts: Vec<&str> = facts
            .iter()
            .map(AsRef::as_ref)
            .filter(|fact| !fact.is_empty())
            .collect();
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "{:>3}. {}  {}  clicked {:.2} times in a hundred",
            ad.rank,
            printable(&ad.item_id),
            facts.join(", "),
            100.0 * ad.probability
        );
        for reason in &ad.reasons {
            let _ = writeln!(text, "       because {reason}");
        }
    }
    if let Some(learned) = &list.serving.learned {
        let _ = writeln!(text, "Made by what all shops learned in {}.", learned.words());
    }
    text.truncate(text.trim_end().len());
    text
}

/// What the stack says about itself, for people.
pub(crate) fn gain(gain: &Gain) -> String {
    let mut text = gain.words();
    let used = match gain.served_by {
        ServedBy::Together => "used",
        ServedBy::Alone | ServedBy::Model => "not used",
    };
    let _ = write!(text, "\nwhat all shops released is {used}: {}", gain.why);
    for told in &gain.collapsed {
        let _ = write!(text, "\n{}", printable(told));
    }
    if gain.own_catalogue {
        let _ = write!(text, "\n{}", OWN_CATALOGUE.trim_end());
    }
    text
}

const OWN_CATALOGUE: &str =
    "(No catalogue has come from the federation yet: these are the items of your own files.)\n";

/// Lists as CSV: user_id,rank,item_id,score,title.
///
/// # Errors
/// When memory is short.
pub(crate) fn csv(lists: &[Recommendations]) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["user_id", "rank", "item_id", "score", "title"])?;
    for list in lists {
        for item in &list.items {
            let (rank, score) = (item.rank.to_string(), item.score.to_string());
            writer.write_record([&list.user_id, &rank, &item.item_id, &score, &item.title])?;
        }
    }
    Ok(writer.into_inner().map_err(|error| error.into_error())?)
}

/// The budget for people.
pub(crate) fn budget(budget: &Budget) -> String {
    let figure =
        |epsilon: Option<f64>| epsilon.map_or("without bound".to_owned(), |epsilon| rounded_up(epsilon, 3));
    let mut text = format!(
        "epsilon {} at delta {:e}, unit one {}, relation {}, over {} rounds charged{}\n",
        figure(budget.epsilon),
        budget.delta,
        budget.unit,
        budget.relation,
        budget.rounds_charged,
        by_kind(budget)
    );
    if budget.noise_is_shared {
        let _ = writeln!(
            text,
            "the noise is shared with other shops: that figure holds while no more of them collude than the plans say;\n  \
             against readers of the published models alone it is {}; were every other shop invented by the coordinator, \
             {}\n  (which `souk-client shops` guards against)",
            figure(budget.epsilon_readers),
            figure(budget.epsilon_if_alone)
        );
    }
    let period = match budget.period_days {
        Some(days) => format!(
            "in the last {days} days, epsilon {}",
            figure(budget.epsilon_in_period)
        ),
        None => "over all time".to_owned(),
    };
    let left = budget
        .epsilon_in_period
        .map_or("nothing is left".to_owned(), |spent| {
            format!(
                "{} are left",
                rounded_down((budget.max_epsilon - spent).max(0.0), 3)
            )
        });
    let _ = writeln!(
        text,
        "your limit is epsilon {} {period}; {left}",
        budget.max_epsilon
    );
    let model = budget.model_hash.as_deref().unwrap_or("none yet");
    let _ = write!(text, "model in use: {model}");
    text
}

/// Which kinds of rounds were charged.
fn by_kind(budget: &Budget) -> String {
    let kinds = budget.charged_by_kind.iter();
    let kinds: Vec<String> = kinds
        .map(|(kind, count)| format!("{count} {}", kind.words()))
        .collect();
    match kinds.is_empty() {
        true => String::new(),
        false => format!(" ({})", kinds.join(", ")),
    }
}

/// What is in the shop's files, for people.
pub(crate) fn data(data: &CheckedData) -> String {
    let mut text = data.report.to_text();
    for note in &data.notes {
        let _ = writeln!(text, "note        {note}");
    }
    text.truncate(text.trim_end().len());
    text
}

/// What left the building, for people.
pub(crate) fn sent(uploads: &[UploadRecord]) -> String {
    if uploads.is_empty() {
        return "Nothing computed from your data has left this building.".to_owned();
    }
    let mut text = String::from(
        "Updates that left this building; each is a sum over customers, clipped, with noise, charged to the ledger first:\n",
    );
    for record in uploads {
        let _ = writeln!(
            text,
            "  {}  {}  {} bytes  {}  {}",
            record.first_sent_at.map_or(String::new(), time),
            record.header.id,
            record.bytes_sent,
            record.header.update.short(),
            outcome(record)
        );
    }
    let late = uploads.iter().filter_map(UploadRecord::late_by);
    if let Some(most) = late.clone().max() {
        let _ = writeln!(
            text,
            "  {} of them were ready only after the time at which their plan lets them leave (upload_after), up to {} s later: \
             this machine is too slow for the plan, and when they left tells something of how long training took; ask the \
             operator for a longer upload_after",
            late.count(),
            most.as_millis().div_ceil(1000)
        );
    }
    let bytes: u64 = uploads.iter().map(|record| record.bytes_sent).sum();
    let _ = write!(
        text,
        "{} updates, {bytes} bytes. Beside them: accept or decline, your program's version, and for updates under \
         masks keys, sealed shares and signatures, made of random numbers and nobody's data. The bytes of the last \
         ones are in outbox/.",
        uploads.len()
    );
    text
}

/// What left the building, as JSON.
pub(crate) fn sent_json(uploads: &[UploadRecord]) -> serde_json::Value {
    let rows: Vec<_> = uploads
        .iter()
        .map(|record| {
            serde_json::json!({
                "round": record.header.id.round,
                "attempt": record.header.id.attempt,
                "plan": record.key.plan,
                "digest": record.header.update,
                "update_bytes": record.header.len_bytes,
                "bytes_sent": record.bytes_sent,
                "sent_at": record.first_sent_at.map(time),
                "ledger_length": record.header.ledger_length,
                "receipt": record.receipt,
                "rejected": record.rejected,
                "masked": record.masked,
                "due_at": record.due_at.map(time),
                "late_seconds": record.late_by().map(|by| by.as_secs_f64()),
            })
        })
        .collect();
    let bytes: u64 = uploads.iter().map(|record| record.bytes_sent).sum();
    serde_json::json!({ "uploads": rows, "bytes_sent": bytes })
}

/// The members' keys, for people.
pub(crate) fn shops(shops: &Peers) -> String {
    let mut text = format!("{}, your own key: {}\n", shops.shop, spoken(&shops.fingerprint));
    for member in &shops.members {
        let standing = match member.standing {
            KeyStatus::Own => continue,
            KeyStatus::Confirmed => "confirmed",
            KeyStatus::NotConfirmed => "not confirmed",
            KeyStatus::Changed if member.shop == shops.shop => {
                "CHANGED: the coordinator shows others this key as yours"
            }
            KeyStatus::Changed => "CHANGED since you confirmed it",
        };
        let _ = writeln!(
            text,
            "  {}: {standing}\n    {}",
            member.shop,
            spoken(&member.fingerprint)
        );
    }
    let open = |member: &&Peer| matches!(member.standing, KeyStatus::NotConfirmed | KeyStatus::Changed);
    match shops.members.iter().filter(open).count() {
        0 => text.push_str("Every other shop counts in sums under masks."),
        _ => text.push_str(
            "Let the owners read you their fingerprints by phone, then `souk-client shops --trust NAME=FINGERPRINT`; until \
             then those shops do not count in sums under masks.",
        ),
    }
    text
}

fn outcome(record: &UploadRecord) -> String {
    match (&record.receipt, record.rejected) {
        (Some(receipt), _) => format!("receipt of {}", time(receipt.body.stored_at)),
        (None, Some(code)) => format!("refused: {}", code.words()),
        (None, None) => "no answer yet".to_owned(),
    }
}

#[cfg(test)]
mod tests;
