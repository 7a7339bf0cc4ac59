//! Everything that a shop's own rules have against an attempt, with the numbers and the remedy.

use souk_common::params::{Epsilon, rounded_up};
use souk_common::round::statements::{Decision, DeclineCode};

use super::policy::{Consideration, MaskingOffered, Policy};

/// A reason to decline.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyRefusal {
    /// What the coordinator is told.
    pub code: DeclineCode,
    /// What the owner is told.
    pub words: String,
}

/// The shop's answer.
pub fn decide(policy: &Policy, consideration: &Consideration) -> Decision {
    match refusals(policy, consideration).first() {
        Some(refusal) => Decision::Decline(refusal.code),
        None => Decision::Accept,
    }
}

/// All reasons, the one that is told to the coordinator first; none: the shop accepts.
pub fn refusals(policy: &Policy, consideration: &Consideration) -> Vec<PolicyRefusal> {
    let mut found = Vec::new();
    let mut refuse = |code, words: String| found.push(PolicyRefusal { code, words });
    if policy.paused {
        let words = "[policy] pause is true in shop.toml: set it to false to take part";
        refuse(DeclineCode::Paused, words.to_owned());
    }
    let (noise, epsilon_after, declared, upload, today, masking) = match *consideration {
        Consideration::Unreadable => {
            let words = "the plan is not understood, and the log of `run` says why: update souk-client, or ask the operator";
            refuse(DeclineCode::PlanNotUnderstood, words.to_owned());
            return found;
        }
        Consideration::NotInPlan => {
            let words = "the plan does not name this shop: ask the operator for one that does";
            refuse(DeclineCode::NotInPlan, words.to_owned());
            return found;
        }
        Consideration::BeyondPlan => {
            let words = "by this shop's own ledger the next round is beyond the plan's budget: the coordinator does not count an \
                attempt that was charged here; ask the operator";
            refuse(DeclineCode::OverBudget, words.to_owned());
            return found;
        }
        Consideration::Costs {
            noise_multiplier,
            epsilon_after,
            declared_users,
            upload_bytes,
            uploaded_today_bytes,
            masking,
            upload_after: _,
        } => (
            noise_multiplier,
            epsilon_after,
            declared_users,
            upload_bytes,
            uploaded_today_bytes,
            masking,
        ),
    };
    against_masking(policy, masking, &mut refuse);
    match noise {
        None if !policy.allow_no_privacy => {
            let words = "the plan adds no noise, and [policy] allow_no_privacy in shop.toml is false: ask the operator for a plan \
                with privacy";
            refuse(DeclineCode::PrivacyOff, words.to_owned());
        }
        None => {}
        Some(noise) => {
            if let Some(least) = policy.min_noise_multiplier.filter(|least| noise < *least) {
                let words = format!(
                    "the next round's noise multiplier is {noise}, and [policy] min_noise_multiplier in shop.toml {least}: ask the \
                     operator for more noise, or lower it"
                );
                refuse(DeclineCode::BelowNoiseMinimum, words);
            }
            if !policy.promises_something(declared) {
                let words = format!(
                    "[policy] delta in shop.toml is {}, more than one over the {declared} customers that the plan declares for this \
                     shop, so no epsilon at it promises anything; set {:e} or less",
                    policy.delta,
                    1.0 / declared as f64
                );
                refuse(DeclineCode::OverBudget, words);
            }
            if epsilon_after.is_none_or(|epsilon| epsilon > policy.max_epsilon) {
                let after =
                    epsilon_after.map_or("without bound".to_owned(), |after| rounded_up(after.get(), 3));
                let words = format!(
                    "with the next round epsilon would be {after}, and [policy] max_epsilon in shop.toml is {}: `souk-client budget` \
                     shows what was spent; raise the limit, name a period_days, or take no further part",
                    rounded_up(Epsilon::get(policy.max_epsilon), 3)
                );
                refuse(DeclineCode::OverBudget, words);
            }
        }
    }
    let most = policy.max_upload_bytes_per_day.unwrap_or(u64::MAX);
    if today.saturating_add(upload) > most {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        let words = format!(
            "the next update has {:.1} MB and {:.1} MB were sent within 24 hours, and [policy] max_upload_mb_per_day in shop.toml is {}: \
             wait, or raise it",
            mb(upload),
            mb(today),
            mb(most)
        );
        refuse(DeclineCode::OverUploadLimit, words);
    }
    found
}

fn against_masking(
    policy: &Policy,
    masking: Option<MaskingOffered>,
    refuse: &mut impl FnMut(DeclineCode, String),
) {
    let limits = [
        ("min_masked_shops", policy.min_masked_shops),
        ("min_colluding", policy.min_colluding),
        ("min_neighbours", policy.min_neighbours),
    ];
    let Some(masking) = masking else {
        let limit = limits.iter().find(|(_, limit)| limit.is_some());
        let wants = policy.require_masking.then_some("require_masking");
        if let Some(key) = wants.or(limit.map(|(key, _)| *key)) {
            let words = format!(
                "the plan has no masking, and [policy] {key} in shop.toml wants it: ask the operator for a plan with [masking]"
            );
            refuse(DeclineCode::MaskingRequired, words);
        }
        return;
    };
    let offered = [masking.min_shops, masking.colluding, masking.neighbours];
    let about = [
        (DeclineCode::BelowShopMinimum, "unmasks sums of as few shops as"),
        (
            DeclineCode::BelowColludingMinimum,
            "reckons with no more colluding shops than",
        ),
        (
            DeclineCode::BelowNeighbourMinimum,
            "makes masks with no more neighbours than",
        ),
    ];
    for (((key, least), offered), (code, what)) in limits.into_iter().zip(offered).zip(about) {
        if let Some(least) = least.filter(|least| offered < *least) {
            let words = format!(
                "the plan {what} {offered}, and [policy] {key} in shop.toml is {least}: ask the operator for another plan, or lower it"
            );
            refuse(code, words);
        }
    }
    if policy.known_shops < masking.min_shops {
        let words = format!(
            "the plan's sums are of at least {} shops, and with this one {} have keys that are confirmed here: confirm {} more \
             (`souk-client confirm --list FILE`, or `souk-client shops --trust NAME=FINGERPRINT`)",
            masking.min_shops,
            policy.known_shops,
            masking.min_shops - policy.known_shops
        );
        refuse(DeclineCode::TooFewKnownShops, words);
    }
}

