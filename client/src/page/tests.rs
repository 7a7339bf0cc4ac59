//! The page as a browser, and somebody with bad intentions, ask for it.

mod views;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use axum::body::{Body, HttpBody, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use souk_common::catalogue::{Catalogue, Item};
use souk_common::chain::LogHead;
use souk_common::ids::{AttemptId, Digest};
use souk_common::round::statements::{DeclineCode, Manifest, UploadHeader};
use tower::ServiceExt;

use super::layout::Place;
use super::*;
use crate::config::ShopConfig;
use crate::control::charged::ChargedKind;
use crate::control::{Accounts, Answer, Budget, NextRound, Question};
use crate::http::Api;
use crate::http::config::HttpConfig;
use crate::participate::{AttemptKey, Pending};
use crate::recommend::service::ListService;
use crate::store::Store;

/// Noon of some day; it stands still.
struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_795_867_200)
    }
}

/// Half of the limit is spent.
struct HalfSpent;

impl Accounts for HalfSpent {
    fn budget(&self, config: &ShopConfig, _: Timestamp) -> anyhow::Result<Budget> {
        Ok(budget(Some(config.policy.max_epsilon.get() / 2.0)))
    }

    fn next_round(&self, _: &Manifest, _: Timestamp) -> anyhow::Result<NextRound> {
        anyhow::bail!("no plan was heard of in these tests")
    }
}

/// A budget with so much spent of 8.
fn budget(epsilon: Option<f64>) -> Budget {
    Budget {
        epsilon,
        delta: 1e-5,
        unit: "user".into(),
        relation: "add-remove".into(),
        rounds_charged: 3,
        charged_by_kind: [(ChargedKind::Release, 2), (ChargedKind::Tower, 1)].into(),
        model_hash: None,
        max_epsilon: 8.0,
        period_days: None,
        epsilon_in_period: epsilon,
        noise_is_shared: false,
        epsilon_readers: None,
        epsilon_if_alone: None,
    }
}

/// What the only update of these tests is made of.
const UPDATE: &[u8] = b"a sum over customers";

/// A shop of two tastes, 8 items each with HTML in their titles, and 30 customers; one update has left.
struct Shop {
    _dir: tempfile::TempDir,
    folder: Folder,
    api: Arc<Api>,
    page: Arc<Page>,
    service: Arc<Service>,
    config: HttpConfig,
}

const LOOPBACK: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 4480));
const OWN: &str = "http://127.0.0.1:4480";

impl Shop {
    fn open() -> Self {
        Self::with(|_| {})
    }

    /// The same with `further` files.
    fn with(further: impl FnOnce(&Folder)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        fs::write(folder.config(), "").unwrap();
        let mut orders = "user_id,item_id,timestamp\n".to_owned();
        for user in 0..30 {
            for at in 0..5 {
                let item = (user % 2) * 8 + (user / 2 + 3 * at) % 8;
                orders.push_str(&format!("u{user},item-{item:02},2026-11-{:02}\n", 10 + at));
            }
        }
        orders.push_str("u1,item-00,no time at all\n");
        fs::write(dir.path().join("orders.csv"), orders).unwrap();
        let mut items = "item_id,title,category\n".to_owned();
        for item in 0..16 {
            items.push_str(&format!("item-{item:02},Thing <b>{item}</b>,c{}\n", item / 8));
        }
        fs::write(dir.path().join("items.csv"), items).unwrap();
        further(&folder);
        let store = Arc::new(Store::open(&folder).unwrap());
        let pending = pending();
        store.put_in_outbox(&pending, UPDATE, None, Noon.now()).unwrap();
        store
            .note_sending(&pending.header.update, UPDATE.len() as u64, Noon.now())
            .unwrap();
        let lists = Arc::new(ListService::new(folder.clone(), None, |_| {}));
        let service = Arc::new(Service::new(
            folder.clone(),
            store,
            Arc::new(HalfSpent),
            Arc::new(Noon),
            Arc::clone(&lists),
        ));
        let config = HttpConfig {
            origins: vec!["https://www.shop.example".to_owned()],
            ..HttpConfig::default()
        };
        let api = Api::open(&folder, &config, lists, Arc::new(Noon)).unwrap();
        let page = api.with_page(&folder, &config, Arc::clone(&service)).unwrap();
        service.sessions().serve_at(OWN.to_owned());
        Self {
            _dir: dir,
            folder,
            api,
            page,
            service,
            config,
        }
    }

