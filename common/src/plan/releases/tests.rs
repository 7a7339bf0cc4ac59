use super::*;
use crate::task::Task;

const RELEASES: &str = "name = 'r'\n[privacy]\nnoise_multiplier = 0.6\n[cohort]\nquorum = 1\n\
    [[release]]\nkind = 'popularity'\nshare = 0.4\n[[release]]\nkind = 'collaborative'\nshare = 0.6\n\
    [[shops]]\nname = 'a'\ndeclared_users = 100\n";

fn plan() -> Plan {
    Plan::from_toml(RELEASES).unwrap()
}

fn noise(plan: &Plan) -> NoiseMultiplier {
    plan.privacy.noise_multiplier.unwrap()
}

#[test]
fn what_a_plan_of_releases_need_not_say_follows() {
    let plan = plan();
    assert_eq!((plan.rounds, plan.privacy.sampling_rate.get()), (2, 1.0));
    assert_eq!(plan.release_at(2), Some(ReleaseKind::Collaborative));
    assert!(plan.release_at(0).is_none() && plan.release_at(3).is_none());
    assert_eq!(Plan::from_bytes(&plan.to_bytes()).unwrap(), plan);
    // z / sqrt(rho).
    let first = noise(&plan.for_round(1, &[]).unwrap());
    assert!((first.get() - 0.6 / 0.4f64.sqrt()).abs() < 1e-9);
    let second = noise(&plan.for_round(2, &[first]).unwrap());
    assert!((second.get() - 0.6 / 0.6f64.sqrt()).abs() < 1e-9);
    assert_eq!(noise(&plan.for_first_attempt_at(2).unwrap()), second);
    // A failure at the first leaves less for both; one at the last leaves nothing.
    let again = noise(&plan.for_round(2, &[first, first]).unwrap());
    assert!(again.get() > second.get());
    assert!(plan.for_round(2, &[first, second]).is_err() && plan.for_round(3, &[]).is_err());
}

#[test]
fn releases_that_make_no_sense_are_refused_by_their_field() {
    for (from, to, field) in [
        ("share = 0.4", "share = 0.5", "release"),
        ("share = 0.4", "share = nan", "release"),
        ("share = 0.4", "share = -0.4", "release"),
        ("kind = 'popularity'", "kind = 'collaborative'", "release"),
        ("kind = 'collaborative'", "kind = 'popularity'", "release"),
        ("name = 'r'", "name = 'r'\nrounds = 5", "rounds"),
        (
            "noise_multiplier = 0.6",
            "noise_multiplier = 0.6\nsampling_rate = 0.5",
            "privacy.sampling_rate",
        ),
        (
            "noise_multiplier = 0.6",
            "noise_multiplier = 0.6\nclip_norm = 2.0",
            "privacy.clip_norm",
        ),
        (
            "declared_users = 100",
            "declared_users = 100\nweight = 0.5",
            "weight of shop a",
        ),
    ] {
        let refused = Plan::from_toml(&RELEASES.replace(from, to))
            .unwrap_err()
            .to_string();
        assert!(refused.starts_with(field), "{to}: {refused}");
    }
    // A plan that trains still has to say how.
    let missing = RELEASES.split("[[release]]").next().unwrap();
    assert!(
        Plan::from_toml(missing)
            .unwrap_err()
            .to_string()
            .contains("missing field")
    );
}

const TRAINING: &str = "[[training]]\nkind = 'tower'\nrounds = 3\nshare = 0.1\n";

fn with_training(more: &str) -> Result<Plan, PlanError> {
    let releases = RELEASES.replace("share = 0.6", "share = 0.5");
    Plan::from_toml(&releases.replace("[[shops]]", &format!("{more}[[shops]]")))
}

