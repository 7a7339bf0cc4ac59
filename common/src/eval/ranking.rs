//! Views, and the walk over users that turns a model's scores into metrics.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::eval::candidates::{Candidates, NEGATIVES};
use crate::eval::metrics::{Metrics, rank};
use crate::eval::split::Split;

/// Scores items for users; higher is better. A user is a position in the set that the scorer was fitted on.
pub trait Scorer: Sync {
    /// The scores of `items` for `user`, in their order; `out` is cleared first.
    fn score(&self, user: usize, items: &[u32], out: &mut Vec<f32>);

    /// The scores of all items of the catalogue for `user`; `out` is cleared first.
    fn score_all(&self, user: usize, out: &mut Vec<f32>);
}

/// What a figure of merit means. The three are always reported together.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// A: ranked against 99 sampled items; training never draws the held-out items as negatives, as published tables
    /// do, which leaks them.
    Literature,
    /// B: ranked against the same 99; training draws negatives from everything but the user's training items.
    LeakFree,
    /// C: trained as B, ranked against every item that is not among the user's training (and, for the test item,
    /// validation) items.
    Full,
}

impl View {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 3] = [Self::Literature, Self::LeakFree, Self::Full];

    /// The candidate set, to be named with every figure: of sampled ones, how many there were, which is fewer than
    /// [`NEGATIVES`] where the catalogue is small.
    pub fn candidate_set(self, metrics: &Metrics) -> String {
        match (self, metrics.candidates) {
            (Self::Full, _) => "full".to_owned(),
            (_, (0, 0)) => format!("sampled({NEGATIVES})"),
            (_, (fewest, most)) if fewest == most => format!("sampled({most})"),
            (_, (fewest, most)) => format!("sampled({fewest} to {most})"),
        }
    }
}

/// Which of the two held-out items is ranked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Target {
    /// For tuning.
    Validation,
    /// For reporting.
    Test,
}

/// The metrics of `scorer` over all users with held-out items. `items` is the catalogue's length.
pub fn evaluate(
    scorer: &dyn Scorer,
    split: &Split,
    candidates: &Candidates,
    items: usize,
    view: View,
    target: Target,
    k: usize,
) -> Metrics {
    let users: Vec<usize> = (0..split.held_out.len()).collect();
    evaluate_users(scorer, split, candidates, &users, items, (view, target, k))
}

/// [`evaluate`] over some `users` (positions); those with nothing held out are passed over.
pub fn evaluate_users(
    scorer: &dyn Scorer,
    split: &Split,
    candidates: &Candidates,
    users: &[usize],
    items: usize,
    (view, target, k): (View, Target, usize),
) -> Metrics {
    let walk = Walk {
        scorer,
        split,
        candidates,
        items,
        view,
        target,
        k,
    };
    let none = || Part::new(items);
    let part = users
        .par_chunks(CHUNK)
        .map(|users| walk.chunk(users))
        .reduce(none, Part::and);
    let recommended = part.seen.iter().filter(|seen| **seen).count();
    Metrics {
        without_candidates: part.without,
        candidates: part.candidates.unwrap_or_default(),
        ..Metrics::from_ranks(&part.ranks, k, recommended, items)
    }
}

/// What is found of some users.
struct Part {
    ranks: Vec<f64>,
    /// One an item: whether it was recommended to anybody.
    seen: Vec<bool>,
    without: usize,
    /// The fewest and the most that were ranked against.
    candidates: Option<(usize, usize)>,
}

impl Part {
    fn new(items: usize) -> Self {
        Self {
            ranks: Vec::new(),
            seen: vec![false; items],
            without: 0,
            candidates: None,
        }
    }

    fn note(&mut self, fewest: usize, most: usize) {
        let (least, greatest) = self.candidates.unwrap_or((fewest, most));
        self.candidates = Some((least.min(fewest), greatest.max(most)));
    }

    fn and(mut self, other: Self) -> Self {
        self.ranks.extend(other.ranks);
        let both = self.seen.iter_mut().zip(other.seen);
        both.for_each(|(seen, also)| *seen |= also);
        self.without += other.without;
        if let Some((fewest, most)) = other.candidates {
            self.note(fewest, most);
        }
        self
    }
}

struct Walk<'a> {
    scorer: &'a dyn Scorer,
    split: &'a Split,
    candidates: &'a Candidates,
    items: usize,
    view: View,
    target: Target,
    k: usize,
}

