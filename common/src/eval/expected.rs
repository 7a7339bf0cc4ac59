//! The hit rate in expectation over the drawn candidates: the exact figure that one draw estimates.

/// The probability that at most k - 1 of `above` better items are among `drawn` candidates, when these are drawn without
/// replacement from `pool` items: the chance that the held-out item is among the first `k`.
pub fn expected_hit(pool: usize, above: usize, drawn: usize, k: usize) -> f64 {
    let above = above.min(pool);
    let drawn = drawn.min(pool);
    let below = pool - above;
    let least = drawn.saturating_sub(below);
    let all = ln_choose(pool, drawn);
    let chance = |hits: usize| libm::exp(ln_choose(above, hits) + ln_choose(below, drawn - hits) - all);
    let end = k.min(above.min(drawn) + 1);
    (least..end).map(chance).sum::<f64>().min(1.0)
}

/// The logarithm of the number of ways to choose `k` of `n`.
fn ln_choose(n: usize, k: usize) -> f64 {
    let ln_factorial = |n: usize| libm::lgamma(n as f64 + 1.0);
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[test]
    fn it_is_scipys_hypergeometric_and_certain_at_both_ends() {
        #[derive(Deserialize)]
        struct Vectors {
            hypergeometric: Vec<(usize, usize, usize, f64)>,
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/joining.json");
        let vectors: Vectors = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        for (pool, above, drawn, chance) in vectors.hypergeometric {
            let got = expected_hit(pool, above, drawn, 10);
            assert!(
                (got - chance).abs() < 1e-9,
                "{pool} {above} {drawn}: {got}, scipy {chance}"
            );
        }
        assert_eq!(expected_hit(0, 0, 99, 10), 1.0);
        assert_eq!(expected_hit(5, 9, 99, 10), 1.0);
        assert!(expected_hit(4_000_000, 400_000, 99, 10) > 0.4);
        assert_eq!(expected_hit(500, 3, 99, 0), 0.0);
    }
}
