//! Figures as pictures: inline SVG with a title that says the same in words. Colours come from the style sheet.

use maud::{Markup, html};

use super::model::UtilityFinding;
use super::show;
use crate::audit::findings::{AttackFinding, AttackRow, EpsilonBound, Protections};

const WIDTH: f64 = 720.0;
/// Where bars begin, and how long the longest is.
const LEFT: f64 = 8.0;
const REACH: f64 = 590.0;
const ROW: usize = 46;

/// Rows in frames that fit on a printed page, each with a title for who can't see it.
fn frames(id: &str, title: &str, rows: &[(String, Markup)]) -> Markup {
    html! {
        @for (number, rows) in (1..).zip(rows.chunks(MOST_ROWS)) {
            @let id = format!("{id}-{number}");
            @let height = 12 + ROW * rows.len();
            svg id=(id) role="img" aria-labelledby={ (id) "-title" } viewBox={ "0 0 " (WIDTH) " " (height) } width=(WIDTH) height=(height) {
                title id={ (id) "-title" } {
                    (title) @for (said, _) in rows { " " (said) "." }
                }
                @for (place, (_, row)) in rows.iter().enumerate() {
                    g transform={ "translate(0 " (ROW * place) ")" } { (row) }
                }
            }
        }
    }
}

fn at(part: f64) -> String {
    format!("{:.1}", LEFT + REACH * part.clamp(0.0, 1.0))
}

fn wide(part: f64) -> String {
    format!("{:.1}", REACH * part.clamp(0.0, 1.0))
}

/// No longer than a row has room for.
fn label(text: &str) -> String {
    match text.chars().count() {
        ..=MOST_LETTERS => text.to_owned(),
        _ => text.chars().take(MOST_LETTERS - 1).chain(['…']).collect(),
    }
}

/// Each measurement's lower bound within the accountant's upper bound, on one scale.
pub(super) fn bounds(bounds: &[EpsilonBound]) -> Markup {
    let figures = bounds.iter().flat_map(|bound| [Some(bound.lower), bound.upper]);
    let most = figures.flatten().fold(f64::MIN_POSITIVE, f64::max);
    let row = |bound: &EpsilonBound| {
        let (lower, upper) = (bound.lower.max(0.0), show::epsilon(bound.upper));
        let name = format!("{} · {} · {}", bound.of, bound.procedure, bound.canary);
        let said = format!("{name}: at least {lower:.2} of at most {upper}");
        let drawn = html! {
            text x=(LEFT) y="20" { (label(&name)) }
            @if let Some(upper) = bound.upper {
                rect class="upper" x=(LEFT) y="26" width=(wide(upper / most)) height="16" {}
            }
            rect class=(if bound.ok { "lower" } else { "over" }) x=(LEFT) y="29" width=(wide(lower / most)) height="10" {}
            text class="small" x=(WIDTH) y="39" text-anchor="end" { (format!("{lower:.2} of {upper}")) }
        };
        (said, drawn)
    };
    let rows: Vec<_> = bounds.iter().map(row).collect();
    frames("picture-bounds", "Epsilon measured and promised.", &rows)
}

/// Each attack's success with its interval, beside chance and what is allowed, from 0 to 1.
pub(super) fn attacks(attacks: &[AttackFinding]) -> Markup {
    let row = |(attack, row): (&AttackFinding, &AttackRow)| {
        let name = format!("{} · {}", attack.attack, protections(row.protections));
        let said = format!("{name}: {:.2}, chance {:.2}", row.success, row.chance);
        let over = if row.ok == Some(false) { " over" } else { "" };
        let drawn = html! {
            text x=(LEFT) y="20" { (label(&name)) }
            line class="axis" x1=(at(0.0)) x2=(at(1.0)) y1="34" y2="34" {}
            (upright("chance", row.chance))
            @if let Some(allowed) = row.allowed { (upright("allowed", allowed)) }
            line class={ "range" (over) } x1=(at(row.low)) x2=(at(row.high)) y1="34" y2="34" {}
            circle class={ "point" (over) } cx=(at(row.success)) cy="34" r="6" {}
            text class="small" x=(WIDTH) y="39" text-anchor="end" { (format!("{:.3}", row.success)) }
        };
        (said, drawn)
    };
    let rows = attacks
        .iter()
        .flat_map(|attack| attack.rows.iter().map(move |row| (attack, row)));
    let rows: Vec<_> = rows.map(row).collect();
    frames("picture-attacks", "Success of attacks, from 0 to 1.", &rows)
}

fn upright(class: &str, part: f64) -> Markup {
    html! { line class=(class) x1=(at(part)) x2=(at(part)) y1="25" y2="43" {} }
}

/// Hit rates with the plan's noise and without it, by part of the customers.
pub(super) fn utility(rows: &[UtilityFinding]) -> Markup {
    let row = |row: &UtilityFinding| {
        let without = row.without_noise.map_or_else(|| "none".to_owned(), show::percent);
        let with = show::percent(row.with_plan);
        let said = format!("{}: {with}, without noise {without}", part(row));
        let drawn = html! {
            text x=(LEFT) y="20" { (label(&part(row))) }
            line class="axis" x1=(at(0.0)) x2=(at(1.0)) y1="34" y2="34" {}
            @if let Some(without) = row.without_noise {
                line class="range" x1=(at(row.with_plan)) x2=(at(without)) y1="34" y2="34" {}
                circle class="open" cx=(at(without)) cy="34" r="6" {}
            }
            circle class="point" cx=(at(row.with_plan)) cy="34" r="6" {}
            text class="small" x=(WIDTH) y="39" text-anchor="end" { (with) }
        };
        (said, drawn)
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    let title = "Hit rate with the plan and without its noise, from 0 to 100 %.";
    frames("picture-utility", title, &rows)
}

/// Whom a row is of.
pub(super) fn part(row: &UtilityFinding) -> String {
    match row.parted_by == super::front::ALL {
        true => format!(
            "all {} customers, by {}",
            show::thousands(row.customers),
            row.ranked_by
        ),
        false => format!(
            "{}: {} ({})",
            row.parted_by,
            row.part,
            show::thousands(row.customers)
        ),
    }
}

/// For people.
pub(super) fn protections(protections: Protections) -> &'static str {
    match protections {
        Protections::Plan => "the plan as it is",
        Protections::NoNoise => "without noise",
        Protections::NoMasks => "without masks",
        Protections::NoClip => "without clip",
        Protections::None => "without any protection",
    }
}

const MOST_LETTERS: usize = 90;
/// Of a picture on one printed page.
const MOST_ROWS: usize = 18;
