use super::*;
use crate::catalogue::Item;
use crate::channels::{Recency, content};
use crate::ids::AttemptId;
use crate::plan::Plan;
use crate::release::state::NoisedSum;
use crate::update::UpdateValues;

const RELEASES: &str = "name = 'r'\n[privacy]\nenabled = false\n[cohort]\nquorum = 1\n\
    [[release]]\nkind = 'popularity'\nshare = 0.4\n[[release]]\nkind = 'collaborative'\nshare = 0.5\n\
    [[training]]\nkind = 'tower'\nrounds = 1\nshare = 0.1\n\
    [[shops]]\nname = 'a'\ndeclared_users = 100\n";

const MODEL: &str = "name = 'm'\nrounds = 3\n[model]\nkind = 'mf'\ngmf_dim = 4\n\
    [train]\nsolver = 'ials'\nalpha = 0.1\nlambda = 1.0\n[server]\noptimiser = 'plain'\nlearning_rate = 1.0\n\
    [privacy]\nenabled = false\nclip_norm = 1.0\nsampling_rate = 1.0\n[cohort]\nquorum = 1\n\
    [[shops]]\nname = 'a'\ndeclared_users = 100\n";

fn plan(text: &str) -> Plan {
    Plan::from_toml(text).unwrap()
}

/// Teas, nuts and breads; the first `without` are not there.
fn catalogue(without: usize) -> Catalogue {
    let kinds = ["tea", "nuts", "bread"];
    let items = (without..24).map(|at| Item {
        category: kinds[at % 3].to_owned(),
        ..Item::bare(format!("i{at:02}"))
    });
    Catalogue::new(items.collect()).unwrap()
}

fn sum(len: usize) -> NoisedSum {
    let values = (0..len).map(|at| ((at * 37 % 101) as i32 * 20 - 600) as u32);
    NoisedSum {
        values: UpdateValues::B32(values.collect()),
        clip_units: 1000.0,
        noise_stddev: 0.0,
    }
}

/// A run of releases, whole.
fn released(catalogue: &Catalogue, name: VersionName) -> Version {
    let learner = Learner::new(&plan(RELEASES), catalogue);
    let mut learned = learner.initial();
    for round in 1..=3 {
        let Learned::Releases(releases) = &learned else {
            unreachable!()
        };
        let id = AttemptId { round, attempt: 1 };
        let next = learner.release(releases, id, None, sum(learner.coordinates(round)));
        learned = Learned::Releases(next.unwrap());
    }
    version(learner, catalogue, learned, name)
}

fn version(learner: Learner, catalogue: &Catalogue, learned: Learned, name: VersionName) -> Version {
    Version {
        name,
        file: Digest::of(name.to_string().as_bytes()),
        learner,
        catalogue: catalogue.clone(),
        learned,
    }
}

fn name(text: &str) -> VersionName {
    text.parse().unwrap()
}

fn scores(learner: &Learner, releases: &Releases, channel: &str, history: &[u32]) -> Vec<f32> {
    let channels = learner.channels(releases).unwrap();
    let names: Vec<&str> = channels.iter().map(|channel| channel.name()).collect();
    let found = channels.iter().find(|one| one.name() == channel);
    let found = found.unwrap_or_else(|| panic!("{channel} is one of {names:?}"));
    let mut out = vec![0.0; learner.items()];
    let weights = vec![1.0 / history.len() as f32; history.len()];
    found.score(
        Recency {
            items: history,
            weights: &weights,
        },
        &mut out,
    );
    out
}

#[test]
fn names_of_versions_are_read_as_they_are_written() {
    for text in ["run 3 round 40", "run 12"] {
        assert_eq!(name(text).to_string(), text);
    }
    for text in [
        "",
        "run",
        "run 0",
        "run 1 round",
        "round 4",
        "run 1 round x",
        "run 1 round 2 3",
    ] {
        let refused = text.parse::<VersionName>().unwrap_err().to_string();
        assert!(refused.contains("names no version"), "{refused}");
    }
    let with = format!("start = 'run 1'\nbeside = ['run 2 round 7']\n{RELEASES}");
    let plan = plan(&with);
    assert_eq!(Plan::from_bytes(&plan.to_bytes()).unwrap(), plan);
    assert!(
        Plan::from_toml(&format!("run = 2\n{RELEASES}"))
            .unwrap_err()
            .to_string()
            .starts_with("run is 2")
    );
    let refused = Plan::from_toml(&format!("beside = ['run 2']\n{MODEL}")).unwrap_err();
    assert!(refused.to_string().starts_with("beside is"), "{refused}");
}