    /// The same with everything read.
    fn ready() -> Self {
        let shop = Self::open();
        shop.api.renew().unwrap();
        shop
    }

    fn ask(&self, request: Request<Body>) -> (StatusCode, HeaderMap, Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let app = self.api.app(&self.config, LOOPBACK);
            let answer = app.oneshot(request).await.unwrap();
            let (status, headers) = (answer.status(), answer.headers().clone());
            let bytes = to_bytes(answer.into_body(), 1 << 24).await.unwrap();
            (status, headers, bytes.to_vec())
        })
    }

    fn text(&self, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
        let (status, headers, bytes) = self.ask(request);
        (status, headers, String::from_utf8(bytes).unwrap())
    }

    /// The cookie of a session that a link has begun.
    fn session(&self) -> String {
        let Answer::PageLink { link } = self.service.answer(Question::PageLink) else {
            panic!("the page is served");
        };
        let (status, headers, _) = self.text(get("", link.strip_prefix(OWN).unwrap()));
        assert_eq!(
            (status, &headers[header::LOCATION]),
            (StatusCode::SEE_OTHER, &"/".parse().unwrap())
        );
        cookie(&headers)
    }

    fn show(&self, path: &str) -> String {
        let (status, _, text) = self.text(get(&self.session(), path));
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        text
    }
}

fn pending() -> Pending {
    let id = AttemptId { round: 3, attempt: 1 };
    Pending {
        key: AttemptKey {
            plan: Digest::ZERO,
            id,
        },
        header: UploadHeader {
            id,
            update: Digest::of(UPDATE),
            len_bytes: UPDATE.len() as u64,
            ledger_length: 3,
            ledger_head: Digest::ZERO,
        },
        binding: None,
        due: None,
    }
}

/// `name=value` of the cookie that an answer sets.
fn cookie(headers: &HeaderMap) -> String {
    let set = headers[header::SET_COOKIE].to_str().unwrap();
    set.split(';').next().unwrap().to_owned()
}

fn get(cookie: &str, path: &str) -> Request<Body> {
    let request = Request::get(path)
        .header(header::HOST, "127.0.0.1:4480")
        .header(header::COOKIE, cookie);
    request.body(Body::empty()).unwrap()
}

fn post(cookie: &str, path: &str, origin: &str, form: &str) -> Request<Body> {
    let request = Request::post(path)
        .header(header::HOST, "127.0.0.1:4480")
        .header(header::COOKIE, cookie)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let request = match origin {
        "" => request,
        origin => request.header(header::ORIGIN, origin),
    };
    request.body(Body::from(form.to_owned())).unwrap()
}

/// The value of the first form's hidden token.
fn form_token(page: &str) -> String {
    let (_, rest) = page
        .split_once("name=\"form_token\" value=\"")
        .expect("a form with a token");
    rest.split('"').next().unwrap().to_owned()
}

fn paths() -> impl Iterator<Item = &'static str> {
    Place::ALL
        .into_iter()
        .map(Place::path)
        .chain(["/customer?user=u0"])
}

#[test]
fn every_page_answers_with_a_session_and_sends_others_to_the_door() {
    let shop = Shop::ready();
    let session = shop.session();
    for path in paths() {
        let (status, headers, text) = shop.text(get(&session, path));
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        assert!(
            text.starts_with("<!DOCTYPE html><html lang=\"en\">"),
            "{path}: {text}"
        );
        assert_eq!(text.matches("<h1>").count(), 1, "{path}");
        for part in [
            "<header>",
            "<main id=\"main\"",
            "<footer>",
            "<nav id=\"menu\"",
            "href=\"#main\"",
            "<title>",
        ] {
            assert!(text.contains(part), "{path} lacks {part}");
        }
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        for rule in [
            "default-src 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "style-src 'sha256-",
        ] {
            assert!(policy.contains(rule), "{policy}");
        }
        assert_eq!(headers[header::CACHE_CONTROL], "no-store", "{path}");
        for other in ["", "souk_session=guessed", "souk_session="] {
            let (status, headers, text) = shop.text(get(other, path));
            assert_eq!((status, text.as_str()), (StatusCode::SEE_OTHER, ""), "{path}");
            assert_eq!(headers[header::LOCATION], "/signin", "{path}");
        }
    }
    for path in ["/events-stream", &format!("/left/{}", Digest::of(UPDATE))] {
        assert_eq!(shop.text(get("", path)).0, StatusCode::SEE_OTHER, "{path}");
    }
}

