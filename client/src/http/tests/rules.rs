//! Rules, stock and hidden items, as a web shop and its owner see them.

use super::*;
use crate::rules::compiled::NotListed;

impl Shop {
    fn put_as(&self, token: &str, item: &str, body: impl ToString) -> (StatusCode, Value) {
        let request = Request::put(format!("/v1/items/{item}"))
            .header(header::HOST, "localhost:4480")
            .header(header::CONTENT_TYPE, "application/json");
        let request = match token {
            "" => request,
            token => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
        };
        self.answer(request.body(Body::from(body.to_string())).unwrap())
    }

    fn put(&self, item: &str, body: impl ToString) -> (StatusCode, Value) {
        self.put_as(&self.token(), item, body)
    }

    fn write_rules(&self, text: &str) {
        fs::write(self.dir.path().join("rules.toml"), text).unwrap();
    }

    fn rule(&self, text: &str) {
        self.write_rules(text);
        self.api.renew().unwrap();
    }

    fn open_again(self) -> Self {
        let Self { dir, api, config } = self;
        // The journal is one program's.
        drop(api);
        let folder = Folder::new(dir.path());
        let lists = Arc::new(ListService::new(folder.clone(), None, |_| {}));
        let api = Api::open(&folder, &config, lists, Arc::new(Noon)).unwrap();
        Self { dir, api, config }
    }
}

