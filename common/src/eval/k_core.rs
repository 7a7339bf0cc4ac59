//! Keeping the dense part of a set.

use crate::dataset::{Dataset, History};

/// The `k`-core of `data` on distinct (user, item) pairs: users and items with fewer than `k` pairs are taken out until
/// none is left to take out.
///
/// Returns the remaining set with items renumbered, and for each new item row its old one, ascending. `k` of 0 or 1
/// still drops users without items and items without users.
pub fn k_core(data: &Dataset, items: usize, k: usize) -> (Dataset, Vec<u32>) {
    let k = k.max(1);
    let mut alive_users = vec![true; data.len()];
    let mut alive_items = vec![true; items];
    loop {
        let mut counts = vec![0_usize; items];
        let mut changed = false;
        for (history, alive) in data.histories.iter().zip(&mut alive_users) {
            let kept = || history.items.iter().filter(|item| alive_items[**item as usize]);
            if *alive && kept().count() < k {
                *alive = false;
                changed = true;
            }
            if *alive {
                kept().for_each(|item| counts[*item as usize] += 1);
            }
        }
        for (alive, count) in alive_items.iter_mut().zip(counts) {
            if *alive && count < k {
                *alive = false;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    renumber(data, &alive_users, &alive_items)
}

fn renumber(data: &Dataset, users: &[bool], items: &[bool]) -> (Dataset, Vec<u32>) {
    let old: Vec<u32> = (0..items.len() as u32)
        .filter(|item| items[*item as usize])
        .collect();
    let mut new = vec![None; items.len()];
    for (row, item) in old.iter().enumerate() {
        new[*item as usize] = Some(row as u32);
    }
    let kept: Vec<usize> = (0..users.len()).filter(|user| users[*user]).collect();
    let mut core = data.subset(&kept);
    for labelled in &mut core.labelled {
        let known = (0..labelled.len()).filter(|at| new[labelled.items[*at] as usize].is_some());
        *labelled = labelled.only(known);
        for item in &mut labelled.items {
            *item = new[*item as usize].unwrap_or_default();
        }
    }
    for history in &mut core.histories {
        let (items, times) = history
            .items
            .iter()
            .zip(&history.times)
            .filter_map(|(item, time)| new[*item as usize].map(|row| (row, *time)))
            .unzip();
        *history = History { items, times };
    }
    (core, old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removal_goes_on_until_nothing_changes() {
        // Item 2 has one user; without it user c has one item; without c item 1 still has two.
        let data = Dataset {
            users: ["a", "b", "c"].map(String::from).to_vec(),
            histories: [&[0_u32, 1][..], &[1, 0], &[1, 2]]
                .map(|items| History {
                    items: items.to_vec(),
                    times: vec![5; items.len()],
                })
                .to_vec(),
            labelled: Vec::new(),
        };
        let (core, old) = k_core(&data, 4, 2);
        assert_eq!(core.users, ["a", "b"]);
        assert_eq!(old, [0, 1]);
        assert_eq!(core.histories[1].items, [1, 0]);
        assert!(k_core(&data, 4, 3).0.is_empty());
        let (all, rows) = k_core(&data, 4, 1);
        assert_eq!((all.len(), rows.len()), (3, 3), "item 3 has no user");
    }
}
