//! A workshop over a folder as a member has it: crashes between charge and outbox, plans and ledgers that don't fit.

mod releases;

use super::*;
use crate::control::Accounts;
use crate::masking::tests::Three;
use souk_common::ids::AttemptId;
use souk_common::model::file::ModelMeta;
use souk_common::model::init::initial_parameters;

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
    home_with(PLAN, orders, policy)
}

fn home_with(plan: &str, orders: &str, policy: &str) -> Home {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path());
    std::fs::write(dir.path().join("orders.csv"), orders).unwrap();
    let config = format!("[data]\nearliest = \"1970-01-01\"\n{policy}");
    std::fs::write(folder.config(), config).unwrap();
    let plan = Plan::from_toml(plan).unwrap();
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
        souk_common::storage::write_whole(&folder.blob(blob), bytes, false).unwrap();
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
        other_cas: Vec::new(),
        authorities: 0,
        former_certificate: None,
    };
    Home {
        dir,
        membership,
        announcement,
    }
}

impl Home {
    fn open(&self) -> (Arc<Store>, anyhow::Result<Attempts>) {
        let folder = Folder::new(self.dir.path());
        let store = Arc::new(Store::open(&folder).unwrap());
        let workshop = Attempts::open(&folder, &self.membership, Arc::clone(&store), Timestamp(0));
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
        workshop
            .finish(home.key(), draw, None, Some(Timestamp(60_000)), Timestamp(2))
            .unwrap()
    };
    let (store, workshop) = home.open();
    let memory = store.memory(workshop.unwrap().spent()).unwrap();
    assert_eq!(memory.outbox, Some(pending));
    assert_eq!(pending.due, Some(Timestamp(60_000)), "it still waits");
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
    assert!(
        workshop
            .finish(home.key(), draw, None, None, Timestamp(0))
            .is_err()
    );
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
        workshop
            .finish(home.key(), draw, None, None, Timestamp(2))
            .unwrap();
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
        declared_users,
        ..
    } = workshop.consider(&home.announcement, Timestamp(0))
    else {
        panic!("a plan of ours")
    };
    assert!(noise_multiplier.is_some() && epsilon_after.is_some() && upload_bytes > 100);
    let (plan, _, _) = workshop.fetched(&home.announcement).unwrap();
    assert_eq!(
        Some(declared_users),
        plan.terms_of(&home.membership.shop)
            .map(|terms| terms.declared_users)
    );
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

#[test]
fn an_update_of_a_masked_plan_leaves_under_masks_or_not_at_all_and_its_secrets_stay_with_it() {
    let plan = PLAN.replace(
        "[cohort]\nquorum = 1",
        "placement = \"distributed\"\n[cohort]\nquorum = 3",
    ) + "[[shops]]\nname = \"south\"\ndeclared_users = 10\n[[shops]]\nname = \"west\"\ndeclared_users = 10\n\
           [masking]\nmin_shops = 3\n";
    let home = home_with(&plan, ORDERS, "");
    let folder = Folder::new(home.dir.path());
    std::fs::write(folder.key(), b"a key").unwrap();
    let names = ["south", "west"].map(|name| name.parse::<ShopName>().unwrap());
    {
        let workshop = home.open().1.unwrap();
        assert_eq!(workshop.strangers_in(&home.announcement).unwrap(), names);
        let mut draw = workshop.draw(&home.announcement).unwrap();
        workshop.charge(&mut draw, Timestamp(1)).unwrap();
        let bare = workshop.finish(home.key(), draw, None, None, Timestamp(2));
        assert!(bare.unwrap_err().to_string().contains("masks"), "bare");
        assert!(workshop.store.memory([]).unwrap().outbox.is_none());
        let mut draw = workshop.draw(&home.announcement).unwrap();
        workshop.charge(&mut draw, Timestamp(3)).unwrap();
        let (context, terms) = workshop.masking_of(&home.announcement).unwrap();
        let (masking, masks) = Three::of(context, terms).both().remove(0);
        let masks = Some((&masking, masks));
        workshop
            .finish(home.key(), draw, masks, None, Timestamp(4))
            .unwrap();
        // Both views of the shared noise, and what is charged: n_min 3, t 1.
        let budget = workshop.budget(&ShopConfig::default(), Timestamp(5)).unwrap();
        let (charged, readers) = (budget.epsilon.unwrap(), budget.epsilon_readers.unwrap());
        assert!(
            readers < charged && charged < budget.epsilon_if_alone.unwrap(),
            "{budget:?}"
        );
    }
    let (store, _) = home.open();
    let memory = store.memory([]).unwrap();
    assert_eq!(
        (memory.masking, memory.outbox.map(|pending| pending.key)),
        (Some(home.key()), Some(home.key()))
    );
}

