//! What came of an experiment: for each arm how many of its customers bought something that they had not bought before, within the
//! days that count after their first list.

use std::collections::HashMap;
use std::io;

use serde::{Deserialize, Serialize};
use souk_common::clock::Timestamp;
use utoipa::ToSchema;

use super::exposures::{Exposure, read};
use super::intervals::{Interval, sequential_difference, wilson};
use super::{Arm, ExperimentConfig};
use crate::events::live::LiveEvents;
use crate::folder::Folder;
use crate::recommend::shelf::Shelf;

/// What came of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct ExperimentReport {
    /// The experiment.
    pub name: String,
    /// Days after the first list within which purchases count.
    pub days: u32,
    /// When the first customer saw a list, in seconds since 1970; none: nobody did yet.
    #[serde(default)]
    pub since: Option<i64>,
    /// Weakest first.
    pub arms: Vec<ArmReport>,
    /// Each later arm less the first one.
    pub differences: Vec<Difference>,
    /// What the reader should know.
    pub notes: Vec<String>,
}

/// What came of an arm.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct ArmReport {
    /// `bestsellers`, `alone` or `together`.
    pub arm: String,
    /// Customers who saw a list of it.
    pub customers: u64,
    /// Of those, who bought something new within the days.
    pub bought: u64,
    /// The share; none without customers.
    pub share: Option<f64>,
    /// 95 %, for one look (Wilson).
    pub low: f64,
    /// See `low`.
    pub high: f64,
}

/// A comparison.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Difference {
    /// This arm.
    pub arm: String,
    /// Less that one.
    pub less: String,
    /// Of the shares.
    pub difference: f64,
    /// Bounds that hold with 95 % however often one looks; none with fewer than 100 customers in an arm.
    pub low: Option<f64>,
    /// See `low`.
    pub high: Option<f64>,
    /// In words.
    pub words: String,
}

impl ExperimentReport {
    /// Of the shop in `folder`, by what its shelf and its events have.
    ///
    /// # Errors
    /// Of the disk.
    pub fn of_shop(
        folder: &Folder,
        config: &ExperimentConfig,
        shelf: &Shelf,
        live: &LiveEvents,
        now: Timestamp,
    ) -> io::Result<Self> {
        let is_missing = |arm: &Arm| *arm != Arm::Bestsellers && shelf.of_arm(*arm).is_none();
        let missing = config.arms().filter(is_missing);
        let notes = missing.map(|arm| {
            format!("there is nothing that makes lists of the arm {arm} now: its customers get what everybody gets")
        });
        let purchases = Known { shelf, live };
        let exposures = read(folder, config)?;
        Ok(Self::new(config, &exposures, &purchases, now, notes.collect()))
    }
}

/// What the store has, and what was reported since.
struct Known<'a> {
    shelf: &'a Shelf,
    live: &'a LiveEvents,
}

impl FirstPurchases for Known<'_> {
    fn of(&self, customer: &str) -> Vec<i64> {
        let row = self.shelf.customer(customer);
        let history = row.map(|row| &self.shelf.lists.dataset.histories[row]);
        let is_known = |item: &str| {
            let row = self.shelf.item(item).ok();
            row.is_some_and(|row| history.is_some_and(|history| history.items.contains(&row)))
        };
        let live = self.live.purchases_of(customer).into_iter();
        let live = live
            .filter(|(item, _)| !is_known(item))
            .map(|(_, time)| time.0.div_euclid(1000));
        let stored = history
            .into_iter()
            .flat_map(|history| history.times.iter().copied());
        stored.chain(live).collect()
    }
}

/// When a customer bought each of their items for the first time, in seconds since 1970.
pub trait FirstPurchases {
    /// Of a customer, as compared.
    fn of(&self, customer: &str) -> Vec<i64>;
}

impl ExperimentReport {
    /// As of `now`.
    pub fn new(
        config: &ExperimentConfig,
        exposures: &HashMap<String, Exposure>,
        purchases: &dyn FirstPurchases,
        now: Timestamp,
        mut notes: Vec<String>,
    ) -> Self {
        let window = i64::from(config.days()) * 86_400;
        let mut counts: HashMap<Arm, (u64, u64)> = HashMap::new();
        let mut moved = 0;
        for (customer, exposure) in exposures {
            // Shares were changed under the same name: who moved to another arm tells of neither.
            if config.arm_of(customer) != exposure.arm {
                moved += 1;
                continue;
            }
            let (bought, customers) = counts.entry(exposure.arm).or_default();
            *customers += 1;
            let counts = |time: &i64| (exposure.since..=exposure.since + window).contains(time);
            *bought += u64::from(purchases.of(customer).iter().any(counts));
        }
        if moved > 0 {
            notes.push(format!(
                "{moved} customers saw another arm's lists before the shares were changed and are left out: give the experiment a new name \
                 whenever shares change"
            ));
        }
        let running = exposures
            .values()
            .filter(|exposure| exposure.since + window > now.0.div_euclid(1000));
        let running = running.count();
        if running > 0 {
            notes.push(format!("the days of {running} customers are not over yet"));
        }
        let count = |arm: Arm| counts.get(&arm).copied().unwrap_or_default();
        let arms: Vec<Arm> = config.arms().collect();
        let report = |arm: &Arm| {
            let (bought, customers) = count(*arm);
            let Interval { low, high } = wilson(bought, customers);
            ArmReport {
                arm: arm.to_string(),
                customers,
                bought,
                share: (customers > 0).then(|| bought as f64 / customers as f64),
                low,
                high,
            }
        };
        let first = arms[0];
        let differences = arms[1..]
            .iter()
            .filter_map(|arm| difference(first, count(first), *arm, count(*arm)));
        Self {
            name: config.name().to_owned(),
            days: config.days(),
            since: exposures.values().map(|exposure| exposure.since).min(),
            arms: arms.iter().map(report).collect(),
            differences: differences.collect(),
            notes,
        }
    }
}

