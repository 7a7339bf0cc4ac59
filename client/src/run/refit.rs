//! Keeps the shop's own stack fitted while `run` is up: on a thread of its own, which rounds never wait for.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::Input;
use crate::recommend::service::ListService;

/// The thread, which ends with this.
pub(crate) struct Refit(Sender<()>);

impl Refit {
    /// Looks every now and then whether files have changed.
    pub(crate) fn start(lists: &Arc<ListService>, owner: UnboundedSender<Input>) -> std::io::Result<Self> {
        let (look, looks) = channel();
        let lists = Arc::clone(lists);
        std::thread::Builder::new()
            .name("refit".to_owned())
            .spawn(move || {
                let mut told = String::new();
                // At first a coordinator may have something to use beside the files.
                let mut wait = AT_FIRST;
                while !matches!(looks.recv_timeout(wait), Err(RecvTimeoutError::Disconnected)) {
                    wait = LOOK_AGAIN;
                    let line = match lists.refresh() {
                        Ok(None) => continue,
                        Ok(Some(gain)) => format!("lists are fitted to your customers: {}", gain.words()),
                        Err(error) => format!("lists can't be fitted to your customers: {error:#}"),
                    };
                    // The same trouble is told once.
                    if line != told && owner.send(Input::Tell(line.clone())).is_err() {
                        return;
                    }
                    told = line;
                }
            })?;
        Ok(Self(look))
    }

    /// Something was published: looks now.
    pub(crate) fn look(&self) {
        // A thread that has ended looks at nothing.
        let _ = self.0.send(());
    }
}

const AT_FIRST: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_secs(30);
