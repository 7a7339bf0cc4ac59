//! Clip a user's whole vector, weight, scale, truncate toward zero, check, add. Only integers are summed.

mod capped;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;

use capped::CappedUsers;

use super::ledger::Charged;
use super::noise::NoiseVector;
use super::release::{Privatized, ReleaseError};
use crate::model::update::UserUpdate;
use crate::numeric::kernels::clip_add::{Word, add_outer, add_scaled, sum_of_squares};
use crate::params::Weight;
use crate::secagg::Masks;
use crate::update::{CountsGrid, Grid, Update, UpdateValues};

/// A shop's sum over the drawn users. It begins with the noise, so there is no moment at which it is bare. `S` is where
/// noise and draw came from: see [`Source`](crate::rng::Source).
pub struct UserSum<S> {
    sum: PartialSum,
    /// Users of a shop that may be more than there is room for: apart until the sum is let out.
    capped: Option<CappedUsers>,
    noise_stddev: u64,
    source: PhantomData<S>,
}

impl<S> UserSum<S> {
    /// A sum of no user yet: the noise alone. `weight` is w_k of the plan.
    pub fn new(grid: &Grid, weight: Weight, noise: NoiseVector<S>) -> Self {
        let noise_stddev = noise.stddev();
        Self {
            sum: PartialSum {
                grid: *grid,
                weight,
                values: noise.into_values(),
                counts: None,
                tally: Tally::default(),
                scratch: Scratch::default(),
                exact: None,
                since_exact: 0,
            },
            capped: None,
            noise_stddev,
            source: PhantomData,
        }
    }

    /// With quality counts in the last coordinates.
    pub fn with_counts(mut self, counts: Option<CountsGrid>) -> Self {
        self.sum.counts = counts;
        self
    }

    /// For at most `users` users, with room for `room`. If they may be more, each coordinate is brought back to what `room` of
    /// them can come to: the sum of all shops can't wrap then, and one user still changes it by no more than C*s. After
    /// [`Self::with_counts`], before the first user.
    pub fn with_room(mut self, users: u64, room: u64) -> Self {
        self.capped = (users > room).then(|| CappedUsers::new(room, self.part()));
        self
    }

    /// Adds one user's update. One that is not finite, or does not fit the model, adds zeros.
    pub fn add(&mut self, update: &UserUpdate) {
        match &mut self.capped {
            Some(capped) => capped.part().add(update),
            None => self.sum.add(update),
        }
    }

    /// An empty sum of the same grid and weight, for another thread; give it to [`UserSum::merge`].
    pub fn part(&self) -> PartialSum {
        PartialSum {
            grid: self.sum.grid,
            weight: self.sum.weight,
            values: UpdateValues::zeros(self.sum.values.bits(), self.sum.values.len()),
            counts: self.sum.counts,
            tally: Tally::default(),
            scratch: Scratch::default(),
            exact: self.capped.as_ref().map(|_| Vec::new()),
            since_exact: 0,
        }
    }

    /// Takes in what another thread summed. The order of parts, as that of users, changes no bit.
    pub fn merge(&mut self, part: PartialSum) {
        if let Some(capped) = &mut self.capped {
            return capped.merge(part);
        }
        match (&mut self.sum.values, &part.values) {
            (UpdateValues::B32(sum), UpdateValues::B32(part)) => merge(sum, part, u32::wrapping_add),
            (UpdateValues::B64(sum), UpdateValues::B64(part)) => merge(sum, part, u64::wrapping_add),
            // A part is made by `part` of a sum of the same plan.
            _ => debug_assert!(false, "a part of another plan"),
        }
        self.sum.tally.merge(part.tally);
    }

    /// What went in, exactly: for simulations and tests. It is not private, and nothing of it may leave a real shop.
    pub fn tally(&self) -> Tally {
        self.capped.as_ref().map_or(self.sum.tally, CappedUsers::tally)
    }

    /// The integers as they stand, signed.
    #[cfg(test)]
    pub(crate) fn integers(&self) -> Vec<i64> {
        tests::signed(&self.sum.values)
    }

