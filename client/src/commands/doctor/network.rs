//! The coordinator: its name, whether it answers, its clock, what it has receipts of, the other shops' keys.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::ensure;
use souk_common::clock::Timestamp;
use souk_common::date::date;
use souk_common::privacy::ledger::Chain;
use souk_common::secagg::records::fingerprint;
use souk_common::transport::{Carrier, Platform, TransportChoice, Trust, Way};
use souk_common::wire::messages::Member;

use super::super::ask;
use super::Check;
use super::reach::{UdpAnswer, explain, tcp, udp};
use super::shop::Shop;
use crate::control::connected::Connected;
use crate::control::{Answer, Question};
use crate::folder::Folder;
use crate::health::{Finding, keys};
use crate::link::{Heard, Link, Route};
use crate::membership::Membership;
use crate::membership::peers::standings;

/// In this order.
pub(super) const NAMES: &[&str] = &["name", "connection", "clock", "ledger", "keys"];

/// What was heard of the coordinator.
type Arrival = anyhow::Result<(Heard, anyhow::Result<Vec<Member>>)>;

/// Looks at all of [`NAMES`]; without an answer, at what can be told without it.
pub(super) fn look((folder, config, membership): &Shop, now: Timestamp, out: &Sender<Check>) {
    let Some(membership) = membership else { return };
    // Nobody listens any more when the time is up.
    let say = |name, found: Finding| drop(out.send(Check::new(name, found)));
    let route = config.route_or(&membership.address);
    let address = route.address.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            return say(
                "name",
                Finding::bad(format!("this machine gives no runtime: {error}")),
            );
        }
    };
    let heard = runtime.block_on(async {
        let found = tokio::time::timeout(FOR_THE_NAME, tokio::net::lookup_host(address.clone())).await;
        let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let found: io::Result<Vec<SocketAddr>> = found.map(Iterator::collect);
        let remote = found.as_ref().ok().and_then(|found| found.first().copied());
        say("name", name(&address, found));
        let Some(remote) = remote else {
            say(
                "connection",
                Finding::bad(format!("not tried: {address} leads nowhere")),
            );
            return None;
        };
        let (arrival, found) = arrive(folder, membership, &route, remote).await;
        say("connection", found);
        arrival.ok()
    });
    let (heard, members) = heard.unzip();
    say("clock", clock(membership.joined_at, now, heard.as_ref()).into());
    say("ledger", ledger(folder, heard.as_ref()).into());
    let own = membership
        .signing_identity(folder)
        .map(|key| fingerprint(&key.public()));
    let counts = keys::count(folder, &config.policy);
    let known = members.map(|members| {
        let peers = standings(&members?, &config.known_shops, membership.shop.clone(), own?);
        anyhow::Ok(keys::judge(&peers, counts))
    });
    say(
        "keys",
        match known {
            Some(Ok(found)) => found,
            Some(Err(error)) => Finding::warning(format!("not known: {error:#}")),
            None => Finding::good(format!(
                "{} other shops are confirmed here; whether there are more members is not known without the coordinator",
                config.known_shops.len()
            )),
        },
    );
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
}

