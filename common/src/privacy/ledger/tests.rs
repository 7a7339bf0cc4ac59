//! Proofs of the ledger: nothing is acknowledged that is not durable, nothing durable is lost, nothing edited is taken.

use std::io;

use super::*;
use crate::params::{ClipNorm, NoiseMultiplier, SamplingRate};

fn shop() -> ShopName {
    "north".parse().unwrap()
}

fn delta() -> Delta {
    Delta::new(1e-5).unwrap()
}

fn spend(round: u64, noise: Option<f64>) -> Spend {
    Spend {
        plan: Digest::of(b"plan"),
        round,
        attempt: 1,
        noise_multiplier: noise.map(|z| NoiseMultiplier::new(z).unwrap()),
        sampling_rate: SamplingRate::new(0.1).unwrap(),
        clip_norm: ClipNorm::new(1.0).unwrap(),
        shared: None,
    }
}

fn ledger_of(rounds: u64) -> Vec<u8> {
    let mut ledger = Ledger::open(MemorySink::default(), &[], &shop(), Timestamp(1)).unwrap();
    for round in 1..=rounds {
        ledger.charge(spend(round, Some(1.0)), Timestamp(2)).unwrap();
    }
    ledger.sink.0
}

/// Opens a copy of `bytes`, and gives the ledger with all bytes in its sink.
fn reopen(bytes: &[u8]) -> Result<Ledger<MemorySink>, LedgerError> {
    Ledger::open(MemorySink(bytes.to_vec()), bytes, &shop(), Timestamp(9))
}

/// A disk that dies after so many bytes.
struct Dying {
    written: Vec<u8>,
    left: usize,
}

impl LedgerSink for Dying {
    fn append_durably(&mut self, bytes: &[u8]) -> io::Result<()> {
        let taken = bytes.len().min(self.left);
        self.written.extend_from_slice(&bytes[..taken]);
        self.left -= taken;
        if taken < bytes.len() {
            Err(io::Error::other("power cut"))
        } else {
            Ok(())
        }
    }
}

#[test]
fn a_crash_at_every_byte_of_every_write_loses_no_acknowledged_spend() {
    let whole = ledger_of(3);
    for left in 0..=whole.len() {
        let mut acknowledged = 0;
        let sink = Dying {
            written: Vec::new(),
            left,
        };
        let written = match Ledger::open(sink, &[], &shop(), Timestamp(1)) {
            Err(error) => {
                assert!(matches!(error, LedgerError::Sink(_)));
                whole[..left].to_vec()
            }
            Ok(mut ledger) => {
                for round in 1..=3 {
                    match ledger.charge(spend(round, Some(1.0)), Timestamp(2)) {
                        Ok(charged) => acknowledged = charged.spend().round,
                        Err(_) => break,
                    }
                }
                if ledger.failed {
                    let refused = ledger.charge(spend(9, Some(1.0)), Timestamp(2));
                    assert!(
                        matches!(refused, Err(LedgerError::Failed)),
                        "nothing is taken after a failure"
                    );
                }
                ledger.sink.written
            }
        };
        assert_eq!(written, whole[..left]);
        let again = reopen(&written).unwrap_or_else(|error| panic!("after {left} bytes: {error}"));
        let spends = again.chain().spends().count() as u64;
        assert!(
            spends >= acknowledged,
            "{spends} of {acknowledged} after {left} bytes"
        );
        assert!(spends <= acknowledged + 1);
        assert!(again.sink.0.starts_with(&written), "the file only ever grows");
        assert_eq!(Chain::read(&again.sink.0).unwrap(), again.chain, "and reads back");
    }
}

#[test]
fn a_disk_that_was_full_for_a_while_is_gone_on_with_and_what_failed_counts() {
    let whole = ledger_of(1).len();
    let line = ledger_of(2).len() - whole;
    for taken in 0..=line {
        let sink = Dying {
            written: Vec::new(),
            left: whole + taken,
        };
        let mut ledger = Ledger::open(sink, &[], &shop(), Timestamp(1)).unwrap();
        let first = ledger.charge(spend(1, Some(1.0)), Timestamp(2)).unwrap();
        let failed = ledger.charge(spend(2, Some(1.0)), Timestamp(2)).is_err();
        assert_eq!((failed, ledger.has_failed()), (taken < line, taken < line));
        if failed {
            let held = ledger.sink.written.clone();
            if taken > 0 {
                // Still full: the torn line can't be accounted for.
                assert!(ledger.go_on(&held, Timestamp(3)).is_err());
                assert!(ledger.charge(spend(3, Some(1.0)), Timestamp(3)).is_err());
            }
            ledger.sink.left = usize::MAX;
            let held = ledger.sink.written.clone();
            let lost = &held[..held.len().min(whole - 10)];
            assert!(ledger.go_on(lost, Timestamp(3)).is_err(), "it was acknowledged");
            ledger.go_on(&held, Timestamp(3)).unwrap();
        }
        ledger.sink.left = usize::MAX;
        ledger.charge(spend(3, Some(1.0)), Timestamp(4)).unwrap();
        let read = Chain::read(&ledger.sink.written).unwrap();
        assert_eq!(read, ledger.chain, "it reads back");
        read.must_contain(first.head()).unwrap();
        let expected = 2 + usize::from(taken > 0);
        assert_eq!(read.spends().count(), expected, "after {taken} of {line} bytes");
    }
}

