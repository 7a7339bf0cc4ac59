//! Where a shop's data meets a plan: what an attempt would take, the draw, the charge, the finished update.

mod accounts;
mod labels;
mod quality;
pub mod release_update;
pub mod round_update;
#[cfg(test)]
mod tests;
pub mod training_update;
mod unreleased;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use souk_common::catalogue::Catalogue;
use souk_common::chain::LogHead;
use souk_common::clock::Timestamp;
use souk_common::dataset::Dataset;
use souk_common::ids::{Digest, ShopName};
use souk_common::learned::Learner;
use souk_common::model::config::TrainConfig;
use souk_common::model::{Recommender, UserVector, file};
use souk_common::plan::Plan;
use souk_common::privacy::Spend;
use souk_common::privacy::ledger::LedgerError;
use souk_common::rng::secret_stream;
use souk_common::round::statements::{Announcement, Manifest, Receipt};
use souk_common::secagg::{self, MaskingParams, Masks, UnmaskSecrets};
use souk_common::wire::codec;

use crate::config::ShopConfig;
use crate::data::outgrown::Outgrown;
use crate::folder::Folder;
use crate::interactions::read::read_store;
use crate::interactions::refresh::{DataVersion, Refreshed, refresh};
use crate::ledger::{FileLedger, mend_ledger, open_ledger_on};
use crate::membership::Membership;
use crate::participate::{AttemptKey, Blob, Consideration, MaskingOffered, Pending, Policy};
use crate::recommend::blobs::{open_plan, read_blob};
use crate::store::{Store, blobs_of, vector_name};
use crate::training::labels::{of_one_scale, without_labels};
use crate::training::release_update::release_update;
use crate::training::round_update::{Customers, Vectors, round_update};
use crate::training::training_update::TrainingCache;

use self::accounts::period_start;
pub use unreleased::UnreleasedUpdate;

/// The shop's data, ledger and store.
pub struct Attempts {
    folder: Folder,
    shop: ShopName,
    store: Arc<Store>,
    ledger: Mutex<FileLedger>,
    bench: Mutex<Option<Prepared>>,
    /// Of the shop's sources, as told last.
    troubles: Mutex<Vec<String>>,
}

/// What stays on the bench from round to round of one plan.
struct Prepared {
    plan: Digest,
    catalogue: Digest,
    recommender: Arc<Recommender>,
    data: Arc<Data>,
    vectors: Vectors,
    cache: TrainingCache,
}

/// The shop's data as they were read.
struct Data {
    catalogue: Digest,
    version: DataVersion,
    dataset: Dataset,
}

impl Attempts {
    /// Opens the ledger, which is recomputed from its first record, beside an open store.
    ///
    /// # Errors
    /// When the ledger is broken, another shop's, or older than what was sent with it.
    pub fn open(
        folder: &Folder,
        membership: &Membership,
        store: Arc<Store>,
        now: Timestamp,
    ) -> anyhow::Result<Self> {
        let ledger = open_ledger_on(folder.disk(), &folder.ledger(), &membership.shop, now)?;
        // A ledger put back from a backup lacks spends whose updates are out in the world.
        for record in store.uploads()? {
            let seen = LogHead {
                length: record.header.ledger_length,
                head: record.header.ledger_head,
            };
            ledger.chain().must_continue(seen)?;
        }
        Ok(Self {
            folder: folder.clone(),
            shop: membership.shop.clone(),
            store,
            ledger: Mutex::new(ledger),
            bench: Mutex::new(None),
            troubles: Mutex::default(),
        })
    }

    /// Refuses a ledger that does not account for what the coordinator has a receipt of.
    ///
    /// # Errors
    /// With the remedy.
    pub fn must_account_for(&self, receipt: &Receipt) -> Result<(), LedgerError> {
        self.ledger().chain().must_account_for(&receipt.witnessed())
    }

    /// Every attempt that the ledger was charged for.
    pub fn spent(&self) -> Vec<AttemptKey> {
        let ledger = self.ledger();
        let key = |spend: &Spend| AttemptKey {
            plan: spend.plan,
            id: spend.id(),
        };
        ledger.chain().spends().map(|(_, spend)| key(spend)).collect()
    }

    /// Rounds of a manifest's plan; none if the plan is not here.
    pub fn rounds_of(&self, manifest: &Manifest) -> Option<u64> {
        open_plan(&self.folder, &blobs_of(manifest)[0])
            .ok()
            .map(|plan| plan.rounds)
    }

