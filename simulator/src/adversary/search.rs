//! Attempts at random, and attempts near those that some rules fell to.

use rand::RngExt;
use rand::seq::SliceRandom;
use souk_common::rng::Stream;

use super::arena::{Arena, Lists, Shown, Until, terms};
use super::judge::Judge;
use super::set::Set;
use super::structured::Staged;

/// `cases` attempts of `shops` shops, drawn anew each.
pub(super) fn at_random<const W: usize>(
    random: &mut Stream,
    shops: std::ops::RangeInclusive<usize>,
    cases: u64,
    judge: &mut Judge<W>,
) {
    // Lists are drawn several times for one arena: making its graph takes longer.
    for case in 0..cases.div_ceil(LISTS_PER_ARENA) {
        let arena = draw_arena(random, shops.clone());
        judge.enter();
        for _ in 0..LISTS_PER_ARENA.min(cases - case * LISTS_PER_ARENA) {
            let (lists, shown) = draw_lists(random, &arena);
            judge.see(&arena, &lists, &shown);
        }
    }
}

const LISTS_PER_ARENA: u64 = 8;

fn draw_arena<const W: usize>(random: &mut Stream, shops: std::ops::RangeInclusive<usize>) -> Arena<W> {
    let shops = random.random_range(shops);
    let colluding = random.random_range(0..=3.min(shops / 8));
    // Sometimes other owners know other ones.
    let adversaries = random.random_range(0..=3 * colluding + 1).min(shops / 3);
    let honest = shops - adversaries;
    let neighbours = random.random_bool(0.7).then(|| {
        let least = 2 * colluding + 4;
        let most = (shops - 1).max(least);
        2 * (random.random_range(least..=most.min(3 * least)) / 2)
    });
    let most = honest.max(colluding + 3);
    let min_shops = random.random_range(colluding + 2..=most.min(colluding + 2 + 2 * shops / 3));
    let mut arena = Arena::new(terms(min_shops, colluding, neighbours), honest, 0, adversaries);
    arena.circle.shuffle(random);
    let mut own: Vec<usize> = (honest..shops).collect();
    let same = random.random_bool(0.5);
    let stranger = if random.random_bool(0.7) { 0.0 } else { 0.1 };
    for (shop, known) in arena.known.iter_mut().enumerate() {
        if !same {
            own.shuffle(random);
        }
        *known = (0..honest)
            .filter(|other| *other == shop || !random.random_bool(stranger))
            .chain(own.iter().copied().take(colluding))
            .collect();
    }
    arena
}

fn draw_lists<const W: usize>(random: &mut Stream, arena: &Arena<W>) -> (Vec<Lists<W>>, Vec<Shown>) {
    let many = random.random_range(1..=3);
    let mut lists: Vec<Lists<W>> = Vec::with_capacity(many);
    for at in 0..many {
        let before = at.checked_sub(1).map(|before| lists[before]);
        let r1 = match before {
            Some(before) if random.random_bool(0.8) => before.r1,
            _ if random.random_bool(0.7) => Set::below(arena.shops),
            _ => some(random, arena, Set::below(arena.shops)),
        };
        let edition = u8::from(arena.honest < arena.shops && random.random_bool(0.1));
        let r2 = match before {
            Some(before) if before.r1 == r1 && random.random_bool(0.3) => before.r2,
            _ => some(random, arena, r1),
        };
        let r3 = some(random, arena, r2);
        lists.push(Lists { r1, r2, r3, edition });
    }
    let by_place = random.random_bool(0.5);
    let from = random.random_range(0..arena.shops);
    let far = random.random_range(1..=arena.shops);
    let mut shown = vec![
        Shown {
            list: 0,
            until: Until::Survivors
        };
        arena.honest
    ];
    for (place, shop) in arena
        .circle
        .iter()
        .enumerate()
        .filter(|(_, shop)| **shop < arena.honest)
    {
        let list = match by_place {
            true => usize::from((place + arena.shops - from) % arena.shops < far) % many,
            false => random.random_range(0..many),
        };
        // Shown lists without it, a shop does nothing.
        let list = match lists[list].r2.has(*shop) {
            true => list,
            false => (0..many)
                .find(|other| lists[*other].r2.has(*shop))
                .unwrap_or(list),
        };
        shown[*shop].list = list;
        if random.random_bool(0.03) {
            shown[*shop].until = Until::Update;
        }
    }
    (lists, shown)
}

/// A part of `of`: all, all but some, all but an arc of the circle or two, or an arc. The coordinator's shops mostly stay.
fn some<const W: usize>(random: &mut Stream, arena: &Arena<W>, of: Set<W>) -> Set<W> {
    let arc = |random: &mut Stream| -> Set<W> {
        let from = random.random_range(0..arena.shops);
        let long = random.random_range(1..=arena.shops.div_ceil(2));
        (0..long)
            .map(|step| arena.circle[(from + step) % arena.shops])
            .collect()
    };
    let kept = match random.random_range(0..6) {
        0 => of,
        1 => {
            let often = random.random_range(0.5..1.0);
            of.iter().filter(|_| random.random_bool(often)).collect()
        }
        2 => of.minus(&arc(random)),
        3 => of.minus(&arc(random)).minus(&arc(random)),
        4 => of.and(&arc(random).or(&arc(random))),
        _ => {
            let mut few = of;
            for _ in 0..random.random_range(1..4) {
                few.remove(random.random_range(0..arena.shops));
            }
            few
        }
    };
    match random.random_bool(0.9) {
        true => kept.or(&of.and(&arena.adversaries())),
        false => kept,
    }
}

/// `cases` attempts near `staged`: one to eight changes each.
pub(super) fn near<const W: usize>(
    random: &mut Stream,
    staged: &Staged<W>,
    cases: u64,
    judge: &mut Judge<W>,
) {
    judge.enter();
    let arena = &staged.arena;
    for _ in 0..cases {
        let (mut lists, mut shown) = (staged.lists.clone(), staged.shown.clone());
        for _ in 0..random.random_range(1..=8) {
            change(random, arena, &mut lists, &mut shown);
        }
        judge.see(arena, &lists, &shown);
    }
}

fn change<const W: usize>(
    random: &mut Stream,
    arena: &Arena<W>,
    lists: &mut Vec<Lists<W>>,
    shown: &mut [Shown],
) {
    let at = random.random_range(0..lists.len());
    let shop = random.random_range(0..arena.shops);
    let honest = random.random_range(0..arena.honest);
    let list = &mut lists[at];
    match random.random_range(0..8) {
        0 => list.r3.remove(shop),
        1 if list.r2.has(shop) => list.r3.insert(shop),
        2 => {
            list.r2.remove(shop);
            list.r3.remove(shop);
        }
        3 if list.r1.has(shop) => list.r2.insert(shop),
        4 if list.r1.has(shop) => {
            list.r2.insert(shop);
            list.r3.insert(shop);
        }
        5 => list.r3 = some(random, arena, list.r2),
        6 => shown[honest].list = at,
        7 if lists.len() < 4 => {
            let copy = lists[at];
            lists.push(copy);
            shown[honest].list = lists.len() - 1;
        }
        _ => shown[honest].until = [Until::Survivors, Until::Update][random.random_range(0..2)],
    }
}
