//! What needs no coordinator: the folder, data, plan, lists, rules, services.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::{Context, ensure};
use souk_common::clock::Timestamp;
use souk_common::date::date;
use souk_common::storage::write_whole;

use super::super::{ask, strange};
use super::Check;
use crate::config::ShopConfig;
use crate::control::{Answer, NextRound, Question};
use crate::data::outgrown::outgrown;
use crate::folder::Folder;
use crate::health::{Finding, budget, certificates, data, disk};
use crate::http::config::HttpConfig;
use crate::interactions::manifest::{FileStamp, ImportedSource, StoreManifest};
use crate::interactions::outcome::ImportOutcome;
use crate::interactions::refresh::{current_data, refresh};
use crate::ledger::read_ledger;
use crate::membership::Membership;
use crate::recommend::cache::catalogue_in_use;
use crate::rules::feed::Feeds;
use crate::rules::in_force::{feeds_named, read_rules};
use crate::stack::kept::KeptStack;

/// A shop's folder, as it is now; one that never joined has no membership.
pub(super) type Shop = (Folder, ShopConfig, Option<Membership>);

/// Of [`look_at_folder`], in this order.
pub(super) const OWN: &[&str] = &["certificate", "disk", "run", "service", "rules", "feeds"];
/// The same without a federation.
pub(super) const OWN_ALONE: &[&str] = &["federation", "disk", "run", "service", "rules", "feeds"];
/// Of [`look_at_data`].
pub(super) const DATA: &[&str] = &["data", "bad lines", "orders", "customers"];
/// Of [`look_at_lists`].
pub(super) const LISTS: &[&str] = &["plan", "budget", "lists"];

/// The certificate, the disk, what runs, rules and feeds.
pub(super) fn look_at_folder((folder, config, membership): &Shop, now: Timestamp, out: &Sender<Check>) {
    // Nobody listens any more when the time is up.
    let say = |name, found: Finding| drop(out.send(Check::new(name, found)));
    match membership {
        Some(membership) => say("certificate", certificates::of_shop(membership, now)),
        None => say("federation", alone(folder)),
    }
    say(
        "disk",
        writable(folder).map_or_else(|error| Err(error).into(), |()| disk::room(folder)),
    );
    let runs = runs(folder);
    say(
        "run",
        match runs {
            true => Finding::good("`souk-client run` is up"),
            false => Finding::warning(
                "`souk-client run` is not up: this shop takes no part in rounds, renews no certificate and fetches no feed; start it, or \
             have a service manager do so (docs/operations.md)",
            ),
        },
    );
    say("service", service(folder, &config.http, runs, now));
    say("rules", rules(folder).into());
    say("feeds", feeds(folder, now));
}

/// The store of interactions and what is in it.
pub(super) fn look_at_data((folder, config, _): &Shop, now: Timestamp, out: &Sender<Check>) {
    let say = |name, found: Finding| drop(out.send(Check::new(name, found)));
    match refresh(folder, config) {
        Ok(refreshed) => {
            let outcome = refreshed.outcome;
            say("data", imported(&outcome).into());
            say("bad lines", bad_lines(&outcome));
            say("orders", orders(folder, &outcome, now));
        }
        Err(error) => {
            say("data", Err(error.into()).into());
            for name in ["bad lines", "orders"] {
                say(name, Finding::warning("not known: the store can't be read"));
            }
        }
    }
    say("customers", customers(folder, config).into());
}

/// What a running `run`, or else the store, says of rounds and lists.
pub(super) fn look_at_lists((folder, ..): &Shop, now: Timestamp, out: &Sender<Check>) {
    let say = |name, found: anyhow::Result<Finding>| {
        let found = found.unwrap_or_else(|error| Finding::bad(format!("{error:#}")));
        drop(out.send(Check::new(name, found)));
    };
    let next = next_round(folder);
    // The key that is in the way stands in the reason.
    let no_room = |next: &NextRound| next.refusals.iter().any(|reason| reason.contains("max_epsilon"));
    let fits = !next.as_ref().is_ok_and(|next| next.as_ref().is_some_and(no_room));
    say("plan", next.and_then(plan).map(Finding::good));
    say("budget", budget_left(folder, fits, now));
    say(
        "lists",
        lists(folder, now).map(|text| with_collapsed(folder, text)),
    );
}

