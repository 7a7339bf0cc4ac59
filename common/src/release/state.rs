//! What is published after each release, how the coordinator makes it of the integer sum, and how a verifier makes it again.
//!
//! All of it is arithmetic in fixed order, square roots and `libm`: the same bits on every machine of IEEE numbers. Shops use
//! what is published all the same, and a verifier allows for rounding, so that nothing rests on that.

use std::sync::Arc;

use super::map::{PublicMap, map_columns};
use super::popularity::PopularityEstimate;
use super::schedule::ReleaseKind;
use super::views::{CollaborativeSum, FederatedForms, RANK, SECOND_RANK, SumError, second_map};
use crate::channels::{self, Channels, FixedPopularity, Lda};
use crate::features::Features;
use crate::ids::Digest;
use crate::update::UpdateValues;

/// The integer sum of a release as it was unmasked: all users and all noise.
#[derive(Clone, Debug, PartialEq)]
pub struct NoisedSum {
    /// Integers modulo 2^b.
    pub values: UpdateValues,
    /// C*s: grid units of a user's vector of length 1.
    pub clip_units: f64,
    /// z of the sum: the standard deviation of its noise over C. With shares of the noise from more shops than it takes it is
    /// above the z that is charged.
    pub noise_stddev: f64,
}

impl NoisedSum {
    /// In units of one user's length.
    pub(crate) fn scaled(&self) -> Vec<f64> {
        let scale = 1.0 / self.clip_units;
        match &self.values {
            UpdateValues::B32(values) => values
                .iter()
                .map(|value| f64::from(*value as i32) * scale)
                .collect(),
            UpdateValues::B64(values) => values
                .iter()
                .map(|value| (*value as i64) as f64 * scale)
                .collect(),
        }
    }
}

/// What the public knows after a release: all that a shop needs for its scores and for the next release.
#[derive(Clone, Debug, PartialEq)]
pub struct Released {
    /// What was summed.
    pub kind: ReleaseKind,
    /// The digest of the release before; [`Digest::ZERO`] for the first.
    pub previous: Digest,
    /// The sum itself. Everything below follows from it, from the release before and from public parameters.
    pub sum: NoisedSum,
    /// p.
    pub popularity: PopularityEstimate,
    /// v0. Shape: `[items]`.
    pub direction: Vec<f32>,
    /// The map that the sum was summed through; none for popularity.
    pub through: Option<PublicMap>,
    /// The map of the next release; none after the last.
    pub next: Option<PublicMap>,
}

/// Coordinates of what a release of this kind sums over `items` items.
pub fn coordinates(kind: ReleaseKind, items: usize, features: &Features) -> usize {
    items
        * match kind {
            ReleaseKind::Popularity => 1,
            ReleaseKind::Collaborative => map_columns(features),
            ReleaseKind::SecondCollaborative => RANK.min(map_columns(features)),
        }
}

/// The public parameters of a plan that releases are computed with.
#[derive(Clone, Copy, Debug)]
pub struct PublicParameters<'a> {
    /// Of the catalogue.
    pub features: &'a Features,
    /// How many items the catalogue has.
    pub items: usize,
    /// Of the random columns.
    pub seed: u64,
}

impl PublicParameters<'_> {
    /// How many coordinates a release sums, with the map that it is summed through, if it has one.
    pub fn coordinates(&self, through: Option<&PublicMap>) -> usize {
        self.items * through.map_or(1, PublicMap::columns)
    }
}

impl Released {
    /// The release that `sum` makes, after `previous`; `is_last` when the plan has none after it.
    ///
    /// # Errors
    /// When the sum has another length than the release, or stands behind another one than it follows.
    pub fn compute(
        kind: ReleaseKind,
        sum: NoisedSum,
        previous: Option<&Self>,
        is_last: bool,
        public: &PublicParameters<'_>,
    ) -> Result<Self, ReleasedError> {
        if public.items == 0 || !(public.features.is_empty() || public.features.items() == public.items) {
            return Err(ReleasedError::Features {
                items: public.items,
                rows: public.features.items(),
            });
        }
        let expected = match kind {
            ReleaseKind::Popularity => None,
            ReleaseKind::Collaborative => Some(ReleaseKind::Popularity),
            ReleaseKind::SecondCollaborative => Some(ReleaseKind::Collaborative),
        };
        let got = previous.map(|previous| previous.kind);
        if got != expected {
            return Err(ReleasedError::Order { kind, got });
        }
        let through =
            previous.map(|previous| previous.next.clone().ok_or(ReleasedError::Order { kind, got }));
        let through = through.transpose()?;
        let coordinates = public.coordinates(through.as_ref());
        if sum.values.len() != coordinates {
            return Err(ReleasedError::Length {
                got: sum.values.len(),
                expected: coordinates,
            });
        }
        let scaled = sum.scaled();
        let (popularity, next) = match (previous, &through) {
            (Some(previous), Some(map)) => {
                let next = match (kind, is_last) {
                    (ReleaseKind::Collaborative, false) => {
                        let summed = CollaborativeSum::new(scaled, map, sum.noise_stddev)?;
                        Some(second_map(&summed, &previous.popularity))
                    }
                    _ => None,
                };
                (previous.popularity.clone(), next)
            }
            _ => {
                let popularity = PopularityEstimate::new(&scaled, sum.noise_stddev, public.features);
                let next = (!is_last).then(|| PublicMap::new(&popularity, public.features, public.seed));
                (popularity, next)
            }
        };
        Ok(Self {
            kind,
            previous: previous.map_or(Digest::ZERO, Self::digest),
            sum,
            direction: popularity.direction(),
            popularity,
            through,
            next,
        })
    }

