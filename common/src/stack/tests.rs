use std::sync::Arc;

use super::*;
use crate::channels::{FixedPopularity, LowRank, content};

const ITEMS: usize = 60;

/// Customers of two tastes: each buys from its own half of the catalogue, in a random order.
fn shop(customers: usize) -> (Dataset, Vec<Option<u32>>) {
    let mut rng = stream(3, "two tastes");
    let mut data = Dataset::default();
    let mut validation = Vec::new();
    for user in 0..customers {
        let half = (user % 2) as u32 * 30;
        let mut items: Vec<u32> = (half..half + 30).collect();
        for at in 0..12 {
            let other = rng.random_range(at..30);
            items.swap(at, other);
        }
        validation.push(Some(items[11]));
        items.truncate(11);
        data.users.push(format!("u{user}"));
        data.histories.push(History {
            times: vec![0; 11],
            items,
        });
    }
    (data, validation)
}

fn features() -> Features {
    Features::from_rows(6, (0..ITEMS as u32).map(|item| vec![(item / 10, 1.0)]).collect())
}

fn view(name: &str, of: impl Fn(usize) -> f32) -> Channels {
    let left = Arc::new((0..ITEMS).map(of).collect::<Vec<f32>>());
    vec![Arc::new(LowRank::new(name, 0.3, 1, Arc::clone(&left), &left))]
}

fn fitted(data: &Dataset, validation: &[Option<u32>], features: &Features, federated: &Channels) -> StackFit {
    let input = StackInput {
        train: data,
        validation,
        times: &[],
        hidden: &[],
        features,
    };
    fit(&input, &content::channels(features), federated, 1, |_| {}).expect("a stack")
}

