//! Both samplers against the exact probabilities, and against each other. Seeds are fixed; each test says how many of all
//! seeds would fail though the sampler is right.

use super::exact::bernoulli;
use super::*;
use crate::rng::stream;
use crate::update::ModulusBits;
use rand::RngExt;

/// The discrete Gaussian by direct summation.
struct Truth {
    /// Of 0, 1, 2, ..., up to 40 standard deviations or 2^-53 of the whole.
    chances: Vec<f64>,
}

impl Truth {
    fn new(stddev: f64) -> Self {
        let weights: Vec<f64> = (0..=(9.0 * stddev) as usize + 8)
            .map(|x| (-((x * x) as f64) / (2.0 * stddev * stddev)).exp())
            .collect();
        let total = 2.0 * weights.iter().sum::<f64>() - weights[0];
        Self {
            chances: weights.iter().map(|weight| weight / total).collect(),
        }
    }

    fn chance(&self, x: i64) -> f64 {
        self.chances
            .get(x.unsigned_abs() as usize)
            .copied()
            .unwrap_or_default()
    }

    /// E x^power.
    fn moment(&self, power: i32) -> f64 {
        let terms = self.chances.iter().enumerate().skip(1);
        let positive: f64 = terms.map(|(x, chance)| (x as f64).powi(power) * chance).sum();
        if power % 2 == 0 { 2.0 * positive } else { 0.0 }
    }
}

/// Neighbouring integers counted together, and one cell for all that are far out.
struct Cells {
    width: i64,
    half: i64,
}

impl Cells {
    /// A tenth of a standard deviation each, or one integer.
    fn new(stddev: f64, reach: f64) -> Self {
        let width = ((stddev / 10.0) as i64).max(1);
        Self {
            width,
            half: (reach * stddev) as i64 / width + 1,
        }
    }

    fn count(&self) -> usize {
        2 * self.half as usize + 1
    }

    fn of(&self, x: i64) -> usize {
        let cell = x.div_euclid(self.width) + self.half;
        usize::try_from(cell).unwrap_or(usize::MAX).min(self.count() - 1)
    }

    fn tally(&self, draws: &[i64]) -> Vec<f64> {
        let mut counts = vec![0.0; self.count()];
        draws.iter().for_each(|x| counts[self.of(*x)] += 1.0);
        counts
    }

    fn chances(&self, truth: &Truth) -> Vec<f64> {
        let inside = -self.half * self.width..self.half * self.width;
        let mut chances = vec![0.0; self.count()];
        inside.for_each(|x| chances[self.of(x)] += truth.chance(x));
        chances[2 * self.half as usize] = 1.0 - chances.iter().sum::<f64>();
        chances
    }
}

/// Chi-square's quantile that one in 100,000 exceeds (Wilson and Hilferty).
fn critical(freedom: usize) -> f64 {
    let share = 2.0 / (9.0 * freedom as f64);
    freedom as f64 * (1.0 - share + 4.265 * share.sqrt()).powi(3)
}

fn chi_square(counts: &[f64], chances: &[f64]) -> f64 {
    let draws: f64 = counts.iter().sum();
    let part = |(count, chance): (&f64, &f64)| (count - chance * draws).powi(2) / (chance * draws);
    counts.iter().zip(chances).map(part).sum()
}

fn exact(sampler: DiscreteGaussian, draws: usize, name: &str) -> Vec<i64> {
    let mut rng = stream(11, name);
    (0..draws).map(|_| sampler.sample(&mut rng)).collect()
}

fn fast(stddev: u64, draws: usize, name: &str) -> Vec<i64> {
    let mut values = vec![0; draws];
    let sampler = FastGaussian::new(stddev).expect("in range");
    sampler.fill(&mut values, &mut stream(12, name));
    values
}

