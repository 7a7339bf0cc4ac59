//! The one-shot estimate (Andrew et al. 2023): random unit directions as clients, and their cosines with what is published. An
//! estimate, biased high for few coordinates; not a bound.

use super::normal_cdf;

/// Epsilon at `delta` of telling N(`mean`, `stddev`^2), the cosines of the canaries that took part, from N(0, 1/`coordinates`), those
/// of random directions that did not.
pub(crate) fn epsilon(cosines: &[f64], coordinates: usize, delta: f64) -> f64 {
    let count = cosines.len() as f64;
    let mean = cosines.iter().sum::<f64>() / count;
    let variance = cosines.iter().map(|cosine| (cosine - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    // In units of the absent ones' deviation.
    let unit = (coordinates as f64).sqrt();
    let (shift, stddev) = (mean * unit, variance.sqrt() * unit);
    let exceeds = |epsilon: f64| {
        hockey_stick((shift, stddev), (0.0, 1.0), epsilon).max(hockey_stick(
            (0.0, 1.0),
            (shift, stddev),
            epsilon,
        )) > delta
    };
    match exceeds(0.0) {
        true => super::largest_refuted(0.0, exceeds),
        false => 0.0,
    }
}

/// The largest P(S) - e^`epsilon` Q(S) over all sets, of two normal distributions (mean, standard deviation).
fn hockey_stick(p: (f64, f64), q: (f64, f64), epsilon: f64) -> f64 {
    // log p(x) - log q(x) - epsilon = a x^2 + b x + c; the set is where it is positive.
    let ((m, s), (n, t)) = (p, q);
    let a = 0.5 * (t.powi(-2) - s.powi(-2));
    let b = m / (s * s) - n / (t * t);
    let c = 0.5 * ((n / t).powi(2) - (m / s).powi(2)) + (t / s).ln() - epsilon;
    let mass = |(mean, stddev): (f64, f64), from: f64, to: f64| {
        normal_cdf((to - mean) / stddev) - normal_cdf((from - mean) / stddev)
    };
    let gain = |from: f64, to: f64| mass(p, from, to) - epsilon.exp() * mass(q, from, to);
    let infinite = f64::INFINITY;
    if a.abs() < 1e-12 {
        if b == 0.0 {
            return if c > 0.0 { 1.0 - epsilon.exp() } else { 0.0 };
        }
        let root = -c / b;
        return if b > 0.0 {
            gain(root, infinite)
        } else {
            gain(-infinite, root)
        };
    }
    let discriminant = b * b - 4.0 * a * c;
    if discriminant <= 0.0 {
        return if a > 0.0 { gain(-infinite, infinite) } else { 0.0 };
    }
    // The stable form: no cancellation between -b and the root.
    let larger = -0.5 * (b + b.signum() * discriminant.sqrt());
    let roots = [larger / a, if larger == 0.0 { 0.0 } else { c / larger }];
    let (low, high) = (roots[0].min(roots[1]), roots[0].max(roots[1]));
    match a > 0.0 {
        true => gain(-infinite, low) + gain(high, infinite),
        false => gain(low, high),
    }
}
