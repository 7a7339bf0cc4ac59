//! What a plan of releases spends: after charged failures, and in a year.

use serde_json::{Map, Value, json};
use souk_common::params::rounded_up;
use souk_common::plan::Plan;
use souk_common::privacy::{FailureCourse, ReleaseBudget};
use souk_common::release::schedule::ScheduleError;

/// The spending of one plan of releases, and of several a year.
pub(super) struct Budget {
    spent: ReleaseBudget,
    /// Rounds that stay published when the last one fails.
    kept: u64,
    /// Whether there is training behind the releases.
    trains: bool,
}

impl Budget {
    /// None without noise, or where a model is trained.
    ///
    /// # Errors
    /// When nothing is left of the budget for an attempt.
    pub(super) fn of(plan: &Plan) -> Result<Option<Self>, ScheduleError> {
        let spent = ReleaseBudget::of(plan)?;
        Ok(spent.map(|spent| Self {
            spent,
            kept: plan.rounds - 1,
            trains: !plan.training.is_empty(),
        }))
    }

    pub(super) fn json(&self, said: &mut Value) {
        let course = |course: &FailureCourse| {
            let noise: Vec<f64> = course.noise.iter().map(|noise| noise.get()).collect();
            json!({
                "failures": course.failures,
                "epsilon": course.epsilon,
                "noise_multipliers": noise,
            })
        };
        said["after_charged_failures"] = self.spent.courses.iter().map(course).collect();
        said["failure_at_last_release"] = json!({
            "ends_the_run": true,
            "releases_kept": self.kept,
            "epsilon": self.spent.courses[0].epsilon,
            "epsilon_with_another_plan": self.spent.with_another,
        });
        let per_year = self
            .spent
            .per_year
            .iter()
            .map(|(times, epsilon)| (times.to_string(), json!(epsilon)));
        said["epsilon_per_year"] = Value::Object(per_year.collect::<Map<_, _>>());
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.spent.courses.len() > 1 {
            let course = |course: &FailureCourse| {
                let shown = course.noise.len().min(MOST_SHOWN);
                let noise = course.noise[..shown].iter();
                let noise: Vec<String> = noise.map(|noise| format!("{:.3}", noise.get())).collect();
                format!(
                    "after {} epsilon {} and z {}",
                    course.failures,
                    rounded_up(course.epsilon, 3),
                    noise.join(", ")
                )
            };
            let courses: Vec<String> = self.spent.courses.iter().map(course).collect();
            lines.push(format!(
                "an attempt that fails after it was charged costs noise, not epsilon, while it is not at the last round; of such \
                 failures at the first: {}",
                courses.join("; ")
            ));
        }
        let kept = match self.kept {
            _ if self.trains => "the rounds before it stay published".to_owned(),
            0 => "nothing was released".to_owned(),
            1 => "the first release stays published".to_owned(),
            more => format!("the first {more} releases stay published"),
        };
        lines.push(format!(
            "a charged failure at the last round ends the run: {kept}, epsilon {} is spent, the run pauses for good, and \
             another plan like this one, under another name or seed, brings it to {}",
            rounded_up(self.spent.courses[0].epsilon, 3),
            rounded_up(self.spent.with_another, 3)
        ));
        let years: Vec<String> = self
            .spent
            .per_year
            .iter()
            .map(|(times, epsilon)| format!("{} at {times}", rounded_up(*epsilon, 2)))
            .collect();
        lines.push(format!(
            "epsilon a year, of a customer who is there all year, by how many such plans there are in it: {}",
            years.join(", ")
        ));
        lines
    }
}

/// The releases, and the first step of training.
const MOST_SHOWN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const RELEASES: &str = "name = 'r'\n[privacy]\nnoise_multiplier = 0.6002291\n[cohort]\nquorum = 1\n\
        [[release]]\nkind = 'popularity'\nshare = 0.4\n[[release]]\nkind = 'collaborative'\nshare = 0.6\n\
        [[shops]]\nname = 'a'\ndeclared_users = 100\n";

    fn budget(text: &str) -> Budget {
        Budget::of(&Plan::from_toml(text).unwrap()).unwrap().unwrap()
    }

    #[test]
    fn failures_before_the_last_release_cost_noise_and_never_epsilon() {
        let budget = budget(RELEASES);
        let plan = budget.spent.courses[0].epsilon;
        assert!((plan - 8.0).abs() < 1e-4, "{plan}");
        assert_eq!(budget.spent.courses.len(), 3);
        let mut noise = vec![0.0; 2];
        for (failures, course) in budget.spent.courses.iter().enumerate() {
            assert_eq!(course.failures, failures);
            assert!((course.epsilon - plan).abs() < 1e-9, "{}", course.epsilon);
            let after: Vec<f64> = course.noise.iter().map(|noise| noise.get()).collect();
            assert!(
                after.iter().zip(&noise).all(|(after, before)| after > before),
                "{after:?}"
            );
            noise = after;
        }
        // Each failure takes .4 of what was left.
        let first = |failures: usize| budget.spent.courses[failures].noise[0].get();
        assert!((first(2) / first(0) - 1.0 / 0.6).abs() < 1e-6);
    }

    #[test]
    fn plans_of_a_year_add_up_as_gaussians_do() {
        let budget = budget(RELEASES);
        let [(1, one), (4, four), (12, twelve)] = budget.spent.per_year[..] else {
            panic!("{:?}", budget.spent.per_year);
        };
        // docs/operations.md: two make about 12.3, four 19.1.
        assert!(
            (one - 8.0).abs() < 1e-4 && (budget.spent.with_another - 12.3).abs() < 0.05,
            "{}",
            budget.spent.with_another
        );
        assert!((four - 19.1).abs() < 0.05 && twelve > four, "{four} {twelve}");
    }

    #[test]
    fn the_only_release_is_the_last_and_a_model_has_no_such_budget() {
        let one = RELEASES
            .replace("0.4", "1.0")
            .replace("[[release]]\nkind = 'collaborative'\nshare = 0.6\n", "");
        let budget = budget(&one);
        assert_eq!((budget.spent.courses.len(), budget.kept), (1, 0));
        let said = budget.lines().join("\n");
        assert!(
            said.contains("nothing was released") && !said.contains("costs noise"),
            "{said}"
        );
        let off = RELEASES.replace("noise_multiplier = 0.6002291", "enabled = false");
        assert!(Budget::of(&Plan::from_toml(&off).unwrap()).unwrap().is_none());
    }
}
