//! What a shop's ledger was charged for, by kind of round.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use souk_common::ids::Digest;
use souk_common::plan::{Plan, RoundKind};
use souk_common::training::phases::TrainingKind;

use crate::folder::Folder;
use crate::ledger::read_ledger;
use crate::participate::{Blob, BlobKind};
use crate::recommend::blobs::open_plan;

/// What a charged round made.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChargedKind {
    /// A statistic that was released.
    Release,
    /// A step that trained the tower.
    Tower,
    /// A step that trained the model.
    Model,
    /// A step that trained which ads are clicked.
    Clicks,
    /// Not known: the plan's file is not in this folder any more.
    Unknown,
}

impl ChargedKind {
    /// Of a round of a plan.
    fn of(plan: &Plan, round: u64) -> Self {
        match plan.kind_at(round) {
            Some(RoundKind::Release(_)) => Self::Release,
            Some(RoundKind::Training { phase, .. }) => match plan.training.get(phase).map(|phase| phase.kind)
            {
                Some(TrainingKind::Tower) => Self::Tower,
                Some(TrainingKind::Model) => Self::Model,
                Some(TrainingKind::Clicks) => Self::Clicks,
                None => Self::Unknown,
            },
            None if plan.is_of_releases() => Self::Unknown,
            None => Self::Model,
        }
    }

    /// What so many of them did.
    pub fn words(self) -> &'static str {
        match self {
            Self::Release => "released statistics",
            Self::Tower => "trained the tower",
            Self::Model => "trained the model",
            Self::Clicks => "trained which ads are clicked",
            Self::Unknown => "of plans whose files are not kept here",
        }
    }
}

/// How many rounds of each kind the folder's ledger was charged for; kinds without any are left out.
///
/// # Errors
/// When the ledger can't be read.
pub fn by_kind(folder: &Folder) -> anyhow::Result<BTreeMap<ChargedKind, u64>> {
    if !folder.ledger().exists() {
        return Ok(BTreeMap::new());
    }
    let chain = read_ledger(&folder.ledger())?;
    let spends = chain.spends().map(|(_, spend)| (spend.plan, spend.round));
    let mut counted = BTreeMap::new();
    for kind in kinds(folder, spends) {
        *counted.entry(kind).or_insert(0) += 1;
    }
    Ok(counted)
}

/// Of which kind rounds of plans are.
pub(crate) fn kinds(
    folder: &Folder,
    rounds: impl Iterator<Item = (Digest, u64)>,
) -> impl Iterator<Item = ChargedKind> {
    let mut plans: BTreeMap<Digest, Option<Plan>> = BTreeMap::new();
    rounds.map(move |(digest, round)| {
        let kind = BlobKind::Plan;
        let plan = plans
            .entry(digest)
            .or_insert_with(|| open_plan(folder, &Blob { kind, digest }).ok());
        plan.as_ref()
            .map_or(ChargedKind::Unknown, |plan| ChargedKind::of(plan, round))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Answer, NextRound};
    use crate::recommend::serving::PlanName;

    const SHOPS: &str =
        "[[shops]]\nname = 'a'\ndeclared_users = 400\n[[shops]]\nname = 'b'\ndeclared_users = 400\n";

    #[test]
    fn what_the_next_round_is_comes_over_the_socket_whether_a_plan_is_known_or_not() {
        let plan = PlanName {
            name: "t".to_owned(),
            digest: Digest::of(b"t"),
        };
        let known = NextRound {
            plan,
            round: 3,
            is_over: false,
            refusals: vec!["no".to_owned()],
        };
        for next in [None, Some(known)] {
            let answer = Answer::NextRound { next };
            let line = serde_json::to_string(&answer).unwrap();
            assert_eq!(serde_json::from_str::<Answer>(&line).unwrap(), answer);
        }
    }

    #[test]
    fn a_round_is_of_the_kind_that_its_plan_says() {
        let releases = Plan::from_toml(&format!(
            "name = 'r'\n[privacy]\nenabled = false\n[cohort]\nquorum = 2\n[[release]]\nkind = 'popularity'\nshare = 0.3\n\
             [[release]]\nkind = 'collaborative'\nshare = 0.4\n[[training]]\nkind = 'tower'\nrounds = 2\nshare = 0.3\nhidden = 1\n{SHOPS}"
        ))
        .unwrap();
        let kinds: Vec<ChargedKind> = (1..=5).map(|round| ChargedKind::of(&releases, round)).collect();
        let (release, tower) = (ChargedKind::Release, ChargedKind::Tower);
        assert_eq!(kinds, [release, release, tower, tower, ChargedKind::Unknown]);
        let model = Plan::from_toml(&format!(
            "name = 'm'\nrounds = 2\n[model]\nkind = 'mf'\n[train]\nsolver = 'ials'\nalpha = 0.1\nlambda = 1\n[privacy]\n\
             enabled = false\nclip_norm = 1\nsampling_rate = 0.5\n[cohort]\nquorum = 2\n[server]\noptimiser = 'plain'\n\
             learning_rate = 1\n{SHOPS}"
        ))
        .unwrap();
        assert_eq!(ChargedKind::of(&model, 1), ChargedKind::Model);
    }
}
