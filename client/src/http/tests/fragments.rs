//! Lists as HTML: for the shop's own servers, for a customer's frame, and for whoever would misuse them.

use axum::http::HeaderMap;

use super::*;
use crate::control::{Answer, Question, answer_lists};
use crate::recommend::RecommendOptions;

fn ask(shop: &Shop, token: &str, path: &str) -> (StatusCode, HeaderMap, String) {
    let request = Request::get(path).header(header::HOST, "127.0.0.1:4480");
    let request = match token {
        "" => request,
        token => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
    };
    let request = request.body(Body::empty()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let app = shop.api.app(&shop.config.http, LOOPBACK);
        let answer = app.oneshot(request).await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        let bytes = to_bytes(answer.into_body(), 1 << 24).await.unwrap();
        (status, headers, String::from_utf8(bytes.to_vec()).unwrap())
    })
}

fn head(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers
        .get(name)
        .map(|value| value.to_str().unwrap())
        .unwrap_or_default()
}

/// Ids of the items of a fragment, in order.
fn listed(html: &str) -> Vec<&str> {
    let items = html.split("data-souk-item=\"").skip(1);
    items.map(|rest| rest.split('"').next().unwrap()).collect()
}

#[test]
fn every_fragment_has_the_items_of_the_list_of_the_same_name() {
    let shop = Shop::open();
    for list in [
        "recommendations/u0?k=4&category=c0&exclude=item-01",
        "similar/item-03?k=3",
        "bought-together/item-03?k=3",
        "popular?k=5&category=c1",
        "trending?k=5",
        "new?k=5",
    ] {
        let (status, json) = shop.get(&format!("/v1/{list}"));
        assert_eq!(status, StatusCode::OK, "{list}");
        assert!(
            !items(&json).is_empty() && json["list"].is_string(),
            "{list}: {json}"
        );
        let (status, headers, html) = ask(&shop, &shop.token(), &format!("/v1/fragment/{list}"));
        assert_eq!(
            (status, listed(&html)),
            (StatusCode::OK, items(&json)),
            "{list}: {html}"
        );
        assert!(
            head(&headers, header::CONTENT_TYPE).starts_with("text/html"),
            "{list}"
        );
        assert!(
            !html.contains("<html") && !html.contains("style") && !html.contains("script"),
            "{html}"
        );
    }
    let (_, json) = shop.post(
        "/v1/recommendations",
        json!({"basket": ["item-09"], "viewed": ["item-12"], "k": 3}),
    );
    let path = "/v1/fragment/recommendations?basket=item-09&viewed=item-12&k=3";
    let (_, _, html) = ask(&shop, &shop.token(), path);
    assert_eq!(listed(&html), items(&json), "{html}");
    assert_eq!(
        ask(&shop, "", path).0,
        StatusCode::UNAUTHORIZED,
        "as the JSON route"
    );
    let (status, _, html) = ask(&shop, "", "/v1/fragment/recommendations");
    assert!(
        status == StatusCode::OK && html.contains(">Bestsellers</h2>"),
        "{html}"
    );
}

