//! What the difference of two published versions says of a customer who joined between them: everybody else cancels, and the noise of
//! both is left.

use super::context::{Context, guarantee};
use super::likelihood::compare;
use super::release_membership::{AREA, hypotheses};
use super::{Measured, Tried};
use crate::audit::findings::Protections;

pub(super) fn run(context: &Context<'_>) -> anyhow::Result<Tried> {
    let effort = context.subject.effort;
    let hypotheses = hypotheses(context, effort.pick(20, 100));
    if hypotheses.is_empty() {
        return Ok(Tried::Not(
            "no customer has two items besides the latest one".to_owned(),
        ));
    }
    let mut measured = Measured::of(AREA);
    for protections in [Protections::Plan, Protections::NoNoise] {
        if protections != Protections::Plan && !context.is_private() {
            continue;
        }
        // Later rounds are seen through other maps in the two versions: no difference can be taken of them.
        let rounds = [context.observed(1, protections)?];
        let allowed = guarantee(&rounds).map(|allowed| allowed.area());
        // All shops' noise, in either version.
        let noisy = 2 * context.plan().shops.len();
        let name = format!("versions {protections:?}");
        let trials = effort.pick(150, 3000);
        let scores = compare(
            &rounds,
            &hypotheses,
            (trials, noisy),
            (context.subject.seed, &name),
        )?;
        let note = "the first round of two runs; nobody else's records changed between them";
        measured
            .rows
            .push(context.row(protections, scores.area(), (0.5, allowed), note));
    }
    Ok(Tried::Rows(vec![measured]))
}
