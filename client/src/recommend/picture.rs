//! All scores of one user as a scatter plot: every item a dot, the recommended ones marked.

use std::collections::BTreeSet;

use plotters::prelude::*;
use serde::{Deserialize, Serialize};

/// What the picture shows; coordinates are (place in the catalogue, score).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Picture {
    /// Whose scores.
    pub user_id: String,
    /// In catalogue order.
    pub scores: Vec<f32>,
    /// Rows of the recommended items, best first.
    pub best: Vec<u32>,
    /// Rows of what the user bought.
    pub bought: Vec<u32>,
}

impl Picture {
    /// The picture as an SVG document.
    ///
    /// # Errors
    /// When there is nothing to draw, or the drawing library fails.
    pub fn to_svg(&self) -> Result<String, PictureError> {
        let finite = self.scores.iter().copied().filter(|score| score.is_finite());
        let (low, high) = finite.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), score| {
            (low.min(score), high.max(score))
        });
        if low > high {
            return Err(PictureError::Nothing);
        }
        let margin = ((high - low) * 0.05).max(1e-6);
        let mut svg = String::new();
        self.draw(&mut svg, low - margin..high + margin)
            .map_err(|error| PictureError::Drawing(error.to_string()))?;
        Ok(svg)
    }

    fn draw(&self, svg: &mut String, range: std::ops::Range<f32>) -> Result<(), Box<dyn std::error::Error>> {
        let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let title = format!(
            "Scores of {} items for {}",
            self.scores.len(),
            printable(&self.user_id)
        );
        let mut chart = ChartBuilder::on(&root)
            .caption(title, ("sans-serif", 22))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(0f32..self.scores.len() as f32, range)?;
        chart
            .configure_mesh()
            .x_desc("item (place in the catalogue)")
            .y_desc("score")
            .light_line_style(WHITE)
            .draw()?;
        let marked: BTreeSet<u32> = self.best.iter().chain(&self.bought).copied().collect();
        // A picture of a million dots helps nobody: thin out the background, never the marks.
        let step = self.scores.len().div_ceil(MOST_DOTS).max(1);
        let others = (0..self.scores.len() as u32)
            .step_by(step)
            .filter(|row| !marked.contains(row));
        let grey = RGBColor(150, 160, 175).mix(0.7).filled();
        chart.draw_series(self.points(others).map(|at| Circle::new(at, 2, grey)))?;
        let bought: Vec<_> = self.points(self.bought.iter().copied()).collect();
        chart
            .draw_series(
                bought
                    .into_iter()
                    .map(|at| TriangleMarker::new(at, 5, BOUGHT.filled())),
            )?
            .label("bought before")
            .legend(|(x, y)| TriangleMarker::new((x + 8, y), 5, BOUGHT.filled()));
        let best: Vec<_> = self.points(self.best.iter().copied()).collect();
        chart
            .draw_series(best.into_iter().map(|at| Circle::new(at, 5, BEST.filled())))?
            .label(format!("top {}", self.best.len()))
            .legend(|(x, y)| Circle::new((x + 8, y), 5, BEST.filled()));
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        root.present()?;
        Ok(())
    }

    fn points(&self, rows: impl Iterator<Item = u32>) -> impl Iterator<Item = (f32, f32)> {
        rows.filter_map(|row| Some((row as f32, *self.scores.get(row as usize)?)))
            .filter(|(_, score)| score.is_finite())
    }
}

/// A name as far as it may stand in a picture.
fn printable(name: &str) -> String {
    name.chars()
        .filter(|letter| !letter.is_control())
        .take(40)
        .collect()
}

/// Why there is no picture.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PictureError {
    /// No score is a number.
    #[error("there is no score to draw")]
    Nothing,
    /// The drawing library.
    #[error("the picture could not be drawn: {0}")]
    Drawing(String),
}

const SIZE: (u32, u32) = (960, 600);
const MOST_DOTS: usize = 20_000;
const BEST: RGBColor = RGBColor(200, 40, 60);
const BOUGHT: RGBColor = RGBColor(40, 110, 190);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_a_dot_and_text_is_escaped() {
        let picture = Picture {
            user_id: "a<b>&\"".into(),
            scores: (0..500).map(|at| (at % 7) as f32).collect(),
            best: vec![6, 13, 20],
            bought: vec![1],
        };
        let svg = picture.to_svg().unwrap();
        assert!(
            svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"),
            "{}",
            &svg[..80]
        );
        // 496 plain, 3 marked, 1 in the legend.
        assert_eq!(svg.matches("<circle").count(), 500, "dots");
        assert!(svg.contains("top 3") && svg.contains("score") && svg.contains("place in the catalogue"));
        assert!(!svg.contains("a<b>"));
    }

    #[test]
    fn nothing_to_draw_is_an_error_and_equal_scores_are_none() {
        let picture = |scores: Vec<f32>| Picture {
            user_id: "u".into(),
            scores,
            best: vec![0],
            bought: vec![],
        };
        assert_eq!(picture(vec![]).to_svg(), Err(PictureError::Nothing));
        assert_eq!(picture(vec![f32::NAN]).to_svg(), Err(PictureError::Nothing));
        assert!(picture(vec![1.0, 1.0]).to_svg().is_ok());
    }
}
