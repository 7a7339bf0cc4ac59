//! Is everything in order? Name, connection, clock, certificate, disk, ledger, data, customers, plan, lists.

use std::fs;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Serialize;
use souk_common::clock::{Clock, SystemClock, Timestamp};
use souk_common::crypto::pki::Validity;
use souk_common::privacy::ledger::Chain;

use super::{Shown, ask, say, strange};
use crate::config::ShopConfig;
use crate::control::{Answer, Question};
use crate::data::outgrown::outgrown;
use crate::folder::Folder;
use crate::interactions::refresh::{current_data, refresh};
use crate::link::{Heard, Link, resolve};
use crate::membership::Membership;
use crate::recommend::cache::catalogue_in_use;
use crate::rules::in_force::read_rules;
use souk_common::date::date;
use souk_common::storage::write_whole;

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Check {
    /// What.
    pub name: &'static str,
    /// Whether it is in order.
    pub ok: bool,
    /// What was found, or what to do.
    pub detail: String,
}

pub(super) fn run(args: Shown) -> anyhow::Result<bool> {
    let checks = examine(&args.place.folder()?)?;
    let ok = checks.iter().all(|check| check.ok);
    say(&match args.json {
        true => serde_json::json!({ "ok": ok, "checks": checks }).to_string(),
        false => table(&checks),
    })?;
    Ok(ok)
}

