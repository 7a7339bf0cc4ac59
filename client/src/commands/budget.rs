//! `budget`: what the customers' privacy has cost, and `--recover`.

use souk_common::terminal::tell;

use super::{Place, ask, render, show, strange};
use crate::control::{Answer, Question};
use crate::membership::recover::{Recovered, recover};

#[derive(Debug, clap::Args)]
pub(super) struct Budget {
    #[command(flatten)]
    place: Place,
    /// First charge the ledger for spends that it has lost and the coordinator has receipts of, and for one more.
    #[arg(long)]
    recover: bool,
    /// With --recover: also for receipts without this shop's own signature (made before shops signed, or by another key),
    /// at most as many as their plans can have. A coordinator that lies uses up your budget by that.
    #[arg(long, requires = "recover")]
    trust_coordinator: bool,
    /// With --recover: charge without asking.
    #[arg(long, requires = "recover")]
    yes: bool,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Budget) -> anyhow::Result<bool> {
    let folder = args.place.folder()?;
    let mut good = true;
    if args.recover {
        let wants = |bill: &str| ask_owner(bill, args.yes);
        let recovered = recover(&folder, args.trust_coordinator, wants)?;
        tell(&recovered.to_string());
        good = recovered != Recovered::NotWanted;
    }
    let Answer::Budget(budget) = ask(&folder, Question::Budget)? else {
        return Err(strange());
    };
    show(args.json, &budget, render::budget)?;
    Ok(good)
}

/// Shows a bill, and whether the owner wants it charged: a typed `yes`, or `--yes`.
fn ask_owner(bill: &str, yes: bool) -> anyhow::Result<bool> {
    tell(&format!("{bill}."));
    if yes {
        return Ok(true);
    }
    tell("Charge for it? It can't be undone. Type yes (or say --yes):");
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed)?;
    Ok(typed.trim() == "yes")
}
