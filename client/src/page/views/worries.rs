//! What needs the owner, with what to do.

use std::time::Duration;

use souk_common::clock::Timestamp;
use souk_common::params::rounded_down;

use super::super::Connection;
use super::super::facts::Facts;
use super::super::layout::{Place, age, minute};
use super::super::words::{Words, fill};
use crate::health::budget::{BudgetLeft, left};
use crate::health::data::{stale, too_many_bad};
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
        .filter(|since| facts.has_federation && now.since(*since) > TOO_OLD)
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
            if let Some(stale) = stale(data.reports(), now) {
                let text = fill(words.worry_stale, &[("days", &stale.days)]);
                worry("stale", Place::Data, text, Vec::new());
            }
            let bad = data
                .sources
                .iter()
                .flat_map(|source| too_many_bad(&source.report));
            let bad: Vec<String> = bad.map(|bad| bad.words()).collect();
            if !bad.is_empty() {
                worry("bad-lines", Place::Data, words.worry_data.to_owned(), bad);
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
        Ok(budget) => match left(budget) {
            BudgetLeft::NoBound => worry(
                "budget",
                Place::Privacy,
                words.worry_unbounded.to_owned(),
                Vec::new(),
            ),
            BudgetLeft::Little(left) => {
                let text = fill(
                    words.worry_budget,
                    &[("left", &rounded_down(left, 3)), ("limit", &budget.max_epsilon)],
                );
                worry("budget", Place::Privacy, text, Vec::new());
            }
            BudgetLeft::Enough(_) => {}
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
    if !facts.troubles.is_empty() {
        worry(
            "health",
            Place::Data,
            words.worry_health.to_owned(),
            facts.troubles.clone(),
        );
    }
    if !facts.rules_told.is_empty() {
        let told = facts.rules_told.clone();
        worry("rules", Place::Rules, words.worry_rules.to_owned(), told);
    }
    let collapsed = facts.gain.iter().flat_map(|gain| &gain.collapsed);
    let collapsed: Vec<String> = collapsed.cloned().collect();
    if !collapsed.is_empty() {
        worry(
            "collapsed",
            Place::Gain,
            words.worry_collapsed.to_owned(),
            collapsed,
        );
    }
    if let Err(reason) = &facts.uploads {
        worry(
            "unread-uploads",
            Place::Left,
            words.worry_read.to_owned(),
            vec![reason.clone()],
        );
    }
    if let (None, Some(since)) = (connection.offline_since, connection.by_tcp_since) {
        let text = fill(words.worry_tcp, &[("when", &minute(since))]);
        worry("tcp", Place::Rounds, text, Vec::new());
    }
    found
}

/// The thread that reads facts looks every half minute, unless an import or a fit takes longer.
const TOO_OLD: Duration = Duration::from_secs(600);
