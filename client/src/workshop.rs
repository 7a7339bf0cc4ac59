//! Where a shop's data meets a plan: what an attempt would take, the draw, the charge, the finished update.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use souk_common::catalogue::Catalogue;
use souk_common::clock::Timestamp;
use souk_common::dataset::Dataset;
use souk_common::ids::{Digest, ShopName};
use souk_common::model::config::TrainConfig;
use souk_common::model::{Recommender, UserVector, file};
use souk_common::privacy::accountant::{RELATION, UNIT};
use souk_common::privacy::{Charged, Spend};
use souk_common::rng::{Secret, secret_stream};
use souk_common::round::plan::Plan;
use souk_common::round::record::{Announcement, LogHead, Manifest, UploadHeader};
use souk_common::wire::{codec, update};

use crate::config::ShopConfig;
use crate::data::{DataError, read_shop};
use crate::folder::Folder;
use crate::ledger::{FileLedger, open_ledger};
use crate::membership::Membership;
use crate::participate::{AttemptKey, Blob, Consideration, Pending};
use crate::service::shelf::{open_plan, read_blob};
use crate::service::{Accounts, Budget};
use crate::store::{Store, blobs_of};
use crate::train::{Customers, RoundUpdate, Vectors, round_update};

/// The shop's data, ledger and store.
pub struct Workshop {
    folder: Folder,
    shop: ShopName,
    store: Arc<Store>,
    ledger: Mutex<FileLedger>,
    bench: Mutex<Option<Bench>>,
}

/// What stays on the bench from round to round of one plan.
struct Bench {
    plan: Digest,
    catalogue: Digest,
    recommender: Arc<Recommender>,
    dataset: Arc<Dataset>,
    vectors: Vectors,
}

/// A draw for one attempt; nothing of it can leave before it was charged, and nothing of a known seed can be in it.
pub struct Draw {
    update: RoundUpdate<Secret>,
    spend: Spend,
    charged: Option<Charged>,
}

