//! From scores to a list, by the rules: what may stand in it, who is moved, one variant a product, at most so many of a brand, unlike
//! each other, and pinned items at their places.

use std::collections::{HashMap, HashSet};

use souk_common::catalogue::Catalogue;

use super::compiled::{CompiledRules, PinnedRow};
use super::file::ListKind;

/// What list is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Of which kind.
    pub kind: ListKind,
    /// How many items.
    pub k: usize,
    /// Rows that lie in the customer's cart.
    pub cart: &'a [u32],
    /// Rows that stand in the list already: they are not listed again, and count as variants and for brands and categories.
    pub beside: &'a [u32],
}

/// A list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arranged {
    /// Rows and their scores as they were before any rule, first place first. A pinned item that was not scored has 0.
    pub items: Vec<(u32, f32)>,
    /// Rows of those.
    pub unscored: Vec<u32>,
    /// How many more items there would be without rules, where the list is shorter than was wanted.
    pub left_out: usize,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    /// With what rules add.
    moved: f32,
    score: f32,
    row: u32,
    /// Its place before: of equals the earlier comes first.
    at: u32,
}

impl CompiledRules {
    /// The list of what was `scored`, best first or in catalogue order; items that are not `allowed`, that are sold no more, or whose
    /// score is no number are not listed.
    ///
    /// A boost by `b` adds `b` standard deviations of the candidates' scores (or `b`, where they are all the same), which means the
    /// same on every scale.
    pub fn arrange<S>(&self, scored: S, allowed: impl Fn(u32) -> bool, wanted: &Wanted<'_>) -> Arranged
    where
        S: Iterator<Item = (u32, f32)> + Clone,
    {
        let masks = self.masks();
        let (listed, shifts) = (
            &masks.listed[wanted.kind as usize],
            &masks.shifts[wanted.kind as usize],
        );
        let cart = match self.minds_the_cart() {
            true => wanted.cart,
            false => &[],
        };
        let beside: HashSet<u32> = wanted.beside.iter().copied().collect();
        let allowed = |row| !beside.contains(&row) && allowed(row);
        let pins = self.pins(wanted.kind);
        let pins = pins.filter(|pin| masks.pinnable.get(pin.row) && allowed(pin.row));
        let pins = pins.filter(|pin| self.rules.file.show_in_cart || !wanted.cart.contains(&pin.row));
        let mut pins: Vec<PinnedRow> = pins.filter(|pin| pin.place <= wanted.k).collect();
        let mut pinned_once = HashSet::new();
        pins.retain(|pin| pinned_once.insert(pin.row));
        pins.truncate(wanted.k);
        let mut pinned_scores: HashMap<u32, Option<f32>> = pins.iter().map(|pin| (pin.row, None)).collect();
        let mut candidates = Vec::new();
        for (at, (row, score)) in (0u32..).zip(scored.clone()) {
            if !score.is_finite() {
                continue;
            }
            if !pins.is_empty()
                && let Some(pinned) = pinned_scores.get_mut(&row)
            {
                *pinned = Some(score);
                continue;
            }
            let shift = match cart.contains(&row) {
                true => self.in_cart(&masks, row, wanted.kind),
                false => listed
                    .get(row)
                    .then(|| shifts.get(row as usize).copied().unwrap_or(0.0)),
            };
            if let Some(shift) = shift
                && allowed(row)
            {
                candidates.push(Candidate {
                    moved: shift,
                    score,
                    row,
                    at,
                });
            }
        }
        let spread = match shifts.is_empty() {
            true => 0.0,
            false => spread(&candidates),
        };
        for candidate in &mut candidates {
            candidate.moved = candidate.score + spread * candidate.moved;
        }
        let found = candidates.len();
        let mut chosen = Chosen::new(self, &pins, wanted.beside);
        let mut items = self.choose(Best::new(candidates, wanted.k), wanted, &mut chosen);
        for pin in &pins {
            let at = (pin.place - 1).min(items.len());
            items.insert(at, (pin.row, pinned_scores[&pin.row].unwrap_or_default()));
        }
        let left_out = match items.len() < wanted.k {
            true => {
                let listed = |row: u32| self.catalogue().items()[row as usize].is_listed();
                let could = scored.filter(|(row, score)| score.is_finite() && allowed(*row) && listed(*row));
                let could = could.filter(|(row, _)| !pinned_scores.contains_key(row)).count();
                could.saturating_sub(found) + chosen.capped
            }
            false => 0,
        };
        let unscored = pins
            .iter()
            .map(|pin| pin.row)
            .filter(|row| pinned_scores[row].is_none());
        Arranged {
            unscored: unscored.collect(),
            items,
            left_out,
        }
    }

    fn choose(&self, mut best: Best, wanted: &Wanted<'_>, chosen: &mut Chosen<'_>) -> Vec<(u32, f32)> {
        let need = wanted.k - chosen.pinned;
        let mut list = Vec::with_capacity(need.min(best.rows.len()));
        let diversity = self.rules.file.diversity;
        if diversity > 0.0 && wanted.kind.is_by_score() && need > 0 {
            let unlike = need.min(MOST_UNLIKE);
            let pool: Vec<Candidate> = best
                .by_ref()
                .filter(|candidate| chosen.is_first_variant(candidate.row))
                .take((POOL_PER_PLACE * unlike).min(MOST_IN_POOL).max(unlike))
                .collect();
            unlike_each_other(self.catalogue(), pool, diversity, need, chosen, &mut list);
        }
        while list.len() < need
            && let Some(next) = best.next()
        {
            if chosen.is_first_variant(next.row) {
                chosen.offer(&next, &mut list);
            }
        }
        list
    }
}

/// Maximal marginal relevance (Carbonell and Goldstein 1998): next comes the item with the highest
/// `(1 - diversity) * score - diversity * likeness to the most like item before it`, scores brought to 0 to 1 over the pool.
fn unlike_each_other(
    catalogue: &Catalogue,
    mut pool: Vec<Candidate>,
    diversity: f32,
    need: usize,
    chosen: &mut Chosen<'_>,
    list: &mut Vec<(u32, f32)>,
) {
    let scores = || pool.iter().map(|candidate| candidate.moved);
    let (least, most) = (
        scores().fold(f32::INFINITY, f32::min),
        scores().fold(f32::NEG_INFINITY, f32::max),
    );
    let range = (most - least).max(f32::MIN_POSITIVE);
    let mut likeness = vec![0.0f32; pool.len()];
    let places = need.min(MOST_UNLIKE);
    while list.len() < places {
        let value = |at: usize| {
            let relevance = (pool[at].moved - least) / range;
            (1.0 - diversity) * relevance - diversity * likeness[at]
        };
        // The pool stands best first: of equals the better one is chosen.
        let open = (0..pool.len()).filter(|at| chosen.has_room(pool[*at].row));
        let Some(next) = open.rev().max_by(|a, b| value(*a).total_cmp(&value(*b))) else {
            break;
        };
        let taken = pool.remove(next);
        likeness.remove(next);
        chosen.take(taken.row);
        list.push((taken.row, taken.score));
        for (like, other) in likeness.iter_mut().zip(&pool) {
            *like = like.max(alike(catalogue, taken.row, other.row));
        }
    }
    // What is left stands behind, in its order.
    for candidate in pool {
        if list.len() < need {
            chosen.offer(&candidate, list);
        }
    }
}

/// How alike two items are, 0 to 1: the share of category, brand and price band that they have in common, and, where both have
/// vectors, the mean of that and their vectors' cosine.
fn alike(catalogue: &Catalogue, a: u32, b: u32) -> f32 {
    let (x, y) = (catalogue.features()[a as usize], catalogue.features()[b as usize]);
    let same = |x: u32, y: u32| f32::from(u8::from(x == y && x != 0));
    let shared =
        (same(x.category, y.category) + same(x.brand, y.brand) + same(x.price_bucket, y.price_bucket)) / 3.0;
    let vector = |row: u32| &catalogue.items()[row as usize].vector;
    let (x, y) = (vector(a), vector(b));
    if x.is_empty() || y.is_empty() {
        return shared;
    }
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f32>();
    let lengths = (dot(x, x) * dot(y, y)).sqrt();
    let cosine = match lengths > 0.0 {
        true => (dot(x, y) / lengths).clamp(0.0, 1.0),
        false => 0.0,
    };
    f32::midpoint(shared, cosine)
}

/// What stands in a list already.
struct Chosen<'a> {
    rules: &'a CompiledRules,
    pinned: usize,
    variants: HashSet<u32>,
    brands: HashMap<u32, usize>,
    categories: HashMap<u32, usize>,
    /// How many were passed over for their brand or category.
    capped: usize,
}

