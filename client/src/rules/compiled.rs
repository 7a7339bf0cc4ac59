//! Rules over one catalogue: a bit an item for each kind of list, and by how much rules move it, so that a request asks no condition.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use souk_common::catalogue::{Catalogue, Item};
use souk_common::clock::Timestamp;
use souk_common::date::date;

use super::expression::{Facts, plain};
use super::file::{ListKind, ListRules};
use super::item_states::{ItemState, ItemStates};

/// Rules over a catalogue, as of a day; what the web shop says of its items is taken in by [`Self::catch_up`].
pub struct CompiledRules {
    /// What was understood of the file.
    pub rules: Arc<ListRules>,
    catalogue: Arc<Catalogue>,
    states: Option<Arc<ItemStates>>,
    masks: RwLock<Arc<Masks>>,
    /// Rows that stand under `never`.
    never: Bits,
    /// Pins that are not over, by place.
    pins: Vec<PinnedRow>,
    /// What each item shares with its variants; 0: nothing.
    variants: Vec<u32>,
    /// What each item gains by being new, in standard deviations.
    fresh: Option<Vec<f32>>,
    asks_for_the_cart: bool,
    unknown: Vec<String>,
}

/// Why an item may not stand in a list.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NotListed {
    /// It is sold no more.
    Retired,
    /// It is an ad.
    Ad,
    /// It stands under `never`.
    Never,
    /// The web shop hides it.
    Hidden,
    /// The web shop has none left.
    OutOfStock,
    /// This filter's condition is not true of it, or not known to be.
    Filter(String),
    /// It may, and others stand before it: moved, pinned, of the same product, or too many of a brand or category.
    Others,
}

/// A pinned item of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PinnedRow {
    /// Its row.
    pub row: u32,
    /// From 1.
    pub place: usize,
    /// Which of the file's pins.
    pub pin: usize,
}

/// What changes with stock and prices.
#[derive(Clone, Default)]
pub(super) struct Masks {
    version: u64,
    /// Whether a pinned item may be listed: on sale, and neither hidden nor sold out.
    pub pinnable: Bits,
    /// Whether an item may be listed that is not in the cart; by kind of list.
    pub listed: [Bits; ListKind::ALL.len()],
    /// By how many standard deviations an item is moved; empty: none is. By kind of list.
    pub shifts: [Vec<f32>; ListKind::ALL.len()],
    states: HashMap<u32, ItemState>,
}

/// A bit an item.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bits(Vec<u64>);

impl Bits {
    /// All clear.
    pub fn new(len: usize) -> Self {
        Self(vec![0; len.div_ceil(64)])
    }

    /// Whether the bit of `row` is set.
    #[inline]
    pub fn get(&self, row: u32) -> bool {
        self.0[row as usize / 64] >> (row % 64) & 1 == 1
    }

    /// Sets or clears it.
    pub fn set(&mut self, row: u32, value: bool) {
        let bit = 1 << (row % 64);
        match value {
            true => self.0[row as usize / 64] |= bit,
            false => self.0[row as usize / 64] &= !bit,
        }
    }

    /// How many are set.
    pub fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }
}

/// What rules are compiled over.
pub struct Over<'a> {
    /// The items.
    pub catalogue: &'a Arc<Catalogue>,
    /// What the web shop says of them, if it does.
    pub states: Option<&'a Arc<ItemStates>>,
    /// Rows by whatever an item may be called besides its id.
    pub row_called: &'a dyn Fn(&str) -> Option<u32>,
    /// What an item shares with its variants, by feeds, by row.
    pub groups: &'a HashMap<u32, String>,
    /// When somebody first bought an item here, in seconds since 1970, by row.
    pub first_sold: &'a dyn Fn() -> Vec<Option<i64>>,
    /// The day and time.
    pub now: Timestamp,
}

impl CompiledRules {
    /// No rules at all: items that are sold no more are left out, and of variants by title and brand all but the best.
    pub fn none(catalogue: &Arc<Catalogue>) -> Self {
        let over = Over {
            catalogue,
            states: None,
            row_called: &|_| None,
            groups: &HashMap::new(),
            first_sold: &Vec::new,
            now: Timestamp::default(),
        };
        Self::new(Arc::default(), &over)
    }

