//! Refused tries to enrol get into the record in time.

use std::sync::Arc;
use std::time::Duration;

use super::state::ServeState;
use crate::engine::Engine;

impl ServeState {
    /// Writes refused tries when they are due, and what is left at the end.
    pub(super) async fn keep_refusals(hub: Arc<Self>) {
        let mut ended = false;
        while !ended {
            let due = hub.dialogue.refusals_due();
            let wait = async {
                match due {
                    Some(due) => tokio::time::sleep(due.since(hub.now()).max(SOON)).await,
                    None => hub.refused.notified().await,
                }
            };
            tokio::select! {
                () = hub.stop.cancelled() => ended = true,
                () = wait => {}
            }
            if due.is_some() || ended {
                let (hub, end) = (Arc::clone(&hub), ended);
                let keeper = Arc::clone(&hub);
                let write = move |engine: &mut Engine| {
                    let written = hub.dialogue.write_refusals(engine, hub.now(), end);
                    hub.pass_on(written.into_iter().collect());
                };
                keeper.keeper.ask(write).await;
            }
        }
    }
}

/// A store that fails is not asked again at once.
const SOON: Duration = Duration::from_secs(1);
