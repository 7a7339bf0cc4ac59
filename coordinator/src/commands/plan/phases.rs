//! What a shop sends, receives and works out, round by round.

use serde_json::{Value, json};
use souk_common::learned::Learner;
use souk_common::plan::Plan;
use souk_common::release::schedule::ReleaseKind;
use souk_common::training::phases::TrainingKind;

/// Rounds that are alike, as a shop has them.
pub(super) struct Phase {
    name: &'static str,
    first: u64,
    last: u64,
    /// Of each round; headers of a few hundred bytes and, under masks, keys and shares come on top.
    bytes_down: u64,
    bytes_up: u64,
    /// Of the largest shop, each round; none where it depends on histories.
    cpu_seconds: Option<f64>,
}

impl Phase {
    /// The rounds of a plan, and the download of what the last release made.
    pub(super) fn all(learner: &Learner) -> Vec<Self> {
        let plan = learner.plan();
        let up = |round: u64| plan.update_bytes(learner.coordinates(round));
        if !plan.is_of_releases() {
            return vec![Self {
                name: "training",
                first: 1,
                last: plan.rounds,
                bytes_down: (learner.coordinates(1) * size_of::<f32>()) as u64,
                bytes_up: up(1),
                cpu_seconds: None,
            }];
        }
        let customers = largest(plan);
        let releases = plan.release.len() as u64;
        let round = |round: u64| Self {
            name: name_of(plan.release_at(round)),
            first: round,
            last: round,
            bytes_down: released_bytes(learner, round - 1),
            bytes_up: up(round),
            cpu_seconds: Some(cpu_seconds(customers, learner.coordinates(round))),
        };
        let mut phases: Vec<Self> = (1..=releases).map(round).collect();
        // Behind the releases all of them, and what was trained, is fetched again for every step.
        let mut down = released_bytes(learner, releases);
        let mut first = releases + 1;
        for phase in &plan.training {
            let coordinates = learner.coordinates(first);
            // Parameters, Adam's two moments, and the last step's sum.
            down += (coordinates * 3 * size_of::<f32>()) as u64 + up(first);
            phases.push(Self {
                name: match phase.kind {
                    TrainingKind::Model => "model",
                    TrainingKind::Tower => "tower",
                    TrainingKind::Clicks => "clicks",
                },
                first,
                last: first + phase.rounds - 1,
                bytes_down: down,
                bytes_up: up(first),
                cpu_seconds: match phase.kind {
                    // How much customers were shown is not known to a plan.
                    TrainingKind::Model | TrainingKind::Clicks => None,
                    TrainingKind::Tower => Some(tower_seconds(customers)),
                },
            });
            first += phase.rounds;
        }
        phases.push(Self {
            name: "what was released",
            first,
            last: first,
            bytes_down: down,
            bytes_up: 0,
            cpu_seconds: Some(0.0),
        });
        phases
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "name": self.name,
            "rounds": [self.first, self.last],
            "bytes_down_per_shop": self.bytes_down,
            "bytes_up_per_shop": self.bytes_up,
            "cpu_seconds_of_largest_shop": self.cpu_seconds,
        })
    }

    /// A table.
    pub(super) fn lines(phases: &[Self]) -> Vec<String> {
        let cpu = match phases.iter().any(|phase| phase.cpu_seconds.is_some()) {
            true => {
                "CPU seconds of the largest shop on one core, an estimate by the bench's 25 us a customer at 3,000 products and 48 \
                 columns; noise and masks come on top"
            }
            false => "CPU is not estimated: training depends on how long histories are",
        };
        let mut lines = vec![format!("each shop's part in each round ({cpu}):")];
        lines.extend(phases.iter().map(|phase| {
            let rounds = match (phase.first == phase.last, phase.bytes_up) {
                (_, 0) => "at the end".to_owned(),
                (true, _) => format!("round {}", phase.first),
                (false, _) => format!("rounds {} to {}", phase.first, phase.last),
            };
            let seconds = match phase.cpu_seconds {
                Some(seconds) if phase.bytes_up > 0 && seconds < 0.01 => ", under 0.01 CPU s".to_owned(),
                Some(seconds) if phase.bytes_up > 0 => format!(", {seconds:.2} CPU s"),
                _ => String::new(),
            };
            format!(
                "  {rounds}, {}: {} bytes down, {} bytes up{seconds}",
                phase.name, phase.bytes_down, phase.bytes_up
            )
        }));
        lines
    }
}

/// Of the file that is published after `round`, but for its header: the sum, popularity and direction, the map that it was summed
/// through and that of the next release.
fn released_bytes(learner: &Learner, round: u64) -> u64 {
    let plan = learner.plan();
    if round == 0 {
        return 0;
    }
    let map = |round: u64| match plan.release_at(round) {
        None | Some(ReleaseKind::Popularity) => 0,
        Some(_) => learner.coordinates(round),
    };
    let floats = 2 * learner.items() + map(round) + map(round + 1);
    plan.update_bytes(learner.coordinates(round)) + (floats * size_of::<f32>()) as u64
}