    /// Rules over a catalogue.
    pub fn new(rules: Arc<ListRules>, over: &Over<'_>) -> Self {
        let items = over.catalogue.items();
        let (mut never, mut unknown) = (Bits::new(items.len()), Vec::new());
        let mut row_of = |name: &str| {
            let row = over.catalogue.row(name).or_else(|| (over.row_called)(name));
            if row.is_none() {
                unknown.push(name.to_owned());
            }
            row
        };
        for name in &rules.file.never {
            if let Some(row) = row_of(name) {
                never.set(row, true);
            }
        }
        let now = date(over.now);
        let today = now.split('T').next().unwrap_or(&now);
        let pins = rules.pins.iter().enumerate().filter_map(|(at, pin)| {
            let row = row_of(&pin.item)?;
            let is_over = pin.until.as_deref().is_some_and(|until| until < today);
            (!is_over).then_some(PinnedRow {
                row,
                place: pin.place,
                pin: at,
            })
        });
        let mut pins: Vec<PinnedRow> = pins.collect();
        pins.sort_by_key(|pin| pin.place);
        let fresh = rules.file.freshness.map(|half_life| {
            let gain = |first: Option<i64>| {
                let secs = (over.now.0 / 1000).saturating_sub(first?).max(0);
                Some((-(secs as f64 / SECS_OF_A_DAY) / half_life).exp2() as f32)
            };
            (over.first_sold)()
                .into_iter()
                .map(|first| gain(first).unwrap_or(0.0))
                .collect()
        });
        let compiled = Self {
            variants: variants(items, rules.file.one_per_variant.as_deref(), over.groups),
            asks_for_the_cart: rules.ask_for_the_cart(),
            catalogue: Arc::clone(over.catalogue),
            states: over.states.cloned(),
            masks: RwLock::default(),
            never,
            pins,
            fresh,
            unknown,
            rules,
        };
        let mut masks = Masks {
            pinnable: Bits::new(items.len()),
            listed: std::array::from_fn(|_| Bits::new(items.len())),
            shifts: std::array::from_fn(|kind| match compiled.moves(ListKind::ALL[kind]) {
                true => vec![0.0; items.len()],
                false => Vec::new(),
            }),
            ..Masks::default()
        };
        if let Some(states) = &compiled.states {
            let (known, version) = states.changed_since(0);
            compiled.take(&mut masks, known, version);
        }
        for row in 0..items.len() as u32 {
            compiled.ask(&mut masks, row);
        }
        *compiled.masks.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(masks);
        compiled
    }

    /// Takes in what the web shop said since. It may wait for what is being written.
    pub fn catch_up(&self) {
        let Some(states) = &self.states else {
            return;
        };
        // Lists are made meanwhile: nobody waits for the disk with them.
        let (changed, version) = states.changed_since(self.masks().version);
        let mut masks = self.masks.write().unwrap_or_else(PoisonError::into_inner);
        if version <= masks.version {
            return;
        }
        let masks = Arc::make_mut(&mut masks);
        for row in self.take(masks, changed, version) {
            self.ask(masks, row);
        }
    }

    /// Rows whose state is another now.
    fn take(&self, masks: &mut Masks, changed: Vec<(String, Option<ItemState>)>, version: u64) -> Vec<u32> {
        masks.version = version;
        let rows = changed.into_iter().filter_map(|(id, state)| {
            let row = self.catalogue.row(&id)?;
            match state {
                Some(state) => masks.states.insert(row, state),
                None => masks.states.remove(&row),
            };
            Some(row)
        });
        rows.collect()
    }

    /// Asks every condition about an item.
    fn ask(&self, masks: &mut Masks, row: u32) {
        let facts = self.facts(masks, row, false);
        let is_on_sale = self.is_on_sale(&facts, row);
        masks.pinnable.set(row, is_on_sale);
        for kind in ListKind::ALL {
            let is_kept = is_on_sale && self.keeps(&facts, kind);
            masks.listed[kind as usize].set(row, is_kept);
            if !masks.shifts[kind as usize].is_empty() {
                masks.shifts[kind as usize][row as usize] = self.shift(&facts, row, kind);
            }
        }
    }