#[test]
fn masks_do_not_belong_to_a_plan_without_masking() {
    let home = home(ORDERS, "");
    let workshop = home.open().1.unwrap();
    assert!(workshop.masking_of(&home.announcement).is_err());
    assert!(workshop.strangers_in(&home.announcement).unwrap().is_empty());
    let mut draw = workshop.draw(&home.announcement).unwrap();
    workshop.charge(&mut draw, Timestamp(1)).unwrap();
    let (masking, masks) = Three::new().both().remove(0);
    assert!(
        workshop
            .finish(home.key(), draw, Some((&masking, masks)), None, Timestamp(2))
            .is_err()
    );
    let budget = workshop.budget(&ShopConfig::default(), Timestamp(5)).unwrap();
    assert_eq!(
        (
            budget.epsilon_readers,
            budget.epsilon_if_alone,
            budget.noise_is_shared
        ),
        (None, None, false)
    );
}

#[test]
fn files_that_change_are_read_again_at_the_next_draw_and_broken_ones_change_nothing() {
    let home = home(ORDERS, "");
    let (store, workshop) = home.open();
    let workshop = workshop.unwrap();
    let mut round = 0;
    let mut draw = |orders: Option<&str>| {
        round += 1;
        if let Some(orders) = orders {
            std::fs::write(home.dir.path().join("orders.csv"), orders).unwrap();
        }
        let id = AttemptId { round, attempt: 1 };
        let announcement = Announcement {
            id,
            ..home.announcement.clone()
        };
        let told = workshop.draw(&announcement).unwrap().told().join("; ");
        let told = Some(told).filter(|told| !told.is_empty());
        let bench = workshop.bench.lock().unwrap();
        (bench.as_ref().unwrap().data.dataset.users.clone(), told)
    };
    let said = |told: Option<String>, words: &str| told.is_some_and(|told| told.contains(words));
    let (users, told) = draw(None);
    assert_eq!((users, told), (vec!["a".to_owned(), "b".to_owned()], None));
    assert_eq!(draw(None).1, None, "nothing has changed");
    let before: HashMap<String, Vec<u8>> = store.vectors().unwrap().into_iter().collect();
    // A customer who comes first moves all others by a row: what is kept of them must stay theirs.
    let (users, told) = draw(Some(
        "user_id,item_id,timestamp\nz,i4,1\na,i1,1\na,i2,2\nb,i3,1\n",
    ));
    assert!(
        users.len() == 3 && said(told, "orders.csv was imported: 4 rows"),
        "{users:?}"
    );
    assert_eq!((before.len(), store.vectors().unwrap().len()), (2, 3));
    let (users, told) = draw(Some("no such columns\n1,2,3\n"));
    assert!(
        users.len() == 3 && said(told, "orders.csv was not imported"),
        "{users:?}"
    );
    assert_eq!(draw(None).1, None, "told once");
    let (users, told) = draw(Some("user_id,item_id,timestamp\na,i1,never\n"));
    assert!(
        users.len() == 3 && said(told, "1 of 1 lines are bad"),
        "{users:?}"
    );
    assert_eq!(draw(None).1, None, "told once");
    // Who was taken out of the files is not trained on.
    let (users, told) = draw(Some("user_id,item_id,timestamp\n"));
    assert!(users.is_empty() && said(told, "no usable order"), "{users:?}");
    let (users, told) = draw(Some(ORDERS));
    assert!(users.len() == 2 && said(told, "was imported"), "{users:?}");
}

#[test]
fn a_shop_beyond_its_plans_room_is_told_once_and_takes_part_with_an_update_of_the_same_kind() {
    let customers = |count: usize| {
        let rows: String = (0..count)
            .map(|user| format!("u{user},i{},1\n", user % 6))
            .collect();
        format!("user_id,item_id,timestamp\n{rows}")
    };
    let plan = PLAN.replace("sampling_rate", "headroom = 4\nsampling_rate");
    let drawn = |count| {
        let home = home_with(&plan, &customers(count), "");
        let (_, workshop) = home.open();
        let workshop = workshop.unwrap();
        let costs = workshop.consider(&home.announcement, Timestamp(0));
        let mut draw = workshop.draw(&home.announcement).unwrap();
        let told = draw.told().to_vec();
        let again = workshop.draw(&home.announcement).unwrap().told().len();
        workshop.charge(&mut draw, Timestamp(1)).unwrap();
        let sent = workshop
            .finish(home.key(), draw, None, None, Timestamp(2))
            .unwrap();
        (told, again, costs, sent.header.len_bytes)
    };
    let (none, _, costs, bytes) = drawn(10);
    assert!(none.is_empty(), "{none:?}");
    for (count, said) in [(11, "rounds go on"), (40, "rounds go on"), (41, "held back")] {
        let (told, again, these, sent) = drawn(count);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].contains(&format!("{count} customers")) && told[0].contains(said),
            "{told:?}"
        );
        assert_eq!((again, &these, sent), (0, &costs, bytes), "{count} customers");
    }
}