#[test]
fn stock_price_and_hidden_count_in_the_next_list_and_after_a_start() {
    let shop = Shop::open();
    let (_, before) = shop.get("/v1/popular?k=16");
    assert!(items(&before).contains(&"item-01") && items(&before).contains(&"item-02"));
    let (status, known) = shop.put("item-01", json!({"stock": 0}));
    assert_eq!(
        (
            status,
            &known["stock"],
            &known["hidden"],
            &known["may_be_listed_in"]
        ),
        (StatusCode::OK, &json!(0.0), &json!(false), &json!([])),
        "{known}"
    );
    assert_eq!(shop.put("item-02", json!({"hidden": true})).0, StatusCode::OK);
    assert_eq!(shop.put("item-03", json!({"price": 4.5})).0, StatusCode::OK);
    let shop_again = |shop: &Shop| {
        for path in [
            "/v1/popular?k=16",
            "/v1/new?k=16",
            "/v1/similar/item-03?k=16",
            "/v1/recommendations/u9?k=16&include_bought=true",
        ] {
            let (_, list) = shop.get(path);
            assert!(
                !items(&list).contains(&"item-01") && !items(&list).contains(&"item-02"),
                "{path}: {list}"
            );
            assert!(
                list["note"]
                    .as_str()
                    .unwrap()
                    .contains("this shop's rules leave out 2 more"),
                "{path}: {list}"
            );
        }
        let (_, popular) = shop.get("/v1/popular?k=16");
        let found = popular["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|item| item["item"] == "item-03");
        assert_eq!(found.unwrap()["price"], json!(4.5));
    };
    shop_again(&shop);
    let shop = shop.open_again();
    shop.api.renew().unwrap();
    shop_again(&shop);
    // What is left out of a change stays, and null makes it unknown.
    let (_, known) = shop.put("item-01", json!({"price": 3}));
    assert_eq!((&known["stock"], &known["price"]), (&json!(0.0), &json!(3.0)));
    let (_, known) = shop.put("item-01", json!({"stock": null}));
    assert_eq!((&known["stock"], &known["price"]), (&Value::Null, &json!(3.0)));
    assert!(
        known["changed_at"].as_str().unwrap().starts_with("2026-11-28T12"),
        "{known}"
    );
    assert!(items(&shop.get("/v1/popular?k=16").1).contains(&"item-01"));
    let (status, known) = shop.get("/v1/items/item-02");
    assert_eq!(
        (status, &known["hidden"], &known["title"]),
        (StatusCode::OK, &json!(true), &json!("Thing <b>2</b>"))
    );
}

#[test]
fn only_the_shop_changes_items_and_what_makes_no_sense_is_refused() {
    let shop = Shop::open();
    let customer = shop.customers_token("u1");
    for (token, expected) in [
        ("", StatusCode::UNAUTHORIZED),
        (customer.as_str(), StatusCode::FORBIDDEN),
    ] {
        assert_eq!(shop.put_as(token, "item-01", json!({"stock": 0})).0, expected);
        assert_eq!(shop.get_as(token, "/v1/items/item-01").0, expected);
    }
    assert_eq!(shop.put("item-99", json!({"stock": 0})).0, StatusCode::NOT_FOUND);
    for (body, said) in [
        (json!({"price": -1}), "price is -1"),
        (json!({"stock": 1e300}), "stock is 1"),
        (json!({}), "nothing is to be changed"),
        (json!({"stok": 1}), "stok"),
        (json!({"stock": "many"}), "stock"),
    ] {
        let (status, problem) = shop.put("item-01", &body);
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert!(
            problem["detail"].as_str().unwrap().contains(said),
            "{body}: {problem}"
        );
    }
    assert_eq!(
        shop.get("/v1/items/item-01").1["changed_at"],
        Value::Null,
        "nothing of it was kept"
    );
}

#[test]
fn rules_hold_in_the_lists_that_they_name_and_lists_say_what_they_did() {
    let shop = Shop::open();
    shop.rule(
        "never = ['item-00']\nalways = [{ item = 'item-15', place = 2 }]\n\
         [[filter]]\nkeep = 'category == \"c0\"'\nwhere = 'popular'\n\
         [[boost]]\nwhen = 'id == \"item-07\"'\nby = 100",
    );
    let (_, list) = shop.get("/v1/recommendations/nobody?k=4&explain=true");
    assert_eq!(items(&list)[..2], ["item-07", "item-15"], "{list}");
    assert_eq!(
        list["items"][0]["rules"],
        json!(["moved up by 100: id == \"item-07\""])
    );
    assert_eq!(list["items"][1]["rules"], json!(["pinned to place 2"]));
    let (_, plain) = shop.get("/v1/recommendations/nobody?k=4");
    assert_eq!(plain["items"][0]["rules"], Value::Null);
    let (_, popular) = shop.get("/v1/popular?k=16");
    assert!(
        items(&popular)
            .iter()
            .all(|item| *item < "item-08" && *item != "item-00"),
        "{popular}"
    );
    assert_ne!(items(&popular)[0], "item-07", "bestsellers are facts");
    let (_, said) = shop.get("/v1/explain/u0/item-00");
    assert_eq!(
        (&said["may_be_listed"], &said["item"]["item"]),
        (&json!(false), &json!("item-00"))
    );
    // What lies in the cart is not recommended, also with what was bought.
    let (_, list) = shop.post(
        "/v1/recommendations",
        json!({"basket": ["item-09"], "k": 16, "include_bought": true}),
    );
    assert!(!items(&list).contains(&"item-09"), "{list}");
}

#[test]
fn a_pinned_item_that_is_not_among_the_others_has_no_score_there() {
    let shop = Shop::open();
    shop.rule("always = [{ item = 'item-15', place = 1, where = ['bought_together', 'popular'] }]");
    let (_, together) = shop.get("/v1/bought-together/item-03?k=3");
    assert_eq!(
        (&together["items"][0]["item"], &together["items"][0]["score"]),
        (&json!("item-15"), &Value::Null)
    );
    assert!(together["items"][1]["score"].is_number(), "{together}");
    let (_, popular) = shop.get("/v1/popular?k=3");
    assert_eq!(popular["items"][0]["item"], json!("item-15"));
    assert!(popular["items"][0]["score"].as_f64().unwrap() >= 5.0, "{popular}");
    let (_, of_itself) = shop.get("/v1/bought-together/item-15?k=3");
    assert!(!items(&of_itself).contains(&"item-15"), "{of_itself}");
}

#[test]
fn rules_that_hide_everything_leave_a_list_that_says_so() {
    let shop = Shop::open();
    shop.rule("[[filter]]\nkeep = 'price > 1000'");
    for path in ["/v1/recommendations/u0", "/v1/popular"] {
        let (status, list) = shop.get(path);
        assert_eq!((status, items(&list).len()), (StatusCode::OK, 0));
        assert!(
            list["note"]
                .as_str()
                .unwrap()
                .contains("only 0 items to list; this shop's rules leave out"),
            "{list}"
        );
    }
}

#[test]
fn broken_rules_leave_the_last_good_ones_in_force_and_a_start_without_any_makes_no_lists() {
    let shop = Shop::open();
    shop.rule("never = ['item-00']");
    shop.rule("never = ['item-00'");
    let told = shop.api.lists.told_of_rules();
    assert!(
        told.len() == 1 && told[0].contains("rules.toml") && told[0].contains("line 1"),
        "{told:?}"
    );
    let shop = shop.open_again();
    shop.api.renew().unwrap();
    let (_, list) = shop.get("/v1/recommendations/nobody?k=16");
    assert!(!items(&list).contains(&"item-00"), "{list}");
    assert!(
        !list.to_string().contains("rules.toml"),
        "it is the owner's matter: {list}"
    );
    fs::remove_file(shop.dir.path().join("rules.last-good.toml")).unwrap();
    let shop = shop.open_again();
    let error = format!("{:#}", shop.api.renew().unwrap_err());
    assert!(
        error.contains("makes no lists") && error.contains("line 1"),
        "{error}"
    );
    let (status, problem) = shop.get("/v1/recommendations/nobody");
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!problem.to_string().contains("rules.toml"), "{problem}");
    shop.rule("never = ['item-00']");
    assert_eq!(shop.get("/v1/recommendations/nobody").0, StatusCode::OK);
    shop.rule("never = ['item-0']");
    assert!(shop.api.lists.told_of_rules()[0].contains("\"item-0\""));
}