impl Workshop {
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
        let ledger = open_ledger(&folder.ledger(), &membership.shop, now)?;
        // A ledger put back from a backup lacks spends whose updates are out in the world.
        for record in store.uploads()? {
            let seen = LogHead {
                length: record.header.ledger_length,
                head: record.header.ledger_head,
            };
            ledger.must_contain(seen)?;
        }
        Ok(Self {
            folder: folder.clone(),
            shop: membership.shop.clone(),
            store,
            ledger: Mutex::new(ledger),
            bench: Mutex::new(None),
        })
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
        let config = ShopConfig::load(&self.folder)?;
        let (plan, catalogue, _) = self.fetched(announcement)?;
        if plan.terms_of(&self.shop).is_none() {
            return Ok(Consideration::NotInPlan);
        }
        let recommender = Recommender::new(&plan.model, &plan.train, &catalogue);
        let coordinates = recommender.layout().len();
        let grid = plan.grid(coordinates)?;
        let spend = Spend::of(&plan, announcement);
        let since = period_start(&config, now);
        Ok(Consideration::Costs {
            noise_multiplier: spend.noise_multiplier,
            epsilon_after: self.ledger().would_spend(&spend, config.policy.delta, since),
            upload_bytes: grid.update_bytes(&plan, coordinates),
            uploaded_today_bytes: self.store.uploaded_within(DAY, now)?,
            masked_shops: plan.masking.as_ref().map(|masking| masking.min_shops),
        })
    }

    /// Noise, a secret draw of users, and their sum.
    ///
    /// # Errors
    /// When a file is missing or damaged, or the operating system gives no entropy.
    pub fn draw(&self, announcement: &Announcement) -> anyhow::Result<Draw> {
        let (plan, catalogue, model) = self.fetched(announcement)?;
        let terms = plan
            .terms_of(&self.shop)
            .context("the plan does not name this shop")?;
        let mut bench = self.bench.lock().unwrap_or_else(PoisonError::into_inner);
        let stays = bench.as_ref().is_some_and(|bench| {
            bench.plan == announcement.plan && bench.catalogue == announcement.catalogue
        });
        if !stays {
            *bench = Some(self.set_up(announcement, &plan, &catalogue)?);
        }
        let bench = bench.as_mut().context("it was just set up")?;
        let (params, _) = file::decode(&read_blob(&self.folder, &model)?, bench.recommender.layout())?;
        let round = announcement.id.round.saturating_sub(1);
        let loaded = bench.recommender.load(params).in_round(round, plan.rounds);
        let grid = plan.grid(loaded.layout().len())?;
        let mut secret = secret_stream()?;
        let update = round_update(
            &loaded,
            Customers {
                dataset: &bench.dataset,
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
        self.keep_vectors(&announcement.plan, &bench.dataset, &update.vectors)?;
        Ok(Draw {
            update,
            spend: Spend::of(&plan, announcement),
            charged: None,
        })
    }

    /// Charges the ledger for a draw; durable when this returns.
    ///
    /// # Errors
    /// When the spend may not be durable.
    pub fn charge(&self, draw: &mut Draw, now: Timestamp) -> anyhow::Result<()> {
        draw.charged = Some(self.ledger().charge(draw.spend.clone(), now)?);
        Ok(())
    }

    /// Finishes a charged draw and puts it in the outbox, durably.
    ///
    /// # Errors
    /// When it was not charged, or can't be stored.
    pub fn finish(&self, key: AttemptKey, draw: Draw, now: Timestamp) -> anyhow::Result<Pending> {
        let charged = draw.charged.context("the draw was not charged")?;
        let bytes = update::encode(&draw.update.sum.finish(&charged)?);
        let header = UploadHeader::of(key.id, &bytes, charged.head());
        let pending = Pending { key, header };
        self.store.put_in_outbox(&pending, &bytes, now)?;
        Ok(pending)
    }

    fn fetched(&self, announcement: &Announcement) -> anyhow::Result<(Plan, Catalogue, Blob)> {
        let [plan, catalogue, model] =
            Blob::all(announcement.plan, announcement.catalogue, announcement.model);
        let catalogue = Catalogue::from_bytes(&read_blob(&self.folder, &catalogue)?)?;
        Ok((open_plan(&self.folder, &plan)?, catalogue, model))
    }

    fn set_up(
        &self,
        announcement: &Announcement,
        plan: &Plan,
        catalogue: &Catalogue,
    ) -> anyhow::Result<Bench> {
        let config = ShopConfig::load(&self.folder)?;
        let dataset = match read_shop(&config.data, self.folder.path(), Some(catalogue)) {
            Ok(data) => data.dataset,
            // A shop whose file has no usable order yet takes part with noise alone: whether it has customers is
            // nobody's business.
            Err(DataError::NoOrder { .. }) => Dataset::default(),
            Err(error) => return Err(error.into()),
        };
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
        }
        Ok(Bench {
            plan: announcement.plan,
            catalogue: announcement.catalogue,
            recommender,
            dataset: Arc::new(dataset),
            vectors,
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

    fn ledger(&self) -> MutexGuard<'_, FileLedger> {
        // A panic while it was held leaves either a whole record or a ledger that refuses more.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Accounts for Workshop {
    fn budget(&self, config: &ShopConfig, now: Timestamp) -> anyhow::Result<Budget> {
        let ledger = self.ledger();
        let delta = config.policy.delta;
        let figure = |since| {
            ledger
                .chain()
                .composition(since)
                .epsilon(delta)
                .map(|epsilon| epsilon.get())
        };
        Ok(Budget {
            epsilon: figure(None),
            delta: delta.get(),
            unit: UNIT.to_owned(),
            relation: RELATION.to_owned(),
            rounds_charged: ledger.chain().spends().count() as u64,
            model_hash: None,
            max_epsilon: config.policy.max_epsilon.get(),
            period_days: config.policy.period_days,
            epsilon_in_period: figure(period_start(config, now)),
        })
    }
}

fn period_start(config: &ShopConfig, now: Timestamp) -> Option<Timestamp> {
    config.policy.period_days.map(|days| now - DAY * days)
}

/// Vectors of different plans are different things.
fn vector_name(plan: &Digest, user: &str) -> String {
    format!("{plan}/{user}")
}

const DAY: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;
    use souk_common::model::file::ModelMeta;
    use souk_common::model::init::initial_parameters;
    use souk_common::round::record::AttemptId;

    const PLAN: &str = "name = \"t\"\nrounds = 9\n[model]\nkind = \"neumf\"\ngmf_dim = 4\nmlp_dim = 4\ntower = [4]\n\
        [train]\nsolver = \"sgd\"\n[privacy]\nclip_norm = 1.0\nnoise_multiplier = 4.0\nsampling_rate = 1.0\n\
        [cohort]\nquorum = 1\n[server]\noptimiser = \"plain\"\nlearning_rate = 1.0\n\
        [[shops]]\nname = \"north\"\ndeclared_users = 10\n";

    struct Home {
        dir: tempfile::TempDir,
        membership: Membership,
        announcement: Announcement,
    }

    /// A member's folder with plan, catalogue and model as if they had been fetched.
    fn home(orders: &str, policy: &str) -> Home {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        std::fs::write(dir.path().join("orders.csv"), orders).unwrap();
        std::fs::write(folder.config(), policy).unwrap();
        let plan = Plan::from_toml(PLAN).unwrap();
        let lines: Vec<String> = (0..6).map(|row| format!("{{\"id\":\"i{row}\"}}\n")).collect();
        let catalogue = Catalogue::from_bytes(lines.concat().as_bytes()).unwrap();
        let recommender = Recommender::new(&plan.model, &plan.train, &catalogue);
        let params = initial_parameters(&plan.model, &plan.train, recommender.layout(), 1);
        let meta = ModelMeta {
            round: 0,
            plan: plan.digest(),
        };
        let blobs = [
            plan.to_bytes(),
            catalogue.to_bytes(),
            file::encode(&params, recommender.layout(), &meta),
        ];
        let [plan, catalogue, model] = [0, 1, 2].map(|at| Digest::of(&blobs[at]));
        for (blob, bytes) in Blob::all(plan, catalogue, model).iter().zip(&blobs) {
            crate::folder::write_whole(&folder.blob(blob), bytes, false).unwrap();
        }
        let announcement = Announcement {
            id: AttemptId { round: 1, attempt: 1 },
            plan,
            catalogue,
            model,
            deadline: Timestamp(0),
            log: LogHead {
                length: 1,
                head: Digest::ZERO,
            },
        };
        let membership = Membership {
            shop: "north".parse().unwrap(),
            address: "127.0.0.1:1".into(),
            ca: vec![],
            certificate: vec![],
            signing_key: vec![0; 32],
            joined_at: Timestamp(0),
            left_at: None,
        };
        Home {
            dir,
            membership,
            announcement,
        }
    }

    impl Home {
        fn open(&self) -> (Arc<Store>, anyhow::Result<Workshop>) {
            let folder = Folder::new(self.dir.path());
            let store = Arc::new(Store::open(&folder).unwrap());
            let workshop = Workshop::open(&folder, &self.membership, Arc::clone(&store), Timestamp(0));
            (store, workshop)
        }

        fn key(&self) -> AttemptKey {
            AttemptKey::from(&self.announcement)
        }
    }

    const ORDERS: &str = "user_id,item_id,timestamp\na,i1,1\na,i2,2\nb,i3,1\n";

    #[test]
    fn after_a_crash_the_spend_stands_and_the_outbox_has_the_same_bytes() {
        let home = home(ORDERS, "");
        let pending = {
            let (_, workshop) = home.open();
            let workshop = workshop.unwrap();
            let mut draw = workshop.draw(&home.announcement).unwrap();
            workshop.charge(&mut draw, Timestamp(1)).unwrap();
            // Dropped here, the spend would stand alone: that is the next test.
            workshop.finish(home.key(), draw, Timestamp(2)).unwrap()
        };
        let (store, workshop) = home.open();
        let memory = store.memory(workshop.unwrap().spent()).unwrap();
        assert_eq!(memory.outbox, Some(pending));
        assert!(memory.spent.contains(&home.key()));
        let bytes = std::fs::read(Folder::new(home.dir.path()).update(&pending.header.update)).unwrap();
        assert_eq!(
            (Digest::of(&bytes), bytes.len() as u64),
            (pending.header.update, pending.header.len_bytes)
        );
        // The users' own vectors stayed, too: one of each user.
        assert_eq!(store.vectors().unwrap().len(), 2);
    }

    #[test]
    fn a_crash_before_the_spend_costs_nothing_and_one_after_it_costs_the_spend() {
        let home = home(ORDERS, "");
        drop(home.open().1.unwrap().draw(&home.announcement).unwrap());
        let (store, workshop) = home.open();
        let workshop = workshop.unwrap();
        assert!(workshop.spent().is_empty());
        let mut draw = workshop.draw(&home.announcement).unwrap();
        workshop.charge(&mut draw, Timestamp(1)).unwrap();
        drop((store, workshop, draw));
        let (store, workshop) = home.open();
        let memory = store.memory(workshop.unwrap().spent()).unwrap();
        assert!(memory.outbox.is_none() && memory.spent.contains(&home.key()));
    }

    #[test]
    fn nothing_uncharged_is_finished() {
        let home = home(ORDERS, "");
        let (_, workshop) = home.open();
        let workshop = workshop.unwrap();
        let draw = workshop.draw(&home.announcement).unwrap();
        assert!(workshop.finish(home.key(), draw, Timestamp(0)).is_err());
    }

    #[test]
    fn a_ledger_put_back_from_a_backup_is_noticed() {
        let home = home(ORDERS, "");
        let ledger = Folder::new(home.dir.path()).ledger();
        drop(home.open());
        let backup = std::fs::read(&ledger).unwrap();
        {
            let (_, workshop) = home.open();
            let workshop = workshop.unwrap();
            let mut draw = workshop.draw(&home.announcement).unwrap();
            workshop.charge(&mut draw, Timestamp(1)).unwrap();
            workshop.finish(home.key(), draw, Timestamp(2)).unwrap();
        }
        std::fs::write(&ledger, backup).unwrap();
        let said = format!("{:#}", home.open().1.err().expect("an old ledger"));
        assert!(said.contains("old copy"), "{said}");
    }

    #[test]
    fn costs_are_told_from_the_plan_and_the_ledger_alone() {
        let home = home("", "");
        let (_, workshop) = home.open();
        let workshop = workshop.unwrap();
        let Consideration::Costs {
            noise_multiplier,
            epsilon_after,
            upload_bytes,
            ..
        } = workshop.consider(&home.announcement, Timestamp(0))
        else {
            panic!("a plan of ours")
        };
        assert!(noise_multiplier.is_some() && epsilon_after.is_some() && upload_bytes > 100);
        let unknown = Announcement {
            plan: Digest::of(b"?"),
            ..home.announcement.clone()
        };
        assert_eq!(
            workshop.consider(&unknown, Timestamp(0)),
            Consideration::Unreadable
        );
    }

    #[test]
    fn a_plan_that_does_not_name_the_shop_is_told_apart() {
        let mut home = home(ORDERS, "");
        home.membership.shop = "south".parse().unwrap();
        let workshop = home.open().1.unwrap();
        assert_eq!(
            workshop.consider(&home.announcement, Timestamp(0)),
            Consideration::NotInPlan
        );
    }

    #[test]
    fn a_shop_whose_orders_are_all_unusable_takes_part_with_noise() {
        let home = home("user_id,item_id,timestamp\na,unknown,1\n", "");
        let (_, workshop) = home.open();
        assert!(workshop.unwrap().draw(&home.announcement).is_ok());
    }
}
