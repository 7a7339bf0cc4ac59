//! Every choice of lists, in small federations.
//!
//! What need not be tried: choices that a shop refuses by itself (they are the same as stopping before), and a shop that the
//! coordinator has an upload of but leaves out (it can only know less by it).

use super::arena::{Arena, Lists, Shown, Until, terms};
use super::judge::Judge;
use super::knowledge::reach;
use super::rules::Rules;
use super::set::Set;

/// A small federation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Small {
    pub(super) honest: usize,
    /// The coordinator's shops that all owners have confirmed.
    pub(super) colluding: usize,
    /// Those that none has.
    pub(super) invented: usize,
    /// t.
    pub(super) distrusted: usize,
    /// d; none: complete.
    pub(super) neighbours: Option<usize>,
    /// Whether the coordinator's shops may be missing in lists (else they stand in all).
    pub(super) absent_adversaries: bool,
    /// Whether rosters of the same members may be different ones.
    pub(super) editions: bool,
}

impl Small {
    /// Complete graph, adversaries in all lists.
    pub(super) const fn complete(
        honest: usize,
        colluding: usize,
        invented: usize,
        distrusted: usize,
    ) -> Self {
        Self {
            honest,
            colluding,
            invented,
            distrusted,
            neighbours: None,
            absent_adversaries: false,
            editions: colluding + invented > 0,
        }
    }

    /// A circle of honest shops only.
    pub(super) const fn circle(honest: usize, neighbours: usize) -> Self {
        Self {
            neighbours: Some(neighbours),
            ..Self::complete(honest, 0, 0, 0)
        }
    }

    /// From t + 2, the least that a plan may have (and 2, where nobody colludes).
    fn min_shops(&self) -> std::ops::RangeInclusive<usize> {
        self.distrusted + 2..=self.honest + self.colluding
    }

    fn arena(&self, min_shops: usize) -> Arena<1> {
        let terms = terms(min_shops, self.distrusted, self.neighbours);
        Arena::new(terms, self.honest, self.colluding, self.invented)
    }

    fn is_bare_circle(&self) -> bool {
        let shops = self.honest + self.colluding + self.invented;
        self.colluding + self.invented == 0 && self.neighbours.is_some_and(|degree| degree + 1 < shops)
    }
}

/// What one shop is shown, and what that is up to renaming.
struct View {
    lists: Lists<1>,
    until: Until,
    /// Equal for two shops' views that differ in names only.
    kind: Vec<u8>,
    /// Whether it is the one of its kind that is tried for the first shop.
    first: bool,
}

/// Each honest shop its own chain R3 within R2 within R1, and its own time to drop out; up to renaming.
pub(super) fn every(small: &Small, rules: &Rules, judge: &mut Judge<1>) {
    for min_shops in small.min_shops() {
        let arena = small.arena(min_shops);
        judge.enter();
        let views: Vec<Vec<View>> = (0..small.honest)
            .map(|shop| views(small, &arena, rules, shop))
            .collect();
        let renamed = small.neighbours.is_none() || small.is_bare_circle();
        let mut lists: Vec<Lists<1>> = views.iter().map(|views| views[0].lists).collect();
        let mut shown: Vec<Shown> = (0..small.honest)
            .map(|list| Shown {
                list,
                until: Until::Nothing,
            })
            .collect();
        for view in &views[0] {
            if renamed && !view.first {
                continue;
            }
            // The first shop's view is the least of all in some renaming.
            let from: Vec<usize> = views
                .iter()
                .map(|views| match renamed {
                    true => views.partition_point(|other| other.kind < view.kind),
                    false => 0,
                })
                .collect();
            let mut at = from.clone();
            let mut take = |shop: usize, view: &View, shown: &mut Vec<Shown>| {
                lists[shop] = view.lists;
                shown[shop].until = view.until;
            };
            take(0, view, &mut shown);
            if (1..small.honest).any(|shop| from[shop] == views[shop].len()) {
                continue;
            }
            (1..small.honest).for_each(|shop| take(shop, &views[shop][at[shop]], &mut shown));
            'others: loop {
                judge.see(&arena, &lists, &shown);
                if judge.is_settled() {
                    return;
                }
                let mut shop = small.honest;
                loop {
                    shop -= 1;
                    if shop == 0 {
                        break 'others;
                    }
                    at[shop] += 1;
                    let done = at[shop] == views[shop].len();
                    if done {
                        at[shop] = from[shop];
                    }
                    lists[shop] = views[shop][at[shop]].lists;
                    shown[shop].until = views[shop][at[shop]].until;
                    if !done {
                        break;
                    }
                }
            }
        }
    }
}

