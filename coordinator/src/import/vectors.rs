//! Vectors that a model from outside has made of the items, from a `safetensors` file: one 1-D tensor an item, named by
//! its id.
//!
//! Each is taken at length 1, since such models mean directions. They are then centred, reduced to their principal
//! components and rounded, so that a catalogue stays small and readable.

use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Serialize;
use souk_common::catalogue::{Catalogue, CatalogueError, VECTOR_NUMBERS};
use souk_common::numeric::components::components;

/// What became of a file of vectors.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Items that have a vector.
    pub with: usize,
    /// Items that have none.
    pub without: usize,
    /// Names in the file that are no item's.
    pub unknown: usize,
    /// The first [`LISTED`] of them, sorted.
    pub unknown_names: Vec<String>,
    /// Numbers of a vector in the file.
    pub numbers_given: usize,
    /// Numbers of a vector in the catalogue.
    pub numbers_kept: usize,
    /// The share of the vectors' variance that these keep, above 0, at most 1.
    pub variance_kept: f64,
}

impl Summary {
    /// The unknown names, for people.
    pub fn listed(&self) -> String {
        listed(&self.unknown_names, self.unknown)
    }
}

/// `catalogue` with the vectors of `file`, instead of any that it has.
///
/// # Errors
/// A file that can't be read or is no `safetensors` file, one with no vector of any item, the first item in the catalogue's
/// order whose tensor is no vector of 1 to [`MOST_NUMBERS`] finite numbers that are not all 0, as many as the first has, and
/// vectors that are all the same.
pub fn add(catalogue: &Catalogue, file: &Path) -> Result<(Catalogue, Summary), VectorsError> {
    let path = file.display().to_string();
    let refused = |reason: String| VectorsError::File {
        path: path.clone(),
        reason,
    };
    let bytes = fs::read(file).map_err(|error| refused(error.to_string()))?;
    if bytes.is_empty() {
        return Err(refused("it is empty".to_owned()));
    }
    let tensors = SafeTensors::deserialize(&bytes)
        .map_err(|error| refused(format!("it is no safetensors file: {error}")))?;
    if tensors.is_empty() {
        return Err(refused("it has no tensors".to_owned()));
    }
    let mut unknown_names = tensors.names();
    unknown_names.retain(|name| catalogue.row(name).is_none());
    unknown_names.sort_unstable();
    let unknown = unknown_names.len();
    let unknown_names: Vec<String> = unknown_names
        .into_iter()
        .take(LISTED)
        .map(str::to_owned)
        .collect();
    let (mut rows, mut units, mut width) = (Vec::new(), Vec::new(), None);
    for (row, item) in catalogue.items().iter().enumerate() {
        let Ok(tensor) = tensors.tensor(&item.id) else {
            continue;
        };
        let unit = unit(&tensor, width).map_err(|reason| VectorsError::Item {
            path: path.clone(),
            id: item.id.clone(),
            reason,
        })?;
        width = Some(unit.len());
        rows.push(row);
        units.extend(unit);
    }
    let Some(numbers_given) = width else {
        return Err(VectorsError::AllUnknown {
            listed: listed(&unknown_names, unknown),
            path,
            expected: catalogue.items()[0].id.clone(),
        });
    };
    let Some(reduced) = components(&units, numbers_given, VECTOR_NUMBERS) else {
        return Err(VectorsError::AllEqual {
            path,
            count: rows.len(),
        });
    };
    let mut items = catalogue.items().to_vec();
    items.iter_mut().for_each(|item| item.vector.clear());
    for (row, values) in rows.iter().zip(reduced.values.chunks_exact(reduced.width)) {
        items[*row].vector = values.iter().map(|value| rounded(*value)).collect();
    }
    let summary = Summary {
        with: rows.len(),
        without: items.len() - rows.len(),
        unknown,
        unknown_names,
        numbers_given,
        numbers_kept: reduced.width,
        variance_kept: reduced.variance_kept,
    };
    match Catalogue::new(items) {
        Ok(catalogue) => Ok((catalogue, summary)),
        Err(source) => Err(VectorsError::Items { path, source }),
    }
}

