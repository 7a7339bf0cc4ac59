//! The integer grid of a plan: its scale, modulus, headroom and denominators (PRIVACY: the mechanism, steps 3 to 5).

use super::{Plan, ShopTerms};
use crate::ids::ShopName;
use crate::update::{CountsGrid, Grid, ModulusBits};

impl Plan {
    /// The largest scale s = 2^j / C (j <= 16 for b = 32, j <= 24 for b = 64) for which the sum of all declared users,
    /// as many times as the plan has headroom for, and twelve standard deviations of all shops' noise stay below 2^(b-1).
    ///
    /// # Errors
    /// When none fits, when truncation would eat the signal (C*s / sqrt(coordinates) < 16), or when a shop's noise is
    /// under 16 grid units; each names the remedy.
    pub fn grid(&self, coordinates: usize) -> Result<Grid, GridError> {
        let bits = self.privacy.modulus_bits;
        let per_shop = noise_per_shop(self);
        let reach = reach(self);
        let most_log2 = match bits {
            ModulusBits::B32 => 16,
            ModulusBits::B64 => 24,
        };
        let half = half_modulus(bits);
        let log2_clip = (0..=most_log2)
            .rev()
            .find(|log2| reach * 2f64.powi(*log2) < half)
            .ok_or(GridError::Headroom {
                users: declared_users(self),
                headroom: self.headroom(),
                bits: bits.bits(),
            })? as u32;
        let clip_units = 2f64.powi(log2_clip as i32);
        if clip_units / (coordinates as f64).sqrt() < LEAST_UNITS {
            return Err(GridError::Truncation {
                coordinates,
                clip_units,
                bits: bits.bits(),
            });
        }
        let noise_stddev = per_shop * clip_units;
        if self.privacy.enabled && noise_stddev < LEAST_UNITS {
            return Err(GridError::Noise { noise_stddev });
        }
        let grid = Grid {
            bits,
            log2_clip,
            clip_norm: self.privacy.clip_norm.get(),
            noise_stddev,
        };
        match self.counts(&grid) {
            Some(counts) if (counts.unit as f64) < LEAST_UNITS => {
                Err(GridError::Counts { unit: counts.unit })
            }
            _ => Ok(grid),
        }
    }

    /// Length of an update in bytes, for a model of `coordinates` parameters.
    pub fn update_bytes(&self, coordinates: usize) -> u64 {
        (self.update_len(coordinates) * self.privacy.modulus_bits.bytes()) as u64
    }

    /// Modulus headroom: how many times the largest sum of the plan fits below 2^(b-1); above 1.
    pub fn headroom_on(&self, grid: &Grid) -> f64 {
        half_modulus(grid.bits) / (reach(self) * grid.clip_units())
    }

    /// How many users of a shop its sums have room for: with more, they are held back (`UserSum::with_room`).
    pub fn room_for(&self, terms: &ShopTerms) -> u64 {
        terms.declared_users.saturating_mul(u64::from(self.headroom()))
    }

    /// By how many times the declared users of the `accepted` shops the largest of such integer sums is more than they can come
    /// to, all noise aside; none if it is not: then no shop is seen to have more users than it declared. `sums` are signed, those
    /// of quality counts last.
    pub fn times_declared<'a>(
        &self,
        grid: &Grid,
        accepted: impl IntoIterator<Item = &'a ShopName>,
        sums: impl ExactSizeIterator<Item = i64>,
    ) -> Option<f64> {
        let (mut shops, mut users, mut weighted) = (0.0, 0.0, 0.0);
        for terms in accepted.into_iter().filter_map(|shop| self.terms_of(shop)) {
            let declared = terms.declared_users as f64;
            (shops, users) = (shops + 1.0, users + declared);
            weighted += declared * terms.weight.get();
        }
        // As NoiseVector::draw rounds it, once a shop.
        let noise = NOISE_REACH * grid.noise_stddev.ceil() * f64::sqrt(shops);
        let counts = self.counts(grid).map(|counts| users * counts.unit as f64);
        let first_count = sums.len() - counts.map_or(0, |_| CountsGrid::COORDINATES);
        let times = |(at, sum): (usize, i64)| {
            let most = counts.filter(|_| at >= first_count);
            (sum.unsigned_abs() as f64 - noise) / most.unwrap_or(weighted * grid.clip_units())
        };
        let most = sums.enumerate().map(times).fold(0.0, f64::max);
        (most > 1.0).then_some(most)
    }

    /// What the integer sum is divided by to be the mean update: s * q * sum of w_k N_k over the accepted shops.
    pub fn denominator<'a>(&self, grid: &Grid, accepted: impl IntoIterator<Item = &'a ShopName>) -> f64 {
        let weighted: f64 = accepted
            .into_iter()
            .filter_map(|shop| self.terms_of(shop))
            .map(|terms| terms.weight.get() * terms.declared_users as f64)
            .sum();
        grid.scale() * self.privacy.sampling_rate.get() * weighted
    }
}