#[test]
fn a_crash_at_every_byte_of_the_repair_loses_nothing_either() {
    let whole = ledger_of(2);
    let torn = &whole[..whole.len() - 25];
    let repaired = reopen(torn).unwrap().sink.0;
    for left in 0..=repaired.len() - torn.len() {
        let cut = &repaired[..torn.len() + left];
        let again = reopen(cut).unwrap_or_else(|error| panic!("after {left} bytes of the repair: {error}"));
        assert!((2..=3).contains(&again.chain().spends().count()));
        // And once more, through a second repair that died.
        let twice = &again.sink.0[..again.sink.0.len() - usize::from(again.sink.0.len() > cut.len() + 1)];
        assert!(reopen(twice).unwrap().chain().spends().count() >= 2);
    }
}

#[test]
fn a_torn_line_is_charged_at_its_own_terms_if_whole_and_else_at_the_costliest() {
    let mut ledger = reopen(&ledger_of(1)).unwrap();
    ledger.charge(spend(2, Some(0.5)), Timestamp(2)).unwrap();
    let before = ledger.sink.0.len();
    ledger.charge(spend(3, Some(4.0)), Timestamp(2)).unwrap();
    let bytes = ledger.sink.0;
    let noise = |bytes: &[u8]| {
        let ledger = reopen(bytes).unwrap();
        let last = ledger.chain().spends().last().unwrap().1.noise_multiplier;
        last.unwrap().get()
    };
    assert_eq!(
        noise(&bytes[..bytes.len() - 1]),
        4.0,
        "only the line end is missing"
    );
    let repair_died = [&bytes[..bytes.len() - 1], b"~torn\n{\"seq\""].concat();
    assert_eq!(noise(&repair_died), 4.0, "and the repair of that died");
    assert_eq!(noise(&bytes[..before + 10]), 0.5);
}

