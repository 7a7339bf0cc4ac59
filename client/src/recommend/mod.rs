//! Recommendations for the shop's own users: scored, ranked, deduplicated, with reasons.
//!
//! | module | what |
//! |---|---|
//! | [`rank`] | from scores to a list |
//! | [`reasons`] | why an item stands in it |
//! | [`names`] | the user that was meant |
//! | [`picture`] | all scores of a user as a scatter plot |

pub mod cache;
pub mod names;
pub mod picture;
pub mod rank;
pub mod reasons;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use souk_common::catalogue::Catalogue;
use souk_common::dataset::{Dataset, History};
use souk_common::model::{Loaded, UserVector};
use souk_common::rng::{Stream, stream};

use names::UnknownUser;
use reasons::Reason;

/// A model over its catalogue, and the shop's histories.
#[derive(Clone)]
pub struct Recommendable {
    /// The model in use.
    pub model: Arc<Loaded>,
    /// The federation's items.
    pub catalogue: Arc<Catalogue>,
    /// The shop's users.
    pub dataset: Arc<Dataset>,
}

/// What to recommend.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct RecommendOptions {
    /// How many items.
    pub k: usize,
    /// Whether items that the user bought may be recommended.
    pub include_bought: bool,
    /// Whether to say why.
    pub explain: bool,
}

/// One user's list.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Recommendations {
    /// For whom.
    pub user_id: String,
    /// How many distinct items the user bought.
    pub history: usize,
    /// Whether the list was chosen for this user; false when there is no history to choose by.
    pub personal: bool,
    /// Best first.
    pub items: Vec<Recommended>,
}

/// One item of a list.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Recommended {
    /// From 1.
    pub rank: usize,
    /// Federation-wide id.
    pub item_id: String,
    /// The model's score; comparable within one list only.
    pub score: f32,
    /// May be empty.
    pub title: String,
    /// May be empty.
    pub category: String,
    /// May be empty.
    pub brand: String,
    /// If known.
    pub price: Option<f64>,
    /// Only if asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
}

/// Every item's score for one user.
pub struct Scores {
    /// In catalogue order.
    pub values: Vec<f32>,
    /// Whether they depend on the user.
    pub personal: bool,
}

impl Recommendable {
    /// The row of a user.
    ///
    /// # Errors
    /// When the shop has no such user; it names the nearest ones.
    pub fn find(&self, user: &str) -> Result<usize, UnknownUser> {
        names::find(&self.dataset.users, user)
    }

    /// Scores of all items for the user in `row`. A user without history gets the scores of nobody in particular.
    pub fn scores(&self, row: usize) -> Scores {
        let history = &self.dataset.histories[row];
        // Reproducible: the same question has the same answer until the model or the history changes.
        let mut rng = stream(row as u64, "recommend");
        if !history.is_empty() {
            let user = self.model.fit_user(history, None, &[], &mut rng);
            return Scores {
                values: self.model.score_all(&user),
                personal: true,
            };
        }
        Scores {
            values: self.model.score_all(&self.nobody(&mut rng)),
            personal: false,
        }
    }

    /// The list for the user in `row`.
    pub fn recommend(&self, row: usize, wishes: &RecommendOptions) -> Recommendations {
        let history = &self.dataset.histories[row];
        let scores = self.scores(row);
        let bought: &[u32] = if wishes.include_bought {
            &[]
        } else {
            &history.items
        };
        let ranked = rank::best(&scores.values, &self.catalogue, bought, wishes.k);
        let mut why = if wishes.explain && scores.personal {
            reasons::of(&self.model, &self.catalogue, history, &ranked)
        } else {
            Vec::new()
        };
        why.resize_with(ranked.len(), Vec::new);
        let items = ranked.iter().zip(why).enumerate().map(|(at, (row, reasons))| {
            let item = &self.catalogue.items()[*row as usize];
            Recommended {
                rank: at + 1,
                item_id: item.id.clone(),
                score: scores.values[*row as usize],
                title: item.title.clone(),
                category: item.category.clone(),
                brand: item.brand.clone(),
                price: item.price,
                reasons,
            }
        });
        Recommendations {
            user_id: self.dataset.users[row].clone(),
            history: history.len(),
            personal: scores.personal,
            items: items.collect(),
        }
    }

