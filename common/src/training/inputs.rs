//! What the tower is fed for a customer and an item: what all shops and the public catalogue say of the two, and nothing that
//! depends on another customer of the shop.
//!
//! | columns | what |
//! |---|---|
//! | 18 | scores of federated and content channels, standardised over all items; 0 where a catalogue does not have the channel |
//! | 12 | products u_k v_k of the released view's vectors of the customer and of the item, standardised together |
//! | 1 | how much the customer has bought: log(1 + n) / 2 - 1 |

use crate::channels::scale::{Standard, compress, score_channel, score_rows};
use crate::channels::{Channels, Recency, recency_weights};
use crate::numeric::add_scaled;
use crate::release::views::{FederatedForms, RANK};

/// Channels that the tower knows, in the order of their columns.
pub const CHANNELS: [&str; 18] = [
    "popularity of all shops",
    "lda of all shops",
    "view V:0.3",
    "view V:1",
    "view E:0.3",
    "view E:1",
    "content:0.3",
    "content:1",
    "content cubed:0.3",
    "content cubed:1",
    "words:0.3",
    "words:1",
    "category:0.3",
    "category:1",
    "code:0.3",
    "code:1",
    "vectors:0.3",
    "vectors:1",
];

/// Columns of one customer and item.
pub const WIDTH: usize = CHANNELS.len() + RANK + 1;

/// Makes inputs.
#[derive(Clone)]
pub struct TowerInputs {
    items: usize,
    /// Those of [`CHANNELS`] that are there.
    channels: Channels,
    /// The column of each.
    columns: Vec<usize>,
    view: Option<View>,
}

/// The bilinear view V: `(r left) right'`.
#[derive(Clone)]
struct View {
    decay: f32,
    rank: usize,
    /// `[items, rank]`
    left: Vec<f32>,
    /// `[rank, items]`
    right: Vec<f32>,
    /// Of each column of `right`.
    means: Vec<f32>,
}

impl View {
    fn of(forms: &FederatedForms) -> Option<Self> {
        let form = forms.forms.first()?;
        let items = form.right.len() / form.rank.max(1);
        let column = |at| form.right.iter().skip(at).step_by(form.rank).copied();
        let means = (0..form.rank).map(|at| column(at).sum::<f32>() / items.max(1) as f32);
        Some(Self {
            decay: form.g as f32,
            rank: form.rank.min(RANK),
            left: form.left.to_vec(),
            right: (0..form.rank).flat_map(column).collect(),
            means: means.collect(),
        })
    }

    /// The customer's vector.
    fn user(&self, history: &[u32]) -> Vec<f32> {
        let mut user = vec![0.0; self.rank];
        for (item, weight) in history.iter().zip(recency_weights(history.len(), self.decay)) {
            add_scaled(weight, self.left_of(*item), &mut user);
        }
        user
    }

    /// What an item adds to it.
    fn left_of(&self, item: u32) -> &[f32] {
        let width = self.means.len();
        &self.left[item as usize * width..][..self.rank]
    }

    /// 1 over the deviation of the whole score over all items.
    fn rate(&self, user: &[f32], items: usize) -> f32 {
        let mut scores = vec![0.0; items];
        for (value, column) in user.iter().zip(self.right.chunks_exact(items)) {
            add_scaled(*value, column, &mut scores);
        }
        Standard::of(&scores).rate
    }
}

impl TowerInputs {
    /// Of these channels, found by name, and the views of the last release.
    ///
    /// # Shapes
    /// `items`: of the catalogue that all of them are of.
    pub fn new(content: &Channels, federated: &Channels, forms: &FederatedForms, items: usize) -> Self {
        let (mut channels, mut columns) = (Channels::new(), Vec::new());
        for (column, name) in CHANNELS.iter().enumerate() {
            let found = federated
                .iter()
                .chain(content)
                .find(|channel| channel.name() == *name);
            if let Some(channel) = found {
                channels.push(channel.clone());
                columns.push(column);
            }
        }
        Self {
            items,
            channels,
            columns,
            view: View::of(forms),
        }
    }

    /// How many items there are.
    pub fn items(&self) -> usize {
        self.items
    }

