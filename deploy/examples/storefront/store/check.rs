//! What must hold, found out as a customer would: by the pages alone.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use souk_common::clock::Stopwatch;

use super::Running;
use super::http::{Reply, ask};
use super::souk::Program;

/// Buys what is recommended, and says how soon the list had changed.
///
/// # Errors
/// When something is not as it must be.
pub(crate) async fn check(program: &Program, listen: SocketAddr) -> anyhow::Result<String> {
    // A check waits for a busy machine; a shop's visitors wait for nothing.
    let running = Running::start(program, listen, PATIENCE).await?;
    let (address, souk) = (running.address, std::sync::Arc::clone(&running.souk));
    tokio::task::spawn_blocking(move || {
        let store = Customer(address);
        let before = store.page("/")?;
        let list = listed(&before, "recommendations")?;
        let first = list.first().context("anna's list is empty")?;
        let (_, link) = before
            .split_once(&format!("href=\"/product/{first}?"))
            .with_context(|| format!("{first} has no link in {before}"))?;
        let link = format!("/product/{first}?{}", link.split('"').next().unwrap_or_default());
        let product = store.page(&link)?;
        let id = link.split("souk_list=").nth(1).context("the link has no list")?;
        ensure!(
            product.contains(&format!("name=\"list\" value=\"{id}\"")),
            "{link} does not remember its list: {product}"
        );
        ensure!(!listed(&product, "similar")?.is_empty(), "nothing is similar: {product}");
        ensure!(store.post("/buy", &format!("item={first}&list={id}"))? == 303, "{first} can't be bought");
        let watch = Stopwatch::start();
        let after = listed(&store.page("/")?, "recommendations")?;
        let took_ms = 1000.0 * watch.secs();
        ensure!(after != list, "anna's list is as it was: {after:?}");
        ensure!(!after.contains(first), "{first} was bought and is still listed: {after:?}");
        let next = after.first().context("anna's next list is empty")?;
        ensure!(store.post("/cart", &format!("item={next}"))? == 303, "{next} can't be put into the cart");
        let cart = store.page("/cart")?;
        ensure!(cart.contains("Buy all of it") && !listed(&cart, "recommendations")?.contains(next), "{cart}");
        ensure!(store.post("/checkout", "")? == 303, "the cart can't be bought");
        let visitor = ask(address, "GET /", "", "", PATIENCE)?.body;
        ensure!(!listed(&visitor, "recommendations")?.is_empty(), "visitors get no list: {visitor}");
        souk.stop();
        let without = store.page("/")?;
        ensure!(
            without.contains("</html>") && without.contains("/category/tea") && !without.contains("data-souk-list"),
            "the page is not whole without Souk: {without}"
        );
        Ok(format!(
            "good: {first} was bought, and {took_ms:.0} ms after the purchase was acknowledged anna's page had another list, \
             without it; without Souk the pages are whole"
        ))
    })
    .await?
}

/// Anna's browser.
struct Customer(SocketAddr);

impl Customer {
    fn page(&self, path: &str) -> anyhow::Result<String> {
        let Reply { status, body } = ask(self.0, &format!("GET {path}"), COOKIE, "", PATIENCE)?;
        ensure!(status == 200, "{path} has status {status}: {body}");
        Ok(body)
    }

    fn post(&self, path: &str, form: &str) -> anyhow::Result<u16> {
        let head = format!("{COOKIE}content-type: application/x-www-form-urlencoded\r\n");
        Ok(ask(self.0, &format!("POST {path}"), &head, form, PATIENCE)?.status)
    }
}

/// Ids in a page's list of a kind, in order.
fn listed(page: &str, kind: &str) -> anyhow::Result<Vec<String>> {
    let (_, section) = page
        .split_once(&format!("<section class=\"souk souk-{kind}\""))
        .with_context(|| format!("the page has no list of {kind}: {page}"))?;
    let section = section.split("</section>").next().unwrap_or_default();
    let items = section.split("data-souk-item=\"").skip(1);
    Ok(items
        .filter_map(|rest| Some(rest.split('"').next()?.to_owned()))
        .collect())
}

const COOKIE: &str = "cookie: customer=anna\r\n";
const PATIENCE: Duration = Duration::from_secs(30);
