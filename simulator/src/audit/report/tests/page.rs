//! The page: one file, escaped, readable by everybody.

use super::super::html::{OPEN, Page};
use super::super::write::signed;
use super::*;

fn page(report: &Report) -> String {
    signed(report, &key()).unwrap().0
}

/// Attributes of that name, with their values.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let opened = format!(" {attribute}=\"");
    let found = page.match_indices(&opened);
    found
        .map(|(at, _)| page[at + opened.len()..].split('"').next().unwrap())
        .collect()
}

#[test]
fn it_asks_for_nothing_outside_and_runs_nothing() {
    let page = page(&report());
    for tag in [
        "<link",
        "<img",
        "<iframe",
        "<object",
        "<embed",
        "<base",
        "<form",
        "<input",
        "@import",
        "url(",
        "http-equiv",
        "javascript:",
    ] {
        assert!(!page.contains(tag), "{tag}");
    }
    assert!(values(&page, "src").is_empty());
    let links = values(&page, "href");
    assert!(
        links.len() > 10 && links.iter().all(|link| link.starts_with('#')),
        "{links:?}"
    );
    for link in links {
        assert!(page.contains(&format!(" id=\"{}\"", &link[1..])), "{link}");
    }
    assert_eq!(
        page.matches("<script").count(),
        1,
        "the signed text, which is data"
    );
    assert!(page.contains(OPEN));
    for event in [" onload=", " onclick=", " onerror="] {
        assert!(!page.contains(event), "{event}");
    }
}

#[test]
fn it_is_accessible_and_prints() {
    let page = page(&report());
    assert!(
        page.contains("<html lang=\"en\">") && page.contains("<title>Privacy audit of two releases</title>")
    );
    assert_eq!(page.matches("<h1>").count(), 1);
    assert_eq!(page.matches("<svg ").count(), 3);
    assert_eq!(
        page.matches("role=\"img\"").count(),
        page.matches("<title id=").count()
    );
    let heads = page.matches("<th ").count();
    assert!(
        heads > 80 && page.matches("<th scope=\"").count() == heads,
        "{heads}"
    );
    assert!(page.matches("<table").count() == page.matches("<caption>").count());
    assert!(page.contains("@media print") && page.contains("size:A4") && page.contains("break-after:page"));
    assert!(page.contains("prefers-color-scheme:dark"));
    // Signs beside colours.
    for sign in ["● in order", "▲ to weigh", "■ alarm"] {
        assert!(page.contains(sign), "{sign}");
    }
}

#[test]
fn what_plans_shops_and_findings_are_called_never_becomes_part_of_the_page() {
    const EVIL: &str =
        "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&<!-- signed report -->\\u003c";
    let mut found = findings();
    found.attacks[0].attack = EVIL.into();
    found.attacks[0].rows[0].note = EVIL.into();
    found.bounds[0].of = EVIL.into();
    found.not_tested.push(EVIL.into());
    found.utility[1].part = EVIL.into();
    let mut subject = subject(&private_plan());
    subject.plan.name = EVIL.into();
    let report = Report::new(&subject, found, provenance()).unwrap();
    let (page, json) = signed(&report, &key()).unwrap();
    assert_eq!(
        (page.matches("<script").count(), page.matches("</script>").count()),
        (1, 1)
    );
    assert!(!page.contains("<img") && !page.contains("<!--"), "escaped");
    assert!(page.contains("&lt;img src=x"), "and shown");
    assert!(!json.contains('<') && !json.contains('&'));
    let checked = super::super::verify::verify_bytes(page.as_bytes(), None).unwrap();
    assert!(checked.ok && checked.plan.as_deref() == Some(EVIL), "{checked:?}");
    assert!(
        super::super::verify::verify_bytes(json.as_bytes(), None)
            .unwrap()
            .ok
    );
}

#[test]
fn every_section_is_there_in_order_and_each_is_mapped_to_what_it_answers() {
    use super::super::words::{ANSWERED, GLOSSARY, TITLES};
    let page = Page::of(&report(), "k").before;
    let mut last = 0;
    for title in TITLES {
        let at = page
            .find(&format!("<section id=\"{}\">", title.id))
            .unwrap_or_else(|| panic!("{}", title.id));
        assert!(at > last, "{}", title.id);
        last = at;
    }
    let answered: Vec<&str> = ANSWERED.iter().map(|row| row.section).collect();
    let sections: Vec<&str> = TITLES
        .iter()
        .map(|title| title.id)
        .filter(|id| *id != "answered")
        .collect();
    assert_eq!(answered, sections);
    let mut terms: Vec<&str> = GLOSSARY.iter().map(|term| term.term).collect();
    terms.sort_by_key(|term| term.to_lowercase());
    assert_eq!(
        terms,
        GLOSSARY.iter().map(|term| term.term).collect::<Vec<_>>(),
        "in order of the alphabet"
    );
}

#[test]
fn pictures_have_a_mark_for_each_row_and_no_figure_that_is_none() {
    let mut found = findings();
    found.bounds.push(EpsilonBound {
        upper: None,
        confidence: None,
        ..bound(0.0, true)
    });
    found.bounds.push(bound(9.0, false));
    let svg = super::super::pictures::bounds(&found.bounds).into_string();
    assert_eq!(
        (
            svg.matches("class=\"upper\"").count(),
            svg.matches("class=\"lower\"").count()
        ),
        (2, 2)
    );
    assert_eq!(
        svg.matches("class=\"over\"").count(),
        1,
        "what crosses is told by another colour"
    );
    let svg = svg + &super::super::pictures::attacks(&found.attacks).into_string();
    assert_eq!(svg.matches("<circle").count(), 2);
    assert_eq!(
        (
            svg.matches("class=\"chance\"").count(),
            svg.matches("class=\"allowed\"").count()
        ),
        (2, 1)
    );
    let svg = svg + &super::super::pictures::utility(&found.utility).into_string();
    assert!(!svg.contains("NaN") && !svg.contains("inf\""), "{svg}");
    let none = super::super::pictures::bounds(&[bound(0.0, true)]).into_string();
    assert!(!none.contains("NaN"), "{none}");
}

#[test]
fn an_attack_that_was_not_tried_stands_among_what_was_not_tested() {
    let mut found = findings();
    found.attacks.push(AttackFinding {
        attack: "gender".into(),
        not_run: Some("the data set has none".into()),
        ..attack(true, Vec::new())
    });
    let report = Report::new(&subject(&private_plan()), found, provenance()).unwrap();
    let page = Page::of(&report, "k").before;
    let section = page
        .split("id=\"not-tested\"")
        .nth(1)
        .unwrap()
        .split("</section>")
        .next()
        .unwrap();
    assert!(
        section.contains("the attack gender: the data set has none")
            && section.contains("timing of a real network"),
        "{section}"
    );
}

#[test]
fn a_long_picture_is_parted_so_that_each_fits_on_a_page() {
    let many: Vec<EpsilonBound> = (0..40).map(|_| bound(1.0, true)).collect();
    let svg = super::super::pictures::bounds(&many).into_string();
    assert_eq!(svg.matches("<svg ").count(), 3);
    assert_eq!(svg.matches("class=\"lower\"").count(), 40);
    for number in 1..=3 {
        assert_eq!(svg.matches(&format!("id=\"picture-bounds-{number}\"")).count(), 1);
    }
}
