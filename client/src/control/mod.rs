//! What a shop's program can be asked, and the answers; the same whether `run` is up or the command opens the store.

pub mod charged;
pub mod connected;
pub mod socket;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};

use serde::{Deserialize, Serialize};
use souk_common::clock::Clock;
use souk_common::round::statements::Manifest;

use self::charged::ChargedKind;
use self::connected::{Connected, NotedConnection};
use crate::config::ShopConfig;
use crate::data::DataReport;
use crate::data::outgrown::outgrown;
use crate::data::window::kept_words;
use crate::erasure::forget::{ForgetReport, forget, readmit};
use crate::erasure::traces::Traces;
use crate::erasure::{CustomerHoldings, HoldsCustomers};
use crate::folder::Folder;
use crate::interactions::read::read_store;
use crate::interactions::refresh::refresh;
use crate::page::session::Sessions;
use crate::recommend::ads::AdList;
use crate::recommend::picture::Picture;
use crate::recommend::rules_report::RulesReport;
use crate::recommend::service::{Asked, ListService};
use crate::recommend::serving::{PlanName, Serving};
use crate::recommend::{RecommendOptions, Recommendations};
use crate::stack::gain::Gain;
use crate::store::{Store, UploadRecord};

/// A question.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Question {
    /// Recommendations for one user, a basket, both, or, without either, anybody.
    Recommend {
        /// The user's id.
        user: Option<String>,
        /// Ids of items of this visit, earliest first.
        #[serde(default)]
        basket: Vec<String>,
        /// How.
        wishes: RecommendOptions,
        /// Whether all scores are wanted too, for a picture.
        picture: bool,
    },
    /// Ads for one user, or, without one, anybody.
    Ads {
        /// The user's id.
        user: Option<String>,
        /// How many.
        k: usize,
        /// Whether to say why.
        explain: bool,
    },
    /// Recommendations for every user.
    RecommendAll(RecommendOptions),
    /// How well lists do, alone and with other shops.
    Gain,
    /// Which model or release lists rest on.
    Serving,
    /// What the rules of `rules.toml` as it is now would do.
    Rules {
        /// Whose list to show before and after; none: anybody's.
        user: Option<String>,
    },
    /// What was spent.
    Budget,
    /// Whether the shop would take part in the next round.
    NextRound,
    /// What left this building.
    Sent,
    /// What is in the shop's files.
    CheckData,
    /// Copies of what the shop can't do without.
    Backup {
        /// Where to; absolute.
        folder: PathBuf,
    },
    /// What carries the connection to the coordinator.
    Connection,
    /// A link that opens the owner's page once.
    PageLink,
    /// What there is of a customer, how they leave, and how they come back.
    Customer(CustomerQuestion),
    /// End the membership.
    Leave,
}

/// A question about one customer, by any way to write their id that means the same.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum CustomerQuestion {
    /// What there is of the customer.
    Traces {
        /// Who.
        customer: String,
    },
    /// Forget the customer.
    Forget {
        /// Who.
        customer: String,
        /// Also if there is nothing of them.
        anyway: bool,
    },
    /// Let the customer in again.
    Readmit {
        /// Who.
        customer: String,
    },
}

/// An answer.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// To [`Question::Recommend`].
    Recommended {
        /// The list.
        list: Recommendations,
        /// All scores, if wanted.
        picture: Option<Picture>,
    },
    /// To [`Question::Ads`].
    Ads(AdList),
    /// To [`Question::RecommendAll`].
    RecommendedAll {
        /// One a user.
        lists: Vec<Recommendations>,
    },
    /// To [`Question::Gain`].
    Gain(Gain),
    /// To [`Question::Serving`].
    Serving(Serving),
    /// To [`Question::Rules`].
    Rules(Box<RulesReport>),
    /// To [`Question::Budget`].
    Budget(Budget),
    /// To [`Question::NextRound`].
    NextRound {
        /// None before `run` has heard of a plan.
        next: Option<NextRound>,
    },
    /// To [`Question::Sent`].
    Sent {
        /// Earliest first; what is in the outbox but has not left is not among them.
        uploads: Vec<UploadRecord>,
    },
    /// To [`Question::CheckData`].
    Data(CheckedData),
    /// To [`Question::Connection`].
    Connection {
        /// None before there was one, and while `run` is not up.
        newest: Option<Connected>,
    },
    /// To [`Question::PageLink`].
    PageLink {
        /// Good for ten minutes, once.
        link: String,
    },
    /// To [`CustomerQuestion::Traces`].
    Traces(Traces),
    /// To [`CustomerQuestion::Forget`].
    Forgotten(Box<ForgetReport>),
    /// To [`CustomerQuestion::Readmit`].
    Readmitted {
        /// Sources that have to be given or asked again before the customer is in them.
        by_hand: Vec<String>,
    },
    /// To [`Question::Leave`]; what the coordinator keeps, in its own words.
    Left {
        /// In words.
        kept: String,
    },
    /// To [`Question::Backup`].
    BackedUp {
        /// How many files.
        files: u64,
    },
    /// It could not be done.
    Failed {
        /// The exit code of the program that asked.
        exit_code: u8,
        /// In words, with the remedy.
        reason: String,
    },
}

