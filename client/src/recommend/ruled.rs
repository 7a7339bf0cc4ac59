//! The owner's rules, and what feeds say, over what lists are made of.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use souk_common::catalogue::{Catalogue, bare_gtin};
use souk_common::clock::Timestamp;

use super::cache::ListSources;
use super::related::first_bought;
use super::shelf::other_names;
use crate::rules::compiled::{CompiledRules, Over};
use crate::rules::feed::KeptFeed;
use crate::rules::file::ListRules;
use crate::rules::item_states::{FeedState, ItemStates};

/// Compiles rules.
pub(super) fn compile(
    rules: Arc<ListRules>,
    source: &ListSources,
    (states, feeds): (&Arc<ItemStates>, &[Arc<KeptFeed>]),
    now: Timestamp,
) -> CompiledRules {
    let (catalogue, dataset) = (&source.sources.catalogue, &source.sources.dataset);
    let names = ItemNames::of(source);
    let offers = feeds.iter().flat_map(|feed| &feed.offers);
    let groups = offers.filter_map(|(id, offer)| Some((names.row(id)?, offer.group.clone()?)));
    let over = Over {
        catalogue,
        states: Some(states),
        row_called: &|name| names.row(name),
        groups: &groups.collect(),
        first_sold: &|| first_bought(dataset, catalogue.len()),
        now,
    };
    CompiledRules::new(rules, &over)
}

/// What feeds say, by the catalogue's ids; of several that name an item the last.
pub(super) fn said_by(feeds: &[Arc<KeptFeed>], source: &ListSources) -> HashMap<String, FeedState> {
    let (names, items) = (ItemNames::of(source), source.sources.catalogue.items());
    let mut said = HashMap::new();
    for feed in feeds {
        let mut say = |id: &str, available, price| {
            if let Some(row) = names.row(id) {
                let state = FeedState {
                    available,
                    price,
                    written: feed.written,
                };
                said.insert(items[row as usize].id.clone(), state);
            }
        };
        feed.gone.iter().for_each(|id| say(id, false, None));
        let offers = feed.offers.iter();
        offers.for_each(|(id, offer)| say(id, offer.available, offer.price));
    }
    said
}

/// Rows by whatever an item may be called; names other than ids are gathered when one is asked for.
struct ItemNames<'a> {
    source: &'a ListSources,
    others: OnceCell<HashMap<String, u32>>,
}

impl<'a> ItemNames<'a> {
    fn of(source: &'a ListSources) -> Self {
        Self {
            source,
            others: OnceCell::new(),
        }
    }

    fn row(&self, name: &str) -> Option<u32> {
        let catalogue = &self.source.sources.catalogue;
        let other = || {
            let others = self
                .others
                .get_or_init(|| other_names(catalogue, &self.source.own_names));
            others.get(name).or_else(|| others.get(bare_gtin(name)?)).copied()
        };
        catalogue.row(name).or_else(other)
    }
}

/// The names of a catalogue's numbers.
pub(super) fn number_names(catalogue: &Catalogue) -> Arc<BTreeSet<String>> {
    let names = catalogue.items().iter().flat_map(|item| item.numbers.keys());
    let distinct: BTreeSet<&String> = names.collect();
    Arc::new(distinct.into_iter().cloned().collect())
}
