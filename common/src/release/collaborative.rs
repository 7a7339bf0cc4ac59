//! The second release: which items go together, seen through a public map A (one row an item).
//!
//! A user adds B_u = s (e phi' - diag(e * r) A): e is the user's items less their part along v0, the direction of what
//! everybody buys, at length 1; phi = A'r is the user as the map sees them, r = r_u(.3); the second term takes each item's
//! own vote out of its row; and s makes the length 1.
//!
//! Off the user's items r is 0, so their rows are rank one, e_i phi. The user's own rows, e_i (phi - r_i A_i), are given
//! whole. The squared length is then a sum of squares of what is sent, in which nothing cancels.

use super::history::ReleaseHistory;
use super::map::PublicMap;
use crate::model::update::UserUpdate;

/// What is the same for all users of a release.
#[derive(Clone, Debug)]
pub struct CollaborativeStatistic<'a> {
    map: &'a PublicMap,
    direction: Vec<f64>,
}

impl<'a> CollaborativeStatistic<'a> {
    /// Through `map`, with v0 as published.
    ///
    /// # Errors
    /// When v0 has another number of items than the map.
    pub fn new(map: &'a PublicMap, direction: &[f32]) -> Result<Self, ItemsDiffer> {
        if direction.len() != map.items() {
            return Err(ItemsDiffer {
                map: map.items(),
                got: direction.len(),
            });
        }
        let direction = direction.iter().map(|value| f64::from(*value)).collect();
        Ok(Self { map, direction })
    }

    /// B_u: what a user adds, of length just below 1; none for a user of fewer than two items, one whose items lie along v0
    /// or whom the map sees nothing of, or one with an item that the catalogue does not have.
    ///
    /// # Shapes
    /// `[items, columns]` of the map, row-major.
    pub fn contribution(&self, history: &ReleaseHistory) -> Option<UserUpdate> {
        let items = self.direction.len();
        if history.items().len() < 2 || !history.fits(items) {
            return None;
        }
        let mut support: Vec<(usize, f64)> = history.weighted(DECAY).collect();
        support.sort_unstable_by_key(|(item, _)| *item);
        let along: f64 = support.iter().map(|(item, _)| self.direction[*item]).sum();
        let mut residual: Vec<f64> = self.direction.iter().map(|value| -along * value).collect();
        let mut phi = vec![0.0; self.map.columns()];
        for (item, weight) in &support {
            residual[*item] += 1.0;
            for (phi, value) in phi.iter_mut().zip(self.map.row(*item)) {
                *phi += weight * f64::from(*value);
            }
        }
        let squares = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>();
        if squares(&residual) < LEAST_SQUARES {
            return None;
        }
        let mut values = Vec::with_capacity(support.len() * phi.len());
        for (item, weight) in &support {
            // Leaving 0 behind: this row is given whole.
            let e = std::mem::take(&mut residual[*item]);
            let row = phi.iter().zip(self.map.row(*item));
            values.extend(row.map(|(phi, value)| e * (phi - weight * f64::from(*value))));
        }
        let length = (squares(&residual) * squares(&phi) + squares(&values)).sqrt();
        if !(length > f64::MIN_POSITIVE && length.is_finite()) {
            return None;
        }
        let scale = super::LENGTH / length;
        Some(UserUpdate::RankOneExcept {
            rows: residual.iter().map(|value| (value * scale) as f32).collect(),
            direction: phi.iter().map(|value| *value as f32).collect(),
            own: support.iter().map(|(item, _)| *item as u32).collect(),
            values: values.iter().map(|value| (value * scale) as f32).collect(),
        })
    }
}

/// A map and a direction of different catalogues.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the map has {map} items, the direction {got}")]
pub struct ItemsDiffer {
    map: usize,
    got: usize,
}

/// g of phi.
const DECAY: f64 = 0.3;
/// Of what is left of a user's items beside v0: below, it is the rounding of v0.
const LEAST_SQUARES: f64 = 1e-9;

#[cfg(test)]
mod tests;
