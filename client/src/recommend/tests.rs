use super::*;
use souk_common::catalogue::Item;
use souk_common::model::Recommender;
use souk_common::model::init::initial_parameters;

/// 30 items in 3 categories, four users; the last has no history.
pub(crate) fn shelf() -> Recommendable {
    let item = |row: usize| Item {
        title: if row < 2 {
            "Same thing".into()
        } else {
            format!("Thing {row}")
        },
        category: format!("c{}", row % 3),
        brand: "b".into(),
        price: Some(1.0 + row as f64),
        ..Item::bare(format!("i{row}"))
    };
    let catalogue = Arc::new(Catalogue::new((0..30).map(item).collect()).unwrap());
    let config = toml::from_str("kind = \"mf\"\ngmf_dim = 4\nitem_bias = false\ninit_stddev = 0.5").unwrap();
    let train = toml::from_str("solver = \"ials\"\nalpha = 0.1\nlambda = 0.5").unwrap();
    let recommender = Recommender::new(&config, &train, &catalogue);
    let model = recommender.load(initial_parameters(&config, &train, recommender.layout(), 3));
    let history = |items: &[u32]| History {
        items: items.to_vec(),
        times: vec![0; items.len()],
    };
    let dataset = Dataset {
        users: ["anna", "bert", "c-17", "new"].map(String::from).to_vec(),
        histories: vec![
            history(&[0, 3, 9]),
            history(&[5]),
            history(&[2, 4, 6, 8]),
            history(&[]),
        ],
        labelled: Vec::new(),
    };
    Recommendable {
        ranker: Ranker::Model(Arc::new(model)),
        stars: None,
        serving: Serving::default(),
        own_catalogue: false,
        rules: Arc::new(CompiledRules::none(&catalogue)),
        catalogue,
        dataset: Arc::new(dataset),
        newcomers: None,
    }
}

const WISHES: RecommendOptions = RecommendOptions {
    k: 10,
    include_bought: false,
    explain: true,
};

#[test]
fn bought_items_are_left_out_unless_asked_for() {
    let shelf = shelf();
    let list = shelf.recommend(Customer::of(0), &WISHES);
    assert_eq!((list.items.len(), list.personal), (10, true));
    assert!(
        list.items
            .iter()
            .all(|item| !["i0", "i3", "i9"].contains(&item.item_id.as_str()))
    );
    assert!(list.items.windows(2).all(|pair| pair[0].score >= pair[1].score));
    let all = shelf.recommend(
        Customer::of(0),
        &RecommendOptions {
            include_bought: true,
            k: 100,
            ..WISHES
        },
    );
    assert!(all.items.iter().any(|item| item.item_id == "i3"));
    assert_eq!(
        all.items.len(),
        29,
        "the two items of one title and brand are one"
    );
}

#[test]
fn a_list_says_why_and_the_reasons_are_the_users_own_items() {
    let list = shelf().recommend(Customer::of(2), &WISHES);
    let reasons: Vec<_> = list.items.iter().flat_map(|item| &item.reasons).collect();
    assert!(!reasons.is_empty());
    assert!(
        reasons
            .iter()
            .all(|reason| ["i2", "i4", "i6", "i8"].contains(&reason.item_id.as_str()))
    );
}

#[test]
fn a_basket_and_anybody_get_lists_of_a_model_too() {
    let shelf = shelf();
    let basket = shelf.find_items(&["i4".into(), "i6".into()]).unwrap();
    let customer = Customer {
        basket: &basket,
        ..Customer::default()
    };
    let list = shelf.recommend(customer, &WISHES);
    assert_eq!(
        (list.user_id.as_str(), list.history, list.personal),
        ("", 2, true)
    );
    assert!(
        list.items
            .iter()
            .all(|item| !["i4", "i6"].contains(&item.item_id.as_str()))
    );
    let list = shelf.recommend(Customer::default(), &WISHES);
    assert!(!list.personal && list.items.len() == 10);
    assert!(
        shelf
            .find_items(&["i44".into()])
            .unwrap_err()
            .to_string()
            .contains("\"i4\"")
    );
}

#[test]
fn a_user_without_history_gets_a_list_that_is_called_impersonal() {
    let list = shelf().recommend(Customer::of(3), &WISHES);
    assert!(!list.personal && list.items.len() == 10);
    assert!(list.items[0].score > list.items[9].score, "{list:?}");
}
