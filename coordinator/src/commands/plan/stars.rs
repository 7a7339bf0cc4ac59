//! `plan new --task rating`: a plan that learns how many stars customers give.

use souk_common::accountant::calibrate::{CalibrationTarget, noise_multiplier};
use souk_common::params::{Delta, Epsilon, SamplingRate};
use souk_common::plan::{Plan, ShopTerms};

use crate::error::{Failure, failed, usage};

/// The file, for these shops, within this epsilon; with masks that share the noise if `masked`.
pub(super) fn plan_file(
    shops: &[ShopTerms],
    (epsilon, delta): (Epsilon, Delta),
    masked: bool,
) -> Result<String, Failure> {
    let everybody = SamplingRate::new(1.0).map_err(failed)?;
    let target = CalibrationTarget::new(epsilon, delta);
    let noise = noise_multiplier(everybody, ROUNDS, &target).map_err(usage)?;
    let quorum = (3 * shops.len()).div_ceil(4);
    let masks = match masked {
        true => format!(
            "placement = \"distributed\"  # the shops share the noise, under masks\n\n[masking]\nmin_shops = {quorum}            \
             # fewer are never unmasked\ncolluding = 1            # shops that may work together with the coordinator\nstep = \"30s\"\n"
        ),
        false => "placement = \"local\"        # every shop adds all of the noise\n".to_owned(),
    };
    let named: String = shops
        .iter()
        .map(|terms| {
            format!(
                "\n[[shops]]\nname = {:?}\ndeclared_users = {}\n",
                terms.name.as_str(),
                terms.declared_users
            )
        })
        .collect();
    let text = format!(
        "# A plan of stars: rounds that learn what each product gets of everybody, beside what each customer's own stars say.\n\
         # What it costs: souk-coordinator plan check. How good it is: souk-sim evaluate --task rating --plan FILE --data DIR\n\
         name = \"stars\"\ntask = \"rating\"\nrounds = {ROUNDS}\n\n[model]\nkind = \"mf\"\ngmf_dim = 8\n\n[train]\nsolver = \"stars\"          \
         # m + b_product + b_customer + p_customer q_product\nlambda = 20.0\nbias_lambda = 5.0\nembedding_step = 0.25\n\
         lowest = 1.0             # the scale: as `stars` in shops' [data]\nhighest = 5.0\n\n[privacy]\nclip_norm = 1.0\n\
         noise_multiplier = {:?}  # epsilon {epsilon} at this delta\ndelta = {:?}\nsampling_rate = 1.0\n{masks}\n[cohort]\n\
         quorum = {quorum}\ndeadline = \"10m\"\nupload_after = \"10s\"\n\n[server]\noptimiser = \"plain\"\n\
         learning_rate = 20.0     # about twice the root of how many stars a customer has given: of MovieLens a hundred\n{named}",
        noise.get(),
        delta.get(),
    );
    // What is written is read again before it is promised to work.
    Plan::from_toml(&text).map_err(failed)?;
    Ok(text)
}

/// Of which each customer's stars are in all.
const ROUNDS: u64 = 15;

#[cfg(test)]
mod tests {
    use souk_common::params::Weight;
    use souk_common::task::Task;

    use super::*;

    #[test]
    fn it_is_a_plan_for_any_number_of_shops_within_the_epsilon_that_is_asked_for() {
        let shop = |number: usize| ShopTerms {
            name: format!("s{number}").parse().expect("a name"),
            declared_users: 100,
            weight: Weight::new(1.0).expect("a weight"),
        };
        for count in [1, 2, 3, 10] {
            let shops: Vec<ShopTerms> = (0..count).map(shop).collect();
            let (epsilon, delta) = (Epsilon::new(4.0).expect("4"), Delta::new(1e-5).expect("a delta"));
            let Ok(text) = plan_file(&shops, (epsilon, delta), count >= 3) else {
                panic!("no plan for {count} shops");
            };
            let plan = Plan::from_toml(&text).expect("a plan");
            assert_eq!((plan.task, plan.shops.len()), (Task::Rating, count));
            assert_eq!(plan.masking.is_some(), count >= 3);
            let noise = plan.privacy.noise_multiplier.expect("noise").get();
            // sqrt(15) / mu(4).
            assert!((noise - 4.187).abs() < 0.01, "{noise}");
        }
    }
}
