//! Attempts staged as the known attacks are, with all their measures tried.

use souk_common::ids::Digest;

use super::arena::{Arena, Lists, Shown, Until, circle_of, terms};
use super::exhaustive::{Part, parts, stage};
use super::judge::Judge;
use super::set::Set;

/// The numbers of a larger federation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    pub(super) shops: usize,
    pub(super) min_shops: usize,
    /// d; none: complete.
    pub(super) neighbours: Option<usize>,
    /// t. So many of the shops are the coordinator's where a stage has a use for them.
    pub(super) colluding: usize,
}

/// An attempt that some set of rules fell to.
#[derive(Clone)]
pub(super) struct Staged<const W: usize> {
    pub(super) arena: Arena<W>,
    pub(super) lists: Vec<Lists<W>>,
    pub(super) shown: Vec<Shown>,
}

/// Shows an attempt to the judge, and keeps it if it is an attack on something.
fn show<const W: usize>(
    judge: &mut Judge<W>,
    arena: &Arena<W>,
    lists: &[Lists<W>],
    shown: &[Shown],
    found: &mut Vec<Staged<W>>,
) {
    if judge.see(arena, lists, shown) {
        found.push(Staged {
            arena: arena.clone(),
            lists: lists.to_vec(),
            shown: shown.to_vec(),
        });
    }
}

/// The first attack: some shops that follow each other in the circle are shown an R2 without their neighbours, everybody
/// else R2 = R3 = all. The coordinator is alone, or has one colluding shop.
pub(super) fn isolation<const W: usize>(numbers: &Numbers, judge: &mut Judge<W>, found: &mut Vec<Staged<W>>) {
    let Numbers { shops, min_shops, .. } = *numbers;
    let terms = terms(min_shops, numbers.colluding, numbers.neighbours);
    let circle = circle_of(&Digest::of(&shops.to_le_bytes()), shops);
    for adversaries in 0..=numbers.colluding.min(1) {
        let arena = Arena {
            circle: circle.clone(),
            ..Arena::new(terms, shops - adversaries, adversaries, 0)
        };
        judge.enter();
        let all = Set::below(shops);
        let graph = arena.graph(&all);
        let honest: Vec<usize> = circle
            .iter()
            .copied()
            .filter(|shop| *shop < arena.honest)
            .collect();
        for many in 1..=3 {
            let victims: Set<W> = honest.iter().copied().take(many).collect();
            let near = victims.iter().fold(victims, |near, shop| near.or(&graph[shop]));
            let far = all.minus(&near).iter().take(min_shops.saturating_sub(many));
            let seen = victims.or(&far.collect());
            let everybody = Lists {
                r1: all,
                r2: all,
                r3: all,
                edition: 0,
            };
            for r3 in [seen, Set::EMPTY] {
                let lists = [
                    everybody,
                    Lists {
                        r2: seen,
                        r3,
                        ..everybody
                    },
                ];
                let shown: Vec<Shown> = (0..arena.honest)
                    .map(|shop| Shown {
                        list: usize::from(victims.has(shop)),
                        until: Until::Survivors,
                    })
                    .collect();
                show(judge, &arena, &lists, &shown, found);
            }
        }
    }
}

/// The second attack: two triples of lists in a complete graph, up to `kinds` different parts, each played by any number of
/// shops. `adversaries` colluding shops.
pub(super) fn rosters(
    numbers: &Numbers,
    adversaries: usize,
    kinds: usize,
    judge: &mut Judge<1>,
    found: &mut Vec<Staged<1>>,
) {
    choose(&parts(0), kinds, 0, &mut Vec::new(), &mut |chosen| {
        played_by_any(numbers, adversaries, chosen, judge, found);
    });
}

