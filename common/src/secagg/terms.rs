//! The numbers of a plan's masking, and what follows from them: degrees, thresholds, and why they suffice.
//!
//! Let d be a shop's neighbours in the mask graph and k = d + 1 the holders of its shares, itself included; t shops may
//! collude with each other and the coordinator. A shop counts every shop that its owner has not confirmed among the
//! colluding ones: u of them among its holders.
//!
//! * **Shares.** T = floor((k + t + u) / 2) + 1. Somebody who wants both of a shop's secrets needs 2T shares; honest holders
//!   give one each, the others two: at most k + t + u, which is below 2T. In a graph that is not complete T is also at least
//!   d/2 + t + u + 1.
//! * **Graph.** Up to [`COMPLETE_SHOPS`] shops everybody is everybody's neighbour. Above, shops stand in a circle in an order
//!   that follows from H(R1), and each is the neighbour of the d/2 on either side. A shop takes part in unmasking only if
//!   at least A = d/2 + t + 2 of its confirmed holders are survivors. Then the honest survivors' masks connect all of
//!   them, for every graph and whatever the coordinator says who dropped out: if two honest survivors follow each other in
//!   the circle more than d/2 apart, the first of them sees itself, at most d/2 survivors on its other side, and on this
//!   side nobody but colluding shops, d/2 + 1 + t in all, and refuses. Shops further from the gap see nothing of it and do
//!   reveal, but without its own share that shop's seed can't be rebuilt: its other honest holders are at most d/2, and
//!   with those it distrusts they give at most d/2 + t + u < T shares. (In the complete graph there is nothing to
//!   disconnect.) So the coordinator learns the sum over all honest survivors and of no fewer.
//! * **Confirmations.** F = floor((|R1| + t + u) / 2) + 1 members of R3 sign it, u the unknown ones of R1; never capped. So of
//!   one R1 only one pair (R2, R3) can be confirmed, however many a lying coordinator shows: two sets of F signers of R1 have
//!   more than t + u members in common, one of them honest, and an honest shop signs one H2 and one R3. Counted against R2
//!   (as until protocol version 1), two R2 that have little in common could both be confirmed.
//! * **Survivors.** So an attempt takes max(n_min, T, F) of them ([`MaskingParams::least_survivors`]).
//!
//! None of this is a matter of probability. What is one is how often an attempt fails because too many of one shop's holders
//! drop out by chance: d is chosen for that ([`MaskingParams::degree`]).

use serde::{Deserialize, Serialize};

use crate::secagg::mask::MaskCipher;
use crate::update::ModulusBits;

/// The numbers of a plan's masking.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MaskingParams {
    /// n_min: fewer survivors than these are never unmasked.
    pub min_shops: usize,
    /// t: shops that may collude.
    pub colluding: usize,
    /// The plan's d; none: derived from the number of shops.
    pub neighbours: Option<usize>,
    /// What masks are made of.
    pub cipher: MaskCipher,
    /// b.
    pub bits: ModulusBits,
    /// What a shop holds the coordinator to.
    pub safeguards: Safeguards,
}

/// What a shop holds the coordinator to: always [`Self::ALL`]. Only a simulation switches one off, on purpose, to see whether
/// an attack would be noticed that it stands against.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Safeguards {
    /// Every survivor has signed the H2 of whoever helps to unmask.
    pub bindings: bool,
    /// Confirmations are counted against R1; without it against R2, and never more than all of it.
    pub of_roster: bool,
    /// Before it is charged, enough confirmed holders, signers and shares are in R2.
    pub before_charge: bool,
}

impl Safeguards {
    /// All.
    pub const ALL: Self = Self {
        bindings: true,
        of_roster: true,
        before_charge: true,
    };

    pub(super) fn are_all(&self) -> bool {
        *self == Self::ALL
    }

    pub(super) const fn all() -> Self {
        Self::ALL
    }
}

/// The least number of `shops` any two choices of which have an honest, known shop in common. It saturates: a damaged record asks
/// for more shops than there are, and nothing is revealed.
pub(super) fn majority(shops: usize, colluding: usize, unknown: usize) -> usize {
    shops.saturating_add(colluding).saturating_add(unknown) / 2 + 1
}

