//! Shops that work together with the coordinator take their own noise off the sum: as many as the plan counts on, and one more.

use super::context::{Context, guarantee};
use super::likelihood::compare;
use super::release_membership::{AREA, hypotheses};
use super::{Measured, Tried};
use crate::audit::findings::Protections;

pub(super) fn run(context: &Context<'_>) -> anyhow::Result<Tried> {
    let Some(masking) = context.plan().masking.as_ref().filter(|_| context.shares_noise()) else {
        return Ok(Tried::Not(
            "every shop adds all of the noise that its customers are promised: others have nothing of it to take off".to_owned(),
        ));
    };
    if !context.is_private() {
        return Ok(Tried::Not(
            "the plan has no noise that shops could take off".to_owned(),
        ));
    }
    let effort = context.subject.effort;
    let hypotheses = hypotheses(context, effort.pick(12, 60));
    if hypotheses.is_empty() {
        return Ok(Tried::Not(
            "no customer has two items besides the latest one".to_owned(),
        ));
    }
    let rounds = context.rounds(Protections::Plan)?;
    let mut measured = Measured::of(AREA);
    let most = masking.min_shops.saturating_sub(1);
    for colluding in [0, masking.colluding, masking.colluding + 1] {
        let left = masking.min_shops - colluding.min(most);
        let name = format!("collusion of {colluding}");
        let trials = effort.pick(120, 3000);
        let scores = compare(
            &rounds,
            &hypotheses,
            (trials, left),
            (context.subject.seed, &name),
        )?;
        let is_counted = colluding <= masking.colluding;
        let allowed = guarantee(&rounds).map(|allowed| allowed.area());
        let note = match is_counted {
            true => format!(
                "{colluding} of {} shops collude, as the plan counts on",
                masking.min_shops
            ),
            false => format!(
                "{colluding} of {} shops collude, more than the plan counts on: nothing is promised",
                masking.min_shops
            ),
        };
        let mut row = context.row(Protections::Plan, scores.area(), (0.5, allowed), note);
        if !is_counted {
            row.ok = None;
        }
        measured.rows.push(row);
    }
    Ok(Tried::Rows(vec![measured]))
}