    fn facts(&self, masks: &Masks, row: u32, in_cart: bool) -> Facts<'_> {
        let item = &self.catalogue.items()[row as usize];
        let state = masks.states.get(&row);
        Facts {
            item,
            price: state.and_then(|state| state.price).or(item.price),
            stock: state.and_then(|state| state.stock),
            hidden: state.is_some_and(|state| state.hidden),
            in_cart,
        }
    }

    fn is_on_sale(&self, facts: &Facts<'_>, row: u32) -> bool {
        let is_sold_out = facts.stock.is_some_and(|stock| stock <= 0.0);
        facts.item.is_listed()
            && !facts.hidden
            && !self.never.get(row)
            && (self.rules.file.show_out_of_stock || !is_sold_out)
    }

    fn keeps(&self, facts: &Facts<'_>, kind: ListKind) -> bool {
        let mut here = self.rules.filters.iter().filter(|filter| filter.lists.have(kind));
        here.all(|filter| filter.condition.holds(facts) == Some(true))
    }

    /// Whether anything moves items of such lists.
    fn moves(&self, kind: ListKind) -> bool {
        let mut boosts = self.rules.boosts.iter();
        boosts.any(|boost| boost.lists.have(kind)) || (self.fresh.is_some() && kind.is_by_score())
    }

    fn shift(&self, facts: &Facts<'_>, row: u32, kind: ListKind) -> f32 {
        let here = self.rules.boosts.iter().filter(|boost| boost.lists.have(kind));
        let boosts = here.filter(|boost| boost.condition.holds(facts) == Some(true));
        let fresh = self.fresh.as_ref().filter(|_| kind.is_by_score());
        boosts.map(|boost| boost.by).sum::<f32>() + fresh.map_or(0.0, |gains| gains[row as usize])
    }

    /// As of the last [`Self::catch_up`].
    pub(super) fn masks(&self) -> Arc<Masks> {
        Arc::clone(&self.masks.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether an item that lies in the cart may be listed, and by how much it is moved.
    pub(super) fn in_cart(&self, masks: &Masks, row: u32, kind: ListKind) -> Option<f32> {
        if !self.rules.file.show_in_cart {
            return None;
        }
        let facts = self.facts(masks, row, true);
        (self.is_on_sale(&facts, row) && self.keeps(&facts, kind)).then(|| self.shift(&facts, row, kind))
    }

    /// Whether items in the cart are not like others.
    pub(super) fn minds_the_cart(&self) -> bool {
        self.asks_for_the_cart || !self.rules.file.show_in_cart
    }

    pub(super) fn pins(&self, kind: ListKind) -> impl Iterator<Item = PinnedRow> {
        let here = move |pin: &&PinnedRow| self.rules.pins[pin.pin].lists.have(kind);
        self.pins.iter().filter(here).copied()
    }

    /// Whether an item stands at a place of its own in lists of a kind.
    pub fn is_pinned(&self, row: u32, kind: ListKind) -> bool {
        self.pins(kind).any(|pin| pin.row == row)
    }

    /// Whether lists of a kind are the best items that they may have, in the order of their scores: nothing is moved, pinned or
    /// spread.
    pub fn takes_the_best(&self, kind: ListKind) -> bool {
        let moves_nothing = self.masks().shifts[kind as usize].is_empty();
        moves_nothing && self.rules.file.diversity == 0.0 && self.pins(kind).next().is_none()
    }

    /// How many places of a customer's list are kept for items that nobody has bought here yet.
    pub fn new_items(&self) -> usize {
        self.rules.file.new_items
    }

    pub(super) fn variant(&self, row: u32) -> u32 {
        self.variants[row as usize]
    }

    pub(super) fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// What an item costs now, if known.
    pub fn price(&self, row: u32) -> Option<f64> {
        self.facts(&self.masks(), row, false).price
    }

    /// What the web shop said of an item, if it did.
    pub fn state(&self, row: u32) -> Option<ItemState> {
        self.masks().states.get(&row).copied()
    }

    /// Whether rules, stock and the catalogue let an item into a list of a kind.
    pub fn may_list(&self, row: u32, kind: ListKind) -> bool {
        self.masks().listed[kind as usize].get(row)
    }

    /// The row of one of the file's pinned items, if the catalogue has it and its last day is not over.
    pub fn pinned_row(&self, pin: usize) -> Option<u32> {
        self.pins.iter().find(|row| row.pin == pin).map(|row| row.row)
    }

    /// Whether a pinned item may be listed: filters do not count.
    pub fn may_pin(&self, row: u32) -> bool {
        self.masks().pinnable.get(row)
    }

    /// Why an item may not stand in a list of a kind; none if it may.
    pub fn why_not(&self, row: u32, kind: ListKind) -> Option<NotListed> {
        let masks = self.masks();
        let facts = self.facts(&masks, row, false);
        let is_sold_out = facts.stock.is_some_and(|stock| stock <= 0.0);
        let mut here = self.rules.filters.iter().filter(|filter| filter.lists.have(kind));
        let filter = here.find(|filter| filter.condition.holds(&facts) != Some(true));
        match filter {
            _ if facts.item.retired => Some(NotListed::Retired),
            _ if facts.item.is_ad() => Some(NotListed::Ad),
            _ if self.never.get(row) => Some(NotListed::Never),
            _ if facts.hidden => Some(NotListed::Hidden),
            _ if is_sold_out && !self.rules.file.show_out_of_stock => Some(NotListed::OutOfStock),
            Some(filter) => Some(NotListed::Filter(filter.text.clone())),
            None => None,
        }
    }

    /// How many items rules let into a list of a kind.
    pub fn listed(&self, kind: ListKind) -> usize {
        self.masks().listed[kind as usize].count()
    }

    /// Names under `never` and `always` that the catalogue does not have.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// For how many items a condition is true, and for how many that is not known.
    pub fn count(&self, condition: &super::expression::Condition) -> (usize, usize) {
        let masks = self.masks();
        let rows = 0..self.catalogue.len() as u32;
        rows.fold((0, 0), |(yes, unknown), row| {
            match condition.holds(&self.facts(&masks, row, false)) {
                Some(true) => (yes + 1, unknown),
                Some(false) => (yes, unknown),
                None => (yes, unknown + 1),
            }
        })
    }

    /// What rules did to an item of a list, in words.
    pub fn why(&self, row: u32, kind: ListKind, in_cart: bool) -> Vec<String> {
        let facts = self.facts(&self.masks(), row, in_cart);
        let pinned = self.pins(kind).filter(|pin| pin.row == row);
        let mut said: Vec<String> = pinned
            .map(|pin| format!("pinned to place {}", pin.place))
            .collect();
        let here = self.rules.boosts.iter().filter(|boost| boost.lists.have(kind));
        let boosts = here.filter(|boost| boost.condition.holds(&facts) == Some(true));
        said.extend(boosts.map(|boost| match boost.by < 0.0 {
            true => format!("moved down by {}: {}", -boost.by, boost.text),
            false => format!("moved up by {}: {}", boost.by, boost.text),
        }));
        if let Some(gain) = self
            .fresh
            .as_ref()
            .filter(|_| kind.is_by_score())
            .map(|gains| gains[row as usize])
            && gain >= LEAST_TOLD
        {
            said.push(format!("moved up by {gain:.2}: new here"));
        }
        said
    }
}

/// By what variants of one product are told, as small numbers.
fn variants(items: &[Item], by: Option<&str>, groups: &HashMap<u32, String>) -> Vec<u32> {
    if by == Some("off") {
        return vec![0; items.len()];
    }
    let mut keys: HashMap<(u8, String, String), u32> = HashMap::new();
    let by_feed = by == Some("item_group_id");
    let key = |row: u32, item: &Item| {
        if let Some(group) = groups.get(&row).filter(|_| by_feed) {
            return Some((3, group.clone(), String::new()));
        }
        let number = by.and_then(|name| item.numbers.get(name));
        let tag = || {
            let of_group = |tag: &&String| {
                by.is_some_and(|name| tag.split_once(':').is_some_and(|(start, _)| start.trim() == name))
            };
            item.tags.iter().find(of_group)
        };
        match (number, tag()) {
            (Some(number), _) => Some((0, number.to_string(), String::new())),
            (None, Some(tag)) => Some((1, plain(tag), String::new())),
            (None, None) if item.title.trim().is_empty() => None,
            (None, None) => Some((2, plain(&item.title), plain(&item.brand))),
        }
    };
    let mut number = |(row, item): (u32, &Item)| {
        let next = keys.len() as u32 + 1;
        key(row, item).map_or(0, |key| *keys.entry(key).or_insert(next))
    };
    (0u32..).zip(items).map(&mut number).collect()
}

/// What the owner should know of names that are no item's.
pub fn unknown_words(names: &[String]) -> Option<String> {
    let shown: Vec<String> = names
        .iter()
        .take(MOST_SHOWN)
        .map(|name| format!("{name:?}"))
        .collect();
    let more = match names.len() > MOST_SHOWN {
        true => format!(" and {} others", names.len() - MOST_SHOWN),
        false => String::new(),
    };
    (!names.is_empty()).then(|| {
        format!(
            "rules.toml names items under never or always that the catalogue does not have: {}{more}",
            shown.join(", ")
        )
    })
}

const SECS_OF_A_DAY: f64 = 86_400.0;
/// In standard deviations.
const LEAST_TOLD: f32 = 0.01;
const MOST_SHOWN: usize = 5;
