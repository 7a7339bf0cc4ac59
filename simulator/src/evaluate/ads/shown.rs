//! What households were shown, with its inputs.

use souk_common::dataset::Dataset;
use souk_common::training::clicks::inputs::ClickInputs;

use crate::data::coupons::Coupons;

/// Everything that was shown to anybody, customer after customer, in time order.
#[derive(Default)]
pub(super) struct Shown {
    pub(super) users: Vec<usize>,
    pub(super) times: Vec<i64>,
    pub(super) ads: Vec<u32>,
    pub(super) labels: Vec<f32>,
    /// `[shown, WIDTH]`
    pub(super) inputs: Vec<f32>,
}

impl Shown {
    pub(super) fn of(dataset: &Dataset, inputs: &ClickInputs) -> Self {
        let mut shown = Self::default();
        for (user, labelled) in dataset.labelled.iter().enumerate() {
            if let Some(rows) = inputs.shown(&dataset.histories[user], labelled) {
                shown.users.extend(std::iter::repeat_n(user, labelled.len()));
                shown.times.extend(&labelled.times);
                shown.ads.extend(&labelled.items);
                shown.labels.extend(&labelled.labels);
                shown.inputs.extend(rows);
            }
        }
        shown
    }

    pub(super) fn labels_of(&self, rows: &[usize]) -> Vec<f32> {
        rows.iter().map(|at| self.labels[*at]).collect()
    }

    pub(super) fn only(&self, wanted: impl Fn(usize) -> bool) -> Vec<usize> {
        (0..self.ads.len()).filter(|at| wanted(*at)).collect()
    }
}

/// What is measured.
#[derive(Clone, Copy)]
pub(super) struct Measured<'a> {
    pub(super) shown: &'a Shown,
    pub(super) test: &'a [usize],
    pub(super) coupons: &'a Coupons,
}
