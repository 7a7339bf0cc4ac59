//! The steps of forgetting a customer. Each is durable before the next begins and finds nothing to do when it was done before, so that
//! the same command finishes what a crash has interrupted.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use souk_common::clock::Timestamp;
use souk_common::storage::disk::{DiskFile, destroy};
use souk_common::storage::patience::open_patiently;

use super::CustomerHoldings;
use super::traces::{SourceTrace, Traces};
use crate::config::ShopConfig;
use crate::data::compared_id;
use crate::error::CheckFailed;
use crate::folder::Folder;
use crate::forgotten::ForgottenList;
use crate::interactions::InteractionsError;
use crate::interactions::import::import_changed;
use crate::interactions::manifest::{ImportedSource, StoreManifest, lock, sweep};
use crate::interactions::rewrite::{Leaving, Survey, rewrite, unquote};

/// What was done.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ForgetReport {
    /// What there was.
    pub traces: Traces,
    /// Since when the customer is on the list.
    pub since: Timestamp,
    /// Lines of orders that were not bought, by source, of which nobody can tell whose they are before the source is read again:
    /// 64 bits of a digest of an order's number and its customer, and the item.
    pub digests_of_orders: Vec<SourceTrace>,
    /// Whether free pages of `shop.redb` may have the customer's vectors until `run` is started again.
    pub remains_until_restart: bool,
    /// What could not be done afterwards, in words: the customer is gone all the same.
    pub troubles: Vec<String>,
}

/// Forgets a customer, by any way to write their id that means the same; one of whom there is nothing only if `anyway`.
///
/// # Errors
/// When nothing is known of the customer; when an import is under way; of the disk: then the customer is on the list, and the same again
/// does the rest.
pub fn forget(holdings: CustomerHoldings<'_>, customer: &str, anyway: bool) -> anyhow::Result<ForgetReport> {
    let folder = holdings.folder;
    let held = hold(folder)?;
    let traces = Traces::of(holdings, customer)?;
    let customer = traces.customer.as_str();
    if traces.is_nothing() && traces.forgotten.is_none() && !anyway {
        return Err(unknown(customer).into());
    }
    let mut list = ForgottenList::load(folder)?;
    list.add(customer, holdings.now)?;
    list.store(folder)?;
    if let Some(holder) = holdings.holder {
        holder.list_has_changed()?;
    }
    let digests_of_orders = leave_store(folder, customer)?;
    holdings
        .forget_in_logs(customer)
        .context("the journal of events or an experiment can't be written anew")?;
    if let Some(store) = holdings.store {
        store.forget_vectors(customer)?;
    }
    // Weights that were fitted with the customer; they are fitted again.
    let stack = folder.stack();
    for fitted in [stack.with_extension("new"), stack] {
        if folder.disk().is_file(&fitted) {
            destroy(folder.disk(), &fitted).context("stack.json can't be removed")?;
        }
    }
    list.finish(customer);
    list.store(folder)?;
    if let Some(holder) = holdings.holder {
        holder.list_has_changed()?;
    }
    drop(held);
    let since = list.since(customer).unwrap_or(holdings.now);
    Ok(ForgetReport {
        since,
        digests_of_orders,
        remains_until_restart: holdings
            .store
            .is_some_and(|store| store.has_remains().unwrap_or(true)),
        troubles: begin_anew(holdings).into_iter().collect(),
        traces,
    })
}

/// Lets a customer in again; names of sources that have to be given or asked again for it. What was deleted of journal and experiments
/// does not come back.
///
/// # Errors
/// When the customer was not forgotten; as [`forget`].
pub fn readmit(holdings: CustomerHoldings<'_>, customer: &str) -> anyhow::Result<Vec<String>> {
    let folder = holdings.folder;
    let customer = compared_id(customer);
    let held = hold(folder)?;
    let mut list = ForgottenList::load(folder)?;
    if !list.remove(&customer) {
        return Err(CheckFailed(format!(
            "{customer:?} is not among those who were forgotten; ids are compared as they are written, e-mail addresses without case"
        ))
        .into());
    }
    let mut manifest = StoreManifest::load(folder)?;
    let (again, others): (Vec<_>, Vec<_>) = manifest
        .sources
        .iter_mut()
        .partition(|source| is_read_again(source));
    let others = others.into_iter().map(|source| source.name.clone()).collect();
    again.into_iter().for_each(ImportedSource::outdate);
    manifest.store(folder)?;
    list.store(folder)?;
    if let Some(holder) = holdings.holder {
        holder.list_has_changed()?;
    }
    drop(held);
    if let Some(trouble) = begin_anew(holdings) {
        tracing::warn!("{trouble}");
    }
    Ok(others)
}

/// To somebody who names a customer of whom there is nothing.
pub(crate) fn unknown(customer: &str) -> CheckFailed {
    CheckFailed(format!(
        "this folder has nothing of a customer {customer:?}; ids are compared as they are written, e-mail addresses without case. If they \
         are still to come (in a file that was not imported yet), `--anyway` puts them on the list of those who are left out"
    ))
}

/// Holds the store, so that nobody imports and nobody else forgets; an import that is under way has a minute to finish.
fn hold(folder: &Folder) -> Result<Box<dyn DiskFile>, InteractionsError> {
    let is_busy = |error: &InteractionsError| matches!(error, InteractionsError::Busy);
    let mut held = open_patiently(is_busy, || lock(folder));
    for _ in 0..PATIENCE {
        if !matches!(held, Err(InteractionsError::Busy)) {
            break;
        }
        held = open_patiently(is_busy, || lock(folder));
    }
    held
}

/// Whether its next import reads it whole without anybody's help.
fn is_read_again(source: &ImportedSource) -> bool {
    !source.given && source.watermark.is_none()
}

/// Takes the customer out of the store. What stays until sources are read again, which those that can be are with the next import.
fn leave_store(folder: &Folder, customer: &str) -> Result<Vec<SourceTrace>, InteractionsError> {
    let mut manifest = StoreManifest::load(folder)?;
    sweep(folder, &manifest);
    let before = manifest.clone();
    let leaving = Leaving::Customer(customer);
    let survey = Survey::of(folder, &manifest, leaving)?;
    let of_nobody = survey.of_nobody_known(&manifest);
    unquote(&mut manifest, customer);
    for (name, _) in &of_nobody {
        let again = manifest.sources.iter_mut().filter(|source| source.name == *name);
        again
            .filter(|source| is_read_again(source))
            .for_each(ImportedSource::outdate);
    }
    let stays = |name: &String| manifest.find(name).is_some_and(|source| !is_read_again(source));
    let stay: Vec<_> = of_nobody.into_iter().filter(|(name, _)| stays(name)).collect();
    if !rewrite(folder, &mut manifest, &survey, leaving)? && manifest != before {
        manifest.store(folder)?;
    }
    Ok(SourceTrace::all(stay))
}

/// New lists, or what is in their way.
fn begin_anew(holdings: CustomerHoldings<'_>) -> Option<String> {
    let begun = match holdings.holder {
        Some(holder) => holder.renew(),
        None => ShopConfig::load(holdings.folder)
            .map_err(anyhow::Error::from)
            .and_then(|config| Ok(import_changed(holdings.folder, &config.data, holdings.now)?))
            .map(drop),
    };
    begun
        .err()
        .map(|error| format!("new lists could not be made yet: {error:#}"))
}

/// Of five seconds each.
const PATIENCE: u32 = 11;
