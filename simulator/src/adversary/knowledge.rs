//! What the coordinator learns from an attempt, and which combinations of honest updates it can compute from that.
//!
//! Whatever is left to chance or to the coordinator's shops is decided in its favour: every sealed share arrives, every
//! signature is passed on, its shops sign anything and give both shares of whatever they hold, and stand in the graph where
//! it likes.
//!
//! # Which combinations
//!
//! An upload is y(i) = x(i) + self(i, H2) + sum over i's neighbours j in R2 of +-pair(i, j, H2). A combination of uploads is
//! free of unknown masks only if its coefficient is 0 wherever the own mask's seed is unknown or an unknown pair mask has no
//! counterpart, and is the same at both ends of an unknown pair mask that has one. So what can be computed is spanned by the
//! sums over the components that unknown pair masks make of the uploads, less those in which something stays unknown. That
//! argument is checked by elimination in [`algebra`](super::algebra).

use super::arena::{Arena, Lists, Shown, Until};
use super::rules::{Counted, Rules};
use super::set::Set;

/// What the coordinator holds after an attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held<const W: usize> {
    /// Honest shops whose updates it has.
    pub(super) uploaded: Set<W>,
    /// Honest shops whose seeds it can rebuild.
    pub(super) seeds: Set<W>,
    /// Honest shops whose mask keys it can rebuild.
    pub(super) keys: Set<W>,
}

/// Follows attempts. It keeps what it needs again.
pub(super) struct Engine<const W: usize> {
    graphs: Vec<(Set<W>, Vec<Set<W>>)>,
    /// Of each list: which graph, and the first list with the same H1, H2, H3.
    graph_of: Vec<usize>,
    h1: Vec<usize>,
    h2: Vec<usize>,
    h3: Vec<usize>,
    reached: Vec<Until>,
    signed: Vec<Set<W>>,
    confirming: Vec<Set<W>>,
    revealing: Vec<Set<W>>,
}

impl<const W: usize> Engine<W> {
    pub(super) fn new() -> Self {
        Self {
            graphs: Vec::new(),
            graph_of: Vec::new(),
            h1: Vec::new(),
            h2: Vec::new(),
            h3: Vec::new(),
            reached: Vec::new(),
            signed: Vec::new(),
            confirming: Vec::new(),
            revealing: Vec::new(),
        }
    }

    /// To be said before another arena.
    pub(super) fn forget_graphs(&mut self) {
        self.graphs.clear();
    }

    /// Neighbours of `shop` in the roster of `list`, of the last attempt followed.
    pub(super) fn neighbours(&self, list: usize, shop: usize) -> Set<W> {
        self.graphs[self.graph_of[list]].1[shop]
    }

    /// The first list with the same H2, of the last attempt followed.
    pub(super) fn h2(&self, list: usize) -> usize {
        self.h2[list]
    }

    /// The fewest honest shops whose sum alone the coordinator can compute; none if it can compute nothing.
    pub(super) fn least(
        &mut self,
        arena: &Arena<W>,
        rules: &Rules,
        lists: &[Lists<W>],
        shown: &[Shown],
    ) -> Option<Set<W>> {
        let held = self.follow(arena, rules, lists, shown);
        self.components(arena, &held, lists, shown)
            .into_iter()
            .min_by_key(Set::len)
    }

    /// One attempt under `rules`: `shown` says what each honest shop is shown.
    pub(super) fn follow(
        &mut self,
        arena: &Arena<W>,
        rules: &Rules,
        lists: &[Lists<W>],
        shown: &[Shown],
    ) -> Held<W> {
        self.prepare(arena, lists);
        let (terms, adversaries) = (&arena.terms, arena.adversaries());
        for (shop, shown) in shown.iter().enumerate() {
            let neighbours = self.neighbours(shown.list, shop);
            let reached = reach(arena, rules, &lists[shown.list], &neighbours, shop, shown.until);
            self.reached.push(reached);
            if reached >= Until::Update {
                self.signed[self.h2[shown.list]].insert(shop);
            }
        }
        for (shop, shown) in shown.iter().enumerate() {
            let list = &lists[shown.list];
            let survivors = list.r3.minus(&adversaries);
            let signed = !rules.upload_signatures || survivors.is_part_of(&self.signed[self.h2[shown.list]]);
            if self.reached[shop] == Until::Survivors && signed {
                self.confirming[self.h3[shown.list]].insert(shop);
            }
        }
        for (shop, shown) in shown.iter().enumerate() {
            let (list, h3) = (&lists[shown.list], self.h3[shown.list]);
            if !self.confirming[h3].has(shop) {
                continue;
            }
            let signers = list.r3.and(&self.confirming[h3].or(&adversaries)).len();
            let counted = |members: &Set<W>| Counted {
                shops: members.len(),
                unknown: members.minus(&arena.known[shop]).len(),
            };
            if signers >= rules.confirmations(terms, counted(&list.r1), counted(&list.r2)) {
                self.revealing[h3].insert(shop);
            }
        }
        let mut held = Held {
            uploaded: Set::EMPTY,
            seeds: Set::EMPTY,
            keys: Set::EMPTY,
        };
        // Nobody gives a share.
        if adversaries.is_empty() && self.revealing.iter().all(Set::is_empty) {
            held.uploaded = self.signed.iter().fold(held.uploaded, |all, some| all.or(some));
            return held;
        }
        for (shop, shown) in shown.iter().enumerate() {
            if self.reached[shop] >= Until::Update {
                held.uploaded.insert(shop);
            }
            if self.reached[shop] == Until::Nothing {
                continue;
            }
            let holders = self.neighbours(shown.list, shop).with(shop);
            let unknown = holders.minus(&arena.known[shop]).len();
            let threshold = rules.threshold(terms, lists[shown.list].r1.len(), unknown);
            let given = holders.and(&adversaries).len();
            let (mut seed, mut key) = (given, given);
            for (at, list) in lists.iter().enumerate() {
                // Shares open under the H1 under which they were sealed.
                if self.h3[at] == at && self.h1[at] == self.h1[shown.list] && list.r2.has(shop) {
                    let shares = holders.and(&self.revealing[at]).len();
                    match list.r3.has(shop) {
                        true => seed += shares,
                        false => key += shares,
                    }
                }
            }
            if seed >= threshold {
                held.seeds.insert(shop);
            }
            if key >= threshold {
                held.keys.insert(shop);
            }
        }
        held
    }

