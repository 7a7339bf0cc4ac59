//! What the page shows, read at one moment by the thread that imports and fits: no request reads the ledger, the store or a
//! source.

use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use souk_common::clock::Timestamp;
use souk_common::ids::ShopName;

use crate::config::ShopConfig;
use crate::control::charged::{ChargedKind, kinds};
use crate::control::{Answer, Budget, NextRound, Question, Service};
use crate::data::{DataReport, SourceReport};
use crate::experiment::report::ExperimentReport;
use crate::folder::Folder;
use crate::health::{HealthLevel, keys, troubles_of_folder};
use crate::interactions::outcome::ImportState;
use crate::interactions::refresh::refresh;
use crate::interactions::unmatched::{AllUnmatched, unmatched};
use crate::membership::Membership;
use crate::membership::peers::{Peers, look};
use crate::recommend::serving::Serving;
use crate::recommend::shelf::{Shelf, ShelfVersion};
use crate::stack::ServedBy;
use crate::stack::gain::Gain;
use crate::store::UploadRecord;

/// Something that was read, or why it could not be, with the remedy.
pub(crate) type Found<T> = Result<T, String>;

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Facts {
    /// When.
    pub(crate) at: Timestamp,
    /// This shop; none if its membership can't be read.
    pub(crate) shop: Option<ShopName>,
    /// Whether this shop is a member of a federation.
    pub(crate) has_federation: bool,
    pub(crate) lists: Found<ListFacts>,
    /// None where a trained model makes the lists, or nothing does.
    pub(crate) gain: Option<Gain>,
    pub(crate) budget: Found<Budget>,
    /// None before a plan is known.
    pub(crate) next: Found<Option<NextRound>>,
    /// What left, earliest first, with the kind of round that it was for.
    pub(crate) uploads: Found<Vec<(UploadRecord, ChargedKind)>>,
    pub(crate) data: Found<DataFacts>,
    /// None where no catalogue has come from the federation.
    pub(crate) unmatched: Option<Found<AllUnmatched>>,
    pub(crate) keys: Found<Peers>,
    /// What else is not in order, a line each: the disk, certificates, keys.
    pub(crate) troubles: Vec<String>,
    /// What the owner should know of the rules for lists; a line each.
    pub(crate) rules_told: Vec<String>,
    /// None where there is no experiment.
    pub(crate) experiment: Option<Found<ExperimentReport>>,
}

/// What the HTTP service says with each look.
pub struct ServiceNews {
    /// What the owner should know of the rules for lists; a line each.
    pub rules_told: Vec<String>,
    /// None where there is no experiment; else what came of it, or why that is not known.
    pub experiment: Option<Result<ExperimentReport, String>>,
}

/// What makes lists.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ListFacts {
    pub(crate) by: ServedBy,
    pub(crate) serving: Serving,
    pub(crate) items: usize,
    pub(crate) customers: usize,
    /// Whether items are those of the shop's own files.
    pub(crate) own_catalogue: bool,
}

/// What the last look at the shop's sources found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DataFacts {
    pub(crate) sources: Vec<SourceFacts>,
    /// What is not in the store as it is now, and what can't be known of it; a line each.
    pub(crate) troubles: Vec<String>,
    pub(crate) doubts: Vec<String>,
}

impl DataFacts {
    /// What became of each file.
    pub(crate) fn reports(&self) -> impl Iterator<Item = &SourceReport> {
        self.sources.iter().flat_map(|source| &source.report.sources)
    }

    /// The time of the newest order that was read, seconds since 1970.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.reports()
            .filter_map(|source| source.span)
            .map(|(_, last)| last)
            .max()
    }
}

/// One source.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SourceFacts {
    pub(crate) name: String,
    pub(crate) state: ImportState,
    pub(crate) report: DataReport,
}

/// Reads [`Facts`], what is dear only when it has changed.
pub(crate) struct FactsReader {
    folder: Folder,
    service: Arc<Service>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    budget: Option<(BudgetKey, Found<Budget>)>,
    unmatched: Option<(ShelfVersion, Found<AllUnmatched>)>,
    keys: Option<(Timestamp, Found<Peers>)>,
    /// Whether anything was read before.
    is_begun: bool,
}

/// The ledger's and `shop.toml`'s last write, and the hour, in which spends may leave the period that counts.
type BudgetKey = (Option<SystemTime>, Option<SystemTime>, i64);

impl FactsReader {
    pub(crate) fn new(folder: Folder, service: Arc<Service>) -> Self {
        Self {
            folder,
            service,
            kept: Mutex::default(),
        }
    }