    /// Lets the sum out, against the proof that it was charged for.
    ///
    /// # Errors
    /// When the charge was for less noise or another clip norm than the sum has.
    pub fn finish(self, charged: &Charged) -> Result<Privatized<Update>, ReleaseError> {
        self.release(charged, None)
    }

    /// As [`Self::finish`], under masks: what leaves says nothing without those of the other shops.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub fn finish_masked(self, charged: &Charged, masks: Masks) -> Result<Privatized<Update>, ReleaseError> {
        self.release(charged, Some(masks))
    }

    fn release(
        mut self,
        charged: &Charged,
        masks: Option<Masks>,
    ) -> Result<Privatized<Update>, ReleaseError> {
        if let Some(capped) = self.capped.take() {
            capped.add_to(&mut self.sum.values);
        }
        Privatized::release(self.sum.values, &self.sum.grid, self.noise_stddev, charged, masks)
    }
}

fn merge<T: Copy>(sum: &mut [T], part: &[T], add: impl Fn(T, T) -> T) {
    sum.iter_mut()
        .zip(part)
        .for_each(|(sum, part)| *sum = add(*sum, *part));
}

/// Counts of a sum, of no privacy at all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Users whose update was added.
    pub users: u64,
    /// Of those, the ones that were longer than the clip norm.
    pub clipped: u64,
    /// The longest update, before clipping.
    pub longest: f64,
}

impl Tally {
    /// Takes in another sum's counts.
    pub fn merge(&mut self, other: Self) {
        self.users += other.users;
        self.clipped += other.clipped;
        self.longest = self.longest.max(other.longest);
    }
}

/// What one thread summed, without noise. It can only be merged into a [`UserSum`].
pub struct PartialSum {
    grid: Grid,
    weight: Weight,
    values: UpdateValues,
    counts: Option<CountsGrid>,
    tally: Tally,
    scratch: Scratch,
    /// What was summed before, exactly; none while `values` have room for all.
    exact: Option<Vec<i64>>,
    /// Users in `values` since then.
    since_exact: u64,
}

/// Kept between users, so that adding one allocates nothing.
#[derive(Default)]
struct Scratch {
    coefficients: Vec<f32>,
    direction: Vec<f32>,
}

impl PartialSum {
    /// Counts one user whose newest purchase was ranked, if the plan counts. Once a user: each adds at most sqrt(2) units.
    pub fn count(&mut self, hit: bool) {
        let Some(CountsGrid { unit }) = self.counts else {
            return;
        };
        self.make_room();
        let first = self.coordinates();
        match &mut self.values {
            UpdateValues::B32(sum) => tick(&mut sum[first..], unit as u32, hit, u32::wrapping_add),
            UpdateValues::B64(sum) => tick(&mut sum[first..], unit, hit, u64::wrapping_add),
        }
    }

    /// The model's.
    fn coordinates(&self) -> usize {
        let counts = self.counts.map_or(0, |_| CountsGrid::COORDINATES);
        self.values.len().saturating_sub(counts)
    }

    /// Adds one user's update. One that is not finite, or does not fit the model, adds zeros.
    pub fn add(&mut self, update: &UserUpdate) {
        let Some(norm) = norm(update, self.coordinates()).filter(|norm| *norm > 0.0) else {
            return;
        };
        self.tally.merge(Tally {
            users: 1,
            clipped: (norm > self.grid.clip_norm).into(),
            longest: norm,
        });
        self.make_room();
        // The clip, the weight and the scale in one number: no vector is longer than C*s*w afterwards.
        let factor = self.weight.get() * self.grid.clip_units() * SHRINK / norm.max(self.grid.clip_norm);
        let most = 1u128 << (2 * self.grid.log2_clip.min(60));
        match &mut self.values {
            UpdateValues::B32(sum) => add(sum, update, factor, most, &mut self.scratch),
            UpdateValues::B64(sum) => add(sum, update, factor, most, &mut self.scratch),
        }
    }
}

