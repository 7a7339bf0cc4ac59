//! The shop's own rules. Whether it accepts depends on the plan, its ledger and its file; never on its customers.

use std::time::Duration;

use souk_common::params::{Delta, Epsilon, NoiseMultiplier};
use souk_common::plan::Plan;

/// `[policy]` of `shop.toml`, as the machine needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Most epsilon, user-level, add/remove, over the file's period.
    pub max_epsilon: Epsilon,
    /// The delta it is stated at.
    pub delta: Delta,
    /// Least noise multiplier of a plan.
    pub min_noise_multiplier: Option<NoiseMultiplier>,
    /// Whether a plan without privacy may run on this shop's data.
    pub allow_no_privacy: bool,
    /// The owner paused.
    pub paused: bool,
    /// Most bytes to send within 24 hours.
    pub max_upload_bytes_per_day: Option<u64>,
    /// Whether plans without masking are declined.
    pub require_masking: bool,
    /// Least number of shops, this one included, whose sum a plan may unmask.
    pub min_masked_shops: Option<usize>,
    /// Least number of colluding shops that a plan reckons with.
    pub min_colluding: Option<usize>,
    /// Least number of others with whom a plan lets a shop make masks.
    pub min_neighbours: Option<usize>,
    /// How many shops' keys the owner has confirmed, this shop's own included.
    pub known_shops: usize,
}

/// What the shop looks up about an announced attempt before it answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Consideration {
    /// The plan or catalogue can't be read, or has no grid for this model.
    Unreadable,
    /// The plan does not name this shop.
    NotInPlan,
    /// By this shop's own ledger the attempt is beyond the plan's budget.
    BeyondPlan,
    /// What the attempt would take.
    Costs {
        /// z of the plan; none without privacy.
        noise_multiplier: Option<NoiseMultiplier>,
        /// Epsilon after this spend over the file's period, at the file's delta; none if there is no bound.
        epsilon_after: Option<Epsilon>,
        /// The shop's customers, as the plan declares them.
        declared_users: u64,
        /// Bytes of the update.
        upload_bytes: u64,
        /// Bytes sent within the last 24 hours.
        uploaded_today_bytes: u64,
        /// Of a masked plan; none without masking.
        masking: Option<MaskingOffered>,
        /// How long after the announcement (under masks: after R2) the update leaves; none: as soon as it is ready.
        upload_after: Option<Duration>,
    },
}

/// The numbers of a plan's masking that an owner may set limits to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MaskingOffered {
    /// n_min.
    pub min_shops: usize,
    /// t.
    pub colluding: usize,
    /// d: with how many others a shop makes masks while all of the plan's shops are there.
    pub neighbours: usize,
}

impl Policy {
    /// Whether epsilon at the shop's delta promises so many customers anything: a mechanism that publishes one of N whole has
    /// delta 1/N, and epsilon 0.
    pub fn promises_something(&self, declared_users: u64) -> bool {
        self.delta.get() * declared_users as f64 <= 1.0
    }
}

impl MaskingOffered {
    /// Of a plan; none without masking.
    pub fn of(plan: &Plan) -> Option<Self> {
        let masking = plan.masking_params()?;
        Some(Self {
            min_shops: masking.min_shops,
            colluding: masking.colluding,
            neighbours: masking.degree(plan.shops.len()),
        })
    }
}

impl Consideration {
    /// Whether the plan has masking.
    pub fn is_masked(&self) -> bool {
        matches!(self, Self::Costs { masking: Some(_), .. })
    }

