use std::sync::Arc;

use souk_common::catalogue::{Catalogue, Item};
use souk_common::learned::{Learner, Releases};
use souk_common::model::update::UserUpdate;
use souk_common::plan::Plan;
use souk_common::release::popularity::contribution;
use souk_common::release::{NoisedSum, PublicParameters, ReleaseKind, Released, for_release};
use souk_common::rng::stream;
use souk_common::stack::Collapsed;
use souk_common::training::optimiser::OptimiserState;
use souk_common::training::phases::TrainingKind;
use souk_common::training::trained::Trained;
use souk_common::update::UpdateValues;

use super::sources::{Release, digest_of};
use super::*;
use rand::RngExt;

const GROUPS: u32 = 6;
const GROUP: u32 = 15;
const ITEMS: u32 = GROUPS * GROUP;

/// Customers who buy from two groups of items by turns; a group is a category where `described`.
fn sources(customers: usize, described: bool) -> Sources {
    let mut rng = stream(5, "two groups each");
    let mut dataset = Dataset::default();
    for user in 0..customers {
        let groups = [
            user as u32 % GROUPS,
            (user as u32 + 1 + user as u32 / GROUPS % 4) % GROUPS,
        ];
        let mut items: Vec<u32> = Vec::new();
        while items.len() < 10 {
            let item = groups[items.len() % 2] * GROUP + rng.random_range(0..GROUP);
            if !items.contains(&item) {
                items.push(item);
            }
        }
        dataset.users.push(format!("u{user}"));
        dataset.histories.push(History {
            times: vec![0; items.len()],
            items,
        });
    }
    let item = |row: u32| Item {
        category: match described {
            true => format!("group {}", row / GROUP),
            false => String::new(),
        },
        ..Item::bare(format!("i{row:05}"))
    };
    let catalogue = Catalogue::new((0..GROUPS * GROUP).map(item).collect()).unwrap();
    Sources {
        catalogue_digest: catalogue.digest(),
        catalogue: Arc::new(catalogue),
        data_digest: digest_of(&dataset),
        dataset: Arc::new(dataset),
        release: None,
        collapsed: None,
    }
}

/// What all customers of `sources` say of popularity, `times` each; without noise.
fn released(sources: &Sources, times: f64) -> Arc<Release> {
    let units = 1e6;
    let mut sum = vec![0.0_f64; ITEMS as usize];
    for history in &sources.dataset.histories {
        let vector = contribution(&for_release(history), ITEMS as usize).unwrap();
        let UserUpdate::Sparse { ranges, values } = vector else {
            panic!("one coordinate an item")
        };
        for (range, value) in ranges.into_iter().zip(values) {
            sum[range.start] += times * units * f64::from(value);
        }
    }
    let features = Features::of(&sources.catalogue);
    let public = PublicParameters {
        features: &features,
        items: ITEMS as usize,
        seed: 1,
    };
    let sum = NoisedSum {
        values: UpdateValues::B64(sum.into_iter().map(|value| value.round() as i64 as u64).collect()),
        clip_units: units,
        noise_stddev: 1.0,
    };
    let released = Released::compute(ReleaseKind::Popularity, sum, None, false, &public).unwrap();
    let plan = Plan::from_toml(
        "name = 'r'\n[privacy]\nnoise_multiplier = 1.0\n[cohort]\nquorum = 1\n[[release]]\nkind = 'popularity'\nshare = 1.0\n\
         [[shops]]\nname = 'a'\ndeclared_users = 40\n",
    );
    Arc::new(Release {
        learner: Learner::new(&plan.unwrap(), &sources.catalogue),
        releases: Releases {
            last: Some(Box::new(released)),
            ..Releases::default()
        },
        epsilon: Some(8.0),
    })
}

fn built(sources: &Sources) -> ShopStack {
    ShopStack::build(sources, None, |_| {}).unwrap()
}

#[test]
fn weights_are_kept_for_the_same_sources_and_fitted_anew_for_others() {
    let mut sources = sources(40, true);
    let stack = built(&sources);
    let json = serde_json::to_string(stack.kept()).unwrap();
    let kept: KeptStack = serde_json::from_str(&json).unwrap();
    assert_eq!(&kept, stack.kept());
    let again = ShopStack::build(&sources, Some(kept.clone()), |_| panic!("fitted again")).unwrap();
    let scores = |stack: &ShopStack| {
        let mut out = Vec::new();
        stack.serving(FederatedUse::Gate).0.score(&[1, 20], &mut out);
        out
    };
    assert_eq!(scores(&stack), scores(&again));
    sources.release = Some(released(&sources, 1.0));
    let mut fitted = false;
    let other = ShopStack::build(&sources, Some(kept), |_| fitted = true).unwrap();
    assert!(fitted && other.kept().together.is_some() && other.key() != stack.key());
}

