//! Leave-last-two-out: what is learned from, what is tuned on, what is tested on.

use crate::dataset::{Dataset, History};
use crate::eval::View;

/// The two items of a user that training never sees.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HeldOut {
    /// The second latest item.
    pub validation: u32,
    /// The latest item.
    pub test: u32,
}

/// A set cut in three by time.
#[derive(Clone, Debug)]
pub struct Split {
    /// What may be learned from; users in the order of the whole set.
    pub train: Dataset,
    /// One a user; none for users with fewer than [`MIN_ITEMS`] distinct items, who only train.
    pub held_out: Vec<Option<HeldOut>>,
}

impl Split {
    /// How many users have items held out.
    pub fn evaluated_users(&self) -> usize {
        self.held_out.iter().flatten().count()
    }

    /// How many users are too short to be evaluated and only train.
    pub fn train_only_users(&self) -> usize {
        self.held_out.len() - self.evaluated_users()
    }

    /// The items that training under `view` may never draw as negatives for `user`, besides the user's training items;
    /// ascending.
    ///
    /// Views A and B differ in nothing else: the literature knows the held-out items while it trains, which leaks them.
    pub fn forbidden(&self, view: View, user: usize) -> Vec<u32> {
        let (View::Literature, Some(held)) = (view, self.held_out[user]) else {
            return Vec::new();
        };
        let mut items = vec![held.validation, held.test];
        items.sort_unstable();
        items
    }

    /// The split of `users` alone (positions, in the order wanted): a shop's part of the whole.
    pub fn subset(&self, users: &[usize]) -> Self {
        Self {
            train: self.train.subset(users),
            held_out: users.iter().map(|user| self.held_out[*user]).collect(),
        }
    }
}

/// Cuts `data`: the latest item of each user is the test item, the second latest the validation item, the rest trains.
///
/// A [`History`] is in time order with ties already broken by whoever made it, so the cut is the same on every run.
pub fn leave_last_two_out(data: &Dataset) -> Split {
    let (histories, held_out) = data.histories.iter().map(cut).unzip();
    Split {
        train: Dataset {
            users: data.users.clone(),
            histories,
            labelled: Vec::new(),
        },
        held_out,
    }
}

fn cut(history: &History) -> (History, Option<HeldOut>) {
    let [rest @ .., validation, test] = history.items.as_slice() else {
        return (history.clone(), None);
    };
    if rest.is_empty() {
        return (history.clone(), None);
    }
    let train = History {
        items: rest.to_vec(),
        times: history.times[..rest.len()].to_vec(),
    };
    let held = HeldOut {
        validation: *validation,
        test: *test,
    };
    (train, Some(held))
}

/// Fewest distinct items of a user that is evaluated: one each to train, validate and test.
pub const MIN_ITEMS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn history(items: &[u32]) -> History {
        History {
            items: items.to_vec(),
            times: (0..items.len() as i64).collect(),
        }
    }

    fn data(histories: &[&[u32]]) -> Dataset {
        Dataset {
            users: (0..histories.len()).map(|user| format!("u{user}")).collect(),
            histories: histories.iter().map(|items| history(items)).collect(),
            labelled: Vec::new(),
        }
    }

    #[test]
    fn the_last_two_are_held_out_and_short_users_only_train() {
        let split = leave_last_two_out(&data(&[&[5, 3, 9, 1], &[4, 2], &[], &[7], &[1, 2, 3]]));
        let held = HeldOut {
            validation: 9,
            test: 1,
        };
        assert_eq!(split.held_out[0], Some(held));
        assert_eq!(split.train.histories[0], history(&[5, 3]));
        assert_eq!(split.held_out[1..4], [None, None, None]);
        assert_eq!(split.train.histories[1], history(&[4, 2]));
        assert_eq!(split.train.histories[4].items, [1]);
        assert_eq!((split.evaluated_users(), split.train_only_users()), (2, 3));
    }

    #[test]
    fn only_the_literature_view_knows_what_is_held_out() {
        let split = leave_last_two_out(&data(&[&[5, 3, 9, 1], &[4]]));
        assert_eq!(split.forbidden(View::Literature, 0), [1, 9]);
        assert!(split.forbidden(View::Literature, 1).is_empty());
        assert!(split.forbidden(View::LeakFree, 0).is_empty());
        assert!(split.forbidden(View::Full, 0).is_empty());
    }

    #[test]
    fn a_subset_keeps_its_users_parts() {
        let split = leave_last_two_out(&data(&[&[5, 3, 9, 1], &[4, 6, 8]]));
        let part = split.subset(&[1]);
        assert_eq!(part.train.users, ["u1"]);
        assert_eq!(part.held_out, split.held_out[1..]);
    }
}
