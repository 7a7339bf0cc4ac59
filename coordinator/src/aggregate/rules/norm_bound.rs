//! `norm_bound`: no shop's update is longer than its customers could make it (Sun et al. 2019).

use super::{AggregationRule, ShopTerm};

/// The mean by w_k N_k, in which each shop's update is shortened to at most sqrt(bound^2 + d stddev_k^2): what customers at the
/// bound and the shop's noise come to.
///
/// A shop that lies can still move the mean by that length times its share of all customers, the part of noise included.
#[derive(Debug)]
pub(super) struct NormBound {
    squares: Vec<f64>,
    most: Vec<f64>,
    /// Share of all customers; after all was looked at, times what the shop's update is shortened by.
    weights: Vec<f64>,
}

impl NormBound {
    /// `bound` is the length of one customer's mean update, in the model's units.
    pub(super) fn new(shops: &[ShopTerm], bound: f64, coordinates: usize) -> Self {
        let all: f64 = shops.iter().map(|shop| shop.weight).sum();
        let noise = |shop: &ShopTerm| coordinates as f64 * shop.noise * shop.noise;
        Self {
            squares: vec![0.0; shops.len()],
            most: shops.iter().map(|shop| bound * bound + noise(shop)).collect(),
            weights: shops.iter().map(|shop| shop.weight / all).collect(),
        }
    }
}

impl AggregationRule for NormBound {
    fn looks_first(&self) -> bool {
        true
    }

    fn look(&mut self, values: &[f64]) {
        let squares = self.squares.iter_mut().zip(values);
        squares.for_each(|(square, value)| *square += value * value);
    }

    fn conclude(&mut self) {
        let shops = self.weights.iter_mut().zip(&self.squares).zip(&self.most);
        for ((weight, square), most) in shops.filter(|((_, square), most)| square > most) {
            *weight *= (most / square).sqrt();
        }
    }

    fn combine(&self, values: &mut [f64]) -> f64 {
        let products = self.weights.iter().zip(values.iter());
        products.map(|(weight, value)| weight * value).sum()
    }

    /// What is left of it in shortened updates.
    fn noise(&self, stddevs: &[f64]) -> f64 {
        let squares = self.weights.iter().zip(stddevs);
        squares
            .map(|(weight, stddev)| (weight * stddev) * (weight * stddev))
            .sum::<f64>()
            .sqrt()
    }
}