/// The second attack with the parts that it has. One group unmasks itself under a roster of its own; it stands silently in the
/// survivors of the other, as far as those need it for n_min. Some of the others stand in the first roster, and are said to
/// have dropped out of their own: so their mask keys come out there, and strip the first group's masks.
pub(super) fn two_groups(
    numbers: &Numbers,
    adversaries: usize,
    judge: &mut Judge<1>,
    found: &mut Vec<Staged<1>>,
) {
    let part = |list, until, levels| Part { list, until, levels };
    let inside = part(0, Until::Survivors, [3, 0]);
    let lent = part(0, Until::Survivors, [3, 3]);
    let stripped = part(1, Until::Update, [3, 2]);
    let others = part(1, Until::Survivors, [0, 3]);
    for chosen in [&[inside, lent, stripped, others][..], &[inside, stripped, others]] {
        played_by_any(numbers, adversaries, chosen, judge, found);
    }
}

fn played_by_any(
    numbers: &Numbers,
    adversaries: usize,
    chosen: &[Part],
    judge: &mut Judge<1>,
    found: &mut Vec<Staged<1>>,
) {
    let terms = terms(numbers.min_shops, numbers.colluding, None);
    let arena = Arena::new(terms, numbers.shops - adversaries, adversaries, 0);
    judge.enter();
    let (mut lists, mut shown) = (Vec::new(), Vec::new());
    split(arena.honest, chosen.len(), &mut Vec::new(), &mut |sizes| {
        let played = chosen.iter().zip(sizes);
        let played = played.flat_map(|(part, many)| std::iter::repeat_n(*part, *many));
        for another_edition in [false, true] {
            if adversaries > 0 || !another_edition {
                stage(&arena, played.clone(), another_edition, &mut lists, &mut shown);
                show(judge, &arena, &lists, &shown, found);
            }
        }
    });
}

/// Calls with every choice of 1 to `most` of `parts`.
fn choose(parts: &[Part], most: usize, from: usize, chosen: &mut Vec<Part>, call: &mut dyn FnMut(&[Part])) {
    if !chosen.is_empty() {
        call(chosen);
    }
    if chosen.len() == most {
        return;
    }
    for at in from..parts.len() {
        chosen.push(parts[at]);
        choose(parts, most, at + 1, chosen, call);
        chosen.pop();
    }
}

/// Calls with every way to write `sum` as so many numbers from 1.
fn split(sum: usize, into: usize, sizes: &mut Vec<usize>, call: &mut dyn FnMut(&[usize])) {
    if into == 1 {
        sizes.push(sum);
        call(sizes);
        sizes.pop();
        return;
    }
    for first in 1..=(sum + 1).saturating_sub(into) {
        sizes.push(first);
        split(sum - first, into - 1, sizes, call);
        sizes.pop();
    }
}

/// The third attack: two R2 of one roster on a circle. Shops that follow each other (K) and one or two between the others'
/// ends (Z) see K, Z and the colluding shop; the others (B) see each other and Z, and are told that Z dropped out. So Z's
/// masks go, and K is cut from it.
pub(super) fn two_sharers<const W: usize>(
    numbers: &Numbers,
    judge: &mut Judge<W>,
    found: &mut Vec<Staged<W>>,
) {
    let Numbers { shops, min_shops, .. } = *numbers;
    let terms = terms(min_shops, numbers.colluding, numbers.neighbours);
    let half = terms.degree(shops) / 2;
    // From n_min on it would be no attack.
    for inside in half..min_shops.min(shops.saturating_sub(2)) {
        let outside = shops - inside;
        for colluder in 1..=outside {
            let place = inside - 1 + colluder;
            let mut circle: Vec<usize> = (0..shops - 1).collect();
            circle.insert(place, shops - 1);
            let arena: Arena<W> = Arena {
                circle,
                ..Arena::new(terms, shops - 1, 1, 0)
            };
            judge.enter();
            let middle: Vec<usize> = (outside.saturating_sub(half) + 1..=half.min(outside))
                .filter(|step| *step != colluder)
                .map(|step| arena.circle[inside - 1 + step])
                .collect();
            let pairs = middle.iter().flat_map(|one| {
                let others = middle.iter().filter(move |other| *other >= one);
                others.map(move |other| Set::EMPTY.with(*one).with(*other))
            });
            for between in pairs {
                let kept: Set<W> = arena.circle[..inside].iter().copied().collect();
                let adversary = arena.adversaries();
                let ours = kept.or(&between).or(&adversary);
                let rest = Set::below(shops).minus(&kept).minus(&between);
                // Others refuse.
                if ours.len() < min_shops || rest.len() < min_shops {
                    continue;
                }
                let r1 = Set::below(shops);
                let lists = [
                    Lists {
                        r1,
                        r2: ours,
                        r3: ours,
                        edition: 0,
                    },
                    Lists {
                        r1,
                        r2: rest.or(&between),
                        r3: rest,
                        edition: 0,
                    },
                ];
                let shown: Vec<Shown> = (0..arena.honest)
                    .map(|shop| Shown {
                        list: usize::from(rest.has(shop)),
                        until: Until::Survivors,
                    })
                    .collect();
                show(judge, &arena, &lists, &shown, found);
            }
        }
    }
}