/// In units of C*s: the worst sum of users, all the headroom used, and twelve standard deviations of the summed noise.
fn reach(plan: &Plan) -> f64 {
    // A block reaches further than the update where its noise is the smaller one.
    let blocks = plan.blocks(0);
    let widest = blocks
        .iter()
        .fold(1.0, |widest: f64, block| widest.max(block.sensitivity));
    let users = declared_users(plan) * f64::from(plan.headroom());
    users * widest + NOISE_REACH * noise_per_shop(plan) * (plan.shops.len() as f64).sqrt()
}

fn declared_users(plan: &Plan) -> f64 {
    plan.shops.iter().map(|terms| terms.declared_users as f64).sum()
}

/// In units of C*s.
fn noise_per_shop(plan: &Plan) -> f64 {
    let noise_multiplier = plan.privacy.noise_multiplier.map_or(0.0, |z| z.get());
    match plan.noise_shares() {
        1 => noise_multiplier,
        // A little more, for the rounding of root and quotient: what the shares add up to is never below z.
        shares => noise_multiplier / (shares as f64).sqrt() * (1.0 + 8.0 * f64::EPSILON),
    }
}

/// Standard deviations beyond which noise does not reach.
const NOISE_REACH: f64 = 12.0;

fn half_modulus(bits: ModulusBits) -> f64 {
    2f64.powi(bits.bits() as i32 - 1)
}

/// Why a plan has no grid.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GridError {
    /// The sum could wrap.
    #[error(
        "{users} declared users do not fit {headroom} times a modulus of {bits} bits; set privacy.modulus_bits = 64"
    )]
    Headroom {
        /// Declared users of all shops.
        users: f64,
        /// How many times they have to fit.
        headroom: u32,
        /// b.
        bits: u32,
    },
    /// The grid is too coarse for so many coordinates.
    #[error(
        "{coordinates} coordinates at {clip_units} grid units per clip norm: truncation would eat the signal with \
         modulus {bits}; set privacy.modulus_bits = 64, or use a smaller model"
    )]
    Truncation {
        /// Model parameters.
        coordinates: usize,
        /// C*s.
        clip_units: f64,
        /// b.
        bits: u32,
    },
    /// The quality counts' unit is too small for the grid.
    #[error(
        "a user's quality count is {unit} grid units; at least 16 are needed: lower metrics.noise_multiplier or set \
             privacy.modulus_bits = 64"
    )]
    Counts {
        /// In grid units.
        unit: u64,
    },
    /// The noise is too narrow for the grid.
    #[error(
        "a shop's noise has a standard deviation of {noise_stddev} grid units; at least 16 are needed: raise \
             privacy.noise_multiplier or set privacy.modulus_bits = 64"
    )]
    Noise {
        /// In grid units.
        noise_stddev: f64,
    },
}