impl<'a> Chosen<'a> {
    fn new(rules: &'a CompiledRules, pins: &[PinnedRow], beside: &[u32]) -> Self {
        let mut chosen = Self {
            rules,
            pinned: pins.len(),
            variants: HashSet::new(),
            brands: HashMap::new(),
            categories: HashMap::new(),
            capped: 0,
        };
        for row in pins.iter().map(|pin| pin.row).chain(beside.iter().copied()) {
            chosen.is_first_variant(row);
            chosen.take(row);
        }
        chosen
    }

    /// Whether no variant of the product came before; notes that one has come.
    fn is_first_variant(&mut self, row: u32) -> bool {
        match self.rules.variant(row) {
            0 => true,
            variant => self.variants.insert(variant),
        }
    }

    /// Whether the item's brand and category have room; those that are not known always have.
    fn has_room(&self, row: u32) -> bool {
        let features = self.rules.catalogue().features()[row as usize];
        let has = |most: Option<usize>, counts: &HashMap<u32, usize>, of: u32| {
            of == 0 || most.is_none_or(|most| counts.get(&of).copied().unwrap_or(0) < most)
        };
        let file = &self.rules.rules.file;
        has(file.at_most_of_a_brand, &self.brands, features.brand)
            && has(file.at_most_of_a_category, &self.categories, features.category)
    }