/// Of a shop without a federation.
fn alone(folder: &Folder) -> Finding {
    match folder.key().exists() {
        true => Finding::bad("the join was not finished: give `souk-client join` the same code again"),
        false => Finding::good(
            "no federation: lists by this shop's own customers alone; `souk-client join CODE` makes it a member",
        ),
    }
}

fn writable(folder: &Folder) -> anyhow::Result<()> {
    let probe = folder.path().join(".doctor");
    let written = write_whole(&probe, &vec![0x55; PROBE_BYTES], false);
    // Whatever the outcome, nothing is left behind.
    let _ = fs::remove_file(&probe);
    written.with_context(|| {
        format!(
            "can't write {PROBE_BYTES} bytes in {}: is the disk full, or read-only?",
            folder.path().display()
        )
    })
}

/// Whether somebody listens at the control socket.
fn runs(folder: &Folder) -> bool {
    souk_common::control::is_up(&folder.control())
}

/// Whether the HTTP service answers, and how long its certificate is good.
fn service(folder: &Folder, http: &HttpConfig, runs: bool, now: Timestamp) -> Finding {
    let certificate = certificates::of_http(folder, http, now);
    let Some(listen) = http.listen else {
        return Finding::good(
            "shop.toml has no `listen` under [http]: the HTTP service is there only with `run --http`",
        );
    };
    if !runs {
        return Finding::warning(format!(
            "the HTTP service is not there at {listen}, as `run` is not up"
        ));
    }
    let answered = answers(here(listen), http.tls_cert.is_some());
    match (answered, certificate) {
        (Err(error), _) => Finding::bad(format!(
            "`run` is up, and the HTTP service at {listen} does not answer ({error}): was `run` started before `listen` was set, or \
             does another program have the port? Start it again, and read what it says"
        )),
        (Ok(said), Some(found)) => Finding {
            text: format!("{said} at {listen}; {}", found.text),
            ..found
        },
        (Ok(said), None) => Finding::good(format!("{said} at {listen}")),
    }
}

/// Where a service that listens at this address is reached from this machine.
fn here(mut listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => listen.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => listen.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    listen
}

fn answers(address: SocketAddr, tls: bool) -> anyhow::Result<&'static str> {
    let mut stream = TcpStream::connect_timeout(&address, FOR_A_WORD)?;
    if tls {
        return Ok("the HTTP service takes connections");
    }
    stream.set_read_timeout(Some(FOR_A_WORD))?;
    stream.set_write_timeout(Some(FOR_A_WORD))?;
    let question = format!("GET /v1/healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(question.as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    match line.split(' ').nth(1) {
        Some("200") => Ok("the HTTP service answers"),
        Some("503") => anyhow::bail!("it has no lists: what is said below of data and rules tells why"),
        _ => anyhow::bail!("it says {:?}", line.trim()),
    }
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

/// Whether product feeds are what they were last said to be, and new enough.
fn feeds(folder: &Folder, now: Timestamp) -> Finding {
    // Without rules that make sense, what is said of rules tells why.
    let sources = feeds_named(folder).unwrap_or_default();
    let feeds = Feeds::to_look_at(folder.clone());
    let (kept, _) = feeds.look(&sources, now);
    let mut told = feeds.told();
    for source in sources.iter().filter(|source| source.path.is_some()) {
        let Ok(file) = fs::metadata(source.file(folder)) else {
            continue;
        };
        let age = now.since(FileStamp::of(&file).last_write());
        if age > OLD_FEED {
            told.push(format!(
                "the feed {source} was last written {} days ago: does your shop still write it?",
                age.as_secs() / 86_400
            ));
        }
    }
    match (told.is_empty(), sources.len()) {
        (false, _) => Finding::warning(told.join("; ")),
        (true, 0) => Finding::good("rules.toml names none"),
        (true, count) => {
            let items: usize = kept.iter().map(|feed| feed.offers.len()).sum();
            Finding::good(format!("{count} in force, with {items} items"))
        }
    }
}

