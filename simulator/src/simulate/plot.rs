//! The picture that an operator decides by: utility against epsilon, with error bars.

use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow};
use plotters::prelude::*;

use super::compare::{Comparison, Mean, Row};

/// Draws it into `path`.
///
/// # Errors
/// When there is nothing to draw, or of the file system.
pub(super) fn draw(comparison: &Comparison, path: &Path) -> anyhow::Result<()> {
    let svg = svg(comparison)?;
    fs::write(path, svg).with_context(|| format!("can't write {}", path.display()))
}

/// One plan of several epsilons is a line; plans are told apart by colour. What has no bound is a broken line across.
pub(super) fn svg(comparison: &Comparison) -> anyhow::Result<String> {
    let rows: Vec<(&Row, Mean)> = comparison
        .rows
        .iter()
        .filter_map(|row| Some((row, row.hit_rate_full?)))
        .collect();
    let bars = |mean: &Mean| {
        let error = mean.standard_error.unwrap_or(0.0);
        [100.0 * (mean.mean - error), 100.0 * (mean.mean + error)]
    };
    let ends = rows.iter().flat_map(|(_, mean)| bars(mean));
    let (low, high) = ends.fold((f64::MAX, f64::MIN), |(low, high), end| {
        (low.min(end), high.max(end))
    });
    if rows.is_empty() {
        return Err(anyhow!("there is nothing to draw: no run was scored"));
    }
    let room = ((high - low) * 0.15).max(0.5);
    let (bottom, top) = ((low - room).max(0.0), high + room);
    let epsilons = rows.iter().filter_map(|(row, _)| row.epsilon);
    let (least, most) = epsilons.fold((f64::MAX, 0.0_f64), |(least, most), epsilon| {
        (least.min(epsilon), most.max(epsilon))
    });
    let (left, right) = match most > 0.0 {
        true => (least / 1.4, most * 1.4),
        // Nothing has a bound: the axis stands for itself.
        false => (1.0, 10.0),
    };
    // A label under each epsilon that was run, to two digits: powers of ten would be one or none.
    let mut labels: Vec<f64> = rows
        .iter()
        .filter_map(|(row, _)| two_digits(row.epsilon?))
        .collect();
    labels.sort_unstable_by(f64::total_cmp);
    labels.dedup();
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption("Utility against privacy", ("sans-serif", 22))
            .margin(14)
            .margin_bottom(46)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d((left..right).log_scale().with_key_points(labels), bottom..top)?;
        chart
            .configure_mesh()
            .x_label_formatter(&|epsilon| epsilon.to_string())
            .x_desc("epsilon of the shop that spent most (logarithmic)")
            .y_desc("HR@10 against all unseen items, %")
            .label_style(("sans-serif", 14))
            .light_line_style(WHITE)
            .draw()?;
        let mut files: Vec<&str> = rows.iter().map(|(row, _)| row.file.as_str()).collect();
        files.dedup();
        for (at, file) in files.iter().enumerate() {
            let colour = COLOURS[at % COLOURS.len()];
            let of = || rows.iter().filter(|(row, _)| row.file == *file);
            let name = of().next().map_or("", |(row, _)| row.plan.as_str());
            let mut points: Vec<(f64, f64)> = of()
                .filter_map(|(row, mean)| Some((row.epsilon?, 100.0 * mean.mean)))
                .collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(1)))?;
            for (row, mean) in of() {
                let [from, to] = bars(mean);
                let Some(epsilon) = row.epsilon else {
                    let across = [(left, 100.0 * mean.mean), (right, 100.0 * mean.mean)];
                    chart.draw_series(DashedLineSeries::new(across, 6, 4, colour.stroke_width(1)))?;
                    continue;
                };
                let cap = |at: f64| [(epsilon / CAP, at), (epsilon * CAP, at)];
                let whole = vec![
                    vec![(epsilon, from), (epsilon, to)],
                    cap(from).to_vec(),
                    cap(to).to_vec(),
                ];
                if mean.standard_error.is_some() {
                    chart.draw_series(
                        whole
                            .into_iter()
                            .map(|path| PathElement::new(path, colour.stroke_width(2))),
                    )?;
                }
                let point = Circle::new((epsilon, 100.0 * mean.mean), 4, colour.filled());
                chart.draw_series(std::iter::once(point))?;
            }
            let open = of().any(|(row, _)| row.epsilon.is_none());
            let label = match open {
                true => format!("{name} (broken line: no bound on epsilon)"),
                false => name.to_owned(),
            };
            let y = 40 + 18 * at as i32;
            root.draw(&Circle::new((SIZE.0 as i32 - 330, y + 6), 4, colour.filled()))?;
            root.draw(&Text::new(label, (SIZE.0 as i32 - 318, y), ("sans-serif", 14)))?;
        }
        for (line, words) in (0..).zip(foot(comparison)) {
            let place = (14, SIZE.1 as i32 - 42 + 18 * line);
            root.draw(&Text::new(words, place, ("sans-serif", 13)))?;
        }
        root.present()?;
    }
    Ok(text)
}

/// What the figures and their bars are of.
fn foot(comparison: &Comparison) -> [String; 2] {
    let failed: usize = comparison.rows.iter().map(|row| row.failed.len()).sum();
    let bars = match comparison.seeds.len() {
        1 => "One seed: no error bars.".to_owned(),
        _ => "Bars: one standard error over the seeds, either way; data and cut are the same in all."
            .to_owned(),
    };
    let left_out = match failed {
        0 => String::new(),
        _ => format!(" {failed} runs did not come to their end and are left out."),
    };
    [comparison.words(), bars + &left_out]
}

const SIZE: (u32, u32) = (860, 480);
/// Half the width of a bar's ends, as a factor of epsilon.
const CAP: f64 = 1.03;
/// Told apart also by those who see few colours (Okabe and Ito).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

fn two_digits(value: f64) -> Option<f64> {
    format!("{value:.1e}").parse().ok()
}