/// Dials and checks in; if that takes long, looks meanwhile what else answers.
async fn arrive(
    folder: &Folder,
    membership: &Membership,
    route: &Route,
    remote: SocketAddr,
) -> (Arrival, Finding) {
    let address = route.address.as_str();
    let way = Cell::new(None);
    let mut arrival = pin!(async {
        let (link, heard) = Link::arrive(folder, membership, route).await?;
        way.set(Some(link.way()));
        let members = link.members().await;
        link.close();
        anyhow::Ok((heard, members))
    });
    let early = tokio::time::timeout(BEFORE_ASKING_ELSE, &mut arrival).await;
    let asked = async {
        tokio::join!(
            udp(remote, FOR_A_WORD),
            tcp(remote, FOR_A_WORD),
            over_tcp(folder, membership, route)
        )
    };
    let arrival = match early {
        Ok(arrival) => Ok(arrival),
        Err(_) => tokio::select! {
            arrival = &mut arrival => Ok(arrival),
            (udp, tcp, tunnel) = asked => {
                let may_still_come = matches!(udp, UdpAnswer::Silence | UdpAnswer::Answered);
                let rest = if may_still_come { FOR_THE_REST } else { Duration::ZERO };
                tokio::time::timeout(rest, &mut arrival).await.map_err(|_| (udp, tcp, tunnel))
            }
        },
    };
    let arrival = match arrival {
        Ok(arrival) => arrival,
        Err((udp, tcp, tunnel)) => {
            let at = match address == remote.to_string() {
                true => address.to_owned(),
                false => format!("{address} ({remote})"),
            };
            let found = explain(&at, remote.port(), udp, tcp);
            let text = format!("{}. {tunnel}", found.text);
            let found = Finding { text, ..found };
            return (Err(anyhow::anyhow!("no answer")), found);
        }
    };
    let found = match &arrival {
        Ok(_) => answers(
            way.get(),
            route.transport,
            remote.port(),
            connection_of_run(folder),
        ),
        Err(error) => Finding::bad(format!("{error:#}")),
    };
    (arrival, found)
}

/// Why no tunnel over TCP leads there either, as far as that shows in so short a time.
async fn over_tcp(folder: &Folder, membership: &Membership, route: &Route) -> String {
    if route.transport == TransportChoice::Udp {
        return "TCP is not tried, as `transport` under [network] in shop.toml is \"udp\": \"auto\" tries it too".to_owned();
    }
    let by_tcp = Route {
        transport: TransportChoice::Tcp,
        ..route.clone()
    };
    let Ok(identity) = membership.identity(folder) else {
        return "TCP is not tried: this shop's key can't be read".to_owned();
    };
    let (platform, trust) = (Platform::system(), Trust::AnyOf(membership.roots()));
    let dialled = by_tcp.dial(&platform, &trust, Some(&identity));
    match tokio::time::timeout(FOR_A_WORD, dialled).await {
        Ok(Ok(_)) => "TCP leads there, and the coordinator does not answer in it in time".to_owned(),
        Ok(Err(error)) => format!("Over TCP: {}", error.root_cause()),
        Err(_) => "Over TCP no tunnel comes about in time, at the same port or at 443".to_owned(),
    }
}

/// What carries the connection of the program that runs; none if it is not known.
fn connection_of_run(folder: &Folder) -> Option<Connected> {
    if !souk_common::control::is_up(&folder.control()) {
        return None;
    }
    match ask(folder, Question::Connection) {
        Ok(Answer::Connection { newest }) => newest,
        _ => None,
    }
}

/// A coordinator that answers: over what, and what that means.
fn answers(way: Option<Way>, choice: TransportChoice, port: u16, of_run: Option<Connected>) -> Finding {
    let takes = "shows the right certificate, and takes this shop's";
    let tcp = way.filter(|way| way.carrier == Carrier::Tcp);
    let run = of_run.filter(|now| now.fell_back).map(|now| date(now.since));
    match (tcp, choice) {
        (Some(way), TransportChoice::Auto) => Finding::warning(format!(
            "the coordinator answers over TCP, port {}, {takes}; nothing gets through over UDP from here, port {port}. {} \
             All works; what it costs: a lost packet holds up all that follows, and a broken line some seconds. To have UDP, allow outgoing \
             UDP to port {port} in the firewalls on the way; `run` tries it again when it next connects, ten minutes \
             after the last time or later",
            way.remote.port(),
            match run {
                Some(since) => format!("`run` has been connected so since {since}."),
                None => "`run` connects so, too.".to_owned(),
            },
        )),
        (Some(way), _) => Finding::good(format!(
            "the coordinator answers over TCP, port {}, as `transport` in shop.toml has it, {takes}",
            way.remote.port()
        )),
        (None, _) => match run {
            Some(since) => Finding::warning(format!(
                "the coordinator answers over UDP, {takes}; `run` has been connected over TCP since {since}, when nothing got through \
                 over UDP: it tries UDP again when it next connects"
            )),
            None => Finding::good(format!("the coordinator answers over UDP, {takes}")),
        },
    }
}

