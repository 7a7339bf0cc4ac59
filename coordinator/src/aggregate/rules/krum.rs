//! `krum`: the update that is nearest to its neighbours, alone (Blanchard et al. 2017, section 3).

use super::AggregationRule;

/// Of n updates, that whose squared distances to its n - f - 2 nearest others add up to the least; among equals the one whose
/// shop's name comes first.
#[derive(Debug)]
pub(super) struct Krum {
    shops: usize,
    liars: usize,
    /// Squared distances, row by row; those with `row < column` are kept.
    distances: Vec<f64>,
    /// None before all was looked at.
    chosen: Option<usize>,
}

impl Krum {
    /// Of `shops`, of which `liars` may lie.
    pub(super) fn new(shops: usize, liars: usize) -> Self {
        Self {
            shops,
            liars,
            distances: vec![0.0; shops * shops],
            chosen: None,
        }
    }

    fn nearest(&self) -> usize {
        let count = self.shops.saturating_sub(self.liars.saturating_add(2)).max(1);
        let score = |shop: usize| -> f64 {
            let others = (0..self.shops).filter(|other| *other != shop);
            let mut distances: Vec<f64> = others
                .map(|other| self.distances[shop.min(other) * self.shops + shop.max(other)])
                .collect();
            distances.sort_unstable_by(f64::total_cmp);
            distances.iter().take(count).sum()
        };
        let scores = (0..self.shops).map(|shop| (score(shop), shop));
        scores
            .min_by(|one, other| one.0.total_cmp(&other.0))
            .map_or(0, |(_, shop)| shop)
    }
}

impl AggregationRule for Krum {
    fn looks_first(&self) -> bool {
        true
    }

    fn look(&mut self, values: &[f64]) {
        for (row, value) in values.iter().enumerate() {
            let distances = &mut self.distances[row * self.shops..][row + 1..self.shops];
            for (distance, other) in distances.iter_mut().zip(&values[row + 1..]) {
                let difference = value - other;
                *distance += difference * difference;
            }
        }
    }

    fn conclude(&mut self) {
        self.chosen = Some(self.nearest());
    }

    fn combine(&self, values: &mut [f64]) -> f64 {
        values[self.chosen.unwrap_or(0)]
    }

    /// All of the chosen shop's. Being near to others it tends to have less, so this is an upper bound.
    fn noise(&self, stddevs: &[f64]) -> f64 {
        match self.chosen {
            Some(chosen) => stddevs[chosen],
            None => stddevs.iter().copied().fold(0.0, f64::max),
        }
    }
}