#[test]
fn edited_swapped_removed_and_added_lines_are_refused_by_number() {
    let text = String::from_utf8(ledger_of(4)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let joined = |lines: &[&str]| format!("{}\n", lines.join("\n"));
    let edited = text.replacen("\"round\":2", "\"round\":7", 1);
    let last = text.replacen("\"round\":4", "\"round\":7", 1);
    let cut = joined(&[lines[0], lines[1], &lines[2][..40], lines[3], lines[4]]);
    // The same hash by its value.
    let (body, hash) = text.trim_end().rsplit_once("\"hash\":").unwrap();
    let upper = format!("{body}\"hash\":{}\n", hash.to_uppercase());
    let cases = [
        (edited, 3),
        (upper, 5),
        (last, 5),
        (joined(&[lines[0], lines[2], lines[1], lines[3], lines[4]]), 2),
        (joined(&[lines[0], lines[1], lines[3], lines[4]]), 3),
        (joined(&[lines[0], lines[1], lines[1], lines[2]]), 3),
        (joined(&lines[1..]), 1),
        (cut, 3),
        (joined(&[lines[0], "", lines[1]]), 2),
    ];
    for (text, line) in cases {
        match reopen(text.as_bytes()) {
            Err(LedgerError::Broken { line: found, .. }) => assert_eq!(found, line, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn a_ledger_of_another_unit_or_relation_is_refused() {
    for (version, unit, relation) in [
        (1, "record", "add-remove"),
        (1, "user", "replace"),
        (2, "user", "add-remove"),
    ] {
        let genesis = LedgerEntry::Genesis {
            version,
            unit: unit.into(),
            relation: relation.into(),
            skipped: None,
        };
        let (_, line) = Chain::default().next(genesis, &shop(), Timestamp(1));
        let error = reopen(format!("{line}\n").as_bytes()).unwrap_err().to_string();
        let found = format!("version {version}, unit {unit:?}, relation {relation:?} are not what");
        assert!(error.contains("line 1") && error.contains(&found), "{error}");
    }
}

#[test]
fn another_shops_ledger_is_refused_by_name() {
    let error = Ledger::open(
        MemorySink::default(),
        &ledger_of(1),
        &"south".parse().unwrap(),
        Timestamp(1),
    )
    .unwrap_err()
    .to_string();
    assert!(error.contains("belongs to shop north"), "{error}");
}

#[test]
fn a_ledger_put_back_from_a_backup_is_noticed_by_what_was_seen_of_it() {
    let old = reopen(&ledger_of(2)).unwrap();
    let new = reopen(&ledger_of(3)).unwrap();
    assert!(new.chain().must_contain(old.head()).is_ok() && new.chain().must_contain(new.head()).is_ok());
    assert!(matches!(
        old.chain().must_contain(new.head()),
        Err(LedgerError::RolledBack { .. })
    ));
    let empty = LogHead {
        length: 0,
        head: Digest::ZERO,
    };
    assert!(old.chain().must_contain(empty).is_ok());
}

#[test]
fn epsilon_grows_with_every_spend_as_foreseen_and_ends_with_an_unprotected_one() {
    let mut ledger = reopen(&ledger_of(1)).unwrap();
    let first = ledger.epsilon(delta()).unwrap();
    let foreseen = ledger.would_spend(&spend(2, Some(1.0)), delta(), None).unwrap();
    ledger.charge(spend(2, Some(1.0)), Timestamp(5)).unwrap();
    assert!(foreseen > first);
    assert_eq!(ledger.epsilon(delta()), Some(foreseen));
    // Of the period that began after the first spend: one spend, and one more.
    let since = Some(Timestamp(5));
    assert_eq!(ledger.chain().composition(since).epsilon(delta()), Some(first));
    assert_eq!(
        ledger.would_spend(&spend(3, Some(1.0)), delta(), since),
        Some(foreseen)
    );
    assert_eq!(ledger.would_spend(&spend(3, None), delta(), None), None);
    ledger.charge(spend(3, None), Timestamp(6)).unwrap();
    assert_eq!(ledger.epsilon(delta()), None);
    assert_eq!(
        Chain::read(&ledger.sink.0)
            .unwrap()
            .composition(None)
            .epsilon(delta()),
        None
    );
}

#[test]
fn a_release_against_a_charge_for_less_noise_or_another_clip_is_refused() {
    use crate::params::Weight;
    use crate::privacy::{NoiseVector, ReleaseError, UserSum};
    use crate::update::{Grid, ModulusBits};
    let mut ledger = reopen(&ledger_of(0)).unwrap();
    let mut finish = |clip_norm: f64, z: f64, noise: Option<f64>| {
        let grid = Grid {
            bits: ModulusBits::B32,
            log2_clip: 16,
            clip_norm,
            noise_stddev: z * 65_536.0,
        };
        let noise_vector = NoiseVector::draw(&grid, 4, &mut crate::rng::stream(1, "gate"));
        let charged = ledger.charge(spend(1, noise), Timestamp(2)).unwrap();
        UserSum::new(&grid, Weight::new(1.0).unwrap(), noise_vector).finish(&charged)
    };
    assert!(finish(1.0, 0.7, Some(0.7)).is_ok());
    assert!(finish(1.0, 0.0, None).is_ok());
    assert!(matches!(
        finish(1.0, 0.5, Some(0.7)),
        Err(ReleaseError::Noise { .. })
    ));
    assert!(matches!(
        finish(2.0, 0.7, Some(0.7)),
        Err(ReleaseError::Clip { .. })
    ));
}

#[test]
fn distributed_noise_is_more_to_readers_and_less_if_every_other_shop_is_invented() {
    let shared = |min_shops, colluding| Some(SharedNoise { min_shops, colluding });
    let of = |shared, z: f64| {
        let mut ledger = Ledger::open(MemorySink::default(), &[], &shop(), Timestamp(1)).unwrap();
        let charged = Spend {
            shared,
            ..spend(1, Some(z))
        };
        ledger.charge(charged, Timestamp(2)).unwrap();
        move |view| {
            ledger
                .chain()
                .composition_as(view, None)
                .epsilon(delta())
                .map(Epsilon::get)
        }
    };
    let local = |z| of(None, z)(Observer::Colluding).unwrap();
    // n_min 5, t 1: sqrt(5/4), and half.
    let five = of(shared(5, 1), 2.0);
    assert_eq!(five(Observer::Colluding), Some(local(2.0)));
    assert!((five(Observer::Readers).unwrap() - local(2.0 * 1.25f64.sqrt())).abs() < 1e-9);
    assert!((five(Observer::Alone).unwrap() - local(1.0)).abs() < 1e-9);
    assert!(
        five(Observer::Readers) < five(Observer::Colluding)
            && five(Observer::Colluding) < five(Observer::Alone)
    );
    // Whatever is not shared looks the same from everywhere; what is next to nothing alone has no bound.
    let bare = of(None, 2.0);
    assert!(
        [Observer::Readers, Observer::Alone]
            .iter()
            .all(|view| bare(*view) == Some(local(2.0)))
    );
    assert_eq!(of(shared(101, 1), 0.005)(Observer::Alone), None);
    assert!(of(shared(101, 1), 0.005)(Observer::Readers).is_some());
}

/// The coordinator's word for the update that a ledger of `bytes` was last charged for.
fn receipt(bytes: &[u8], stored_at: i64) -> Witnessed {
    Witnessed {
        ledger: Chain::read(bytes).unwrap().head(),
        at: Timestamp(stored_at),
    }
}

#[test]
fn a_ledger_that_was_charged_for_what_it_lost_accounts_for_it_and_for_nothing_later() {
    let whole = ledger_of(5);
    let newest = receipt(&whole, 500);
    let mut ledger = reopen(&ledger_of(2)).unwrap();
    assert!(matches!(
        ledger.chain().must_account_for(&newest),
        Err(LedgerError::RolledBack { .. })
    ));
    // Of three lost spends two are known.
    let known = vec![
        (Digest([3; 32]), spend(3, Some(1.0))),
        (newest.ledger.head, spend(5, Some(1.0))),
    ];
    let told = Lost {
        known,
        unknown: 1,
        newest,
    };
    ledger.charge_lost(told, Timestamp(9)).unwrap();
    let lost = reopen(&whole).unwrap();
    assert!(
        ledger.epsilon(delta()) > lost.epsilon(delta()),
        "one more than were lost"
    );
    assert_eq!(ledger.chain().spends().count(), 6);
    let again = reopen(&ledger.sink.0).unwrap();
    for ledger in [&ledger, &again] {
        assert!(ledger.chain().must_account_for(&newest).is_ok());
        assert!(ledger.chain().must_continue(newest.ledger).is_ok());
        // Elsewhere the lost ledger went on: that is not accounted for.
        let later = receipt(&ledger_of(6), 501);
        assert!(ledger.chain().must_account_for(&later).is_err());
        assert!(ledger.chain().must_continue(later.ledger).is_err());
        assert!(ledger.chain().has_recovered(&newest.ledger.head));
        assert!(!ledger.chain().has_recovered(&later.ledger.head));
        assert_eq!(ledger.chain().recovered_below(7), Some(6));
    }
    // The same shown again under a later date: it is noted, and costs nothing again.
    let redated = receipt(&whole, 900);
    assert!(ledger.chain().must_account_for(&redated).is_err());
    let nothing = Lost {
        known: Vec::new(),
        unknown: 0,
        newest: redated,
    };
    ledger.charge_lost(nothing, Timestamp(10)).unwrap();
    assert!(ledger.chain().must_account_for(&redated).is_ok());
    assert_eq!(ledger.chain().spends().count(), 6);
}

#[test]
fn a_record_of_a_recovery_from_before_heads_were_noted_is_read_as_it_was() {
    let old = r#"{"seq":7,"prev":"0000000000000000000000000000000000000000000000000000000000000000","time":9,"shop":"north","kind":"recovered","lost":{"length":6,"head":"0101010101010101010101010101010101010101010101010101010101010101"},"until":500,"spend":null}"#;
    let record: Record = serde_json::from_str(old).unwrap();
    assert!(matches!(&record.entry, LedgerEntry::Recovered { charged, .. } if charged.is_empty()));
    assert_eq!(serde_json::to_string(&record).unwrap(), old);
}

#[test]
fn a_crash_at_every_byte_of_a_recovery_leaves_it_undone_or_over_counted() {
    let (short, newest) = (ledger_of(1), receipt(&ledger_of(3), 500));
    let told = || Lost {
        known: vec![
            (Digest([2; 32]), spend(2, Some(1.0))),
            (Digest([3; 32]), spend(3, Some(1.0))),
        ],
        unknown: 0,
        newest,
    };
    let mut whole = reopen(&short).unwrap();
    whole.charge_lost(told(), Timestamp(9)).unwrap();
    let added = whole.sink.0.len() - short.len();
    for left in 0..=added {
        let sink = Dying {
            written: short.clone(),
            left,
        };
        let mut ledger = Ledger::open(sink, &short, &shop(), Timestamp(9)).unwrap();
        let done = ledger.charge_lost(told(), Timestamp(9)).is_ok();
        let mut after = reopen(&ledger.sink.written).unwrap();
        assert_eq!(done, left == added);
        if after.chain().must_account_for(&newest).is_err() {
            after.charge_lost(told(), Timestamp(9)).unwrap();
        }
        // All are of the same terms: as many spends are as much epsilon.
        let count = after.chain().spends().count();
        assert!(count >= whole.chain().spends().count(), "{left}: {count}");
    }
}
