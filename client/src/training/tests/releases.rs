//! Plans of releases: what a lying coordinator may say of the attempts that were charged, and of what was released.

use souk_common::learned::{Learned, Releases};
use souk_common::params::NoiseMultiplier;
use souk_common::release::map::PublicMap;
use souk_common::release::popularity::PopularityEstimate;
use souk_common::release::schedule::ReleaseKind;
use souk_common::release::state::NoisedSum;
use souk_common::update::UpdateValues;

use super::*;

const RELEASES: &str = "name = 'r'\n[privacy]\nnoise_multiplier = 0.6\n[cohort]\nquorum = 1\n\
    [[release]]\nkind = 'popularity'\nshare = 0.4\n[[release]]\nkind = 'collaborative'\nshare = 0.6\n\
    [[shops]]\nname = 'north'\ndeclared_users = 10\n";

/// A shop of a plan of two releases.
fn shop() -> Home {
    home_with(RELEASES, ORDERS, "[policy]\nmax_epsilon = 100\n")
}

/// An attempt that is announced on these releases.
fn announced(home: &Home, (round, attempt): (u64, u32), releases: &Releases) -> Announcement {
    let bytes = releases.to_bytes();
    let announcement = Announcement {
        id: AttemptId { round, attempt },
        model: Digest::of(&bytes),
        ..home.announcement.clone()
    };
    let blobs = Blob::all(announcement.plan, announcement.catalogue, announcement.model);
    let path = Folder::new(home.dir.path()).blob(&blobs[2]);
    souk_common::storage::write_whole(&path, &bytes, false).unwrap();
    announcement
}

fn take_part(attempts: &Attempts, announcement: &Announcement) -> anyhow::Result<NoiseMultiplier> {
    let mut draw = attempts.draw(announcement)?;
    attempts.charge(&mut draw, Timestamp(1))?;
    let ledger = attempts.ledger();
    let last = ledger
        .chain()
        .spends()
        .last()
        .map(|(_, spend)| spend.noise_multiplier);
    last.flatten().context("it was charged")
}

/// What the plan's first release makes of a sum.
fn after_popularity(attempts: &Attempts, home: &Home) -> (Learner, Releases) {
    let (plan, catalogue, _) = attempts.fetched(&home.announcement).unwrap();
    let learner = Learner::new(&plan, &catalogue);
    let sum = NoisedSum {
        values: UpdateValues::B32((0..learner.items() as u32).map(|item| 1000 + item).collect()),
        clip_units: 1000.0,
        noise_stddev: 0.1,
    };
    let id = AttemptId { round: 1, attempt: 1 };
    let (of_round, _) = learner.round(&learner.initial(), 1).unwrap();
    let noise = of_round.privacy.noise_multiplier;
    let released = learner.release(&Releases::default(), id, noise, sum).unwrap();
    (learner, released)
}

#[test]
fn an_attempt_that_the_coordinator_does_not_count_is_counted_by_the_shops_own_ledger() {
    let home = shop();
    let attempts = home.open().1.unwrap();
    let none = Releases::default();
    let mut honest = Releases::default();
    // Each takes .4 of the budget, for the coordinator notes neither.
    for attempt in [1, 2] {
        let announcement = announced(&home, (1, attempt), &none);
        let taken = attempts.consider(&announcement, Timestamp(1));
        assert!(matches!(taken, Consideration::Costs { .. }), "{taken:?}");
        let noise = take_part(&attempts, &announcement).unwrap();
        honest.charge(announcement.id, Some(noise));
    }
    let third = announced(&home, (1, 3), &none);
    let refused = attempts.consider(&third, Timestamp(1));
    assert!(matches!(refused, Consideration::BeyondPlan), "{refused:?}");
    // Nor by a word that was considered before it was changed.
    let said = format!("{:#}", take_part(&attempts, &third).unwrap_err());
    assert!(
        said.contains("does not count an attempt") && said.contains("round 1 attempt 3"),
        "{said}"
    );
    assert_eq!(attempts.spent().len(), 2, "and it was not charged");
    // One that counts them leaves room for more.
    take_part(&attempts, &announced(&home, (1, 4), &honest)).unwrap();
    let ledger = attempts.ledger();
    let spent: f64 = ledger
        .chain()
        .spends()
        .filter_map(|(_, spend)| spend.noise_multiplier)
        .map(|noise| noise.get().powi(-2))
        .sum();
    assert!(spent < 0.6f64.powi(-2), "{spent}");
}

#[test]
fn a_release_that_its_own_sum_does_not_make_is_refused_by_its_part() {
    let home = shop();
    let attempts = home.open().1.unwrap();
    let (_, honest) = after_popularity(&attempts, &home);
    let last = honest.last.clone().unwrap();
    let changed = |change: &dyn Fn(&mut souk_common::release::state::Released)| {
        let mut last = last.clone();
        change(&mut last);
        Releases {
            last: Some(last),
            ..honest.clone()
        }
    };
    let map = last.next.clone().unwrap();
    let mut other = map.values().to_vec();
    other[0] += 0.5;
    let other = PublicMap::published(map.columns(), other).unwrap();
    let mut more = last.popularity.values().to_vec();
    more[0] += 0.5;
    let more = PopularityEstimate::published(more, last.popularity.noise_stddev());
    let refused = |releases: &Releases, part: &str| {
        let said = format!(
            "{:#}",
            take_part(&attempts, &announced(&home, (2, 1), releases)).unwrap_err()
        );
        assert!(said.contains(part), "{part}: {said}");
    };
    refused(
        &changed(&|last| last.popularity = more.clone()),
        "published popularity",
    );
    refused(&changed(&|last| last.direction[0] += 0.5), "published direction");
    refused(
        &changed(&|last| last.next = Some(other.clone())),
        "published next map",
    );
    // A release that is checked by nobody before the record is, in place of the first.
    let another = changed(&|last| {
        last.kind = ReleaseKind::Collaborative;
        last.previous = Digest::of(b"some release");
        last.through = Some(map.clone());
        let sum = vec![0; map.items() * map.columns()];
        last.sum.values = UpdateValues::B32(sum);
    });
    refused(&another, "not the release before it");
    refused(&Releases::default(), "not the release before it");
    assert!(attempts.spent().is_empty(), "nothing was charged");
    take_part(&attempts, &announced(&home, (2, 1), &honest)).unwrap();
}

#[test]
fn a_shop_that_joins_after_the_first_release_takes_the_same_noise_as_the_others() {
    let home = shop();
    let attempts = home.open().1.unwrap();
    let (learner, honest) = after_popularity(&attempts, &home);
    let noise = take_part(&attempts, &announced(&home, (2, 1), &honest)).unwrap();
    let (of_round, _) = learner.round(&Learned::Releases(honest), 2).unwrap();
    assert_eq!(Some(noise), of_round.privacy.noise_multiplier);
    assert!((noise.get() - 0.6 / 0.6f64.sqrt()).abs() < 1e-9, "{noise}");
}
