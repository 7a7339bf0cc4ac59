//! What is said of items by what this shop's customers bought: bought together, popular, trending, new.
//!
//! What two items have in common is told only where at least [`LEAST_CUSTOMERS`] customers stand behind it, so that a page that
//! anybody may read says nothing of one of them.

use souk_common::clock::Timestamp;
use souk_common::dataset::Dataset;

/// Customers behind a pair of items before it is told.
pub const LEAST_CUSTOMERS: u32 = 5;

/// Who has which item, and when each was bought first.
#[derive(Clone, Debug)]
pub struct Related {
    /// Rows of customers, ascending, by item.
    owners: Vec<Vec<u32>>,
    /// When somebody first bought it here, seconds since 1970; by item.
    first_bought: Vec<Option<i64>>,
    /// Items that sell better than they did, most surprising first, with their z-scores.
    trending: Vec<(u32, f32)>,
}

/// An item beside another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Row of the catalogue.
    pub item: u32,
    /// Comparable within one list only.
    pub score: f32,
    /// Customers who have both.
    pub customers: u32,
}

impl Related {
    /// Of `dataset` over a catalogue of `items`, as of `now`.
    pub fn of(dataset: &Dataset, items: usize, now: Timestamp) -> Self {
        let mut owners = vec![Vec::new(); items];
        for (user, history) in (0u32..).zip(&dataset.histories) {
            history
                .items
                .iter()
                .for_each(|item| owners[*item as usize].push(user));
        }
        Self {
            trending: trending(dataset, items, now.0.div_euclid(1000)),
            owners,
            first_bought: first_bought(dataset, items),
        }
    }

    /// How many customers have an item.
    pub fn customers(&self, item: u32) -> u32 {
        self.owners[item as usize].len() as u32
    }

    /// How many customers have each item together with `item`.
    ///
    /// # Shapes
    /// `[items]`.
    pub fn together(&self, dataset: &Dataset, item: u32) -> Vec<u32> {
        let mut counts = vec![0; self.owners.len()];
        for user in &self.owners[item as usize] {
            for other in &dataset.histories[*user as usize].items {
                counts[*other as usize] += 1;
            }
        }
        counts[item as usize] = 0;
        counts
    }

    /// Items that customers of `item` have too, strongest first: by the cosine of the two sets of customers, drawn to zero where
    /// they are few (Deshpande and Karypis 2004, section 4.2, with shrinkage).
    pub fn bought_together(&self, dataset: &Dataset, item: u32) -> Vec<Neighbour> {
        let own = self.customers(item) as f32;
        let counts = self.together(dataset, item);
        let told = (0u32..)
            .zip(counts)
            .filter(|(_, customers)| *customers >= LEAST_CUSTOMERS);
        let mut found: Vec<Neighbour> = told
            .map(|(other, customers)| Neighbour {
                item: other,
                score: customers as f32 / ((own * self.customers(other) as f32).sqrt() + SHRINKAGE),
                customers,
            })
            .collect();
        found.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.item.cmp(&b.item)));
        found
    }

    /// Items that many customers of this shop have, most first, with how many; none that nobody has.
    pub fn popular(&self) -> Vec<(u32, f32)> {
        let mut items: Vec<(u32, f32)> = (0u32..)
            .zip(&self.owners)
            .filter(|(_, owners)| !owners.is_empty())
            .map(|(item, owners)| (item, owners.len() as f32))
            .collect();
        items.sort_by(|a, b| b.1.total_cmp(&a.1));
        items
    }

    /// Items of which more customers bought than in the weeks before, most surprising first.
    pub fn trending(&self) -> &[(u32, f32)] {
        &self.trending
    }

    /// Items by when somebody first bought them here, latest first; then those that nobody bought yet, last of the catalogue
    /// first, which grows at its end. The number is the day of that first sale since 1970, or 0.
    pub fn new_items(&self) -> Vec<(u32, f32)> {
        let mut items: Vec<u32> = (0..self.owners.len() as u32).collect();
        let first = |item: u32| self.first_bought[item as usize];
        items.sort_by(|a, b| first(*b).cmp(&first(*a)).then(b.cmp(a)));
        let day = |item: u32| first(item).map_or(0.0, |secs| secs.div_euclid(DAY_SECS) as f32);
        items.into_iter().map(|item| (item, day(item))).collect()
    }
}

/// When somebody first bought each item here, seconds since 1970.
///
/// # Shapes
/// `[items]`.
pub fn first_bought(dataset: &Dataset, items: usize) -> Vec<Option<i64>> {
    let mut first_bought: Vec<Option<i64>> = vec![None; items];
    for history in &dataset.histories {
        for (item, time) in history.items.iter().zip(&history.times) {
            let first = &mut first_bought[*item as usize];
            *first = Some(first.map_or(*time, |first| first.min(*time)));
        }
    }
    first_bought
}