#[test]
fn nothing_on_a_page_comes_from_elsewhere_or_needs_a_style_or_script_that_the_policy_refuses() {
    use base64_of_hash as hash;
    let shop = Shop::ready();
    let session = shop.session();
    for path in paths() {
        let (_, headers, text) = shop.text(get(&session, path));
        for bad in [
            "http://",
            "https://",
            " style=",
            "javascript:",
            " onclick",
            "<img",
            "<iframe",
        ] {
            // What an SVG calls its namespace is fetched by nobody.
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains(bad), "{path} has {bad}");
        }
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        for (open, close) in [("<style>", "</style>"), ("<script>", "</script>")] {
            for block in text.split(open).skip(1) {
                let content = block.split(close).next().unwrap();
                assert!(policy.contains(&hash(content)), "{path}: {open}");
            }
        }
    }
}

fn base64_of_hash(text: &str) -> String {
    use sha2::Digest as _;
    data_encoding::BASE64.encode(&sha2::Sha256::digest(text.as_bytes()))
}

#[test]
fn a_link_signs_in_once_and_its_cookie_is_for_this_page_only() {
    let shop = Shop::open();
    let Answer::PageLink { link } = shop.service.answer(Question::PageLink) else {
        panic!("the page is served");
    };
    let path = link.strip_prefix(OWN).unwrap();
    let (_, headers, _) = shop.text(get("", path));
    let set = headers[header::SET_COOKIE].to_str().unwrap();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains("Secure"), "plain HTTP on this machine: {set}");
    assert!(
        super::door::session_cookie("x", true)
            .to_str()
            .unwrap()
            .ends_with("; Secure")
    );
    let (status, headers, text) = shop.text(get("", path));
    assert!(
        status == StatusCode::FORBIDDEN && !headers.contains_key(header::SET_COOKIE),
        "{text}"
    );
    assert!(
        text.contains("id=\"trouble\"") && text.contains("has been used"),
        "{text}"
    );
}

#[test]
fn a_link_names_the_service_as_a_browser_finds_it() {
    let plain = HttpConfig::default();
    let secret = HttpConfig {
        tls_cert: Some("cert.pem".into()),
        hosts: vec!["souk.shop.example".to_owned()],
        ..HttpConfig::default()
    };
    let nameless = HttpConfig {
        hosts: Vec::new(),
        ..secret.clone()
    };
    let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 443));
    for (config, address, url) in [
        (&plain, LOOPBACK, OWN),
        (&secret, LOOPBACK, "https://souk.shop.example:4480"),
        (&nameless, LOOPBACK, "https://127.0.0.1:4480"),
        (&nameless, everywhere, "https://localhost:443"),
    ] {
        assert_eq!(config.url(address), url);
    }
}

#[test]
fn the_shops_token_signs_in_and_another_does_not() {
    let shop = Shop::open();
    let (status, _, text) = shop.text(get("", "/signin"));
    assert_eq!(status, StatusCode::OK);
    let ours = form_token(&text);
    let token = fs::read_to_string(shop.folder.http().join("token")).unwrap();
    let form = |form_token: &str, token: &str| format!("form_token={form_token}&token={token}");
    let (status, headers, _) = shop.text(post("", "/signin", OWN, &form(&ours, &token)));
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert_eq!(shop.text(get(&cookie(&headers), "/")).0, StatusCode::OK);
    for (form_token, token, said) in [
        (ours.as_str(), "wrong", "not the shop"),
        ("wrong", &token, "did not come from"),
    ] {
        let (status, headers, text) = shop.text(post("", "/signin", OWN, &form(form_token, token)));
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(
            text.contains(said) && !headers.contains_key(header::SET_COOKIE),
            "{text}"
        );
    }
}

