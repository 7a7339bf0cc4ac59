//! Lists on demand: by a trained model where one was published, else by the shop's own stack, which is fitted when it has to be.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use anyhow::{Context, ensure};
use rayon::{ThreadPool, ThreadPoolBuilder};
use souk_common::clock::{Clock, SystemClock, Timestamp};
use souk_common::ids::Digest;
use souk_common::model::Loaded;
use souk_common::stack::StackStage;

use super::ads::{self, AdList};
use super::cache::{ListSources, NO_TRAINED_MODEL, ShelfCache, has_model};
use super::newcomers::Newcomers;
use super::picture::Picture;
use super::ruled::{compile, number_names, said_by};
use super::serving::Serving;
use super::shelf::{Shelf, ShelfVersion};
use super::stars::of_shop;
use super::visit::VisitRows;
use super::{Ranker, RecommendOptions, Recommendable, Recommendations};
use crate::config::ShopConfig;
use crate::data::compared_id;
use crate::events::live::LiveEvents;
use crate::folder::Folder;
use crate::rules::compiled::{CompiledRules, unknown_words};
use crate::rules::file::ListRules;
use crate::rules::in_force::{InForce, ShopRules, read_rules};
use crate::stack::ShopStack;
use crate::stack::gain::Gain;
use crate::stack::kept::KeptStack;
use crate::store::Store;

/// Makes one shop's lists.
pub struct ListService {
    folder: Folder,
    store: Option<Arc<Store>>,
    read: Mutex<ShelfCache>,
    stack: Mutex<Option<Arc<ShopStack>>>,
    shelf: RwLock<Option<Arc<Shelf>>>,
    /// What the web shop reported that the store does not have yet, while it is served.
    live: RwLock<Option<Arc<LiveEvents>>>,
    /// What the owner decided of lists.
    pub rules: ShopRules,
    compiled: Mutex<Option<(CompiledKey, Arc<CompiledRules>)>>,
    renewing: Mutex<()>,
    /// Held while a stack is fitted: two at once help nobody.
    fitting: Mutex<()>,
    /// Whether the program takes part in rounds, which must not wait for a fit.
    beside_rounds: bool,
    progress: Box<dyn Fn(StackStage) + Send + Sync>,
}

/// For whom lists are asked, by names.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// A user's id; none for a basket, or for anybody.
    pub user: Option<&'a str>,
    /// Ids of items of this visit, earliest first.
    pub basket: &'a [String],
}

impl ListService {
    /// Of the shop in `folder`; without a store it has no coordinator, and the stack works all the same. `progress` is told
    /// while a stack is fitted.
    pub fn new(
        folder: Folder,
        store: Option<Arc<Store>>,
        progress: impl Fn(StackStage) + Send + Sync + 'static,
    ) -> Self {
        Self {
            rules: ShopRules::new(folder.clone()),
            compiled: Mutex::default(),
            folder,
            store,
            read: Mutex::default(),
            stack: Mutex::default(),
            shelf: RwLock::default(),
            live: RwLock::default(),
            renewing: Mutex::default(),
            fitting: Mutex::default(),
            beside_rounds: false,
            progress: Box::new(progress),
        }
    }

    /// The same, for a program that takes part in rounds: stacks are fitted on one thread of low priority, and an older one
    /// serves meanwhile.
    pub fn beside_rounds(folder: Folder, store: Option<Arc<Store>>) -> Self {
        Self {
            beside_rounds: true,
            ..Self::new(folder, store, |_| {})
        }
    }

    /// One list, and all scores if a picture is wanted.
    ///
    /// # Errors
    /// When the user or an item is unknown, or a file can't be read.
    pub fn recommend(
        &self,
        asked: Asked<'_>,
        wishes: &RecommendOptions,
        picture: bool,
    ) -> anyhow::Result<(Recommendations, Option<Picture>)> {
        let shelf = self.recommendable()?;
        let mut visit = asked
            .user
            .map_or_else(VisitRows::default, |user| self.visit(&shelf, user));
        let row = match asked.user.map(|user| shelf.find(user)) {
            // Who bought for the first time today is in no file yet.
            Some(Err(_)) if !visit.is_empty() => None,
            found => found.transpose()?,
        };
        visit.basket.extend(shelf.find_items(asked.basket)?);
        let customer = visit.customer(row);
        let mut list = shelf.recommend(customer, wishes);
        if row.is_none() {
            list.user_id = asked.user.unwrap_or_default().to_owned();
        }
        list.rules_trouble = self.told_of_rules();
        let picture = picture.then(|| {
            let listed = list.items.iter();
            Picture {
                user_id: list.user_id.clone(),
                scores: shelf.scores(customer).values,
                best: listed
                    .filter_map(|item| shelf.catalogue.row(&item.item_id))
                    .collect(),
                bought: shelf.items_of(customer),
            }
        });
        Ok((list, picture))
    }

