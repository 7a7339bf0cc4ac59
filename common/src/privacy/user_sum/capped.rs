//! The sum of a shop that has more users than its plan has room for: it stays within that room instead of wrapping.
//!
//! Users are summed exactly, and what they come to at a coordinate is brought back to what the room holds before the noise is
//! added. Bringing it back moves no two sums further apart, so one user still changes the sum by no more than C*s.

use super::{PartialSum, Tally};
use crate::update::UpdateValues;

/// What the users of a shop come to, exactly, with no noise in it.
pub(super) struct CappedUsers {
    /// Users that a sum of the plan has room for, of this shop.
    room: u64,
    users: PartialSum,
}

impl CappedUsers {
    /// No users yet; `users` is an empty part.
    pub(super) fn new(room: u64, mut users: PartialSum) -> Self {
        users.exact = Some(Vec::new());
        Self { room, users }
    }

    pub(super) fn part(&mut self) -> &mut PartialSum {
        &mut self.users
    }

    pub(super) fn merge(&mut self, mut part: PartialSum) {
        part.make_exact();
        self.users.make_exact();
        let (Some(sums), Some(more)) = (&mut self.users.exact, part.exact) else {
            return;
        };
        sums.iter_mut()
            .zip(more)
            .for_each(|(sum, more)| *sum = sum.saturating_add(more));
        self.users.tally.merge(part.tally);
    }

    pub(super) fn tally(&self) -> Tally {
        self.users.tally
    }

    /// Adds what the users come to, as far as there is room, to `values`.
    pub(super) fn add_to(mut self, values: &mut UpdateValues) {
        self.users.make_exact();
        let of_a_user = self.users.weight.get() * self.users.grid.clip_units();
        let most = (self.room as f64 * of_a_user).ceil() as i64;
        let unit = self.users.counts.map_or(0, |counts| counts.unit);
        let most_counts = i64::try_from(self.room.saturating_mul(unit)).unwrap_or(i64::MAX);
        let first_count = self.users.coordinates();
        let sums = self.users.exact.unwrap_or_default();
        let within = sums.into_iter().enumerate().map(|(at, sum)| {
            let most = if at < first_count { most } else { most_counts };
            sum.clamp(-most, most)
        });
        // Modulo 2^b, as everything is summed.
        match values {
            UpdateValues::B32(values) => values
                .iter_mut()
                .zip(within)
                .for_each(|(value, sum)| *value = value.wrapping_add(sum as u32)),
            UpdateValues::B64(values) => values
                .iter_mut()
                .zip(within)
                .for_each(|(value, sum)| *value = value.wrapping_add(sum as u64)),
        }
    }
}

impl PartialSum {
    /// Before one more user: a part that has to be exact is, before its integers modulo 2^b can wrap.
    pub(super) fn make_room(&mut self) {
        if self.exact.is_none() {
            return;
        }
        let of_a_user = (1u64 << self.grid.log2_clip).max(self.counts.map_or(1, |counts| counts.unit));
        let half = 1u64 << (self.values.bits().bits() - 1);
        if self.since_exact >= (half - 1) / of_a_user {
            self.make_exact();
        }
        self.since_exact += 1;
    }

    /// Takes the integers modulo 2^b over into the exact ones.
    pub(super) fn make_exact(&mut self) {
        let Some(exact) = &mut self.exact else { return };
        exact.resize(self.values.len(), 0);
        self.since_exact = 0;
        match &mut self.values {
            UpdateValues::B32(values) => values.iter_mut().zip(exact).for_each(|(value, exact)| {
                *exact = exact.saturating_add(i64::from(std::mem::take(value).cast_signed()));
            }),
            UpdateValues::B64(values) => values.iter_mut().zip(exact).for_each(|(value, exact)| {
                *exact = exact.saturating_add(std::mem::take(value).cast_signed());
            }),
        }
    }
}
