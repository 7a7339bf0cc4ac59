//! Where each tensor stands in the flat vector of shared parameters.
//!
//! The order is part of the model format: item table, feature tables (these share the item table's width, so that
//! they continue it row for row), then everything else.

use std::ops::Range;

use super::config::{Feature, ModelConfig, ModelKind};
use crate::catalogue::{Catalogue, PRICE_BUCKETS};

/// One named tensor, row-major.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TensorSpec {
    /// Its name, as in the model file.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Where it begins in the flat vector, in elements.
    pub offset: usize,
}

impl TensorSpec {
    /// How many elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where it stands in the flat vector.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.len()
    }
}

/// All shared tensors of a model.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Layout {
    blocks: Vec<TensorSpec>,
    /// Rows of the embedding tables: items first, then categories, brands, price buckets (as configured).
    rows: usize,
    width: usize,
}

/// Sizes that come from the catalogue, not from the plan.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Vocabulary {
    /// Items.
    pub items: usize,
    /// Categories, "unknown" included.
    pub categories: usize,
    /// Brands, "unknown" included.
    pub brands: usize,
    /// Price buckets, "unknown" included.
    pub price_buckets: usize,
}

impl From<&Catalogue> for Vocabulary {
    fn from(catalogue: &Catalogue) -> Self {
        Self {
            items: catalogue.len(),
            categories: catalogue.categories().len(),
            brands: catalogue.brands().len(),
            price_buckets: PRICE_BUCKETS + 1,
        }
    }
}

impl Vocabulary {
    /// Rows of a feature's table.
    pub fn rows_of(&self, feature: Feature) -> usize {
        match feature {
            Feature::Category => self.categories,
            Feature::Brand => self.brands,
            Feature::Price => self.price_buckets,
        }
    }
}

impl Layout {
    /// The layout of `config` over a catalogue of these sizes.
    pub fn new(config: &ModelConfig, vocabulary: &Vocabulary) -> Self {
        let mut layout = Self {
            blocks: Vec::new(),
            rows: 0,
            width: config.width(),
        };
        let width = config.width();
        layout.push_table("item.embedding", vocabulary.items, width);
        for feature in [Feature::Category, Feature::Brand, Feature::Price] {
            if config.features.contains(&feature) {
                layout.push_table(table_name(feature), vocabulary.rows_of(feature), width);
            }
        }
        if config.item_bias {
            layout.push("item.bias", vec![vocabulary.items]);
        }
        if config.network() != ModelKind::Mf {
            let mut input = 2 * config.mlp_width();
            for (layer, output) in config.tower.iter().copied().enumerate() {
                layout.push(format!("tower.{layer}.weight"), vec![output, input]);
                layout.push(format!("tower.{layer}.bias"), vec![output]);
                input = output;
            }
            layout.push("head.weight", vec![input]);
        }
        if config.network() == ModelKind::Neumf {
            layout.push("gmf.weight", vec![config.gmf_width()]);
        }
        layout.push("head.bias", vec![1]);
        layout
    }

    /// The tensors in order.
    pub fn blocks(&self) -> &[TensorSpec] {
        &self.blocks
    }

    /// The tensor called `name`.
    pub fn block(&self, name: &str) -> Option<&TensorSpec> {
        self.blocks.iter().find(|block| block.name == name)
    }

    /// Where a feature's table begins, in rows of the joint table.
    pub fn first_row_of(&self, feature: Feature) -> Option<usize> {
        self.block(table_name(feature))
            .map(|block| block.offset / self.width)
    }

    /// Rows of the joint embedding table: items, then the features' rows. It stands at offset 0.
    pub fn table_rows(&self) -> usize {
        self.rows
    }

    /// Where the dense parameters begin: after the embedding tables and the item biases, of which a user touches few.
    pub fn dense_start(&self) -> usize {
        let item_bias = self.block("item.bias").map_or(0, TensorSpec::len);
        self.rows * self.width + item_bias
    }

    /// Columns of the joint embedding table.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many shared parameters in all.
    pub fn len(&self) -> usize {
        self.blocks.last().map_or(0, |block| block.range().end)
    }

    /// Whether there is no parameter.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn push_table(&mut self, name: &str, rows: usize, width: usize) {
        self.push(name, vec![rows, width]);
        self.rows += rows;
    }

    fn push(&mut self, name: impl Into<String>, shape: Vec<usize>) {
        let offset = self.len();
        self.blocks.push(TensorSpec {
            name: name.into(),
            shape,
            offset,
        });
    }
}

/// The name of a feature's table.
pub fn table_name(feature: Feature) -> &'static str {
    match feature {
        Feature::Category => "category.embedding",
        Feature::Brand => "brand.embedding",
        Feature::Price => "price.embedding",
    }
}