/// What the coordinator's name leads to.
fn name(address: &str, found: io::Result<Vec<SocketAddr>>) -> Finding {
    let host = address
        .rsplit_once(':')
        .map(|(host, _)| host.trim_matches(['[', ']']));
    let set = "set `coordinator` under [network] in shop.toml to what the operator says";
    match (host, found) {
        (None, _) => Finding::bad(format!("{address:?} is not HOST:PORT: {set}")),
        (Some(host), Ok(found))
            if host.parse::<IpAddr>().is_ok_and(|ip| !ip.is_unspecified()) && !found.is_empty() =>
        {
            Finding::good(format!(
                "{address} is an address already: no name has to be looked up"
            ))
        }
        (Some(host), Ok(found)) => match found.split_first() {
            None => Finding::bad(format!("the name {host} has no address: {set}")),
            Some((first, rest)) if first.ip().is_unspecified() => Finding::bad(format!(
                "{host} leads to {first}, which is nowhere ({} more addresses are not used): often a filter in the DNS answers \
                 so; have the name let through, or {set}",
                rest.len()
            )),
            Some((first, rest)) => Finding::good(match rest.len() {
                0 => format!("{address} is {first}"),
                more => format!("{address} is {first}, and {more} more addresses, which are not used"),
            }),
        },
        (Some(host), Err(error)) if error.kind() == io::ErrorKind::TimedOut => Finding::bad(format!(
            "nobody says within {FOR_THE_NAME:?} what {host} leads to: this machine's DNS does not answer (is it in the network? \
             /etc/resolv.conf names the servers)"
        )),
        (Some(host), Err(error)) if error.kind() == io::ErrorKind::InvalidInput => {
            Finding::bad(format!("{address:?} is not HOST:PORT ({host:?}: {error}): {set}"))
        }
        (Some(host), Err(error)) => Finding::bad(format!(
            "the name {host} leads nowhere ({error}): is it spelled right? If other names work on this machine, ask the operator for \
             the right one and {set}; if none does, this machine's DNS is at fault"
        )),
    }
}