fn difference(a: Arm, of_a: (u64, u64), b: Arm, of_b: (u64, u64)) -> Option<Difference> {
    if of_a.1 == 0 || of_b.1 == 0 {
        return None;
    }
    let share = |(hits, tries): (u64, u64)| hits as f64 / tries as f64;
    let difference = share(of_b) - share(of_a);
    let bounds = sequential_difference(of_a, of_b);
    let points = |share: f64| format!("{:+.1}", 100.0 * share);
    let words = match bounds {
        None => format!("fewer than 100 customers in an arm: nothing can be said of {b} against {a} yet"),
        Some(Interval { low, high }) => {
            let says = if low > 0.0 {
                format!("{b} sells to more customers than {a}")
            } else if high < 0.0 {
                format!("{b} sells to fewer customers than {a}")
            } else {
                format!("no difference of {b} and {a} is certain yet")
            };
            format!(
                "{says}: {} customers in 100, from {} to {} (95 %, however often you look)",
                points(difference),
                points(low),
                points(high)
            )
        }
    };
    Some(Difference {
        arm: b.to_string(),
        less: a.to_string(),
        difference,
        low: bounds.map(|bounds| bounds.low),
        high: bounds.map(|bounds| bounds.high),
        words,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bought(HashMap<String, Vec<i64>>);

    impl FirstPurchases for Bought {
        fn of(&self, customer: &str) -> Vec<i64> {
            self.0.get(customer).cloned().unwrap_or_default()
        }
    }

    const DAY: i64 = 86_400;

    #[test]
    fn purchases_count_from_the_first_list_for_the_days_that_were_said() {
        let config: ExperimentConfig =
            toml::from_str("name = 'a'\nalone = 1\ntogether = 1\ndays = 7").unwrap();
        let arm = |user: &str| config.arm_of(user);
        let exposed = |user: &str| {
            (
                user.to_owned(),
                Exposure {
                    arm: arm(user),
                    since: 100 * DAY,
                },
            )
        };
        let users = ["before", "within", "after", "never"];
        let mut exposures: HashMap<String, Exposure> = users.iter().map(|user| exposed(user)).collect();
        let times = [("before", 99 * DAY), ("within", 103 * DAY), ("after", 108 * DAY)];
        let bought = times.map(|(user, time)| (user.to_owned(), vec![time]));
        let bought = Bought(bought.into_iter().collect());
        let now = Timestamp::from_secs(105 * DAY);
        let report = ExperimentReport::new(&config, &exposures, &bought, now, Vec::new());
        let sum = |of: fn(&ArmReport) -> u64| report.arms.iter().map(of).sum::<u64>();
        assert_eq!(
            (sum(|arm| arm.customers), sum(|arm| arm.bought)),
            (4, 1),
            "{report:?}"
        );
        assert!(report.notes[0].contains("4 customers are not over"), "{report:?}");
        // Somebody who was in the other arm before.
        let other = match arm("never") {
            Arm::Alone => Arm::Together,
            _ => Arm::Alone,
        };
        exposures.get_mut("never").unwrap().arm = other;
        let report = ExperimentReport::new(&config, &exposures, &bought, now, Vec::new());
        assert_eq!(report.arms.iter().map(|arm| arm.customers).sum::<u64>(), 3);
        assert!(
            report.notes[0].contains("1 customers saw another arm's"),
            "{report:?}"
        );
    }

    #[test]
    fn what_is_certain_is_said_in_words() {
        let of = |a, b| difference(Arm::Alone, a, Arm::Together, b).unwrap().words;
        assert!(
            of((100, 2000), (240, 2000)).starts_with("together sells to more customers than alone: +7.0")
        );
        assert!(of((240, 2000), (100, 2000)).starts_with("together sells to fewer"));
        assert!(of((10, 200), (14, 200)).starts_with("no difference"));
        assert!(of((1, 20), (4, 20)).starts_with("fewer than 100"));
        assert_eq!(difference(Arm::Alone, (0, 0), Arm::Together, (1, 9)), None);
    }
}
