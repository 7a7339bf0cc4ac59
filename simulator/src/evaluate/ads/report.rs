//! The table of an evaluation of ads.

use std::fmt::Write;

use serde::Serialize;
use serde_json::json;
use souk_common::eval::ClickMetrics;
use souk_common::params::Epsilon;
use souk_common::plan::Plan;

use super::resampled::{Draws, deviation};
use super::shown::Measured;
use crate::check::Check;
use crate::evaluate::{RELATION, UNIT};

/// What must be beaten.
pub(super) const BASELINE: &str = "logistic regression, one place";
pub(super) const TOWER_OPEN: &str = "click tower, without noise";
pub(super) const TOWER: &str = "click tower, private";

/// All rows in the order in which they came; of several seeds, means.
pub(super) struct Report<'a> {
    measured: Measured<'a>,
    draws: Draws,
    asked: Option<Epsilon>,
    /// Of all ads, and of those of which it is known that they were shown.
    rows: Vec<(String, [Figures; 2])>,
    epsilon: Option<Epsilon>,
    delta: f64,
}

/// Of one model over some ads: a seed each.
struct Figures {
    seeds: Vec<ClickMetrics>,
    /// Area and normalised entropy of each draw of households: means over the seeds.
    draws: Vec<Option<[f64; 2]>>,
}

#[derive(Clone, Serialize)]
struct Row {
    model: String,
    auc: Option<f64>,
    log_loss: Option<f64>,
    normalised_entropy: Option<f64>,
    calibration: Option<f64>,
    calibration_error: Option<f64>,
    /// How much more the area is than the baseline's, and the standard error over households.
    auc_more: Option<(f64, f64)>,
    /// How much less the normalised entropy is than the baseline's, and the standard error.
    entropy_less: Option<(f64, f64)>,
}

impl<'a> Report<'a> {
    pub(super) fn new(measured: Measured<'a>, asked: Option<Epsilon>) -> Self {
        Self {
            draws: Draws::new(measured.coupons.known.dataset.len()),
            measured,
            asked,
            rows: Vec::new(),
            epsilon: None,
            delta: 0.0,
        }
    }

    /// Adds a model's probabilities of the test's ads, a seed each.
    pub(super) fn add(&mut self, model: &str, seeds: Vec<Vec<f32>>) {
        let Measured { shown, test, coupons } = self.measured;
        let is_known = |at: usize| coupons.ads[(shown.ads[at] - coupons.first_ad) as usize].kind != POOLED;
        let figures = [false, true].map(|known_alone| {
            let places: Vec<usize> = (0..test.len())
                .filter(|place| !known_alone || is_known(test[*place]))
                .collect();
            let rows: Vec<usize> = places.iter().map(|place| test[*place]).collect();
            let labels = shown.labels_of(&rows);
            let households: Vec<usize> = rows.iter().map(|at| shown.users[*at]).collect();
            let of_seed = seeds.iter().map(|seed| {
                let probabilities: Vec<f32> = places.iter().map(|place| seed[*place]).collect();
                let draws = self.draws.figures(&probabilities, &labels, &households);
                (ClickMetrics::of(&probabilities, &labels), draws)
            });
            let (seeds, draws): (Vec<_>, Vec<_>) = of_seed.unzip();
            let count = draws.len() as f64;
            let draws = (0..draws.first().map_or(0, Vec::len)).map(|draw| {
                draws.iter().try_fold([0.0; 2], |sum, seed| {
                    let of = seed[draw]?;
                    Some([sum[0] + of[0] / count, sum[1] + of[1] / count])
                })
            });
            Figures {
                draws: draws.collect(),
                seeds,
            }
        });
        self.rows.push((model.to_owned(), figures));
    }

    /// Notes what a federation cost.
    pub(super) fn cost(&mut self, epsilon: Option<Epsilon>, plan: &Plan) {
        if plan.privacy.enabled {
            (self.epsilon, self.delta) = (epsilon, plan.privacy.delta.get());
        }
    }

