//! Model files: `safetensors`, one named tensor a block of the layout, f32 little-endian.
//!
//! They are written piece by piece, always to the same bytes: the `safetensors` crate keeps metadata in a hash map, so two
//! runs would write it in different orders and one model would have many digests. Here the header is fixed: metadata first,
//! tensors in layout order, padded with spaces to eight bytes.

use std::collections::BTreeMap;
use std::io::{self, Write};

use safetensors::tensor::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::layout::Layout;
use crate::ids::Digest;

/// What a model file says of itself.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ModelMeta {
    /// The round that made it; 0 is the initial model.
    pub round: u64,
    /// The plan.
    pub plan: Digest,
}

/// A model as the bytes of a `safetensors` file.
///
/// # Panics
/// If `params` does not have the layout's length.
pub fn encode(params: &[f32], layout: &Layout, meta: &ModelMeta) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(params.len() * 4 + 1024);
    write(&mut bytes, params, layout, meta).expect("a vector takes all bytes");
    bytes
}

/// Writes `params` as a `safetensors` file to `out`, a piece at a time: it takes no memory for a second model.
///
/// # Errors
/// Those of `out`.
///
/// # Panics
/// If `params` does not have the layout's length.
pub fn write(out: &mut impl Write, params: &[f32], layout: &Layout, meta: &ModelMeta) -> io::Result<()> {
    assert_eq!(
        params.len(),
        layout.len(),
        "a model has as many parameters as its layout"
    );
    let header = header(layout, meta);
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    let mut piece = Vec::with_capacity(PIECE * 4);
    for values in params.chunks(PIECE) {
        piece.clear();
        piece.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        out.write_all(&piece)?;
    }
    Ok(())
}

fn header(layout: &Layout, meta: &ModelMeta) -> Vec<u8> {
    let info = BTreeMap::from([
        ("format", FORMAT.to_owned()),
        ("plan", meta.plan.to_string()),
        ("round", meta.round.to_string()),
    ]);
    let mut text = format!("{{\"__metadata__\":{}", json!(info));
    for block in layout.blocks() {
        let mut entry = Map::new();
        entry.insert("dtype".to_owned(), json!("F32"));
        entry.insert("shape".to_owned(), json!(block.shape));
        let range = block.range();
        entry.insert("data_offsets".to_owned(), json!([range.start * 4, range.end * 4]));
        text += &format!(",{}:{}", json!(block.name), Value::Object(entry));
    }
    text.push('}');
    text.extend(std::iter::repeat_n(
        ' ',
        text.len().next_multiple_of(8) - text.len(),
    ));
    text.into_bytes()
}

/// The round that a model file says made it, 0 for an initial one; none if `bytes` are no model file.
pub fn round_of(bytes: &[u8]) -> Option<u64> {
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    header.metadata().as_ref()?.get("round")?.parse().ok()
}

/// Reads a model file and checks it against the layout.
///
/// # Errors
/// When it is no model file, of another format, has other tensors than the layout, or numbers that are not finite.
pub fn decode(bytes: &[u8], layout: &Layout) -> Result<(Vec<f32>, ModelMeta), ModelFileError> {
    let (_, header) =
        SafeTensors::read_metadata(bytes).map_err(|error| ModelFileError::Unreadable(error.to_string()))?;
    let info = header
        .metadata()
        .as_ref()
        .ok_or(ModelFileError::Missing { what: "metadata" })?;
    let field = |what: &'static str| info.get(what).ok_or(ModelFileError::Missing { what });
    let format = field("format")?;
    if format != FORMAT {
        return Err(ModelFileError::Format {
            got: format.chars().take(40).collect(),
        });
    }
    let meta = ModelMeta {
        round: field("round")?
            .parse()
            .map_err(|_| ModelFileError::Missing { what: "round" })?,
        plan: field("plan")?
            .parse()
            .map_err(|_| ModelFileError::Missing { what: "plan" })?,
    };
    let tensors =
        SafeTensors::deserialize(bytes).map_err(|error| ModelFileError::Unreadable(error.to_string()))?;
    if tensors.len() != layout.blocks().len() {
        return Err(ModelFileError::Count {
            got: tensors.len(),
            expected: layout.blocks().len(),
        });
    }
    let mut params = vec![0.0f32; layout.len()];
    for block in layout.blocks() {
        let tensor = tensors
            .tensor(&block.name)
            .map_err(|_| ModelFileError::NoTensor {
                name: block.name.clone(),
            })?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != block.shape {
            return Err(ModelFileError::Shape {
                name: block.name.clone(),
                got: tensor.shape().to_vec(),
                expected: block.shape.clone(),
            });
        }
        for (value, raw) in params[block.range()]
            .iter_mut()
            .zip(tensor.data().as_chunks::<4>().0)
        {
            *value = f32::from_le_bytes(*raw);
        }
    }
    finite(&params, layout)?;
    Ok((params, meta))
}

