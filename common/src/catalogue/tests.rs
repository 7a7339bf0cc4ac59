//! Catalogues that are none, and what survives being written.

use super::*;
use crate::clock::Timestamp;

fn item(id: &str, price: Option<f64>) -> Item {
    Item {
        category: "tea".into(),
        price,
        ..Item::bare(id)
    }
}

#[test]
fn bad_catalogues_are_named() {
    assert!(matches!(Catalogue::new(vec![]), Err(CatalogueError::Empty)));
    let twice = vec![item("a", None), item("a", None)];
    assert!(matches!(
        Catalogue::new(twice),
        Err(CatalogueError::RepeatedId { .. })
    ));
    assert!(matches!(
        Catalogue::new(vec![item("a", Some(f64::NAN))]),
        Err(CatalogueError::Price { .. })
    ));
    assert!(matches!(
        Catalogue::new(vec![item("", None)]),
        Err(CatalogueError::EmptyId { row: 0 })
    ));
}

#[test]
fn tags_and_numbers_survive_and_an_item_without_them_is_written_as_ever() {
    let mut film = item("a", None);
    (film.tags, film.numbers) = (vec!["drama".into()], BTreeMap::from([("year".into(), 1995.0)]));
    let catalogue = Catalogue::new(vec![film.clone(), item("b", None)]).expect("a catalogue");
    let bytes = catalogue.to_bytes();
    assert!(
        bytes
            .ends_with(b"{\"id\":\"b\",\"title\":\"\",\"category\":\"tea\",\"brand\":\"\",\"price\":null}\n")
    );
    let again = Catalogue::from_bytes(&bytes).expect("the same");
    assert_eq!(again.items(), catalogue.items());
    film.numbers.insert("year".into(), f64::INFINITY);
    let refused = Catalogue::new(vec![film]).expect_err("no number").to_string();
    assert!(refused.contains("\"year\""), "{refused}");
}

#[test]
fn other_names_survive_and_one_of_two_items_is_named() {
    let called = |id: &str, gtin: &str, aliases: &[&str]| Item {
        gtin: gtin.into(),
        aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
        ..Item::bare(id)
    };
    let items = vec![
        called("a", "05901234123457", &["A-1", "a"]),
        called("b", "", &["B-1"]),
    ];
    let catalogue = Catalogue::new(items).expect("a catalogue");
    let again = Catalogue::from_bytes(&catalogue.to_bytes()).expect("the same");
    assert_eq!(again.items(), catalogue.items());
    // Known from before there were other names.
    let bare = Catalogue::new(vec![item("a", None)])
        .expect("a catalogue")
        .digest()
        .to_string();
    assert_eq!(
        bare,
        Digest::of(b"{\"id\":\"a\",\"title\":\"\",\"category\":\"tea\",\"brand\":\"\",\"price\":null}\n")
            .to_string()
    );
    for (second, named) in [
        (
            called("b", "5901234123457", &[]),
            "\"5901234123457\" is a name of two items, \"a\" and \"b\"",
        ),
        (called("b", "", &["A-1"]), "\"A-1\" is a name of two"),
        (called("b", "", &["a"]), "\"a\" is a name of two"),
        (called("b", "5.9E+12", &[]), "\"b\" has the gtin \"5.9E+12\""),
        (called("b", "000", &[]), "up to 14 digits"),
    ] {
        let said = Catalogue::new(vec![called("a", "05901234123457", &["A-1"]), second]);
        let said = said.expect_err(named).to_string();
        assert!(said.contains(named), "{said}");
    }
}

#[test]
fn vectors_survive_and_bad_ones_are_named() {
    let with = |id: &str, vector: &[f32]| Item {
        vector: vector.to_vec(),
        ..item(id, None)
    };
    let catalogue = Catalogue::new(vec![with("a", &[0.25, -1.0001]), item("b", None)]).expect("a catalogue");
    let bytes = catalogue.to_bytes();
    assert_eq!(
        String::from_utf8(bytes.clone()).expect("text"),
        "{\"id\":\"a\",\"title\":\"\",\"category\":\"tea\",\"brand\":\"\",\"price\":null,\"vector\":[0.25,-1.0001]}\n\
         {\"id\":\"b\",\"title\":\"\",\"category\":\"tea\",\"brand\":\"\",\"price\":null}\n"
    );
    let again = Catalogue::from_bytes(&bytes).expect("the same");
    assert_eq!(again.items(), catalogue.items());
    for (second, named) in [
        (vec![1.0], "\"b\" has a vector of 1 numbers; here it must have 2"),
        (vec![1.0, f32::NAN], "\"b\" has NaN in its vector"),
        (vec![1.0, f32::INFINITY], "\"b\" has inf"),
        (vec![1.0, -2e4], "\"b\" has -20000"),
    ] {
        let items = vec![with("a", &[0.5, 1.0]), with("b", &second)];
        let said = Catalogue::new(items).expect_err(named).to_string();
        assert!(said.contains(named), "{said}");
    }
    let long = Catalogue::new(vec![with("a", &[0.0; 65])]).expect_err("too long");
    assert!(
        long.to_string().contains("65 numbers; here it must have 64"),
        "{long}"
    );
}

#[test]
fn a_catalogue_of_a_later_format_says_so_and_a_line_that_is_no_item_is_another_matter() {
    let said = |text: &str| Catalogue::from_bytes(text.as_bytes()).unwrap_err().to_string();
    assert!(said("{\"format\":2}\n{}\n").contains("format 2 and this program reads format 1"));
    assert!(said("{\"id\":\"a\"}\n{\"format\":2}\n").contains("line 2"));
    assert!(said("{\"item\":2}\n").contains("line 1"));
}

#[test]
fn bytes_survive_and_features_are_in_range() {
    let items = (0..20)
        .map(|i| item(&format!("i{i}"), (i % 3 != 0).then_some(f64::from(i))))
        .collect();
    let catalogue = Catalogue::new(items).expect("a catalogue");
    let again = Catalogue::from_bytes(&catalogue.to_bytes()).expect("the same");
    assert_eq!(catalogue.digest(), again.digest());
    assert_eq!(catalogue.features(), again.features());
    assert!(
        catalogue
            .features()
            .iter()
            .all(|f| f.price_bucket as usize <= PRICE_BUCKETS && f.category == 1)
    );
    assert_eq!(catalogue.features()[0].price_bucket, 0);
}

#[test]
fn dates_are_counted_and_written_only_where_there_are_any() {
    let of = |id: &str, published| Item {
        published,
        ..Item::bare(id)
    };
    let now = Timestamp::from_secs(1000);
    let told = |items: &[Item]| Catalogue::new(items.to_vec()).expect("good").dates(now).words();
    assert_eq!(told(&[of("a", None), of("b", None)]), None);
    assert_eq!(
        told(&[of("a", Some(-5))]).as_deref(),
        Some("1 of 1 items have one")
    );
    let words = told(&[of("a", Some(1000)), of("b", None), of("c", Some(1001))]).expect("dates");
    assert!(
        words.contains("2 of 3") && words.contains("1 have none") && words.contains("1 are still to come"),
        "{words}"
    );
    let plain = Catalogue::new(vec![Item::bare("a")]).expect("good").to_bytes();
    assert!(!String::from_utf8(plain).expect("text").contains("published"));
    let dated = Catalogue::new(vec![of("a", Some(-5))]).expect("good");
    assert_eq!(
        Catalogue::from_bytes(&dated.to_bytes()).expect("read").items(),
        dated.items()
    );
}
