//! Scale, truncate toward zero, add modulo 2^b, and sum the squares of what was added, in one pass.
//!
//! Each has a plain form for any machine and one for AVX2, to the same integers.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// An unsigned integer that sums wrap around in.
pub trait Word: Copy {
    /// `self + signed` modulo 2^b.
    fn plus(self, signed: i32) -> Self;

    /// Adds eight signed integers to the eight words at `sum`.
    ///
    /// # Safety
    /// `sum` points at eight words that may be written.
    #[cfg(target_arch = "x86_64")]
    #[doc(hidden)]
    unsafe fn plus_eight(sum: *mut Self, signed: __m256i);
}

impl Word for u32 {
    #[inline(always)]
    fn plus(self, signed: i32) -> Self {
        self.wrapping_add(signed as Self)
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn plus_eight(sum: *mut Self, signed: __m256i) {
        let place = sum.cast::<__m256i>();
        // SAFETY: eight words of 4 bytes are one vector; loads and stores need no alignment.
        unsafe { _mm256_storeu_si256(place, _mm256_add_epi32(_mm256_loadu_si256(place), signed)) };
    }
}

impl Word for u64 {
    #[inline(always)]
    fn plus(self, signed: i32) -> Self {
        self.wrapping_add(i64::from(signed) as Self)
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn plus_eight(sum: *mut Self, signed: __m256i) {
        let low = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(signed));
        let high = _mm256_cvtepi32_epi64(_mm256_extracti128_si256::<1>(signed));
        let place = sum.cast::<__m256i>();
        // SAFETY: eight words of 8 bytes are two vectors; loads and stores need no alignment.
        unsafe {
            _mm256_storeu_si256(place, _mm256_add_epi64(_mm256_loadu_si256(place), low));
            let place = place.add(1);
            _mm256_storeu_si256(place, _mm256_add_epi64(_mm256_loadu_si256(place), high));
        }
    }
}

/// `sum[i] += trunc(factor * values[i])`; gives the sum of the squares of the integers added, exactly.
///
/// Products beyond 2^24 in magnitude are cut to it; NaN adds 0. Extra elements of the longer slice are left alone.
pub fn add_scaled<W: Word>(sum: &mut [W], values: &[f32], factor: f64) -> u128 {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, checked in the line above.
        return unsafe { add_scaled_avx2(sum, values, factor) };
    }
    add_scaled_any(sum, values, factor)
}

/// `sum[r*d + c] += trunc(coefficients[r] * direction[c])` for `d = direction.len()`; gives the sum of the squares of
/// the integers added, exactly.
///
/// None, and nothing is added, unless all |coefficients| <= 2^24 and all |direction| <= 1.0001 and `sum` has a place
/// for every product.
pub fn add_outer<W: Word>(sum: &mut [W], coefficients: &[f32], direction: &[f32]) -> Option<u128> {
    let within = |values: &[f32], most: f32| {
        values
            .iter()
            .fold(true, |good, value| good & (value.abs() <= most))
    };
    let fits = coefficients
        .len()
        .checked_mul(direction.len())
        .is_some_and(|len| len <= sum.len());
    if !fits || !within(coefficients, MOST as f32) || !within(direction, 1.0001) {
        return None;
    }
    if direction.is_empty() {
        return Some(0);
    }
    #[cfg(target_arch = "x86_64")]
    if direction.len().is_multiple_of(8)
        && direction.len() <= MOST_IN_LANE * 8
        && std::arch::is_x86_feature_detected!("avx2")
    {
        // SAFETY: the processor has AVX2, and `fits` says that there is a place for every product.
        return Some(unsafe { add_outer_avx2(sum, coefficients, direction) });
    }
    Some(add_outer_any(sum, coefficients, direction))
}

/// In eight partial sums, the same on every machine. Squares of f32 in f64 neither overflow nor underflow.
pub fn sum_of_squares(values: &[f32]) -> f64 {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, checked in the line above.
        return unsafe { sum_of_squares_avx2(values) };
    }
    sum_of_squares_any(values)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn sum_of_squares_avx2(values: &[f32]) -> f64 {
    sum_of_squares_any(values)
}

