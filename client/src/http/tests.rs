//! Requests as a web shop, a browser and somebody with bad intentions send them.

mod bad_input;
mod door;
mod erasure;
mod experiment;
mod fragments;
mod rules;
mod server;
mod storefront;

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};
use souk_common::clock::Timestamp;
use tower::ServiceExt;

use super::*;

/// Noon of some day; it stands still.
struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_795_867_200)
    }
}

/// A shop of two tastes, 8 items each, and 30 customers of 5 items, that has its lists.
pub(super) struct Shop {
    dir: tempfile::TempDir,
    api: Arc<Api>,
    config: ShopConfig,
}

const LOOPBACK: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 4480));

impl Shop {
    fn open() -> Self {
        Self::with(HttpConfig {
            hosts: vec!["souk.shop.example".to_owned()],
            origins: vec!["https://www.shop.example".to_owned()],
            ..HttpConfig::default()
        })
    }

    fn with(http: HttpConfig) -> Self {
        Self::of(ShopConfig {
            http,
            ..ShopConfig::default()
        })
    }

    fn of(config: ShopConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("shop.toml"), "").unwrap();
        let mut orders = "user_id,item_id,timestamp\nonce,item-00,2026-10-01\n".to_owned();
        for user in 0..30 {
            for at in 0..5 {
                let item = (user % 2) * 8 + (user / 2 + 3 * at) % 8;
                orders.push_str(&format!("u{user},item-{item:02},2026-10-{:02}\n", 10 + at));
            }
        }
        fs::write(dir.path().join("orders.csv"), orders).unwrap();
        let mut items = "item_id,title,category\n".to_owned();
        for item in 0..16 {
            items.push_str(&format!("item-{item:02},Thing <b>{item}</b>,c{}\n", item / 8));
        }
        fs::write(dir.path().join("items.csv"), items).unwrap();
        let folder = Folder::new(dir.path());
        let lists = Arc::new(ListService::new(folder.clone(), None, |_| {}));
        let api = Api::open(&folder, &config, lists, Arc::new(Noon)).unwrap();
        api.renew().unwrap();
        Self { dir, api, config }
    }

    fn token(&self) -> String {
        fs::read_to_string(self.dir.path().join("http/token")).unwrap()
    }

    fn customers_token(&self, user: &str) -> String {
        self.api.tokens.sign(user, Noon.now() + Duration::from_secs(600))
    }

    fn answer(&self, request: Request<Body>) -> (StatusCode, Value) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let answer = self
                .api
                .app(&self.config.http, LOOPBACK)
                .oneshot(request)
                .await
                .unwrap();
            let (status, kind) = (
                answer.status(),
                answer.headers().get(header::CONTENT_TYPE).cloned(),
            );
            let bytes = to_bytes(answer.into_body(), 1 << 24).await.unwrap();
            let kind = kind
                .map(|kind| kind.to_str().unwrap().to_owned())
                .unwrap_or_default();
            if status.is_client_error() || status.is_server_error() {
                assert_eq!(kind, "application/problem+json");
            }
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
        })
    }

    fn get_as(&self, token: &str, path: &str) -> (StatusCode, Value) {
        let request = Request::get(path).header(header::HOST, "127.0.0.1:4480");
        let request = match token {
            "" => request,
            token => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
        };
        self.answer(request.body(Body::empty()).unwrap())
    }

    fn get(&self, path: &str) -> (StatusCode, Value) {
        self.get_as(&self.token(), path)
    }

    fn post_as(&self, token: &str, path: &str, body: impl ToString) -> (StatusCode, Value) {
        let request = Request::post(path)
            .header(header::HOST, "localhost:4480")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {token}"));
        self.answer(request.body(Body::from(body.to_string())).unwrap())
    }

    fn post(&self, path: &str, body: impl ToString) -> (StatusCode, Value) {
        self.post_as(&self.token(), path, body)
    }
}

fn items(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("a list");
    items.iter().map(|item| item["item"].as_str().unwrap()).collect()
}