/// A tensor's numbers at length 1, or what is wrong with it; `expected` is how many others have.
fn unit(tensor: &TensorView<'_>, expected: Option<usize>) -> Result<Vec<f32>, String> {
    let shape = tensor.shape();
    let [len] = *shape else {
        return Err(format!("a tensor of shape {shape:?}; it must have one dimension"));
    };
    if !(1..=MOST_NUMBERS).contains(&len) {
        return Err(format!("{len} numbers; there must be 1 to {MOST_NUMBERS}"));
    }
    if let Some(expected) = expected.filter(|expected| *expected != len) {
        return Err(format!("{len} numbers where the items before it have {expected}"));
    }
    let numbers = numbers(tensor).ok_or_else(|| {
        format!(
            "numbers of type {:?}; they must be F16, BF16, F32 or F64",
            tensor.dtype()
        )
    })?;
    if let Some(at) = numbers.iter().position(|number| !number.is_finite()) {
        return Err(format!("number {at} is {}; it must be finite", numbers[at]));
    }
    // Divided first: squares of large numbers are infinite.
    let largest = numbers.iter().fold(0.0f64, |most, number| most.max(number.abs()));
    if largest == 0.0 {
        return Err("all numbers are 0, which is no direction; leave such an item out".to_owned());
    }
    let squares = numbers.iter().map(|number| (number / largest).powi(2));
    let length = squares.sum::<f64>().sqrt();
    Ok(numbers
        .iter()
        .map(|number| (number / largest / length) as f32)
        .collect())
}

/// None of a type that is not for real numbers.
fn numbers(tensor: &TensorView<'_>) -> Option<Vec<f64>> {
    let bytes = tensor.data();
    let halves = || bytes.as_chunks().0.iter().map(|half| u16::from_le_bytes(*half));
    Some(match tensor.dtype() {
        Dtype::F64 => bytes
            .as_chunks()
            .0
            .iter()
            .map(|number| f64::from_le_bytes(*number))
            .collect(),
        Dtype::F32 => {
            let singles = bytes.as_chunks().0.iter();
            singles
                .map(|number| f64::from(f32::from_le_bytes(*number)))
                .collect()
        }
        Dtype::F16 => halves().map(half).collect(),
        // The first half of an f32.
        Dtype::BF16 => halves()
            .map(|half| f64::from(f32::from_bits(u32::from(half) << 16)))
            .collect(),
        _ => return None,
    })
}

/// A number of IEEE 754's binary16.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => fraction * 2f64.powi(-24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

/// To four places; 0 has no sign.
fn rounded(value: f32) -> f32 {
    ((f64::from(value) * 1e4).round() / 1e4) as f32 + 0.0
}

fn listed(names: &[String], all: usize) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    let more = if all > names.len() { ", ..." } else { "" };
    names.join(", ") + more
}

/// Why a file gives a catalogue no vectors.
#[derive(Debug, thiserror::Error)]
pub enum VectorsError {
    /// It can't be read, or is of another kind.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A tensor that is no vector.
    #[error("{path}, item {id:?}: {reason}")]
    Item {
        /// The file.
        path: String,
        /// The item's id.
        id: String,
        /// What is wrong.
        reason: String,
    },
    /// Nothing in it is of the catalogue.
    #[error("{path}: no tensor is named by an item_id: it has {listed}, the catalogue {expected:?}")]
    AllUnknown {
        /// The file.
        path: String,
        /// Names that it has.
        listed: String,
        /// An item's id.
        expected: String,
    },
    /// They tell no item from another.
    #[error(
        "{path}: the vectors of all {count} items that have one are the same, so they say nothing; import without --vectors"
    )]
    AllEqual {
        /// The file.
        path: String,
        /// How many there are.
        count: usize,
    },
    /// The catalogue refuses them.
    #[error("{path}: {source}")]
    Items {
        /// The file.
        path: String,
        /// What is wrong.
        source: CatalogueError,
    },
}

/// Most numbers of a vector in a file.
pub const MOST_NUMBERS: usize = 1024;

/// How many unknown names are listed.
pub const LISTED: usize = 5;

#[cfg(test)]
mod tests;