/// What is in the shop's files.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct CheckedData {
    /// What reading them found.
    #[serde(flatten)]
    pub report: DataReport,
    /// What was not imported, what the plan has no room for, what has left for its age, and what is kept; in words.
    pub notes: Vec<String>,
    /// Whether a source is not in the store as it is now.
    #[serde(default)]
    pub refused: bool,
}

/// What was spent, and what may be.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Budget {
    /// Spent so far; none if there is no bound (a round without privacy was allowed).
    pub epsilon: Option<f64>,
    /// The delta it is stated at.
    pub delta: f64,
    /// Whose privacy: `user`, one customer with all their orders.
    pub unit: String,
    /// Between which data sets: `add-remove`.
    pub relation: String,
    /// Spends in the ledger.
    pub rounds_charged: u64,
    /// Of those, how many were of each kind.
    #[serde(default)]
    pub charged_by_kind: BTreeMap<ChargedKind, u64>,
    /// The model in use.
    pub model_hash: Option<String>,
    /// The shop's own limit.
    pub max_epsilon: f64,
    /// Spends of the last so many days count; none: all.
    pub period_days: Option<u32>,
    /// Epsilon that counts against the limit: of the period.
    pub epsilon_in_period: Option<f64>,
    /// Whether some rounds' noise was shared among the shops of a masked sum: then `epsilon` holds as long as no more
    /// shops collude than the plans said, and the two figures below say what holds besides.
    #[serde(default)]
    pub noise_is_shared: bool,
    /// Epsilon against readers of the published models only; none if there is no bound, or no noise is shared.
    #[serde(default)]
    pub epsilon_readers: Option<f64>,
    /// Epsilon if every other shop were invented: by this shop's own share of the noise; none as above.
    #[serde(default)]
    pub epsilon_if_alone: Option<f64>,
}

/// The round that comes next, by the plan that the shop heard of last and its own rules as they are now.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct NextRound {
    /// The plan.
    pub plan: PlanName,
    /// From 1.
    pub round: u64,
    /// Whether the plan has no such round any more.
    pub is_over: bool,
    /// Why the shop would decline it, each with its numbers and the remedy; none: it would take part.
    pub refusals: Vec<String>,
}

/// Answers questions about one shop.
pub struct Service {
    folder: Folder,
    store: Arc<Store>,
    accounts: Arc<dyn Accounts>,
    clock: Arc<dyn Clock>,
    lists: Arc<ListService>,
    sessions: Arc<Sessions>,
    connection: NotedConnection,
    /// The HTTP service, where there is one; it holds this.
    holder: OnceLock<Weak<dyn HoldsCustomers>>,
}

/// What turns the ledger into figures.
pub trait Accounts: Send + Sync {
    /// Fills in the spent part of the budget.
    fn budget(&self, config: &ShopConfig, now: souk_common::clock::Timestamp) -> anyhow::Result<Budget>;

    /// What the shop's rules have against the round after the one of this manifest.
    ///
    /// # Errors
    /// When `shop.toml` or the plan can't be read.
    fn next_round(
        &self,
        manifest: &Manifest,
        now: souk_common::clock::Timestamp,
    ) -> anyhow::Result<NextRound>;
}

impl Service {
    /// A service over an open store.
    pub fn new(
        folder: Folder,
        store: Arc<Store>,
        accounts: Arc<dyn Accounts>,
        clock: Arc<dyn Clock>,
        lists: Arc<ListService>,
    ) -> Self {
        Self {
            folder,
            store,
            accounts,
            clock,
            lists,
            sessions: Arc::default(),
            connection: NotedConnection::default(),
            holder: OnceLock::new(),
        }
    }

    /// What has customers beside the folder's files; the first that is named.
    pub fn held_by(&self, holder: Weak<dyn HoldsCustomers>) {
        let _ = self.holder.set(holder);
    }

    /// What carries the connection to the coordinator.
    pub fn connection(&self) -> &NotedConnection {
        &self.connection
    }

    /// Who may see the owner's page.
    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// The answer. [`Question::Leave`] needs a connection and is not answered here.
    pub fn answer(&self, question: Question) -> Answer {
        let answered = match question {
            question @ (Question::Recommend { .. }
            | Question::Ads { .. }
            | Question::RecommendAll(_)
            | Question::Gain
            | Question::Rules { .. }
            | Question::Serving) => {
                return answer_lists(&self.lists, question);
            }
            Question::Budget => self.budget().map(Answer::Budget),
            Question::NextRound => self.next_round().map(|next| Answer::NextRound { next }),
            Question::Sent => self.sent(),
            Question::Connection => Ok(Answer::Connection {
                newest: self.connection.get(),
            }),
            Question::PageLink => {
                let link = self.sessions.link(self.clock.now());
                link.map(|link| Answer::PageLink { link })
            }
            Question::CheckData => check_data(&self.folder),
            Question::Customer(question) => {
                let holder = self.holder.get().and_then(Weak::upgrade);
                let holdings = CustomerHoldings {
                    folder: &self.folder,
                    store: Some(&self.store),
                    holder: holder.as_deref(),
                    now: self.clock.now(),
                };
                return answer_customer(holdings, &question);
            }
            Question::Backup { folder } => {
                let files = crate::backup::copy(&self.folder, &self.store, &folder);
                files.map(|files| Answer::BackedUp { files })
            }
            Question::Leave => Err(anyhow::anyhow!("leaving takes a connection to the coordinator")),
        };
        answered.unwrap_or_else(|error| failed(&error))
    }

