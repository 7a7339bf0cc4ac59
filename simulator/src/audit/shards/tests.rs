use std::fs;

use super::*;
use crate::audit::canaries::CanaryKind;
use crate::audit::mechanism::{AuditedPlan, AuditedRound};
use crate::audit::mutations::Mechanism;
use crate::audit::subject::tests::made_up;

struct Ground {
    plan: AuditedPlan,
    rounds: Vec<AuditedRound>,
}

impl Ground {
    fn new() -> Self {
        let plan = AuditedPlan::new(&made_up(3)).unwrap();
        let mut rounds = plan.rounds(1).unwrap();
        rounds.truncate(1);
        Self { plan, rounds }
    }

    fn with<T>(&self, work: impl FnOnce(&Trials<'_>) -> T) -> T {
        let mechanism = Mechanism {
            plan: &self.plan,
            mutation: None,
        };
        work(&Trials::new(&mechanism, &self.rounds, 4, &[CanaryKind::Items]).unwrap())
    }
}

fn header(trials: &Trials<'_>, shard: &str, count: u64) -> ShardHeader {
    ShardHeader {
        souk_audit_trials: FORMAT,
        plan: Digest::of(b"plan"),
        data: Digest::of(b"data"),
        seed: 3,
        trials: count,
        shard: shard.parse().unwrap(),
        targets: trials.targets().cloned().collect(),
    }
}

#[test]
fn parts_merge_to_what_one_run_gives_and_a_part_that_was_stopped_goes_on() {
    let (ground, folder) = (Ground::new(), tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name);
    ground.with(|trials| {
        let count = 2 * CHUNK + 10;
        let whole = header(trials, "1/1", count);
        run(&path("whole"), &whole, trials, |_, _| {}).unwrap();
        let (_, scores) = merge(&[path("whole")]).unwrap();
        assert_eq!(
            (scores.present.len() as u64, scores.absent.len() as u64),
            (count, count)
        );
        for part in ["1/2", "2/2"] {
            let name = part.replace('/', "-of-");
            run(&path(&name), &header(trials, part, count), trials, |_, _| {}).unwrap();
        }
        // Killed within a line: what is whole stays, the rest is done again.
        let text = fs::read_to_string(path("2-of-2")).unwrap();
        fs::write(path("2-of-2"), &text[..text.len() * 3 / 4]).unwrap();
        let refused = merge(&[path("1-of-2"), path("2-of-2")]).unwrap_err();
        assert!(
            format!("{refused:#}").contains("let each part run to its end"),
            "{refused:#}"
        );
        run(&path("2-of-2"), &header(trials, "2/2", count), trials, |_, _| {}).unwrap();
        assert_eq!(fs::read_to_string(path("2-of-2")).unwrap(), text);
        let merged = merge(&[path("2-of-2"), path("1-of-2")]).unwrap();
        assert_eq!(merged.1, scores);
    });
}

#[test]
fn parts_that_overlap_lack_one_or_are_of_another_audit_are_refused_by_name() {
    let (ground, folder) = (Ground::new(), tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name);
    ground.with(|trials| {
        let first = header(trials, "1/2", 20);
        run(&path("first"), &first, trials, |_, _| {}).unwrap();
        let said = |paths: &[&str]| {
            let paths: Vec<PathBuf> = paths.iter().map(|name| path(name)).collect();
            format!("{:#}", merge(&paths).unwrap_err())
        };
        assert!(
            said(&["first"]).contains("parts are missing: 2/2"),
            "{}",
            said(&["first"])
        );
        assert!(said(&["first", "first"]).contains("part 1/2 is there twice"));
        let other = ShardHeader {
            plan: Digest::of(b"another plan"),
            shard: "2/2".parse().unwrap(),
            ..first.clone()
        };
        run(&path("other"), &other, trials, |_, _| {}).unwrap();
        assert!(said(&["first", "other"]).contains("other has trials with another plan"));
        // Nor is a file gone on with that is another audit's.
        let error = run(&path("other"), &header(trials, "2/2", 20), trials, |_, _| {}).unwrap_err();
        assert!(format!("{error:#}").contains("another plan"), "{error:#}");
        fs::write(path("newer"), "{\"souk_audit_trials\": 2}\n").unwrap();
        assert!(said(&["newer"]).contains("format 2; this one knows 1"));
        fs::write(path("none"), "user_id,item_id\n").unwrap();
        assert!(said(&["none"]).contains("is no file of an audit's trials"));
        let damaged = fs::read_to_string(path("first"))
            .unwrap()
            .replace("\"first\":0", "\"first\":7");
        fs::write(path("damaged"), damaged).unwrap();
        assert!(
            said(&["damaged"]).contains("line 2 is damaged"),
            "{}",
            said(&["damaged"])
        );
    });
}

#[test]
fn a_part_is_typed_as_a_number_of_a_number() {
    for wrong in ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"] {
        assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
    }
}
