//! A made-up year of retail in five regions, so that the demo needs no data.
//!
//! Products have a category, a brand, a price and a style; a few are popular (Zipf). A region leans to some categories,
//! brands and products. A customer has a few departments, categories, loyal brands, a price level and a style, and
//! visits through the year, following the season. One seed gives one market.

mod goods;
pub(crate) mod random;
mod shoppers;
mod words;

use std::ops::Range;

use rand_distr::{Distribution, Gamma};
use rayon::prelude::*;
use souk_common::catalogue::{Catalogue, CatalogueError};
use souk_common::dataset::Dataset;
use souk_common::rng::stream;

/// A made-up market.
#[derive(Debug)]
pub struct Synthetic {
    /// All users, region after region; ids such as `north-000123`.
    pub dataset: Dataset,
    /// The products.
    pub catalogue: Catalogue,
    /// The shops: name, and which users of `dataset` are theirs.
    pub shops: Vec<(String, Range<usize>)>,
}

impl Synthetic {
    /// The users and histories of shop `number`.
    pub fn shop(&self, number: usize) -> Dataset {
        let users = self.shops[number].1.clone();
        Dataset {
            users: self.dataset.users[users.clone()].to_vec(),
            histories: self.dataset.histories[users].to_vec(),
            labelled: Vec::new(),
        }
    }
}

/// Makes the market of `seed`: [`SHOP_USERS`] users, 2,000 products, takes a second or two of processor time.
///
/// # Errors
/// Never in practice: when the products would be no catalogue.
pub fn generate(seed: u64) -> Result<Synthetic, CatalogueError> {
    generate_sized(seed, &SHOP_USERS)
}

/// [`generate`] with other numbers of users, one a shop.
///
/// # Errors
/// As [`generate`].
pub fn generate_sized(seed: u64, shop_users: &[usize]) -> Result<Synthetic, CatalogueError> {
    generate_skewed(seed, shop_users, None)
}

/// [`generate_sized`], and regions that differ more in what they buy: the categories' shares of a region's purchases are drawn
/// from a Dirichlet distribution around those of all, with a concentration of `alpha` times the number of categories.
///
/// # Errors
/// As [`generate`].
pub fn generate_skewed(
    seed: u64,
    shop_users: &[usize],
    alpha: Option<f64>,
) -> Result<Synthetic, CatalogueError> {
    let goods = goods::Goods::new(seed);
    let mut dataset = Dataset::default();
    let mut shops = Vec::new();
    let mut first = 0;
    for (number, users) in shop_users.iter().enumerate() {
        let name = SHOP_NAMES
            .get(number)
            .map_or_else(|| format!("shop-{}", number + 1), |name| (*name).to_owned());
        dataset
            .users
            .extend((0..*users).map(|user| format!("{name}-{user:06}")));
        shops.push((name, first..first + users));
        first += users;
    }
    let of_shop = |(number, (_, users)): (usize, &(String, Range<usize>))| -> Vec<_> {
        let region = shoppers::Region::new(&goods, seed, number as u64, alpha);
        let users = users.clone().into_par_iter();
        users.map(|user| region.customer(seed, user as u64)).collect()
    };
    let histories = shops.par_iter().enumerate().map(of_shop);
    dataset.histories = histories.collect::<Vec<_>>().into_iter().flatten().collect();
    Ok(Synthetic {
        dataset,
        catalogue: Catalogue::new(goods.items())?,
        shops,
    })
}

/// Sizes of `shops` shops with `mean` users each, the largest first; with `alpha` as a symmetric Dirichlet distribution shares them
/// out, but one at least to each.
pub fn sizes(shops: usize, mean: usize, alpha: Option<f64>, seed: u64) -> Vec<usize> {
    let Some(alpha) = alpha else {
        return vec![mean; shops];
    };
    let shares = dirichlet_shares(&vec![alpha; shops], seed, "sizes of shops");
    let rest = shops * mean.saturating_sub(1);
    let mut sizes: Vec<usize> = apportion(&shares, rest)
        .into_iter()
        .map(|users| users + 1)
        .collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes
}

/// A draw from the Dirichlet distribution of these parameters, all above 0: normalised gamma variates.
pub(crate) fn dirichlet_shares(alphas: &[f64], seed: u64, name: &str) -> Vec<f64> {
    let mut source = stream(seed, name);
    let gammas: Vec<f64> = alphas
        .iter()
        .map(|alpha| Gamma::new(*alpha, 1.0).map_or(0.0, |gamma| gamma.sample(&mut source)))
        .collect();
    let sum: f64 = gammas.iter().sum();
    match sum > 0.0 {
        true => gammas.iter().map(|gamma| gamma / sum).collect(),
        // All of them too small for a double: as alpha goes to 0, everything is in one place.
        false => (0..alphas.len())
            .map(|at| if at == 0 { 1.0 } else { 0.0 })
            .collect(),
    }
}