#[inline(always)]
fn sum_of_squares_any(values: &[f32]) -> f64 {
    let (chunks, tail) = values.as_chunks::<8>();
    let mut lanes = [0.0f64; 8];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += f64::from(*value) * f64::from(*value);
        }
    }
    lanes.iter().sum::<f64>() + tail.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn add_scaled_avx2<W: Word>(sum: &mut [W], values: &[f32], factor: f64) -> u128 {
    let len = sum.len().min(values.len());
    let (eights, tail) = values[..len].as_chunks::<8>();
    let (factor_four, most) = (_mm256_set1_pd(factor), _mm256_set1_pd(MOST));
    let least = _mm256_set1_pd(-MOST);
    let integers = |four: __m128| {
        let product = _mm256_mul_pd(_mm256_cvtps_pd(four), factor_four);
        let cut = _mm256_max_pd(_mm256_min_pd(product, most), least);
        // All ones where the product is a number, else all zeros.
        let number = _mm256_cmp_pd::<_CMP_ORD_Q>(product, product);
        _mm256_cvttpd_epi32(_mm256_and_pd(cut, number))
    };
    let mut total = 0u128;
    // A lane sees 512 squares of at most 2^48 before it is emptied.
    for (eights, sum) in eights.chunks(BLOCK / 8).zip(sum.chunks_mut(BLOCK)) {
        let (mut even_squares, mut odd_squares) = (_mm256_setzero_si256(), _mm256_setzero_si256());
        for (eight, sum) in eights.iter().zip(sum.as_chunks_mut::<8>().0) {
            // SAFETY: eight floats are one vector; no alignment is needed.
            let eight = unsafe { _mm256_loadu_ps(eight.as_ptr()) };
            let low = integers(_mm256_castps256_ps128(eight));
            let high = integers(_mm256_extractf128_ps::<1>(eight));
            let integers = _mm256_set_m128i(high, low);
            // SAFETY: `sum` is eight words.
            unsafe { W::plus_eight(sum.as_mut_ptr(), integers) };
            let odd = _mm256_srli_epi64::<32>(integers);
            even_squares = _mm256_add_epi64(even_squares, _mm256_mul_epi32(integers, integers));
            odd_squares = _mm256_add_epi64(odd_squares, _mm256_mul_epi32(odd, odd));
        }
        total += lanes(even_squares, odd_squares);
    }
    total + add_scaled_any(&mut sum[len - tail.len()..], tail, factor)
}

/// The sum of eight numbers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn lanes(four: __m256i, more: __m256i) -> u128 {
    let mut lanes = [0u64; 8];
    // SAFETY: the lanes are two vectors long.
    unsafe {
        _mm256_storeu_si256(lanes.as_mut_ptr().cast(), four);
        _mm256_storeu_si256(lanes.as_mut_ptr().add(4).cast(), more);
    }
    lanes.iter().map(|lane| u128::from(*lane)).sum()
}

#[inline(always)]
fn add_scaled_any<W: Word>(sum: &mut [W], values: &[f32], factor: f64) -> u128 {
    let mut total = 0u128;
    // 4096 squares of at most 2^48 stay below 2^64.
    for (sum, values) in sum.chunks_mut(BLOCK).zip(values.chunks(BLOCK)) {
        let mut squares = 0u64;
        for (sum, value) in sum.iter_mut().zip(values) {
            let integer = (f64::from(*value) * factor).clamp(-MOST, MOST) as i32;
            *sum = sum.plus(integer);
            squares = squares.wrapping_add((i64::from(integer) * i64::from(integer)) as u64);
        }
        total += u128::from(squares);
    }
    total
}

/// For a `direction` whose length is a multiple of 8.
///
/// # Safety
/// `sum` has a place for every product.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn add_outer_avx2<W: Word>(sum: &mut [W], coefficients: &[f32], direction: &[f32]) -> u128 {
    let width = direction.len();
    let mut total = 0u128;
    let mut place = sum.as_mut_ptr();
    // A lane sees at most MOST_IN_LANE squares of at most 2^48.1 before it is emptied: below 2^64.
    for coefficients in coefficients.chunks((MOST_IN_LANE * 8 / width).max(1)) {
        let (mut even_squares, mut odd_squares) = (_mm256_setzero_si256(), _mm256_setzero_si256());
        for coefficient in coefficients {
            let coefficient = _mm256_set1_ps(*coefficient);
            for eight in direction.as_chunks::<8>().0 {
                // SAFETY: eight floats are one vector; no alignment is needed.
                let eight = unsafe { _mm256_loadu_ps(eight.as_ptr()) };
                let integers = _mm256_cvttps_epi32(_mm256_mul_ps(coefficient, eight));
                // SAFETY: the caller's promise; one row of `width` words for each coefficient.
                unsafe {
                    W::plus_eight(place, integers);
                    place = place.add(8);
                }
                let odd = _mm256_srli_epi64::<32>(integers);
                even_squares = _mm256_add_epi64(even_squares, _mm256_mul_epi32(integers, integers));
                odd_squares = _mm256_add_epi64(odd_squares, _mm256_mul_epi32(odd, odd));
            }
        }
        total += lanes(even_squares, odd_squares);
    }
    total
}

fn add_outer_any<W: Word>(sum: &mut [W], coefficients: &[f32], direction: &[f32]) -> u128 {
    let mut total = 0u128;
    for (row, coefficient) in sum.chunks_exact_mut(direction.len()).zip(coefficients) {
        for (row, direction) in row.chunks_mut(BLOCK).zip(direction.chunks(BLOCK)) {
            let mut squares = 0u64;
            for (sum, direction) in row.iter_mut().zip(direction) {
                let integer = (coefficient * direction) as i32;
                *sum = sum.plus(integer);
                squares = squares.wrapping_add((i64::from(integer) * i64::from(integer)) as u64);
            }
            total += u128::from(squares);
        }
    }
    total
}

