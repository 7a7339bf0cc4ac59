//! Which model makes lists as runs begin, teach, are rolled back, and begin anew.

use souk_common::catalogue::{Catalogue, Item};
use souk_common::clock::Timestamp;
use souk_common::crypto::sign::SigningKey;
use souk_common::ids::{AttemptId, Digest};
use souk_common::learned::{Learned, Learner};
use souk_common::model::file::ModelMeta;
use souk_common::plan::Plan;
use souk_common::round::statements::Manifest;

use super::*;
use crate::store::{ModelWord, Store, blobs_of};

const PLAN: &str = "name = 'spring'\nrounds = 2\n[model]\nkind = 'mf'\ngmf_dim = 4\n[train]\nsolver = 'ials'\nalpha = 0.1\n\
    lambda = 1.0\n[privacy]\nclip_norm = 1.0\nnoise_multiplier = 2.0\nsampling_rate = 0.5\n[cohort]\nquorum = 1\n\
    [server]\noptimiser = 'plain'\nlearning_rate = 1.0\n[[shops]]\nname = 'north'\ndeclared_users = 40\n";

/// What a coordinator publishes.
struct Publisher {
    folder: Folder,
    catalogue: Catalogue,
}

impl Publisher {
    fn new(folder: &Folder) -> Self {
        let item = |row: usize| Item::bare(format!("item-{row:02}"));
        Self {
            folder: folder.clone(),
            catalogue: Catalogue::new((0..16).map(item).collect()).unwrap(),
        }
    }

    /// The word of a model that `taught_by` made, published as of `id`; its files are fetched.
    fn word(&self, plan: &str, (round, attempt): (u64, u32), taught_by: u64) -> ModelWord {
        let plan = Plan::from_toml(plan).unwrap();
        let learner = Learner::new(&plan, &self.catalogue);
        let Learned::Model(mut params) = learner.initial() else {
            panic!("a model")
        };
        params
            .iter_mut()
            .for_each(|param| *param += taught_by as f32 / 64.0);
        let meta = ModelMeta {
            round: taught_by,
            plan: plan.digest(),
        };
        let file = learner.encode(&Learned::Model(params), &meta);
        let manifest = Manifest {
            id: AttemptId { round, attempt },
            model: Digest::of(&file),
            parent: Digest::ZERO,
            plan: plan.digest(),
            catalogue: self.catalogue.digest(),
            updates: Vec::new(),
            published_at: Timestamp(0),
        };
        let files = [plan.to_bytes(), self.catalogue.to_bytes(), file];
        for (blob, bytes) in blobs_of(&manifest).iter().zip(files) {
            let path = self.folder.blob(blob);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        ModelWord::Manifest(SigningKey::from_bytes(&[7; 32]).sign(manifest))
    }
}

#[test]
fn an_untrained_model_never_makes_lists_and_the_last_trained_one_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let folder = shop(dir.path());
    let publisher = Publisher::new(&folder);
    let store = Arc::new(Store::open(&folder).unwrap());
    let lists = ListService::new(folder.clone(), Some(Arc::clone(&store)), |_| {});
    let made = || {
        let (list, _) = lists.recommend(asked(Some("u0"), &[]), &WISHES, false).unwrap();
        let learned = list.serving.learned;
        (
            list.served_by,
            learned.map(|learned| (learned.plan.name, learned.round)),
            list.serving.untrained.map(|plan| plan.name),
        )
    };
    let spring = |round| Some(("spring".to_owned(), round));
    let autumn = PLAN.replace("spring", "autumn");
    let initial = publisher.word(PLAN, (0, 0), 0);
    store.use_model(&initial).unwrap();
    assert_eq!(made(), (ServedBy::Alone, None, Some("spring".to_owned())));
    assert!(lists.gain().is_ok(), "the stack serves");
    store.use_model(&publisher.word(PLAN, (1, 1), 1)).unwrap();
    assert_eq!(made(), (ServedBy::Model, spring(1), None));
    store.use_model(&publisher.word(PLAN, (2, 1), 2)).unwrap();
    assert_eq!(made(), (ServedBy::Model, spring(2), None));
    // Back to the first round: that is what is named.
    store.use_model(&publisher.word(PLAN, (2, 0), 1)).unwrap();
    assert_eq!(made(), (ServedBy::Model, spring(1), None));
    // Another run begins, and its first attempts fail: the trained model stays, its file as well.
    store.use_model(&publisher.word(&autumn, (0, 0), 0)).unwrap();
    store
        .use_model(&publisher.word(&autumn.replace("autumn", "winter"), (0, 0), 0))
        .unwrap();
    assert_eq!(made(), (ServedBy::Model, spring(1), Some("winter".to_owned())));
    // Back to an initial model: the trained one was taken back, and random rows are not served in its place.
    store.use_model(&publisher.word(PLAN, (2, 0), 0)).unwrap();
    assert_eq!(made(), (ServedBy::Alone, None, Some("spring".to_owned())));
    store.use_model(&publisher.word(&autumn, (0, 0), 0)).unwrap();
    assert_eq!(made(), (ServedBy::Alone, None, Some("autumn".to_owned())));
    drop((lists, store));
    assert!(Store::open(&folder).unwrap().served_model().unwrap().is_none());
}