    /// What an attempt would take. Nothing here depends on a customer.
    pub fn consider(&self, announcement: &Announcement, now: Timestamp) -> Consideration {
        match self.costs(announcement, now) {
            Ok(costs) => costs,
            Err(error) => {
                tracing::warn!(id = %announcement.id, "the plan is not understood: {error:#}");
                Consideration::Unreadable
            }
        }
    }

    fn costs(&self, announcement: &Announcement, now: Timestamp) -> anyhow::Result<Consideration> {
        self.mend_ledger(now);
        let config = ShopConfig::load(&self.folder)?;
        let (plan, catalogue, model) = self.fetched(announcement)?;
        let Some(terms) = plan.terms_of(&self.shop) else {
            return Ok(Consideration::NotInPlan);
        };
        of_one_scale(&plan, &config)?;
        let (learner, round) = (Learner::new(&plan, &catalogue), announcement.id.round);
        let learned = learner.known(|| read_blob(&self.folder, &model))?;
        // A plan that no grid holds is not taken part in.
        let (of_round, _) = learner.round(&learned, round)?;
        let spend = Spend::of_attempt(&of_round, announcement.plan, announcement.id);
        if let Err(error) = self.must_be_within(&plan, &spend) {
            tracing::warn!(id = %announcement.id, "declined: {error:#}");
            return Ok(Consideration::BeyondPlan);
        }
        let (declared_users, policy) = (terms.declared_users, Policy::from(&config));
        if spend.noise_multiplier.is_some() && !policy.promises_something(declared_users) {
            tracing::warn!(
                id = %announcement.id,
                "declined: [policy] delta in shop.toml is {}, more than one over the {declared_users} customers that the plan declares \
                 for this shop, so no epsilon at it promises anything; set {:e} or less",
                policy.delta,
                1.0 / declared_users as f64
            );
        }
        let since = period_start(&config, now);
        Ok(Consideration::Costs {
            noise_multiplier: spend.noise_multiplier,
            epsilon_after: self.ledger().would_spend(&spend, config.policy.delta, since),
            declared_users,
            upload_bytes: plan.update_bytes(learner.coordinates(round)),
            uploaded_today_bytes: self.store.uploaded_within(DAY, now)?,
            masking: MaskingOffered::of(&plan),
            upload_after: plan.cohort.upload_after,
        })
    }

    /// Refuses a release beyond the plan's budget by this shop's own ledger: a coordinator that does not count an attempt that
    /// was charged here would have it say more of a customer than the plan allows.
    fn must_be_within(&self, plan: &Plan, spend: &Spend) -> anyhow::Result<()> {
        let Some(all) = plan.privacy.noise_multiplier.filter(|_| plan.is_of_releases()) else {
            return Ok(());
        };
        let ledger = self.ledger();
        let before = ledger.chain().spends().map(|(_, before)| before);
        let same = before.filter(|before| before.plan == spend.plan && before.id() != spend.id());
        let noise = same.chain([spend]).filter_map(|spend| spend.noise_multiplier);
        let spent: f64 = noise.map(|noise| noise.get().powi(-2)).sum();
        let budget = all.get().powi(-2);
        ensure!(
            spent <= budget * (1.0 + 1e-9),
            "with {} this shop would have been charged for 1/z^2 = {spent:.4} of the plan's {budget:.4}: the coordinator does not \
             count an attempt that this ledger was charged for. Ask the operator",
            spend.id()
        );
        Ok(())
    }

