//! What makes no sense, is too much, or wants to do harm: everybody else goes on.

use super::*;
use crate::events::full_disk::FullDisk;

/// Every route that takes a body.
fn with_bodies(shop: &Shop) -> Vec<(String, String)> {
    let routes = described(shop).into_iter();
    let takes = routes.filter(|(method, _)| matches!(method.as_str(), "post" | "put" | "patch" | "delete"));
    takes
        .map(|(method, path)| (method, path.replace("{user}", "u0").replace("{item}", "item-00")))
        .collect()
}

#[test]
fn a_broken_body_is_refused_by_every_route_with_what_is_wrong_and_changes_nothing() {
    let shop = Shop::open();
    let before = shop.get("/v1/recommendations/u0").1["items"].clone();
    let routes = with_bodies(&shop);
    assert!(routes.len() >= 4, "{routes:?}");
    let deep = "[".repeat(500_000);
    let bodies: [&[u8]; 9] = [
        b"",
        b"{",
        b"{\"k\": 3,}",
        b"nonsense",
        b"\xff\xfe{}",
        b"[1, 2",
        b"\"text\"",
        b"{\"<script>alert(1)</script>\": 1}",
        deep.as_bytes(),
    ];
    for (method, path) in routes {
        for body in bodies {
            let request = Request::builder()
                .method(method.to_uppercase().as_str())
                .uri(&path)
                .header(header::HOST, "localhost")
                .header(header::CONTENT_TYPE, "application/json")
                .header(header::AUTHORIZATION, format!("Bearer {}", shop.token()));
            let (status, problem) = shop.answer(request.body(Body::from(body.to_vec())).unwrap());
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
            assert_eq!(
                status,
                StatusCode::BAD_REQUEST,
                "{method} {path} {shown}: {problem}"
            );
            assert!(
                problem["detail"]
                    .as_str()
                    .is_some_and(|detail| !detail.is_empty()),
                "{problem}"
            );
        }
    }
    assert_eq!(shop.get("/v1/recommendations/u0").1["items"], before);
}

#[test]
fn a_k_that_makes_no_sense_is_refused_however_it_comes() {
    let shop = Shop::open();
    for k in [
        "0",
        "1000000000",
        "-1",
        "1e9",
        "0.5",
        "99999999999999999999999",
        "\"ten\"",
        "null1",
    ] {
        let (status, problem) = shop.post("/v1/recommendations", format!("{{\"k\": {k}}}"));
        assert_eq!(status, StatusCode::BAD_REQUEST, "{k}: {problem}");
        for path in [
            "similar/item-00",
            "bought-together/item-00",
            "trending",
            "new",
            "popular",
            "recommendations/u0",
        ] {
            let (status, problem) = shop.get(&format!("/v1/{path}?k={}", k.replace('"', "")));
            assert_eq!(status, StatusCode::BAD_REQUEST, "{path} {k}: {problem}");
        }
    }
    assert_eq!(items(&shop.get("/v1/popular?k=1000").1).len(), 16);
}

#[test]
fn an_unknown_customer_of_any_name_gets_what_is_popular_or_is_refused() {
    let shop = Shop::open();
    let long = "x".repeat(300);
    for (name, known) in [
        ("nobody", true),
        ("%3Cscript%3Ealert(1)%3C%2Fscript%3E", true),
        ("..%2F..%2Fetc%2Fpasswd", true),
        ("%F0%9F%9B%92", true),
        ("%00", false),
        ("a%0Ab", false),
        ("%FF", false),
        (long.as_str(), true),
    ] {
        let (status, list) = shop.get(&format!("/v1/recommendations/{name}?k=3"));
        match status {
            StatusCode::OK => {
                assert_eq!(
                    (&list["personal"], items(&list).len()),
                    (&json!(false), 3),
                    "{name}: {list}"
                );
            }
            status => assert!(
                !known && status == StatusCode::BAD_REQUEST,
                "{name}: {status} {list}"
            ),
        }
    }
}

#[test]
fn markup_in_a_title_stays_text_and_no_browser_takes_an_answer_for_a_page() {
    let shop = Shop::open();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let request = Request::get("/v1/popular?k=1").header(header::HOST, "localhost");
    let app = shop.api.app(&shop.config.http, LOOPBACK);
    let answer = runtime
        .block_on(app.oneshot(request.body(Body::empty()).unwrap()))
        .unwrap();
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json");
    assert_eq!(answer.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    let (_, list) = shop.get("/v1/popular?k=1");
    let title = list["items"][0]["title"].as_str().unwrap();
    assert!(title.starts_with("Thing <b>"), "{title}");
    // What somebody asked for is said back as text, too.
    let (_, problem) = shop.get("/v1/similar/%3Cimg%20src=x%20onerror=alert(1)%3E");
    assert!(problem["detail"].as_str().unwrap().contains("<img"), "{problem}");
}

#[test]
fn a_full_disk_acknowledges_no_event_and_loses_none_that_was_acknowledged() {
    let Shop { dir, config, api } = Shop::open();
    let lists = Arc::clone(&api.lists);
    drop(api);
    let disk = FullDisk::with_room(0);
    disk.make_room();
    let folder = Folder::on(disk.clone(), dir.path());
    let open = |folder: &Folder| Api::open(folder, &config, Arc::clone(&lists), Arc::new(Noon)).unwrap();
    let event = |user: &str| json!({"user": user, "item": "item-10", "kind": "purchase"});
    let shop = Shop {
        api: open(&folder),
        dir,
        config: config.clone(),
    };
    assert_eq!(shop.post("/v1/events", event("anna")).0, StatusCode::OK);
    disk.fill();
    for _ in 0..2 {
        let (status, problem) = shop.post("/v1/events", event("bert"));
        assert_eq!(status, StatusCode::INSUFFICIENT_STORAGE, "{problem}");
        assert!(
            problem["detail"].as_str().unwrap().contains("Make room"),
            "{problem}"
        );
    }
    let is_known = |shop: &Shop, user: &str| {
        shop.get(&format!("/v1/recommendations/{user}")).1["personal"] == json!(true)
    };
    assert!(
        is_known(&shop, "anna") && !is_known(&shop, "bert"),
        "lists are made all the same"
    );
    disk.make_room();
    assert_eq!(shop.post("/v1/events", event("carl")).0, StatusCode::OK);
    let Shop { dir, config, api } = shop;
    drop(api);
    let shop = Shop {
        api: Api::open(&folder, &config, lists.clone(), Arc::new(Noon)).unwrap(),
        dir,
        config,
    };
    let known = ["anna", "bert", "carl"].map(|user| is_known(&shop, user));
    assert_eq!(known, [true, false, true]);
}
