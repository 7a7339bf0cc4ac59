//! A model's parameters in another catalogue, width or kind.

use std::ops::Range;

use super::ItemMap;
use crate::catalogue::Catalogue;
use crate::model::config::{Feature, ModelConfig};
use crate::model::layout::{Layout, TensorSpec, Vocabulary, table_name};
use crate::numeric::eigen::symmetric;

/// A model's shape: its configuration over a catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a> {
    /// The architecture.
    pub model: &'a ModelConfig,
    /// Whose items and features it has rows for.
    pub catalogue: &'a Catalogue,
}

impl Shape<'_> {
    fn layout(&self) -> Layout {
        Layout::new(self.model, &Vocabulary::from(self.catalogue))
    }
}

/// Lays parameters of one shape over `base`, parameters of another (the ones that a run would begin with), and says in words what
/// was done with what does not fit:
///
/// * items' rows and biases go by id, a new item has the mean of those that it is like; rows of features go by name;
/// * into more columns, the others stay as in `base`; into fewer, the directions in which items differ most are kept;
/// * a path that the older model does not have takes its columns from the first one that it has;
/// * tower and heads are taken where both models have them alike, and stay as in `base` else.
///
/// # Shapes
/// values: the parameters of `from`; base: those of `to`. Both are right for their layouts, or nothing is done.
pub fn transferred(
    (from, values): (Shape<'_>, &[f32]),
    (to, base): (Shape<'_>, Vec<f32>),
    items: &ItemMap,
) -> (Vec<f32>, Vec<String>) {
    let (old, new) = (from.layout(), to.layout());
    let (mut params, mut notes) = (base, Vec::new());
    if values.len() != old.len() || params.len() != new.len() {
        return (params, notes);
    }
    if items.kept() < items.before() || items.kept() < items.len() {
        notes.push(items.words());
    }
    let mut turned = false;
    let (sources, targets) = (from.model.paths(), to.model.paths());
    for (to_path, name) in [(0, "dot product"), (1, "tower"), (2, "generator")] {
        let target = targets[to_path].clone();
        if target.is_empty() {
            continue;
        }
        let own = [&sources[to_path]].into_iter().chain(&sources);
        let Some(source) = own.into_iter().find(|columns| !columns.is_empty()).cloned() else {
            continue;
        };
        let tables = tables(from, to, (&old, &new), items, values, &source);
        let width = source.len();
        let basis = (target.len() < width).then(|| main_directions(&tables.items, width, target.len()));
        match target.len().cmp(&width) {
            std::cmp::Ordering::Less => {
                turned |= to_path == 1;
                notes.push(format!(
                    "{name}: {width} columns became {}, those in which items differ most",
                    target.len()
                ));
            }
            std::cmp::Ordering::Greater => notes.push(format!(
                "{name}: {width} columns, and {} new ones",
                target.len() - width
            )),
            std::cmp::Ordering::Equal => {}
        }
        for (block, table) in tables.of_blocks() {
            let Some(spec) = new.block(block) else { continue };
            let rows = params[spec.range()].chunks_exact_mut(new.width());
            for (row, old) in rows.zip(table.chunks_exact(width)) {
                let Some(old) = old.iter().any(|value| *value != 0.0).then_some(old) else {
                    continue;
                };
                let cells = &mut row[target.clone()];
                match &basis {
                    None => cells.iter_mut().zip(old).for_each(|(cell, value)| *cell = *value),
                    Some(basis) => cells.iter_mut().zip(basis).for_each(|(cell, direction)| {
                        *cell = direction
                            .iter()
                            .zip(old)
                            .map(|(a, b)| *a * f64::from(*b))
                            .sum::<f64>() as f32;
                    }),
                }
            }
        }
    }
    if let (Some(before), Some(after)) = (old.block("item.bias"), new.block("item.bias")) {
        params[after.range()].copy_from_slice(&items.table(&values[before.range()], 1));
    }
    let dense = |spec: &&TensorSpec| spec.offset >= new.dense_start();
    let towers_alike = !turned
        && from.model.activation == to.model.activation
        && from.model.mlp_width() == to.model.mlp_width()
        && from.model.tower == to.model.tower;
    let mut anew = Vec::new();
    for spec in new.blocks().iter().filter(dense) {
        let of_tower = spec.name.starts_with("tower.") || spec.name == "head.weight";
        let of_columns = spec.name == "gmf.weight" && from.model.gmf_width() != to.model.gmf_width();
        match old.block(&spec.name).filter(|old| old.shape == spec.shape) {
            Some(old) if !(of_columns || (of_tower && !towers_alike)) => {
                params[spec.range()].copy_from_slice(&values[old.range()]);
            }
            _ => anew.push(spec.name.as_str()),
        }
    }
    if !anew.is_empty() {
        notes.push(format!("begun anew: {}", anew.join(", ")));
    }
    (params, notes)
}

/// Some columns of the embedding tables, in the rows of the newer catalogue. Rows that nothing is known of are 0.
struct Tables {
    items: Vec<f32>,
    features: Vec<(&'static str, Vec<f32>)>,
}

impl Tables {
    fn of_blocks(&self) -> impl Iterator<Item = (&'static str, &[f32])> {
        let features = self
            .features
            .iter()
            .map(|(name, table)| (*name, table.as_slice()));
        std::iter::once(("item.embedding", self.items.as_slice())).chain(features)
    }
}

fn tables(
    from: Shape<'_>,
    to: Shape<'_>,
    (old, new): (&Layout, &Layout),
    items: &ItemMap,
    values: &[f32],
    columns: &Range<usize>,
) -> Tables {
    let of_block = |spec: &TensorSpec| -> Vec<f32> {
        let rows = values[spec.range()].chunks_exact(old.width());
        rows.flat_map(|row| row[columns.clone()].iter().copied())
            .collect()
    };
    let width = columns.len();
    let table = old.block("item.embedding").map(of_block).unwrap_or_default();
    let features = [Feature::Category, Feature::Brand, Feature::Price]
        .into_iter()
        .filter_map(|feature| {
            let name = table_name(feature);
            let (before, _) = old.block(name).zip(new.block(name))?;
            let table = of_block(before);
            let old_row = |at: usize| match feature {
                Feature::Category => same_name(from.catalogue.categories(), to.catalogue.categories(), at),
                Feature::Brand => same_name(from.catalogue.brands(), to.catalogue.brands(), at),
                // The n-th eighth of prices, whatever they are.
                Feature::Price => Some(at),
            };
            let rows = Vocabulary::from(to.catalogue).rows_of(feature);
            let moved = (0..rows).flat_map(|at| {
                let row = old_row(at).and_then(|row| table.get(row * width..(row + 1) * width));
                row.map_or_else(|| vec![0.0; width], <[f32]>::to_vec)
            });
            Some((name, moved.collect()))
        });
    Tables {
        items: items.table(&table, width),
        features: features.collect(),
    }
}

fn same_name(before: &[String], after: &[String], at: usize) -> Option<usize> {
    let name = after.get(at)?;
    before.iter().position(|known| known == name)
}

/// The directions in which rows differ most from 0, at length 1, the longest first. Shape: `[wanted, width]`.
fn main_directions(table: &[f32], width: usize, wanted: usize) -> Vec<Vec<f64>> {
    let mut gram = vec![0.0; width * width];
    for row in table.chunks_exact(width) {
        for (at, value) in row.iter().enumerate() {
            let cells = gram[at * width..][..width].iter_mut();
            cells
                .zip(row)
                .for_each(|(cell, other)| *cell += f64::from(*value) * f64::from(*other));
        }
    }
    let mut vectors = symmetric(&gram, width).vectors;
    vectors.truncate(wanted);
    vectors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Item;
    use crate::model::config::{Activation, GeneratorConfig, ModelKind};

    fn catalogue(ids: &[(&str, &str)]) -> Catalogue {
        let items = ids.iter().map(|(id, category)| Item {
            category: (*category).to_owned(),
            ..Item::bare(*id)
        });
        Catalogue::new(items.collect()).unwrap()
    }

    fn model(kind: ModelKind, gmf: usize, mlp: usize) -> ModelConfig {
        ModelConfig {
            kind,
            discriminator: None,
            generator: None,
            gmf_dim: gmf,
            mlp_dim: mlp,
            tower: vec![4, 2],
            activation: Activation::Relu,
            features: vec![Feature::Category],
            item_bias: true,
            init_stddev: 0.1,
        }
    }

    fn numbered(shape: Shape<'_>) -> Vec<f32> {
        (0..shape.layout().len()).map(|at| 1.0 + at as f32).collect()
    }

    #[test]
    fn a_grown_catalogue_keeps_every_parameter_of_what_it_had() {
        let before = catalogue(&[("a", "tea"), ("b", "nuts"), ("c", "tea")]);
        let after = catalogue(&[("a", "tea"), ("aa", "bread"), ("b", "nuts"), ("c", "tea")]);
        let config = model(ModelKind::Neumf, 2, 2);
        let (from, to) = (
            Shape {
                model: &config,
                catalogue: &before,
            },
            Shape {
                model: &config,
                catalogue: &after,
            },
        );
        let values = numbered(from);
        let base = vec![-1.0; to.layout().len()];
        let (params, notes) = transferred((from, &values), (to, base), &ItemMap::new(&before, &after));
        let (old, new) = (from.layout(), to.layout());
        let row = |values: &[f32], layout: &Layout, at: usize| values[at * layout.width()..][..4].to_vec();
        for (old_row, new_row) in [(0, 0), (1, 2), (2, 3)] {
            assert_eq!(row(&params, &new, new_row), row(&values, &old, old_row));
        }
        // Nothing is like bread: it stays as it would have begun.
        assert_eq!(row(&params, &new, 1), [-1.0; 4]);
        // Categories in between: "", "bread" (new), "nuts", "tea".
        let first = (
            old.first_row_of(Feature::Category).unwrap(),
            new.first_row_of(Feature::Category).unwrap(),
        );
        for (old_row, new_row) in [(0, 0), (1, 2), (2, 3)] {
            assert_eq!(
                row(&params, &new, first.1 + new_row),
                row(&values, &old, first.0 + old_row)
            );
        }
        for name in [
            "tower.0.weight",
            "tower.1.bias",
            "head.weight",
            "gmf.weight",
            "head.bias",
        ] {
            let (old, new) = (old.block(name).unwrap(), new.block(name).unwrap());
            assert_eq!(params[new.range()], values[old.range()], "{name}");
        }
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(
            notes[0].starts_with("3 items as they were, 1 new (1 of them like none"),
            "{notes:?}"
        );
    }

    #[test]
    fn fewer_columns_keep_the_products_of_items_and_more_leave_the_rest_as_it_was() {
        let items: Vec<(String, &str)> = (0..30).map(|at| (format!("i{at}"), "x")).collect();
        let items: Vec<(&str, &str)> = items.iter().map(|(id, kind)| (id.as_str(), *kind)).collect();
        let catalogue = catalogue(&items);
        let map = ItemMap::new(&catalogue, &catalogue);
        let (wide, narrow) = (model(ModelKind::Mf, 6, 0), model(ModelKind::Mf, 2, 0));
        let shape = |model| Shape {
            model,
            catalogue: &catalogue,
        };
        // Rows in a plane of the six dimensions.
        let mut values = vec![0.0; shape(&wide).layout().len()];
        let planes = [[1.0, 0.0, -1.0, 0.5, 2.0, 0.0], [0.0, 1.0, 1.0, -0.5, 0.3, 1.0]];
        for (at, row) in values[..30 * 6].chunks_exact_mut(6).enumerate() {
            let (a, b) = ((at as f32).sin(), (at as f32 * 1.7).cos());
            row.iter_mut()
                .enumerate()
                .for_each(|(column, cell)| *cell = a * planes[0][column] + b * planes[1][column]);
        }
        let base = vec![9.0; shape(&narrow).layout().len()];
        let (params, notes) = transferred((shape(&wide), &values), (shape(&narrow), base), &map);
        let product = |values: &[f32], width: usize, a: usize, b: usize| -> f32 {
            let rows = values[a * width..][..width]
                .iter()
                .zip(&values[b * width..][..width]);
            rows.map(|(a, b)| a * b).sum()
        };
        for (a, b) in [(0, 1), (3, 3), (7, 29)] {
            let (old, new) = (product(&values, 6, a, b), product(&params, 2, a, b));
            assert!((old - new).abs() < 1e-4, "{old} {new}");
        }
        assert!(notes[0].contains("6 columns became 2"), "{notes:?}");
        // And back into six.
        let base = vec![9.0; shape(&wide).layout().len()];
        let (again, notes) = transferred((shape(&narrow), &params), (shape(&wide), base), &map);
        assert_eq!(again[..2], params[..2]);
        assert_eq!(again[2..6], [9.0; 4]);
        assert!(notes[0].contains("2 columns, and 4 new ones"), "{notes:?}");
    }

    #[test]
    fn another_kind_takes_the_embeddings_and_begins_its_tower_anew() {
        let catalogue = catalogue(&[("a", "tea"), ("b", "nuts")]);
        let map = ItemMap::new(&catalogue, &catalogue);
        let (mf, neumf) = (model(ModelKind::Mf, 3, 0), model(ModelKind::Neumf, 3, 3));
        let shape = |model| Shape {
            model,
            catalogue: &catalogue,
        };
        let values = numbered(shape(&mf));
        let base = vec![-1.0; shape(&neumf).layout().len()];
        let (params, notes) = transferred((shape(&mf), &values), (shape(&neumf), base), &map);
        // Both paths have them, and so has a generator behind them; on the way back they are the dot product's again.
        let gan = ModelConfig {
            discriminator: Some(ModelKind::Mlp),
            generator: Some(GeneratorConfig {
                dim: 4,
                ..GeneratorConfig::default()
            }),
            ..model(ModelKind::Gan, 3, 3)
        };
        let base = vec![-1.0; shape(&gan).layout().len()];
        let (in_gan, told) = transferred((shape(&mf), &values), (shape(&gan), base), &map);
        assert_eq!(in_gan[..7], [1.0, 2.0, 3.0, 1.0, 2.0, 3.0, -1.0]);
        assert!(
            told[0].contains("generator: 3 columns, and 1 new ones"),
            "{told:?}"
        );
        let only = ModelConfig {
            discriminator: Some(ModelKind::Mf),
            ..gan.clone()
        };
        let base = vec![-1.0; shape(&only).layout().len()];
        let (kept, _) = transferred((shape(&gan), &in_gan), (shape(&only), base), &map);
        assert_eq!(kept[..7], [1.0, 2.0, 3.0, 1.0, 2.0, 3.0, -1.0]);
        assert_eq!(params[..6], [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
        assert!(notes[0].starts_with("begun anew: tower.0.weight"), "{notes:?}");
        let tower = shape(&neumf).layout();
        assert!(
            params[tower.block("tower.0.weight").unwrap().range()]
                .iter()
                .all(|value| *value == -1.0)
        );
        // A length that is not the layout's changes nothing.
        let base = vec![0.5; shape(&neumf).layout().len()];
        assert_eq!(
            transferred((shape(&mf), &values[1..]), (shape(&neumf), base.clone()), &map).0,
            base
        );
    }
}
