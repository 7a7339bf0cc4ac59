//! Figures as pictures: inline SVG with a title that says the same in words. Colours come from the style sheet.

use std::collections::BTreeSet;

use maud::{Markup, html};
use qrcode::{Color, EcLevel, QrCode};

use super::words::{Words, fill};
use crate::recommend::picture::Picture;

/// A bar of `part` of a whole, 0 to 1; in the colour of what needs attention if it `warns`.
pub(super) fn gauge(id: &str, part: f64, warns: bool, title: &str) -> Markup {
    let width = (part.clamp(0.0, 1.0) * 600.0).round();
    let class = if warns { "over" } else { "filled" };
    html! {
        svg id=(id) role="img" aria-labelledby={ (id) "-title" } viewBox="0 0 600 32" width="600" height="32" {
            title id={ (id) "-title" } { (title) }
            rect class="track" x="0" y="0" width="600" height="32" rx="6" {}
            rect class=(class) x="0" y="0" width=(width) height="32" rx="6" {}
        }
    }
}

/// A value between two bounds.
pub(super) struct Span {
    pub(super) name: &'static str,
    pub(super) low: f64,
    pub(super) middle: f64,
    pub(super) high: f64,
}

/// Values with their bounds around nought, a line each; all on one scale.
pub(super) fn spans(id: &str, spans: &[Span], title: &str) -> Markup {
    let reach = spans.iter().flat_map(|span| [span.low.abs(), span.high.abs()]);
    let reach = reach.fold(f64::MIN_POSITIVE, f64::max);
    let at = |value: f64| format!("{:.1}", 390.0 + value / reach * 240.0);
    let height = 20 + 40 * spans.len();
    html! {
        svg id=(id) role="img" aria-labelledby={ (id) "-title" } viewBox={ "0 0 640 " (height) } width="640" height=(height) {
            title id={ (id) "-title" } { (title) }
            line class="nought" x1="390" x2="390" y1="5" y2=(height - 5) {}
            @for (row, span) in spans.iter().enumerate() {
                @let y = 30 + 40 * row;
                text x="0" y=(y + 5) { (span.name) }
                line class="span" x1=(at(span.low)) x2=(at(span.high)) y1=(y) y2=(y) {}
                circle class="listed" cx=(at(span.middle)) cy=(y) r="6" {}
            }
        }
    }
}

/// All scores of a customer from the highest to the lowest, what is listed and what the customer has marked; none if no score is
/// a number.
pub(super) fn scores(words: &Words, picture: &Picture) -> Option<Markup> {
    let finite = (0u32..)
        .zip(&picture.scores)
        .filter(|(_, score)| score.is_finite());
    let mut order: Vec<(u32, f32)> = finite.map(|(row, score)| (row, *score)).collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let (high, low) = (order.first()?.1, order.last()?.1);
    let (best, bought): (BTreeSet<u32>, BTreeSet<u32>) = (
        picture.best.iter().copied().collect(),
        picture.bought.iter().copied().collect(),
    );
    let last = (order.len() - 1).max(1) as f32;
    let span = (high - low).max(f32::MIN_POSITIVE);
    let at = |place: usize, score: f32| {
        (
            10.0 + place as f32 / last * 620.0,
            190.0 - (score - low) / span * 180.0,
        )
    };
    // A curve of a million points helps nobody.
    let step = order.len().div_ceil(MOST_POINTS);
    let mut path = String::new();
    for (place, (_, score)) in order.iter().enumerate().step_by(step) {
        let (x, y) = at(place, *score);
        path.push_str(&format!("{x:.1},{y:.1} "));
    }
    let marks = || {
        order
            .iter()
            .enumerate()
            .map(|(place, (row, score))| (row, at(place, *score)))
    };
    let title = fill(
        words.customer_picture,
        &[
            ("items", &order.len()),
            ("high", &format!("{high:.3}")),
            ("low", &format!("{low:.3}")),
            ("middle", &format!("{:.3}", order[order.len() / 2].1)),
            ("listed", &best.len()),
            ("bought", &bought.len()),
        ],
    );
    Some(html! {
        svg id="scores" role="img" aria-labelledby="scores-title" viewBox="0 0 640 200" width="640" height="200" {
            title id="scores-title" { (title) }
            polyline class="curve" points=(path.trim_end()) {}
            @for (_, (x, y)) in marks().filter(|(row, _)| bought.contains(row)) {
                rect class="owned" x=(format!("{:.1}", x - 4.0)) y=(format!("{:.1}", y - 4.0)) width="8" height="8" {}
            }
            @for (_, (x, y)) in marks().filter(|(row, _)| best.contains(row)) {
                circle class="listed" cx=(format!("{x:.1}")) cy=(format!("{y:.1}")) r="5" {}
            }
        }
        p class="dim" { (title) }
    })
}

