use super::*;
use crate::channels::scale::Standard;
use crate::dataset::History;

const DAY: i64 = SECONDS_OF_A_DAY;
/// 2023-11-14.
const START: i64 = 19_675;

/// Customers' (day after [`START`], item) pairs.
fn data(customers: &[&[(i64, u32)]]) -> Dataset {
    let history = |rows: &&[(i64, u32)]| History {
        items: rows.iter().map(|row| row.1).collect(),
        times: rows.iter().map(|row| (START + row.0) * DAY + 3600).collect(),
    };
    Dataset {
        users: (0..customers.len()).map(|user| format!("u{user}")).collect(),
        histories: customers.iter().map(history).collect(),
        ..Dataset::default()
    }
}

/// Items that came out so many days after [`START`].
fn dated(days: &[Option<i64>]) -> Features {
    let published = days
        .iter()
        .map(|day| day.map(|day| (START + day) * DAY))
        .collect();
    Features::from_rows(0, vec![Vec::new(); days.len()]).with_published(published)
}

fn scores(channels: &Channels, name: &str, day: i64) -> Vec<f32> {
    let then = as_of(channels, (START + day) * DAY + 7200);
    let channel = then
        .iter()
        .find(|channel| channel.name() == name)
        .unwrap_or_else(|| panic!("no {name}"));
    let nobody = Recency {
        items: &[],
        weights: &[],
    };
    let count = channel.bytes();
    assert!(count > 0);
    let mut out = vec![f32::NAN; 6];
    channel.score(nobody, &mut out);
    out
}

