//! When `run` ends: by itself, or because somebody ends it.

use std::time::Duration;

use souk_common::clock::Timestamp;

/// When [`super::run`] ends by itself.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct StopRules {
    /// End when the coordinator says that the run is complete.
    #[arg(long = "exit-when-finished")]
    pub when_finished: bool,
    /// End with an error after so long without a connection to the coordinator (such as 30m or 2h); without this, a shop
    /// dials again for as long as it runs.
    #[arg(long = "give-up-after", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub after_alone: Option<Duration>,
}

/// Done when the owner or the system ends the program.
pub(super) fn stopped() -> std::io::Result<impl Future<Output = ()>> {
    let mut stop = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = stop.recv() => {}
        }
    })
}

/// Since when a shop has had no connection, and how long its owner bears that.
pub(crate) struct Offline {
    borne: Option<Duration>,
    since: Option<Timestamp>,
}

impl Offline {
    pub(crate) fn since(now: Timestamp, ends: StopRules) -> Self {
        Self {
            borne: ends.after_alone,
            since: Some(now),
        }
    }

    /// There is a connection.
    pub(crate) fn is_over(&mut self) {
        self.since = None;
    }

    /// There is none, or none yet.
    pub(crate) fn goes_on(&mut self, now: Timestamp) {
        self.since.get_or_insert(now);
    }

    /// Done when it has been so for longer than is borne.
    pub(crate) fn too_long(&self, now: Timestamp) -> impl Future<Output = ()> + use<> {
        let left = self
            .since
            .zip(self.borne)
            .map(|(since, borne)| (since + borne).since(now));
        async move {
            match left {
                Some(left) => tokio::time::sleep(left).await,
                None => std::future::pending().await,
            }
        }
    }

    /// What to tell the owner then.
    pub(crate) fn error(&self, address: &str) -> anyhow::Error {
        let borne = humantime::format_duration(self.borne.unwrap_or_default());
        anyhow::anyhow!(
            "there was no connection to the coordinator at {address} for {borne} (--give-up-after); nothing is lost: start \
             again when it can be reached"
        )
    }
}
