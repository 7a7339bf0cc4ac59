//! Figures as pictures: inline SVG with a title that says the same in words. Colours come from the style sheet.

use maud::{Markup, html};

use super::model::UtilityFinding;
use super::show;
use crate::audit::findings::{AttackFinding, EpsilonBound, Protections};

const WIDTH: f64 = 720.0;
/// Where bars begin, and how long the longest is.
const LEFT: f64 = 8.0;
const REACH: f64 = 590.0;
const ROW: usize = 46;

/// A frame of `rows` rows with a title for who can't see it.
fn frame(id: &str, title: &str, rows: usize, body: &Markup) -> Markup {
    let height = 12 + ROW * rows.max(1);
    html! {
        svg id=(id) role="img" aria-labelledby={ (id) "-title" } viewBox={ "0 0 " (WIDTH) " " (height) } width=(WIDTH) height=(height) {
            title id={ (id) "-title" } { (title) }
            (body)
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
    let said = bounds.iter().map(|bound| {
        format!(
            "{}, {}: at least {:.2} of at most {}",
            bound.of,
            bound.procedure,
            bound.lower,
            show::epsilon(bound.upper)
        )
    });
    let title = format!(
        "Epsilon measured and promised. {}",
        said.collect::<Vec<_>>().join("; ")
    );
    let body = html! {
        @for (row, bound) in bounds.iter().enumerate() {
            @let y = 8 + ROW * row;
            text x=(LEFT) y=(y + 12) { (label(&format!("{} · {} · {}", bound.of, bound.procedure, bound.canary))) }
            @if let Some(upper) = bound.upper {
                rect class="upper" x=(LEFT) y=(y + 18) width=(wide(upper / most)) height="16" {}
            }
            rect class=(if bound.ok { "lower" } else { "over" }) x=(LEFT) y=(y + 21) width=(wide(bound.lower.max(0.0) / most)) height="10" {}
            text class="small" x=(WIDTH) y=(y + 31) text-anchor="end" {
                (format!("{:.2} of {}", bound.lower.max(0.0), show::epsilon(bound.upper)))
            }
        }
    };
    frame("picture-bounds", &title, bounds.len(), &body)
}

/// Each attack's success with its interval, beside chance and what is allowed, from 0 to 1.
pub(super) fn attacks(attacks: &[AttackFinding]) -> Markup {
    let rows: Vec<_> = attacks
        .iter()
        .flat_map(|attack| attack.rows.iter().map(move |row| (attack, row)))
        .collect();
    let said = rows.iter().map(|(attack, row)| {
        format!(
            "{}, {}: {:.2}, chance {:.2}",
            attack.attack,
            protections(row.protections),
            row.success,
            row.chance
        )
    });
    let title = format!(
        "Success of attacks, from 0 to 1. {}",
        said.collect::<Vec<_>>().join("; ")
    );
    let body = html! {
        @for (at_row, (attack, row)) in rows.iter().enumerate() {
            @let y = 8 + ROW * at_row;
            @let over = if row.ok == Some(false) { " over" } else { "" };
            text x=(LEFT) y=(y + 12) { (label(&format!("{} · {}", attack.attack, protections(row.protections)))) }
            line class="axis" x1=(at(0.0)) x2=(at(1.0)) y1=(y + 26) y2=(y + 26) {}
            line class="chance" x1=(at(row.chance)) x2=(at(row.chance)) y1=(y + 17) y2=(y + 35) {}
            @if let Some(allowed) = row.allowed {
                line class="allowed" x1=(at(allowed)) x2=(at(allowed)) y1=(y + 17) y2=(y + 35) {}
            }
            line class={ "range" (over) } x1=(at(row.low)) x2=(at(row.high)) y1=(y + 26) y2=(y + 26) {}
            circle class={ "point" (over) } cx=(at(row.success)) cy=(y + 26) r="6" {}
            text class="small" x=(WIDTH) y=(y + 31) text-anchor="end" { (format!("{:.3}", row.success)) }
        }
    };
    frame("picture-attacks", &title, rows.len(), &body)
}

/// Hit rates with the plan's noise and without it, by part of the customers.
pub(super) fn utility(rows: &[UtilityFinding]) -> Markup {
    let said = rows.iter().map(|row| {
        let without = row.without_noise.map_or_else(|| "none".to_owned(), show::percent);
        format!(
            "{}: {}, without noise {without}",
            part(row),
            show::percent(row.with_plan)
        )
    });
    let title = format!(
        "Hit rate with the plan and without its noise, from 0 to 100 %. {}",
        said.collect::<Vec<_>>().join("; ")
    );
    let body = html! {
        @for (at_row, row) in rows.iter().enumerate() {
            @let y = 8 + ROW * at_row;
            text x=(LEFT) y=(y + 12) { (label(&part(row))) }
            line class="axis" x1=(at(0.0)) x2=(at(1.0)) y1=(y + 26) y2=(y + 26) {}
            @if let Some(without) = row.without_noise {
                line class="range" x1=(at(row.with_plan)) x2=(at(without)) y1=(y + 26) y2=(y + 26) {}
                circle class="open" cx=(at(without)) cy=(y + 26) r="6" {}
            }
            circle class="point" cx=(at(row.with_plan)) cy=(y + 26) r="6" {}
            text class="small" x=(WIDTH) y=(y + 31) text-anchor="end" { (show::percent(row.with_plan)) }
        }
    };
    frame("picture-utility", &title, rows.len(), &body)
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