#[test]
fn a_check_says_what_rules_would_do_before_they_are_in_force() {
    let shop = Shop::open();
    shop.write_rules("never = ['item-00', 'item-77']\n[[filter]]\nkeep = 'category == \"c0\"'\n[[boost]]\nwhen = 'brand == \"x\"'\nby = 1");
    let report = crate::recommend::rules_report::report(&shop.api.lists, None, Some("u1")).unwrap();
    let counts: Vec<(&str, usize)> = report
        .rules
        .iter()
        .map(|rule| (rule.kind.as_str(), rule.items))
        .collect();
    assert_eq!(
        (report.items, counts),
        (16, vec![("keep", 8), ("boost", 0), ("never", 1)])
    );
    assert!(
        report.before.iter().any(|item| item.item_id == "item-10"),
        "{report:?}"
    );
    assert!(
        report.after.iter().all(|item| item.item_id.as_str() < "item-08"),
        "{report:?}"
    );
    let why = |id: &str| {
        let found = report.left_out.iter().find(|item| item.item_id == id);
        found.map(|item| item.why.clone())
    };
    let filter = NotListed::Filter("category == \"c0\"".to_owned());
    assert_eq!(
        (why("item-10"), why("item-00")),
        (Some(filter), Some(NotListed::Never)),
        "{report:?}"
    );
    for said in ["moves no item: brand == \"x\"", "\"item-77\""] {
        assert!(
            report.warnings.iter().any(|warning| warning.contains(said)),
            "{report:?}"
        );
    }
    shop.write_rules("[[filter]]\nkeep = 'price < 5'");
    let report = crate::recommend::rules_report::report(&shop.api.lists, None, None).unwrap();
    assert_eq!(report.rules[0].unknown, 16);
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("hides every item")),
        "{report:?}"
    );
    // All sixteen were bought: a rule that does nothing is told.
    shop.write_rules("new_items = 2");
    let report = crate::recommend::rules_report::report(&shop.api.lists, None, None).unwrap();
    assert_eq!(
        (report.rules[0].kind.as_str(), report.rules[0].items),
        ("new_items", 0)
    );
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("bought here before")),
        "{report:?}"
    );
    shop.write_rules("[[filter]]\nkeep = 'prise < 5'");
    let error = crate::recommend::rules_report::report(&shop.api.lists, None, None).unwrap_err();
    assert!(format!("{error:#}").contains("did you mean `price`"), "{error:#}");
    assert_eq!(crate::error::exit_code(&error), crate::error::EXIT_USAGE);
}

#[test]
fn a_feed_says_what_can_be_had_until_the_shop_says_otherwise() {
    let shop = Shop::open();
    let feed = shop.dir.path().join("feed.csv");
    let mut text = "id,availability,price,item_group_id\n".to_owned();
    for item in 0..16 {
        let availability = ["in_stock", "out_of_stock"][item % 2];
        text.push_str(&format!(
            "item-{item:02},{availability},{item}.50 EUR,g{}\n",
            item / 4
        ));
    }
    fs::write(&feed, &text).unwrap();
    // Reports at noon come later than that.
    let day_before = std::time::UNIX_EPOCH + Duration::from_secs(1_795_867_200 - 86_400);
    let set_time = |file: &std::path::Path| {
        let file = fs::File::options().append(true).open(file).unwrap();
        file.set_modified(day_before).unwrap();
    };
    set_time(&feed);
    shop.rule("one_per_variant = 'item_group_id'\n[[feed]]\npath = 'feed.csv'\ncurrency = 'EUR'");
    assert!(
        shop.api.lists.told_of_rules().is_empty(),
        "{:?}",
        shop.api.lists.told_of_rules()
    );
    let (_, list) = shop.get("/v1/popular?k=16");
    let numbers: Vec<usize> = items(&list)
        .iter()
        .map(|item| item[5..].parse().unwrap())
        .collect();
    assert!(
        numbers.len() == 4 && numbers.iter().all(|item| item % 2 == 0),
        "one of each group: {list}"
    );
    let (_, known) = shop.get("/v1/items/item-03");
    assert_eq!((&known["stock"], &known["price"]), (&json!(0.0), &json!(3.5)));
    shop.put("item-03", json!({"stock": 7}));
    assert_eq!(shop.get("/v1/items/item-03").1["stock"], json!(7.0));
    // Half of it gone: it is kept as it was, and told.
    fs::write(&feed, text.lines().take(8).collect::<Vec<_>>().join("\n")).unwrap();
    set_time(&feed);
    shop.api.renew().unwrap();
    assert!(shop.api.lists.told_of_rules()[0].contains("only 7 of the 16 items"));
    assert!(shop.get("/v1/items/item-14").1["stock"].is_null());
    fs::write(&feed, text.lines().take(11).collect::<Vec<_>>().join("\n")).unwrap();
    shop.api.renew().unwrap();
    assert_eq!(
        shop.get("/v1/items/item-14").1["stock"],
        json!(0.0),
        "it is offered no more"
    );
}
