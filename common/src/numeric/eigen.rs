//! Eigenpairs of symmetric matrices in f64, in plain loops: the same bits on every machine.

use rand::RngExt;
use rayon::prelude::*;

use crate::rng::stream;

/// Eigenpairs, the largest eigenvalue first.
///
/// Vectors have length 1, and their entry of largest magnitude (the first of several) is positive. Where eigenvalues are
/// equal, which vectors span their space depends on nothing but the matrix.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Eigen {
    /// Eigenvalues, descending.
    pub values: Vec<f64>,
    /// One a value.
    pub vectors: Vec<Vec<f64>>,
}

impl Eigen {
    fn of(pairs: impl IntoIterator<Item = (f64, Vec<f64>)>) -> Self {
        let mut pairs: Vec<(f64, Vec<f64>)> = pairs.into_iter().collect();
        pairs.sort_by(|one, other| other.0.total_cmp(&one.0));
        for (_, vector) in &mut pairs {
            let largest = vector
                .iter()
                .fold(0.0f64, |largest, value| match value.abs() > largest.abs() {
                    true => *value,
                    false => largest,
                });
            if largest < 0.0 {
                vector.iter_mut().for_each(|value| *value = -*value);
            }
        }
        let (values, vectors) = pairs.into_iter().unzip();
        Self { values, vectors }
    }

    fn truncated(mut self, count: usize) -> Self {
        self.values.truncate(count);
        self.vectors.truncate(count);
        self
    }
}

/// All eigenpairs of a small symmetric matrix, by cyclic Jacobi rotations (Golub, Van Loan 2013, Algorithm 8.5.2).
///
/// # Shapes
/// matrix: `[n, n]`.
///
/// # Panics
/// If the matrix does not have that shape.
pub fn symmetric(matrix: &[f64], n: usize) -> Eigen {
    assert_eq!(matrix.len(), n * n, "a square matrix");
    let mut a = matrix.to_vec();
    let mut vectors: Vec<Vec<f64>> = (0..n)
        .map(|row| (0..n).map(|column| f64::from(u8::from(row == column))).collect())
        .collect();
    let scale = a.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    for _ in 0..MOST_SWEEPS {
        let mut turned = false;
        for p in 0..n {
            for q in p + 1..n {
                let off = a[p * n + q];
                if off.abs() <= 1e-18 * scale || !off.is_finite() {
                    continue;
                }
                turned = true;
                let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * off);
                let tangent = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
                let sine = tangent * cosine;
                let (head, tail) = a.split_at_mut(q * n);
                rotate(&mut head[p * n..][..n], &mut tail[..n], cosine, sine);
                for row in a.chunks_exact_mut(n) {
                    let (x, y) = (row[p], row[q]);
                    (row[p], row[q]) = (cosine * x - sine * y, sine * x + cosine * y);
                }
                (a[p * n + q], a[q * n + p]) = (0.0, 0.0);
                let (head, tail) = vectors.split_at_mut(q);
                rotate(&mut head[p], &mut tail[0], cosine, sine);
            }
        }
        if !turned {
            break;
        }
    }
    Eigen::of(
        vectors
            .into_iter()
            .enumerate()
            .map(|(at, vector)| (a[at * n + at], vector)),
    )
}