    /// As of `now`; `shelf` is what makes lists, or why there is nothing new.
    pub(crate) fn read(
        &self,
        shelf: Result<&Arc<Shelf>, &anyhow::Error>,
        news: ServiceNews,
        now: Timestamp,
    ) -> Facts {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let config =
            ShopConfig::load(&self.folder).map_err(|error| format!("{:#}", anyhow::Error::from(error)));
        let membership = Membership::load(&self.folder);
        let shelf = shelf.map_err(|error| format!("{error:#}"));
        let mut troubles = troubles_of_folder(&self.folder, config.as_ref().ok(), now);
        let keys = match &membership {
            Ok(_) => self.keys(&mut kept, now),
            Err(error) => Err(format!("{error:#}")),
        };
        if let (Ok(peers), Ok(config)) = (&keys, &config) {
            // A key that has changed is a worry of its own.
            let found = keys::judge(peers, keys::count(&self.folder, &config.policy));
            troubles.extend((found.level == HealthLevel::Warning).then_some(found.text));
        }
        Facts {
            troubles,
            at: now,
            shop: membership.as_ref().ok().map(|membership| membership.shop.clone()),
            has_federation: self.folder.membership().is_file(),
            lists: shelf.clone().map(|shelf| ListFacts::of(shelf)),
            gain: match (&shelf, &config) {
                (Ok(shelf), Ok(config)) => shelf
                    .stack
                    .as_ref()
                    .map(|stack| stack.gain(config.recommend.federated, shelf.lists.own_catalogue)),
                _ => None,
            },
            budget: self.budget(&mut kept, now),
            next: match self.service.answer(Question::NextRound) {
                Answer::NextRound { next } => Ok(next),
                other => Err(reason(other)),
            },
            uploads: match self.service.answer(Question::Sent) {
                Answer::Sent { uploads } => Ok(self.with_kinds(uploads)),
                other => Err(reason(other)),
            },
            data: config.clone().and_then(|config| self.data(&config)),
            unmatched: match (&shelf, &config) {
                (Ok(shelf), Ok(config)) if !shelf.lists.own_catalogue => {
                    Some(self.unmatched(&mut kept, shelf, config))
                }
                _ => None,
            },
            keys,
            rules_told: news.rules_told,
            experiment: news.experiment,
        }
    }

    fn with_kinds(&self, uploads: Vec<UploadRecord>) -> Vec<(UploadRecord, ChargedKind)> {
        let rounds: Vec<_> = uploads
            .iter()
            .map(|record| (record.key.plan, record.key.id.round))
            .collect();
        uploads
            .into_iter()
            .zip(kinds(&self.folder, rounds.into_iter()))
            .collect()
    }

    fn budget(&self, kept: &mut Kept, now: Timestamp) -> Found<Budget> {
        let written = |path| fs::metadata(path).and_then(|file| file.modified()).ok();
        let hour = now.0.div_euclid(3_600_000);
        let key = (written(self.folder.ledger()), written(self.folder.config()), hour);
        if let Some((known, budget)) = &kept.budget
            && *known == key
        {
            return budget.clone();
        }
        let budget = match self.service.answer(Question::Budget) {
            Answer::Budget(budget) => Ok(budget),
            other => Err(reason(other)),
        };
        kept.budget = Some((key, budget.clone()));
        budget
    }

    fn data(&self, config: &ShopConfig) -> Found<DataFacts> {
        let outcome = refresh(&self.folder, config)
            .map_err(|error| format!("{:#}", anyhow::Error::from(error)))?
            .outcome;
        Ok(DataFacts {
            troubles: outcome.troubles().collect(),
            doubts: outcome.doubts.clone(),
            sources: outcome
                .sources
                .into_iter()
                .map(|source| SourceFacts {
                    name: source.name,
                    // What was imported half a minute ago is as unchanged as what was imported last week.
                    state: match source.state {
                        ImportState::Imported => ImportState::Unchanged,
                        state => state,
                    },
                    report: source.report,
                })
                .collect(),
        })
    }

    fn unmatched(&self, kept: &mut Kept, shelf: &Shelf, config: &ShopConfig) -> Found<AllUnmatched> {
        if let Some((known, found)) = &kept.unmatched
            && (known.data, known.catalogue) == (shelf.version.data, shelf.version.catalogue)
        {
            return found.clone();
        }
        let found = unmatched(&self.folder, config, &shelf.lists.catalogue, MOST_UNMATCHED);
        let found = found.map_err(|error| format!("{:#}", anyhow::Error::from(error)));
        kept.unmatched = Some((shelf.version, found.clone()));
        found
    }

    fn keys(&self, kept: &mut Kept, now: Timestamp) -> Found<Peers> {
        if let Some((asked, found)) = &kept.keys
            && now.since(*asked)
                < if found.is_ok() {
                    KEYS_AGAIN
                } else {
                    KEYS_AFTER_A_FAILURE
                }
        {
            return found.clone();
        }
        // The coordinator may let one wait, and the first look is waited for.
        if !std::mem::replace(&mut kept.is_begun, true) {
            return Err("the members' keys have not been asked for yet: that takes some seconds".to_owned());
        }
        let found = look(&self.folder, &[]).map_err(|error| format!("{error:#}"));
        kept.keys = Some((now, found.clone()));
        found
    }
}

impl ListFacts {
    fn of(shelf: &Shelf) -> Self {
        Self {
            by: shelf.lists.ranker.by(),
            serving: shelf.lists.serving.clone(),
            items: shelf.lists.catalogue.len(),
            customers: shelf.lists.dataset.len(),
            own_catalogue: shelf.lists.own_catalogue,
        }
    }
}

fn reason(answer: Answer) -> String {
    match answer {
        Answer::Failed { reason, .. } => reason,
        _ => "the program answered another question: this is a fault of it, please report it".to_owned(),
    }
}

/// Items without a home that are listed; the others are counted.
const MOST_UNMATCHED: usize = 100;
/// The coordinator is asked for the members' keys once an hour, and sooner after it did not answer.
const KEYS_AGAIN: std::time::Duration = std::time::Duration::from_secs(3600);
const KEYS_AFTER_A_FAILURE: std::time::Duration = std::time::Duration::from_secs(300);