/// By how many standard deviations (of a Poisson count) the customers of the last week are more than those of the four weeks before
/// let expect. Where the data end earlier than `now`, the last week is theirs.
fn trending(dataset: &Dataset, items: usize, now: i64) -> Vec<(u32, f32)> {
    let times = || dataset.histories.iter().flat_map(|history| &history.times);
    let Some(last) = times().copied().filter(|time| *time <= now).max() else {
        return Vec::new();
    };
    let (mut lately, mut before) = (vec![0u32; items], vec![0u32; items]);
    for history in &dataset.histories {
        for (item, time) in history.items.iter().zip(&history.times) {
            match last - time {
                0..LATELY_SECS => lately[*item as usize] += 1,
                LATELY_SECS..BEFORE_SECS => before[*item as usize] += 1,
                _ => {}
            }
        }
    }
    let share = LATELY_SECS as f32 / (BEFORE_SECS - LATELY_SECS) as f32;
    let mut found: Vec<(u32, f32)> = (0u32..)
        .zip(lately.iter().zip(&before))
        .filter(|(_, (lately, _))| **lately >= LEAST_CUSTOMERS)
        .map(|(item, (lately, before))| {
            let expected = share * *before as f32;
            (item, (*lately as f32 - expected) / (expected + 1.0).sqrt())
        })
        .filter(|(_, surprise)| *surprise > 0.0)
        .collect();
    found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    found
}

const SHRINKAGE: f32 = 10.0;
const DAY_SECS: i64 = 86_400;
const LATELY_SECS: i64 = 7 * DAY_SECS;
const BEFORE_SECS: i64 = 5 * LATELY_SECS;

#[cfg(test)]
mod tests {
    use souk_common::dataset::History;

    use super::*;

    /// Customer `n` has the items of the n-th list, all at the times beside them (in days).
    fn shop(histories: &[&[(u32, i64)]]) -> Dataset {
        let history = |pairs: &&[(u32, i64)]| History {
            items: pairs.iter().map(|(item, _)| *item).collect(),
            times: pairs.iter().map(|(_, day)| day * DAY_SECS).collect(),
        };
        Dataset {
            users: (0..histories.len()).map(|n| format!("u{n}")).collect(),
            histories: histories.iter().map(history).collect(),
            labelled: Vec::new(),
        }
    }

    #[test]
    fn a_pair_is_told_only_with_five_customers_behind_it() {
        let pair: &[(u32, i64)] = &[(0, 1), (1, 2)];
        let few: &[(u32, i64)] = &[(0, 1), (2, 2)];
        let four = shop(&[pair, pair, pair, pair, few]);
        let now = Timestamp::from_secs(10 * DAY_SECS);
        assert_eq!(Related::of(&four, 3, now).bought_together(&four, 0), []);
        let five = shop(&[pair, pair, pair, pair, pair, few]);
        let related = Related::of(&five, 3, now);
        let found = related.bought_together(&five, 0);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].item, found[0].customers), (1, 5));
        assert!((found[0].score - 5.0 / (30f32.sqrt() + 10.0)).abs() < 1e-6);
        assert_eq!(related.popular(), [(0, 6.0), (1, 5.0), (2, 1.0)]);
    }

    #[test]
    fn what_sells_better_than_before_trends_and_what_always_sold_well_does_not() {
        let always: &[(u32, i64)] = &[(0, 70)];
        let lately: &[(u32, i64)] = &[(0, 99), (1, 99)];
        let mut histories = vec![always; 40];
        histories.extend(vec![lately; 10]);
        let data = shop(&histories);
        // The data end long before today: their last week counts.
        let related = Related::of(&data, 3, Timestamp::from_secs(500 * DAY_SECS));
        let items: Vec<u32> = related.trending().iter().map(|(item, _)| *item).collect();
        assert_eq!(items, [1], "{:?}", related.trending());
        assert_eq!(Related::of(&shop(&[]), 3, Timestamp(0)).trending(), []);
    }

    #[test]
    fn new_items_are_those_first_bought_last_and_then_the_catalogues_end() {
        let data = shop(&[&[(0, 5), (2, 9)], &[(2, 30), (1, 20)]]);
        let related = Related::of(&data, 5, Timestamp::from_secs(40 * DAY_SECS));
        let order: Vec<(u32, f32)> = related.new_items();
        assert_eq!(order, [(1, 20.0), (2, 9.0), (0, 5.0), (4, 0.0), (3, 0.0)]);
    }
}
