//! One masked attempt as the coordinator stages it: who is honest, who knows whom, who stands where, and which lists each
//! honest shop is shown.

use souk_common::ids::Digest;
use souk_common::secagg::graph::neighbours;
use souk_common::secagg::mask::MaskCipher;
use souk_common::secagg::{MaskingParams, Safeguards};
use souk_common::update::ModulusBits;

use super::set::Set;

/// The shops of an attempt: 0 to `honest` - 1 are honest, the others the coordinator's.
#[derive(Clone, Debug)]
pub(super) struct Arena<const W: usize> {
    pub(super) terms: MaskingParams,
    pub(super) honest: usize,
    pub(super) shops: usize,
    /// Whom each honest shop's owner has confirmed, itself included: of the coordinator's shops at most t.
    pub(super) known: Vec<Set<W>>,
    /// The shop at each place of the circle. Shops that a roster lacks are skipped.
    pub(super) circle: Vec<usize>,
}

impl<const W: usize> Arena<W> {
    /// One in which all owners have confirmed all honest shops and the same `colluding` others; `invented` ones nobody knows.
    /// Shops stand in the circle as they are numbered.
    pub(super) fn new(terms: MaskingParams, honest: usize, colluding: usize, invented: usize) -> Self {
        let shops = honest + colluding + invented;
        Self {
            terms,
            honest,
            shops,
            known: vec![Set::below(honest + colluding); honest],
            circle: (0..shops).collect(),
        }
    }

    /// The honest.
    pub(super) fn honest_set(&self) -> Set<W> {
        Set::below(self.honest)
    }

    /// The coordinator's.
    pub(super) fn adversaries(&self) -> Set<W> {
        Set::below(self.shops).minus(&self.honest_set())
    }

    /// Each shop's neighbours in `roster`; of shops that it lacks nobody.
    pub(super) fn graph(&self, roster: &Set<W>) -> Vec<Set<W>> {
        let ring: Vec<usize> = self
            .circle
            .iter()
            .copied()
            .filter(|shop| roster.has(*shop))
            .collect();
        let degree = self.terms.degree(ring.len());
        let mut graph = vec![Set::EMPTY; self.shops];
        for (at, shop) in ring.iter().enumerate() {
            graph[*shop] = match degree + 1 < ring.len() {
                true => (1..=degree / 2)
                    .flat_map(|step| [(at + step) % ring.len(), (at + ring.len() - step) % ring.len()])
                    .map(|place| ring[place])
                    .collect(),
                false => {
                    let mut others = *roster;
                    others.remove(*shop);
                    others
                }
            };
        }
        graph
    }
}

/// The lists that some shops are shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Lists<const W: usize> {
    pub(super) r1: Set<W>,
    pub(super) r2: Set<W>,
    pub(super) r3: Set<W>,
    /// Rosters of the same members differ in it if one of the coordinator's shops signed several advertisements.
    pub(super) edition: u8,
}

/// How far the coordinator goes with a shop. What it leaves out is a dropout.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Until {
    /// Shown nothing, or nothing that it accepts.
    Nothing,
    /// Shown R1: it makes shares.
    Shares,
    /// Shown R2 as well: it uploads, and signs H2.
    Update,
    /// Shown R3 and whatever signatures there are as well.
    Survivors,
}

/// What an honest shop is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shown {
    /// Which of the lists.
    pub(super) list: usize,
    pub(super) until: Until,
}

/// Terms of which only the numbers matter.
pub(super) fn terms(min_shops: usize, colluding: usize, neighbours: Option<usize>) -> MaskingParams {
    MaskingParams {
        min_shops,
        colluding,
        neighbours,
        cipher: MaskCipher::Chacha20,
        bits: ModulusBits::B32,
        safeguards: Safeguards::ALL,
    }
}

/// The order in which `shops` of a roster of that digest stand in the project's circle, from its graph of two neighbours each.
pub(super) fn circle_of(roster: &Digest, shops: usize) -> Vec<usize> {
    let graph = neighbours(roster, shops, 2);
    let mut circle = vec![0];
    let mut before = 0;
    while circle.len() < shops {
        let last = circle[circle.len() - 1];
        let ahead = graph[last].iter().map(|next| *next as usize);
        let next = ahead.filter(|next| circle.len() == 1 || *next != before).min();
        before = last;
        // A circle of three or more has two neighbours for each; of fewer, the rest in order.
        circle.push(next.unwrap_or(circle.len()));
    }
    circle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_those_of_the_programs_in_circles_and_complete_graphs() {
        for (shops, degree) in [(3, 2), (9, 8), (12, 6), (64, 40), (200, 54)] {
            let digest = Digest::of(&[shops as u8]);
            let arena: Arena<4> = Arena {
                circle: circle_of(&digest, shops),
                ..Arena::new(terms(2, 1, Some(degree)), shops, 0, 0)
            };
            let theirs = neighbours(&digest, shops, arena.terms.degree(shops));
            for (ours, theirs) in arena.graph(&Set::below(shops)).iter().zip(theirs) {
                assert_eq!(*ours, theirs.into_iter().map(|shop| shop as usize).collect());
            }
        }
    }

    #[test]
    fn shops_that_a_roster_lacks_leave_no_gap_in_the_circle() {
        let arena: Arena<1> = Arena::new(terms(2, 0, Some(2)), 6, 0, 0);
        let graph = arena.graph(&[0, 1, 3, 4, 5].into_iter().collect());
        assert_eq!(graph[1].to_string(), "0,3");
        assert_eq!(graph[2], Set::EMPTY);
    }
}