impl Walk<'_> {
    fn chunk(&self, users: &[usize]) -> Part {
        let mut part = Part::new(self.items);
        let (mut scores, mut rows) = (Vec::new(), Vec::new());
        for user in users {
            let Some(held) = self.split.held_out[*user] else {
                continue;
            };
            let wanted = match self.target {
                Target::Validation => held.validation,
                Target::Test => held.test,
            };
            rows.clear();
            rows.push(wanted);
            if self.view == View::Full {
                self.scorer.score_all(*user, &mut scores);
                let mut known = self.split.train.histories[*user].items.clone();
                if self.target == Target::Test {
                    known.push(held.validation);
                }
                known.push(wanted);
                known.sort_unstable();
                rows.extend((0..self.items as u32).filter(|item| known.binary_search(item).is_err()));
                scores = rows.iter().map(|row| scores[*row as usize]).collect();
            } else {
                rows.extend(match self.target {
                    Target::Validation => &self.candidates.validation[*user],
                    Target::Test => &self.candidates.test[*user],
                });
                self.scorer.score(*user, &rows, &mut scores);
            }
            if rows.len() < 2 {
                // First of one, whatever the model: that says nothing.
                part.without += 1;
                continue;
            }
            part.note(rows.len() - 1, rows.len() - 1);
            part.ranks.push(rank(scores[0], scores[1..].iter().copied()));
            for at in top(&scores, &rows, self.k) {
                part.seen[rows[at] as usize] = true;
            }
        }
        part
    }
}

/// The positions of the `k` highest scores, in no order; of equal scores the item of the earlier row wins, as in lists:
/// that an item was held out is no advantage.
fn top(scores: &[f32], rows: &[u32], k: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    if k < order.len() {
        order.select_nth_unstable_by(k, |a, b| {
            scores[*b].total_cmp(&scores[*a]).then(rows[*a].cmp(&rows[*b]))
        });
        order.truncate(k);
    }
    order
}

