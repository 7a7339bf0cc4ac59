//! The page of a shop's owner: what goes on, in words, served beside the HTTP API at `/`.
//!
//! | module | what |
//! |---|---|
//! | [`session`] | one-time links, sessions |
//! | [`facts`] | what is shown, read by the thread that imports and fits |
//! | [`door`], [`visitor`] | language, session, origin and headers of every request |
//! | [`served`], [`routes`], [`rules_form`] | what routes have at hand; what can be asked; how rules are tried and saved |
//! | [`live`] | that something has changed, by server-sent events |
//! | [`words`] | all texts, a file a language |
//! | [`layout`], [`chart`] | what all pages share; figures as pictures |
//! | [`views`] | the pages, one a file |
//!
//! It is HTML from the server: nothing of it needs a script, and nothing comes from elsewhere.

mod chart;
mod door;
mod facts;
mod layout;
mod live;
mod routes;
mod rules_form;
mod served;
pub mod session;
#[cfg(test)]
mod tests;
mod views;
mod visitor;
mod words;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use axum::Router;
use souk_common::clock::{Clock, Timestamp};
use souk_common::ids::Digest;
use tokio::sync::watch;

use crate::control::Service;
use crate::folder::Folder;
use crate::http::tokens::Tokens;
use crate::participate::Note;
use crate::recommend::Recommendations;
use crate::recommend::picture::Picture;
use crate::recommend::rules_report::RulesReport;
use crate::recommend::shelf::Shelf;
use crate::rules::edit::{RulesNotWritten, RulesText};
use crate::rules::feed::FeedReport;
use crate::rules::in_force::InForce;
pub use facts::ServiceNews;
use facts::{Facts, FactsReader};
use session::{Sessions, secret_text};

/// The page of one shop.
pub struct Page {
    folder: Folder,
    clock: Arc<dyn Clock>,
    tokens: Arc<Tokens>,
    sessions: Arc<Sessions>,
    /// In the form of whoever has no session yet.
    signin_token: String,
    /// Whether cookies go over TLS only.
    is_secure: bool,
    reader: FactsReader,
    /// None before the first look.
    facts: RwLock<Option<Arc<Facts>>>,
    /// What became of rounds since this program was started, latest first.
    heard: Mutex<VecDeque<Heard>>,
    connection: Mutex<Connection>,
    /// Counts what has changed.
    changes: watch::Sender<u64>,
}

/// What became of a round.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Heard {
    pub(crate) at: Timestamp,
    pub(crate) note: Note,
}

/// How this shop stands with the coordinator.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Connection {
    /// None while there is a connection.
    pub(crate) offline_since: Option<Timestamp>,
    /// Since when TCP has carried connections in UDP's place.
    pub(crate) by_tcp_since: Option<Timestamp>,
    /// Whether the coordinator's record contradicted itself since this program was started.
    pub(crate) is_forked: bool,
}

/// What makes a customer's list: the same that the web shop gets.
pub trait CustomerLists: Send + Sync {
    /// The list of a customer, known or not; none while there are no lists.
    fn look_up(&self, user: &str) -> Option<CustomerLookUp>;

    /// The rules of these lists.
    fn rules(&self) -> RulesState;

    /// What the rules of a text would do to a customer's list; to anybody's, if nothing is known of the customer.
    ///
    /// # Errors
    /// When they make no sense, or there are no lists.
    fn try_rules(&self, text: &str, user: Option<&str>) -> anyhow::Result<RulesReport>;

    /// Writes the text to `rules.toml`, if its digest is still `was`, and has lists made by it at once.
    ///
    /// # Errors
    /// When it was not written.
    fn save_rules(&self, was: Digest, text: &str) -> Result<(), RulesNotWritten>;
}

/// Rules, for the owner.
pub struct RulesState {
    /// What holds, or why there are no lists.
    pub in_force: anyhow::Result<InForce>,
    /// What the owner should know.
    pub told: Vec<String>,
    /// The feeds that they name.
    pub feeds: Vec<FeedReport>,
    /// `rules.toml` as it is now, or why it can't be edited.
    pub file: io::Result<RulesText>,
}

/// A customer, for the owner.
#[derive(Clone, Debug)]
pub struct CustomerLookUp {
    /// Whether anything is known of the customer.
    pub known: bool,
    /// What the customer has, as (id, title), latest first.
    pub items: Vec<(String, String)>,
    /// The list, with reasons.
    pub list: Recommendations,
    /// All scores.
    pub picture: Picture,
}

impl Page {
    /// Of the shop in `folder`, whose running program answers by `service`.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn new(
        folder: &Folder,
        service: Arc<Service>,
        tokens: Arc<Tokens>,
        clock: Arc<dyn Clock>,
        is_secure: bool,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            folder: folder.clone(),
            clock: Arc::clone(&clock),
            tokens,
            sessions: Arc::clone(service.sessions()),
            signin_token: secret_text()?,
            is_secure,
            reader: FactsReader::new(folder.clone(), service),
            facts: RwLock::default(),
            heard: Mutex::default(),
            connection: Mutex::new(Connection {
                offline_since: Some(clock.now()),
                by_tcp_since: None,
                is_forked: false,
            }),
            changes: watch::Sender::new(0),
        })
    }

    /// Reads anew what is shown; `shelf` is what makes lists now, or why there is nothing new.
    pub fn renew(&self, shelf: Result<&Arc<Shelf>, &anyhow::Error>, news: ServiceNews, now: Timestamp) {
        let new = self.reader.read(shelf, news, now);
        let mut facts = self.facts.write().unwrap_or_else(PoisonError::into_inner);
        let is_news = facts.as_ref().is_none_or(|old| {
            Facts {
                at: now,
                ..(**old).clone()
            } != new
        });
        *facts = Some(Arc::new(new));
        drop(facts);
        if is_news {
            self.changes.send_modify(|changes| *changes += 1);
        }
    }

    /// Takes note of what became of a round.
    pub fn hear(&self, note: &Note, now: Timestamp) {
        if let Note::Disconnected { .. } = note {
            self.connection().offline_since.get_or_insert(now);
        }
        if let Note::Forked(_) = note {
            self.connection().is_forked = true;
        }
        if !matches!(note, Note::Disconnected { .. } | Note::Finished) {
            let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.push_front(Heard {
                at: now,
                note: note.clone(),
            });
            heard.truncate(MOST_HEARD);
            drop(heard);
            self.changes.send_modify(|changes| *changes += 1);
        }
    }

    /// Takes note of a connection to the coordinator, and since when TCP has carried them in UDP's place, if it does.
    pub fn connected(&self, by_tcp_since: Option<Timestamp>) {
        let mut connection = self.connection();
        connection.offline_since = None;
        connection.by_tcp_since = by_tcp_since;
    }

    /// Its routes; `lists` makes customers' lists.
    pub fn router(self: &Arc<Self>, lists: Arc<dyn CustomerLists>) -> Router {
        routes::router(self, lists)
    }

    fn facts(&self) -> Option<Arc<Facts>> {
        self.facts.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self) -> Vec<Heard> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.iter().cloned().collect()
    }
}

const MOST_HEARD: usize = 200;
