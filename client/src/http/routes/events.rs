//! What customers do, reported by the web shop or by their browsers.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use souk_common::clock::Timestamp;
use souk_common::transport::Rate;
use utoipa::ToSchema;

use super::super::Api;
use super::super::extract::Body;
use super::super::guard::ApiCaller;
use super::super::problem::Problem;
use crate::data::compared_id;
use crate::data::interaction::Kind;
use crate::events::Event;
use crate::events::journal::Appended;
use crate::forgotten::forgotten_words;

/// What somebody did.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventReport {
    /// The customer's id.
    pub user: String,
    /// The item, by the federation's id or the shop's own.
    pub item: String,
    /// `view`, `cart`, `purchase` or `return`.
    pub kind: EventKind,
    /// When, as RFC 3339; absent: now.
    #[serde(default)]
    #[schema(example = "2026-11-28T10:15:00Z")]
    pub time: Option<String>,
    /// Pieces, over 0. Default 1.
    #[serde(default)]
    pub quantity: Option<f32>,
    /// What one cost.
    #[serde(default)]
    pub price: Option<f32>,
    /// The order's number: give it, if the order is also in the files that the shop imports.
    #[serde(default)]
    pub order: Option<String>,
    /// The list that the item was taken from.
    #[serde(default)]
    pub list: Option<String>,
    /// Your own name of the event: sent again, it is counted once.
    #[serde(default)]
    pub id: Option<String>,
}

/// What was done.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// Looked at it.
    View,
    /// Put it into the cart.
    Cart,
    /// Bought it.
    Purchase,
    /// Brought it back.
    Return,
    /// Was shown it, as an ad.
    Shown,
    /// Clicked on it when it was shown.
    Clicked,
}

/// One event, or several.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum EventReports {
    /// Up to 1000.
    Several(Vec<EventReport>),
    /// One.
    One(Box<EventReport>),
}

/// What was done with them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Reported {
    /// On the disk, and counted in the next list.
    pub written: usize,
    /// Written before, by their ids.
    pub known: usize,
    /// Kept nowhere, and why: their customers were forgotten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_kept: Vec<NotKept>,
    /// Items that the catalogue does not have: they are kept, and count once it has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown_items: Vec<String>,
}

/// An event that was kept nowhere.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct NotKept {
    /// Which, by its place in the request, from 1.
    pub event: usize,
    /// Why.
    pub reason: String,
}

/// Reports what customers did. What is acknowledged is on the disk and counts in the next list. A browser may report its own
/// customer's.
#[utoipa::path(
    post, path = "/v1/events", tag = "events", request_body = EventReports,
    responses(
        (status = 200, body = Reported), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 429, body = Problem, description = "Too many: none was kept"), (status = 507, body = Problem, description = "The disk is full: none was kept")
    )
)]
pub(super) async fn report(
    State(api): State<Arc<Api>>,
    caller: ApiCaller,
    Body(reports): Body<EventReports>,
) -> Result<Json<Reported>, Problem> {
    let reports = match reports {
        EventReports::Several(several) => several,
        EventReports::One(one) => vec![*one],
    };
    if reports.len() > MOST_EVENTS {
        return Err(Problem::bad_request(format!(
            "these are {} events; send at most {MOST_EVENTS} at once",
            reports.len()
        )));
    }
    let now = api.clock.now();
    let mut events = Vec::with_capacity(reports.len());
    for (at, report) in reports.into_iter().enumerate() {
        caller.may_ask_for(&report.user)?;
        let checked = checked(report, now);
        events.push(checked.map_err(|said| Problem::bad_request(format!("event {}: {said}", at + 1)))?);
    }
    api.take_from(&caller, events.len(), now)?;
    let all = events.len();
    let Appended { written, forgotten } = api
        .journal
        .append(events, now)
        .await
        .map_err(|error| Problem::not_kept(&error))?;
    api.live.take(&written);
    written.iter().for_each(|event| api.forget_late(&event.user));
    api.metrics.count_events(written.len());
    let shelf = api.lists.shelf();
    let is_unknown = |item: &&String| shelf.as_ref().is_some_and(|shelf| shelf.item(item).is_err());
    let mut unknown_items: Vec<String> = written
        .iter()
        .map(|event| &event.item)
        .filter(is_unknown)
        .cloned()
        .collect();
    unknown_items.sort_unstable();
    unknown_items.dedup();
    Ok(Json(Reported {
        written: written.len(),
        known: all - written.len() - forgotten.len(),
        not_kept: forgotten
            .into_iter()
            .map(|(place, since)| NotKept {
                event: place + 1,
                reason: format!("the customer was {}", forgotten_words(since)),
            })
            .collect(),
        unknown_items,
    }))
}

