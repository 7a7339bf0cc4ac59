//! The coordinator's certificate, renewed before it ends, and made anew when authorities change.

use std::sync::Arc;
use std::time::Duration;

use souk_common::clock::Timestamp;
use souk_common::transport::in_place;

use super::ServeError;
use super::certificates::own;
use super::state::ServeState;
use crate::membership::authorities::Certification;

impl ServeState {
    /// Reads the authorities again, and certifies the coordinator anew.
    pub(crate) fn certify(&self, now: Timestamp) -> Result<(), ServeError> {
        let certificates = &self.certificates;
        let certification = Certification::load(&self.home)?;
        let own = own(&certification, certificates.lives, now)?;
        certificates.serve(&own, &certification.word().certificates)?;
        self.dialogue.certify_by(certification);
        Ok(())
    }

    /// Renews the coordinator's certificate when two thirds of its life have passed, until the hub stops.
    pub(crate) async fn keep_certified(hub: Arc<Self>) {
        let mut due = hub.certificates.validity().renew_at();
        loop {
            // Looked at again from time to time: the machine's clock may be set meanwhile.
            let wait = due.since(hub.now()).min(LOOK_AGAIN);
            tokio::select! {
                () = hub.stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            // Rotations certify anew, too.
            due = due.max(hub.certificates.validity().renew_at());
            if hub.now() < due {
                continue;
            }
            let certified = in_place(|| hub.certify(hub.now()));
            let validity = hub.certificates.validity();
            match certified {
                Ok(()) => {
                    due = validity.renew_at();
                    tracing::info!(until = %validity.until, "the coordinator's certificate was renewed");
                }
                Err(error) => {
                    due = validity.try_again_at(hub.now());
                    hub.report(&format!("the coordinator's certificate was not renewed: {error}"));
                }
            }
        }
    }
}

const LOOK_AGAIN: Duration = Duration::from_secs(3600);
