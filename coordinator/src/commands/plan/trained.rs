//! Plans that train a model under privacy where such models were measured to be worse than bestsellers.

use souk_common::model::config::TrainConfig;
use souk_common::plan::Plan;

use super::aggregation::noise_factor;

/// What is to be said of such a plan, as lines; none of a plan of releases, of one without noise, or of more customers than
/// were measured. `items` of the catalogue, if that is known.
pub(super) fn warnings(plan: &Plan, items: Option<usize>) -> Vec<String> {
    let users: u64 = plan.shops.iter().map(|terms| terms.declared_users).sum();
    if plan.is_of_releases() || !plan.privacy.enabled || users >= ENOUGH {
        return Vec::new();
    }
    // HR@10 in %, view B of docs/accuracy.md.
    let mut said = Vec::new();
    match &plan.train {
        TrainConfig::Sgd(_) => said.push(
            "trained by sgd under privacy learns nothing from so few: neumf at epsilon 8 hits 15.0, 15.9 and 12.1 % on MovieLens 100K \
             (943 customers), Online Retail (4,078) and The Complete Journey (2,305), where bestsellers hit 41.5, 36.5 and 38.4",
        ),
        TrainConfig::Stars(_) => return of_stars(plan, items, users).into_iter().collect(),
        TrainConfig::Ials(_) => {
            if plan.model.item_bias {
                said.push(
                    "with item_bias = true the bias takes the clip: ials at epsilon 8 hits 20.4 % on Online Retail (4,078 customers), \
                     where bestsellers hit 36.5, and 42.4 without: set model.item_bias = false",
                );
            }
            if items.is_some_and(|items| items as u64 > users) {
                said.push(
                    "with fewer customers than products: ials at epsilon 8 hits 32.9 % on The Complete Journey (2,305 customers, 10,417 \
                     products), where bestsellers hit 38.4",
                );
            }
        }
    }
    let line = |why: &str| {
        format!(
            "warning: a model of {users} declared customers {why}; `souk-coordinator plan new FILE --epsilon 8 --shop NAME=CUSTOMERS ...` \
             makes a plan of releases, which pays from far fewer"
        )
    };
    said.into_iter().map(line).collect()
}

/// Where what is learned of stars was measured to be worse than the mean of each item.
fn of_stars(plan: &Plan, items: Option<usize>, users: u64) -> Option<String> {
    let noise = plan.privacy.noise_multiplier?.get();
    let factor = noise_factor(plan);
    // As of releases: mu N / (sqrt(M) f).
    let signal = (plan.rounds as f64).sqrt() / noise * users as f64 / ((items? as f64).sqrt() * factor);
    (signal < ENOUGH_OF_STARS).then(|| {
        format!(
            "warning: with {users} declared customers S is {signal:.1}, and stars may be told worse than by the mean of each item: on MovieLens \
             100K they were better at S = 32 and 18 (epsilon 8 and 4), and worse at 10. `souk-sim evaluate --task rating --plan FILE --data DIR` \
             says it of your own data"
        )
    })
}

const ENOUGH_OF_STARS: f64 = 15.0;

/// Declared customers from which a model trained under privacy has been seen above bestsellers, in the demo.
const ENOUGH: u64 = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = "name = 't'\nrounds = 3\n[model]\nkind = 'mf'\nitem_bias = false\n\
        [train]\nsolver = 'ials'\nalpha = 0.1\nlambda = 1.0\n\
        [privacy]\nclip_norm = 1.0\nnoise_multiplier = 4.0\nsampling_rate = 0.5\n[cohort]\nquorum = 1\n\
        [server]\noptimiser = 'plain'\nlearning_rate = 1.0\n[[shops]]\nname = 'a'\ndeclared_users = 4000\n";

    fn said(from: &str, to: &str, items: Option<usize>) -> Vec<String> {
        assert!(from.is_empty() || PLAN.contains(from), "{from}");
        warnings(&Plan::from_toml(&PLAN.replace(from, to)).unwrap(), items)
    }

    #[test]
    fn what_was_measured_to_be_worse_than_bestsellers_is_named_with_its_figures() {
        let sgd = "solver = 'sgd'\nnegatives = 4";
        let ials = "solver = 'ials'\nalpha = 0.1\nlambda = 1.0";
        for (from, to, items, figures) in [
            (
                ials,
                sgd,
                None,
                &["15.0", "41.5", "plan new FILE --epsilon 8"][..],
            ),
            (
                "item_bias = false",
                "",
                None,
                &["20.4", "42.4", "model.item_bias = false"],
            ),
            ("", "", Some(4001), &["32.9", "38.4"]),
        ] {
            let said = said(from, to, items);
            assert!(
                said.len() == 1 && figures.iter().all(|figure| said[0].contains(figure)),
                "{said:?}"
            );
        }
    }

    #[test]
    fn models_of_many_customers_or_without_noise_are_not_warned_of() {
        let sgd = PLAN.replace("solver = 'ials'\nalpha = 0.1\nlambda = 1.0", "solver = 'sgd'");
        for (from, to) in [
            ("declared_users = 4000", "declared_users = 20000"),
            ("noise_multiplier = 4.0", "enabled = false"),
        ] {
            let plan = |text: &str| Plan::from_toml(text).unwrap();
            assert_eq!(warnings(&plan(&sgd), None).len(), 1);
            assert!(warnings(&plan(&sgd.replace(from, to)), None).is_empty(), "{to}");
        }
        assert!(said("", "", Some(4000)).is_empty() && said("", "", None).is_empty());
    }
}
