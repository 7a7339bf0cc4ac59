//! What one user would change in the shared parameters: the vector that is clipped.

use std::ops::Range;

/// A user's change to the shared parameters, before clipping. Coordinates that are not named are zero.
///
/// It names each coordinate at most once, so the norm of the stored numbers is the norm of the whole vector.
#[derive(Clone, Debug, PartialEq)]
pub enum UserUpdate {
    /// Some ranges of the flat vector, ascending and disjoint, with their values one after another.
    Sparse {
        /// Which coordinates.
        ranges: Vec<Range<usize>>,
        /// Their values; as many as the ranges cover.
        values: Vec<f32>,
    },
    /// `rows` x `direction` (an outer product) from coordinate 0 on: the closed-form solver's gradient.
    RankOne {
        /// One coefficient a row of the joint embedding table.
        rows: Vec<f32>,
        /// One number a column.
        direction: Vec<f32>,
    },
    /// As [`UserUpdate::RankOne`], but some rows are given whole: a user's collaborative statistic.
    RankOneExcept {
        /// One coefficient a row; 0 for the rows that are given whole.
        rows: Vec<f32>,
        /// One number a column.
        direction: Vec<f32>,
        /// Which rows are given whole, ascending and distinct.
        own: Vec<u32>,
        /// These rows, one after another; `own.len() * direction.len()` numbers.
        values: Vec<f32>,
    },
}
