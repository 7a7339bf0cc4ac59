//! What somebody is, from some of what they bought: a reader fits a logistic regression to people of whom it knows both, first on what
//! anybody can know of those items (how common each is here, what the catalogue says), then with what was published as well. The
//! difference is what publishing adds.

use souk_common::features::Features;
use souk_common::learned::Learned;
use souk_common::rng::stream;

use rand::RngExt;
use rand::seq::SliceRandom;

use super::attributes::Attribute;
use super::context::Context;
use super::observed_round::{published, under};
use super::statistics::Estimate;
use super::{Measured, Tried, logistic};
use crate::audit::findings::Protections;

pub(super) fn run(context: &Context<'_>) -> anyhow::Result<Tried> {
    let known = &context.subject.known;
    let asked: Vec<&Attribute> = context
        .attributes
        .iter()
        .filter(|attribute| enough(attribute))
        .collect();
    if context.attributes.is_empty() {
        return Ok(Tried::Not(format!(
            "{} says nothing of people beside their purchases",
            known.name
        )));
    }
    if asked.is_empty() {
        return Ok(Tried::Not(format!(
            "{} says too little of people: at least {FEWEST} of each kind are needed to fit and to test",
            known.name
        )));
    }
    let people = People::of(context);
    let rounds = context.plan().release.len().max(1) as u64;
    let bare = under(context.plan(), Protections::NoNoise)?;
    let mut out = vec![(Protections::Plan, context.last().clone())];
    if context.is_private() {
        let last = published(&bare, known, rounds, context.subject.seed)?.pop();
        out.extend(last.map(|last| (Protections::NoNoise, last)));
    }
    let mut measured = Measured::of(MEASURE);
    for (protections, learned) in &out {
        let numbers = items_out(context, learned)?;
        for attribute in &asked {
            let (without, with) = (
                people.told(attribute, None),
                people.told(attribute, Some(&numbers)),
            );
            let note = format!(
                "{}; without what is published {:.3} ({:.3} to {:.3}): publishing adds {:+.3}",
                attribute.name,
                without.value,
                without.low,
                without.high,
                with.value - without.value
            );
            let mut row = context.row(*protections, with, (0.5, None), note);
            // What holds of people in general is no secret of one of them: the guarantee is of what taking part adds.
            row.ok = None;
            measured.rows.push(row);
        }
    }
    Ok(Tried::Rows(vec![measured]))
}

fn enough(attribute: &Attribute) -> bool {
    let count = |wanted: bool| attribute.of.iter().filter(|one| **one == Some(wanted)).count();
    count(true).min(count(false)) >= FEWEST
}

/// Numbers that what is published gives each item: the view of the releases, or the embeddings of the model; none where popularity
/// alone is out.
///
/// # Shapes
/// `[items, n]`.
fn items_out(context: &Context<'_>, learned: &Learned) -> anyhow::Result<Vec<Vec<f64>>> {
    let catalogue = &context.subject.known.catalogue;
    match learned {
        Learned::Releases(releases) => {
            let Some(last) = &releases.last else {
                return Ok(vec![Vec::new(); catalogue.len()]);
            };
            let forms = last.forms(&Features::of(catalogue))?;
            let mut rows: Vec<Vec<f64>> = last
                .popularity
                .values()
                .iter()
                .map(|popular| vec![f64::from(*popular).ln_1p()])
                .collect();
            if let Some(form) = forms.forms.first() {
                for (row, view) in rows.iter_mut().zip(form.left.chunks_exact(form.rank.max(1))) {
                    row.extend(view.iter().map(|value| f64::from(*value)));
                }
            }
            Ok(rows)
        }
        Learned::Model(params) => {
            let width = context.plan().model.width();
            let table = params.chunks_exact(width).take(catalogue.len());
            Ok(table
                .map(|row| row.iter().map(|value| f64::from(*value)).collect())
                .collect())
        }
    }
}

/// Everybody, by the items that the reader knows of.
struct People {
    /// One a user: half of the items.
    known: Vec<Vec<u32>>,
    /// Of each item: the main directions of its public features.
    public: Vec<Vec<f64>>,
    /// The users, shuffled: those of the first half are known to the reader.
    order: Vec<usize>,
}

