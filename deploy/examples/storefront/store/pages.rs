//! The web shop's pages: files with places that its server fills, fragments of Souk among them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use maud::{Markup, PreEscaped, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::data::{CATEGORIES, CUSTOMERS, Product};
use super::souk::Souk;

struct Store {
    souk: Arc<Souk>,
    products: Vec<Product>,
    /// What each customer has in the cart: the product, and the list that it was taken from.
    carts: Mutex<HashMap<String, Vec<(String, String)>>>,
    orders: AtomicU64,
}

/// Who looks at which page.
struct View<'a> {
    store: &'a Store,
    customer: Option<&'a str>,
    product: Option<&'a Product>,
    category: &'a str,
    /// The list that led here.
    list: &'a str,
}

pub(crate) fn router(souk: Arc<Souk>, products: Vec<Product>) -> Router {
    let store = Arc::new(Store {
        souk,
        products,
        carts: Mutex::default(),
        orders: AtomicU64::new(1),
    });
    Router::new()
        .route("/", get(index))
        .route("/category/{category}", get(category))
        .route("/product/{item}", get(product))
        .route("/cart", get(cart).post(put_into_cart))
        .route("/buy", post(buy))
        .route("/checkout", post(checkout))
        .route("/customer", post(choose_customer))
        .route(
            "/style.css",
            get(|| async {
                (
                    [(header::CONTENT_TYPE, "text/css")],
                    include_str!("../pages/style.css"),
                )
            }),
        )
        .with_state(store)
}

async fn index(State(store): State<Arc<Store>>, headers: HeaderMap) -> Response {
    show(&store, &headers, INDEX, None, "", "").await
}

async fn category(
    State(store): State<Arc<Store>>,
    headers: HeaderMap,
    Path(category): Path<String>,
) -> Response {
    if !CATEGORIES.contains(&category.as_str()) {
        return StatusCode::NOT_FOUND.into_response();
    }
    show(&store, &headers, CATEGORY, None, &category, "").await
}

#[derive(Deserialize)]
struct CameFrom {
    #[serde(default)]
    souk_list: String,
}

async fn product(
    State(store): State<Arc<Store>>,
    headers: HeaderMap,
    Path(item): Path<String>,
    Query(CameFrom { souk_list }): Query<CameFrom>,
) -> Response {
    let Some(found) = store.product(&item).cloned() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if let Some(customer) = customer(&headers) {
        let view = event(customer, &item, "view", &souk_list);
        store.report(vec![view]).await;
    }
    show(&store, &headers, PRODUCT, Some(found), "", &souk_list).await
}

async fn cart(State(store): State<Arc<Store>>, headers: HeaderMap) -> Response {
    show(&store, &headers, CART, None, "", "").await
}

#[derive(Deserialize)]
struct Chosen {
    item: String,
    #[serde(default)]
    list: String,
}

async fn put_into_cart(
    State(store): State<Arc<Store>>,
    headers: HeaderMap,
    Form(Chosen { item, list }): Form<Chosen>,
) -> Response {
    if let (Some(customer), Some(_)) = (customer(&headers), store.product(&item)) {
        store.report(vec![event(customer, &item, "cart", &list)]).await;
        let mut carts = store.carts.lock().unwrap_or_else(PoisonError::into_inner);
        carts.entry(customer.to_owned()).or_default().push((item, list));
    }
    to("/cart")
}

async fn buy(
    State(store): State<Arc<Store>>,
    headers: HeaderMap,
    Form(Chosen { item, list }): Form<Chosen>,
) -> Response {
    if let Some(customer) = customer(&headers) {
        store.sell(customer, &[(item, list)]).await;
    }
    to("/")
}

async fn checkout(State(store): State<Arc<Store>>, headers: HeaderMap) -> Response {
    if let Some(customer) = customer(&headers) {
        let cart = store
            .carts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(customer);
        store.sell(customer, &cart.unwrap_or_default()).await;
    }
    to("/")
}

#[derive(Deserialize)]
struct Customer {
    customer: String,
}

/// A real shop's customers sign in.
async fn choose_customer(Form(Customer { customer }): Form<Customer>) -> Response {
    let known = CUSTOMERS.iter().find(|known| **known == customer);
    let cookie = format!(
        "customer={}; Path=/; SameSite=Lax; HttpOnly",
        known.unwrap_or(&"")
    );
    ([(header::SET_COOKIE, cookie)], to("/")).into_response()
}

impl Store {
    fn product(&self, id: &str) -> Option<&Product> {
        self.products.iter().find(|product| product.id == id)
    }

    /// Sells, and reports it: once, also if it is sent again, by the order's number.
    async fn sell(self: &Arc<Self>, customer: &str, bought: &[(String, String)]) {
        let order = self.orders.fetch_add(1, Ordering::Relaxed);
        let sold = bought.iter().filter_map(|(item, list)| {
            let mut sold = event(customer, item, "purchase", list);
            sold["price"] = json!(self.product(item)?.price);
            sold["order"] = json!(format!("order-{order}"));
            sold["id"] = json!(format!("order-{order}-{item}"));
            Some(sold)
        });
        let sold: Vec<Value> = sold.collect();
        if !sold.is_empty() {
            self.report(sold).await;
        }
    }