#[test]
fn forms_of_other_sites_are_refused() {
    let shop = Shop::open();
    let session = shop.session();
    let token = form_token(&shop.text(get(&session, "/")).2);
    let form = format!("form_token={token}");
    // The third is a page that may ask the API.
    for origin in [
        "",
        "null",
        "https://www.shop.example",
        "https://evil.example",
        "http://127.0.0.1:4481",
    ] {
        let (status, _, said) = shop.text(post(&session, "/signout", origin, &form));
        assert_eq!(status, StatusCode::FORBIDDEN, "{origin}: {said}");
    }
    assert_eq!(
        shop.text(post(&session, "/signout", OWN, "form_token=guessed")).0,
        StatusCode::FORBIDDEN
    );
    assert_eq!(shop.text(get(&session, "/")).0, StatusCode::OK, "still signed in");
    let (status, headers, _) = shop.text(post(&session, "/signout", OWN, &form));
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert!(
        headers[header::SET_COOKIE]
            .to_str()
            .unwrap()
            .contains("Max-Age=0")
    );
    assert_eq!(
        shop.text(get(&session, "/")).0,
        StatusCode::SEE_OTHER,
        "signed out"
    );
}

#[test]
fn what_others_wrote_is_escaped() {
    let shop = Shop::ready();
    let text = shop.show("/customer?user=u0");
    assert!(
        text.contains("Thing &lt;b&gt;") && !text.contains("<b>"),
        "{text}"
    );
    let text = shop.show("/customer?user=%3Cscript%3Ealert(1)%3C%2Fscript%3E%22");
    assert!(
        text.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;"),
        "{text}"
    );
    assert!(!text.contains("alert(1)</script>"), "{text}");
}

#[test]
fn a_customer_is_shown_with_items_reasons_and_scores_and_a_stranger_with_what_sells() {
    let shop = Shop::ready();
    let text = shop.show("/customer?user=u0");
    for part in [
        "id=\"recommended\"",
        "id=\"scores\" role=\"img\"",
        "<title id=\"scores-title\">",
        "item-00",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("id=\"unknown\""), "{text}");
    assert!(
        text.contains("bought by customers who bought") || text.contains("like Thing"),
        "{text}"
    );
    let text = shop.show("/customer?user=nobody");
    assert!(
        text.contains("id=\"unknown\"") && text.contains("Nothing is known of nobody"),
        "{text}"
    );
    assert!(
        text.contains("id=\"recommended\"") && !text.contains("id=\"no-lists\""),
        "{text}"
    );
    let text = shop.show("/customer");
    assert!(
        text.contains("id=\"look-up\"") && !text.contains("id=\"list\""),
        "{text}"
    );
}

#[test]
fn the_page_speaks_chinese_when_it_is_asked_to() {
    let shop = Shop::ready();
    let session = shop.session();
    for path in paths() {
        let mut request = get(&session, path);
        request.headers_mut().insert(
            header::ACCEPT_LANGUAGE,
            "zh-CN,zh;q=0.9,en;q=0.8".parse().unwrap(),
        );
        let (status, _, text) = shop.text(request);
        assert!(
            status == StatusCode::OK && text.contains("<html lang=\"zh-Hans\">"),
            "{path}"
        );
        assert!(text.contains("今日") && text.contains("离开本店的内容"), "{path}");
        for word in [
            "Your lists",
            "customers",
            "Nothing is",
            "Spent",
            "Sign out",
            "Look up",
        ] {
            assert!(!text.contains(word), "{path} has {word:?}");
        }
    }
    let (_, headers, text) = shop.text(get(&session, "/?lang=zh"));
    assert!(text.contains("<html lang=\"zh-Hans\">"), "{text}");
    let chosen = cookie(&headers);
    let (_, _, text) = shop.text(get(&format!("{session}; {chosen}"), "/privacy"));
    assert!(
        text.contains("<html lang=\"zh-Hans\">"),
        "what was chosen stays: {text}"
    );
}

#[test]
fn an_update_that_left_can_be_had_byte_for_byte() {
    let shop = Shop::ready();
    let session = shop.session();
    let path = format!("/left/{}", Digest::of(UPDATE));
    assert!(
        shop.text(get(&session, "/left"))
            .2
            .contains(&format!("href=\"{path}\""))
    );
    let (status, headers, bytes) = shop.ask(get(&session, &path));
    assert_eq!((status, bytes.as_slice()), (StatusCode::OK, UPDATE));
    assert_eq!(headers[header::CONTENT_TYPE], "application/octet-stream");
    for other in [Digest::ZERO.to_string(), "..%2F..%2Fkey.der".to_owned()] {
        let status = shop.ask(get(&session, &format!("/left/{other}"))).0;
        assert!(status.is_client_error(), "{other}: {status}");
    }
    // What is in the outbox and has not left is nobody's.
    let path = shop.folder.update(&Digest::of(b"not sent"));
    fs::write(path, b"not sent").unwrap();
    let path = format!("/left/{}", Digest::of(b"not sent"));
    assert_eq!(shop.ask(get(&session, &path)).0, StatusCode::NOT_FOUND);
}

