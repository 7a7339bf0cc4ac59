use super::*;

const ALL_KEYS: &str = r#"
    never = ["i1"]
    always = [{ item = "i2", place = 1, until = "2026-12-24", where = ["recommendations", "similar"] }]
    at_most_of_a_brand = 3
    at_most_of_a_category = 4
    diversity = 0.3
    freshness = 30
    one_per_variant = "group"
    show_out_of_stock = true
    show_in_cart = true
    [[filter]]
    keep = 'price < 50 && category != "gift cards"'
    where = "similar"
    [[boost]]
    when = 'brand == "Own" && in_cart'
    by = -1.2
"#;

#[test]
fn every_key_is_understood() {
    let rules = ListRules::parse(ALL_KEYS, None).unwrap();
    assert_eq!(
        rules.words(),
        "1 filter, 1 boost, 1 pinned item, 1 item that is never listed"
    );
    assert!(rules.filters[0].lists.have(ListKind::Similar) && !rules.filters[0].lists.have(ListKind::New));
    assert!(
        rules.boosts[0].lists.have(ListKind::BoughtTogether)
            && !rules.boosts[0].lists.have(ListKind::Popular)
    );
    assert!(rules.pins[0].lists.have(ListKind::Similar) && !rules.pins[0].lists.have(ListKind::Popular));
    assert!(rules.depend_on_the_day() && rules.ask_for_the_cart());
    let none = ListRules::parse("\u{feff}", None).unwrap();
    assert!(!none.depend_on_the_day() && !none.ask_for_the_cart());
}

#[test]
fn what_makes_no_sense_is_named_with_its_line() {
    for (text, said) in [
        ("never = [", "line 1, column "),
        (
            "never = []\n  nevr = []",
            "line 2, column 3: unknown field `nevr`",
        ),
        (
            "\n[[filter]]\nkeep = 'price <'",
            "line 3: keep = \"price <\", column 8: expected",
        ),
        (
            "[[boost]]\nwhen = 'prise > 1'\nby = 1",
            "line 2: when = \"prise > 1\", column 1: expected a field, found `prise`: did you mean `price`?",
        ),
        (
            "[[filter]]\nkeep = \"\"\"\ntrue ||\n  prise\"\"\"",
            "line 2: keep = \"true ||\\n  prise\", line 2, column 3: expected a field",
        ),
        ("[[boost]]\nwhen = 'true'\nby = 1000", "line 2: by is 1000"),
        ("[[boost]]\nwhen = 'true'\nby = nan", "line 2: by is NaN"),
        ("[[boost]]\nwhen = 'true'", "line 1, column 1: missing field `by`"),
        (
            "[[filter]]\nkeep = 'true'\nwhere = 'simlar'",
            "line 3, column 9: unknown variant `simlar`",
        ),
        (
            "[[filter]]\nkeep = 'true'\nwhere = []",
            "line 3, column 9: `where` is empty",
        ),
        (
            "[[feed]]\npath = 'https://x.example/feed.xml'",
            "feed https://x.example/feed.xml is an address: call it `url`",
        ),
        ("at_most_of_a_brand = 0", "at_most_of_a_brand is 0"),
        ("diversity = 1.5", "diversity is 1.5"),
        ("diversity = nan", "diversity is NaN"),
        ("freshness = 0", "freshness is 0"),
        ("always = [{ item = 'a', place = 0 }]", "place of \"a\" is 0"),
        (
            "always = [{ item = 'a', place = 1, until = '24.12.2026' }]",
            "until of \"a\" is \"24.12.2026\"",
        ),
        (
            "never = ['a']\nalways = [{ item = 'a', place = 1 }]",
            "\"a\" stands under never and under always",
        ),
    ] {
        let error = ListRules::parse(text, Some(&BTreeSet::new()))
            .expect_err(text)
            .to_string();
        assert!(error.starts_with(said), "{text}: {error}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_understood_or_refused(text in "\\PC*", key in "keep|when") {
        let _ = ListRules::parse(&text, None);
        let _ = ListRules::parse(&format!("[[filter]]\n{key} = '''{text}'''"), None);
    }
}
