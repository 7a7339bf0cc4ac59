//! View D's split: what will a customer come back for? It does not depend on the order of lines of one time.

use std::collections::BTreeSet;

use crate::dataset::{Dataset, History};
use crate::eval::split::{HeldOut, Split};
use crate::ids::Digest;

/// Cuts `data` by visits, which are the items of one instant: the test item is one item of the user's last visit, the
/// validation item one of the visit before, each chosen by a digest of the user's id, and no item of either visit
/// trains. Users with fewer than three visits only train.
pub fn next_visit(data: &Dataset) -> Split {
    let (histories, held_out) = data
        .histories
        .iter()
        .zip(&data.users)
        .map(|(history, user)| cut(history, user))
        .unzip();
    Split {
        train: Dataset {
            users: data.users.clone(),
            histories,
            labelled: Vec::new(),
        },
        held_out,
    }
}

fn cut(history: &History, user: &str) -> (History, Option<HeldOut>) {
    let visits: BTreeSet<i64> = history.times.iter().copied().collect();
    let mut latest = visits.into_iter().rev();
    let (Some(last), Some(before), Some(_)) = (latest.next(), latest.next(), latest.next()) else {
        return (history.clone(), None);
    };
    let rows = || history.items.iter().copied().zip(history.times.iter().copied());
    let pick = |visit: i64| -> Option<u32> {
        let mut items: Vec<u32> = rows()
            .filter(|(_, time)| *time == visit)
            .map(|(item, _)| item)
            .collect();
        items.sort_unstable();
        let [a, b, c, d, ..] = Digest::of(format!("{user} {visit}").as_bytes()).0;
        let at = u32::from_le_bytes([a, b, c, d]) as usize % items.len().max(1);
        items.get(at).copied()
    };
    let (items, times) = rows().filter(|(_, time)| *time < before).unzip();
    let held = pick(before)
        .zip(pick(last))
        .map(|(validation, test)| HeldOut { validation, test });
    (History { items, times }, held)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(rows: &[(u32, i64)]) -> Dataset {
        let (items, times) = rows.iter().copied().unzip();
        Dataset {
            users: vec!["a".into()],
            histories: vec![History { items, times }],
            labelled: Vec::new(),
        }
    }

    #[test]
    fn whole_visits_are_kept_back_whatever_the_order_of_their_lines() {
        let split = next_visit(&data(&[
            (1, 10),
            (2, 10),
            (3, 20),
            (4, 20),
            (5, 30),
            (6, 30),
            (7, 30),
        ]));
        assert_eq!(split.train.histories[0].items, [1, 2]);
        let held = split.held_out[0].expect("three visits");
        assert!([3, 4].contains(&held.validation) && [5, 6, 7].contains(&held.test));
        let other = next_visit(&data(&[
            (2, 10),
            (1, 10),
            (4, 20),
            (3, 20),
            (7, 30),
            (5, 30),
            (6, 30),
        ]));
        assert_eq!(other.held_out, split.held_out);
    }

    #[test]
    fn two_visits_only_train() {
        let few = data(&[(1, 10), (2, 10), (3, 20)]);
        let split = next_visit(&few);
        assert_eq!(
            (split.held_out[0], &split.train.histories[0]),
            (None, &few.histories[0])
        );
        assert_eq!(next_visit(&Dataset::default()).held_out.len(), 0);
    }
}