#[test]
fn items_link_to_the_shop_with_the_lists_id_and_titles_are_escaped() {
    let shop = Shop::open();
    let path = "/v1/fragment/recommendations/u0?k=2&explain=true&link=https://www.shop.example/p/%7Bitem%7D?a=1%26b=2";
    let (status, _, html) = ask(&shop, &shop.token(), path);
    assert_eq!(status, StatusCode::OK, "{html}");
    let list = html
        .split("data-souk-list=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    assert!(list.starts_with("alone-"), "{html}");
    let first = listed(&html)[0].to_owned();
    let link = format!("href=\"https://www.shop.example/p/{first}?a=1&amp;b=2&amp;souk_list={list}\"");
    assert!(html.contains(&link), "{html}");
    assert!(
        html.contains("Thing &lt;b&gt;") && !html.contains("<b>"),
        "{html}"
    );
    assert!(
        html.contains(">Recommended for you</h2>") && html.contains("souk-reason"),
        "{html}"
    );
    assert!(!html.contains("souk-price"), "no price is known: {html}");
    let path = "/v1/fragment/popular?title=%3Cscript%3Ealert(1)%3C/script%3E&lang=zh";
    let (_, _, html) = ask(&shop, "", path);
    assert!(
        html.contains("&lt;script&gt;") && !html.contains("<script"),
        "{html}"
    );
    assert!(!html.contains("<a "), "nowhere to lead to: {html}");
    let (_, _, html) = ask(
        &shop,
        &shop.token(),
        "/v1/fragment/recommendations/u0?lang=zh&explain=true",
    );
    assert!(
        html.contains(">为您推荐</h2>") && html.contains("lang=\"zh-Hans\""),
        "{html}"
    );
}

#[test]
fn links_have_the_shops_own_numbers() {
    let shop = Shop::open();
    let federations = shop.api.shelf().unwrap().lists.catalogue.to_bytes();
    fs::write(Folder::new(shop.dir.path()).catalogue(), federations).unwrap();
    fs::write(
        shop.dir.path().join("item_map.csv"),
        "item_id,federation_id\n4711,item-03\n4710,item-03\n",
    )
    .unwrap();
    shop.api.renew().unwrap();
    let (status, _, html) = ask(&shop, "", "/v1/fragment/similar/item-02?k=8&link=/p/%7Bitem%7D");
    assert_eq!(status, StatusCode::OK, "{html}");
    assert!(listed(&html).contains(&"item-03"), "{html}");
    assert!(
        html.contains("/p/4710?") && !html.contains("/p/item-03") && html.contains("/p/item-04"),
        "{html}"
    );
}

#[test]
fn what_the_shop_should_know_is_not_shown_to_customers() {
    let shop = Shop::open();
    let (_, _, html) = ask(&shop, &shop.token(), "/v1/fragment/recommendations/nobody?k=2");
    let shown: String = html.split('<').filter_map(|tag| tag.split('>').nth(1)).collect();
    assert!(
        html.contains("data-souk-note=\"nothing is known of customer") && !shown.contains("nothing"),
        "{html}"
    );
    assert!(
        shown.contains("Bestsellers") && listed(&html).len() == 2,
        "{html}"
    );
    // A list with nothing in it takes no place.
    let path = "/v1/fragment/similar/item-03?k=1&category=";
    let (status, _, html) = ask(&shop, "", path);
    assert!(
        status == StatusCode::OK && listed(&html).is_empty() && html.contains(" hidden"),
        "{html}"
    );
}

#[test]
fn a_frame_gets_a_page_for_a_customers_token_in_the_address_and_the_shops_is_refused_there() {
    let shop = Shop::open();
    let token = shop.customers_token("u0");
    let path = format!(
        "/v1/fragment/recommendations/u0?k=3&embed=page&token={token}&link=https://www.shop.example/%7Bitem%7D"
    );
    let (status, headers, html) = ask(&shop, "", &path);
    assert!(status == StatusCode::OK && listed(&html).len() == 3, "{html}");
    assert!(
        html.starts_with("<!DOCTYPE html>") && html.contains("target=\"_top\""),
        "{html}"
    );
    assert!(!html.contains(&token), "no link takes it along: {html}");
    let policy = head(&headers, header::CONTENT_SECURITY_POLICY);
    assert!(
        policy.ends_with("frame-ancestors https://www.shop.example"),
        "{policy}"
    );
    assert_eq!(head(&headers, header::REFERRER_POLICY), "no-referrer");
    assert_eq!(head(&headers, header::CACHE_CONTROL), "no-store");
    // Another customer's, none, one that is over, the shop's: a page that nobody minds, with the right status.
    let others = shop.customers_token("u1");
    let old = shop.api.tokens.sign("u0", Noon.now());
    for (token, wanted) in [
        (others.as_str(), StatusCode::FORBIDDEN),
        ("", StatusCode::UNAUTHORIZED),
        (&old, StatusCode::UNAUTHORIZED),
        (&shop.token(), StatusCode::FORBIDDEN),
    ] {
        let path = format!("/v1/fragment/recommendations/u0?embed=page&token={token}");
        let (status, headers, html) = ask(&shop, "", &path);
        assert_eq!(status, wanted, "{html}");
        assert!(
            html.contains("data-souk-problem") && listed(&html).is_empty() && !html.contains("u0"),
            "{html}"
        );
        assert!(
            head(&headers, header::CONTENT_SECURITY_POLICY).contains("frame-ancestors"),
            "{headers:?}"
        );
        assert!(head(&headers, header::CONTENT_TYPE).starts_with("text/html"));
    }
    let (status, _, html) = ask(&shop, "", "/v1/fragment/similar/item-9?embed=page");
    assert!(
        status == StatusCode::NOT_FOUND && html.contains("/problems/unknown-item"),
        "{html}"
    );
    // Elsewhere an address opens nothing, and the shop's own token opens fragments from a server.
    let path = format!("/v1/recommendations/u0?token={token}");
    assert_eq!(shop.get_as("", &path).0, StatusCode::BAD_REQUEST);
    assert_eq!(
        ask(&shop, &token, "/v1/fragment/recommendations/u0").0,
        StatusCode::OK
    );
}

#[test]
fn frames_of_nobody_are_allowed_where_no_origin_is_named() {
    let shop = Shop::with(HttpConfig::default());
    let (_, headers, _) = ask(&shop, "", "/v1/fragment/popular?embed=page");
    let policy = head(&headers, header::CONTENT_SECURITY_POLICY);
    assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
}

#[test]
fn errors_are_problems_with_the_value_and_links_to_foreign_sites_are_the_shops_only() {
    let shop = Shop::open();
    for (path, said) in [
        ("popular?k=0", "k is 0"),
        ("popular?explain=true", "explain"),
        ("popular?linc=/%7Bitem%7D", "linc"),
        ("popular?link=javascript:%7Bitem%7D", "javascript:"),
        ("popular?link=/product", "/product"),
        ("popular?lang=tlh", "tlh"),
        ("popular?embed=site", "embed"),
    ] {
        let (status, problem) = shop.get(&format!("/v1/fragment/{path}"));
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert!(
            problem["detail"].as_str().unwrap().contains(said),
            "{path}: {problem}"
        );
    }
    let title = "x".repeat(201);
    assert_eq!(
        shop.get(&format!("/v1/fragment/popular?title={title}")).0,
        StatusCode::BAD_REQUEST
    );
    let foreign = "/v1/fragment/popular?link=https://other.example/%7Bitem%7D";
    let (status, problem) = shop.get_as("", foreign);
    assert_eq!(status, StatusCode::FORBIDDEN, "{problem}");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("https://other.example"),
        "{problem}"
    );
    assert_eq!(ask(&shop, &shop.token(), foreign).0, StatusCode::OK);
    assert_eq!(
        ask(&shop, "", "/v1/fragment/popular?link=/%7Bitem%7D").0,
        StatusCode::OK
    );
}

