//! Whether a generator has collapsed: it draws the same few items for everybody, or has nothing to tell items apart by.
//!
//! A shop can see that by its own customers: the ten likeliest items of each of some of them make lists, and the lists have as many
//! different items as the perplexity of the items in them says, exp(- sum_i s_i ln s_i), with s_i the share of item i. It is 10 where all
//! lists are one, and the number of all items in them where these stand in as many lists each.

use rayon::prelude::*;

use crate::dataset::History;
use crate::model::recommender::Loaded;
use crate::rng::stream;

/// How different the lists of different customers are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Lists that were looked at.
    pub lists: usize,
    /// Perplexity of the items in them.
    pub items: f64,
    /// The same of what the customers of these lists bought.
    pub bought: f64,
}

impl Spread {
    /// Whether so many customers, who bought different items, get next to no different lists.
    pub fn is_collapsed(&self) -> bool {
        self.lists >= LEAST_LISTS && self.items < LEAST_ITEMS.min(LEAST_OF_BOUGHT * self.bought)
    }
}

impl Loaded {
    /// The spread of the generator's own lists for customers with these items; none of other kinds, and without customers. At most
    /// [`MOST_LISTS`] are looked at, evenly apart.
    pub fn spread(&self, histories: &[&[u32]]) -> Option<Spread> {
        let generator = self.generator()?;
        let known: Vec<&[u32]> = histories
            .iter()
            .copied()
            .filter(|items| !items.is_empty())
            .collect();
        let every = known.len().div_ceil(MOST_LISTS).max(1);
        let customers: Vec<&[u32]> = known.into_iter().step_by(every).collect();
        if customers.is_empty() {
            return None;
        }
        let columns = generator.columns(self.layout().width());
        let list = |items: &&[u32]| {
            let history = History {
                items: items.to_vec(),
                times: (0..items.len() as i64).collect(),
            };
            let user = self.fit_user(&history, None, &[], &mut stream(0, "spread"));
            likeliest(&generator.logits(&user.values[columns.clone()]))
        };
        let lists: Vec<Vec<u32>> = customers.par_iter().map(list).collect();
        let items = self.items().nrows();
        Some(Spread {
            lists: lists.len(),
            items: perplexity(lists.iter().flatten(), items),
            bought: perplexity(customers.iter().copied().flatten(), items),
        })
    }
}

/// The ten items with the highest logits; of equals the earlier.
fn likeliest(logits: &[f32]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    let by_logit = |a: &u32, b: &u32| {
        let (left, right) = (logits[*a as usize], logits[*b as usize]);
        right.total_cmp(&left).then(a.cmp(b))
    };
    if LIST < order.len() {
        order.select_nth_unstable_by(LIST, by_logit);
        order.truncate(LIST);
    }
    order
}

fn perplexity<'a>(items: impl Iterator<Item = &'a u32>, catalogue: usize) -> f64 {
    let (mut counts, mut all) = (vec![0.0f64; catalogue], 0.0);
    for item in items {
        counts[*item as usize] += 1.0;
        all += 1.0;
    }
    let shares = counts
        .iter()
        .filter(|count| **count > 0.0)
        .map(|count| count / all);
    libm::exp(-shares.map(|share| share * libm::log(share)).sum::<f64>())
}

const LIST: usize = 10;
/// A model is fitted to each: more would not say more.
pub const MOST_LISTS: usize = 200;
/// Of fewer customers the lists may well be alike.
const LEAST_LISTS: usize = 20;
/// Twice what one list for everybody has.
const LEAST_ITEMS: f64 = 20.0;
/// Where the shop sells few different items, lists can't differ by more.
const LEAST_OF_BOUGHT: f64 = 0.25;
