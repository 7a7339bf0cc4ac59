//! What a shop's folder has of one customer.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use souk_common::clock::Timestamp;

use super::CustomerHoldings;
use crate::data::compared_id;
use crate::events::days::days_of;
use crate::experiment::exposures::experiments_of;
use crate::forgotten::ForgottenList;
use crate::interactions::manifest::StoreManifest;
use crate::interactions::rewrite::{Leaving, Survey};

/// What there is of a customer.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Traces {
    /// The customer, as compared.
    pub customer: String,
    /// Interactions in the store, by the source that they were read from; sources without any are left out.
    pub interactions: Vec<SourceTrace>,
    /// Days of the journal of events that have the customer.
    pub journal_days: u64,
    /// Events in them.
    pub journal_events: u64,
    /// Events in the memory of the program that serves; none if none does.
    pub live_events: Option<u64>,
    /// Experiments that have noted the customer.
    pub experiments: Vec<String>,
    /// Vectors that training has fitted.
    pub vectors: u64,
    /// Since when the customer is on the list of the forgotten; none if they are not.
    pub forgotten: Option<Timestamp>,
    /// Whether an update waits in the outbox, for which customers were drawn before.
    pub update_waits: bool,
}

/// What a source has.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SourceTrace {
    /// The source, as reports call it.
    pub source: String,
    /// Lines.
    pub rows: u64,
}

impl SourceTrace {
    pub(super) fn all(counted: Vec<(String, u64)>) -> Vec<Self> {
        let traces = counted.into_iter().map(|(source, rows)| Self { source, rows });
        traces.collect()
    }
}

impl Traces {
    /// Of a customer, by any way to write their id that means the same.
    ///
    /// # Errors
    /// When a file that may name customers can't be read.
    pub fn of(holdings: CustomerHoldings<'_>, customer: &str) -> anyhow::Result<Self> {
        let CustomerHoldings {
            folder,
            store,
            holder,
            ..
        } = holdings;
        let customer = compared_id(customer).into_owned();
        let manifest = StoreManifest::load(folder)?;
        let survey = Survey::of(folder, &manifest, Leaving::Customer(&customer))?;
        let days = days_of(folder, &customer).context("events/ can't be read")?;
        let uploads = store.map_or_else(|| Ok(Vec::new()), |store| store.uploads())?;
        Ok(Self {
            interactions: SourceTrace::all(survey.by_source(&manifest)),
            journal_days: days.len() as u64,
            journal_events: days.iter().map(|day| day.events).sum(),
            live_events: holder.map(|holder| holder.live_events_of(&customer)),
            experiments: experiments_of(folder, &customer).context("experiment/ can't be read")?,
            vectors: store.map_or(Ok(0), |store| store.vectors_of(&customer))?,
            forgotten: ForgottenList::load(folder)?.since(&customer),
            update_waits: uploads
                .last()
                .is_some_and(|upload| upload.receipt.is_none() && upload.rejected.is_none()),
            customer,
        })
    }

    /// Whether there is nothing.
    pub fn is_nothing(&self) -> bool {
        self.interactions.is_empty()
            && self.journal_events + self.live_events.unwrap_or(0) + self.vectors == 0
            && self.experiments.is_empty()
    }
}
