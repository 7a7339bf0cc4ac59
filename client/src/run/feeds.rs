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
                    // While no rules make sense, it is not known what is to be fetched, or to be removed.
                    let sources = feeds_named(&folder);
                    if let Ok(sources) = &sources {
                        fetch_due(&folder, sources, &SystemClock, FetchLimits::default());
                    }
                    let sources = sources.unwrap_or_default();
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    #[test]
    fn feeds_are_fetched_from_the_start_on_and_what_fails_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let rules =
            format!("[[feed]]\nurl = 'http://{address}/good'\n[[feed]]\nurl = 'http://{address}/bad'\n");
        fs::write(folder.rules(), rules).unwrap();
        let server = std::thread::spawn(move || {
            for answer in ["HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found"] {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 4096]).unwrap();
                let text = format!("{answer}\r\nconnection: close\r\ncontent-length: 5\r\n\r\nid\na\n");
                stream.write_all(text.as_bytes()).unwrap();
            }
        });
        let (owner, mut told) = unbounded_channel();
        let fetcher = FeedFetcher::start(&folder, Some(owner)).unwrap();
        let Some(Input::Tell(line)) = told.blocking_recv() else {
            panic!("a line for the owner");
        };
        assert!(
            line.contains("/bad can't be fetched since") && line.contains("404"),
            "{line}"
        );
        server.join().unwrap();
        let sources = feeds_named(&folder).unwrap();
        let fetched = |at: usize| FetchState::load(&folder, &sources[at]).fetched_at.is_some();
        assert!(fetched(0) && !fetched(1));
        // The thread ends with it, and lets go of its owner.
        drop(fetcher);
        assert!(told.blocking_recv().is_none(), "told once");
    }
}
