//! What every route has at hand, and the frame that every page stands in.

use std::sync::Arc;

use maud::Markup;

use super::facts::Facts;
use super::layout::{self, Place};
use super::live::Streams;
use super::visitor::Visitor;
use super::{CustomerLists, Page};

#[derive(Clone)]
pub(super) struct Served {
    pub(super) page: Arc<Page>,
    pub(super) lists: Arc<dyn CustomerLists>,
    pub(super) streams: Arc<Streams>,
}

pub(super) fn frame(visitor: &Visitor, facts: Option<&Facts>, place: Place, body: &Markup) -> Markup {
    let shop = facts
        .and_then(|facts| facts.shop.as_ref())
        .map(|shop| shop.as_str());
    layout::page(visitor, shop, place, facts.map(|facts| facts.at), body)
}
