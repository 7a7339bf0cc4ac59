use super::parser::parse;
use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn item() -> Item {
    Item {
        title: "Green Tea".into(),
        category: "tea & coffee".into(),
        brand: "Own".into(),
        price: Some(12.5),
        tags: vec!["Organic".into(), "gift".into()],
        numbers: [("year".to_owned(), 2024.0), ("page count".to_owned(), 3.0)].into(),
        ..Item::bare("i1")
    }
}

fn numbers() -> BTreeSet<String> {
    ["year", "page count"].map(str::to_owned).into()
}

fn holds(text: &str) -> Option<bool> {
    let item = item();
    let facts = Facts {
        item: &item,
        price: item.price,
        stock: None,
        hidden: false,
        in_cart: true,
    };
    parse(text, Some(&numbers()))
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .holds(&facts)
}

#[test]
fn conditions_mean_what_they_say() {
    for (text, expected) in [
        ("price < 50", Some(true)),
        ("50 > price", Some(true)),
        ("price <= 12.5 && price >= 12.50", Some(true)),
        ("price == 12.5 && price != 12", Some(true)),
        ("price > -1", Some(true)),
        ("price < 50 && category != \"gift cards\"", Some(true)),
        // && binds more strongly than ||.
        ("true || false && false", Some(true)),
        ("(true || false) && false", Some(false)),
        ("!hidden && in_cart", Some(true)),
        ("!(price < 50)", Some(false)),
        ("hidden == false", Some(true)),
        ("hidden != in_cart", Some(true)),
        // Texts are compared without case and surrounding blanks, ids letter by letter.
        ("brand == 'OWN '", Some(true)),
        ("id == \"I1\"", Some(false)),
        ("brand in [\"Other\", \"own\"]", Some(true)),
        ("year in [2023, 2025]", Some(false)),
        ("tags in [\"organic\"]", Some(true)),
        ("tags contains \"organic\"", Some(true)),
        ("tags contains \"organ\"", Some(false)),
        ("title contains \"TEA\"", Some(true)),
        ("title contains \"\\\"\"", Some(false)),
        ("number(\"page count\") == 3", Some(true)),
        ("\n  year ==\n2024 ", Some(true)),
        // What is not known is neither, and neither is its opposite.
        ("stock > 0", None),
        ("stock == 0", None),
        ("stock != 0", None),
        ("!(stock > 0)", None),
        ("stock > 0 || true", Some(true)),
        ("stock > 0 && false", Some(false)),
        ("stock in [1, 2]", None),
        ("(stock > 0) == true", None),
        ("stock == none", Some(true)),
        ("none != price", Some(true)),
    ] {
        assert_eq!(holds(text), expected, "{text}");
    }
}