/// Users a thread takes at a time.
const CHUNK: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::popularity::Popularity;
    use crate::dataset::{Dataset, History};
    use crate::eval::leave_last_two_out;

    const ITEMS: usize = 300;

    struct Oracle<'a>(&'a Split, f32);

    impl Scorer for Oracle<'_> {
        fn score(&self, user: usize, items: &[u32], out: &mut Vec<f32>) {
            let mut all = Vec::new();
            self.score_all(user, &mut all);
            out.clear();
            out.extend(items.iter().map(|item| all[*item as usize]));
        }

        fn score_all(&self, user: usize, out: &mut Vec<f32>) {
            out.clear();
            out.resize(ITEMS, 0.0);
            if let Some(held) = self.0.held_out[user] {
                out[held.test as usize] = self.1;
            }
        }
    }

    fn world() -> (Split, Candidates) {
        let data = Dataset {
            users: (0..40).map(|user| format!("u{user}")).collect(),
            histories: (0..40_u32)
                .map(|user| History {
                    items: if user == 0 {
                        vec![9]
                    } else {
                        vec![user, 100 + user, 200 + user, 0]
                    },
                    times: vec![1; if user == 0 { 1 } else { 4 }],
                })
                .collect(),
            labelled: Vec::new(),
        };
        let split = leave_last_two_out(&data);
        let candidates = Candidates::draw(&split, ITEMS, 1);
        (split, candidates)
    }

    #[test]
    fn an_oracle_is_perfect_its_opposite_is_worst_and_a_constant_misses() {
        let (split, candidates) = world();
        for view in View::ALL {
            let of = |score| {
                evaluate(
                    &Oracle(&split, score),
                    &split,
                    &candidates,
                    ITEMS,
                    view,
                    Target::Test,
                    10,
                )
            };
            assert_eq!((of(1.0).users, of(1.0).hit_rate, of(1.0).ndcg), (39, 1.0, 1.0));
            assert_eq!((of(-1.0).hit_rate, of(-1.0).ndcg), (0.0, 0.0));
            assert_eq!(of(0.0).hit_rate, 0.0, "all tied is the middle, not the top");
        }
    }

    #[test]
    fn the_full_view_ranks_against_everything_unseen() {
        let (split, candidates) = world();
        // One user's own training item is the most popular item of all: it must not count against the test item.
        let oracle = Oracle(&split, 1.0);
        let all = evaluate(
            &oracle,
            &split,
            &candidates,
            ITEMS,
            View::Full,
            Target::Test,
            ITEMS,
        );
        assert!((all.coverage - 1.0).abs() < 1e-12);
        let worst = evaluate(
            &Oracle(&split, -1.0),
            &split,
            &candidates,
            ITEMS,
            View::Full,
            Target::Test,
            ITEMS - 3,
        );
        // 300 items less two training items and the validation item: the test item is last of 297.
        assert_eq!(worst.hit_rate, 1.0);
        let cut = evaluate(
            &Oracle(&split, -1.0),
            &split,
            &candidates,
            ITEMS,
            View::Full,
            Target::Test,
            ITEMS - 4,
        );
        assert_eq!(cut.hit_rate, 0.0);
    }

    #[test]
    fn popularity_counts_training_items_only() {
        let (split, candidates) = world();
        let popularity = Popularity::fit(&split.train, ITEMS);
        assert_eq!(popularity.counts()[0], 0.0, "item 0 is only ever held out");
        assert_eq!(popularity.counts()[139], 1.0);
        let metrics = evaluate(
            &popularity,
            &split,
            &candidates,
            ITEMS,
            View::LeakFree,
            Target::Test,
            10,
        );
        assert_eq!(metrics.hit_rate, 0.0);
        assert!(metrics.coverage > 0.0 && metrics.coverage < 0.3);
    }

    #[test]
    fn where_all_scores_tie_the_held_out_items_are_no_more_recommended_than_others() {
        // Two hundred customers of four items each: each item was held out by one of them, and bought for training by two.
        let items = 200;
        let data = Dataset {
            users: (0..200).map(|user| format!("u{user}")).collect(),
            histories: (0..200_u32)
                .map(|user| History {
                    items: (0..4).map(|step| (user + 37 * step) % 200).collect(),
                    times: (0..4).collect(),
                })
                .collect(),
            labelled: Vec::new(),
        };
        let split = leave_last_two_out(&data);
        let candidates = Candidates::draw(&split, items, 1);
        let popularity = Popularity::fit(&split.train, items);
        for scorer in [&Constant(items) as &dyn Scorer, &popularity] {
            let tied = |view| evaluate(scorer, &split, &candidates, items, view, Target::Test, 10);
            let full = tied(View::Full);
            // The first ten rows, and the eleventh for whoever has one of the ten: 11 of 200.
            assert_eq!(full.coverage, 0.055);
            assert_eq!((full.hit_rate, full.ndcg), (0.0, 0.0));
            // Of a hundred drawn ones the earliest ten are further down the catalogue for some.
            let sampled = tied(View::LeakFree);
            assert!(sampled.coverage < 0.25, "{}", sampled.coverage);
            assert_eq!((sampled.hit_rate, sampled.ndcg), (0.0, 0.0));
        }
    }

    #[test]
    fn a_customers_coverage_under_ties_does_not_depend_on_which_item_was_held_out() {
        // The same customer with the same items, of which another one is held out each time: what is recommended is the same
        // but for what is left out because the customer has it.
        let items = 60;
        for held in 20..24 {
            let others = (20..24).filter(|item| *item != held);
            let history = History {
                items: others.chain([held]).collect(),
                times: (0..4).collect(),
            };
            let data = Dataset {
                users: vec!["u".to_owned()],
                histories: vec![history],
                labelled: Vec::new(),
            };
            let split = leave_last_two_out(&data);
            let candidates = Candidates::draw(&split, items, 1);
            let metrics = |k| {
                evaluate(
                    &Constant(items),
                    &split,
                    &candidates,
                    items,
                    View::Full,
                    Target::Test,
                    k,
                )
            };
            assert_eq!(metrics(10).coverage, 10.0 / 60.0, "{held}");
            assert_eq!(metrics(10).hit_rate, 0.0);
            // Tied with 56 others it is in the middle of the 57.
            assert_eq!(metrics(28).hit_rate, 0.0);
            assert_eq!(metrics(29).hit_rate, 1.0);
        }
    }

    struct Constant(usize);

    impl Scorer for Constant {
        fn score(&self, _: usize, items: &[u32], out: &mut Vec<f32>) {
            out.clear();
            out.resize(items.len(), 1.0);
        }

        fn score_all(&self, _: usize, out: &mut Vec<f32>) {
            out.clear();
            out.resize(self.0, 1.0);
        }
    }

    #[test]
    fn few_candidates_are_reported_as_what_they_were_and_users_without_any_are_left_out() {
        let history = |items: &[u32]| History {
            items: items.to_vec(),
            times: (0..items.len() as i64).collect(),
        };
        let data = Dataset {
            users: ["a", "b", "c"].map(str::to_owned).into(),
            histories: vec![
                history(&[0, 1, 2]),
                history(&[0, 1, 2, 3]),
                history(&[0, 1, 2, 3, 4]),
            ],
            labelled: Vec::new(),
        };
        let split = leave_last_two_out(&data);
        let candidates = Candidates::draw(&split, 5, 1);
        let metrics = evaluate(
            &Constant(5),
            &split,
            &candidates,
            5,
            View::LeakFree,
            Target::Test,
            10,
        );
        assert_eq!((metrics.users, metrics.without_candidates), (2, 1));
        assert_eq!(metrics.candidates, (1, 2));
        assert_eq!(View::LeakFree.candidate_set(&metrics), "sampled(1 to 2)");
        assert_eq!(View::Full.candidate_set(&metrics), "full");
    }
}
