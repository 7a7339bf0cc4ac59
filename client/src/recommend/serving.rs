//! Which model or release lists rest on, and how old it is: told with every list.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use souk_common::clock::Timestamp;
use souk_common::date::date;
use souk_common::ids::Digest;
use souk_common::plan::Plan;
use souk_common::terminal::printable;

use crate::folder::Folder;
use crate::recommend::blobs::open_plan;
use crate::stack::ServedBy;
use crate::store::{ServedModel, Store, blobs_of};

/// What lists rest on besides the shop's own customers.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Serving {
    /// The last model or release that was taught anything; none before the first.
    pub learned: Option<Provenance>,
    /// The plan that is under way, if nothing of it was taught yet.
    pub untrained: Option<PlanName>,
}

/// A plan, for people and programs.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct PlanName {
    /// As its file says.
    pub name: String,
    /// Of the plan.
    pub digest: Digest,
}

/// Where a model or release comes from.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Provenance {
    /// By which plan.
    pub plan: PlanName,
    /// Of which round.
    pub round: u64,
    /// Its digest.
    pub model_hash: Digest,
    /// When it was published, or made current again.
    pub published_at: Timestamp,
    /// Seconds since then, by this machine's clock; none before somebody asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_secs: Option<u64>,
}

impl Serving {
    /// As a shop's store has it.
    ///
    /// # Errors
    /// When the store is damaged or a plan can't be read.
    pub fn of(folder: &Folder, store: &Store) -> anyhow::Result<Self> {
        let (served, current) = (store.served_model()?, store.current_model()?);
        let name = |plan: &Plan, digest| PlanName {
            name: plan.name.clone(),
            digest,
        };
        let learned = match &served {
            Some(ServedModel { manifest, round }) => {
                let plan = open_plan(folder, &blobs_of(manifest)[0])?;
                Some(Provenance {
                    plan: name(&plan, manifest.plan),
                    round: *round,
                    model_hash: manifest.model,
                    published_at: manifest.published_at,
                    age_secs: None,
                })
            }
            None => None,
        };
        let newer = current.filter(|current| served.is_none_or(|served| served.manifest != *current));
        let untrained = match newer {
            Some(manifest) => {
                let plan = open_plan(folder, &blobs_of(&manifest)[0])?;
                Some(name(&plan, manifest.plan))
            }
            None => None,
        };
        Ok(Self { learned, untrained })
    }

    /// The same with the age at `now`.
    pub fn aged(mut self, now: Timestamp) -> Self {
        if let Some(learned) = &mut self.learned {
            learned.age_secs = Some(now.since(learned.published_at).as_secs());
        }
        self
    }

    /// What made a list, for people.
    pub fn words(&self, by: ServedBy) -> String {
        let mut text = match (by, &self.learned) {
            (ServedBy::Model, Some(learned)) => format!("by the model of {}", learned.words()),
            (ServedBy::Model, None) => "by a trained model".to_owned(),
            (ServedBy::Together, Some(learned)) => {
                format!(
                    "by this shop's own stack with what all shops released in {}",
                    learned.words()
                )
            }
            (ServedBy::Together, None) => "by this shop's own stack with what all shops released".to_owned(),
            (ServedBy::Alone, _) => "by this shop's own stack, from its own customers alone".to_owned(),
        };
        if let Some(plan) = &self.untrained {
            text += &format!("; {} has taught nothing yet", plan.words());
        }
        text
    }
}

impl PlanName {
    /// Name and digest, for people.
    pub fn words(&self) -> String {
        format!("plan {} ({})", printable(&self.name), self.digest.short())
    }
}

impl Provenance {
    /// Round, plan and age.
    pub fn words(&self) -> String {
        let age = self
            .age_secs
            .map(|secs| format!(", {} old", age(Duration::from_secs(secs))));
        format!(
            "round {} of {}, published {}{}",
            self.round,
            self.plan.words(),
            date(self.published_at),
            age.unwrap_or_default()
        )
    }
}

/// In the largest unit of which there are two.
fn age(span: Duration) -> String {
    let secs = span.as_secs();
    let units = [
        (86_400, "days"),
        (3_600, "hours"),
        (60, "minutes"),
        (1, "seconds"),
    ];
    let (length, name) = units
        .into_iter()
        .find(|(length, _)| secs >= 2 * length)
        .unwrap_or((1, "seconds"));
    format!("{} {name}", secs / length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_plan_round_and_age_of_what_made_it_and_the_plan_that_has_taught_nothing() {
        let plan = |name: &str| PlanName {
            name: name.to_owned(),
            digest: Digest::of(name.as_bytes()),
        };
        let mut serving = Serving {
            learned: Some(Provenance {
                plan: plan("spring"),
                round: 3,
                model_hash: Digest::ZERO,
                published_at: Timestamp(0),
                age_secs: None,
            }),
            untrained: None,
        };
        serving = serving.aged(Timestamp::from_secs(9 * 86_400 + 5));
        let said = serving.words(ServedBy::Model);
        assert!(said.contains("the model of round 3 of plan spring ("), "{said}");
        assert!(
            said.ends_with("published 1970-01-01T00:00:00Z, 9 days old"),
            "{said}"
        );
        serving.untrained = Some(plan("autumn"));
        let said = serving.words(ServedBy::Together);
        assert!(
            said.contains("released in round 3") && said.contains("autumn"),
            "{said}"
        );
        let said = serving.words(ServedBy::Alone);
        assert!(
            said.contains("own customers alone") && !said.contains("spring"),
            "{said}"
        );
    }

    #[test]
    fn ages_are_in_the_largest_unit_of_which_there_are_two() {
        for (secs, said) in [
            (0, "0 seconds"),
            (119, "119 seconds"),
            (120, "2 minutes"),
            (7_199, "119 minutes"),
            (7_200, "2 hours"),
            (172_799, "47 hours"),
            (172_800, "2 days"),
        ] {
            assert_eq!(age(Duration::from_secs(secs)), said);
        }
    }
}