    /// How long after the announcement, or R2, the update leaves.
    pub fn upload_after(&self) -> Option<Duration> {
        match self {
            Self::Costs { upload_after, .. } => *upload_after,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use souk_common::round::statements::{Decision, DeclineCode};

    use super::*;
    use crate::participate::decide;

    fn policy() -> Policy {
        Policy {
            max_epsilon: Epsilon::new(8.0).unwrap(),
            delta: Delta::new(1e-5).unwrap(),
            min_noise_multiplier: Some(NoiseMultiplier::new(1.0).unwrap()),
            allow_no_privacy: false,
            paused: false,
            max_upload_bytes_per_day: Some(1000),
            require_masking: false,
            min_masked_shops: None,
            min_colluding: None,
            min_neighbours: None,
            known_shops: 1,
        }
    }

    fn costs(noise: Option<f64>, epsilon: Option<f64>, upload_bytes: u64) -> Consideration {
        Consideration::Costs {
            noise_multiplier: noise.map(|z| NoiseMultiplier::new(z).unwrap()),
            epsilon_after: epsilon.map(|epsilon| Epsilon::new(epsilon).unwrap()),
            declared_users: 100_000,
            upload_bytes,
            uploaded_today_bytes: 100,
            masking: None,
            upload_after: None,
        }
    }

    fn masked(shops: usize) -> Consideration {
        Consideration::Costs {
            noise_multiplier: NoiseMultiplier::new(1.0).ok(),
            epsilon_after: Epsilon::new(1.0).ok(),
            declared_users: 100_000,
            upload_bytes: 1,
            uploaded_today_bytes: 0,
            masking: Some(MaskingOffered {
                min_shops: shops,
                colluding: 2,
                neighbours: 6,
            }),
            upload_after: None,
        }
    }

    #[test]
    fn an_owners_least_colluding_shops_and_neighbours_each_decline_by_their_own_reason_and_want_masks() {
        let with = |colluding, neighbours| Policy {
            min_colluding: colluding,
            min_neighbours: neighbours,
            known_shops: 9,
            ..policy()
        };
        let decline = Decision::Decline;
        // The plan has 2 and 6.
        let cases = [
            (with(Some(2), Some(6)), Decision::Accept),
            (with(Some(3), None), decline(DeclineCode::BelowColludingMinimum)),
            (with(None, Some(7)), decline(DeclineCode::BelowNeighbourMinimum)),
        ];
        for (policy, answer) in cases {
            assert_eq!(decide(&policy, &masked(8)), answer, "{policy:?}");
        }
        for policy in [with(Some(1), None), with(None, Some(1))] {
            let bare = decide(&policy, &costs(Some(2.0), Some(1.0), 1));
            assert_eq!(bare, decline(DeclineCode::MaskingRequired));
        }
    }

    #[test]
    fn what_a_plan_offers_is_its_own_numbers_or_those_that_follow_from_its_shops() {
        let plan = |more: &str| {
            let shops: String = (0..7)
                .map(|at| format!("[[shops]]\nname = 's{at}'\ndeclared_users = 10\n"))
                .collect();
            let text = format!(
                "name = 't'\nrounds = 1\n[model]\nkind = 'mf'\n[train]\nsolver = 'ials'\nalpha = 0.1\nlambda = 1.0\n\
                 [privacy]\nclip_norm = 1.0\nnoise_multiplier = 2.0\nsampling_rate = 0.5\n{more}[cohort]\nquorum = 6\n\
                 [server]\noptimiser = 'plain'\nlearning_rate = 1.0\n{shops}"
            );
            Plan::from_toml(&text).unwrap()
        };
        assert_eq!(MaskingOffered::of(&plan("")), None);
        let offered = MaskingOffered::of(&plan("[masking]\nmin_shops = 6\ncolluding = 2\n")).unwrap();
        assert_eq!(
            (offered.min_shops, offered.colluding, offered.neighbours),
            (6, 2, 6)
        );
    }

    #[test]
    fn sums_of_too_few_or_unknown_shops_and_bare_updates_are_declined_by_their_own_reasons() {
        let strict = Policy {
            require_masking: true,
            min_masked_shops: Some(4),
            known_shops: 5,
            ..policy()
        };
        let cases = [
            (
                costs(Some(2.0), Some(1.0), 1),
                Decision::Decline(DeclineCode::MaskingRequired),
            ),
            (masked(3), Decision::Decline(DeclineCode::BelowShopMinimum)),
            (masked(4), Decision::Accept),
            (masked(6), Decision::Decline(DeclineCode::TooFewKnownShops)),
        ];
        for (consideration, answer) in cases {
            assert_eq!(decide(&strict, &consideration), answer, "{consideration:?}");
        }
    }

    #[test]
    fn a_plan_within_every_limit_is_accepted_and_each_limit_declines_by_its_own_reason() {
        let decline = Decision::Decline;
        let cases = [
            (costs(Some(1.0), Some(8.0), 900), Decision::Accept),
            (
                costs(Some(0.99), Some(1.0), 1),
                decline(DeclineCode::BelowNoiseMinimum),
            ),
            (costs(Some(1.0), Some(8.001), 1), decline(DeclineCode::OverBudget)),
            (costs(Some(1.0), None, 1), decline(DeclineCode::OverBudget)),
            (costs(None, None, 1), decline(DeclineCode::PrivacyOff)),
            (
                costs(Some(1.0), Some(1.0), 901),
                decline(DeclineCode::OverUploadLimit),
            ),
            (Consideration::Unreadable, decline(DeclineCode::PlanNotUnderstood)),
            (Consideration::NotInPlan, decline(DeclineCode::NotInPlan)),
            (Consideration::BeyondPlan, decline(DeclineCode::OverBudget)),
        ];
        for (consideration, answer) in cases {
            assert_eq!(decide(&policy(), &consideration), answer, "{consideration:?}");
        }
        // Of 100 000 declared customers, more than one may be published whole at this delta.
        let careless = Policy {
            delta: Delta::new(1.01e-5).unwrap(),
            ..policy()
        };
        assert_eq!(
            decide(&careless, &costs(Some(1.0), Some(0.1), 1)),
            decline(DeclineCode::OverBudget)
        );
        let paused = Policy {
            paused: true,
            ..policy()
        };
        assert_eq!(
            decide(&paused, &costs(Some(2.0), Some(1.0), 1)),
            decline(DeclineCode::Paused)
        );
        let open = Policy {
            allow_no_privacy: true,
            ..policy()
        };
        assert_eq!(decide(&open, &costs(None, None, 1)), Decision::Accept);
    }
}