#[test]
fn before_the_first_look_the_page_says_so_and_without_data_it_says_why() {
    let shop = Shop::open();
    let text = shop.show("/");
    assert!(text.contains("has just started"), "{text}");
    let shop = Shop::with(|folder| fs::remove_file(folder.path().join("orders.csv")).unwrap());
    assert!(shop.api.renew().is_err());
    let text = shop.show("/");
    assert!(
        text.contains("id=\"worry-no-lists\"") && text.contains("orders.csv"),
        "{text}"
    );
    assert!(shop.show("/customer?user=u0").contains("id=\"no-lists\""));
}

#[test]
fn items_that_the_catalogue_lacks_are_read_by_the_thread_that_renews() {
    let shop = Shop::with(|folder| {
        let of = |item: usize| Item {
            title: format!("Thing {item}"),
            ..Item::bare(format!("item-{item:02}"))
        };
        let catalogue = Catalogue::new((1..16).map(of).collect()).unwrap();
        fs::write(folder.catalogue(), catalogue.to_bytes()).unwrap();
    });
    shop.api.renew().unwrap();
    let text = shop.show("/unmatched");
    assert!(
        text.contains("id=\"unmatched\"") && text.contains("<code>item-00</code>"),
        "{text}"
    );
    assert!(
        text.contains("Items: 1. Order lines") && text.contains("Thing &lt;b&gt;0"),
        "{text}"
    );
}

#[test]
fn pages_are_told_when_something_changes_and_not_before() {
    let shop = Shop::ready();
    let first = *shop.page.changes.borrow();
    shop.api.renew().unwrap();
    assert_eq!(*shop.page.changes.borrow(), first, "nothing is new");
    let declined = Note::Declined(pending().key, DeclineCode::Paused);
    shop.page.hear(&declined, Noon.now());
    let retry_at = Noon.now();
    shop.page.connected();
    shop.page.hear(&Note::Disconnected { retry_at }, Noon.now());
    assert_eq!(*shop.page.changes.borrow(), first + 1, "connections come and go");
    assert_eq!(shop.page.connection().offline_since, Some(Noon.now()));
    let text = shop.show("/rounds");
    assert!(
        text.contains("Round 3, attempt 1: declined, you have paused"),
        "{text}"
    );
    let log = LogHead {
        length: 1,
        head: Digest::ZERO,
    };
    shop.page.hear(&Note::Forked(log), Noon.now());
    assert!(shop.show("/").contains("id=\"worry-forked\""));
}

#[test]
fn streams_of_changes_are_bounded_and_their_places_come_free() {
    let shop = Shop::open();
    let session = shop.session();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let app = shop.api.app(&shop.config, LOOPBACK);
        let open = async || {
            app.clone()
                .oneshot(get(&session, "/events-stream"))
                .await
                .unwrap()
        };
        let mut streams = Vec::new();
        for _ in 0..super::live::MOST_STREAMS {
            let answer = open().await;
            assert_eq!(answer.status(), StatusCode::OK);
            assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/event-stream");
            streams.push(answer);
        }
        assert_eq!(open().await.status(), StatusCode::SERVICE_UNAVAILABLE);
        let mut body = streams.pop().unwrap().into_body();
        let mut next = async || {
            let frame = std::future::poll_fn(|context| std::pin::Pin::new(&mut body).poll_frame(context));
            let frame = tokio::time::timeout(Duration::from_secs(60), frame)
                .await
                .unwrap();
            String::from_utf8(frame.unwrap().unwrap().into_data().unwrap().to_vec()).unwrap()
        };
        let number = *shop.page.changes.borrow();
        assert_eq!(next().await, format!("data: {number}\n\n"));
        shop.page.hear(&Note::Ready(pending().key), Noon.now());
        assert_eq!(next().await, format!("data: {}\n\n", number + 1));
        drop(body);
        assert_eq!(open().await.status(), StatusCode::OK, "one has ended");
    });
}