    fn take(&mut self, row: u32) {
        let features = self.rules.catalogue().features()[row as usize];
        *self.brands.entry(features.brand).or_default() += 1;
        *self.categories.entry(features.category).or_default() += 1;
    }

    /// Takes the item if it has room.
    fn offer(&mut self, candidate: &Candidate, list: &mut Vec<(u32, f32)>) {
        match self.has_room(candidate.row) {
            true => {
                self.take(candidate.row);
                list.push((candidate.row, candidate.score));
            }
            false => self.capped += 1,
        }
    }
}

/// Candidates best first, sorted only as far as they are asked for.
struct Best {
    rows: Vec<Candidate>,
    next: usize,
    sorted: usize,
    batch: usize,
}

impl Best {
    fn new(rows: Vec<Candidate>, k: usize) -> Self {
        Self {
            rows,
            next: 0,
            sorted: 0,
            // Variants and brands may ask for more.
            batch: k.saturating_mul(2).max(64),
        }
    }
}

impl Iterator for Best {
    type Item = Candidate;

    fn next(&mut self) -> Option<Candidate> {
        if self.next == self.sorted && self.sorted < self.rows.len() {
            let better = |a: &Candidate, b: &Candidate| b.moved.total_cmp(&a.moved).then(a.at.cmp(&b.at));
            let rest = &mut self.rows[self.sorted..];
            let take = self.batch.min(rest.len());
            if take < rest.len() {
                rest.select_nth_unstable_by(take, better);
            }
            rest[..take].sort_unstable_by(better);
            self.sorted += take;
            self.batch = self.batch.saturating_mul(4);
        }
        let next = self.rows.get(self.next).copied();
        self.next += 1;
        next
    }
}

/// The standard deviation of the candidates' scores; 1 where they are all the same, so that what is moved moves.
fn spread(candidates: &[Candidate]) -> f32 {
    let count = candidates.len().max(1) as f64;
    let scores = || candidates.iter().map(|candidate| f64::from(candidate.score));
    let mean = scores().sum::<f64>() / count;
    let variance = scores().map(|score| (score - mean).powi(2)).sum::<f64>() / count;
    let spread = variance.sqrt() as f32;
    match spread > 0.0 && spread.is_finite() {
        true => spread,
        false => 1.0,
    }
}

const MOST_UNLIKE: usize = 100;
const POOL_PER_PLACE: usize = 10;
const MOST_IN_POOL: usize = 400;
