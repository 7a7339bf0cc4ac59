//! Lists by a shop's own stack: before any round, after releases, while `run` is up and when it is not.

use serde_json::{Value, json};
use souk_tests::federation::{Federation, Running, good, until};

const SOUK: &str = env!("CARGO_BIN_EXE_souk");
const SHOPS: [&str; 2] = ["north", "south"];

const RELEASES: &str = "name = 'releases'\n[privacy]\nnoise_multiplier = 1.0\n[cohort]\nquorum = 2\ndeadline = '50s'\n\
    [[release]]\nkind = 'popularity'\nshare = 0.4\n[[release]]\nkind = 'collaborative'\nshare = 0.6\n\
    [[shops]]\nname = 'north'\ndeclared_users = 100\n[[shops]]\nname = 'south'\ndeclared_users = 100\n";

#[test]
fn a_shop_has_lists_before_any_round_and_better_informed_ones_after_each_release() {
    let federation = Federation::start(SOUK, RELEASES, &[]);
    SHOPS.iter().for_each(|shop| drop(federation.join(shop, 60)));
    let gain = federation.client_json("north", &["gain"]);
    let measured = |gain: &Value| gain["customers"].as_u64().expect("a count");
    assert!(
        measured(&gain) > 50 && gain["together"].is_null() && gain["own_catalogue"] == true,
        "{gain}"
    );
    let ask = || federation.client_json("north", &["recommend", "north-3", "-k", "5", "--explain"]);
    assert_eq!(ask()["served_by"], "alone");
    let mut running: Vec<Running> = SHOPS
        .iter()
        .map(|shop| federation.start_client(shop, &[]))
        .collect();
    let finished = |shop: &&str| federation.log(shop).contains("the run is complete");
    until("both releases are out", || SHOPS.iter().all(&finished));
    // Fitted on its own account, and told.
    until("the owner is told", || {
        federation.log("north").contains("together")
    });
    let gain = federation.client_json("north", &["gain"]);
    assert!(
        gain["together"].is_f64() && gain["own_catalogue"] == false,
        "{gain}"
    );
    let epsilon = gain["epsilon"].as_f64().expect("of the plan");
    assert!((4.0..5.0).contains(&epsilon), "{gain}");
    let said = good(&federation.client("north", &["gain"]));
    assert!(
        said.contains(", together ") && said.contains("the gate: "),
        "{said}"
    );
    let mut list = ask();
    assert_eq!(list["served_by"], gain["served_by"]);
    for process in &mut running {
        assert!(process.stop("-TERM"));
    }
    assert_eq!(federation.client_json("north", &["gain"]), gain);
    let mut again = ask();
    for list in [&mut again, &mut list] {
        let learned = &mut list["serving"]["learned"];
        assert_eq!(
            (&learned["plan"]["name"], &learned["round"]),
            (&json!("releases"), &json!(2))
        );
        assert!(learned["age_secs"].take().is_u64());
    }
    assert_eq!(again, list);
    let config = federation.shop("north").join("shop.toml");
    let text = std::fs::read_to_string(&config).expect("a file");
    for (value, by) in [("true", "together"), ("false", "alone")] {
        let wish = format!("federated = {value}");
        std::fs::write(&config, text.replace("federated = \"gate\"", &wish)).expect("a file");
        assert_eq!(ask()["served_by"], by);
        assert!(
            federation.client_json("north", &["gain"])["why"]
                .as_str()
                .expect("words")
                .contains("by shop.toml")
        );
    }
}