#[test]
fn versions_stand_side_by_side_in_the_stack_of_a_run_over_another_catalogue() {
    let (small, large) = (catalogue(3), catalogue(0));
    let before = released(&small, name("run 1 round 3"));
    let learner = Learner::new(&plan(&format!("start = 'run 1'\n{RELEASES}")), &large);
    let (learned, notes) = learner.started(&large, Some(&before), &[]).unwrap();
    assert_eq!(
        notes,
        ["run 1 round 3: 21 items as they were, 3 new (0 of them like none that is known), 0 gone"]
    );
    let Learned::Releases(releases) = &learned else {
        unreachable!()
    };
    let Learned::Releases(own) = &before.learned else {
        unreachable!()
    };
    // Before the run has released anything, there are lists by what was carried.
    for channel in [
        "popularity of all shops",
        "lda of all shops",
        "view V:0.3",
        "view E:1",
        "tower",
    ] {
        let (old, new) = (
            scores(&before.learner, own, channel, &[4, 7]),
            scores(&learner, releases, &format!("run 1 round 3: {channel}"), &[7, 10]),
        );
        if channel.starts_with("view") || channel.starts_with("pop") {
            let known = new[3..].iter().zip(&old);
            for (new, old) in known {
                assert!(
                    (new - old).abs() <= 1e-6,
                    "{channel}: what is known scores as it did: {new} {old}"
                );
            }
        }
        assert!(new.iter().all(|score| score.is_finite()), "{channel}");
        if channel != "popularity of all shops" {
            assert!(
                new[..3].iter().any(|score| *score != 0.0),
                "{channel}: new items are scored by their like"
            );
        }
    }
    // Its own releases stand beside it, in the file as well.
    let id = AttemptId { round: 1, attempt: 1 };
    let next = learner
        .release(releases, id, None, sum(learner.coordinates(1)))
        .unwrap();
    learner.verify(&next, releases).unwrap();
    learner.check(&Learned::Releases(next.clone()), 2).unwrap();
    let names: Vec<String> = learner
        .channels(&next)
        .unwrap()
        .iter()
        .map(|channel| channel.name().to_owned())
        .collect();
    assert!(names.contains(&"popularity of all shops".to_owned()), "{names:?}");
    assert!(names.contains(&"run 1 round 3: tower".to_owned()), "{names:?}");
    assert_ne!(learner.channels_digest(&next), learner.channels_digest(releases));
    let bytes = next.to_bytes();
    assert_eq!(Releases::from_bytes(&bytes).unwrap(), next);
    for end in (0..bytes.len()).step_by(7) {
        assert!(Releases::from_bytes(&bytes[..end]).is_err(), "{end}");
    }
    // Other carried versions behind the same release are found.
    let mut other = next.clone();
    other.carried.clear();
    assert!(matches!(
        learner.verify(&other, releases),
        Err(LearnedError::OtherCarried)
    ));
    // A third run has both, each once.
    let second = version(learner, &large, Learned::Releases(next), name("run 2 round 1"));
    let third = Learner::new(&plan(RELEASES), &large);
    let (learned, _) = third.started(&large, Some(&second), &[before]).unwrap();
    let Learned::Releases(releases) = learned else {
        unreachable!()
    };
    let of: Vec<String> = releases
        .carried
        .iter()
        .map(|carried| carried.of.to_string())
        .collect();
    assert_eq!(of, ["run 2 round 1", "run 1 round 3"]);
}