impl People {
    fn of(context: &Context<'_>) -> Self {
        let dataset = &context.subject.known.dataset;
        let mut rng = stream(context.subject.seed, "people");
        let known = dataset.histories.iter().map(|history| {
            let half = history.items.iter().copied().filter(|_| rng.random_bool(0.5));
            half.collect()
        });
        let known = known.collect();
        let mut order: Vec<usize> = (0..dataset.len()).collect();
        order.shuffle(&mut rng);
        Self {
            known,
            public: public_features(&Features::of(&context.subject.known.catalogue)),
            order,
        }
    }

    /// How well the attribute is told of the people that the reader does not know, of whom it knows items.
    fn told(&self, attribute: &Attribute, out: Option<&[Vec<f64>]>) -> Estimate {
        let asked = self
            .order
            .iter()
            .filter_map(|user| Some((*user, attribute.of[*user]?)));
        let asked: Vec<(usize, bool)> = asked.filter(|(user, _)| !self.known[*user].is_empty()).collect();
        let mut rows: Vec<Vec<f64>> = asked.iter().map(|(user, _)| self.row(*user, out)).collect();
        standardise(&mut rows);
        let labels: Vec<bool> = asked.iter().map(|(_, label)| *label).collect();
        let half = rows.len() / 2;
        let views: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let weights = logistic::fit(&views[..half], &labels[..half], RIDGE);
        let scores = |wanted: bool| -> Vec<f64> {
            let tested = views[half..].iter().zip(&labels[half..]);
            let these = tested.filter(|(_, label)| **label == wanted);
            these.map(|(row, _)| logistic::score(&weights, row)).collect()
        };
        Estimate::area(&scores(true), &scores(false))
    }

    /// Means over the items that are known of a user.
    fn row(&self, user: usize, out: Option<&[Vec<f64>]>) -> Vec<f64> {
        let items = &self.known[user];
        let mean = |numbers: &[Vec<f64>]| -> Vec<f64> {
            let mut sum = vec![0.0; numbers.first().map_or(0, Vec::len)];
            for item in items {
                let cells = sum.iter_mut().zip(&numbers[*item as usize]);
                cells.for_each(|(cell, value)| *cell += value / items.len() as f64);
            }
            sum
        };
        let mut row = mean(&self.public);
        row.push((items.len() as f64).ln_1p());
        row.extend(out.map(mean).unwrap_or_default());
        row
    }
}

/// The columns of features that most items have, as they are.
fn public_features(features: &Features) -> Vec<Vec<f64>> {
    let counts = features.item_counts();
    let mut columns: Vec<usize> = (0..counts.len()).filter(|column| counts[*column] > 0).collect();
    columns.sort_by_key(|column| std::cmp::Reverse(counts[*column]));
    columns.truncate(MOST_COLUMNS);
    let place = |column: u32| columns.iter().position(|kept| *kept == column as usize);
    (0..features.items())
        .map(|item| {
            let mut row = vec![0.0; columns.len()];
            let (named, values) = features.row(item);
            for (column, value) in named.iter().zip(values) {
                if let Some(at) = place(*column) {
                    row[at] = f64::from(*value);
                }
            }
            row
        })
        .collect()
}

/// Columns at mean 0 and variance 1.
fn standardise(rows: &mut [Vec<f64>]) {
    let count = rows.len().max(1) as f64;
    for at in 0..rows.first().map_or(0, Vec::len) {
        let mean = rows.iter().map(|row| row[at]).sum::<f64>() / count;
        let variance = rows.iter().map(|row| (row[at] - mean).powi(2)).sum::<f64>() / count;
        let scale = if variance > 1e-18 {
            variance.sqrt().recip()
        } else {
            0.0
        };
        rows.iter_mut().for_each(|row| row[at] = (row[at] - mean) * scale);
    }
}

const MEASURE: &str = "area under the ROC curve (DeLong), of people whom the regression was not fitted to";
/// People of each kind.
const FEWEST: usize = 20;
const MOST_COLUMNS: usize = 40;
const RIDGE: f64 = 10.0;
