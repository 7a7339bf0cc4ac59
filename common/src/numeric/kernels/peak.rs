//! What one core can do at most: the measure that benchmarks are held against.

use std::hint::black_box;

use crate::clock::Stopwatch;

/// Floating-point operations a second of one core: the fastest of some runs of [`fma_loop`].
pub fn fma_flops_per_second() -> f64 {
    fastest(|| fma_loop(black_box(100_000)))
}

/// Clock ticks a second of one core: the fastest of some runs of [`add_loop`].
pub fn clock_hz() -> f64 {
    fastest(|| add_loop(black_box(10_000)))
}

fn fastest(mut run: impl FnMut() -> f64) -> f64 {
    (0..RUNS)
        .map(|_| {
            let watch = Stopwatch::start();
            let work = run();
            work / watch.secs()
        })
        .fold(0.0, f64::max)
}

/// Multiplies and adds in 12 independent accumulators of 8 lanes, `rounds` times; returns how many operations that was.
///
/// Without AVX2 and FMA: the same sums in plain Rust.
pub fn fma_loop(rounds: u64) -> f64 {
    #[cfg(target_arch = "x86_64")]
    if super::is_fast() {
        // Safety: the processor has AVX2 and FMA.
        unsafe { avx2_rounds(rounds) };
        return rounds as f64 * (CHAINS * 8 * 2) as f64;
    }
    let mut sums = [[1.0f32; 8]; CHAINS];
    for _ in 0..rounds {
        for lane in sums.iter_mut().flatten() {
            *lane = *lane * 0.999 + 0.001;
        }
    }
    black_box(sums);
    rounds as f64 * (CHAINS * 8 * 2) as f64
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2_rounds(rounds: u64) {
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_set1_ps};
    let (scale, shift) = (_mm256_set1_ps(black_box(0.999)), _mm256_set1_ps(black_box(0.001)));
    let mut sums = [_mm256_set1_ps(black_box(1.0)); CHAINS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(*sum, scale, shift);
        }
    }
    black_box(sums);
}

/// Integer additions that each wait for the one before, one a clock tick: 100 a round; returns how many.
pub fn add_loop(rounds: u64) -> f64 {
    let mut sum = black_box(1u64);
    for _ in 0..rounds {
        sum = hundred_adds(sum);
    }
    black_box(sum);
    rounds as f64 * 100.0
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn hundred_adds(mut sum: u64) -> u64 {
    // Safety: touches one register and the flags.
    unsafe {
        std::arch::asm!(
            ".rept 100", "add {sum}, {sum}", ".endr",
            sum = inout(reg) sum, options(pure, nomem, nostack)
        );
    }
    sum
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn hundred_adds(mut sum: u64) -> u64 {
    for _ in 0..100 {
        sum = black_box(sum.wrapping_add(sum));
    }
    sum
}

/// Many short runs: a run that another process cuts into is not the fastest.
const RUNS: usize = 200;
const CHAINS: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loops_count_their_work() {
        assert_eq!(fma_loop(10), 1920.0);
        assert_eq!(add_loop(10), 1000.0);
        assert!(clock_hz() > 1e8 && fma_flops_per_second() > 1e8);
    }
}