#[test]
fn what_all_shops_released_is_on_off_or_up_to_the_gate_and_the_owner_is_told_why() {
    let mut sources = sources(40, true);
    for times in [1.0, 0.0] {
        sources.release = Some(released(&sources, times));
        let stack = built(&sources);
        let told = |wish| {
            let gain = stack.gain(wish, false);
            (gain.served_by, gain.why)
        };
        assert_eq!(
            told(FederatedUse::On),
            (
                ServedBy::Together,
                "on by shop.toml, whatever the gate says".into()
            )
        );
        assert_eq!(
            told(FederatedUse::Off),
            (ServedBy::Alone, "off by shop.toml".into())
        );
        let (by, why) = told(FederatedUse::Gate);
        let report = stack.kept().gate.unwrap();
        assert_eq!(
            by == ServedBy::Together,
            GateRule::AnyGain.opens(&report),
            "{why}"
        );
        assert!(why.starts_with("the gate: ") && !why.contains("NaN"), "{why}");
        let gain = stack.gain(FederatedUse::Gate, false);
        let words = gain.words();
        assert!(
            words.contains("alone ") && words.contains(", together ") && words.contains("40 customers"),
            "{words}"
        );
        let mut scores = Vec::new();
        stack.serving(FederatedUse::On).0.score(&[0, 16], &mut scores);
        assert!(scores.iter().all(|score| score.is_finite()));
    }
}

#[test]
fn a_release_of_another_catalogue_is_told() {
    let mut few = sources(10, true);
    few.release = Some(released(&few, 1.0));
    let items = few.catalogue.items()[..30].to_vec();
    few.catalogue = Arc::new(Catalogue::new(items).unwrap());
    let mut dataset = (*few.dataset).clone();
    dataset
        .histories
        .iter_mut()
        .for_each(|history| history.items.retain(|item| *item < 30));
    few.dataset = Arc::new(dataset);
    let said = ShopStack::build(&few, None, |_| {}).err().expect("refused");
    assert!(
        format!("{said:#}").contains("does not fit the catalogue"),
        "{said:#}"
    );
}

/// Mean fall of the best item's score when its named items are taken out of the history, and when as many others are.
fn falls(sources: &Sources) -> (f32, f32) {
    let stack = built(sources);
    let (stack, _) = stack.serving(FederatedUse::Gate);
    let mut rng = stream(9, "others");
    let (mut named_fall, mut other_fall, mut count) = (0.0, 0.0, 0.0f32);
    for history in &sources.dataset.histories {
        let shopper = souk_common::stack::Shopper {
            history: &history.items,
            session: &[],
        };
        let (best, score) = stack.top(shopper, 1, false)[0];
        let parts = crate::recommend::reasons::parts(stack, &history.items, &[best]);
        let sum: f32 = parts[0].iter().map(|part| part.part).sum();
        assert!(
            (sum - score).abs() < 1e-3 * score.abs().max(1.0),
            "{sum} of {score}"
        );
        let reasons = crate::recommend::reasons::of_stack(stack, &sources.catalogue, &history.items, &[best]);
        let named: Vec<&str> = reasons[0]
            .iter()
            .map(|reason| reason.item_id.as_str())
            .filter(|id| !id.is_empty())
            .collect();
        let is_named = |item: &u32| named.contains(&sources.catalogue.items()[*item as usize].id.as_str());
        let mut others: Vec<u32> = history
            .items
            .iter()
            .copied()
            .filter(|item| !is_named(item))
            .collect();
        for at in 0..others.len() {
            let other = rng.random_range(at..others.len());
            others.swap(at, other);
        }
        others.truncate(named.len());
        let without = |gone: &dyn Fn(&u32) -> bool| {
            let rest: Vec<u32> = history.items.iter().copied().filter(|item| !gone(item)).collect();
            let mut scores = Vec::new();
            stack.score(&rest, &mut scores);
            score - scores[best as usize]
        };
        named_fall += without(&is_named);
        other_fall += without(&|item| others.contains(item));
        count += 1.0;
    }
    (named_fall / count, other_fall / count)
}

