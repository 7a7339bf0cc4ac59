//! What a customer's gradient of a network says of the items and labels that it was made of: the rows of the embeddings, and the
//! sign of the errors at the output, which the biases of items have in closed form.

use souk_common::learned::Learner;
use souk_common::model::config::TrainConfig;

use super::context::Context;
use super::extraction::PRECISION;
use super::item_set::rows_of;
use super::observed_round::{ObservedRound, under};
use super::{Measured, Tried};

pub(super) fn run(context: &Context<'_>) -> anyhow::Result<Tried> {
    let (plan, note) = context.trained_by("neumf", |plan| matches!(plan.train, TrainConfig::Sgd(_)))?;
    let catalogue = &context.subject.known.catalogue;
    let start = Learner::new(&plan, catalogue).initial();
    let observed = |protections| -> anyhow::Result<(ObservedRound, ObservedRound)> {
        let plan = under(&plan, protections)?;
        let quiet = under(&plan, crate::audit::findings::Protections::NoNoise)?;
        Ok((
            ObservedRound::new(&plan, catalogue, &start, 1)?,
            ObservedRound::new(&quiet, catalogue, &start, 1)?,
        ))
    };
    let rows = rows_of(context, observed, "gradient inversion", &note)?;
    Ok(match rows {
        Some(rows) => Tried::Rows(vec![Measured {
            measure: PRECISION,
            rows,
        }]),
        None => Tried::Not("no customer has two items besides the latest one".to_owned()),
    })
}
