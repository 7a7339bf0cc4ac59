//! The way to the coordinator: its name looked up, and dialled over what leads there.

use std::net::SocketAddr;

use anyhow::Context;
use souk_common::transport::{
    Carrier, Dialled, Identity, Platform, TransportChoice, TransportError, Trust, dial,
};

use super::timeouts::{Step, within};

/// The way to a coordinator.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Route {
    /// `host:port`.
    pub address: String,
    /// What to dial over.
    pub transport: TransportChoice,
}

impl Route {
    /// To `address`, over whatever leads there.
    pub fn to(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            transport: TransportChoice::Auto,
        }
    }

    /// Looks the address up, and dials.
    ///
    /// # Errors
    /// When the name leads nowhere, nobody answers, or the wrong one.
    pub(crate) async fn dial(
        &self,
        platform: &Platform,
        trust: &Trust,
        identity: Option<&Identity>,
    ) -> anyhow::Result<Dialled> {
        let remote = resolve(&self.address).await?;
        let dialled = within(
            Step::Dial,
            dial(platform, remote, trust, identity, self.transport),
        )
        .await;
        let address = &self.address;
        let dialled = dialled.with_context(|| format!("no answer from {address} ({remote})"))?;
        dialled.map_err(|error| match (&error, self.transport) {
            (TransportError::NoWay { .. }, TransportChoice::Auto) => anyhow::Error::new(error).context(format!(
                "no answer from {address} ({remote}) over UDP or TCP: is it up, and do the firewalls on the way let one of them pass?"
            )),
            (TransportError::NoWay { .. }, only) => anyhow::Error::new(error).context(format!(
                "no answer from {address} ({remote}), and `transport` under [network] in shop.toml allows {} only",
                match only {
                    TransportChoice::Tcp => Carrier::Tcp,
                    _ => Carrier::Udp,
                }
            )),
            _ => error.into(),
        })
    }
}

/// The first address of `host:port`.
async fn resolve(address: &str) -> anyhow::Result<SocketAddr> {
    let mut found = within(Step::Resolve, tokio::net::lookup_host(address))
        .await?
        .with_context(|| format!("can't find {address:?}: is it host:port, and does the name resolve?"))?;
    found
        .next()
        .with_context(|| format!("{address:?} has no address"))
}