    /// Noise, a secret draw of users, and their sum. Files that have changed since the last draw are read again first; if
    /// they can't be, what was read before is used.
    ///
    /// # Errors
    /// When a file is missing or damaged, or the operating system gives no entropy.
    pub fn draw(&self, announcement: &Announcement) -> anyhow::Result<UnreleasedUpdate> {
        let (plan, catalogue, model) = self.fetched(announcement)?;
        let terms = plan
            .terms_of(&self.shop)
            .context("the plan does not name this shop")?;
        let mut bench = self.bench.lock().unwrap_or_else(PoisonError::into_inner);
        let known = bench.as_ref().map(|bench| Arc::clone(&bench.data));
        let (data, mut told) = self.data(known.as_ref(), announcement.catalogue, &catalogue)?;
        let stays = bench.as_ref().is_some_and(|bench| {
            bench.plan == announcement.plan
                && bench.catalogue == announcement.catalogue
                && Arc::ptr_eq(&bench.data, &data)
        });
        if !stays {
            let outgrown = Outgrown::of(Some(&plan), &self.shop, &data.dataset);
            told.extend(outgrown.lines().map(str::to_owned));
            told.extend(without_labels(&plan, &data.dataset));
            *bench = Some(self.set_up(announcement, &plan, &catalogue, data)?);
        }
        let bench = bench.as_mut().context("it was just set up")?;
        if plan.is_of_releases() {
            let learner = Learner::new(&plan, &catalogue);
            let learned = learner.decode(&read_blob(&self.folder, &model)?)?;
            learner.check(&learned, announcement.id.round)?;
            let (of_round, grid) = learner.round(&learned, announcement.id.round)?;
            let spend = Spend::of_attempt(&of_round, announcement.plan, announcement.id);
            self.must_be_within(&plan, &spend)?;
            let sum = release_update(
                (&learner, &learned),
                announcement.id.round,
                &bench.data.dataset,
                (&of_round, &grid, terms),
                &mut bench.cache,
                &mut secret_stream()?,
            )?;
            return Ok(UnreleasedUpdate::new(&of_round, announcement, sum, told));
        }
        let (params, _) = file::decode(&read_blob(&self.folder, &model)?, bench.recommender.layout())?;
        let round = announcement.id.round.saturating_sub(1);
        let loaded = bench.recommender.load(params).in_round(round, plan.rounds);
        let grid = plan.grid(loaded.layout().len())?;
        let mut secret = secret_stream()?;
        let update = round_update(
            &loaded,
            Customers {
                dataset: &bench.data.dataset,
                vectors: &bench.vectors,
                forbidden: &[],
            },
            &plan,
            &grid,
            terms,
            &mut secret,
        );
        for (user, vector) in &update.vectors {
            bench.vectors[*user] = Some(vector.clone());
        }
        self.keep_vectors(&announcement.plan, &bench.data.dataset, &update.vectors)?;
        Ok(UnreleasedUpdate::new(&plan, announcement, update.sum, told))
    }

    /// Charges the ledger for a draw; durable when this returns.
    ///
    /// # Errors
    /// When the spend may not be durable.
    pub fn charge(&self, draw: &mut UnreleasedUpdate, now: Timestamp) -> anyhow::Result<()> {
        Ok(draw.charge(&mut self.ledger(), now)?)
    }

    /// Finishes a charged draw and puts it in the outbox, durably; of a masked plan, under the masks and with what it takes
    /// to unmask it. It leaves when it is `due`.
    ///
    /// # Errors
    /// When it was not charged, its masks are missing, or it can't be stored.
    pub fn finish(
        &self,
        key: AttemptKey,
        draw: UnreleasedUpdate,
        masks: Option<(&UnmaskSecrets, Masks)>,
        due: Option<Timestamp>,
        now: Timestamp,
    ) -> anyhow::Result<Pending> {
        let masking = masks.as_ref().map(|(masking, _)| *masking);
        let (pending, bytes) = draw.finish(key, masks, due)?;
        self.store.put_in_outbox(&pending, &bytes, masking, now)?;
        Ok(pending)
    }

    /// What an announced attempt's keys are bound to, and the numbers of its masking.
    ///
    /// # Errors
    /// When the plan has none, or can't be read.
    pub fn masking_of(
        &self,
        announcement: &Announcement,
    ) -> anyhow::Result<(secagg::Context, MaskingParams)> {
        let plan = self.fetched(announcement)?.0;
        let terms = plan.masking_params().context("the plan has no masking")?;
        let context = secagg::Context {
            id: announcement.id,
            plan: announcement.plan,
            model: announcement.model,
        };
        Ok((context, terms))
    }

    /// Shops of a masked plan whose key the owner has not confirmed.
    ///
    /// # Errors
    /// When plan or `shop.toml` can't be read.
    pub fn strangers_in(&self, announcement: &Announcement) -> anyhow::Result<Vec<ShopName>> {
        let plan = self.fetched(announcement)?.0;
        if plan.masking.is_none() {
            return Ok(Vec::new());
        }
        let known = ShopConfig::load(&self.folder)?.known_shops;
        let names = plan.shops.into_iter().map(|terms| terms.name);
        Ok(names
            .filter(|name| *name != self.shop && !known.contains_key(name))
            .collect())
    }

    fn fetched(&self, announcement: &Announcement) -> anyhow::Result<(Plan, Catalogue, Blob)> {
        let [plan, catalogue, model] =
            Blob::all(announcement.plan, announcement.catalogue, announcement.model);
        let catalogue = Catalogue::from_bytes(&read_blob(&self.folder, &catalogue)?)?;
        Ok((open_plan(&self.folder, &plan)?, catalogue, model))
    }