    fn prepare(&mut self, arena: &Arena<W>, lists: &[Lists<W>]) {
        for ids in [&mut self.graph_of, &mut self.h1, &mut self.h2, &mut self.h3] {
            ids.clear();
        }
        for sets in [&mut self.signed, &mut self.confirming, &mut self.revealing] {
            sets.clear();
            sets.resize(lists.len(), Set::EMPTY);
        }
        self.reached.clear();
        for (at, list) in lists.iter().enumerate() {
            let graph = self.graphs.iter().position(|(roster, _)| *roster == list.r1);
            let graph = graph.unwrap_or_else(|| {
                self.graphs.push((list.r1, arena.graph(&list.r1)));
                self.graphs.len() - 1
            });
            self.graph_of.push(graph);
            let before = &lists[..at];
            let same_1 = |other: &Lists<W>| other.r1 == list.r1 && other.edition == list.edition;
            let same_2 = |other: &Lists<W>| same_1(other) && other.r2 == list.r2;
            let same_3 = |other: &Lists<W>| same_2(other) && other.r3 == list.r3;
            self.h1.push(before.iter().position(same_1).unwrap_or(at));
            self.h2.push(before.iter().position(same_2).unwrap_or(at));
            self.h3.push(before.iter().position(same_3).unwrap_or(at));
        }
    }

    /// The components of the last attempt's uploads in which everything is known, if the coordinator holds `held`.
    pub(super) fn components(
        &self,
        arena: &Arena<W>,
        held: &Held<W>,
        lists: &[Lists<W>],
        shown: &[Shown],
    ) -> Vec<Set<W>> {
        if held.seeds.and(&held.uploaded).is_empty() {
            return Vec::new();
        }
        let secret = arena.honest_set().minus(&held.keys);
        let mut left = held.uploaded;
        let mut live = Vec::new();
        while let Some(first) = left.iter().next() {
            let mut component = Set::EMPTY.with(first);
            let mut frontier = component;
            while let Some(shop) = frontier.iter().next() {
                frontier.remove(shop);
                let next = self.masked_with(&secret, lists, shown, shop);
                // Without a counterpart: not uploaded, or masked under another H2.
                let same = next.iter().filter(|other| {
                    held.uploaded.has(*other) && self.h2[shown[*other].list] == self.h2[shown[shop].list]
                });
                let same: Set<W> = same.collect();
                frontier = frontier.or(&same.minus(&component));
                component = component.or(&same);
            }
            left = left.minus(&component);
            let open = |shop: usize| {
                held.seeds.has(shop)
                    && self
                        .masked_with(&secret, lists, shown, shop)
                        .is_part_of(&component)
            };
            if component.iter().all(open) {
                live.push(component);
            }
        }
        live
    }

    /// With whom `shop` has a pair mask that nobody rebuilds; `secret`: honest shops whose mask keys are not known.
    fn masked_with(&self, secret: &Set<W>, lists: &[Lists<W>], shown: &[Shown], shop: usize) -> Set<W> {
        if !secret.has(shop) {
            return Set::EMPTY;
        }
        let list = shown[shop].list;
        self.neighbours(list, shop).and(&lists[list].r2).and(secret)
    }
}

/// How far a shop goes along with what it is shown: everything it checks by itself.
pub(super) fn reach<const W: usize>(
    arena: &Arena<W>,
    rules: &Rules,
    list: &Lists<W>,
    neighbours: &Set<W>,
    shop: usize,
    until: Until,
) -> Until {
    let (terms, known) = (&arena.terms, &arena.known[shop]);
    let (shops, holders) = (list.r1.len(), neighbours.with(shop));
    let enough = |list: &Set<W>| list.has(shop) && list.and(known).len() >= terms.min_shops;
    let alive = |list: &Set<W>| list.and(&holders).and(known).len() >= rules.least_alive(terms, shops);
    if until == Until::Nothing || !enough(&list.r1) {
        return Until::Nothing;
    }
    let trusted = holders.and(known).len();
    if rules.threshold(terms, shops, holders.len() - trusted) > trusted {
        return Until::Nothing;
    }
    if until == Until::Shares || !list.r2.is_part_of(&list.r1) || !enough(&list.r2) {
        return Until::Shares;
    }
    if rules.holders_before_charge && !alive(&list.r2) {
        return Until::Shares;
    }
    if until == Until::Update || !list.r3.is_part_of(&list.r2) || !enough(&list.r3) || !alive(&list.r3) {
        return Until::Update;
    }
    Until::Survivors
}
