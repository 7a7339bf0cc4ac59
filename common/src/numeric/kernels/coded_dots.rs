//! Dot products of rows of small integers, a tile of rows at a time.
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

/// A tile of rows, made ready for several queries.
pub struct Tile {
    rows: usize,
    width: usize,
    wide: Vec<i16>,
}

impl Tile {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            rows: 0,
            width: 0,
            wide: Vec::new(),
        }
    }

    /// Takes up to [`TILE`] rows of `width` numbers, a multiple of [`LANES`].
    pub fn load(&mut self, codes: &[i8], width: usize) {
        debug_assert!(width.is_multiple_of(LANES) && codes.len() <= TILE * width);
        (self.rows, self.width) = (codes.len() / width.max(1), width);
        self.wide.clear();
        self.wide.extend(codes.iter().map(|code| i16::from(*code)));
        // Eight rows are taken at once.
        let padded = self.rows.next_multiple_of(ROWS) * width;
        self.wide.resize(padded, 0);
    }

    /// The sums of products of each row with `query`, a row each; rows beyond those that were loaded have 0.
    pub fn dots(&self, query: &[i16], out: &mut [i32; TILE]) {
        debug_assert_eq!(query.len(), self.width);
        #[cfg(target_arch = "x86_64")]
        if super::is_fast() && query.len() == self.width && self.width > 0 {
            // SAFETY: the processor has AVX2; the query is as wide as the rows.
            return unsafe { dots_avx2(&self.wide, self.width, query, out) };
        }
        dots_any(&self.wide, self.width, query, out);
    }
}

impl Default for Tile {
    fn default() -> Self {
        Self::new()
    }
}

fn dots_any(wide: &[i16], width: usize, query: &[i16], out: &mut [i32; TILE]) {
    out.fill(0);
    for (row, out) in wide.chunks_exact(width.max(1)).zip(out.iter_mut()) {
        *out = row
            .iter()
            .zip(query)
            .map(|(row, query)| i32::from(*row) * i32::from(*query))
            .sum();
    }
}

/// # Safety
/// The processor has AVX2, and `query` has `width` numbers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn dots_avx2(wide: &[i16], width: usize, query: &[i16], out: &mut [i32; TILE]) {
    out.fill(0);
    let rows = wide.chunks_exact(ROWS * width);
    for (eight, out) in rows.zip(out.chunks_exact_mut(ROWS)) {
        let mut sums = [_mm256_setzero_si256(); ROWS];
        for at in (0..width).step_by(LANES) {
            // SAFETY: `at + LANES` is at most `width`, of which both the query and each of the eight rows have as many.
            unsafe {
                let query = _mm256_loadu_si256(query.as_ptr().add(at).cast());
                for (row, sum) in sums.iter_mut().enumerate() {
                    let row = _mm256_loadu_si256(eight.as_ptr().add(row * width + at).cast());
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
        // SAFETY: `out` has eight numbers here; stores need no alignment.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), sum) };
    }
}

const ROWS: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn the_fast_sums_are_the_plain_ones_also_at_the_largest_numbers(
            rows in 0usize..=TILE, lanes in 1usize..9, seed in any::<u64>(), extreme in any::<bool>(),
        ) {
            let width = lanes * LANES;
            let mut state = seed | 1;
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state
            };
            let most = most_query(width);
            let codes: Vec<i8> = (0..rows * width)
                .map(|_| if extreme { -127 } else { (next() % 255) as i8 })
                .collect();
            let query: Vec<i16> = (0..width)
                .map(|_| if extreme { most } else { (next() % 4000) as i16 - 2000 })
                .collect();
            let mut tile = Tile::new();
            tile.load(&codes, width);
            let mut fast = [7; TILE];
            tile.dots(&query, &mut fast);
            for (row, fast) in fast.iter().enumerate() {
                let codes = codes.get(row * width..(row + 1) * width).unwrap_or(&[]);
                let plain: i64 = codes
                    .iter()
                    .zip(&query)
                    .map(|(code, query)| i64::from(*code) * i64::from(*query))
                    .sum();
                prop_assert_eq!(i64::from(*fast), plain, "row {}", row);
            }
        }
    }
}