#[test]
fn it_finds_the_taste_and_is_the_same_on_one_thread() {
    let (data, validation) = shop(40);
    let stack = fitted(&data, &validation, &features(), &Channels::new()).alone;
    for (user, history) in data.histories.iter().enumerate() {
        let shopper = Shopper {
            history: &history.items,
            session: &[],
        };
        let top = stack.top(shopper, 10, false);
        assert_eq!(top.len(), 10);
        assert!(
            top.iter().all(|(item, _)| *item as usize / 30 == user % 2),
            "{user}: {top:?}"
        );
        assert!(top.iter().all(|(item, _)| !history.items.contains(item)));
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .expect("a pool");
    let again = pool.install(|| fitted(&data, &validation, &features(), &Channels::new()).alone);
    assert_eq!(again.weights(), stack.weights());
}

#[test]
fn evidence_adds_up_to_the_score() {
    let (data, validation) = shop(30);
    let federated = view("taste", |item| if item < 30 { 1.0 } else { -1.0 });
    let stack = fitted(&data, &validation, &features(), &federated)
        .together
        .expect("federated");
    let history = &data.histories[0].items;
    let mut scores = Vec::new();
    stack.score(history, &mut scores);
    let wanted: Vec<u32> = (0..ITEMS as u32).collect();
    for (score, parts) in scores.iter().zip(stack.evidence(history, &wanted)) {
        let sum: f32 = parts.iter().map(|evidence| evidence.part).sum();
        assert!((sum - score).abs() < 1e-3, "{sum} of {score}");
        assert!(parts.iter().any(|evidence| evidence.item.is_none()));
    }
}

#[test]
fn the_gate_lets_in_what_helps_and_keeps_out_noise() {
    // Shops with so few customers that only the view knows the tastes.
    let (data, validation) = shop(12);
    let bare = Features::from_rows(0, vec![Vec::new(); ITEMS]);
    let good = fitted(
        &data,
        &validation,
        &bare,
        &view("taste", |item| if item < 30 { 1.0 } else { -1.0 }),
    );
    let report = good.gate.expect("a report");
    assert!(report.customers == 12 && report.loss_gain > 0.0, "{report:?}");
    let alone = good.alone_hits;
    assert!(
        alone.customers == 12 && alone.mean > 0.0 && alone.standard_error > 0.0,
        "{alone:?}"
    );
    let sum = alone.mean + report.hit_gain;
    assert!(
        (sum - report.together_hit).abs() < 1e-9 && report.hit_gain_error > 0.0,
        "{report:?}"
    );
    assert!(std::ptr::eq(
        good.gated(GateRule::AnyGain),
        good.together.as_ref().expect("one")
    ));
    let noise = fitted(
        &data,
        &validation,
        &bare,
        &view("noise", |item| ((item * 7919) % 13) as f32 - 6.0),
    );
    assert!(noise.gate.expect("a report").loss_z < report.loss_z);
    assert!(
        std::ptr::eq(noise.gated(GateRule::Strict), &noise.alone),
        "{:?}",
        noise.gate
    );
}

#[test]
fn sessions_and_strangers_get_a_list_too() {
    let (data, validation) = shop(40);
    let stack = fitted(&data, &validation, &features(), &Channels::new()).alone;
    let session = Shopper {
        history: &[],
        session: &[31, 45, 31, 9999],
    };
    let top = stack.top(session, 5, false);
    assert!(
        top.iter()
            .all(|(item, _)| *item >= 30 && *item != 31 && *item != 45),
        "{top:?}"
    );
    let stranger = stack.top(Shopper::default(), 5, false);
    assert_eq!(stranger.len(), 5);
    // What is in the basket now counts as the latest, whatever was bought long ago.
    let both = Shopper {
        history: &[1, 45, 2],
        session: &[45],
    };
    assert_eq!(both.items(ITEMS), [1, 2, 45]);
    assert_eq!(stack.top(both, 100, true).len(), ITEMS);
}

#[test]
fn tiny_shops_and_bare_catalogues_work() {
    let one = |items: &[u32]| History {
        items: items.to_vec(),
        times: vec![0; items.len()],
    };
    let bare = |items: usize| Features::from_rows(0, vec![Vec::new(); items]);
    let dataset = |histories: Vec<History>| Dataset {
        users: (0..histories.len()).map(|user| user.to_string()).collect(),
        histories,
        labelled: Vec::new(),
    };
    let cases = [
        (dataset(vec![]), vec![], bare(4)),
        (dataset(vec![one(&[0])]), vec![None], bare(1)),
        (dataset(vec![one(&[0])]), vec![Some(0)], bare(1)),
        (dataset(vec![one(&[])]), vec![Some(2)], bare(4)),
        // Every validation item is one that nobody has.
        (dataset(vec![one(&[0, 1, 2]); 5]), vec![Some(5); 5], bare(6)),
        (
            dataset(vec![one(&[0, 1, 2]); 5]),
            vec![Some(3); 5],
            Features::from_rows(1, vec![vec![(0, 1.0)]; 4]),
        ),
    ];
    for (data, validation, features) in cases {
        let federated: Channels = vec![Arc::new(FixedPopularity::released(
            &vec![1.0; features.items()],
            1.0,
        ))];
        let fit = fitted(&data, &validation, &features, &federated);
        for stack in [&fit.alone, fit.together.as_ref().expect("one")] {
            let top = stack.top(Shopper::default(), 3, false);
            assert!(top.iter().all(|(_, score)| score.is_finite()));
            assert_eq!(top.len(), 3.min(features.items()));
        }
        assert!(fit.gate.expect("a report").loss_z.is_finite());
    }
}

#[test]
fn input_that_does_not_fit_is_named() {
    let (data, validation) = shop(3);
    let refused = |validation: &[Option<u32>], features: &Features| {
        let input = StackInput {
            train: &data,
            validation,
            times: &[],
            hidden: &[],
            features,
        };
        fit(&input, &Channels::new(), &Channels::new(), 1, |_| {})
            .err()
            .expect("refused")
            .to_string()
    };
    assert!(refused(&validation[1..], &features()).contains("2 customers"));
    let few = Features::from_rows(0, vec![Vec::new(); 5]);
    assert!(refused(&validation, &few).contains("the catalogue has 5"));
    let stack = fitted(&data, &validation, &features(), &Channels::new()).alone;
    assert!(
        stack
            .refitted(&Channels::new())
            .err()
            .expect("refused")
            .to_string()
            .contains("no channel")
    );
    let again = stack.refitted(stack.channels()).expect("the same");
    assert_eq!(again.weights(), stack.weights());
    assert!(Stack::new(Channels::new(), vec![1.0], 3).is_err());
}

/// The same with a purchase every ten days; the first half of the customers begin earlier than the others.
fn with_days(mut data: Dataset) -> (Dataset, Vec<i64>) {
    let start = |user: usize| 19_000 + if user < data.len() / 2 { 0 } else { 60 };
    let starts: Vec<i64> = (0..data.len()).map(start).collect();
    let time = |user: usize, at: usize| 86_400 * (starts[user] + 10 * at as i64);
    for (user, history) in data.histories.iter_mut().enumerate() {
        history.times = (0..history.len()).map(|at| time(user, at)).collect();
    }
    let wanted = (0..data.len()).map(|user| time(user, 11)).collect();
    (data, wanted)
}

#[test]
fn cases_are_scored_as_of_their_own_day_whatever_comes_later() {
    let (data, validation) = shop(20);
    let (data, times) = with_days(data);
    let features = features().with_published(
        (0..ITEMS as i64)
            .map(|item| Some(86_400 * (18_900 + 3 * item)))
            .collect(),
    );
    let values = |data: &Dataset| {
        let channels = crate::channels::timed::channels(data, &features);
        assert_eq!(channels.len(), 2);
        let input = StackInput {
            train: data,
            validation: &validation,
            times: &times,
            hidden: &[],
            features: &features,
        };
        let users = [0, 3];
        [
            cases::of_validation(&channels, &input, &users, 1).values,
            cases::of_tails(&channels, &input, &users, 1).values,
        ]
    };
    let before = values(&data);
    assert!(before.iter().flatten().any(|value| *value > 0.5), "{before:?}");
    // Everybody else buys something else on the last day of these two and later.
    let mut changed = data.clone();
    let mut different = data.clone();
    for (user, history) in changed
        .histories
        .iter_mut()
        .enumerate()
        .filter(|(user, _)| ![0, 3].contains(user))
    {
        for at in 0..history.len() {
            if history.times[at] >= times[0] {
                history.items[at] = (history.items[at] + 7 + user as u32) % ITEMS as u32;
            }
        }
    }
    let [validation_cases, tails] = values(&changed);
    assert_eq!(validation_cases, before[0]);
    assert_eq!(tails, before[1]);
    different.histories[7].items[0] = 59;
    assert_ne!(values(&different), before, "what came earlier counts");
}

#[test]
fn a_stack_as_of_a_day_has_the_weights_and_reasons_that_add_up() {
    let (data, validation) = shop(30);
    let (data, times) = with_days(data);
    let input = StackInput {
        train: &data,
        validation: &validation,
        times: &times,
        hidden: &[],
        features: &features(),
    };
    let fitted = fit(
        &input,
        &content::channels(&features()),
        &Channels::new(),
        1,
        |_| {},
    )
    .expect("a stack");
    let stack = fitted.alone;
    assert!(stack.goes_by_the_clock());
    assert!(!fitted.newcomers.expect("features").goes_by_the_clock());
    let then = stack.as_of(86_400 * 19_100);
    assert_eq!(then.weights(), stack.weights());
    let history = &data.histories[0].items[..5];
    let (mut now, mut earlier) = (Vec::new(), Vec::new());
    stack.score(history, &mut now);
    then.score(history, &mut earlier);
    assert_ne!(now, earlier);
    let again = then.as_of(times[29] + 86_400);
    let mut later = Vec::new();
    again.score(history, &mut later);
    assert_ne!(later, earlier);
    let wanted: Vec<u32> = (0..ITEMS as u32).collect();
    for (score, parts) in earlier.iter().zip(then.evidence(history, &wanted)) {
        let sum: f32 = parts.iter().map(|evidence| evidence.part).sum();
        assert!((sum - score).abs() < 1e-3, "{sum} of {score}");
    }
}
