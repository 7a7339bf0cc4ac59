//! What this service has of a customer who is forgotten.

use std::io;

use super::Api;
use crate::erasure::HoldsCustomers;
use crate::experiment::exposures::forget_in_all;
use crate::forgotten::ForgottenError;

impl HoldsCustomers for Api {
    fn live_events_of(&self, customer: &str) -> u64 {
        self.live.count_of(customer)
    }

    fn list_has_changed(&self) -> Result<(), ForgottenError> {
        self.journal.forgotten().reload()
    }

    fn forget(&self, customer: &str) -> io::Result<()> {
        self.journal.forget(customer)?;
        self.live.forget(customer);
        match &self.experiment {
            Some((_, exposures)) => exposures.forget(&self.folder, customer),
            None => forget_in_all(&self.folder, customer),
        }
    }

    fn renew(&self) -> anyhow::Result<()> {
        Self::renew(self)
    }
}

impl Api {
    /// A customer who was forgotten while something of them was being taken in: what was is taken out again. To be called after it was,
    /// for then either this or [`HoldsCustomers::forget`] comes later than both.
    pub(super) fn forget_late(&self, customer: &str) {
        if self.journal.forgotten().since(customer).is_none() {
            return;
        }
        self.live.forget(customer);
        if let Some((_, exposures)) = &self.experiment
            && let Err(error) = exposures.forget(&self.folder, customer)
        {
            tracing::error!(%error, "a forgotten customer may be in the experiment's file: say `souk-client forget` again");
        }
    }
}