#[test]
fn a_model_starts_from_a_view_or_a_model_of_any_width_and_not_from_nothing() {
    let large = catalogue(0);
    let releases = released(&large, name("run 1 round 3"));
    let learner = Learner::new(&plan(MODEL), &large);
    let (Learned::Model(params), notes) = learner.started(&large, Some(&releases), &[]).unwrap() else {
        panic!("it is a model")
    };
    assert_eq!(notes, ["items begin at the released view V"]);
    let Learned::Model(cold) = learner.initial() else {
        unreachable!()
    };
    assert_ne!(params[..24 * 4], cold[..24 * 4]);
    let first = version(
        learner,
        &large,
        Learned::Model(params.clone()),
        name("run 2 round 3"),
    );
    let wide = Learner::new(&plan(&MODEL.replace("gmf_dim = 4", "gmf_dim = 6")), &large);
    let (Learned::Model(wider), notes) = wide.started(&large, Some(&first), &[]).unwrap() else {
        panic!("it is a model")
    };
    assert_eq!((&wider[..4], notes.len()), (&params[..4], 1));
    // In the stack of a plan of releases it is one channel more.
    let of_releases = Learner::new(&plan(RELEASES), &large);
    let (Learned::Releases(beside), _) = of_releases
        .started(&large, None, std::slice::from_ref(&first))
        .unwrap()
    else {
        panic!("they are releases")
    };
    let ranked = scores(&of_releases, &beside, "run 2 round 3: model", &[2, 5, 8]);
    assert!(ranked.iter().all(|score| score.is_finite()) && ranked.iter().any(|score| *score != ranked[0]));
    // Nothing was learned.
    let untrained = version(
        Learner::new(&plan(MODEL), &large),
        &large,
        Learned::Model(cold),
        name("run 3 round 0"),
    );
    for refused in [
        wide.started(&large, Some(&untrained), &[]),
        wide.started(
            &large,
            Some(&version(
                of_releases,
                &large,
                Learned::Releases(Releases::default()),
                name("run 4 round 0"),
            )),
            &[],
        ),
    ] {
        assert!(refused.err().unwrap().to_string().contains("has learned nothing"));
    }
    let only = RELEASES
        .replace("[[release]]\nkind = 'popularity'\nshare = 0.4\n", "")
        .replace("collaborative", "popularity")
        .replace("0.5", "1.0");
    let only = only.replace("[[training]]\nkind = 'tower'\nrounds = 1\nshare = 0.1\n", "");
    let only = Learner::new(&plan(&only), &large);
    let sold = only
        .release(
            &Releases::default(),
            AttemptId { round: 1, attempt: 1 },
            None,
            sum(24),
        )
        .unwrap();
    let sold = version(only, &large, Learned::Releases(sold), name("run 5 round 1"));
    let refused = wide.started(&large, Some(&sold), &[]).err().unwrap().to_string();
    assert!(refused.contains("neither a model nor a view"), "{refused}");
}

#[test]
fn a_finished_run_goes_on_over_a_grown_catalogue_and_one_with_rounds_to_come_does_not() {
    let (small, large) = (catalogue(3), catalogue(0));
    let before = released(&small, name("run 1 round 3"));
    let learner = Learner::new(&plan(RELEASES), &large);
    let (grown, notes) = learner.grown(&large, &before).unwrap();
    assert!(notes[0].starts_with("21 items as they were, 3 new"), "{notes:?}");
    let Learned::Releases(releases) = &grown else {
        unreachable!()
    };
    assert!(releases.last.is_none() && releases.carried.len() == 1);
    let content = content::channels(learner.features());
    assert!(
        !learner
            .with_content(content)
            .channels(releases)
            .unwrap()
            .is_empty()
    );
    // And once more, and back.
    let learner = Learner::new(&plan(RELEASES), &large);
    let again = version(learner, &large, grown, name("run 1 round 3"));
    let learner = Learner::new(&plan(RELEASES), &small);
    let (Learned::Releases(back), _) = learner.grown(&small, &again).unwrap() else {
        unreachable!()
    };
    let Learned::Releases(own) = &before.learned else {
        unreachable!()
    };
    let views = own
        .last
        .as_ref()
        .unwrap()
        .forms(before.learner.features())
        .unwrap();
    assert_eq!(back.carried[0].forms, views.forms);
    let half = Version {
        name: name("run 1 round 2"),
        ..before
    };
    let refused = learner.grown(&small, &half).err().unwrap().to_string();
    assert!(refused.contains("2 of 3 rounds are done"), "{refused}");
}