    /// The shop's data: as they are known, unless they have changed. And lines about that for the owner.
    fn data(
        &self,
        known: Option<&Arc<Data>>,
        digest: Digest,
        catalogue: &Catalogue,
    ) -> anyhow::Result<(Arc<Data>, Vec<String>)> {
        let config = ShopConfig::load(&self.folder)?;
        let Refreshed { version, outcome } = refresh(&self.folder, &config)?;
        // Of a shop that has just started, `run` tells.
        let mut told = match known {
            Some(_) => outcome.news().collect(),
            None => Vec::new(),
        };
        told.extend(self.new_troubles(outcome.troubles().collect()));
        let known = known.filter(|known| known.catalogue == digest);
        if let Some(known) = known.filter(|known| known.version == version) {
            return Ok((Arc::clone(known), told));
        }
        let read = match outcome.has_data {
            true => read_store(&self.folder, &config.data, Some(catalogue)).map(|read| read.shop.dataset),
            false => Err(outcome.nothing()),
        };
        let dataset = match (read, known) {
            (Ok(dataset), _) => dataset,
            // A shop without a usable order takes part with noise alone: whether it has customers is nobody's business. Nor is
            // a customer trained on whose orders were taken out.
            (Err(error), _) if error.is_of_no_customers() => {
                told.push(format!("there is nothing to train on: {error}"));
                Dataset::default()
            }
            (Err(error), None) => return Err(error.into()),
            (Err(error), Some(known)) => {
                told.push(format!(
                    "your data have changed and can't be read: {error}. What was read before is used; look at `souk-client \
                     check-data`"
                ));
                known.dataset.clone()
            }
        };
        let data = Data {
            catalogue: digest,
            version,
            dataset,
        };
        Ok((Arc::new(data), told))
    }

    /// What is wrong with the shop's sources, unless it is what was told last.
    fn new_troubles(&self, troubles: Vec<String>) -> Vec<String> {
        let mut told = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        match *told == troubles {
            true => Vec::new(),
            false => {
                told.clone_from(&troubles);
                troubles
            }
        }
    }

    fn set_up(
        &self,
        announcement: &Announcement,
        plan: &Plan,
        catalogue: &Catalogue,
        data: Arc<Data>,
    ) -> anyhow::Result<Prepared> {
        let dataset = &data.dataset;
        let recommender = Recommender::new(&plan.model, &plan.train, catalogue);
        let mut vectors: Vectors = vec![None; dataset.len()];
        if matches!(plan.train, TrainConfig::Sgd(_)) {
            let width = recommender.layout().width();
            let mut stored: HashMap<String, Vec<u8>> = self.store.vectors()?.into_iter().collect();
            for (user, vector) in dataset.users.iter().zip(&mut vectors) {
                let bytes = stored.remove(&vector_name(&announcement.plan, user));
                let read = bytes.and_then(|bytes| codec::decode::<UserVector>(&bytes).ok());
                *vector = read.filter(|vector| vector.values.len() == width);
            }
            if ShopConfig::load(&self.folder)?.data.keep_days.is_some() {
                // Users are sorted by id.
                let has_data = |user: &str| {
                    dataset
                        .users
                        .binary_search_by(|other| other.as_str().cmp(user))
                        .is_ok()
                };
                self.store.keep_vectors_of(has_data)?;
            }
        }
        Ok(Prepared {
            plan: announcement.plan,
            catalogue: announcement.catalogue,
            recommender,
            data,
            vectors,
            cache: TrainingCache::default(),
        })
    }

    fn keep_vectors(
        &self,
        plan: &Digest,
        dataset: &Dataset,
        learned: &[(usize, UserVector)],
    ) -> anyhow::Result<()> {
        if learned.is_empty() {
            return Ok(());
        }
        let mut rows = Vec::with_capacity(learned.len());
        for (user, vector) in learned {
            rows.push((vector_name(plan, &dataset.users[*user]), codec::encode(vector)?));
        }
        Ok(self
            .store
            .store_vectors(rows.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())))?)
    }

    /// A ledger whose file has failed is read again before it is asked what an attempt would take, never after: what failed
    /// may count. If it can't be, the draw is not charged, and the log has the reason.
    fn mend_ledger(&self, now: Timestamp) {
        let mut ledger = self.ledger();
        if !ledger.has_failed() {
            return;
        }
        match mend_ledger(&mut ledger, &self.folder.ledger(), now) {
            Ok(()) => {
                tracing::info!("the ledger's file can be written again; what failed counts if it is there")
            }
            Err(error) => tracing::warn!("{error}"),
        }
    }

    fn ledger(&self) -> MutexGuard<'_, FileLedger> {
        // A panic while it was held leaves either a whole record or a ledger that refuses more.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const DAY: Duration = Duration::from_secs(86_400);
