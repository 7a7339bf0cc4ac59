//! Vectors "from outside" for a catalogue that has none: latent semantic analysis of the titles' letters.
//!
//! They stand for what a shop's supplier or a language model would give. Runs of 3 to 5 letters of each word are hashed
//! into buckets, weighted by (1 + log count) log(items / items with it), rows of length 1, and reduced to
//! [`VECTOR_NUMBERS`] numbers by a truncated singular value decomposition (Deerwester and others 1990). Nothing of any
//! purchase goes in.

use std::collections::BTreeMap;

use souk_common::catalogue::{Catalogue, CatalogueError, VECTOR_NUMBERS};
use souk_common::numeric::components::components;

/// The same catalogue, in which every item has a vector made from its title.
///
/// # Errors
/// When the catalogue does not take the vectors.
pub(crate) fn with_title_vectors(catalogue: &Catalogue) -> Result<Catalogue, CatalogueError> {
    let mut items = catalogue.items().to_vec();
    let mut rows: Vec<f32> = Vec::with_capacity(items.len() * BUCKETS);
    let runs: Vec<BTreeMap<usize, u32>> = items.iter().map(|item| letter_runs(&item.title)).collect();
    let mut having = vec![0_u32; BUCKETS];
    runs.iter()
        .flat_map(BTreeMap::keys)
        .for_each(|bucket| having[*bucket] += 1);
    for runs in &runs {
        let mut row = vec![0.0_f32; BUCKETS];
        for (bucket, count) in runs {
            let rarity = (items.len() as f32 / having[*bucket] as f32).ln();
            row[*bucket] = (1.0 + (*count as f32).ln()) * rarity;
        }
        let length = row
            .iter()
            .map(|value| value * value)
            .sum::<f32>()
            .sqrt()
            .max(1e-6);
        rows.extend(row.iter().map(|value| value / length));
    }
    if let Some(found) = components(&rows, BUCKETS, VECTOR_NUMBERS) {
        for (item, vector) in items.iter_mut().zip(found.values.chunks_exact(found.width)) {
            item.vector = vector.to_vec();
        }
    }
    Catalogue::new(items)
}

/// How often each bucket's runs of letters stand in a text.
fn letter_runs(text: &str) -> BTreeMap<usize, u32> {
    let mut counts = BTreeMap::new();
    for word in text.to_lowercase().split_whitespace() {
        let letters: Vec<char> = format!("<{word}>").chars().collect();
        for length in SHORTEST..=LONGEST {
            for run in letters.windows(length) {
                let run: String = run.iter().collect();
                *counts.entry(bucket(&run)).or_default() += 1;
            }
        }
    }
    counts
}

/// FNV-1a.
fn bucket(text: &str) -> usize {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash % BUCKETS as u64) as usize
}

const SHORTEST: usize = 3;
const LONGEST: usize = 5;
const BUCKETS: usize = 2048;
