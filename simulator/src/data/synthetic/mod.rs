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

use rayon::prelude::*;
use souk_common::catalogue::{Catalogue, CatalogueError};
use souk_common::dataset::Dataset;

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
    let goods = goods::Goods::new(seed);
    let mut dataset = Dataset::default();
    let mut shops = Vec::new();
    for (number, users) in shop_users.iter().enumerate() {
        let name = SHOP_NAMES
            .get(number)
            .map_or_else(|| format!("shop-{}", number + 1), |name| (*name).to_owned());
        let region = shoppers::Region::new(&goods, seed, number as u64);
        let first = dataset.len();
        let histories: Vec<_> = (0..*users)
            .into_par_iter()
            .map(|user| region.customer(seed, (first + user) as u64))
            .collect();
        dataset.histories.extend(histories);
        dataset
            .users
            .extend((0..*users).map(|user| format!("{name}-{user:06}")));
        shops.push((name, first..first + users));
    }
    Ok(Synthetic {
        dataset,
        catalogue: Catalogue::new(goods.items())?,
        shops,
    })
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
