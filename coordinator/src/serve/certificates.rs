//! The coordinator's own certificate while it runs: renewed before it ends, and made anew when authorities change. Connections
//! that stand are not touched: a new certificate is for those that come.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use quinn::Endpoint;
use souk_common::clock::Timestamp;
use souk_common::crypto::pki::Validity;
use souk_common::transport::{Identity, Platform, in_place, server_config};

use super::ServeError;
use super::state::ServeState;
use crate::folder::{HomeError, Lives};
use crate::membership::authorities::Certification;

/// Until when the coordinator is certified, and where it shows that.
pub(crate) struct Certificates {
    pub(crate) lives: Lives,
    endpoint: Endpoint,
    platform: Platform,
    validity: RwLock<Validity>,
}

/// A certificate of the coordinator's own.
pub(crate) struct Own {
    pub(crate) identity: Identity,
    pub(crate) validity: Validity,
}

/// Certifies the coordinator.
pub(crate) fn own(certification: &Certification, lives: Lives, now: Timestamp) -> Result<Own, HomeError> {
    let serving = certification.serving();
    let (certificate, key) = serving.issue_coordinator_for(lives.coordinator, now)?;
    let validity = Validity::of(&certificate).unwrap_or(Validity {
        from: now,
        until: now + lives.coordinator,
    });
    let chain = vec![certificate, serving.certificate().to_vec()];
    Ok(Own {
        identity: Identity { chain, key },
        validity,
    })
}

impl Certificates {
    pub(crate) fn new(lives: Lives, (endpoint, platform): (Endpoint, Platform), validity: Validity) -> Self {
        Self {
            lives,
            endpoint,
            platform,
            validity: RwLock::new(validity),
        }
    }

    /// From when until when the coordinator is certified.
    pub(crate) fn validity(&self) -> Validity {
        *self.validity.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ServeState {
    /// Reads the authorities again, and certifies the coordinator anew.
    pub(crate) fn certify(&self, now: Timestamp) -> Result<(), ServeError> {
        let certificates = &self.certificates;
        let certification = Certification::load(&self.home)?;
        let own = own(&certification, certificates.lives, now)?;
        let config = server_config(
            &certificates.platform,
            &own.identity,
            &certification.word().certificates,
        )?;
        certificates.endpoint.set_server_config(Some(config));
        *certificates
            .validity
            .write()
            .unwrap_or_else(PoisonError::into_inner) = own.validity;
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
