//! How sure a share is, and a difference of shares that somebody looks at every day.

use serde::{Deserialize, Serialize};

/// From a lower to an upper bound.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Interval {
    /// At least.
    pub low: f64,
    /// At most.
    pub high: f64,
}

/// The interval of a share of `hits` among `tries` that has 95 % of covering the true one, for one look (Wilson 1927).
pub fn wilson(hits: u64, tries: u64) -> Interval {
    if tries == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let (n, z) = (tries as f64, Z_95);
    let share = hits as f64 / n;
    let middle = share + z * z / (2.0 * n);
    let reach = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z * z / n;
    Interval {
        low: ((middle - reach) / scale).max(0.0),
        high: ((middle + reach) / scale).min(1.0),
    }
}

/// Bounds on the difference of two shares, `b` less `a`, that hold with 95 % at all looks together, however often one looks and
/// whenever one stops: the sum of two asymptotic confidence sequences, each at 97.5 % (Waudby-Smith, Arbour, Sinha, Kennedy and
/// Ramdas 2024, theorem 2.2). None while an arm has too few customers for the asymptotics.
pub fn sequential_difference(a: (u64, u64), b: (u64, u64)) -> Option<Interval> {
    let radius = |(hits, tries): (u64, u64)| {
        if tries < LEAST_TRIES {
            return None;
        }
        let n = tries as f64;
        // Half a hit and half a miss more: a share of 0 or 1 is not without variance.
        let share = (hits as f64 + 0.5) / (n + 1.0);
        let t = n * RHO * RHO + 1.0;
        let log = (t.sqrt() / ALPHA_OF_ONE).ln();
        Some((share * (1.0 - share)).sqrt() * (2.0 * t * log / (n * n * RHO * RHO)).sqrt())
    };
    let reach = radius(a)? + radius(b)?;
    let share = |(hits, tries): (u64, u64)| hits as f64 / tries as f64;
    let difference = share(b) - share(a);
    Some(Interval {
        low: (difference - reach).max(-1.0),
        high: (difference + reach).min(1.0),
    })
}

/// Of the standard normal, at 97.5 %.
const Z_95: f64 = 1.959_963_984_540_054;
const ALPHA_OF_ONE: f64 = 0.025;
/// Tightest around a thousand customers: sqrt((-2 ln a + ln(-2 ln a + 1)) / 1000) at a = .025 (equation 17 there).
const RHO: f64 = 0.0975;
const LEAST_TRIES: u64 = 100;

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use souk_common::rng::stream;

    use super::*;

    #[test]
    fn wilsons_interval_has_its_known_values() {
        // By statsmodels' proportion_confint(method="wilson").
        for (hits, tries, low, high) in [
            (0, 10, 0.0, 0.2775),
            (5, 10, 0.2366, 0.7634),
            (10, 10, 0.7225, 1.0),
            (81, 263, 0.2553, 0.3662),
        ] {
            let found = wilson(hits, tries);
            assert!(
                (found.low - low).abs() < 5e-5 && (found.high - high).abs() < 5e-5,
                "{found:?}"
            );
        }
        assert_eq!(wilson(0, 0), Interval { low: 0.0, high: 1.0 });
    }

    #[test]
    fn rho_is_the_tightest_around_a_thousand() {
        let log = -2.0 * ALPHA_OF_ONE.ln();
        let best = ((log + (log + 1.0).ln()) / 1000.0).sqrt();
        assert!((RHO - best).abs() < 5e-4, "{best}");
    }

    /// Two arms without a difference, looked at after every fifty customers: a plain interval would err in about a third of the
    /// runs, this one in one in twenty at most.
    #[test]
    fn looking_every_day_does_not_find_what_is_not_there() {
        let (mut wrong, mut plain_wrong, runs) = (0, 0, 300);
        for run in 0..runs {
            let mut rng = stream(run, "a test of two equal arms");
            let (mut a, mut b) = ((0, 0), (0, 0));
            let (mut erred, mut plain_erred) = (false, false);
            for look in 1..=100 {
                for arm in [&mut a, &mut b] {
                    arm.0 += (0..25).filter(|_| rng.random_bool(0.1)).count() as u64;
                    arm.1 += 25;
                }
                if let Some(found) = sequential_difference(a, b) {
                    erred |= found.low > 0.0 || found.high < 0.0;
                }
                if look >= 4 {
                    let share = |(hits, tries): (u64, u64)| hits as f64 / tries as f64;
                    let variance = |arm| share(arm) * (1.0 - share(arm)) / arm.1 as f64;
                    let reach = Z_95 * (variance(a) + variance(b)).sqrt();
                    plain_erred |= (share(a) - share(b)).abs() > reach;
                }
            }
            wrong += u32::from(erred);
            plain_wrong += u32::from(plain_erred);
        }
        assert!(wrong <= 15, "{wrong} of {runs}");
        assert!(
            plain_wrong >= 60,
            "{plain_wrong} of {runs}: the plain interval is what this is for"
        );
    }

    #[test]
    fn a_large_difference_is_found_and_few_customers_say_nothing() {
        assert_eq!(sequential_difference((5, 99), (50, 1000)), None);
        let found = sequential_difference((100, 2000), (240, 2000)).unwrap();
        assert!(found.low > 0.0 && found.high < 0.15, "{found:?}");
        let unsure = sequential_difference((10, 200), (14, 200)).unwrap();
        assert!(unsure.low < 0.0 && unsure.high > 0.0, "{unsure:?}");
    }
}