fn clock(joined_at: Timestamp, now: Timestamp, heard: Option<&Heard>) -> anyhow::Result<String> {
    ensure!(
        now >= joined_at,
        "this machine's clock says {}, and this shop joined on {}: set it",
        date(now),
        date(joined_at)
    );
    match heard.map(|heard| heard.clock) {
        Some(clock) => {
            ensure!(!clock.is_off(), "{clock}: set it");
            Ok(clock.to_string())
        }
        None => Ok("not behind what was seen before; the coordinator's is not known now".to_owned()),
    }
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

const FOR_THE_NAME: Duration = Duration::from_secs(3);
const BEFORE_ASKING_ELSE: Duration = Duration::from_secs(1);
const FOR_A_WORD: Duration = Duration::from_secs(2);
/// A tunnel is begun two seconds after UDP, at 443 one second later.
const FOR_THE_REST: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::HealthLevel;

    #[test]
    fn a_name_leads_to_an_address_or_it_is_said_what_is_wrong_with_it() {
        let to = |address: &str| -> io::Result<Vec<SocketAddr>> { Ok(vec![address.parse().unwrap()]) };
        let error = |kind: io::ErrorKind| -> io::Result<Vec<SocketAddr>> { Err(kind.into()) };
        use HealthLevel::{Bad, Good};
        for (address, found, level, said) in [
            (
                "souk.example:4433",
                to("192.0.2.1:4433"),
                Good,
                "is 192.0.2.1:4433",
            ),
            ("192.0.2.1:4433", to("192.0.2.1:4433"), Good, "an address already"),
            ("[::1]:4433", to("[::1]:4433"), Good, "an address already"),
            ("souk.example:4433", Ok(vec![]), Bad, "has no address"),
            ("souk.example:4433", to("0.0.0.0:4433"), Bad, "which is nowhere"),
            ("0.0.0.0:4433", to("0.0.0.0:4433"), Bad, "which is nowhere"),
            (
                "souk.example:4433",
                error(io::ErrorKind::Other),
                Bad,
                "spelled right",
            ),
            (
                "souk.example:4433",
                error(io::ErrorKind::TimedOut),
                Bad,
                "DNS does not answer",
            ),
            (
                "souk.example:port",
                error(io::ErrorKind::InvalidInput),
                Bad,
                "not HOST:PORT",
            ),
            (
                "souk.example",
                error(io::ErrorKind::InvalidInput),
                Bad,
                "not HOST:PORT",
            ),
        ] {
            let found = name(address, found);
            assert!(
                found.level == level && found.text.contains(said),
                "{address}: {found:?}"
            );
            assert!(
                level == Good || found.text.contains("DNS") || found.text.contains("[network]"),
                "a remedy: {found:?}"
            );
        }
        let several = vec!["192.0.2.1:1".parse().unwrap(), "[2001:db8::1]:1".parse().unwrap()];
        assert!(name("souk.example:1", Ok(several)).text.contains("1 more"));
    }

    #[test]
    fn over_tcp_all_works_and_what_it_costs_is_said() {
        use HealthLevel::{Good, Warning};
        let way = |carrier| {
            Some(Way {
                carrier,
                remote: ([192, 0, 2, 1], 443).into(),
            })
        };
        let since = Timestamp(1_795_867_200_000);
        let run = Connected {
            carrier: Carrier::Tcp,
            remote: ([192, 0, 2, 1], 443).into(),
            since,
            fell_back: true,
        };
        use TransportChoice::{Auto, Tcp};
        for (carrier, choice, run, level, said) in [
            (Carrier::Udp, Auto, None, Good, "answers over UDP, shows"),
            (
                Carrier::Udp,
                Auto,
                Some(run),
                Warning,
                "connected over TCP since 2026-11",
            ),
            (
                Carrier::Tcp,
                Auto,
                None,
                Warning,
                "nothing gets through over UDP from here, port 4433",
            ),
            (
                Carrier::Tcp,
                Auto,
                Some(run),
                Warning,
                "been connected so since 2026-11",
            ),
            (
                Carrier::Tcp,
                Tcp,
                None,
                Good,
                "as `transport` in shop.toml has it",
            ),
        ] {
            let found = answers(way(carrier), choice, 4433, run);
            assert!(
                found.level == level && found.text.contains(said),
                "{said}: {found:?}"
            );
            let costs = found.text.contains("what it costs");
            assert_eq!(costs, carrier == Carrier::Tcp && choice == Auto, "{found:?}");
        }
    }

    #[test]
    fn all_steps_together_end_before_the_doctor_does() {
        let most = FOR_THE_NAME + BEFORE_ASKING_ELSE + FOR_A_WORD + FOR_THE_REST;
        assert!(most + Duration::from_secs(1) <= super::super::PATIENCE);
    }

    #[test]
    fn a_clock_before_the_day_of_joining_is_wrong_without_any_coordinator() {
        let (noon, before) = (Timestamp(1_795_867_200_000), Timestamp(1_000_000));
        assert!(clock(noon, noon, None).unwrap().contains("not known now"));
        let error = clock(noon, before, None).unwrap_err().to_string();
        assert!(
            error.contains("1970-01-01") && error.contains("set it"),
            "{error}"
        );
    }
}
