//! Baselines, and how far off they and a model are.

use souk_common::dataset::Labelled;

/// What an item gets in the mean, of all customers given; an item that nobody has rated, the mean of all stars.
pub(super) fn item_means(labelled: &[Labelled], items: usize) -> Vec<f32> {
    let (mut sums, mut counts) = (vec![0.0f64; items], vec![0.0f64; items]);
    for labelled in labelled {
        for (item, label) in labelled.items.iter().zip(&labelled.labels) {
            sums[*item as usize] += f64::from(*label);
            counts[*item as usize] += 1.0;
        }
    }
    let all = sums.iter().sum::<f64>() / counts.iter().sum::<f64>().max(1.0);
    let mean = |(sum, count): (&f64, &f64)| if *count > 0.0 { sum / count } else { all };
    sums.iter().zip(&counts).map(|pair| mean(pair) as f32).collect()
}

/// What one shop can do by itself: the mean of its stars, and what its customers and its items differ from it by, each drawn
/// toward zero where there are few stars, in turns.
pub(super) struct Biases {
    mean: f64,
    customers: Vec<f64>,
    items: Vec<f64>,
}

impl Biases {
    /// Of these customers' stars.
    pub(super) fn fit(labelled: &[Labelled], members: &[usize], items: usize) -> Self {
        let mut fitted = Self {
            mean: 0.0,
            customers: vec![0.0; labelled.len()],
            items: vec![0.0; items],
        };
        let stars = || {
            members.iter().flat_map(|user| {
                let of = &labelled[*user];
                let each = of.items.iter().zip(&of.labels);
                each.map(|(item, label)| (*user, *item as usize, f64::from(*label)))
            })
        };
        fitted.mean = stars().map(|(.., label)| label).sum::<f64>() / stars().count().max(1) as f64;
        for _ in 0..TURNS {
            let left = |fitted: &Self, user: usize, item: usize, label: f64, of_customer: bool| {
                let other = if of_customer {
                    fitted.items[item]
                } else {
                    fitted.customers[user]
                };
                label - fitted.mean - other
            };
            for of_customer in [true, false] {
                let size = if of_customer { labelled.len() } else { items };
                let mut sums = vec![(0.0, RIDGE); size];
                for (user, item, label) in stars() {
                    let cell = &mut sums[if of_customer { user } else { item }];
                    cell.0 += left(&fitted, user, item, label, of_customer);
                    cell.1 += 1.0;
                }
                let means = sums.into_iter().map(|(sum, count)| sum / count).collect();
                match of_customer {
                    true => fitted.customers = means,
                    false => fitted.items = means,
                }
            }
        }
        fitted
    }

    /// The stars that a customer is expected to give.
    pub(super) fn expected(&self, user: usize, item: u32) -> f32 {
        (self.mean + self.customers[user] + self.items[item as usize]) as f32
    }
}

/// What is off, a customer each.
#[derive(Clone, Debug)]
pub(super) struct Errors {
    /// Sums of squares and of absolute values, and how many stars.
    customers: Vec<(f64, f64, usize)>,
}

impl Errors {
    /// Of what is expected of a customer and an item, kept to the scale of the stars that are there.
    pub(super) fn of(test: &[Labelled], expected: impl Fn(usize, u32) -> f32) -> Self {
        let all = || test.iter().flat_map(|labelled| labelled.labels.iter().copied());
        let (lowest, highest) = (all().fold(f32::MAX, f32::min), all().fold(f32::MIN, f32::max));
        let customer = |(user, labelled): (usize, &Labelled)| {
            let (mut squares, mut sizes) = (0.0, 0.0);
            for (item, label) in labelled.items.iter().zip(&labelled.labels) {
                let error = f64::from(expected(user, *item).clamp(lowest, highest) - label);
                squares += error * error;
                sizes += error.abs();
            }
            (squares, sizes, labelled.len())
        };
        Self {
            customers: test.iter().enumerate().map(customer).collect(),
        }
    }

    fn count(&self) -> f64 {
        self.customers
            .iter()
            .map(|(.., count)| *count)
            .sum::<usize>()
            .max(1) as f64
    }

    /// Root of the mean square, in stars.
    pub(super) fn rmse(&self) -> f64 {
        (self.customers.iter().map(|(squares, ..)| squares).sum::<f64>() / self.count()).sqrt()
    }

    /// Mean absolute error, in stars.
    pub(super) fn mae(&self) -> f64 {
        self.customers.iter().map(|(_, sizes, _)| sizes).sum::<f64>() / self.count()
    }

    /// By how much the root of the mean square is less than another's, and its standard error over customers (by the delta
    /// method; a customer's stars go together).
    pub(super) fn less_than(&self, other: &Self) -> (f64, f64) {
        let count = self.count();
        let pairs = || self.customers.iter().zip(&other.customers);
        let mean = pairs().map(|(own, other)| other.0 - own.0).sum::<f64>() / count;
        let variance = pairs()
            .map(|(own, other)| (other.0 - own.0 - mean * own.2 as f64).powi(2))
            .sum::<f64>();
        let roots = self.rmse() + other.rmse();
        (
            other.rmse() - self.rmse(),
            variance.sqrt() / count / roots.max(f64::MIN_POSITIVE),
        )
    }
}

const TURNS: usize = 10;
const RIDGE: f64 = 5.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(items: &[u32], labels: &[f32]) -> Labelled {
        Labelled {
            items: items.to_vec(),
            times: vec![0; items.len()],
            labels: labels.to_vec(),
        }
    }

    #[test]
    fn items_have_their_mean_and_those_that_nobody_rated_the_mean_of_all() {
        let data = [labelled(&[0, 1], &[5.0, 1.0]), labelled(&[0], &[3.0])];
        assert_eq!(item_means(&data, 3), [4.0, 1.0, 3.0]);
        assert_eq!(item_means(&[], 1), [0.0]);
    }

    #[test]
    fn a_shop_alone_finds_who_is_mild_and_what_is_good() {
        // Customers 0 to 19 give even items 4 and odd ones 2, customers from 10 on one star more.
        let data: Vec<Labelled> = (0..20)
            .map(|user| {
                let stars =
                    |item: u32| if item % 2 == 0 { 4.0 } else { 2.0 } + if user < 10 { 0.0 } else { 1.0 };
                labelled(
                    &(0..30).collect::<Vec<_>>(),
                    &(0..30).map(stars).collect::<Vec<_>>(),
                )
            })
            .collect();
        let members: Vec<usize> = (0..20).collect();
        let fitted = Biases::fit(&data, &members, 30);
        for (user, item, stars) in [(0, 0, 4.0), (0, 1, 2.0), (19, 0, 5.0), (19, 1, 3.0)] {
            let expected = fitted.expected(user, item);
            assert!((expected - stars).abs() < 0.35, "{user} {item}: {expected}");
        }
    }

    #[test]
    fn errors_are_over_stars_and_their_differences_know_that_a_customers_stars_go_together() {
        let test = [labelled(&[0, 1], &[1.0, 5.0]), labelled(&[], &[])];
        let errors = Errors::of(&test, |_, _| 3.0);
        assert_eq!((errors.rmse(), errors.mae()), (2.0, 2.0));
        let exact = Errors::of(&test, |_, item| if item == 0 { -7.0 } else { 9.0 });
        assert_eq!(exact.rmse(), 0.0, "kept to the scale");
        let (gain, error) = exact.less_than(&errors);
        assert_eq!((gain, error), (2.0, 0.0));
    }
}
