//! The generator's random numbers: SplitMix64, so that the numpy study of the demo's settings draws the same market.

/// A stream of numbers; streams of different numbers under one seed are unrelated.
pub(crate) struct Draws(u64);

impl Draws {
    /// Stream `stream` under `seed`.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let start = seed
            .wrapping_mul(0x100_0000_01B3)
            .wrapping_add(stream)
            .wrapping_add(1);
        Self(mix(start))
    }

    /// Uniform in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        (mix(self.0) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in 0..`n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }

    /// Exponential with mean 1.
    pub(crate) fn exponential(&mut self) -> f64 {
        -(1.0 - self.unit()).ln()
    }

    /// Standard normal (Box and Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        let (radius, angle) = (self.unit(), self.unit());
        (-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }

    /// A position, with the odds whose running sums are `sums`.
    pub(crate) fn pick(&mut self, sums: &[f64]) -> usize {
        let at = self.unit() * sums.last().copied().unwrap_or(0.0);
        sums.partition_point(|sum| *sum <= at)
            .min(sums.len().saturating_sub(1))
    }
}

/// Running sums of `weights`.
pub(crate) fn running(weights: impl Iterator<Item = f64>) -> Vec<f64> {
    weights
        .scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        })
        .collect()
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
