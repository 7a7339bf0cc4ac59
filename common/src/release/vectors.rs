//! numpy's numbers for a small catalogue, frozen in `tests/vectors/release.json`; or for a large one, which
//! `SOUK_RELEASE_VECTORS` names.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::history::{ReleaseHistory, for_release};
use super::map::PublicMap;
use super::popularity::PopularityEstimate;
use crate::dataset::History;
use crate::features::Features;

#[derive(Deserialize)]
pub(super) struct Vectors {
    pub(super) items: usize,
    columns: usize,
    features: Vec<f32>,
    histories: Vec<Vec<u32>>,
    pub(super) z1: f64,
    pub(super) z2: f64,
    /// A noise that drowns the smaller directions.
    pub(super) quiet: f64,
    pub(super) popularity: BTreeMap<String, Vec<f64>>,
    pub(super) feature_columns: Vec<f64>,
    map: Vec<f32>,
    pub(super) sum: Vec<f64>,
    pub(super) noised: Vec<f64>,
    pub(super) contributions: BTreeMap<usize, Vec<f64>>,
    pub(super) views: BTreeMap<String, Vec<f64>>,
    pub(super) without_features: BTreeMap<String, Vec<f64>>,
    pub(super) noisier: BTreeMap<String, Vec<f64>>,
    pub(super) second_map: Vec<f64>,
}

pub(super) fn vectors() -> Vectors {
    let small = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/release.json");
    let path = std::env::var("SOUK_RELEASE_VECTORS").unwrap_or_else(|_| small.to_owned());
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{path}: {error}; make it with tests/vectors/release.py"));
    serde_json::from_str(&text).expect("vectors")
}

impl Vectors {
    pub(super) fn features(&self) -> Features {
        let sparse = |row: &[f32]| {
            let row = (0..).zip(row.iter().copied());
            row.filter(|(_, value)| *value != 0.0).collect()
        };
        Features::from_rows(
            self.columns,
            self.features.chunks(self.columns).map(sparse).collect(),
        )
    }

    pub(super) fn histories(&self) -> Vec<ReleaseHistory> {
        self.histories.iter().map(|items| past(items)).collect()
    }

    /// The estimate as numpy has it.
    pub(super) fn estimate(&self) -> PopularityEstimate {
        let values = self.popularity["p"].iter().map(|value| *value as f32).collect();
        PopularityEstimate::published(values, self.z1)
    }

    pub(super) fn map(&self) -> PublicMap {
        PublicMap::published(self.map.len() / self.items, self.map.clone()).expect("a map")
    }
}

/// Of a user who touched these items in this order.
pub(super) fn past(items: &[u32]) -> ReleaseHistory {
    for_release(&History {
        items: items.to_vec(),
        times: (0..items.len() as i64).collect(),
    })
}

/// Whether the numbers are those, to `tolerance` of the largest of them.
pub(super) fn assert_close<T: Into<f64> + Copy>(what: &str, got: &[T], wanted: &[f64], tolerance: f64) {
    assert_eq!(got.len(), wanted.len(), "{what}");
    let largest = wanted.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    for (at, (got, wanted)) in got.iter().zip(wanted).enumerate() {
        let got: f64 = (*got).into();
        assert!(
            (got - wanted).abs() <= tolerance * largest,
            "{what}, {at}: {got} for {wanted}"
        );
    }
}