#[cfg(test)]
mod tests {
    use souk_common::params::{Delta, NoiseMultiplier};

    use super::*;

    fn policy() -> Policy {
        Policy {
            max_epsilon: Epsilon::new(8.0).unwrap(),
            delta: Delta::new(1e-5).unwrap(),
            min_noise_multiplier: None,
            allow_no_privacy: false,
            paused: false,
            max_upload_bytes_per_day: None,
            require_masking: false,
            min_masked_shops: None,
            min_colluding: None,
            min_neighbours: None,
            known_shops: 5,
        }
    }

    fn costs(noise: Option<f64>, masking: Option<MaskingOffered>) -> Consideration {
        Consideration::Costs {
            noise_multiplier: noise.map(|z| NoiseMultiplier::new(z).unwrap()),
            epsilon_after: Some(Epsilon::new(9.0625).unwrap()),
            declared_users: 2000,
            upload_bytes: 3_000_000,
            uploaded_today_bytes: 1_500_000,
            masking,
            upload_after: None,
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once_each_with_its_key_its_numbers_and_what_to_do() {
        let strict = Policy {
            delta: Delta::new(1e-3).unwrap(),
            min_noise_multiplier: NoiseMultiplier::new(2.5).ok(),
            paused: true,
            max_upload_bytes_per_day: Some(4_000_000),
            min_masked_shops: Some(6),
            min_colluding: Some(3),
            min_neighbours: Some(8),
            known_shops: 2,
            ..policy()
        };
        let offered = MaskingOffered {
            min_shops: 5,
            colluding: 2,
            neighbours: 6,
        };
        let found = refusals(&strict, &costs(Some(2.0), Some(offered)));
        let wanted: [(DeclineCode, &[&str]); 9] = [
            (DeclineCode::Paused, &["pause", "false"]),
            (
                DeclineCode::BelowShopMinimum,
                &["min_masked_shops", "as few shops as 5", "is 6"],
            ),
            (
                DeclineCode::BelowColludingMinimum,
                &["min_colluding", "than 2", "is 3"],
            ),
            (
                DeclineCode::BelowNeighbourMinimum,
                &["min_neighbours", "than 6", "is 8"],
            ),
            (
                DeclineCode::TooFewKnownShops,
                &["at least 5 shops", "this one 2 have", "confirm 3 more", "--list"],
            ),
            (
                DeclineCode::BelowNoiseMinimum,
                &["multiplier is 2", "min_noise_multiplier", "2.5"],
            ),
            (
                DeclineCode::OverBudget,
                &["delta", "0.001", "2000 customers", "set 5e-4 or less"],
            ),
            (
                DeclineCode::OverBudget,
                &["9.063", "max_epsilon", "8.000", "budget"],
            ),
            (
                DeclineCode::OverUploadLimit,
                &["3.0 MB", "1.5 MB", "max_upload_mb_per_day", "is 4"],
            ),
        ];
        assert_eq!(found.len(), wanted.len(), "{found:#?}");
        for (refusal, (code, words)) in found.iter().zip(wanted) {
            assert_eq!(refusal.code, code);
            assert!(
                words.iter().all(|word| refusal.words.contains(word)),
                "{words:?}: {refusal:?}"
            );
        }
    }

    #[test]
    fn what_a_plan_lacks_and_what_can_not_be_read_is_told_with_whom_to_ask() {
        let wants = |key: &str| match key {
            "require_masking" => Policy {
                require_masking: true,
                ..policy()
            },
            _ => Policy {
                min_colluding: Some(1),
                ..policy()
            },
        };
        for key in ["require_masking", "min_colluding"] {
            let found = refusals(&wants(key), &costs(None, None));
            assert_eq!(found[0].code, DeclineCode::MaskingRequired);
            assert!(
                found[0].words.contains(key) && found[0].words.contains("operator"),
                "{found:?}"
            );
            assert_eq!((found.len(), found[1].code), (2, DeclineCode::PrivacyOff));
            assert!(found[1].words.contains("allow_no_privacy"), "{found:?}");
        }
        for (consideration, code) in [
            (Consideration::Unreadable, DeclineCode::PlanNotUnderstood),
            (Consideration::NotInPlan, DeclineCode::NotInPlan),
            (Consideration::BeyondPlan, DeclineCode::OverBudget),
        ] {
            let found = refusals(&policy(), &consideration);
            assert!(
                found.len() == 1 && found[0].code == code && found[0].words.contains("operator"),
                "{found:?}"
            );
        }
    }
}
