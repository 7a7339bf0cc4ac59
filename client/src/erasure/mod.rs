//! One customer's end: what the shop's folder has of them, and how it leaves (ADR 0026). `docs/data.md` has the files.
//!
//! | module | what |
//! |---|---|
//! | [`traces`] | what there is of a customer, by file |
//! | [`forget`] | the steps, each of which can be done again; and the way back |
//! | [`exposures`] | experiments that are over by more than what is kept |

pub mod exposures;
pub mod forget;
#[cfg(test)]
mod tests;
pub mod traces;

use std::io;

use souk_common::clock::Timestamp;

use crate::events::days::forget_in_days;
use crate::experiment::exposures::forget_in_all;
use crate::folder::Folder;
use crate::forgotten::ForgottenError;
use crate::store::Store;

/// What a program that runs has of customers beside the folder's files, some of which it holds open.
pub trait HoldsCustomers: Send + Sync {
    /// How many events of a customer, named as compared, are in memory.
    fn live_events_of(&self, customer: &str) -> u64;

    /// The list of forgotten customers is another: from when this returns on, nothing of them is taken in.
    ///
    /// # Errors
    /// When it can't be read.
    fn list_has_changed(&self) -> Result<(), ForgottenError>;

    /// Forgets a customer who is on the list: in the journal, in memory, and in all experiments.
    ///
    /// # Errors
    /// Of the disk.
    fn forget(&self, customer: &str) -> io::Result<()>;

    /// Imports what has changed and puts up new lists.
    ///
    /// # Errors
    /// When there can be none: those of before stay.
    fn renew(&self) -> anyhow::Result<()>;
}

/// Where customers are.
#[derive(Clone, Copy)]
pub struct CustomerHoldings<'a> {
    /// The shop's folder.
    pub folder: &'a Folder,
    /// Its store; none if it has none.
    pub store: Option<&'a Store>,
    /// The program that serves, if one does.
    pub holder: Option<&'a dyn HoldsCustomers>,
    /// The time now.
    pub now: Timestamp,
}

impl CustomerHoldings<'_> {
    /// Forgets a customer in the journal and in all experiments.
    fn forget_in_logs(&self, customer: &str) -> io::Result<()> {
        if let Some(holder) = self.holder {
            return holder.forget(customer);
        }
        forget_in_days(self.folder, customer)?;
        forget_in_all(self.folder, customer)
    }
}
