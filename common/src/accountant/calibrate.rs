//! From an epsilon to the noise it takes.

use super::{Accountant, Composition, Relation, SampledGaussian};
use crate::params::{Delta, Epsilon, NoiseMultiplier, SamplingRate};

/// What rounds must stay within.
#[derive(Clone, Copy, Debug)]
pub struct CalibrationTarget {
    /// At most this epsilon,
    pub epsilon: Epsilon,
    /// at this delta,
    pub delta: Delta,
    /// between such data sets,
    pub relation: Relation,
    /// by this bound.
    pub accountant: Accountant,
}

impl CalibrationTarget {
    /// For adding or removing one user, by the tightest bound.
    pub fn new(epsilon: Epsilon, delta: Delta) -> Self {
        Self {
            epsilon,
            delta,
            relation: Relation::default(),
            accountant: Accountant::default(),
        }
    }

    fn holds(&self, noise: NoiseMultiplier, sampling_rate: SamplingRate, rounds: u64) -> bool {
        let mechanism = SampledGaussian {
            noise_multiplier: noise,
            sampling_rate,
        };
        Composition::of(mechanism, rounds)
            .epsilon_by(self.accountant, self.relation, self.delta)
            .is_some_and(|epsilon| epsilon <= self.epsilon)
    }
}

/// The smallest noise multiplier (to one part in a million, rounded up) with which `rounds` rounds stay within `target`.
///
/// # Errors
/// When no noise multiplier that Souk takes is enough.
pub fn noise_multiplier(
    sampling_rate: SamplingRate,
    rounds: u64,
    target: &CalibrationTarget,
) -> Result<NoiseMultiplier, CalibrationError> {
    let holds = |noise: f64| {
        NoiseMultiplier::new(noise).is_ok_and(|noise| target.holds(noise, sampling_rate, rounds))
    };
    // Outward from 1 until the answer lies in between.
    let (mut low, mut high) = (LEAST_NOISE, MOST_NOISE);
    let mut step = 4.0;
    let mut guess = 1.0;
    if holds(guess) {
        high = guess;
        while guess > LEAST_NOISE {
            guess = (guess / step).max(LEAST_NOISE);
            if !holds(guess) {
                low = guess;
                break;
            }
            high = guess;
        }
    } else {
        while guess < MOST_NOISE {
            low = guess;
            guess = (guess * step).min(MOST_NOISE);
            step *= step;
            if holds(guess) {
                high = guess;
                break;
            }
        }
    }
    let failed = CalibrationError {
        epsilon: target.epsilon.get(),
        rounds,
    };
    if !holds(high) {
        return Err(failed);
    }
    while high > low * (1.0 + 1e-6) {
        let middle = (low * high).sqrt();
        if holds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    NoiseMultiplier::new(high).map_err(|_| failed)
}

/// No noise is enough.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "no noise multiplier up to {MOST_NOISE} keeps {rounds} rounds within epsilon {epsilon}; raise epsilon or delta, \
     or take fewer rounds"
)]
pub struct CalibrationError {
    epsilon: f64,
    rounds: u64,
}

const LEAST_NOISE: f64 = 0.01;
const MOST_NOISE: f64 = 1e6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accountant::vectors::table;

    /// q, rounds, epsilon, our noise, and the epsilon of that noise at delta 1e-6 by dp-accounting's pessimistic PLD with
    /// steps of 1e-4. In these five cells the reference took steps of 1e-3, as wide as a round's losses, and asks for up
    /// to 6 % too much noise.
    const CHECKED: [[f64; 5]; 5] = [
        [0.01, 1000.0, 0.5, 2.7024, 0.500_032],
        [0.01, 10_000.0, 0.5, 8.1076, 0.500_284],
        [0.01, 10_000.0, 1.0, 4.3022, 1.000_135],
        [0.05, 1000.0, 0.5, 12.8174, 0.500_027],
        [0.1, 1000.0, 0.5, 25.5449, 0.500_026],
    ];

    #[test]
    fn it_finds_the_references_noise() {
        let rows = table("calibration.csv");
        assert_eq!(rows.len(), 50);
        for row in &rows {
            let [q, rounds, delta, epsilon, by_rdp, truth] = row[..] else {
                panic!("{row:?}")
            };
            let rate = SamplingRate::new(q).unwrap();
            let mut target =
                CalibrationTarget::new(Epsilon::new(epsilon).unwrap(), Delta::new(delta).unwrap());
            let tight = noise_multiplier(rate, rounds as u64, &target).unwrap().get();
            assert!(tight <= 1.005 * truth, "{row:?}: {tight}");
            let checked = CHECKED
                .iter()
                .find(|cell| (cell[0], cell[1], cell[2]) == (q, rounds, epsilon));
            match checked {
                None => assert!(tight >= 0.995 * truth, "{row:?}: {tight}"),
                Some([.., noise, at_it]) => {
                    assert!((tight / noise - 1.0).abs() < 1e-4, "{row:?}: {tight}");
                    assert!((at_it / epsilon - 1.0).abs() < 0.001, "{row:?}");
                }
            }
            target.accountant = Accountant::Rdp;
            let loose = noise_multiplier(rate, rounds as u64, &target).unwrap().get();
            assert!(
                loose <= by_rdp * 1.005 && loose >= tight * 0.9999,
                "{row:?}: {loose}"
            );
        }
    }

    #[test]
    fn the_noise_leads_back_to_the_epsilon_and_the_impossible_is_an_error() {
        let (rate, delta) = (SamplingRate::new(0.1).unwrap(), Delta::new(1e-6).unwrap());
        let target = CalibrationTarget::new(Epsilon::new(3.0).unwrap(), delta);
        let noise_multiplier = noise_multiplier(rate, 50, &target).unwrap();
        let mechanism = SampledGaussian {
            noise_multiplier,
            sampling_rate: rate,
        };
        let back = Composition::of(mechanism, 50).epsilon(delta).unwrap().get();
        assert!(back <= 3.0 && back > 2.999, "{back}");
        let impossible = CalibrationTarget::new(Epsilon::new(1e-9).unwrap(), Delta::new(1e-12).unwrap());
        let error = super::noise_multiplier(SamplingRate::new(1.0).unwrap(), 1_000_000_000, &impossible);
        assert!(error.unwrap_err().to_string().contains("fewer rounds"));
    }
}
