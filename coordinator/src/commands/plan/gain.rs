//! What joining is worth: where a plan of releases stands among the sets that were measured, and which plan's popularity would
//! be worse than bestsellers.

use serde_json::{Value, json};
use souk_common::accountant::gaussian;
use souk_common::params::NoiseMultiplier;
use souk_common::plan::{Plan, ShopTerms};
use souk_common::release::schedule::Schedule;

use super::aggregation::noise_factor;
use super::measured::{MEASURED, Measured, Row, reach};

/// What noise leaves of the counts of a plan of releases.
struct Signal {
    /// [`Schedule::signal`].
    all: f64,
    /// N / (sqrt(M) f z) of the first release: S, if that had the whole budget.
    popularity: f64,
    users: f64,
}

/// Where each shop of a plan stands among what was measured.
pub(super) struct Expected {
    signal: f64,
    has_features: bool,
    epsilon: f64,
    rows: Vec<Row>,
    /// From the smallest.
    shops: Vec<(ShopTerms, Place)>,
}

/// Among the measured rows: the most alike one of each set, the nearest first.
struct Place {
    nearest: Vec<(f64, Row)>,
    /// Whether S and customers a shop lie within what was measured.
    is_within: bool,
}

impl Place {
    fn of(rows: &[Row], signal: f64, customers: f64) -> Self {
        let nearest_of = |set: &'static Measured| {
            let of_set = rows.iter().filter(|row| std::ptr::eq(row.set, set));
            let placed = of_set.map(|row| (row.distance(signal, customers), *row));
            placed.min_by(|(one, _), (other, _)| one.total_cmp(other))
        };
        let mut nearest: Vec<(f64, Row)> = MEASURED.iter().filter_map(nearest_of).collect();
        nearest.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let (signals, sizes) = reach(rows);
        Self {
            nearest,
            is_within: signals.holds(signal) && sizes.holds(customers),
        }
    }

    /// The mean of the two most alike sets, each weighed by how alike it is: one a factor of e away counts an eleventh of one that
    /// is the same.
    fn points(&self) -> Option<f64> {
        let (mut sum, mut weights) = (0.0, 0.0);
        for (distance, row) in self.nearest.iter().take(MOST_ALIKE) {
            let weight = 1.0 / (distance * distance + 0.1);
            sum += weight * row.points;
            weights += weight;
        }
        self.is_within.then(|| sum / weights)
    }

    fn most_alike(&self) -> Vec<String> {
        self.nearest
            .iter()
            .take(MOST_ALIKE)
            .map(|(_, row)| row.text())
            .collect()
    }
}

impl Signal {
    /// None without noise, or where a model is trained.
    fn of(plan: &Plan, items: usize) -> Option<Self> {
        let z = plan.privacy.noise_multiplier.filter(|_| plan.is_of_releases())?;
        let first = plan.for_first_attempt_at(1).ok()?.privacy.noise_multiplier?;
        let users = plan.shops.iter().map(|terms| terms.declared_users).sum();
        let factor = noise_factor(plan);
        let signal = |z: NoiseMultiplier| Schedule::signal(z.get().recip(), users, items, factor);
        Some(Self {
            all: signal(z),
            popularity: signal(first),
            users: users as f64,
        })
    }
}

impl Expected {
    /// None without noise, or where a model is trained: of these there are no such figures.
    pub(super) fn of(plan: &Plan, items: usize, has_features: bool) -> Option<Self> {
        let signal = Signal::of(plan, items)?.all;
        let rows: Vec<Row> = MEASURED.iter().flat_map(Measured::rows).collect();
        let mut shops = plan.shops.clone();
        shops.sort_by_key(|terms| terms.declared_users);
        let placed = shops.into_iter().map(|terms| {
            let place = Place::of(&rows, signal, terms.declared_users as f64);
            (terms, place)
        });
        Some(Self {
            signal,
            has_features,
            epsilon: epsilon_of(plan, 1.0)?,
            shops: placed.collect(),
            rows,
        })
    }

