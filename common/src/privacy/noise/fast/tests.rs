//! The table's promises, checked in integers of any length.

use super::*;
use crate::rng::stream;
use rand::RngExt;

/// The ends, powers of two and their neighbours, a plan's usual ones, and fifty spread evenly over their logarithms.
fn stddevs() -> Vec<u64> {
    let mut rng = stream(24, "standard deviations");
    let (least, most) = ((LEAST_STDDEV as f64).ln(), (MOST_STDDEV as f64).ln());
    let mut stddevs = vec![64, 65, 127, 511, 655, 2047, 65_536, 1_000_003];
    stddevs.extend([1 << 33, MOST_STDDEV - 1, MOST_STDDEV]);
    stddevs.extend((0..50).map(|_| rng.random_range(least..most).exp() as u64));
    stddevs
}

impl Table {
    fn ratio(&self, block: &Block) -> digits::Acceptance {
        digits::Acceptance {
            start: block.start,
            width: block.width,
            mass: self.mass,
            doublings: block.halvings + UNIT_LOG2,
            stddev: self.stddev,
        }
    }

    fn tail_at(&self, j: u32) -> Block {
        Block {
            start: self.tail + u64::from(j) * self.tail_width,
            width: self.tail_width,
            halvings: j + 1,
        }
    }
}

/// In integers of any length: what the proof at the head of the module takes for granted of the tables.
#[test]
fn blocks_cover_every_integer_once_and_are_nowhere_lower_than_the_density() {
    for stddev in stddevs() {
        let (table, blocks, places) = Table::smallest(stddev).expect("in range");
        assert!(blocks.len() < places && places <= ENTRIES);
        assert!(table.tail > stddev && table.tail <= 6 * stddev);
        let mut next = 0;
        for block in &blocks {
            assert_eq!(block.start, next);
            next += block.width;
            assert!(block.width < 1 << 42);
            // Probabilities of at most 1: the height is at least f.
            assert!(table.ratio(block).is_at_most(block.start, 1 << 64));
        }
        assert_eq!(table.tail, next);
        let variance = u128::from(stddev) * u128::from(stddev);
        assert!(u128::from(table.tail) * u128::from(table.tail_width) * 1000 >= variance * 694);
        for j in [0, 1, 2, 5, 20, 60] {
            let block = table.tail_at(j);
            assert!(table.ratio(&block).is_at_most(block.start, 1 << 64));
        }
    }
}

#[test]
fn what_the_quick_test_accepts_stands_whatever_the_later_digits_are() {
    for stddev in stddevs() {
        let (table, blocks, _) = Table::smallest(stddev).expect("in range");
        for block in &blocks {
            let entry = table.entry(block);
            if entry.sure > 0 {
                assert!(block.start > 0);
                let reach = u128::from(entry.sure) + (u128::from(block.width) << (64 - FIRST_DIGITS));
                assert!(reach <= 1 << 64);
                let last = block.start + block.width - 1;
                assert!(table.ratio(block).is_at_least(last, reach));
            }
        }
    }
}

#[test]
fn the_acceptance_in_floating_point_is_within_its_stated_error() {
    let mut rng = stream(21, "acceptance");
    let error = 1.0 / (1u64 << 40) as f64;
    for stddev in stddevs() {
        let (table, blocks, _) = Table::smallest(stddev).expect("in range");
        for case in 0..200 {
            let block = match case % 4 {
                0 => table.tail_at(rng.random_range(0..80)),
                _ => blocks[rng.random_range(0..blocks.len())],
            };
            let x = block.start + rng.random_range(0..block.width);
            let acceptance = table.acceptance(&block, x);
            let ratio = table.ratio(&block);
            assert!(ratio.is_at_least(x, ((acceptance - error) * TWO_64) as u128));
            assert!(ratio.is_at_most(x, ((acceptance + error) * TWO_64) as u128));
        }
    }
}

#[test]
fn what_floating_point_decides_integers_decide_alike() {
    let mut rng = stream(22, "decide");
    let mut open = 0;
    for stddev in stddevs() {
        let (table, blocks, _) = Table::smallest(stddev).expect("in range");
        for case in 0..400 {
            let block = match case % 4 {
                0 => table.tail_block(&mut rng),
                _ => blocks[rng.random_range(0..blocks.len())],
            };
            let mut digits = Digits {
                first: rng.next_u64() >> (64 - FIRST_DIGITS),
                second: rng.next_u64(),
            };
            if case % 3 == 0 {
                // A fraction near the acceptance of its integer, on either side.
                let position = rng.random_range(0..block.width);
                let acceptance = table.acceptance(&block, block.start + position);
                let nudge = rng.random_range(-4.0..4.0) * MARGIN;
                let y = position as f64 + (acceptance + nudge).clamp(0.0, 1.0 - 1e-9);
                digits.first = (y / block.width as f64 * (1u64 << FIRST_DIGITS) as f64) as u64;
            }
            match table.decide(&block, digits) {
                Some(decided) => assert_eq!(decided, table.settle(&block, digits, &mut rng)),
                None => open += 1,
            }
        }
    }
    // Of the fractions near the acceptance, a part must have been within the margin.
    assert!(open > 100, "{open}");
}

/// Chi-square over blocks, where every draw is settled by long integers, against the same of f. Of the seeds, one in
/// 1,000 fails.
#[test]
fn integers_alone_draw_the_same_distribution() {
    let stddev = 655;
    let (table, blocks, _) = Table::smallest(stddev).expect("in range");
    let mut rng = stream(23, "integers alone");
    let weight = |block: &Block| -> f64 {
        let integers = block.start..block.start + block.width;
        integers.map(|x| density(x, stddev)).sum()
    };
    let weights: Vec<f64> = blocks.iter().map(weight).collect();
    let total: f64 = weights.iter().sum();
    let mut counts = vec![0.0; blocks.len()];
    let mut draws = 0.0;
    while draws < 20_000.0 {
        let at = rng.random_range(0..blocks.len());
        let digits = Digits {
            first: rng.next_u64() >> (64 - FIRST_DIGITS),
            second: rng.next_u64(),
        };
        if table.settle(&blocks[at], digits, &mut rng).1 {
            (counts[at], draws) = (counts[at] + 1.0, draws + 1.0);
        }
    }
    let parts = counts.iter().zip(&weights).map(|(count, weight)| {
        let expected = draws * weight / total;
        (count - expected).powi(2) / expected
    });
    let freedom = blocks.len() as f64 - 1.0;
    assert!(
        parts.sum::<f64>() < freedom + 3.6 * (2.0 * freedom).sqrt(),
        "{counts:?}"
    );
}
