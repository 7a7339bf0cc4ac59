//! What needs the owner, with what to do.

use std::time::Duration;

use souk_common::clock::Timestamp;
use souk_common::params::rounded_down;

use super::super::Connection;
use super::super::facts::Facts;
use super::super::layout::{Place, age, minute};
use super::super::words::{Words, fill};
use crate::membership::peers::KeyStatus;

/// Something that needs the owner.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Worry {
    /// Names it, in the page's ids.
    pub(super) id: &'static str,
    /// What, and what to do.
    pub(super) text: String,
    /// As the program reports it, in English.
    pub(super) reported: Vec<String>,
    /// Where more is said.
    pub(super) place: Place,
}

/// All, the most pressing first.
pub(super) fn worries(words: &Words, facts: &Facts, connection: Connection, now: Timestamp) -> Vec<Worry> {
    let mut found = Vec::new();
    let mut worry = |id, place, text: String, reported: Vec<String>| {
        found.push(Worry {
            id,
            text,
            reported,
            place,
        });
    };
    if now.since(facts.at) > TOO_OLD {
        let text = fill(words.worry_old, &[("age", &age(words, facts.at, now))]);
        worry("old", Place::Data, text, Vec::new());
    }
    if let Err(reason) = &facts.lists {
        worry(
            "no-lists",
            Place::Data,
            words.lists_missing.to_owned(),
            vec![reason.clone()],
        );
    }
    let changed: Vec<&str> = facts
        .keys
        .iter()
        .flat_map(|peers| &peers.members)
        .filter(|peer| peer.standing == KeyStatus::Changed)
        .map(|peer| peer.shop.as_str())
        .collect();
    if !changed.is_empty() {
        let text = fill(words.worry_key, &[("shops", &changed.join(", "))]);
        worry("key", Place::Keys, text, Vec::new());
    }
    if connection.is_forked {
        worry("forked", Place::Rounds, words.worry_forked.to_owned(), Vec::new());
    }
    if let Some(since) = connection
        .offline_since
        .filter(|since| now.since(*since) > TOO_OLD)
    {
        let text = fill(words.worry_offline, &[("when", &minute(since))]);
        worry("offline", Place::Rounds, text, Vec::new());
    }
    match &facts.data {
        Ok(data) => {
            if !data.troubles.is_empty() {
                worry(
                    "data",
                    Place::Data,
                    words.worry_data.to_owned(),
                    data.troubles.clone(),
                );
            }
            let days = data
                .newest()
                .map(|newest| now.since(Timestamp::from_secs(newest)).as_secs() / 86_400);
            if let Some(days) = days.filter(|days| *days >= STALE_DAYS) {
                worry(
                    "stale",
                    Place::Data,
                    fill(words.worry_stale, &[("days", &days)]),
                    Vec::new(),
                );
            }
        }
        Err(reason) => worry(
            "data",
            Place::Data,
            words.worry_data.to_owned(),
            vec![reason.clone()],
        ),
    }
    match &facts.budget {
        Ok(budget) => match budget.epsilon_in_period {
            None => worry(
                "budget",
                Place::Privacy,
                words.worry_unbounded.to_owned(),
                Vec::new(),
            ),
            Some(spent) if spent > NEARLY_SPENT * budget.max_epsilon => {
                let left = rounded_down((budget.max_epsilon - spent).max(0.0), 3);
                let text = fill(
                    words.worry_budget,
                    &[("left", &left), ("limit", &budget.max_epsilon)],
                );
                worry("budget", Place::Privacy, text, Vec::new());
            }
            Some(_) => {}
        },
        Err(reason) => worry(
            "unread-budget",
            Place::Privacy,
            words.worry_read.to_owned(),
            vec![reason.clone()],
        ),
    }
    match &facts.next {
        Ok(Some(next)) if !next.is_over && !next.refusals.is_empty() => {
            worry(
                "refusals",
                Place::Rounds,
                words.worry_refusals.to_owned(),
                next.refusals.clone(),
            );
        }
        Ok(_) => {}
        Err(reason) => worry(
            "unread-rounds",
            Place::Rounds,
            words.worry_read.to_owned(),
            vec![reason.clone()],
        ),
    }
    if !facts.rules_told.is_empty() {
        let told = facts.rules_told.clone();
        worry("rules", Place::Rules, words.worry_rules.to_owned(), told);
    }
    if let Err(reason) = &facts.uploads {
        worry(
            "unread-uploads",
            Place::Left,
            words.worry_read.to_owned(),
            vec![reason.clone()],
        );
    }
    found
}

/// Orders that are older than this say that an export has stopped.
const STALE_DAYS: u64 = 14;
/// The thread that reads facts looks every half minute, unless an import or a fit takes longer.
const TOO_OLD: Duration = Duration::from_secs(600);
/// The part of the limit from which on the owner is told.
pub(super) const NEARLY_SPENT: f64 = 0.9;
