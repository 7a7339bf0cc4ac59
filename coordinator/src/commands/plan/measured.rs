//! Gains that were measured: the table of `docs/accuracy.md`.

use serde_json::{Value, json};
use souk_common::accountant::gaussian::mu_of;
use souk_common::params::{Delta, Epsilon};
use souk_common::release::schedule::Schedule;

/// A set of `docs/accuracy.md`: what its shops gained over their own stacks, in points of the expected hit rate, by what all
/// released and the gate let in.
pub(super) struct Measured {
    set: &'static str,
    shops: u32,
    customers: u32,
    items: u32,
    /// Epsilon at delta 1e-5, gain, its standard error.
    gains: &'static [(f64, f64, f64)],
}

/// One row of a set.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub(super) set: &'static Measured,
    pub(super) signal: f64,
    epsilon: f64,
    pub(super) points: f64,
    error: f64,
}

impl Measured {
    pub(super) fn rows(&'static self) -> impl Iterator<Item = Row> {
        // The evaluation's masks: three quarters of the shops make a sum, and one of them may collude.
        let shares = (3 * self.shops).div_ceil(4) - 1;
        let noise_factor = (f64::from(self.shops) / f64::from(shares)).sqrt();
        self.gains.iter().filter_map(move |&(epsilon, points, error)| {
            let mu = mu_of(Epsilon::new(epsilon).ok()?, Delta::new(MEASURED_DELTA).ok()?);
            Some(Row {
                set: self,
                signal: Schedule::signal(mu, u64::from(self.customers), self.items as usize, noise_factor),
                epsilon,
                points,
                error,
            })
        })
    }

    pub(super) fn per_shop(&self) -> f64 {
        (f64::from(self.customers) / f64::from(self.shops)).round()
    }
}

impl Row {
    /// How unlike two federations are, in S and customers a shop: 1 is a factor of e in one of them.
    pub(super) fn distance(&self, signal: f64, customers: f64) -> f64 {
        (self.signal / signal).ln().abs() + (self.set.per_shop() / customers).ln().abs()
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "set": self.set.set,
            "customers": self.set.customers,
            "shops": self.set.shops,
            "items": self.set.items,
            "epsilon": self.epsilon,
            "signal": self.signal,
            "points": self.points,
            "standard_error": self.error,
        })
    }

    pub(super) fn text(&self) -> String {
        format!(
            "{}, {:.0} customers a shop at S {:.0}: {:+.2} ± {:.2}",
            self.set.set,
            self.set.per_shop(),
            self.signal,
            self.points,
            self.error
        )
    }
}

/// Least and most of a figure.
#[derive(Clone, Copy)]
pub(super) struct Reach {
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Reach {
    fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        Self {
            least: values.clone().fold(f64::INFINITY, f64::min),
            most: values.fold(0.0, f64::max),
        }
    }

    pub(super) fn holds(self, value: f64) -> bool {
        (self.least..=self.most).contains(&value)
    }
}

/// Of S, and of customers a shop.
pub(super) fn reach(rows: &[Row]) -> (Reach, Reach) {
    (
        Reach::of(rows.iter().map(|row| row.signal)),
        Reach::of(rows.iter().map(|row| row.set.per_shop())),
    )
}

const MEASURED_DELTA: f64 = 1e-5;
pub(super) static MEASURED: [Measured; 4] = [
    Measured {
        set: "MovieLens 100K in 10 shops",
        shops: 10,
        customers: 943,
        items: 1682,
        gains: &[
            (8.0, 0.06, 0.48),
            (4.0, -0.12, 0.39),
            (2.0, -0.01, 0.13),
            (1.0, 0.15, 0.13),
        ],
    },
    Measured {
        set: "MovieLens 100K in 30 shops",
        shops: 30,
        customers: 943,
        items: 1682,
        gains: &[(8.0, 4.83, 0.87)],
    },
    Measured {
        set: "Online Retail",
        shops: 8,
        customers: 4078,
        items: 3149,
        gains: &[
            (8.0, 1.66, 0.27),
            (4.0, 0.82, 0.20),
            (2.0, -0.11, 0.07),
            (1.0, 0.01, 0.07),
        ],
    },
    Measured {
        set: "The Complete Journey",
        shops: 10,
        customers: 2448,
        items: 1882,
        gains: &[
            (8.0, 2.34, 0.42),
            (4.0, 1.47, 0.31),
            (2.0, 0.40, 0.20),
            (1.0, 0.02, 0.03),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_that_of_the_page() {
        let page = include_str!("../../../../docs/accuracy.md");
        for (set, heading) in MEASURED.iter().zip([
            "**MovieLens 100K, 943 customers in 10 shops, 1,682 items**",
            "**The same in 30 shops**",
            "**Online Retail, 5-core, 4,078 customers in 8 shops, 3,149 items**",
            "**The Complete Journey, product types, 2,448 customers in 10 shops, 1,882 items**",
        ]) {
            let (_, after) = page.split_once(heading).expect(heading);
            let section = after.split("\n**").next().expect("a first part");
            let digits = heading.replace(',', "");
            for number in [set.customers, set.shops, set.items] {
                assert!(
                    digits.contains(&number.to_string()) || heading.starts_with("**The same"),
                    "{heading}: {number}"
                );
            }
            let measured = section.matches("together, gated").count();
            assert_eq!(measured, set.gains.len(), "{heading}");
            for (epsilon, points, error) in set.gains {
                let row = format!("| together, gated, epsilon {epsilon} |");
                let line = section.lines().find(|line| line.starts_with(&row)).expect(&row);
                assert!(
                    line.contains(&format!("| {points:+.2} ± {error:.2} |")),
                    "{line}: {points}"
                );
            }
        }
    }

    #[test]
    fn signals_are_those_of_the_rule() {
        let rows: Vec<Row> = MEASURED.iter().flat_map(Measured::rows).collect();
        // mu N / (sqrt(M) f) by hand: 1.66603 * 4078 / (sqrt(3149) * sqrt(8 / 5)).
        let retail = rows
            .iter()
            .find(|row| row.set.shops == 8 && row.epsilon == 8.0)
            .expect("a row");
        assert!((retail.signal - 95.713).abs() < 0.01, "{}", retail.signal);
        let (signals, sizes) = reach(&rows);
        assert!(signals.most == retail.signal && signals.least < 6.0 && signals.least > 5.0);
        assert!(sizes.holds(100.0) && !sizes.holds(30.0) && !sizes.holds(511.0));
    }
}
