//! The coordinator's own certificate while it runs. Connections that stand are not touched: a new certificate is for those that
//! come.

use std::sync::{PoisonError, RwLock};

use quinn::Endpoint;
use souk_common::clock::Timestamp;
use souk_common::crypto::pki::Validity;
use souk_common::transport::{Identity, Platform, TransportError, TunnelServer, server_config};

use crate::folder::{HomeError, Lives};
use crate::membership::authorities::Certification;

/// Until when the coordinator is certified, and where it shows that.
pub(crate) struct Certificates {
    pub(crate) lives: Lives,
    endpoint: Endpoint,
    tunnels: Option<TunnelServer>,
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
    pub(crate) fn new(
        lives: Lives,
        (endpoint, tunnels, platform): (Endpoint, Option<TunnelServer>, Platform),
        validity: Validity,
    ) -> Self {
        Self {
            lives,
            endpoint,
            tunnels,
            platform,
            validity: RwLock::new(validity),
        }
    }

    /// From when until when the coordinator is certified.
    pub(crate) fn validity(&self) -> Validity {
        *self.validity.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where shops without UDP come in.
    pub(crate) fn tunnels(&self) -> Option<&TunnelServer> {
        self.tunnels.as_ref()
    }

    /// New connections are offered `own` from here on.
    ///
    /// # Errors
    /// When TLS does not take it, or them who certify.
    pub(crate) fn serve(&self, own: &Own, authorities: &[Vec<u8>]) -> Result<(), TransportError> {
        let config = server_config(&self.platform, &own.identity, authorities)?;
        self.endpoint.set_server_config(Some(config));
        if let Some(tunnels) = &self.tunnels {
            tunnels.serve(&own.identity, authorities)?;
        }
        *self.validity.write().unwrap_or_else(PoisonError::into_inner) = own.validity;
        Ok(())
    }
}