#[test]
fn a_customer_gets_a_list_with_reasons_and_an_unknown_one_what_is_popular() {
    let shop = Shop::open();
    let (status, list) = shop.get("/v1/recommendations/u0?k=3&explain=true");
    assert_eq!(
        (status, &list["personal"], &list["made_by"]),
        (StatusCode::OK, &json!(true), &json!("alone"))
    );
    assert!(
        items(&list).iter().all(|item| *item < "item-08") && items(&list).len() == 3,
        "{list}"
    );
    assert!(list["list"].as_str().unwrap().starts_with("alone-"), "{list}");
    assert!(
        !list["items"][0]["reasons"][0]["words"]
            .as_str()
            .unwrap()
            .is_empty(),
        "{list}"
    );
    let (_, only) = shop.get("/v1/recommendations/u0?k=16&category=c1&exclude=item-09,item-99");
    assert!(
        items(&only)
            .iter()
            .all(|item| *item >= "item-08" && *item != "item-09"),
        "{only}"
    );
    assert!(only["note"].as_str().unwrap().contains("only 7 items"), "{only}");
    let (status, unknown) = shop.get("/v1/recommendations/nobody?k=5");
    assert_eq!((status, &unknown["personal"]), (StatusCode::OK, &json!(false)));
    assert!(
        unknown["note"].as_str().unwrap().contains("\"nobody\""),
        "{unknown}"
    );
    assert_eq!(items(&unknown).len(), 5);
}

#[test]
fn baskets_and_visitors_get_lists_too() {
    let shop = Shop::open();
    let (status, list) = shop.post(
        "/v1/recommendations",
        json!({"basket": ["item-09", "item-12"], "k": 4}),
    );
    assert_eq!(status, StatusCode::OK, "{list}");
    assert!(items(&list).iter().all(|item| *item >= "item-08"), "{list}");
    assert!(!items(&list).contains(&"item-09"));
    let (_, looked) = shop.post("/v1/recommendations", json!({"viewed": ["item-09"], "k": 16}));
    assert!(
        looked["personal"] == json!(true) && items(&looked).contains(&"item-09"),
        "{looked}"
    );
    let (status, anybody) = shop.post("/v1/recommendations", json!({}));
    assert_eq!((status, &anybody["personal"]), (StatusCode::OK, &json!(false)));
    let (status, problem) = shop.post("/v1/recommendations", json!({"basket": ["item-99"]}));
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(
        problem["detail"].as_str().unwrap().contains("item-99"),
        "{problem}"
    );
}

#[test]
fn a_purchase_counts_in_the_next_list_and_after_a_start() {
    let shop = Shop::open();
    let (_, before) = shop.get("/v1/recommendations/stranger");
    assert_eq!(before["personal"], json!(false));
    let event =
        json!({"user": "stranger", "item": "item-10", "kind": "purchase", "id": "e1", "order": "o-1"});
    let (status, reported) = shop.post("/v1/events", &event);
    assert_eq!(
        (status, reported),
        (StatusCode::OK, json!({"written": 1, "known": 0}))
    );
    assert_eq!(
        shop.post("/v1/events", &event).1,
        json!({"written": 0, "known": 1})
    );
    let (_, after) = shop.get("/v1/recommendations/stranger?k=3");
    assert!(
        after["personal"] == json!(true) && items(&after).iter().all(|item| *item >= "item-08"),
        "{after}"
    );
    assert!(!items(&after).contains(&"item-10"));
    let Shop { dir, api, config } = shop;
    let lists = Arc::clone(&api.lists);
    // The journal is one program's.
    drop(api);
    let api = Api::open(&Folder::new(dir.path()), &config, lists, Arc::new(Noon)).unwrap();
    let shop = Shop { dir, api, config };
    assert_eq!(
        items(&shop.get("/v1/recommendations/stranger?k=3").1),
        items(&after)
    );
    // What is brought back may be listed again, and says nothing any more.
    let (status, _) = shop.post(
        "/v1/events",
        json!([{"user": "stranger", "item": "item-10", "kind": "return"}]),
    );
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        shop.get("/v1/recommendations/stranger").1["personal"],
        json!(false)
    );
}

