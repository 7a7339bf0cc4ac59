//! Sharing 32 bytes so that any `threshold` of the shares rebuild them and fewer say nothing (Shamir 1979), byte by byte
//! over the field of 256 elements modulo x^8 + x^4 + x^3 + x + 1. No table is looked up and no branch taken by a secret.

use rand::RngExt;
use zeroize::Zeroizing;

use crate::rng::Stream;

/// Points 1 to `holders` of a random polynomial of degree `threshold` - 1 whose value at 0 is `secret`.
pub fn split(secret: &[u8; 32], threshold: u8, holders: u8, rng: &mut Stream) -> Vec<Zeroizing<[u8; 32]>> {
    let higher: Vec<Zeroizing<[u8; 32]>> = (1..threshold.max(1))
        .map(|_| Zeroizing::new(rng.random()))
        .collect();
    let share = |point: u8| {
        let mut value = Zeroizing::new([0; 32]);
        for coefficient in higher.iter().rev() {
            *value = scale(&value, point);
            add(&mut value, coefficient);
            // Horner's rule: one factor of the point more for every coefficient below.
        }
        *value = scale(&value, point);
        add(&mut value, secret);
        value
    };
    (1..=holders).map(share).collect()
}

/// The value at 0 of the polynomial through `shares`, each a point from 1 on and its value; points are distinct. Give just
/// as many as the threshold; more only check each other.
pub fn rebuild(shares: &[(u8, [u8; 32])]) -> Zeroizing<[u8; 32]> {
    let mut secret = Zeroizing::new([0; 32]);
    for (point, value) in shares {
        let mut weight = 1;
        for (other, _) in shares.iter().filter(|(other, _)| other != point) {
            weight = times(weight, times(*other, inverse(*other ^ *point)));
        }
        add(&mut secret, &scale(value, weight));
    }
    secret
}

fn add(sum: &mut [u8; 32], other: &[u8; 32]) {
    sum.iter_mut().zip(other).for_each(|(sum, other)| *sum ^= other);
}

/// `factor` is public.
fn scale(value: &[u8; 32], factor: u8) -> [u8; 32] {
    let (mut product, mut power) = ([0; 32], *value);
    for bit in 0..8 {
        if factor >> bit & 1 == 1 {
            add(&mut product, &power);
        }
        power.iter_mut().for_each(|byte| *byte = twice(*byte));
    }
    product
}

fn twice(byte: u8) -> u8 {
    (byte << 1) ^ ((byte >> 7) * 0x1b)
}

fn times(mut a: u8, b: u8) -> u8 {
    let mut product = 0;
    for bit in 0..8 {
        product ^= a * (b >> bit & 1);
        a = twice(a);
    }
    product
}

/// a^254.
fn inverse(a: u8) -> u8 {
    let (mut result, mut power) = (1, a);
    for _ in 0..7 {
        power = times(power, power);
        result = times(result, power);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    #[test]
    fn the_field_is_one() {
        // FIPS 197, section 4.2: {57} x {83} = {c1}.
        assert_eq!(times(0x57, 0x83), 0xc1);
        assert!((1..=255).all(|a| times(a, inverse(a)) == 1));
    }

    #[test]
    fn any_threshold_of_shares_rebuilds_and_one_fewer_does_not() {
        let mut rng = stream(1, "shamir");
        for (threshold, holders) in [(1, 1), (2, 3), (4, 5), (10, 16), (128, 255)] {
            let secret: [u8; 32] = rng.random();
            let shares = split(&secret, threshold, holders, &mut rng);
            let named: Vec<(u8, [u8; 32])> = (1..=255).zip(shares.iter().map(|share| **share)).collect();
            let last = &named[usize::from(holders - threshold)..];
            assert_eq!(*rebuild(&named[..usize::from(threshold)]), secret);
            assert_eq!(*rebuild(last), secret);
            if threshold > 1 {
                assert_ne!(*rebuild(&last[1..]), secret);
            }
        }
    }

    #[test]
    fn fewer_shares_than_the_threshold_are_uniform_whatever_the_secret() {
        // Chi-square over the first byte of one share of two, 20,000 splits: 255 degrees of freedom; above 361 once in
        // 100,000 seeds.
        for secret in [[0; 32], [0xff; 32]] {
            let mut rng = stream(7, "uniform");
            let mut counts = [0u32; 256];
            for _ in 0..20_000 {
                counts[usize::from(split(&secret, 2, 2, &mut rng)[1][0])] += 1;
            }
            let expected = 20_000.0 / 256.0;
            let chi: f64 = counts
                .iter()
                .map(|count| (f64::from(*count) - expected).powi(2) / expected)
                .sum();
            assert!(chi < 361.0, "{chi}");
        }
    }
}