    /// Inputs of some items for a history, earliest first; written over `out`.
    ///
    /// # Shapes
    /// out: `[rows, WIDTH]`.
    pub fn rows(&self, history: &[u32], rows: &[u32], out: &mut Vec<f32>) {
        out.clear();
        out.resize(rows.len() * WIDTH, 0.0);
        let count = self.channels.len();
        let mut scores = vec![0.0; rows.len() * count];
        score_rows(&self.channels, history, self.items, rows, &mut scores);
        let products = self.view.as_ref().map(|view| {
            let user = view.user(history);
            let rate = view.rate(&user, self.items);
            (view, user, rate)
        });
        let bought = amount(history);
        for ((row, item), cells) in (0..).zip(rows).zip(out.chunks_exact_mut(WIDTH)) {
            for (column, score) in self.columns.iter().zip(&scores[row * count..]) {
                cells[*column] = *score;
            }
            if let Some((view, user, rate)) = &products {
                for (at, value) in user.iter().enumerate() {
                    let right = view.right[at * self.items + *item as usize] - view.means[at];
                    cells[CHANNELS.len() + at] = compress(PRODUCTS * value * right * rate);
                }
            }
            cells[WIDTH - 1] = bought;
        }
    }

    /// Inputs of all items for a history, earliest first; written over `out`.
    ///
    /// # Shapes
    /// out: `[WIDTH, items]`: a whole column at a time is what vectors are good at.
    pub fn columns(&self, history: &[u32], out: &mut Vec<f32>) {
        out.clear();
        out.resize(WIDTH * self.items, 0.0);
        for (column, channel) in self.columns.iter().zip(&self.channels) {
            let cells = &mut out[column * self.items..][..self.items];
            let standard = score_channel(&**channel, history, cells);
            cells.iter_mut().for_each(|cell| *cell = standard.apply(*cell));
        }
        if let Some(view) = &self.view {
            let user = view.user(history);
            let rate = view.rate(&user, self.items);
            let cells = out[CHANNELS.len() * self.items..].chunks_exact_mut(self.items);
            let right = view.right.chunks_exact(self.items).zip(&view.means);
            for ((value, cells), (right, mean)) in user.iter().zip(cells).zip(right) {
                let scale = PRODUCTS * value * rate;
                for (cell, right) in cells.iter_mut().zip(right) {
                    *cell = compress(scale * (right - mean));
                }
            }
        }
        out[(WIDTH - 1) * self.items..].fill(amount(history));
    }
}

impl TowerInputs {
    /// What each item of a history adds to the score of each wanted item, to the first order: its part of every input, as the
    /// channel that is linear in it has it, times how the score rises with that input.
    ///
    /// # Shapes
    /// slopes: `[wanted, WIDTH]`.
    pub fn attributed(&self, history: &[u32], wanted: &[u32], slopes: &[Vec<f32>]) -> Vec<Vec<(u32, f32)>> {
        let mut parts: Vec<Vec<(u32, f32)>> =
            vec![history.iter().map(|item| (*item, 0.0)).collect(); wanted.len()];
        let mut scores = vec![0.0; self.items];
        for (channel, column) in self.channels.iter().zip(&self.columns) {
            let Some(decay) = channel.decay() else { continue };
            let standard = score_channel(&**channel, history, &mut scores);
            let bends: Vec<f32> = wanted
                .iter()
                .map(|item| bend((scores[*item as usize] - standard.mean) * standard.rate) * standard.rate)
                .collect();
            for (at, (item, weight)) in history
                .iter()
                .zip(recency_weights(history.len(), decay))
                .enumerate()
            {
                let of = Recency {
                    items: &[*item],
                    weights: &[weight],
                };
                channel.score(of, &mut scores);
                let mean = Standard::of(&scores).mean;
                for (place, wanted) in wanted.iter().enumerate() {
                    let part = bends[place] * (scores[*wanted as usize] - mean);
                    parts[place][at].1 += slopes[place][*column] * part;
                }
            }
        }
        let Some(view) = &self.view else { return parts };
        let user = view.user(history);
        let rate = PRODUCTS * view.rate(&user, self.items);
        for (at, (item, weight)) in history
            .iter()
            .zip(recency_weights(history.len(), view.decay))
            .enumerate()
        {
            for (k, own) in view.left_of(*item).iter().enumerate() {
                for (place, wanted) in wanted.iter().enumerate() {
                    let right = view.right[k * self.items + *wanted as usize] - view.means[k];
                    let part = bend(user[k] * right * rate) * weight * own * right * rate;
                    parts[place][at].1 += slopes[place][CHANNELS.len() + k] * part;
                }
            }
        }
        parts
    }
}

/// What compression leaves of a standardised score.
fn bend(z: f32) -> f32 {
    if z == 0.0 { 1.0 } else { compress(z) / z }
}

fn amount(history: &[u32]) -> f32 {
    (1.0 + history.len() as f32).ln() / 2.0 - 1.0
}

/// Of twelve parts of a score of deviation 1, each is about a root of twelve smaller.
const PRODUCTS: f32 = 2.0;
