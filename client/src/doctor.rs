//! Is everything in order? Name, connection, clock, certificate, disk, ledger.

use std::fs;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Serialize;
use souk_common::clock::{Clock, SystemClock, Timestamp};
use souk_common::crypto::pki::valid_until;

use crate::config::ShopConfig;
use crate::folder::{Folder, write_whole};
use crate::membership::Membership;
use crate::uplink::{Link, resolve};

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// Whether it is in order.
    pub ok: bool,
    /// What was found, or what to do.
    pub detail: String,
}

/// Looks at everything that a shop's program needs.
///
/// # Errors
/// When the folder is no member's at all.
pub fn examine(folder: &Folder) -> anyhow::Result<Vec<Check>> {
    let config = ShopConfig::load(folder)?;
    let membership = Membership::load(folder)?;
    let address = config
        .network
        .coordinator
        .clone()
        .unwrap_or_else(|| membership.address.clone());
    let now = SystemClock.now();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (name, connection) = runtime.block_on(async {
        let name = resolve(&address).await.map(|found| format!("{address} is {found}"));
        let dial = tokio::time::timeout(PATIENCE, Link::dial(folder, &membership, &address)).await;
        let connection = match dial {
            Ok(dialled) => dialled.map(|link| {
                link.close();
                "the coordinator answers over UDP and shows the right certificate".to_owned()
            }),
            Err(_) => Err(anyhow::anyhow!(
                "{address} does not answer within {PATIENCE:?}: is it up, and does every firewall on the way let UDP pass?"
            )),
        };
        (name, connection)
    });
    Ok(vec![
        check("name", name),
        check("connection", connection),
        check("clock", clock(&membership, now)),
        check("certificate", certificate(&membership, now)),
        check("disk", disk(folder)),
        check("ledger", ledger(folder)),
    ])
}

fn clock(membership: &Membership, now: Timestamp) -> anyhow::Result<String> {
    ensure!(
        now >= membership.joined_at,
        "this machine's clock stands before the day this shop joined: set it"
    );
    Ok("not behind what was seen before".to_owned())
}

fn certificate(membership: &Membership, now: Timestamp) -> anyhow::Result<String> {
    let until =
        valid_until(&membership.certificate).context("the certificate in membership.json is damaged")?;
    let days = until.since(now).as_secs() / 86_400;
    ensure!(
        until > now,
        "the certificate has run out: ask the operator for a new join code"
    );
    ensure!(
        days >= 30,
        "the certificate runs out in {days} days: ask the operator for a new join code"
    );
    Ok(format!("valid for {days} more days"))
}

fn disk(folder: &Folder) -> anyhow::Result<String> {
    let probe = folder.path().join(".doctor");
    let written = write_whole(&probe, &vec![0x55; PROBE_BYTES], false);
    // Whatever the outcome, nothing is left behind.
    let _ = fs::remove_file(&probe);
    written.with_context(|| format!("can't write {PROBE_BYTES} bytes in {}", folder.path().display()))?;
    Ok("the folder can be written and synced".to_owned())
}

fn ledger(folder: &Folder) -> anyhow::Result<String> {
    if !folder.ledger().exists() {
        return Ok("no round was charged yet".to_owned());
    }
    let chain = crate::ledger::read_ledger(&folder.ledger())?;
    Ok(format!("{} records, an unbroken chain", chain.records().len()))
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