impl MaskingParams {
    /// d, in a roster of `shops`: all others up to [`COMPLETE_SHOPS`]; above, the plan's, or the least even number for which
    /// an attempt in which each shop drops out with probability [`DROPOUT`] fails for want of holders at most once in
    /// 2^20 times.
    pub fn degree(&self, shops: usize) -> usize {
        let others = shops.saturating_sub(1);
        let degree = match self.neighbours {
            Some(neighbours) => neighbours,
            None if shops <= COMPLETE_SHOPS => others,
            None => self.derived_degree(shops),
        };
        degree.min(others)
    }

    /// T in a roster of `shops`, for a shop that distrusts `unknown` of its holders.
    pub fn threshold(&self, shops: usize, unknown: usize) -> usize {
        self.threshold_for(self.degree(shops), shops, unknown)
    }

    /// T of a complete graph, where all `holders` are neighbours, for a shop that distrusts `unknown` of them.
    pub fn share_threshold(&self, holders: usize, unknown: usize) -> usize {
        majority(holders, self.colluding, unknown)
    }

    fn threshold_for(&self, degree: usize, shops: usize, unknown: usize) -> usize {
        let both_secrets = self.share_threshold(degree + 1, unknown);
        match degree + 1 < shops {
            true => both_secrets.max(degree / 2 + self.colluding + unknown + 1),
            false => both_secrets,
        }
    }

    /// A: the least number of a shop's confirmed holders (itself included) among the survivors, in a roster of `shops`.
    pub fn least_alive(&self, shops: usize) -> usize {
        let degree = self.degree(shops);
        match degree + 1 < shops {
            true => degree / 2 + self.colluding + 2,
            false => 1,
        }
    }

    /// F: signatures on one list of survivors, in a roster (R1) of `shops`, of which `unknown` are distrusted. More than the
    /// survivors there are: the attempt fails.
    pub fn confirmations(&self, shops: usize, unknown: usize) -> usize {
        majority(shops, self.colluding, unknown)
    }

    /// The fewest survivors with whom an attempt with a roster (R1) of `shops` can be unmasked.
    pub fn least_survivors(&self, shops: usize) -> usize {
        self.min_shops
            .max(self.threshold(shops, 0))
            .max(self.confirmations(shops, 0))
    }

    /// Whether the numbers fit each other in a federation of `shops`.
    ///
    /// # Errors
    /// The plan's field that does not, with what it may be.
    pub fn check(&self, shops: usize) -> Result<(), MaskingParamsError> {
        if let Some(neighbours) = self.neighbours
            && (neighbours % 2 != 0 || neighbours < 2 * self.colluding + 4 || neighbours >= MOST_HOLDERS)
        {
            return Err(MaskingParamsError {
                field: "masking.neighbours",
                value: neighbours.to_string(),
                rule: format!(
                    "an even number from {} (twice masking.colluding, plus 4) to {}",
                    2 * self.colluding + 4,
                    MOST_HOLDERS - 1
                ),
            });
        }
        let degree = self.degree(shops);
        if degree + 1 > MOST_HOLDERS {
            return Err(MaskingParamsError {
                field: "masking.colluding",
                value: self.colluding.to_string(),
                rule: format!("so small that {MOST_HOLDERS} holders of a shop's shares are enough"),
            });
        }
        let threshold = self.threshold(shops, 0);
        if threshold > self.min_shops {
            return Err(MaskingParamsError {
                field: "masking.min_shops",
                value: self.min_shops.to_string(),
                rule: format!(
                    "at least {threshold}: so many shares rebuild what a shop that drops out leaves behind"
                ),
            });
        }
        Ok(())
    }

    /// How likely an attempt of `shops` fails for want of holders or of signatures on the survivors (not of the plan's quorum), if each shop drops out with probability `dropout`: a
    /// bound, by adding up over shops.
    pub fn failure_probability(&self, shops: usize, dropout: f64) -> f64 {
        let degree = self.degree(shops);
        let signers = self.threshold(shops, 0).max(self.confirmations(shops, 0));
        let in_all = too_few(shops, signers, dropout);
        if degree + 1 == shops {
            // Everybody holds shares of everybody.
            return in_all;
        }
        let needed = self.least_alive(shops).max(self.threshold(shops, 0));
        (in_all + shops as f64 * too_few(degree, needed.saturating_sub(1), dropout)).min(1.0)
    }

    fn derived_degree(&self, shops: usize) -> usize {
        let enough = |degree: &usize| {
            let needed = (degree / 2 + self.colluding + 2).max(self.threshold_for(*degree, shops, 0));
            shops as f64 * too_few(*degree, needed - 1, DROPOUT) <= MOST_FAILURES
        };
        let mut degrees = (2 * self.colluding + 4..MOST_HOLDERS).filter(|degree| degree % 2 == 0);
        degrees.find(enough).unwrap_or(MOST_HOLDERS)
    }
}