/// `all` things by `shares`, whole ones: what rounding down leaves goes to the largest remainders.
pub(crate) fn apportion(shares: &[f64], all: usize) -> Vec<usize> {
    let exact: Vec<f64> = shares.iter().map(|share| share * all as f64).collect();
    let mut whole: Vec<usize> = exact.iter().map(|part| part.floor() as usize).collect();
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by(|a, b| exact[*b].fract().total_cmp(&exact[*a].fract()).then(a.cmp(b)));
    let left = all.saturating_sub(whole.iter().sum());
    order.iter().cycle().take(left).for_each(|at| whole[*at] += 1);
    whole
}

/// Users of the five shops.
pub const SHOP_USERS: [usize; 5] = [11_000, 5_000, 2_500, 1_000, 500];
/// Their names.
pub const SHOP_NAMES: [&str; 5] = ["north", "east", "south", "west", "islands"];
/// 2025-01-01 UTC.
const YEAR_START: i64 = 1_735_689_600;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn one_seed_gives_one_market_and_another_another() {
        let small = |seed| generate_sized(seed, &[200, 50]).expect("a market");
        let (a, b, c) = (small(1), small(1), small(2));
        assert_eq!(a.dataset.histories, b.dataset.histories);
        assert_eq!(a.catalogue.digest(), b.catalogue.digest());
        assert_ne!(a.dataset.histories, c.dataset.histories);
        assert_eq!(a.shops[1], ("east".to_owned(), 200..250));
        assert_eq!(a.dataset.users[203], "east-000003");
        assert_eq!(a.shop(1).users.len(), 50);
    }

    #[test]
    fn skew_makes_sizes_and_tastes_unlike_and_a_large_alpha_hardly_any() {
        let of = |alpha| sizes(200, 20, Some(alpha), 3);
        for alpha in [0.01, 0.5, 1e6] {
            let sizes = of(alpha);
            assert_eq!((sizes.len(), sizes.iter().sum::<usize>()), (200, 4000));
            assert!(sizes.iter().all(|size| *size >= 1) && sizes.is_sorted_by(|a, b| a >= b));
        }
        assert!(
            of(0.1)[0] > 5 * of(100.0)[0] && of(1e6)[0] <= 22,
            "{} {}",
            of(0.1)[0],
            of(1e6)[0]
        );
        assert_eq!(sizes(3, 20, None, 3), [20, 20, 20]);
        // The largest share of one category in a shop's purchases, on average.
        let concentration = |alpha| {
            let market = generate_skewed(1, &[60; 6], alpha).expect("a market");
            let items = market.catalogue.items();
            let most = (0..6).map(|shop| {
                let mut counts = std::collections::HashMap::new();
                let histories = market.shop(shop).histories;
                let bought = histories.iter().flat_map(|history| &history.items);
                bought.for_each(|item| *counts.entry(&items[*item as usize].category).or_insert(0) += 1);
                let all: i32 = counts.values().sum();
                f64::from(counts.values().copied().max().unwrap_or(0)) / f64::from(all)
            });
            most.sum::<f64>() / 6.0
        };
        assert!(concentration(Some(0.02)) > 1.5 * concentration(None));
    }

    #[test]
    fn histories_are_distinct_in_time_order_and_long_enough_to_measure() {
        let market = generate_sized(1, &[500]).expect("a market");
        for history in &market.dataset.histories {
            assert!((3..=60).contains(&history.len()));
            assert!(history.times.is_sorted_by(|a, b| a < b));
            assert_eq!(history.items.iter().collect::<HashSet<_>>().len(), history.len());
        }
    }

    #[test]
    fn products_have_distinct_titles_and_few_are_popular() {
        let market = generate_sized(1, &[2000]).expect("a market");
        let items = market.catalogue.items();
        let titles: HashSet<&str> = items.iter().map(|item| item.title.as_str()).collect();
        assert_eq!((items.len(), titles.len()), (2000, 2000));
        assert_eq!(
            (
                market.catalogue.categories().len(),
                market.catalogue.brands().len()
            ),
            (41, 121)
        );
        let mut counts = vec![0_usize; items.len()];
        for item in market.dataset.histories.iter().flat_map(|history| &history.items) {
            counts[*item as usize] += 1;
        }
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let (top, all): (usize, usize) = (counts[..400].iter().sum(), counts.iter().sum());
        assert!(
            top * 2 > all && top < all,
            "{top} of {all} fall on the first fifth"
        );
    }
}