#[test]
fn training_shares_the_budget_and_its_rounds_follow_the_releases() {
    let plan = with_training(TRAINING).unwrap();
    assert_eq!(plan.rounds, 5);
    assert_eq!(Plan::from_bytes(&plan.to_bytes()).unwrap(), plan);
    assert_eq!(
        plan.kind_at(2),
        Some(RoundKind::Release(ReleaseKind::Collaborative))
    );
    assert_eq!(plan.kind_at(3), Some(RoundKind::Training { phase: 0, step: 0 }));
    assert_eq!(plan.kind_at(5), Some(RoundKind::Training { phase: 0, step: 2 }));
    assert!(plan.kind_at(0).is_none() && plan.kind_at(6).is_none() && plan.release_at(3).is_none());
    let words = |round| plan.round_in_words(round).unwrap_or_default();
    assert_eq!(words(2), "release 2 of 2: which items are bought together");
    assert_eq!(words(4), "step 2 of 3 that train the tower");
    assert_eq!((words(0), words(6)), (String::new(), String::new()));
    // Each of three rounds has a third of a tenth, and all rounds together the budget.
    let mut charged = Vec::new();
    for round in 1..=5 {
        charged.push(noise(&plan.for_round(round, &charged).unwrap()));
    }
    assert!((charged[4].get() - 0.6 / (0.1f64 / 3.0).sqrt()).abs() < 1e-6);
    let spent: f64 = charged.iter().map(|noise| noise.get().powi(-2)).sum();
    let budget = 0.6f64.powi(-2);
    assert!(
        spent <= budget && spent > budget * (1.0 - 1e-9),
        "{spent} of {budget}"
    );
    assert!(plan.for_round(5, &charged).is_err(), "nothing is left");
    // A plan without training has the bytes that it had before there was any.
    assert!(
        !String::from_utf8(self::plan().to_bytes())
            .unwrap()
            .contains("training")
    );
}

#[test]
fn training_that_makes_no_sense_is_refused_by_its_field() {
    for (more, field) in [
        (
            TRAINING.replace("rounds = 3", "rounds = 0"),
            "rounds of [[training]] 1",
        ),
        (TRAINING.replace("share = 0.1", "share = 0.2"), "release"),
        (format!("{TRAINING}hidden = 100000\n"), "hidden of [[training]] 1"),
        (
            format!("{TRAINING}learning_rate = 0.0\n"),
            "learning_rate of [[training]] 1",
        ),
        (
            format!("{TRAINING}learning_rate = nan\n"),
            "learning_rate of [[training]] 1",
        ),
        (
            format!("{0}{0}", TRAINING.replace("share = 0.1", "share = 0.05")),
            "training",
        ),
    ] {
        let refused = with_training(&more).unwrap_err().to_string();
        assert!(refused.starts_with(field), "{more}: {refused}");
    }
    // Which model, and how, has to be said.
    let model = TRAINING.replace("tower", "model");
    assert!(
        with_training(&model)
            .unwrap_err()
            .to_string()
            .contains("missing field")
    );
    let mut alone = plan();
    (alone.training, alone.release) = (vec![TrainingPhase::new(TrainingKind::Tower, 2, 1.0)], Vec::new());
    assert!(
        alone
            .validate()
            .unwrap_err()
            .to_string()
            .starts_with("training is set")
    );
}

#[test]
fn a_plan_for_ads_learns_clicks_and_no_other_does() {
    let told = |kind: TrainingKind, task: Task| {
        let mut plan = with_training(TRAINING).unwrap();
        (plan.training[0].kind, plan.task) = (kind, task);
        plan.validate().map_err(|error| error.to_string())
    };
    assert_eq!(told(TrainingKind::Clicks, Task::Ads), Ok(()));
    for (kind, task) in [
        (TrainingKind::Tower, Task::Ads),
        (TrainingKind::Clicks, Task::Product),
        (TrainingKind::Clicks, Task::Content),
    ] {
        let told = told(kind, task).unwrap_err();
        assert!(told.starts_with("task is") && told.contains("clicks"), "{told}");
        assert!(told.contains(task.name()), "{told}");
    }
}
