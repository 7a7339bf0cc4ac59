//! The 99 items that a held-out item is ranked against in the sampled views.

use std::collections::HashSet;

use rand::RngExt;

use crate::eval::split::Split;
use crate::rng::{Stream, stream};

/// Per user, what the validation item and the test item are ranked against; empty for users who only train.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Candidates {
    /// Against the validation item.
    pub validation: Vec<Vec<u32>>,
    /// Against the test item.
    pub test: Vec<Vec<u32>>,
}

impl Candidates {
    /// Draws [`NEGATIVES`] distinct items for each purpose, uniformly from the `items` rows that the user never touched
    /// (training, validation and test items alike); all of them where fewer are left.
    ///
    /// A user's draw depends on `seed` and the user's id alone, so a shop's part of a set gets the same candidates as
    /// the whole set.
    pub fn draw(split: &Split, items: usize, seed: u64) -> Self {
        let mut drawn = Self {
            validation: Vec::with_capacity(split.held_out.len()),
            test: Vec::with_capacity(split.held_out.len()),
        };
        for (user, held) in split.held_out.iter().enumerate() {
            let (validation, test) = held.map_or_else(Default::default, |held| {
                let mut touched: Vec<u32> = split.train.histories[user].items.clone();
                touched.extend([held.validation, held.test]);
                touched.sort_unstable();
                let mut rng = stream(seed, &format!("eval candidates {}", split.train.users[user]));
                (
                    draw_untouched(&touched, items, &mut rng),
                    draw_untouched(&touched, items, &mut rng),
                )
            });
            drawn.validation.push(validation);
            drawn.test.push(test);
        }
        drawn
    }

    /// The candidates of `users` alone, beside [`Split::subset`].
    pub fn subset(&self, users: &[usize]) -> Self {
        let pick = |of: &[Vec<u32>]| users.iter().map(|user| of[*user].clone()).collect();
        Self {
            validation: pick(&self.validation),
            test: pick(&self.test),
        }
    }
}

fn draw_untouched(touched: &[u32], items: usize, rng: &mut Stream) -> Vec<u32> {
    let free = items.saturating_sub(touched.len());
    if free <= 4 * NEGATIVES {
        let mut rest: Vec<u32> = (0..items as u32)
            .filter(|item| touched.binary_search(item).is_err())
            .collect();
        let wanted = NEGATIVES.min(rest.len());
        for at in 0..wanted {
            let other = rng.random_range(at..rest.len());
            rest.swap(at, other);
        }
        rest.truncate(wanted);
        return rest;
    }
    let mut seen = HashSet::with_capacity(NEGATIVES);
    let mut drawn = Vec::with_capacity(NEGATIVES);
    while drawn.len() < NEGATIVES {
        let item = rng.random_range(0..items as u32);
        if touched.binary_search(&item).is_err() && seen.insert(item) {
            drawn.push(item);
        }
    }
    drawn
}

/// How many items a held-out item is ranked against.
pub const NEGATIVES: usize = 99;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Dataset, History};
    use crate::eval::leave_last_two_out;

    fn split(users: &[(&str, &[u32])]) -> Split {
        leave_last_two_out(&Dataset {
            users: users.iter().map(|(id, _)| (*id).to_owned()).collect(),
            histories: users
                .iter()
                .map(|(_, items)| History {
                    items: items.to_vec(),
                    times: (0..items.len() as i64).collect(),
                })
                .collect(),
            labelled: Vec::new(),
        })
    }

    #[test]
    fn candidates_are_distinct_and_were_never_touched() {
        let split = split(&[("a", &[1, 2, 3, 4, 5]), ("b", &[7, 8]), ("c", &[0, 1, 2])]);
        for items in [200, 5000] {
            let drawn = Candidates::draw(&split, items, 7);
            for list in [&drawn.validation[0], &drawn.test[0]] {
                assert_eq!(list.len(), NEGATIVES);
                assert_eq!(list.iter().collect::<HashSet<_>>().len(), NEGATIVES);
                assert!(
                    list.iter()
                        .all(|item| !(1..=5).contains(item) && (*item as usize) < items)
                );
            }
            assert!(drawn.validation[1].is_empty() && drawn.test[1].is_empty());
            assert_ne!(drawn.validation[0], drawn.test[0]);
        }
    }

    #[test]
    fn small_catalogues_give_all_that_is_left() {
        let drawn = Candidates::draw(&split(&[("a", &[0, 1, 2])]), 10, 7);
        let mut all = drawn.test[0].clone();
        all.sort_unstable();
        assert_eq!(all, [3, 4, 5, 6, 7, 8, 9]);
        assert!(Candidates::draw(&split(&[("a", &[0, 1, 2])]), 3, 7).test[0].is_empty());
    }

    #[test]
    fn a_users_candidates_depend_on_seed_and_id_only() {
        let whole = split(&[("a", &[1, 2, 3]), ("b", &[4, 5, 6])]);
        let drawn = Candidates::draw(&whole, 1000, 7);
        assert_eq!(Candidates::draw(&whole.subset(&[1]), 1000, 7), drawn.subset(&[1]));
        assert_ne!(Candidates::draw(&whole, 1000, 8), drawn);
    }
}
