//! Fetches product feeds by address while `run` is up: on a thread of its own, which neither rounds nor lists wait for.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use souk_common::clock::{Clock, SystemClock};
use tokio::sync::mpsc::UnboundedSender;

use super::Input;
use crate::folder::Folder;
use crate::rules::feed::fetch::{FetchLimits, FetchState, fetch_due};
use crate::rules::in_force::feeds_named;

/// The thread, which ends with this, or with the fetch that is under way then.
pub(super) struct FeedFetcher {
    _ends: Sender<()>,
}

impl FeedFetcher {
    /// Begins with what is due. `owner` is told of what fails where nobody else tells of feeds.
    pub(super) fn start(folder: &Folder, owner: Option<UnboundedSender<Input>>) -> std::io::Result<Self> {
        let (ends, ended) = channel();
        let folder = folder.clone();
        std::thread::Builder::new()
            .name("feeds".to_owned())
            .spawn(move || {
                // The same is told once.
                let mut told = Vec::new();
                loop {
                    let sources = feeds_named(&folder);
                    fetch_due(&folder, &sources, &SystemClock, FetchLimits::default());
                    let by_address = sources.iter().filter(|source| source.url.is_some());
                    let lines: Vec<String> = by_address
                        .filter_map(|source| {
                            FetchState::load(&folder, source).told(source, SystemClock.now())
                        })
                        .collect();
                    if let Some(owner) = owner.as_ref().filter(|_| told != lines) {
                        for line in &lines {
                            // A program that is gone is told nothing more.
                            let _ = owner.send(Input::Tell(line.clone()));
                        }
                    }
                    told = lines;
                    if matches!(
                        ended.recv_timeout(LOOK_AGAIN),
                        Err(RecvTimeoutError::Disconnected)
                    ) {
                        return;
                    }
                }
            })?;
        Ok(Self { _ends: ends })
    }
}

/// As often as files are looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