/// A text as a QR code, dark on light in either scheme, with the quiet zone that readers need; nothing for a text that is too long.
pub(super) fn qr(id: &str, text: &str, title: &str) -> Markup {
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::M) else {
        return html! {};
    };
    let width = code.width();
    let mut path = String::new();
    for (at, _) in code
        .to_colors()
        .iter()
        .enumerate()
        .filter(|(_, colour)| **colour == Color::Dark)
    {
        path.push_str(&format!("M{} {}h1v1h-1z", at % width + QUIET, at / width + QUIET));
    }
    let side = width + 2 * QUIET;
    html! {
        svg id=(id) class="qr" role="img" aria-labelledby={ (id) "-title" } viewBox={ "0 0 " (side) " " (side) } {
            title id={ (id) "-title" } { (title) }
            rect width=(side) height=(side) fill="#fff" {}
            path d=(path) fill="#000" shape-rendering="crispEdges" {}
        }
    }
}

/// Modules around a QR code (ISO/IEC 18004).
const QUIET: usize = 4;
const MOST_POINTS: usize = 400;

#[cfg(test)]
mod tests {
    use super::super::words::Language;
    use super::*;

    #[test]
    fn every_listed_and_owned_item_is_marked_and_the_title_says_it_in_words() {
        let picture = Picture {
            user_id: "u".into(),
            scores: (0..5000).map(|at| (at % 70) as f32).chain([f32::NAN]).collect(),
            best: vec![69, 139, 209],
            bought: vec![1],
        };
        let drawn = scores(Language::English.words(), &picture).unwrap().into_string();
        assert_eq!(
            (
                drawn.matches("<circle").count(),
                drawn.matches("class=\"owned\"").count()
            ),
            (3, 1)
        );
        assert!(
            drawn.contains("Scores of all 5000 items") && drawn.contains("from 69.000 to 0.000"),
            "{drawn}"
        );
        assert!(drawn.len() < 20_000, "{}", drawn.len());
        let nothing = Picture {
            scores: vec![f32::NAN],
            ..picture
        };
        assert!(scores(Language::English.words(), &nothing).is_none());
    }

    #[test]
    fn bounds_lie_on_both_sides_of_nought_on_one_scale() {
        let span = |low, high| Span {
            name: "together",
            low,
            middle: (low + high) / 2.0,
            high,
        };
        let drawn = spans("d", &[span(-0.01, 0.02), span(0.0, 0.0)], "t <").into_string();
        for part in [
            "x1=\"270.0\" x2=\"630.0\"",
            "cx=\"450.0\"",
            "x1=\"390.0\" x2=\"390.0\"",
            "t &lt;",
        ] {
            assert!(drawn.contains(part), "{part}: {drawn}");
        }
        assert!(!drawn.contains("NaN"), "{drawn}");
    }

    #[test]
    fn one_score_and_equal_scores_are_drawn_too() {
        for count in [1, 3] {
            let picture = Picture {
                user_id: "u".into(),
                scores: vec![1.0; count],
                best: vec![0],
                bought: vec![],
            };
            let drawn = scores(Language::Chinese.words(), &picture).unwrap().into_string();
            assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
        }
    }

    #[test]
    fn a_qr_code_is_one_picture_with_a_title() {
        let drawn = qr("own", &"0".repeat(64), "Fingerprint of <b>").into_string();
        assert_eq!(
            (drawn.matches("<svg").count(), drawn.matches("</svg>").count()),
            (1, 1),
            "{drawn}"
        );
        assert!(
            drawn.contains("Fingerprint of &lt;b&gt;") && drawn.contains("<path"),
            "{drawn}"
        );
        assert!(
            !drawn.contains("style="),
            "the policy allows no styles in attributes: {drawn}"
        );
    }

    #[test]
    fn a_gauge_is_never_longer_than_its_track() {
        for (part, width) in [
            (0.0, "width=\"0\""),
            (0.5, "width=\"300\""),
            (7.0, "width=\"600\""),
        ] {
            let drawn = gauge("g", part, false, "t").into_string();
            assert!(
                drawn.contains(&format!("{width} height=\"32\" rx=\"6\"></rect></svg>")),
                "{drawn}"
            );
        }
    }
}
