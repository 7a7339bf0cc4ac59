//! Customers dealt to arms.

use super::*;

#[test]
fn an_experiment_gives_each_customer_one_kind_of_list_and_counts_what_they_buy() {
    let experiment = toml::from_str("name = 'a'\nbestsellers = 1\nalone = 1\ntogether = 1").unwrap();
    let shop = Shop::of(ShopConfig {
        experiment: Some(experiment),
        ..ShopConfig::default()
    });
    assert_eq!(Shop::open().get("/v1/experiment").0, StatusCode::NOT_FOUND);
    assert_eq!(shop.get_as("", "/v1/experiment").0, StatusCode::UNAUTHORIZED);
    let mut kinds = std::collections::BTreeMap::new();
    for user in 0..30 {
        let path = format!("/v1/recommendations/u{user}?k=3");
        let (status, list) = shop.get(&path);
        assert_eq!(
            (status, &shop.get(&path).1["made_by"]),
            (StatusCode::OK, &list["made_by"])
        );
        let kind = list["made_by"].as_str().unwrap().to_owned();
        assert!(list["list"].as_str().unwrap().starts_with(&kind), "{list}");
        kinds.entry(kind).or_insert_with(Vec::new).push((user, list));
    }
    // Without a release those of the third arm get what everybody gets.
    assert_eq!(kinds.keys().collect::<Vec<_>>(), ["alone", "bestsellers"]);
    let (user, list) = &kinds["bestsellers"][0];
    let event = json!({"user": format!("u{user}"), "item": list["items"][0]["item"], "kind": "purchase"});
    assert_eq!(shop.post("/v1/events", event).0, StatusCode::OK);
    let (status, report) = shop.get("/v1/experiment");
    assert_eq!(status, StatusCode::OK, "{report}");
    let arms = report["arms"].as_array().unwrap();
    let count = |key: &str| arms.iter().map(|arm| arm[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!(
        (arms.len(), count("customers"), count("bought")),
        (3, 30, 1),
        "{report}"
    );
    assert_eq!(
        (&arms[0]["arm"], &arms[0]["bought"]),
        (&json!("bestsellers"), &json!(1))
    );
    assert!(
        report["notes"].to_string().contains("the arm together"),
        "{report}"
    );
    assert!(
        report["differences"][0]["words"]
            .as_str()
            .unwrap()
            .contains("fewer than 100"),
        "{report}"
    );
}
