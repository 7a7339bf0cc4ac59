//! Solver `stars`: how many stars a user gives an item, m + b_i + b_u + p_u q_i (Koren, Bell, Volinsky 2009), with the user's b_u
//! and p_u a ridge regression on the items that the user has rated, solved exactly.
//!
//! The user's share of the loss is 1/2 sum e_ui^2 over the rated items, with e_ui what the stars are off by. Its negative
//! gradient by b_i is e_ui, by q_i e_ui p_u: rows of the rated items alone. m is the middle of the scale and is not trained,
//! since every user has a b_u; b_u and p_u never leave the shop.

use super::recommender::Loaded;
use super::update::UserUpdate;
use super::work::{self, MOST_ITEMS};
use crate::dataset::Labelled;
use crate::numeric::{cholesky, dot};

/// What a user's own stars say of the user; it stays in the shop.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnStars {
    /// b_u, in stars.
    pub bias: f32,
    /// p_u, one number a column of the item table.
    pub vector: Vec<f32>,
}

impl Loaded {
    /// The user's own numbers, fitted to the latest stars that the user gave; of a user without any, zeros. None if the plan's
    /// solver is another.
    pub fn own_stars(&self, labelled: &Labelled) -> Option<OwnStars> {
        let stars = self.stars_config()?;
        let (items, labels) = latest(labelled);
        let width = self.layout().width();
        let size = width + 1;
        work::took(items.len() * size);
        let (mut left, mut right) = (vec![0.0f64; size * size], vec![0.0f64; size]);
        let mut row = vec![1.0f64; size];
        for (item, label) in items.iter().zip(labels) {
            let target = f64::from(label - self.item_stars(*item));
            for (cell, value) in row[1..].iter_mut().zip(self.vector(*item)) {
                *cell = f64::from(*value);
            }
            for at in 0..size {
                right[at] += row[at] * target;
                for (cell, value) in left[at * size..][..=at].iter_mut().zip(&row) {
                    *cell += row[at] * value;
                }
            }
        }
        for at in 0..size {
            left[at * size + at] += if at == 0 { stars.bias_lambda } else { stars.lambda };
        }
        if !cholesky::solve(&mut left, &mut right) {
            right.fill(0.0);
        }
        let mut own = right.into_iter().map(|value| value as f32);
        Some(OwnStars {
            bias: own.next().unwrap_or_default(),
            vector: own.collect(),
        })
    }

    /// What the user's stars would change in the shared parameters, unclipped; none if the plan's solver is another, or the user
    /// has rated nothing.
    pub fn stars_update(&self, labelled: &Labelled) -> Option<UserUpdate> {
        let stars = self.stars_config()?;
        let own = self.own_stars(labelled)?;
        let (items, labels) = latest(labelled);
        if items.is_empty() {
            return None;
        }
        let mut errors: Vec<(u32, f32)> = items
            .iter()
            .zip(labels)
            .map(|(item, label)| (*item, label - self.unbounded(&own, *item)))
            .collect();
        errors.sort_unstable_by_key(|(item, _)| *item);
        let width = self.layout().width();
        work::took(errors.len() * (width + 1));
        let step = stars.embedding_step as f32;
        let (mut ranges, mut values) = (Vec::with_capacity(2 * errors.len()), Vec::new());
        for (item, error) in &errors {
            let row = *item as usize;
            ranges.push(row * width..(row + 1) * width);
            values.extend(own.vector.iter().map(|value| step * error * value));
        }
        if let Some(first) = self.bias_offset() {
            for (item, error) in &errors {
                ranges.push(first + *item as usize..first + *item as usize + 1);
                values.push(*error);
            }
        }
        Some(UserUpdate::Sparse { ranges, values })
    }

    /// The stars that the user is expected to give an item, within the scale. None if the plan's solver is another.
    pub fn expected_stars(&self, own: &OwnStars, item: u32) -> Option<f32> {
        self.within_the_scale(self.unbounded(own, item))
    }

    /// Stars kept within the scale. None if the plan's solver is another than `stars`.
    pub fn within_the_scale(&self, stars: f32) -> Option<f32> {
        let scale = self.stars_config()?;
        Some(stars.clamp(scale.lowest as f32, scale.highest as f32))
    }

    /// Whether it says how many stars an item gets.
    pub fn expects_stars(&self) -> bool {
        self.stars_config().is_some()
    }

    /// What an item gets of a user of whom nothing is known.
    fn item_stars(&self, item: u32) -> f32 {
        self.network().head_bias.0 + self.bias_of(item).unwrap_or_default()
    }

    fn unbounded(&self, own: &OwnStars, item: u32) -> f32 {
        self.item_stars(item) + own.bias + dot(&own.vector, self.vector(item))
    }
}

/// What a shop's own customers say of items beyond what all shops have learned: the mean of what is off by item, drawn toward
/// zero where few have rated it. It depends on several customers, and stays in the shop.
#[derive(Clone, Debug, PartialEq)]
pub struct ShopStars {
    /// One an item, in stars.
    pub offsets: Vec<f32>,
}