#[test]
fn taking_out_the_items_that_reasons_name_costs_more_than_taking_out_others() {
    for described in [true, false] {
        let (named, others) = falls(&sources(48, described));
        assert!(named > 0.5 && named > 2.0 * others.max(0.0), "{named} {others}");
    }
}

#[test]
fn the_same_holds_for_a_larger_shop() {
    let mut sources = sources(1000, true);
    sources.release = Some(released(&sources, 1.0));
    let (named, others) = falls(&sources);
    souk_common::terminal::tell(&format!(
        "score falls by {named:.3} without the named items, by {others:.3} without others"
    ));
    assert!(named > 0.5 && named > 2.0 * others.max(0.0), "{named} {others}");
}

/// As [`released`], and a `gan` behind it with these parameters.
fn trained(sources: &Sources, params: impl Fn(usize) -> Vec<f32>) -> Arc<Release> {
    let before = released(sources, 1.0);
    let plan = Plan::from_toml(
        "name = 'r'\n[privacy]\nnoise_multiplier = 1.0\n[cohort]\nquorum = 1\n[[release]]\nkind = 'popularity'\nshare = 0.5\n\
         [[training]]\nkind = 'model'\nrounds = 1\nshare = 0.5\n[model]\nkind = 'gan'\ndiscriminator = 'mf'\ngmf_dim = 2\n\
         [model.generator]\ndim = 4\n[train]\nsolver = 'sgd'\nfit_steps = 20\n[server]\noptimiser = 'plain'\nlearning_rate = 1.0\n\
         [[shops]]\nname = 'a'\ndeclared_users = 40\n",
    );
    let learner = Learner::new(&plan.unwrap(), &sources.catalogue);
    let params = params(learner.recommender().unwrap().layout().len());
    let trained = Trained {
        kind: TrainingKind::Model,
        params,
        state: OptimiserState {
            steps: 1,
            ..OptimiserState::default()
        },
        sum: None,
    };
    Arc::new(Release {
        learner,
        releases: Releases {
            trained: vec![trained],
            ..before.releases.clone()
        },
        epsilon: before.epsilon,
    })
}

#[test]
fn a_model_whose_generator_has_collapsed_is_no_channel_and_the_owner_is_told() {
    let mut sources = sources(40, true);
    let has_model = |stack: &ShopStack| {
        let together = stack.kept().together.as_ref().unwrap();
        together.iter().any(|(name, _)| name == "model")
    };
    let drawn = |count: usize| -> Vec<f32> {
        let mut rng = stream(2, "rows");
        (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
    };
    sources.release = Some(trained(&sources, drawn));
    let good = built(&sources);
    assert!(has_model(&good) && good.gain(FederatedUse::Gate, false).collapsed.is_empty());
    // A step of such a size that nothing is left but it.
    sources.release = Some(trained(&sources, |count| vec![-3e4; count]));
    let stack = built(&sources);
    assert!(!has_model(&stack));
    let told = stack.gain(FederatedUse::On, false).collapsed;
    assert_eq!(told.len(), 1);
    for said in [
        "\"model\" has collapsed",
        "for 40 customers",
        "as 10 items",
        "[train.generator]",
    ] {
        assert!(told[0].contains(said), "{told:?}");
    }
    // The other channels of all shops are used, and what is kept says it again.
    assert_eq!(stack.serving(FederatedUse::On).1, ServedBy::Together);
    let kept = serde_json::from_slice(&serde_json::to_vec(stack.kept()).unwrap()).unwrap();
    let again = ShopStack::build(&sources, Some(kept), |_| panic!("fitted again")).unwrap();
    assert_eq!(again.gain(FederatedUse::Gate, false).collapsed, told);
}

#[test]
fn a_collapsed_model_leaves_the_lists_to_the_shops_own_stack_and_is_told_of() {
    let mut sources = sources(40, true);
    let before = sources.key();
    let release = trained(&sources, |count| vec![1.0; count]);
    let recommender = release.learner.recommender().unwrap();
    let model = recommender.load(release.releases.trained[0].params.clone());
    sources.collapsed = Collapsed::of("model", |histories| model.spread(histories), &sources.dataset);
    assert!(sources.collapsed.is_some() && sources.key() != before);
    let stack = built(&sources);
    let gain = stack.gain(FederatedUse::Gate, false);
    assert_eq!((gain.served_by, gain.collapsed.len()), (ServedBy::Alone, 1));
}
