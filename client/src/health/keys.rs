//! Other shops whose keys nobody has confirmed.

use std::path::PathBuf;

use souk_common::ids::Digest;
use souk_common::plan::Plan;
use souk_common::storage::disk::folder_of;

use super::Finding;
use crate::config::PolicyConfig;
use crate::folder::Folder;
use crate::membership::peers::{KeyStatus, Peers};
use crate::participate::{Blob, BlobKind};

/// What is to be said of members' keys; under masks (`masked`) only confirmed ones count.
pub(crate) fn judge(peers: &Peers, masked: bool) -> Finding {
    let of = |standing| -> Vec<&str> {
        let such = peers.members.iter().filter(|peer| peer.standing == standing);
        such.map(|peer| peer.shop.as_str()).collect()
    };
    let (changed, open) = (of(KeyStatus::Changed), of(KeyStatus::NotConfirmed));
    if !changed.is_empty() {
        return Finding::bad(format!(
            "the key of {} is not the one that is confirmed here: call its owner, and ask why; `souk-client shops` shows it",
            changed.join(", ")
        ));
    }
    let how = "call its owner and confirm it with `souk-client confirm --list FILE` (all at once) or `souk-client shops --trust \
               NAME=FINGERPRINT`";
    match (open.is_empty(), masked) {
        (true, _) => Finding::good("of all other members' keys each is the one that is confirmed here"),
        (false, true) => Finding::warning(format!(
            "not confirmed: {}. In masked rounds only confirmed shops count, and with too few this shop declines: {how}",
            open.join(", ")
        )),
        (false, false) => Finding::good(format!(
            "not confirmed: {}, which matters in masked rounds only: {how}",
            open.join(", ")
        )),
    }
}

/// Whether confirmed keys count: by a plan that this shop has, or by its own rules.
pub(crate) fn count(folder: &Folder, policy: &PolicyConfig) -> bool {
    let wants = policy.require_masking
        || policy.min_masked_shops.is_some()
        || policy.min_colluding.is_some()
        || policy.min_neighbours.is_some();
    let kind = BlobKind::Plan;
    let of_plans = folder.blob(&Blob {
        kind,
        digest: Digest::ZERO,
    });
    let plans = folder.disk().list(folder_of(&of_plans)).unwrap_or_default();
    let is_masked = |path: &PathBuf| {
        let plan = folder
            .disk()
            .read(path)
            .ok()
            .and_then(|bytes| Plan::from_bytes(&bytes).ok());
        plan.is_some_and(|plan| plan.masking_params().is_some())
    };
    wants || plans.iter().any(is_masked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::HealthLevel;
    use crate::membership::peers::Peer;

    fn peers(standings: &[(&str, KeyStatus)]) -> Peers {
        let peer = |(name, standing): &(&str, KeyStatus)| Peer {
            shop: name.parse().unwrap(),
            fingerprint: Digest::ZERO,
            standing: *standing,
        };
        Peers {
            shop: "north".parse().unwrap(),
            fingerprint: Digest::ZERO,
            members: standings.iter().map(peer).collect(),
        }
    }

    #[test]
    fn keys_that_nobody_confirmed_are_warned_of_where_they_count_and_changed_ones_always() {
        use KeyStatus::{Changed, Confirmed, NotConfirmed, Own};
        let own = ("north", Own);
        let all = peers(&[own, ("south", Confirmed)]);
        assert_eq!(judge(&all, true).level, HealthLevel::Good);
        let open = peers(&[own, ("south", NotConfirmed), ("west", NotConfirmed)]);
        let (masked, bare) = (judge(&open, true), judge(&open, false));
        assert_eq!(
            (masked.level, bare.level),
            (HealthLevel::Warning, HealthLevel::Good)
        );
        for text in [masked.text, bare.text] {
            assert!(
                text.contains("south, west") && text.contains("souk-client confirm"),
                "{text}"
            );
        }
        let changed = judge(&peers(&[own, ("south", Changed), ("west", NotConfirmed)]), false);
        assert!(
            changed.level == HealthLevel::Bad && changed.text.contains("south"),
            "{}",
            changed.text
        );
    }

    #[test]
    fn keys_count_where_a_plan_or_the_owner_wants_masks() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let mut policy = PolicyConfig::default();
        assert!(!count(&folder, &policy));
        policy.min_masked_shops = Some(3);
        assert!(count(&folder, &policy));
        let plan = |masking: &str| {
            format!(
                "name = 'spring'\nrounds = 1\n[model]\nkind = 'mf'\n[train]\nsolver = 'ials'\nalpha = 0.1\nlambda = 1.0\n[privacy]\n\
                 clip_norm = 1.0\nnoise_multiplier = 2.0\nsampling_rate = 0.5\n[cohort]\nquorum = 3\n[server]\noptimiser = 'plain'\n\
                 learning_rate = 1.0\n{masking}[[shops]]\nname = 'a'\ndeclared_users = 10\n[[shops]]\nname = 'b'\ndeclared_users = 10\n\
                 [[shops]]\nname = 'c'\ndeclared_users = 10\n"
            )
        };
        std::fs::create_dir(dir.path().join("plans")).unwrap();
        for (masking, counts) in [("", false), ("[masking]\nmin_shops = 3\ncolluding = 1\n", true)] {
            let plan = Plan::from_toml(&plan(masking)).unwrap();
            std::fs::write(dir.path().join("plans/plan.json"), plan.to_bytes()).unwrap();
            assert_eq!(count(&folder, &PolicyConfig::default()), counts, "{masking}");
        }
    }
}
