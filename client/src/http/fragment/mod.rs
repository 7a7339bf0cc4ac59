//! Lists as HTML, to be put into a storefront's pages: without JavaScript, without style, or as a small page for a frame.
//!
//! | module | what |
//! |---|---|
//! | [`door`] | what the service's door has to know of fragments |
//! | `link` | where items lead |
//! | `view`, `frame` | how a list looks, and the page that it stands in |
//! | `words` | what customers read, a constant a language |
//!
//! The lists are those of the JSON routes. An `iframe` sends no headers, so a customer's token may stand in the address here, and
//! nowhere else: it is never logged, and no page that is linked from here is told of it.

pub(super) mod door;
mod frame;
mod link;
mod view;
mod words;

use std::sync::Arc;

use axum::extract::{FromRequestParts, Query};
use axum::http::Uri;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::guard::ApiCaller;
use super::problem::Problem;
use super::routes::items::{Items, RelatedItem};
use super::routes::lists::{ListedItem, ListedReason, ServedList};
use crate::recommend::shelf::Shelf;
use crate::rules::file::ListKind;
use door::{FragmentDoor, refused};
use link::LinkTemplate;
use view::Look;
use words::FragmentWords;

/// How a list should look.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FragmentWishes {
    /// Where items lead: `https://www.shop.example/product/{item}`, or a path; `{item}` is the shop's own number of the item, where
    /// `item_map.csv` has one, else its id. Absent: nowhere.
    pub link: Option<String>,
    /// What stands over the list, at most 200 bytes. Absent: what the list is.
    pub title: Option<String>,
    /// `en` or `zh`. Default `en`.
    pub lang: Option<String>,
    /// `page`: a whole page for a frame; web pages under `[http] origins` may have it.
    #[param(inline)]
    pub embed: Option<Embed>,
    /// A customer's token, where no header can be sent.
    pub token: Option<String>,
}

/// What a list is put into.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Embed {
    /// A frame.
    Page,
}

/// A list, whichever route makes it.
pub(super) struct FragmentList {
    kind: ListKind,
    list: String,
    is_personal: bool,
    made_by: Option<String>,
    /// For the shop, not for its customers.
    note: Option<String>,
    items: Vec<FragmentItem>,
}

struct FragmentItem {
    item: String,
    /// What the shop itself calls it, where that differs.
    own_number: Option<String>,
    title: String,
    brand: String,
    price: Option<f64>,
    reason: Option<ListedReason>,
}

impl From<ServedList> for FragmentList {
    fn from(list: ServedList) -> Self {
        Self {
            kind: ListKind::Recommendations,
            list: list.list,
            is_personal: list.personal,
            made_by: Some(list.made_by),
            note: list.note,
            items: list.items.into_iter().map(FragmentItem::from).collect(),
        }
    }
}

impl From<ListedItem> for FragmentItem {
    fn from(item: ListedItem) -> Self {
        Self {
            item: item.item,
            own_number: None,
            title: item.title,
            brand: item.brand,
            price: item.price,
            reason: item.reasons.into_iter().next(),
        }
    }
}

impl FragmentList {
    /// With the numbers by which the shop knows its items.
    pub(super) fn with_own_numbers(mut self, shelf: &Shelf) -> Self {
        for item in &mut self.items {
            let own = shelf.own_number(&item.item);
            item.own_number = (own != item.item).then(|| own.to_owned());
        }
        self
    }

    /// Of a list that is for everybody.
    pub(super) fn of_items(kind: ListKind, found: Items) -> Self {
        Self {
            kind,
            list: found.list,
            is_personal: false,
            made_by: None,
            note: found.note,
            items: found.items.into_iter().map(FragmentItem::from).collect(),
        }
    }
}

impl From<RelatedItem> for FragmentItem {
    fn from(item: RelatedItem) -> Self {
        Self {
            item: item.item,
            own_number: None,
            title: item.title,
            brand: item.brand,
            price: item.price,
            reason: None,
        }
    }
}

/// Who asks for a fragment, and how.
pub(super) struct FragmentRequest {
    uri: Uri,
    pub(super) caller: ApiCaller,
    door: Option<Arc<FragmentDoor>>,
}

impl<S: Send + Sync> FromRequestParts<S> for FragmentRequest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Ok(Self {
            caller: ApiCaller::from_request_parts(parts, state).await?,
            door: parts.extensions.get().cloned(),
            uri: parts.uri.clone(),
        })
    }
}

impl FragmentRequest {
    /// The list that `make` makes of its own keys of the query, as HTML; or what is wrong.
    pub(super) fn answer<T: DeserializeOwned>(
        &self,
        make: impl FnOnce(T) -> Result<FragmentList, Problem>,
    ) -> Response {
        let made = self.try_answer(make);
        made.unwrap_or_else(|problem| refused(&self.uri, problem))
    }

    fn try_answer<T: DeserializeOwned>(
        &self,
        make: impl FnOnce(T) -> Result<FragmentList, Problem>,
    ) -> Result<Response, Problem> {
        let (own, others) = parted(self.uri.query().unwrap_or_default());
        let wishes: FragmentWishes = read(&own)?;
        let words = FragmentWords::of(wishes.lang.as_deref())?;
        let link = wishes.link.as_deref().map(LinkTemplate::parse).transpose()?;
        if let Some(link) = &link {
            self.may_link_to(link)?;
        }
        if let Some(title) = wishes
            .title
            .as_ref()
            .filter(|title| title.len() > MOST_TITLE_BYTES)
        {
            let said = format!(
                "title has {} bytes; at most {MOST_TITLE_BYTES} are shown",
                title.len()
            );
            return Err(Problem::bad_request(said));
        }
        let list = make(read(&others)?)?;
        let look = Look {
            words,
            link: link.as_ref(),
            title: wishes.title.as_deref(),
            is_framed: wishes.embed.is_some(),
        };
        let section = view::section(&list, &look);
        let title = wishes
            .title
            .as_deref()
            .unwrap_or(words.title(list.kind, list.is_personal));
        Ok(match wishes.embed {
            Some(Embed::Page) => frame::page(title, words.tag, &section).into_response(),
            None => section.into_response(),
        })
    }

    /// Others than the shop may have links to its own pages only: else anybody could make this service show theirs.
    fn may_link_to(&self, link: &LinkTemplate) -> Result<(), Problem> {
        let is_known = |origin: &str| self.door.as_ref().is_some_and(|door| door.knows(origin));
        match link.origin() {
            Some(origin) if self.caller != ApiCaller::Shop && !is_known(origin) => {
                Err(Problem::forbidden(format!(
                    "links to {origin:?} are for the shop's own token only: name it under [http] origins in shop.toml, or link to a path"
                )))
            }
            _ => Ok(()),
        }
    }
}

/// The keys of [`FragmentWishes`], and the others, which are the list's own.
fn parted(query: &str) -> (String, String) {
    let key = |pair: &&str| pair.split('=').next().is_some_and(|key| OWN_KEYS.contains(&key));
    let (own, others): (Vec<&str>, Vec<&str>) = query.split('&').partition(key);
    (own.join("&"), others.join("&"))
}

fn read<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let uri = Uri::try_from(format!("/?{query}"));
    let uri = uri.map_err(|error| Problem::bad_request(format!("the query makes no sense: {error}")))?;
    Ok(Query::try_from_uri(&uri)?.0)
}

/// The names of [`FragmentWishes`]' fields.
const OWN_KEYS: [&str; 5] = ["link", "title", "lang", "embed", "token"];
const MOST_TITLE_BYTES: usize = 200;