/// Every sampler at every standard deviation that the tests below go through: its name, draws, and how far out cells go.
fn all_draws(name: &str) -> Vec<(&'static str, f64, Vec<i64>, f64)> {
    let whole = |stddev| DiscreteGaussian::new(stddev).expect("in range");
    let half = DiscreteGaussian::of_ratio(1, 2).expect("in range");
    let slow = |stddev: f64, sampler| ("exact", stddev, exact(sampler, 400_000, name), 3.5);
    let quick = |stddev: u64| ("fast", stddev as f64, fast(stddev, 4_000_000, name), 4.5);
    vec![
        slow(0.5, half),
        slow(3.0, whole(3)),
        slow(655.0, whole(655)),
        slow(65_536.0, whole(65_536)),
        quick(64),
        quick(655),
        quick(65_536),
    ]
}

/// Chi-square over cells of a tenth of a standard deviation. Of the seeds, one in 14,000 fails one of the seven.
#[test]
fn both_samplers_have_the_exact_distribution() {
    for (sampler, stddev, draws, reach) in all_draws("chi-square") {
        let cells = Cells::new(stddev, reach);
        let statistic = chi_square(&cells.tally(&draws), &cells.chances(&Truth::new(stddev)));
        let critical = critical(cells.count() - 1);
        eprintln!(
            "{sampler} at {stddev}: chi-square {statistic:.0} of {}",
            cells.count() - 1
        );
        assert!(
            statistic < critical,
            "{sampler} at {stddev}: {statistic} against {critical}"
        );
    }
}

/// Mean, variance, third and fourth moment within 4.5 standard errors, all of which are summed up exactly. Of the seeds,
/// one in 5,000 fails one of the 28.
#[test]
fn both_samplers_have_the_exact_moments() {
    for (sampler, stddev, draws, _) in all_draws("moments") {
        let truth = Truth::new(stddev);
        for power in 1..=4 {
            let mean = draws.iter().map(|x| (*x as f64).powi(power)).sum::<f64>() / draws.len() as f64;
            let expected = truth.moment(power);
            let error = ((truth.moment(2 * power) - expected * expected) / draws.len() as f64).sqrt();
            let off = (mean - expected) / error;
            eprintln!("{sampler} at {stddev}: moment {power} off by {off:.2} standard errors");
            assert!(
                off.abs() < 4.5,
                "{sampler} at {stddev}, moment {power}: {mean}, expected {expected}, off by {off}"
            );
        }
    }
}

/// The lowest eight bits are uniform, to better than 10^-50, at these standard deviations: a position drawn unevenly
/// within a block would show. Of the seeds, one in 50,000 fails.
#[test]
fn the_fast_samplers_low_bits_are_uniform() {
    for stddev in [655, 65_536] {
        let mut counts = vec![0.0; 256];
        fast(stddev, 4_000_000, "low bits")
            .iter()
            .for_each(|x| counts[x.rem_euclid(256) as usize] += 1.0);
        let statistic = chi_square(&counts, &[1.0 / 256.0; 256]);
        assert!(statistic < critical(255), "{stddev}: {statistic}");
    }
}

/// Two samples, chi-square over cells of a tenth of a standard deviation and, separately, over the lowest four bits. Of
/// the seeds, one in 25,000 fails.
#[test]
fn the_fast_sampler_can_not_be_told_from_the_exact_one() {
    for stddev in [655, 65_536] {
        let sampler = DiscreteGaussian::new(stddev).expect("in range");
        let samples = [
            exact(sampler, 1_000_000, "two samples"),
            fast(stddev, 1_000_000, "two samples"),
        ];
        compare(stddev, &samples);
    }
}

/// Sixty standard deviations spread evenly over their logarithms, each as above. Of the seeds, one in 800 fails.
#[test]
fn at_any_standard_deviation_the_fast_sampler_can_not_be_told_from_the_exact_one() {
    let mut rng = stream(13, "standard deviations");
    let (least, most) = ((fast::LEAST_STDDEV as f64).ln(), (MOST_STDDEV as f64).ln());
    for case in 0..60 {
        let stddev = match case {
            0 => fast::LEAST_STDDEV,
            1 => MOST_STDDEV,
            _ => rng.random_range(least..most).exp() as u64,
        };
        let sampler = DiscreteGaussian::new(stddev).expect("in range");
        compare(
            stddev,
            &[exact(sampler, 30_000, "any"), fast(stddev, 30_000, "any")],
        );
    }
}