    pub(super) fn json(&self) -> Value {
        let (signals, sizes) = reach(&self.rows);
        let shop = |(terms, place): &(ShopTerms, Place)| {
            json!({
                "shop": terms.name.as_str(),
                "customers": terms.declared_users,
                "points": place.points(),
                "outside": self.outside(terms.declared_users as f64),
                "most_alike": place.most_alike(),
            })
        };
        json!({
            "signal": self.signal,
            "measured_signal": [signals.least, signals.most],
            "measured_customers_per_shop": [sizes.least, sizes.most],
            "with_features": self.has_features,
            "shops": self.shops.iter().map(shop).collect::<Vec<_>>(),
            "measured": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
        })
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let (signals, sizes) = reach(&self.rows);
        let mut lines = vec![format!(
            "expected gain over a shop's own best lists, in points of the hit rate (HR@10 of 99), at S = {:.1}, which is what noise \
             leaves of the counts; measured were S from {:.0} to {:.0} and from {:.0} to {:.0} customers a shop:",
            self.signal, signals.least, signals.most, sizes.least, sizes.most
        )];
        // The smallest, the middle and the largest say what there is to say.
        let mut shown = vec![0, self.shops.len() / 2, self.shops.len() - 1];
        shown.dedup();
        for (terms, place) in shown.into_iter().filter_map(|shop| self.shops.get(shop)) {
            let (name, customers) = (&terms.name, terms.declared_users);
            let alike = place.most_alike();
            lines.push(match place.points() {
                Some(points) => format!(
                    "  {name}, {customers} customers: about {points:+.1}; most alike: {}",
                    alike.join("; ")
                ),
                None => format!(
                    "  {name}, {customers} customers: not known: {}; nearest: {}",
                    self.outside(customers as f64).join("; "),
                    alike.join("; ")
                ),
            });
        }
        if !self.has_features {
            lines.push(
                "  the sets that were measured had products with features, and this catalogue has none"
                    .to_owned(),
            );
        }
        lines.push(format!(
            "this is not a promise: `souk-sim evaluate --data DIR --stack --epsilon {:.3}` says it exactly, of your own data",
            self.epsilon
        ));
        lines
    }

    /// In which way a shop is unlike all that was measured.
    fn outside(&self, customers: f64) -> Vec<&'static str> {
        let (signals, sizes) = reach(&self.rows);
        let mut why = Vec::new();
        if self.signal < signals.least {
            why.push("less signal than was measured, where nothing was gained at the least");
        }
        if self.signal > signals.most {
            why.push("more signal than was measured");
        }
        if customers < sizes.least {
            why.push("smaller than any shop that was measured, and the smallest gained most");
        }
        if customers > sizes.most {
            why.push("larger than any shop that was measured, and larger ones gained less");
        }
        why
    }
}

/// Epsilon of `times` as much mu as a plan of releases has.
fn epsilon_of(plan: &Plan, times: f64) -> Option<f64> {
    let noise = NoiseMultiplier::new(plan.privacy.noise_multiplier?.get() / times).ok()?;
    Some(gaussian::unsampled(&[(noise, 1)], plan.privacy.delta))
}

/// Why the popularity that a plan releases would be worse than the bestsellers of every one of its shops, and what it would take;
/// none where it is not, without noise, or where a model is trained.
///
/// The noise of the sum is z f an item. A shop knows the sum over its own n customers without noise, but they are a sample of
/// all N: each adds squares that sum to 1, so over M items the shop's sum, scaled to all, is off by N sqrt((1/n - 1/N) / M) an item.
/// The two are as good where N / (z f sqrt(M)) = (1/n - 1/N)^-1/2, which the smallest shop reaches first. With the noise added
/// to the counts of MovieLens (10 and 30 shops) and Online Retail (8 shops; all and a fifth of its customers), lists by it were
/// as good as bestsellers at .65 to 1 times that, and two to four points of the hit rate worse at half of it: from there on a plan is
/// refused.
pub(super) fn drowned(plan: &Plan, items: usize) -> Option<String> {
    let signal = Signal::of(plan, items)?;
    let smallest = plan.shops.iter().min_by_key(|terms| terms.declared_users)?;
    let own = (1.0 / smallest.declared_users as f64 - 1.0 / signal.users).powf(-0.5);
    if plan.shops.len() == 1 {
        return Some(format!(
            "shop {} alone would release, under noise, what it knows without: its own bestsellers are better. It takes two \
             shops at least",
            smallest.name
        ));
    }
    let wider = own / signal.popularity;
    if wider <= MOST_WIDER {
        return None;
    }
    let epsilon = epsilon_of(plan, wider / MOST_WIDER)?;
    Some(format!(
        "{} customers and {items} products: the noise would drown the popularity that is released. It is {wider:.1} times as wide as \
         what the own counts of the smallest shop, {} with {} customers, are off by, so every shop's own bestsellers are better; \
         {MOST_WIDER} times is the most. It takes more customers, or an epsilon of about {epsilon:.1}",
        signal.users, smallest.name, smallest.declared_users,
    ))
}

/// Sets that an expectation is made of.
const MOST_ALIKE: usize = 2;
/// Of the noise over what a shop's own counts are off by.
const MOST_WIDER: f64 = 2.0;

#[cfg(test)]
mod tests {
    use souk_common::plan::Plan;

    use super::*;