#[test]
fn the_command_counts_what_was_reported_as_the_service_does() {
    let shop = Shop::open();
    let command = |user: &str| {
        let question = Question::Recommend {
            user: Some(user.to_owned()),
            basket: Vec::new(),
            wishes: RecommendOptions {
                k: 3,
                include_bought: false,
                explain: false,
            },
            picture: false,
        };
        answer_lists(&shop.api.lists, question)
    };
    let ids = |answer: Answer| match answer {
        Answer::Recommended { list, .. } => {
            let ids = list.items.into_iter().map(|item| item.item_id);
            (list.user_id, ids.collect::<Vec<_>>())
        }
        other => panic!("{other:?}"),
    };
    let (_, before) = ids(command("u0"));
    assert!(
        matches!(command("stranger"), Answer::Failed { .. }),
        "nothing is known"
    );
    for user in ["u0", "stranger"] {
        let event = json!({"user": user, "item": before[0], "kind": "purchase"});
        assert_eq!(shop.post("/v1/events", event).0, StatusCode::OK);
        let (named, after) = ids(command(user));
        let (_, served) = shop.get(&format!("/v1/recommendations/{user}?k=3"));
        assert_eq!(
            (named.as_str(), after.iter().map(String::as_str).collect()),
            (user, items(&served))
        );
        assert!(!after.contains(&before[0]), "{after:?}");
    }
    let Answer::RecommendedAll { lists } = answer_lists(
        &shop.api.lists,
        Question::RecommendAll(RecommendOptions {
            k: 16,
            include_bought: false,
            explain: false,
        }),
    ) else {
        panic!("lists for all")
    };
    let of_u0 = lists.iter().find(|list| list.user_id == "u0").unwrap();
    assert!(
        of_u0.items.iter().all(|item| item.item_id != before[0]),
        "{of_u0:?}"
    );
}
