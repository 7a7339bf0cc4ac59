//! Who is drawn, and what a shop sends for nobody.

use super::super::*;
use souk_common::catalogue::{Catalogue, Item};
use souk_common::clock::Timestamp;
use souk_common::dataset::{History, Labelled};
use souk_common::ids::Digest;
use souk_common::model::Recommender;
use souk_common::model::init::initial_parameters;
use souk_common::privacy::{Ledger, MemorySink, Spend};
use souk_common::rng::stream;
use souk_common::update::UpdateValues;

const PLAN: &str = "name = \"t\"\nrounds = 1\n[model]\nkind = \"mf\"\ngmf_dim = 4\nitem_bias = false\n\
    [train]\nsolver = \"ials\"\nalpha = 0.1\nlambda = 1.0\n[privacy]\nclip_norm = 1.0\nnoise_multiplier = 4.0\n\
    sampling_rate = 0.5\n[cohort]\nquorum = 1\n[server]\noptimiser = \"plain\"\nlearning_rate = 1.0\n\
    [[shops]]\nname = \"north\"\ndeclared_users = 100\n";

struct Shop {
    plan: Plan,
    model: Loaded,
    grid: Grid,
    dataset: Dataset,
}

fn shop(plan: &str) -> Shop {
    let plan = Plan::from_toml(plan).unwrap();
    let item = |row: usize| Item::bare(format!("i{row}"));
    let catalogue = Catalogue::new((0..40).map(item).collect()).unwrap();
    let recommender = Recommender::new(&plan.model, &plan.train, &catalogue);
    let model = recommender.load(initial_parameters(
        &plan.model,
        &plan.train,
        recommender.layout(),
        3,
    ));
    let grid = plan.grid(model.layout().len()).unwrap();
    let history = |user: u32| History {
        items: vec![user % 40, (user * 7 + 1) % 40],
        times: vec![0, 1],
    };
    let dataset = Dataset {
        users: (0..100).map(|user| format!("u{user}")).collect(),
        histories: (0..100).map(history).collect(),
        labelled: Vec::new(),
    };
    Shop {
        plan,
        model,
        grid,
        dataset,
    }
}

impl Shop {
    fn update(&self, dataset: &Dataset, seed: u64) -> Vec<u32> {
        let terms = &self.plan.shops[0];
        let mut secret = stream(seed, "round");
        let made = round_update(
            &self.model,
            Customers {
                dataset,
                vectors: &[],
                forbidden: &[],
            },
            &self.plan,
            &self.grid,
            terms,
            &mut secret,
        );
        let name = "north".parse().unwrap();
        let mut ledger = Ledger::open(MemorySink::default(), &[], &name, Timestamp(0)).unwrap();
        let spend = Spend {
            plan: Digest::ZERO,
            round: 1,
            attempt: 1,
            noise_multiplier: self.plan.privacy.noise_multiplier,
            sampling_rate: self.plan.privacy.sampling_rate,
            clip_norm: self.plan.privacy.clip_norm,
            shared: None,
        };
        let charged = ledger.charge(spend, Timestamp(0)).unwrap();
        match made.sum.finish(&charged).unwrap().into_inner().values {
            UpdateValues::B32(values) => values,
            UpdateValues::B64(_) => panic!("the plan has b = 32"),
        }
    }
}

#[test]
fn any_number_of_threads_makes_the_same_integers() {
    let shop = shop(PLAN);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| shop.update(&shop.dataset, 7))
    };
    assert_eq!(on(1), on(4));
    assert_ne!(
        on(1),
        shop.update(&shop.dataset, 8),
        "another seed is another draw"
    );
}

#[test]
fn about_half_of_the_users_are_drawn_and_each_adds_at_most_the_clip_norm() {
    let without = PLAN
        .replace("noise_multiplier = 4.0\n", "enabled = false\n")
        .replace("0.5", "1.0");
    let everybody = shop(&without);
    let one = Dataset {
        users: vec!["u".into()],
        histories: vec![everybody.dataset.histories[3].clone()],
        labelled: Vec::new(),
    };
    let values = everybody.update(&one, 1);
    let squares: f64 = values.iter().map(|value| f64::from(*value as i32).powi(2)).sum();
    assert!(
        squares > 0.0 && squares.sqrt() <= everybody.grid.clip_units(),
        "{squares}"
    );
    // With q = 1 the sum of two shops is the shop of both: the draw leaves nobody out.
    let half = |from: usize| Dataset {
        users: everybody.dataset.users[from..from + 50].to_vec(),
        histories: everybody.dataset.histories[from..from + 50].to_vec(),
        labelled: Vec::new(),
    };
    let (first, second) = (everybody.update(&half(0), 1), everybody.update(&half(50), 2));
    let sum: Vec<u32> = first
        .iter()
        .zip(&second)
        .map(|(a, b)| a.wrapping_add(*b))
        .collect();
    assert_eq!(sum, everybody.update(&everybody.dataset, 3));
    // With q = 1/2, 400 draws of one user: outside 150..250 once in three million seeds.
    let half_rate = shop(&PLAN.replace("noise_multiplier = 4.0\n", "enabled = false\n"));
    let drawn = (0..400)
        .filter(|seed| half_rate.update(&one, *seed).iter().any(|value| *value != 0))
        .count();
    assert!((150..250).contains(&drawn), "{drawn}");
}

#[test]
fn a_shop_without_customers_sends_noise_all_the_same() {
    let shop = shop(PLAN);
    let nobody = Dataset {
        users: vec!["u".into()],
        histories: vec![History::default()],
        labelled: Vec::new(),
    };
    let noise = shop.update(&nobody, 5);
    assert_eq!(noise, shop.update(&Dataset::default(), 5));
    assert!(noise.iter().filter(|value| **value != 0).count() > noise.len() / 2);
}

#[test]
fn of_stars_a_customer_adds_what_it_rated_within_the_clip_norm_and_its_purchases_add_nothing() {
    let stars = PLAN
        .replace("name = \"t\"", "name = \"t\"\ntask = \"rating\"")
        .replace("item_bias = false\n", "")
        .replace(
            "solver = \"ials\"\nalpha = 0.1\nlambda = 1.0",
            "solver = \"stars\"",
        );
    let shop = shop(&stars);
    let said = |user: u32| Labelled {
        items: vec![user % 40, (user * 7 + 1) % 40],
        times: vec![0, 1],
        labels: vec![(1 + user % 5) as f32, 5.0],
    };
    let rated = Dataset {
        labelled: (0..100).map(said).collect(),
        ..shop.dataset.clone()
    };
    let bought_nothing = Dataset {
        histories: vec![History::default(); 100],
        ..rated.clone()
    };
    let all = shop.update(&rated, 5);
    assert_eq!(all, shop.update(&bought_nothing, 5), "purchases are no stars");
    let nobody = shop.update(&shop.dataset, 5);
    assert_eq!(nobody, shop.update(&Dataset::default(), 5), "noise alone");
    assert_ne!(all, nobody);
    let mut drawn = 0;
    for user in 0..20 {
        let mut without = rated.clone();
        without.labelled[user] = Labelled::default();
        let squares: f64 = all
            .iter()
            .zip(shop.update(&without, 5))
            .map(|(with, without)| f64::from(with.wrapping_sub(without) as i32).powi(2))
            .sum();
        assert!(
            squares.sqrt() <= shop.grid.clip_units(),
            "customer {user}: {squares}"
        );
        drawn += u32::from(squares > 0.0);
    }
    // Half of them in the mean; all or none once in half a million seeds.
    assert!((1..20).contains(&drawn), "{drawn}");
}