    /// Of all ads, or of those of which it is known that they were shown.
    fn rows(&self, of: usize) -> Vec<Row> {
        let baseline = self
            .rows
            .iter()
            .find(|(name, _)| name == BASELINE)
            .map(|(_, figures)| &figures[of]);
        let row = |(model, figures): &(String, [Figures; 2])| {
            let figures = &figures[of];
            let against = |at: usize, value: fn(&ClickMetrics) -> Option<f64>, sign: f64| {
                let baseline = baseline.filter(|_| model != BASELINE)?;
                let more = sign * (figures.mean(value)? - baseline.mean(value)?);
                let pairs = figures.draws.iter().zip(&baseline.draws);
                let apart = pairs.filter_map(|(one, other)| Some((*one)?[at] - (*other)?[at]));
                Some((more, deviation(apart)))
            };
            Row {
                model: model.clone(),
                auc: figures.mean(|of| of.auc),
                log_loss: figures.mean(|of| of.log_loss),
                normalised_entropy: figures.mean(|of| of.normalised_entropy),
                calibration: figures.mean(|of| of.calibration),
                calibration_error: figures.mean(|of| of.calibration_error),
                auc_more: against(0, |of| of.auc, 1.0),
                entropy_less: against(1, |of| of.normalised_entropy, -1.0),
            }
        };
        self.rows.iter().map(row).collect()
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (of, what) in ["coupons redeemed", "of types B and C alone"]
            .into_iter()
            .enumerate()
        {
            // Writing to a string can't fail.
            let _ = writeln!(
                text,
                "{what:<32} {:>6} {:>8} {:>7} {:>6} {:>7}   AUC more          NE less than the {BASELINE}",
                "AUC", "log loss", "NE", "cal.", "ECE"
            );
            for row in self.rows(of) {
                let number = |value: Option<f64>, places: usize| {
                    value.map_or_else(|| "none".to_owned(), |value| format!("{value:.places$}"))
                };
                let pair = |pair: Option<(f64, f64)>| {
                    pair.map_or_else(String::new, |(more, error)| format!("{more:+.4} ± {error:.4}"))
                };
                let line = format!(
                    "{:<32} {:>6} {:>8} {:>7} {:>6} {:>7}   {:<17} {}",
                    row.model,
                    number(row.auc, 4),
                    number(row.log_loss, 5),
                    number(row.normalised_entropy, 4),
                    number(row.calibration, 2),
                    number(row.calibration_error, 5),
                    pair(row.auc_more),
                    pair(row.entropy_less)
                );
                let _ = writeln!(text, "{}", line.trim_end());
            }
            let figures = self
                .rows
                .first()
                .and_then(|(_, figures)| figures[of].seeds.first());
            let (shown, clicked) = figures.map_or((0, 0), |figures| (figures.shown, figures.clicked));
            let _ = writeln!(text, "{shown} shown, {clicked} redeemed\n");
        }
        let cost = match self.epsilon {
            Some(epsilon) => format!(
                "private: epsilon {:.3} at delta {:e} (unit: {UNIT}; relation: {RELATION}), as is the federated regression",
                epsilon.get(),
                self.delta
            ),
            None => "no privacy".to_owned(),
        };
        let _ = writeln!(
            text,
            "{cost}\ncal.: predicted over redeemed; ECE: expected calibration error; NE: log loss over that of the mean rate; none: labels all alike\n\
             of type A a household got 16 of about 200 coupons, which are not known: all of them count as shown; errors are of 200 draws of households"
        );
        text
    }

    /// What the click tower has to be: better than the baseline by more than twice the error, in area and in entropy, and calibrated.
    pub(super) fn checks(&self) -> Vec<Check> {
        let name = if self.asked.is_some() { TOWER } else { TOWER_OPEN };
        let Some(row) = self.rows(0).into_iter().find(|row| row.model == name) else {
            return Vec::new();
        };
        let beats = |what: &str, pair: Option<(f64, f64)>| Check {
            name: format!("{name} beats {BASELINE} in {what}"),
            ok: pair.is_some_and(|(more, error)| more > 2.0 * error),
            detail: pair.map_or_else(
                || "none".to_owned(),
                |(more, error)| format!("{more:+.4} ± {error:.4}"),
            ),
        };
        let calibration = row.calibration.unwrap_or_default();
        vec![
            beats("AUC", row.auc_more),
            beats("normalised entropy", row.entropy_less),
            Check {
                name: format!("{name} is calibrated"),
                ok: (LEAST_CALIBRATION..LEAST_CALIBRATION.recip()).contains(&calibration),
                detail: format!("{calibration:.2} predicted for each that was redeemed"),
            },
        ]
    }

    pub(super) fn json(&self, checks: &[Check], seconds: f64) -> serde_json::Value {
        let epsilon = self.epsilon.map(|epsilon| {
            json!({"epsilon": epsilon.get(), "delta": self.delta, "unit": UNIT, "relation": RELATION})
        });
        json!({
            "task": "ads",
            "set": self.measured.coupons.known.name,
            "households": self.measured.coupons.known.dataset.len(),
            "rows": self.rows(0),
            "rows_known_to_be_shown": self.rows(1),
            "epsilon": epsilon,
            "checks": checks,
            "seconds": seconds,
        })
    }
}

impl Figures {
    /// Over the seeds.
    fn mean(&self, of: impl Fn(&ClickMetrics) -> Option<f64>) -> Option<f64> {
        let values: Option<Vec<f64>> = self.seeds.iter().map(of).collect();
        let values = values?;
        Some(values.iter().sum::<f64>() / values.len().max(1) as f64)
    }
}

/// The type of campaign of which it is not known what was shown.
const POOLED: &str = "A";
/// Predicted for each that happened: no less, and no more than its inverse.
const LEAST_CALIBRATION: f64 = 0.6;