const LEAST_UNITS: f64 = 16.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(users: u64, more: &str) -> Plan {
        let shops: String = ["a", "b", "c", "d", "e"]
            .map(|shop| format!("[[shops]]\nname = \"{shop}\"\ndeclared_users = {users}\n"))
            .concat();
        let text = format!(
            "name = \"t\"\nrounds = 1\n[model]\nkind = \"mf\"\n[train]\nsolver = \"ials\"\nalpha = 0.1\nlambda = 1.0\n\
             [privacy]\nclip_norm = 2.0\nnoise_multiplier = 3.0\nsampling_rate = 0.5\n{more}\
             [cohort]\nquorum = 4\n[server]\noptimiser = \"plain\"\nlearning_rate = 1.0\n{shops}"
        );
        Plan::from_toml(&text).unwrap()
    }

    /// Largest magnitude of the integer sum: all declared users at the clip norm, and twelve standard deviations.
    fn largest_sum(plan: &Plan, grid: &Grid) -> f64 {
        let shops = plan.shops.len() as f64;
        5.0 * plan.shops[0].declared_users as f64 * grid.clip_units()
            + 12.0 * grid.noise_stddev * shops.sqrt()
    }

    #[test]
    fn one_user_more_than_fits_halves_the_scale_and_beyond_the_last_the_plan_is_refused() {
        // 5 N C*s + 12 * 3 * sqrt(5) C*s < 2^31 at C*s = 2^16: N <= 6,537 (5 N + 80.5 < 32,768).
        let fits = plan(6_537, "");
        let grid = fits.grid(1000).unwrap();
        assert_eq!(grid.log2_clip, 16);
        assert!(largest_sum(&fits, &grid) < 2f64.powi(31));
        let over = plan(6_538, "");
        let grid = over.grid(1000).unwrap();
        assert_eq!(grid.log2_clip, 15);
        assert!(largest_sum(&over, &grid) * 2.0 >= 2f64.powi(31));
        // With so many users no scale is left that truncation leaves a signal on: b = 64 is the remedy, and works.
        let many = plan(100_000_000, "");
        let refused = many.grid(100_000).unwrap_err();
        assert!(refused.to_string().contains("modulus_bits = 64"), "{refused}");
        assert!(plan(100_000_000, "modulus_bits = 64\n").grid(100_000).is_ok());
    }

    #[test]
    fn with_headroom_four_times_the_declared_users_fit_and_a_plan_of_before_keeps_its_grid_and_digest() {
        let before = plan(6_000, "");
        let now = before.clone().begun_now();
        assert_eq!((before.headroom(), now.headroom()), (1, Plan::HEADROOM));
        assert_ne!(before.digest(), now.digest());
        assert!(!String::from_utf8(before.to_bytes()).unwrap().contains("headroom"));
        assert_eq!(now.clone().begun_before_headroom(), before);
        // What a file says stays.
        let own = plan(6_000, "headroom = 9\n");
        assert_eq!(own.clone().begun_now(), own);
        // 30,000 users at C*s = 2^16 leave no room for a second one of each; 120,000 take 2^14.
        let (old, new) = (before.grid(1000).unwrap(), now.grid(1000).unwrap());
        assert_eq!((old.log2_clip, new.log2_clip), (16, 14));
        assert!(largest_sum(&plan(24_000, ""), &new) < 2f64.powi(31));
        assert!(largest_sum(&plan(24_000, ""), &old) > 2f64.powi(31));
        for text in ["headroom = 0\n", "headroom = 1001\n"] {
            let refused = Plan::from_toml(
                &toml::to_string(&before)
                    .unwrap()
                    .replace("[cohort]", &format!("{text}[cohort]")),
            );
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains("privacy.headroom"), "{refused}");
        }
    }

    #[test]
    fn shares_of_distributed_noise_add_up_to_what_is_charged() {
        let masked = plan(
            100,
            "placement = \"distributed\"\n[masking]\nmin_shops = 4\ncolluding = 1\n",
        );
        let grid = masked.grid(1000).unwrap();
        let share = grid.noise_stddev.ceil();
        assert!(3.0 * share * share >= (3.0 * grid.clip_units()).powi(2));
        assert!(
            3.0 * (share - 1.0).powi(2) < (3.0 * grid.clip_units()).powi(2),
            "no more than it takes"
        );
        assert_eq!(masked.noise_shares(), 3);
    }

    #[test]
    fn counts_stay_within_their_sensitivity_fit_the_modulus_and_are_read_back() {
        let masking = "placement = \"distributed\"\n[masking]\nmin_shops = 4\ncolluding = 1\n";
        let counted = plan(6_000, &format!("{masking}[metrics]\nnoise_multiplier = 6.0\n"));
        let grid = counted.grid(1000).unwrap();
        let counts = counted.counts(&grid).unwrap();
        // A user adds sqrt(2) units, at most z C*s / z_e.
        let most = 3.0 * grid.clip_units() / 6.0;
        let longest = 2.0 * (counts.unit as f64).powi(2);
        assert!(longest <= most * most && longest > 0.99 * most * most);
        // z of both together.
        let both = counted.charged_noise_multiplier().unwrap().get();
        assert!((both - (3f64.powi(-2) + 6f64.powi(-2)).powf(-0.5)).abs() < 1e-12);
        let unit = counts.unit as i64;
        let read = counts.read([40 * unit, 10 * unit], grid.noise_stddev);
        assert_eq!((read.users, read.hits), (40.0, 10.0));
        // Counts of less noise than the update reach further, and take their part of the modulus.
        let loud = plan(6_000, &format!("{masking}[metrics]\nnoise_multiplier = 0.3\n"));
        let counts = loud.counts(&loud.grid(1000).unwrap()).unwrap();
        assert!(30_000.0 * counts.unit as f64 * std::f64::consts::SQRT_2 < 2f64.powi(31));
        assert_eq!(loud.update_len(1000), 1002);
    }
}
