//! Small symmetric positive definite systems, solved in place.

/// Solves `a x = b` for symmetric positive definite `a` by Cholesky factorisation; `b` becomes `x`.
///
/// Only the lower triangle of `a` is read; it is overwritten by the factor. Returns false, with `b` undefined, when `a`
/// is not positive definite (or not finite).
///
/// # Shapes
/// a: `[n, n]` row-major, b: `[n]`.
pub fn solve(a: &mut [f64], b: &mut [f64]) -> bool {
    let n = b.len();
    debug_assert_eq!(a.len(), n * n);
    for row in 0..n {
        for column in 0..=row {
            let mut sum = a[row * n + column];
            for k in 0..column {
                sum -= a[row * n + k] * a[column * n + k];
            }
            if row == column {
                if !(sum > 0.0 && sum.is_finite()) {
                    return false;
                }
                a[row * n + row] = sum.sqrt();
            } else {
                a[row * n + column] = sum / a[column * n + column];
            }
        }
    }
    for row in 0..n {
        let mut sum = b[row];
        for k in 0..row {
            sum -= a[row * n + k] * b[k];
        }
        b[row] = sum / a[row * n + row];
    }
    for row in (0..n).rev() {
        let mut sum = b[row];
        for k in row + 1..n {
            sum -= a[k * n + row] * b[k];
        }
        b[row] = sum / a[row * n + row];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::solve;

    #[test]
    fn a_small_system_is_solved() {
        let mut a = [4.0, 0.0, 0.0, 2.0, 5.0, 0.0, 1.0, 3.0, 6.0];
        // b = A (1, -2, 3) for the symmetric A with that lower triangle.
        let mut b = [4.0 - 4.0 + 3.0, 2.0 - 10.0 + 9.0, 1.0 - 6.0 + 18.0];
        assert!(solve(&mut a, &mut b));
        for (got, expected) in b.iter().zip([1.0, -2.0, 3.0]) {
            assert!((got - expected).abs() < 1e-12, "{b:?}");
        }
    }

    #[test]
    fn an_indefinite_matrix_is_refused() {
        assert!(!solve(&mut [1.0, 0.0, 2.0, 1.0], &mut [1.0, 1.0]));
        assert!(!solve(&mut [f64::NAN], &mut [1.0]));
    }
}