/// Whether all sources are in the store of interactions as they are now.
fn imported(outcome: &ImportOutcome) -> anyhow::Result<String> {
    let troubles: Vec<String> = outcome.troubles().collect();
    ensure!(troubles.is_empty(), "{}", troubles.join("; "));
    Ok(outcome.lines().join("; "))
}

fn bad_lines(outcome: &ImportOutcome) -> Finding {
    let shares = outcome
        .sources
        .iter()
        .flat_map(|source| data::too_many_bad(&source.report));
    let words: Vec<String> = shares.map(|share| share.words()).collect();
    match words.is_empty() {
        true => Finding::good("none, or few"),
        false => Finding::warning(words.join("; ")),
    }
}

/// Whether orders still come.
fn orders(folder: &Folder, outcome: &ImportOutcome, now: Timestamp) -> Finding {
    let reports = outcome.sources.iter().flat_map(|source| &source.report.sources);
    let Some(stale) = data::stale(reports.clone(), now) else {
        let newest = reports
            .filter_map(|report| report.span)
            .map(|(_, last)| last)
            .max();
        return Finding::good(match newest {
            Some(newest) => format!("the newest is of {}", date(Timestamp::from_secs(newest))),
            None => "none has a time yet".to_owned(),
        });
    };
    let manifest = StoreManifest::load(folder).unwrap_or_default();
    let is_of = |source: &&ImportedSource| source.report.sources.iter().any(|file| file.name == stale.source);
    let source = manifest.sources.iter().find(is_of);
    let changed = source.and_then(|source| source.read.as_ref()?.stamp);
    let changed = changed.map_or(String::new(), |stamp| {
        format!(", which was last written on {}", date(stamp.last_write()))
    });
    Finding::warning(format!(
        "the newest is {} days old (of {}, in {}{changed}), and by this shop's own pace more than {} are too many: does your shop \
         still write its export?",
        stale.days,
        date(stale.newest),
        stale.source,
        stale.usual_days
    ))
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

fn next_round(folder: &Folder) -> anyhow::Result<Option<NextRound>> {
    match ask(folder, Question::NextRound)? {
        Answer::NextRound { next } => Ok(next),
        _ => Err(strange()),
    }
}

/// Whether the shop's own rules decline the round that comes next: the operator sees a code, the owner the numbers.
fn plan(next: Option<NextRound>) -> anyhow::Result<String> {
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

/// What is left of the customers' privacy budget.
fn budget_left(folder: &Folder, next_fits: bool, now: Timestamp) -> anyhow::Result<Finding> {
    let Answer::Budget(spent) = ask(folder, Question::Budget)? else {
        return Err(strange());
    };
    let since = spent.period_days.map(|days| now - DAY * days);
    let chain = read_ledger(&folder.ledger()).unwrap_or_default();
    let times = chain.spends().map(|(time, _)| time);
    let first = times
        .filter(|time| since.is_none_or(|since| *time >= since))
        .min();
    Ok(budget::judge(&spent, next_fits, first))
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

/// Warns of channels that the last fit left out of the lists.
fn with_collapsed(folder: &Folder, text: String) -> Finding {
    let collapsed = KeptStack::load(folder).map_or_else(Vec::new, |kept| kept.collapsed);
    match collapsed.is_empty() {
        true => Finding::good(text),
        false => Finding::warning(format!("{text}; {}", collapsed.join("; "))),
    }
}

const PROBE_BYTES: usize = 4 << 20;
const FOR_A_WORD: Duration = Duration::from_secs(2);
const DAY: Duration = Duration::from_secs(86_400);
/// Google drops offers that were not renewed for 30 days; prices are older than that sooner.
const OLD_FEED: Duration = Duration::from_secs(7 * 86_400);

#[cfg(test)]
mod tests;
