//! A customer who is forgotten while the service runs.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::control::{Answer, CustomerQuestion, answer_customer};
use crate::erasure::{CustomerHoldings, HoldsCustomers};

impl Shop {
    fn ask_about(&self, question: &CustomerQuestion) -> Answer {
        let holder: &dyn HoldsCustomers = &*self.api;
        let holdings = CustomerHoldings {
            folder: &self.api.folder,
            store: None,
            holder: Some(holder),
            now: Noon.now(),
        };
        answer_customer(holdings, question)
    }

    /// Files beside the owner's own that name a customer as JSON does.
    fn files_with(&self, user: &str) -> Vec<String> {
        let quoted = format!("\"{user}\"");
        let folders =
            ["events", "experiment", "interactions", "."].map(|folder| self.dir.path().join(folder));
        let files = folders
            .iter()
            .flat_map(|folder| fs::read_dir(folder).into_iter().flatten());
        let paths = files
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file());
        let named = paths.filter(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).contains(&quoted));
        named.map(|path| path.display().to_string()).collect()
    }
}

fn forget(user: &str) -> CustomerQuestion {
    CustomerQuestion::Forget {
        customer: user.to_owned(),
        anyway: false,
    }
}

fn bought(user: &str, id: usize) -> Value {
    json!({ "user": user, "item": "item-00", "kind": "purchase", "id": format!("{user}-{id}") })
}

#[test]
fn events_of_a_forgotten_customer_are_kept_nowhere_and_their_lists_are_those_of_anybody() {
    let experiment = toml::from_str("name = 'autumn'\nalone = 1\ntogether = 1").unwrap();
    let shop = Shop::of(ShopConfig {
        experiment: Some(experiment),
        ..ShopConfig::default()
    });
    assert_eq!(
        shop.post("/v1/events", json!([bought("u3", 1), bought("u4", 1)]))
            .0,
        StatusCode::OK
    );
    let (_, list) = shop.get("/v1/recommendations/u3");
    assert_eq!(list["personal"], true, "{list}");
    shop.get("/v1/recommendations/u4");
    assert_eq!(
        shop.files_with("u3").len(),
        2,
        "the journal and the experiment: {:?}",
        shop.files_with("u3")
    );
    let Answer::Traces(traces) = shop.ask_about(&CustomerQuestion::Traces {
        customer: "u3".to_owned(),
    }) else {
        panic!("no traces")
    };
    assert_eq!((traces.live_events, traces.journal_events), (Some(1), 1));
    assert_eq!(
        (traces.interactions[0].rows, &traces.experiments[..]),
        (5, &["autumn".to_owned()][..])
    );
    let Answer::Forgotten(report) = shop.ask_about(&forget("u3")) else {
        panic!("not forgotten")
    };
    assert_eq!(report.troubles, [""; 0]);
    // Nothing was looked at again in between: the lists are new already.
    assert_eq!(shop.files_with("u3"), [""; 0]);
    let (_, list) = shop.get("/v1/recommendations/u3");
    assert_eq!(list["personal"], false, "{list}");
    let (_, nobody) = shop.get("/v1/recommendations/nobody");
    assert_eq!(list["items"], nobody["items"]);
    let (status, said) = shop.post(
        "/v1/events",
        json!([bought("u4", 1), bought("u3", 2), bought("u4", 2)]),
    );
    assert_eq!(
        (status, &said["written"], &said["known"]),
        (StatusCode::OK, &json!(1), &json!(1))
    );
    assert_eq!(said["not_kept"][0]["event"], 2, "{said}");
    let reason = said["not_kept"][0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("forgotten on 2026-11-28") && reason.contains("--undo"),
        "{reason}"
    );
    assert_eq!(shop.files_with("u3"), [""; 0]);
    assert_eq!(shop.files_with("u4").len(), 2);
    // Let in again, events are taken.
    let readmit = CustomerQuestion::Readmit {
        customer: "u3".to_owned(),
    };
    assert_eq!(
        shop.ask_about(&readmit),
        Answer::Readmitted { by_hand: Vec::new() }
    );
    let (_, said) = shop.post("/v1/events", bought("u3", 3));
    assert_eq!((&said["written"], &said["not_kept"]), (&json!(1), &Value::Null));
    let Answer::Failed { exit_code: 1, reason } = shop.ask_about(&forget("stranger")) else {
        panic!("nobody knows them")
    };
    assert!(
        reason.contains("\"stranger\"") && reason.contains("--anyway"),
        "{reason}"
    );
}

#[test]
fn events_and_lists_that_come_while_a_customer_is_forgotten_leave_nothing_of_them() {
    let experiment = toml::from_str("name = 'autumn'\nalone = 1\ntogether = 1").unwrap();
    let shop = Shop::of(ShopConfig {
        experiment: Some(experiment),
        http: HttpConfig {
            // The clock stands still.
            events_per_sec: 100_000,
            ..HttpConfig::default()
        },
        ..ShopConfig::default()
    });
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reporters = [0, 1].map(|reporter| {
            let (shop, is_over) = (&shop, &is_over);
            scope.spawn(move || {
                for event in 0..MOST_REPORTS {
                    let over = is_over.load(Ordering::SeqCst);
                    let number = reporter * MOST_REPORTS + event;
                    let events = json!([bought("u3", number), bought("u4", number)]);
                    assert_eq!(shop.post("/v1/events", events).0, StatusCode::OK);
                    assert_eq!(shop.get("/v1/recommendations/u3").0, StatusCode::OK);
                    if over {
                        break;
                    }
                }
            })
        });
        let answer = shop.ask_about(&forget("u3"));
        is_over.store(true, Ordering::SeqCst);
        for reporter in reporters {
            reporter.join().unwrap();
        }
        assert!(matches!(answer, Answer::Forgotten(_)), "{answer:?}");
    });
    assert_eq!(shop.files_with("u3"), [""; 0]);
    assert_eq!(shop.api.live_events_of("u3"), 0);
    assert!(shop.api.live_events_of("u4") > 0);
}

/// Of one reporter: it ends sooner when the customer is forgotten.
const MOST_REPORTS: usize = 200;