fn tick<W: Copy>(counts: &mut [W], unit: W, hit: bool, add: impl Fn(W, W) -> W) {
    for count in counts.iter_mut().take(1 + usize::from(hit)) {
        *count = add(*count, unit);
    }
}

/// The L2 norm of the whole vector; None when it is not finite or does not fit into `coordinates`.
fn norm(update: &UserUpdate, coordinates: usize) -> Option<f64> {
    let norm = match update {
        UserUpdate::Sparse { ranges, values } => {
            let mut end = 0;
            let mut named = 0usize;
            for range in ranges {
                if range.start < end || range.end < range.start || range.end > coordinates {
                    return None;
                }
                end = range.end;
                named += range.len();
            }
            if named != values.len() {
                return None;
            }
            sum_of_squares(values).sqrt()
        }
        UserUpdate::RankOne { rows, direction } => {
            if rows.len().checked_mul(direction.len())? > coordinates {
                return None;
            }
            sum_of_squares(rows).sqrt() * sum_of_squares(direction).sqrt()
        }
        UserUpdate::RankOneExcept {
            rows,
            direction,
            own,
            values,
        } => {
            // A row that is named twice, or both ways, would make the vector longer than the norm says.
            let disjoint = own.is_sorted_by(|one, next| one < next)
                && own.iter().all(|row| rows.get(*row as usize) == Some(&0.0));
            if !disjoint
                || rows.len().checked_mul(direction.len())? > coordinates
                || own.len() * direction.len() != values.len()
            {
                return None;
            }
            (sum_of_squares(rows) * sum_of_squares(direction) + sum_of_squares(values)).sqrt()
        }
    };
    norm.is_finite().then_some(norm)
}

/// Adds, and takes back what would be longer than the sensitivity says.
fn add<W: Word>(sum: &mut [W], update: &UserUpdate, factor: f64, most: u128, scratch: &mut Scratch) {
    if add_signed(sum, update, factor, scratch) > most {
        // Truncation is symmetric: the same with the other sign takes back exactly what was added.
        add_signed(sum, update, -factor, scratch);
    }
}

/// Gives the squared norm of the integers added.
fn add_signed<W: Word>(sum: &mut [W], update: &UserUpdate, factor: f64, scratch: &mut Scratch) -> u128 {
    match update {
        UserUpdate::Sparse { ranges, values } => {
            let mut rest = values.as_slice();
            let mut total = 0;
            for range in ranges {
                let (these, after) = rest.split_at(range.len());
                total += add_scaled(&mut sum[range.clone()], these, factor);
                rest = after;
            }
            total
        }
        UserUpdate::RankOne { rows, direction } => add_rank_one(sum, rows, direction, factor, scratch),
        UserUpdate::RankOneExcept {
            rows,
            direction,
            own,
            values,
        } => {
            let mut total = add_rank_one(sum, rows, direction, factor, scratch);
            let width = direction.len();
            for (row, values) in own.iter().zip(values.chunks_exact(width.max(1))) {
                total += add_scaled(&mut sum[*row as usize * width..][..width], values, factor);
            }
            total
        }
    }
}

fn add_rank_one<W: Word>(
    sum: &mut [W],
    rows: &[f32],
    direction: &[f32],
    factor: f64,
    scratch: &mut Scratch,
) -> u128 {
    // The direction at length 1, its length with the rows: neither factor can leave the range of f32.
    let length = sum_of_squares(direction).sqrt();
    if length == 0.0 {
        return 0;
    }
    scratch.direction.clear();
    let unit = direction.iter().map(|value| (f64::from(*value) / length) as f32);
    scratch.direction.extend(unit);
    scratch.coefficients.clear();
    let scaled = rows
        .iter()
        .map(|row| (f64::from(*row) * (factor * length)) as f32);
    scratch.coefficients.extend(scaled);
    add_outer(sum, &scratch.coefficients, &scratch.direction).unwrap_or(0)
}

/// Makes room for the three roundings to f32 of a product and for the rounding of the norm, so that the integers are
/// within C*s by calculation before they are checked.
const SHRINK: f64 = 1.0 - 1.0 / (1u64 << 21) as f64;