    fn budget(&self) -> anyhow::Result<Budget> {
        let config = ShopConfig::load(&self.folder)?;
        let mut budget = self.accounts.budget(&config, self.clock.now())?;
        budget.charged_by_kind = charged::by_kind(&self.folder)?;
        budget.model_hash = self
            .store
            .current_model()?
            .map(|manifest| manifest.model.to_string());
        Ok(budget)
    }

    fn next_round(&self) -> anyhow::Result<Option<NextRound>> {
        let manifest = self.store.current_model()?;
        let next = manifest.map(|manifest| self.accounts.next_round(&manifest, self.clock.now()));
        next.transpose()
    }

    fn sent(&self) -> anyhow::Result<Answer> {
        let mut uploads = self.store.uploads()?;
        uploads.retain(|record| record.first_sent_at.is_some());
        Ok(Answer::Sent { uploads })
    }
}

/// The answer to a question about lists.
pub fn answer_lists(lists: &ListService, question: Question) -> Answer {
    let answered = match question {
        Question::Recommend {
            user,
            basket,
            wishes,
            picture,
        } => {
            let asked = Asked {
                user: user.as_deref(),
                basket: &basket,
            };
            let made = lists.recommend(asked, &wishes, picture);
            made.map(|(list, picture)| Answer::Recommended { list, picture })
        }
        Question::Ads { user, k, explain } => lists.ads(user.as_deref(), k, explain).map(Answer::Ads),
        Question::RecommendAll(wishes) => {
            let made = lists.recommend_all(&wishes);
            made.map(|lists| Answer::RecommendedAll { lists })
        }
        Question::Gain => lists.gain().map(Answer::Gain),
        Question::Serving => lists.serving().map(Answer::Serving),
        Question::Rules { user } => {
            let report = crate::recommend::rules_report::report(lists, None, user.as_deref());
            report.map(|report| Answer::Rules(Box::new(report)))
        }
        _ => Err(anyhow::anyhow!("this is no question about lists")),
    };
    answered.unwrap_or_else(|error| failed(&error))
}

/// The answer to a question about one customer.
pub fn answer_customer(holdings: CustomerHoldings<'_>, question: &CustomerQuestion) -> Answer {
    let answered = match question {
        CustomerQuestion::Traces { customer } => Traces::of(holdings, customer).map(Answer::Traces),
        CustomerQuestion::Forget { customer, anyway } => {
            let report = forget(holdings, customer, *anyway);
            report.map(|report| Answer::Forgotten(Box::new(report)))
        }
        CustomerQuestion::Readmit { customer } => {
            readmit(holdings, customer).map(|by_hand| Answer::Readmitted { by_hand })
        }
    };
    answered.unwrap_or_else(|error| failed(&error))
}

fn failed(error: &anyhow::Error) -> Answer {
    Answer::Failed {
        exit_code: crate::error::exit_code(error),
        reason: format!("{error:#}"),
    }
}

/// Imports what has changed in the shop's sources and says what is in the store; against the federation's catalogue where it
/// is known.
///
/// # Errors
/// When the store or a file beside it is of no use, or nothing was ever imported and a source can't be read.
pub fn check_data(folder: &Folder) -> anyhow::Result<Answer> {
    let config = ShopConfig::load(folder)?;
    let catalogue = crate::recommend::cache::catalogue_in_use(folder)?;
    let outcome = refresh(folder, &config)?.outcome;
    let mut notes: Vec<String> = outcome.troubles().collect();
    let refused = !notes.is_empty();
    notes.extend(outcome.doubts.iter().chain(&outcome.aged).cloned());
    notes.push(kept_words(&config.data));
    let read = read_store(folder, &config.data, catalogue.as_ref()).map(|read| read.shop);
    let can_read_all = outcome.sources.iter().all(|source| source.error.is_none());
    let report = match read {
        Ok(shop) => {
            notes.extend(outgrown(folder, &shop.dataset).lines().map(str::to_owned));
            let dates = shop
                .catalogue
                .dates(souk_common::clock::SystemClock.now())
                .words();
            notes.extend(dates.map(|told| format!("dates of items: {told}")));
            shop.report
        }
        // What is wrong with it, line by line.
        Err(_) if !outcome.has_data && can_read_all => outcome.report(),
        Err(error) if can_read_all => return Err(error.into()),
        Err(_) => return Err(outcome.nothing().into()),
    };
    Ok(Answer::Data(CheckedData {
        report,
        notes,
        refused,
    }))
}
