//! When an update leaves: at the plan's offset, whoever was drawn and however long training took.

use std::time::Duration;

use souk_common::chain::LogHead;
use souk_common::ids::Digest;
use souk_common::params::{Epsilon, NoiseMultiplier};
use souk_common::round::statements::UploadHeader;

use super::*;

const OFFSET: Duration = Duration::from_millis(60_000);
const ANNOUNCED: Timestamp = Timestamp(1_000);

struct Shop {
    machine: Machine,
    key: AttemptKey,
}

impl Shop {
    /// A shop that has accepted at `ANNOUNCED` plus half a second.
    fn accepted(upload_after: Option<Duration>, masked: bool) -> Self {
        let log = LogHead {
            length: 1,
            head: Digest::ZERO,
        };
        let id = AttemptId { round: 1, attempt: 1 };
        let announcement = announcement(id, Digest::of(b"model"), log);
        let key = AttemptKey::from(&announcement);
        let mut machine = Machine::new(policy(), Memory::default());
        machine.handle(Timestamp(0), Event::Started);
        machine.handle(ANNOUNCED, Event::Announced(announcement.clone()));
        let mut shop = Self { machine, key };
        for blob in Blob::all(announcement.plan, announcement.catalogue, announcement.model) {
            shop.at(1_200, Event::BlobReady(blob));
        }
        let costs = Consideration::Costs {
            noise_multiplier: NoiseMultiplier::new(1.0).ok(),
            epsilon_after: Epsilon::new(1.0).ok(),
            upload_bytes: 4,
            uploaded_today_bytes: 0,
            declared_users: 100,
            masking: masked.then_some(MaskingOffered {
                min_shops: 1,
                colluding: 1,
                neighbours: 1,
            }),
            upload_after,
        };
        shop.at(1_500, Event::Considered(announcement, costs));
        shop
    }

    fn at(&mut self, now: i64, event: Event) -> Vec<Effect> {
        self.machine.handle(Timestamp(now), event)
    }

    fn pending(&self) -> Pending {
        Pending {
            key: self.key,
            header: UploadHeader {
                id: self.key.id,
                update: Digest::of(b"update"),
                len_bytes: 4,
                ledger_length: 1,
                ledger_head: Digest::ZERO,
            },
            binding: None,
            due: self.machine.upload_due(self.key),
        }
    }

    /// Training ends now: charge and outbox follow at once.
    fn trained(&mut self, now: i64) -> Vec<Effect> {
        self.at(now, Event::Computed(self.key));
        self.at(now, Event::SpendRecorded(self.key));
        let pending = self.pending();
        self.at(now, Event::InOutbox(pending))
    }
}

fn leaves_at(effects: &[Effect]) -> Option<i64> {
    effects.iter().find_map(|effect| match effect {
        Effect::Upload { at, .. } => Some(at.0),
        _ => None,
    })
}

fn late_by(effects: &[Effect]) -> Option<Duration> {
    effects.iter().find_map(|effect| match effect {
        Effect::Report(Note::TooSlow { by, .. }) => Some(*by),
        _ => None,
    })
}

#[test]
fn whether_training_took_a_moment_or_long_the_update_leaves_at_the_same_time() {
    for trained in [1_600, 15_000, 61_000] {
        let effects = Shop::accepted(Some(OFFSET), false).trained(trained);
        assert_eq!(
            (leaves_at(&effects), late_by(&effects)),
            (Some(61_000), None),
            "{trained}"
        );
    }
    // A plan without an offset means what it always meant.
    assert_eq!(
        leaves_at(&Shop::accepted(None, false).trained(15_000)),
        Some(15_000)
    );
}

#[test]
fn a_machine_that_is_too_slow_for_the_offset_sends_at_once_and_its_owner_is_told() {
    let effects = Shop::accepted(Some(OFFSET), false).trained(63_400);
    assert_eq!(leaves_at(&effects), Some(63_400));
    assert_eq!(late_by(&effects), Some(Duration::from_millis(2_400)));
    let told = effects.iter().find_map(|effect| match effect {
        Effect::Report(note @ Note::TooSlow { .. }) => Some(note.to_string()),
        _ => None,
    });
    let told = told.unwrap();
    assert!(
        told.contains("3 s after") && told.contains("too slow for the plan"),
        "{told}"
    );
}

#[test]
fn under_masks_the_offset_counts_from_the_first_time_that_r2_was_shown() {
    for trained in [1_600, 15_000, 75_000] {
        let mut shop = Shop::accepted(Some(OFFSET), true);
        let key = shop.key;
        shop.at(1_550, Event::Masked(MaskEvent::KeysReady(key)));
        if trained < 20_000 {
            shop.at(trained, Event::Computed(key));
        }
        let id = key.id;
        // R1 is not looked at by the machine.
        let roster = souk_common::secagg::Roster(Vec::new());
        shop.at(18_000, Event::Masked(MaskEvent::Rostered { id, roster }));
        for shown in [20_000, 30_000] {
            let shares = Vec::new();
            shop.at(
                shown - 1_000,
                Event::Masked(MaskEvent::SharesDelivered { id, shares }),
            );
            let sharers = Vec::new();
            shop.at(shown, Event::Masked(MaskEvent::SharersFixed { id, sharers }));
        }
        shop.at(30_100, Event::Masked(MaskEvent::MasksReady(key)));
        let ready = trained.max(30_200);
        let effects = shop.trained(ready);
        assert_eq!(
            (leaves_at(&effects), late_by(&effects)),
            (Some(80_000), None),
            "{trained}"
        );
    }
}

#[test]
fn no_lost_connection_repeated_announcement_or_crash_makes_an_update_leave_before_it_is_due() {
    let mut shop = Shop::accepted(Some(OFFSET), false);
    let effects = shop.trained(2_000);
    assert_eq!(leaves_at(&effects), Some(61_000));
    let pending = shop.machine.memory().outbox.unwrap();
    // What is read back after a crash: spends and outbox.
    let memory = Memory {
        spent: [shop.key].into(),
        outbox: Some(pending),
        ..Memory::default()
    };
    let crashed = Machine::new(policy(), memory);
    for mut machine in [shop.machine, crashed] {
        machine.handle(Timestamp(5_000), Event::Disconnected { jitter: 0.0 });
        let manifest = world::manifest(0, Digest::of(b"model"));
        let effects = machine.handle(Timestamp(6_000), Event::Welcomed(manifest));
        assert_eq!(leaves_at(&effects), Some(61_000), "back in time");
        machine.handle(Timestamp(62_000), Event::Disconnected { jitter: 0.0 });
        let manifest = world::manifest(0, Digest::of(b"model"));
        let effects = machine.handle(Timestamp(70_000), Event::Welcomed(manifest));
        assert_eq!(leaves_at(&effects), Some(70_000), "back after it");
    }
}

/// Found by the storm (seed 132): a clock that was set back held an update of a round that was long published, and its shop
/// with it, for as long as it had been set back.
#[test]
fn an_update_of_an_attempt_that_is_over_is_held_back_no_longer_when_the_clock_was_set_back() {
    let mut shop = Shop::accepted(Some(OFFSET), false);
    let id = shop.key.id;
    let effects = shop.trained(2_000);
    assert!(leaves_at(&effects) > Some(2_000));
    let outcome = souk_common::round::statements::Outcome::BelowQuorum {
        accepted: 0,
        quorum: 1,
    };
    let effects = shop.at(-3_600_000, Event::Ended { id, outcome });
    assert_eq!(leaves_at(&effects), Some(-3_600_000));
}