    /// Makes the release again from its own sum, and compares; `is_last` when the plan has none after it.
    ///
    /// Maps count as equal when they see items alike: up to rotations of their columns.
    ///
    /// # Errors
    /// Those of [`Self::compute`]; or the first part that is not what the sum makes.
    pub fn verify(
        &self,
        previous: Option<&Self>,
        is_last: bool,
        public: &PublicParameters<'_>,
    ) -> Result<(), ReleasedError> {
        let again = Self::compute(self.kind, self.sum.clone(), previous, is_last, public)?;
        let differs = |what| Err(ReleasedError::Differs { what });
        let alike = |one: &Option<PublicMap>, other: &Option<PublicMap>| match (one, other) {
            (Some(one), Some(other)) => are_alike(one, other),
            (None, None) => true,
            _ => false,
        };
        if self.previous != again.previous {
            return differs("digest of the release before");
        }
        let (one, other) = (&self.popularity, &again.popularity);
        if one.noise_stddev() != other.noise_stddev() || !are_close(one.values(), other.values()) {
            return differs("popularity");
        }
        if !are_close(&self.direction, &again.direction) {
            return differs("direction");
        }
        // Copied, not computed.
        if self.through != again.through {
            return differs("map");
        }
        if !alike(&self.next, &again.next) {
            return differs("next map");
        }
        Ok(())
    }

    /// The channels of all shops: popularity, the discriminant of features under it, and the views.
    ///
    /// # Errors
    /// When the sum has another length than its map, or the features are of another catalogue.
    pub fn channels(&self, features: &Features) -> Result<Channels, SumError> {
        let items = self.direction.len();
        if !features.is_empty() && features.items() != items {
            return Err(SumError::Length {
                got: items,
                map: features.items(),
            });
        }
        let forms = self.forms(features)?;
        let popularity: Vec<f64> = self
            .popularity
            .values()
            .iter()
            .map(|value| f64::from(*value))
            .collect();
        let noise = self.popularity.noise_stddev();
        let mut channels: Channels = vec![Arc::new(FixedPopularity::released(&popularity, noise))];
        if let Some(lda) = Lda::fit(features, &popularity, true) {
            channels.push(Arc::new(lda));
        }
        for form in forms.forms {
            let left = Arc::new(form.left.to_vec());
            let channel = channels::LowRank::new(&form.name, form.g as f32, form.rank, left, &form.right);
            channels.push(Arc::new(channel));
        }
        Ok(channels)
    }

    /// What a shop scores with.
    ///
    /// # Errors
    /// When the sum has another length than its map.
    pub fn forms(&self, features: &Features) -> Result<FederatedForms, SumError> {
        let rank = match self.kind {
            ReleaseKind::SecondCollaborative => SECOND_RANK,
            _ => RANK,
        };
        let sum = match &self.through {
            Some(map) => Some(CollaborativeSum::new(
                self.sum.scaled(),
                map,
                self.sum.noise_stddev,
            )?),
            None => None,
        };
        let collaborative = sum.as_ref().zip(self.through.as_ref());
        Ok(FederatedForms::new(
            &self.popularity,
            features,
            collaborative,
            rank,
        ))
    }
}

/// To a part in ten thousand of the largest.
fn are_close(one: &[f32], other: &[f32]) -> bool {
    let largest = other.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    let pairs = || one.iter().zip(other);
    one.len() == other.len() && pairs().all(|(one, other)| (one - other).abs() <= TOLERANCE as f32 * largest)
}

/// Whether A A' and B B' are the same, without making either: |AA' - BB'|^2 = |A'A|^2 + |B'B|^2 - 2 |A'B|^2.
fn are_alike(one: &PublicMap, other: &PublicMap) -> bool {
    if one.items() != other.items() {
        return false;
    }
    let products = |a: &PublicMap, b: &PublicMap| -> f64 {
        let mut products = vec![0.0f64; a.columns() * b.columns()];
        for item in 0..a.items() {
            for (row, value) in products.chunks_exact_mut(b.columns()).zip(a.row(item)) {
                let cells = row.iter_mut().zip(b.row(item));
                cells.for_each(|(cell, other)| *cell += f64::from(*value) * f64::from(*other));
            }
        }
        products.iter().map(|product| product * product).sum()
    };
    let (a, b) = (products(one, one), products(other, other));
    let distance = a + b - 2.0 * products(one, other);
    distance <= TOLERANCE * TOLERANCE * a.max(b)
}

/// Why a sum makes no release, or another one.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ReleasedError {
    /// Features of another catalogue.
    #[error("the catalogue has {items} items, its features {rows} rows")]
    Features {
        /// Items.
        items: usize,
        /// Rows.
        rows: usize,
    },
    /// It follows another release than it should, or one that was the last.
    #[error("a release of kind {kind:?} does not follow {got:?}")]
    Order {
        /// The release.
        kind: ReleaseKind,
        /// The one before.
        got: Option<ReleaseKind>,
    },
    /// A sum of another length.
    #[error("the sum has {got} coordinates, the release {expected}")]
    Length {
        /// Of the sum.
        got: usize,
        /// Of the release.
        expected: usize,
    },
    /// The sum does not fit its map.
    #[error(transparent)]
    Sum(#[from] SumError),
    /// What is published is not what the sum makes.
    #[error("the published {what} is not what the sum makes")]
    Differs {
        /// Which part.
        what: &'static str,
    },
}

const TOLERANCE: f64 = 1e-4;

#[cfg(test)]
mod tests;