/// Declared customers of the largest shop.
pub(super) fn largest(plan: &Plan) -> u64 {
    let declared = plan.shops.iter().map(|terms| terms.declared_users);
    declared.max().unwrap_or(0)
}

/// What a shop of so many customers works for a release of so many coordinates: a customer's vector is at most as long as the sum.
pub(super) fn cpu_seconds(customers: u64, coordinates: usize) -> f64 {
    customers as f64 * coordinates as f64 * SECONDS_PER_COORDINATE
}

/// What a shop of so many customers works for a step of a tower; before the first one it makes cases, which takes a few times as long.
pub(super) fn tower_seconds(customers: u64) -> f64 {
    customers as f64 * SECONDS_PER_TOWER_STEP
}

pub(super) fn name_of(kind: Option<ReleaseKind>) -> &'static str {
    match kind {
        None => "training",
        Some(ReleaseKind::Popularity) => "popularity",
        Some(ReleaseKind::Collaborative) => "collaborative",
        Some(ReleaseKind::SecondCollaborative) => "second_collaborative",
    }
}

/// `release_customer` of `souk-sim bench`.
const SECONDS_PER_COORDINATE: f64 = 25e-6 / (3_000.0 * 48.0);

/// `tower_step` of `souk-sim bench`.
const SECONDS_PER_TOWER_STEP: f64 = 25e-6;

#[cfg(test)]
mod tests {
    use souk_common::catalogue::{Catalogue, Item};
    use souk_common::ids::AttemptId;
    use souk_common::learned::Releases;
    use souk_common::release::state::NoisedSum;
    use souk_common::update::UpdateValues;

    use super::*;

    fn learner(releases: &str, category: impl Fn(usize) -> String) -> Learner {
        let item = |item: usize| {
            let item = json!({"id": format!("i{item}"), "category": category(item)});
            serde_json::from_value::<Item>(item).unwrap()
        };
        let catalogue = Catalogue::new((0..60).map(item).collect()).unwrap();
        let plan = format!(
            "name = 'r'\n[privacy]\nnoise_multiplier = 0.6\n[cohort]\nquorum = 1\n{releases}\
             [[shops]]\nname = 'a'\ndeclared_users = 100\n[[shops]]\nname = 'b'\ndeclared_users = 300\n"
        );
        Learner::new(&Plan::from_toml(&plan).unwrap(), &catalogue)
    }

    #[test]
    fn downloads_are_as_long_as_the_files_of_such_releases_but_for_headers() {
        let two = "[[release]]\nkind = 'popularity'\nshare = 0.4\n[[release]]\nkind = 'collaborative'\nshare = 0.6\n";
        let three = two.replace("0.6", "0.2") + "[[release]]\nkind = 'second_collaborative'\nshare = 0.4\n";
        for learner in [
            learner(two, |item| format!("c{}", item % 6)),
            learner(&three, |_| String::new()),
        ] {
            let phases = Phase::all(&learner);
            assert_eq!(phases.len(), learner.plan().release.len() + 1);
            let mut releases = Releases::default();
            for round in 1..phases.len() as u64 {
                let bytes = releases.to_bytes().len() as u64;
                let said = phases[round as usize - 1].bytes_down;
                assert!(
                    said <= bytes && bytes < said + 400,
                    "round {round}: {said} of {bytes}"
                );
                let count = learner.coordinates(round);
                assert_eq!(phases[round as usize - 1].bytes_up, 4 * count as u64);
                let sum = NoisedSum {
                    values: UpdateValues::B32((0..count as u32).map(|at| at % 7 * 1000).collect()),
                    clip_units: 1000.0,
                    noise_stddev: 0.6,
                };
                let id = AttemptId { round, attempt: 1 };
                releases = learner.release(&releases, id, None, sum).unwrap();
            }
            let (last, bytes) = (phases.last().unwrap(), releases.to_bytes().len() as u64);
            assert!(
                last.bytes_down <= bytes && bytes < last.bytes_down + 400,
                "{} of {bytes}",
                last.bytes_down
            );
        }
    }

    #[test]
    fn work_grows_with_customers_and_coordinates_from_what_the_bench_measures() {
        assert!((cpu_seconds(40_000, 3_000 * 48) - 1.0).abs() < 1e-9);
        let releases = "[[release]]\nkind = 'popularity'\nshare = 1.0\n";
        let phases = Phase::all(&learner(releases, |_| String::new()));
        // The largest shop's 300 customers, 60 coordinates each.
        assert_eq!(phases[0].cpu_seconds, Some(cpu_seconds(300, 60)));
        let said = Phase::lines(&phases).join("\n");
        assert!(
            said.contains("round 1, popularity: 0 bytes down, 240 bytes up") && said.contains("an estimate"),
            "{said}"
        );
    }
}
