//! The page as a browser, and somebody with bad intentions, ask for it.

mod answers;
mod door;
mod rules;
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
        // A member, as far as pages look at it.
        fs::write(folder.membership(), "{}").unwrap();
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
        let whole = ShopConfig {
            http: config.clone(),
            ..ShopConfig::default()
        };
        let api = Api::open(&folder, &whole, lists, Arc::new(Noon)).unwrap();
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
