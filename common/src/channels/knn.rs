//! Cosine nearest neighbours: K = D X' diag(1/n) X D over the customers' item sets X, where n is a customer's number of
//! items and D = (number of customers + 1)^-1/2. The diagonal stays.

use super::kernel::ItemKernel;
use super::owners;
use crate::dataset::History;

/// Fitted to a shop's histories.
pub fn kernel(histories: &[History], items: usize) -> ItemKernel {
    let owners = owners(histories, items);
    let scale: Vec<f64> = owners
        .iter()
        .map(|users| 1.0 / (users.len() as f64 + 1.0).sqrt())
        .collect();
    ItemKernel::build(items, |item, sums| {
        for (user, _) in &owners[item] {
            let history = &histories[*user as usize].items;
            let share = scale[item] / history.len() as f64;
            for other in history {
                sums.add(*other, share * scale[*other as usize]);
            }
        }
    })
}