/// The probability that of `many`, each gone with probability `dropout`, fewer than `needed` are left. Sums, products and
/// quotients only, so that every machine finds the same.
fn too_few(many: usize, needed: usize, dropout: f64) -> f64 {
    // From nobody left upward, in terms that grow.
    let mut term = 1.0;
    for _ in 0..many {
        term *= dropout;
    }
    let odds = (1.0 - dropout) / dropout;
    let mut sum = 0.0;
    for left in 0..needed.min(many + 1) {
        sum += term;
        term *= (many - left) as f64 / (left + 1) as f64 * odds;
    }
    sum
}

/// A number that does not fit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MaskingParamsError {
    /// The plan's key.
    pub field: &'static str,
    /// As given.
    pub value: String,
    /// What it may be.
    pub rule: String,
}

/// Up to so many shops, masks are made between all of them.
pub const COMPLETE_SHOPS: usize = 32;

/// Shares are points of a field of 256 elements, zero excepted.
pub const MOST_HOLDERS: usize = 255;

/// The share of shops that may drop out of an attempt before holders run short, in derived graphs.
pub const DROPOUT: f64 = 0.1;

const MOST_FAILURES: f64 = 1.0 / (1u64 << 20) as f64;

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(min_shops: usize, colluding: usize) -> MaskingParams {
        MaskingParams {
            min_shops,
            colluding,
            neighbours: None,
            cipher: MaskCipher::Chacha20,
            bits: ModulusBits::B32,
            safeguards: Safeguards::ALL,
        }
    }

    #[test]
    fn the_papers_examples_and_the_bounds_hold() {
        assert_eq!(terms(4, 1).share_threshold(5, 0), 4);
        assert_eq!(terms(12, 2).share_threshold(16, 0), 10);
        assert!(terms(4, 1).check(5).is_ok() && terms(12, 2).check(16).is_ok());
        assert_eq!(terms(3, 1).check(5).unwrap_err().field, "masking.min_shops");
        for holders in 2..80 {
            for bad in 1..holders / 2 {
                let threshold = terms(1, bad).share_threshold(holders, 0);
                assert!(2 * threshold > holders + bad);
                let regular = MaskingParams {
                    neighbours: Some(2 * holders),
                    ..terms(1, bad)
                };
                assert!(2 * regular.threshold(80 * 3, 1) > 2 * holders + 1 + bad + 1);
                assert!(regular.threshold(80 * 3, 1) > holders + bad + 1);
                // Two lists of survivors: honest shops sign one, the others both.
                assert!(2 * terms(1, bad).confirmations(holders, 0) > holders + bad);
            }
        }
    }

    #[test]
    fn large_federations_get_a_graph_of_few_neighbours_that_survives_dropouts() {
        for (shops, colluding) in [(33, 1), (64, 2), (200, 5), (1000, 10)] {
            let terms = terms(shops * 7 / 10, colluding);
            let degree = terms.degree(shops);
            assert!(
                degree.is_multiple_of(2) && degree < shops && degree <= 128,
                "{shops}: {degree}"
            );
            assert!(terms.check(shops).is_ok(), "{shops}: {degree}");
            let complete = degree + 1 == shops;
            assert!(complete || terms.least_alive(shops) >= terms.threshold(shops, 0));
            assert!(terms.failure_probability(shops, DROPOUT) <= MOST_FAILURES);
        }
        assert_eq!(terms(20, 2).degree(32), 31);
        assert_eq!(
            terms(400, 200).check(1000).unwrap_err().field,
            "masking.colluding"
        );
    }

    #[test]
    fn the_binomial_tail_is_right() {
        // 1 - P(0) - P(1) left of 3, each gone with 1/4.
        assert!((too_few(3, 2, 0.25) - (1.0 / 64.0 + 9.0 / 64.0)).abs() < 1e-15);
        assert!((too_few(10, 11, 0.5) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn strange_neighbours_are_refused() {
        for neighbours in [3, 4, 256] {
            let terms = MaskingParams {
                neighbours: Some(neighbours),
                ..terms(30, 1)
            };
            assert_eq!(
                terms.check(40).unwrap_err().field,
                "masking.neighbours",
                "{neighbours}"
            );
        }
    }
}
