//! `rules`: what `rules.toml` would do.

use std::fmt::Write;

use clap::Subcommand;
use souk_common::terminal::printable;

use super::{Shown, ask, show, strange};
use crate::control::{Answer, Question};
use crate::recommend::Recommended;
use crate::recommend::rules_report::RulesReport;
use crate::rules::compiled::NotListed;

#[derive(Debug, clap::Args)]
pub(super) struct Rules {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Say whether rules.toml makes sense, how many items each rule concerns, and show a list before and after.
    Check(Check),
}

#[derive(Debug, clap::Args)]
struct Check {
    /// Whose list to show. Default: that of somebody of whom nothing is known.
    #[arg(long)]
    user: Option<String>,
    #[command(flatten)]
    shown: Shown,
}

pub(super) const HELP: &str = "A rules.toml that makes no sense is not put in force: the last one that did stays. docs/api.md \
has every key. Exit code 64 when it makes no sense, 1 when it hides everything in some list.\n\nExample:\n  souk-client rules check --user u1042 --dir shop";

pub(super) fn run(args: Rules) -> anyhow::Result<bool> {
    let What::Check(Check { user, shown }) = args.what;
    let Answer::Rules(report) = ask(&shown.place.folder()?, Question::Rules { user })? else {
        return Err(strange());
    };
    show(shown.json, &*report, text)?;
    Ok(report.listed.iter().all(|(_, count)| *count > 0))
}

/// For people.
fn text(report: &RulesReport) -> String {
    let mut text = match report.rules.is_empty() {
        true => format!("No rule that concerns single items. {} items.\n", report.items),
        false => format!("Of {} items:\n", report.items),
    };
    for rule in &report.rules {
        let unknown = match rule.unknown {
            0 => String::new(),
            unknown => format!(" ({unknown} not known)"),
        };
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "{:<7} {:>7}{unknown}  {}",
            rule.kind,
            rule.items,
            printable(&rule.rule)
        );
    }
    let listed: Vec<String> = report
        .listed
        .iter()
        .map(|(kind, count)| format!("{kind} {count}"))
        .collect();
    let _ = writeln!(text, "May be listed: {}.", listed.join(", "));
    for feed in &report.feeds {
        let _ = writeln!(text, "Feed: {}.", printable(feed));
    }
    for warning in &report.warnings {
        let _ = writeln!(text, "WARNING: {}", printable(warning));
    }
    let whom = report.user.as_deref().unwrap_or("anybody");
    let _ = writeln!(
        text,
        "\n{:>3}  {:<40}  with these rules",
        "",
        format!("for {}, without", printable(whom))
    );
    let shown = |item: Option<&Recommended>| {
        let Some(item) = item else {
            return String::new();
        };
        let name = format!("{} {}", item.item_id, item.title);
        printable(&name).chars().take(40).collect()
    };
    for at in 0..report.before.len().max(report.after.len()) {
        let after = report.after.get(at);
        let why = after
            .map(|item| item.rules.join("; "))
            .filter(|why| !why.is_empty());
        let why = why.map_or(String::new(), |why| format!("  ({})", printable(&why)));
        let line = format!(
            "{:>3}  {:<40}  {}{why}",
            at + 1,
            shown(report.before.get(at)),
            shown(after)
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    for item in &report.left_out {
        let why = match &item.why {
            NotListed::Retired => "it is sold no more".to_owned(),
            NotListed::Ad => "it is an ad".to_owned(),
            NotListed::Never => "it stands under never".to_owned(),
            NotListed::Hidden => "the web shop hides it".to_owned(),
            NotListed::OutOfStock => "it is out of stock".to_owned(),
            NotListed::Filter(rule) => format!("not true, or not known: {rule}"),
            NotListed::Others => "others stand before it".to_owned(),
        };
        let line = format!("left out: {} {}: {why}", item.item_id, item.title);
        let _ = writeln!(text, "{}", printable(&line));
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recommend::rules_report::{RuleReport, TakenOut};

    #[test]
    fn a_report_says_counts_warnings_and_both_lists() {
        let item = |id: &str, rules: &[&str]| Recommended {
            rank: 1,
            item_id: id.into(),
            score: 0.5,
            stars: None,
            title: "Tea".into(),
            category: String::new(),
            brand: String::new(),
            price: None,
            reasons: Vec::new(),
            rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
        };
        let report = RulesReport {
            items: 30,
            rules: vec![RuleReport {
                kind: "keep".into(),
                rule: "price < 50".into(),
                items: 20,
                unknown: 4,
            }],
            listed: vec![("similar".into(), 20)],
            feeds: vec!["feed.xml".into()],
            warnings: vec!["look here".into()],
            user: None,
            before: vec![item("i1", &[]), item("i2", &[])],
            after: vec![item("i2", &["pinned to place 1"])],
            left_out: vec![TakenOut {
                item_id: "i1".into(),
                title: "Tea".into(),
                why: NotListed::Filter("price < 50".into()),
            }],
        };
        let text = text(&report);
        for said in [
            "Of 30 items",
            "keep         20 (4 not known)  price < 50",
            "May be listed: similar 20.",
            "Feed: feed.xml.",
            "WARNING: look here",
            "for anybody, without",
            "i2 Tea  (pinned to place 1)",
            "left out: i1 Tea: not true, or not known: price < 50",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
    }
}