#[test]
fn items_have_neighbours_and_a_shop_its_bestsellers() {
    let shop = Shop::open();
    for path in ["/v1/similar/item-03?k=3", "/v1/bought-together/item-03?k=3"] {
        // No token: nothing that fewer than five customers stand behind is told.
        let (status, found) = shop.get_as("", path);
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(!items(&found).is_empty(), "{path}: {found}");
        assert!(
            items(&found)
                .iter()
                .all(|item| *item < "item-08" && *item != "item-03"),
            "{path}: {found}"
        );
    }
    for path in ["/v1/popular?category=c1", "/v1/new?k=16", "/v1/trending"] {
        let (status, found) = shop.get_as("", path);
        assert!(
            status == StatusCode::OK && !items(&found).is_empty(),
            "{path}: {found}"
        );
    }
    let (status, problem) = shop.get_as("", "/v1/similar/item-9");
    assert_eq!(
        (status, &problem["type"]),
        (StatusCode::NOT_FOUND, &json!("/problems/unknown-item"))
    );
    assert!(
        problem["detail"].as_str().unwrap().contains("near it"),
        "{problem}"
    );
}

#[test]
fn an_item_is_explained_also_when_it_is_not_listed() {
    let shop = Shop::open();
    let (status, said) = shop.get("/v1/explain/u0/item-00");
    assert_eq!(
        (status, &said["has"], &said["of"]),
        (StatusCode::OK, &json!(true), &json!(16))
    );
    assert!(
        said["item"]["reasons"]
            .as_array()
            .is_some_and(|reasons| !reasons.is_empty()),
        "{said}"
    );
    assert_eq!(shop.get("/v1/explain/u0/item-77").0, StatusCode::NOT_FOUND);
}