    /// Shops of so many customers under masks, at z of all releases.
    fn plan(noise: f64, customers: &[u64]) -> Plan {
        let shops: String = (0..)
            .zip(customers)
            .map(|(shop, users)| format!("[[shops]]\nname = 's{shop}'\ndeclared_users = {users}\n"))
            .collect();
        let min_shops = (3 * customers.len()).div_ceil(4);
        let masking = match customers.len() {
            0..3 => String::new(),
            _ => format!("placement = 'distributed'\n[masking]\nmin_shops = {min_shops}\n"),
        };
        let quorum = customers.len();
        Plan::from_toml(&format!(
            "name = 'r'\n[privacy]\nnoise_multiplier = {noise}\n{masking}[cohort]\nquorum = {quorum}\n\
             [[release]]\nkind = 'popularity'\nshare = 0.4\n[[release]]\nkind = 'collaborative'\nshare = 0.6\n{shops}"
        ))
        .unwrap()
    }

    /// A plan of the size and noise of Online Retail.
    fn retail(noise: f64) -> Plan {
        plan(noise, &[510; 8])
    }

    #[test]
    fn a_plan_that_was_measured_may_expect_about_what_it_gained_and_less_noise_gains_more() {
        let points = |noise: f64| {
            let expected = Expected::of(&retail(noise), 3149, true).expect("a plan of releases");
            expected.shops[0].1.points()
        };
        // z of epsilon 8.
        let full = 0.600_229;
        let (eight, four) = (
            points(full * 1.01).expect("within"),
            points(full * 1.8).expect("within"),
        );
        assert!((eight - 1.61).abs() < 0.3, "{eight}");
        assert!((four - 0.82).abs() < 0.3 && four < eight, "{four}");
        // More signal than was measured, and less, are not made up.
        assert_eq!((points(full * 0.9), points(full * 30.0)), (None, None));
    }

    #[test]
    fn shops_unlike_all_that_were_measured_get_no_figure_but_a_reason() {
        let expected = Expected::of(&plan(0.6, &[20, 5_000, 300]), 3149, false).expect("a plan of releases");
        let by_size: Vec<Option<f64>> = expected.shops.iter().map(|(_, place)| place.points()).collect();
        assert!(by_size[0].is_none() && by_size[2].is_none(), "{by_size:?}");
        let said = expected.lines().join("\n");
        for words in [
            "smaller than any shop",
            "larger than any shop",
            "this catalogue has none",
            "not a promise",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
        let smallest = &expected.json()["shops"][0];
        assert!(
            smallest["points"].is_null() && smallest["outside"].as_array().is_some_and(|why| why.len() == 2),
            "{smallest}"
        );
    }

    #[test]
    fn popularity_under_noise_is_refused_where_own_counts_are_twice_as_good() {
        // N / (z f sqrt(M)) of the first release, over (1/n - 1/N)^-1/2.
        let better = |noise: f64, items: f64| {
            let (z, factor) = (noise / 0.4f64.sqrt(), 1.5f64.sqrt());
            let released = 1500.0 / (z * factor * items.sqrt());
            released / (1.0f64 / 500.0 - 1.0 / 1500.0).powf(-0.5)
        };
        let mut refused = 0;
        for noise in [0.1, 0.6, 1.0, 2.0, 4.0, 8.0] {
            for items in [100, 1_000, 10_000] {
                let said = drowned(&plan(noise, &[500; 3]), items);
                assert_eq!(
                    said.is_some(),
                    better(noise, items as f64) < 0.5,
                    "{noise} {items}"
                );
                refused += usize::from(said.is_some());
            }
        }
        assert!((4..16).contains(&refused), "{refused}");
        let said = drowned(&plan(8.0, &[500, 400, 600]), 10_000).expect("drowned");
        assert!(
            said.contains("1500 customers and 10000 products") && said.contains("s1 with 400"),
            "{said}"
        );
        // With the epsilon that it names it is let through.
        let epsilon: f64 = said
            .rsplit(' ')
            .next()
            .and_then(|last| last.parse().ok())
            .expect("an epsilon");
        let enough = souk_common::accountant::gaussian::mu_of(
            souk_common::params::Epsilon::new(epsilon * 1.02).unwrap(),
            souk_common::params::Delta::new(1e-5).unwrap(),
        );
        assert_eq!(drowned(&plan(enough.recip(), &[500, 400, 600]), 10_000), None);
    }

    #[test]
    fn a_single_shop_learns_nothing_and_a_model_or_no_noise_is_not_judged() {
        let said = drowned(&plan(0.6, &[5_000]), 100).expect("one shop");
        assert!(said.contains("s0 alone") && said.contains("two shops"), "{said}");
        let mut open = plan(0.6, &[10; 3]);
        open.privacy.noise_multiplier = None;
        assert!(drowned(&open, 1_000_000).is_none() && Expected::of(&open, 100, true).is_none());
        let mut model = plan(100.0, &[10; 3]);
        model.release.clear();
        assert!(drowned(&model, 1_000_000).is_none());
    }
}
