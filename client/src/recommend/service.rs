//! Lists on demand: by a trained model where one was published, else by the shop's own stack, which is fitted when it has to be.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use anyhow::{Context, ensure};
use rayon::{ThreadPool, ThreadPoolBuilder};
use souk_common::clock::Timestamp;
use souk_common::ids::Digest;
use souk_common::stack::StackStage;

use super::cache::{ListSources, NO_TRAINED_MODEL, ShelfCache, has_model};
use super::picture::Picture;
use super::serving::Serving;
use super::shelf::{Shelf, ShelfVersion};
use super::{Customer, Ranker, RecommendOptions, Recommendable, Recommendations};
use crate::config::ShopConfig;
use crate::folder::Folder;
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
            folder,
            store,
            read: Mutex::default(),
            stack: Mutex::default(),
            shelf: RwLock::default(),
            renewing: Mutex::default(),
            fitting: Mutex::default(),
            beside_rounds: false,
            progress: Box::new(progress),
        }
    }

    /// The same, for a program that takes part in rounds: stacks are fitted on one thread of low priority, and an older one
    /// serves meanwhile.
    pub fn beside_rounds(folder: Folder, store: Arc<Store>) -> Self {
        Self {
            beside_rounds: true,
            ..Self::new(folder, Some(store), |_| {})
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
        let row = asked.user.map(|user| shelf.find(user)).transpose()?;
        let basket = shelf.find_items(asked.basket)?;
        let customer = Customer {
            row,
            basket: &basket,
            ..Customer::default()
        };
        let list = shelf.recommend(customer, wishes);
        let picture = picture.then(|| {
            let scores = shelf.scores(customer).values;
            let best = shelf.best(customer, &scores, wishes, |_| true);
            Picture {
                user_id: list.user_id.clone(),
                scores,
                best,
                bought: shelf.items_of(customer),
            }
        });
        Ok((list, picture))
    }

    /// Every user's list.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn recommend_all(&self, wishes: &RecommendOptions) -> anyhow::Result<Vec<Recommendations>> {
        use rayon::prelude::*;
        let shelf = self.recommendable()?;
        let rows = (0..shelf.dataset.len()).into_par_iter();
        Ok(rows
            .map(|row| shelf.recommend(Customer::of(row), wishes))
            .collect())
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
        let (lists, stack) = self.recommendable_from(&source)?;
        let ranker = match (&stack, &lists.serving.learned) {
            (Some(stack), _) => Digest::of(format!("{} {:?}", stack.key(), lists.ranker.by()).as_bytes()),
            (None, Some(learned)) => learned.model_hash,
            (None, None) => Digest::ZERO,
        };
        let version = ShelfVersion {
            data: source.sources.data_digest,
            catalogue: source.sources.catalogue_digest,
            ranker,
        };
        if let Some(shelf) = self.shelf().filter(|shelf| shelf.version == version) {
            return Ok(shelf);
        }
        let shelf = Arc::new(Shelf::new(lists, stack, &source.own_names, version, now));
        *self.shelf.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&shelf));
        Ok(shelf)
    }

    fn recommendable(&self) -> anyhow::Result<Recommendable> {
        Ok(self.recommendable_from(&self.source()?)?.0)
    }

    fn recommendable_from(
        &self,
        source: &ListSources,
    ) -> anyhow::Result<(Recommendable, Option<Arc<ShopStack>>)> {
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
                let wish = ShopConfig::load(&self.folder)?.recommend.federated;
                let (serving, by) = stack.serving(wish);
                let ranker = Ranker::Stack(serving.clone(), by);
                used = Some(stack);
                ranker
            }
        };
        let lists = Recommendable {
            ranker,
            catalogue: Arc::clone(&source.sources.catalogue),
            own_catalogue: source.own_catalogue,
            dataset: Arc::clone(&source.sources.dataset),
            serving: source.serving.clone(),
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

#[cfg(test)]
mod tests;
