//! Keeps the shop's store of interactions up to date and its own stack fitted while `run` is up: on a thread of its own, which
//! rounds never wait for.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use souk_common::clock::{Clock, SystemClock};
use tokio::sync::mpsc::UnboundedSender;

use super::Input;
use super::feeds::FeedFetcher;
use crate::config::ShopConfig;
use crate::folder::Folder;
use crate::http::Api;
use crate::interactions::import::import;
use crate::recommend::service::ListService;

/// The thread, and that of feeds, which end with this.
pub(crate) struct Refit {
    look: Sender<()>,
    _feeds: FeedFetcher,
}

impl Refit {
    /// Imports now, puts up the shelf of `api` and fetches feeds, asks queries again every now and then, and looks more often whether files have changed.
    pub(crate) fn start(
        folder: &Folder,
        lists: &Arc<ListService>,
        owner: UnboundedSender<Input>,
        api: Option<Arc<Api>>,
    ) -> std::io::Result<Self> {
        // Where lists are served, feeds are told of with the rules.
        let feeds = FeedFetcher::start(folder, api.is_none().then(|| owner.clone()))?;
        let (look, looks) = channel();
        let (folder, lists) = (folder.clone(), Arc::clone(lists));
        std::thread::Builder::new()
            .name("refit".to_owned())
            .spawn(move || {
                // The same is told once.
                let (mut imported, mut fitted) = (Vec::new(), Vec::new());
                let tell = |told: &mut Vec<String>, lines: Vec<String>| {
                    let news = if *told == lines { &[][..] } else { &lines[..] };
                    let all_told = news
                        .iter()
                        .all(|line| owner.send(Input::Tell(line.clone())).is_ok());
                    *told = lines;
                    all_told
                };
                if !tell(&mut imported, import_all(&folder)) {
                    return;
                }
                let (mut shelf, mut ruled) = (Vec::new(), Vec::new());
                let mut put_up = || {
                    let renewed = api.as_ref().map_or(Ok(()), |api| api.renew());
                    let lines = renewed
                        .err()
                        .map(|error| format!("the HTTP API has no new lists: {error:#}"));
                    tell(&mut shelf, lines.into_iter().collect()) && tell(&mut ruled, lists.told_of_rules())
                };
                if !put_up() {
                    return;
                }
                let mut looks_until_asked = LOOKS_PER_QUESTION;
                // At first a coordinator may have something to use beside the files.
                let mut wait = AT_FIRST;
                while !matches!(looks.recv_timeout(wait), Err(RecvTimeoutError::Disconnected)) {
                    wait = LOOK_AGAIN;
                    looks_until_asked -= 1;
                    if looks_until_asked == 0 {
                        looks_until_asked = LOOKS_PER_QUESTION;
                        if !tell(&mut imported, import_all(&folder)) {
                            return;
                        }
                    }
                    let line = match lists.refresh() {
                        Ok(None) => None,
                        Ok(Some(gain)) => {
                            Some(format!("lists are fitted to your customers: {}", gain.words()))
                        }
                        Err(error) => Some(format!("lists can't be fitted to your customers: {error:#}")),
                    };
                    let is_told = line.is_none_or(|line| tell(&mut fitted, vec![line]));
                    if !is_told || !put_up() {
                        return;
                    }
                }
            })?;
        Ok(Self { look, _feeds: feeds })
    }

    /// Something was published: looks now.
    pub(crate) fn look(&self) {
        // A thread that has ended looks at nothing.
        let _ = self.look.send(());
    }
}

/// Imports whatever is new in all sources; what there is to tell of it.
fn import_all(folder: &Folder) -> Vec<String> {
    let imported = ShopConfig::load(folder)
        .map_err(anyhow::Error::from)
        .and_then(|config| Ok(import(folder, &config.data, &[], false, SystemClock.now())?));
    match imported {
        Ok(outcome) => outcome.lines(),
        Err(error) => vec![format!("your data can't be imported: {error:#}")],
    }
}

const AT_FIRST: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Queries are asked once an hour.
const LOOKS_PER_QUESTION: u32 = 120;
