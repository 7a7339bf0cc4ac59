//! The plan's `[model]`, warm: item embeddings begin as the released view of the items, in place of noise.

use crate::model::config::{ModelConfig, TrainConfig};
use crate::model::init::initial_parameters;
use crate::model::layout::Layout;
use crate::release::views::FederatedForms;

/// Initial parameters of a model that follows releases: those of the public seed, with the first columns of each path's item
/// embeddings from the view V, scaled so that items' vectors have length 1 in the mean square. Columns beyond the view's stay as
/// the seed has them.
pub fn initial(
    (model, train): (&ModelConfig, &TrainConfig),
    layout: &Layout,
    seed: u64,
    forms: &FederatedForms,
) -> Vec<f32> {
    let mut params = initial_parameters(model, train, layout, seed);
    let (Some(form), Some(table)) = (forms.forms.first(), layout.block("item.embedding")) else {
        return params;
    };
    let squares: f64 = form.right.iter().map(|value| f64::from(*value).powi(2)).sum();
    let items = form.right.len() / form.rank.max(1);
    if squares.partial_cmp(&0.0) != Some(std::cmp::Ordering::Greater) {
        return params;
    }
    let scale = (items as f64 / squares).sqrt() as f32;
    // Each path has its own columns of the joint table.
    let paths = model.paths();
    let rows = params[table.range()].chunks_exact_mut(layout.width());
    for (row, view) in rows.zip(form.right.chunks_exact(form.rank)) {
        for columns in &paths {
            let cells = row[columns.clone()].iter_mut();
            cells.zip(view).for_each(|(cell, value)| *cell = scale * value);
        }
    }
    params
}