/// What the doctor found, for people.
fn table(checks: &[Check]) -> String {
    let line = |check: &Check| {
        format!(
            "{}  {:<12} {}",
            if check.ok { "good" } else { "BAD " },
            check.name,
            check.detail
        )
    };
    checks.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Looks at everything that a shop's program needs.
///
/// # Errors
/// When the folder is no member's at all.
fn examine(folder: &Folder) -> anyhow::Result<Vec<Check>> {
    let config = ShopConfig::load(folder)?;
    if !folder.membership().is_file() && !folder.ledger().exists() {
        return Ok(without_a_federation(folder, &config));
    }
    let membership = Membership::load(folder)?;
    let address = config.coordinator_or(&membership.address);
    let now = SystemClock.now();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (name, arrived) = runtime.block_on(async {
        let name = resolve(&address).await.map(|found| format!("{address} is {found}"));
        let arrived = tokio::time::timeout(PATIENCE, Link::arrive(folder, &membership, &address)).await;
        let arrived = match arrived {
            Ok(arrived) => arrived.map(|(link, heard)| {
                link.close();
                heard
            }),
            Err(_) => Err(anyhow::anyhow!(
                "{address} does not answer within {PATIENCE:?}: is it up, and does every firewall on the way let UDP pass?"
            )),
        };
        (name, arrived)
    });
    let heard = arrived.as_ref().ok().cloned();
    let connection = arrived.map(|_| {
        "the coordinator answers over UDP, shows the right certificate, and takes this shop's".to_owned()
    });
    Ok(vec![
        check("name", name),
        check("connection", connection),
        check("clock", clock(&membership, now, heard.as_ref())),
        check("certificate", certificate(&membership, now)),
        check("disk", disk(folder)),
        check("ledger", ledger(folder, heard.as_ref())),
        check("data", data(folder, &config)),
        check("customers", customers(folder, &config)),
        check("plan", plan(folder)),
        check("lists", lists(folder, now)),
        check("rules", rules(folder)),
    ])
}

/// What there is to look at in a folder that never joined.
fn without_a_federation(folder: &Folder, config: &ShopConfig) -> Vec<Check> {
    let none = match folder.key().exists() {
        true => Err(anyhow::anyhow!(
            "the join was not finished: give `souk-client join` the same code again"
        )),
        false => Ok(
            "no federation: lists by this shop's own customers alone; `souk-client join CODE` makes it a member".to_owned(),
        ),
    };
    vec![
        check("federation", none),
        check("disk", disk(folder)),
        check("data", data(folder, config)),
        check("rules", rules(folder)),
    ]
}

fn clock(membership: &Membership, now: Timestamp, heard: Option<&Heard>) -> anyhow::Result<String> {
    ensure!(
        now >= membership.joined_at,
        "this machine's clock says {}, and this shop joined on {}: set it",
        date(now),
        date(membership.joined_at)
    );
    match heard.map(|heard| heard.clock) {
        Some(clock) => {
            ensure!(!clock.is_off(), "{clock}: set it");
            Ok(clock.to_string())
        }
        None => Ok("not behind what was seen before; the coordinator's is not known now".to_owned()),
    }
}

fn certificate(membership: &Membership, now: Timestamp) -> anyhow::Result<String> {
    let validity =
        Validity::of(&membership.certificate).context("the certificate in membership.json is damaged")?;
    let until = date(validity.until);
    ensure!(
        validity.until > now,
        "the certificate has run out on {until}: the operator revokes and invites this shop, then `souk-client join CODE \
         --again` takes part with the same key and ledger"
    );
    let renewal = match membership.renewal_is_due(now) {
        true => "`run` renews it with the next connection".to_owned(),
        false => format!("`run` renews it from {} on", date(validity.renew_at())),
    };
    Ok(format!("valid until {until}; {renewal}"))
}

fn disk(folder: &Folder) -> anyhow::Result<String> {
    let probe = folder.path().join(".doctor");
    let written = write_whole(&probe, &vec![0x55; PROBE_BYTES], false);
    // Whatever the outcome, nothing is left behind.
    let _ = fs::remove_file(&probe);
    written.with_context(|| format!("can't write {PROBE_BYTES} bytes in {}", folder.path().display()))?;
    Ok("the folder can be written and synced".to_owned())
}

fn ledger(folder: &Folder, heard: Option<&Heard>) -> anyhow::Result<String> {
    let last = heard.and_then(|heard| heard.receipt.as_ref());
    let chain = match folder.ledger().exists() {
        true => crate::ledger::read_ledger(&folder.ledger())?,
        false if last.is_none() => return Ok("no round was charged yet".to_owned()),
        false => Chain::default(),
    };
    let records = format!("{} records, an unbroken chain", chain.records().len());
    match last {
        Some(receipt) => {
            chain.must_account_for(&receipt.witnessed())?;
            Ok(format!("{records}, and all that the coordinator has receipts of"))
        }
        None => Ok(records),
    }
}

/// Whether all sources are in the store of interactions as they are now.
fn data(folder: &Folder, config: &ShopConfig) -> anyhow::Result<String> {
    let outcome = refresh(folder, config)?.outcome;
    let troubles: Vec<String> = outcome.troubles().collect();
    ensure!(troubles.is_empty(), "{}", troubles.join("; "));
    Ok(outcome.lines().join("; "))
}

/// Whether the plan has room for the shop's customers.
fn customers(folder: &Folder, config: &ShopConfig) -> anyhow::Result<String> {
    let catalogue = catalogue_in_use(folder)?;
    let data = match current_data(folder, config, catalogue.as_ref()) {
        Ok((data, _)) => data,
        // A matter of its own, with a command of its own.
        Err(error) => {
            return Ok(format!(
                "not counted: {error}; `souk-client check-data` says more"
            ));
        }
    };
    let told = outgrown(folder, &data.dataset);
    let lines: Vec<&str> = told.lines().collect();
    ensure!(!told.beyond_headroom, "{}", lines.join("; "));
    Ok(match lines.is_empty() {
        true => "no more than the last plan declared, as far as one is known".to_owned(),
        false => lines.join("; "),
    })
}

/// Whether the shop's own rules decline the round that comes next: the operator sees a code, the owner the numbers.
fn plan(folder: &Folder) -> anyhow::Result<String> {
    let Answer::NextRound { next } = ask(folder, Question::NextRound)? else {
        return Err(strange());
    };
    let Some(next) = next else {
        return Ok("none is known yet: `run` hears of it with its first connection".to_owned());
    };
    let (plan, round) = (next.plan.words(), next.round);
    ensure!(
        next.refusals.is_empty(),
        "this shop would decline round {round} of {plan}: {}",
        next.refusals.join("; ")
    );
    Ok(match next.is_over {
        true => format!("all rounds of {plan} are published"),
        false => format!("this shop would take part in round {round} of {plan}"),
    })
}

/// Which model or release lists rest on.
fn lists(folder: &Folder, now: Timestamp) -> anyhow::Result<String> {
    let Answer::Serving(serving) = ask(folder, Question::Serving)? else {
        return Err(strange());
    };
    let serving = serving.aged(now);
    let mut text = match &serving.learned {
        Some(learned) => format!("what was learned together is that of {}", learned.words()),
        None => {
            "of this shop's own customers alone: nothing has been trained by the federation yet".to_owned()
        }
    };
    if let (Some(plan), Some(_)) = (&serving.untrained, &serving.learned) {
        text += &format!("; {} has taught nothing yet", plan.words());
    }
    Ok(text)
}

/// Whether `rules.toml` makes sense.
fn rules(folder: &Folder) -> anyhow::Result<String> {
    let catalogue = catalogue_in_use(folder)?;
    let names = catalogue.as_ref().map(|catalogue| {
        let names = catalogue
            .items()
            .iter()
            .flat_map(|item| item.numbers.keys().cloned());
        names.collect()
    });
    let earlier = match folder.last_good_rules().is_file() {
        true => "until then the last rules that made sense stay in force",
        false => "no earlier rules are known, and without its rules this shop makes no lists",
    };
    let rules = read_rules(folder, names.as_ref()).with_context(|| format!("mend it: {earlier}"))?;
    Ok(match folder.rules().is_file() {
        true => format!(
            "rules.toml has {}; `souk-client rules check` says what they do",
            rules.words()
        ),
        false => "none: lists are by score alone".to_owned(),
    })
}

fn check(name: &'static str, found: anyhow::Result<String>) -> Check {
    match found {
        Ok(detail) => Check {
            name,
            ok: true,
            detail,
        },
        Err(error) => Check {
            name,
            ok: false,
            detail: format!("{error:#}"),
        },
    }
}

const PATIENCE: Duration = Duration::from_secs(5);
const PROBE_BYTES: usize = 4 << 20;
