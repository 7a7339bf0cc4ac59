//! Which rows of small integers have products with a query above a bound, a tile of rows at a time.
//!
//! Rows are of `i8`, the query of `i16`; sums are of `i32` and exact: [`most_query`] keeps them from wrapping. A plain form
//! for any machine and one for AVX2, to the same integers.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Rows that are taken together.
pub const TILE: usize = 128;

/// Widths are padded to a multiple of this, with zeros.
pub const LANES: usize = 16;

/// The largest magnitude of a query's numbers at a width, so that no sum of products with -127 to 127 wraps around.
pub fn most_query(width: usize) -> i16 {
    let most = (i32::MAX as usize / 127) / width.max(1);
    most.min(i16::MAX as usize) as i16
}

/// What a sum of a row and the query stands for: `sum scales[row] step + errors[row] length`, at most.
#[derive(Clone, Copy, Debug)]
pub struct Bounds<'a> {
    /// One a row.
    pub scales: &'a [f32],
    /// One a row.
    pub errors: &'a [f32],
    /// Of the query.
    pub step: f32,
    /// Of the query.
    pub length: f32,
    /// What a row has to be above.
    pub least: f32,
}

/// A tile of up to [`TILE`] rows of `width` numbers, a multiple of [`LANES`], made ready for several queries.
#[derive(Debug, Default)]
pub struct Tile<'a> {
    codes: &'a [i8],
    width: usize,
    /// The same, wider; empty for one query, for which that would not pay.
    wide: Vec<i16>,
}

impl<'a> Tile<'a> {
    /// Takes rows, for as many queries.
    pub fn load(&mut self, codes: &'a [i8], width: usize, queries: usize) {
        debug_assert!(width.is_multiple_of(LANES) && codes.len() <= TILE * width);
        (self.codes, self.width) = (codes, width);
        self.wide.clear();
        if queries > 1 {
            self.wide.resize(codes.len(), 0);
            #[cfg(target_arch = "x86_64")]
            if super::is_fast() {
                // SAFETY: the processor has AVX2; both are of one length, a multiple of 16.
                return unsafe { widen_avx2(codes, &mut self.wide) };
            }
            self.wide
                .iter_mut()
                .zip(codes)
                .for_each(|(wide, code)| *wide = i16::from(*code));
        }
    }

    /// The rows whose bounds are above the least, a bit each.
    pub fn above(&self, query: &[i16], bounds: &Bounds<'_>) -> u128 {
        let rows = self.codes.len().checked_div(self.width).unwrap_or(0);
        debug_assert!(
            query.len() == self.width && bounds.scales.len() == rows && bounds.errors.len() == rows
        );
        #[cfg(target_arch = "x86_64")]
        if super::is_fast()
            && rows.is_multiple_of(EIGHT)
            && rows <= TILE
            && query.len() == self.width
            && bounds.scales.len() == rows
            && bounds.errors.len() == rows
        {
            // SAFETY: the processor has AVX2 and FMA; there are whole eights of rows, each as wide as the query, with a scale and an
            // error each.
            return unsafe {
                match self.wide.is_empty() {
                    true => above_narrow(self.codes, query, bounds),
                    false => above_wide(&self.wide, query, bounds),
                }
            };
        }
        self.above_any(query, bounds)
    }

    fn above_any(&self, query: &[i16], bounds: &Bounds<'_>) -> u128 {
        let rows = self
            .codes
            .chunks_exact(self.width.max(1))
            .zip(bounds.scales)
            .zip(bounds.errors);
        rows.enumerate().fold(0, |above, (at, ((row, scale), error))| {
            let products = row
                .iter()
                .zip(query)
                .map(|(row, query)| i32::from(*row) * i32::from(*query));
            let bound = products.sum::<i32>() as f32 * (scale * bounds.step) + error * bounds.length;
            above | u128::from(bound > bounds.least) << at
        })
    }
}