/// The largest product that is added.
const MOST: f64 = 16_777_216.0;
const BLOCK: usize = 4096;
const MOST_IN_LANE: usize = 1 << 15;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Stopwatch;
    use rand::RngExt;

    fn values(len: usize, scale: f32, name: &str) -> Vec<f32> {
        let mut rng = crate::rng::stream(5, name);
        (0..len).map(|_| (rng.random::<f32>() - 0.5) * scale).collect()
    }

    #[test]
    fn outer_products_of_every_width_are_what_a_plain_loop_adds() {
        for width in [1usize, 3, 8, 16, 17, 24, 64, 65] {
            let (rows, direction) = (values(1500, 40_000.0, "rows"), values(width, 2.0, "direction"));
            let mut sum = vec![u32::MAX - 3; 1500 * width + 5];
            let mut plain = sum.clone();
            let mut wide = vec![7u64; 1500 * width];
            let mut squares = 0u128;
            for (r, row) in rows.iter().enumerate() {
                for (c, direction) in direction.iter().enumerate() {
                    let integer = (row * direction) as i32;
                    plain[r * width + c] = plain[r * width + c].wrapping_add(integer as u32);
                    squares += u128::from(integer.unsigned_abs()).pow(2);
                }
            }
            assert_eq!(
                add_outer(&mut sum, &rows, &direction),
                Some(squares),
                "width {width}"
            );
            assert_eq!(sum, plain);
            assert_eq!(add_outer(&mut wide, &rows, &direction), Some(squares));
            let narrowed: Vec<u32> = wide.iter().map(|value| *value as u32).collect();
            let shifted: Vec<u32> = plain.iter().map(|value| value.wrapping_add(11)).collect();
            assert_eq!(narrowed[..], shifted[..1500 * width]);
        }
    }

    #[test]
    fn factors_out_of_range_add_nothing() {
        let mut sum = vec![1u32; 4];
        for (rows, direction) in [
            ([1.0, f32::NAN], [1.0, 1.0]),
            ([1.0, 3e7], [1.0, 1.0]),
            ([1.0, 1.0], [f32::INFINITY, 0.0]),
            ([1.0, 1.0], [1.1, 0.0]),
        ] {
            assert_eq!(add_outer(&mut sum, &rows, &direction), None);
        }
        assert_eq!(add_outer(&mut sum, &[1.0; 3], &[1.0; 2]), None);
        assert_eq!(sum, [1; 4]);
    }

    #[test]
    fn scaled_values_are_truncated_toward_zero_and_cut_where_they_could_overflow() {
        let mut sum = vec![0u64; 6];
        let squares = add_scaled(&mut sum, &[1.99, -1.99, f32::NAN, 1e30, -0.4, 0.0], 1.0);
        assert_eq!(sum, [1, u64::MAX, 0, 1 << 24, 0, 0]);
        assert_eq!(squares, 2 + (1 << 48));
    }

    #[test]
    fn scaled_values_of_every_length_are_what_a_plain_loop_adds() {
        for (length, factor) in [(0usize, 1.0), (7, 3.0), (8, -0.7), (4095, 65_536.0), (9001, 1e6)] {
            let mut values = values(length, 40.0, "scaled");
            values
                .iter_mut()
                .step_by(13)
                .zip(
                    [f32::NAN, f32::INFINITY, -f32::INFINITY, f32::MIN_POSITIVE, -0.0]
                        .iter()
                        .cycle(),
                )
                .for_each(|(value, odd)| *value = *odd);
            for extra in [0, 3] {
                let (mut narrow, mut wide) = (vec![5u32; length + extra], vec![u64::MAX; length + extra]);
                let (mut plain_narrow, mut plain_wide) = (narrow.clone(), wide.clone());
                let squares = add_scaled_any(&mut plain_narrow, &values, factor);
                assert_eq!(add_scaled_any(&mut plain_wide, &values, factor), squares);
                assert_eq!(add_scaled(&mut narrow, &values, factor), squares);
                assert_eq!(add_scaled(&mut wide, &values, factor), squares);
                assert!(narrow == plain_narrow && wide == plain_wide, "length {length}");
            }
            let shorter = &mut vec![0u32; length / 2];
            assert_eq!(
                add_scaled(shorter, &values, factor),
                add_scaled_any(&mut vec![0u32; length / 2], &values, factor)
            );
            values.retain(|value| value.is_finite());
            assert_eq!(sum_of_squares(&values), sum_of_squares_any(&values));
        }
    }

    #[test]
    fn four_thousand_rank_one_users_fit_in_a_round() {
        let (rows, direction) = (values(2000, 400.0, "rows"), values(16, 0.5, "direction"));
        let mut sum = vec![0u32; 32_000];
        let clock = Stopwatch::start();
        let squares: u128 = (0..4000)
            .filter_map(|_| add_outer(&mut sum, &rows, &direction))
            .sum();
        let secs = clock.secs();
        eprintln!("4,000 users of 32,000 coordinates: {secs:.4} s ({squares})");
        // About 0.02 s on a quiet machine; tests run beside others.
        assert!(secs < 1.0, "{secs} s");
    }
}