    /// A vector for somebody of whom nothing is known: the model's own biases, or, where a model has none, the
    /// vector of somebody who touched every item once. No shop's sales figures enter.
    fn nobody(&self, rng: &mut Stream) -> UserVector {
        let blank = self.model.fit_user(&History::default(), None, &[], rng);
        let scores = self.model.score_all(&blank);
        if scores
            .iter()
            .any(|score| (score - scores[0]).abs() > f32::EPSILON)
        {
            return blank;
        }
        let items: Vec<u32> = (0..self.catalogue.len() as u32).collect();
        let times = vec![0; items.len()];
        self.model.fit_user(&History { items, times }, None, &[], rng)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use souk_common::catalogue::Item;
    use souk_common::model::Recommender;
    use souk_common::model::init::initial_parameters;

    /// 30 items in 3 categories, four users; the last has no history.
    pub(crate) fn shelf() -> Recommendable {
        let item = |row: usize| Item {
            id: format!("i{row}"),
            title: if row < 2 {
                "Same thing".into()
            } else {
                format!("Thing {row}")
            },
            category: format!("c{}", row % 3),
            brand: "b".into(),
            price: Some(1.0 + row as f64),
            ..Item::bare("")
        };
        let catalogue = Catalogue::new((0..30).map(item).collect()).unwrap();
        let config =
            toml::from_str("kind = \"mf\"\ngmf_dim = 4\nitem_bias = false\ninit_stddev = 0.5").unwrap();
        let train = toml::from_str("solver = \"ials\"\nalpha = 0.1\nlambda = 0.5").unwrap();
        let recommender = Recommender::new(&config, &train, &catalogue);
        let model = recommender.load(initial_parameters(&config, &train, recommender.layout(), 3));
        let history = |items: &[u32]| History {
            items: items.to_vec(),
            times: vec![0; items.len()],
        };
        let dataset = Dataset {
            users: ["anna", "bert", "c-17", "new"].map(String::from).to_vec(),
            histories: vec![
                history(&[0, 3, 9]),
                history(&[5]),
                history(&[2, 4, 6, 8]),
                history(&[]),
            ],
        };
        Recommendable {
            model: Arc::new(model),
            catalogue: Arc::new(catalogue),
            dataset: Arc::new(dataset),
        }
    }

    const WISHES: RecommendOptions = RecommendOptions {
        k: 10,
        include_bought: false,
        explain: true,
    };

    #[test]
    fn bought_items_are_left_out_unless_asked_for() {
        let shelf = shelf();
        let list = shelf.recommend(0, &WISHES);
        assert_eq!((list.items.len(), list.personal), (10, true));
        assert!(
            list.items
                .iter()
                .all(|item| !["i0", "i3", "i9"].contains(&item.item_id.as_str()))
        );
        assert!(list.items.windows(2).all(|pair| pair[0].score >= pair[1].score));
        let all = shelf.recommend(
            0,
            &RecommendOptions {
                include_bought: true,
                k: 100,
                ..WISHES
            },
        );
        assert!(all.items.iter().any(|item| item.item_id == "i3"));
        assert_eq!(
            all.items.len(),
            29,
            "the two items of one title and brand are one"
        );
    }

    #[test]
    fn a_list_says_why_and_the_reasons_are_the_users_own_items() {
        let list = shelf().recommend(2, &WISHES);
        let reasons: Vec<_> = list.items.iter().flat_map(|item| &item.reasons).collect();
        assert!(!reasons.is_empty());
        assert!(
            reasons
                .iter()
                .all(|reason| ["i2", "i4", "i6", "i8"].contains(&reason.item_id.as_str()))
        );
    }

    #[test]
    fn a_user_without_history_gets_a_list_that_is_called_impersonal() {
        let list = shelf().recommend(3, &WISHES);
        assert!(!list.personal && list.items.len() == 10);
        assert!(list.items[0].score > list.items[9].score, "{list:?}");
    }
}
