//! Who may ask, by which name, and from which page.

use super::*;

#[test]
fn a_browser_asks_for_its_own_customer_only() {
    let shop = Shop::open();
    let (status, token) = shop.post(
        "/v1/customer-tokens",
        json!({"user": "U1@example.com", "minutes": 5}),
    );
    assert_eq!(status, StatusCode::OK);
    let token = token["token"].as_str().unwrap().to_owned();
    assert_eq!(
        shop.get_as(&token, "/v1/recommendations/u1@EXAMPLE.com").0,
        StatusCode::OK
    );
    assert_eq!(
        shop.get_as(&token, "/v1/recommendations/u2").0,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        shop.get_as(&token, "/v1/explain/u2/item-00").0,
        StatusCode::FORBIDDEN
    );
    assert_eq!(shop.get_as(&token, "/v1/metrics").0, StatusCode::FORBIDDEN);
    assert_eq!(
        shop.post_as(&token, "/v1/customer-tokens", json!({"user": "u2"}))
            .0,
        StatusCode::FORBIDDEN
    );
    let event = |user: &str| json!({"user": user, "item": "item-01", "kind": "view"});
    assert_eq!(
        shop.post_as(&token, "/v1/events", event("u1@example.com")).0,
        StatusCode::OK
    );
    assert_eq!(
        shop.post_as(&token, "/v1/events", event("u2")).0,
        StatusCode::FORBIDDEN
    );
    for path in ["/v1/recommendations/u1", "/v1/explain/u1/item-00", "/v1/metrics"] {
        assert_eq!(shop.get_as("", path).0, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(shop.get_as("wrong", path).0, StatusCode::UNAUTHORIZED, "{path}");
    }
    let (status, _) = shop.get_as(&shop.customers_token("u1"), "/v1/recommendations/u1");
    assert_eq!(status, StatusCode::OK);
}

#[test]
fn only_names_and_pages_that_the_owner_named_may_ask() {
    let shop = Shop::open();
    let ask = |host: &str, origin: &str, path: &str| {
        let request = Request::get(path).header(header::HOST, host);
        let request = match origin {
            "" => request,
            origin => request.header(header::ORIGIN, origin),
        };
        shop.answer(request.body(Body::empty()).unwrap()).0
    };
    for host in [
        "localhost:4480",
        "[::1]:4480",
        "souk.shop.example",
        "SOUK.shop.example:443",
    ] {
        assert_eq!(ask(host, "", "/v1/popular"), StatusCode::OK, "{host}");
    }
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.7:4480",
        "",
        "a b",
    ] {
        assert_eq!(
            ask(host, "", "/v1/popular"),
            StatusCode::MISDIRECTED_REQUEST,
            "{host}"
        );
    }
    assert_eq!(
        ask("localhost:4480", "https://www.shop.example", "/v1/popular"),
        StatusCode::OK
    );
    assert_eq!(
        ask("localhost:4480", "http://localhost:4480", "/v1/popular"),
        StatusCode::OK
    );
    for origin in [
        "https://evil.example",
        "null",
        "https://www.shop.example.evil.example",
    ] {
        assert_eq!(
            ask("localhost:4480", origin, "/v1/popular"),
            StatusCode::FORBIDDEN,
            "{origin}"
        );
    }
    let cross_site = Request::post("/v1/events")
        .header(header::HOST, "localhost")
        .header(header::ORIGIN, "https://evil.example")
        .header(header::AUTHORIZATION, format!("Bearer {}", shop.token()))
        .body(Body::from("{}"));
    assert_eq!(shop.answer(cross_site.unwrap()).0, StatusCode::FORBIDDEN);
    let preflight = Request::options("/v1/events")
        .header(header::HOST, "localhost")
        .header(header::ORIGIN, "https://www.shop.example")
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
        .body(Body::empty());
    assert_eq!(shop.answer(preflight.unwrap()).0, StatusCode::NO_CONTENT);
}