#[test]
fn what_is_not_understood_is_named_with_its_place_and_what_was_expected() {
    for (text, said) in [
        (
            "",
            "line 1, column 1: expected a field, a number, a text, `!` or `(`, found the end",
        ),
        (
            "price <",
            "line 1, column 8: expected a field, a number, a text, `!` or `(`, found the end",
        ),
        (
            "price",
            "line 1, column 1: expected a condition such as price < 50, found a number alone",
        ),
        (
            "price < 50 &&\n brnd == \"x\"",
            "line 2, column 2: expected a field, found `brnd`: did you mean `brand`?",
        ),
        (
            "yaer > 2000",
            "line 1, column 1: expected a field, found `yaer`: did you mean `year`?",
        ),
        (
            "warehouse == 1",
            "line 1, column 1: expected a field, found `warehouse`: there are id, title,",
        ),
        (
            "price = 5",
            "line 1, column 7: expected && or || or the end, found `=`: equality is written ==",
        ),
        (
            "price < 5 and hidden",
            "line 1, column 11: expected && or || or the end, found `and`: it is written &&",
        ),
        (
            "not hidden",
            "line 1, column 1: expected a field, found `not`: it is written !",
        ),
        (
            "price < null",
            "line 1, column 9: expected a field, found `null`: it is written none",
        ),
        (
            "price < \"5\"",
            "line 1, column 7: expected two numbers or two texts around `<`, found a number and a text",
        ),
        (
            "brand < \"x\"",
            "line 1, column 7: expected == or != between two texts, found `<`",
        ),
        (
            "1 < price < 5",
            "line 1, column 11: expected && or || or the end, found `<`: write two comparisons",
        ),
        ("(price < 5", "line 1, column 11: expected `)`, found the end"),
        (
            "price < 5)",
            "line 1, column 10: expected && or || or the end, found `)`",
        ),
        (
            "!price < 5",
            "line 1, column 2: expected a condition behind `!`, found a number: put parentheses",
        ),
        (
            "brand in \"x\"",
            "line 1, column 10: expected `[`, found the text \"x\"",
        ),
        (
            "brand in []",
            "line 1, column 11: expected a text or a number, found `]`",
        ),
        (
            "brand in [\"a\" \"b\"]",
            "line 1, column 15: expected `,` or `]`, found the text \"b\"",
        ),
        (
            "brand in [1]",
            "line 1, column 11: expected a text, found a number",
        ),
        (
            "price in [\"a\"]",
            "line 1, column 11: expected a number, found a text",
        ),
        (
            "hidden in [1]",
            "line 1, column 8: expected a field such as brand before `in`, found a condition",
        ),
        (
            "tags == \"x\"",
            "line 1, column 6: expected `contains` behind tags, found `==`",
        ),
        (
            "price contains \"x\"",
            "line 1, column 7: expected title, category, brand, id or tags before `contains`",
        ),
        (
            "title contains tea",
            "line 1, column 16: expected a text in quotation marks, found `tea`",
        ),
        (
            "price < 5 && brand",
            "line 1, column 14: expected a condition such as price < 50, found a text alone",
        ),
        (
            "brand == \"x",
            "line 1, column 10: the text that begins here has no end: expected \"",
        ),
        ("price < 1.2.3", "line 1, column 9: \"1.2.3\" is no number"),
        (
            "price < 50 & hidden",
            "line 1, column 12: '&' means nothing here; \"and\" is written &&",
        ),
        (
            "brand == “x”",
            "line 1, column 10: '“' means nothing here; texts stand between straight",
        ),
        (
            "price < -brand",
            "line 1, column 10: expected a number behind `-`, found `brand`",
        ),
        (
            "number(5) < 3",
            "line 1, column 8: expected the name of a number in quotation marks, found the number 5",
        ),
        (
            "number(\"pagecount\") < 3",
            "line 1, column 8: expected a field, found `pagecount`: did you mean `page count`?",
        ),
        (
            "none == none",
            "line 1, column 6: expected two numbers or two texts around `==`, found none and none",
        ),
    ] {
        let error = parse(text, Some(&numbers())).expect_err(text).to_string();
        assert!(error.starts_with(said), "{text}: {error}");
    }
}

#[test]
fn what_is_too_long_or_too_deep_is_refused() {
    let deep = |depth: usize| format!("{}true{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&deep(40), None).is_ok());
    for text in [
        deep(200),
        "!".repeat(1000) + "true",
        vec!["true"; 300].join("||"),
        "x".repeat(5000),
    ] {
        let error = parse(&text, None).unwrap_err().to_string();
        assert!(error.contains("make two rules of it"), "{error}");
    }
    let list: Vec<String> = (0..501).map(|number| number.to_string()).collect();
    let error = parse(&format!("price in [{}]", list.join(",")), None).unwrap_err();
    assert!(error.to_string().contains("more than 500 values"), "{error}");
}

#[test]
fn without_a_catalogue_any_name_may_be_a_number() {
    assert!(parse("anything > 3", None).is_ok());
    let error = parse("anything > 3", Some(&BTreeSet::new())).unwrap_err();
    assert!(error.to_string().contains("`anything`"), "{error}");
}

fn condition() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("true"),
        Just("false"),
        Just("stock > 3"),
        Just("price < 50"),
        Just("brand == \"x\""),
        Just("in_cart"),
    ];
    leaf.prop_map(str::to_owned).prop_recursive(4, 24, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) && ({b})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("({a}) || ({b})")),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_is_understood_or_refused(text in "\\PC*") {
        let _ = parse(&text, None);
    }

    #[test]
    fn any_bytes_are_understood_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&String::from_utf8_lossy(&bytes), None);
    }

    #[test]
    fn any_pieces_are_understood_or_refused(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "price", "brand", "tags", "in", "contains", "none", "(", ")", "[", "]", ",", "!", "&&", "||", "==", "<", "5", "\"x\"", "-",
        ]), 0..30),
    ) {
        if let Ok(condition) = parse(&pieces.join(" "), None) {
            let item = item();
            condition.holds(&Facts { item: &item, price: None, stock: None, hidden: false, in_cart: false });
        }
    }

    #[test]
    fn logic_has_the_laws_of_de_morgan(a in condition(), b in condition()) {
        prop_assert_eq!(holds(&format!("!(({a}) && ({b}))")), holds(&format!("!({a}) || !({b})")));
        prop_assert_eq!(holds(&format!("!(({a}) || ({b}))")), holds(&format!("!({a}) && !({b})")));
        prop_assert_eq!(holds(&format!("!(!({a}))")), holds(&a));
        prop_assert_eq!(holds(&format!("({a}) && ({b})")), holds(&format!("({b}) && ({a})")));
        prop_assert_eq!(holds(&format!("({a}) || ({a})")), holds(&a));
    }
}