    /// What is not acknowledged is no reason not to sell; this example forgets it, a shop sends it again.
    async fn report(self: &Arc<Self>, events: Vec<Value>) {
        let store = Arc::clone(self);
        let reported = tokio::task::spawn_blocking(move || store.souk.report(&Value::Array(events)));
        if !reported.await.unwrap_or_default() {
            souk_common::terminal::tell("storefront: an event was not acknowledged");
        }
    }
}

fn event(customer: &str, item: &str, kind: &str, list: &str) -> Value {
    let mut event = json!({ "user": customer, "item": item, "kind": kind });
    if !list.is_empty() {
        event["list"] = json!(list);
    }
    event
}

/// The page `text` for whoever asks; on a thread that may wait for lists.
async fn show(
    store: &Arc<Store>,
    headers: &HeaderMap,
    text: &'static str,
    product: Option<Product>,
    category: &str,
    list: &str,
) -> Response {
    let (store, customer) = (Arc::clone(store), customer(headers));
    let (category, list) = (category.to_owned(), list.to_owned());
    let page = tokio::task::spawn_blocking(move || {
        let view = View {
            store: &store,
            customer,
            product: product.as_ref(),
            category: &category,
            list: &list,
        };
        view.fill(text)
    });
    page.await.map_or_else(
        |_| StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        |page| Html(page).into_response(),
    )
}

impl View<'_> {
    /// The page with its places, `<!--# NAME REST -->`, filled.
    fn fill(&self, text: &str) -> String {
        let mut page = String::new();
        let mut parts = text.split("<!--#");
        page.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let (place, after) = part.split_once("-->").unwrap_or((part, ""));
            let (name, rest) = place.trim().split_once(' ').unwrap_or((place.trim(), ""));
            match name {
                "souk" => page.push_str(&self.fragment(rest)),
                _ => page.push_str(&self.own(name).into_string()),
            }
            page.push_str(after);
        }
        page
    }

    /// A list of Souk's; nothing, if there is none in time.
    fn fragment(&self, path: &str) -> String {
        let path = match self.customer {
            Some(customer) => path.replace("$customer", customer),
            None => path.replace("/$customer", ""),
        };
        let item = self.product.map_or("", |product| product.id.as_str());
        let path = path.replace("$item", item).replace("$category", self.category);
        self.store.souk.fragment(&path).unwrap_or_default()
    }

    /// What the shop knows itself.
    fn own(&self, name: &str) -> Markup {
        match (name, self.product) {
            ("customers", _) => self.customers(),
            ("categories", _) => {
                html! { ul { @for category in CATEGORIES { li { a href={ "/category/" (category) } { (category) } } } } }
            }
            ("category", _) => html! { (self.category) },
            ("products", _) => html! {
                ul class="products" {
                    @for product in self.store.products.iter().filter(|product| product.category == self.category) {
                        li { a href={ "/product/" (product.id) } { (product.title) } " " (price(product.price)) }
                    }
                }
            },
            ("title", Some(product)) => html! { (product.title) },
            ("price", Some(product)) => price(product.price),
            ("buy", Some(product)) => self.forms(product),
            ("cart", _) => self.cart(),
            _ => PreEscaped(format!(
                "<!-- nothing is called {} here -->",
                name.replace("--", "")
            )),
        }
    }

    fn customers(&self) -> Markup {
        html! {
            form method="post" action="/customer" {
                label for="customer" { "You are " }
                select id="customer" name="customer" {
                    option value="" { "a visitor" }
                    @for name in CUSTOMERS { option value=(name) selected[self.customer == Some(name)] { (name) } }
                }
                " " button type="submit" { "Change" }
            }
        }
    }

    fn forms(&self, product: &Product) -> Markup {
        html! {
            @if self.customer.is_none() { p { "Say who you are, above, to buy it." } }
            @else {
                @for (action, name) in [("/buy", "Buy now"), ("/cart", "Put into the cart")] {
                    form method="post" action=(action) {
                        input type="hidden" name="item" value=(product.id);
                        input type="hidden" name="list" value=(self.list);
                        button type="submit" { (name) }
                    }
                }
            }
        }
    }

    fn cart(&self) -> Markup {
        let carts = self.store.carts.lock().unwrap_or_else(PoisonError::into_inner);
        let items = self.customer.and_then(|customer| carts.get(customer));
        let products = items
            .into_iter()
            .flatten()
            .filter_map(|(item, _)| self.store.product(item));
        let products: Vec<&Product> = products.collect();
        html! {
            @if products.is_empty() { p { "Nothing is in your cart." } }
            @else {
                ul class="products" { @for product in products { li { (product.title) " " (price(product.price)) } } }
                form method="post" action="/checkout" { button type="submit" { "Buy all of it" } }
            }
        }
    }
}

fn price(price: f64) -> Markup {
    html! { span class="price" { (format!("{price:.2}")) } }
}

/// The customer that a browser chose.
fn customer(headers: &HeaderMap) -> Option<&'static str> {
    let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
    let chosen = cookies
        .split(';')
        .find_map(|cookie| cookie.trim().strip_prefix("customer="))?;
    CUSTOMERS.into_iter().find(|known| *known == chosen)
}

fn to(path: &'static str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, path)]).into_response()
}

const INDEX: &str = include_str!("../pages/index.html");
const CATEGORY: &str = include_str!("../pages/category.html");
const PRODUCT: &str = include_str!("../pages/product.html");
const CART: &str = include_str!("../pages/cart.html");