/// Sorted by kind.
fn views(small: &Small, arena: &Arena<1>, rules: &Rules, shop: usize) -> Vec<View> {
    let (honest, shops) = (arena.honest, arena.shops);
    // In the order of the circle, from the shop on: the same for all shops where only names differ.
    let peers: Vec<usize> = (1..honest).map(|step| (shop + step) % honest).collect();
    let free: Vec<usize> = match small.absent_adversaries {
        true => peers.iter().copied().chain(honest..shops).collect(),
        false => peers.clone(),
    };
    let alone = Lists {
        r1: Set::EMPTY.with(shop),
        r2: Set::EMPTY.with(shop),
        r3: Set::EMPTY.with(shop),
        edition: 0,
    };
    let mut views = vec![View {
        lists: alone,
        until: Until::Nothing,
        kind: vec![0],
        first: true,
    }];
    for (until, most) in [(Until::Shares, 1), (Until::Update, 2), (Until::Survivors, 3)] {
        let mut levels = vec![0u8; free.len()];
        loop {
            let level_of = |other: usize| match free.iter().position(|free| *free == other) {
                Some(at) => levels[at],
                None => most,
            };
            let members = |least: u8| {
                (0..shops)
                    .filter(|other| level_of(*other) >= least)
                    .collect::<Set<1>>()
            };
            let (r1, r2, r3) = (members(1), members(2), members(3));
            let neighbours = arena.graph(&r1)[shop];
            let with_adversary = !r1.and(&arena.adversaries()).is_empty();
            let editions = if small.editions && with_adversary {
                0..2
            } else {
                0..1
            };
            for edition in editions {
                let lists = Lists { r1, r2, r3, edition };
                if reach(arena, rules, &lists, &neighbours, shop, until) != until {
                    continue;
                }
                let mut others = levels[..peers.len()].to_vec();
                let bare = small.is_bare_circle();
                let first = bare || others.is_sorted();
                if !bare {
                    others.sort_unstable();
                }
                let mut kind = vec![most, edition];
                kind.extend(&levels[peers.len()..]);
                kind.extend(others);
                views.push(View {
                    lists,
                    until,
                    kind,
                    first,
                });
            }
            // The next levels.
            let Some(at) = levels.iter().position(|level| *level < most) else {
                break;
            };
            levels[..at].fill(0);
            levels[at] += 1;
        }
    }
    views.sort_by(|one, other| one.kind.cmp(&other.kind));
    views
}

/// A shop's part when there are two triples of lists: which it is shown, how far, and how far it stands in both.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) list: usize,
    pub(super) until: Until,
    /// In each triple: 0 nowhere, 1 in R1, 2 in R2, 3 in R3.
    pub(super) levels: [u8; 2],
}

/// Every part: `least_elsewhere` is 1 where both triples have everybody in R1.
pub(super) fn parts(least_elsewhere: u8) -> Vec<Part> {
    let mut parts = Vec::new();
    for list in 0..2 {
        for (until, own) in [(Until::Shares, 1), (Until::Update, 2), (Until::Survivors, 3)] {
            for other in least_elsewhere..4 {
                let levels = if list == 0 { [own, other] } else { [other, own] };
                parts.push(Part { list, until, levels });
            }
        }
    }
    parts
}

/// The two triples that follow from everybody's part; the coordinator's shops stand in both.
pub(super) fn stage<const W: usize>(
    arena: &Arena<W>,
    parts: impl Iterator<Item = Part> + Clone,
    another_edition: bool,
    lists: &mut Vec<Lists<W>>,
    shown: &mut Vec<Shown>,
) {
    shown.clear();
    lists.clear();
    shown.extend(parts.clone().map(|part| Shown {
        list: part.list,
        until: part.until,
    }));
    let adversaries = arena.adversaries();
    for at in 0..2 {
        let [mut r1, mut r2, mut r3] = [adversaries; 3];
        for (shop, part) in parts.clone().enumerate() {
            for (least, list) in [(1, &mut r1), (2, &mut r2), (3, &mut r3)] {
                if part.levels[at] >= least {
                    list.insert(shop);
                }
            }
        }
        let edition = u8::from(at == 1 && another_edition);
        lists.push(Lists { r1, r2, r3, edition });
    }
}

/// Two triples at most, in a complete graph, up to renaming.
pub(super) fn pairs(small: &Small, judge: &mut Judge<1>) {
    let parts = parts(0);
    let (mut lists, mut shown) = (Vec::new(), Vec::new());
    for min_shops in small.min_shops() {
        let arena = small.arena(min_shops);
        judge.enter();
        for another_edition in [false, true] {
            if another_edition && !small.editions {
                continue;
            }
            // Multisets: which shop has which part does not matter.
            let mut chosen = vec![0; small.honest];
            loop {
                let staged = chosen.iter().map(|part| parts[*part]);
                stage(&arena, staged, another_edition, &mut lists, &mut shown);
                judge.see(&arena, &lists, &shown);
                if judge.is_settled() {
                    return;
                }
                let Some(at) = chosen.iter().rposition(|part| part + 1 < parts.len()) else {
                    break;
                };
                let next = chosen[at] + 1;
                chosen[at..].fill(next);
            }
        }
    }
}

/// Two triples of one roster of all, in a circle of honest shops, up to turning it, mirroring it, and exchanging the triples.
pub(super) fn pairs_on_circle(small: &Small, judge: &mut Judge<1>) {
    let parts = parts(1);
    let (mut lists, mut shown) = (Vec::new(), Vec::new());
    for min_shops in small.min_shops() {
        let arena = small.arena(min_shops);
        judge.enter();
        // The first half shows the first triple. Where nobody is shown that, the triples can be exchanged.
        for least in 0..parts.len() / 2 {
            let mut chosen = vec![least; small.honest];
            loop {
                if chosen[1] <= chosen[small.honest - 1] {
                    let staged = chosen.iter().map(|part| parts[*part]);
                    stage(&arena, staged, false, &mut lists, &mut shown);
                    judge.see(&arena, &lists, &shown);
                    if judge.is_settled() {
                        return;
                    }
                }
                // The first shop has the least part of all.
                let Some(at) = chosen.iter().rposition(|part| part + 1 < parts.len()) else {
                    break;
                };
                if at == 0 {
                    break;
                }
                chosen[at] += 1;
                chosen[at + 1..].fill(least);
            }
        }
    }
}
