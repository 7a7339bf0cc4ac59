//! `forget`: takes one customer out of everything in the shop's folder.

use std::fmt::Write as _;
use std::io::IsTerminal;

use serde_json::json;
use souk_common::terminal::{printable, tell};

use super::{Place, ask, say, show, strange};
use crate::control::{Answer, CustomerQuestion, Question};
use crate::erasure::forget::{ForgetReport, unknown};
use crate::erasure::traces::Traces;
use crate::error::UsageError;
use crate::forgotten::day;

#[derive(Debug, clap::Args)]
pub(super) struct Forget {
    /// The customer's id, as in your files; e-mail addresses in any case.
    customer: String,
    #[command(flatten)]
    place: Place,
    /// Do it without asking.
    #[arg(long)]
    yes: bool,
    /// Also a customer of whom there is nothing (yet).
    #[arg(long)]
    anyway: bool,
    /// Let a forgotten customer in again.
    #[arg(long, conflicts_with_all = ["yes", "anyway"])]
    undo: bool,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

pub(super) const HELP: &str = "Shows first what there is of the customer, and asks. Then the customer leaves the store of interactions, \
the journal of events, the lists of experiments and the vectors that training fitted; lists and models from then on are made without them. A salted digest of the \
id keeps them out of every later import and event.

Your own files and databases, and backups, are never touched: delete the customer there yourself. What was sent to the federation stays: \
sums over many customers with noise in them, which the privacy budget accounts for.

Exit code 1 when there is nothing of such a customer.

Examples:
  souk-client forget anna@example.com --dir shop
  souk-client forget 1042 --yes --json --dir shop
  souk-client forget anna@example.com --undo --dir shop";

pub(super) fn run(args: Forget) -> anyhow::Result<bool> {
    let folder = args.place.folder()?;
    let customer = args.customer;
    if args.undo {
        let question = Question::Customer(CustomerQuestion::Readmit { customer });
        let Answer::Readmitted { by_hand } = ask(&folder, question)? else {
            return Err(strange());
        };
        let shown = json!({ "readmitted": true, "by_hand": by_hand });
        return show(args.json, &shown, |_| readmitted(&by_hand)).map(|()| true);
    }
    let question = Question::Customer(CustomerQuestion::Traces {
        customer: customer.clone(),
    });
    let Answer::Traces(traces) = ask(&folder, question)? else {
        return Err(strange());
    };
    if traces.is_nothing() && traces.forgotten.is_none() && !args.anyway {
        return Err(unknown(&traces.customer).into());
    }
    if !args.yes {
        tell(&found(&traces));
        if !std::io::stdin().is_terminal() {
            return Err(
                UsageError("nothing was forgotten: say --yes where nobody can be asked".to_owned()).into(),
            );
        }
        tell("Forget this customer? Type yes to do so:");
        let mut typed = String::new();
        std::io::stdin().read_line(&mut typed)?;
        if typed.trim() != "yes" {
            say("Nothing was forgotten.")?;
            return Ok(true);
        }
    }
    let question = Question::Customer(CustomerQuestion::Forget {
        customer,
        anyway: args.anyway,
    });
    let Answer::Forgotten(report) = ask(&folder, question)? else {
        return Err(strange());
    };
    show(args.json, &report, |report| forgotten(report))?;
    Ok(true)
}

/// What there is of a customer, a line each.
fn found(traces: &Traces) -> String {
    let mut text = format!("Of {} there is in this folder:", printable(&traces.customer));
    let mut line = |told: String| {
        // Writing to a string can't fail.
        let _ = write!(text, "\n  {told}");
    };
    for source in &traces.interactions {
        line(format!(
            "{} interactions of {}",
            source.rows,
            printable(&source.source)
        ));
    }
    if traces.journal_events > 0 {
        line(format!(
            "{} events in {} days of the journal",
            traces.journal_events, traces.journal_days
        ));
    }
    if let Some(events) = traces.live_events.filter(|events| *events > 0) {
        line(format!("{events} events in the memory of the running program"));
    }
    for experiment in &traces.experiments {
        line(format!(
            "which arm of the experiment {} they are in",
            printable(experiment)
        ));
    }
    if traces.vectors > 0 {
        line(format!("{} vectors that training fitted", traces.vectors));
    }
    if let Some(since) = traces.forgotten {
        line(format!(
            "their digest on the list of forgotten customers, since {}",
            day(since)
        ));
    } else if traces.is_nothing() {
        line("nothing".to_owned());
    }
    text
}

/// What was done, and what stays.
fn forgotten(report: &ForgetReport) -> String {
    let traces = &report.traces;
    let rows: u64 = traces.interactions.iter().map(|source| source.rows).sum();
    let mut lines = vec![format!(
        "{} is forgotten: {rows} interactions, {} events of the journal, {} experiments and {} vectors are gone. Imports, events and lists \
         leave them out from now on (by a salted digest of the id, in forgotten.json, which holds no name); lists and the next models are \
         fitted without them.",
        printable(&traces.customer),
        traces.journal_events,
        traces.experiments.len(),
        traces.vectors
    )];
    lines.push("What stays:".to_owned());
    let mut stays = |told: &str| lines.push(format!("  * {told}"));
    stays(
        "Your own files and your database: delete the customer there yourself. Where they stay, they are left out when they are read.",
    );
    stays(
        "Backups that were made before: nobody here knows where they are. After a restore from one, say this command again.",
    );
    stays(
        "What was sent to the federation and published: sums over many customers with noise in them, never the customer's own numbers. \
         They can't be taken back; the epsilon that `souk-client budget` states covers them, and a sum that is being computed at \
         this moment, in which they may have been drawn.",
    );
    if traces.update_waits {
        stays(
            "An update waits in the outbox for which customers were drawn before. It is such a sum, charged already, and is sent as it is.",
        );
    }
    stays(
        "A token that your web shop signed for the customer's browser is good until it ends, an hour at most: it gets the lists of an \
         unknown customer, and its events are kept nowhere.",
    );
    for source in &report.digests_of_orders {
        stays(&format!(
            "{} lines of orders that were not bought, of {}: a digest of order and customer each, which tells nobody's name and may be theirs. \
             They are left out when that source is read again, whole.",
            source.rows,
            printable(&source.source)
        ));
    }
    if report.remains_until_restart {
        stays("The bytes of their vectors in free pages of shop.redb, until `run` is started again.");
    }
    for trouble in &report.troubles {
        lines.push(format!("Look at: {}", printable(trouble)));
    }
    lines.join("\n")
}

fn readmitted(by_hand: &[String]) -> String {
    let mut text = "They are let in again: files and databases are read again with the next import, and their events are taken. What was \
                    deleted of the journal and of experiments does not come back."
        .to_owned();
    if !by_hand.is_empty() {
        let _ = write!(
            text,
            " Import these again yourself (a file by its name, a database with `souk-client import --afresh`): {}.",
            printable(&by_hand.join(", "))
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use souk_common::clock::Timestamp;

    use super::*;
    use crate::erasure::traces::SourceTrace;

    #[test]
    fn what_there_is_and_what_stays_is_said_in_words_and_a_name_commands_no_terminal() {
        let source = |rows| SourceTrace {
            source: "orders.csv".to_owned(),
            rows,
        };
        let traces = Traces {
            customer: "ann\u{1b}[2J".to_owned(),
            interactions: vec![source(3)],
            journal_days: 1,
            journal_events: 2,
            live_events: Some(4),
            experiments: vec!["autumn".to_owned()],
            vectors: 1,
            forgotten: None,
            update_waits: true,
        };
        let told = found(&traces);
        for part in [
            "3 interactions of orders.csv",
            "2 events in 1 days",
            "4 events in the memory",
            "autumn",
            "1 vectors",
        ] {
            assert!(told.contains(part), "{told}");
        }
        let report = ForgetReport {
            traces,
            since: Timestamp(0),
            digests_of_orders: vec![source(7)],
            remains_until_restart: true,
            troubles: vec!["no lists".to_owned()],
        };
        let said = forgotten(&report);
        for part in [
            "3 interactions",
            "Your own files",
            "Backups",
            "epsilon",
            "outbox",
            "an hour",
            "7 lines",
            "free pages",
            "no lists",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!(told + &said).contains('\u{1b}'));
        assert!(found(&Traces::default()).ends_with("nothing"));
    }
}
