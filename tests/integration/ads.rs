//! Ads with real processes: shops that learn together which are clicked, and lists of ads with how likely that is.

use std::fs;

use souk_tests::federation::{Federation, good, orders, run, text};

const SOUK: &str = env!("CARGO_BIN_EXE_souk");
const SHOPS: [&str; 3] = ["east", "north", "west"];
const CLICKS: &str = "\n[[training]]\nkind = \"clicks\"\nrounds = 2\nshare = 0.1\nlearning_rate = 0.3\n";

/// Everybody is shown two ads and clicks the first; the last customer clicks what was never shown.
fn with_ads(shop: &str, users: usize) -> String {
    let orders = orders(shop, users);
    let mut lines = orders.lines().map(|line| format!("{line},purchase\n"));
    let header = lines.next().expect("a header").replace("purchase", "event");
    let shown = (0..users).map(|user| {
        format!(
            "{shop}-{user},offer-a,1701000000,shown\n{shop}-{user},offer-a,1701000900,clicked\n{shop}-{user},offer-b,1701000000,shown\n"
        )
    });
    header
        + &lines.chain(shown).collect::<String>()
        + &format!("{shop}-{},offer-c,1701000000,clicked\n", users - 1)
}

#[test]
fn three_shops_learn_which_ads_are_clicked_and_list_them_apart_from_products() {
    let mut federation = Federation::prepare(SOUK, "");
    let items = federation.home().with_file_name("items.csv");
    let listed = fs::read_to_string(&items).expect("items");
    let mut lines = listed.lines();
    let header = lines.next().expect("a header");
    let rows: String = lines.map(|line| format!("{line},\n")).collect();
    let ads = "offer-a,Offer A,c0,,,ad|a\noffer-b,Offer B,c1,,,ad|b\noffer-c,Offer C,c2,,,ad|c\n";
    fs::write(&items, format!("{header},tags\n{rows}{ads}")).expect("a file");
    let home = federation.home();
    let path = std::path::Path::new(SOUK);
    good(&run(
        path,
        "coordinator",
        &[
            "catalogue",
            "import",
            text(&items),
            "--tags",
            "tags",
            "--dir",
            text(&home),
        ],
    ));
    let plan = federation.plan();
    fs::remove_file(&plan).expect("it was there");
    let mut args = vec!["plan", "new", text(&plan), "--no-training"];
    for shop in ["east=100", "north=100", "west=100"] {
        args.extend(["--shop", shop]);
    }
    good(&federation.coordinator(&args));
    let made = fs::read_to_string(&plan).expect("a plan");
    let made = made
        .replace("name = \"releases\"", "name = \"ads\"\ntask = \"ads\"")
        .replace("upload_after = \"10s\"", "upload_after = \"1s\"")
        .replace("share = 0.6", "share = 0.5");
    let (head, shops) = made.split_once("\n[[shops]]").expect("shops");
    fs::write(&plan, format!("{head}{CLICKS}\n[[shops]]{shops}")).expect("a file");
    federation.serve(&["--exit-when-finished"]);
    for shop in SHOPS {
        let folder = federation.join(shop, 30);
        let said = federation.client_json(shop, &["check-data"]);
        let file = said["files"][0].as_str().expect("a file").to_owned();
        fs::write(folder.join(&file), with_ads(shop, 30)).expect("a file");
        let config = folder.join("shop.toml");
        let settings = fs::read_to_string(&config).expect("settings");
        fs::write(
            &config,
            settings.replacen("[data]\n", "[data]\nlabels = \"clicks\"\n", 1),
        )
        .expect("a file");
        let said = good(&federation.client(shop, &["check-data"]));
        assert!(said.contains("60 to learn from"), "{said}");
        assert!(said.contains("1 clicks on what was not shown before"), "{said}");
    }
    // Before anything was learned.
    let early = federation.client("east", &["recommend", "east-3", "--ads"]);
    let said = String::from_utf8_lossy(&early.stderr);
    assert!(
        !early.status.success() && said.contains("task = \"ads\""),
        "{said}"
    );
    federation.trust_each_other(&SHOPS);
    let mut running: Vec<_> = SHOPS
        .iter()
        .map(|shop| federation.start_client(shop, &["--exit-when-finished"]))
        .collect();
    for (process, shop) in running.iter_mut().zip(SHOPS) {
        assert!(process.wait(), "{shop}: {}", federation.log(shop));
    }
    assert!(federation.wait_for_coordinator(), "{}", federation.complaints());
    let list = federation.client_json("east", &["recommend", "east-3", "--ads", "--explain"]);
    let ads = list["ads"].as_array().expect("ads");
    assert_eq!((ads.len(), &list["personal"]), (3, &true.into()), "{list}");
    let probabilities: Vec<f64> = ads
        .iter()
        .map(|ad| ad["probability"].as_f64().expect("a probability"))
        .collect();
    assert!(probabilities.is_sorted_by(|a, b| a >= b), "{list}");
    assert!(probabilities.iter().all(|of| (0.0..=1.0).contains(of)), "{list}");
    assert!(
        good(&federation.client("east", &["recommend", "--anonymous", "--ads"])).contains("in a hundred")
    );
    let products = federation.client_json("east", &["recommend", "east-3", "-k", "50", "--include-bought"]);
    assert!(!products.to_string().contains("offer-"), "{products}");
}
