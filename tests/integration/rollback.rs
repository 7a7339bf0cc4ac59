//! A model that the operator takes back: shops that are connected have the older one within seconds, others when they come.

use serde_json::Value;
use souk_tests::federation::{Federation, plan, until};

const SOUK: &str = env!("CARGO_BIN_EXE_souk");

#[test]
fn a_rollback_after_the_last_round_reaches_connected_shops_at_once_and_others_when_they_come() {
    let federation = Federation::start(SOUK, &plan(2, 2, &["north", "south"]), &[]);
    for shop in ["north", "south"] {
        federation.join(shop, 20);
    }
    let mut north = federation.start_client("north", &[]);
    let mut south = federation.start_client("south", &["--exit-when-finished"]);
    assert!(south.wait(), "{}", federation.log("south"));
    until("the run is complete", || {
        federation.log("north").contains("the run is complete")
    });
    let models = federation.coordinator_json(&["models", "list"]);
    let hash = |round: usize| models["models"][round]["model"].clone();
    let list = |shop: &str| federation.client_json(shop, &["recommend", &format!("{shop}-3")]);
    let learned = |list: &Value| list["serving"]["learned"]["model_hash"].clone();
    assert_eq!(learned(&list("north")), hash(2));
    federation.coordinator_json(&["models", "rollback", "1"]);
    until("north has the model of round 1", || {
        learned(&list("north")) == hash(1)
    });
    assert_eq!(list("north")["serving"]["learned"]["round"], 1);
    assert_eq!(learned(&list("south")), hash(2), "it is not connected");
    let mut south = federation.start_client("south", &["--exit-when-finished"]);
    assert!(south.wait(), "{}", federation.log("south"));
    assert_eq!(learned(&list("south")), hash(1));
    // Back to random rows: nobody serves them.
    federation.coordinator_json(&["models", "rollback", "0"]);
    until("north serves by itself", || list("north")["served_by"] == "alone");
    assert_eq!(learned(&list("north")), Value::Null);
    assert!(north.stop("-TERM"));
}
