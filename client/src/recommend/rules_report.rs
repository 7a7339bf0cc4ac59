//! What the rules of `rules.toml`, as it is now, would do: how many items each concerns, and a list before and after.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::service::ListService;
use super::{Customer, RecommendOptions, Recommended};
use crate::rules::compiled::{CompiledRules, NotListed, unknown_words};
use crate::rules::file::ListKind;

/// What rules would do.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RulesReport {
    /// Items of the catalogue.
    pub items: usize,
    /// Each rule, in the file's order.
    pub rules: Vec<RuleReport>,
    /// How many items may stand in each kind of list.
    pub listed: Vec<(String, usize)>,
    /// What is in force of each product feed, a line each.
    #[serde(default)]
    pub feeds: Vec<String>,
    /// What the owner should look at.
    pub warnings: Vec<String>,
    /// Whose list follows; none: anybody's.
    pub user: Option<String>,
    /// Without rules.
    pub before: Vec<Recommended>,
    /// With them.
    pub after: Vec<Recommended>,
    /// What stood in the list without them and does not with them, and why.
    #[serde(default)]
    pub left_out: Vec<TakenOut>,
}

/// An item that rules take out of a list.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TakenOut {
    /// Its id.
    pub item_id: String,
    /// May be empty.
    pub title: String,
    /// Why.
    pub why: NotListed,
}

/// What one rule does.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RuleReport {
    /// `keep`, `boost`, `never`, `always`, `new_items`.
    pub kind: String,
    /// As it stands in the file.
    pub rule: String,
    /// How many items it keeps, moves, hides or pins, or keeps places for.
    pub items: usize,
    /// Of how many items it is not known whether they meet the condition: they are neither kept nor moved.
    pub unknown: usize,
}

/// What the rules of `text` would do; none: those of `rules.toml` as it is.
///
/// # Errors
/// When they make no sense, the user is unknown, or lists can't be made.
pub fn report(lists: &ListService, text: Option<&str>, user: Option<&str>) -> anyhow::Result<RulesReport> {
    let (mut shelf, compiled) = lists.tried(text)?;
    let row = user.map(|user| shelf.find(user)).transpose()?;
    let customer = Customer {
        row,
        ..Customer::default()
    };
    let wishes = RecommendOptions {
        k: SHOWN,
        include_bought: false,
        explain: true,
    };
    let before = shelf.recommend(customer, &wishes);
    let (mut rules, mut warnings) = each_rule(&compiled);
    let kinds = ListKind::ALL.into_iter();
    let listed: Vec<(String, usize)> = kinds
        .map(|kind| (kind.name().to_owned(), compiled.listed(kind)))
        .collect();
    warnings.extend(lists.rules.feeds.told());
    let items = shelf.catalogue.len();
    let empty: Vec<&str> = listed
        .iter()
        .filter(|(_, count)| *count == 0)
        .map(|(kind, _)| kind.as_str())
        .collect();
    if !empty.is_empty() {
        warnings.push(format!(
            "these rules together hide everything in: {}",
            empty.join(", ")
        ));
    }
    shelf.rules = Arc::new(compiled);
    let places = shelf.rules.new_items();
    if places > 0 {
        let may = |row| shelf.rules.may_list(row, ListKind::Recommendations);
        let new = shelf.newcomers.as_ref().map(|newcomers| newcomers.count(may));
        warnings.extend(match new {
            None => Some(
                "new_items keeps no place: a trained model makes the lists, or nothing is known of items but their ids".to_owned(),
            ),
            Some(0) => Some("new_items keeps no place: every item that may be listed was bought here before".to_owned()),
            Some(_) => None,
        });
        rules.push(RuleReport {
            kind: "new_items".to_owned(),
            rule: format!("new_items = {places}"),
            items: new.unwrap_or_default(),
            unknown: 0,
        });
    }
    let after = shelf.recommend(customer, &wishes);
    let stays = |item: &&Recommended| after.items.iter().all(|other| other.item_id != item.item_id);
    let why = |item: &Recommended| {
        let row = shelf.catalogue.row(&item.item_id);
        row.and_then(|row| shelf.rules.why_not(row, ListKind::Recommendations))
    };
    let left_out = before.items.iter().filter(stays).map(|item| TakenOut {
        item_id: item.item_id.clone(),
        title: item.title.clone(),
        why: why(item).unwrap_or(NotListed::Others),
    });
    let left_out = left_out.collect();
    if after.items.len() < before.items.len() && !after.items.is_empty() {
        warnings.push(format!(
            "of {SHOWN} places in this list {} are filled",
            after.items.len()
        ));
    }
    Ok(RulesReport {
        items,
        rules,
        listed,
        feeds: lists.rules.feeds.words(),
        warnings,
        user: user.map(str::to_owned),
        before: before.items,
        after: after.items,
        left_out,
    })
}

fn each_rule(compiled: &CompiledRules) -> (Vec<RuleReport>, Vec<String>) {
    let (mut found, mut warnings) = (Vec::new(), Vec::new());
    let rules = &compiled.rules;
    let mut counted = |kind: &str, rule: String, condition| {
        let (items, unknown) = compiled.count(condition);
        found.push(RuleReport {
            kind: kind.to_owned(),
            rule,
            items,
            unknown,
        });
        items
    };
    for filter in &rules.filters {
        if counted("keep", filter.text.clone(), &filter.condition) == 0 {
            warnings.push(format!(
                "this filter keeps nothing, and hides every item: {}",
                filter.text
            ));
        }
    }
    for boost in &rules.boosts {
        let rule = format!("{}  by {}", boost.text, boost.by);
        if counted("boost", rule, &boost.condition) == 0 {
            warnings.push(format!("this boost moves no item: {}", boost.text));
        }
    }
    let unknown = compiled.unknown();
    let is_known = |name: &&String| !unknown.contains(name);
    if !rules.file.never.is_empty() {
        found.push(RuleReport {
            kind: "never".to_owned(),
            rule: format!("{} names", rules.file.never.len()),
            items: rules.file.never.iter().filter(is_known).count(),
            unknown: 0,
        });
    }
    for (at, pin) in rules.pins.iter().enumerate() {
        let rows: Vec<u32> = compiled.pinned_row(at).into_iter().collect();
        found.push(RuleReport {
            kind: "always".to_owned(),
            rule: format!("{} at place {}", pin.item, pin.place),
            items: rows.len(),
            unknown: 0,
        });
        if is_known(&&pin.item) && rows.is_empty() {
            let until = pin.until.as_deref().unwrap_or_default();
            warnings.push(format!(
                "{:?} is pinned no more: its last day was {until}",
                pin.item
            ));
        }
        if rows.iter().any(|row| !compiled.may_pin(*row)) {
            warnings.push(format!(
                "{:?} is pinned, but hidden, out of stock or retired, and not listed",
                pin.item
            ));
        }
    }
    warnings.extend(unknown_words(unknown));
    (found, warnings)
}

const SHOWN: usize = 10;