impl Api {
    /// Counts events against what may come in a second.
    fn take_from(&self, caller: &ApiCaller, events: usize, now: Timestamp) -> Result<(), Problem> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = Rate::per_sec(self.events_per_sec);
        let (all, browsers) = &mut *taken;
        let of_one = match caller {
            ApiCaller::Customer(user) => browsers.take(user.clone(), OF_A_BROWSER, now, events as u64),
            ApiCaller::Shop | ApiCaller::Anybody => true,
        };
        match of_one && all.take(rate, now, events as u64) {
            true => Ok(()),
            false => Err(Problem::too_many(format!(
                "{events} events are more than this service takes now ({} in a second, {} of one browser): none was kept, send them again later",
                self.events_per_sec, OF_A_BROWSER.per_sec
            ))),
        }
    }
}

fn checked(report: EventReport, now: Timestamp) -> Result<Event, String> {
    let user = compared_id(&report.user).into_owned();
    let item = report.item.trim().to_owned();
    let texts = [
        ("user", Some(&user)),
        ("item", Some(&item)),
        ("order", report.order.as_ref()),
        ("list", report.list.as_ref()),
        ("id", report.id.as_ref()),
    ];
    for (name, text) in texts {
        let Some(text) = text else { continue };
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(format!(
                "{name} is {text:?}; it must be some text without control characters"
            ));
        }
        if text.len() > MOST_NAME_BYTES {
            return Err(format!(
                "{name} has {} bytes; at most {MOST_NAME_BYTES} are kept",
                text.len()
            ));
        }
    }
    let time = match &report.time {
        None => now,
        Some(text) => {
            let time: jiff::Timestamp = text
                .parse()
                .map_err(|_| format!("time is {text:?}; it must be as 2026-11-28T10:15:00Z"))?;
            Timestamp(time.as_millisecond())
        }
    };
    if time > now + CLOCKS_APART || now.since(time) > OLDEST {
        return Err(format!(
            "time is {}; report what happened within the last day, and import the rest from a file",
            souk_common::date::date(time)
        ));
    }
    let quantity = report.quantity.unwrap_or(1.0);
    if !(quantity > 0.0 && quantity <= MOST_PIECES) {
        return Err(format!(
            "quantity is {quantity}; it is more than 0 and at most {MOST_PIECES}"
        ));
    }
    if let Some(price) = report.price.filter(|price| !(price.is_finite() && *price >= 0.0)) {
        return Err(format!("price is {price}; it is 0 or more"));
    }
    Ok(Event {
        user,
        item,
        kind: match report.kind {
            EventKind::View => Kind::View,
            EventKind::Cart => Kind::Cart,
            EventKind::Purchase => Kind::Purchase,
            EventKind::Return => Kind::Return,
            EventKind::Shown => Kind::Shown,
            EventKind::Clicked => Kind::Clicked,
        },
        time,
        quantity,
        price: report.price,
        order: report.order,
        list: report.list,
        id: report.id,
    })
}

const MOST_EVENTS: usize = 1000;
const MOST_NAME_BYTES: usize = 256;
const MOST_PIECES: f32 = 1e6;
const CLOCKS_APART: Duration = Duration::from_secs(300);
const OLDEST: Duration = Duration::from_secs(86_400);
/// A person clicks less.
const OF_A_BROWSER: Rate = Rate {
    per_sec: 5,
    burst: 50,
};