    /// The `k` ads that a customer, or somebody unknown, is most likely to click, with reasons if wanted.
    ///
    /// # Errors
    /// When no plan has learned clicks, there is no ad, or the shop has no such customer.
    pub fn ads(&self, user: Option<&str>, k: usize, explain: bool) -> anyhow::Result<AdList> {
        ads::list(&self.source()?, user, (k, explain), SystemClock.now())
    }

    /// Every user's list; what the owner should know of the rules stands with the first.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn recommend_all(&self, wishes: &RecommendOptions) -> anyhow::Result<Vec<Recommendations>> {
        use rayon::prelude::*;
        let shelf = self.recommendable()?;
        let rows = (0..shelf.dataset.len()).into_par_iter();
        let mut lists: Vec<Recommendations> = rows
            .map(|row| {
                let visit = self.visit(&shelf, &shelf.dataset.users[row]);
                shelf.recommend(visit.customer(Some(row)), wishes)
            })
            .collect();
        if let Some(first) = lists.first_mut() {
            first.rules_trouble = self.told_of_rules();
        }
        Ok(lists)
    }

    /// Counts what the web shop reports in every list from here on.
    pub fn count_live(&self, live: Arc<LiveEvents>) {
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Some(live);
    }

    fn live_events(&self) -> Option<Arc<LiveEvents>> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a customer did since the data were read.
    fn visit(&self, lists: &Recommendable, user: &str) -> VisitRows {
        let (Some(live), Some(shelf)) = (self.live_events(), self.shelf()) else {
            return VisitRows::default();
        };
        // The shelf knows items by all their names, and may be of an older catalogue.
        let find = |name: &str| {
            let row = shelf.item(name).ok()?;
            lists
                .catalogue
                .row(&shelf.lists.catalogue.items()[row as usize].id)
        };
        VisitRows::of(&live.of(&compared_id(user), SystemClock.now()), find)
    }

    /// What the stack says about itself; fitted first if it has to be.
    ///
    /// # Errors
    /// When a trained model serves, or as [`Self::refresh`].
    pub fn gain(&self) -> anyhow::Result<Gain> {
        let source = self.source()?;
        let stack = self.fitted(&source)?.context(
            "a trained model makes this shop's lists; what other shops add is measured for releases only",
        )?;
        let wish = ShopConfig::load(&self.folder)?.recommend.federated;
        Ok(stack.gain(wish, source.own_catalogue))
    }

    /// Fits the stack anew if what it rests on has changed. Then what it says about itself, else none.
    ///
    /// # Errors
    /// When a file can't be read, or nothing can be fitted to it.
    pub fn refresh(&self) -> anyhow::Result<Option<Gain>> {
        if let Some(store) = &self.store
            && has_model(&self.folder, store)?
        {
            return Ok(None);
        }
        let source = self.source()?;
        let key = source.sources.key();
        if source.model.is_some() || self.stack().as_ref().is_some_and(|stack| stack.key() == key) {
            return Ok(None);
        }
        let wish = ShopConfig::load(&self.folder)?.recommend.federated;
        let stack = self.fitted(&source)?;
        Ok(stack.map(|stack| stack.gain(wish, source.own_catalogue)))
    }

    /// Everything that lists are made of, as of the last [`Self::renew_shelf`]; none before the first.
    pub fn shelf(&self) -> Option<Arc<Shelf>> {
        self.shelf.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks whether what lists are made of has changed, and puts up a new shelf if so.
    ///
    /// # Errors
    /// When a file can't be read, or nothing can be fitted to it; the old shelf stays.
    pub fn renew_shelf(&self, now: Timestamp) -> anyhow::Result<Arc<Shelf>> {
        let _one = self.renewing.lock().unwrap_or_else(PoisonError::into_inner);
        let source = self.source()?;
        let (lists, stack) = self.recommendable_from(&source, now)?;
        let ranker = match (&stack, &lists.serving.learned) {
            (Some(stack), _) => {
                let day = stack.day_that_counts();
                Digest::of(format!("{} {:?} {day:?}", stack.key(), lists.ranker.by()).as_bytes())
            }
            (None, Some(learned)) => learned.model_hash,
            (None, None) => Digest::ZERO,
        };
        let version = ShelfVersion {
            rules: self.compiled_key(&source, now)?.0.rules,
            data: source.sources.data_digest,
            catalogue: source.sources.catalogue_digest,
            ranker,
            names: ShelfVersion::of_names(&source.own_names),
        };
        if let Some(shelf) = self.shelf().filter(|shelf| shelf.version == version) {
            return Ok(shelf);
        }
        let shelf = Arc::new(Shelf::new(lists, stack, &source.own_names, version, now));
        let mut up = self.shelf.write().unwrap_or_else(PoisonError::into_inner);
        // What was said since the rules were compiled, of which only the shelf before this one was told.
        shelf.lists.rules.catch_up();
        *up = Some(Arc::clone(&shelf));
        Ok(shelf)
    }

    fn recommendable(&self) -> anyhow::Result<Recommendable> {
        Ok(self.recommendable_from(&self.source()?, SystemClock.now())?.0)
    }

    /// What the owner's rules in force are, and what compiled ones rest on.
    fn compiled_key(
        &self,
        source: &ListSources,
        now: Timestamp,
    ) -> anyhow::Result<(CompiledKey, Arc<ListRules>)> {
        let in_force = self.rules.look(number_names(&source.sources.catalogue))?;
        let day = match in_force.rules.depend_on_the_day() {
            true => now.0.div_euclid(MS_OF_A_DAY),
            false => 0,
        };
        let (_, feeds) = self.rules.feeds.look(&in_force.rules.file.feed, now);
        let key = CompiledKey {
            rules: Digest::of(format!("{} {feeds} {day}", in_force.digest).as_bytes()),
            catalogue: source.sources.catalogue_digest,
            data: source.sources.data_digest,
        };
        Ok((key, in_force.rules))
    }

    /// The owner's rules in force over what lists are made of, compiled again only if something has changed.
    fn compiled(&self, source: &ListSources, now: Timestamp) -> anyhow::Result<Arc<CompiledRules>> {
        let (key, rules) = self.compiled_key(source, now)?;
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, compiled)) = compiled.as_ref().filter(|(before, _)| *before == key) {
            compiled.catch_up();
            return Ok(Arc::clone(compiled));
        }
        let (states, feeds) = (self.rules.states()?, self.rules.feeds.in_force());
        states.take_feeds(said_by(&feeds, source));
        let made = Arc::new(compile(rules, source, (&states, &feeds), now));
        *compiled = Some((key, Arc::clone(&made)));
        Ok(made)
    }

    /// Whether lists of what is there now wait for a fit.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn wait_for_a_fit(&self) -> anyhow::Result<bool> {
        let source = self.source()?;
        let is_fitted = |stack: &Arc<ShopStack>| stack.catalogue() == source.sources.catalogue_digest;
        Ok(source.model.is_none() && !self.stack().as_ref().is_some_and(is_fitted))
    }

    /// Rules that are not in force, over what lists are made of now: those of `text`, or else of `rules.toml`.
    ///
    /// # Errors
    /// When they make no sense, or a file can't be read.
    pub fn tried(&self, text: Option<&str>) -> anyhow::Result<(Recommendable, CompiledRules)> {
        let (source, now) = (self.source()?, SystemClock.now());
        let numbers = number_names(&source.sources.catalogue);
        let rules = Arc::new(match text {
            Some(text) => ListRules::parse(text, Some(&numbers))?,
            None => read_rules(&self.folder, Some(&numbers))?,
        });
        let (mut lists, _) = self.recommendable_from(&source, now)?;
        // A feed that is not in force changes nothing before it is.
        let (states, feeds) = (self.rules.states()?, self.rules.feeds.in_force());
        let tried = compile(rules, &source, (&states, &feeds), now);
        lists.rules = Arc::new(CompiledRules::none(&lists.catalogue));
        Ok((lists, tried))
    }

    /// Which rules are in force; looked at anew.
    ///
    /// # Errors
    /// When none are, or what lists are made of can't be read.
    pub fn rules_in_force(&self) -> anyhow::Result<InForce> {
        self.rules.look(number_names(&self.source()?.sources.catalogue))
    }

    /// What its owner should know of the rules: why `rules.toml` is not what is in force, and what it names that is not there.
    pub fn told_of_rules(&self) -> Vec<String> {
        let mut told: Vec<String> = self.rules.trouble().into_iter().collect();
        told.extend(self.rules.feeds.told());
        let compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        let compiled = compiled.as_ref().map(|(_, compiled)| compiled);
        told.extend(compiled.and_then(|compiled| unknown_words(compiled.unknown())));
        told
    }

    fn recommendable_from(
        &self,
        source: &ListSources,
        now: Timestamp,
    ) -> anyhow::Result<(Recommendable, Option<Arc<ShopStack>>)> {
        let rules = self.compiled(source, now)?;
        let mut used = None;
        let ranker = match &source.model {
            Some(model) => Ranker::Model(Arc::clone(model)),
            None => {
                let has_orders = source.sources.dataset.histories.iter().any(|own| !own.is_empty());
                // Without any purchase and any release, all items score the same: an order that nobody chose.
                ensure!(
                    has_orders || source.sources.release.is_some(),
                    "{}no customer of this shop has bought anything yet",
                    self.store
                        .as_ref()
                        .map_or(String::new(), |_| format!("{NO_TRAINED_MODEL}: "))
                );
                let older = self.stack().clone().filter(|stack| {
                    self.beside_rounds && stack.catalogue() == source.sources.catalogue_digest
                });
                let stack = match older {
                    Some(stack) => stack,
                    None => self.fitted(source)?.context("there is no stack")?,
                };
                let stack = self.of_today(stack, now);
                let wish = ShopConfig::load(&self.folder)?.recommend.federated;
                let (serving, by) = stack.serving(wish);
                let ranker = Ranker::Stack(serving.clone(), by);
                used = Some(stack);
                ranker
            }
        };
        let of_stars = |model: &Arc<Loaded>| of_shop(&source.sources.dataset.labelled, model);
        let lists = Recommendable {
            ranker,
            stars: source.model.as_ref().and_then(of_stars).map(Arc::new),
            catalogue: Arc::clone(&source.sources.catalogue),
            own_catalogue: source.own_catalogue,
            dataset: Arc::clone(&source.sources.dataset),
            serving: source.serving.clone(),
            newcomers: used.as_ref().and_then(|stack| {
                let stack = stack.newcomers()?.clone();
                Some(Arc::new(Newcomers::new(stack, &source.sources.dataset)))
            }),
            rules,
        };
        Ok((lists, used))
    }

    /// The stack of these sources, fitted if need be; none where a trained model serves.
    fn fitted(&self, source: &ListSources) -> anyhow::Result<Option<Arc<ShopStack>>> {
        if source.model.is_some() {
            return Ok(None);
        }
        let _one = self.fitting.lock().unwrap_or_else(PoisonError::into_inner);
        let key = source.sources.key();
        if let Some(stack) = self.stack().clone().filter(|stack| stack.key() == key) {
            return Ok(Some(stack));
        }
        let build = || {
            let kept = KeptStack::load(&self.folder);
            let before = kept.clone();
            let stack = ShopStack::build(&source.sources, kept, |stage| (self.progress)(stage))?;
            if before.as_ref() != Some(stack.kept()) {
                stack.kept().store(&self.folder);
            }
            anyhow::Ok(Arc::new(stack))
        };
        let stack = match self.beside_rounds {
            true => on_one_thread()?.install(build),
            false => build(),
        }?;
        *self.stack() = Some(Arc::clone(&stack));
        Ok(Some(stack))
    }

    /// The stack as of today; the one that is held makes way for it.
    fn of_today(&self, stack: Arc<ShopStack>, now: Timestamp) -> Arc<ShopStack> {
        let Some(today) = stack.as_of(now) else {
            return stack;
        };
        let today = Arc::new(today);
        let mut held = self.stack();
        if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, &stack)) {
            *held = Some(Arc::clone(&today));
        }
        today
    }

    /// Which model or release lists rest on now.
    ///
    /// # Errors
    /// When the store is damaged or a plan can't be read.
    pub fn serving(&self) -> anyhow::Result<Serving> {
        let serving = self
            .store
            .as_deref()
            .map(|store| Serving::of(&self.folder, store));
        Ok(serving.transpose()?.unwrap_or_default())
    }

    fn source(&self) -> anyhow::Result<ListSources> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.get(&self.folder, self.store.as_deref())
    }

    fn stack(&self) -> MutexGuard<'_, Option<Arc<ShopStack>>> {
        self.stack.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What compiled rules rest on, apart from what the web shop says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct CompiledKey {
    /// Of the rules, and of the day if they depend on it.
    rules: Digest,
    catalogue: Digest,
    data: Digest,
}

/// A thread that rounds do not feel; it ends with its pool.
fn on_one_thread() -> anyhow::Result<ThreadPool> {
    let pool = ThreadPoolBuilder::new()
        .num_threads(1)
        .thread_name(|_| "stack".to_owned())
        .start_handler(|_| yield_to_others());
    pool.build()
        .context("the system gives no thread to fit the stack on")
}

/// Lets every other thread of this machine go first.
fn yield_to_others() {
    // What can't be had is done without: the fit is only less polite.
    let _ = rustix::process::setpriority_process(None, LEAST_PRIORITY);
}

const LEAST_PRIORITY: i32 = 19;
const MS_OF_A_DAY: i64 = 86_400_000;

#[cfg(test)]
mod tests;
