//! Whether a shop's labels are what a plan learns from.

use anyhow::ensure;
use souk_common::dataset::{Dataset, Labelled};
use souk_common::model::config::TrainConfig;
use souk_common::plan::Plan;
use souk_common::task::LabelKind;

use crate::config::ShopConfig;

/// Refuses to learn stars of another scale than the plan's.
pub(super) fn of_one_scale(plan: &Plan, config: &ShopConfig) -> anyhow::Result<()> {
    let TrainConfig::Stars(stars) = &plan.train else {
        return Ok(());
    };
    let scale = config.data.stars;
    let is_same = f64::from(scale.lowest()) == stars.lowest && f64::from(scale.highest()) == stars.highest;
    ensure!(
        is_same || config.data.labels != Some(LabelKind::Stars),
        "stars under [data] of shop.toml are from {} to {}, those of plan {} from {} to {}: give the file's stars on the plan's scale, \
         or ask the operator for a plan of yours",
        scale.lowest(),
        scale.highest(),
        plan.name,
        stars.lowest,
        stars.highest
    );
    Ok(())
}

/// What the owner is told if the plan learns from labels, and there is none here.
pub(super) fn without_labels(plan: &Plan, dataset: &Dataset) -> Option<String> {
    let (kind, what) = match plan.task.labels()? {
        LabelKind::Stars => ("stars", "of no item how many stars it got"),
        LabelKind::Clicks => ("clicks", "of no ad that it was shown"),
    };
    let has_none = dataset.labelled.iter().all(Labelled::is_empty);
    has_none.then(|| {
        format!(
            "plan {} learns from {kind}, and this shop's data say {what}: this shop adds nothing but noise, at the plan's whole epsilon, \
             until labels = \"{kind}\" stands under [data] of shop.toml and the data have some (`souk-client check-data`)",
            plan.name
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let text = "name = 't'\ntask = 'rating'\nrounds = 1\n[model]\nkind = 'mf'\n[train]\nsolver = 'stars'\n[privacy]\n\
                    enabled = false\nclip_norm = 1.0\nsampling_rate = 1.0\n[cohort]\nquorum = 1\n[server]\noptimiser = 'plain'\n\
                    learning_rate = 1.0\n[[shops]]\nname = 'a'\ndeclared_users = 9\n";
        Plan::from_toml(text).expect("a plan")
    }

    #[test]
    fn stars_of_another_scale_are_refused_with_both_scales() {
        let config = |text: &str| toml::from_str::<ShopConfig>(text).expect("settings");
        assert!(of_one_scale(&plan(), &config("[data]\nlabels = 'stars'")).is_ok());
        // Nothing is learned from them.
        assert!(of_one_scale(&plan(), &config("[data]\nstars = [1, 10]")).is_ok());
        let said = of_one_scale(&plan(), &config("[data]\nlabels = 'stars'\nstars = [1, 10]"));
        let said = said.expect_err("another scale").to_string();
        assert!(
            said.contains("from 1 to 10") && said.contains("from 1 to 5"),
            "{said}"
        );
    }

    #[test]
    fn a_shop_without_labels_is_told_what_it_adds() {
        let mut dataset = Dataset::default();
        let told = without_labels(&plan(), &dataset).expect("there is none");
        assert!(
            told.contains("nothing but noise") && told.contains("labels = \"stars\""),
            "{told}"
        );
        dataset.labelled.push(Labelled {
            items: vec![0],
            times: vec![0],
            labels: vec![4.0],
        });
        assert_eq!(without_labels(&plan(), &dataset), None);
    }
}
