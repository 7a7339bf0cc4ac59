//! Writing a model file piece by piece, always to the same bytes.
//!
//! The `safetensors` crate keeps metadata in a hash map, so two runs write it in different orders and one model would
//! have many digests. Here the header is fixed: metadata first, tensors in layout order, padded with spaces to eight bytes.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::file::ModelMeta;
use super::layout::Layout;

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

/// Format name and version, in the file's metadata.
pub(super) const FORMAT: &str = "souk-model-1";
const PIECE: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Digest;
    use crate::model::config::{Feature, ModelConfig};
    use crate::model::file::decode;
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
        assert_eq!(crate::model::file::encode(&params, &layout, &meta), bytes);
    }
}