fn rotate(one: &mut [f64], other: &mut [f64], cosine: f64, sine: f64) {
    for (x, y) in one.iter_mut().zip(other) {
        (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
    }
}

/// The `count` largest eigenpairs of a positive semidefinite matrix of `n` rows that is known by its products: `apply` gives
/// the matrix times a vector. A vector of zeros with value 0 stands where the rank is below `count`.
///
/// Subspace iteration with a Chebyshev filter (Zhou, Saad, Tiago, Chelikowsky 2006) from a fixed start. Vectors are multiplied
/// on all cores, each on one: the same bits on any number of them.
pub fn largest(n: usize, count: usize, apply: impl Fn(&[f64]) -> Vec<f64> + Sync) -> Eigen {
    let count = count.min(n);
    if n <= DENSE {
        let unit = |at: usize| {
            (0..n)
                .map(|row| f64::from(u8::from(row == at)))
                .collect::<Vec<f64>>()
        };
        let matrix: Vec<f64> = (0..n).flat_map(|at| apply(&unit(at))).collect();
        return symmetric(&matrix, n).truncated(count);
    }
    let width = (count + EXTRA).min(n);
    let mut rng = stream(0, "subspace");
    let mut basis: Vec<Vec<f64>> = (0..width)
        .map(|_| (0..n).map(|_| rng.random::<f64>() - 0.5).collect())
        .collect();
    let mut found = Eigen::default();
    for _ in 0..MOST_FILTERS {
        orthonormalise(&mut basis);
        let images: Vec<Vec<f64>> = basis.par_iter().map(|vector| apply(vector)).collect();
        let (eigen, worst) = rayleigh_ritz(&basis, &images, count);
        let (first, cut) = (eigen.values[0], eigen.values[width - 1]);
        found = eigen;
        if worst <= 1e-11 * first || !first.is_finite() {
            break;
        }
        // No more vectors than the basis has are needed: one product finds their space.
        if cut <= 1e-14 * first {
            basis = images;
            continue;
        }
        let reach = libm::acosh(2.0 * first / cut - 1.0);
        // So that the filter amplifies at most a hundred million times: more would drown the smaller ones in rounding.
        let degree = (19.0 / reach).clamp(2.0, 16.0) as usize;
        basis = found
            .vectors
            .par_iter()
            .map(|vector| filter(vector, cut, degree, &apply))
            .collect();
    }
    Eigen::of(found.values.into_iter().zip(found.vectors)).truncated(count)
}

/// The Chebyshev polynomial of `degree` that is small on [0, cut] and grows beyond, of the matrix, times `vector`.
fn filter(vector: &[f64], cut: f64, degree: usize, apply: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let shifted = |x: &[f64]| -> Vec<f64> {
        let image = apply(x);
        image.iter().zip(x).map(|(y, x)| 2.0 / cut * y - x).collect()
    };
    let mut before = vector.to_vec();
    let mut now = shifted(vector);
    for _ in 1..degree {
        let next = shifted(&now);
        let next = next
            .iter()
            .zip(&before)
            .map(|(next, before)| 2.0 * next - before)
            .collect();
        before = std::mem::replace(&mut now, next);
    }
    now
}

/// Eigenpairs within the span of an orthonormal basis, and the largest residual of the first `count`.
fn rayleigh_ritz(basis: &[Vec<f64>], images: &[Vec<f64>], count: usize) -> (Eigen, f64) {
    let width = basis.len();
    let mut small = vec![0.0; width * width];
    for row in 0..width {
        for column in 0..=row {
            let value = 0.5 * (dot(&basis[row], &images[column]) + dot(&basis[column], &images[row]));
            (small[row * width + column], small[column * width + row]) = (value, value);
        }
    }
    let small = symmetric(&small, width);
    let combine = |vectors: &[Vec<f64>], weights: &[f64]| {
        let mut sum = vec![0.0; vectors[0].len()];
        vectors
            .iter()
            .zip(weights)
            .for_each(|(vector, weight)| add_scaled(*weight, vector, &mut sum));
        sum
    };
    let vectors: Vec<Vec<f64>> = small
        .vectors
        .iter()
        .map(|weights| combine(basis, weights))
        .collect();
    let worst = (0..count).map(|at| {
        let mut residual = combine(images, &small.vectors[at]);
        add_scaled(-small.values[at], &vectors[at], &mut residual);
        dot(&residual, &residual).sqrt()
    });
    let worst = worst.fold(0.0, f64::max);
    let values = small.values;
    (Eigen { values, vectors }, worst)
}

/// By modified Gram-Schmidt, twice; what depends on those before becomes zeros.
fn orthonormalise(vectors: &mut [Vec<f64>]) {
    for at in 0..vectors.len() {
        let (before, rest) = vectors.split_at_mut(at);
        let vector = &mut rest[0];
        let length = dot(vector, vector).sqrt();
        for _ in 0..2 {
            for other in &*before {
                add_scaled(-dot(other, vector), other, vector);
            }
        }
        let left = dot(vector, vector).sqrt();
        let scale = if left > 1e-12 * length { 1.0 / left } else { 0.0 };
        vector.iter_mut().for_each(|value| *value *= scale);
    }
}

/// In four sums, which the machine adds side by side; their order is fixed.
pub(crate) fn dot(one: &[f64], other: &[f64]) -> f64 {
    let (ones, one_tail) = one.as_chunks::<4>();
    let (others, other_tail) = other.as_chunks::<4>();
    let mut lanes = [0.0f64; 4];
    for (one, other) in ones.iter().zip(others) {
        for lane in 0..4 {
            lanes[lane] += one[lane] * other[lane];
        }
    }
    let tail: f64 = one_tail.iter().zip(other_tail).map(|(x, y)| x * y).sum();
    (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]) + tail
}

pub(crate) fn add_scaled(scale: f64, x: &[f64], y: &mut [f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += scale * x);
}