/// Refuses parameters that are no numbers, or infinite.
///
/// # Errors
/// With the first one's tensor and index.
pub fn finite(params: &[f32], layout: &Layout) -> Result<(), ModelFileError> {
    for block in layout.blocks() {
        let values = &params[block.range()];
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(ModelFileError::NotFinite {
                name: block.name.clone(),
                index,
                value: values[index].to_string(),
            });
        }
    }
    Ok(())
}

/// Why bytes are no model.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ModelFileError {
    /// No `safetensors` file.
    #[error("no safetensors file: {0}")]
    Unreadable(String),
    /// A part is missing.
    #[error("the model file has no (readable) {what}")]
    Missing {
        /// Which part.
        what: &'static str,
    },
    /// Written by another program or version.
    #[error("the model file has format {got:?}; this program reads {FORMAT:?}")]
    Format {
        /// As written.
        got: String,
    },
    /// Another number of tensors.
    #[error("the model file has {got} tensors; the plan's model has {expected}")]
    Count {
        /// In the file.
        got: usize,
        /// In the layout.
        expected: usize,
    },
    /// A tensor is missing.
    #[error("the model file has no tensor {name:?}")]
    NoTensor {
        /// Its name.
        name: String,
    },
    /// A tensor of another shape or type.
    #[error("tensor {name:?} has shape {got:?} or another type; the plan's model has f32 {expected:?}")]
    Shape {
        /// Its name.
        name: String,
        /// In the file.
        got: Vec<usize>,
        /// In the layout.
        expected: Vec<usize>,
    },
    /// NaN or infinite.
    #[error("tensor {name:?} has {value} at index {index}; every number of a model is finite")]
    NotFinite {
        /// Its name.
        name: String,
        /// Where in it, row by row.
        index: usize,
        /// What stands there.
        value: String,
    },
}

/// Format name and version, in the file's metadata.
const FORMAT: &str = "souk-model-1";
const PIECE: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config::{Feature, ModelConfig};
    use crate::model::layout::Vocabulary;

    #[test]
    fn a_model_has_one_digest_and_comes_back() {
        let mut config: ModelConfig = toml::from_str("kind = 'neumf'").unwrap();
        config.features = vec![Feature::Category];
        let vocabulary = Vocabulary {
            items: 7,
            categories: 3,
            brands: 1,
            price_buckets: 9,
        };
        let layout = Layout::new(&config, &vocabulary);
        let params: Vec<f32> = (0..layout.len()).map(|at| at as f32).collect();
        let meta = ModelMeta {
            round: 3,
            plan: Digest::of(b"plan"),
        };
        let written = || {
            let mut bytes = Vec::new();
            write(&mut bytes, &params, &layout, &meta).unwrap();
            bytes
        };
        let bytes = written();
        assert_eq!(decode(&bytes, &layout).unwrap(), (params.clone(), meta.clone()));
        assert_eq!(Digest::of(&bytes), Digest::of(&written()));
        assert_eq!(encode(&params, &layout, &meta), bytes);
    }
}
