//! Scores of different channels made comparable: standardised over all items of one user, then compressed.
//!
//! Without the compression the weights of a stack diverge on sparse catalogues, where one score may stand a hundred
//! standard deviations out.

use super::{Channel, Channels, Recency, recency_weights};

/// What turns a raw score into a standardised one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standard {
    /// Mean over all items.
    pub mean: f32,
    /// 1 / (population standard deviation + 1e-6); 0 where all scores are alike.
    pub rate: f32,
}

impl Standard {
    /// Of all items' scores.
    pub fn of(scores: &[f32]) -> Self {
        let count = scores.len().max(1) as f64;
        let mean = lanes(scores, |score| score) / count;
        let spread = lanes(scores, |score| (score - mean) * (score - mean)) / count;
        let deviation = spread.sqrt();
        let rate = if deviation > ALIKE {
            1.0 / (deviation + 1e-6)
        } else {
            0.0
        };
        Self {
            mean: mean as f32,
            rate: rate as f32,
        }
    }

    /// The standardised and compressed score: 3 asinh(z / 3).
    #[inline]
    pub fn apply(self, score: f32) -> f32 {
        compress((score - self.mean) * self.rate)
    }
}

/// Standardised and compressed scores of `rows` for a history, earliest first.
///
/// # Shapes
/// out: `[rows, channels]`.
pub fn score_rows(channels: &Channels, history: &[u32], items: usize, rows: &[u32], out: &mut [f32]) {
    let mut scores = vec![0.0; items];
    for (at, channel) in channels.iter().enumerate() {
        let standard = score_channel(&**channel, history, &mut scores);
        for (row, values) in rows.iter().zip(out.chunks_exact_mut(channels.len())) {
            values[at] = standard.apply(scores[*row as usize]);
        }
    }
}

/// Raw scores of all items for a history, earliest first, and what makes them standard.
pub fn score_channel(channel: &dyn Channel, history: &[u32], scores: &mut [f32]) -> Standard {
    let weights = recency_weights(history.len(), channel.decay().unwrap_or(0.0));
    let of = Recency {
        items: history,
        weights: &weights,
    };
    channel.score(of, scores);
    Standard::of(scores)
}

/// 3 asinh(z / 3): linear near 0, logarithmic far out. Within 1e-6 of the exact value, and the same on every machine.
#[inline]
pub fn compress(z: f32) -> f32 {
    let size = z.abs() / KNEE;
    (KNEE * ln_from_one(size + (size * size + 1.0).sqrt())).copysign(z)
}

/// The natural logarithm of `x` >= 1, without branches so that loops over it use the machine's vectors.
#[inline]
fn ln_from_one(x: f32) -> f32 {
    let bits = x.to_bits();
    let mantissa = f32::from_bits((bits & 0x007f_ffff) | 0x3f80_0000);
    let above = mantissa > std::f32::consts::SQRT_2;
    let mantissa = if above { 0.5 * mantissa } else { mantissa };
    let exponent = (bits >> 23) as i32 - 127 + i32::from(above);
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let series = 1.0 + square * (1.0 / 3.0 + square * (1.0 / 5.0 + square * (1.0 / 7.0 + square / 9.0)));
    2.0 * s * series + exponent as f32 * std::f32::consts::LN_2
}

/// The sum in f64, in a fixed order that vectors can follow.
fn lanes(scores: &[f32], of: impl Fn(f64) -> f64) -> f64 {
    let mut sums = [0.0_f64; 8];
    let chunks = scores.chunks_exact(8);
    let rest: f64 = chunks.remainder().iter().map(|score| of(f64::from(*score))).sum();
    for chunk in chunks {
        for (sum, score) in sums.iter_mut().zip(chunk) {
            *sum += of(f64::from(*score));
        }
    }
    sums.iter().sum::<f64>() + rest
}

const KNEE: f32 = 3.0;

/// Scores that vary by no more than this are alike.
const ALIKE: f64 = 1e-7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compression_is_three_asinh_of_a_third_on_both_sides_of_zero() {
        for step in -4000_i32..4000 {
            let z = step as f32 * step.abs() as f32 * 1e-4;
            let exact = 3.0 * (f64::from(z) / 3.0).asinh();
            assert!((f64::from(compress(z)) - exact).abs() < 2e-6, "{z}");
        }
        assert_eq!(compress(0.0), 0.0);
    }

    #[test]
    fn scores_have_mean_zero_and_deviation_one_unless_they_are_alike() {
        let scores: Vec<f32> = (0..21).map(|at| at as f32).collect();
        let standard = Standard::of(&scores);
        assert_eq!(standard.mean, 10.0);
        assert!((1.0 / standard.rate - 36.666_667_f32.sqrt()).abs() < 1e-4);
        assert_eq!(Standard::of(&[0.3; 9]).rate, 0.0);
        assert_eq!(Standard::of(&[5.0]).apply(5.0), 0.0);
        assert_eq!(Standard::of(&[]).rate, 0.0);
    }
}