impl ShopStars {
    /// Of the stars that a shop's customers gave. None if the plan's solver is another.
    pub fn fit<'a>(model: &Loaded, customers: impl Iterator<Item = &'a Labelled>) -> Option<Self> {
        let count = model.items().nrows();
        let (mut sums, mut counts) = (vec![0.0f64; count], vec![0.0f64; count]);
        for labelled in customers {
            let own = model.own_stars(labelled)?;
            for (item, label) in labelled.items.iter().zip(&labelled.labels) {
                sums[*item as usize] += f64::from(label - model.unbounded(&own, *item));
                counts[*item as usize] += 1.0;
            }
        }
        let offsets = sums.iter().zip(&counts);
        Some(Self {
            offsets: offsets
                .map(|(sum, count)| (sum / (count + SHOP_RIDGE)) as f32)
                .collect(),
        })
    }

    /// What a customer of the shop is expected to give each item, not kept within the scale, so that no two are alike only for
    /// being beyond it. Shape: `[items]`.
    pub fn scores(&self, model: &Loaded, own: &OwnStars) -> Vec<f32> {
        let items = (0u32..).zip(&self.offsets);
        items
            .map(|(item, offset)| offset + model.unbounded(own, item))
            .collect()
    }

    /// The stars that a customer of the shop is expected to give an item. None if the plan's solver is another.
    pub fn expected(&self, model: &Loaded, own: &OwnStars, item: u32) -> Option<f32> {
        let offset = self.offsets.get(item as usize).copied().unwrap_or_default();
        let own = OwnStars {
            bias: own.bias + offset,
            vector: own.vector.clone(),
        };
        model.expected_stars(&own, item)
    }
}

/// So many ratings of no difference are added to those of an item.
const SHOP_RIDGE: f64 = 5.0;

/// The latest items, and their labels, that one user's update is made of.
fn latest(labelled: &Labelled) -> (&[u32], &[f32]) {
    let from = labelled.len().saturating_sub(MOST_ITEMS);
    (&labelled.items[from..], &labelled.labels[from..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{Catalogue, Item};
    use crate::model::Recommender;
    use crate::model::init::initial_parameters;

    const ITEMS: usize = 12;

    fn model(shift: impl Fn(usize) -> f32) -> Loaded {
        let items = (0..ITEMS).map(|row| Item::bare(format!("i{row}")));
        let catalogue = Catalogue::new(items.collect()).unwrap();
        let config = toml::from_str("kind = \"mf\"\ngmf_dim = 3\ninit_stddev = 0.5").unwrap();
        let train =
            toml::from_str("solver = \"stars\"\nlambda = 2.0\nbias_lambda = 3.0\nembedding_step = 0.5")
                .unwrap();
        let recommender = Recommender::new(&config, &train, &catalogue);
        let mut params = initial_parameters(&config, &train, recommender.layout(), 3);
        let bias = recommender.layout().block("item.bias").unwrap().offset;
        for item in 0..ITEMS {
            params[bias + item] = 0.1 * item as f32;
        }
        params
            .iter_mut()
            .enumerate()
            .for_each(|(at, value)| *value += shift(at));
        recommender.load(params)
    }

    fn labelled() -> Labelled {
        Labelled {
            items: vec![7, 2, 11, 4],
            times: vec![1, 2, 3, 4],
            labels: vec![5.0, 1.0, 4.0, 3.0],
        }
    }

    /// Half the squared errors, and the ridge's own terms.
    fn loss(model: &Loaded, own: &OwnStars, labelled: &Labelled) -> f64 {
        let errors = labelled.items.iter().zip(&labelled.labels);
        let squares: f64 = errors
            .map(|(item, label)| f64::from(label - model.unbounded(own, *item)).powi(2))
            .sum();
        let norm: f64 = own.vector.iter().map(|value| f64::from(*value).powi(2)).sum();
        0.5 * (squares + 3.0 * f64::from(own.bias).powi(2) + 2.0 * norm)
    }

    #[test]
    fn the_users_own_numbers_are_where_no_small_step_makes_the_loss_less() {
        let (model, labelled) = (model(|_| 0.0), labelled());
        let own = model.own_stars(&labelled).unwrap();
        let least = loss(&model, &own, &labelled);
        for at in 0..4 {
            for step in [-1e-2, 1e-2] {
                let mut moved = own.clone();
                match at {
                    0 => moved.bias += step,
                    at => moved.vector[at - 1] += step,
                }
                assert!(loss(&model, &moved, &labelled) > least, "coordinate {at}");
            }
        }
    }

    #[test]
    fn the_update_is_the_negative_gradient_at_the_users_own_numbers_and_embeddings_take_their_part_of_it() {
        let labelled = labelled();
        let start = model(|_| 0.0);
        let own = start.own_stars(&labelled).unwrap();
        let Some(UserUpdate::Sparse { ranges, values }) = start.stars_update(&labelled) else {
            panic!("of some rows")
        };
        assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start));
        let places: Vec<usize> = ranges.into_iter().flatten().collect();
        assert_eq!(places.len(), values.len());
        assert_eq!(values.len(), 4 * (3 + 1), "rated items alone");
        let first_bias = start.bias_offset().unwrap();
        for place in 0..start.params().len() - 1 {
            let at = |step: f32| {
                let moved = model(|here| if here == place { step } else { 0.0 });
                loss(&moved, &own, &labelled)
            };
            let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
            let part = if place < first_bias { 0.5 } else { 1.0 };
            let found = places.iter().position(|named| *named == place);
            let value = found.map_or(0.0, |found| f64::from(values[found]));
            assert!(
                (value + part * slope).abs() < 2e-3,
                "{place}: {value} against {slope}"
            );
        }
    }

    #[test]
    fn who_has_rated_nothing_changes_nothing_and_is_expected_to_give_what_the_item_gets() {
        let model = model(|_| 0.0);
        let nobody = Labelled::default();
        assert_eq!(model.stars_update(&nobody), None);
        let own = model.own_stars(&nobody).unwrap();
        assert_eq!(own.bias, 0.0);
        // The middle of one to five, and the item's bias.
        assert_eq!(model.expected_stars(&own, 0), Some(3.0));
        let all_alike = Labelled {
            labels: vec![5.0; 4],
            ..labelled()
        };
        let own = model.own_stars(&all_alike).unwrap();
        let expected = model.expected_stars(&own, 11).unwrap();
        assert!((3.5..=5.0).contains(&expected), "{expected}");
    }
}