#[cfg(target_arch = "x86_64")]
macro_rules! above {
    ($name:ident, $code:ty, $load:expr) => {
        /// # Safety
        /// The processor has AVX2 and FMA; rows are whole eights, each as wide as the query, with a scale and an error each.
        #[target_feature(enable = "avx2,fma")]
        unsafe fn $name(rows: &[$code], query: &[i16], bounds: &Bounds<'_>) -> u128 {
            let width = query.len();
            let (step, length) = (_mm256_set1_ps(bounds.step), _mm256_set1_ps(bounds.length));
            let least = _mm256_set1_ps(bounds.least);
            let mut above = 0;
            for (eights, eight) in rows.chunks_exact(EIGHT * width).enumerate() {
                let mut sums = [_mm256_setzero_si256(); EIGHT];
                for at in (0..width).step_by(LANES) {
                    // SAFETY: `at + LANES` is at most `width`, of which both the query and each of the eight rows have as many.
                    unsafe {
                        let query = _mm256_loadu_si256(query.as_ptr().add(at).cast());
                        for (row, sum) in sums.iter_mut().enumerate() {
                            let row = $load(eight.as_ptr().add(row * width + at));
                            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(row, query));
                        }
                    }
                }
                let [a, b, c, d, e, f, g, h] = sums;
                let low = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
                let high = _mm256_hadd_epi32(_mm256_hadd_epi32(e, f), _mm256_hadd_epi32(g, h));
                let sum = _mm256_add_epi32(
                    _mm256_permute2x128_si256::<0x20>(low, high),
                    _mm256_permute2x128_si256::<0x31>(low, high),
                );
                // SAFETY: each eight of rows has eight scales and eight errors.
                let (scales, errors) = unsafe {
                    (
                        _mm256_loadu_ps(bounds.scales.as_ptr().add(eights * EIGHT)),
                        _mm256_loadu_ps(bounds.errors.as_ptr().add(eights * EIGHT)),
                    )
                };
                let products = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(scales, step));
                let bound = _mm256_fmadd_ps(errors, length, products);
                let bits = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(bound, least));
                above |= u128::from(bits.cast_unsigned()) << (eights * EIGHT);
            }
            above
        }
    };
}

#[cfg(target_arch = "x86_64")]
above!(above_wide, i16, |row: *const i16| _mm256_loadu_si256(row.cast()));
#[cfg(target_arch = "x86_64")]
above!(above_narrow, i8, |row: *const i8| _mm256_cvtepi8_epi16(
    _mm_loadu_si128(row.cast())
));

/// # Safety
/// The processor has AVX2; both are of one length, a multiple of 16.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn widen_avx2(codes: &[i8], wide: &mut [i16]) {
    for (codes, wide) in codes.chunks_exact(LANES).zip(wide.chunks_exact_mut(LANES)) {
        // SAFETY: sixteen bytes are read and sixteen times two written, of slices that have as many; none needs alignment.
        unsafe {
            let codes = _mm_loadu_si128(codes.as_ptr().cast());
            _mm256_storeu_si256(wide.as_mut_ptr().cast(), _mm256_cvtepi8_epi16(codes));
        }
    }
}

/// Rows that are taken at once; a tile has whole eights of them where it is to be fast.
pub const EIGHT: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn the_fast_bounds_are_the_plain_ones_also_at_the_largest_numbers(
            eights in 0usize..=TILE / EIGHT, odd in 0usize..3, lanes in 1usize..9, seed in any::<u64>(),
            extreme in any::<bool>(),
        ) {
            let width = lanes * LANES;
            // Odd numbers of rows take the plain way.
            let rows = (eights * EIGHT + odd).min(TILE);
            let mut state = seed | 1;
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state
            };
            let codes: Vec<i8> = (0..rows * width)
                .map(|_| if extreme { -127 } else { (next() % 255) as i8 })
                .collect();
            let mut query: Vec<i16> = (0..width).map(|_| (next() % 4000) as i16 - 2000).collect();
            if extreme {
                query.fill(-most_query(width));
            }
            // Powers of two, so that neither way rounds.
            let scales: Vec<f32> = (0..rows).map(|_| 0.5f32.powi((next() % 8) as i32)).collect();
            let errors: Vec<f32> = (0..rows).map(|_| (next() % 512) as f32).collect();
            let sum = |row: usize| -> i64 {
                let codes = codes[row * width..][..width].iter().zip(&query);
                codes.map(|(code, query)| i64::from(*code) * i64::from(*query)).sum()
            };
            let bound = |row: usize| sum(row) as f32 * (scales[row] * 0.25) + errors[row] * 2.0;
            let least = if rows > 2 { bound(rows / 2) } else { 0.0 };
            let plain = (0..rows).fold(0, |above, row| above | u128::from(bound(row) > least) << row);
            let bounds = Bounds { scales: &scales, errors: &errors, step: 0.25, length: 2.0, least };
            for queries in [1, 2] {
                let mut tile = Tile::default();
                tile.load(&codes, width, queries);
                let mut differ = tile.above(&query, &bounds) ^ plain;
                // Where the bound is the least, the last bit of a sum beyond 2^24 may say either.
                (0..rows).filter(|row| (bound(*row) - least).abs() <= 8.0).for_each(|row| differ &= !(1 << row));
                prop_assert_eq!(differ, 0);
                let beyond = u128::MAX.checked_shl(rows as u32).unwrap_or(0);
                prop_assert_eq!(tile.above(&query, &bounds) & beyond, 0);
            }
        }
    }
}