/// Sixty customers who buy what is new: items 0 to 5 come out on days 0, 20, 40 and so on.
fn of_the_new() -> Dataset {
    let rows: Vec<Vec<(i64, u32)>> = (0..60)
        .map(|user| {
            let first = (user % 5) as u32;
            vec![
                (20 * i64::from(first) + user % 7, first),
                (20 * i64::from(first) + 20, first + 1),
            ]
        })
        .collect();
    data(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn one_a_month() -> Features {
    dated(&[0, 20, 40, 60, 80, 100].map(Some))
}

#[test]
fn what_is_new_counts_by_what_newness_was_worth_until_then() {
    let channels = channels(&of_the_new(), &one_a_month());
    let names: Vec<&str> = channels.iter().map(|channel| channel.name()).collect();
    assert_eq!(names, ["recent popularity", FRESHNESS]);
    assert!(
        channels
            .iter()
            .all(|channel| channel.goes_by_the_clock() && channel.decay().is_none())
    );
    let then = scores(&channels, FRESHNESS, 85);
    assert!(then[4] > then[3] && then[3] >= then[0], "{then:?}");
    // Item 5 is not out yet: neither new nor old.
    assert!(then[5] < then[4] && then[5] > then[0], "{then:?}");
    let later = scores(&channels, FRESHNESS, 101);
    assert!(later[5] > later[4], "{later:?}");
}

#[test]
fn a_purchase_of_a_month_ago_counts_half() {
    let data = data(&[&[(0, 0), (30, 1), (31, 2)], &[(0, 3), (0, 0)]]);
    let channels = channels(&data, &dated(&[None; 6]));
    let recent = scores(&channels, "recent popularity", 30);
    let log = |sum: f32| sum.ln_1p();
    for (item, sum) in [(0, 1.0), (3, 0.5), (1, 0.0), (2, 0.0)] {
        assert!((recent[item] - log(sum)).abs() < 1e-6, "{item}: {recent:?}");
    }
    // What is as good as forgotten is left out of the sums.
    assert!(
        scores(&channels, "recent popularity", 400)
            .iter()
            .all(|score| *score == 0.0)
    );
}

#[test]
fn nothing_of_the_day_itself_or_later_gets_into_a_score() {
    let until: &[(i64, u32)] = &[(0, 0), (3, 1), (9, 2), (12, 3)];
    let one = data(&[until, &[(2, 3), (14, 4)], &[(1, 1), (13, 5)]]);
    let other = data(&[until, &[(2, 3), (14, 5), (40, 0)], &[(1, 1), (13, 0), (99, 2)]]);
    let more: Vec<(i64, u32)> = (13..60).map(|day| (day, 5)).collect();
    let third = data(&[until, &[(2, 3)], &[(1, 1)], &more]);
    for features in [
        dated(&[Some(-400), Some(-3), Some(0), Some(8), Some(13), None]),
        // By first sales.
        dated(&[None; 6]),
    ] {
        let of = |data: &Dataset| channels(data, &features);
        for name in ["recent popularity", FRESHNESS] {
            for day in [1, 5, 13] {
                let known = scores(&of(&one), name, day);
                assert_eq!(known, scores(&of(&other), name, day), "{name}, {day}");
                assert_eq!(known, scores(&of(&third), name, day), "{name}, {day}");
            }
            assert_ne!(
                scores(&of(&one), name, 20),
                scores(&of(&third), name, 20),
                "{name}: the future would be seen if it were there"
            );
        }
    }
}

#[test]
fn items_without_a_date_or_with_one_to_come_are_worth_the_mean_of_the_others() {
    let mut days = [0, 20, 40, 60, 80].map(Some).to_vec();
    days.push(None);
    let known = scores(&channels(&of_the_new(), &dated(&days)), FRESHNESS, 90);
    let mean = known[..5].iter().sum::<f32>() / 5.0;
    assert!((known[5] - mean).abs() < 1e-6 && known[4] > known[5], "{known:?}");
    days[5] = Some(5000);
    let to_come = scores(&channels(&of_the_new(), &dated(&days)), FRESHNESS, 90);
    assert_eq!(to_come, known);
}

#[test]
fn articles_of_one_age_are_told_apart_by_none() {
    let channels = channels(&of_the_new(), &dated(&[Some(-1); 6]));
    let then = scores(&channels, FRESHNESS, 50);
    assert_eq!(Standard::of(&then).rate, 0.0, "{then:?}");
    assert!(
        scores(&channels, "recent popularity", 50)
            .iter()
            .any(|score| *score > 0.0)
    );
}

#[test]
fn data_without_times_or_of_one_day_have_no_such_channels() {
    let timed = of_the_new();
    let with = |times: &dyn Fn(&History) -> Vec<i64>| {
        let mut data = timed.clone();
        for history in &mut data.histories {
            history.times = times(history);
        }
        channels(&data, &one_a_month()).len()
    };
    assert_eq!(with(&|history| history.times.clone()), 2);
    assert_eq!(with(&|history| vec![0; history.len()]), 0);
    assert_eq!(with(&|_| Vec::new()), 0);
    assert_eq!(with(&|history| vec![START * DAY + 5; history.len()]), 0);
    assert!(channels(&Dataset::default(), &one_a_month()).is_empty());
    // Nothing is out before the data end: nothing has an age.
    assert_eq!(channels(&timed, &dated(&[Some(9000); 6])).len(), 1);
}

#[test]
fn the_curve_of_ages_never_rises_and_keeps_what_does_not() {
    let falling: [(f64, f64); BINS] = std::array::from_fn(|at| (1.0 - at as f64, 1.0));
    assert_eq!(never_rising(falling), falling.map(|(value, _)| value));
    let rising: [(f64, f64); BINS] = std::array::from_fn(|at| (at as f64, 1.0));
    assert!(
        never_rising(rising)
            .iter()
            .all(|value| (value - 7.0).abs() < 1e-12)
    );
    let mut bump = [(0.0, 1.0); BINS];
    (bump[0], bump[1], bump[2]) = ((1.0, 1.0), (4.0, 2.0), (0.5, 9.0));
    let smooth = never_rising(bump);
    assert_eq!((smooth[0], smooth[1], smooth[2], smooth[3]), (3.0, 3.0, 0.5, 0.0));
    assert_eq!(
        (bin_of(5, 5), bin_of(5, 4), bin_of(5, 3), bin_of(5, 6)),
        (Some(0), Some(1), Some(1), None)
    );
    assert_eq!((oldest(0), oldest(1), oldest(2)), (0, 2, 6));
    assert_eq!(bin_of(100_000, 0), Some(BINS - 1));
}

#[test]
fn bestsellers_by_age_are_those_of_a_good_age_and_see_no_future_either() {
    // Of items 0 and 1, which are old, three were bought; of 2 and 3 two since they were three days old, as they are now.
    let rows: &[(i64, u32)] = &[(1, 0), (1, 2), (2, 2), (2, 3), (3, 2), (3, 1), (3, 0), (4, 3)];
    let features = dated(&[Some(-900), Some(-900), Some(0), Some(0), None, Some(30)]);
    let of = |rows: &[(i64, u32)]| {
        let all: Vec<&[(i64, u32)]> = rows.chunks(1).collect();
        vec![bestsellers_by_age(&data(&all), &features).expect("times")]
    };
    let then = scores(&of(rows), "bestsellers by age", 5);
    assert!(
        then[2] > then[3] && then[3] > then[1] && then[0] > then[1],
        "{then:?}"
    );
    assert_eq!((then[4], then[5]), (0.0, 0.0));
    let more = [rows, &[(5, 5), (9, 4), (9, 1)]].concat();
    assert_eq!(scores(&of(&more), "bestsellers by age", 5), then);
}