#[test]
fn what_makes_no_sense_is_said_with_the_value() {
    let shop = Shop::open();
    for (path, said) in [
        ("/v1/recommendations/u0?k=0", "k is 0"),
        ("/v1/recommendations/u0?k=1000000000", "k is 1000000000"),
        ("/v1/recommendations/u0?k=-1", "k"),
        ("/v1/recommendations/u0?kk=3", "kk"),
        ("/v1/recommendations/u0?category=none", "\"none\""),
        ("/v1/popular?k=1001", "k is 1001"),
    ] {
        let (status, problem) = shop.get(path);
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert!(
            problem["detail"].as_str().unwrap().contains(said),
            "{path}: {problem}"
        );
    }
    for (body, said) in [
        ("{\"user\":", "EOF"),
        ("[{\"user\":\"a\",\"item\":\"b\"}]", "did not match"),
        (
            "{\"user\":\"a\",\"item\":\"b\",\"kind\":\"steal\"}",
            "did not match",
        ),
        (
            "{\"user\":\" \",\"item\":\"b\",\"kind\":\"view\"}",
            "event 1: user is \"\"",
        ),
        (
            "{\"user\":\"a\",\"item\":\"b\\u0000\",\"kind\":\"view\"}",
            "control characters",
        ),
        (
            "{\"user\":\"a\",\"item\":\"b\",\"kind\":\"view\",\"quantity\":-1}",
            "quantity is -1",
        ),
        (
            "{\"user\":\"a\",\"item\":\"b\",\"kind\":\"view\",\"price\":-1}",
            "price is -1",
        ),
        (
            "{\"user\":\"a\",\"item\":\"b\",\"kind\":\"view\",\"time\":\"yesterday\"}",
            "yesterday",
        ),
        (
            "{\"user\":\"a\",\"item\":\"b\",\"kind\":\"view\",\"time\":\"2020-01-01T00:00:00Z\"}",
            "within the last day",
        ),
        (
            "{\"user\":\"a\",\"item\":\"b\",\"kind\":\"view\",\"time\":\"2036-01-01T00:00:00Z\"}",
            "within the last day",
        ),
    ] {
        let (status, problem) = shop.post("/v1/events", body);
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {problem}");
        assert!(
            problem["detail"].as_str().unwrap().contains(said),
            "{body}: {problem}"
        );
    }
    let long = format!("{{\"user\":\"{}\"}}", "x".repeat(2 << 20));
    assert_eq!(shop.post("/v1/events", long).0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(shop.get("/v2/anything").0, StatusCode::NOT_FOUND);
    assert_eq!(shop.post("/v1/popular", "").0, StatusCode::METHOD_NOT_ALLOWED);
    let (status, reported) = shop.post(
        "/v1/events",
        json!({"user": "a", "item": "later-1", "kind": "purchase"}),
    );
    assert_eq!(
        (status, &reported["unknown_items"]),
        (StatusCode::OK, &json!(["later-1"]))
    );
}

#[test]
fn a_flood_of_events_is_told_to_come_later_and_none_of_it_is_kept() {
    let shop = Shop::with(HttpConfig {
        events_per_sec: 10,
        ..HttpConfig::default()
    });
    let views = |count: usize| {
        Value::Array(vec![
            json!({"user": "a", "item": "item-01", "kind": "view"});
            count
        ])
    };
    assert_eq!(shop.post("/v1/events", views(90)).0, StatusCode::OK);
    let (status, problem) = shop.post("/v1/events", views(11));
    assert_eq!(
        (status, &problem["retry_after"]),
        (StatusCode::TOO_MANY_REQUESTS, &json!(1))
    );
    assert_eq!(shop.post("/v1/events", views(10)).0, StatusCode::OK);
    let shop = Shop::open();
    let browser = shop.customers_token("b");
    let views = |count: usize| {
        Value::Array(vec![
            json!({"user": "b", "item": "item-01", "kind": "view"});
            count
        ])
    };
    assert_eq!(
        shop.post_as(&browser, "/v1/events", views(51)).0,
        StatusCode::TOO_MANY_REQUESTS
    );
    assert_eq!(shop.post("/v1/events", views(51)).0, StatusCode::OK);
    assert_eq!(shop.post("/v1/events", views(1001)).0, StatusCode::BAD_REQUEST);
}

#[test]
fn without_lists_it_says_so_and_takes_events_all_the_same() {
    let shop = Shop::open();
    let folder = Folder::new(shop.dir.path());
    let lists = Arc::new(ListService::new(folder.clone(), None, |_| {}));
    let shop = Shop {
        api: Api::open(&folder, &shop.config, lists, Arc::new(Noon)).unwrap(),
        ..shop
    };
    let (status, problem) = shop.get_as("", "/v1/healthz");
    assert_eq!(
        (status, &problem["retry_after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!(30))
    );
    let event = json!({"user": "a", "item": "item-01", "kind": "view"});
    assert_eq!(shop.post("/v1/events", event).0, StatusCode::OK);
}

/// Every route with the methods that it is described with.
fn described(shop: &Shop) -> Vec<(String, String)> {
    let (_, text) = shop.get_as("", "/v1/openapi.json");
    let paths = text["paths"]
        .as_object()
        .expect("a description has paths")
        .clone();
    let methods = |(path, item): (String, Value)| -> Vec<(String, String)> {
        let methods = item.as_object().unwrap().keys().cloned();
        methods.map(|method| (method, path.clone())).collect()
    };
    paths.into_iter().flat_map(methods).collect()
}

#[test]
fn the_description_has_every_route_and_every_described_route_is_served() {
    let shop = Shop::open();
    let routes = described(&shop);
    assert!(routes.len() >= 12, "{routes:?}");
    for (method, path) in routes {
        let path = path.replace("{user}", "u0").replace("{item}", "item-00");
        let request = Request::builder()
            .method(method.to_uppercase().as_str())
            .uri(&path)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {}", shop.token()));
        let (status, said) = shop.answer(request.body(Body::empty()).unwrap());
        let is_served = (status != StatusCode::NOT_FOUND || path == "/v1/experiment")
            && status != StatusCode::METHOD_NOT_ALLOWED;
        assert!(is_served, "{method} {path}: {said}");
    }
}

#[test]
fn metrics_count_requests_by_route_and_events() {
    let shop = Shop::open();
    shop.get("/v1/recommendations/u0");
    shop.get("/v1/recommendations/u1");
    shop.post(
        "/v1/events",
        json!({"user": "a", "item": "item-01", "kind": "view"}),
    );
    let (_, text) = shop.get("/v1/metrics");
    let text = text.as_str().unwrap();
    for line in [
        "souk_shop_http_requests_total{route=\"/v1/recommendations/{user}\",status=\"200\"} 2",
        "souk_shop_events_total 1",
        "souk_shop_learned_age_seconds -1.0",
    ] {
        assert!(text.contains(line), "{text}");
    }
}