fn compare(stddev: u64, samples: &[Vec<i64>; 2]) {
    let cells = Cells::new(stddev as f64, 2.5);
    let by_place = samples.each_ref().map(|draws| cells.tally(draws));
    let by_bits = samples.each_ref().map(|draws| {
        let mut counts = vec![0.0; 16];
        draws
            .iter()
            .for_each(|x| counts[x.rem_euclid(16) as usize] += 1.0);
        counts
    });
    for [a, b] in [by_place, by_bits] {
        // As many draws of each: the difference of two counts has their sum as its variance.
        let part = |(a, b): (&f64, &f64)| (a - b).powi(2) / (a + b).max(1.0);
        let statistic: f64 = a.iter().zip(&b).map(part).sum();
        let critical = critical(a.len() - 1);
        assert!(
            statistic < critical,
            "stddev {stddev}: {statistic} against {critical}"
        );
    }
}

#[test]
fn fractions_with_wide_denominators_come_true_as_often_as_they_say() {
    let mut rng = stream(14, "bernoulli");
    let denominator = (1u128 << 70) + 12_345;
    let hits = (0..40_000)
        .filter(|_| bernoulli(denominator / 3, denominator, &mut rng))
        .count();
    // Five standard errors: one seed in 1.7 million.
    assert!(
        (hits as f64 / 40_000.0 - 1.0 / 3.0).abs() < 5.0 * (2.0f64 / 9.0 / 40_000.0).sqrt(),
        "{hits}"
    );
}

#[test]
fn there_is_no_sampler_out_of_range() {
    assert!(DiscreteGaussian::new(0).is_none() && DiscreteGaussian::new(MOST_STDDEV + 1).is_none());
    assert!(DiscreteGaussian::of_ratio(0, 1).is_none() && DiscreteGaussian::of_ratio(1, 0).is_none());
    assert!(FastGaussian::new(63).is_none() && FastGaussian::new(MOST_STDDEV + 1).is_none());
}

#[test]
fn noise_is_rounded_up_and_absent_only_without_privacy() {
    let mut rng = stream(15, "noise");
    let bits = ModulusBits::B32;
    assert_eq!(NoiseVector::draw(&grid(bits, 16.1), 1, &mut rng).stddev(), 17);
    let none = NoiseVector::draw(&grid(bits, 0.0), 5, &mut rng);
    assert_eq!(none.into_values(), UpdateValues::B32(vec![0; 5]));
}

#[test]
fn a_seed_gives_the_same_noise_for_both_moduli_and_on_every_machine() {
    for (stddev, golden) in [(20.0, GOLDEN[0]), (65_536.0, GOLDEN[1])] {
        let draw = |bits| {
            let vector = NoiseVector::draw(&grid(bits, stddev), 3000, &mut stream(16, "golden"));
            vector.into_values()
        };
        let (UpdateValues::B32(narrow), UpdateValues::B64(wide)) =
            (draw(ModulusBits::B32), draw(ModulusBits::B64))
        else {
            panic!("the wrong modulus");
        };
        assert!(
            wide.iter()
                .zip(&narrow)
                .all(|(wide, narrow)| *wide as u32 == *narrow)
        );
        let shown = [0, 1, 2, 1000, 2998, 2999].map(|at| wide[at] as i64);
        assert_eq!(shown, golden, "stddev {stddev}");
    }
}

const GOLDEN: [[i64; 6]; 2] = [
    [-21, 4, -8, 21, 3, 20],
    [89_541, 23_718, 31_465, -46_272, 17_361, -9951],
];

fn grid(bits: ModulusBits, noise_stddev: f64) -> Grid {
    Grid {
        bits,
        log2_clip: 4,
        clip_norm: 1.0,
        noise_stddev,
    }
}