#[test]
fn without_a_trained_model_and_purchases_of_its_own_a_shop_is_told_so_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let folder = shop(dir.path());
    let publisher = Publisher::new(&folder);
    let store = Arc::new(Store::open(&folder).unwrap());
    store.use_model(&publisher.word(PLAN, (0, 0), 0)).unwrap();
    let lists = ListService::new(folder.clone(), Some(Arc::clone(&store)), |_| {});
    let said = || {
        let refused = lists.recommend(asked(None, &[]), &WISHES, false);
        format!("{:#}", refused.unwrap_err())
    };
    // None of these items is in the catalogue; then there is no file at all.
    fs::write(
        dir.path().join("orders.csv"),
        "user_id,item_id,timestamp\na,strange,1\n",
    )
    .unwrap();
    let of_strangers = said();
    fs::remove_file(dir.path().join("orders.csv")).unwrap();
    for said in [of_strangers, said()] {
        assert!(
            said.contains("no trained model")
                && said.contains("check-data")
                && said.contains("souk-client run"),
            "{said}"
        );
    }
    store.use_model(&publisher.word(PLAN, (1, 1), 1)).unwrap();
    fs::write(dir.path().join("orders.csv"), orders(3)).unwrap();
    assert!(lists.recommend(asked(None, &[]), &WISHES, false).is_ok());
}

#[test]
fn what_is_not_all_there_of_the_model_in_use_is_fetched_again() {
    let dir = tempfile::tempdir().unwrap();
    let folder = shop(dir.path());
    let word = Publisher::new(&folder).word(PLAN, (1, 1), 1);
    let store = Store::open(&folder).unwrap();
    store.use_model(&word).unwrap();
    assert_eq!(
        store.memory([]).unwrap().model,
        word.manifest().map(|manifest| manifest.model)
    );
    fs::remove_file(folder.blob(&blobs_of(word.manifest().unwrap())[2])).unwrap();
    assert_eq!(store.memory([]).unwrap().model, None);
}

#[test]
fn a_shop_that_was_put_back_from_a_backup_recommends_by_the_model_that_it_had() {
    let dir = tempfile::tempdir().unwrap();
    let folder = shop(dir.path());
    let orders = format!(
        "[data]\nearliest = \"1970-01-01\"\norders = {:?}\n",
        dir.path().join("orders.csv")
    );
    fs::write(folder.config(), orders).unwrap();
    fs::write(folder.key(), b"key").unwrap();
    let publisher = Publisher::new(&folder);
    let store = Arc::new(Store::open(&folder).unwrap());
    let lists = |folder: &Folder, store| ListService::new(folder.clone(), Some(store), |_| {});
    let list = |lists: ListService| lists.recommend(asked(Some("u0"), &[]), &WISHES, false).unwrap().0;
    let back = tempfile::tempdir().unwrap();
    let autumn = PLAN.replace("spring", "autumn");
    // The second copy has the model that serves, and the initial one that the next run is at; nothing older.
    let never = "item-01";
    fs::write(folder.rules(), format!("never = [{never:?}]")).unwrap();
    fs::write(folder.last_good_rules(), "never = ['gone']").unwrap();
    for (plan, id, taught_by, files) in [
        (PLAN, (1, 1), 1, [1, 1]),
        (PLAN, (2, 1), 2, [1, 1]),
        (&autumn, (0, 0), 0, [2, 2]),
    ] {
        store.use_model(&publisher.word(plan, id, taught_by)).unwrap();
        crate::backup::copy(&folder, &store, back.path()).unwrap();
        let kept = ["models", "plans"].map(|kind| fs::read_dir(back.path().join(kind)).unwrap().count());
        assert_eq!(kept, files);
        // What the owner has taken back since an earlier copy is not brought back.
        assert_eq!(back.path().join("rules.last-good.toml").exists(), taught_by == 1);
        let _ = fs::remove_file(folder.last_good_rules());
    }
    let there = Folder::new(back.path());
    let restored = Arc::new(Store::open(&there).unwrap());
    assert!(
        restored.memory([]).unwrap().model.is_some(),
        "nothing is to be fetched"
    );
    let made = list(lists(&there, restored));
    assert!(
        back.path().join("rules.toml").exists() && made.items.iter().all(|item| item.item_id != never),
        "{made:?}"
    );
    assert_eq!(made.served_by, ServedBy::Model);
    assert_eq!(made, list(lists(&folder, store)));
}