/// A part of the circle is cut off: everybody in two gaps is said to have dropped out, but for the coordinator's shops in
/// them, t in each, of which an owner has confirmed those of the gap that is nearer. No known attack, but what T and A are
/// for.
pub(super) fn gaps<const W: usize>(numbers: &Numbers, judge: &mut Judge<W>, found: &mut Vec<Staged<W>>) {
    let Numbers {
        shops,
        min_shops,
        colluding,
        ..
    } = *numbers;
    let terms = terms(min_shops, colluding, numbers.neighbours);
    let half = terms.degree(shops) / 2;
    for inside in 1..min_shops {
        for gap in half..=half + 2 * colluding + 1 {
            if inside + 2 * gap >= shops {
                continue;
            }
            // The adversaries stand far from the part's ends, at the other ends of the gaps, or next to it.
            for (next_to_part, reach) in [(true, 1), (false, half), (false, gap)] {
                let step = |nth: usize| {
                    if next_to_part {
                        nth
                    } else {
                        (reach - 1).saturating_sub(nth)
                    }
                };
                let ahead: Vec<usize> = (0..colluding).map(|nth| inside + step(nth)).collect();
                let behind: Vec<usize> = (0..colluding).map(|nth| shops - 1 - step(nth)).collect();
                gap_of(numbers, inside, gap, [&ahead, &behind], judge, found);
            }
        }
    }
}

fn gap_of<const W: usize>(
    numbers: &Numbers,
    inside: usize,
    gap: usize,
    adversaries: [&[usize]; 2],
    judge: &mut Judge<W>,
    found: &mut Vec<Staged<W>>,
) {
    let Numbers {
        shops,
        min_shops,
        colluding,
        ..
    } = *numbers;
    let terms = terms(min_shops, colluding, numbers.neighbours);
    let honest = shops - 2 * colluding;
    let mut names = 0..honest;
    let mut circle = vec![0; shops];
    let mut own = honest..shops;
    for side in adversaries {
        for place in side {
            circle[*place] = own.next().unwrap_or_default();
        }
    }
    let taken: Set<W> = adversaries.iter().flat_map(|side| side.iter().copied()).collect();
    for place in (0..shops).filter(|place| !taken.has(*place)) {
        circle[place] = names.next().unwrap_or_default();
    }
    let mut arena: Arena<W> = Arena {
        circle,
        ..Arena::new(terms, honest, 0, 2 * colluding)
    };
    let middle = (inside / 2, inside + (shops - inside) / 2);
    for place in 0..shops {
        let shop = arena.circle[place];
        let side = usize::from(place < middle.0 || place >= middle.1);
        if shop < honest {
            for known in adversaries[side] {
                let known = arena.circle[*known];
                arena.known[shop].insert(known);
            }
        }
    }
    judge.enter();
    let all = Set::below(shops);
    let missing = (inside..inside + gap).chain(shops - gap..shops);
    let missing: Set<W> = missing.map(|place| arena.circle[place]).collect();
    let r3 = all.minus(&missing).or(&arena.adversaries());
    for r2 in [all, r3] {
        let lists = [Lists {
            r1: all,
            r2,
            r3,
            edition: 0,
        }];
        let until = Until::Survivors;
        let shown = vec![Shown { list: 0, until }; honest];
        show(judge, &arena, &lists, &shown, found);
    }
}