const MOST_SWEEPS: usize = 60;
/// Where there is no gap to find, more of them change nothing but time.
const MOST_FILTERS: usize = 30;
/// Up to so many rows Jacobi's rotations take less time.
const DENSE: usize = 160;
/// Vectors beside those that are asked for: the larger the gap behind them, the fewer the filters.
const EXTRA: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    /// A positive semidefinite matrix of the rank, times a vector.
    fn product(factors: &[Vec<f64>], x: &[f64]) -> Vec<f64> {
        let mut image = vec![0.0; x.len()];
        factors
            .iter()
            .for_each(|factor| add_scaled(dot(factor, x), factor, &mut image));
        image
    }

    fn factors(rank: usize, n: usize, decay: f64) -> Vec<Vec<f64>> {
        let mut rng = stream(11, "factors");
        let mut factor = |at: usize| {
            let scale = decay.powi(at as i32);
            (0..n).map(|_| (rng.random::<f64>() - 0.5) * scale).collect()
        };
        (0..rank).map(&mut factor).collect()
    }

    fn dense(factors: &[Vec<f64>], n: usize) -> Vec<f64> {
        let unit = |at: usize| {
            (0..n)
                .map(|row| f64::from(u8::from(row == at)))
                .collect::<Vec<f64>>()
        };
        (0..n).flat_map(|at| product(factors, &unit(at))).collect()
    }

    #[test]
    fn a_matrix_of_known_eigenpairs_gives_them_back_with_fixed_signs() {
        // 2 and 4 on (1, -1) and (1, 1).
        let eigen = symmetric(&[3.0, 1.0, 1.0, 3.0], 2);
        assert!((eigen.values[0] - 4.0).abs() < 1e-14 && (eigen.values[1] - 2.0).abs() < 1e-14);
        let half = 0.5f64.sqrt();
        for (vector, wanted) in eigen.vectors.iter().zip([[half, half], [half, -half]]) {
            assert!(
                vector
                    .iter()
                    .zip(wanted)
                    .all(|(got, wanted)| (got - wanted).abs() < 1e-14),
                "{eigen:?}"
            );
        }
        assert_eq!(symmetric(&[0.0; 9], 3).values, [0.0; 3]);
        assert_eq!(symmetric(&[], 0), Eigen::default());
        assert_eq!(symmetric(&[f64::NAN; 4], 2).values.len(), 2);
    }

    #[test]
    fn every_pair_of_a_random_matrix_satisfies_its_equation() {
        for n in [1, 2, 17, 48] {
            let factors = factors(n, n, 0.8);
            let eigen = symmetric(&dense(&factors, n), n);
            assert!(eigen.values.is_sorted_by(|one, next| one >= next));
            for (value, vector) in eigen.values.iter().zip(&eigen.vectors) {
                let mut residual = product(&factors, vector);
                add_scaled(-value, vector, &mut residual);
                assert!(
                    dot(&residual, &residual).sqrt() < 1e-12 * eigen.values[0],
                    "n {n}"
                );
                assert!((dot(vector, vector) - 1.0).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn the_largest_of_a_large_matrix_are_those_of_the_whole() {
        // A flat and a steep spectrum, and one whose rank is below what is asked for.
        for (rank, decay) in [(300, 1.0), (300, 0.9), (12, 0.9)] {
            let n = 260;
            let factors = factors(rank, n, decay);
            let whole = symmetric(&dense(&factors, n), n);
            let largest = largest(n, 20, |x| product(&factors, x));
            for at in 0..20 {
                let (got, wanted) = (largest.values[at], whole.values[at]);
                assert!(
                    (got - wanted).abs() < 1e-10 * whole.values[0],
                    "rank {rank}, {at}: {got} {wanted}"
                );
                let along = dot(&largest.vectors[at], &whole.vectors[at]).abs();
                assert!(
                    at >= rank || (along - 1.0).abs() < 1e-8,
                    "rank {rank}, {at}: {along}"
                );
            }
        }
    }

    #[test]
    fn equal_eigenvalues_are_all_found() {
        let n = 200;
        let apply = |x: &[f64]| {
            (0..n)
                .map(|at| if at < 30 { 2.0 * x[at] } else { x[at] })
                .collect()
        };
        let eigen = largest(n, 32, apply);
        assert!(
            eigen.values[..30].iter().all(|value| (value - 2.0).abs() < 1e-9),
            "{:?}",
            eigen.values
        );
        assert!(eigen.values[30..].iter().all(|value| (value - 1.0).abs() < 1e-9));
        assert_eq!(largest(n, 3, |_| vec![0.0; n]).values, [0.0; 3]);
    }
}
