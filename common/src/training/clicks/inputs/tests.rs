use super::*;
use crate::catalogue::Item;

const DAY: i64 = 86_400;

fn item(id: &str, category: &str, tags: &[&str]) -> Item {
    Item {
        category: category.into(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        ..Item::bare(id.to_owned())
    }
}

/// Tea and milk that coupon 3 covers, soap, and a coupon (4) that covers nothing that the catalogue has.
fn catalogue() -> Catalogue {
    Catalogue::new(vec![
        item("tea", "drinks", &["coupon 1", "coupon 9"]),
        item("milk", "drinks", &["coupon 1"]),
        item("soap", "", &[]),
        item("coupon 1", "drinks", &["ad", "coupon 1"]),
        item("coupon 2", "games", &["ad", "coupon 2"]),
    ])
    .unwrap()
}

fn history(items: &[(u32, i64)]) -> History {
    History {
        items: items.iter().map(|(item, _)| *item).collect(),
        times: items.iter().map(|(_, day)| day * DAY).collect(),
    }
}

fn labelled(shown: &[(u32, i64, f32)]) -> Labelled {
    Labelled {
        items: shown.iter().map(|(item, ..)| *item).collect(),
        times: shown.iter().map(|(_, day, _)| day * DAY).collect(),
        labels: shown.iter().map(|(.., label)| *label).collect(),
    }
}

fn value(row: &[f32], name: &str) -> f32 {
    row[INPUTS.iter().position(|input| *input == name).unwrap()]
}

#[test]
fn an_ad_is_what_is_tagged_and_covers_what_shares_another_tag() {
    let inputs = ClickInputs::new(&catalogue());
    assert_eq!(inputs.ads().collect::<Vec<_>>(), [3, 4]);
    assert_eq!(inputs.covers, [1, 1, 1, 2, 0]);
    let past = history(&[(0, 0), (2, 1)]);
    let rows = inputs
        .rows(&past, &Labelled::default(), &[3, 4, 2], 2 * DAY)
        .unwrap();
    let of = |name: &str| {
        rows.chunks_exact(WIDTH)
            .map(|row| value(row, name))
            .collect::<Vec<_>>()
    };
    let once = 1.5 * 2f32.ln() - 0.2;
    assert_eq!(of("bought of it"), [once, -0.2, once]);
    assert_eq!(of("constant"), [1.0; 3]);
    // Tea is a drink; nothing is known of soap's category.
    let drinks = 2f32.ln() / 1.5 - 1.0;
    assert_eq!(of("bought of category"), [drinks, -1.0, -1.0]);
    assert_eq!(of("shown together"), [4f32.ln() - 4.0; 3]);
}

#[test]
fn nothing_that_comes_after_an_ad_was_shown_changes_its_inputs() {
    let inputs = ClickInputs::new(&catalogue());
    let (past, shown) = (history(&[(0, 0)]), labelled(&[(3, 10, 1.0), (4, 10, 0.0)]));
    let before = inputs.shown(&past, &shown).unwrap();
    // Bought at the time of the ad or later, shown later, and how the ads themselves turned out.
    let past = history(&[(0, 0), (1, 10), (2, 11)]);
    let later = labelled(&[(3, 10, 0.0), (4, 10, 1.0), (3, 30, 1.0)]);
    let after = inputs.shown(&past, &later).unwrap();
    assert_eq!(after[..before.len()], before);
    assert_eq!(after.len(), 3 * WIDTH);
    // What was bought since does count the next time.
    let last = &after[2 * WIDTH..];
    assert!(value(last, "bought of it") > value(&before, "bought of it"));
}

#[test]
fn clicks_count_once_their_outcome_is_known() {
    let inputs = ClickInputs::new(&catalogue());
    let shown = labelled(&[(3, 0, 1.0), (4, 0, 0.0)]);
    let at = |day: i64| inputs.rows(&History::default(), &shown, &[3], day * DAY).unwrap();
    let days = OUTCOME_SECS / DAY;
    assert_eq!(value(&at(days), "clicked before"), 0.0);
    assert_eq!(value(&at(days + 1), "clicked before"), 2f32.ln());
    assert_eq!(value(&at(days + 1), "shown before"), 3f32.ln() / 3.0 - 1.0);
    assert!(value(&at(days + 1), "own click rate") > value(&at(days), "own click rate"));
}

#[test]
fn every_input_is_bounded_and_items_of_another_catalogue_have_none() {
    let inputs = ClickInputs::new(&catalogue());
    let much = Labelled {
        items: vec![3; 100_000],
        times: vec![0; 100_000],
        labels: vec![1.0; 100_000],
    };
    let rows = inputs.rows(&history(&[(0, 0)]), &much, &[3], 100 * DAY).unwrap();
    assert!(rows.iter().all(|value| value.abs() <= LARGEST), "{rows:?}");
    // Times that no clock has.
    let odd = Labelled {
        times: vec![i64::MIN, i64::MAX],
        ..labelled(&[(3, 0, 0.0), (3, 0, 0.0)])
    };
    let rows = inputs.shown(&history(&[(0, i64::MIN / DAY)]), &odd).unwrap();
    assert!(rows.iter().all(|value| value.abs() <= LARGEST), "{rows:?}");
    assert_eq!(inputs.shown(&History::default(), &labelled(&[(5, 0, 0.0)])), None);
    assert_eq!(inputs.shown(&history(&[(5, 0)]), &labelled(&[(3, 0, 0.0)])), None);
    assert_eq!(inputs.shown(&history(&[(0, 0)]), &Labelled::default()), None);
    assert_eq!(
        inputs.rows(&History::default(), &Labelled::default(), &[9], 0),
        None
    );
}
